//! The connections of a target, summed up by edge, and who is known, in one pass.
//!
//! Owns telling which connections are the target's and what is kept of each edge. What a
//! quarantine does to them is `quarantine`'s.
//!
//! Bounded: [`MOST_EDGES`] edges, [`MOST_NAMED`] addresses with names; connections that are
//! in no edge are counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Target;
use super::known::Known;
use crate::connection::{Connection, Edge, Exchange, Outcome, Peer, PeerId, Peers};
use crate::engine::{JudgedBatch, Observer};
use crate::flow::{NO_TIME, Protocol};

/// Edges that are told apart.
const MOST_EDGES: usize = 1 << 16;
/// Addresses of what is outside that are kept of an edge.
const MOST_ADDRESSES: usize = 64;
/// Addresses outside whose names are kept, and names of each.
const MOST_NAMED: usize = 1 << 14;
const MOST_NAMES: usize = 16;

/// One edge of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetEdge {
    /// Whether the target is called; else it calls.
    pub inward: bool,
    /// The target's own end.
    pub own: Peer,
    /// The other end.
    pub peer: Peer,
    /// Port of the server; the type for ICMP.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// Connections.
    pub connections: u64,
    /// Those that were let pass, requests refused by a proxy included.
    pub passed: u64,
    /// First and last seen, in nanoseconds since 1970 UTC; `None` where no flow has a time.
    pub seen: Option<(i64, i64)>,
    /// Addresses of the other end, where it is no pod; some of them where there are many.
    pub addresses: BTreeSet<IpAddr>,
    /// Addresses of the target's own end that take part.
    pub own_addresses: BTreeSet<IpAddr>,
}

/// Names that DNS gave for addresses outside.
pub type SharedNames = BTreeMap<IpAddr, BTreeSet<Arc<str>>>;

/// What was seen in the pass.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Who there is.
    pub known: Known,
    /// The target's edges.
    pub edges: Vec<TargetEdge>,
    /// Names of every address that anybody called by a name.
    pub names: SharedNames,
    /// Connections of the target that are in no edge.
    pub beyond: u64,
}

/// Watches the connections of a target.
#[derive(Debug)]
pub struct Traffic {
    target: Target,
    known: Known,
    /// Whether a peer is the target by its name; `None` where its address decides.
    named: HashMap<PeerId, Option<bool>, RandomState>,
    /// Addresses of the target's pods.
    own: BTreeSet<IpAddr>,
    edges: BTreeMap<(bool, Edge), TargetEdge>,
    names: SharedNames,
    beyond: u64,
}

impl Traffic {
    /// Of a target.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            known: Known::default(),
            named: HashMap::default(),
            own: BTreeSet::new(),
            edges: BTreeMap::new(),
            names: BTreeMap::new(),
            beyond: 0,
        }
    }

    /// What was seen.
    #[must_use]
    pub fn finish(self) -> Watched {
        Watched {
            known: self.known,
            edges: self.edges.into_values().collect(),
            names: self.names,
            beyond: self.beyond,
        }
    }

    /// Keeps the name of an address outside.
    fn name(&mut self, connection: &Connection, peers: &Peers) {
        let Peer::Name(name) = peers.get(connection.edge.server) else {
            return;
        };
        let Some(address) = connection.tuple.server else {
            return;
        };
        if self.names.len() < MOST_NAMED || self.names.contains_key(&address) {
            let names = self.names.entry(address).or_default();
            if names.len() < MOST_NAMES && !names.contains(name) {
                names.insert(name.clone());
            }
        }
    }

    fn learn_addresses(&mut self) {
        let by_address = match &self.target {
            Target::Pod { .. } | Target::Identity(_) | Target::Node(_) => self.target.clone(),
            // What reads as a workload may be a pod.
            Target::Workload { namespace, name } => Target::Pod {
                namespace: namespace.clone(),
                name: name.clone(),
            },
            _ => return,
        };
        let pods = self.known.meant(&by_address);
        self.own = pods.flat_map(|pod| &pod.addresses).copied().collect();
    }

    /// Whether an end of a connection is the target.
    fn is_own(&mut self, id: PeerId, peers: &Peers, address: Option<IpAddr>) -> bool {
        let target = &self.target;
        let named = *self
            .named
            .entry(id)
            .or_insert_with(|| by_name(target, peers.get(id)));
        named.unwrap_or_else(|| match &self.target {
            Target::Address(prefix) => address.is_some_and(|address| prefix.contains(&address)),
            _ => address.is_some_and(|address| self.own.contains(&address)),
        })
    }

    fn count(&mut self, connection: &Connection, peers: &Peers, inward: bool) {
        let Edge { client, server, .. } = connection.edge;
        let (client, server) = (peers.get(client), peers.get(server));
        let (caller, called) = (connection.tuple.client, connection.tuple.server);
        let ((own, own_address), (peer, address)) = if inward {
            ((server, called), (client, caller))
        } else {
            ((client, caller), (server, called))
        };
        let key = (inward, connection.edge);
        if self.edges.len() >= MOST_EDGES && !self.edges.contains_key(&key) {
            self.beyond += connection.weight;
            return;
        }
        let edge = self.edges.entry(key).or_insert_with(|| TargetEdge {
            inward,
            own: own.clone(),
            peer: peer.clone(),
            port: connection.edge.port,
            protocol: connection.edge.protocol,
            connections: 0,
            passed: 0,
            seen: None,
            addresses: BTreeSet::new(),
            own_addresses: BTreeSet::new(),
        });
        edge.connections += connection.weight;
        if matches!(
            connection.outcome,
            Outcome::Forwarded | Outcome::RequestDenied | Outcome::Audited
        ) {
            edge.passed += connection.weight;
        }
        if connection.first != NO_TIME {
            let (first, last) = edge.seen.unwrap_or((i64::MAX, i64::MIN));
            edge.seen = Some((first.min(connection.first), last.max(connection.last)));
        }
        let is_pod = matches!(peer, Peer::Workload { .. });
        for (into, address, wanted) in [
            (&mut edge.addresses, address, !is_pod),
            (&mut edge.own_addresses, own_address, true),
        ] {
            if wanted && into.len() < MOST_ADDRESSES {
                into.extend(address);
            }
        }
    }
}

impl Observer for Traffic {
    fn batch(&mut self, batch: &JudgedBatch) {
        if self.known.batch(&batch.batch) {
            self.learn_addresses();
        }
    }

    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        self.name(connection, peers);
        let Edge { client, server, .. } = connection.edge;
        if self.is_own(client, peers, connection.tuple.client) {
            self.count(connection, peers, false);
        }
        if self.is_own(server, peers, connection.tuple.server) {
            self.count(connection, peers, true);
        }
    }

    fn exchange(&mut self, _: &Exchange, _: &Peers) {}
}

/// Whether a peer is a target, as far as its name tells.
fn by_name(target: &Target, peer: &Peer) -> Option<bool> {
    match (target, peer) {
        (
            Target::Workload { namespace, name },
            Peer::Workload {
                namespace: of,
                name: workload,
                ..
            },
        ) => {
            if of != namespace {
                Some(false)
            } else if workload == name {
                Some(true)
            } else {
                None
            }
        }
        (Target::Namespace(namespace), Peer::Workload { namespace: of, .. }) => {
            Some(of == namespace)
        }
        (Target::Pod { namespace, .. }, Peer::Workload { namespace: of, .. })
            if of != namespace =>
        {
            Some(false)
        }
        (Target::Name(name), Peer::Name(other)) => Some(name == other),
        (Target::Pod { .. } | Target::Identity(_) | Target::Node(_), Peer::Workload { .. })
        | (Target::Node(_), Peer::Entity(_))
        | (Target::Address(_), Peer::Name(_) | Peer::Prefix(_) | Peer::Entity(_)) => None,
        _ => Some(false),
    }
}
