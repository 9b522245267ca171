//! D9: calls to something new and rare, as regular as a clock.
//!
//! Null hypothesis: calls come at random (a Poisson process), so gaps are exponential. `p` is
//! twice the smaller of two exact p-values, of the gaps' median absolute deviation and of
//! their variation; retries are collapsed, missed calls survived. 12 calls at least.
//!
//! Clusters are full of clocks (probes, scrapes, leader election, cron, polling), so a beat
//! alone says nothing. It is said only of edges to the outside, or in the cluster to what few
//! call, that began after the workload was known for a day and are less than seven days old,
//! and whose destination at most 2 % of workloads use. What was there before is for
//! `baseline audit`. Therefore blind for beacons that ran while the baseline was learned, for
//! destinations that many workloads share, and for jitter beyond some 70 %.
//!
//! Bounded: [`MOST_EDGES`] edges, each with its newest [`RING`] calls; those with the fewest
//! calls that are silent for longest go first.

use std::collections::{BTreeMap, VecDeque};

use super::account::Account;
use super::gate::{self, Place};
use super::{Blindness, Detector, Kind, Observation, Scene, Tested, figures, words};
use crate::baseline::stat::{Beat, LEAST_STARTS, beat};
use crate::baseline::{DAY, Group, HOUR, Status, Tick};
use crate::connection::{Edge, Peer, PeerId};

/// Edges that are followed.
const MOST_EDGES: usize = 10_000;
/// Calls of an edge that are kept, the newest.
const RING: usize = 64;
/// An edge is new for so long.
const YOUNG: i64 = 7 * DAY;
/// Share of workloads that may use a destination for it to be rare.
const RARE: f64 = 0.02;
/// What is more probable is not said.
const P: f64 = 1e-5;
/// Nothing is less probable: clocks are common.
const LEAST_P: f64 = 1e-10;
/// An edge that is silent for so long is forgotten.
const FORGOTTEN: i64 = 3 * DAY;
/// A beat is said again after so long, while it goes on.
const AGAIN: i64 = 6 * HOUR;

/// Detects beacons.
#[derive(Debug, Default)]
pub struct Beacon {
    edges: BTreeMap<Place, Calls>,
    /// Hypotheses tested since that was last asked.
    tests: Tested,
}

/// Calls on an edge.
#[derive(Debug, Default)]
struct Calls {
    ring: VecDeque<i64>,
    first: i64,
    total: u64,
    /// Calls since it was judged.
    fresh: usize,
    account: Account,
    told: Option<i64>,
    lasts: bool,
}

impl Detector for Beacon {
    fn kind(&self) -> Kind {
        Kind::Beacon
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let mut touched: BTreeMap<Place, Vec<&Group>> = BTreeMap::new();
        for group in tick.groups.iter().filter(|group| group.fate.is_new()) {
            if is_candidate(group, scene) {
                touched.entry(gate::place(group)).or_default().push(group);
            }
        }
        for (place, groups) in touched {
            let calls = self.edges.entry(place).or_default();
            calls.add(&groups);
            if calls.fresh * 8 < calls.ring.len() || calls.ring.len() < LEAST_STARTS {
                continue;
            }
            calls.fresh = 0;
            if calls.told.is_some_and(|told| tick.start < told + AGAIN) {
                continue;
            }
            self.tests.count(1);
            self.tests.check(1);
            let starts: Vec<i64> = calls.ring.iter().copied().collect();
            let Some(beat) = beat(&starts) else {
                continue;
            };
            self.tests.note(beat.p);
            if beat.p < P {
                calls.told = Some(tick.start);
                out.push(calls.observation(&place, &beat, scene));
            }
        }
        for one in &tick.lasting {
            let place = (one.client, one.key, one.port, one.protocol);
            if let Some(calls) = self.edges.get_mut(&place) {
                calls.lasts = true;
            }
        }
        self.sweep(tick.start);
    }

    fn tested(&mut self) -> Tested {
        self.tests.take()
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        // Without names, destinations outside are prefixes: several share one.
        gate::no_dns(Kind::Beacon, scene).map(|blind| Blindness {
            why: format!(
                "{}: destinations there are told apart by prefix only",
                blind.why
            ),
            share: blind.share / 4.0,
            ..blind
        })
    }

    fn held(&self) -> usize {
        let calls = self.edges.values().map(|calls| calls.ring.len());
        calls.sum::<usize>() + self.edges.len()
    }
}

impl Beacon {
    fn sweep(&mut self, now: i64) {
        if self.edges.len() <= MOST_EDGES {
            return;
        }
        self.edges
            .retain(|_, calls| calls.account.to.saturating_add(FORGOTTEN) > now);
        if self.edges.len() > MOST_EDGES {
            let mut rank: Vec<(u64, i64, Place)> = self
                .edges
                .iter()
                .map(|(place, calls)| (calls.total.min(RING as u64), calls.account.to, *place))
                .collect();
            rank.sort_unstable();
            for (_, _, place) in &rank[..rank.len() - MOST_EDGES * 3 / 4] {
                self.edges.remove(place);
            }
        }
    }
}

impl Calls {
    fn add(&mut self, groups: &[&Group]) {
        let mut starts: Vec<i64> = Vec::new();
        for group in groups {
            starts.extend(&group.starts);
            self.account.add(group);
            self.total += group.count;
        }
        starts.sort_unstable();
        if self.first == 0 {
            self.first = starts.first().copied().unwrap_or_default();
        }
        self.fresh += starts.len();
        self.ring.extend(starts);
        while self.ring.len() > RING {
            self.ring.pop_front();
        }
    }

    fn observation(&self, place: &Place, beat: &Beat, scene: &Scene<'_>) -> Observation {
        let (client, key, port, protocol) = *place;
        let mut one = self.account.observation(Kind::Beacon, client);
        (one.peer, one.port) = (Some(key), Some((port, protocol)));
        one.from = self.first;
        one.p = beat.p.max(LEAST_P);
        one.observed = beat.calls as f64;
        one.n = self.total;
        let who = words::who(scene.peers, client);
        let what = words::place(scene.peers, key, Some((port, protocol)));
        let missed = match beat.missed {
            0 => String::new(),
            missed => format!(", {} missed", words::number(missed)),
        };
        one.evidence.push(format!(
            "{who} called {what} every {} ±{} for {} ({}{missed}).",
            period(beat.period),
            figures::percent(beat.spread),
            words::span(one.to.saturating_sub(one.from)),
            words::count(self.total, "call", "calls"),
        ));
        let novelty = scene.model.novelty(client, key, port, protocol);
        let name = match scene.peers.get(key) {
            Peer::Prefix(_) if scene.sight.dns(client, scene.now) => {
                " No question to DNS led to this address."
            }
            _ => "",
        };
        let seen = novelty.key_first_seen.unwrap_or(one.from).min(one.from);
        one.evidence.push(format!(
            "It is called by {} of {}; first seen {} ago.{name}",
            words::number(novelty.users.max(1) as u64),
            words::count(novelty.workloads as u64, "workload", "workloads"),
            words::span(scene.now.saturating_sub(seen)),
        ));
        one.evidence.push(format!(
            "Calls at random would be as regular with p < {}.",
            words::probability(beat.p.max(LEAST_P))
        ));
        if self.lasts {
            one.evidence
                .push("Some of the connections last ten minutes and more.".to_owned());
        }
        one.evidence.push(self.account.verdict());
        one.normal = format!(
            "if {what} is a service that {who} polls, approve the edge: flowwatch baseline approve \
             {} --to {what}",
            scene.peers.get(client)
        );
        one
    }
}

/// Whether a beat on this edge would be worth saying.
fn is_candidate(group: &Group, scene: &Scene<'_>) -> bool {
    let place = gate::place(group);
    let (client, key, port, protocol) = place;
    let named = !matches!(scene.peers.get(key), Peer::Unknown | Peer::Others);
    if !named || client == key || !gate::is_workload(client, scene) {
        return false;
    }
    let is_decided = matches!(
        scene.model.decided(client, key, port, protocol),
        Some(Status::Approved | Status::Forbidden)
    );
    if is_decided || !gate::is_settled(client, scene) {
        return false;
    }
    let Some(workload) = scene.model.workload(client) else {
        return false;
    };
    let edge = Edge {
        client,
        server: key,
        port,
        protocol,
    };
    let known = scene.model.edge(client, key, port, protocol);
    let pending = scene.model.pending(&edge);
    let first = known
        .map(|known| known.first)
        .or(pending.map(|pending| pending.first))
        .unwrap_or(group.first);
    let young = first.saturating_add(YOUNG) > scene.now;
    let after = first >= workload.first.saturating_add(DAY);
    young && after && is_rare(key, scene)
}

fn is_rare(key: PeerId, scene: &Scene<'_>) -> bool {
    let workloads = scene.model.workload_count();
    scene.model.users(key) as f64 <= (RARE * workloads as f64).max(1.0)
}

/// `300 s`, `30 min`: two digits and more.
fn period(seconds: f64) -> String {
    if seconds < 600.0 {
        format!("{} s", seconds.round())
    } else {
        format!("{} min", (seconds / 60.0).round())
    }
}

#[cfg(test)]
mod tests;
