//! A batch with what the policies say of each row, ready to be folded.
//!
//! Owns judging a whole batch on the thread that decoded it, and numbering clusters the
//! same on every thread. What becomes of the rows is `pass`'s.

use std::sync::Arc;

use super::agreement::Agreement;
use super::asking::{Asking, Holds};
use super::judge::{Judge, Judgement};
use super::policies::Policies;
use super::repeated::{Repeated, SideJudge};
use crate::connection::{Computed, JudgedSide};
use crate::flow::{FlowBatch, NO_TIME, RowRef};

/// A batch with judgements.
#[derive(Debug)]
pub struct JudgedBatch {
    /// The rows, which others may look at, too.
    pub batch: Arc<FlowBatch>,
    /// What was said, each once.
    said: Vec<JudgedSide>,
    /// Which of it is of each row, from 1, 0 for nothing; none where nothing was judged.
    sides: Vec<u32>,
    /// Whether each row takes part; empty where all do.
    kept: Vec<bool>,
}

impl JudgedBatch {
    /// A batch without judgements.
    #[must_use]
    pub fn unjudged(batch: impl Into<Arc<FlowBatch>>) -> Self {
        Self {
            batch: batch.into(),
            said: Vec::new(),
            sides: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// A batch with what was judged of each row by somebody else.
    #[must_use]
    pub fn judged(
        batch: impl Into<Arc<FlowBatch>>,
        judged: Vec<Option<JudgedSide>>,
        kept: Vec<bool>,
    ) -> Self {
        let mut said = Vec::new();
        let sides = judged
            .into_iter()
            .map(|side| {
                side.map_or(0, |side| {
                    // What rows next to each other share is kept once.
                    if said.last() != Some(&side) {
                        said.push(side);
                    }
                    said.len() as u32
                })
            })
            .collect();
        Self {
            batch: batch.into(),
            said,
            sides,
            kept,
        }
    }

    /// A batch with what a judge says of the rows for which `kept` says yes; an empty one
    /// keeps all. What was said before of a row that asks the same is not asked again.
    #[must_use]
    pub fn repeating<J: SideJudge>(
        batch: impl Into<Arc<FlowBatch>>,
        kept: Vec<bool>,
        judge: &mut J,
        repeated: &mut Repeated<J::Holds>,
    ) -> Self {
        let batch = batch.into();
        repeated.begin(batch.dictionaries().epoch());
        let mut said = Vec::new();
        let mut sides = Vec::with_capacity(batch.len());
        for row in batch.rows() {
            let takes_part = kept.get(row.index()).copied().unwrap_or(true);
            let asking = takes_part.then(|| Asking::of(row).ok()).flatten();
            let place = asking.and_then(|asking| repeated.place_of(judge, row, asking, &mut said));
            sides.push(place.map_or(0, |place| place + 1));
        }
        Self {
            batch,
            said,
            sides,
            kept,
        }
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
        let said = self.sides.get(row)?.checked_sub(1)?;
        self.said.get(said as usize).copied()
    }

    /// The last time, where every row takes part, has a time that is not before the one
    /// of the row before it, and none is before `least`.
    pub(super) fn last_of_ordered(&self, least: i64) -> Option<i64> {
        let times = self.batch.times();
        let (first, last) = (*times.first()?, *times.last()?);
        let is_ordered =
            self.kept.is_empty() && first != NO_TIME && first >= least && times.is_sorted();
        is_ordered.then_some(last)
    }

    pub(super) fn row(&self, row: u32) -> RowRef<'_> {
        self.batch.row(row as usize)
    }
}

/// Judges batches; one a thread.
pub struct BatchJudge {
    judge: Judge,
    repeated: Repeated<Holds>,
}

impl BatchJudge {
    /// Judges by policies.
    #[must_use]
    pub fn new(policies: Arc<Policies>) -> Self {
        Self {
            judge: Judge::new(policies),
            repeated: Repeated::default(),
        }
    }

    /// Begins a piece of an input, of which these are all batches.
    pub fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        self.judge.begin(piece, input, batches);
    }

    /// Judges the rows for which `kept` says yes; an empty one keeps all.
    #[must_use]
    pub fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        let judged = JudgedBatch::repeating(batch, kept, &mut self.judge, &mut self.repeated);
        self.judge.end_of(&judged.batch);
        judged
    }
}

impl SideJudge for Judge {
    type Holds = Holds;

    fn side(&mut self, row: RowRef<'_>, asking: Asking) -> Option<(JudgedSide, Option<Holds>)> {
        let (judgement, holds) = self.answer(row, asking);
        let side = self.marked(&judgement, 0)?;
        Some((side, holds))
    }

    fn holds(&mut self, row: RowRef<'_>, asking: Asking, holds: Holds) -> bool {
        Self::holds(self, row, asking, holds)
    }
}

impl Judge {
    /// What goes with a row through the fold, with a mark; `None` where policies were not
    /// asked.
    pub fn marked(&mut self, judgement: &Judgement, mark: u32) -> Option<JudgedSide> {
        let computed = judgement.computed.as_ref()?;
        let agreement = judgement.agreement;
        Some(JudgedSide {
            direction: computed.direction,
            computed: Some(Computed {
                cluster: self.place(computed.cluster),
                subject: computed.subject,
                decision: computed.decision,
                verdict: computed.verdict,
            }),
            gap: judgement.gap,
            drift: agreement == Agreement::Drift,
            changed: agreement == Agreement::ChangedSince,
            unknown: match agreement {
                Agreement::Unknown(cause) => Some(cause),
                _ => None,
            },
            mark,
        })
    }

    /// The policies that it judges by.
    #[must_use]
    pub fn set(&self) -> &Arc<Policies> {
        &self.policies
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Given;
    use crate::manifest;
    use crate::policy::Options;
    use crate::synth::{Preset, Traffic};

    /// 2026-01-05, a Monday, at noon.
    const NOON: i64 = 1_767_614_400_000_000_000;

    /// Guarantees: what is remembered of rows that ask the same is what the judge says of
    /// each, and rows that are left out are not judged.
    #[test]
    fn remembered_answers_are_those_of_the_judge() {
        let (settings, seconds) = Preset::Xs.settings();
        let traffic = Traffic::new(&settings, 3, NOON, seconds).unwrap();
        let mut traffic = traffic.stopping_after(6_000);
        let batches: Vec<FlowBatch> = std::iter::from_fn(|| traffic.next_batch()).collect();
        let policies = || {
            let documents = manifest::read(&traffic.policies(), "p.yaml".into()).documents;
            let mut options = Options::default();
            let cluster = &traffic.world().cluster;
            options.set("cluster-name", cluster).unwrap();
            Arc::new(Policies::new(Given {
                documents,
                options,
                ..Given::default()
            }))
        };
        let mut whole = BatchJudge::new(policies());
        let mut single = BatchJudge::new(policies());
        let (mut judged, mut said) = (0, 0);
        for (piece, batch) in (0..).zip(&batches) {
            whole.begin(piece, 0, std::slice::from_ref(batch));
            single.begin(piece, 0, std::slice::from_ref(batch));
            let kept: Vec<bool> = (0..batch.len()).map(|row| row % 7 != 3).collect();
            let found = whole.judge(batch.clone(), kept.clone());
            for row in batch.rows() {
                let asking = Asking::of(row).ok().filter(|_| kept[row.index()]);
                let expected = asking.and_then(|asking| {
                    let (judgement, _) = single.judge.answer(row, asking);
                    single.judge.marked(&judgement, 0)
                });
                assert_eq!(found.side(row.index()), expected);
                judged += usize::from(expected.is_some());
            }
            single.judge.end_of(batch);
            said += found.said.len();
        }
        assert!(judged > 1000 && said < judged * 3 / 4, "{said} of {judged}");
    }
}
