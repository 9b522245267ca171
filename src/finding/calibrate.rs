//! From a detector's p-value to how often such a finding comes when all is normal.
//!
//! Owns what is made of the shadow days that a baseline was learned with: how often a day a
//! finding as unlikely is expected in this cluster, and the p-value that this is worth.
//!
//! A p-value is about one test, and detectors make very different numbers of tests: one a
//! workload and minute, or one a destination and day. So a p-value is worth what it comes to
//! in a day: `p` times the tests of a day, or, where more such findings came on the shadow
//! days than that promises, what came: of `N` findings in `T` days `N/T` times the share of
//! their tail beyond it. The tail is a generalised Pareto distribution over the powers of ten
//! beyond the likeliest finding (mean and variance give scale and shape, as FluxEV, WSDM
//! 2021); of fewer than 20 findings an exponential one, whose mean is drawn towards that of
//! p-values that keep their promise. What is expected `E` times a day has the p-value
//! `E / 100,000`: that of one of a hundred thousand tests a day, for which the scale of
//! scores is made.
//!
//! A few days do not prove that something is rarer than they are long: nothing counts as
//! rarer than once in a hundred times as many days. A rule tests nothing: its weight counts
//! unless the shadow days had more. Whoever attacks on shadow days widens a tail, and hides
//! by that: the figures stand in the baseline file to be looked at.

use std::collections::BTreeMap;

use super::kind::KindInfo;
use super::seen::Seen;
use crate::baseline::{Anchors, Shadow, ShadowKind};

/// Tests a day for which the scale of scores is made.
const REFERENCE: f64 = 1e5;
/// No p-value counts as smaller where no shadow days are known.
pub const FLOOR: f64 = 1e-6;
/// No p-value counts as smaller: beyond this no tail is known.
pub const LEAST: f64 = 1e-12;
/// Findings from which the shape of a tail is measured.
const ENOUGH: u64 = 20;
/// The heaviest tail: of one above, not even the variance exists.
const HEAVIEST: f64 = 0.45;
/// Mean of the powers of ten beyond a threshold where p-values keep their promise.
const HONEST: f64 = std::f64::consts::LOG10_E;
/// Findings that this belief counts as.
const BELIEVED: f64 = 2.0;
/// Rarer than this many times the shadow days, nothing counts: of three days that is about
/// once in a year.
const BEYOND: f64 = 100.0;

/// Kinds whose findings are told apart, most by what their key says.
const VARIANTS: &[(&str, &[&str])] = &[
    ("rate", &["more", "fewer", "drift-up", "drift-down"]),
    ("scan", &["failing", "spreading"]),
    ("denied-burst", &["probing", "misconfigured"]),
    (
        "verdict-shift",
        &["policy", "infrastructure", "unexplained", "opened"],
    ),
    ("control-plane", &["jump"]),
    // Not by their key: a scrape of what is new in the cluster is as regular, and far more
    // usual, than a call outside.
    ("beacon", &[OUTSIDE, INSIDE]),
];

const OUTSIDE: &str = "outside";
const INSIDE: &str = "inside";

/// What shadow days tell. `Default` knows none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    days: f64,
    anchors: Anchors,
    classes: BTreeMap<String, ShadowKind>,
}

/// A p-value put right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibrated {
    /// The p-value, as if a hundred thousand tests were made a day.
    pub p: f64,
    /// How often a day a finding as unlikely is expected; `None` where nothing tells.
    pub expected: Option<f64>,
}

/// What a finding is counted as: its kind, or a variant of it, `rate/more`.
#[must_use]
pub(super) fn class(seen: &Seen) -> String {
    let name = seen.kind.name;
    if name == "beacon" {
        let outside = seen.peer.as_ref().is_some_and(super::Party::is_outside);
        return format!("{name}/{}", if outside { OUTSIDE } else { INSIDE });
    }
    let variants = VARIANTS.iter().find(|(kind, _)| *kind == name);
    match variants {
        Some((_, keys)) if keys.contains(&seen.key.as_str()) => format!("{name}/{}", seen.key),
        _ => name.to_owned(),
    }
}

/// Classes of the findings of a kind.
pub(super) fn classes(kind: &KindInfo) -> Vec<String> {
    let variants = VARIANTS.iter().filter(|(name, _)| *name == kind.name);
    let variants =
        variants.flat_map(|(name, keys)| keys.iter().map(move |key| format!("{name}/{key}")));
    std::iter::once(kind.name.to_owned())
        .chain(variants)
        .collect()
}

impl Calibration {
    /// What these shadow days tell.
    #[must_use]
    pub fn of(shadow: &Shadow) -> Self {
        Self {
            days: shadow.days(),
            anchors: shadow.anchors,
            classes: shadow
                .kinds
                .iter()
                .map(|kind| (kind.kind.clone(), kind.clone()))
                .collect(),
        }
    }

    /// Whether there were shadow days.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.days > 0.0
    }

    /// From which scores on an incident is how severe.
    #[must_use]
    pub fn anchors(&self) -> Anchors {
        self.anchors
    }

    /// The p-value of an observation put right.
    #[must_use]
    pub fn calibrated(&self, seen: &Seen) -> Calibrated {
        let raw = proper(seen.p);
        let expected = self.expected(seen, raw);
        let p = match expected {
            // A rule is no test: what came on the shadow days can only make it likelier.
            Some(expected) if seen.fixed => raw.max(expected / REFERENCE),
            Some(expected) => expected / REFERENCE,
            None if seen.fixed => raw,
            None => raw.max(FLOOR),
        };
        Calibrated {
            p: p.clamp(LEAST, 1.0),
            expected,
        }
    }

    /// How often a day an observation as unlikely is expected.
    fn expected(&self, seen: &Seen, raw: f64) -> Option<f64> {
        if !self.is_known() {
            return None;
        }
        let class = self.classes.get(&class(seen))?;
        let promised =
            (class.tests > 0 && !seen.fixed).then(|| raw * class.tests as f64 / self.days);
        let came = (class.findings > 0)
            .then(|| class.findings as f64 / self.days * beyond(class, -raw.log10()));
        let expected = match (promised, came) {
            (Some(promised), Some(came)) => promised.max(came),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return None,
        };
        Some(expected.max(1.0 / (BEYOND * self.days)))
    }
}

/// Share of the findings of a class that are beyond so many powers of ten.
fn beyond(class: &ShadowKind, bans: f64) -> f64 {
    let excess = bans - class.least;
    if excess <= 0.0 {
        return 1.0;
    }
    let known = class.findings as f64;
    let mean = (class.mean * known + HONEST * BELIEVED) / (known + BELIEVED);
    let variance = class.spread * class.spread;
    let shape = if class.findings >= ENOUGH && variance > 0.0 {
        // A tail that ends would make what lies beyond it impossible: none is taken to.
        (0.5 * (1.0 - mean * mean / variance)).clamp(0.0, HEAVIEST)
    } else {
        0.0
    };
    if shape < 1e-6 {
        (-excess / mean).exp()
    } else {
        let scale = mean * (1.0 - shape);
        (1.0 + shape * excess / scale).powf(-1.0 / shape)
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

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the bound itself")]
mod tests {
    use super::*;
    use crate::baseline::DAY;
    use crate::finding::testing::{seen, workload};

    fn observed(p: f64, key: &str, fixed: bool) -> Seen {
        let mut one = seen("rate", workload("a/a"), None, p);
        key.clone_into(&mut one.key);
        one.fixed = fixed;
        one
    }

    /// Shadow days with one class.
    fn calibration(days: i64, kind: ShadowKind) -> Calibration {
        Calibration::of(&Shadow {
            span: (0, days * DAY),
            kinds: vec![kind],
            ..Shadow::default()
        })
    }

    fn class(tests: u64, findings: u64, least: f64, mean: f64) -> ShadowKind {
        ShadowKind {
            kind: "rate/more".to_owned(),
            tests,
            findings,
            least,
            mean,
            spread: mean,
            ..ShadowKind::default()
        }
    }

    #[test]
    fn without_shadow_days_the_detectors_word_counts_with_a_floor() {
        let calibration = Calibration::default();
        let p = |p, fixed| calibration.calibrated(&observed(p, "more", fixed)).p;
        assert_eq!(p(1e-9, false), FLOOR);
        assert_eq!(p(1e-3, false), 1e-3);
        assert_eq!(p(1e-9, true), 1e-9);
        assert_eq!(p(f64::NAN, false), 1.0);
        assert_eq!(p(0.0, true), LEAST);
    }

    /// Guarantees: by hand. 300,000 tests in 3 days are as many a day as the scale is made
    /// for: p stays; of a hundredth of these tests it is a hundredth as surprising to see one.
    #[test]
    fn a_p_value_is_worth_what_it_comes_to_in_a_day() {
        let many = calibration(3, class(300_000, 0, 0.0, 0.0));
        let found = many.calibrated(&observed(1e-7, "more", false));
        assert!((found.p / 1e-7 - 1.0).abs() < 1e-9, "{found:?}");
        assert!((found.expected.unwrap() / 0.01 - 1.0).abs() < 1e-9);
        let few = calibration(3, class(3_000, 0, 0.0, 0.0));
        let found = few.calibrated(&observed(1e-4, "more", false));
        assert!((found.p / 1e-6 - 1.0).abs() < 1e-9, "{found:?}");
        // Another variant was never tested.
        let other = few.calibrated(&observed(1e-9, "fewer", false));
        assert_eq!((other.p, other.expected), (FLOOR, None));
    }

    /// Scenario: a detector promises one false finding in a million days, and there were six
    /// in three.
    #[test]
    fn what_came_counts_where_it_is_more_than_was_promised() {
        let noisy = calibration(3, class(300_000, 6, 6.0, HONEST));
        let at = |bans: f64| {
            let one = observed(10_f64.powf(-bans), "more", false);
            noisy.calibrated(&one).expected.unwrap()
        };
        assert!((at(6.0) - 2.0).abs() < 1e-9);
        // The tail is that of honest p-values: a tenth for each power of ten.
        assert!((at(7.0) - 0.2).abs() < 1e-6, "{}", at(7.0));
        // Likelier than the likeliest that came: as often as all of them, or as promised.
        assert!((at(5.5) - 2.0).abs() < 1e-9);
        assert!((at(1.0) - 1e4).abs() < 1e-6);
    }

    #[test]
    fn a_few_days_do_not_prove_that_something_is_rarer_than_a_hundred_times_them() {
        let quiet = calibration(3, class(300_000, 0, 0.0, 0.0));
        let found = quiet.calibrated(&observed(1e-12, "more", false));
        assert!((found.expected.unwrap() * 300.0 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_rule_keeps_its_weight_unless_the_shadow_days_had_more() {
        let quiet = calibration(3, class(0, 0, 0.0, 0.0));
        assert_eq!(quiet.calibrated(&observed(1e-6, "more", true)).p, 1e-6);
        let noisy = calibration(3, class(0, 30, 6.0, 0.0));
        let found = noisy.calibrated(&observed(1e-6, "more", true));
        assert!((found.p / 1e-4 - 1.0).abs() < 1e-9, "{found:?}");
    }

    /// Scenario: the excesses of a detector are twice what is honest: it promises the square
    /// root of what it keeps.
    #[test]
    fn a_wider_tail_is_measured() {
        let wide = calibration(3, class(0, 300, 2.0, 2.0 * HONEST));
        let one = observed(1e-6, "more", false);
        let expected = wide.calibrated(&one).expected.unwrap();
        // 100 a day, and four powers of ten count as two.
        assert!((0.7..1.4).contains(&expected), "{expected}");
    }

    #[test]
    fn every_variant_is_of_a_kind_of_the_catalogue() {
        for (name, keys) in VARIANTS {
            let kind = KindInfo::of(name).unwrap();
            assert_eq!(classes(kind).len(), keys.len() + 1);
        }
    }
}
