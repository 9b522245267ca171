//! Words and figures of evidence.
//!
//! Owns how detectors write peers, ports, counts, times and spans of time. Sentences are the
//! detectors' own.

use crate::connection::{Peer, PeerId, Peers};
use crate::flow::Protocol;
pub use crate::flow::{counted as count, thousands as number};

const SECOND: i64 = 1_000_000_000;

/// `shop/checkout (Deployment)`, `api.example.com`, `192.0.2.0/24`.
#[must_use]
pub fn who(peers: &Peers, id: PeerId) -> String {
    let peer = peers.get(id);
    match peer {
        Peer::Workload { kind, .. } if !kind.is_empty() => format!("{peer} ({kind})"),
        _ => peer.to_string(),
    }
}

/// `vault/vault:8200/TCP`; `vault/vault ICMPv4 type 8`; only the peer without a port.
#[must_use]
pub fn place(peers: &Peers, id: PeerId, port: Option<(u16, Protocol)>) -> String {
    let peer = peers.get(id);
    match port {
        None | Some((0, Protocol::None)) => peer.to_string(),
        Some((kind, protocol @ (Protocol::Icmpv4 | Protocol::Icmpv6))) => {
            format!("{peer} {} type {kind}", protocol.name())
        }
        Some((port, protocol)) => format!("{peer}:{port}/{}", protocol.name()),
    }
}

/// `31 days`, `6 hours`, `12 minutes`, `40 seconds`.
#[must_use]
pub fn span(nanoseconds: i64) -> String {
    let seconds = (nanoseconds / SECOND).max(0) as u64;
    match seconds {
        0..120 => count(seconds, "second", "seconds"),
        120..7_200 => count(seconds / 60, "minute", "minutes"),
        7_200..172_800 => count(seconds / 3_600, "hour", "hours"),
        _ => count(seconds / 86_400, "day", "days"),
    }
}

/// `2026-11-30 10:42:07 UTC`.
#[must_use]
pub fn at(time: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time)).map_or_else(
        |_| "an unknown time".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// A time as documents have it, RFC 3339.
#[must_use]
pub fn rfc3339(time: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time))
        .map_or_else(|_| String::new(), |time| time.to_string())
}

/// A probability as people write it: `0.03`, `2e-6`.
#[must_use]
pub fn probability(p: f64) -> String {
    if p >= 0.001 {
        format!("{p:.3}")
    } else {
        format!("{p:.0e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_write_them() {
        assert_eq!(count(1, "day", "days"), "1 day");
        assert_eq!(count(1_234_567, "day", "days"), "1,234,567 days");
        assert_eq!(span(119 * SECOND), "119 seconds");
        assert_eq!(span(7_199 * SECOND), "119 minutes");
        assert_eq!(span(40 * 3_600 * SECOND), "40 hours");
        assert_eq!(span(31 * 86_400 * SECOND), "31 days");
        assert_eq!(at(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(probability(0.0312), "0.031");
        assert_eq!(probability(2.1e-6), "2e-6");
    }

    #[test]
    fn a_place_is_a_peer_and_a_port() {
        let mut peers = Peers::default();
        let name = peers.intern(Peer::Name("api.example.com".into()));
        let place = |port| place(&peers, name, port);
        assert_eq!(place(Some((443, Protocol::Tcp))), "api.example.com:443/TCP");
        assert_eq!(place(None), "api.example.com");
        let ping = Some((8, Protocol::Icmpv4));
        assert_eq!(place(ping), "api.example.com ICMPv4 type 8");
    }
}
