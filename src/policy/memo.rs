//! Remembering decisions: the same connections are opened again and again.
//!
//! Owns a table in front of [`Compiled::decide`], of fixed size and without a list: an
//! entry is overwritten by the next one that falls on it. One a thread.

use super::compile::Compiled;
use super::entry::Direction;
use super::verdict::Decision;
use super::world::IdentityIndex;

const SLOTS: usize = 1 << 16;

/// Decisions of one thread.
#[derive(Debug)]
pub struct Judge {
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

impl Judge {
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
    pub fn decide(
        &mut self,
        compiled: &Compiled,
        subject: IdentityIndex,
        direction: Direction,
        peer: IdentityIndex,
        protocol: u8,
        port: u16,
    ) -> Decision {
        let ends = u64::from(subject.0) << 32 | u64::from(peer.0);
        let rest = (compiled.generation() & 0x7f_ffff_ffff) << 24
            | u64::from(protocol) << 16
            | u64::from(port)
            | u64::from(direction == Direction::Egress) << 63;
        let hash = (ends ^ rest.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = (hash >> 48) as usize;
        if let Some(known) = self.slots.get(slot)
            && known.ends == ends
            && known.rest == rest
        {
            return known.decision;
        }
        let decision = compiled.decide(subject, direction, peer, protocol, port);
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

impl Default for Judge {
    fn default() -> Self {
        Self::new()
    }
}
