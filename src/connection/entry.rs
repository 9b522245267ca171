//! A connection while it is open.
//!
//! Owns what is remembered of it, in as few bytes as it takes, and how one more flow changes
//! that. What a flow adds does not depend on what came before it within a second: counts,
//! flags and maxima, and the strongest evidence.

use std::net::IpAddr;

use super::attempt::{Pairs, Record};
use super::key::Key;
use super::names::Party;
use super::pool::NONE;
use super::record::Outcome;
use super::sight::{Certainty, Event, Sight, reason_of};
use crate::flow::{DropReason, NO_TIME, Protocol, RowRef, TracePoint, Verdict, flags};
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
const BUSY: i64 = 5 * SECOND;
/// No time relative to the beginning.
const NEVER: i32 = i32::MIN;

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
}

/// A node that saw the connection, by its own clock.
#[derive(Clone, Copy, Debug)]
struct Point {
    node: u32,
    /// Newest packet there that opens, else the first one.
    since: i32,
    closed: i32,
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

/// One direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct SideState {
    pub(super) node: u32,
    /// In the pool of what was recorded.
    pub(super) recorded: u32,
    /// In the pool of what was computed.
    pub(super) judged: u32,
    pub(super) pairs: Pairs,
    pub(super) recorded_rank: u8,
    pub(super) judged_rank: u8,
    pub(super) gap: u8,
    pub(super) drift: bool,
}

impl Default for SideState {
    fn default() -> Self {
        Self {
            node: 0,
            recorded: NONE,
            judged: NONE,
            pairs: Pairs::default(),
            recorded_rank: 0,
            judged_rank: 0,
            gap: 0,
            drift: false,
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
    drop_reason: i32,
    busy_tick: u32,
    pub(super) busy: u16,
    /// SYNs, or new entries of connection tracking, by node and trace point.
    openings: [[u8; 7]; 2],
    points: [Point; 2],
    pub(super) egress: SideState,
    pub(super) ingress: SideState,
    /// Counters of aggregated rows, [`NONE`] without.
    pub(super) aggregate: u32,
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
            drop_reason: 0,
            busy_tick: 0,
            busy: 0,
            openings: [[0; 7]; 2],
            points: [Point::default(); 2],
            egress: SideState::default(),
            ingress: SideState::default(),
            aggregate: NONE,
            previous: NONE,
        }
    }

    pub(super) fn has(&self, bit: u32) -> bool {
        self.flags & bit != 0
    }

    fn set(&mut self, bit: u32, on: bool) {
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

    pub(super) fn side(&mut self, direction: Direction) -> &mut SideState {
        match direction {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }

    fn since_base(&self, time: i64) -> i32 {
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

    /// Whether a flow turns client and server round.
    pub(super) fn is_turned_by(&self, sight: &Sight, place: &Place) -> bool {
        let client_is_low = sight.evidence.source_is_client == place.source_is_low;
        self.rows > 0
            && sight.evidence.certainty > self.certainty
            && client_is_low != self.client_is_low()
    }

    /// Turns client and server round where a flow tells better.
    pub(super) fn orient(&mut self, sight: &Sight, place: &Place) {
        let client_is_low = sight.evidence.source_is_client == place.source_is_low;
        if self.rows > 0 && sight.evidence.certainty <= self.certainty {
            return;
        }
        self.certainty = sight.evidence.certainty;
        let turned = self.rows > 0 && client_is_low != self.client_is_low();
        self.flags &= !bits::CLIENT_IS_LOW;
        self.set(bits::CLIENT_IS_LOW, client_is_low);
        if turned {
            self.forget_requests();
        }
    }

    /// What looked like packets of the client were those of the server: nothing asked for
    /// the connection yet. What the sides hold in pools has to be let go of before.
    fn forget_requests(&mut self) {
        (self.client, self.server) = (Party::UNKNOWN, Party::UNKNOWN);
        (self.client_rank, self.server_rank) = (0, 0);
        let nodes = (self.ingress.node, self.egress.node);
        (self.egress, self.ingress) = (SideState::default(), SideState::default());
        (self.egress.node, self.ingress.node) = nodes;
        self.openings = [[0; 7]; 2];
        self.flags &= !(bits::OPENED | bits::FIRST_SEEN);
    }

    /// Adds a flow. Its orientation has been added before.
    pub(super) fn add(&mut self, row: RowRef<'_>, sight: &Sight, place: &Place) {
        let from_client = self.client_is_low() == place.source_is_low;
        self.rows = self.rows.saturating_add(1);
        if let Some(hash) = place.reference {
            self.reference_hash = hash;
            self.reference_node = place.node;
        }
        self.add_time(place);
        self.add_point(sight, place);
        let side = sight.side(from_client);
        if let Some(side) = side {
            let node = &mut self.side(side).node;
            if *node == 0 {
                *node = place.node;
            }
        }
        self.add_state(row, sight, place.source_is_low);
        if sight.opens && from_client {
            self.set(bits::OPENED, true);
            self.add_attempt(sight, place);
        }
        if self.rows == 1
            && self.key.protocol != Protocol::Tcp
            && !sight.established
            && !self.has(bits::RESUMED)
        {
            self.set(bits::FIRST_SEEN, from_client);
        }
    }

    fn add_time(&mut self, place: &Place) {
        if !place.timed {
            return;
        }
        if self.first == NO_TIME || place.time < self.first {
            self.first = place.time;
        }
        self.last = self.last.max(place.time);
        // Unix time fits until the year 2650.
        let tick = place.time.div_euclid(BUSY).clamp(0, i64::from(u32::MAX)) as u32;
        if self.busy == 0 || tick > self.busy_tick {
            self.busy = self.busy.saturating_add(1);
            self.busy_tick = tick;
        }
    }

    fn add_point(&mut self, sight: &Sight, place: &Place) {
        let now = self.since_base(place.time);
        let Some(point) = self
            .points
            .iter_mut()
            .find(|point| point.since == NEVER || point.node == place.node)
        else {
            return;
        };
        if point.since == NEVER {
            (point.node, point.since) = (place.node, now);
        } else if sight.opens {
            point.since = point.since.max(now);
        }
        if sight.fin || sight.rst {
            point.closed = point.closed.max(now);
        }
    }

    fn add_state(&mut self, row: RowRef<'_>, sight: &Sight, source_is_low: bool) {
        let verdict = row.verdict();
        match sight.event {
            Event::Request | Event::Response | Event::Sample => {
                self.set(bits::REQUEST_DENIED, verdict == Verdict::DROPPED);
            }
            Event::PolicyVerdict => {
                self.set(bits::AUDITED, verdict == Verdict::AUDIT);
                self.set(bits::REDIRECTED, verdict == Verdict::REDIRECTED);
                self.add_drop(row, sight);
            }
            Event::Drop | Event::Refusal => self.add_drop(row, sight),
            Event::Trace => {
                self.set(bits::REDIRECTED, sight.point == TracePoint::TO_PROXY);
                self.add_encryption(row, sight.point);
            }
        }
        self.set(bits::ERROR, verdict == Verdict::ERROR);
        self.set(bits::ESTABLISHED, sight.established);
        self.set(bits::RESET, sight.rst);
        let (from, fin) = if source_is_low {
            (bits::FROM_LOW, bits::FIN_LOW)
        } else {
            (bits::FROM_HIGH, bits::FIN_HIGH)
        };
        self.set(fin, sight.fin);
        let is_packet = !sight.refused && verdict != Verdict::ERROR && sight.event != Event::Drop;
        self.set(from, is_packet);
    }

    fn add_drop(&mut self, row: RowRef<'_>, sight: &Sight) {
        if !sight.refused {
            return;
        }
        let by_policy = super::sight::is_policy(row);
        let reason = reason_of(row).0;
        if !self.has(bits::DROPPED)
            || (by_policy && !self.has(bits::DROPPED_BY_POLICY))
            || (self.drop_reason == 0 && by_policy == self.has(bits::DROPPED_BY_POLICY))
        {
            self.drop_reason = reason;
        }
        self.set(bits::DROPPED, true);
        self.set(bits::DROPPED_BY_POLICY, by_policy);
    }

    /// Only where packets go to or come from another machine it is known whether they are
    /// encrypted.
    fn add_encryption(&mut self, row: RowRef<'_>, point: TracePoint) {
        if matches!(
            point,
            TracePoint::TO_NETWORK
                | TracePoint::TO_OVERLAY
                | TracePoint::FROM_NETWORK
                | TracePoint::TO_STACK
                | TracePoint::TO_HOST
        ) {
            let encrypted = row.has(flags::ENCRYPTED);
            self.set(bits::ENCRYPTED, encrypted);
            self.set(bits::PLAIN, !encrypted);
        }
    }

    fn add_attempt(&mut self, sight: &Sight, place: &Place) {
        let now = self.since_base(place.time);
        let record = match sight.event {
            Event::PolicyVerdict => Record::Verdict,
            Event::Drop => Record::Drop,
            Event::Refusal => Record::Either,
            Event::Trace => {
                let at = match sight.point {
                    TracePoint::TO_PROXY => 0,
                    TracePoint::TO_HOST => 1,
                    TracePoint::TO_STACK => 2,
                    TracePoint::TO_OVERLAY => 3,
                    TracePoint::TO_NETWORK => 4,
                    TracePoint::TO_ENDPOINT => 5,
                    _ => 6,
                };
                let seen = self
                    .points
                    .iter()
                    .position(|point| point.node == place.node && point.since != NEVER);
                if let Some(seen) = seen {
                    let count = &mut self.openings[seen][at];
                    *count = count.saturating_add(1);
                }
                return;
            }
            _ => return,
        };
        let side = sight.direction.unwrap_or(Direction::Egress);
        self.side(side).pairs.add(record, now);
    }

    /// Whether its beginning was seen.
    pub(super) fn is_opened(&self) -> bool {
        self.has(bits::OPENED) || self.has(bits::FIRST_SEEN)
    }

    /// Packets that asked for it.
    pub(super) fn attempts(&self) -> u32 {
        let refused = self.egress.pairs.count().max(self.ingress.pairs.count());
        let passed = self
            .openings
            .as_flattened()
            .iter()
            .max()
            .copied()
            .unwrap_or_default();
        refused
            .max(u32::from(passed))
            .max(u32::from(self.is_opened()))
    }

    pub(super) fn outcome(&self) -> Outcome {
        let answered = self.answered();
        if self.has(bits::ERROR) && !answered {
            Outcome::Error
        } else if self.has(bits::DROPPED) && !answered {
            Outcome::Dropped(DropReason(self.drop_reason))
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
        assert!(size <= 232, "{size}");
    }
}
