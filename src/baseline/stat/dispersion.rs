//! How much more than chance counts scatter, from counts and what was expected of them.
//!
//! Owns the fit of the negative binomial's `k` by moments:
//! `k = Σμ² / Σ((x-μ)² - μ)`, within 0.1 to 10,000. What is expected may differ from count
//! to count: seasons do not count as scatter.

/// Smallest `k`.
const LEAST: f64 = 0.1;
/// Largest `k`.
const MOST: f64 = 1e4;

/// Sums from which `k` follows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dispersion {
    /// Σμ².
    squares: f64,
    /// Σ((x-μ)² - μ).
    excess: f64,
}

impl Dispersion {
    /// Sums that stand for `k`, with the weight of `counts` counts around `mean`: what one
    /// believes before there are any.
    #[must_use]
    pub fn believed(k: f64, mean: f64, counts: f64) -> Self {
        let squares = mean * mean * counts;
        Self {
            squares,
            excess: squares / k,
        }
    }

    /// Adds a count and what was expected.
    pub fn add(&mut self, count: f64, expected: f64) {
        self.squares += expected * expected;
        self.excess += (count - expected) * (count - expected) - expected;
    }

    /// Adds `n` counts that are known by their mean and variance, and were expected alike.
    pub fn add_many(&mut self, n: f64, mean: f64, variance: f64) {
        self.squares += n * mean * mean;
        self.excess += n * (variance - mean);
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: Self) {
        self.squares += other.squares;
        self.excess += other.excess;
    }

    /// Lets what was added so far count for this share of itself.
    pub fn fade(&mut self, share: f64) {
        self.squares *= share;
        self.excess *= share;
    }

    /// `k`; the largest where counts scatter no more than chance, or there are none.
    #[must_use]
    pub fn k(self) -> f64 {
        if self.excess <= 0.0 {
            return MOST;
        }
        (self.squares / self.excess).clamp(LEAST, MOST)
    }

    /// The dispersion of a prediction whose mean is itself only known to a relative
    /// standard error: the variances of both add.
    #[must_use]
    pub fn k_predicting(self, relative_error: f64) -> f64 {
        (1.0 / (1.0 / self.k() + relative_error * relative_error)).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::super::NegativeBinomial;
    use super::*;

    /// A draw: Poisson around a gamma of whole shape `k`, itself a sum of exponentials.
    fn draw(of: NegativeBinomial, random: &mut ChaCha8Rng) -> f64 {
        let mut exponential = || -(1.0 - random.random::<f64>()).ln();
        let shape = of.dispersion as u32;
        let gamma: f64 = (0..shape).map(|_| exponential()).sum();
        let mut left = of.mean * gamma / of.dispersion;
        let mut count = 0.0;
        loop {
            left -= exponential();
            if left < 0.0 {
                return count;
            }
            count += 1.0;
        }
    }

    #[test]
    fn the_dispersion_of_drawn_counts_comes_back() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for k in [1.0, 2.0, 10.0] {
            let mut sums = Dispersion::default();
            for at in 0..8_000 {
                let mean = 10.0 + 8.0 * (f64::from(at) / 50.0).sin();
                let of = NegativeBinomial {
                    mean,
                    dispersion: k,
                };
                sums.add(draw(of, &mut random), mean);
            }
            assert!((sums.k() / k - 1.0).abs() < 0.15, "{k}: {}", sums.k());
        }
    }

    /// The first decision of anomaly detection on counts: at a nominal 1e-4, the fitted
    /// tail fires about that often on counts that scatter, where Poisson fires hundreds of
    /// times as often.
    #[test]
    fn a_fitted_tail_fires_as_often_as_it_says_and_poisson_does_not() {
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let truth = NegativeBinomial {
            mean: 20.0,
            dispersion: 2.0,
        };
        let mut sums = Dispersion::default();
        for _ in 0..5_000 {
            sums.add(draw(truth, &mut random), 20.0);
        }
        let fitted = NegativeBinomial {
            mean: 20.0,
            dispersion: sums.k(),
        };
        let poisson = NegativeBinomial {
            mean: 20.0,
            dispersion: 1e7,
        };
        let draws: Vec<f64> = (0..100_000).map(|_| draw(truth, &mut random)).collect();
        let fired = |of: NegativeBinomial| {
            // The least count that fires: tails are monotone.
            let least = of.quantile(1e-3) + 1.0;
            draws.iter().filter(|&&x| x >= least).count()
        };

        assert!((50..200).contains(&fired(fitted)), "{}", fired(fitted));
        assert!(fired(poisson) > 5_000, "{}", fired(poisson));
    }

    #[test]
    fn no_scatter_is_poisson_and_an_uncertain_mean_widens() {
        let mut sums = Dispersion::default();
        assert!((sums.k() - MOST).abs() < 1e-9);
        sums.add(10.0, 10.0);
        assert!((sums.k() - MOST).abs() < 1e-9);
        let believed = Dispersion::believed(4.0, 10.0, 50.0);
        assert!((believed.k() - 4.0).abs() < 1e-12);
        assert!((believed.k_predicting(0.5) - 2.0).abs() < 1e-12);
    }
}
