//! Values that many connections share, by number.
//!
//! Owns counting who holds one, so that the pool is never larger than what is held.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// No value.
pub(super) const NONE: u32 = u32::MAX;

/// The pool.
#[derive(Debug)]
pub(super) struct Pool<T> {
    slots: Vec<(Option<T>, u32)>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: RandomState,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
        }
    }
}

impl<T: Eq + Hash> Pool<T> {
    /// Holds a value: give its number back with [`Pool::release`].
    pub(super) fn hold(&mut self, value: T) -> u32 {
        let hash = self.hasher.hash_one(&value);
        let slots = &mut self.slots;
        let same = |&at: &u32| slots[at as usize].0.as_ref() == Some(&value);
        if let Some(&at) = self.index.find(hash, same) {
            slots[at as usize].1 += 1;
            return at;
        }
        let at = if let Some(at) = self.free.pop() {
            slots[at as usize] = (Some(value), 1);
            at
        } else {
            slots.push((Some(value), 1));
            (slots.len() - 1) as u32
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, at, |&at| {
            let value = slots[at as usize].0.as_ref();
            value.map_or(0, |value| hasher.hash_one(value))
        });
        at
    }

    /// Lets go of a number.
    pub(super) fn release(&mut self, at: u32) {
        let Some((value, held)) = self.slots.get_mut(at as usize) else {
            return;
        };
        *held = held.saturating_sub(1);
        if *held > 0 {
            return;
        }
        if let Some(value) = value.take() {
            let hash = self.hasher.hash_one(&value);
            if let Ok(entry) = self.index.find_entry(hash, |&other| other == at) {
                entry.remove();
            }
            self.free.push(at);
        }
    }

    /// The value of a number; `None` for [`NONE`].
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.slots.get(at as usize)?.0.as_ref()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_as_long_as_someone_holds_it() {
        let mut pool = Pool::default();
        let one = pool.hold("a");
        assert_eq!(pool.hold("a"), one);
        let other = pool.hold("b");
        pool.release(one);
        assert_eq!(pool.get(one), Some(&"a"));
        pool.release(one);
        assert_eq!(pool.get(one), None);
        assert_eq!(pool.hold("c"), one);
        assert_eq!((pool.get(one), pool.get(other)), (Some(&"c"), Some(&"b")));
        assert_eq!(pool.len(), 2);
        assert_eq!(pool.get(NONE), None);
    }
}
