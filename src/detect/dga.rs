//! D11: a workload asks for many domains that do not exist: names made by an algorithm.
//!
//! Null hypothesis: the first question for a registered domain finds it with the share that is
//! measured in this cluster (97 % before anything is); for made-up names with 10 %. One
//! outcome counts for each distinct domain, by a sequential test with a false-alarm
//! probability of 1e-5 (the test of Jung 2004, on DNS as Krishnan 2013). A domain whose
//! letters look made by a person counts a third of one that does not. The log-likelihood
//! ratio halves every 6 h.
//!
//! Only names as they were asked for count: with a search suffix, half of all questions fail
//! and that says nothing. A domain that the workload or others know and that fails is an
//! outage; where many workloads begin to fail at once, so is everything. Blind without
//! visibility of DNS, and for generators whose names exist.
//!
//! Bounded: [`MOST_CLIENTS`] clients with [`MOST_DOMAINS`] domains each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{
    Blindness, Detector, Kind, Observation, Passed, Scene, Tested, figures, gate, places, words,
};
use crate::baseline::stat::{Decayed, Sprt, Verdict, likeness};
use crate::baseline::{DAY, HOUR, Tick};
use crate::connection::PeerId;

/// Clients that are remembered.
const MOST_CLIENTS: usize = 1 << 13;
/// Domains of a client that are remembered.
const MOST_DOMAINS: usize = 256;
/// How long a domain is remembered.
const MEMORY: i64 = DAY;
/// Half-life of the log-likelihood ratio.
const HALF_LIFE: i64 = 6 * HOUR;
/// Half-life of what is measured about the cluster.
const MEASURED: i64 = 7 * DAY;
/// Share of made-up domains that exist.
const MADE_UP: f64 = 0.1;
/// False-alarm and miss probability.
const ALPHA: f64 = 1e-5;
const BETA: f64 = 0.01;
/// How much a domain counts whose letters look made by a person.
const PLAUSIBLE: f64 = 1.0 / 3.0;
/// Letters above this look made by a person.
const LIKE: f64 = 0.1;
/// Fewer domains are never a generator.
const LEAST: usize = 6;
/// Clients that begin to fail at once, from which it is an outage.
const CROWD: usize = 5;
/// A larger ratio says no more.
const MOST_RATIO: f64 = 40.0;
/// `NXDOMAIN`.
const NO_SUCH: u32 = 3;

/// Detects domains that are made up.
#[derive(Debug, Default)]
pub struct Dga {
    clients: BTreeMap<PeerId, Client>,
    lookups: Decayed,
    found: Decayed,
    /// Sum of letter scores of domains that exist, and how many.
    letters: (f64, f64),
    /// Hypotheses tested since that was last asked.
    tests: Tested,
}

#[derive(Debug, Default)]
struct Client {
    ratio: Decayed,
    /// Domains that do not exist, and those that do, oldest first.
    failed: VecDeque<(i64, Arc<str>)>,
    found: VecDeque<(i64, Arc<str>)>,
    known: BTreeSet<Arc<str>>,
    last: i64,
}

impl Detector for Dga {
    fn kind(&self) -> Kind {
        Kind::Dga
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let outcomes = outcomes(tick, scene);
        let mut failing: BTreeMap<&str, BTreeSet<PeerId>> = BTreeMap::new();
        let mut clients: BTreeSet<PeerId> = BTreeSet::new();
        for ((client, domain), exists) in &outcomes {
            if !exists {
                failing.entry(domain).or_default().insert(*client);
                clients.insert(*client);
            }
        }
        let outage = clients.len() >= CROWD;
        let mut by_client: BTreeMap<PeerId, Vec<(&Arc<str>, bool)>> = BTreeMap::new();
        for ((client, domain), exists) in &outcomes {
            by_client
                .entry(*client)
                .or_default()
                .push((domain, *exists));
        }
        for (client, domains) in by_client {
            let others = |domain: &str| {
                let all = failing.get(domain).map_or(0, BTreeSet::len) as f64;
                // One other halves it.
                1.0 / all.max(1.0)
            };
            let one = self.client(client, &domains, outage, &others, tick.end(), scene);
            out.extend(one);
        }
        self.sweep(tick.end());
    }

    fn tested(&mut self) -> Tested {
        self.tests.take()
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        gate::no_dns(Kind::Dga, scene)
    }

    fn held(&self) -> usize {
        let domains = self.clients.values().map(|client| client.known.len());
        self.clients.len() + domains.sum::<usize>()
    }
}

impl Dga {
    fn client(
        &mut self,
        client: PeerId,
        domains: &[(&Arc<str>, bool)],
        outage: bool,
        others: &dyn Fn(&str) -> f64,
        now: i64,
        scene: &Scene<'_>,
    ) -> Option<Observation> {
        self.tests.count(1);
        let share = self.share(now);
        let test = Sprt::new(share, MADE_UP, ALPHA, BETA);
        let state = self.clients.entry(client).or_default();
        state.last = now;
        state.forget(now);
        let (mut step, mut lookups, mut found) = (0.0, 0.0, 0.0);
        let mut fresh = false;
        for (domain, exists) in domains {
            if state.known.contains(*domain) || (!exists && knows(client, domain, scene)) {
                continue;
            }
            state.remember(domain, *exists, now);
            let score = likeness(label(domain));
            if *exists {
                step += test.success();
                lookups += 1.0;
                found += 1.0;
                self.letters.0 += score;
                self.letters.1 += 1.0;
            } else {
                let letters = if score > LIKE { PLAUSIBLE } else { 1.0 };
                let weight = if outage {
                    0.0
                } else {
                    letters * others(domain)
                };
                step += test.failure(weight);
                lookups += weight;
                fresh = true;
            }
        }
        if self.letters.1 > 1e6 {
            self.letters = (self.letters.0 / 2.0, self.letters.1 / 2.0);
        }
        let before = state.ratio.at(now, HALF_LIFE);
        let ratio = (before + step).clamp(test.floor(), MOST_RATIO);
        state.ratio.set(ratio, now);
        let made_up =
            fresh && !outage && state.failed.len() >= LEAST && test.verdict(ratio) == Verdict::Scan;
        if made_up {
            let state = &self.clients[&client];
            return Some(state.observation(
                client,
                ratio,
                (share, self.usual_letters()),
                now,
                scene,
            ));
        }
        if ratio < 2.0 * test.failure(1.0) {
            self.lookups.add(lookups, now, MEASURED);
            self.found.add(found, now, MEASURED);
        }
        None
    }

    /// Share of domains that exist when they are first asked for.
    fn share(&self, now: i64) -> f64 {
        let all = self.lookups.at(now, MEASURED);
        let found = self.found.at(now, MEASURED);
        ((found + 97.0) / (all + 100.0)).clamp(0.8, 0.98)
    }

    fn usual_letters(&self) -> Option<f64> {
        (self.letters.1 >= 10.0).then(|| self.letters.0 / self.letters.1)
    }

    fn sweep(&mut self, now: i64) {
        if self.clients.len() <= MOST_CLIENTS {
            return;
        }
        self.clients
            .retain(|_, client| client.last.saturating_add(MEMORY) > now);
        while self.clients.len() > MOST_CLIENTS {
            self.clients.pop_last();
        }
    }
}

impl Client {
    fn forget(&mut self, now: i64) {
        for list in [&mut self.failed, &mut self.found] {
            while let Some((time, domain)) = list.front() {
                if time.saturating_add(MEMORY) > now && list.len() <= MOST_DOMAINS / 2 {
                    break;
                }
                self.known.remove(domain);
                list.pop_front();
            }
        }
    }

    fn remember(&mut self, domain: &Arc<str>, exists: bool, now: i64) {
        let list = if exists {
            &mut self.found
        } else {
            &mut self.failed
        };
        if list.len() >= MOST_DOMAINS / 2
            && let Some((_, gone)) = list.pop_front()
        {
            self.known.remove(&gone);
        }
        list.push_back((now, domain.clone()));
        self.known.insert(domain.clone());
    }

    fn observation(
        &self,
        client: PeerId,
        ratio: f64,
        (share, letters): (f64, Option<f64>),
        now: i64,
        scene: &Scene<'_>,
    ) -> Observation {
        let who = words::who(scene.peers, client);
        let recent: Vec<&(i64, Arc<str>)> = self
            .failed
            .iter()
            .filter(|(time, _)| *time > now - 2 * HALF_LIFE)
            .collect();
        let from = recent.first().map_or(now, |(time, _)| *time) - 60_000_000_000;
        let names: Vec<&str> = recent.iter().rev().map(|(_, name)| &**name).collect();
        let count = recent.len() as u64;
        let some = if self.failed.len() >= MOST_DOMAINS / 2 {
            "at least "
        } else {
            ""
        };
        let scores: f64 = names.iter().map(|name| likeness(label(name))).sum();
        let score = scores / names.len().max(1) as f64;
        let compared = letters.map_or(String::new(), |usual| {
            format!(", and {usual:.1} for domains that exist here")
        });
        Observation {
            kind: Kind::Dga,
            subject: client,
            peer: None,
            port: None,
            from,
            to: now,
            p: Sprt::p(ratio),
            fixed: false,
            observed: count as f64,
            expected: (1.0 - share) * (count as f64 + self.found.len() as f64),
            n: count,
            evidence: vec![
                format!(
                    "{who} asked for {some}{} within {} that do not exist, such as {}.",
                    words::count(count, "different domain", "different domains"),
                    words::span(now - from),
                    figures::list(&names, names.len().min(3)),
                ),
                format!(
                    "In this cluster {} of domains exist when they are first asked for. Letters \
                     score {score:.1}: below 0 they are like chance{compared}.",
                    figures::percent(share),
                ),
            ],
            normal: format!(
                "if {who} checks names that others give it (mail, a crawler), accept the finding \
                 with that reason; else look at what it runs"
            ),
            samples: Vec::new(),
            passed: Passed::Allowed,
            gap: false,
            policies: Vec::new(),
            rules: Vec::new(),
            key: String::new(),
        }
    }
}

/// Whether registered domains exist, by client and domain: one that was found once does.
fn outcomes(tick: &Tick, scene: &Scene<'_>) -> BTreeMap<(PeerId, Arc<str>), bool> {
    let mut outcomes = BTreeMap::new();
    for group in &tick.dns {
        let telling = group.answered
            && group.raw
            && matches!(group.code, 0 | NO_SUCH)
            && !places::is_internal_name(&group.query)
            && group.registered.contains('.');
        if !telling || !gate::is_workload(group.client, scene) {
            continue;
        }
        let place = (group.client, group.registered.clone());
        *outcomes.entry(place).or_insert(false) |= group.code == 0;
    }
    outcomes
}

/// Whether a workload was answered about a domain before.
fn knows(client: PeerId, domain: &str, scene: &Scene<'_>) -> bool {
    scene
        .model
        .workload(client)
        .and_then(|workload| workload.names.get(domain))
        .is_some_and(|name| name.count > name.failed)
}

/// The label of a registered domain that its owner chose.
fn label(domain: &str) -> &str {
    domain.split('.').next().unwrap_or(domain)
}

#[cfg(test)]
mod tests;
