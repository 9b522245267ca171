//! Recordings kept as they were decoded, for whoever reads them again.
//!
//! Owns the bound, and whose judge looks at a piece again: flows that are together larger
//! than [`MOST_BYTES`] are forgotten, and their files are read again. Does not know what is made of them (`passing`).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::flow::{Extra, FlowBatch};
use crate::source::file::{PieceReport, Step, dictionary_bytes, threads};

/// Bytes of all that is kept, about: more than a million flows.
const MOST_BYTES: usize = 512 << 20;
/// Bytes of the columns of a row in memory, about.
pub(super) const ROW_BYTES: usize = 200;
/// Bytes of what only some rows have, about, with the lists in it.
const EXTRA_BYTES: usize = size_of::<Extra>() + 64;

/// Judges that a thread keeps of pieces that were decoded before.
const MOST_JUDGES: usize = 8;

/// A place to keep what is read.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// Nobody has read yet.
    #[default]
    Nothing,
    Whole(Arc<Whole>),
    /// It is more than fits.
    TooMuch,
}

/// All that was read, in order.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// When each input begins, where it says.
    pub(super) starts: Vec<Option<i64>>,
    pub(super) steps: Vec<HeldStep>,
}

/// A step of reading, as it was taken.
#[derive(Clone, Debug)]
pub(super) enum HeldStep {
    /// A piece of an input, decoded.
    Piece(HeldPiece),
    /// An input has ended.
    Ended(usize),
    /// What an input held beside flows.
    Sorted(usize, PieceReport),
}

/// A piece as it was decoded.
#[derive(Clone, Debug)]
pub(super) struct HeldPiece {
    pub(super) input: usize,
    /// Those that were read for it.
    pub(super) bytes: u64,
    pub(super) report: PieceReport,
    pub(super) batches: Vec<Arc<FlowBatch>>,
}

impl HeldPiece {
    pub(super) fn rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.len()).sum()
    }
}

impl Held {
    /// What was read, where all of it is here.
    pub(super) fn whole(&self) -> Option<Arc<Whole>> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Whole(whole) => Some(whole.clone()),
            State::Nothing | State::TooMuch => None,
        }
    }

    /// Takes what is read from now on; `None` where it did not fit before.
    pub(super) fn holder(&self, starts: Vec<Option<i64>>) -> Option<Holder> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, State::Nothing).then(|| Holder {
            whole: Some(Whole {
                starts,
                steps: Vec::new(),
            }),
            bytes: 0,
            epochs: BTreeSet::new(),
        })
    }

    /// Keeps what was taken, once all was read.
    pub(super) fn keep(&self, holder: Holder) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match holder.whole {
            Some(whole) => State::Whole(Arc::new(whole)),
            None => State::TooMuch,
        };
    }
}

/// Takes steps one after the other, as long as they fit.
pub(super) struct Holder {
    /// `None` once it is too much.
    whole: Option<Whole>,
    bytes: usize,
    /// Dictionaries that batches share.
    epochs: BTreeSet<u64>,
}

impl Holder {
    pub(super) fn piece(&mut self, piece: impl FnOnce() -> HeldPiece) {
        let Some(whole) = &mut self.whole else { return };
        let piece = piece();
        for batch in &piece.batches {
            let extras = batch.rows().filter(|row| row.extra().is_some()).count();
            self.bytes += batch.len() * ROW_BYTES + extras * EXTRA_BYTES;
            if self.epochs.insert(batch.dictionaries().epoch()) {
                self.bytes += dictionary_bytes(threads()) / 2;
            }
        }
        whole.steps.push(HeldStep::Piece(piece));
        if self.bytes > MOST_BYTES {
            self.whole = None;
        }
    }

    /// A step that is no piece.
    pub(super) fn step(&mut self, step: &Step) {
        let step = match step {
            Step::Ended(input) => HeldStep::Ended(*input),
            Step::Sorted(input, report) => HeldStep::Sorted(*input, report.clone()),
            // What cannot be read is not asked for again.
            Step::Failed(..) | Step::Piece(..) | Step::Rows(..) => return,
        };
        if let Some(whole) = &mut self.whole {
            whole.steps.push(step);
        }
    }
}

/// Judges of one thread. Whoever decodes judges in one's own words, all the time; pieces that
/// are held were decoded by several, and what a judge remembers is of one of them.
pub(super) struct Judges<J> {
    make: Arc<dyn Fn() -> J + Send + Sync>,
    /// By the epoch of dictionaries, the newest last.
    all: Vec<(u64, J)>,
}

impl<J> Judges<J> {
    pub(super) fn new(make: Arc<dyn Fn() -> J + Send + Sync>) -> Self {
        Self {
            make,
            all: Vec::new(),
        }
    }

    /// The one that goes through all epochs.
    pub(super) fn own(&mut self) -> &mut J {
        self.of(0)
    }

    /// The one of an epoch.
    pub(super) fn of(&mut self, epoch: u64) -> &mut J {
        let known = self.all.iter().position(|(of, _)| *of == epoch);
        let at = known.unwrap_or_else(|| {
            let judge = if self.all.len() < MOST_JUDGES {
                (self.make)()
            } else {
                // It forgets what is of another epoch by itself.
                self.all.remove(0).1
            };
            self.all.push((epoch, judge));
            self.all.len() - 1
        });
        &mut self.all[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(input: usize) -> HeldPiece {
        HeldPiece {
            input,
            bytes: 1,
            report: PieceReport::default(),
            batches: vec![Arc::new(FlowBatch::default())],
        }
    }

    #[test]
    fn what_was_read_whole_is_there_again_in_order() {
        let held = Held::default();
        assert!(held.whole().is_none());
        let mut holder = held.holder(vec![None, Some(7)]).unwrap();
        holder.piece(|| piece(1));
        holder.step(&Step::Ended(1));
        holder.step(&Step::Sorted(0, PieceReport::default()));
        // Nobody finished yet.
        assert!(held.whole().is_none());
        held.keep(holder);
        let whole = held.whole().unwrap();
        assert_eq!(whole.starts, [None, Some(7)]);
        let steps: Vec<usize> = whole
            .steps
            .iter()
            .map(|step| match step {
                HeldStep::Piece(piece) => piece.input,
                HeldStep::Ended(input) => 10 + input,
                HeldStep::Sorted(input, _) => 20 + input,
            })
            .collect();
        assert_eq!(steps, [1, 11, 20]);
        assert!(held.holder(Vec::new()).is_none());
    }

    /// Guarantees: each epoch keeps its judge, and there are not more than the bound.
    #[test]
    fn every_epoch_has_a_judge_as_long_as_there_is_room() {
        let made = std::sync::atomic::AtomicUsize::new(0);
        let mut judges = Judges::new(Arc::new(move || {
            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
        }));
        let first = *judges.of(7);
        assert_ne!(*judges.of(8), first);
        assert_eq!(*judges.of(7), first);
        for epoch in 100..200 {
            assert!(*judges.of(epoch) < MOST_JUDGES);
        }
    }

    #[test]
    fn what_does_not_fit_is_forgotten_and_not_tried_again() {
        let held = Held::default();
        let mut holder = held.holder(Vec::new()).unwrap();
        holder.bytes = MOST_BYTES;
        holder.piece(|| piece(0));
        holder.step(&Step::Ended(0));
        held.keep(holder);
        assert!(held.whole().is_none());
        assert!(held.holder(Vec::new()).is_none());
    }
}
