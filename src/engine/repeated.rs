//! What the policies say of flows that ask what others asked before.
//!
//! Owns a table of fixed size in front of the judge. Most flows are about connections that
//! many others are about too: the same event between the same endpoints on the same port.
//! For how long an answer holds is the judge's to say. One a thread.

use super::asking::Asking;
use super::event::{Event, Recorded};
use super::request::RequestIds;
use crate::connection::JudgedSide;
use crate::flow::RowRef;
use crate::policy::Direction;

/// Answers that are remembered, as a power of two.
const SLOTS_LOG: u32 = 15;

/// Says what goes with a row through the fold.
pub trait SideJudge {
    /// For how long that holds.
    type Holds: Copy;

    /// What goes with a row, and for how long it holds of every row between the same
    /// endpoints that asks the same; `None` where it hangs on more than that.
    fn side(
        &mut self,
        row: RowRef<'_>,
        asking: Asking,
    ) -> Option<(JudgedSide, Option<Self::Holds>)>;

    /// Whether what was said holds still, for a row that asks the same.
    fn holds(&mut self, row: RowRef<'_>, asking: Asking, holds: Self::Holds) -> bool;
}

/// Answers of one thread: 32 Ki of them, some 6 MiB.
#[derive(Debug)]
pub struct Repeated<H> {
    epoch: Option<u64>,
    /// Counts batches: places are those in what was said of one.
    batch: u64,
    slots: Vec<Option<Slot<H>>>,
}

impl<H> Default for Repeated<H> {
    fn default() -> Self {
        Self {
            epoch: None,
            batch: 0,
            slots: Vec::new(),
        }
    }
}

/// A question in the numbers of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    source: u32,
    destination: u32,
    /// Port, protocol, event.
    rest: u32,
    /// Of a request what it says; only those are remembered that say no more.
    request: Option<RequestIds>,
}

#[derive(Clone, Copy, Debug)]
struct Slot<H> {
    key: Key,
    holds: H,
    side: JudgedSide,
    /// The batch that it was said of last, and where it is among what was said of that.
    batch: u64,
    place: u32,
}

/// An answer that was found.
#[derive(Clone, Copy, Debug)]
struct Found<H> {
    slot: usize,
    holds: H,
}

impl<H: Copy> Repeated<H> {
    /// Where in `said` is what a judge says of a row.
    pub(super) fn place_of<J: SideJudge<Holds = H>>(
        &mut self,
        judge: &mut J,
        row: RowRef<'_>,
        asking: Asking,
        said: &mut Vec<JudgedSide>,
    ) -> Option<u32> {
        let known = self.find(row, asking);
        if let Some(known) = known.filter(|known| judge.holds(row, asking, known.holds)) {
            return self.place(known, said);
        }
        let (side, holds) = judge.side(row, asking)?;
        // What rows next to each other share is kept once.
        if said.last() != Some(&side) {
            said.push(side);
        }
        let place = said.len() as u32 - 1;
        if let Some(holds) = holds {
            self.keep(row, asking, holds, side, place);
        }
        Some(place)
    }

    /// Begins a batch; ids of another epoch mean something else.
    pub(super) fn begin(&mut self, epoch: u64) {
        self.batch += 1;
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.slots.clear();
            self.slots.resize_with(1 << SLOTS_LOG, || None);
        }
    }

    /// What was said of a row that asked the same.
    fn find(&self, row: RowRef<'_>, asking: Asking) -> Option<Found<H>> {
        let key = Key::of(row, asking);
        let slot = key.slot();
        let known = self.slots.get(slot)?.as_ref()?;
        (known.key == key).then_some(Found {
            slot,
            holds: known.holds,
        })
    }

    /// Where in `said` an answer is; it is put there if it was not said of this batch yet.
    fn place(&mut self, found: Found<H>, said: &mut Vec<JudgedSide>) -> Option<u32> {
        let slot = self.slots.get_mut(found.slot)?.as_mut()?;
        if slot.batch != self.batch {
            slot.batch = self.batch;
            slot.place = said.len() as u32;
            said.push(slot.side);
        }
        Some(slot.place)
    }

    /// Remembers an answer.
    fn keep(&mut self, row: RowRef<'_>, asking: Asking, holds: H, side: JudgedSide, place: u32) {
        let key = Key::of(row, asking);
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
    fn of(row: RowRef<'_>, asking: Asking) -> Self {
        let rest = u32::from(asking.port) << 16
            | u32::from(asking.protocol) << 8
            | u32::from(number(asking.event));
        let request = matches!(asking.event, Event::Request { .. });
        Self {
            source: row.source().0,
            destination: row.destination().0,
            rest,
            request: request.then(|| RequestIds::of(row)).flatten(),
        }
    }

    fn slot(self) -> usize {
        let ends = u64::from(self.source) << 32 | u64::from(self.destination);
        let asked = match self.request {
            None => 0,
            Some(RequestIds::Dns(name)) => u64::from(name.0) << 32,
            Some(RequestIds::Http(method, url)) => {
                u64::from(url.0) << 32 | u64::from(method.0).rotate_left(16)
            }
        };
        let mixed = ends.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(self.rest) ^ asked;
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
