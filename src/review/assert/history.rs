//! Declarations against the connections of a recording.
//!
//! Owns which connections a declaration is about, and what becomes of them under the
//! policies.

use std::sync::Arc;

use super::{Assertion, PastHolds};
use crate::connection::{Connection, Exchange, Peers};
use crate::engine::Observer;
use crate::review::simulate::{Cases, Gatherer, Outcome};

/// Counts the connections that declarations are about.
#[derive(Debug)]
pub struct History {
    gatherer: Gatherer,
    assertions: Vec<Assertion>,
    counts: Vec<PastHolds>,
}

impl History {
    /// Of these declarations; `cases` are those of who judges.
    #[must_use]
    pub fn new(assertions: Vec<Assertion>, cases: Arc<Cases>) -> Self {
        Self {
            gatherer: Gatherer::new(cases),
            counts: vec![PastHolds::default(); assertions.len()],
            assertions,
        }
    }

    /// What was counted of each, in their order.
    #[must_use]
    pub fn finish(self) -> Vec<PastHolds> {
        self.counts
    }
}

impl Observer for History {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        let (client, server) = (
            peers.get(connection.edge.client),
            peers.get(connection.edge.server),
        );
        let mut outcome: Option<Option<Outcome>> = None;
        for (assertion, count) in self.assertions.iter().zip(&mut self.counts) {
            if let Some((port, protocol)) = assertion.port
                && (port != connection.edge.port
                    || protocol.is_some_and(|wanted| wanted != connection.edge.protocol))
            {
                continue;
            }
            let from = assertion.from.is(client, connection.tuple.client);
            let to = assertion.to.is(server, connection.tuple.server);
            match (from, to) {
                (Some(true), Some(true)) => {}
                (None, Some(true) | None) | (Some(true), None) => {
                    count.nameless = true;
                    continue;
                }
                _ => continue,
            }
            let outcome = *outcome
                .get_or_insert_with(|| self.gatherer.judged(connection).map(|((base, _), _)| base));
            let weight = connection.weight;
            count.connections += weight;
            match outcome {
                Some(Outcome::Passes) => count.pass += weight,
                Some(Outcome::Denied) => count.denied += weight,
                _ => count.unknown += weight,
            }
        }
    }

    fn exchange(&mut self, _: &Exchange, _: &Peers) {}
}
