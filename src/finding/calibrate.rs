//! From a detector's p-value to one that keeps its promise.
//!
//! Owns the tails of the classes: a generalised Pareto distribution over what shadow days
//! gave, one class a kind. What is a rule's weight is left as it is.
//!
//! The excess of an observation is `ln(T / p)` over the threshold `T` = 0.02. Where p keeps
//! its promise, excesses are exponential with mean 1, which is the distribution with shape 0
//! and scale 1; so a class that is right is left right. Shape and scale come from mean and
//! variance of the excesses (method of moments, as FluxEV, WSDM 2021): four sums a class are
//! all that is kept. What an attacker does on shadow days widens the tail, and hides by that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kind::KindInfo;

/// p-values below this are the tail.
const THRESHOLD: f64 = 0.02;
/// Observations of shadow days before a class is calibrated.
const ENOUGH: f64 = 1_000.0;
/// Excesses before a class is calibrated: a variance of fewer says nothing.
const ENOUGH_EXCESSES: u64 = 20;
/// No p-value of a class that is not calibrated counts as smaller.
pub const FLOOR: f64 = 1e-6;
/// No p-value counts as smaller: beyond this no tail is known.
pub const LEAST: f64 = 1e-12;
/// The heaviest tail: of one above, not even the variance exists.
const HEAVIEST: f64 = 0.45;

/// The tails, by kind. Bounded by the number of kinds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Calibration {
    classes: BTreeMap<String, Tail>,
}

/// The tail of a class, as sums.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tail {
    /// Tests made; 0 where nobody counts them.
    tests: u64,
    /// Excesses.
    over: u64,
    /// The smallest of them: where a detector gives out only what is rarer than the
    /// threshold, the tail begins there.
    least: f64,
    sum: f64,
    squares: f64,
}

impl Calibration {
    /// Counts tests of a kind that were made on shadow days.
    pub fn tested(&mut self, kind: &KindInfo, count: u64) {
        let tail = self.classes.entry(kind.name.to_owned()).or_default();
        tail.tests = tail.tests.saturating_add(count);
    }

    /// Learns from an observation of a shadow day.
    pub fn learn(&mut self, kind: &KindInfo, p: f64) {
        let excess = (THRESHOLD / p.clamp(f64::MIN_POSITIVE, 1.0)).ln();
        if excess.is_nan() || excess < 0.0 {
            return;
        }
        let tail = self.classes.entry(kind.name.to_owned()).or_default();
        tail.least = if tail.over == 0 {
            excess
        } else {
            tail.least.min(excess)
        };
        tail.over += 1;
        tail.sum += excess;
        tail.squares += excess * excess;
    }

    /// The calibrated p-value; with fewer than 1,000 observations the detector's own, and
    /// not below [`FLOOR`].
    #[must_use]
    pub fn calibrated(&self, kind: &KindInfo, p: f64) -> f64 {
        let p = proper(p);
        let tail = self.classes.get(kind.name).and_then(|tail| tail.of(p));
        tail.unwrap_or_else(|| p.max(FLOOR)).clamp(LEAST, 1.0)
    }

    /// Whether a kind has enough to be calibrated.
    #[must_use]
    pub fn is_ready(&self, kind: &KindInfo) -> bool {
        self.classes.get(kind.name).is_some_and(Tail::is_ready)
    }
}

/// A p-value that is one: above 0, at most 1; what is no number is no surprise.
pub(super) fn proper(p: f64) -> f64 {
    if p.is_nan() {
        1.0
    } else {
        p.clamp(f64::MIN_POSITIVE, 1.0)
    }
}

impl Tail {
    fn samples(&self) -> f64 {
        if self.tests > 0 {
            self.tests as f64
        } else {
            self.over as f64 / self.begin()
        }
    }

    /// The p-value at which the tail begins.
    fn begin(&self) -> f64 {
        THRESHOLD * (-self.least).exp()
    }

    fn is_ready(&self) -> bool {
        self.over >= ENOUGH_EXCESSES && self.samples() >= ENOUGH
    }

    /// The probability of a p-value as small as this; `None` where the tail does not say.
    fn of(&self, p: f64) -> Option<f64> {
        let excess = (self.begin() / p).ln();
        if excess < 0.0 || !self.is_ready() {
            return None;
        }
        let over = self.over as f64;
        let share = (over / self.samples()).min(1.0);
        let mean = self.sum / over - self.least;
        let variance = self.squares / over - (self.sum / over).powi(2);
        if mean <= 0.0 || variance <= 0.0 {
            return None;
        }
        let ratio = mean * mean / variance;
        // A tail that ends would make what lies beyond it impossible: none is taken to.
        let shape = (0.5 * (1.0 - ratio)).clamp(0.0, HEAVIEST);
        let beyond = if shape < 1e-6 {
            (-excess / mean).exp()
        } else {
            let scale = mean * (1.0 - shape);
            (1.0 + shape * excess / scale).powf(-1.0 / shape)
        };
        Some(share * beyond)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the bound itself")]
mod tests {
    use super::*;

    fn kind() -> &'static KindInfo {
        KindInfo::of("rate").unwrap()
    }

    /// The quantiles of p-values that a transform makes of uniform ones.
    fn learned(count: u32, transform: impl Fn(f64) -> f64) -> Calibration {
        let mut calibration = Calibration::default();
        calibration.tested(kind(), u64::from(count));
        for at in 0..count {
            let uniform = (f64::from(at) + 0.5) / f64::from(count);
            calibration.learn(kind(), transform(uniform));
        }
        calibration
    }

    #[test]
    fn p_values_that_keep_their_promise_are_left() {
        let calibration = learned(100_000, |uniform| uniform);
        assert!(calibration.is_ready(kind()));
        for p in [1e-2, 1e-3, 1e-4, 1e-5] {
            let calibrated = calibration.calibrated(kind(), p);
            assert!((0.7..1.4).contains(&(calibrated / p)), "{p} {calibrated}");
        }
    }

    /// Scenario: a detector whose p-values are the squares of honest ones.
    /// Guarantees: one in a thousand of its observations gets a p of about one in a thousand.
    #[test]
    fn p_values_that_promise_too_much_are_put_right() {
        let calibration = learned(100_000, |uniform| uniform * uniform);
        for honest in [1e-3, 1e-4, 1e-5] {
            let calibrated = calibration.calibrated(kind(), honest * honest);
            assert!(
                (0.4..2.5).contains(&(calibrated / honest)),
                "{honest} {calibrated}"
            );
        }
    }

    /// Scenario: a detector gives out only what is rarer than one in a thousand, and nobody
    /// counts its tests.
    #[test]
    fn a_tail_begins_where_the_detector_begins_to_speak() {
        let mut calibration = Calibration::default();
        for at in 0..2_000 {
            calibration.learn(kind(), 1e-3 * (f64::from(at) + 0.5) / 2_000.0);
        }
        for p in [1e-4, 1e-5] {
            let calibrated = calibration.calibrated(kind(), p);
            assert!((0.7..1.4).contains(&(calibrated / p)), "{p} {calibrated}");
        }
    }

    #[test]
    fn too_few_observations_leave_the_detectors_word_with_a_floor() {
        let calibration = learned(900, |uniform| uniform);
        assert!(!calibration.is_ready(kind()));
        assert_eq!(calibration.calibrated(kind(), 1e-9), FLOOR);
        assert_eq!(calibration.calibrated(kind(), 1e-3), 1e-3);
        assert_eq!(calibration.calibrated(kind(), f64::NAN), 1.0);
        assert_eq!(calibration.calibrated(kind(), 0.0), FLOOR);
    }

    #[test]
    fn nothing_is_smaller_than_the_least() {
        let calibration = learned(100_000, |uniform| uniform);
        assert_eq!(calibration.calibrated(kind(), 0.0), LEAST);
    }

    #[test]
    fn a_calibration_is_kept_and_read_back() {
        let calibration = learned(5_000, |uniform| uniform);
        let text = serde_json::to_string(&calibration).unwrap();
        let again: Calibration = serde_json::from_str(&text).unwrap();
        for p in [1e-3, 1e-6] {
            let ratio = again.calibrated(kind(), p) / calibration.calibrated(kind(), p);
            assert!((ratio - 1.0).abs() < 1e-9);
        }
    }
}
