//! Addresses mapped so that what shares a prefix still does.
//!
//! Owns the mapping of addresses, prefixes and hardware addresses. Each bit is flipped or
//! not by a keyed function of the bits before it, as in Xu, Fan, Ammar and Moon,
//! "Prefix-preserving IP address anonymization" (2002), one draw a byte. No bit is flipped
//! on the way to a range with a meaning of its own, so that such a range maps onto itself
//! and nothing else into it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::key::{Key, Use};

/// A range that maps onto itself.
#[derive(Clone, Copy)]
struct Range {
    first: u128,
    length: u32,
    /// Whether its addresses stay as well.
    stays: bool,
}

const fn v4(address: [u8; 4], length: u32, stays: bool) -> Range {
    Range {
        first: (Ipv4Addr::from_octets(address).to_bits() as u128) << 96,
        length,
        stays,
    }
}

const fn v6(first: u16, length: u32, stays: bool) -> Range {
    Range {
        first: (first as u128) << 112,
        length,
        stays,
    }
}

/// This network, loopback, link-local, multicast and reserved stay; private ranges keep
/// their addresses to themselves.
const V4: [Range; 8] = [
    v4([0, 0, 0, 0], 8, true),
    v4([10, 0, 0, 0], 8, false),
    v4([100, 64, 0, 0], 10, false),
    v4([127, 0, 0, 0], 8, true),
    v4([169, 254, 0, 0], 16, true),
    v4([172, 16, 0, 0], 12, false),
    v4([192, 168, 0, 0], 16, false),
    v4([224, 0, 0, 0], 3, true),
];

/// Unspecified and loopback, link-local and multicast stay; global and unique local
/// addresses remain such.
const V6: [Range; 6] = [
    v6(0x0000, 8, true),
    v6(0x2000, 3, false),
    v6(0xfc00, 8, false),
    v6(0xfd00, 8, false),
    v6(0xfe80, 10, true),
    v6(0xff00, 8, true),
];

/// Prefixes of 96 bits behind which an IPv4 address stands: compatible, mapped, NAT64.
const EMBEDDING: [u128; 3] = [0, 0xffff << 32, 0x0064_ff9b << 96];

/// Maps an address.
pub(super) fn address(key: &Key, address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(address4(key, address)),
        IpAddr::V6(address) => IpAddr::V6(address6(key, address)),
    }
}

/// Maps a prefix: what was inside still is. Bits behind the prefix that were set are mapped.
pub(super) fn prefix(key: &Key, prefix: IpNet) -> IpNet {
    let bare = prefix.trunc() == prefix;
    let mapped = address(key, prefix.addr());
    // The length fits, as the family is the same.
    let mapped = IpNet::new(mapped, prefix.prefix_len()).unwrap_or(prefix);
    if bare { mapped.trunc() } else { mapped }
}

/// Whether an address stays as it is under every key.
pub fn stays(address: IpAddr) -> bool {
    let (bits, ranges): (u128, &[Range]) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, &V4),
        IpAddr::V6(address) => match embedded(address) {
            Some((_, inner)) => return stays(IpAddr::V4(inner)),
            None if hardware(address).is_some() => return false,
            None => (address.to_bits(), &V6),
        },
    };
    ranges
        .iter()
        .any(|range| range.stays && same(bits, range.first, range.length))
}

fn address4(key: &Key, address: Ipv4Addr) -> Ipv4Addr {
    let bits = u128::from(address.to_bits()) << 96;
    Ipv4Addr::from_bits((flipped(key, Use::Address4, bits, 4, &V4) >> 96) as u32)
}

fn address6(key: &Key, address: Ipv6Addr) -> Ipv6Addr {
    if let Some((outer, inner)) = embedded(address) {
        let inner = u128::from(address4(key, inner).to_bits());
        return Ipv6Addr::from_bits(outer | inner);
    }
    if let Some(mac) = hardware(address) {
        let mac = self::mac(key, mac);
        let low = u64::from_be_bytes([
            mac[0] ^ 2,
            mac[1],
            mac[2],
            0xff,
            0xfe,
            mac[3],
            mac[4],
            mac[5],
        ]);
        let high = address.to_bits() >> 64 << 64;
        return Ipv6Addr::from_bits(high | u128::from(low));
    }
    Ipv6Addr::from_bits(flipped(key, Use::Address6, address.to_bits(), 16, &V6))
}

/// The IPv4 address inside one of IPv6, and what stands before it.
fn embedded(address: Ipv6Addr) -> Option<(u128, Ipv4Addr)> {
    let bits = address.to_bits();
    let outer = bits >> 32 << 32;
    EMBEDDING
        .contains(&outer)
        .then(|| (outer, Ipv4Addr::from_bits(bits as u32)))
}

/// The hardware address that a link-local address was made of.
fn hardware(address: Ipv6Addr) -> Option<[u8; 6]> {
    let bits = address.to_bits();
    let low = (bits as u64).to_be_bytes();
    (low[3..5] == [0xff, 0xfe] && same(bits, 0xfe80 << 112, 10)).then_some([
        low[0] ^ 2,
        low[1],
        low[2],
        low[5],
        low[6],
        low[7],
    ])
}

/// Maps a hardware address: to one that is administered locally. Nobody's, everybody's and
/// those of groups stay.
pub(super) fn mac(key: &Key, mac: [u8; 6]) -> [u8; 6] {
    if mac == [0; 6] || mac[0] & 1 == 1 {
        return mac;
    }
    let drawn = key.draw(Use::Mac, &mac);
    [
        drawn[0] & 0xfc | 2,
        drawn[1],
        drawn[2],
        drawn[3],
        drawn[4],
        drawn[5],
    ]
}

fn flipped(key: &Key, what: Use, bits: u128, bytes: usize, ranges: &[Range]) -> u128 {
    let text = bits.to_be_bytes();
    let mut flips = [0_u8; 16];
    for (at, (byte, flip)) in text.iter().zip(&mut flips).enumerate().take(bytes) {
        let drawn = key.draw(what, &text[..at]);
        // The nodes of the byte's tree are numbered from 1, level by level.
        let mut node = 1_usize;
        for level in 0..8 {
            let free = !is_fixed(bits, (at * 8 + level) as u32, ranges);
            let drawn = drawn[node / 8] >> (node % 8) & 1;
            *flip |= (drawn & u8::from(free)) << (7 - level);
            node = node << 1 | usize::from(byte >> (7 - level) & 1);
        }
    }
    bits ^ u128::from_be_bytes(flips)
}

/// Whether the bit behind the first `depth` ones leads to a range or is inside one that stays.
fn is_fixed(bits: u128, depth: u32, ranges: &[Range]) -> bool {
    ranges.iter().any(|range| {
        if depth < range.length {
            same(bits, range.first, depth)
        } else {
            range.stays && same(bits, range.first, range.length)
        }
    })
}

/// Whether two have their first bits in common.
fn same(one: u128, other: u128, length: u32) -> bool {
    (one ^ other).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(of: &[u8; 16]) -> Key {
        Key::new(of).unwrap()
    }

    fn mapped(text: &str) -> IpAddr {
        address(&key(b"0123456789abcdef"), text.parse().unwrap())
    }

    #[test]
    fn what_has_a_meaning_of_its_own_stays() {
        for text in [
            "0.0.0.0",
            "127.0.0.1",
            "169.254.169.254",
            "224.0.0.22",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(mapped(text).to_string(), text);
            assert!(stays(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn private_ranges_keep_to_themselves() {
        for (text, range) in [
            ("10.42.1.77", "10.0.0.0/8"),
            ("172.20.0.9", "172.16.0.0/12"),
            ("192.168.7.7", "192.168.0.0/16"),
            ("100.100.1.2", "100.64.0.0/10"),
            ("fd00:1234::9", "fd00::/8"),
            ("2001:db8:1::7", "2000::/3"),
            ("::ffff:10.1.2.3", "::ffff:10.0.0.0/104"),
            ("fe80::4425:c3ff:feaa:ae7a", "fe80::/64"),
        ] {
            let range: IpNet = range.parse().unwrap();
            assert!(range.contains(&mapped(text)), "{text}: {}", mapped(text));
            assert_ne!(mapped(text).to_string(), text);
            assert!(!stays(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_link_local_address_follows_its_hardware_address() {
        let key = key(b"0123456789abcdef");
        let mapped_mac = mac(&key, [0x46, 0x25, 0xc3, 0xaa, 0xae, 0x7a]);
        let [first, .., last] = mapped_mac;
        let IpAddr::V6(mapped) = mapped("fe80::4425:c3ff:feaa:ae7a") else {
            panic!("another family");
        };
        let octets = mapped.octets();
        assert_eq!((octets[8], octets[15]), (first ^ 2, last));
        assert_eq!(octets[9..11], mapped_mac[1..3]);
        assert_eq!(mac(&key, [0xff; 6]), [0xff; 6]);
    }

    proptest! {
        #[test]
        fn two_addresses_share_as_many_bits_as_before(
            secret: [u8; 16], one: u32, other: u32, shared in 0_u32..=32
        ) {
            let key = key(&secret);
            let mask = u32::MAX.checked_shr(shared).unwrap_or(0);
            let other = one & !mask | other & mask;
            let map = |bits| address4(&key, Ipv4Addr::from_bits(bits)).to_bits();
            prop_assert_eq!(
                (map(one) ^ map(other)).leading_zeros(),
                (one ^ other).leading_zeros()
            );
        }

        #[test]
        fn so_do_two_of_ipv6(secret: [u8; 16], one: u128, other: u128, shared in 0_u32..=128) {
            let key = key(&secret);
            let mask = u128::MAX.checked_shr(shared).unwrap_or(0);
            let [one, other] = [one, one & !mask | other & mask].map(Ipv6Addr::from_bits);
            prop_assume!(hardware(one).is_none() && hardware(other).is_none());
            prop_assert_eq!(
                (address6(&key, one).to_bits() ^ address6(&key, other).to_bits()).leading_zeros(),
                (one.to_bits() ^ other.to_bits()).leading_zeros()
            );
        }

        #[test]
        fn an_address_is_inside_a_prefix_as_before(
            secret: [u8; 16], bits: u32, other: u32, length in 0_u8..=32
        ) {
            let key = key(&secret);
            let net = IpNet::new(Ipv4Addr::from_bits(bits).into(), length).unwrap().trunc();
            for bits in [bits, other] {
                let inside = IpAddr::V4(Ipv4Addr::from_bits(bits));
                prop_assert_eq!(
                    prefix(&key, net).contains(&address(&key, inside)),
                    net.contains(&inside)
                );
            }
        }

        #[test]
        fn no_address_leaves_or_enters_a_range(secret: [u8; 16], bits: u32) {
            let key = key(&secret);
            let mapped = address4(&key, Ipv4Addr::from_bits(bits)).to_bits();
            for range in V4 {
                let inside = |bits: u32| same(u128::from(bits) << 96, range.first, range.length);
                prop_assert_eq!(inside(bits), inside(mapped));
            }
        }
    }
}
