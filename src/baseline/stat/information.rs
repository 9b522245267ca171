//! How much can be said in names: distinct strings, their length, their alphabet.
//!
//! Owns the estimate of information (after ibHH, arXiv 2307.02614): so many distinct
//! strings of so many characters, each of so many bits. A string that comes again says
//! nothing new. Bounded: 64 numbers and a sketch of 256 registers for what is distinct, 38
//! counters for an alphabet.

use datasketches::hll::{HllSketch, HllType};

/// Distinct values that are kept as they are.
const EXACT: usize = 64;
/// Registers of the sketch, as a power of 2: a relative error of 6.5 %.
const REGISTERS: u8 = 8;
/// Characters of an alphabet: letters, digits, hyphen, everything else.
const CHARACTERS: usize = 38;

/// How many distinct values there were: exact to 64, then to 6.5 %.
#[derive(Clone, Debug, Default)]
pub struct Distinct {
    /// Sorted, while they are few.
    exact: Vec<u64>,
    sketch: Option<HllSketch>,
}

impl Distinct {
    /// Adds the hash of a value. Says whether it is new; beyond 64, that it may be.
    pub fn insert(&mut self, hash: u64) -> bool {
        if let Some(sketch) = &mut self.sketch {
            sketch.update(hash);
            return true;
        }
        let Err(at) = self.exact.binary_search(&hash) else {
            return false;
        };
        if self.exact.len() < EXACT {
            self.exact.insert(at, hash);
            return true;
        }
        if let Ok(mut sketch) = HllSketch::new(REGISTERS, HllType::Hll8) {
            for &known in &self.exact {
                sketch.update(known);
            }
            sketch.update(hash);
            self.exact = Vec::new();
            self.sketch = Some(sketch);
        }
        true
    }

    /// How many. Does not depend on the order in which they came.
    #[must_use]
    pub fn count(&self) -> f64 {
        match &self.sketch {
            Some(sketch) => sketch.composite_estimate().max(EXACT as f64),
            None => self.exact.len() as f64,
        }
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sketch.is_none() && self.exact.is_empty()
    }
}

/// Characters and how often each came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charset {
    counts: [u32; CHARACTERS],
}

impl Default for Charset {
    fn default() -> Self {
        Self {
            counts: [0; CHARACTERS],
        }
    }
}

impl Charset {
    /// Adds the characters of a text. Dots do not count.
    pub fn add(&mut self, text: &str) {
        for byte in text.bytes().filter(|&byte| byte != b'.') {
            let at = match byte.to_ascii_lowercase() {
                letter @ b'a'..=b'z' => usize::from(letter - b'a'),
                digit @ b'0'..=b'9' => 26 + usize::from(digit - b'0'),
                b'-' => 36,
                _ => 37,
            };
            self.counts[at] = self.counts[at].saturating_add(1);
        }
    }

    /// Adds another one's.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
    }

    /// Characters counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// Bits of a character: Shannon's entropy, at most log2(38) = 5.25.
    #[must_use]
    pub fn entropy(&self) -> f64 {
        let total = self.total() as f64;
        self.counts
            .iter()
            .filter(|&&count| count > 0)
            .map(|&count| {
                let share = f64::from(count) / total;
                -share * share.log2()
            })
            .sum()
    }
}

/// Bytes that `distinct` strings of a mean `length` in characters of `entropy` bits can
/// carry.
#[must_use]
pub fn information(distinct: f64, length: f64, entropy: f64) -> f64 {
    distinct * length * entropy / 8.0
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn distinct_values_are_exact_while_few_and_near_when_many() {
        let mut distinct = Distinct::default();
        assert!(distinct.is_empty());
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let hashes: Vec<u64> = (0..100_000).map(|_| random.random()).collect();
        for &hash in &hashes[..64] {
            assert!(distinct.insert(hash));
            assert!(!distinct.insert(hash));
        }
        assert!((distinct.count() - 64.0).abs() < 1e-9);
        for (at, &hash) in hashes.iter().enumerate() {
            distinct.insert(hash);
            if at > 64 && at % 9_973 == 0 {
                let share = distinct.count() / (at + 1) as f64;
                assert!((0.75..1.3).contains(&share), "{at}: {share}");
            }
        }

        let mut turned = Distinct::default();
        for &hash in hashes.iter().rev() {
            turned.insert(hash);
        }
        assert!((turned.count() - distinct.count()).abs() < 1e-9);
    }

    #[test]
    fn entropy_is_shannons() {
        let mut set = Charset::default();
        assert!(set.entropy().abs() < 1e-12);
        set.add("aabb");
        assert!((set.entropy() - 1.0).abs() < 1e-12);
        set.add("...");
        assert_eq!(set.total(), 4);
        let mut hex = Charset::default();
        hex.add("0123456789abcdef");
        assert!((hex.entropy() - 4.0).abs() < 1e-12);
    }

    /// Random bytes carried in hexadecimal: the estimate is what was carried, to the error
    /// of the sketch.
    #[test]
    fn the_estimate_is_what_was_carried() {
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let (mut distinct, mut set, mut length) = (Distinct::default(), Charset::default(), 0);
        for _ in 0..1_000 {
            let name: String = (0..40)
                .map(|_| char::from(b"0123456789abcdef"[random.random_range(0..16)]))
                .collect();
            distinct.insert(random.random());
            set.add(&name);
            length += name.len();
        }
        let bytes = information(distinct.count(), length as f64 / 1_000.0, set.entropy());
        assert!((bytes / 20_000.0 - 1.0).abs() < 0.2, "{bytes}");
    }
}
