//! Which rules let a connection pass, on both of its sides.
//!
//! Owns what is told of a side: the allow rules that fit, of which there are as many numbers
//! as there are combinations.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::engine::{Asked, Judge};
use crate::flow::RowRef;
use crate::policy::{PeerFit, PortFit, Question};
use crate::review::both::{AllTold, BothJudge, Telling};

/// Answers that a thread remembers.
const MOST_ANSWERS: usize = 1 << 17;

/// Combinations of rules that fit, by number. Shared by all threads.
pub type Fits = AllTold<FittingRules>;
/// Judges batches by which rules fit; one a thread.
pub type FitJudge = BothJudge<FittingRules>;

/// Tells the allow rules that fit a side, by their index in the set; nothing where no rule
/// decides about it.
#[derive(Debug, Default)]
pub struct FittingRules {
    answers: HashMap<(u64, usize, Question), Arc<[u32]>, RandomState>,
}

impl Telling for FittingRules {
    type Told = Arc<[u32]>;

    fn told(&mut self, judge: &mut Judge, _: RowRef<'_>, asked: &Asked) -> Option<Arc<[u32]>> {
        let verdict = asked.computed.decision.verdict;
        if !verdict.passes() {
            return None;
        }
        let cluster = judge.policies(asked.computed.cluster).clone();
        let key = (cluster.generation(), asked.computed.cluster, asked.question);
        if let Some(known) = self.answers.get(&key) {
            return Some(known.clone());
        }
        let Question {
            subject,
            direction,
            peer,
            protocol,
            port,
        } = asked.question;
        let compiled = cluster.read();
        let entries = &compiled.set().entries;
        let rules: Arc<[u32]> = compiled
            .explain(
                subject,
                direction,
                peer,
                (protocol, port),
                &asked.computed.decision,
            )
            .into_iter()
            .filter(|rule| {
                let is_allow = entries
                    .get(rule.entry as usize)
                    .is_some_and(|entry| !entry.deny);
                is_allow
                    && matches!(rule.peer, PeerFit::Anybody | PeerFit::Fits)
                    && matches!(rule.port, PortFit::Any | PortFit::Fits)
            })
            .map(|rule| rule.entry)
            .collect();
        drop(compiled);
        if self.answers.len() >= MOST_ANSWERS {
            self.answers.clear();
        }
        self.answers.insert(key, rules.clone());
        Some(rules)
    }
}
