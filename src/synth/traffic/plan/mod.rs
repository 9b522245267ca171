//! What is going to happen to a world, drawn before it begins.
//!
//! Owns when each change and each incident is and whom it is about, and what the world needs
//! for it: workloads, addresses outside, calls that policies know before they are made. Only
//! how long it lasts and how large the world is decide how much is planned. What a change
//! does is `changes`', what an incident does is `incident`'s.

mod attacks;
mod churn;
mod disturbances;
mod domains;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;

use super::super::number::Random;
use super::super::world::{Call, External, Namespace, Tier, Workload, World};
use super::settings::Settings;
use crate::inventory::NamedPort;

pub(super) use self::attacks::Sketch;
pub(super) use self::domains::domain;

/// Begins the names of namespaces that are there for a while.
pub(super) const PREVIEW: &str = "preview-";
/// Where the workloads of the platform are.
const SYSTEM: usize = 0;
const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Pods of a workload get another name or other labels.
#[derive(Clone, Debug)]
pub(super) struct Relabelled {
    pub(super) member: u32,
    /// Of the controller, where it changes.
    pub(super) name: Option<Arc<str>>,
    /// Labels that are set.
    pub(super) labels: Vec<(Arc<str>, Arc<str>)>,
}

/// A call that is made once in a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rare {
    /// Index of the call in the world.
    pub(super) call: usize,
    /// Calls a nanosecond.
    pub(super) rate: f64,
}

/// Something that changes, from a time on, and until when.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) at: i64,
    pub(super) end: i64,
    pub(super) what: What,
}

/// What changes.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// Pods are replaced by those of another version.
    Release {
        member: u32,
        /// Call that the new version makes.
        adds: Option<usize>,
        /// Whether it no longer makes one of its calls.
        drops: bool,
        /// What its pods are called and labelled then.
        variant: Option<u32>,
    },
    Rename {
        member: u32,
        variant: u32,
    },
    Drain,
    Preview {
        members: Range<u32>,
        calls: Range<usize>,
    },
    BackendOutage {
        member: u32,
        silent: bool,
    },
    DnsOutage {
        silent: bool,
    },
    FlashCrowd {
        member: u32,
    },
    LoadTest {
        call: usize,
    },
    Scan,
    CdnRotation,
    Backup {
        member: u32,
        call: usize,
    },
    Certificates {
        namespace: usize,
    },
    PolicyRollout {
        set: usize,
        from: u32,
        to: u32,
    },
    Observability,
    ClockSkew,
    Loss,
}

/// Everything that is planned.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In order of time.
    pub(super) changes: Vec<Change>,
    /// In order of time.
    pub(super) incidents: Vec<Sketch>,
    /// Variants behind those of the members.
    pub(super) relabelled: Vec<Relabelled>,
    /// Members whose pods follow the load.
    pub(super) scaled: BTreeSet<u32>,
    /// Externals that are no content networks, whatever is drawn.
    pub(super) plain_externals: BTreeSet<usize>,
    pub(super) cdn_rotations: usize,
    /// Calls that further sets of policies do not let in.
    pub(super) broken: Vec<(usize, usize)>,
    /// Calls that are not made from the beginning.
    pub(super) dormant: BTreeSet<usize>,
    /// Calls that are made once in a while only.
    pub(super) rare: Vec<Rare>,
    /// Calls that are neither there from the beginning nor made often.
    pub(super) unusual: BTreeSet<usize>,
    pub(super) scanner: Option<u32>,
    pub(super) collector: Option<u32>,
}

/// What a further address outside is called.
#[derive(Clone, Copy, Debug)]
enum Called {
    /// By a name of its own.
    Drawn,
    /// It has none.
    Nothing,
    This(&'static str),
}

/// Draws a plan and makes the world ready for it.
struct Planner<'a> {
    world: &'a mut World,
    settings: &'a Settings,
    random: Random,
    plan: Plan,
    start: i64,
    end: i64,
    /// Workloads that are there in every world of the size.
    workloads: usize,
    calls: BTreeSet<(u32, u32)>,
}

impl Plan {
    /// Plans for a world from `start` to `end`, nanoseconds since 1970.
    pub(super) fn new(
        world: &mut World,
        settings: &Settings,
        seed: u64,
        (start, end): (i64, i64),
    ) -> Self {
        let calls = world.calls.iter().filter_map(|call| match *call {
            Call::Inside { from, to } => Some((from as u32, to as u32)),
            Call::Outside { .. } => None,
        });
        let mut planner = Planner {
            calls: calls.collect(),
            workloads: world.workloads.len(),
            world,
            settings,
            random: Random::new(seed, 6),
            plan: Self::default(),
            start,
            end,
        };
        planner.domains();
        planner.rare();
        planner.churn();
        planner.disturbances();
        planner.attacks();
        // Prometheus is a member that the world does not count.
        let first = planner.world.workloads.len() as u32 + 1;
        let mut plan = planner.plan;
        plan.number_variants(first);
        plan.unusual = plan.rare.iter().map(|rare| rare.call).collect();
        plan.unusual.extend(&plan.dormant);
        plan.changes.sort_by_key(|change| change.at);
        plan.incidents.sort_by_key(|incident| incident.at);
        plan
    }

    /// Variants stand behind the members, of which there are `first`.
    fn number_variants(&mut self, first: u32) {
        for change in &mut self.changes {
            match &mut change.what {
                What::Release {
                    variant: Some(variant),
                    ..
                }
                | What::Rename { variant, .. } => *variant += first,
                _ => {}
            }
        }
        let masks = self
            .incidents
            .iter_mut()
            .filter_map(|one| one.mask.as_mut());
        masks.for_each(|(_, variant)| *variant += first);
    }
}

impl Planner<'_> {
    /// Gives externals registered domains of their own.
    fn domains(&mut self) {
        if !self.settings.rare.domains {
            return;
        }
        for (index, external) in self.world.externals.iter_mut().enumerate() {
            if external.name.is_some() {
                external.name = Some(domain(index as u64, self.world.seed));
            }
        }
    }

    /// Edges that are used from once an hour to once in two months.
    fn rare(&mut self) {
        let knobs = &self.settings.rare;
        let count = (knobs.edges * self.workloads as f64) as usize;
        for _ in 0..count {
            let rate = 1.0 / self.random.log_uniform(knobs.often.0, knobs.seldom.0);
            let outside = self.random.chance(knobs.outside.0);
            let call = if outside {
                self.some_workload().map(|from| {
                    let to = self.external(Called::Drawn);
                    self.world.calls.push(Call::Outside {
                        from: from as usize,
                        to,
                    });
                    self.world.calls.len() - 1
                })
            } else {
                self.new_call()
            };
            if let Some(call) = call {
                self.plan.rare.push(Rare {
                    call,
                    rate: rate / 1e9,
                });
            }
        }
    }

    /// A workload of the applications.
    fn some_workload(&mut self) -> Option<u32> {
        (self.workloads > 1).then(|| 1 + self.random.below(self.workloads - 1) as u32)
    }

    /// A workload that others call.
    fn some_server(&mut self) -> Option<u32> {
        let random = &mut self.random;
        let servers = self.world.workloads.iter().enumerate().skip(1);
        let servers: Vec<u32> = servers
            .take(self.workloads.saturating_sub(1))
            .filter(|(_, workload)| workload.tier != Tier::Entry)
            .map(|(index, _)| index as u32)
            .collect();
        random.pick(&servers)
    }

    /// A workload that users come to.
    fn some_entry(&mut self) -> Option<u32> {
        let entries = self.world.workloads.iter().enumerate().skip(1);
        let entries: Vec<u32> = entries
            .take(self.workloads.saturating_sub(1))
            .filter(|(_, workload)| workload.tier == Tier::Entry)
            .map(|(index, _)| index as u32)
            .collect();
        self.random.pick(&entries)
    }

    /// A call between two workloads that do not call each other yet. Policies let it pass
    /// from the beginning: they are merged before the code.
    fn new_call(&mut self) -> Option<usize> {
        let from = self.some_workload()?;
        self.new_call_of(from)
    }

    fn new_call_of(&mut self, from: u32) -> Option<usize> {
        for _ in 0..20 {
            let to = self.some_server()?;
            if to != from && self.calls.insert((from, to)) {
                return Some(self.call(from, to));
            }
        }
        None
    }

    fn call(&mut self, from: u32, to: u32) -> usize {
        self.calls.insert((from, to));
        self.world.calls.push(Call::Inside {
            from: from as usize,
            to: to as usize,
        });
        self.world.calls.len() - 1
    }

    /// A further address outside.
    fn external(&mut self, name: Called) -> usize {
        let index = self.world.externals.len();
        let octets = [
            11 + self.random.below(89) as u8,
            self.random.below(256) as u8,
            self.random.below(256) as u8,
            1 + self.random.below(254) as u8,
        ];
        let name = match name {
            Called::Drawn => Some(domain(index as u64, self.world.seed)),
            Called::Nothing => None,
            Called::This(name) => Some(name.into()),
        };
        self.world.externals.push(External {
            name,
            address: IpAddr::V4(Ipv4Addr::from(octets)),
        });
        self.plan.plain_externals.insert(index);
        index
    }

    /// A further workload.
    fn workload(&mut self, namespace: usize, name: &str, like: Option<usize>, port: u16) -> u32 {
        let pair = |key: &str, value: &str| (Arc::from(key), Arc::from(value));
        let index = self.world.workloads.len() as u32;
        let workload = match like {
            Some(like) => Workload {
                namespace,
                replicas: 1,
                ..self.world.workloads[like].clone()
            },
            None => Workload {
                namespace,
                name: name.into(),
                tier: Tier::Leaf,
                labels: vec![pair("app.kubernetes.io/name", name)],
                port: NamedPort {
                    name: "main".into(),
                    port,
                    protocol: 6,
                },
                replicas: 1,
            },
        };
        self.world.workloads.push(workload);
        self.world.size.policies += 2;
        index
    }

    fn namespace(&mut self, name: &str) -> usize {
        let pair = |key: &str, value: &str| (Arc::from(key), Arc::from(value));
        self.world.namespaces.push(Namespace {
            name: name.into(),
            labels: vec![
                pair("kubernetes.io/metadata.name", name),
                pair("team", "violet"),
            ],
        });
        self.world.namespaces.len() - 1
    }

    /// A time of the span, of the part after `after` seconds.
    fn time_after(&mut self, after: f64) -> Option<i64> {
        let from = self.start.saturating_add((after * 1e9) as i64);
        (from < self.end).then(|| from + (self.random.unit() * (self.end - from) as f64) as i64)
    }

    /// Times of a Poisson process of `rate` a week.
    fn times(&mut self, rate: f64) -> Vec<i64> {
        let mut times = Vec::new();
        let mut at = self.start as f64;
        loop {
            at += self.random.exponential() / rate.max(1e-9) * (7 * DAY) as f64;
            if at >= self.end as f64 {
                return times;
            }
            times.push(at as i64);
        }
    }

    fn change(&mut self, at: i64, seconds: f64, what: What) {
        let end = at.saturating_add((seconds * 1e9) as i64).min(self.end);
        self.plan.changes.push(Change { at, end, what });
    }
}
