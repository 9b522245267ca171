//! Ports as the datapath keeps them: prefixes of a protocol and a port.
//!
//! Owns splitting a range and what covers what.

/// A prefix of 8 bits of protocol and 16 bits of port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PortPrefix {
    /// Protocol in the upper byte, port below, and a byte of zeroes.
    bits: u32,
    length: u8,
}

impl PortPrefix {
    /// Every protocol.
    pub(super) const ALL: Self = Self { bits: 0, length: 0 };

    /// One port of one protocol.
    pub(super) fn point(protocol: u8, port: u16) -> Self {
        Self::new(protocol, port, 16)
    }

    fn new(protocol: u8, port: u16, port_bits: u8) -> Self {
        Self {
            bits: u32::from(protocol) << 24 | u32::from(port) << 8,
            length: 8 + port_bits,
        }
    }

    /// The prefixes that make up a range. A first port of 0 with an end of 0 or 65535 is
    /// every port, and protocol 0 is every protocol; an end below the first is ignored.
    pub(super) fn split(protocol: u8, first: u16, end: u16) -> Vec<Self> {
        if protocol == 0 {
            return vec![Self::ALL];
        }
        if first == 0 && (end == 0 || end == u16::MAX) {
            return vec![Self {
                bits: u32::from(protocol) << 24,
                length: 8,
            }];
        }
        let mut prefixes = Vec::new();
        let (mut next, end) = (u32::from(first), u32::from(end.max(first)));
        while next <= end {
            // The widest block that begins here and does not reach past the end.
            let aligned = if next == 0 { 16 } else { next.trailing_zeros() };
            let fitting = (end - next + 1).ilog2();
            let block = aligned.min(fitting);
            prefixes.push(Self::new(protocol, next as u16, 16 - block as u8));
            next += 1 << block;
        }
        prefixes
    }

    /// Whether all of `other` is in here.
    pub(super) fn covers(self, other: Self) -> bool {
        let mask = u32::MAX
            .checked_shl(32 - u32::from(self.length))
            .unwrap_or(0);
        self.length <= other.length && (self.bits ^ other.bits) & mask == 0
    }

    /// Bits of protocol and port: 0 is everything, 8 a whole protocol, 24 one port.
    pub(super) fn length(self) -> u8 {
        self.length
    }

    pub(super) fn protocol(self) -> u8 {
        (self.bits >> 24) as u8
    }

    /// First and last port.
    pub(super) fn ports(self) -> (u16, u16) {
        let first = (self.bits >> 8) as u16;
        let free = 24u8.saturating_sub(self.length.max(8));
        let span = ((1u32 << free) - 1) as u16;
        (first, first | span)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_prefixes_of_a_range_are_disjoint_and_cover_it(first in 1u16.., end in 0u16..) {
            let prefixes = PortPrefix::split(6, first, end);
            let mut next = u32::from(first);
            for prefix in prefixes {
                let (from, to) = prefix.ports();
                prop_assert_eq!(u32::from(from), next);
                prop_assert!(prefix.covers(PortPrefix::point(6, to)));
                prop_assert!(!prefix.covers(PortPrefix::point(17, to)));
                next = u32::from(to) + 1;
            }
            prop_assert_eq!(next, u32::from(end.max(first)) + 1);
        }
    }

    #[test]
    fn everything_covers_everything() {
        assert!(PortPrefix::ALL.covers(PortPrefix::point(1, 0)));
        assert_eq!(
            PortPrefix::split(17, 0, u16::MAX),
            PortPrefix::split(17, 0, 0)
        );
        assert!(PortPrefix::split(17, 0, 1023)[0].covers(PortPrefix::point(17, 1023)));
        assert!(!PortPrefix::split(17, 0, 1023)[0].covers(PortPrefix::point(17, 1024)));
    }
}
