//! How unlikely it is that arrivals at random would be as regular.
//!
//! Owns two p-values over the gaps between starts, both under the null of a Poisson process
//! (exponential gaps), and the gaps themselves: retries collapsed, dead time taken off.
//!
//! - `p_mad`: the median absolute deviation over the median. Survives missed calls. Exact:
//!   given the median, how many others lie near it is a sum of two binomials, and the
//!   median is an order statistic, so one integral gives the whole.
//! - `p_variation`: standard deviation over mean (Greenwood's statistic). Sees jitter that
//!   the other does not. Gaps over their sum are uniform on a simplex, so the probability
//!   is the volume of a ball in it: exact while the ball lies within (`CV² ≤ 1/(n-1)`), too
//!   large beyond.
//!
//! Tests hold both against simulation.

use statrs::function::gamma::ln_gamma;

use super::special::ln_choose;

/// Starts from which a beat can be told.
pub const LEAST_STARTS: usize = 12;
/// Seconds within which another start is a retry.
const RETRY: f64 = 2.0;
/// Share of the median gap within which it is one.
const RETRY_SHARE: f64 = 0.05;
/// No clock in a cluster is better than this share of a gap.
const RESOLUTION: f64 = 0.005;
/// Points of the integral over the median.
const POINTS: u32 = 128;

/// What is regular about starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beat {
    /// Median gap in seconds.
    pub period: f64,
    /// Half of the gaps lie within this share of the median.
    pub spread: f64,
    /// Starts, retries taken as one.
    pub calls: usize,
    /// Calls that are missing: gaps of two or more periods.
    pub missed: u64,
    /// Twice the smaller of the two p-values.
    pub p: f64,
}

/// Looks for a beat in sorted starts (nanoseconds). `None` for fewer than
/// [`LEAST_STARTS`], retries collapsed.
#[must_use]
pub fn beat(starts: &[i64]) -> Option<Beat> {
    let seconds: Vec<f64> = starts
        .iter()
        .map(|&at| at.saturating_sub(starts[0]) as f64 / 1e9)
        .collect();
    let coarse = kept(&seconds, RETRY);
    if coarse.len() < LEAST_STARTS {
        return None;
    }
    let dead = RETRY.max(RETRY_SHARE * lower_median(&mut gaps(&coarse, 0.0)));
    let calls = kept(&seconds, dead);
    if calls.len() < LEAST_STARTS {
        return None;
    }
    let period = lower_median(&mut gaps(&calls, 0.0));
    let mut deviations: Vec<f64> = gaps(&calls, period).iter().map(|gap| gap.abs()).collect();
    let spread = lower_median(&mut deviations) / period;
    let missed = gaps(&calls, 0.0)
        .iter()
        .map(|gap| ((gap / period).round() as u64).saturating_sub(1))
        .sum();
    // After a dead time, what is left of a gap of a Poisson process is exponential again.
    let left = gaps(&calls, dead);
    let p = (2.0 * p_mad(&left).min(p_variation(&left))).min(1.0);
    Some(Beat {
        period,
        spread,
        calls: calls.len(),
        missed,
        p,
    })
}

/// The p-value of the median absolute deviation of gaps over their median. 1 for fewer
/// than three.
#[must_use]
pub fn p_mad(gaps: &[f64]) -> f64 {
    if gaps.len() < 3 {
        return 1.0;
    }
    let mut sorted = gaps.to_vec();
    let median = lower_median(&mut sorted);
    if median <= 0.0 {
        return 1.0;
    }
    let mut deviations: Vec<f64> = gaps.iter().map(|gap| (gap - median).abs()).collect();
    p_of_mad(gaps.len(), lower_median(&mut deviations) / median)
}

/// The p-value of the coefficient of variation of gaps. 1 for fewer than three.
#[must_use]
pub fn p_variation(gaps: &[f64]) -> f64 {
    let n = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / n;
    if gaps.len() < 3 || mean <= 0.0 {
        return 1.0;
    }
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n;
    p_of_variation(gaps.len(), variance.sqrt() / mean)
}

/// `P(CV ≤ variation)` of `n` exponential gaps, or more: the volume of the ball of radius
/// `CV/√n` over that of the simplex, both in `n - 1` dimensions.
fn p_of_variation(n: usize, variation: f64) -> f64 {
    let n = n as f64;
    let around = n - 1.0;
    let radius = variation.max(RESOLUTION) / n.sqrt();
    let ball = around / 2.0 * std::f64::consts::PI.ln() - ln_gamma(around / 2.0 + 1.0)
        + around * radius.ln();
    let simplex = 0.5 * n.ln() - ln_gamma(n);
    (ball - simplex).exp().min(1.0)
}

/// `P(MAD/median ≤ c)` of `n` exponential gaps. Both medians are the lower ones where n is
/// even, so `below` gaps lie below the median, `above` above it, and `below` of those have
/// to be within c of it.
fn p_of_mad(n: usize, c: f64) -> f64 {
    if c >= 1.0 {
        return 1.0;
    }
    let c = c.max(RESOLUTION);
    let below = (n - 1) / 2;
    let above = n - 1 - below;
    let ln_density = ln_choose(n as f64, below as f64) + (n as f64 - below as f64).ln();
    let mut sum = 0.0;
    for point in 0..POINTS {
        // The median by its own probability u; its density there is that of a Beta.
        let u = (f64::from(point) + 0.5) / f64::from(POINTS);
        let density = (ln_density + below as f64 * u.ln() + above as f64 * (1.0 - u).ln()).exp();
        let near_below = ((1.0 - u).powf(1.0 - c) - (1.0 - u)) / u;
        let near_above = 1.0 - (1.0 - u).powf(c);
        sum += density * both_at_least(below, (below, near_below), (above, near_above));
    }
    (sum / f64::from(POINTS)).min(1.0)
}

/// Probability that two binomials, each of (trials, share), sum to `least` or more.
fn both_at_least(least: usize, one: (usize, f64), other: (usize, f64)) -> f64 {
    let others = terms(other.0, other.1);
    // Tail sums: at least so many of the other.
    let mut tails = vec![0.0; other.0 + 2];
    for at in (0..=other.0).rev() {
        tails[at] = tails[at + 1] + others[at];
    }
    terms(one.0, one.1)
        .iter()
        .enumerate()
        .map(|(have, chance)| chance * tails.get(least.saturating_sub(have)).unwrap_or(&0.0))
        .sum()
}

/// The terms of a binomial.
fn terms(trials: usize, share: f64) -> Vec<f64> {
    let share = share.clamp(1e-12, 1.0 - 1e-12);
    let mut term = (trials as f64 * (1.0 - share).ln()).exp();
    let odds = share / (1.0 - share);
    (0..=trials)
        .map(|at| {
            let this = term;
            term *= (trials - at) as f64 / (at + 1) as f64 * odds;
            this
        })
        .collect()
}

/// Starts that are `dead` seconds or more after the last one that is kept.
fn kept(seconds: &[f64], dead: f64) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::with_capacity(seconds.len());
    for &at in seconds {
        if kept.last().is_none_or(|last| at - last >= dead) {
            kept.push(at);
        }
    }
    kept
}

fn gaps(seconds: &[f64], less: f64) -> Vec<f64> {
    seconds
        .windows(2)
        .map(|pair| pair[1] - pair[0] - less)
        .collect()
}

/// The lower of the two medians where there are two. Reorders what it is given; 0 of none.
fn lower_median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn exponential(random: &mut ChaCha8Rng) -> f64 {
        -(1.0 - random.random::<f64>()).ln()
    }

    /// Share of 30,000 draws of `n` exponential gaps whose statistic is at most this.
    fn simulated(n: usize, at_most: f64, statistic: impl Fn(&[f64]) -> f64) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(n as u64);
        let draws = 30_000;
        let hits = (0..draws)
            .filter(|_| {
                let gaps: Vec<f64> = (0..n).map(|_| exponential(&mut random)).collect();
                statistic(&gaps) <= at_most
            })
            .count();
        hits as f64 / f64::from(draws)
    }

    fn variation(gaps: &[f64]) -> f64 {
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n).sqrt() / mean
    }

    fn mad(gaps: &[f64]) -> f64 {
        let median = lower_median(&mut gaps.to_vec());
        lower_median(
            &mut gaps
                .iter()
                .map(|gap| (gap - median).abs())
                .collect::<Vec<_>>(),
        ) / median
    }

    #[test]
    fn the_ball_in_the_simplex_is_what_simulation_finds() {
        // Within 1/(n-1) it is exact.
        for (n, at_most) in [(3, 0.5), (4, 0.55), (5, 0.45), (6, 0.42)] {
            let share = simulated(n, at_most, variation);
            let exact = p_of_variation(n, at_most);
            assert!((share / exact - 1.0).abs() < 0.15, "{n}: {share} {exact}");
        }
        // Beyond, it is too large, never too small.
        for (n, at_most) in [(12, 0.5), (24, 0.6), (12, 0.9)] {
            assert!(p_of_variation(n, at_most) >= 0.95 * simulated(n, at_most, variation));
        }
    }

    #[test]
    fn the_integral_over_the_median_is_what_simulation_finds() {
        for (n, at_most) in [(11, 0.25), (12, 0.3), (23, 0.35), (24, 0.5), (40, 0.4)] {
            let share = simulated(n, at_most, mad);
            let exact = p_of_mad(n, at_most);
            assert!((share / exact - 1.0).abs() < 0.1, "{n}: {share} {exact}");
        }
    }

    /// Starts of a caller with a period and a jitter of ± a share of it.
    fn calls(period: f64, jitter: f64, missing: f64, n: usize, seed: u64) -> Vec<i64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut at = 0.0;
        let mut starts = Vec::new();
        while starts.len() < n {
            at += period * (1.0 + jitter * (2.0 * random.random::<f64>() - 1.0));
            if random.random::<f64>() >= missing {
                starts.push((at * 1e9) as i64);
            }
        }
        starts
    }

    fn power(jitter: f64, missing: f64, n: usize) -> usize {
        (0..100)
            .filter(|&seed| {
                beat(&calls(300.0, jitter, missing, n, seed)).is_some_and(|beat| beat.p < 1e-4)
            })
            .count()
    }

    #[test]
    fn callers_with_a_beat_are_told_from_chance() {
        assert!(power(0.3, 0.0, 25) >= 99, "{}", power(0.3, 0.0, 25));
        assert!(power(0.5, 0.0, 25) >= 99, "{}", power(0.5, 0.0, 25));
        assert!(power(0.1, 0.2, 25) >= 90, "{}", power(0.1, 0.2, 25));
        assert!(power(0.7, 0.0, 49) >= 95, "{}", power(0.7, 0.0, 49));
    }

    #[test]
    fn arrivals_at_random_seldom_have_a_beat_at_any_rate() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for mean in [0.5, 3.0, 60.0, 900.0] {
            let mut low = 0;
            for _ in 0..600 {
                let mut at = 0.0;
                let starts: Vec<i64> = (0..64)
                    .map(|_| {
                        at += mean * exponential(&mut random);
                        (at * 1e9) as i64
                    })
                    .collect();
                low += usize::from(beat(&starts).is_some_and(|beat| beat.p < 0.01));
            }
            assert!(low <= 10, "{mean}: {low} of 600 below 0.01");
        }
    }

    #[test]
    fn retries_and_missed_calls_are_seen_as_such() {
        let mut starts = calls(60.0, 0.05, 0.0, 30, 4);
        let retries: Vec<i64> = starts
            .iter()
            .step_by(5)
            .map(|at| at + 1_000_000_000)
            .collect();
        starts.extend(retries);
        starts.sort_unstable();
        starts.retain(|at| at / 1_000_000_000 % 900 > 90);
        let beat = beat(&starts).unwrap();
        assert!((beat.period - 60.0).abs() < 2.0, "{beat:?}");
        assert!(beat.missed >= 1 && beat.calls < starts.len(), "{beat:?}");
        assert!(beat.p < 1e-6 && beat.p > 0.0, "{beat:?}");
    }

    #[test]
    fn few_or_equal_starts_have_no_beat() {
        assert_eq!(beat(&[]), None);
        assert_eq!(beat(&[5; 40]), None);
        assert_eq!(beat(&calls(60.0, 0.1, 0.0, 11, 1)), None);
    }
}
