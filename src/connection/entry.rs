//! A connection while it is open.
//!
//! Owns what is remembered of it, in as few bytes as it takes, and what follows from that.
//! How one more flow changes it is `growth`'s.

use std::net::IpAddr;

use super::key::Key;
use super::names::Party;
use super::pool::NONE;
use super::record::Outcome;
use super::sight::{Certainty, Event, Sight};
use crate::flow::{DropReason, NO_TIME, Protocol, TracePoint};
use crate::policy::{Direction, Gap};

/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;
/// Idle time after which an unanswered connection, a closed one, or one that is not TCP has
/// ended. SYN retries are up to 32 s apart.
pub(super) const SHORT: i64 = 60 * SECOND;
/// Idle time that connection tracking keeps an established TCP connection for.
pub(super) const LONG: i64 = 8_000 * SECOND;
/// Grain of times relative to a connection's beginning.
const GRAIN: i64 = 100_000;
/// A connection that was answered is not asked for again this long after; in [`GRAIN`]s.
const ASKED_AGAIN: i32 = 10_000;
/// A tick of `busy`.
pub(super) const BUSY: i64 = 5 * SECOND;
/// No time relative to the beginning.
pub(super) const NEVER: i32 = i32::MIN;

/// What was seen, as bits.
pub(super) mod bits {
    pub(crate) const CLIENT_IS_LOW: u32 = 1;
    pub(crate) const FROM_LOW: u32 = 1 << 1;
    pub(crate) const FROM_HIGH: u32 = 1 << 2;
    pub(crate) const OPENED: u32 = 1 << 3;
    pub(crate) const ESTABLISHED: u32 = 1 << 4;
    pub(crate) const FIN_LOW: u32 = 1 << 5;
    pub(crate) const FIN_HIGH: u32 = 1 << 6;
    pub(crate) const RESET: u32 = 1 << 7;
    pub(crate) const ENCRYPTED: u32 = 1 << 8;
    pub(crate) const PLAIN: u32 = 1 << 9;
    pub(crate) const DROPPED: u32 = 1 << 10;
    pub(crate) const DROPPED_BY_POLICY: u32 = 1 << 11;
    pub(crate) const AUDITED: u32 = 1 << 12;
    pub(crate) const REQUEST_DENIED: u32 = 1 << 13;
    pub(crate) const ERROR: u32 = 1 << 14;
    pub(crate) const REDIRECTED: u32 = 1 << 15;
    pub(crate) const ALONE: u32 = 1 << 16;
    /// It is waited for in the queue of long ones.
    pub(crate) const QUEUED_LONG: u32 = 1 << 17;
    /// Another connection has taken its place.
    pub(crate) const REPLACED: u32 = 1 << 18;
    /// The first flow of it is of something without connection tracking, or untold.
    pub(crate) const FIRST_SEEN: u32 = 1 << 19;
    /// One of its tuple was let go of for want of room.
    pub(crate) const RESUMED: u32 = 1 << 20;
    /// It was given out as opened.
    pub(crate) const TOLD: u32 = 1 << 21;
    /// More than a reset came from the low end, or from the high one.
    pub(crate) const SPOKE_LOW: u32 = 1 << 22;
    pub(crate) const SPOKE_HIGH: u32 = 1 << 23;
}

/// A node that saw the connection, by its own clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) node: u32,
    /// Newest packet there that opens, else the first one.
    pub(super) since: i32,
    pub(super) closed: i32,
}

impl Default for Point {
    fn default() -> Self {
        Self {
            node: 0,
            since: NEVER,
            closed: NEVER,
        }
    }
}

/// Recorded and computed verdict disagree.
pub(super) const DRIFT: u8 = 1;
/// The same, and the flow is older than a policy that takes part.
pub(super) const CHANGED: u8 = 1 << 1;

/// One direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct SideState {
    pub(super) node: u32,
    /// In the pool of what was recorded.
    pub(super) recorded: u32,
    /// In the pool of what was computed.
    pub(super) judged: u32,
    pub(super) recorded_rank: u8,
    pub(super) judged_rank: u8,
    pub(super) gap: u8,
    /// [`DRIFT`] and [`CHANGED`].
    pub(super) differs: u8,
}

impl Default for SideState {
    fn default() -> Self {
        Self {
            node: 0,
            recorded: NONE,
            judged: NONE,
            recorded_rank: 0,
            judged_rank: 0,
            gap: 0,
            differs: 0,
        }
    }
}

/// A connection.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) certainty: Certainty,
    pub(super) client_rank: u8,
    pub(super) server_rank: u8,
    pub(super) client: Party,
    pub(super) server: Party,
    /// Clock of the fold when it began: what times are relative to.
    base: i64,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) reference_hash: u64,
    pub(super) reference_node: u32,
    pub(super) flags: u32,
    pub(super) rows: u32,
    pub(super) exchanges: u32,
    pub(super) service: u32,
    pub(super) busy_tick: u32,
    pub(super) busy: u16,
    /// SYNs, or new entries of connection tracking, by node and trace point.
    pub(super) openings: [[u8; 7]; 2],
    pub(super) points: [Point; 2],
    pub(super) egress: SideState,
    pub(super) ingress: SideState,
    /// Counters of aggregated rows, [`NONE`] without.
    pub(super) aggregate: u32,
    /// What is remembered of packets that policy was asked about, [`NONE`] without.
    pub(super) asked: u32,
    /// The connection of the same tuple before this one, as long as flows of it may come.
    pub(super) previous: u32,
}

/// What one more flow is, beside what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its time, or the fold's clock where it has none.
    pub(super) time: i64,
    pub(super) timed: bool,
    pub(super) node: u32,
    pub(super) source_is_low: bool,
    /// The hash of its tuple, where it is the one the connection is named by.
    pub(super) reference: Option<u64>,
}

impl Entry {
    pub(super) fn new(key: Key, place: &Place) -> Self {
        Self {
            key,
            certainty: Certainty::AsSent,
            client_rank: 0,
            server_rank: 0,
            client: Party::UNKNOWN,
            server: Party::UNKNOWN,
            base: place.time,
            first: NO_TIME,
            last: NO_TIME,
            reference_hash: 0,
            reference_node: 0,
            flags: 0,
            rows: 0,
            exchanges: 0,
            service: 0,
            busy_tick: 0,
            busy: 0,
            openings: [[0; 7]; 2],
            points: [Point::default(); 2],
            egress: SideState::default(),
            ingress: SideState::default(),
            aggregate: NONE,
            asked: NONE,
            previous: NONE,
        }
    }

    pub(super) fn has(&self, bit: u32) -> bool {
        self.flags & bit != 0
    }

    pub(super) fn set(&mut self, bit: u32, on: bool) {
        if on {
            self.flags |= bit;
        }
    }

    /// Time it was last seen by the fold's clock.
    pub(super) fn seen(&self) -> i64 {
        if self.last == NO_TIME {
            self.base
        } else {
            self.last
        }
    }

    pub(super) fn began(&self) -> i64 {
        if self.first == NO_TIME {
            self.base
        } else {
            self.first
        }
    }

    /// How long it may be silent without having ended.
    pub(super) fn window(&self) -> i64 {
        if self.is_long() { LONG } else { SHORT }
    }

    pub(super) fn is_long(&self) -> bool {
        let closed = self.has(bits::RESET) || (self.has(bits::FIN_LOW) && self.has(bits::FIN_HIGH));
        self.key.protocol == Protocol::Tcp
            && !closed
            && (self.has(bits::ESTABLISHED) || self.answered())
    }

    pub(super) fn client_is_low(&self) -> bool {
        self.has(bits::CLIENT_IS_LOW)
    }

    pub(super) fn answered(&self) -> bool {
        self.has(if self.client_is_low() {
            bits::FROM_HIGH
        } else {
            bits::FROM_LOW
        })
    }

    /// Whether all that came back was a reset.
    pub(super) fn refused(&self) -> bool {
        let spoke = if self.client_is_low() {
            bits::SPOKE_HIGH
        } else {
            bits::SPOKE_LOW
        };
        self.has(bits::RESET) && self.answered() && !self.has(spoke)
    }

    pub(super) fn side(&mut self, direction: Direction) -> &mut SideState {
        match direction {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }

    pub(super) fn since_base(&self, time: i64) -> i32 {
        let grains = time.saturating_sub(self.base) / GRAIN;
        i32::try_from(grains).unwrap_or(if grains < 0 { NEVER + 1 } else { i32::MAX })
    }

    /// Whether a node has seen it.
    pub(super) fn is_seen_by(&self, node: u32) -> bool {
        self.points
            .iter()
            .any(|point| point.node == node && point.since != NEVER)
    }

    /// Whether a packet must be the first of another connection of the same tuple: one that
    /// begins, on a node where this connection was closed before, or answered more than a
    /// second before. Each node's clock is compared with itself alone.
    pub(super) fn is_over_for(&self, sight: &Sight, place: &Place) -> bool {
        if !sight.begins {
            return false;
        }
        let Some(point) = self
            .points
            .iter()
            .find(|point| point.node == place.node && point.since != NEVER)
        else {
            return false;
        };
        // The proxy opens the connection behind it on its own, when it likes.
        if self.has(bits::REDIRECTED)
            && sight.event == Event::Trace
            && sight.point != TracePoint::TO_PROXY
        {
            return false;
        }
        let now = self.since_base(place.time);
        if point.closed != NEVER && now > point.closed {
            return true;
        }
        // A SYN that is no new entry of connection tracking may be a retry whose answer was
        // lost: then nothing but SYNs was seen.
        let told = sight.is_new || self.has(bits::ESTABLISHED);
        told && (self.answered() || self.has(bits::ESTABLISHED))
            && now.saturating_sub(point.since) > ASKED_AGAIN
    }

    /// Whether its beginning was seen.
    pub(super) fn is_opened(&self) -> bool {
        self.has(bits::OPENED) || self.has(bits::FIRST_SEEN)
    }

    /// Packets that asked for it; policy was asked about so many.
    pub(super) fn attempts(&self, asked: u32) -> u32 {
        let passed = self
            .openings
            .as_flattened()
            .iter()
            .max()
            .copied()
            .unwrap_or_default();
        asked
            .max(u32::from(passed))
            .max(u32::from(self.is_opened()))
    }

    pub(super) fn outcome(&self, reason: DropReason) -> Outcome {
        let answered = self.answered();
        if self.has(bits::ERROR) && !answered {
            Outcome::Error
        } else if self.has(bits::DROPPED) && !answered {
            Outcome::Dropped(reason)
        } else if self.has(bits::AUDITED) {
            Outcome::Audited
        } else if self.has(bits::REQUEST_DENIED) {
            Outcome::RequestDenied
        } else {
            Outcome::Forwarded
        }
    }

    /// Addresses of client and server.
    pub(super) fn addresses(&self) -> (Option<IpAddr>, Option<IpAddr>) {
        let (client, server) = self.key.ends(self.client_is_low());
        (client.address(), server.address())
    }
}

/// A gap as a number, 0 for none.
pub(super) fn gap_number(gap: Option<Gap>) -> u8 {
    match gap {
        None => 0,
        Some(Gap::NotSelected) => 1,
        Some(Gap::NoDefaultDeny) => 2,
        Some(Gap::OnlyBroad) => 3,
    }
}

/// The gap of a number.
pub(super) fn gap_of(number: u8) -> Option<Gap> {
    match number {
        1 => Some(Gap::NotSelected),
        2 => Some(Gap::NoDefaultDeny),
        3 => Some(Gap::OnlyBroad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guarantees: the documented bound of memory.
    #[test]
    fn an_entry_takes_no_more_than_its_bound() {
        let size = size_of::<Entry>();
        assert!(size <= 192, "{size}");
    }
}
