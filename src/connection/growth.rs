//! What one more flow changes in a connection.
//!
//! Owns that it does not matter which flows of a second come first: counts, flags and
//! maxima, and the strongest evidence of which end is the client.

use super::attempt::{Asked, Record};
use super::entry::{BUSY, Entry, NEVER, Place, SideState, bits};
use super::names::Party;
use super::pool::NONE;
use super::sight::{Event, Sight, is_policy, reason_of};
use super::slab::Slab;
use crate::flow::{DropReason, NO_TIME, Protocol, RowRef, TracePoint, Verdict, flags};
use crate::policy::Direction;

impl Entry {
    /// Whether a flow turns client and server round.
    pub(super) fn is_turned_by(&self, sight: &Sight, place: &Place) -> bool {
        let client_is_low = sight.evidence.source_is_client == place.source_is_low;
        self.rows > 0
            && sight.evidence.certainty > self.certainty
            && client_is_low != self.client_is_low()
    }

    /// Turns client and server round where a flow tells better.
    pub(super) fn orient(&mut self, sight: &Sight, place: &Place, asked: &mut Slab<Asked>) {
        let client_is_low = sight.evidence.source_is_client == place.source_is_low;
        if self.rows > 0 && sight.evidence.certainty <= self.certainty {
            return;
        }
        self.certainty = sight.evidence.certainty;
        let turned = self.rows > 0 && client_is_low != self.client_is_low();
        self.flags &= !bits::CLIENT_IS_LOW;
        self.set(bits::CLIENT_IS_LOW, client_is_low);
        if turned {
            self.forget_requests(asked);
        }
    }

    /// What looked like packets of the client were those of the server: nothing asked for
    /// the connection yet. What the sides hold in pools has to be let go of before.
    fn forget_requests(&mut self, asked: &mut Slab<Asked>) {
        (self.client, self.server) = (Party::UNKNOWN, Party::UNKNOWN);
        (self.client_rank, self.server_rank) = (0, 0);
        let nodes = (self.ingress.node, self.egress.node);
        (self.egress, self.ingress) = (SideState::default(), SideState::default());
        (self.egress.node, self.ingress.node) = nodes;
        self.openings = [[0; 7]; 2];
        if self.asked != NONE
            && let Some(asked) = asked.at(&mut self.asked)
        {
            asked.forget_packets();
        }
        self.flags &= !(bits::OPENED | bits::FIRST_SEEN);
    }

    /// Adds a flow. Its orientation has been added before.
    pub(super) fn add(
        &mut self,
        row: RowRef<'_>,
        sight: &Sight,
        place: &Place,
        asked: &mut Slab<Asked>,
    ) {
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
        self.add_state(row, sight, place.source_is_low, asked);
        if sight.opens && from_client {
            self.set(bits::OPENED, true);
            self.add_attempt(sight, place, asked);
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

    fn add_state(
        &mut self,
        row: RowRef<'_>,
        sight: &Sight,
        source_is_low: bool,
        asked: &mut Slab<Asked>,
    ) {
        let verdict = row.verdict();
        match sight.event {
            Event::Request | Event::Response | Event::Sample => {
                self.set(bits::REQUEST_DENIED, verdict == Verdict::DROPPED);
            }
            Event::PolicyVerdict => {
                self.set(bits::AUDITED, verdict == Verdict::AUDIT);
                self.set(bits::REDIRECTED, verdict == Verdict::REDIRECTED);
                self.add_drop(row, sight, asked);
            }
            Event::Drop | Event::Refusal => self.add_drop(row, sight, asked),
            Event::Trace => {
                self.set(bits::REDIRECTED, sight.point == TracePoint::TO_PROXY);
                self.add_encryption(row, sight.point);
            }
        }
        self.set(bits::ERROR, verdict == Verdict::ERROR);
        self.set(bits::ESTABLISHED, sight.established);
        self.set(bits::RESET, sight.rst);
        let (from, fin, spoke) = if source_is_low {
            (bits::FROM_LOW, bits::FIN_LOW, bits::SPOKE_LOW)
        } else {
            (bits::FROM_HIGH, bits::FIN_HIGH, bits::SPOKE_HIGH)
        };
        self.set(fin, sight.fin);
        let is_packet = !sight.refused && verdict != Verdict::ERROR && sight.event != Event::Drop;
        self.set(from, is_packet);
        self.set(spoke, is_packet && !sight.rst);
    }

    fn add_drop(&mut self, row: RowRef<'_>, sight: &Sight, asked: &mut Slab<Asked>) {
        if !sight.refused {
            return;
        }
        let by_policy = is_policy(row);
        let is_first = !self.has(bits::DROPPED);
        let had_policy = self.has(bits::DROPPED_BY_POLICY);
        if let Some(asked) = asked.at(&mut self.asked)
            && (is_first
                || (by_policy && !had_policy)
                || (asked.reason() == DropReason(0) && by_policy == had_policy))
        {
            asked.give_reason(reason_of(row));
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

    fn add_attempt(&mut self, sight: &Sight, place: &Place, asked: &mut Slab<Asked>) {
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
        if let Some(asked) = asked.at(&mut self.asked) {
            asked.side(side).add(record, now);
        }
    }
}
