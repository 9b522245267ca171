//! Putting live streams in order, in bounded memory.
//!
//! Owns two orders: [`TailMerge`] for people, who wait a second at most, and
//! [`Watermark`] for what keeps state, which waits longer and is told what came too
//! late. Neither loses anything, and neither knows what it carries.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a line waits for older ones of other sources.
pub const TAIL_HOLD: Duration = Duration::from_secs(1);
/// Items a [`TailMerge`] holds.
pub const TAIL_CAPACITY: usize = 1 << 16;
/// How far behind the newest time a [`Watermark`] is, in nanoseconds.
pub const WATERMARK_DELAY: i64 = 10_000_000_000;
/// Items a [`Watermark`] holds.
pub const WATERMARK_CAPACITY: usize = 1 << 20;

/// Arrivals are told apart to this grain; it keeps their number small.
const GRAIN: Duration = Duration::from_millis(50);

/// Merges live sources by time. An item comes out as soon as every open source has
/// reached its time, or it has waited for [`TAIL_HOLD`]; what is older than it comes out
/// before it.
pub struct TailMerge<T> {
    waiting: BinaryHeap<Reverse<Item<i64, T>>>,
    /// The newest time of each source; `None` once it has ended.
    frontiers: Vec<Option<i64>>,
    /// Newest times by when they arrived.
    arrivals: VecDeque<(Instant, i64)>,
    /// Up to here items have waited long enough.
    due: i64,
    capacity: usize,
    arrived: u64,
    forced: u64,
}

impl<T> TailMerge<T> {
    /// Merges `sources` sources, numbered from 0.
    #[must_use]
    pub fn new(sources: usize) -> Self {
        Self::with_capacity(sources, TAIL_CAPACITY)
    }

    /// As [`TailMerge::new`], holding `capacity` items at most.
    #[must_use]
    pub fn with_capacity(sources: usize, capacity: usize) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            frontiers: vec![Some(i64::MIN); sources],
            arrivals: VecDeque::new(),
            due: i64::MIN,
            capacity,
            arrived: 0,
            forced: 0,
        }
    }

    /// Takes an item that arrived at `now`. One without a time counts as simultaneous
    /// with what its source sent before.
    ///
    /// Take what is ready after each push, or each batch of them: the bound is kept there.
    pub fn push(&mut self, source: usize, time: Option<i64>, item: T, now: Instant) {
        if self.frontiers.len() <= source {
            self.frontiers.resize(source + 1, Some(i64::MIN));
        }
        let frontier = self.frontiers[source].unwrap_or(i64::MIN);
        let time = time.unwrap_or(frontier);
        self.frontiers[source] = Some(frontier.max(time));
        match self.arrivals.back_mut() {
            Some((since, newest)) if now.saturating_duration_since(*since) < GRAIN => {
                *newest = time.max(*newest);
            }
            _ => self.arrivals.push_back((now, time)),
        }
        self.waiting.push(Reverse(Item {
            key: time,
            arrived: self.arrived,
            carried: item,
        }));
        self.arrived += 1;
    }

    /// Says that a source has ended, or is down: it is not waited for. It is again once it
    /// sends.
    pub fn end(&mut self, source: usize) {
        if let Some(frontier) = self.frontiers.get_mut(source) {
            *frontier = None;
        }
    }

    /// The next item that need not wait any more.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        while let Some(&(since, newest)) = self.arrivals.front() {
            if now.saturating_duration_since(since) < TAIL_HOLD {
                break;
            }
            self.due = self.due.max(newest);
            self.arrivals.pop_front();
        }
        let reached = self.frontiers.iter().flatten().min();
        let until = self.due.max(reached.copied().unwrap_or(i64::MAX));
        let Reverse(next) = self.waiting.peek()?;
        let is_forced = next.key > until;
        if is_forced && self.waiting.len() <= self.capacity {
            return None;
        }
        self.forced += u64::from(is_forced);
        self.waiting.pop().map(|Reverse(next)| next.carried)
    }

    /// When something becomes ready at the latest, `None` when nothing waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        self.arrivals.front().map(|&(since, _)| since + TAIL_HOLD)
    }

    /// Items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Items that came out before their turn, for want of room.
    #[must_use]
    pub fn forced(&self) -> u64 {
        self.forced
    }
}

/// The order of what keeps state: time, then node, then tuple hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    /// Nanoseconds since 1970 UTC.
    pub time: i64,
    /// Observing node.
    pub node: Arc<str>,
    /// Hash of the 5-tuple.
    pub tuple: u64,
}

/// What a [`Watermark`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released<T> {
    /// The item.
    pub item: T,
    /// Whether it came too late to be in order.
    pub late: bool,
}

/// Orders a stream behind a watermark, which is a fixed delay behind the newest time.
///
/// What is not late comes out in the order of its key, equal ones as they arrived. A row
/// older than the watermark comes out at once, as late. What does not fit comes out
/// early, the oldest first; a row that would have been before it is late too.
pub struct Watermark<T> {
    waiting: BinaryHeap<Reverse<Item<OrderKey, T>>>,
    delay: i64,
    capacity: usize,
    newest: i64,
    ceiling: i64,
    /// The newest key that came out early.
    early_until: Option<OrderKey>,
    arrived: u64,
    late: u64,
    early: u64,
}

impl<T> Watermark<T> {
    /// With the usual delay and capacity.
    #[must_use]
    pub fn new() -> Self {
        Self::with(WATERMARK_DELAY, WATERMARK_CAPACITY)
    }

    /// With a delay in nanoseconds, holding `capacity` items at most.
    #[must_use]
    pub fn with(delay: i64, capacity: usize) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            delay,
            capacity,
            newest: i64::MIN,
            ceiling: i64::MAX,
            early_until: None,
            arrived: 0,
            late: 0,
            early: 0,
        }
    }

    /// Takes an item, and gives out what its time makes ready.
    pub fn push(&mut self, key: OrderKey, item: T, mut out: impl FnMut(Released<T>)) {
        let is_late = key.time < self.watermark()
            || self.early_until.as_ref().is_some_and(|last| key < *last);
        if is_late {
            self.late += 1;
            out(Released { item, late: true });
            return;
        }
        self.newest = self.newest.max(key.time.min(self.ceiling));
        self.waiting.push(Reverse(Item {
            key,
            arrived: self.arrived,
            carried: item,
        }));
        self.arrived += 1;
        self.release(&mut out);
        while self.waiting.len() > self.capacity {
            let Some(Reverse(oldest)) = self.waiting.pop() else {
                break;
            };
            self.early += 1;
            self.early_until = Some(oldest.key);
            out(Released {
                item: oldest.carried,
                late: false,
            });
        }
    }

    /// Moves on to a time without an item: nothing came, but the clock went on.
    pub fn advance(&mut self, time: i64, mut out: impl FnMut(Released<T>)) {
        self.newest = self.newest.max(time.min(self.ceiling));
        self.release(&mut out);
    }

    /// Keeps rows that claim to be later than `time` (now, and what clocks may differ)
    /// from moving the watermark: one node whose clock is ahead would make all others late.
    pub fn set_ceiling(&mut self, time: i64) {
        self.ceiling = time;
    }

    /// Gives out everything, at the end of the stream.
    pub fn finish(&mut self, mut out: impl FnMut(Released<T>)) {
        while let Some(Reverse(next)) = self.waiting.pop() {
            out(Released {
                item: next.carried,
                late: false,
            });
        }
    }

    /// The time before which rows are late.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.newest.saturating_sub(self.delay)
    }

    /// Rows that came too late.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Rows that came out before their time, for want of room.
    #[must_use]
    pub fn early(&self) -> u64 {
        self.early
    }

    /// Rows that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn release(&mut self, out: &mut impl FnMut(Released<T>)) {
        let watermark = self.watermark();
        while self
            .waiting
            .peek()
            .is_some_and(|Reverse(next)| next.key.time < watermark)
        {
            if let Some(Reverse(next)) = self.waiting.pop() {
                out(Released {
                    item: next.carried,
                    late: false,
                });
            }
        }
    }
}

impl<T> Default for Watermark<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Ordered by key, then arrival; what it carries has no say.
struct Item<K, T> {
    key: K,
    arrived: u64,
    carried: T,
}

impl<K: Ord, T> Ord for Item<K, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.key, self.arrived).cmp(&(&other.key, other.arrived))
    }
}

impl<K: Ord, T> PartialOrd for Item<K, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, T> PartialEq for Item<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Ord, T> Eq for Item<K, T> {}

#[cfg(test)]
mod tests;
