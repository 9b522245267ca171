//! D19: far more denied connections of a workload than it ever has.
//!
//! Null hypothesis: denied connections to places the baseline does not know are negative
//! binomial around the workload's own rate, with the dispersion [`DISPERSION`]; judged over a
//! minute and over ten. How broad it is tells what it looks like: one or two targets that are
//! tried again and again look like a misconfiguration, three and more like probing; the two
//! are told apart, for the one comes far more often.
//!
//! What is denied to several other workloads at once is a matter of the policies, not of this
//! workload. Known edges that are denied are D5's. Cannot see what a policy outside the
//! cluster denies.
//!
//! Bounded: [`MOST_CLIENTS`] clients with ten minutes and [`MOST_TARGETS`] targets each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::account::Account;
use super::novel::Told;
use super::{Blindness, Detector, Kind, Observation, Scene, Tested, figures, gate, words};
use crate::baseline::stat::{NegativeBinomial, bonferroni};
use crate::baseline::{Fate, Group, TICK, Tick};
use crate::connection::PeerId;
use crate::flow::{DropClass, Protocol};

/// Clients that are remembered.
const MOST_CLIENTS: usize = 1 << 13;
/// Targets of a client that are told apart.
const MOST_TARGETS: usize = 64;
/// Minutes that are looked at together.
const MINUTES: i64 = 10;
/// How much numbers of denied connections scatter: some retry storms are normal.
const DISPERSION: f64 = 0.5;
/// What is more probable is not said.
const P: f64 = 1e-5;
/// Beyond that a number says nothing.
const LEAST_P: f64 = 1e-30;
/// Fewer are never a burst.
const LEAST: u64 = 5;
/// Other clients that are denied the same, from which it is a matter of the policies.
const CROWD: usize = 4;
/// Targets that are probing.
const BROAD: usize = 3;

type Target = (PeerId, u16, Protocol);

/// Detects bursts of denied connections.
#[derive(Debug, Default)]
pub struct DeniedBurst {
    clients: BTreeMap<PeerId, Client>,
    told: Told,
    /// Hypotheses tested since that was last asked.
    tests: Tested,
}

#[derive(Debug, Default)]
struct Client {
    /// Beginning of a minute and how many there were in it.
    minutes: VecDeque<(i64, u64)>,
    /// When a target was last denied, and how often since it is here.
    targets: BTreeMap<Target, (i64, u64)>,
}

impl Detector for DeniedBurst {
    fn kind(&self) -> Kind {
        Kind::DeniedBurst
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        // Whoever was denied nothing was tested, too.
        let clients = tick.groups.chunk_by(|a, b| a.client == b.client);
        let workloads = clients.filter(|groups| gate::is_workload(groups[0].client, scene));
        let workloads = workloads.count() as u64;
        self.tests.count(workloads);
        self.tests.check(workloads);
        let mut denied: BTreeMap<Target, BTreeSet<PeerId>> = BTreeMap::new();
        let groups: Vec<&Group> = tick.groups.iter().filter(|one| is_denied(one)).collect();
        for group in &groups {
            denied
                .entry(target_of(group))
                .or_default()
                .insert(group.client);
        }
        let own = |group: &&&Group| {
            denied[&target_of(group)].len() < CROWD
                && gate::is_new(gate::place(group), scene)
                && gate::is_workload(group.client, scene)
        };
        let groups: Vec<&Group> = groups.iter().filter(own).copied().collect();
        for of_client in groups.chunk_by(|a, b| a.client == b.client) {
            out.extend(self.client(of_client, tick, scene));
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
        let targets = self.clients.values().map(|client| client.targets.len());
        self.clients.len() + targets.sum::<usize>() + self.told.held()
    }
}

impl DeniedBurst {
    fn client(&mut self, groups: &[&Group], tick: &Tick, scene: &Scene<'_>) -> Option<Observation> {
        let client = groups[0].client;
        let mut account = Account::default();
        for group in groups {
            account.add(group);
        }
        let state = self.clients.entry(client).or_default();
        state.forget(tick.start);
        state.minutes.push_back((tick.start, account.count));
        for group in groups {
            let target = target_of(group);
            if state.targets.len() < MOST_TARGETS || state.targets.contains_key(&target) {
                let entry = state.targets.entry(target).or_insert((tick.start, 0));
                *entry = (tick.start, entry.1 + group.count);
            }
        }
        let mean = usual(client, scene);
        let window: u64 = state.minutes.iter().map(|(_, count)| count).sum();
        let counts = |minutes: f64| NegativeBinomial {
            mean: mean * minutes,
            dispersion: DISPERSION,
        };
        let minute = counts(1.0).upper(account.count as f64);
        let ten = counts(MINUTES as f64).upper(window as f64);
        let p = bonferroni(minute.min(ten), 2);
        self.tests.note(p);
        if window < LEAST || p > P {
            return None;
        }
        let broad = state.targets.len() >= BROAD;
        if !broad && !self.told.tells((client, groups[0].key, None), tick.start) {
            return None;
        }
        let state = &self.clients[&client];
        Some(state.observation(client, &account, (p, broad, mean), scene))
    }

    fn sweep(&mut self, now: i64) {
        let fresh = |client: &Client| {
            let last = client.minutes.back();
            last.is_some_and(|(start, _)| *start > now - MINUTES * TICK)
        };
        self.clients.retain(|_, client| fresh(client));
        while self.clients.len() > MOST_CLIENTS {
            self.clients.pop_last();
        }
    }
}

impl Client {
    fn forget(&mut self, now: i64) {
        let kept = now - MINUTES * TICK;
        while self
            .minutes
            .front()
            .is_some_and(|(start, _)| *start <= kept)
        {
            self.minutes.pop_front();
        }
        self.targets.retain(|_, (last, _)| *last > kept);
    }

    fn observation(
        &self,
        client: PeerId,
        account: &Account,
        (p, broad, mean): (f64, bool, f64),
        scene: &Scene<'_>,
    ) -> Observation {
        let mut one = account.observation(Kind::DeniedBurst, client);
        let window: u64 = self.minutes.iter().map(|(_, count)| count).sum();
        let begin = self.minutes.front().map_or(one.from, |(start, _)| *start);
        one.from = one.from.min(begin);
        one.observed = window as f64;
        one.n = window;
        one.expected = mean * MINUTES as f64;
        one.p = p.max(LEAST_P);
        let who = words::who(scene.peers, client);
        let targets: Vec<String> = self
            .targets
            .keys()
            .map(|(key, port, protocol)| words::place(scene.peers, *key, Some((*port, *protocol))))
            .collect();
        let some = if targets.len() >= MOST_TARGETS {
            "at least "
        } else {
            ""
        };
        one.evidence.push(format!(
            "{who} was denied {} to {some}{} ({}) within {}; {} an hour are usual.",
            words::count(window, "connection", "connections"),
            words::count(targets.len() as u64, "target", "targets"),
            figures::list(&targets, targets.len()),
            words::span(one.to.saturating_sub(one.from)),
            figures::about(mean * 60.0),
        ));
        if broad {
            "probing".clone_into(&mut one.key);
            one.evidence
                .push("It tries one target after the other: that looks like probing.".to_owned());
            one.normal = format!(
                "if {who} needs these, allow them by policy; a scanner is accepted with that reason"
            );
        } else {
            "misconfigured".clone_into(&mut one.key);
            let only = self.targets.keys().next().copied();
            (one.peer, one.port) = match (only, self.targets.len()) {
                (Some((key, port, protocol)), 1) => (Some(key), Some((port, protocol))),
                _ => (None, None),
            };
            let every = one.to.saturating_sub(one.from) / (window.max(2) as i64 - 1);
            one.evidence.push(format!(
                "It tries the same again about every {}: that looks like a misconfiguration.",
                words::span(every)
            ));
            one.normal = format!(
                "if {who} needs this, allow it by policy; else take it out of its \
                 configuration"
            );
        }
        one.evidence.push(account.verdict());
        one
    }
}

/// Denied connections a minute that are usual, as far as was seen.
fn usual(client: PeerId, scene: &Scene<'_>) -> f64 {
    let Some(profile) = scene.model.workload(client) else {
        return 0.5 / 60.0;
    };
    (profile.verdicts.denied as f64 + 0.5) / (profile.rates.all().n + 60.0)
}

fn is_denied(group: &Group) -> bool {
    matches!(group.fate, Fate::Denied | Fate::Dropped(DropClass::Policy))
}

fn target_of(group: &Group) -> Target {
    (group.key, group.port, group.protocol)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;

    fn stage() -> Stage {
        let mut stage = Stage::default();
        stage.learn("shop/web", &["shop/pay:443", "data/db:5432"], 9);
        stage
    }

    #[test]
    fn probing_is_told_apart_from_a_misconfiguration() {
        let mut stage = stage();
        let mut detector = DeniedBurst::default();
        let probes: Vec<_> = (1..=12)
            .map(|port| ("shop/web", "vault/vault", port, Fate::Denied))
            .collect();
        let seen = stage.observe(&mut detector, &probes);
        assert_eq!(seen[0].key, "probing");
        assert!(seen[0].p < P && seen[0].p > 0.0);
        assert!(
            seen[0].evidence[0].starts_with(
                "shop/web (Deployment) was denied 12 connections to 12 targets \
             (vault/vault:1/TCP, vault/vault:2/TCP, vault/vault:3/TCP and 9 more) within"
            ),
            "{:?}",
            seen[0].evidence
        );

        let mut stage = self::stage();
        let mut detector = DeniedBurst::default();
        let wrong = vec![("shop/web", "vault/vault", 8200, Fate::Denied); 1];
        let mut told = Vec::new();
        for _ in 0..20 {
            told.extend(stage.observe(&mut detector, &wrong));
        }
        assert!(!told.is_empty());
        assert!(
            told.iter()
                .all(|one| one.key == "misconfigured" && one.p <= P)
        );
        assert!(
            told[0].evidence[1].contains("about every 60 seconds"),
            "{:?}",
            told[0].evidence
        );
    }

    #[test]
    fn a_policy_that_denies_everybody_is_no_burst_of_each_and_known_edges_are_not_its() {
        let mut stage = stage();
        let mut detector = DeniedBurst::default();
        let mut all = Vec::new();
        for client in ["a/a", "a/b", "a/c", "a/d", "a/e"] {
            for port in 1..=10 {
                all.push((client, "ops/collector", port, Fate::Denied));
            }
        }
        assert!(stage.observe(&mut detector, &all).is_empty());
        for _ in 0..30 {
            let known = [("shop/web", "shop/pay", 443, Fate::Denied)];
            assert!(stage.observe(&mut detector, &known).is_empty());
        }
        let few = [("shop/web", "vault/vault", 1, Fate::Denied)];
        assert!(stage.observe(&mut detector, &few).is_empty());
    }

    #[test]
    fn who_is_denied_all_the_time_surprises_less_and_memory_is_bounded() {
        let mut stage = stage();
        let p = |stage: &mut Stage, ports: u16| {
            let probes: Vec<_> = (1..=ports)
                .map(|port| ("shop/web", "vault/vault", port, Fate::Denied))
                .collect();
            let seen = stage.observe(&mut DeniedBurst::default(), &probes);
            seen.first().map_or(1.0, |one| one.p)
        };
        let first = p(&mut stage, 5);
        assert!(p(&mut stage, 200) < first);
        for _ in 0..60 {
            p(&mut stage, 60);
        }
        assert!(p(&mut stage, 5) > first);

        let mut detector = DeniedBurst::default();
        let start = stage.now;
        let client = stage
            .scenery
            .group("shop/web", "vault/vault", 1, start, Fate::Denied);
        for minute in 0..20 {
            let groups = (0..5_000u32)
                .map(|at| Group {
                    port: (at.wrapping_mul(40_503) >> 4) as u16,
                    ..client.clone()
                })
                .collect();
            let tick = Tick {
                start: start + minute * TICK,
                groups,
                ..Tick::default()
            };
            let mut out = Vec::new();
            let scene = Scene {
                peers: stage.scenery.peers(),
                model: &stage.model,
                sight: &stage.sight,
                now: tick.end(),
            };
            detector.observe(&tick, &scene, &mut out);
            assert!(detector.held() <= MOST_TARGETS + 2, "{}", detector.held());
        }
    }
}
