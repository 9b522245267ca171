//! Who is asked about what: the question that a row poses in one direction.
//!
//! Owns finding the two sides among the identities of the cluster whose policies count, with
//! the names that DNS gave, and putting the question to them. What becomes of the answer is
//! `judge`'s and `ask`'s.

use super::judge::Judge;
use super::known::End;
use super::names::Names;
use crate::flow::RowRef;
use crate::policy::{Decision, Direction, Question};

/// A question, to the policies of one cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Posed {
    /// As [`Judge::policies`] counts them.
    pub(super) cluster: usize,
    pub(super) question: Question,
    /// Whether the answer may hang on names that DNS gave.
    pub(super) names_matter: bool,
}

impl Judge {
    /// What a row asks in a direction about a protocol and a port.
    pub(super) fn pose(
        &mut self,
        row: RowRef<'_>,
        direction: Direction,
        (protocol, port): (u8, u16),
    ) -> Posed {
        let at = self.at_of(row);
        self.forget_other_epochs(row);
        let cluster = self.cluster(row, direction);
        let own = &self.known[cluster];
        // Names are asked for on egress only, and not of those who are the same in every flow.
        let names_matter = direction == Direction::Egress && own.policies.names_matter();
        let asks = names_matter && !own.is_settled(row.destination());
        let policies = self.policies.clone();
        let names = asks.then(|| Names {
            ledger: policies.ledger(),
            at,
            options: policies.options(),
            record: self.record(row, at),
        });
        let known = &mut self.known[cluster];
        let source = known.who(row, End::Source, None);
        let destination = known.who(row, End::Destination, names.as_ref());
        let (subject, peer) = match direction {
            Direction::Ingress => (destination, source),
            Direction::Egress => (source, destination),
        };
        Posed {
            cluster,
            question: Question {
                subject,
                direction,
                peer,
                protocol,
                port,
            },
            names_matter,
        }
    }

    /// What the policies say of the connection.
    pub(super) fn decide(&mut self, posed: &Posed) -> Decision {
        let decision = self.known[posed.cluster].decide(posed.question);
        if self.policies.strict() {
            decision.strict()
        } else {
            decision
        }
    }

    /// Whether policies that count for a row are not among those that were given.
    pub(super) fn is_missing(&mut self, row: RowRef<'_>, posed: &Posed) -> bool {
        let Question {
            subject, direction, ..
        } = posed.question;
        let at = self.at_of(row);
        let ledger = self.policies.ledger();
        let known = &mut self.known[posed.cluster];
        known.names_missing(row, direction) || known.misses(subject, direction, ledger, at)
    }
}
