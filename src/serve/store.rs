//! The recording a server answers from, shared by its streams.
//!
//! Owns the lock, arrival (what was pushed, what could not be), and telling followers.
//! Order and bounds are `ring`'s, names are `census`'s.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::broadcast;

use super::{
    census::{Census, NodeSeen},
    envelope::{EntryKind, Envelope},
    ring::{Bounds, Cursor, Entry, Page, Ring},
};

/// Entries a follower may lag behind before it is told that it lost some.
const FOLLOWER_BUFFER: usize = 4096;
/// Entries and bytes that are sorted in at once while loading.
const LOAD_BATCH: usize = 65_536;
const LOAD_BATCH_BYTES: usize = 64 << 20;
const NANOSECONDS_A_MINUTE: i64 = 60_000_000_000;

/// Recorded responses in order of time (ties by arrival), bounded like a ring.
#[derive(Debug)]
pub struct Recording {
    held: Mutex<Held>,
    arrivals: broadcast::Sender<Entry>,
    started: Instant,
}

/// What [`Recording::load`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Responses taken in, also those that have left since.
    pub responses: u64,
    /// Responses that are no `GetFlowsResponse` and were left out.
    pub undecodable: u64,
    /// Entries that left, oldest first, because the bound was reached.
    pub left: u64,
}

impl std::ops::AddAssign for Loaded {
    fn add_assign(&mut self, more: Self) {
        self.responses += more.responses;
        self.undecodable += more.undecodable;
        self.left += more.left;
    }
}

/// The bytes are not a `GetFlowsResponse`.
#[derive(Debug, thiserror::Error)]
#[error("not a response of GetFlows: {0}")]
pub struct NotAResponse(#[from] prost::DecodeError);

/// What the recording holds and has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// Entries in the ring.
    pub held: u64,
    /// Capacity of the ring.
    pub max_flows: u64,
    /// Flows since the start.
    pub seen_flows: u64,
    /// Entries that left because the bound was reached.
    pub left: u64,
    /// Flows a second over the last minute of recorded time.
    pub flows_rate: f64,
    /// How often a node or namespace was met beyond what is kept of these.
    pub names_left_out: u64,
    /// How long the recording has been there.
    pub uptime: std::time::Duration,
}

impl Recording {
    /// An empty recording.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            held: Mutex::new(Held {
                ring: Ring::new(bounds),
                census: Census::default(),
                seen_flows: 0,
                next_sequence: 0,
                latest_arrival: 0,
            }),
            arrivals: broadcast::Sender::new(FOLLOWER_BUFFER),
            started: Instant::now(),
        }
    }

    /// Takes in one encoded `GetFlowsResponse` and tells followers.
    ///
    /// One without a time gets that of the arrival before it.
    ///
    /// # Errors
    /// [`NotAResponse`] when the bytes do not decode; nothing is taken in then.
    pub fn push(&self, response: Bytes) -> Result<(), NotAResponse> {
        let envelope = Envelope::read(&response)?;
        let mut held = self.lock();
        let entry = held.admit(response, envelope);
        // No receiver is no error. The lock is held, so that who starts to follow sees
        // an entry either in the ring or as an arrival.
        let _ = self.arrivals.send(entry.clone());
        let left = held.ring.insert(entry);
        held.forget(&left);
        Ok(())
    }

    /// Takes in many responses, in whatever order.
    pub fn load(&self, responses: impl IntoIterator<Item = Bytes>) -> Loaded {
        let left_before = self.lock().ring.evicted();
        let mut loaded = Loaded::default();
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for response in responses {
            match Envelope::read(&response) {
                Ok(envelope) => {
                    loaded.responses += 1;
                    batch_bytes += response.len();
                    batch.push((response, envelope));
                }
                Err(_) => loaded.undecodable += 1,
            }
            if batch.len() >= LOAD_BATCH || batch_bytes >= LOAD_BATCH_BYTES {
                self.extend(std::mem::take(&mut batch));
                batch_bytes = 0;
            }
        }
        self.extend(batch);
        loaded.left = self.lock().ring.evicted() - left_before;
        loaded
    }

    /// Every entry held now, oldest first.
    pub fn snapshot(&self) -> Vec<Entry> {
        let held = self.lock();
        let all = held.ring.len();
        held.ring.read(&mut held.ring.at_oldest(), all).entries
    }

    /// What is held and was seen.
    pub fn totals(&self) -> Totals {
        let held = self.lock();
        Totals {
            held: held.ring.len() as u64,
            max_flows: held.ring.bounds().max_flows as u64,
            seen_flows: held.seen_flows,
            left: held.ring.evicted(),
            flows_rate: held.flows_rate(),
            names_left_out: held.census.left_out(),
            uptime: self.started.elapsed(),
        }
    }

    /// The nodes seen, by name.
    pub fn nodes(&self) -> Vec<NodeSeen> {
        self.lock().census.nodes()
    }

    /// The (cluster, namespace) pairs seen, sorted.
    pub fn namespaces(&self) -> Vec<(String, String)> {
        self.lock().census.namespaces()
    }

    /// Starts to follow: the arrivals from now on, and the sequence of the first of them.
    pub(super) fn follow(&self) -> (u64, broadcast::Receiver<Entry>) {
        let held = self.lock();
        (held.next_sequence, self.arrivals.subscribe())
    }

    /// The sequence of the next arrival.
    pub(super) fn next_sequence(&self) -> u64 {
        self.lock().next_sequence
    }

    pub(super) fn cursor(&self, place: impl FnOnce(&Ring) -> Cursor) -> Cursor {
        place(&self.lock().ring)
    }

    pub(super) fn read(&self, cursor: &mut Cursor, limit: usize) -> Page {
        self.lock().ring.read(cursor, limit)
    }

    pub(super) fn read_back(&self, cursor: &mut Cursor, limit: usize) -> Vec<Entry> {
        self.lock().ring.read_back(cursor, limit)
    }

    fn extend(&self, batch: Vec<(Bytes, Envelope)>) {
        let mut held = self.lock();
        let entries: Vec<Entry> = batch
            .into_iter()
            .map(|(response, envelope)| held.admit(response, envelope))
            .collect();
        if self.arrivals.receiver_count() > 0 {
            for entry in &entries {
                let _ = self.arrivals.send(entry.clone());
            }
        }
        let left = held.ring.extend(entries);
        held.forget(&left);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Held {
    ring: Ring,
    census: Census,
    seen_flows: u64,
    next_sequence: u64,
    latest_arrival: i64,
}

impl Held {
    fn admit(&mut self, bytes: Bytes, envelope: Envelope) -> Entry {
        let time = envelope.time.unwrap_or(self.latest_arrival);
        self.latest_arrival = time;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let (flows, lost) = match envelope.kind {
            EntryKind::Flow => (1, 0),
            EntryKind::Lost(lost) => (0, lost),
            EntryKind::Other => (0, 0),
        };
        self.seen_flows += flows;
        // A relay names itself in what it says of nodes; it is none of them.
        let node = match envelope.kind {
            EntryKind::Other => None,
            _ => self.census.arrive(&envelope.node, time, flows, lost),
        };
        self.census.see_namespaces(envelope.namespaces);
        Entry {
            bytes,
            time,
            kind: envelope.kind,
            sequence,
            node,
        }
    }

    fn forget(&mut self, left: &[Entry]) {
        for entry in left {
            self.census.leave(entry.node);
        }
    }

    fn flows_rate(&self) -> f64 {
        let Some((oldest, newest)) = self.ring.span() else {
            return 0.0;
        };
        let start = oldest.max(newest.saturating_sub(NANOSECONDS_A_MINUTE));
        let seconds = newest.saturating_sub(start) as f64 / 1e9;
        let entries = self.ring.len() - self.ring.before(start);
        if seconds > 0.0 {
            entries as f64 / seconds
        } else {
            0.0
        }
    }
}
