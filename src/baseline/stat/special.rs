//! Special functions, so that a small tail is as exact as a large one.
//!
//! Owns the few that the library lacks or stops short in. Beta and gamma functions and the
//! error function are `statrs`'.

use statrs::function::erf;
use statrs::function::gamma::{gamma_lr, ln_gamma};

/// Terms after which the continued fraction is given up. It needs some `√max(a, b)`.
const MOST_TERMS: u32 = 20_000;
/// Below this a term of the fraction counts as this.
const TINY: f64 = 1e-300;

/// The regularised incomplete beta function `I_x(a, b)`, with `y = 1 - x` given apart, so
/// that neither loses its digits.
///
/// `statrs` has it too, and stops after 140 terms: too few for counts in the ten thousands.
/// The fraction is that of Numerical Recipes 6.4, by Lentz' method.
pub(super) fn regularised_beta(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if y <= 0.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * y.ln()).exp();
    let value = if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, y) / b
    };
    value.clamp(0.0, 1.0)
}

#[expect(clippy::many_single_char_names, reason = "those of the formula")]
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for term in 1..MOST_TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a - 1.0 + 2.0 * m) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 1.0 + 2.0 * m));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let step = d * c;
        value *= step;
        if (step - 1.0).abs() < 1e-13 {
            break;
        }
    }
    value
}

/// `P(X ≥ count)` where X is Poisson.
pub(super) fn poisson_upper(mean: f64, count: f64) -> f64 {
    if count <= 0.0 {
        1.0
    } else if mean <= 0.0 {
        0.0
    } else {
        gamma_lr(count, mean).clamp(0.0, 1.0)
    }
}

/// `P(X ≤ count)` where X is Poisson.
pub(super) fn poisson_lower(mean: f64, count: f64) -> f64 {
    if mean <= 0.0 {
        1.0
    } else {
        statrs::function::gamma::gamma_ur(count + 1.0, mean).clamp(0.0, 1.0)
    }
}

/// The standard normal deviate that is exceeded with probability `p`: positive where `p` is
/// below a half. Within ±37, for any `p`.
#[must_use]
pub fn z_of(p: f64) -> f64 {
    if p <= 0.5 {
        std::f64::consts::SQRT_2 * erf::erfc_inv(2.0 * p.max(1e-300))
    } else {
        -std::f64::consts::SQRT_2 * erf::erfc_inv(2.0 * (1.0 - p).max(1e-300))
    }
}

/// `P(Z ≥ z)` of a standard normal deviate.
#[cfg(test)]
pub(super) fn p_of(z: f64) -> f64 {
    0.5 * erf::erfc(z / std::f64::consts::SQRT_2)
}

/// Natural logarithm of `n choose k`.
pub(super) fn ln_choose(n: f64, k: f64) -> f64 {
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Whether two numbers agree to a share.
    pub(in super::super) fn close(left: f64, right: f64, share: f64) -> bool {
        (left - right).abs() <= share * right.abs().max(1e-300)
    }

    /// Abramowitz & Stegun and closed forms: `I_x(1, b) = 1 - (1-x)^b`, `I_x(a, 1) = x^a`,
    /// `I_x(a, a) = 1/2` at a half.
    #[test]
    fn the_incomplete_beta_function_has_its_closed_forms() {
        for (a, b, x) in [
            (1.0, 7.0, 0.3f64),
            (1.0, 0.5, 0.9),
            (4.0, 1.0, 0.2),
            (0.3, 1.0, 1e-9),
        ] {
            let exact = if (a - 1.0f64).abs() < 1e-12 {
                1.0 - (1.0 - x).powf(b)
            } else {
                x.powf(a)
            };
            let value = regularised_beta(a, b, x, 1.0 - x);
            assert!(close(value, exact, 1e-11), "{a} {b} {x}: {value} {exact}");
        }
        for a in [0.2, 1.0, 30.0, 40_000.0] {
            assert!(close(regularised_beta(a, a, 0.5, 0.5), 0.5, 1e-7), "{a}");
        }
    }

    #[test]
    fn the_fraction_agrees_with_the_library_where_that_converges() {
        for (a, b, x) in [
            (2.0, 3.0, 0.4),
            (50.0, 10.0, 0.6),
            (0.5, 200.0, 1e-4),
            (300.0, 5.0, 0.9),
        ] {
            let library = statrs::function::beta::beta_reg(a, b, x);
            assert!(close(regularised_beta(a, b, x, 1.0 - x), library, 1e-10));
        }
    }

    #[test]
    fn the_deviate_of_a_probability_goes_back_to_it() {
        for p in [1e-12, 1e-5, 0.01, 0.3, 0.5, 0.9] {
            assert!(close(p_of(z_of(p)), p, 1e-9), "{p}: {}", z_of(p));
        }
        // The value everybody knows, and no infinities.
        assert!((z_of(0.025) - 1.959_963_985).abs() < 1e-8);
        assert!(z_of(0.0) < 38.0 && z_of(1.0) > -38.0);
    }

    #[test]
    fn poisson_tails_are_the_sums_of_their_terms() {
        let term = |mean: f64, count: f64| (count * mean.ln() - mean - ln_gamma(count + 1.0)).exp();
        for (mean, count) in [(3.0, 9), (0.1, 2), (40.0, 80), (7.0, 0)] {
            let upper: f64 = (count..count + 400).map(|x| term(mean, f64::from(x))).sum();
            let lower: f64 = (0..=count).map(|x| term(mean, f64::from(x))).sum();
            let count = f64::from(count);
            assert!(close(poisson_upper(mean, count), upper, 1e-9));
            assert!(close(poisson_lower(mean, count), lower, 1e-9));
        }
    }
}
