//! Judges of flows whose mark says what was asked about both sides.
//!
//! Owns what a thread makes of a batch: each flow from a client is asked about in both
//! directions, and what is told of the answers gets a number, which goes with the flow
//! through the fold as its mark. Numbers are the same on every thread. What is told is
//! `usage`'s and `tighten`'s.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use super::marks::{Marker, Marks};
use crate::connection::JudgedSide;
use crate::engine::{
    Asked, Asking, BothHold, Holds, Judge, JudgedBatch, Policies, Repeated, SideJudge,
};
use crate::flow::{FlowBatch, RowRef};
use crate::policy::Direction;

/// What is told of one side. One a thread.
pub trait Telling: Debug + Default {
    /// As it is told.
    type Told: Clone + Debug + Eq + Hash;

    /// What is told of what was asked about a flow: the same of all flows that asked the
    /// same.
    fn told(&mut self, judge: &mut Judge, row: RowRef<'_>, asked: &Asked) -> Option<Self::Told>;
}

/// What is told of the client's side, then of the server's; `None` where no policy is asked.
pub(in crate::review) type Both<T> = [Option<<T as Telling>::Told>; 2];

/// Everything that was told, by number. Shared by all threads.
#[derive(Debug)]
pub struct AllTold<T: Telling>(pub(in crate::review) Arc<Marks<Both<T>>>);

impl<T: Telling> Default for AllTold<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Judges batches; one a thread.
pub struct BothJudge<T: Telling> {
    asker: Asker<T>,
    repeated: Repeated<(Holds, BothHold)>,
}

struct Asker<T: Telling> {
    judge: Judge,
    marker: Marker<Both<T>>,
    telling: T,
}

impl<T: Telling> BothJudge<T> {
    /// Judges by policies.
    #[must_use]
    pub fn new(policies: Arc<Policies>, all: &AllTold<T>) -> Self {
        Self {
            asker: Asker {
                judge: Judge::new(policies),
                marker: Marker::new(all.0.clone()),
                telling: T::default(),
            },
            repeated: Repeated::default(),
        }
    }

    /// Begins a piece of an input, of which these are all batches.
    pub fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        self.asker.judge.begin(piece, input, batches);
    }

    /// Judges the rows for which `kept` says yes; an empty one keeps all.
    #[must_use]
    pub fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        let judged = JudgedBatch::repeating(batch, kept, &mut self.asker, &mut self.repeated);
        self.asker.judge.end_of(&judged.batch);
        judged
    }
}

impl<T: Telling> SideJudge for Asker<T> {
    type Holds = (Holds, BothHold);

    fn side(
        &mut self,
        row: RowRef<'_>,
        asking: Asking,
    ) -> Option<(JudgedSide, Option<Self::Holds>)> {
        let (judgement, holds) = self.judge.answer(row, asking);
        judgement.computed.as_ref()?;
        let both = Direction::BOTH.map(|direction| {
            let asked = self.judge.ask(row, direction)?;
            self.telling.told(&mut self.judge, row, &asked)
        });
        let mark = self.marker.mark(both);
        let side = self.judge.marked(&judgement, mark)?;
        let both = self.judge.both_hold(row);
        Some((side, holds.zip(both)))
    }

    fn holds(&mut self, row: RowRef<'_>, asking: Asking, (own, both): Self::Holds) -> bool {
        self.judge.holds(row, asking, own) && self.judge.still_both(row, both)
    }
}
