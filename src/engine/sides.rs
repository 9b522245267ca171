//! A batch with what the policies say of each row, ready to be folded.
//!
//! Owns judging a whole batch on the thread that decoded it, and numbering clusters the
//! same on every thread. What becomes of the rows is `pass`'s.

use std::sync::Arc;

use super::agreement::Agreement;
use super::judge::{Judge, Judgement};
use super::policies::Policies;
use crate::connection::{Computed, JudgedSide};
use crate::flow::{FlowBatch, RowRef};

/// A batch with judgements.
#[derive(Debug)]
pub struct JudgedBatch {
    /// The rows.
    pub batch: FlowBatch,
    /// One a row, or none where nothing was judged.
    sides: Vec<Option<JudgedSide>>,
    /// Whether each row takes part; empty where all do.
    kept: Vec<bool>,
}

impl JudgedBatch {
    /// A batch without judgements.
    #[must_use]
    pub fn unjudged(batch: FlowBatch) -> Self {
        Self {
            batch,
            sides: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// A batch with what was judged of each row by somebody else.
    #[must_use]
    pub fn judged(batch: FlowBatch, sides: Vec<Option<JudgedSide>>, kept: Vec<bool>) -> Self {
        Self { batch, sides, kept }
    }

    /// Leaves out the rows for which `kept` says no.
    #[must_use]
    pub fn keeping(mut self, kept: Vec<bool>) -> Self {
        self.kept = kept;
        self
    }

    /// Whether a row takes part.
    #[must_use]
    pub fn is_kept(&self, row: usize) -> bool {
        self.kept.get(row).copied().unwrap_or(self.kept.is_empty())
    }

    /// What the policies say of a row.
    #[must_use]
    pub fn side(&self, row: usize) -> Option<JudgedSide> {
        self.sides.get(row).copied().flatten()
    }

    pub(super) fn row(&self, row: u32) -> RowRef<'_> {
        self.batch.row(row as usize)
    }
}

/// Judges batches; one a thread.
pub struct BatchJudge {
    judge: Judge,
    policies: Arc<Policies>,
    /// Numbers of clusters by those of the judge.
    places: Vec<u32>,
}

impl BatchJudge {
    /// Judges by policies.
    #[must_use]
    pub fn new(policies: Arc<Policies>) -> Self {
        Self {
            judge: Judge::new(policies.clone()),
            policies,
            places: Vec::new(),
        }
    }

    /// Begins a piece of an input, of which these are all batches.
    pub fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        self.judge.begin(piece, input, batches);
    }

    /// Judges the rows for which `kept` says yes; an empty one keeps all.
    #[must_use]
    pub fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        let mut sides = Vec::with_capacity(batch.len());
        for row in batch.rows() {
            let takes_part = kept.get(row.index()).copied().unwrap_or(true);
            let side = takes_part.then(|| self.side(row)).flatten();
            sides.push(side);
        }
        self.judge.end_of(&batch);
        JudgedBatch { batch, sides, kept }
    }

    fn side(&mut self, row: RowRef<'_>) -> Option<JudgedSide> {
        let Judgement {
            computed,
            agreement,
            gap,
            ..
        } = self.judge.judge(row);
        let computed = computed?;
        let cluster = self.place(computed.cluster);
        Some(JudgedSide {
            direction: computed.direction,
            computed: Some(Computed {
                cluster,
                subject: computed.subject,
                decision: computed.decision,
                verdict: computed.verdict,
            }),
            gap,
            drift: agreement == Agreement::Drift,
            changed: agreement == Agreement::ChangedSince,
            unknown: match agreement {
                Agreement::Unknown(cause) => Some(cause),
                _ => None,
            },
            mark: 0,
        })
    }

    /// The number that every thread has for a cluster.
    fn place(&mut self, cluster: usize) -> u32 {
        while self.places.len() <= cluster {
            let policies = self.judge.policies(self.places.len());
            self.places.push(self.policies.place(policies));
        }
        self.places[cluster]
    }
}
