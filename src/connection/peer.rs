//! Who talks to whom, by names that outlive pods and addresses.
//!
//! Owns the two ends of an edge and the table that numbers them. A pod is known by its
//! workload; what is outside by the name DNS gave for it, else by its prefix.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use ipnet::IpNet;

use crate::flow::Protocol;

/// Peers that are told apart, unless told otherwise.
pub const MOST_PEERS: usize = 1 << 20;

/// One end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// Pods of one owner.
    Workload {
        /// Cluster, empty where flows do not say.
        cluster: Arc<str>,
        /// Namespace.
        namespace: Arc<str>,
        /// Kind of the owner, empty where it is not known.
        kind: Arc<str>,
        /// Name of the owner.
        name: Arc<str>,
    },
    /// A reserved identity other than the world: `host`, `remote-node`, `kube-apiserver`,
    /// `health`, `ingress`, `init`, `unmanaged`. A client outside the cluster is `world`.
    Entity(Arc<str>),
    /// A server outside, by the name DNS gave its client: lower case, no last dot.
    Name(Arc<str>),
    /// A server outside of which no name is known.
    Prefix(IpNet),
    /// The flow does not say.
    Unknown,
    /// Everything beyond the bound of the table.
    Others,
}

/// Number of a [`Peer`] in its [`Peers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u32);

/// Who talks to whom, on which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge {
    /// Who opens connections.
    pub client: PeerId,
    /// Who takes them.
    pub server: PeerId,
    /// Port of the server; the type for ICMP; 0 where there is none.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
}

impl fmt::Display for Peer {
    /// `shop/checkout`, `world`, `api.example.com`, `192.0.2.0/24`; an address alone where
    /// the prefix is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload {
                namespace, name, ..
            } => {
                let name = if name.is_empty() { "?" } else { name };
                if namespace.is_empty() {
                    f.write_str(name)
                } else {
                    write!(f, "{namespace}/{name}")
                }
            }
            Self::Entity(word) | Self::Name(word) => f.write_str(word),
            Self::Prefix(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => {
                write!(f, "{}", prefix.addr())
            }
            Self::Prefix(prefix) => write!(f, "{prefix}"),
            Self::Unknown => f.write_str("unknown"),
            Self::Others => f.write_str("others"),
        }
    }
}

impl PeerId {
    /// [`Peer::Unknown`].
    pub const UNKNOWN: Self = Self(0);
    /// [`Peer::Others`].
    pub const OTHERS: Self = Self(1);
}

/// Peers by their number. Bounded: what comes after the bound is [`Peer::Others`].
#[derive(Debug)]
pub struct Peers {
    table: Vec<Peer>,
    index: HashTable<u32>,
    hasher: RandomState,
    most: usize,
}

impl Default for Peers {
    fn default() -> Self {
        Self::new(MOST_PEERS)
    }
}

impl Peers {
    /// A table of `most` peers, beside [`Peer::Unknown`] and [`Peer::Others`].
    #[must_use]
    pub fn new(most: usize) -> Self {
        let mut peers = Self {
            table: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            most: most.saturating_add(2).min(u32::MAX as usize),
        };
        peers.intern(Peer::Unknown);
        peers.intern(Peer::Others);
        peers
    }

    /// The number of a peer.
    pub fn intern(&mut self, peer: Peer) -> PeerId {
        let hash = self.hasher.hash_one(&peer);
        let same = |&at: &u32| self.table[at as usize] == peer;
        if let Some(&at) = self.index.find(hash, same) {
            return PeerId(at);
        }
        if self.table.len() >= self.most {
            return PeerId::OTHERS;
        }
        let at = self.table.len() as u32;
        let (peers, hasher) = (&self.table, &self.hasher);
        self.index
            .insert_unique(hash, at, |&at| hasher.hash_one(&peers[at as usize]));
        self.table.push(peer);
        PeerId(at)
    }

    /// The number of a peer that is known already.
    #[must_use]
    pub fn find(&self, peer: &Peer) -> Option<PeerId> {
        let same = |&at: &u32| self.table[at as usize] == *peer;
        self.index
            .find(self.hasher.hash_one(peer), same)
            .map(|&at| PeerId(at))
    }

    /// Whether a peer has a number.
    #[must_use]
    pub fn contains(&self, peer: &Peer) -> bool {
        self.find(peer).is_some()
    }

    /// The peer of a number; [`Peer::Others`] for one that is not of this table.
    #[must_use]
    pub fn get(&self, id: PeerId) -> &Peer {
        self.table.get(id.0 as usize).unwrap_or(&Peer::Others)
    }

    /// How many there are, [`Peer::Unknown`] and [`Peer::Others`] among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Never: two are there from the start.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.table
            .iter()
            .enumerate()
            .map(|(at, peer)| (PeerId(at as u32), peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_calls_the_rest_others() {
        let mut peers = Peers::new(2);
        let names = ["host", "health", "init"].map(|name| Peer::Entity(name.into()));
        let ids = names.clone().map(|peer| peers.intern(peer));

        assert_eq!(ids, [PeerId(2), PeerId(3), PeerId::OTHERS]);
        assert_eq!(peers.intern(names[1].clone()), PeerId(3));
        assert_eq!(peers.get(PeerId(2)), &names[0]);
        assert_eq!(peers.get(PeerId(99)), &Peer::Others);
        assert_eq!(peers.intern(Peer::Unknown), PeerId::UNKNOWN);
    }

    #[test]
    fn peers_are_shown_as_people_write_them() {
        let workload = |namespace: &str, name: &str| Peer::Workload {
            cluster: "c".into(),
            namespace: namespace.into(),
            kind: "Deployment".into(),
            name: name.into(),
        };
        for (peer, shown) in [
            (workload("shop", "checkout"), "shop/checkout"),
            (workload("", "checkout"), "checkout"),
            (workload("shop", ""), "shop/?"),
            (Peer::Entity("world".into()), "world"),
            (Peer::Name("api.example.com".into()), "api.example.com"),
            (Peer::Prefix("192.0.2.7/32".parse().unwrap()), "192.0.2.7"),
            (
                Peer::Prefix("192.0.2.0/24".parse().unwrap()),
                "192.0.2.0/24",
            ),
            (
                Peer::Prefix("2001:db8::1/128".parse().unwrap()),
                "2001:db8::1",
            ),
        ] {
            assert_eq!(peer.to_string(), shown);
        }
    }
}
