//! The words of a report: names, ports, times, durations, counts.

use jiff::Timestamp;

use crate::connection::Peer;
use crate::flow::Protocol;
use crate::render::escape::{self, Tab};
use crate::render::thousands;
use crate::review::report::{Reading, Rule, Seen};

/// Policies and pods named one by one.
pub(in crate::render) const NAMED: usize = 2;

/// `shop/checkout`, `world`, `api.example`, `192.0.2.1`.
pub(in crate::render) fn peer(peer: &Peer) -> String {
    match peer {
        Peer::Workload {
            namespace, name, ..
        } if namespace.is_empty() => name.to_string(),
        Peer::Workload {
            namespace, name, ..
        } => format!("{namespace}/{name}"),
        Peer::Entity(name) | Peer::Name(name) => name.to_string(),
        Peer::Prefix(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
        Peer::Prefix(net) => net.to_string(),
        Peer::Unknown => "unknown".to_owned(),
        Peer::Others => "others".to_owned(),
    }
}

/// A node without its cluster, where there is only one.
pub(in crate::render) fn node<'a>(name: &'a str, reading: &Reading) -> &'a str {
    let only = reading
        .clusters
        .iter()
        .next()
        .filter(|_| reading.clusters.len() == 1);
    only.and_then(|cluster| name.strip_prefix(&**cluster)?.strip_prefix('/'))
        .unwrap_or(name)
}

/// `443/TCP`, `ICMPv4 echo request`.
pub(in crate::render) fn port(port: u16, protocol: Protocol) -> String {
    match (protocol, port) {
        (Protocol::Icmpv4, 8) | (Protocol::Icmpv6, 128) => {
            format!("{} echo request", protocol.name())
        }
        (Protocol::Icmpv4 | Protocol::Icmpv6, kind) => format!("{} type {kind}", protocol.name()),
        (Protocol::None, 0) => String::new(),
        (Protocol::Tcp | Protocol::Udp | Protocol::Sctp, port) => {
            format!("{port}/{}", protocol.name())
        }
        (protocol, _) => protocol.name().to_owned(),
    }
}

/// `1,234 flows`, `1 flow`.
pub(in crate::render) fn counted(count: u64, one: &str) -> String {
    let plural = match one {
        _ if count == 1 => one.to_owned(),
        "address" => "addresses".to_owned(),
        _ => format!("{one}s"),
    };
    format!("{} {plural}", thousands(count))
}

/// `14:08:40`; with the day where the report spans several.
pub(in crate::render) fn clock(nanos: i64, with_day: bool) -> String {
    let Ok(time) = Timestamp::from_nanosecond(i128::from(nanos)) else {
        return String::new();
    };
    time.strftime(if with_day {
        "%Y-%m-%d %H:%M:%S"
    } else {
        "%H:%M:%S"
    })
    .to_string()
}

/// A time for programs.
pub(in crate::render) fn rfc3339(nanos: i64) -> Option<String> {
    let time = Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
    Some(time.to_string())
}

/// Whether two times are on different days.
pub(in crate::render) fn spans_days(seen: Seen) -> bool {
    seen.span()
        .is_some_and(|(first, last)| clock(first, true)[..10] != clock(last, true)[..10])
}

/// `4 min 35 s`, `3 d 2 h`, `12 s`, `350 ms`.
pub(in crate::render) fn duration(nanos: i64) -> String {
    let millis = nanos / 1_000_000;
    let seconds = (nanos + 500_000_000) / 1_000_000_000;
    let two = |one: i64, name: &str, two: i64, other: &str| {
        if two == 0 {
            format!("{one} {name}")
        } else {
            format!("{one} {name} {two} {other}")
        }
    };
    match seconds {
        _ if millis < 1000 => format!("{millis} ms"),
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// `1.2 ms`, `16 ms`, `2.4 s`.
pub(in crate::render) fn latency(nanos: u64) -> String {
    let millis = nanos as f64 / 1e6;
    if nanos == 0 {
        String::new()
    } else if millis < 10.0 {
        format!("{millis:.1} ms")
    } else if millis < 1000.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.1} s", millis / 1000.0)
    }
}

/// A share never rounded up to all of it.
pub(in crate::render) fn percent(share: f64) -> String {
    if share >= 1.0 {
        "100 %".to_owned()
    } else {
        format!("{:.1} %", (share * 1000.0).floor() / 10.0)
    }
}

/// `one, two and 3 more`.
pub(in crate::render) fn listed<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    match names.len() {
        count if count > most => format!("{} and {} more", shown.join(", "), count - most),
        0 => String::new(),
        1 => shown[0].to_owned(),
        count => format!("{} and {}", shown[..count - 1].join(", "), shown[count - 1]),
    }
}

/// `shop/web (web.yaml:12)`.
pub(in crate::render) fn rule(rule: &Rule) -> String {
    if rule.file.is_empty() {
        rule.policy.to_string()
    } else {
        format!("{} ({}:{})", rule.policy, rule.file, rule.line)
    }
}

/// Text from outside, harmless on a terminal.
pub(in crate::render) fn harmless(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape::push(&mut out, text, Tab::Escape);
    String::from_utf8(out).unwrap_or_default()
}

/// `1,234`, empty for none.
pub(in crate::render) fn some(count: u64) -> String {
    if count == 0 {
        String::new()
    } else {
        thousands(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_say_them() {
        for (seconds, wanted) in [
            (0.35, "350 ms"),
            (12.0, "12 s"),
            (275.0, "4 min 35 s"),
            (3600.0, "1 h"),
            (266_400.0, "3 d 2 h"),
        ] {
            assert_eq!(duration((seconds * 1e9) as i64), wanted);
        }
    }

    #[test]
    fn lists_end_with_what_is_left_out() {
        assert_eq!(listed(&["a"], 2), "a");
        assert_eq!(listed(&["a", "b"], 2), "a and b");
        assert_eq!(listed(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(percent(0.9999), "99.9 %");
    }
}
