//! How much a fold may hold, and what it counts.
//!
//! Owns the bounds and the counters. Keeping and counting is `fold`'s.

use super::entry::{LONG, SECOND, SHORT};
use super::peer::MOST_PEERS;

/// Nanoseconds without a flow after which every connection has ended. What is more apart
/// than this does not belong together: whoever folds a part of the flows sees the same
/// connections as who folds all, where it begins and ends so much earlier and later.
pub const LONGEST_SILENCE: i64 = LONG + 15 * SECOND;

/// Nanoseconds after the beginning of a connection at which it is given out as opened, if
/// that is asked for: a client that is not answered has tried again by then several times.
pub const OPENING: i64 = 20 * SECOND;

/// Nanoseconds after its first flow after which an exchange that nobody answered has been
/// given out.
pub const LONGEST_EXCHANGE: i64 = SHORT + 5 * SECOND;

/// Bounds of a [`Fold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoldOptions {
    /// Connections that are open at a time.
    pub connections: usize,
    /// Exchanges that are open at a time.
    pub exchanges: usize,
    /// Peers that are told apart.
    pub peers: usize,
    /// Whether each connection is also given out near its beginning: [`OPENING`].
    pub opened: bool,
}

impl Default for FoldOptions {
    fn default() -> Self {
        Self {
            connections: 1 << 19,
            exchanges: 1 << 16,
            peers: MOST_PEERS,
            opened: false,
        }
    }
}

/// What became of the flows. Those apart and those of connections, open ones too, are all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoldCounts {
    /// Flows taken.
    pub rows: u64,
    /// ICMP errors and messages that nobody answers.
    pub icmp_messages: u64,
    /// Address translations at sockets.
    pub socket_events: u64,
    /// Debug captures and unknown events.
    pub other_events: u64,
    /// Flows that say too little to be folded: each is a connection of its own.
    pub alone: u64,
    /// Flows that came a minute or more after what they belong to had moved on: each is a
    /// connection of its own.
    pub late: u64,
    /// Connections that came out before their end, for want of room.
    pub cut: u64,
    /// Exchanges that did.
    pub exchanges_cut: u64,
}

impl FoldCounts {
    /// Flows that belong to no connection.
    #[must_use]
    pub fn apart(&self) -> u64 {
        self.icmp_messages + self.socket_events + self.other_events
    }
}
