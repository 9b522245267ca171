//! The policies before, with the plan, and the plan's alone, made ready to answer.
//!
//! Owns compiling the three and both sides of a connection together.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cast::{Cast, Somebody};
use super::{Plan, Scene};
use crate::engine::Rule;
use crate::inventory::Identity;
use crate::manifest::{self, Document};
use crate::policy::{
    Cause, Compiled, Decision, Direction, IdentityIndex, PolicyEntry, PolicySet, Port, Protocol,
    Verdict,
};
use crate::respond::layout::Page;

/// Which policies are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Those in force.
    Before,
    /// These and the plan's.
    After,
    /// The plan's alone.
    Alone,
}

/// Where somebody is in each set; before and after he may be another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    before: IdentityIndex,
    after: IdentityIndex,
    alone: IdentityIndex,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Both sides let it, one of them perhaps with an authenticated session only.
    Passes,
    /// One of them denies it.
    Denied,
    /// It cannot be told.
    Unknown(Cause),
}

/// What becomes of a connection, and what the subject's own side says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) fate: Fate,
    /// `None` where it is no endpoint.
    pub(super) own: Option<Decision>,
    /// Whether a rule of either side denies it, so that no other policy can open it.
    pub(super) by_rule: bool,
}

/// Three sets.
pub(super) struct Bench {
    before: Compiled,
    after: Compiled,
    alone: Compiled,
    strict: bool,
    pub(super) subjects: Vec<Seat>,
    pub(super) peers: Vec<Seat>,
    pub(super) questions: u64,
    /// Numbers of ports that have names.
    named: BTreeSet<u16>,
}

/// Where spans of ports begin that rules tell apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Starts {
    pub(super) ports: BTreeSet<u16>,
    pub(super) types: BTreeSet<u16>,
}

/// The documents of a plan, as they are read back.
pub(super) fn documents(plan: &Plan) -> Vec<Document> {
    let read = |text: &str| manifest::read(text, Page::Quarantine.file().into()).documents;
    plan.manifests
        .iter()
        .flat_map(|manifest| read(&manifest.text))
        .collect()
}

impl Bench {
    pub(super) fn new(plan: &Plan, scene: &Scene<'_>, cast: &Cast) -> Self {
        let cluster = scene.known.cluster();
        let policies = scene.policies;
        let options = policies.options_of(cluster);
        let documents = documents(plan);
        let set = policies.set(cluster);
        let with = Arc::new(set.with(&documents, &options));
        let only = Arc::new(PolicySet::default().with(&documents, &options));
        let compiled = policies.cluster(cluster);
        let compiled = compiled.read();
        let mut bench = Self {
            before: compiled.with_set(set),
            after: compiled.with_set(with),
            alone: compiled.with_set(only),
            strict: policies.strict(),
            subjects: Vec::new(),
            peers: Vec::new(),
            questions: 0,
            named: BTreeSet::new(),
        };
        drop(compiled);
        let all = cast.subjects.iter().chain(&cast.peers);
        bench.named = all
            .flat_map(|one| &one.before.named_ports)
            .map(|port| port.port)
            .collect();
        bench.subjects = cast.subjects.iter().map(|one| bench.seat(one)).collect();
        bench.peers = cast.peers.iter().map(|one| bench.seat(one)).collect();
        bench
    }

    /// Adds somebody.
    pub(super) fn seat(&mut self, one: &Somebody) -> Seat {
        let put = |compiled: &mut Compiled, identity: &Identity| {
            if one.outside {
                compiled.outside(identity)
            } else {
                compiled.add(identity)
            }
        };
        Seat {
            before: put(&mut self.before, &one.before),
            after: put(&mut self.after, &one.after),
            alone: put(&mut self.alone, &one.after),
        }
    }

    pub(super) fn compiled(&self, when: When) -> &Compiled {
        match when {
            When::Before => &self.before,
            When::After => &self.after,
            When::Alone => &self.alone,
        }
    }

    /// What becomes of a connection between a subject and a peer; `direction` is seen from
    /// the subject.
    pub(super) fn ask(
        &mut self,
        when: When,
        subject: Seat,
        direction: Direction,
        peer: Seat,
        target: (u8, u16),
    ) -> Said {
        let own = self.side(when, subject, direction, peer, target);
        let other = self.side(when, peer, opposite(direction), subject, target);
        let mut fate = Fate::Passes;
        for decision in [own, other].into_iter().flatten() {
            match decision.verdict {
                Verdict::DeniedByRule | Verdict::DeniedByDefault => {
                    fate = Fate::Denied;
                    break;
                }
                Verdict::Unknown(cause) => fate = Fate::Unknown(cause),
                Verdict::Allowed | Verdict::Redirected | Verdict::AuthRequired => {}
            }
        }
        let by_rule = [own, other]
            .into_iter()
            .flatten()
            .any(|decision| decision.verdict == Verdict::DeniedByRule);
        Said { fate, own, by_rule }
    }

    /// What one side says; `None` where it is no endpoint.
    pub(super) fn side(
        &mut self,
        when: When,
        subject: Seat,
        direction: Direction,
        peer: Seat,
        (protocol, port): (u8, u16),
    ) -> Option<Decision> {
        let (subject, peer) = (subject.at(when), peer.at(when));
        if !self.compiled(when).is_endpoint(subject) {
            return None;
        }
        self.questions += 1;
        let decision = self
            .compiled(when)
            .decide(subject, direction, peer, protocol, port);
        Some(if self.strict {
            decision.strict()
        } else {
            decision
        })
    }

    /// The rules behind a decision.
    pub(super) fn rules(&self, when: When, decision: &Decision) -> Vec<Rule> {
        let compiled = self.compiled(when);
        let mut rules: Vec<Rule> = compiled
            .rules(decision.rules)
            .iter()
            .filter_map(|origin| Rule::of(compiled.set(), *origin))
            .collect();
        rules.sort();
        rules.dedup();
        rules
    }

    /// Entries that select somebody.
    pub(super) fn entries(
        &self,
        when: When,
        seat: Seat,
        direction: Direction,
    ) -> Vec<&PolicyEntry> {
        let compiled = self.compiled(when);
        let index = seat.at(when);
        if !compiled.is_endpoint(index) {
            return Vec::new();
        }
        let entries = compiled.selecting(index, direction).into_iter();
        entries
            .filter_map(|at| compiled.set().entries.get(at as usize))
            .collect()
    }

    /// Where spans of ports begin that the rules of somebody tell apart.
    pub(super) fn starts(&self, seat: Seat, direction: Direction) -> Starts {
        let mut starts = Starts::default();
        starts.ports.insert(1);
        starts.types.insert(0);
        for port in &self.named {
            starts.ports.insert(*port);
            starts.ports.extend(port.checked_add(1));
        }
        for when in [When::Before, When::After] {
            for entry in self.entries(when, seat, direction) {
                for port in entry.ports.iter().flat_map(|rule| &rule.ports) {
                    let Port::Number(first) = port.port else {
                        continue;
                    };
                    let last = port.end_port.max(first);
                    if matches!(port.protocol, Protocol::Icmp | Protocol::IcmpV6) {
                        starts.types.insert(first);
                        starts.types.extend(last.checked_add(1));
                    } else {
                        starts.ports.insert(first.max(1));
                        starts.ports.extend(last.checked_add(1));
                    }
                }
            }
        }
        starts
    }
}

impl Seat {
    fn at(self, when: When) -> IdentityIndex {
        match when {
            When::Before => self.before,
            When::After => self.after,
            When::Alone => self.alone,
        }
    }
}

pub(super) fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    }
}
