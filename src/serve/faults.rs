//! Scripted faults: what makes the server a test server.
//!
//! Owns the script as plain data and what of it outlives a stream (connections, health
//! checks, the number of the stream). What happens inside a stream is `stream`'s.
//!
//! The same script and the same requests give the same messages: chance is seeded, by
//! the script's seed and the number of the stream.

mod parse;
mod stream;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tonic::Code;

use crate::proto::relay::NodeState;

pub use parse::ScriptError;
pub(super) use stream::{FaultyStream, Step};

/// What is to go wrong, and when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// Seeds chance and order.
    pub seed: u64,
    /// So many connections are closed as soon as they are accepted.
    pub refuse_connections: u64,
    /// So many health checks are answered with `NOT_SERVING`.
    pub not_serving_checks: u64,
    /// Streams that find the oldest of the ring gone, without a word.
    pub overruns: Vec<Overrun>,
    /// What happens to the messages of a stream.
    pub acts: Vec<Act>,
}

/// The oldest entries are passed over as if the ring had been overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// Which call of GetFlows, from 0; every one where `None`.
    pub stream: Option<u64>,
    /// How many entries.
    pub oldest: usize,
}

/// A fault and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// Which call of GetFlows, from 0; every one where `None`.
    pub stream: Option<u64>,
    /// Before which of its messages.
    pub when: When,
    /// What happens.
    pub fault: Fault,
}

/// Before which messages of a stream a fault happens; the first is number 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// Before this one.
    At(u64),
    /// Before each whose number is a multiple, but not before the first.
    Every(u64),
    /// Before each with this probability.
    Chance(f64),
}

/// What happens to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends with this status.
    Cut {
        /// Its code; `Ok` ends the stream as if all were said.
        code: Code,
        /// Its text.
        message: String,
    },
    /// Its connection is closed without a status.
    CutAbruptly,
    /// So many of the messages before are sent again.
    Repeat(usize),
    /// So many messages, from this on, are sent in another order.
    Reorder(usize),
    /// So many messages, from this on, are not sent.
    Drop {
        /// How many.
        span: u64,
        /// Whether lost events say so afterwards.
        lost: bool,
    },
    /// The message gets fields that no schema has, in the flow and around it.
    UnknownFields,
    /// A message that is no protobuf comes before it.
    Garbage,
    /// It is late.
    Delay(Duration),
    /// A relay's word on nodes comes before it.
    NodeStatus {
        /// What they are now.
        state: NodeState,
        /// Which.
        nodes: Vec<String>,
        /// The error, if it is one.
        message: String,
    },
}

/// A script that is being played.
#[derive(Debug, Default)]
pub(super) struct Faults {
    script: Script,
    streams: AtomicU64,
    connections: AtomicU64,
    checks: AtomicU64,
}

impl Faults {
    pub(super) fn new(script: Script) -> Self {
        Self {
            script,
            ..Self::default()
        }
    }

    /// Whether this connection is one of those that are refused.
    pub(super) fn refuses_connection(&self) -> bool {
        self.connections.fetch_add(1, Ordering::Relaxed) < self.script.refuse_connections
    }

    /// Whether this health check is one of those that fail.
    pub(super) fn fails_check(&self) -> bool {
        self.checks.fetch_add(1, Ordering::Relaxed) < self.script.not_serving_checks
    }

    /// The faults of the next stream, and how many of the oldest entries it does not see.
    pub(super) fn next_stream(&self) -> (FaultyStream, usize) {
        let number = self.streams.fetch_add(1, Ordering::Relaxed);
        let of_this = |stream: Option<u64>| stream.is_none_or(|stream| stream == number);
        let overruns = self.script.overruns.iter();
        let oldest = overruns
            .filter(|overrun| of_this(overrun.stream))
            .map(|overrun| overrun.oldest)
            .max();
        let acts = self.script.acts.iter().filter(|act| of_this(act.stream));
        let stream = FaultyStream::new(self.script.seed, number, acts.cloned().collect());
        (stream, oldest.unwrap_or(0))
    }
}
