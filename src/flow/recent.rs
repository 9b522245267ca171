//! A small direct-mapped cache of short texts, in front of the dictionary.
//!
//! Owns nothing but speed: addresses, node names and summaries are short and come again
//! and again. A text of up to 32 bytes is its first and last words and its length, which
//! one cache line holds, so that a hit costs neither a hash nor a pointer; a longer one
//! costs a comparison. What is not here is looked up the usual way.

use super::intern::StrId;

/// Entries; a power of two.
const SIZE: usize = 1 << SIZE_BITS;
const SIZE_BITS: u32 = 10;
/// Longest text; nodes of managed clusters have names of 60 bytes.
const MAX: usize = 96;
/// An odd number with bits all over, to spread keys by multiplication.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The cache. Texts are put in by whoever has found them.
#[derive(Debug)]
pub(super) struct Recent {
    entries: Box<[Entry]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: Key,
    id: u32,
}

/// Up to 16 bytes the first and the last eight, beyond that the first and the last
/// sixteen: up to 32 bytes that is the whole text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Key {
    words: [u64; 4],
    length: u32,
}

impl PartialEq for Key {
    /// By words, in registers: a key that was just made is not in memory yet, and a
    /// comparison of it as a block of memory would wait for that.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.words, &other.words);
        let length = u64::from(self.length ^ other.length);
        let head = (mine[0] ^ theirs[0]) | (mine[1] ^ theirs[1]);
        let tail = (mine[2] ^ theirs[2]) | (mine[3] ^ theirs[3]);
        head | tail | length == 0
    }
}

impl Key {
    /// The key of a text, `None` for one that is too short or too long.
    #[inline]
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let words = match text.len() {
            8..=16 => {
                let (head, tail) = (text.first_chunk::<8>()?, text.last_chunk::<8>()?);
                [u64::from_le_bytes(*head), u64::from_le_bytes(*tail), 0, 0]
            }
            17..=MAX => ends(text)?,
            _ => return None,
        };
        Some(Self {
            words,
            length: text.len() as u32,
        })
    }

    /// The key of the ends of bytes of any length from 16 on, which is not the whole.
    #[inline]
    pub(super) fn of_ends(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            words: ends(bytes)?,
            length: bytes.len() as u32,
        })
    }

    /// Whether two texts with this key are the same text. Otherwise the caller compares.
    #[inline]
    pub(super) fn is_whole(&self) -> bool {
        self.length <= 32
    }

    fn slot(&self) -> usize {
        let [a, b, c, d] = self.words;
        let mixed =
            (a ^ b.rotate_left(32) ^ c.rotate_left(16) ^ d.rotate_left(48)).wrapping_mul(SPREAD);
        (mixed >> (64 - SIZE_BITS)) as usize
    }
}

/// The first and the last sixteen bytes.
#[inline]
fn ends(bytes: &[u8]) -> Option<[u64; 4]> {
    let (head, tail) = (bytes.first_chunk::<16>()?, bytes.last_chunk::<16>()?);
    let (head, tail) = (u128::from_le_bytes(*head), u128::from_le_bytes(*tail));
    Some([
        head as u64,
        (tail >> 64) as u64,
        (head >> 64) as u64,
        tail as u64,
    ])
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            entries: vec![Entry::default(); SIZE].into(),
        }
    }
}

impl Recent {
    /// The id of a text that was put in and not displaced since.
    #[inline]
    pub(super) fn get(&self, key: &Key) -> Option<StrId> {
        let entry = &self.entries[key.slot()];
        (entry.key == *key).then_some(StrId(entry.id))
    }

    #[inline]
    pub(super) fn put(&mut self, key: Key, id: StrId) {
        self.entries[key.slot()] = Entry { key, id: id.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Guarantees: two texts have the same key only where they are the same.
        #[test]
        fn a_key_is_the_whole_text(one in "[a-c]{7,34}", at in 0_usize..34, other in "[a-d]") {
            let mut changed = one.clone().into_bytes();
            let at = at % changed.len();
            changed[at] = other.as_bytes()[0];
            let (a, b) = (Key::of(one.as_bytes()), Key::of(&changed));
            prop_assert_eq!(a.is_some(), (8..=MAX).contains(&one.len()));
            if a.is_some_and(|key| key.is_whole()) {
                prop_assert_eq!(a == b, one.as_bytes() == changed.as_slice());
            }
        }
    }

    #[test]
    fn texts_that_share_an_entry_displace_each_other() {
        let mut recent = Recent::default();
        let keys: Vec<Key> = (0..5000)
            .map(|n| Key::of(format!("10.0.0.{n:04}").as_bytes()).unwrap())
            .collect();
        for (id, key) in keys.iter().enumerate() {
            recent.put(*key, StrId(id as u32));
            assert_eq!(recent.get(key), Some(StrId(id as u32)));
        }
        for (id, key) in keys.iter().enumerate() {
            assert!(
                recent
                    .get(key)
                    .is_none_or(|found| found == StrId(id as u32))
            );
        }
    }
}
