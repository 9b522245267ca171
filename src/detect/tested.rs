//! How many hypotheses a detector tested, and how its p-values were spread.
//!
//! Owns counting. What is said of an observation is the detector's; that a p-value is worth
//! less where there are many tests is `finding`'s.
//!
//! Most detectors say nothing of what is likelier than one in a hundred thousand, so what they
//! say cannot show whether p-values below 1 in 1,000 come once in 1,000 tests. Therefore they
//! are counted here before anything is left out. A count has steps: where a p-value below 1 in
//! 1,000 does not exist, none comes. So it is drawn within its step ([`within`]), by a number
//! that follows from the client and the time; such a p-value is uniform where the model holds.

use crate::connection::PeerId;

/// Probabilities below which p-values are counted.
pub const BELOW: [f64; 2] = [1e-3, 1e-5];

/// Hypotheses that were tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tested {
    /// All of them.
    pub all: u64,
    /// Those whose p-value is known whatever it was.
    pub checked: u64,
    /// Of these the ones with a p-value below each of [`BELOW`].
    pub below: [u64; 2],
}

impl Tested {
    /// Counts tests of which nothing is known but that there were so many.
    pub(super) fn count(&mut self, tests: u64) {
        self.all += tests;
    }

    /// Counts tests whose p-values are noted where they are low.
    pub(super) fn check(&mut self, tests: u64) {
        self.checked += tests;
    }

    /// Notes the p-value of a test that is counted.
    pub(super) fn note(&mut self, p: f64) {
        for (below, limit) in self.below.iter_mut().zip(BELOW) {
            *below += u64::from(p < limit);
        }
    }

    /// Since this was last asked.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

impl std::ops::AddAssign for Tested {
    fn add_assign(&mut self, other: Self) {
        self.all += other.all;
        self.checked += other.checked;
        for (below, more) in self.below.iter_mut().zip(other.below) {
            *below += more;
        }
    }
}

/// A p-value within the step of a count: `at_least` is the probability of as much or more,
/// `beyond` that of more.
pub(super) fn within(at_least: f64, beyond: f64, client: PeerId, time: i64) -> f64 {
    beyond + (at_least - beyond) * draw(client, time)
}

/// A number from 0 to 1 by the finaliser of SplitMix64.
fn draw(client: PeerId, time: i64) -> f64 {
    let mut hash =
        (time as u64).wrapping_add(u64::from(client.0).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ (hash >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::baseline::stat::NegativeBinomial;

    /// Scenario: counts of a negative binomial with few steps: none has a p-value below
    /// 1 in 1,000 that is near it.
    /// Guarantees: within their steps, one in 1,000 is below 1 in 1,000.
    #[test]
    fn p_values_of_counts_are_uniform_within_their_steps() {
        let of = NegativeBinomial {
            mean: 0.05,
            dispersion: 0.4,
        };
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut tested = Tested::default();
        for minute in 0..400_000 {
            let u: f64 = random.random();
            // The largest count that so much of the tail reaches.
            let mut count = 0.0;
            while of.upper(count + 1.0) > u {
                count += 1.0;
            }
            tested.check(1);
            let p = within(of.upper(count), of.upper(count + 1.0), PeerId(5), minute);
            tested.note(p);
        }
        let ratio = tested.below[0] as f64 / (tested.checked as f64 * BELOW[0]);
        assert!((0.85..1.15).contains(&ratio), "{tested:?}");
    }

    #[test]
    fn what_is_taken_is_not_counted_again() {
        let mut tested = Tested::default();
        tested.count(3);
        tested.check(2);
        tested.note(1e-4);
        tested.note(1e-6);
        let taken = tested.take();
        assert_eq!((taken.all, taken.checked, taken.below), (3, 2, [2, 1]));
        assert_eq!(tested, Tested::default());
        tested += taken;
        tested += taken;
        assert_eq!(tested.below, [4, 2]);
    }
}
