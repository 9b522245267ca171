//! One direction of a connection, whatever direction its flow speaks of.
//!
//! Owns asking policies about the side that a flow was not seen at: a flow carries both ends,
//! and a connection passes only where both let it. What was recorded plays no part in it.

use super::event::Event;
use super::judge::{Computed, Judge, layer4};
use super::known::End;
use super::names::Names;
use crate::flow::RowRef;
use crate::policy::{Cause, Direction, Question, Verdict};

/// What the policies say of one direction.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Of the connection; its verdict is never that of a request.
    pub computed: Computed,
    /// Who was asked about what.
    pub question: Question,
    /// Of the request, where the flow is one.
    pub request: Option<Verdict>,
}

impl Judge {
    /// Asks about one direction of the connection of a flow from its client. `None` where no
    /// policy is asked on that side: it is no endpoint of the cluster.
    ///
    /// Names of DNS are those of the node that saw the flow: about egress, a flow seen
    /// at the client tells most.
    pub fn ask(&mut self, row: RowRef<'_>, direction: Direction) -> Option<Asked> {
        let (protocol, port) = layer4(row)?;
        let at = self.at_of(row);
        self.forget_other_epochs(row);
        let cluster = self.cluster(row, direction);
        let asks = direction == Direction::Egress && self.known[cluster].policies.names_matter();
        let policies = self.policies.clone();
        let ledger = policies.ledger();
        let names = asks.then(|| Names {
            ledger,
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
        if !known.is_subject(subject) {
            return None;
        }
        let question = Question {
            subject,
            direction,
            peer,
            protocol,
            port,
        };
        let mut decision = known.decide(question);
        if policies.strict() {
            decision = decision.strict();
        }
        let request = matches!(Event::of(row), Event::Request { .. })
            .then(|| super::request::verdict(row, &known.policies.read(), &question, decision));
        let is_missing =
            known.names_missing(row, direction) || known.misses(subject, direction, ledger, at);
        // A certain denial by a rule stays one, whatever else there is.
        let settled = |verdict| match verdict {
            Verdict::DeniedByRule => verdict,
            _ if is_missing => Verdict::Unknown(Cause::PolicyNotLoaded),
            _ => verdict,
        };
        Some(Asked {
            computed: Computed {
                cluster,
                subject,
                direction,
                verdict: settled(decision.verdict),
                decision,
            },
            question,
            request: request.map(settled),
        })
    }
}
