//! Remembering decisions: the same connections are opened again and again.
//!
//! Owns a table in front of [`Compiled::decide`], of fixed size and without a list: an
//! entry is overwritten by the next one that falls on it. One a thread.

use super::compile::Compiled;
use super::entry::Direction;
use super::verdict::Decision;
use super::world::IdentityIndex;

const SLOTS: usize = 1 << 16;

/// A connection that policy is asked about, from the side of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Decisions of one thread, 64 Ki of them.
#[derive(Debug)]
pub struct Memo {
    slots: Box<[Slot]>,
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
            slots: vec![empty; SLOTS].into(),
        }
    }

    /// As [`Compiled::decide`]. What was remembered of other policies, or of the same in
    /// another generation, does not count.
    #[inline]
    pub fn decide(&mut self, compiled: &Compiled, question: Question) -> Decision {
        self.remember(compiled.generation(), question, || {
            let Question {
                subject,
                direction,
                peer,
                protocol,
                port,
            } = question;
            compiled.decide(subject, direction, peer, protocol, port)
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
        let rest = (generation & 0x7f_ffff_ffff) << 24
            | u64::from(question.protocol) << 16
            | u64::from(question.port)
            | u64::from(question.direction == Direction::Egress) << 63;
        let hash = (ends ^ rest.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = (hash >> 48) as usize;
        if let Some(known) = self.slots.get(slot)
            && known.ends == ends
            && known.rest == rest
        {
            return known.decision;
        }
        let decision = decide();
        if let Some(known) = self.slots.get_mut(slot) {
            *known = Slot {
                ends,
                rest,
                decision,
            };
        }
        decision
    }
}

impl Default for Memo {
    fn default() -> Self {
        Self::new()
    }
}
