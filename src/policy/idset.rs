//! A set of identities: a sorted list while it is small, a bitmap when that is smaller.
//!
//! Owns membership, which every cold decision asks a few times.

/// Indices of identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IdSet {
    Sparse(Vec<u32>),
    Dense(Vec<u64>),
}

/// A list longer than this is searched more slowly than a bit is tested.
const SPARSE_MOST: usize = 16;

impl IdSet {
    pub(super) fn new() -> Self {
        Self::Sparse(Vec::new())
    }

    /// Adds one; cheapest in ascending order.
    pub(super) fn insert(&mut self, id: u32) {
        match self {
            Self::Sparse(ids) => {
                if let Err(at) = ids.binary_search(&id) {
                    ids.insert(at, id);
                }
                // A bitmap pays where it takes no more room than the list, with a little
                // more granted for its speed.
                let words = (ids.last().map_or(0, |last| *last as usize) >> 6) + 1;
                if ids.len() > SPARSE_MOST && words <= ids.len() * 4 {
                    let mut dense = Self::Dense(vec![0; words]);
                    for id in std::mem::take(ids) {
                        dense.insert(id);
                    }
                    *self = dense;
                }
            }
            Self::Dense(words) => {
                let word = (id >> 6) as usize;
                if words.len() <= word {
                    words.resize(word + 1, 0);
                }
                if let Some(word) = words.get_mut(word) {
                    *word |= 1 << (id & 63);
                }
            }
        }
    }

    #[inline]
    pub(super) fn contains(&self, id: u32) -> bool {
        match self {
            Self::Sparse(ids) if ids.len() <= SPARSE_MOST => ids.contains(&id),
            Self::Sparse(ids) => ids.binary_search(&id).is_ok(),
            Self::Dense(words) => words
                .get((id >> 6) as usize)
                .is_some_and(|word| word >> (id & 63) & 1 == 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in(ids in prop::collection::vec(0u32..2_000, 0..300)) {
            let mut set = IdSet::new();
            for id in &ids {
                set.insert(*id);
            }
            let expected: BTreeSet<u32> = ids.into_iter().collect();
            for id in 0..2_100 {
                prop_assert_eq!(set.contains(id), expected.contains(&id));
            }
        }
    }
}
