//! One direction of a connection, whatever direction its flow speaks of.
//!
//! Owns asking policies about the side that a flow was not seen at: a flow carries both ends,
//! and a connection passes only where both let it. What was recorded plays no part in it.

use super::asking::{Holds, layer4};
use super::event::Event;
use super::judge::{Computed, Judge, is_repeatable};
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

/// For how long what was asked about both directions of a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BothHold([Holds; 2]);

impl Judge {
    /// For how long what [`Self::ask`] said of both directions of a row holds of every row
    /// between the same endpoints that asks the same; `None` where it hangs on more than
    /// that, such as names that DNS gave.
    pub fn both_hold(&mut self, row: RowRef<'_>) -> Option<BothHold> {
        if !is_repeatable(row, Event::of(row)) {
            return None;
        }
        let [egress, ingress] = Direction::BOTH.map(|direction| {
            let cluster = self.settled(row, direction)?;
            let known = &self.known[cluster];
            let is_settled = known.is_settled(row.source()) && known.is_settled(row.destination());
            is_settled.then(|| Holds {
                cluster,
                generation: known.policies.generation(),
            })
        });
        let both = BothHold([egress?, ingress?]);
        self.still_both(row, both).then_some(both)
    }

    /// Whether what was said of both directions holds still, for a row that asks the same.
    pub fn still_both(&mut self, row: RowRef<'_>, BothHold(both): BothHold) -> bool {
        self.policies.ledger().misses() == 0
            && Direction::BOTH
                .into_iter()
                .zip(both)
                .all(|(direction, holds)| {
                    self.known.get_mut(holds.cluster).is_some_and(|known| {
                        known.policies.generation() == holds.generation
                            && !known.names_missing(row, direction)
                    })
                })
    }

    /// Asks about one direction of the connection of a flow from its client. `None` where no
    /// policy is asked on that side: it is no endpoint of the cluster.
    ///
    /// Names of DNS are those of the node that saw the flow: about egress, a flow seen
    /// at the client tells most.
    pub fn ask(&mut self, row: RowRef<'_>, direction: Direction) -> Option<Asked> {
        let posed = self.pose(row, direction, layer4(row)?);
        let question = posed.question;
        if !self.known[posed.cluster].is_subject(question.subject) {
            return None;
        }
        let decision = self.decide(&posed);
        let request = matches!(Event::of(row), Event::Request { .. })
            .then(|| self.known[posed.cluster].request(row, &question, decision));
        let is_missing = self.is_missing(row, &posed);
        // A certain denial by a rule stays one, whatever else there is.
        let settled = |verdict| match verdict {
            Verdict::DeniedByRule => verdict,
            _ if is_missing => Verdict::Unknown(Cause::PolicyNotLoaded),
            _ => verdict,
        };
        Some(Asked {
            computed: Computed {
                cluster: posed.cluster,
                subject: question.subject,
                direction,
                verdict: settled(decision.verdict),
                decision,
            },
            question,
            request: request.map(settled),
        })
    }
}
