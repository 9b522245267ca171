//! Which rules let a connection pass, on both of its sides.
//!
//! Owns what a thread makes of a batch: each flow from a client is asked about in both
//! directions, and the allow rules that fit get a number, which goes with the flow through the
//! fold as its mark. Numbers are the same on every thread, and there are as many as there are
//! combinations of rules.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::connection::JudgedSide;
use crate::engine::{Asked, Judge, JudgedBatch, Policies};
use crate::flow::{FlowBatch, RowRef};
use crate::policy::{Direction, PeerFit, PortFit, Question};
use crate::review::marks::{Marker, Marks};

/// Answers that a thread remembers.
const MOST_ANSWERS: usize = 1 << 17;

/// Allow rules that fit one side, by their index in the set; `None` where no policy is asked
/// or no rule decides about it.
pub(super) type Fit = Option<Arc<[u32]>>;
/// The client's side, then the server's.
pub(super) type Both = [Fit; 2];

/// All combinations, by number. Shared by all threads.
#[derive(Debug, Default)]
pub struct Fits(pub(super) Arc<Marks<Both>>);

/// Judges batches by which rules fit; one a thread.
pub struct FitJudge {
    judge: Judge,
    marker: Marker<Both>,
    answers: HashMap<(u64, usize, Question), Arc<[u32]>, RandomState>,
}

impl FitJudge {
    /// Judges by policies.
    #[must_use]
    pub fn new(policies: Arc<Policies>, fits: &Fits) -> Self {
        Self {
            judge: Judge::new(policies),
            marker: Marker::new(fits.0.clone()),
            answers: HashMap::default(),
        }
    }

    /// Begins a piece of an input, of which these are all batches.
    pub fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        self.judge.begin(piece, input, batches);
    }

    /// Judges the rows for which `kept` says yes; an empty one keeps all.
    #[must_use]
    pub fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        let judged = JudgedBatch::by(batch, kept, |row| self.side(row));
        self.judge.end_of(&judged.batch);
        judged
    }

    fn side(&mut self, row: RowRef<'_>) -> Option<JudgedSide> {
        let judgement = self.judge.judge(row);
        judgement.computed.as_ref()?;
        let both = [Direction::Egress, Direction::Ingress].map(|direction| {
            let asked = self.judge.ask(row, direction)?;
            self.fit(&asked)
        });
        let mark = self.marker.mark(both);
        self.judge.side(&judgement, mark)
    }

    /// The rules that fit, where the policies let the connection pass.
    fn fit(&mut self, asked: &Asked) -> Fit {
        let verdict = asked.computed.decision.verdict;
        if !verdict.passes() {
            return None;
        }
        let cluster = self.judge.policies(asked.computed.cluster).clone();
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
