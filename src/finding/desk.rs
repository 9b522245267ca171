//! Where observations become findings and incidents.
//!
//! Owns the order of the steps, tick by tick: calibrate, score, recognise what is known,
//! suppress, put together, ask the budget. The same observations give the same lines,
//! whatever order they come in within a tick, however ticks come in batches, live or
//! replayed; only the time of flows counts.
//!
//! Bounded: 8,192 findings are remembered (what is let go of is given out as it was), and
//! what `correlate` says of incidents.

use std::collections::BTreeMap;

use super::budget::Budget;
use super::calibrate::{Calibrated, Calibration, LEAST, proper};
use super::correlate::Correlation;
use super::kind::KindInfo;
use super::observe::observe;
use super::open::{Member, Open};
use super::record::{Alert, Evidence, Finding, Incident, Line, Reading, VERSION, target};
use super::release;
use super::seen::Seen;
use super::severity::{LEARNING, Severity, Term, anchor, significant, sum, unanchored, unmoved};
use super::suppress::Suppressions;
use super::terms::{RULE, reading, terms};
use crate::baseline::Anchors;

const HOUR: i64 = 3_600_000_000_000;
/// What was silent for longer is told anew.
pub(super) const COOL_DOWN: i64 = 6 * HOUR;
/// What goes on is given out again when p falls by this factor.
const AGAIN: f64 = 10.0;
/// Findings that are remembered.
const MOST_KNOWN: usize = 8_192;
/// A score that opens an incident, where no shadow days say what is usual.
const OPENS: f64 = 4.0;
/// The same, before they move it, where they do.
pub(super) const OPENS_KNOWN: f64 = 3.0;
/// A score that joins one, likewise.
const JOINS: f64 = 2.0;
/// Below medium: what a workload that is being learned can come to.
const LEARNING_MOST: f64 = 5.99;
/// Flows that a finding shows.
const MOST_FLOWS: usize = 3;

/// How the desk works.
#[derive(Clone, Debug)]
pub struct DeskOptions {
    /// Incidents a day that people are told of.
    pub per_day: f64,
    /// What is known and meant.
    pub suppressions: Suppressions,
    /// What the baseline's shadow days tell.
    pub calibration: Calibration,
}

/// What the desk did not give out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeskCounts {
    /// Observations taken.
    pub seen: u64,
    /// Observations that only went on with a finding.
    pub repeated: u64,
    /// Observations whose score is too low for anything.
    pub weak: u64,
    /// Incidents let go of for want of room.
    pub evicted: u64,
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    suppressions: Suppressions,
    calibration: Calibration,
    budget: Budget,
    correlation: Correlation,
    known: BTreeMap<String, Known>,
    hour: i64,
    counts: DeskCounts,
}

/// A finding that may go on.
#[derive(Debug)]
struct Known {
    finding: Finding,
    kind: &'static KindInfo,
    /// p as it was last given out.
    told: f64,
    /// Something changed since it was given out.
    dirty: bool,
    release: Option<release::Group>,
}

impl Default for DeskOptions {
    fn default() -> Self {
        Self {
            per_day: 5.0,
            suppressions: Suppressions::default(),
            calibration: Calibration::default(),
        }
    }
}

impl Desk {
    /// A desk that has seen nothing.
    #[must_use]
    pub fn new(options: DeskOptions) -> Self {
        Self {
            suppressions: options.suppressions,
            budget: Budget::new(options.per_day),
            correlation: Correlation::new(options.calibration.anchors()),
            calibration: options.calibration,
            known: BTreeMap::new(),
            hour: i64::MIN,
            counts: DeskCounts::default(),
        }
    }

    /// Takes the observations of a tick that ends at `now`, and gives out what is new.
    pub fn tick(&mut self, now: i64, mut seen: Vec<Seen>, out: &mut Vec<Line>) {
        seen.sort_by(Seen::order);
        self.budget.advance(now);
        self.expire(now, out);
        for one in seen {
            self.counts.seen += 1;
            self.take(one, now, out);
        }
        for gone in self.correlation.evict() {
            self.counts.evicted += 1;
            give_out(&gone, out);
        }
        self.bound(out);
        self.decide(now, out);
    }

    /// Gives out everything as it ended.
    pub fn finish(&mut self, out: &mut Vec<Line>) {
        for known in std::mem::take(&mut self.known).into_values() {
            if known.dirty {
                out.push(Line::Finding(Box::new(known.finding)));
            }
        }
        for gone in self.correlation.expire(i64::MAX) {
            give_out(&gone, out);
        }
    }

    /// What was not given out.
    #[must_use]
    pub fn counts(&self) -> DeskCounts {
        self.counts
    }

    /// Entries held, for tests of the bound.
    #[must_use]
    pub fn held(&self) -> usize {
        self.known.len() + self.correlation.held()
    }

    fn take(&mut self, mut seen: Seen, now: i64, out: &mut Vec<Line>) {
        let kind = seen.kind;
        seen.p = proper(seen.p);
        let mut calibrated = self.calibration.calibrated(&seen);
        if kind.name == RULE {
            // It is as severe as it says, whatever shadow days were like.
            let score = unanchored(-seen.p.log10(), self.calibration.anchors());
            calibrated = Calibrated {
                p: 10_f64.powf(-score).max(LEAST),
                expected: None,
            };
        }
        seen.around.daily = calibrated.expected;
        // Whoever is not known for long is known well enough to be told of where it is known
        // how often such things come.
        seen.around.learning |= seen.around.shadow && !self.calibration.is_known();
        let mut group = release::of(&seen);
        let raw = seen.p;
        seen.p = calibrated.p;
        let id = match &group {
            Some(group) => group.id(&seen.subject),
            None => seen.id(),
        };
        let cool = self
            .known
            .get(&id)
            .is_some_and(|known| seen.from.saturating_sub(known.finding.last) <= COOL_DOWN);
        if cool {
            self.counts.repeated += 1;
            self.go_on(&id, &seen, raw, out);
            return;
        }
        let mut finding = match &mut group {
            Some(group) => group.finding(&seen, raw, self.calibration.anchors()),
            None => written(&seen, raw, id.clone(), self.calibration.anchors()),
        };
        finding.suppressed = self.suppressions.covers(&finding);
        let score = unmoved(&finding.terms);
        if score < JOINS {
            self.counts.weak += 1;
            return;
        }
        let known_kind = group.as_ref().map_or(kind, |_| release::kind());
        let member = member(&finding, known_kind);
        // A release is nothing to look at, and is there for who looks; a rule is as it says.
        let opens_at = if self.calibration.is_known() {
            OPENS_KNOWN
        } else {
            OPENS
        };
        let opens = score >= opens_at || group.is_some() || kind.name == RULE;
        let Some(joined) = self.correlation.add(member, opens) else {
            self.counts.weak += 1;
            return;
        };
        for merged in &joined.merged {
            out.push(Line::Incident(Box::new(merged_into(
                merged, &joined.id, &finding,
            ))));
            for known in self
                .known
                .values_mut()
                .filter(|known| known.finding.incident == *merged)
            {
                known.finding.incident.clone_from(&joined.id);
            }
        }
        finding.incident = joined.id;
        finding.raised = now;
        out.push(Line::Finding(Box::new(finding.clone())));
        let told = finding.p;
        self.known.insert(
            id,
            Known {
                finding,
                kind: known_kind,
                told,
                dirty: false,
                release: group,
            },
        );
    }

    /// A finding that is known goes on: it is given out again when it got much less likely,
    /// or when it is a release that has another edge.
    fn go_on(&mut self, id: &str, seen: &Seen, raw: f64, out: &mut Vec<Line>) {
        let Some(known) = self.known.get_mut(id) else {
            return;
        };
        let finding = &mut known.finding;
        let anchors = self.calibration.anchors();
        let grew = if let Some(group) = &mut known.release {
            group.add(seen, raw, finding, anchors)
        } else {
            repeat(finding, seen, raw, anchors);
            false
        };
        finding.suppressed = self.suppressions.covers(finding);
        known.dirty = true;
        if grew || finding.p * AGAIN <= known.told {
            known.told = finding.p;
            known.dirty = false;
            out.push(Line::Finding(Box::new(finding.clone())));
        }
        let member = member(finding, known.kind);
        let (incident, last, changed) = (finding.incident.clone(), finding.last, !known.dirty);
        self.correlation.touch(&incident, last, |open| {
            let dirty = open.dirty;
            open.add(member);
            // That it goes on is no reason to give it out.
            open.dirty = dirty || changed;
        });
    }

    /// Who is told: the worst are asked for first.
    fn decide(&mut self, now: i64, out: &mut Vec<Line>) {
        let hour = now.div_euclid(HOUR);
        let again = hour != self.hour;
        self.hour = hour;
        let mut asking: Vec<(f64, String)> = Vec::new();
        for open in self.correlation.iter_mut() {
            // With the hour there may be tokens again.
            let waiting =
                again && open.alert == Alert::Ranked && now.saturating_sub(open.last) <= HOUR;
            if !(open.dirty || waiting) {
                continue;
            }
            let scored = open.scored();
            if open.is_suppressed() {
                open.alert = Alert::Suppressed;
            } else if Severity::of(scored.score) < Severity::Medium {
                if !open.is_told() {
                    open.alert = Alert::Quiet;
                }
            } else if open.is_told() {
                open.alert = Alert::Raised;
                if open.is_news(scored.p) {
                    open.tell(scored.p);
                }
            } else {
                asking.push((scored.score, open.id.clone()));
            }
        }
        asking.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
        for (score, id) in asking {
            let Some(open) = self.correlation.get_mut(&id) else {
                continue;
            };
            let scored = open.scored();
            if self.budget.take(Severity::of(score)) {
                open.tell(scored.p);
                open.dirty = true;
            } else {
                // One that is ranked already stays so without another line.
                open.dirty |= open.alert != Alert::Ranked;
                open.alert = Alert::Ranked;
            }
        }
        for open in self.correlation.iter_mut().filter(|open| open.dirty) {
            open.dirty = false;
            give_out(open, out);
        }
    }

    fn expire(&mut self, now: i64, out: &mut Vec<Line>) {
        let over = |known: &Known| known.finding.last.saturating_add(COOL_DOWN) < now;
        for (_, known) in self.known.extract_if(.., |_, known| over(known)) {
            if known.dirty {
                out.push(Line::Finding(Box::new(known.finding)));
            }
        }
        for gone in self.correlation.expire(now) {
            give_out(&gone, out);
        }
    }

    /// Lets go of the quarter that has been quiet for longest, where there are too many.
    fn bound(&mut self, out: &mut Vec<Line>) {
        if self.known.len() <= MOST_KNOWN {
            return;
        }
        let mut quiet: Vec<(i64, String)> = self
            .known
            .iter()
            .map(|(id, known)| (known.finding.last, id.clone()))
            .collect();
        quiet.sort();
        quiet.truncate(MOST_KNOWN / 4);
        for (_, id) in quiet {
            if let Some(known) = self.known.remove(&id).filter(|known| known.dirty) {
                out.push(Line::Finding(Box::new(known.finding)));
            }
        }
    }
}

/// A finding as it is written down, without its incident.
pub(super) fn written(seen: &Seen, raw: f64, id: String, anchors: Anchors) -> Finding {
    let protocol = seen.port.map(|(_, protocol)| protocol.name().to_owned());
    let port = seen.port.map(|(port, _)| port);
    let target = target(seen.peer.as_ref(), port, protocol.as_deref());
    let mut title = seen.kind.title(&seen.subject, target.as_deref());
    // What tries many targets, or is denied what was normal, says so already.
    if reading(seen) == Reading::Attempted && !seen.is_broad() {
        title.push_str(" (denied)");
    }
    if seen.kind.name == RULE {
        title.push_str(": ");
        title.push_str(&seen.key);
    }
    let (terms, score) = scored(seen, raw, anchors);
    let mut text = seen.evidence.clone();
    text.extend(seen.around.daily.map(often));
    let finite = |value: f64| value.is_finite().then(|| significant(value));
    Finding {
        version: VERSION,
        id,
        detector: seen.kind.detector.to_owned(),
        kind: seen.kind.name.to_owned(),
        title,
        severity: Severity::of(score),
        score,
        terms,
        first: seen.from,
        last: seen.to,
        raised: seen.to,
        subject: seen.subject.clone(),
        peer: seen.peer.clone(),
        port,
        protocol,
        p: significant(seen.p),
        p_raw: significant(raw),
        fixed: seen.fixed,
        passed: seen.passed,
        reading: reading(seen),
        policies: seen.policies.clone(),
        rules: seen.around.rules.clone(),
        evidence: Evidence {
            text,
            observed: finite(seen.observed),
            expected: finite(seen.expected),
            count: seen.count,
        },
        flows: seen.flows.iter().take(MOST_FLOWS).cloned().collect(),
        completeness: seen.around.completeness,
        attack: seen
            .kind
            .attack
            .iter()
            .map(|&technique| technique.to_owned())
            .collect(),
        normal: seen.normal.clone(),
        observe: observe(seen),
        incident: String::new(),
        suppressed: None,
    }
}

/// `Such a finding comes once in 12 days here when all is normal.`
fn often(daily: f64) -> String {
    let often = if daily >= 0.95 {
        let times = format!("{daily:.1}");
        let times = times.strip_suffix(".0").unwrap_or(&times).to_owned();
        match &*times {
            "1" => "once a day".to_owned(),
            _ => format!("{times} times a day"),
        }
    } else {
        let days = (1.0 / daily).round().clamp(1.0, 1e9) as u64;
        format!("once in {}", crate::flow::counted(days, "day", "days"))
    };
    format!("Such a finding comes {often} here when all is normal.")
}

/// Terms and score; of a workload that is being learned no more than low.
fn scored(seen: &Seen, raw: f64, anchors: Anchors) -> (Vec<Term>, f64) {
    let mut terms = terms(seen, seen.p, seen.around.daily.map(|_| raw));
    terms.extend(anchor(sum(&terms), anchors));
    let score = sum(&terms);
    if seen.around.learning && !seen.fixed && score > LEARNING_MOST {
        terms.push(Term::new(LEARNING, LEARNING_MOST - score));
    }
    let score = sum(&terms);
    (terms, score)
}

/// The same thing once more: the begin stays, counts add up, and what is least likely of it
/// is what is told.
fn repeat(finding: &mut Finding, seen: &Seen, raw: f64, anchors: Anchors) {
    let mut next = written(seen, raw, finding.id.clone(), anchors);
    let count = finding.evidence.count.saturating_add(next.evidence.count);
    let last = finding.last.max(next.last);
    let stronger = next.score.total_cmp(&finding.score);
    if stronger.then(finding.p.total_cmp(&next.p)).is_gt() {
        next.first = finding.first;
        next.raised = finding.raised;
        next.incident.clone_from(&finding.incident);
        std::mem::swap(finding, &mut next);
    }
    finding.evidence.count = count;
    finding.last = last;
    finding.first = finding.first.min(next.first);
}

fn member(finding: &Finding, kind: &'static KindInfo) -> Member {
    Member {
        id: finding.id.clone(),
        kind,
        tactic: kind.tactic,
        subject: finding.subject.clone(),
        peer: finding.peer.clone(),
        first: finding.first,
        last: finding.last,
        p: finding.p,
        score: finding.score,
        terms: finding.terms.clone(),
        title: finding.title.clone(),
        suppressed: finding.suppressed.is_some(),
    }
}

fn give_out(open: &Open, out: &mut Vec<Line>) {
    out.push(Line::Incident(Box::new(open.incident())));
}

/// What is written of an incident that turned out to be part of another.
fn merged_into(id: &str, other: &str, by: &Finding) -> Incident {
    Incident {
        version: VERSION,
        id: id.to_owned(),
        severity: Severity::Low,
        score: 0.0,
        terms: Vec::new(),
        p: 1.0,
        first: by.first,
        last: by.last,
        title: String::new(),
        subjects: Vec::new(),
        stages: Vec::new(),
        findings: Vec::new(),
        attack: Vec::new(),
        alert: Alert::Quiet,
        revision: 0,
        more: 0,
        merged: Some(other.to_owned()),
    }
}
