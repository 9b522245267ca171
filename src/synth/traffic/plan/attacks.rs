//! Incidents before they have a place.
//!
//! Owns when each is, how loud, and what the world must have for it: addresses outside with
//! and without a name, an identity that is not what it says.

use std::sync::Arc;

use super::super::incident::Kind;
use super::super::wanted::{Given, Wanted};
use super::{Called, Planner, Relabelled};

/// Names of pools for mining that public lists have.
const POOLS: [&str; 4] = [
    "pool.supportxmr.com",
    "xmr-eu1.nanopool.org",
    "pool.minexmr.com",
    "mine.xmrpool.net",
];

/// An incident that is going to be.
#[derive(Clone, Debug)]
pub(in super::super) struct Sketch {
    pub(in super::super) kind: Kind,
    pub(in super::super) at: i64,
    pub(in super::super) intensity: f64,
    /// Whether policies let it through, where there is a choice.
    pub(in super::super) allowed: bool,
    /// As `namespace/name`.
    pub(in super::super) workload: Option<String>,
    pub(in super::super) knobs: Vec<(String, Given)>,
    /// Externals that only it uses: with a name, without, and a pool.
    pub(in super::super) named: usize,
    pub(in super::super) bare: usize,
    pub(in super::super) pool: usize,
    /// Calls that policies know and nobody makes: from whom to which entry.
    pub(in super::super) web: Vec<(u32, u32)>,
    /// Member and variant of a masquerade.
    pub(in super::super) mask: Option<(u32, u32)>,
}

impl Planner<'_> {
    pub(super) fn attacks(&mut self) {
        let mut wanted = self.settings.incidents.list.clone();
        for (kind, count) in Kind::ALL.iter().zip(self.settings.incidents.counts) {
            wanted.extend((0..count.0).map(|_| Wanted::any(*kind)));
        }
        for wanted in wanted {
            self.attack(wanted);
        }
    }

    fn attack(&mut self, wanted: Wanted) {
        let knobs = self.settings.incidents.knobs.clone();
        let (low, high) = (knobs.intensity_low.0, knobs.intensity_high.0);
        let drawn = self.random.between(low, high);
        let within = self.random.unit();
        let allowed = self.random.chance(knobs.allowed.0);
        let kind = wanted.kind;
        let at = match wanted.at {
            Some(at) => self.start.saturating_add(at.nanos()),
            // What poisons a baseline is there when it is learned.
            None if kind == Kind::A15 => self.start + super::SECOND,
            None => {
                let from = self.start.saturating_add(knobs.after.nanos());
                // What takes long begins early enough to be seen.
                let share = match kind {
                    Kind::A4 | Kind::A13 => 0.6,
                    _ => 0.9,
                };
                let left = self.end.saturating_sub(from) as f64;
                from.saturating_add((left * share * within) as i64)
            }
        };
        if at >= self.end {
            return;
        }
        let named = self.external(Called::Drawn);
        let bare = self.external(Called::Nothing);
        let pool = if kind == Kind::A10 {
            let pool = POOLS[self.random.below(POOLS.len())];
            self.external(Called::This(pool))
        } else {
            named
        };
        let mask = (kind == Kind::A16).then(|| self.mask(&wanted)).flatten();
        let web = if kind == Kind::A11 {
            self.web(&wanted)
        } else {
            Vec::new()
        };
        self.plan.incidents.push(Sketch {
            kind,
            at,
            intensity: wanted.intensity.unwrap_or(drawn),
            allowed: wanted.allowed.unwrap_or(allowed),
            workload: wanted.workload,
            knobs: wanted.knobs,
            named,
            bare,
            pool,
            web,
            mask,
        });
    }

    /// Entries that one workload may call, so that it can try passwords there.
    fn web(&mut self, wanted: &Wanted) -> Vec<(u32, u32)> {
        let Some(from) = self.named(wanted).or_else(|| self.some_workload()) else {
            return Vec::new();
        };
        let mut web = Vec::new();
        for _ in 0..4 {
            let entry = self.some_entry().filter(|to| *to != from);
            let Some(to) = entry.filter(|to| !self.calls.contains(&(from, *to))) else {
                continue;
            };
            let call = self.call(from, to);
            self.plan.dormant.insert(call);
            web.push((from, to));
        }
        web
    }

    /// The workload that is named as a foothold.
    fn named(&self, wanted: &Wanted) -> Option<u32> {
        let name = wanted.workload.as_deref()?;
        let is = |at: &usize| {
            let workload = &self.world.workloads[*at];
            let namespace = &self.world.namespaces[workload.namespace].name;
            name == format!("{namespace}/{}", workload.name)
        };
        (1..self.workloads).find(is).map(|at| at as u32)
    }

    /// A pod that has labels of another application, or its service account.
    fn mask(&mut self, wanted: &Wanted) -> Option<(u32, u32)> {
        const ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
        let member = match self.named(wanted) {
            Some(member) => member,
            None => self.some_workload()?,
        };
        let victim = self.some_server().filter(|victim| *victim != member)?;
        let victim = self.world.workloads[victim as usize].clone();
        let account: (Arc<str>, Arc<str>) = (ACCOUNT.into(), victim.name.clone());
        let mut labels = vec![account];
        if self.random.chance(0.5) {
            labels = victim.labels;
        }
        let variant = self.relabel(Relabelled {
            member,
            name: None,
            labels,
        });
        Some((member, variant))
    }
}
