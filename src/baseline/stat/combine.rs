//! Many p-values as one decision.
//!
//! Owns what is done with p-values of several tests. Where they come from is others'.

/// The p-value of the smallest of `tests`, whatever ties them.
#[must_use]
pub fn bonferroni(smallest: f64, tests: u64) -> f64 {
    (smallest * tests.max(1) as f64).min(1.0)
}

/// Which of the p-values to reject so that at most a share `rate` of them is expected to be
/// false (Benjamini & Hochberg 1995): all up to the largest i with `p(i) ≤ i·rate/m`.
#[must_use]
pub fn benjamini_hochberg(p: &[f64], rate: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&left, &right| p[left].total_cmp(&p[right]));
    let all = p.len() as f64;
    let rejected = order
        .iter()
        .enumerate()
        .filter(|&(rank, &at)| p[at] <= (rank + 1) as f64 * rate / all)
        .map(|(rank, _)| rank + 1)
        .max()
        .unwrap_or(0);
    let mut answer = vec![false; p.len()];
    for &at in &order[..rejected] {
        answer[at] = true;
    }
    answer
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

    /// The worked example of the paper: 15 p-values, 4 rejected at 0.05.
    #[test]
    fn the_papers_example_rejects_four() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        let rejected = benjamini_hochberg(&p, 0.05);
        assert_eq!(rejected.iter().filter(|&&one| one).count(), 4);
        assert!(rejected[..4].iter().all(|&one| one));

        let mut turned = p;
        turned.reverse();
        let back: Vec<bool> = benjamini_hochberg(&turned, 0.05)
            .into_iter()
            .rev()
            .collect();
        assert_eq!(back, rejected);
        assert!(benjamini_hochberg(&[], 0.05).is_empty());
    }

    /// One whose p is above its own line is rejected with those after it.
    #[test]
    fn a_later_one_takes_earlier_ones_along() {
        assert_eq!(
            benjamini_hochberg(&[0.04, 0.045, 0.049], 0.05),
            [true, true, true]
        );
    }

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
