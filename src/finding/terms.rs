//! What the surroundings of an observation add to its score or take from it.
//!
//! Owns the terms and the reading: what it means that something unusual passed or not. The
//! points are set by hand: they are orders of magnitude in which the surroundings change how
//! much a finding matters, and every one of them is shown.

use super::calibrate::LEAST;
use super::kind::Tactic;
use super::record::Reading;
use super::seen::Seen;
use super::severity::Term;
use crate::detect::Passed;
use crate::policy::Gap;

/// The kind of what people's own rules fit.
pub(super) const RULE: &str = "rule";

const MINUTE: i64 = 60_000_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Used by no more than this share of workloads: rare.
const RARE: f64 = 0.02;
/// Used by at least this share: common.
const COMMON: f64 = 0.5;
/// Known for no longer than this: young.
const YOUNG: i64 = 7 * DAY;
/// How long a release explains what is new.
const ROLLOUT: i64 = 30 * MINUTE;

/// What every term means, by its name, in the order in which they are shown.
pub const TERMS: &[(&str, &str)] = &[
    ("surprise", "how unlikely it is, in powers of ten"),
    (
        "calibrated",
        "what that is worth here, by how often detectors test and what came on shadow days",
    ),
    (
        "no-policy",
        "nothing selects the endpoint: it passed because nobody asked",
    ),
    ("broad-rule", "only a broad rule lets it pass"),
    ("sensitive", "the destination is one that attackers want"),
    ("rare", "at most 2 % of the workloads use the destination"),
    (
        "common",
        "at least half of the workloads use the destination",
    ),
    ("young", "the destination has been known for at most a week"),
    ("exposed", "the workload takes connections from outside"),
    (
        "rollout",
        "the workload was released in the last 30 minutes",
    ),
    ("outage", "others fail at the same destination"),
    ("stopped", "policy denied it"),
    (
        "combined",
        "how unlikely its findings are together, in powers of ten",
    ),
    (
        "worst-finding",
        "an incident is not below its worst finding",
    ),
    (
        "sequence",
        "it has several steps, or they follow each other as those of an attack do",
    ),
    (
        "shadow",
        "severities are set by the shadow days: so many incidents a day may be medium",
    ),
    (
        "learning",
        "the workload is still being learned: nothing of it is above low",
    ),
];

/// What it means that this passed, or did not.
#[must_use]
pub fn reading(seen: &Seen) -> Reading {
    match seen.passed {
        Passed::Denied if seen.kind.tactic == Tactic::Availability => Reading::BrokenTraffic,
        Passed::Denied => Reading::Attempted,
        Passed::Audited => Reading::WouldBeBlocked,
        Passed::Allowed | Passed::Mixed if seen.around.gap.is_some() => Reading::PolicyGap,
        Passed::Allowed | Passed::Mixed => Reading::Allowed,
    }
}

/// The terms of an observation with a calibrated p-value; `raw` is the detector's own, where
/// it is shown beside.
#[must_use]
pub fn terms(seen: &Seen, p: f64, raw: Option<f64>) -> Vec<Term> {
    let around = &seen.around;
    let surprise = Term::new("surprise", -raw.unwrap_or(p).max(LEAST).log10());
    let calibrated = Term::new("calibrated", -p.log10() - surprise.value);
    let mut terms = vec![surprise];
    let mut add = |name: &str, value: f64| {
        if value != 0.0 {
            terms.push(Term::new(name, value));
        }
    };
    add(&calibrated.name, calibrated.value);
    // Whoever wrote a rule said how severe it is.
    if seen.kind.name == RULE {
        return terms;
    }
    let reading = reading(seen);
    match around.gap {
        Some(Gap::NotSelected | Gap::NoDefaultDeny) if reading == Reading::PolicyGap => {
            add("no-policy", 1.0);
        }
        Some(Gap::OnlyBroad) if reading == Reading::PolicyGap => add("broad-rule", 1.0),
        _ => {}
    }
    add("sensitive", seen.sensitivity());
    if seen.peer.as_ref().is_some_and(super::Party::is_outside) {
        match around.prevalence {
            Some(share) if share <= RARE => add("rare", 0.5),
            Some(share) if share >= COMMON => add("common", -1.5),
            _ => {}
        }
        if around.age.is_some_and(|age| age <= YOUNG) {
            add("young", 0.5);
        }
    }
    if around.exposed {
        add("exposed", 0.5);
    }
    let since = around.released.map(|at| seen.from.saturating_sub(at));
    // A rollout explains what is new, and not that it is done as somebody else.
    let explains = seen.kind.name != "new-identity";
    if explains && since.is_some_and(|since| (0..=ROLLOUT).contains(&since)) {
        add("rollout", -1.5);
    }
    if around.outage {
        add("outage", -2.0);
    }
    // What tries many targets is told though it was denied everywhere: that is what it is.
    if reading == Reading::Attempted && !seen.is_broad() {
        add("stopped", -1.5);
    }
    terms
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of few digits, exact in binary")]
mod tests {
    use super::*;
    use crate::finding::severity::sum;
    use crate::finding::testing::{name, seen, workload};

    fn names(seen: &Seen) -> Vec<String> {
        terms(seen, seen.p, None)
            .into_iter()
            .map(|term| term.name)
            .collect()
    }

    #[test]
    fn what_passes_with_nobody_asking_is_a_gap_and_costs_a_point() {
        let mut one = seen(
            "new-edge",
            workload("shop/web"),
            Some(workload("data/cart")),
            1e-5,
        );
        assert_eq!(reading(&one), Reading::Allowed);
        assert_eq!(names(&one), ["surprise"]);
        one.around.gap = Some(Gap::NotSelected);
        assert_eq!(reading(&one), Reading::PolicyGap);
        assert_eq!(sum(&terms(&one, one.p, None)), 6.0);
        one.around.gap = Some(Gap::OnlyBroad);
        assert_eq!(names(&one), ["surprise", "broad-rule"]);
    }

    #[test]
    fn every_cell_of_the_matrix_has_its_reading() {
        let edge = |passed| {
            let mut one = seen("new-edge", workload("a/a"), Some(workload("b/b")), 1e-5);
            one.passed = passed;
            one
        };
        assert_eq!(reading(&edge(Passed::Denied)), Reading::Attempted);
        assert_eq!(reading(&edge(Passed::Audited)), Reading::WouldBeBlocked);
        assert_eq!(reading(&edge(Passed::Mixed)), Reading::Allowed);
        let mut shift = seen(
            "verdict-shift",
            workload("a/a"),
            Some(workload("b/b")),
            1e-5,
        );
        shift.passed = Passed::Denied;
        assert_eq!(reading(&shift), Reading::BrokenTraffic);
        assert_eq!(names(&shift), ["surprise"]);
    }

    #[test]
    fn a_denied_scan_is_not_comforted_and_a_denied_edge_is() {
        let mut scan = seen("scan", workload("a/a"), None, 1e-6);
        scan.passed = Passed::Denied;
        assert_eq!(names(&scan), ["surprise"]);
        let mut edge = seen("new-edge", workload("a/a"), Some(workload("b/b")), 1e-6);
        edge.passed = Passed::Denied;
        assert_eq!(names(&edge), ["surprise", "stopped"]);
    }

    #[test]
    fn prevalence_and_age_count_outside_only() {
        let around = |peer| {
            let mut one = seen("new-name", workload("a/a"), Some(peer), 1e-4);
            one.around.prevalence = Some(0.001);
            one.around.age = Some(0);
            one
        };
        assert_eq!(
            names(&around(name("evil.example"))),
            ["surprise", "rare", "young"]
        );
        assert_eq!(names(&around(workload("b/b"))), ["surprise"]);
        let mut common = around(name("saas.example"));
        common.around.prevalence = Some(0.6);
        common.around.age = Some(30 * DAY);
        assert_eq!(names(&common), ["surprise", "common"]);
    }

    #[test]
    fn a_release_explains_for_half_an_hour() {
        let mut one = seen("new-edge", workload("a/a"), Some(workload("b/b")), 1e-4);
        one.around.released = Some(one.from - ROLLOUT);
        assert_eq!(names(&one), ["surprise", "rollout"]);
        one.around.released = Some(one.from - ROLLOUT - 1);
        assert_eq!(names(&one), ["surprise"]);
        one.around.released = Some(one.from + 1);
        assert_eq!(names(&one), ["surprise"]);
    }

    #[test]
    fn every_term_that_is_made_is_explained() {
        let mut one = seen("metadata", workload("a/a"), Some(name("x.example")), 1e-6);
        one.around.gap = Some(Gap::NotSelected);
        one.around.exposed = true;
        one.around.outage = true;
        one.around.prevalence = Some(0.0);
        for name in names(&one) {
            assert!(TERMS.iter().any(|(known, _)| *known == name), "{name}");
        }
    }
}
