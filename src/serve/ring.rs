//! Responses in order of time within a bound; the oldest leave first.
//!
//! Owns order, eviction and the cursors that read across both. Does not lock, wake
//! anyone or look inside a response.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{census::NodeIndex, envelope::EntryKind};

/// What the ring adds to the bytes of an entry, for the byte bound.
const ENTRY_OVERHEAD: usize = size_of::<Entry>();

/// How much a recording holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Entries of any kind; at least one is held.
    pub max_flows: usize,
    /// Their bytes, encoded, with what holding them costs.
    pub max_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_flows: 1_000_000,
            max_bytes: 2 << 30,
        }
    }
}

/// One response as it will be sent.
#[derive(Clone, Debug)]
pub struct Entry {
    /// An encoded `GetFlowsResponse`.
    pub bytes: Bytes,
    /// Nanoseconds since the epoch.
    pub time: i64,
    /// What it carries.
    pub kind: EntryKind,
    pub(super) sequence: u64,
    pub(super) node: NodeIndex,
}

impl Entry {
    fn key(&self) -> Key {
        (self.time, self.sequence)
    }

    fn cost(&self) -> usize {
        self.bytes.len() + ENTRY_OVERHEAD
    }
}

/// Time, then arrival.
type Key = (i64, u64);

/// A place in the ring that survives insertion and eviction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// The next entry has at least this key.
    next: Key,
    /// Entries before it, when it was last used.
    position: usize,
    /// Evictions until then.
    evicted: u64,
}

impl Cursor {
    pub(super) fn later_of(self, other: Self) -> Self {
        if self.next >= other.next { self } else { other }
    }
}

/// What one read found.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// Entries that left before this cursor reached them.
    pub(super) lapped: u64,
}

#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    bounds: Bounds,
    bytes: usize,
    evicted: u64,
}

impl Ring {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            entries: VecDeque::new(),
            bounds,
            bytes: 0,
            evicted: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Entries that left to make room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Times of the oldest and the newest entry.
    pub(super) fn span(&self) -> Option<(i64, i64)> {
        Some((self.entries.front()?.time, self.entries.back()?.time))
    }

    /// Entries before `time`.
    pub(super) fn before(&self, time: i64) -> usize {
        self.position((time, 0))
    }

    /// Puts one entry in its place and returns those that had to leave.
    pub(super) fn insert(&mut self, entry: Entry) -> Vec<Entry> {
        self.bytes += entry.cost();
        let key = entry.key();
        let in_order = self.entries.back().is_none_or(|last| last.key() < key);
        if in_order {
            self.entries.push_back(entry);
        } else {
            let place = self.position(key);
            self.entries.insert(place, entry);
        }
        self.evict()
    }

    /// Puts many entries in their places at once, in whatever order they come.
    pub(super) fn extend(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        self.bytes += entries.iter().map(Entry::cost).sum::<usize>();
        self.entries.extend(entries);
        if !self.entries.iter().is_sorted_by_key(Entry::key) {
            self.entries.make_contiguous().sort_by_key(Entry::key);
        }
        self.evict()
    }

    /// A cursor at the first entry of at least `time`.
    pub(super) fn at_time(&self, time: i64) -> Cursor {
        self.cursor((time, 0))
    }

    /// A cursor at the oldest entry.
    pub(super) fn at_oldest(&self) -> Cursor {
        self.cursor((i64::MIN, 0))
    }

    /// A cursor at `entry`.
    pub(super) fn at_entry(&self, entry: &Entry) -> Cursor {
        self.cursor(entry.key())
    }

    /// A cursor behind the newest entry of at most `time`.
    pub(super) fn behind_time(&self, time: i64) -> Cursor {
        self.cursor((time, u64::MAX))
    }

    /// A cursor past the `count` oldest entries.
    pub(super) fn past_oldest(&self, count: usize) -> Cursor {
        match self.entries.get(count) {
            Some(entry) => self.at_entry(entry),
            None => self.cursor((i64::MAX, u64::MAX)),
        }
    }

    /// The next entries, at most `limit`; moves the cursor behind them.
    pub(super) fn read(&self, cursor: &mut Cursor, limit: usize) -> Page {
        let evicted = self.evicted - cursor.evicted;
        let lapped = evicted.saturating_sub(cursor.position as u64);
        let start = self.position(cursor.next);
        let entries: Vec<Entry> = self.entries.range(start..).take(limit).cloned().collect();
        if let Some(last) = entries.last() {
            cursor.next = (last.time, last.sequence.saturating_add(1));
        }
        cursor.position = start + entries.len();
        cursor.evicted = self.evicted;
        Page { entries, lapped }
    }

    /// The entries before the cursor, newest first, at most `limit`; moves it before them.
    pub(super) fn read_back(&self, cursor: &mut Cursor, limit: usize) -> Vec<Entry> {
        let end = self.position(cursor.next);
        let start = end.saturating_sub(limit);
        let entries: Vec<Entry> = self.entries.range(start..end).rev().cloned().collect();
        if let Some(first) = entries.last() {
            *cursor = self.at_entry(first);
        }
        entries
    }

    fn cursor(&self, next: Key) -> Cursor {
        Cursor {
            next,
            position: self.position(next),
            evicted: self.evicted,
        }
    }

    fn position(&self, key: Key) -> usize {
        self.entries.partition_point(|entry| entry.key() < key)
    }

    fn evict(&mut self) -> Vec<Entry> {
        let mut left = Vec::new();
        while self.entries.len() > 1
            && (self.entries.len() > self.bounds.max_flows || self.bytes > self.bounds.max_bytes)
        {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.cost();
            self.evicted += 1;
            left.push(oldest);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(time: i64, sequence: u64) -> Entry {
        Entry {
            bytes: Bytes::from_static(b"1234"),
            time,
            kind: EntryKind::Flow,
            sequence,
            node: None,
        }
    }

    fn ring(max_flows: usize, times: &[i64]) -> Ring {
        let mut ring = Ring::new(Bounds {
            max_flows,
            ..Bounds::default()
        });
        for (sequence, &time) in (0..).zip(times) {
            ring.insert(entry(time, sequence));
        }
        ring
    }

    fn keys(entries: &[Entry]) -> Vec<Key> {
        entries.iter().map(Entry::key).collect()
    }

    #[test]
    fn entries_are_in_order_of_time_and_ties_in_order_of_arrival() {
        let ring = ring(10, &[5, 3, 5, 4]);
        let page = ring.read(&mut ring.at_oldest(), 10);
        assert_eq!(keys(&page.entries), [(3, 1), (4, 3), (5, 0), (5, 2)]);
    }

    #[test]
    fn many_at_once_are_as_one_by_one() {
        let mut many = ring(3, &[]);
        let left = many.extend((0..).zip([5, 3, 5, 4]).map(|(n, t)| entry(t, n)).collect());
        assert_eq!(keys(&left), [(3, 1)]);
        let page = many.read(&mut many.at_oldest(), 10);
        assert_eq!(keys(&page.entries), [(4, 3), (5, 0), (5, 2)]);
    }

    #[test]
    fn the_byte_bound_counts_what_holding_costs() {
        let mut ring = Ring::new(Bounds {
            max_flows: 10,
            max_bytes: 2 * (4 + ENTRY_OVERHEAD),
        });
        assert!(ring.insert(entry(1, 0)).is_empty());
        assert!(ring.insert(entry(2, 1)).is_empty());
        assert_eq!(keys(&ring.insert(entry(3, 2))), [(1, 0)]);
        assert_eq!(ring.len(), 2);
    }

    #[test]
    fn a_reader_that_is_lapped_is_told_by_how_many() {
        let mut ring = ring(4, &[1, 2, 3, 4]);
        let mut cursor = ring.at_oldest();
        ring.read(&mut cursor, 2);
        for (sequence, time) in (4..).zip(5..8) {
            ring.insert(entry(time, sequence));
        }
        let page = ring.read(&mut cursor, 10);
        assert_eq!(page.lapped, 1);
        assert_eq!(keys(&page.entries), [(4, 3), (5, 4), (6, 5), (7, 6)]);
    }

    #[test]
    fn reading_back_is_the_same_in_reverse() {
        let ring = ring(10, &[1, 2, 2, 3]);
        let mut cursor = ring.behind_time(2);
        assert_eq!(keys(&ring.read_back(&mut cursor, 2)), [(2, 2), (2, 1)]);
        assert_eq!(keys(&ring.read_back(&mut cursor, 2)), [(1, 0)]);
        assert!(ring.read_back(&mut cursor, 2).is_empty());
    }
}
