//! Remembering decisions: the same connections are opened again and again.
//!
//! Owns a table in front of [`Compiled::decide`], of fixed size: sets of a few slots, and a
//! question belongs to one set. One a thread.
//!
//! A miss costs more the more policies there are, a hit does not. So that the time of a flow
//! does not grow with them, questions that are asked over and over must not push each other
//! out while there is room.

use super::compile::Compiled;
use super::entry::Direction;
use super::verdict::Decision;
use super::world::IdentityIndex;

/// Sets, as a power of two.
const SETS_LOG: u32 = 14;
/// Slots of a set. Of 5,000 questions about fifty would fall on a set of two with two
/// others or more, and these push each other out for ever. Of sets of four, one or two.
const WAYS: usize = 4;

/// Which bits of [`Slot::rest`] are the generation.
const GENERATION: u64 = 0x7fff_ffff_ff00_0000;

/// A connection that policy is asked about, from the side of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Whose policy.
    pub subject: IdentityIndex,
    /// Which way the connection is opened.
    pub direction: Direction,
    /// The other end.
    pub peer: IdentityIndex,
    /// IANA number.
    pub protocol: u8,
    /// Destination port after translation by Services, or ICMP type.
    pub port: u16,
}

/// Decisions of one thread: 64 Ki of them, 4 MiB.
#[derive(Debug)]
pub struct Memo {
    sets: Box<[[Slot; WAYS]]>,
    /// Counts what was overwritten: which slot of a full set is next.
    overwritten: usize,
}

/// One line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Slot {
    ends: u64,
    /// Generation, protocol, direction and port. Never all ones, which is an empty slot.
    rest: u64,
    decision: Decision,
}

impl Memo {
    /// Starts with nothing remembered.
    #[must_use]
    pub fn new() -> Self {
        let empty = Slot {
            ends: u64::MAX,
            rest: u64::MAX,
            decision: Decision::plain(false, super::Verdict::Allowed),
        };
        Self {
            sets: vec![[empty; WAYS]; 1 << SETS_LOG].into(),
            overwritten: 0,
        }
    }

    /// As [`Compiled::decide`]. What was remembered of other policies, or of the same in
    /// another generation, does not count.
    #[inline]
    pub fn decide(&mut self, compiled: &Compiled, question: Question) -> Decision {
        self.remember(compiled.generation(), question, || {
            compiled.answer(&question)
        })
    }

    /// What was decided before in this generation, else what `decide` says. For policies
    /// that are behind a lock, which a decision of before does not need.
    #[inline]
    pub fn remember(
        &mut self,
        generation: u64,
        question: Question,
        decide: impl FnOnce() -> Decision,
    ) -> Decision {
        let ends = u64::from(question.subject.0) << 32 | u64::from(question.peer.0);
        let rest = (generation << 24 & GENERATION)
            | u64::from(question.protocol) << 16
            | u64::from(question.port)
            | u64::from(question.direction == Direction::Egress) << 63;
        let hash = (ends ^ rest.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let Some(set) = self.sets.get_mut((hash >> (64 - SETS_LOG)) as usize) else {
            return decide();
        };
        let known = set
            .iter()
            .find(|slot| slot.ends == ends && slot.rest == rest);
        if let Some(known) = known {
            return known.decision;
        }
        let decision = decide();
        let slot = Slot {
            ends,
            rest,
            decision,
        };
        keep(set, slot, &mut self.overwritten);
        decision
    }
}

impl Default for Memo {
    fn default() -> Self {
        Self::new()
    }
}

/// Puts a decision where nothing is that still counts, else in the place of another one:
/// of each in turn, so that what is no longer asked about goes in the end.
#[cold]
fn keep(set: &mut [Slot; WAYS], new: Slot, overwritten: &mut usize) {
    let generation = |slot: &Slot| slot.rest & GENERATION;
    let free = set
        .iter()
        .position(|slot| generation(slot) != generation(&new));
    let place = free.unwrap_or_else(|| {
        *overwritten = overwritten.wrapping_add(1);
        *overwritten % WAYS
    });
    if let Some(slot) = set.get_mut(place) {
        *slot = new;
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::{RulesId, Verdict};
    use super::*;

    /// Pairs of pods with a few ports, numbered densely as compiling does.
    fn question(number: u32) -> Question {
        Question {
            subject: IdentityIndex(number % 2_003),
            direction: [Direction::Ingress, Direction::Egress][(number / 7 % 2) as usize],
            peer: IdentityIndex(number.wrapping_mul(7_919) % 4_001),
            protocol: [6, 17][(number / 5 % 2) as usize],
            port: [53, 443, 5432, 8080][(number / 3 % 4) as usize],
        }
    }

    fn answer(number: u32) -> Decision {
        Decision {
            rules: RulesId(number),
            ..Decision::plain(true, Verdict::Allowed)
        }
    }

    /// Asks for each question, and counts those that had to be decided.
    fn asked(memo: &mut Memo, generation: u64, numbers: std::ops::Range<u32>) -> usize {
        let mut decided = 0;
        for number in numbers {
            let got = memo.remember(generation, question(number), || {
                decided += 1;
                answer(number)
            });
            assert_eq!(got, answer(number));
        }
        decided
    }

    /// Scenario: as many questions as a twelfth of the slots, round after round.
    /// Guarantees: hardly any is decided twice, though some fall on one place.
    #[test]
    fn questions_do_not_push_each_other_out_while_there_is_room() {
        let mut memo = Memo::new();
        assert_eq!(asked(&mut memo, 1, 0..5_500), 5_500);
        for _ in 0..3 {
            let again = asked(&mut memo, 1, 0..5_500);
            assert!(again <= 6, "{again} of 5500 were decided again");
        }
    }

    #[test]
    fn more_questions_than_slots_are_answered_rightly() {
        let mut memo = Memo::new();
        for _ in 0..2 {
            assert!(asked(&mut memo, 1, 0..200_000) > 100_000);
        }
    }

    #[test]
    fn another_generation_does_not_count_and_gives_its_room_back() {
        let mut memo = Memo::new();
        asked(&mut memo, 1, 0..200_000);
        assert_eq!(asked(&mut memo, 2, 0..5_500), 5_500);
        let again = asked(&mut memo, 2, 0..5_500);
        assert!(again <= 6, "{again} of 5500 were decided again");
    }

    #[test]
    fn what_is_no_longer_asked_about_makes_room() {
        let mut memo = Memo::new();
        asked(&mut memo, 1, 0..200_000);
        for _ in 0..8 {
            asked(&mut memo, 1, 300_000..305_500);
        }
        let again = asked(&mut memo, 1, 300_000..305_500);
        assert!(again <= 6, "{again} of 5500 were decided again");
    }
}
