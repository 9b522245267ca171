//! Who calls whom how often: the edges of the world with their habits, and what starts calls.
//!
//! Owns these tables, drawn once. What happens on them is `play`'s.

use std::ops::Range;

use super::super::number::Random;
use super::super::platform::{API_SERVER, METRICS};
use super::super::world::{Call, Tier, World};
use super::agenda::Schedule;
use super::cast::{Cast, PartyId};
use super::settings::Settings;

/// Calls that one user can lead to, at most.
pub(super) const DEEPEST: u32 = 5;
/// Port of everything outside.
const HTTPS: u16 = 443;

/// Whom an edge leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Member(u32),
    External(u32),
}

/// Calls of one workload to another, or outside.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) target: Target,
    pub(super) port: u16,
    /// How likely a call of the source leads to one here.
    pub(super) branch: f64,
    /// Whether connections are kept.
    pub(super) kept: bool,
    /// The pool of the source's first pod; the others follow.
    pub(super) pools: u32,
}

/// What starts calls: users at an entry, or a worker's own tasks.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) member: u32,
    /// The edge users come by; a worker has none.
    pub(super) ingress: Option<u32>,
    /// Starts a second, on average.
    pub(super) rate: f64,
    /// How much earlier its day is, in nanoseconds.
    pub(super) phase: i64,
}

/// Something that happens at an interval.
#[derive(Clone, Debug)]
pub(super) struct Beat {
    pub(super) client: PartyId,
    pub(super) server: PartyId,
    pub(super) port: u16,
    pub(super) interval: i64,
    /// The pool, where the connection is kept.
    pub(super) pool: Option<u32>,
}

/// A CronJob.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) member: u32,
    pub(super) schedule: Schedule,
}

/// Everything that happens of itself.
#[derive(Debug, Default)]
pub(super) struct Plot {
    pub(super) edges: Vec<Edge>,
    /// Edges of each member.
    pub(super) of: Vec<Range<u32>>,
    pub(super) sources: Vec<Source>,
    pub(super) beats: Vec<Beat>,
    pub(super) jobs: Vec<Job>,
    pub(super) pools: u32,
}

impl Plot {
    pub(super) fn new(world: &World, cast: &Cast, settings: &Settings, seed: u64) -> Self {
        let mut random = Random::new(seed, 4);
        let mut plot = Self::default();
        plot.edges(world, cast, settings, &mut random);
        plot.sources(world, cast, settings, &mut random);
        plot.beats(cast, settings, &mut random);
        plot
    }

    fn edges(&mut self, world: &World, cast: &Cast, settings: &Settings, random: &mut Random) {
        let mut by_source: Vec<Vec<Target>> = vec![Vec::new(); cast.members.len()];
        for call in &world.calls {
            match *call {
                // Look-ups follow from the other calls.
                Call::Inside { to: 0, .. } => {}
                Call::Inside { from, to } => by_source[from].push(Target::Member(to as u32)),
                Call::Outside { from, to } => by_source[from].push(Target::External(to as u32)),
            }
        }
        for (member, targets) in by_source.into_iter().enumerate() {
            let first = self.edges.len() as u32;
            for target in targets {
                let port = match target {
                    Target::Member(member) => cast.members[member as usize].port.port,
                    Target::External(_) => HTTPS,
                };
                // Some calls are made once in a long while: fall-backs, clean-ups.
                let branch = if random.chance(0.3) {
                    random.log_uniform(2e-4, 0.2)
                } else {
                    random.between(0.2, 1.0)
                };
                let clients = cast.members[member].pods.len() as u32;
                let kept = random.chance(settings.connections.keep_alive.0);
                self.edge(target, port, branch, kept, clients);
            }
            self.of.push(first..self.edges.len() as u32);
        }
    }

    fn edge(&mut self, target: Target, port: u16, branch: f64, kept: bool, clients: u32) -> u32 {
        self.edges.push(Edge {
            target,
            port,
            branch,
            kept,
            pools: self.pools,
        });
        self.pools += clients;
        self.edges.len() as u32 - 1
    }

    fn sources(&mut self, world: &World, cast: &Cast, settings: &Settings, random: &mut Random) {
        let expected = self.expected_calls();
        let mut called = vec![false; cast.members.len()];
        for edge in &self.edges {
            if let Target::Member(member) = edge.target {
                called[member as usize] = true;
            }
        }
        let mut weights = Vec::new();
        for (index, workload) in world.workloads.iter().enumerate().skip(1) {
            let member = &cast.members[index];
            let calls = !self.of[index].is_empty();
            if member.kind == "CronJob" {
                let schedule = random.pick(&Schedule::ALL);
                self.jobs.extend(schedule.map(|schedule| Job {
                    member: index as u32,
                    schedule,
                }));
                continue;
            }
            let entry = workload.tier == Tier::Entry;
            if !entry && (called[index] || !calls) {
                continue;
            }
            let target = Target::Member(index as u32);
            let ingress = entry.then(|| {
                let ingresses = cast.ingresses.len() as u32;
                self.edge(target, member.port.port, 1.0, true, ingresses)
            });
            // Few sites have most of the users; workers have a steady trickle.
            let weight = random.log_normal(if entry { 1.0 } else { 0.2 }, 1.0);
            weights.push(weight);
            self.sources.push(Source {
                member: index as u32,
                ingress,
                rate: weight / (f64::from(u8::from(entry)) + expected[index]).max(0.1),
                phase: (random.below(5) as i64 - 2) * 3_600_000_000_000,
            });
        }
        let total: f64 = weights.iter().sum();
        for source in &mut self.sources {
            source.rate *= settings.users.calls / total;
        }
    }

    /// Calls that one call of each member leads to, on average.
    fn expected_calls(&self) -> Vec<f64> {
        let mut expected = vec![0.0; self.of.len()];
        for _ in 0..DEEPEST {
            let of = |edges: &Range<u32>| -> f64 {
                let edges = &self.edges[edges.start as usize..edges.end as usize];
                edges
                    .iter()
                    .map(|edge| {
                        let further = match edge.target {
                            Target::Member(member) => expected[member as usize],
                            Target::External(_) => 0.0,
                        };
                        edge.branch * (1.0 + further)
                    })
                    .sum()
            };
            expected = self.of.iter().map(of).collect();
        }
        expected
    }

    fn beats(&mut self, cast: &Cast, settings: &Settings, random: &mut Random) {
        let platform = &settings.platform;
        let prometheus = PartyId(cast.prometheus().pods.start);
        for (index, member) in cast.members.iter().enumerate() {
            let probed = random.chance(platform.probes.0) && member.kind != "CronJob";
            let scraped = random.chance(platform.scrapes.0) && member.kind != "CronJob";
            let watching = random.chance(platform.apiserver.0) || index == 0;
            let slower = 1 + i64::from(random.chance(0.5));
            for pod in member.pods.clone().map(PartyId) {
                let host = cast.party(pod).node.map(|node| cast.hosts[node as usize]);
                if let (true, Some(host), true) = (probed, host, member.port.protocol == 6) {
                    let port = member.port.port;
                    let interval = platform.probe_interval.nanos();
                    self.beat(host, pod, port, interval, false);
                }
                if scraped && pod != prometheus {
                    let interval = platform.scrape_interval.nanos() * slower;
                    self.beat(prometheus, pod, METRICS, interval, true);
                }
                if watching {
                    let interval = platform.apiserver_interval.nanos();
                    self.beat(pod, cast.api_server, API_SERVER, interval, true);
                }
            }
        }
    }

    fn beat(&mut self, client: PartyId, server: PartyId, port: u16, interval: i64, kept: bool) {
        let pool = kept.then_some(self.pools);
        self.pools += u32::from(kept);
        self.beats.push(Beat {
            client,
            server,
            port,
            interval,
            pool,
        });
    }
}
