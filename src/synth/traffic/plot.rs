//! Who calls whom how often: the edges of the world with their habits, and what starts calls.
//!
//! Owns these tables, drawn once. What happens on them is `play`'s.

use std::ops::Range;

use super::super::number::Random;
use super::super::platform::{API_SERVER, COLLECTOR_PORT, METRICS};
use super::super::world::{Call, Tier, World};
use super::agenda::Schedule;
use super::cast::{Cast, PartyId};
use super::plan::{PREVIEW, Plan};
use super::settings::Settings;

/// Calls that one user can lead to, at most.
pub(super) const DEEPEST: u32 = 5;
/// Between two deliveries to the collector.
const COLLECTED: i64 = 1_800_000_000_000;
/// Port of everything outside.
pub(super) const HTTPS: u16 = 443;

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
    /// Nobody calls there now.
    pub(super) off: bool,
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

/// Who takes part in something that goes on whoever has the place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    Party(PartyId),
    /// The pod of a member in a place.
    Pod {
        member: u32,
        place: u32,
    },
    /// The host of its node.
    HostOf {
        member: u32,
        place: u32,
    },
}

/// Something that happens at an interval.
#[derive(Clone, Debug)]
pub(super) struct Beat {
    pub(super) client: Who,
    pub(super) server: Who,
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
    /// Those that begin with an observability rollout.
    pub(super) later: Range<u32>,
    /// The edge of each call of the world; look-ups have none.
    pub(super) edge_of: Vec<Option<u32>>,
    pub(super) jobs: Vec<Job>,
    pub(super) pools: u32,
}

impl Plot {
    pub(super) fn new(
        world: &World,
        plan: &Plan,
        cast: &Cast,
        settings: &Settings,
        seed: u64,
    ) -> Self {
        let mut random = Random::new(seed, 4);
        let mut plot = Self::default();
        plot.edges(world, plan, cast, settings, &mut random);
        plot.sources(world, cast, settings, &mut random);
        plot.beats(cast, settings, &mut random);
        plot.collected(plan, cast);
        plot
    }

    fn edges(
        &mut self,
        world: &World,
        plan: &Plan,
        cast: &Cast,
        settings: &Settings,
        random: &mut Random,
    ) {
        let mut by_source: Vec<Vec<(usize, Target)>> = vec![Vec::new(); cast.members.len()];
        for (index, call) in world.calls.iter().enumerate() {
            let (from, target) = match *call {
                // Look-ups follow from the other calls.
                Call::Inside { to: 0, .. } => continue,
                Call::Inside { from, to } => (from, Target::Member(to as u32)),
                Call::Outside { from, to } => (from, Target::External(to as u32)),
            };
            by_source[from].push((index, target));
        }
        self.edge_of = vec![None; world.calls.len()];
        for (member, targets) in by_source.into_iter().enumerate() {
            let first = self.edges.len() as u32;
            for (call, target) in targets {
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
                let clients = cast.members[member].places;
                let kept = random.chance(settings.connections.keep_alive.0);
                let edge = self.edge(target, port, branch, kept, clients);
                self.edge_of[call] = Some(edge);
                self.edges[edge as usize].off = plan.unusual.contains(&call);
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
            off: false,
        });
        self.pools += clients;
        self.edges.len() as u32 - 1
    }

    fn sources(&mut self, world: &World, cast: &Cast, settings: &Settings, random: &mut Random) {
        let expected = self.expected_calls();
        let mut called = vec![false; cast.members.len()];
        for edge in &self.edges {
            if let (Target::Member(member), false) = (edge.target, edge.off) {
                called[member as usize] = true;
            }
        }
        let mut weights = Vec::new();
        for (index, workload) in world.workloads.iter().enumerate().skip(1) {
            let member = &cast.members[index];
            let calls = self.calls_of(index).iter().any(|edge| !edge.off);
            let preview = member.namespace.starts_with(PREVIEW);
            if member.kind == "CronJob" {
                let schedule = random.pick(&Schedule::ALL);
                self.jobs.extend(schedule.map(|schedule| Job {
                    member: index as u32,
                    schedule,
                }));
                continue;
            }
            let entry = workload.tier == Tier::Entry;
            if !entry && (called[index] || !calls || preview) {
                continue;
            }
            let target = Target::Member(index as u32);
            let ingress = entry.then(|| {
                let ingresses = cast.ingresses.len() as u32;
                self.edge(target, member.port.port, 1.0, true, ingresses)
            });
            // Few sites have most of the users; workers have a steady trickle.
            let median = match (entry, preview) {
                (true, false) => 1.0,
                (false, _) => 0.2,
                (true, true) => 0.05,
            };
            let weight = random.log_normal(median, 1.0);
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

    /// The edges of a member.
    pub(super) fn calls_of(&self, member: usize) -> &[Edge] {
        let of = &self.of[member];
        &self.edges[of.start as usize..of.end as usize]
    }

    /// Whether a member calls another, or may some day.
    pub(super) fn knows(&self, from: u32, to: u32) -> bool {
        let target = Target::Member(to);
        let calls = self.calls_of(from as usize);
        calls.iter().any(|edge| edge.target == target)
    }

    /// Whether a member talks to the API server.
    pub(super) fn watches(&self, member: u32) -> bool {
        self.beats.iter().any(|beat| {
            let own = matches!(beat.client, Who::Pod { member: own, .. } if own == member);
            own && beat.port == API_SERVER
        })
    }

    /// Calls a second that reach each member, on average.
    pub(super) fn rates(&self) -> Vec<f64> {
        let mut rates = vec![0.0; self.of.len()];
        for source in &self.sources {
            rates[source.member as usize] += source.rate;
        }
        let first = rates.clone();
        for _ in 0..DEEPEST {
            let mut next = first.clone();
            for (member, edges) in self.of.iter().enumerate() {
                for edge in &self.edges[edges.start as usize..edges.end as usize] {
                    if let (Target::Member(to), false) = (edge.target, edge.off) {
                        next[to as usize] += rates[member] * edge.branch;
                    }
                }
            }
            rates = next;
        }
        rates
    }

    /// Calls that one call of each member leads to, on average.
    fn expected_calls(&self) -> Vec<f64> {
        let mut expected = vec![0.0; self.of.len()];
        for _ in 0..DEEPEST {
            let of = |edges: &Range<u32>| -> f64 {
                let edges = &self.edges[edges.start as usize..edges.end as usize];
                edges
                    .iter()
                    .filter(|edge| !edge.off)
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
        let prometheus = Who::Pod {
            member: cast.members.len() as u32 - 1,
            place: 0,
        };
        for (index, member) in cast.members.iter().enumerate() {
            let probed = random.chance(platform.probes.0) && member.kind != "CronJob";
            let scraped = random.chance(platform.scrapes.0) && member.kind != "CronJob";
            let watching = random.chance(platform.apiserver.0) || index == 0;
            let slower = 1 + i64::from(random.chance(0.5));
            for place in 0..member.places {
                let member_of = index as u32;
                let pod = Who::Pod {
                    member: member_of,
                    place,
                };
                if probed && member.port.protocol == 6 {
                    let host = Who::HostOf {
                        member: member_of,
                        place,
                    };
                    let interval = platform.probe_interval.nanos();
                    self.beat(host, pod, member.port.port, interval, false);
                }
                if scraped && index + 1 != cast.members.len() {
                    let interval = platform.scrape_interval.nanos() * slower;
                    self.beat(prometheus, pod, METRICS, interval, true);
                }
                if watching {
                    let interval = platform.apiserver_interval.nanos();
                    let server = Who::Party(cast.api_server);
                    self.beat(pod, server, API_SERVER, interval, true);
                }
            }
        }
    }

    /// What every workload does once there is a collector.
    fn collected(&mut self, plan: &Plan, cast: &Cast) {
        let first = self.beats.len() as u32;
        if let Some(collector) = plan.collector {
            let server = Who::Pod {
                member: collector,
                place: 0,
            };
            for member in 1..cast.members.len() as u32 {
                let kind = cast.members[member as usize].kind;
                if member != collector && kind != "CronJob" {
                    let client = Who::Pod { member, place: 0 };
                    self.beat(client, server, COLLECTOR_PORT, COLLECTED, true);
                }
            }
        }
        self.later = first..self.beats.len() as u32;
    }

    fn beat(&mut self, client: Who, server: Who, port: u16, interval: i64, kept: bool) {
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
