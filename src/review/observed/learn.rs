//! Who used what, of what is accepted.
//!
//! Owns the sums by edge, the requests on it and the names that were asked for. What becomes
//! of them is the caller's. Bounded: edges beyond the bound are counted, and whoever would
//! make a policy of the rest must say so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::evidence::Evidence;
use super::excluded::{History, Why};
use super::request::{Requests, pattern};
use super::roster::{WorkloadKey, key_of};
use crate::connection::{Connection, Edge, Exchange, ExchangeKind, Peer, PeerId, Peers};
use crate::engine::Observer;
use crate::flow::Protocol;
use crate::review::report::bounded::Bounded;

/// Edges that are told apart.
const MOST_EDGES: usize = 1 << 17;
/// Names that are told apart of a client.
const MOST_NAMES: usize = 512;

/// Learns what was used.
#[derive(Debug)]
pub struct Learner {
    history: Arc<History>,
    uses: Bounded<Edge, Sums>,
    names: Bounded<(PeerId, PeerId), Names>,
    left_out: BTreeMap<Why, u64>,
    unclear: BTreeSet<PeerId>,
    connections: u64,
}

#[derive(Clone, Debug, Default)]
struct Sums {
    evidence: Evidence,
    requests: Requests,
}

/// What was used.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// By edge, sorted.
    pub uses: Vec<Use>,
    /// Names that were asked of a resolver: client, resolver, names.
    pub names: Vec<(Peer, Peer, Names)>,
    /// Connections that are not accepted, by why.
    pub left_out: BTreeMap<Why, u64>,
    /// All connections.
    pub connections: u64,
    /// Accepted connections on edges that are not told apart.
    pub beyond: u64,
    /// Workloads of connections that may be needed, although they are not accepted: it is not
    /// certain what they are, or they failed.
    pub unclear: BTreeSet<WorkloadKey>,
}

/// An edge that was used.
#[derive(Clone, Debug)]
pub struct Use {
    /// Who opened connections.
    pub client: Peer,
    /// Who took them.
    pub server: Peer,
    /// Port of the server, type for ICMP.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// What was seen of it.
    pub evidence: Evidence,
    /// Requests of HTTP on it.
    pub requests: Requests,
}

/// Names that somebody asked DNS for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// By name: how often.
    pub asked: BTreeMap<Arc<str>, u64>,
    /// Questions.
    pub count: u64,
    /// There are more names than are told apart.
    pub more: bool,
}

impl Learner {
    /// Learns of what this history accepts.
    #[must_use]
    pub fn new(history: Arc<History>) -> Self {
        Self {
            history,
            uses: Bounded::new(MOST_EDGES),
            names: Bounded::new(MOST_EDGES),
            left_out: BTreeMap::new(),
            unclear: BTreeSet::new(),
            connections: 0,
        }
    }

    /// What was learned.
    #[must_use]
    pub fn finish(self, peers: &Peers) -> Usage {
        let beyond = self.uses.others();
        let mut uses: Vec<Use> = self
            .uses
            .into_iter()
            .map(|(edge, sums)| Use {
                client: peers.get(edge.client).clone(),
                server: peers.get(edge.server).clone(),
                port: edge.port,
                protocol: edge.protocol,
                evidence: sums.evidence,
                requests: sums.requests,
            })
            .filter(|one| one.evidence.count > 0)
            .collect();
        uses.sort_by(|one, other| one.order().cmp(&other.order()));
        let mut names: Vec<(Peer, Peer, Names)> = self
            .names
            .into_iter()
            .map(|((client, server), names)| {
                (peers.get(client).clone(), peers.get(server).clone(), names)
            })
            .collect();
        names.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        Usage {
            uses,
            names,
            left_out: self.left_out,
            connections: self.connections,
            beyond,
            unclear: self
                .unclear
                .into_iter()
                .filter_map(|peer| key_of(peers.get(peer)))
                .collect(),
        }
    }
}

impl Observer for Learner {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        let weight = connection.weight;
        self.connections += weight;
        if let Err(why) = self.history.connection(connection, peers) {
            *self.left_out.entry(why).or_default() += weight;
            if !why.is_unwanted() {
                let Edge { client, server, .. } = connection.edge;
                self.unclear.extend([client, server]);
            }
            return;
        }
        let Some(sums) = self.uses.entry(connection.edge, weight, Sums::default) else {
            return;
        };
        let evidence = &mut sums.evidence;
        evidence.add(weight, connection.first, connection.last);
        evidence.ends(connection.tuple.client, connection.tuple.server);
        evidence.service(&connection.service);
    }

    fn exchange(&mut self, exchange: &Exchange, peers: &Peers) {
        if self.history.exchange(exchange, peers).is_err() {
            return;
        }
        let edge = exchange.edge;
        match &exchange.kind {
            ExchangeKind::Dns { query, .. } => {
                if let Some(names) =
                    self.names
                        .entry((edge.client, edge.server), exchange.weight, Names::default)
                {
                    names.add(query, exchange.weight);
                }
            }
            ExchangeKind::Http { method, path, .. } => {
                if let Some(sums) = self.uses.entry(edge, exchange.weight, Sums::default) {
                    sums.requests.add(method, &pattern(path), exchange.weight);
                }
            }
            ExchangeKind::Other(_) => {
                // Nothing is kept of it, but that it is of an edge beyond the bound.
                let _ = self.uses.entry(edge, exchange.weight, Sums::default);
            }
        }
    }
}

impl Use {
    /// What uses are sorted by: who, then how.
    pub(in crate::review) fn order(&self) -> (&Peer, &Peer, u16, Protocol) {
        (&self.client, &self.server, self.port, self.protocol)
    }
}

impl Names {
    fn add(&mut self, name: &Arc<str>, count: u64) {
        self.count += count;
        if let Some(known) = self.asked.get_mut(name) {
            *known += count;
        } else if self.asked.len() < MOST_NAMES {
            self.asked.insert(name.clone(), count);
        } else {
            self.more = true;
        }
    }

    /// Takes in what somebody else asked for who is under the same policy.
    pub fn merge(&mut self, other: &Self) {
        self.more |= other.more;
        for (name, count) in &other.asked {
            self.add(name, *count);
        }
        let counted: u64 = other.asked.values().sum();
        self.count += other.count.saturating_sub(counted);
    }
}
