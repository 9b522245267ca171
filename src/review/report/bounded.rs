//! Counting by key with a bound.
//!
//! Owns what becomes of keys beyond the bound: they are counted together as others, which
//! a report says. Known keys stay exact.

use std::borrow::Borrow;
use std::hash::Hash;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

/// Values by key, exact up to a number of keys.
#[derive(Clone, Debug)]
pub(in crate::review) struct Bounded<K, V> {
    known: HashMap<K, V, RandomState>,
    most: usize,
    others: u64,
}

impl<K: Eq + Hash, V> Bounded<K, V> {
    pub(in crate::review) fn new(most: usize) -> Self {
        Self {
            known: HashMap::default(),
            most,
            others: 0,
        }
    }

    /// The value of a key; `None` beyond the bound, where `weight` is added to the others.
    pub(in crate::review) fn entry(
        &mut self,
        key: K,
        weight: u64,
        make: impl FnOnce() -> V,
    ) -> Option<&mut V> {
        if self.known.len() >= self.most && !self.known.contains_key(&key) {
            self.others += weight;
            return None;
        }
        Some(self.known.entry(key).or_insert_with(make))
    }

    /// The same by what a key is made of, for keys that are costly to make.
    pub(super) fn entry_of<Q>(
        &mut self,
        key: &Q,
        weight: u64,
        make: impl FnOnce() -> V,
    ) -> Option<&mut V>
    where
        Q: Eq + Hash + ?Sized,
        K: Borrow<Q> + for<'a> From<&'a Q>,
    {
        let is_full = self.known.len() >= self.most;
        match self.known.entry_ref(key) {
            EntryRef::Occupied(entry) => Some(entry.into_mut()),
            EntryRef::Vacant(_) if is_full => {
                self.others += weight;
                None
            }
            EntryRef::Vacant(entry) => Some(entry.insert_with_key(K::from(key), make())),
        }
    }

    /// Weight of what was beyond the bound.
    pub(in crate::review) fn others(&self) -> u64 {
        self.others
    }

    pub(in crate::review) fn into_iter(self) -> impl Iterator<Item = (K, V)> {
        self.known.into_iter()
    }
}

/// From when to when something was seen, in nanoseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// First time; `i64::MAX` where none is known.
    pub first: i64,
    /// Last time; `i64::MIN` where none is known.
    pub last: i64,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            first: i64::MAX,
            last: i64::MIN,
        }
    }
}

impl Seen {
    /// Takes a time in; [`crate::flow::NO_TIME`] is none.
    pub(in crate::review) fn at(&mut self, time: i64) {
        if time != crate::flow::NO_TIME {
            self.first = self.first.min(time);
            self.last = self.last.max(time);
        }
    }

    pub(in crate::review) fn merge(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }

    /// First and last, where there is a time at all.
    #[must_use]
    pub fn span(self) -> Option<(i64, i64)> {
        (self.first <= self.last).then_some((self.first, self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_beyond_the_bound_are_counted_together() {
        let mut counts: Bounded<u32, u64> = Bounded::new(2);
        for key in [1, 2, 3, 1, 4] {
            if let Some(count) = counts.entry(key, 10, || 0) {
                *count += 10;
            }
        }
        assert_eq!(counts.others(), 20);
        let mut known: Vec<(u32, u64)> = counts.into_iter().collect();
        known.sort_unstable();
        assert_eq!(known, [(1, 20), (2, 10)]);
    }

    #[test]
    fn no_time_is_no_span() {
        let mut seen = Seen::default();
        seen.at(crate::flow::NO_TIME);
        assert_eq!(seen.span(), None);
        seen.at(5);
        assert_eq!(seen.span(), Some((5, 5)));
    }
}
