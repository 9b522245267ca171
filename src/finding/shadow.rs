//! From what detectors said on days that were only watched to how severe it is to say it.
//!
//! Owns both steps. First, of each class of findings: how many came, and how unlikely they
//! were. Then, by the same desk that judges later, what incidents these days would have had,
//! and the scores from which on no more of them come than may: so many a day at medium, a
//! sixth of that at high, one in two weeks at critical.
//!
//! Medium begins where so many of the days' own incidents were above as may be. Beyond that,
//! the rate of incidents above a score is taken to fall exponentially, with the mean of what
//! came above medium, drawn towards one point: a few crowds and outages far above all others
//! must not move the place where most incidents are. Where fewer came than may, the same is
//! done from [`OPENS_KNOWN`] on. Anchors are within bounds, so that three days of nothing do not
//! make everything critical.

use std::collections::{BTreeMap, HashMap};

use super::calibrate::{Calibration, class, classes, proper};
use super::desk::{COOL_DOWN, Desk, DeskOptions, OPENS_KNOWN};
use super::kind::KINDS;
use super::record::Line;
use super::release;
use super::seen::Seen;
use super::severity::hundredths;
use crate::baseline::{Anchors, Shadow, ShadowKind};
use crate::detect::Tested;

/// Critical incidents a day that may be false: one in two weeks.
const CRITICAL: f64 = 1.0 / 14.0;
/// High ones, as a share of the budget of medium ones.
const HIGH: f64 = 1.0 / 6.0;
/// Mean of scores above a threshold that is believed, and as of how many incidents.
const BELIEVED: (f64, f64) = (1.0, 2.0);
/// Anchors are no lower than these, and rise by a point at least.
const LOWEST: Anchors = Anchors {
    medium: 3.0,
    high: 6.0,
    // A few days cannot prove that something comes once in two weeks: it takes more than a
    // surprise alone, and nobody asking about it.
    critical: 9.0,
};
/// No score beyond is asked for to be medium: what comes so often is not quietened, it is
/// looked at.
const HIGHEST: f64 = 9.0;

/// A tick and what was observed in it.
pub type Watched = (i64, Vec<Seen>);

/// The figures of days that were watched from one time to another. `tests` are counted by
/// the kinds of their detectors; `budget` is how many incidents a day may be medium and
/// above.
#[must_use]
pub fn shadow(
    ticks: &[Watched],
    tests: &BTreeMap<&'static str, Tested>,
    span: (i64, i64),
    budget: f64,
) -> Shadow {
    let mut shadow = Shadow {
        span,
        budget,
        kinds: kinds(ticks, tests),
        ..Shadow::default()
    };
    let scores = scores(ticks, &shadow);
    shadow.incidents = scores.len() as u64;
    shadow.anchors = anchors(&scores, shadow.days(), budget);
    shadow
}

/// The figures of each class.
fn kinds(ticks: &[Watched], tests: &BTreeMap<&'static str, Tested>) -> Vec<ShadowKind> {
    let mut found: BTreeMap<String, Class> = BTreeMap::new();
    for kind in KINDS {
        let Some(tested) = tests.get(kind.name) else {
            continue;
        };
        for class in classes(kind) {
            found.entry(class).or_default().tests = tested.all;
        }
        // Which variant a test was of is not known.
        let class = found.entry(kind.name.to_owned()).or_default();
        (class.checked, class.below) = (tested.checked, tested.below);
    }
    let mut last: HashMap<String, (i64, usize)> = HashMap::new();
    for seen in ticks.iter().flat_map(|(_, seen)| seen) {
        let bans = -proper(seen.p).log10();
        let class = found.entry(class(seen)).or_default();
        // What comes with a release is told as one, whatever each edge is worth.
        if release::of(seen).is_some() {
            continue;
        }
        let id = seen.id();
        match last.get_mut(&id) {
            Some((until, at)) if seen.from.saturating_sub(*until) <= COOL_DOWN => {
                *until = seen.to.max(*until);
                let strongest = &mut class.bans[*at];
                *strongest = strongest.max(bans);
            }
            _ => {
                last.insert(id, (seen.to, class.bans.len()));
                class.bans.push(bans);
            }
        }
    }
    found
        .into_iter()
        .map(|(kind, class)| class.figures(kind))
        .filter(|kind| kind.tests > 0 || kind.findings > 0 || kind.checked > 0)
        .collect()
}

#[derive(Default)]
struct Class {
    tests: u64,
    /// Of each finding the strongest.
    bans: Vec<f64>,
    checked: u64,
    below: [u64; 2],
}

impl Class {
    fn figures(self, kind: String) -> ShadowKind {
        let count = self.bans.len() as f64;
        let least = self.bans.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let beyond = |bans: &f64| bans - least;
        // The sum of nothing is a negative zero.
        let mean = self.bans.iter().map(beyond).sum::<f64>() / count.max(1.0) + 0.0;
        let squares = self.bans.iter().map(|bans| (beyond(bans) - mean).powi(2));
        let spread = (squares.sum::<f64>() / count.max(1.0)).sqrt() + 0.0;
        ShadowKind {
            kind,
            tests: self.tests,
            findings: self.bans.len() as u64,
            least,
            mean,
            spread,
            checked: self.checked,
            below: self.below,
        }
    }
}

/// Scores of the incidents that these days would have had, before they are anchored.
fn scores(ticks: &[Watched], shadow: &Shadow) -> Vec<f64> {
    let mut desk = Desk::new(DeskOptions {
        calibration: Calibration::of(&Shadow {
            anchors: Anchors::BY_HAND,
            ..shadow.clone()
        }),
        ..DeskOptions::default()
    });
    let mut lines = Vec::new();
    for (now, seen) in ticks {
        desk.tick(*now, seen.clone(), &mut lines);
    }
    desk.finish(&mut lines);
    let mut scores: BTreeMap<String, f64> = BTreeMap::new();
    for line in lines {
        if let Line::Incident(incident) = line {
            if incident.merged.is_some() {
                scores.remove(&incident.id);
            } else {
                scores.insert(incident.id, incident.score);
            }
        }
    }
    scores.into_values().collect()
}

/// From which scores on incidents come as often as they may, of these in so many days.
fn anchors(scores: &[f64], days: f64, budget: f64) -> Anchors {
    let days = days.max(1e-3);
    let mut scores: Vec<f64> = scores
        .iter()
        .copied()
        .filter(|score| *score >= OPENS_KNOWN)
        .collect();
    scores.sort_by(|one, two| two.total_cmp(one));
    let may = (budget * days).floor() as usize;
    // Between the last that may be and the first that may not.
    let threshold = match (
        may.checked_sub(1).and_then(|at| scores.get(at)),
        scores.get(may),
    ) {
        (Some(last), Some(next)) => f64::midpoint(*last, *next),
        _ => OPENS_KNOWN,
    };
    let above: Vec<f64> = scores
        .iter()
        .map(|score| score - threshold)
        .filter(|above| *above >= 0.0)
        .collect();
    let (mean, weight) = BELIEVED;
    let count = above.len() as f64;
    let mean = (above.iter().sum::<f64>() + mean * weight) / (count + weight);
    // Half an incident for those that nobody saw.
    let rate = (count + 0.5) / days;
    let at = |allowed: f64| threshold + mean * (rate / allowed.max(1e-6)).ln().max(0.0);
    let medium = at(budget).clamp(LOWEST.medium, HIGHEST);
    let high = at(budget * HIGH).max(LOWEST.high).max(medium + 1.0);
    let critical = at(CRITICAL).max(LOWEST.critical).max(high + 1.0);
    Anchors {
        medium: hundredths(medium),
        high: hundredths(high),
        critical: hundredths(critical),
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "rounded to hundredths")]
mod tests {
    use super::*;
    use crate::baseline::DAY;
    use crate::finding::testing::{HOUR, MINUTE, TEN, at, name, seen, workload};

    fn tick(time: i64, mut one: Seen) -> Watched {
        one.fixed = false;
        (time + MINUTE, vec![at(one, time)])
    }

    fn tested(all: u64, below: u64) -> Tested {
        Tested {
            all,
            checked: all,
            below: [below, 0],
        }
    }

    fn edge(peer: &str, p: f64) -> Seen {
        seen("new-edge", workload("a/a"), Some(workload(peer)), p)
    }

    /// Guarantees: the same thing within hours counts once, with the least likely of it.
    #[test]
    fn findings_are_counted_by_their_class() {
        let mut more = seen("rate", workload("a/a"), None, 1e-7);
        "more".clone_into(&mut more.key);
        let ticks = [
            tick(TEN, edge("b/b", 1e-2)),
            tick(TEN + HOUR, edge("b/b", 1e-4)),
            tick(TEN + 20 * HOUR, edge("c/c", 1e-3)),
            tick(TEN + 21 * HOUR, more),
        ];
        let tests = BTreeMap::from([("new-edge", tested(400, 1)), ("rate", tested(10_000, 9))]);
        let shadow = shadow(&ticks, &tests, (TEN, TEN + 2 * DAY), 2.0);
        let of = |name: &str| shadow.kinds.iter().find(|kind| kind.kind == name).unwrap();
        let edges = of("new-edge");
        assert_eq!((edges.tests, edges.findings), (400, 2));
        assert!((edges.least - 3.0).abs() < 1e-9 && (edges.mean - 0.5).abs() < 1e-9);
        assert_eq!((edges.checked, edges.below), (400, [1, 0]));
        assert_eq!(of("rate").below, [9, 0]);
        assert_eq!(
            (of("rate/more").tests, of("rate/more").findings),
            (10_000, 1)
        );
        assert_eq!(
            (of("rate/fewer").tests, of("rate/fewer").findings),
            (10_000, 0)
        );
    }

    #[test]
    fn a_quiet_span_lowers_anchors_to_their_bounds_and_no_further() {
        let quiet = shadow(&[], &BTreeMap::new(), (0, 3 * DAY), 2.0);
        assert_eq!(quiet.anchors, LOWEST);
        assert_eq!(quiet.incidents, 0);
    }

    #[test]
    fn figures_of_nothing_are_zero_without_a_sign() {
        let tests = BTreeMap::from([("dga", tested(10, 0))]);
        let quiet = shadow(&[], &tests, (0, 3 * DAY), 2.0);
        let [kind] = &quiet.kinds[..] else {
            panic!("one kind");
        };
        let shown = format!("{:.2} {:.2} {:.2}", kind.least, kind.mean, kind.spread);
        assert_eq!(shown, "0.00 0.00 0.00");
    }

    /// Guarantees: by hand. Of 30 incidents in 3 days with scores of 3 to 5.9 six are above
    /// 5.35, by 0.3 on average: 6.5 in 3 days fall to 2 a day at 5.35 + 0.475 ln(1.083).
    #[test]
    fn anchors_are_where_no_more_come_than_may() {
        let scores: Vec<f64> = (0..30).map(|at| 3.0 + f64::from(at) * 0.1).collect();
        let found = anchors(&scores, 3.0, 2.0);
        assert_eq!(found.medium, 5.39);
        // By the formula 6.24 and 6.97: a point above medium, and the bound.
        assert_eq!(found.high, 6.39);
        assert_eq!(found.critical, LOWEST.critical);
        let twice: Vec<f64> = scores.iter().chain(&scores).copied().collect();
        assert!(anchors(&twice, 3.0, 2.0).medium > found.medium);
        assert!(anchors(&scores, 3.0, 5.0).medium < found.medium);
    }

    /// Scenario: three of the incidents are load tests, far above all others.
    /// Guarantees: medium stays where it was; what is critical is further away.
    #[test]
    fn a_few_crowds_do_not_hide_what_is_usually_little() {
        let scores: Vec<f64> = (0..30).map(|at| 3.0 + f64::from(at) * 0.1).collect();
        let mut crowds = scores.clone();
        crowds[27..].fill(14.0);
        let (found, crowded) = (anchors(&scores, 3.0, 2.0), anchors(&crowds, 3.0, 2.0));
        assert!((crowded.medium - found.medium).abs() < 0.5, "{crowded:?}");
        assert!(crowded.critical > found.critical + 3.0, "{crowded:?}");
    }

    /// Scenario: fewer incidents came than may.
    #[test]
    fn fewer_than_may_begin_at_the_lowest() {
        let found = anchors(&[3.2, 4.0, 9.0], 3.0, 2.0);
        assert_eq!(found.medium, LOWEST.medium);
    }

    /// Scenario: the same story is watched on shadow days and comes again later.
    /// Guarantees: what came many times a day is low, what is ten thousand times as unlikely
    /// as all that came is medium at least.
    #[test]
    fn what_came_all_the_time_is_low_and_what_never_came_is_not() {
        let ticks: Vec<Watched> = (0..30)
            .map(|number| {
                let subject = format!("a/{number}");
                let one = seen("beacon", workload(&subject), Some(name("b.example")), 1e-5);
                let mut tick = tick(TEN + number * 2 * HOUR, one);
                tick.1[0].peer = Some(name(&format!("b{number}.example")));
                tick
            })
            .collect();
        let tests = BTreeMap::from([("beacon", tested(3_000, 0))]);
        let shadow = shadow(&ticks, &tests, (TEN, TEN + 3 * DAY), 2.0);
        let mut desk = Desk::new(DeskOptions {
            calibration: Calibration::of(&shadow),
            ..DeskOptions::default()
        });
        let mut out = Vec::new();
        let later = TEN + 20 * DAY;
        for (number, p) in [(1, 1e-5), (2, 1e-9)] {
            let subject = format!("later/{number}");
            let one = seen("beacon", workload(&subject), Some(name("c.example")), p);
            let (now, seen) = tick(later + number * DAY, one);
            desk.tick(now, seen, &mut out);
        }
        desk.finish(&mut out);
        let mut severities = out.iter().filter_map(|line| match line {
            Line::Incident(incident) => Some(incident.severity),
            Line::Finding(_) => None,
        });
        assert_eq!(severities.next().unwrap().name(), "low");
        assert!(severities.next_back().unwrap() >= crate::finding::Severity::Medium);
    }
}
