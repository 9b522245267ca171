//! One p-value of several that may hang together.
//!
//! Owns the Cauchy combination (Liu and Xie, JASA 2020): `T = mean tan((1/2 - p) pi)`, and
//! `p = 1/2 - atan(T) / pi`. It holds in the tail whatever the dependence, which is what
//! findings of one story have.

use std::f64::consts::PI;

/// The combination of p-values; 1 of none.
#[must_use]
pub fn cauchy(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for p in values {
        let p = p.clamp(f64::MIN_POSITIVE, 1.0 - 1e-9);
        sum += score(p);
        count += 1.0;
    }
    if count == 0.0 {
        return 1.0;
    }
    let mean: f64 = sum / count;
    if mean > 1e8 {
        // atan loses its digits there: pi / 2 - atan(t) is 1 / t.
        return 1.0 / (mean * PI);
    }
    0.5 - mean.atan() / PI
}

/// `tan((1/2 - p) pi)`, which is `1 / (p pi)` where p is small.
fn score(p: f64) -> f64 {
    if p < 1e-8 {
        1.0 / (p * PI)
    } else {
        ((0.5 - p) * PI).tan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left / right - 1.0).abs() < 1e-6
    }

    #[test]
    fn one_value_is_itself() {
        for p in [0.7, 0.5001, 0.02, 1e-5, 1e-9, 1e-12, 1e-200] {
            assert!(close(cauchy([p]), p), "{p} {}", cauchy([p]));
        }
        assert_eq!(cauchy([]), 1.0);
    }

    /// In the tail the combination is the harmonic mean.
    #[test]
    fn small_values_combine_to_their_harmonic_mean() {
        let harmonic = 3.0 / (1e6 + 1e7 + 1e9);
        assert!(close(cauchy([1e-6, 1e-7, 1e-9]), harmonic));
        assert!(close(cauchy([1e-9, 1e-6, 1e-7]), harmonic));
        assert!(close(cauchy([1e-6; 5]), 1e-6));
    }

    /// By numerical integration: with two independent uniform values, the share of pairs
    /// whose combination is below 0.05 is 0.05, exactly for the Cauchy distribution.
    #[test]
    fn independent_values_keep_the_promise() {
        let steps = 400;
        let at = |step: i32| (f64::from(step) + 0.5) / f64::from(steps);
        let mut below = 0;
        for one in 0..steps {
            for other in 0..steps {
                below += i32::from(cauchy([at(one), at(other)]) < 0.05);
            }
        }
        let share = f64::from(below) / f64::from(steps * steps);
        assert!((share - 0.05).abs() < 0.002, "{share}");
    }
}
