//! Deciding between two hypotheses with as few outcomes as possible.
//!
//! Owns the sequential probability ratio test over successes and failures, as in TRW
//! (Jung, Paxson, Berger, Balakrishnan 2004): a healthy source's first contacts succeed with
//! probability `θ0`, a scanner's with `θ1`. The log-likelihood ratio is the caller's to keep.

/// What the ratio says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The second hypothesis: a scan.
    Scan,
    /// The first: healthy. The ratio begins anew.
    Healthy,
    /// Not yet.
    Undecided,
}

/// A test: its steps and thresholds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sprt {
    success: f64,
    failure: f64,
    upper: f64,
    lower: f64,
}

impl Sprt {
    /// A test of success shares `healthy` against `scan`, with false-alarm probability
    /// `alpha` and miss probability `beta`. All within 0 and 1, `healthy` above `scan`.
    #[must_use]
    pub fn new(healthy: f64, scan: f64, alpha: f64, beta: f64) -> Self {
        Self {
            success: (scan / healthy).ln(),
            failure: ((1.0 - scan) / (1.0 - healthy)).ln(),
            upper: ((1.0 - beta) / alpha).ln(),
            lower: (beta / (1.0 - alpha)).ln(),
        }
    }

    /// What a success adds: negative.
    #[must_use]
    pub fn success(&self) -> f64 {
        self.success
    }

    /// What a failure adds that counts for `weight`, 0 to 1. Less weight keeps the ratio a
    /// supermartingale, so `p` stays a bound.
    #[must_use]
    pub fn failure(&self, weight: f64) -> f64 {
        self.failure * weight.clamp(0.0, 1.0)
    }

    /// Decides.
    #[must_use]
    pub fn verdict(&self, ratio: f64) -> Verdict {
        if ratio >= self.upper {
            Verdict::Scan
        } else if ratio <= self.lower {
            Verdict::Healthy
        } else {
            Verdict::Undecided
        }
    }

    /// Lowest value of the ratio that is kept: further successes are no credit.
    #[must_use]
    pub fn floor(&self) -> f64 {
        self.lower
    }

    /// Failures in a row, from nothing, until the decision is `Scan`.
    #[must_use]
    pub fn least_failures(&self) -> u64 {
        (self.upper / self.failure).ceil() as u64
    }

    /// Probability that a healthy source's ratio ever comes this far: at most `e^-ratio`
    /// (Ville's inequality).
    #[must_use]
    pub fn p(ratio: f64) -> f64 {
        (-ratio.max(0.0)).exp()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Probability of `Scan` and mean number of outcomes, over all sequences of outcomes
    /// that succeed with `share`, up to 400 of them.
    fn enumerate(test: &Sprt, share: f64) -> (f64, f64) {
        // What is undecided, by successes and failures so far.
        let mut open = BTreeMap::from([((0u32, 0u32), 1.0)]);
        let (mut scans, mut outcomes) = (0.0, 0.0);
        for _ in 0..400 {
            let mut next: BTreeMap<(u32, u32), f64> = BTreeMap::new();
            for (&(good, bad), &chance) in &open {
                outcomes += chance;
                for (good, bad, chance) in [
                    (good + 1, bad, chance * share),
                    (good, bad + 1, chance * (1.0 - share)),
                ] {
                    let ratio =
                        f64::from(good) * test.success() + f64::from(bad) * test.failure(1.0);
                    match test.verdict(ratio) {
                        Verdict::Scan => scans += chance,
                        Verdict::Healthy => {}
                        Verdict::Undecided => *next.entry((good, bad)).or_default() += chance,
                    }
                }
            }
            open = next;
        }
        (scans, outcomes)
    }

    /// The defaults of the paper: steps ∓1.386, thresholds ±4.595, 4 failures at least. With
    /// equal steps it is the gambler's ruin between ±4, whose mean duration is known.
    #[test]
    fn the_papers_defaults_give_the_papers_numbers() {
        let test = Sprt::new(0.8, 0.2, 0.01, 0.01);
        assert!((test.failure(1.0) - 1.386).abs() < 1e-3 && (test.success() + 1.386).abs() < 1e-3);
        assert!((test.upper - 4.595).abs() < 1e-3 && (test.lower + 4.595).abs() < 1e-3);
        assert_eq!(test.least_failures(), 4);
        let ruin = 1.0 / (1.0 + 4.0f64.powi(4));
        let (scans, outcomes) = enumerate(&test, 0.2);
        assert!((scans - (1.0 - ruin)).abs() < 1e-9);
        assert!((outcomes - 4.0 / 0.6 * (1.0 - 2.0 * ruin)).abs() < 1e-6);
    }

    #[test]
    fn false_alarms_and_misses_are_below_what_was_asked_for() {
        for (healthy, scan, alpha) in [(0.95, 0.2, 1e-5), (0.98, 0.3, 1e-5), (0.8, 0.2, 0.01)] {
            let test = Sprt::new(healthy, scan, alpha, 0.01);
            let (false_alarms, _) = enumerate(&test, healthy);
            let (found, outcomes) = enumerate(&test, scan);
            assert!(false_alarms <= alpha, "{healthy} {scan}: {false_alarms}");
            assert!(found >= 0.98, "{healthy} {scan}: {found}");
            assert!(outcomes < 7.0);
        }
    }

    #[test]
    fn the_p_value_bounds_how_often_a_healthy_source_gets_there() {
        let test = Sprt::new(0.95, 0.2, 1e-9, 1e-9);
        for ratio in [2.0f64, 5.0, 9.0] {
            let reaching = Sprt {
                upper: ratio,
                ..test
            };
            let (reached, _) = enumerate(&reaching, 0.95);
            assert!(reached <= Sprt::p(ratio), "{ratio}: {reached}");
        }
        assert!((Sprt::p(-3.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_failure_that_everybody_has_counts_for_nothing() {
        let test = Sprt::new(0.95, 0.2, 1e-5, 0.01);
        assert!(test.failure(0.0).abs() < 1e-12);
        assert!(test.failure(0.5) < test.failure(1.0));
    }
}
