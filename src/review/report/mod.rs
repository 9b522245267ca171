//! The report on recorded flows, as values.
//!
//! Owns what a report says: what was read, what was dropped, what the policies make of it,
//! who talks to whom. All sums are over connections and exchanges; rows are counted only
//! for what was read. Memory is bounded, and what is beyond a bound is counted and said.
//! Shows nothing: that is `render::report`'s. A part that does not exist is absent.

mod anomalies;
pub(in crate::review) mod bounded;
mod drops;
mod edges;
mod judged;
mod layer7;
mod reading;
mod story;
mod timeline;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::connection::{Connection, Exchange, Opening, Outcome, Peer, Peers};
use crate::engine::{Observer, Policies};
use crate::flow::DropClass;

pub use crate::engine::{Rule, Ruling};
pub use anomalies::Anomalies;
pub use bounded::Seen;
pub use drops::{DropCause, DropEnd, DropGroup, Reach};
pub use edges::{EdgeRow, EdgeSum, NodePair, Outside};
pub use judged::{DriftRow, GapRow, Judged};
pub use layer7::{DnsName, DnsSum, HttpPath, Refused};
pub use reading::{NodeReading, Reading, RowReader};
pub use story::Standout;
pub use timeline::{Step, Timeline};

/// Sums of all connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections.
    pub connections: u64,
    /// Those whose beginning was not seen.
    pub joined: u64,
    /// Attempts at connections: retries count.
    pub attempts: u64,
    /// Forwarded, as far as was seen.
    pub forwarded: u64,
    /// Denied by policy.
    pub denied: u64,
    /// Dropped for other reasons, by class.
    pub dropped: BTreeMap<DropClass, u64>,
    /// Let pass by audit mode only.
    pub audited: u64,
    /// With a request that a proxy refused.
    pub refused: u64,
    /// Verdict ERROR.
    pub errors: u64,
    /// Exchanges of layer 7.
    pub exchanges: u64,
    /// Workloads among the ends.
    pub workloads: u64,
}

/// A report.
#[derive(Debug)]
pub struct Report {
    /// What was read.
    pub reading: Reading,
    /// Sums of all connections.
    pub totals: Totals,
    /// Connections over time.
    pub timeline: Timeline,
    /// Pods that were denied far around.
    pub standouts: Vec<Standout>,
    /// Drops by class, then most connections first.
    pub drops: Vec<DropGroup>,
    /// Connections dropped that are in none of the groups.
    pub other_drops: u64,
    /// Requests that a proxy refused, most first.
    pub refused: Vec<Refused>,
    /// What the policies make of it, where they were given.
    pub judged: Option<Judged>,
    /// What is unusual, where a baseline was given; whoever ran the detectors sets it.
    pub anomalies: Option<Anomalies>,
    /// Edges, most connections first.
    pub edges: Vec<EdgeRow>,
    /// Connections on edges that are not told apart.
    pub other_edges: u64,
    /// DNS; `None` where the recording has none.
    pub dns: Option<DnsSum>,
    /// Requests of HTTP.
    pub http: u64,
    /// HTTP by server and path, most requests first.
    pub paths: Vec<HttpPath>,
    /// Requests to paths that are not told apart.
    pub other_paths: u64,
    /// Exchanges of other protocols by name.
    pub other_protocols: BTreeMap<Arc<str>, u64>,
    /// Servers outside the cluster, most connections first.
    pub outside: Vec<Outside>,
    /// Connections to servers outside that are not told apart.
    pub other_outside: u64,
    /// Encryption between nodes that encrypt at all; empty where it is not visible.
    pub encryption: Vec<NodePair>,
}

/// Collects what a report is made of.
#[derive(Debug)]
pub struct Gatherer {
    totals: Totals,
    timeline: Timeline,
    drops: drops::Drops,
    edges: edges::Edges,
    layer7: layer7::Layer7,
    judged: judged::Sides,
}

impl Default for Gatherer {
    fn default() -> Self {
        Self {
            totals: Totals::default(),
            timeline: Timeline::default(),
            drops: drops::Drops::new(),
            edges: edges::Edges::new(),
            layer7: layer7::Layer7::new(),
            judged: judged::Sides::new(),
        }
    }
}

impl Observer for Gatherer {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        self.totals.add(connection);
        let weight = connection.weight;
        let (denied, dropped) = match connection.outcome {
            Outcome::Dropped(reason) if reason.class() == DropClass::Policy => (weight, 0),
            Outcome::Dropped(_) | Outcome::Error => (0, weight),
            _ => (0, 0),
        };
        let step = Step {
            connections: weight,
            denied,
            dropped,
        };
        self.timeline.add(connection.first, step);
        self.drops.connection(connection);
        self.edges.connection(connection, peers);
        self.judged.connection(connection);
    }

    fn exchange(&mut self, exchange: &Exchange, peers: &Peers) {
        self.layer7.exchange(exchange, peers);
    }
}

impl Gatherer {
    /// The report of what was collected. `reading` is what was read, `policies` are those
    /// that judged.
    #[must_use]
    pub fn finish(
        self,
        mut reading: Reading,
        peers: &Peers,
        policies: Option<&Policies>,
    ) -> Report {
        reading.finish();
        let edges = self.edges.finish(peers, policies);
        let layer7 = self.layer7.finish(peers);
        let drops = self.drops.finish(peers, policies);
        let mut totals = self.totals;
        totals.exchanges = layer7.exchanges;
        totals.workloads = workloads(&edges.edges);
        Report {
            standouts: story::standouts(&drops.reaches, &edges.outside, &layer7.refused, &reading),
            judged: policies.map(|policies| self.judged.finish(peers, policies)),
            reading,
            totals,
            timeline: self.timeline,
            drops: drops.groups,
            other_drops: drops.others,
            refused: layer7.refused,
            anomalies: None,
            edges: edges.edges,
            other_edges: edges.other_edges,
            dns: (layer7.dns.exchanges > 0).then_some(layer7.dns),
            http: layer7.http,
            paths: layer7.paths,
            other_paths: layer7.other_paths,
            other_protocols: layer7.other,
            outside: edges.outside,
            other_outside: edges.other_outside,
            encryption: edges.pairs,
        }
    }
}

impl Totals {
    fn add(&mut self, connection: &Connection) {
        let weight = connection.weight;
        self.connections += weight;
        self.attempts += u64::from(connection.attempts);
        if connection.opening == Opening::Missed {
            self.joined += weight;
        }
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
            Outcome::Dropped(reason) => match reason.class() {
                DropClass::Policy => self.denied += weight,
                class => *self.dropped.entry(class).or_default() += weight,
            },
            Outcome::Error => self.errors += weight,
        }
    }
}

fn workloads(edges: &[EdgeRow]) -> u64 {
    let mut all: Vec<&Peer> = edges
        .iter()
        .flat_map(|edge| [&edge.client, &edge.server])
        .filter(|peer| matches!(peer, Peer::Workload { .. }))
        .collect();
    all.sort();
    all.dedup();
    all.len() as u64
}
