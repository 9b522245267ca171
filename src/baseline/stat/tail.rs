//! What is far out, by what was furthest out before.
//!
//! Owns the tail of a stream of numbers as a generalised Pareto distribution over a
//! threshold (SPOT, Siffer 2017), fitted by moments (FluxEV 2021): with mean m and variance
//! v of what is above, `γ = ½(1 - m²/v)`, `σ = ½m(1 + m²/v)`, and
//! `P(X > x) = N_t/n · (1 + γ(x-t)/σ)^(-1/γ)`.
//!
//! A thousand numbers are kept until the threshold is set, then five: the bound.

/// Numbers before there is an answer.
const FIRST: usize = 1_000;
/// Share of numbers above the threshold.
const ABOVE: f64 = 0.02;

/// A stream's tail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tail {
    /// The first ones, emptied when the threshold is set.
    first: Vec<f64>,
    threshold: f64,
    seen: u64,
    above: u64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

impl Tail {
    /// Takes a number in. Those that were found unusual had better stay out.
    pub fn push(&mut self, value: f64) {
        self.seen += 1;
        if self.seen as usize > FIRST {
            self.exceed(value);
            return;
        }
        self.first.push(value);
        if self.first.len() == FIRST {
            let mut first = std::mem::take(&mut self.first);
            let at = ((1.0 - ABOVE) * FIRST as f64) as usize - 1;
            self.threshold = *first.select_nth_unstable_by(at, f64::total_cmp).1;
            for value in first {
                self.exceed(value);
            }
        }
    }

    /// Numbers seen.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// `P(X > value)`; `None` before a thousand were seen. Below the threshold, the share
    /// above it: the tail does not know better.
    #[must_use]
    pub fn p(&self, value: f64) -> Option<f64> {
        if (self.seen as usize) < FIRST {
            return None;
        }
        let share = (self.above as f64).max(1.0) / self.seen as f64;
        let beyond = value - self.threshold;
        if beyond <= 0.0 || self.above < 2 || self.mean <= 0.0 {
            return Some(share);
        }
        let variance = self.squares / (self.above as f64 - 1.0);
        let ratio = if variance > 0.0 {
            self.mean * self.mean / variance
        } else {
            1.0
        };
        // Below 0 the tail would end: nothing would be possible beyond what was seen.
        // Moments do not know a shape of a half or more.
        let shape = (0.5 * (1.0 - ratio)).clamp(0.0, 0.49);
        let scale = self.mean * (1.0 - shape);
        let tail = if shape < 1e-6 {
            (-beyond / scale).exp()
        } else {
            (1.0 + shape * beyond / scale).powf(-1.0 / shape)
        };
        // Far out the exponential has no digits left.
        Some((share * tail).max(1e-300))
    }

    fn exceed(&mut self, value: f64) {
        let beyond = value - self.threshold;
        if beyond <= 0.0 {
            return;
        }
        self.above += 1;
        let off = beyond - self.mean;
        self.mean += off / self.above as f64;
        self.squares += off * (beyond - self.mean);
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn tail_of(draw: impl Fn(f64) -> f64, n: u64) -> Tail {
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let mut tail = Tail::default();
        for _ in 0..n {
            tail.push(draw(1.0 - random.random::<f64>()));
        }
        tail
    }

    /// The tail of an exponential is one, that of a Pareto with index 4 has shape 1/4: both
    /// are known exactly, far beyond what was drawn.
    #[test]
    fn known_tails_come_back() {
        let exponential = tail_of(|u| -u.ln(), 60_000);
        let pareto = tail_of(|u| u.powf(-0.25), 60_000);
        for p in [1e-3f64, 1e-4, 1e-5, 1e-6] {
            let found = exponential.p(-p.ln()).unwrap();
            assert!((found / p).ln().abs() < 0.8, "exponential {p}: {found}");
            let found = pareto.p(p.powf(-0.25)).unwrap();
            assert!((found / p).ln().abs() < 1.2, "pareto {p}: {found}");
        }
    }

    #[test]
    fn nothing_is_said_before_a_thousand_and_nothing_is_impossible_after() {
        assert_eq!(tail_of(|u| u, 999).p(5.0), None);
        let tail = tail_of(|u| u, 5_000);
        assert!(tail.first.is_empty());
        assert!(tail.p(50.0).unwrap() > 0.0);
        assert!(tail.p(0.995).unwrap() > tail.p(0.999).unwrap());
        let same = tail_of(|_| 3.0, 5_000);
        assert!(same.p(3.0).unwrap() > 0.0);
        assert!(same.p(4.0).unwrap() > 0.0);
    }

    #[test]
    fn few_beyond_the_threshold_are_found_at_about_the_nominal_rate() {
        let tail = tail_of(|u| -u.ln(), 20_000);
        let mut random = ChaCha8Rng::seed_from_u64(77);
        let low = (0..100_000)
            .filter(|_| tail.p(-(1.0 - random.random::<f64>()).ln()).unwrap() < 1e-3)
            .count();
        assert!((50..200).contains(&low), "{low} of 100000");
    }
}
