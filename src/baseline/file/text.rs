//! Peers, ports and days as the file writes them.
//!
//! Owns both directions of each.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::connection::Peer;
use crate::flow::Protocol;

/// Reserved entities, by which one is told from a name without a dot.
const ENTITIES: [&str; 9] = [
    "host",
    "remote-node",
    "kube-apiserver",
    "health",
    "ingress",
    "init",
    "unmanaged",
    "world",
    "unknown",
];

/// A peer as the file writes it: `shop/cart`, `shop/cart@other-cluster` where the cluster is
/// not `cluster`, `api.example.com`, `192.0.2.0/24`, `host`.
#[must_use]
pub fn peer_text(peer: &Peer, cluster: &str) -> String {
    match peer {
        Peer::Workload {
            cluster: own,
            namespace,
            name,
            ..
        } => {
            let at = if &**own == cluster || own.is_empty() {
                String::new()
            } else {
                format!("@{own}")
            };
            format!("{namespace}/{name}{at}")
        }
        Peer::Name(name) if ENTITIES.contains(&&**name) => format!("name:{name}"),
        Peer::Prefix(prefix) => prefix.to_string(),
        other => other.to_string(),
    }
}

/// The peer of a text; `cluster` is that of a workload which names none. A workload's kind
/// is left open.
#[must_use]
pub fn parse_peer(text: &str, cluster: &str) -> Option<Peer> {
    if text.is_empty() || text == "*" {
        return None;
    }
    if let Ok(prefix) = text.parse::<ipnet::IpNet>() {
        return Some(Peer::Prefix(prefix));
    }
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Some(Peer::Prefix(address.into()));
    }
    if let Some(name) = text.strip_prefix("name:") {
        return Some(Peer::Name(name.into()));
    }
    if ENTITIES.contains(&text) {
        return Some(Peer::Entity(text.into()));
    }
    if let Some((namespace, name)) = text.split_once('/') {
        let (name, own) = name.split_once('@').unwrap_or((name, cluster));
        return (!name.is_empty()).then(|| Peer::Workload {
            cluster: own.into(),
            namespace: namespace.into(),
            kind: Arc::default(),
            name: name.into(),
        });
    }
    Some(Peer::Name(text.to_ascii_lowercase().into()))
}

/// `443/TCP`; `8/ICMPv4` is type 8.
#[must_use]
pub fn port_text((port, protocol): (u16, Protocol)) -> String {
    format!("{port}/{}", protocol.name())
}

/// The port of a text; TCP where it says no protocol.
#[must_use]
pub fn parse_port(text: &str) -> Option<(u16, Protocol)> {
    const PROTOCOLS: [Protocol; 8] = [
        Protocol::Tcp,
        Protocol::Udp,
        Protocol::Icmpv4,
        Protocol::Icmpv6,
        Protocol::Sctp,
        Protocol::Vrrp,
        Protocol::Igmp,
        Protocol::None,
    ];
    let (port, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
    let protocol = PROTOCOLS
        .into_iter()
        .find(|known| known.name().eq_ignore_ascii_case(protocol))?;
    Some((port.parse().ok()?, protocol))
}

/// The day of a time, `2026-01-05`, UTC.
#[must_use]
pub(super) fn day_text(time: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time)).map_or_else(
        |_| String::new(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

/// The beginning of a day, or a time.
#[must_use]
pub(super) fn parse_day(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(time.as_nanosecond()).ok();
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    let time = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    i64::try_from(time.as_nanosecond()).ok()
}

/// A time in seconds, `2026-01-05T00:00:00Z`.
#[must_use]
pub(super) fn time_text(time: i64) -> String {
    jiff::Timestamp::from_second(time.div_euclid(1_000_000_000))
        .map_or_else(|_| String::new(), |time| time.to_string())
}

/// A scalar as YAML takes it for the text it is.
#[must_use]
pub(super) fn scalar(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@:+".contains(&byte);
    let starts = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte.is_ascii_digit());
    let words = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan",
    ];
    let is_word = words.iter().any(|word| text.eq_ignore_ascii_case(word));
    // What looks like a number, an exponent or a time of day may be resolved to one.
    let digits = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"._+-:eExXa".contains(&byte));
    if starts && text.bytes().all(plain) && !is_word && !digits && !text.ends_with(':') {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::KeyedFile;

    #[test]
    fn a_peer_is_read_as_it_is_written() {
        for text in [
            "shop/cart",
            "shop/cart@other",
            "api.example.com",
            "192.0.2.0/24",
            "2001:db8::/48",
            "kube-apiserver",
            "name:host",
            "intranet",
        ] {
            let peer = parse_peer(text, "here").unwrap();
            assert_eq!(peer_text(&peer, "here"), text);
        }
        assert_eq!(parse_peer("*", ""), None);
        assert_eq!(parse_peer("shop/", ""), None);
    }

    #[test]
    fn a_port_is_read_as_it_is_written() {
        for text in ["443/TCP", "53/UDP", "8/ICMPv4"] {
            assert_eq!(port_text(parse_port(text).unwrap()), text);
        }
        assert_eq!(parse_port("22"), Some((22, Protocol::Tcp)));
        assert_eq!(parse_port("70000/TCP"), None);
        assert_eq!(parse_port("1/XYZ"), None);
    }

    #[test]
    fn a_day_is_read_as_it_is_written() {
        let time = parse_day("2026-01-05").unwrap();
        assert_eq!(day_text(time), "2026-01-05");
        assert_eq!(time_text(time), "2026-01-05T00:00:00Z");
        assert_eq!(parse_day("2026-01-05T00:00:00Z"), Some(time));
        assert_eq!(parse_day("yesterday"), None);
    }

    /// Guarantees: whatever a text is, YAML reads it back.
    #[test]
    fn a_scalar_is_read_back_as_it_was() {
        for text in [
            "shop/cart",
            "192.0.2.0/24",
            "2001:db8::/48",
            "1e5",
            "12:30",
            "on",
            "null",
            "GET /a/{n}",
            "*",
            "",
            "a: b",
            "a #b",
            "it's",
            "say \"x\"\n\t\u{1}",
            "-x",
            "0x50",
            "010",
            "é",
            "[x]",
            "2026-01-05",
            "1:2",
            "~",
            "host",
            "1.5",
            "443/TCP",
        ] {
            let yaml = format!("k: {{v: {}, w: 1}}\n", scalar(text));
            let read = KeyedFile::new("t").documents(&yaml).unwrap();
            let node = read[0].root.get("k").and_then(|map| map.get("v")).unwrap();
            assert_eq!(node.as_str(), Some(text), "{yaml}");
        }
    }
}
