//! Two periods out of one pass over flows.
//!
//! Owns which period a connection belongs to: the one it begins in. One that goes on over
//! the border keeps its edge known in the later period. All sums are `review::report`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::hits::{Hits, PolicyReview};
use super::period::{EdgeName, EdgeRuling, Period};
use super::watch::{Times, Watch};
use crate::connection::{Computed, Connection, Edge, Exchange, Peers};
use crate::engine::{Observer, Policies};
use crate::policy::Direction;
use crate::review::report::{Gatherer, Reading, Report, Ruling, Seen};

/// Edges whose rulings are remembered.
const MOST_EDGES: usize = 100_000;

/// Collects two periods of which one follows the other.
#[derive(Debug)]
pub struct Periods {
    earlier: Times,
    later: Times,
    before: Gatherer,
    after: Gatherer,
    /// Edges in use over the border, since when and until when in the later period.
    carried: HashMap<Edge, Seen, RandomState>,
    /// What was computed for the first connection of an edge in the later period.
    computed: HashMap<Edge, [Option<Computed>; 2], RandomState>,
    hits: Hits,
}

/// Both periods.
#[derive(Debug)]
pub struct Gathered {
    /// The earlier one.
    pub earlier: Period,
    /// The later one.
    pub later: Period,
    /// All that the later one tells.
    pub report: Report,
    /// What was used of the policies, where they were given.
    pub policies: Option<PolicyReview>,
}

impl Periods {
    /// Two periods.
    #[must_use]
    pub fn new(earlier: Times, later: Times) -> Self {
        Self {
            earlier,
            later,
            before: Gatherer::default(),
            after: Gatherer::default(),
            carried: HashMap::default(),
            computed: HashMap::default(),
            hits: Hits::default(),
        }
    }

    /// The periods. `readings` are what was read of each, `watch` is when nodes were
    /// watched, `policies` are those that judged.
    #[must_use]
    pub fn finish(
        self,
        readings: (Reading, Reading),
        watch: Watch,
        peers: &Peers,
        policies: Option<&Policies>,
    ) -> Gathered {
        let (before, after) = watch.of(self.earlier, self.later);
        let report = self.before.finish(readings.0, peers, policies);
        let earlier = Period::of(&report, before);
        drop(report);
        let report = self.after.finish(readings.1, peers, policies);
        let mut later = Period::of(&report, after);
        for (edge, seen) in self.carried {
            later.carry(name(edge, peers), seen);
        }
        if let Some(policies) = policies {
            later.rulings = rulings(self.computed, peers, policies);
        }
        Gathered {
            earlier,
            later,
            report,
            policies: policies.map(|policies| self.hits.finish(policies)),
        }
    }

    fn remember(&mut self, connection: &Connection) {
        let computed = [connection.egress.computed, connection.ingress.computed];
        if computed == [None, None] {
            return;
        }
        self.hits.connection(connection);
        if self.computed.len() < MOST_EDGES || self.computed.contains_key(&connection.edge) {
            let known = self.computed.entry(connection.edge).or_default();
            for (known, computed) in known.iter_mut().zip(computed) {
                *known = known.or(computed);
            }
        }
    }
}

impl Observer for Periods {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        let within = |window: Times| (window.0..window.1).contains(&connection.first);
        if within(self.later) {
            self.after.connection(connection, peers);
            self.remember(connection);
        } else if within(self.earlier) {
            self.before.connection(connection, peers);
            if connection.last >= self.later.0
                && (self.carried.len() < MOST_EDGES || self.carried.contains_key(&connection.edge))
            {
                let seen = self.carried.entry(connection.edge).or_default();
                seen.at(self.later.0);
                seen.at(connection.last);
            }
        }
    }

    fn exchange(&mut self, exchange: &Exchange, peers: &Peers) {
        if exchange.time >= self.later.0 {
            self.after.exchange(exchange, peers);
        }
    }
}

fn name(edge: Edge, peers: &Peers) -> EdgeName {
    EdgeName::new(
        peers.get(edge.client),
        peers.get(edge.server),
        edge.port,
        edge.protocol,
    )
}

/// What the policies say, by names. Many edges have the same answer.
fn rulings(
    computed: HashMap<Edge, [Option<Computed>; 2], RandomState>,
    peers: &Peers,
    policies: &Policies,
) -> BTreeMap<EdgeName, EdgeRuling> {
    let mut known: HashMap<(Computed, Direction), Arc<Ruling>, RandomState> = HashMap::default();
    let mut one = |computed: Option<Computed>, direction: Direction| -> Option<Ruling> {
        let computed = computed?;
        let ruling = known
            .entry((computed, direction))
            .or_insert_with(|| Arc::new(Ruling::of(policies, &computed, direction)));
        Some(Ruling::clone(ruling))
    };
    let mut edges: Vec<(Edge, [Option<Computed>; 2])> = computed.into_iter().collect();
    edges.sort_unstable_by_key(|(edge, _)| *edge);
    let mut rulings = BTreeMap::new();
    for (edge, [egress, ingress]) in edges {
        let ruling = EdgeRuling {
            egress: one(egress, Direction::Egress),
            ingress: one(ingress, Direction::Ingress),
        };
        rulings.entry(name(edge, peers)).or_insert(ruling);
    }
    rulings
}
