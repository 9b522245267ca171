//! Ports as ranges.
//!
//! Owns making ranges of answers about single ports.

use std::fmt;

use crate::flow::Protocol;

/// Ports of one protocol, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// Layer 4.
    pub protocol: Protocol,
    /// First port; the type for ICMP.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

impl PortRange {
    /// Whether a port lies in it.
    #[must_use]
    pub fn has(self, protocol: Protocol, port: u16) -> bool {
        self.protocol == protocol && (self.first..=self.last).contains(&port)
    }

    /// Whether it is every port of its protocol.
    #[must_use]
    pub fn is_all(self) -> bool {
        self.first <= 1 && self.last == u16::MAX
    }
}

impl fmt::Display for PortRange {
    /// `443/TCP`, `8000-8100/TCP`, `any/UDP`, `ICMPv4 echo request`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Icmpv4 | Protocol::Icmpv6 => {
                write!(f, "{} echo request", self.protocol.name())
            }
            protocol if self.is_all() => write!(f, "any/{}", protocol.name()),
            protocol if self.first == self.last => write!(f, "{}/{}", self.first, protocol.name()),
            protocol => write!(f, "{}-{}/{}", self.first, self.last, protocol.name()),
        }
    }
}

/// Ranges of those of `points` that fulfil `yes`: each point stands for the ports up to the
/// next one. Points are in order.
pub(super) fn ranges(
    protocol: Protocol,
    points: &[u16],
    mut yes: impl FnMut(u16) -> bool,
) -> Vec<PortRange> {
    let mut ranges: Vec<PortRange> = Vec::new();
    for (at, point) in points.iter().enumerate() {
        if !yes(*point) {
            continue;
        }
        let last = points.get(at + 1).map_or(u16::MAX, |next| next - 1);
        match ranges.last_mut() {
            Some(before) if before.last + 1 == *point => before.last = last,
            _ => ranges.push(PortRange {
                protocol,
                first: *point,
                last,
            }),
        }
    }
    ranges
}

/// Ranges of several askings together: in order, those that touch as one.
pub(super) fn joined(mut all: Vec<PortRange>) -> Vec<PortRange> {
    all.sort();
    let mut joined: Vec<PortRange> = Vec::new();
    for one in all {
        match joined.last_mut() {
            Some(before)
                if before.protocol == one.protocol
                    && one.first <= before.last.saturating_add(1) =>
            {
                before.last = before.last.max(one.last);
            }
            _ => joined.push(one),
        }
    }
    joined
}
