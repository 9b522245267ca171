//! Counts that scatter more than chance alone: the negative binomial.
//!
//! Owns its tails. Variance is `μ + μ²/k`; Poisson is the limit of large `k`. What `k` is,
//! `dispersion` finds.

use super::special::{poisson_lower, poisson_upper, regularised_beta};

/// From here on the difference to Poisson is below what anybody could measure.
const AS_GOOD_AS_POISSON: f64 = 1e6;

/// A negative binomial count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NegativeBinomial {
    /// What is expected, not negative.
    pub mean: f64,
    /// Dispersion `k`, above 0: the larger, the closer to Poisson.
    pub dispersion: f64,
}

impl NegativeBinomial {
    /// `P(X ≥ count)`, by `I_{μ/(k+μ)}(x, k)`.
    #[must_use]
    pub fn upper(self, count: f64) -> f64 {
        let Self { mean, dispersion } = self;
        if count <= 0.0 {
            1.0
        } else if mean <= 0.0 {
            0.0
        } else if dispersion >= AS_GOOD_AS_POISSON {
            poisson_upper(mean, count)
        } else {
            let whole = dispersion + mean;
            regularised_beta(count, dispersion, mean / whole, dispersion / whole)
        }
    }

    /// `P(X ≤ count)`, by `I_{k/(k+μ)}(k, x + 1)`.
    #[must_use]
    pub fn lower(self, count: f64) -> f64 {
        let Self { mean, dispersion } = self;
        if mean <= 0.0 {
            1.0
        } else if dispersion >= AS_GOOD_AS_POISSON {
            poisson_lower(mean, count)
        } else {
            let whole = dispersion + mean;
            regularised_beta(dispersion, count + 1.0, dispersion / whole, mean / whole)
        }
    }

    /// Mid-p of the upper tail: `P(X > count) + P(X = count)/2`. Uniform in the mean, which
    /// `upper` is not where counts are small.
    #[must_use]
    pub fn upper_mid(self, count: f64) -> f64 {
        0.5 * (self.upper(count) + self.upper(count + 1.0))
    }

    /// Mid-p of the lower tail.
    #[must_use]
    pub fn lower_mid(self, count: f64) -> f64 {
        let below = if count >= 1.0 {
            self.lower(count - 1.0)
        } else {
            0.0
        };
        0.5 * (self.lower(count) + below)
    }

    /// `-ln P(X = 0)`, which adds up over counts that do not depend on each other.
    #[must_use]
    pub fn weight_of_none(self) -> f64 {
        self.dispersion * (self.mean / self.dispersion).ln_1p()
    }

    /// Variance.
    #[must_use]
    pub fn variance(self) -> f64 {
        self.mean + self.mean * self.mean / self.dispersion
    }

    /// The smallest count that is exceeded with a probability below `p`, by halving.
    #[must_use]
    pub fn quantile(self, p: f64) -> f64 {
        if self.mean <= 0.0 {
            return 0.0;
        }
        let mut high = self.mean.ceil().max(1.0);
        while self.upper(high + 1.0) >= p && high < 1e15 {
            high *= 2.0;
        }
        let mut low = -1.0;
        while high - low > 1.0 {
            let middle = f64::midpoint(low, high).floor();
            if self.upper(middle + 1.0) < p {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use statrs::function::gamma::ln_gamma;

    use super::super::special::tests::close;
    use super::*;

    #[test]
    fn the_weight_of_none_is_that_of_its_term() {
        for (mean, dispersion) in [(0.01, 0.1), (3.0, 5.0), (40.0, 1e4)] {
            let of = NegativeBinomial { mean, dispersion };
            assert!(close((-of.weight_of_none()).exp(), term(0.0, of), 1e-9));
        }
    }

    fn term(count: f64, of: NegativeBinomial) -> f64 {
        let NegativeBinomial { mean, dispersion } = of;
        (ln_gamma(count + dispersion) - ln_gamma(dispersion) - ln_gamma(count + 1.0)
            + dispersion * (dispersion / (dispersion + mean)).ln()
            + count * (mean / (dispersion + mean)).ln())
        .exp()
    }

    #[test]
    fn tails_are_the_sums_of_their_terms() {
        for (mean, dispersion, count) in [
            (5.0, 1.0, 20),
            (5.0, 5.0, 0),
            (0.02, 0.3, 3),
            (20.0, 2.0, 120),
            (50.0, 9_999.0, 90),
            (300.0, 40.0, 600),
            (900.0, 10.0, 40),
            (1e-9, 0.1, 1),
        ] {
            let of = NegativeBinomial { mean, dispersion };
            let upper: f64 = (count..count + 5_000).map(|x| term(f64::from(x), of)).sum();
            let lower: f64 = (0..=count).map(|x| term(f64::from(x), of)).sum();
            let count = f64::from(count);
            assert!(close(of.upper(count), upper, 1e-8), "{of:?} {count}");
            assert!(close(of.lower(count), lower, 1e-8), "{of:?} {count}");
            let middle = upper - term(count, of) / 2.0;
            assert!((of.upper_mid(count) - middle).abs() < 1e-8 * middle + 1e-15);
            assert!((of.lower_mid(count) + of.upper_mid(count) - 1.0).abs() < 1e-9);
        }
    }

    /// Geometric: `P(X ≥ x) = (1-p)^x` where `k` is 1.
    #[test]
    fn with_dispersion_1_it_is_geometric() {
        let of = NegativeBinomial {
            mean: 3.0,
            dispersion: 1.0,
        };
        assert!(close(of.upper(40.0), 0.75f64.powi(40), 1e-10));
        assert!(close(of.lower(0.0), 0.25, 1e-12));
    }

    #[test]
    fn large_counts_keep_their_tails() {
        // Far out, where each term is q times the one before: the tail is a geometric sum.
        let of = NegativeBinomial {
            mean: 900_000.0,
            dispersion: 10_000.0,
        };
        let count = 1_000_000.0;
        let mut sum = 0.0;
        let mut x = count;
        loop {
            let one = term(x, of);
            sum += one;
            if one < sum * 1e-12 {
                break;
            }
            x += 1.0;
        }
        assert!(
            close(of.upper(count), sum, 1e-5),
            "{} {sum}",
            of.upper(count)
        );
    }

    #[test]
    fn more_is_rarer_and_nothing_is_impossible() {
        let of = NegativeBinomial {
            mean: 35.0,
            dispersion: 8.0,
        };
        let tails: Vec<f64> = (0..2_000).map(|x| of.upper(f64::from(x))).collect();
        assert!(
            tails
                .windows(2)
                .all(|pair| pair[0] > pair[1] && pair[1] > 0.0)
        );
        assert!(close(tails[0], 1.0, 0.0));
    }

    #[test]
    fn a_quantile_is_where_the_tail_falls_below() {
        for (mean, dispersion) in [(0.01, 0.2), (4.3, 3.0), (35.7, 8.0), (12_000.0, 50.0)] {
            let of = NegativeBinomial { mean, dispersion };
            for p in [0.05, 1e-3, 1e-6] {
                let at = of.quantile(p);
                assert!(
                    of.upper(at + 1.0) < p && of.upper(at) >= p,
                    "{of:?} {p} {at}"
                );
            }
        }
    }
}
