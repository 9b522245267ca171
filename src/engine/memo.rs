//! Decisions that were made before, found by what was asked.
//!
//! Owns a direct-mapped table: a later question may push an earlier one out. It is void as
//! soon as its generation is not the policies'. 1.5 MiB a thread.

use crate::policy::{Decision, Direction, IdentityIndex};

/// Slots; a power of two.
const SLOTS: usize = 1 << 15;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) subject: IdentityIndex,
    pub(super) peer: IdentityIndex,
    pub(super) direction: Direction,
    pub(super) protocol: u8,
    pub(super) port: u16,
}

#[derive(Debug)]
pub(super) struct Memo {
    generation: u64,
    slots: Vec<Option<(Question, Decision)>>,
}

impl Memo {
    pub(super) fn new() -> Self {
        Self {
            generation: 0,
            slots: vec![None; SLOTS],
        }
    }

    /// The decision of before, else the one `decide` makes.
    pub(super) fn get(
        &mut self,
        generation: u64,
        question: Question,
        decide: impl FnOnce() -> Decision,
    ) -> Decision {
        if generation != self.generation {
            self.slots.fill(None);
            self.generation = generation;
        }
        let slot = &mut self.slots[slot(question)];
        if let Some((asked, decision)) = slot
            && *asked == question
        {
            return *decision;
        }
        let decision = decide();
        *slot = Some((question, decision));
        decision
    }
}

fn slot(question: Question) -> usize {
    let low = u64::from(question.subject.0) << 32 | u64::from(question.peer.0);
    let high = u64::from(question.port) << 16
        | u64::from(question.protocol) << 8
        | question.direction as u64;
    let mixed = (low ^ high.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - SLOTS.trailing_zeros())) as usize
}
