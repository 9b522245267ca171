//! What makes flows one connection: protocol and both ends.
//!
//! Owns the packed key. It is the same for both directions of a connection, so that a reply
//! finds what it replies to with one look-up; which end is the client is kept beside it.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;

use crate::flow::{Endpoint, Protocol};

/// One end: an address and a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End {
    /// An IPv4 address is kept as the IPv6 address that maps it.
    address: [u8; 16],
    /// As bytes, so that a key has no gaps.
    port: [u8; 2],
    kind: EndKind,
}

/// What stands for the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum EndKind {
    /// Nothing: the flow does not say.
    #[default]
    Nothing,
    /// The address.
    Address,
    /// A hash of what the flow says about the endpoint, where it has no address.
    Endpoint,
}

/// Protocol and both ends, in the order of the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) low: End,
    pub(super) high: End,
    pub(super) protocol: Protocol,
}

impl End {
    pub(super) fn of_address(address: IpAddr) -> Self {
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Self {
            address: address.octets(),
            port: [0; 2],
            kind: EndKind::Address,
        }
    }

    /// The end that an endpoint is, where its address is not known. Two pods of a workload
    /// are two ends.
    pub(super) fn of_endpoint(endpoint: &Endpoint) -> Self {
        if endpoint.pod.is_empty() && endpoint.labels.is_empty() && endpoint.identity == 0 {
            return Self::default();
        }
        let mut address = [0; 16];
        // Two hashes with fixed seeds: the key must not differ from one run to the next.
        for (half, seed) in address.chunks_exact_mut(8).zip([1, 2]) {
            let mut hasher = foldhash::fast::FixedState::with_seed(seed).build_hasher();
            (&*endpoint.cluster, &*endpoint.namespace, &*endpoint.pod).hash(&mut hasher);
            if endpoint.pod.is_empty() {
                endpoint.labels.hash(&mut hasher);
                endpoint.identity.hash(&mut hasher);
            }
            half.copy_from_slice(&hasher.finish().to_be_bytes());
        }
        Self {
            address,
            port: [0; 2],
            kind: EndKind::Endpoint,
        }
    }

    pub(super) fn with_port(self, port: u16) -> Self {
        Self {
            port: port.to_be_bytes(),
            ..self
        }
    }

    pub(super) fn port(self) -> u16 {
        u16::from_be_bytes(self.port)
    }

    pub(super) fn address(self) -> Option<IpAddr> {
        (self.kind == EndKind::Address).then(|| IpAddr::from(self.address).to_canonical())
    }

    /// Whether the flow says nothing that tells this end from another.
    pub(super) fn is_nothing(self) -> bool {
        self.kind == EndKind::Nothing
    }
}

impl Key {
    /// The key of a packet, and whether its source is the low end.
    pub(super) fn of(protocol: Protocol, source: End, destination: End) -> (Self, bool) {
        let forward = source <= destination;
        let (low, high) = if forward {
            (source, destination)
        } else {
            (destination, source)
        };
        (
            Self {
                low,
                high,
                protocol,
            },
            forward,
        )
    }

    /// Client and server.
    pub(super) fn ends(&self, client_is_low: bool) -> (End, End) {
        if client_is_low {
            (self.low, self.high)
        } else {
            (self.high, self.low)
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.low.hash(state);
        self.high.hash(state);
        state.write_u8(self.protocol as u8);
    }
}

impl Hash for End {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.address));
        state.write_u32(u32::from(self.port()) << 8 | u32::from(self.kind as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_have_one_key() {
        let end = |address: &str, port| End::of_address(address.parse().unwrap()).with_port(port);
        let (client, server) = (end("10.0.0.9", 40_000), end("10.0.0.1", 80));
        let (there, from_low) = Key::of(Protocol::Tcp, client, server);
        let (back, back_from_low) = Key::of(Protocol::Tcp, server, client);

        assert_eq!(there, back);
        assert_ne!(from_low, back_from_low);
        assert_eq!(there.ends(from_low), (client, server));
        assert_eq!(client.address(), Some("10.0.0.9".parse().unwrap()));
    }

    #[test]
    fn an_endpoint_stands_in_for_an_address_that_was_masked() {
        let pod = |name: &str| Endpoint {
            namespace: "shop".into(),
            pod: name.into(),
            ..Endpoint::default()
        };
        assert_eq!(End::of_endpoint(&pod("a")), End::of_endpoint(&pod("a")));
        assert_ne!(End::of_endpoint(&pod("a")), End::of_endpoint(&pod("b")));
        assert!(End::of_endpoint(&Endpoint::default()).is_nothing());
        assert_eq!(End::of_endpoint(&pod("a")).address(), None);
    }
}
