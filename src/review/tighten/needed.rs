//! What each loose rule is needed for.
//!
//! Owns counting accepted connections by the loose rules that let them pass. One that a rule
//! which is not loose lets pass too needs none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fits::{Fits, FittingRules};
use crate::connection::{Connection, Edge, Exchange, Peers};
use crate::engine::Observer;
use crate::review::both::Both;
use crate::review::observed::{Evidence, History, Requests, Use, Why};
use crate::review::report::bounded::Bounded;

/// Edges of rules that are told apart.
const MOST_EDGES: usize = 1 << 17;

/// Collects what loose rules are needed for.
#[derive(Debug)]
pub struct Needed {
    fits: Arc<Fits>,
    known: Vec<Arc<Both<FittingRules>>>,
    loose: Arc<BTreeSet<u32>>,
    history: Arc<History>,
    uses: Bounded<(u32, Edge), Evidence>,
    /// Accepted connections that a loose rule lets pass and another rule too.
    spared: BTreeMap<u32, u64>,
    accepted: u64,
    left_out: BTreeMap<Why, u64>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Need {
    /// By the index of the rule.
    pub uses: BTreeMap<u32, Vec<Use>>,
    /// Accepted connections that other rules let pass too, by rule.
    pub spared: BTreeMap<u32, u64>,
    /// Accepted connections.
    pub accepted: u64,
    /// Others, by why they are not.
    pub left_out: BTreeMap<Why, u64>,
    /// Those on edges that are not told apart.
    pub beyond: u64,
}

impl Need {
    /// Counts what a rule was needed for as of another one.
    pub(super) fn merge(&mut self, rule: u32, other: u32) {
        if let Some(spared) = self.spared.remove(&other) {
            let own = self.spared.entry(rule).or_default();
            *own = (*own).max(spared);
        }
        let Some(more) = self.uses.remove(&other) else {
            return;
        };
        let uses = self.uses.entry(rule).or_default();
        for one in more {
            // What both let pass was counted for both.
            if !uses.iter().any(|known| known.order() == one.order()) {
                uses.push(one);
            }
        }
        uses.sort_by(|one, other| one.order().cmp(&other.order()));
    }
}

impl Needed {
    /// Counts for these rules.
    #[must_use]
    pub fn new(fits: Arc<Fits>, loose: Arc<BTreeSet<u32>>, history: Arc<History>) -> Self {
        Self {
            fits,
            known: Vec::new(),
            loose,
            history,
            uses: Bounded::new(MOST_EDGES),
            spared: BTreeMap::new(),
            accepted: 0,
            left_out: BTreeMap::new(),
        }
    }

    /// What came of it.
    #[must_use]
    pub fn finish(self, peers: &Peers) -> Need {
        let beyond = self.uses.others();
        let mut need = Need {
            spared: self.spared,
            accepted: self.accepted,
            left_out: self.left_out,
            beyond,
            ..Need::default()
        };
        for ((rule, edge), evidence) in self.uses.into_iter() {
            need.uses.entry(rule).or_default().push(Use {
                client: peers.get(edge.client).clone(),
                server: peers.get(edge.server).clone(),
                port: edge.port,
                protocol: edge.protocol,
                evidence,
                requests: Requests::default(),
            });
        }
        for uses in need.uses.values_mut() {
            uses.sort_by(|one, other| one.order().cmp(&other.order()));
        }
        need
    }

    fn both(&mut self, number: u32) -> Option<Arc<Both<FittingRules>>> {
        let at = number.checked_sub(1)? as usize;
        if at >= self.known.len() {
            let more = self.fits.0.after(self.known.len());
            self.known.extend(more);
        }
        self.known.get(at).cloned()
    }

    fn side(&mut self, fit: Option<&[u32]>, connection: &Connection) {
        let Some(rules) = fit else { return };
        let weight = connection.weight;
        let loose: Vec<u32> = rules
            .iter()
            .copied()
            .filter(|rule| self.loose.contains(rule))
            .collect();
        if loose.len() < rules.len() {
            for rule in loose {
                *self.spared.entry(rule).or_default() += weight;
            }
            return;
        }
        for rule in loose {
            let key = (rule, connection.edge);
            if let Some(evidence) = self.uses.entry(key, weight, Evidence::default) {
                evidence.add(weight, connection.first, connection.last);
                evidence.ends(connection.tuple.client, connection.tuple.server);
                evidence.service(&connection.service);
            }
        }
    }
}

impl Observer for Needed {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        if let Err(why) = self.history.connection(connection, peers) {
            *self.left_out.entry(why).or_default() += connection.weight;
            return;
        }
        self.accepted += connection.weight;
        // What is known of a side best is what its own flows say.
        let own = [connection.egress.mark, connection.ingress.mark].map(|mark| self.both(mark));
        let [client, server] = own.map(Option::unwrap_or_default);
        let ([from_client, at_client], [from_server, at_server]) = (&*client, &*server);
        self.side(
            from_client
                .as_ref()
                .or(from_server.as_ref())
                .map(AsRef::as_ref),
            connection,
        );
        self.side(
            at_server.as_ref().or(at_client.as_ref()).map(AsRef::as_ref),
            connection,
        );
    }

    fn exchange(&mut self, _: &Exchange, _: &Peers) {}
}
