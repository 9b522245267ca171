//! A minute of connections, summed up: what detectors see instead of flows.
//!
//! Owns the shape of a tick. How connections become one is `builder`'s, what is normal is
//! `model`'s.
//!
//! Everything in a tick is sorted, so that nothing that reads one can depend on the order
//! in which connections came. A tick without anything in it does not exist: nothing seen is
//! not "all quiet".

use std::net::IpAddr;
use std::sync::Arc;

use super::changes::IdentityChange;
use crate::connection::{Connection, PeerId};
use crate::flow::{DropClass, FlowReference, Protocol};

/// Nanoseconds of a second.
pub const SECOND: i64 = 1_000_000_000;
/// Length of a tick in nanoseconds.
pub const TICK: i64 = 60 * SECOND;
/// Nanoseconds of a day.
pub const DAY: i64 = 86_400 * SECOND;
/// Groups of a tick that are told apart; further connections are summed up a client, their
/// peer being [`crate::connection::Peer::Others`].
pub const MOST_GROUPS: usize = 1 << 16;
/// Groups of names, and of requests, of a tick.
pub const MOST_L7_GROUPS: usize = 1 << 16;
/// Times of connections that a group keeps, the earliest.
pub const MOST_STARTS: usize = 64;
/// Addresses of servers that a group keeps, the smallest.
pub const MOST_SERVERS: usize = 32;
/// References to flows that a group keeps, the earliest.
pub const MOST_SAMPLES: usize = 3;

/// What happened in one minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tick {
    /// Its beginning in nanoseconds since 1970 UTC, a multiple of [`TICK`].
    pub start: i64,
    /// Connections that began in it, by client, server, key, port, protocol and fate.
    pub groups: Vec<Group>,
    /// Questions to DNS that were settled in it.
    pub dns: Vec<DnsGroup>,
    /// Requests of HTTP that were settled in it.
    pub http: Vec<HttpGroup>,
    /// Connections that ended and had lasted, by what [`Lasting`] says.
    pub lasting: Vec<Lasting>,
    /// Events that are known to be missing.
    pub loss: Loss,
    /// Workloads that are something else than before, found before its end.
    pub identities: Vec<IdentityChange>,
    /// Connections beyond [`MOST_GROUPS`] or beyond what a client may have named, which are
    /// in groups of [`crate::connection::Peer::Others`].
    pub beyond: u64,
}

impl Tick {
    /// Its end, which is not part of it.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.start.saturating_add(TICK)
    }
}

/// The beginning of the tick that a time is in.
#[must_use]
pub fn tick_of(time: i64) -> i64 {
    time.div_euclid(TICK).saturating_mul(TICK)
}

/// Connections of one minute that have the same client, server, port and fate.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Who opened them, as a number of the detection's own peers.
    pub client: PeerId,
    /// Who was called, as flows name it: one address or one name where it is outside.
    pub server: PeerId,
    /// The destination as a baseline has it: see [`super::Names`].
    pub key: PeerId,
    /// Port of the server; the type for ICMP.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// What became of them within 20 s.
    pub fate: Fate,
    /// How many.
    pub count: u64,
    /// Packets that asked for them, retries included.
    pub attempts: u64,
    /// When the first one began.
    pub first: i64,
    /// When the last one began.
    pub last: i64,
    /// When they began, ascending; the earliest [`MOST_STARTS`] of them.
    pub starts: Vec<i64>,
    /// Addresses of servers.
    pub servers: Servers,
    /// The earliest of them, for its sides, its rules and its policies. Its edge has numbers
    /// of the fold's peers: `client` and `server` here are the same by the detection's.
    pub sample: Connection,
    /// References of the earliest of them.
    pub samples: Vec<FlowReference>,
    /// Ticks of 5 s in which they were seen within 20 s of their beginning, summed up.
    pub busy: u64,
}

/// What became of a connection, as far as 20 s tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// Let pass, and something came back.
    Answered,
    /// Let pass, and nothing came back.
    Unanswered,
    /// Let pass, and the first that came back was a reset.
    Refused,
    /// Dropped by policy.
    Denied,
    /// Audit mode let it pass.
    Audited,
    /// A proxy refused a request on it.
    RequestDenied,
    /// Dropped for another reason.
    Dropped(DropClass),
    /// It was open before it was first seen: no new connection.
    Missed,
}

impl Group {
    /// Whether it is questions to a resolver. They come in clumps by nature, a few for each
    /// search suffix and type, and say nothing of how often a workload connects.
    #[must_use]
    pub fn is_lookup(&self) -> bool {
        self.port == 53 && matches!(self.protocol, Protocol::Udp | Protocol::Tcp)
    }
}

impl Fate {
    /// Whether it is a connection that was asked for now.
    #[must_use]
    pub fn is_new(self) -> bool {
        self != Self::Missed
    }

    /// Whether the network let it pass: something may have been exchanged.
    #[must_use]
    pub fn passed(self) -> bool {
        matches!(
            self,
            Self::Answered | Self::Unanswered | Self::Refused | Self::Audited | Self::RequestDenied
        )
    }

    /// Whether the client got nothing of what it asked for: what a scan has many of.
    #[must_use]
    pub fn failed(self) -> bool {
        matches!(
            self,
            Self::Unanswered | Self::Refused | Self::Denied | Self::Dropped(_)
        )
    }
}

/// Distinct addresses, some of them by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// The smallest [`MOST_SERVERS`], ascending.
    pub kept: Vec<IpAddr>,
    /// Whether there were more than are kept.
    pub more: bool,
}

impl Servers {
    /// How many are known; [`MOST_SERVERS`] + 1 where there were more.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kept.len() + usize::from(self.more)
    }
}

/// Questions to DNS of one client that ask for the same and got the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsGroup {
    /// Who asked.
    pub client: PeerId,
    /// Who was asked.
    pub server: PeerId,
    /// Port that was asked.
    pub port: u16,
    /// Name without the search suffix of a cluster, lower case, no last dot.
    pub query: Arc<str>,
    /// Whether `query` is what was asked for as it is; else a search suffix was taken off.
    pub raw: bool,
    /// The registered domain of the name; the name itself where it has none.
    pub registered: Arc<str>,
    /// Types asked for, such as `A`.
    pub types: Arc<str>,
    /// Response code, 0 for success and for none: see `answered`.
    pub code: u32,
    /// Whether there was a response.
    pub answered: bool,
    /// How many.
    pub count: u64,
    /// When the first one was asked.
    pub first: i64,
}

/// Requests of HTTP on one edge that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGroup {
    /// Who asked.
    pub client: PeerId,
    /// Who was asked.
    pub server: PeerId,
    /// The destination as a baseline has it.
    pub key: PeerId,
    /// Port of the server.
    pub port: u16,
    /// Method.
    pub method: Arc<str>,
    /// Host, empty where no URL has one.
    pub host: Arc<str>,
    /// Path with its numbers and identifiers replaced: see [`super::template`].
    pub template: Arc<str>,
    /// Status, 0 without a response.
    pub code: u32,
    /// How many.
    pub count: u64,
    /// Longest time to a response in nanoseconds, 0 where none is known.
    pub slowest: u64,
    /// When the first one was seen.
    pub first: i64,
}

/// A connection that has ended and lasted at least [`LASTING`].
///
/// It is part of the tick that is [`crate::connection::LONGEST_SILENCE`] behind its last
/// flow: only then every connection of that time has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Lasting {
    /// Who opened it.
    pub client: PeerId,
    /// Who was called.
    pub server: PeerId,
    /// The destination as a baseline has it.
    pub key: PeerId,
    /// Port of the server.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// Time of its first flow.
    pub first: i64,
    /// Time of its last flow.
    pub last: i64,
    /// Ticks of 5 s in which it was seen.
    pub busy: u32,
}

/// How long a connection has to be open to be one of [`Tick::lasting`]: 10 min.
pub const LASTING: i64 = 600 * SECOND;
/// Lasting connections that are kept a tick.
pub const MOST_LASTING: usize = 1 << 12;

/// Events that are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Events that are known to be lost.
    pub lost: u64,
    /// Whether some loss has no count.
    pub uncounted: bool,
    /// Flows that were seen.
    pub seen: u64,
}

impl Loss {
    /// Share of events that is missing, 0 to 1; 1 where some loss has no count.
    #[must_use]
    pub fn share(self) -> f64 {
        if self.uncounted {
            return 1.0;
        }
        if self.lost == 0 {
            return 0.0;
        }
        self.lost as f64 / (self.lost as f64 + self.seen as f64)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact in binary, or the bound itself")]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_tick_that_begins_at_or_before_it() {
        assert_eq!(tick_of(0), 0);
        assert_eq!(tick_of(TICK - 1), 0);
        assert_eq!(tick_of(TICK), TICK);
        assert_eq!(tick_of(-1), -TICK);
    }

    #[test]
    fn a_loss_without_a_count_hides_everything() {
        let loss = |lost, uncounted| Loss {
            lost,
            uncounted,
            seen: 3,
        };
        assert_eq!(loss(0, false).share(), 0.0);
        assert_eq!(loss(1, false).share(), 0.25);
        assert_eq!(loss(0, true).share(), 1.0);
        assert_eq!(Loss::default().share(), 0.0);
    }
}
