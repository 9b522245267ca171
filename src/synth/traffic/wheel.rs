//! Events in order of their stamps, although they are thought of in another order.
//!
//! Owns a ring of slots, each sorted when its time has come. Bounded by how far ahead events
//! are thought of, not by how long the traffic lasts.

use super::cast::PartyId;
use super::rules::AnswerId;

/// Length of a slot.
pub(super) const SLOT: i64 = 250_000_000;
/// Slots: more than the longest look ahead (retries of 15 s after a chain of calls, clocks
/// that are off).
const SLOTS: usize = 512;

/// Which way a connection goes, seen from the side that reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Ingress,
    Egress,
}

/// Where in the datapath a trace is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    Endpoint,
    Proxy,
    Stack,
    Overlay,
}

/// State of connection tracking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    New,
    Established,
    Reply,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    Trace {
        point: Point,
        way: Way,
        state: State,
    },
    Verdict {
        answer: AnswerId,
        way: Way,
    },
    Drop {
        answer: AnswerId,
        way: Way,
    },
    /// Dropped for a reason that is not policy's, a number of Cilium's.
    Fault {
        reason: u16,
        way: Way,
    },
    Dns(DnsEvent),
    Http(HttpEvent),
}

/// A record of the DNS proxy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DnsEvent {
    /// Name asked for.
    pub(super) name: Name,
    /// Search suffix: 0 to 2, 3 for the name as it is.
    pub(super) search: u8,
    /// What of it.
    pub(super) kind: QueryType,
    /// Response, with the time it took in microseconds.
    pub(super) took: Option<u32>,
    /// Response code; 0 where the name exists.
    pub(super) code: u8,
    /// Which addresses of a content network.
    pub(super) turn: u32,
}

/// Type of the record that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryType {
    A,
    Aaaa,
    Txt,
}

/// A name that is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// The Service of a member.
    Service(u32),
    /// An external.
    External(u32),
    /// One that an incident makes up: which of its names.
    Made { incident: u16, number: u32 },
}

/// The incident an event belongs to, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Number from 1 on.
    pub(super) incident: u16,
    /// Number of its stage.
    pub(super) stage: u8,
}

/// A record of the HTTP proxy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HttpEvent {
    /// Number of method and path.
    pub(super) request: u16,
    /// The member that is asked.
    pub(super) member: u32,
    /// Status, 0 for the request.
    pub(super) code: u16,
    /// Time it took in microseconds.
    pub(super) took: u32,
    /// The proxy refused it.
    pub(super) denied: bool,
}

/// One event of one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    /// What the node's clock says, nanoseconds since 1970.
    pub(super) time: i64,
    order: u32,
    pub(super) node: u16,
    pub(super) source: PartyId,
    pub(super) destination: PartyId,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) udp: bool,
    /// Flags of TCP, as in `flow::flags`.
    pub(super) flags: u8,
    pub(super) mark: Mark,
    pub(super) what: What,
}

/// A packet: who sends what to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) source: PartyId,
    pub(super) destination: PartyId,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) udp: bool,
    pub(super) flags: u8,
}

impl Packet {
    /// The answer to it.
    pub(super) fn back(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..self
        }
    }

    pub(super) fn with(self, flags: u32) -> Self {
        let flags = if self.udp { 0 } else { flags as u8 };
        Self { flags, ..self }
    }
}

/// Events that wait for their time.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<Event>>,
    /// Number of the slot that is released next, since 1970.
    next: i64,
    order: u32,
    waiting: usize,
    /// What events belong to that come now.
    pub(super) mark: Mark,
}

impl Wheel {
    pub(super) fn new(start: i64) -> Self {
        Self {
            slots: vec![Vec::new(); SLOTS],
            next: start.div_euclid(SLOT),
            order: 0,
            waiting: 0,
            mark: Mark::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// End of the slot that is released next.
    pub(super) fn end(&self) -> i64 {
        (self.next + 1) * SLOT
    }

    pub(super) fn push(&mut self, time: i64, node: u16, packet: Packet, what: What) {
        let last = self.next + SLOTS as i64 - 1;
        let slot = time.div_euclid(SLOT).clamp(self.next, last);
        let time = time.max(self.next * SLOT).min((last + 1) * SLOT - 1);
        self.slots[slot.rem_euclid(SLOTS as i64) as usize].push(Event {
            time,
            order: self.order,
            node,
            source: packet.source,
            destination: packet.destination,
            source_port: packet.source_port,
            destination_port: packet.destination_port,
            udp: packet.udp,
            flags: packet.flags,
            mark: self.mark,
            what,
        });
        self.order = self.order.wrapping_add(1);
        self.waiting += 1;
    }

    /// Exchanges `into`, which is empty, for the events of the next slot, in order.
    pub(super) fn release(&mut self, into: &mut Vec<Event>) {
        let slot = &mut self.slots[self.next.rem_euclid(SLOTS as i64) as usize];
        std::mem::swap(slot, into);
        into.sort_unstable_by_key(|event| (event.time, event.order));
        self.waiting -= into.len();
        self.next += 1;
        if self.waiting == 0 {
            self.order = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_in_the_order_of_their_stamps() {
        let packet = Packet {
            source: PartyId(0),
            destination: PartyId(1),
            source_port: 1,
            destination_port: 2,
            udp: false,
            flags: 0,
        };
        let what = What::Drop {
            answer: AnswerId(0),
            way: Way::Egress,
        };
        let mut wheel = Wheel::new(1_000 * SLOT);
        let mut out = Vec::new();
        for time in [1_003 * SLOT, 1_000 * SLOT + 7, 1_000 * SLOT + 3, 0] {
            wheel.push(time, 0, packet, what);
        }
        while !wheel.is_empty() {
            let mut slot = Vec::new();
            wheel.release(&mut slot);
            out.extend(slot.iter().map(|event| event.time - 1_000 * SLOT));
        }
        // What comes too late is put where the clock is.
        assert_eq!(out, [0, 3, 7, 3 * SLOT]);
    }
}
