//! Small two-way caches in front of the dictionaries.
//!
//! Owns nothing but speed: addresses, node names, summaries and endpoints come again and
//! again. A text of up to 32 bytes is its first and last words and its length, so that a
//! hit costs neither a hash nor a pointer; a longer one, all of whose words are mixed,
//! and bytes that are kept elsewhere, cost a comparison. What is not here is looked up the usual way.

use super::intern::StrId;

/// Sets of two entries; a power of two, and several times the pods of a node's flows:
/// what shares its set with two busy ones is found the slow way each time.
const SETS: usize = 1 << SET_BITS;
const SET_BITS: u32 = 11;
/// Longest text; nodes of managed clusters have names of 60 bytes.
const MAX: usize = 96;
/// Odd numbers with bits all over, one a word: digits of an address differ in few bits,
/// which must not cancel out.
const SPREAD: [u64; 4] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
    0xd6e8_feb8_6659_fd93,
];

/// The cache. Texts are put in by whoever has found them.
#[derive(Debug)]
pub(super) struct Recent {
    sets: Box<[[Entry; 2]]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: Key,
    id: u32,
}

/// Up to 16 bytes the first and the last eight, up to 32 the first and the last sixteen:
/// that is the whole text. Beyond, a mixture: nodes of one cluster differ in the middle of
/// their names only.
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
            17..=32 => ends(text)?,
            33..=MAX => mixture(text)?,
            _ => return None,
        };
        Some(Self {
            words,
            length: text.len() as u32,
        })
    }

    /// Whether two texts with this key are the same text. Otherwise the caller compares.
    #[inline]
    pub(super) fn is_whole(&self) -> bool {
        self.length <= 32
    }

    #[inline]
    fn slot(&self) -> usize {
        slot(self.words)
    }
}

#[inline]
fn slot(words: [u64; 4]) -> usize {
    let [a, b, c, d] = words;
    let mixed = a.wrapping_mul(SPREAD[0])
        ^ b.wrapping_mul(SPREAD[1]).rotate_left(8)
        ^ c.wrapping_mul(SPREAD[2]).rotate_left(16)
        ^ d.wrapping_mul(SPREAD[3]).rotate_left(24);
    (mixed >> (64 - SET_BITS)) as usize
}

/// All bytes, 32 at a time.
#[inline]
fn mixture(bytes: &[u8]) -> Option<[u64; 4]> {
    let words = |bytes: &[u8; 32]| {
        let (words, _) = bytes.as_chunks::<8>();
        [words[0], words[1], words[2], words[3]].map(u64::from_le_bytes)
    };
    let mut mixed = words(bytes.last_chunk()?);
    for chunk in bytes.as_chunks::<32>().0 {
        for ((mixed, word), spread) in mixed.iter_mut().zip(words(chunk)).zip(SPREAD) {
            *mixed = (*mixed ^ word).wrapping_mul(spread);
        }
    }
    Some(mixed)
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
            sets: vec![[Entry::default(); 2]; SETS].into(),
        }
    }
}

impl Recent {
    /// The id of a text that was put in and not displaced since.
    #[inline]
    pub(super) fn get(&self, key: &Key) -> Option<StrId> {
        let [first, second] = &self.sets[key.slot()];
        if first.key == *key {
            return Some(StrId(first.id));
        }
        (second.key == *key).then_some(StrId(second.id))
    }

    pub(super) fn put(&mut self, key: Key, id: StrId) {
        let [first, second] = &mut self.sets[key.slot()];
        *second = *first;
        *first = Entry { key, id: id.0 };
    }
}

/// Where bytes are kept, and what they stand for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) value: u32,
}

/// A cache of places by the ends of the bytes. The caller compares.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Empty until something is put in.
    sets: Box<[[Place; 2]]>,
}

impl Places {
    /// Where `raw` may be, of which `is_it` tells.
    #[inline]
    pub(super) fn get(&self, raw: &[u8], is_it: impl Fn(Place) -> bool) -> Option<Place> {
        let set = self.sets.get(slot(ends(raw)?))?;
        set.iter().copied().find(|&place| is_it(place))
    }

    /// Keeps the place of bytes; they are too few for this below sixteen.
    pub(super) fn put(&mut self, raw: &[u8], place: Place) {
        if self.sets.is_empty() {
            self.sets = vec![[Place::default(); 2]; SETS].into();
        }
        if let Some(ends) = ends(raw) {
            let [first, second] = &mut self.sets[slot(ends)];
            *second = *first;
            *first = place;
        }
    }
}

/// Whether bytes are the same. Short ones in place, where a call costs as much as the
/// comparison.
#[inline]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    if one.len() > 128 {
        return one == other;
    }
    if let (Some(one_last), Some(other_last)) = (one.last_chunk::<16>(), other.last_chunk()) {
        let chunks = one.as_chunks::<16>().0.iter();
        return one_last == other_last
            && chunks
                .zip(other.as_chunks().0)
                .all(|(one, other)| one == other);
    }
    if let (Some(one_last), Some(other_last)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        return one_last == other_last && one.first_chunk::<8>() == other.first_chunk();
    }
    one == other
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

    proptest! {
        #[test]
        fn bytes_are_the_same_where_no_byte_differs(
            bytes in proptest::collection::vec(any::<u8>(), 0..150),
            at in any::<proptest::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let mut other = bytes.clone();
            prop_assert!(same(&bytes, &other));
            if !bytes.is_empty() {
                other[at.index(bytes.len())] ^= 1 << bit;
                prop_assert!(!same(&bytes, &other));
                other.pop();
                prop_assert!(!same(&bytes, &other));
            }
        }
    }

    /// Scenario: a cluster whose nodes' names begin and end alike.
    /// Guarantees: the busy ones do not displace each other.
    #[test]
    fn names_that_differ_in_the_middle_have_places_of_their_own() {
        let mut recent = Recent::default();
        let names = (0..200).map(|n| {
            format!(
                "default/ip-10-20-{}-{n}.eu-central-1.compute.internal",
                n % 7
            )
        });
        let keys: Vec<Key> = names
            .map(|name| Key::of(name.as_bytes()).unwrap())
            .collect();
        for (id, key) in keys.iter().enumerate() {
            recent.put(*key, StrId(id as u32));
        }
        let found = (0..)
            .zip(&keys)
            .filter(|(id, key)| recent.get(key) == Some(StrId(*id)));
        assert!(found.count() > 190);
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
