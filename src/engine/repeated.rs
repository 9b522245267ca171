//! What the policies say of flows that ask what others asked before.
//!
//! Owns a table of fixed size in front of the judge. Most flows are about connections that
//! many others are about too: the same event between the same endpoints on the same port.
//! For how long an answer holds is the judge's to say. One a thread.

use super::event::{Event, Recorded};
use super::judge::{Asked, Holds};
use crate::connection::JudgedSide;
use crate::flow::RowRef;
use crate::policy::Direction;

/// Answers that are remembered, as a power of two.
const SLOTS_LOG: u32 = 14;

/// Answers of one thread: 16 Ki of them, 2 MiB.
#[derive(Debug, Default)]
pub(super) struct Repeated {
    epoch: Option<u64>,
    /// Counts batches: places are those in what was said of one.
    batch: u64,
    slots: Vec<Option<Slot>>,
}

/// A question in the numbers of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    source: u32,
    destination: u32,
    /// Port, protocol, event.
    rest: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: Key,
    holds: Holds,
    side: JudgedSide,
    /// The batch that it was said of last, and where it is among what was said of that.
    batch: u64,
    place: u32,
}

/// An answer that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    slot: usize,
    pub(super) holds: Holds,
}

impl Repeated {
    /// Begins a batch; ids of another epoch mean something else.
    pub(super) fn begin(&mut self, epoch: u64) {
        self.batch += 1;
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.slots.clear();
            self.slots.resize(1 << SLOTS_LOG, None);
        }
    }

    /// What was said of a row that asked the same.
    pub(super) fn find(&self, row: RowRef<'_>, asked: Asked) -> Option<Found> {
        let key = Key::of(row, asked);
        let slot = key.slot();
        let known = self.slots.get(slot)?.as_ref()?;
        (known.key == key).then_some(Found {
            slot,
            holds: known.holds,
        })
    }

    /// Where in `said` an answer is; it is put there if it was not said of this batch yet.
    pub(super) fn place(&mut self, found: Found, said: &mut Vec<JudgedSide>) -> Option<u32> {
        let slot = self.slots.get_mut(found.slot)?.as_mut()?;
        if slot.batch != self.batch {
            slot.batch = self.batch;
            slot.place = said.len() as u32;
            said.push(slot.side);
        }
        Some(slot.place)
    }

    /// Remembers an answer.
    pub(super) fn keep(
        &mut self,
        row: RowRef<'_>,
        asked: Asked,
        holds: Holds,
        side: JudgedSide,
        place: u32,
    ) {
        let key = Key::of(row, asked);
        if let Some(slot) = self.slots.get_mut(key.slot()) {
            *slot = Some(Slot {
                key,
                holds,
                side,
                batch: self.batch,
                place,
            });
        }
    }
}

impl Key {
    fn of(row: RowRef<'_>, asked: Asked) -> Self {
        let rest = u32::from(asked.port) << 16
            | u32::from(asked.protocol) << 8
            | u32::from(number(asked.event));
        Self {
            source: row.source().0,
            destination: row.destination().0,
            rest,
        }
    }

    fn slot(self) -> usize {
        let ends = u64::from(self.source) << 32 | u64::from(self.destination);
        let mixed = ends.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(self.rest);
        let hash = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
        (hash >> (64 - SLOTS_LOG)) as usize
    }
}

/// A number for each event.
fn number(event: Event) -> u8 {
    let of = |direction: Direction| u8::from(direction == Direction::Egress);
    match event {
        Event::Answer {
            direction,
            recorded,
            maybe_reply,
        } => {
            let recorded = match recorded {
                Recorded::Allowed => 0,
                Recorded::Redirected => 1,
                Recorded::DeniedByDefault => 2,
                Recorded::DeniedByRule => 3,
                Recorded::AuthRequired => 4,
                Recorded::Audited => 5,
            };
            1 << 6 | recorded << 2 | u8::from(maybe_reply) << 1 | of(direction)
        }
        Event::Request { direction, allowed } => 2 << 6 | u8::from(allowed) << 1 | of(direction),
        Event::Passed { direction } => 3 << 6 | of(direction),
        Event::Apart(_) => 0,
    }
}
