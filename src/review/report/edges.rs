//! Who talks to whom, and how.
//!
//! Owns the sums of connections by edge, what went outside and by which name, and what can
//! be said about encryption.

use std::net::IpAddr;
use std::sync::Arc;

use super::bounded::{Bounded, Seen};
use crate::connection::{Computed, Connection, Edge, Outcome, Peer, PeerId, Peers};
use crate::engine::{Policies, Ruling};
use crate::flow::{DropClass, Protocol};
use crate::policy::{Direction, Gap};

/// Edges that are told apart.
const MOST_EDGES: usize = 100_000;
/// Servers outside that are told apart.
const MOST_OUTSIDE: usize = 20_000;
/// Clients of a server outside that are told apart.
const MOST_CLIENTS: usize = 32;
/// Beginnings of connections to a server outside that are remembered.
const MOST_STARTS: usize = 64;
/// Pairs of nodes that are told apart.
const MOST_PAIRS: usize = 10_000;
/// Connections from which on a rhythm can be told, and how even it must be.
const RHYTHM: (usize, f64) = (5, 0.2);

/// Sums of one edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeSum {
    /// Connections.
    pub connections: u64,
    /// Forwarded, as far as was seen.
    pub forwarded: u64,
    /// Dropped by policy.
    pub denied: u64,
    /// Dropped for other reasons, and verdicts ERROR.
    pub dropped: u64,
    /// Let pass by audit mode only.
    pub audited: u64,
    /// With a request that a proxy refused.
    pub refused: u64,
    /// With an answer of the server.
    pub answered: u64,
    /// Attempts: retries count.
    pub attempts: u64,
    /// Reset by either side.
    pub resets: u64,
    /// From when to when.
    pub seen: Seen,
    /// Passed with nobody having asked for it.
    pub gaps: u64,
    /// The plainest reason for that.
    pub gap: Option<Gap>,
    /// Recorded and computed verdicts disagree.
    pub drifts: u64,
    /// Services that were called, the first one.
    pub service: Option<Arc<str>>,
}

/// An edge with its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeRow {
    /// Who opens connections.
    pub client: Peer,
    /// Who takes them.
    pub server: Peer,
    /// Port of the server, type for ICMP.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// The sums.
    pub sum: EdgeSum,
}

/// A server outside the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Outside {
    /// Its name or prefix.
    pub server: Peer,
    /// Port.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// Connections.
    pub connections: u64,
    /// Those that were dropped.
    pub dropped: u64,
    /// Who talked to it, most connections first.
    pub clients: Vec<(Peer, u64)>,
    /// Addresses of the pods that did, most connections first.
    pub addresses: Vec<(IpAddr, u64)>,
    /// Whether there were more clients than these.
    pub more: bool,
    /// From when to when.
    pub seen: Seen,
    /// Seconds between connections, where they come evenly.
    pub every: Option<f64>,
    /// What the policies say of the first connection that went through.
    pub ruling: Option<Ruling>,
}

/// Encryption between two nodes that encrypt at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePair {
    /// One node.
    pub nodes: (Arc<str>, Arc<str>),
    /// Connections seen encrypted.
    pub encrypted: u64,
    /// Connections that were seen where encryption shows, and were not.
    pub plain: u64,
}

#[derive(Debug)]
pub(super) struct Edges {
    sums: Bounded<Edge, EdgeSum>,
    outside: Bounded<(PeerId, u16, Protocol), Out>,
    pairs: Bounded<(Arc<str>, Arc<str>), (u64, u64)>,
}

#[derive(Debug)]
struct Out {
    connections: u64,
    dropped: u64,
    clients: Bounded<PeerId, u64>,
    addresses: Bounded<IpAddr, u64>,
    starts: Vec<i64>,
    seen: Seen,
    computed: Option<Computed>,
}

pub(super) struct EdgeSums {
    pub(super) edges: Vec<EdgeRow>,
    pub(super) other_edges: u64,
    pub(super) outside: Vec<Outside>,
    pub(super) other_outside: u64,
    pub(super) pairs: Vec<NodePair>,
}

impl Edges {
    pub(super) fn new() -> Self {
        Self {
            sums: Bounded::new(MOST_EDGES),
            outside: Bounded::new(MOST_OUTSIDE),
            pairs: Bounded::new(MOST_PAIRS),
        }
    }

    pub(super) fn connection(&mut self, connection: &Connection, peers: &Peers) {
        let weight = connection.weight;
        if let Some(sum) = self.sums.entry(connection.edge, weight, EdgeSum::default) {
            sum.add(connection);
        }
        if is_outside(peers.get(connection.edge.server)) {
            self.outside(connection);
        }
        let nodes = (&connection.egress.node, &connection.ingress.node);
        if (connection.encrypted || connection.plain)
            && nodes.0 != nodes.1
            && !nodes.0.is_empty()
            && !nodes.1.is_empty()
        {
            let key = (nodes.0.min(nodes.1).clone(), nodes.0.max(nodes.1).clone());
            if let Some((encrypted, plain)) = self.pairs.entry(key, weight, || (0, 0)) {
                if connection.encrypted {
                    *encrypted += weight;
                } else {
                    *plain += weight;
                }
            }
        }
    }

    fn outside(&mut self, connection: &Connection) {
        let edge = connection.edge;
        let weight = connection.weight;
        let key = (edge.server, edge.port, edge.protocol);
        let Some(out) = self.outside.entry(key, weight, Out::new) else {
            return;
        };
        out.connections += weight;
        if matches!(connection.outcome, Outcome::Dropped(_)) {
            out.dropped += weight;
        } else if out.computed.is_none() {
            out.computed = connection.egress.computed;
        }
        if let Some(count) = out.clients.entry(edge.client, weight, || 0) {
            *count += weight;
        }
        if let Some(address) = connection.tuple.client
            && let Some(count) = out.addresses.entry(address, weight, || 0)
        {
            *count += weight;
        }
        out.seen.at(connection.first);
        out.seen.at(connection.last);
        if out.starts.len() < MOST_STARTS && connection.first != crate::flow::NO_TIME {
            out.starts.push(connection.first);
        }
    }

    pub(super) fn finish(self, peers: &Peers, policies: Option<&Policies>) -> EdgeSums {
        let (other_edges, other_outside) = (self.sums.others(), self.outside.others());
        let mut edges: Vec<EdgeRow> = self
            .sums
            .into_iter()
            .map(|(edge, sum)| EdgeRow {
                client: peers.get(edge.client).clone(),
                server: peers.get(edge.server).clone(),
                port: edge.port,
                protocol: edge.protocol,
                sum,
            })
            .collect();
        edges.sort_by(|left, right| {
            right
                .sum
                .connections
                .cmp(&left.sum.connections)
                .then_with(|| (&left.client, &left.server).cmp(&(&right.client, &right.server)))
                .then_with(|| (left.port, left.protocol).cmp(&(right.port, right.protocol)))
        });
        let mut outside: Vec<Outside> = self
            .outside
            .into_iter()
            .map(|(key, out)| out.finish(key, peers, policies))
            .collect();
        // What was never reached comes last.
        let reached = |server: &Outside| server.connections - server.dropped;
        outside.sort_by(|left, right| {
            (reached(right), right.connections)
                .cmp(&(reached(left), left.connections))
                .then_with(|| left.server.cmp(&right.server))
                .then_with(|| (left.port, left.protocol).cmp(&(right.port, right.protocol)))
        });
        let mut pairs: Vec<NodePair> = self
            .pairs
            .into_iter()
            // Where nothing is ever encrypted it cannot be told from not being shown.
            .filter(|(_, (encrypted, _))| *encrypted > 0)
            .map(|(nodes, (encrypted, plain))| NodePair {
                nodes,
                encrypted,
                plain,
            })
            .collect();
        pairs.sort_by(|left, right| (right.plain, &left.nodes).cmp(&(left.plain, &right.nodes)));
        EdgeSums {
            edges,
            other_edges,
            outside,
            other_outside,
            pairs,
        }
    }
}

impl EdgeSum {
    /// Takes in sums of the same edge.
    pub(in crate::review) fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.forwarded += other.forwarded;
        self.denied += other.denied;
        self.dropped += other.dropped;
        self.audited += other.audited;
        self.refused += other.refused;
        self.answered += other.answered;
        self.attempts += other.attempts;
        self.resets += other.resets;
        self.seen.merge(other.seen);
        self.gaps += other.gaps;
        self.gap = match (self.gap, other.gap) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.drifts += other.drifts;
        if self.service.is_none() {
            self.service.clone_from(&other.service);
        }
    }

    /// Takes in a connection of the edge.
    pub(in crate::review) fn add(&mut self, connection: &Connection) {
        let weight = connection.weight;
        let one = |yes: bool| if yes { weight } else { 0 };
        self.connections += weight;
        match connection.outcome {
            Outcome::Forwarded => self.forwarded += weight,
            Outcome::RequestDenied => {
                self.forwarded += weight;
                self.refused += weight;
            }
            Outcome::Audited => {
                self.forwarded += weight;
                self.audited += weight;
            }
            Outcome::Dropped(reason) if reason.class() == DropClass::Policy => {
                self.denied += weight;
            }
            Outcome::Dropped(_) | Outcome::Error => self.dropped += weight,
        }
        self.answered += one(connection.answered);
        self.resets += one(connection.reset);
        self.attempts += u64::from(connection.attempts);
        self.seen.at(connection.first);
        self.seen.at(connection.last);
        let gap = connection
            .egress
            .gap
            .into_iter()
            .chain(connection.ingress.gap)
            .min();
        if let Some(gap) = gap {
            self.gaps += weight;
            self.gap = Some(self.gap.map_or(gap, |known| known.min(gap)));
        }
        self.drifts += one(connection.egress.drift || connection.ingress.drift);
        if self.service.is_none() && !connection.service.is_empty() {
            self.service = Some(connection.service.clone());
        }
    }
}

impl Out {
    fn new() -> Self {
        Self {
            connections: 0,
            dropped: 0,
            clients: Bounded::new(MOST_CLIENTS),
            addresses: Bounded::new(MOST_CLIENTS),
            starts: Vec::new(),
            seen: Seen::default(),
            computed: None,
        }
    }

    fn finish(
        mut self,
        (server, port, protocol): (PeerId, u16, Protocol),
        peers: &Peers,
        policies: Option<&Policies>,
    ) -> Outside {
        let more = self.clients.others() + self.addresses.others() > 0;
        let mut clients: Vec<(Peer, u64)> = self
            .clients
            .into_iter()
            .map(|(peer, count)| (peers.get(peer).clone(), count))
            .collect();
        clients.sort_by(|left, right| (right.1, &left.0).cmp(&(left.1, &right.0)));
        let mut addresses: Vec<(IpAddr, u64)> = self.addresses.into_iter().collect();
        addresses.sort_by(|left, right| (right.1, left.0).cmp(&(left.1, right.0)));
        let every = if addresses.len() == 1 && !more {
            rhythm(&mut self.starts)
        } else {
            None
        };
        Outside {
            server: peers.get(server).clone(),
            port,
            protocol,
            connections: self.connections,
            dropped: self.dropped,
            clients,
            addresses,
            more,
            seen: self.seen,
            every,
            ruling: self
                .computed
                .zip(policies)
                .map(|(computed, policies)| Ruling::of(policies, &computed, Direction::Egress)),
        }
    }
}

/// Whether a server is outside the cluster.
pub(super) fn is_outside(peer: &Peer) -> bool {
    matches!(peer, Peer::Name(_) | Peer::Prefix(_))
}

/// Seconds between the times, where they are even enough: the standard deviation of the
/// steps is small beside their mean.
fn rhythm(times: &mut [i64]) -> Option<f64> {
    if times.len() < RHYTHM.0 {
        return None;
    }
    times.sort_unstable();
    let steps: Vec<f64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) as f64 / 1e9)
        .collect();
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    let spread = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / steps.len() as f64;
    (mean > 0.0 && spread.sqrt() <= RHYTHM.1 * mean).then_some(mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rhythm_is_told_from_what_comes_at_random() {
        let nanos = |seconds: &[f64]| -> Vec<i64> {
            seconds.iter().map(|second| (second * 1e9) as i64).collect()
        };
        let even = rhythm(&mut nanos(&[0.0, 30.4, 60.1, 89.7, 120.2, 150.0])).unwrap();
        assert!((even - 30.0).abs() < 0.1, "{even}");
        assert_eq!(rhythm(&mut nanos(&[0.0, 1.0, 50.0, 51.0, 120.0])), None);
        assert_eq!(rhythm(&mut nanos(&[0.0, 30.0, 60.0])), None);
    }
}
