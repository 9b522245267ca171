//! The figures: recall, false alarms, precision at a budget, time to detect, calibration.
//!
//! Owns counting. A day is one of UTC; days without anything count too.

use std::collections::{BTreeMap, BTreeSet};

use super::ScoreOptions;
use super::matching::{change, hits};
use super::read::{Found, FoundFile, TruthFile, Was};
use crate::finding::Severity;

const SECOND: f64 = 1e9;
const DAY: i64 = 86_400_000_000_000;
/// Incidents a day that somebody looks at.
const BUDGETS: [usize; 5] = [1, 2, 5, 10, 20];

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Of these.
    pub hit: u64,
    /// All.
    pub all: u64,
}

impl Share {
    fn add(&mut self, hit: bool) {
        self.hit += u64::from(hit);
        self.all += 1;
    }

    /// 0 to 1; `None` of nothing.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.hit as f64 / self.all as f64)
    }
}

/// Middle and tail of some times, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Half are below.
    pub median: f64,
    /// Nine of ten are below.
    pub p90: f64,
}

/// Recall of a kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KindScore {
    /// All of it.
    pub all: Share,
    /// Intensities below one half.
    pub lower: Share,
    /// Intensities from one half up.
    pub upper: Share,
    /// From the beginning to the first finding; `None` where nothing was found.
    pub time: Option<Spread>,
    /// Incidents found for each that was and was found: more than 1 is one story in pieces.
    pub pieces: f64,
    /// How many each detector found.
    pub detectors: BTreeMap<String, u64>,
}

/// False alarms of the days.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Days {
    /// Days.
    pub days: usize,
    /// A day.
    pub mean: f64,
    /// 19 of 20 days have no more.
    pub p95: f64,
    /// The worst.
    pub worst: u64,
}

/// What a day's best are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Incidents a day.
    pub budget: usize,
    /// Share of them that are about something.
    pub precision: Share,
    /// Incidents that were, and are among them.
    pub recall: Share,
}

/// What a severity or a p is worth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// Share of found incidents that are about something, by severity.
    pub severities: BTreeMap<Severity, Share>,
    /// The same of findings with a p, by its order of magnitude: -3 is 0.001 to 0.01.
    pub decades: BTreeMap<i32, Share>,
}

/// All figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// Nanoseconds since 1970.
    pub span: (i64, i64),
    /// By kind.
    pub kinds: BTreeMap<String, KindScore>,
    /// Of all kinds that the detectors are made for.
    pub covered: KindScore,
    /// Of the rest.
    pub others: Share,
    /// Found incidents that are about nothing.
    pub false_alarms: Days,
    /// Critical ones of these, a week.
    pub false_criticals_a_week: f64,
    /// What they are put down to, `nothing` among it.
    pub false_by_change: BTreeMap<String, u64>,
    /// Detectors and kinds of their findings.
    pub false_by_detector: BTreeMap<String, u64>,
    /// Of [`Budget::budget`] 1, 2, 5, 10, 20.
    pub budgets: Vec<Budget>,
    /// What severities and p are worth.
    pub calibration: Calibration,
    /// Incidents that were missed: id, kind, intensity, foothold.
    pub missed: Vec<(String, String, f64, String)>,
    /// False alarms: day of the span, severity, id, title.
    pub alarms: Vec<(usize, Severity, String, String)>,
}

/// A found incident with those it is about.
struct Judged<'a> {
    found: &'a Found,
    about: Vec<usize>,
}

pub(super) fn tally(found: &FoundFile, truth: &TruthFile, options: &ScoreOptions) -> Score {
    let span = (
        options.from.unwrap_or(truth.span.0),
        options.until.unwrap_or(truth.span.1),
    );
    let within = |first: i64, last: i64| first < span.1 && last >= span.0;
    let was: Vec<&Was> = truth
        .incidents
        .iter()
        .filter(|was| within(was.start, was.end))
        .collect();
    // First time and detectors of each that was.
    let mut caught: Vec<(Option<i64>, BTreeSet<&str>, u64)> =
        vec![(None, BTreeSet::new(), 0); was.len()];
    let mut judged = Vec::new();
    for found in &found.incidents {
        if !within(found.first, found.last) {
            continue;
        }
        let mut about = Vec::new();
        for (at, was) in was.iter().enumerate() {
            let hits = hits(found, was, options);
            if hits.is_empty() {
                continue;
            }
            about.push(at);
            if found.severity < options.severity {
                continue;
            }
            let (first, detectors, pieces) = &mut caught[at];
            *pieces += 1;
            for hit in hits {
                *first = Some(first.map_or(hit.told, |first| first.min(hit.told)));
                detectors.insert(hit.detector);
            }
        }
        judged.push(Judged { found, about });
    }
    let mut score = Score {
        span,
        ..Score::default()
    };
    score.recall(&was, &caught, options);
    score.alarms(&judged, truth, options);
    score.budgets(&judged, was.len());
    score.calibrate(&judged, truth, options);
    score
}

impl Score {
    fn recall(
        &mut self,
        was: &[&Was],
        caught: &[(Option<i64>, BTreeSet<&str>, u64)],
        options: &ScoreOptions,
    ) {
        let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut pieces: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (was, (told, detectors, parts)) in was.iter().zip(caught) {
            let hit = told.is_some();
            let covered = options.detectors.is_empty()
                || was
                    .detectors
                    .iter()
                    .any(|own| options.detectors.contains(own));
            if !hit {
                let who = was.subject.shown();
                let missed = (was.id.clone(), was.kind.clone(), was.intensity, who);
                self.missed.push(missed);
            }
            let kind = self.kinds.entry(was.kind.clone()).or_default();
            let mut all = vec![(was.kind.as_str(), kind)];
            if covered {
                all.push(("", &mut self.covered));
            } else {
                self.others.add(hit);
            }
            for (key, kind) in all {
                kind.all.add(hit);
                if was.intensity >= 0.5 {
                    kind.upper.add(hit);
                } else {
                    kind.lower.add(hit);
                }
                for detector in detectors {
                    *kind.detectors.entry((*detector).to_owned()).or_default() += 1;
                }
                if let Some(told) = told {
                    let start = was.start.max(self.span.0);
                    let took = (told.saturating_sub(start) as f64 / SECOND).max(0.0);
                    times.entry(key).or_default().push(took);
                    let count = pieces.entry(key).or_default();
                    *count = (count.0 + parts, count.1 + 1);
                }
            }
        }
        let ratio = |key: &str| {
            let (parts, caught) = pieces.get(key).copied().unwrap_or_default();
            parts as f64 / caught.max(1) as f64
        };
        for (key, kind) in &mut self.kinds {
            kind.time = times.remove(key.as_str()).map(spread);
            kind.pieces = ratio(key);
        }
        self.covered.time = times.remove("").map(spread);
        self.covered.pieces = ratio("");
    }

    fn alarms(&mut self, judged: &[Judged<'_>], truth: &TruthFile, options: &ScoreOptions) {
        let first = self.span.0.div_euclid(DAY);
        let last = (self.span.1 - 1).max(self.span.0).div_euclid(DAY);
        let mut days = vec![0_u64; (last - first + 1).clamp(1, 100_000) as usize];
        let mut criticals = 0;
        for one in judged {
            let found = one.found;
            if !one.about.is_empty() || found.severity < options.severity {
                continue;
            }
            let day = found.first.max(self.span.0).div_euclid(DAY) - first;
            let day = (day as usize).min(days.len() - 1);
            days[day] += 1;
            criticals += u64::from(found.severity == Severity::Critical);
            let cause = change(found, truth).map_or("nothing", |change| &change.kind);
            *self.false_by_change.entry(cause.to_owned()).or_default() += 1;
            let kinds: BTreeSet<String> = found
                .findings
                .iter()
                .map(|finding| format!("{} {}", finding.detector, finding.kind))
                .collect();
            for kind in kinds {
                *self.false_by_detector.entry(kind).or_default() += 1;
            }
            let alarm = (day, found.severity, found.id.clone(), found.title.clone());
            self.alarms.push(alarm);
        }
        let length = (self.span.1 - self.span.0).max(1) as f64 / DAY as f64;
        let all: u64 = days.iter().sum();
        days.sort_unstable();
        self.false_alarms = Days {
            days: days.len(),
            mean: all as f64 / length,
            p95: days[rank(days.len(), 0.95)] as f64,
            worst: days[days.len() - 1],
        };
        self.false_criticals_a_week = criticals as f64 / length * 7.0;
    }

    fn budgets(&mut self, judged: &[Judged<'_>], was: usize) {
        let mut days: BTreeMap<i64, Vec<&Judged<'_>>> = BTreeMap::new();
        for one in judged {
            let day = one.found.first.max(self.span.0).div_euclid(DAY);
            days.entry(day).or_default().push(one);
        }
        for day in days.values_mut() {
            day.sort_by(|one, two| {
                let by_score = two.found.score.total_cmp(&one.found.score);
                by_score.then_with(|| one.found.id.cmp(&two.found.id))
            });
        }
        for budget in BUDGETS {
            let mut precision = Share::default();
            let mut caught: BTreeSet<usize> = BTreeSet::new();
            for one in days.values().flat_map(|day| day.iter().take(budget)) {
                precision.add(!one.about.is_empty());
                caught.extend(&one.about);
            }
            self.budgets.push(Budget {
                budget,
                precision,
                recall: Share {
                    hit: caught.len() as u64,
                    all: was as u64,
                },
            });
        }
    }

    fn calibrate(&mut self, judged: &[Judged<'_>], truth: &TruthFile, options: &ScoreOptions) {
        for one in judged {
            let about = !one.about.is_empty();
            let severity = self.calibration.severities.entry(one.found.severity);
            severity.or_default().add(about);
            for finding in &one.found.findings {
                let Some(p) = finding.p else {
                    continue;
                };
                let alone = Found {
                    findings: vec![finding.clone()],
                    ..one.found.clone()
                };
                let hit = truth
                    .incidents
                    .iter()
                    .any(|was| !hits(&alone, was, options).is_empty());
                let decade = p.max(1e-30).log10().floor() as i32;
                let decades = &mut self.calibration.decades;
                decades.entry(decade.clamp(-12, 0)).or_default().add(hit);
            }
        }
    }
}

/// Place of a quantile in a sorted list (nearest rank).
fn rank(count: usize, quantile: f64) -> usize {
    let rank = (quantile * count as f64).ceil() as usize;
    rank.clamp(1, count.max(1)) - 1
}

fn spread(mut times: Vec<f64>) -> Spread {
    times.sort_by(f64::total_cmp);
    Spread {
        median: times[rank(times.len(), 0.5)],
        p90: times[rank(times.len(), 0.9)],
    }
}
