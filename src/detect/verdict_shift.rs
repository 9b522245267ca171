//! D5: an edge that passed is denied now, or the other way round.
//!
//! Null hypothesis: of n connections on an edge, as many are denied as ever, beta-binomial
//! with what the baseline counted (half forgotten every 14 days) and what this detector
//! counted of denials where there is no baseline. At least 20 connections must be known, and
//! 5 be judged.
//!
//! The cause is told from what changed: a policy that flows name and that changed within
//! 15 min, or several edges of one workload at once, is a change of policies; drops that are
//! not by policy are infrastructure; else it is unexplained, and an attempt where the edge
//! was never meant to be. `p` of a change of policies is no less than 1e-6, of infrastructure
//! 1e-5, by decree: they are faults and no attacks.
//!
//! Servers that refuse or are silent are no verdicts: not its. Cannot see edges that are seldom
//! used, nor a policy that denies what nobody asks for.
//!
//! Bounded: [`MOST_WINDOWS`] edges that shift, [`MOST_DENIED`] that are denied.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::account::Account;
use super::gate::{self, Place};
use super::novel::Told;
use super::{Blindness, Detector, Kind, Observation, Scene, Tested, words};
use crate::baseline::stat::{BetaBinomial, Decayed};
use crate::baseline::{DAY, Fate, Group, TICK, Tick};
use crate::flow::DropClass;

/// Edges that are watched for a shift.
const MOST_WINDOWS: usize = 1 << 13;
/// Edges of which denials are remembered.
const MOST_DENIED: usize = 1 << 15;
/// Connections that must be known.
const LEAST_KNOWN: f64 = 20.0;
/// Connections that must be judged.
const LEAST_JUDGED: u64 = 5;
/// What is known counts as so many connections at most: a verdict is one decision for many.
const MOST_KNOWN: f64 = 1_000.0;
/// What is more probable is not said.
const P: f64 = 1e-4;
/// A window without a denial ends after so long.
const QUIET: i64 = 10 * TICK;
/// A policy that changed within this is a cause.
const CHANGED: i64 = 15 * TICK;
/// Edges of one workload that shift at once, from which it is a change of policies.
const AT_ONCE: usize = 3;
/// Denials are half forgotten after.
const HALF_LIFE: i64 = 14 * DAY;

/// Detects shifts of verdicts.
#[derive(Debug, Default)]
pub struct VerdictShift {
    windows: BTreeMap<Place, Window>,
    denied: HashMap<Place, Denied, RandomState>,
    told: Told,
    /// Hypotheses tested since that was last asked.
    tests: Tested,
}

/// What happened on an edge since it began to shift.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: i64,
    last: i64,
    /// What was known when it began: how many came out the way that is unusual now, and the
    /// other way.
    before: (f64, f64),
    unusual: u64,
    all: u64,
}

/// Denials of an edge.
#[derive(Clone, Copy, Debug, Default)]
struct Denied {
    count: Decayed,
    last: i64,
}

/// What happened on an edge in a tick.
#[derive(Default)]
struct Sum {
    passed: u64,
    denied: u64,
    dropped: u64,
    /// Of the connections that did not pass.
    failing: Account,
    /// Of those that did.
    passing: Account,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Policy,
    Infrastructure,
    Unexplained,
}

impl Detector for VerdictShift {
    fn kind(&self) -> Kind {
        Kind::VerdictShift
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let sums = sums(tick, scene);
        self.tests.count(sums.len() as u64);
        self.tests.check(sums.len() as u64);
        let failing: Vec<&Place> = sums
            .iter()
            .filter(|(place, sum)| sum.denied + sum.dropped > 0 && !gate::is_new(**place, scene))
            .map(|(place, _)| place)
            .collect();
        for (place, sum) in &sums {
            let at_once = failing
                .iter()
                .filter(|other| other.0 == place.0 || other.1 == place.1)
                .count();
            out.extend(self.denies(place, sum, at_once, tick, scene));
            out.extend(self.opens(place, sum, tick, scene));
        }
        self.sweep(tick.start);
    }

    fn tested(&mut self) -> Tested {
        self.tests.take()
    }

    fn blind(&self, _scene: &Scene<'_>) -> Option<Blindness> {
        None
    }

    fn held(&self) -> usize {
        self.windows.len() + self.denied.len() + self.told.held()
    }
}

impl VerdictShift {
    /// A known edge that is denied.
    fn denies(
        &mut self,
        place: &Place,
        sum: &Sum,
        at_once: usize,
        tick: &Tick,
        scene: &Scene<'_>,
    ) -> Option<Observation> {
        let (client, key, port, protocol) = *place;
        let failing = sum.denied + sum.dropped;
        let edge = scene.model.edge(client, key, port, protocol)?;
        if edge.passed + edge.denied < LEAST_KNOWN {
            return None;
        }
        let before = (edge.denied, edge.passed);
        let window = self.window(place, failing, sum.passed + failing, before, tick)?;
        if failing == 0 {
            return None;
        }
        let p = window.p()?;
        self.tests.note(p);
        if p >= P {
            return None;
        }
        let cause = cause(sum, at_once, scene);
        if !self
            .told
            .tells((client, key, Some((port, protocol))), tick.start)
        {
            return None;
        }
        let mut one = sum.failing.observation(Kind::VerdictShift, client);
        (one.peer, one.port) = (Some(key), Some((port, protocol)));
        one.from = one.from.min(window.since);
        one.observed = window.unusual as f64;
        one.n = window.all;
        one.expected = window.model().mean(window.all);
        one.p = match cause {
            Cause::Policy => p.max(1e-6),
            Cause::Infrastructure => p.max(1e-5),
            Cause::Unexplained => p.max(1e-12),
        };
        let who = words::who(scene.peers, client);
        let what = words::place(scene.peers, key, Some((port, protocol)));
        let how = if cause == Cause::Infrastructure {
            "dropped, though not by policy,"
        } else {
            "denied"
        };
        one.evidence.push(format!(
            "{who} to {what} passed {} of {} times before; {} of {} are {how} since {}.",
            words::number(before.1.round() as u64),
            words::number((before.0 + before.1).round() as u64),
            words::number(window.unusual),
            words::number(window.all),
            words::at(window.since),
        ));
        let (key, sentence) = match cause {
            Cause::Policy if at_once >= AT_ONCE => (
                "policy",
                format!(
                    "{} that were known are denied at once: a change of policies broke them.",
                    words::count(at_once as u64, "edge", "edges")
                ),
            ),
            Cause::Policy => (
                "policy",
                "A policy that is named changed shortly before: it broke this.".to_owned(),
            ),
            Cause::Infrastructure => (
                "infrastructure",
                "The datapath dropped them for other reasons than policy.".to_owned(),
            ),
            Cause::Unexplained => (
                "unexplained",
                "No change of a policy was seen before.".to_owned(),
            ),
        };
        key.clone_into(&mut one.key);
        one.evidence.push(sentence);
        one.evidence.push(sum.failing.verdict());
        one.normal = format!(
            "if {what} is meant to be reachable for {who}, allow it by policy again; else forbid \
             the edge in the baseline"
        );
        Some(one)
    }

    /// An edge that was always denied, and passes.
    fn opens(
        &mut self,
        place: &Place,
        sum: &Sum,
        tick: &Tick,
        scene: &Scene<'_>,
    ) -> Option<Observation> {
        let (client, key, port, protocol) = *place;
        let before = self.denied.get(place).copied().unwrap_or_default();
        if sum.denied > 0 && (self.denied.len() < MOST_DENIED || self.denied.contains_key(place)) {
            let denied = self.denied.entry(*place).or_default();
            denied.count.add(sum.denied as f64, tick.start, HALF_LIFE);
            denied.last = tick.start;
        }
        let count = before.count.at(tick.start, HALF_LIFE);
        if sum.passed == 0
            || count < LEAST_KNOWN
            || scene
                .model
                .edge(client, key, port, protocol)
                .is_some_and(|edge| edge.passed > count)
        {
            return None;
        }
        let window = self.window(
            place,
            sum.passed,
            sum.passed + sum.denied,
            (0.0, count),
            tick,
        )?;
        let p = window.p()?;
        self.tests.note(p);
        if p >= P {
            return None;
        }
        if !self
            .told
            .tells((client, key, Some((port, protocol))), tick.start)
        {
            return None;
        }
        let mut one = sum.passing.observation(Kind::VerdictShift, client);
        (one.peer, one.port) = (Some(key), Some((port, protocol)));
        one.from = one.from.min(window.since);
        one.observed = window.unusual as f64;
        one.n = window.all;
        one.expected = window.model().mean(window.all);
        one.p = p.max(1e-12);
        "opened".clone_into(&mut one.key);
        let who = words::who(scene.peers, client);
        let what = words::place(scene.peers, key, Some((port, protocol)));
        one.evidence.push(format!(
            "{who} to {what} was denied {} times and never passed; {} of {} pass since {}.",
            words::number(count.round() as u64),
            words::number(window.unusual),
            words::number(window.all),
            words::at(window.since),
        ));
        one.evidence.push(sum.passing.verdict());
        one.normal = format!("if the policy was loosened on purpose, approve {who} to {what}");
        Some(one)
    }

    /// Adds to the window of an edge, and opens it with the first connection that is
    /// unusual.
    fn window(
        &mut self,
        place: &Place,
        unusual: u64,
        all: u64,
        before: (f64, f64),
        tick: &Tick,
    ) -> Option<Window> {
        if !self.windows.contains_key(place) && (unusual == 0 || self.windows.len() >= MOST_WINDOWS)
        {
            return None;
        }
        let window = self.windows.entry(*place).or_insert(Window {
            since: tick.start,
            last: tick.start,
            before,
            unusual: 0,
            all: 0,
        });
        window.unusual += unusual;
        window.all += all;
        if unusual > 0 {
            window.last = tick.start;
        }
        Some(*window)
    }

    fn sweep(&mut self, now: i64) {
        self.windows
            .retain(|_, window| window.last.saturating_add(QUIET) > now);
        if self.denied.len() >= MOST_DENIED {
            self.denied
                .retain(|_, denied| denied.last.saturating_add(DAY) > now);
        }
    }
}

impl Window {
    fn model(&self) -> BetaBinomial {
        let (unusual, usual) = self.before;
        let scale = (MOST_KNOWN / (unusual + usual)).min(1.0);
        BetaBinomial {
            a: 0.5 + unusual * scale,
            b: 0.5 + usual * scale,
        }
    }

    /// The p-value, where there is enough to judge.
    fn p(&self) -> Option<f64> {
        if self.all < LEAST_JUDGED {
            return None;
        }
        Some(self.model().upper(self.unusual, self.all))
    }
}

fn cause(sum: &Sum, at_once: usize, scene: &Scene<'_>) -> Cause {
    if sum.dropped > sum.denied {
        return Cause::Infrastructure;
    }
    let changed = sum.failing.policies().iter().any(|name| {
        let changed = scene.sight.policy_changed(name, scene.now);
        changed.is_some_and(|ago| ago <= CHANGED)
    });
    if changed || at_once >= AT_ONCE {
        Cause::Policy
    } else {
        Cause::Unexplained
    }
}

fn sums(tick: &Tick, scene: &Scene<'_>) -> BTreeMap<Place, Sum> {
    let mut sums: BTreeMap<Place, Sum> = BTreeMap::new();
    let groups = tick.groups.iter();
    for group in groups.filter(|group| gate::is_workload(group.client, scene)) {
        let sum = sums.entry(gate::place(group)).or_default();
        sum.add(group);
    }
    sums
}

impl Sum {
    fn add(&mut self, group: &Group) {
        match group.fate {
            Fate::Denied | Fate::Dropped(DropClass::Policy) => {
                self.denied += group.count;
                self.failing.add(group);
            }
            Fate::Dropped(DropClass::NotADrop) | Fate::Missed => {}
            Fate::Dropped(_) => {
                self.dropped += group.count;
                self.failing.add(group);
            }
            _ => {
                self.passed += group.count;
                self.passing.add(group);
            }
        }
    }
}

#[cfg(test)]
mod tests;
