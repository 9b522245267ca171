//! How many of n turn out one way, where the share itself is only roughly known.
//!
//! Owns the beta-binomial tail `P(D ≥ d)`: n trials, a share with a Beta(a, b) behind it.

use statrs::function::beta::ln_beta;

use super::special::ln_choose;

/// A share and how sure one is of it: `a` came out one way, `b` the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BetaBinomial {
    /// Seen one way, above 0.
    pub a: f64,
    /// Seen the other way, above 0.
    pub b: f64,
}

impl BetaBinomial {
    /// What is expected of n.
    #[must_use]
    pub fn mean(self, n: u64) -> f64 {
        n as f64 * self.a / (self.a + self.b)
    }

    /// `P(D ≥ d)` of `n`, by the ratio of neighbouring terms. Sums the shorter way, but
    /// never the complement of a small tail.
    #[must_use]
    pub fn upper(self, d: u64, n: u64) -> f64 {
        if d == 0 {
            return 1.0;
        }
        if d > n {
            return 0.0;
        }
        if (d as f64) <= self.mean(n) && d < n - d {
            return (1.0 - self.sum(0, d - 1, n)).clamp(0.0, 1.0);
        }
        self.sum(d, n, n).clamp(0.0, 1.0)
    }

    /// The terms from one count to another, both among them.
    fn sum(self, from: u64, to: u64, n: u64) -> f64 {
        let Self { a, b } = self;
        let all = n as f64;
        let first = from as f64;
        let mut term =
            (ln_choose(all, first) + ln_beta(first + a, all - first + b) - ln_beta(a, b)).exp();
        let mut sum = term;
        for at in from..to {
            let x = at as f64;
            term *= (all - x) / (x + 1.0) * (x + a) / (all - x - 1.0 + b);
            sum += term;
            if term < sum * 1e-17 && x > self.mean(n) {
                break;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::special::tests::close;
    use super::*;

    fn term(of: BetaBinomial, d: u64, n: u64) -> f64 {
        let (x, all) = (d as f64, n as f64);
        (ln_choose(all, x) + ln_beta(x + of.a, all - x + of.b) - ln_beta(of.a, of.b)).exp()
    }

    #[test]
    fn tails_are_the_sums_of_their_terms() {
        for (a, b, d, n) in [
            (0.5, 200.0, 5, 5),
            (0.5, 0.5, 3, 9),
            (2.0, 3.0, 0, 4),
            (1.0, 1000.0, 40, 200),
            (700.0, 3.0, 190, 200),
            (1.0, 9.0, 2, 60),
        ] {
            let of = BetaBinomial { a, b };
            let sum: f64 = (d..=n).map(|x| term(of, x, n)).sum();
            assert!(close(of.upper(d, n), sum, 1e-9), "{of:?} {d} {n}");
        }
    }

    /// With a uniform share every count is as likely as any other.
    #[test]
    fn a_share_of_which_nothing_is_known_makes_counts_uniform() {
        let of = BetaBinomial { a: 1.0, b: 1.0 };
        for d in 0..=20 {
            assert!(close(of.upper(d, 20), (21 - d) as f64 / 21.0, 1e-9));
        }
    }

    #[test]
    fn more_denials_are_rarer() {
        let of = BetaBinomial { a: 0.5, b: 300.5 };
        let tails: Vec<f64> = (0..=50).map(|d| of.upper(d, 50)).collect();
        assert!(
            tails
                .windows(2)
                .all(|pair| pair[0] > pair[1] && pair[1] > 0.0)
        );
        assert!(tails[50] < 1e-20);
        assert!(of.upper(51, 50) <= 0.0);
    }
}
