//! The connections that are open, by key, and the order in which they end.
//!
//! Owns the look-up, the queues of what may have ended, and the bound: beyond it the least
//! recently used connection makes room. A tuple that is used again has a chain: the newest
//! connection is found by key, and those before it follow as long as flows of other nodes,
//! whose clocks differ, may still be theirs.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::entry::{Entry, LONG, SECOND, SHORT, bits};
use super::key::Key;
use super::pool::NONE;

/// How far clocks of nodes and the order of flows may be off.
const SLACK: i64 = 5 * SECOND;

/// A queue is not made anew for fewer places.
const LEAST_QUEUE: usize = 1 << 10;

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// What ends after [`SHORT`] and after [`LONG`], by when it was last seen as far as the
    /// queue knows.
    short: BinaryHeap<Reverse<Waiting>>,
    long: BinaryHeap<Reverse<Waiting>>,
    replaced: VecDeque<Waiting>,
    /// Connections that were not given out as opened yet, by when they began; empty where
    /// that is not asked for.
    fresh: VecDeque<Waiting>,
    most: usize,
}

#[derive(Debug)]
struct Slot {
    entry: Option<Entry>,
    /// How often the slot was used.
    turn: u32,
}

/// A connection in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    seen: i64,
    at: u32,
    turn: u32,
}

impl Table {
    pub(super) fn new(most: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            short: BinaryHeap::new(),
            long: BinaryHeap::new(),
            replaced: VecDeque::new(),
            fresh: VecDeque::new(),
            most: most.clamp(1, NONE as usize),
        }
    }

    /// Connections that are open.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// The newest connection of a key.
    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        self.index
            .find(self.hasher.hash_one(key), |&at| self.is_of(at, key))
            .copied()
    }

    fn is_of(&self, at: u32, key: &Key) -> bool {
        self.get(at).is_some_and(|entry| entry.key == *key)
    }

    pub(super) fn get(&self, at: u32) -> Option<&Entry> {
        self.slots.get(at as usize)?.entry.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Entry> {
        self.slots.get_mut(at as usize)?.entry.as_mut()
    }

    /// A hash of a key, the same as long as the table lives.
    pub(super) fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Opens a connection; one of the same key is replaced at `now`.
    pub(super) fn insert(&mut self, mut entry: Entry, now: i64) -> u32 {
        let hash = self.hasher.hash_one(entry.key);
        let key = entry.key;
        let old = self.find(&key);
        if let Some(old) = old {
            entry.previous = old;
            self.replace(old, now);
        }
        let at = self.put(entry, now);
        if let Some(place) = self.index.find_mut(hash, |&at| Some(at) == old) {
            *place = at;
        } else {
            let (slots, hasher) = (&self.slots, &self.hasher);
            self.index
                .insert_unique(hash, at, |&at| match &slots[at as usize].entry {
                    Some(entry) => hasher.hash_one(entry.key),
                    None => 0,
                });
        }
        at
    }

    /// Opens a connection that was over before: a flow that came much too late.
    pub(super) fn insert_late(&mut self, mut entry: Entry, now: i64) -> u32 {
        entry.flags |= bits::REPLACED;
        let seen = now;
        let at = self.put(entry, now);
        let turn = self.slots[at as usize].turn;
        self.replaced.push_back(Waiting { seen, at, turn });
        at
    }

    fn put(&mut self, entry: Entry, now: i64) -> u32 {
        let at = if let Some(at) = self.free.pop() {
            let slot = &mut self.slots[at as usize];
            slot.turn = slot.turn.wrapping_add(1);
            slot.entry = Some(entry);
            at
        } else {
            self.slots.push(Slot {
                entry: Some(entry),
                turn: 0,
            });
            (self.slots.len() - 1) as u32
        };
        let turn = self.slots[at as usize].turn;
        self.short.push(Reverse(Waiting {
            seen: now,
            at,
            turn,
        }));
        at
    }

    /// Waits until a connection is to be given out as opened.
    pub(super) fn await_opening(&mut self, at: u32) {
        let Some(slot) = self.slots.get(at as usize) else {
            return;
        };
        let Some(entry) = &slot.entry else {
            return;
        };
        // One that came late waits no shorter than those before it: the queue stays sorted.
        let last = self.fresh.back().map_or(i64::MIN, |waiting| waiting.seen);
        let waiting = Waiting {
            seen: entry.began().max(last),
            at,
            turn: slot.turn,
        };
        self.fresh.push_back(waiting);
        if self.fresh.len() > 2 * self.len().max(LEAST_QUEUE) {
            let slots = &self.slots;
            self.fresh.retain(|waiting| {
                let slot = &slots[waiting.at as usize];
                slot.turn == waiting.turn && slot.entry.is_some()
            });
        }
    }

    /// A connection that began before `limit` and was not given out as opened.
    pub(super) fn pop_fresh(&mut self, limit: i64) -> Option<u32> {
        while let Some(&Waiting { seen, at, turn }) = self.fresh.front() {
            if seen > limit {
                return None;
            }
            self.fresh.pop_front();
            let slot = &self.slots[at as usize];
            let entry = slot.entry.as_ref().filter(|_| slot.turn == turn);
            if entry.is_some_and(|entry| !entry.has(bits::TOLD)) {
                return Some(at);
            }
        }
        None
    }

    fn replace(&mut self, at: u32, now: i64) {
        let Some(slot) = self.slots.get_mut(at as usize) else {
            return;
        };
        if let Some(entry) = &mut slot.entry
            && !entry.has(bits::REPLACED)
        {
            entry.flags |= bits::REPLACED;
            self.replaced.push_back(Waiting {
                seen: now,
                at,
                turn: slot.turn,
            });
        }
    }

    /// Says that a connection that waited long ends soon now.
    pub(super) fn requeue(&mut self, at: u32) {
        let turn = self.slots[at as usize].turn;
        let Some(entry) = self.get_mut(at) else {
            return;
        };
        if entry.has(bits::QUEUED_LONG) && !entry.is_long() {
            entry.flags &= !bits::QUEUED_LONG;
            let seen = entry.seen();
            self.short.push(Reverse(Waiting { seen, at, turn }));
            self.forget_left();
        }
    }

    /// A connection that left the queue of long ones leaves its place there: with many such
    /// the queue is made anew.
    fn forget_left(&mut self) {
        if self.long.len() < 2 * self.slots.len().max(LEAST_QUEUE) {
            return;
        }
        let slots = &self.slots;
        self.long.retain(|Reverse(waiting)| {
            let slot = &slots[waiting.at as usize];
            let entry = slot.entry.as_ref().filter(|_| slot.turn == waiting.turn);
            entry.is_some_and(|entry| entry.has(bits::QUEUED_LONG))
        });
    }

    /// Places in queues.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.short.len() + self.long.len() + self.replaced.len() + self.fresh.len()
    }

    /// Takes out a connection that has ended by `now`.
    pub(super) fn pop_ended(&mut self, now: i64) -> Option<Entry> {
        while let Some(&Waiting { seen, at, turn }) = self.replaced.front() {
            if seen.saturating_add(SLACK) >= now {
                break;
            }
            self.replaced.pop_front();
            if self.slots[at as usize].turn == turn
                && let Some(entry) = self.remove(at)
            {
                return Some(entry);
            }
        }
        for (is_long, window) in [(false, SHORT), (true, LONG)] {
            let limit = now.saturating_sub(window + SLACK);
            if let Some(at) = self.oldest(is_long, limit) {
                return self.remove(at);
            }
        }
        None
    }

    /// Takes out the connection that was not used for longest, to make room. Its second
    /// part says whether it was still in use.
    pub(super) fn evict(&mut self) -> Option<(Entry, bool)> {
        while let Some(Waiting { at, turn, .. }) = self.replaced.pop_front() {
            if self.slots[at as usize].turn == turn
                && let Some(entry) = self.remove(at)
            {
                return Some((entry, false));
            }
        }
        let short = self.oldest(false, i64::MAX);
        let long = self.oldest(true, i64::MAX);
        let seen = |at: u32| self.get(at).map_or(i64::MAX, Entry::seen);
        let at = match (short, long) {
            (Some(short), Some(long)) if seen(long) < seen(short) => long,
            (Some(short), _) => short,
            (None, long) => long?,
        };
        self.remove(at).map(|entry| (entry, true))
    }

    /// The connection of a queue that was last seen before `limit`, and longest ago. What
    /// was seen since it was queued goes back.
    fn oldest(&mut self, is_long: bool, limit: i64) -> Option<u32> {
        loop {
            let queue = if is_long {
                &mut self.long
            } else {
                &mut self.short
            };
            let &Reverse(next) = queue.peek()?;
            if next.seen >= limit {
                return None;
            }
            let slot = &mut self.slots[next.at as usize];
            let Some(entry) = slot.entry.as_mut().filter(|_| slot.turn == next.turn) else {
                queue.pop();
                continue;
            };
            // Another queue, or another place in it, has it.
            if entry.has(bits::REPLACED) || entry.has(bits::QUEUED_LONG) != is_long {
                queue.pop();
                continue;
            }
            let now_long = entry.is_long();
            if entry.seen() <= next.seen && now_long == is_long {
                return Some(next.at);
            }
            queue.pop();
            let next = Reverse(Waiting {
                seen: entry.seen(),
                ..next
            });
            if now_long {
                entry.flags |= bits::QUEUED_LONG;
                self.long.push(next);
            } else {
                entry.flags &= !bits::QUEUED_LONG;
                self.short.push(next);
            }
        }
    }

    /// Takes out a connection, without looking after its chain.
    pub(super) fn take(&mut self, at: u32) -> Option<Entry> {
        let entry = self.slots.get_mut(at as usize)?.entry.take()?;
        self.free.push(at);
        Some(entry)
    }

    /// All that are open.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| Some((at as u32, slot.entry.as_ref()?)))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    fn remove(&mut self, at: u32) -> Option<Entry> {
        let key = self.get(at)?.key;
        let hash = self.hasher.hash_one(key);
        if let Ok(found) = self.index.find_entry(hash, |&other| other == at) {
            // The newest of its chain: those before it come out by themselves.
            found.remove();
        } else if let Some(mut newer) = self.find(&key) {
            let previous = self.get(at)?.previous;
            while let Some(entry) = self.get_mut(newer) {
                if entry.previous == at {
                    entry.previous = previous;
                    break;
                }
                newer = entry.previous;
            }
        }
        self.take(at)
    }
}
