//! Many p-values as one decision.
//!
//! Owns what is done with p-values of several tests. Where they come from is others'.

/// The p-value of the smallest of `tests`, whatever ties them.
#[must_use]
pub fn bonferroni(smallest: f64, tests: u64) -> f64 {
    (smallest * tests.max(1) as f64).min(1.0)
}

/// One p-value of several that may depend on each other (Liu & Xie 2020):
/// `T = mean of tan((1/2 - p)π)`, `p = 1/2 - atan(T)/π`. 1 of none.
#[must_use]
pub fn cauchy(p: &[f64]) -> f64 {
    use std::f64::consts::PI;
    if p.is_empty() {
        return 1.0;
    }
    let sum: f64 = p
        .iter()
        .map(|&p| {
            // A p of 1 would take away whatever the others say.
            let p = p.clamp(1e-300, 0.999);
            // Where p is small the tangent is 1/(pπ), and its digits would be lost in 1/2 - p.
            if p < 1e-8 {
                1.0 / (p * PI)
            } else {
                ((0.5 - p) * PI).tan()
            }
        })
        .sum();
    let mean = sum / p.len() as f64;
    if mean > 1e8 {
        1.0 / (mean * PI)
    } else {
        (0.5 - mean.atan() / PI).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn one_p_value_combined_is_itself_and_equal_ones_stay() {
        for p in [1e-200, 1e-12, 1e-5, 0.03, 0.5, 0.9] {
            assert!(
                (cauchy(&[p]) / p - 1.0).abs() < 1e-6,
                "{p}: {}",
                cauchy(&[p])
            );
            assert!((cauchy(&[p; 5]) / p - 1.0).abs() < 1e-6);
        }
        assert!((cauchy(&[]) - 1.0).abs() < 1e-12);
        assert!((cauchy(&[1e-9, 1.0, 1.0]) / 3e-9 - 1.0).abs() < 0.01);
    }

    #[test]
    fn combined_chance_is_still_chance_even_where_tests_depend_on_each_other() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let mut low = 0;
        for _ in 0..100_000 {
            let shared: f64 = random.random();
            let own: f64 = random.random();
            let p = cauchy(&[shared, shared, own]);
            low += u32::from(p < 0.001);
        }
        assert!((50..200).contains(&low), "{low} of 100000 below 0.001");
    }

    #[test]
    fn many_tests_make_a_small_p_less_small() {
        assert!((bonferroni(1e-6, 100) - 1e-4).abs() < 1e-12);
        assert!((bonferroni(0.3, 100) - 1.0).abs() < 1e-12);
    }
}
