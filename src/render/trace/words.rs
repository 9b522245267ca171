//! The words of a trace.

use crate::connection::ExchangeKind;
use crate::render::report::outline::policies::ruling;
use crate::render::report::words::{counted, duration, listed, peer, percent, port};
use crate::render::thousands;
use crate::review::report::Reading;
use crate::review::trace::{Ends, Link, Trace};

/// Policies and addresses named one by one.
const NAMED: usize = 4;

/// What became of the connections of a link: `passed`, `2 denied`, `passed, 3 denied`.
pub(in crate::render) fn verdict(link: &Link) -> String {
    let sum = &link.sum;
    let mut parts = Vec::new();
    if sum.audited > 0 && sum.audited == sum.forwarded {
        parts.push("passed in audit mode".to_owned());
    } else if sum.forwarded > 0 {
        parts.push("passed".to_owned());
    }
    let rest = [
        (sum.denied, "denied"),
        (sum.dropped, "dropped"),
        (sum.refused, "with a refused request"),
    ];
    for (count, word) in rest {
        match count {
            0 => {}
            count if count == sum.connections && parts.is_empty() => parts.push(word.to_owned()),
            count => parts.push(format!("{} {word}", thousands(count))),
        }
    }
    parts.join(", ")
}

/// The far end of a link with its port.
pub(in crate::render) fn far(link: &Link) -> String {
    format!("{}:{}", peer(link.far()), port(link.port, link.protocol))
}

/// Far ends with their ports, each once.
pub(in crate::render) fn names<'a>(links: impl Iterator<Item = &'a Link>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in links.map(far) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What is said of events that are known to be lost, or of which nobody knows how many are.
pub(in crate::render) fn lost(events: Option<u64>) -> String {
    match events {
        Some(0) => String::new(),
        Some(lost) => format!(", {} known to be lost", counted(lost, "event")),
        None => ", and nobody knows how many events are lost".to_owned(),
    }
}

/// Lines about the sides of a link: what the policies say, else what Hubble names.
pub(in crate::render) fn sides(link: &Link) -> Vec<String> {
    if !link.ruled.is_empty() {
        return link
            .ruled
            .iter()
            .map(|side| format!("{}: {}", side.direction.name(), ruling(&side.ruling)))
            .collect();
    }
    let recorded: Vec<&str> = link.recorded.iter().map(AsRef::as_ref).collect();
    if recorded.is_empty() {
        return Vec::new();
    }
    vec![format!("Hubble names {}", listed(&recorded, NAMED))]
}

/// Addresses of an end outside.
pub(super) fn addresses(ends: &Ends) -> String {
    let all: Vec<String> = ends.some.iter().map(ToString::to_string).collect();
    let more = if ends.more { " and more" } else { "" };
    format!("{}{more}", all.join(", "))
}

/// `GET api.example/v1`, `DNS a.example`.
pub(super) fn asked(kind: &ExchangeKind) -> String {
    match kind {
        ExchangeKind::Dns { query, .. } => format!("DNS {query}"),
        ExchangeKind::Http {
            method, host, path, ..
        } => format!("{method} {host}{path}"),
        ExchangeKind::Other(name) => name.to_string(),
    }
}

/// What the recording cannot show of this trace.
pub(super) fn limits(trace: &Trace) -> Vec<String> {
    let mut limits = Vec::new();
    limits.extend(completeness(&trace.reading));
    if trace.incident.is_some() {
        limits.push(match trace.watched_before() {
            Some(before) => format!(
                "New is what was not seen in the {} before the incident; what happens less often may only look new.",
                duration(before)
            ),
            None => "The recording does not begin before the incident: what is new cannot be told."
                .to_owned(),
        });
    }
    if trace.hops.len() > 1 {
        limits.push(
            "Further hops could have carried something, by the order of their times; that they did is not said."
                .to_owned(),
        );
    }
    for (at, hop) in trace
        .hops
        .iter()
        .enumerate()
        .filter(|(_, hop)| hop.others > 0)
    {
        limits.push(format!(
            "Hop {}: {} on links there was no room for.",
            at + 1,
            counted(hop.others, "connection")
        ));
    }
    if trace.more_asked > 0 {
        limits.push(format!(
            "{} there was no room for.",
            counted(trace.more_asked, "request")
        ));
    }
    limits.push("Hubble has no bytes: how much went over a connection is not known.".to_owned());
    limits
}

/// How much of the time was seen on the nodes that saw it.
pub(in crate::render) fn completeness(reading: &Reading) -> Option<String> {
    let (first, last) = reading.seen.span()?;
    let length = duration(last - first);
    Some(match reading.share_seen() {
        Some(seen) if seen.share < 1.0 || seen.lost != Some(0) => {
            format!(
                "Of {length}, {} was seen on the nodes that saw it{}: what happened in the holes is not here.",
                percent(seen.share),
                lost(seen.lost)
            )
        }
        _ => format!("{length} were seen on the nodes that saw it, without a known hole."),
    })
}
