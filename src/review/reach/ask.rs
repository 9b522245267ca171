//! Asking policies about everybody.
//!
//! Owns who is asked about, and putting together answers about the same peer. Outside, an
//! address is asked about for each part that policies tell apart, and a name with one
//! address, as a name's rules do not ask for the address.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ports::{joined, ranges};
use super::{Open, PortRange, Reach, Subject, Whom};
use crate::engine::{Policies, Rule};
use crate::flow::Protocol;
use crate::policy::Direction;
use crate::review::assert::check::extend;
use crate::review::assert::court::{Court, Fate, Said, Somebody};
use crate::review::assert::possible::addresses;
use crate::review::assert::who::{ENTITIES, People, Term};

/// Questions of one direction.
const MOST_QUESTIONS: u64 = 4_000_000;
/// Kinds of pods that are shown.
const SHOWN: usize = 5;
/// Rules of one peer that are named.
const MOST_RULES: usize = 4;
/// Layer 4 as policies number it.
const PROTOCOLS: [(u8, Protocol); 3] = [
    (6, Protocol::Tcp),
    (17, Protocol::Udp),
    (132, Protocol::Sctp),
];
/// Echo requests: protocol, type.
const PINGS: [(u8, u16, Protocol); 2] = [(1, 8, Protocol::Icmpv4), (58, 128, Protocol::Icmpv6)];

/// Asks about these subjects together: what one of them may reach, they may.
#[must_use]
pub fn reach(subjects: &[Subject], policies: &Policies, people: &People) -> Reach {
    let cluster = policies.cluster(people.cluster());
    let place = policies.place(&cluster);
    let mut court = Court {
        policies,
        cluster: &cluster,
        place,
        people,
        questions: 0,
    };
    let mut reach = Reach::default();
    let subjects: Vec<Somebody> = subjects
        .iter()
        .map(|one| court.somebody(one.name.clone(), one.identity.clone(), one.outside))
        .collect();
    for (direction, out) in [(Direction::Egress, true), (Direction::Ingress, false)] {
        let mut asking = Asking {
            court: &mut court,
            direction,
            points: BTreeSet::new(),
            open: BTreeMap::new(),
            limits: &mut reach.limits,
            asked: 0,
        };
        for subject in &subjects {
            asking.everybody(subject);
        }
        let open = asking.finish();
        if out {
            reach.out = open;
        } else {
            reach.inward = open;
        }
    }
    reach.limits.sort();
    reach.limits.dedup();
    reach
}

/// One direction.
struct Asking<'a, 'b> {
    court: &'a mut Court<'b>,
    direction: Direction,
    /// Ports that the rules of the subject tell apart.
    points: BTreeSet<u16>,
    open: BTreeMap<Whom, Answer>,
    limits: &'a mut Vec<String>,
    asked: u64,
}

/// What was answered about one peer.
#[derive(Clone, Debug, Default)]
struct Answer {
    ports: Vec<PortRange>,
    unknown: Vec<PortRange>,
    cause: String,
    said: Vec<Said>,
}

impl Answer {
    fn is_nothing(&self) -> bool {
        self.ports.is_empty() && self.unknown.is_empty()
    }

    fn is_as(&self, other: &Self) -> bool {
        self.ports == other.ports && self.unknown == other.unknown
    }

    fn merge(&mut self, other: Self) {
        self.ports = joined([std::mem::take(&mut self.ports), other.ports].concat());
        self.unknown = joined([std::mem::take(&mut self.unknown), other.unknown].concat());
        if self.cause.is_empty() {
            self.cause = other.cause;
        }
        for said in other.said {
            if self.said.len() < MOST_RULES && !self.said.contains(&said) {
                self.said.push(said);
            }
        }
    }
}

impl Asking<'_, '_> {
    fn everybody(&mut self, subject: &Somebody) {
        self.points = self.court.ports_of(subject, self.direction);
        let known: Vec<Somebody> = self.court.known(&Term::Cluster, true);
        for one in &known {
            // Pods of one kind call each other too.
            let answer = self.answer(subject, one);
            if let Some((namespace, name)) = one.name.split_once('/') {
                let whom = Whom::Workload {
                    namespace: namespace.into(),
                    name: name.into(),
                };
                self.take(whom, answer);
            }
        }
        for entity in ENTITIES {
            for one in self.court.known(&Term::Entity(entity), true) {
                let answer = self.answer(subject, &one);
                self.take(Whom::Entity(entity), answer);
            }
        }
        // What is outside and calls outside is nobody's here.
        if subject.is_endpoint {
            self.outside(subject);
        }
        self.possible(subject);
        if self.asked > MOST_QUESTIONS {
            self.limits.push(format!(
                "there are more questions about {} than are asked",
                subject.name
            ));
        }
    }

    /// What is outside: the same for all parts as the world, others one by one.
    fn outside(&mut self, subject: &Somebody) {
        let compiled = self.court.cluster.read();
        let set = compiled.set().clone();
        drop(compiled);
        let mut parts: Vec<(std::net::IpAddr, Answer)> = Vec::new();
        for identity in addresses(&Term::World, &set, false) {
            let Some(address) = identity.address else {
                continue;
            };
            let one = self.court.somebody(address.to_string(), identity, true);
            let answer = self.answer(subject, &one);
            parts.push((address, answer));
        }
        // What most of the address space gets stands for the world; the rest is told apart.
        let common = parts
            .iter()
            .find(|(address, _)| is_documentation(*address))
            .map(|(_, answer)| answer.clone())
            .unwrap_or_default();
        self.take(Whom::World, common.clone());
        for (address, answer) in parts {
            if !answer.is_as(&common) {
                self.take(Whom::Like(address), answer);
            }
        }
        if self.direction == Direction::Ingress {
            return;
        }
        let documentation = addresses(&Term::World, &set, true)
            .into_iter()
            .filter(|identity| identity.address.is_some_and(is_documentation));
        let mut names: Vec<Arc<str>> = Vec::new();
        for identity in documentation.filter(|identity| !identity.names.is_empty()) {
            let Some(name) = identity.names.first().cloned() else {
                continue;
            };
            if names.contains(&name) {
                continue;
            }
            names.push(name.clone());
            let one = self.court.somebody(name.to_string(), identity, true);
            let answer = self.answer(subject, &one);
            if !answer.is_as(&common) {
                self.take(Whom::Name(name), answer);
            }
        }
    }

    /// Pods that could be there: one of each kind that policies tell apart and that nobody
    /// known is of.
    fn possible(&mut self, subject: &Somebody) {
        let mut keys = self.court.subject_keys();
        extend(&mut keys, self.court.keys_of(subject, self.direction));
        let Some(kinds) = self.court.possible(&Term::Cluster, &keys, &[]) else {
            self.limits.push(
                "policies tell more kinds of pods apart than are asked about: pods that are not known are left out"
                    .to_owned(),
            );
            return;
        };
        let mut found = Answer::default();
        let mut some: Vec<String> = Vec::new();
        for one in kinds {
            if self.asked > MOST_QUESTIONS {
                break;
            }
            let answer = self.answer(subject, &one);
            if !answer.is_nothing() {
                some.push(one.name.clone());
                found.merge(answer);
            }
        }
        if !found.is_nothing() {
            let count = some.len();
            some.truncate(SHOWN);
            self.take(Whom::Possible(count, some), found);
        }
    }

    fn take(&mut self, whom: Whom, answer: Answer) {
        if !answer.is_nothing() {
            self.open.entry(whom).or_default().merge(answer);
        }
    }

    /// What passes between a subject and a peer.
    fn answer(&mut self, subject: &Somebody, peer: &Somebody) -> Answer {
        let mut answer = Answer::default();
        let other = match self.direction {
            Direction::Egress => Direction::Ingress,
            Direction::Ingress => Direction::Egress,
        };
        let mut points = self.points.clone();
        points.extend(self.court.ports_of(peer, other));
        let points: Vec<u16> = points.into_iter().collect();
        for (number, protocol) in PROTOCOLS {
            let fates: Vec<Fate> = points
                .iter()
                .map(|port| self.fate(subject, peer, (number, *port)))
                .collect();
            let fate = |port: u16| {
                let at = points.binary_search(&port).unwrap_or_default();
                &fates[at]
            };
            answer.ports.extend(ranges(protocol, &points, |port| {
                matches!(fate(port), Fate::Passes(_))
            }));
            answer.unknown.extend(ranges(protocol, &points, |port| {
                matches!(fate(port), Fate::Unknown(_) | Fate::NeedsAuthentication)
            }));
            for fate in fates {
                note(&mut answer, fate);
            }
        }
        for (number, kind, protocol) in PINGS {
            let fate = self.fate(subject, peer, (number, kind));
            let range = PortRange {
                protocol,
                first: kind,
                last: kind,
            };
            match &fate {
                Fate::Passes(_) => answer.ports.push(range),
                Fate::Unknown(_) | Fate::NeedsAuthentication => answer.unknown.push(range),
                Fate::Denied(_) => {}
            }
            note(&mut answer, fate);
        }
        answer
    }

    fn fate(&mut self, subject: &Somebody, peer: &Somebody, target: (u8, u16)) -> Fate {
        self.asked += 1;
        match self.direction {
            Direction::Egress => self.court.fate(subject, peer, target),
            Direction::Ingress => self.court.fate(peer, subject, target),
        }
    }

    fn finish(self) -> Vec<Open> {
        let Self { court, open, .. } = self;
        open.into_iter()
            .map(|(whom, answer)| {
                let mut rules: Vec<Rule> = court.rules(&answer.said);
                rules.sort();
                rules.dedup();
                Open {
                    whom,
                    ports: answer.ports,
                    unknown: answer.unknown,
                    cause: answer.cause,
                    rules,
                }
            })
            .collect()
    }
}

/// Notes the rules behind what passes, and why something is not known.
fn note(answer: &mut Answer, fate: Fate) {
    match fate {
        Fate::Passes(said) => {
            for one in said {
                let is_known = answer.said.iter().any(|(known, direction)| {
                    (known.decision.rules, *direction) == (one.0.decision.rules, one.1)
                });
                if answer.said.len() < MOST_RULES && !is_known {
                    answer.said.push(one);
                }
            }
        }
        Fate::Unknown(cause) if answer.cause.is_empty() => answer.cause = cause.to_string(),
        Fate::NeedsAuthentication if answer.cause.is_empty() => {
            "an authenticated session is asked for".clone_into(&mut answer.cause);
        }
        _ => {}
    }
}

/// Whether it is one of the addresses that stand for any outside.
fn is_documentation(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(address) => address.octets() == [198, 51, 100, 1],
        std::net::IpAddr::V6(_) => false,
    }
}
