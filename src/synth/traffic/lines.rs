//! What is said in requests: URLs, names, and Hubble's one-line summaries of them.
//!
//! Owns the texts of layer 7. Few of each, so that dictionaries stay small.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use super::super::number::{Random, mix};
use super::cast::{Cast, Member};
use super::wheel::{DnsEvent, Name};

/// Methods and paths; the last ones are those no rule was written for.
pub(super) const REQUESTS: [(&str, &str); 10] = [
    ("GET", "/api/items"),
    ("GET", "/api/items/17"),
    ("GET", "/api/items?page=2&size=50"),
    ("GET", "/api/status"),
    ("GET", "/api/search?q=shoes"),
    ("GET", "/api/orders/recent"),
    ("GET", "/api/version"),
    ("POST", "/api/items"),
    ("DELETE", "/api/items/17"),
    ("GET", "/admin/export"),
];
/// The first of the odd ones.
const ODD: usize = 7;

/// A request, by its place in [`REQUESTS`].
pub(super) fn request(odd: bool, random: &mut Random) -> u16 {
    let place = if odd {
        ODD + random.below(REQUESTS.len() - ODD)
    } else {
        random.below(ODD)
    };
    place as u16
}

/// Numbers of requests that guess passwords begin here, those that guess paths above.
pub(super) const LOGIN: u16 = 1_000;
pub(super) const GUESS: u16 = 2_000;

/// Method and path of a number.
pub(super) fn request_of(number: u16) -> (&'static str, Cow<'static, str>) {
    const WORDS: [&str; 24] = [
        "admin", "backup", "config", "console", "debug", "dump", "env", "export", "files", "git",
        "graphql", "health", "internal", "keys", "logs", "manage", "old", "private", "secret",
        "server", "swagger", "test", "upload", "users",
    ];
    match REQUESTS.get(usize::from(number)) {
        Some((method, path)) => (method, Cow::Borrowed(path)),
        None if number < GUESS => ("GET", Cow::Borrowed("/api/login")),
        None => {
            let bits = mix(u64::from(number));
            let word = |shift: u32| WORDS[(bits >> shift) as usize % WORDS.len()];
            let path = format!("/api/{}/{}{}", word(0), word(9), bits >> 20 & 7);
            ("GET", Cow::Owned(path))
        }
    }
}

/// Host and port as a client writes them.
pub(super) fn authority(member: &Member) -> String {
    format!("{}.{}:{}", member.name, member.namespace, member.port.port)
}

/// How a client writes the name of a Service: 0 alone, where both are in one namespace, 1
/// with the namespace, 2 with `svc`, 3 in full. Also the suffix that makes it a name.
pub(super) fn style(cast: &Cast, client: usize, server: u32) -> u8 {
    let namespace = |member: usize| &cast.members[member].namespace;
    let own = namespace(client) == namespace(server as usize);
    match mix((client as u64) << 32 | u64::from(server)) & 3 {
        0 if !own => 1,
        style => style as u8,
    }
}

/// The name that a client asks for, with its trailing dot.
pub(super) fn query(cast: &Cast, event: &DnsEvent, client: usize) -> String {
    let namespace = &cast.members[client].namespace;
    let mut text = match event.name {
        Name::Service(server) => {
            let member = &cast.members[server as usize];
            let (name, own) = (&member.name, &member.namespace);
            match style(cast, client, server) {
                0 => name.to_string(),
                1 => format!("{name}.{own}"),
                2 => format!("{name}.{own}.svc"),
                _ => format!("{name}.{own}.svc.cluster.local"),
            }
        }
        Name::External(external) => external_name(cast, external).to_string(),
        Name::Made { incident, number } => cast.made[usize::from(incident)].name(number),
    };
    let _ = match event.search {
        0 => write!(text, ".{namespace}.svc.cluster.local."),
        1 => write!(text, ".svc.cluster.local."),
        2 => write!(text, ".cluster.local."),
        _ => write!(text, "."),
    };
    text
}

/// The name of an external, empty for one without.
pub(super) fn external_name(cast: &Cast, external: u32) -> Arc<str> {
    let first = cast.externals[external as usize].start;
    let identity = cast.parties[first as usize].identity;
    let names = &cast.identities[identity.0 as usize].names;
    names.first().cloned().unwrap_or_default()
}

/// Address of a Service.
pub(super) fn service_ip(member: u32) -> String {
    format!("10.96.{}.{}", member / 250, member % 250 + 1)
}

/// Addresses a content network answers with, or an external's own, the first of which the
/// client takes.
pub(super) fn external_ips(cast: &Cast, external: u32, turn: u32) -> Vec<String> {
    let addresses = &cast.externals[external as usize];
    let count = addresses.end - addresses.start;
    let ip = |step: u32| {
        let at = addresses.start + (turn + step) % count;
        cast.parties[at as usize].ip.to_string()
    };
    (0..count.min(3)).map(ip).collect()
}
