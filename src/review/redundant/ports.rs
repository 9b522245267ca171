//! Ports as spans of numbers.
//!
//! Owns their arithmetic. What covers what is `proof`'s.

use std::sync::Arc;

use crate::policy::{Port, PortProtocol};

/// Every port of every protocol, as a span of its own.
pub(super) const EVERYTHING: u8 = 0;

/// A span of ports of one protocol, or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// IANA's number (or [`EVERYTHING`]), first and last.
    Ports(u8, u32, u32),
    Named(u8, Arc<str>, u16),
}

/// The spans of a port: one a protocol.
pub(super) fn spans(port: Option<&PortProtocol>) -> Vec<Span> {
    let Some(port) = port else {
        return vec![Span::Ports(EVERYTHING, 0, u32::from(u16::MAX))];
    };
    port.protocol
        .numbers()
        .iter()
        .map(|number| match &port.port {
            Port::Name(name) => Span::Named(*number, name.clone(), port.end_port),
            Port::Number(first) => {
                let (first, last) = bounds(*first, port.end_port);
                Span::Ports(*number, first, last)
            }
        })
        .collect()
}

fn bounds(first: u16, end: u16) -> (u32, u32) {
    if first == 0 && (end == 0 || end == u16::MAX) {
        return (0, u32::from(u16::MAX));
    }
    (u32::from(first), u32::from(end.max(first)))
}

/// Takes a span out of others.
pub(super) fn subtract(left: &mut Vec<(u32, u32)>, (first, last): (u32, u32)) {
    let mut rest = Vec::with_capacity(left.len() + 1);
    for &(from, to) in left.iter() {
        if last < from || to < first {
            rest.push((from, to));
            continue;
        }
        if from < first {
            rest.push((from, first - 1));
        }
        if to > last {
            rest.push((last + 1, to));
        }
    }
    *left = rest;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_taken_out_of_others() {
        let mut left = vec![(10, 20), (30, 40)];
        subtract(&mut left, (15, 34));
        assert_eq!(left, [(10, 14), (35, 40)]);
        subtract(&mut left, (0, 65_535));
        assert!(left.is_empty());
    }
}
