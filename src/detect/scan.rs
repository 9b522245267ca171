//! D7: a workload tries many doors.
//!
//! Null hypothesis: first contacts of a healthy workload succeed with the share that is
//! measured in this cluster (95 % before anything is), those of a scanner with 20 %. One
//! outcome counts for each distinct destination and port that the baseline does not know,
//! by the sequential test of Jung, Paxson, Berger and Balakrishnan (2004) with a false-alarm
//! probability of 1e-5: four or five failures without a success. The log-likelihood ratio
//! halves every 6 h, so that a slow scan adds up.
//!
//! Outage guard: a failure counts less the larger the share of other clients that fail at the
//! same place; a dead server makes every client look like a scanner.
//!
//! A scan that finds all doors open does not fail: so the number of destinations that are new
//! to the workload within an hour is judged too, by the negative binomial around its own rate
//! of new ones, once its baseline is settled.
//!
//! Clients are workloads. Destinations outside count by their registered domain or prefix.
//! Datagrams without an answer prove nothing, nor does silence while events are lost. Cannot
//! see a scan of what the workload calls anyway, nor one slower than a probe in some hours.
//!
//! Bounded: [`MOST_CLIENTS`] clients with [`MOST_TARGETS`] targets each, and a minute's
//! outcomes by place.

mod contacts;
mod shape;

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::account::Account;
use super::{Blindness, Detector, Kind, Observation, Scene, Tested, figures, gate, words};
use crate::baseline::stat::{Decayed, NegativeBinomial, Sprt, Verdict};
use crate::baseline::{DAY, Group, HOUR, TICK, Tick};
use crate::connection::PeerId;
use contacts::{Contact, Others, Outcome, Target, first_contacts, others, target_of};
use shape::{Shape, how};

/// Clients that are remembered.
const MOST_CLIENTS: usize = 1 << 13;
/// Targets of a client that are remembered.
const MOST_TARGETS: usize = 256;
/// How long a target is remembered.
const MEMORY: i64 = DAY;
/// Half-life of the log-likelihood ratio.
const HALF_LIFE: i64 = 6 * HOUR;
/// Half-life of what is measured about the cluster.
const MEASURED: i64 = 7 * DAY;
/// Success share of a scanner.
const SCANNER: f64 = 0.2;
/// False-alarm and miss probability.
const ALPHA: f64 = 1e-5;
const BETA: f64 = 0.01;
/// Least probability of many new destinations that is said.
const P_SPREAD: f64 = 1e-5;
/// New destinations within an hour that are never a spread.
const LEAST_SPREAD: usize = 6;
/// How much numbers of new destinations scatter.
const SPREAD_DISPERSION: f64 = 0.3;
/// A larger ratio says no more.
const MOST_RATIO: f64 = 40.0;

/// Detects scans.
#[derive(Debug, Default)]
pub struct Scan {
    clients: HashMap<PeerId, Client, RandomState>,
    /// First contacts of all clients that are no scanners, and those of them that succeeded.
    contacts: Decayed,
    successes: Decayed,
    /// Hypotheses tested since that was last asked.
    tests: Tested,
}

/// What is known of a client.
#[derive(Debug, Default)]
struct Client {
    ratio: Decayed,
    targets: BTreeMap<Target, Contact>,
    last: i64,
    /// Its own first contacts while it was no scanner.
    contacts: Decayed,
    successes: Decayed,
}

impl Detector for Scan {
    fn kind(&self) -> Kind {
        Kind::Scan
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let others = others(tick, scene);
        for groups in tick.groups.chunk_by(|a, b| a.client == b.client) {
            let client = groups[0].client;
            if gate::is_workload(client, scene) {
                self.client(tick, client, groups, &others, scene, out);
            }
        }
        self.sweep(tick.end());
    }

    fn tested(&mut self) -> Tested {
        self.tests.take()
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        scene.sight.is_lossy().then(|| Blindness {
            kind: Kind::Scan,
            why: format!(
                "{} of the events of the last minute are missing: connections without an answer \
                 do not count",
                figures::percent(scene.sight.loss().share())
            ),
            share: scene.sight.loss().share(),
        })
    }

    fn held(&self) -> usize {
        let targets = self.clients.values().map(|client| client.targets.len());
        self.clients.len() + targets.sum::<usize>()
    }
}

impl Scan {
    fn client(
        &mut self,
        tick: &Tick,
        client: PeerId,
        groups: &[Group],
        others: &BTreeMap<Target, Others>,
        scene: &Scene<'_>,
        out: &mut Vec<Observation>,
    ) {
        let first = first_contacts(groups, scene);
        if first.is_empty() {
            return;
        }
        self.tests.count(1);
        let test = self.test(client, tick.end());
        let state = self.clients.entry(client).or_default();
        state.last = tick.end();
        state.forget(tick.end());
        let lossy = scene.sight.is_lossy();
        let mut step = 0.0;
        let (mut contacts, mut successes, mut failed) = (0.0, 0.0, false);
        for (target, outcome) in first {
            if state.targets.contains_key(&target) || (lossy && outcome == Outcome::Silent) {
                continue;
            }
            state.remember(target, outcome, tick.end());
            if outcome.is_failure() {
                let weight = 1.0 - others.get(&target).map_or(0.0, |all| all.without(1.0));
                step += test.failure(weight);
                contacts += weight;
                failed = true;
            } else if outcome == Outcome::Success {
                step += test.success();
                contacts += 1.0;
                successes += 1.0;
            }
        }
        let before = state.ratio.at(tick.end(), HALF_LIFE);
        let ratio = (before + step).clamp(test.floor(), MOST_RATIO);
        state.ratio.set(ratio, tick.end());
        let scans = failed && test.verdict(ratio) == Verdict::Scan;
        if scans {
            let share = self.share(tick.end());
            let state = &self.clients[&client];
            let said = Said::Failing { share };
            out.extend(state.observation(client, Sprt::p(ratio), said, groups, tick, scene));
            return;
        }
        // Half a suspicion already keeps outcomes out of what is healthy.
        if ratio < 2.0 * test.failure(1.0) {
            state.contacts.add(contacts, tick.end(), MEASURED);
            state.successes.add(successes, tick.end(), MEASURED);
            self.contacts.add(contacts, tick.end(), MEASURED);
            self.successes.add(successes, tick.end(), MEASURED);
        }
        let state = &self.clients[&client];
        if let Some((p, usual)) = state.spread(client, tick, scene) {
            let said = Said::Spreading { usual };
            out.extend(state.observation(client, p, said, groups, tick, scene));
        }
    }

    /// Share of healthy first contacts that succeed.
    fn share(&self, now: i64) -> f64 {
        let all = self.contacts.at(now, MEASURED);
        let good = self.successes.at(now, MEASURED);
        ((good + 95.0) / (all + 100.0)).clamp(0.8, 0.98)
    }

    /// The test for a client: some are unlucky all the time, such as who scrapes whatever is
    /// there.
    fn test(&self, client: PeerId, now: i64) -> Sprt {
        let share = self.share(now);
        let own = self.clients.get(&client);
        let healthy = own.map_or(share, |own| {
            let all = own.contacts.at(now, MEASURED);
            let good = own.successes.at(now, MEASURED);
            (good + 20.0 * share) / (all + 20.0)
        });
        Sprt::new(healthy.clamp(0.6, 0.98), SCANNER, ALPHA, BETA)
    }

    /// Forgets clients that did nothing new for a day, and the longest silent ones beyond the
    /// bound.
    fn sweep(&mut self, now: i64) {
        if self.clients.len() <= MOST_CLIENTS {
            return;
        }
        self.clients
            .retain(|_, client| client.last.saturating_add(MEMORY) > now);
        if self.clients.len() > MOST_CLIENTS {
            let mut last: Vec<(i64, PeerId)> = self
                .clients
                .iter()
                .map(|(id, client)| (client.last, *id))
                .collect();
            last.sort_unstable();
            for (_, id) in &last[..last.len() - MOST_CLIENTS / 2] {
                self.clients.remove(id);
            }
        }
    }
}

/// What is said.
#[derive(Clone, Copy, Debug)]
enum Said {
    Failing { share: f64 },
    Spreading { usual: f64 },
}

impl Client {
    fn forget(&mut self, now: i64) {
        self.targets
            .retain(|_, contact| contact.first.saturating_add(MEMORY) > now);
    }

    fn remember(&mut self, target: Target, outcome: Outcome, now: i64) {
        if self.targets.len() >= MOST_TARGETS {
            let oldest = self.targets.values().map(|contact| contact.first).min();
            let oldest = oldest.unwrap_or(now);
            // All of one minute go together: which of them came first must not matter.
            if oldest < now {
                self.targets.retain(|_, contact| contact.first > oldest);
            } else {
                return;
            }
        }
        let contact = Contact {
            first: now,
            outcome,
        };
        self.targets.insert(target, contact);
    }

    /// Contacts since a time.
    fn since(&self, from: i64) -> impl Iterator<Item = (&Target, &Contact)> {
        self.targets
            .iter()
            .filter(move |(_, contact)| contact.first > from)
    }

    /// How unusual the number of new destinations of the last hour is, and how many an hour
    /// are usual.
    fn spread(&self, client: PeerId, tick: &Tick, scene: &Scene<'_>) -> Option<(f64, f64)> {
        let new_now = self.since(tick.end() - TICK).count();
        let new = self.since(tick.end() - HOUR).count();
        if new_now == 0 || new < LEAST_SPREAD || !gate::is_settled(client, scene) {
            return None;
        }
        let readiness = scene.model.readiness(client);
        let hours = (readiness.observed as f64 / HOUR as f64).max(1.0);
        let mean = (readiness.edges as f64 + 1.0) / hours;
        let counts = NegativeBinomial {
            mean,
            dispersion: SPREAD_DISPERSION,
        };
        // A release may add some at once: that is one decision, not many.
        let explained = scene
            .sight
            .changed_since(client, scene.now, HOUR)
            .map_or(0.0, |_| LEAST_SPREAD as f64 / 2.0);
        let p = counts.upper((new as f64 - explained).max(0.0));
        (p < P_SPREAD).then_some((p, mean))
    }

    fn observation(
        &self,
        client: PeerId,
        p: f64,
        said: Said,
        groups: &[Group],
        tick: &Tick,
        scene: &Scene<'_>,
    ) -> Option<Observation> {
        let window = match said {
            // As far back as the ratio reaches.
            Said::Failing { .. } => 2 * HALF_LIFE,
            Said::Spreading { .. } => HOUR,
        };
        let recent: Vec<(&Target, &Contact)> = self.since(tick.end() - window).collect();
        let mut account = Account::default();
        let tried = |group: &&Group| {
            let contact = self.targets.get(&target_of(group, scene));
            contact.is_some_and(|contact| contact.first == tick.end())
        };
        groups
            .iter()
            .filter(tried)
            .for_each(|group| account.add(group));
        if account.count == 0 {
            return None;
        }
        let begun = recent.iter().map(|(_, contact)| contact.first).min()?;
        let tried = recent.len() as u64;
        let of = |wanted: Outcome| {
            let same = recent
                .iter()
                .filter(|(_, contact)| contact.outcome == wanted);
            same.count() as u64
        };
        let failed = tried - of(Outcome::Success) - of(Outcome::Open);
        let mut one = account.observation(Kind::Scan, client);
        one.from = account.from.min(begun - TICK);
        one.p = p;
        one.n = tried;
        let shape = Shape::of(&recent);
        one.peer = shape.peer;
        one.port = shape.port;
        let who = words::who(scene.peers, client);
        let during = words::span(one.to.saturating_sub(one.from));
        let some = if self.targets.len() >= MOST_TARGETS {
            "at least "
        } else {
            ""
        };
        one.evidence.push(format!(
            "{who} called {some}{} for the first time within {during}{}: {}.",
            words::count(tried, "place", "places"),
            shape.words(scene),
            how(failed, &of),
        ));
        match said {
            Said::Failing { share } => {
                one.observed = failed as f64;
                one.expected = tried as f64 * (1.0 - share);
                "failing".clone_into(&mut one.key);
                one.evidence.push(format!(
                    "First contacts in this cluster succeed in {} of cases; what fails for other \
                     clients too counts less.",
                    figures::percent(share)
                ));
            }
            Said::Spreading { usual } => {
                one.observed = tried as f64;
                one.expected = usual;
                "spreading".clone_into(&mut one.key);
                one.evidence.push(format!(
                    "It calls {} new places an hour otherwise.",
                    figures::about(usual)
                ));
            }
        }
        one.evidence.push(account.verdict());
        one.normal = format!(
            "if {who} is meant to look for what is there (a scanner, discovery), accept the \
             finding with that reason; else deny by policy what it has no need of"
        );
        Some(one)
    }
}

#[cfg(test)]
mod tests;
