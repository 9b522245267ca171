//! Whether a declaration holds, by the policies alone.
//!
//! Owns who is asked about, and in which order: who is known first, as they show best; then
//! whoever there could be. What the called end lets in is asked before what the caller is
//! let out, as it leaves few who matter.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::possible::{OTHER, addresses, peer_keys, pods, ports, subject_keys};
use super::who::{People, Term};
use super::{Assertion, Checked, Holds};
use crate::connection::Computed;
use crate::engine::{ClusterPolicies, Policies, Rule, Ruling};
use crate::flow::Protocol;
use crate::inventory::{Identity, Label};
use crate::policy::{Cause, Direction, IdentityIndex, PolicyEntry, Verdict};

/// Questions of one declaration.
const MOST_QUESTIONS: u64 = 4_000_000;
/// TCP, UDP, SCTP, and echo requests.
const PROTOCOLS: [u8; 3] = [6, 17, 132];
const PINGS: [(u8, u16); 2] = [(1, 8), (58, 128)];

/// Checks declarations by the policies of a cluster.
#[must_use]
pub fn check(assertions: &[Assertion], policies: &Policies, people: &People) -> Vec<Checked> {
    let cluster = policies.cluster(people.cluster.as_deref());
    let place = policies.place(&cluster);
    assertions
        .iter()
        .map(|assertion| {
            let mut court = Court {
                policies,
                cluster: &cluster,
                place,
                people,
                questions: 0,
            };
            let (by_policies, why, rules) = court.judge(assertion);
            Checked {
                assertion: assertion.clone(),
                by_policies,
                why,
                rules,
                questions: court.questions,
                by_history: None,
            }
        })
        .collect()
}

/// What came of it, who shows it or why not, and the rules.
type Finding = (Holds, String, Vec<Rule>);

/// Somebody who takes part.
#[derive(Clone, Debug)]
struct Somebody {
    name: String,
    identity: Identity,
    index: IdentityIndex,
    is_endpoint: bool,
}

/// What becomes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Passes(Vec<Rule>),
    Denied(Vec<Rule>),
    Unknown(Cause),
    NeedsAuthentication,
}

struct Court<'a> {
    policies: &'a Policies,
    cluster: &'a Arc<ClusterPolicies>,
    place: u32,
    people: &'a People,
    questions: u64,
}

impl Court<'_> {
    fn judge(&mut self, assertion: &Assertion) -> Finding {
        let (from, to) = (
            self.known(&assertion.from, false),
            self.known(&assertion.to, true),
        );
        for (term, known) in [(&assertion.from, &from), (&assertion.to, &to)] {
            if known.is_empty() && (assertion.reaches || matches!(term, Term::Workload(..))) {
                let why =
                    format!("nobody is known of {term}: give the manifests, or flows that show it");
                return (Holds::Undecided, why, Vec::new());
            }
        }
        if assertion.reaches {
            return self.all_reach(assertion, &from, &to);
        }
        let mut doubt: Option<String> = None;
        if let Some(found) = self.somebody_reaches(assertion, &from, &to, &mut doubt) {
            return found;
        }
        if let Some(found) = self.anybody_reaches(assertion, &from, &to, &mut doubt) {
            return found;
        }
        match doubt {
            Some(why) => (Holds::Undecided, why, Vec::new()),
            None => (Holds::Proven, String::new(), Vec::new()),
        }
    }

    /// Every known caller reaches every known called end.
    fn all_reach(&mut self, assertion: &Assertion, from: &[Somebody], to: &[Somebody]) -> Finding {
        let mut doubt: Option<String> = None;
        let protocols: Vec<u8> = match assertion.port {
            Some((_, Some(protocol))) => number(protocol).into_iter().collect(),
            _ => vec![6],
        };
        let port = assertion.port.map_or(0, |(port, _)| port);
        for caller in from {
            for called in to.iter().filter(|called| called.index != caller.index) {
                for protocol in &protocols {
                    match self.fate(caller, called, (*protocol, port)) {
                        Fate::Passes(_) => {}
                        Fate::Denied(rules) => {
                            let why = format!("{} does not reach {}", caller.name, called.name);
                            return (Holds::Refuted, why, rules);
                        }
                        Fate::Unknown(cause) => {
                            doubt.get_or_insert_with(|| {
                                format!("{} to {}: unknown ({cause})", caller.name, called.name)
                            });
                        }
                        Fate::NeedsAuthentication => {
                            doubt.get_or_insert_with(|| {
                                format!(
                                    "{} reaches {} with an authenticated session only",
                                    caller.name, called.name
                                )
                            });
                        }
                    }
                }
            }
        }
        match doubt {
            Some(why) => (Holds::Undecided, why, Vec::new()),
            None => (Holds::Proven, String::new(), Vec::new()),
        }
    }

    /// Somebody of those reaches somebody of these.
    fn somebody_reaches(
        &mut self,
        assertion: &Assertion,
        from: &[Somebody],
        to: &[Somebody],
        doubt: &mut Option<String>,
    ) -> Option<Finding> {
        for called in to {
            let inward = self.ports_of(called, Direction::Ingress);
            for caller in from.iter().filter(|caller| caller.index != called.index) {
                let mut ports = self.ports_of(caller, Direction::Egress);
                ports.extend(&inward);
                for (protocol, port) in targets(assertion, &ports) {
                    if self.questions > MOST_QUESTIONS {
                        doubt.get_or_insert_with(too_many);
                        return None;
                    }
                    match self.fate(caller, called, (protocol, port)) {
                        Fate::Denied(_) => {}
                        Fate::Passes(rules) => {
                            let why = format!(
                                "{} reaches {} on {}",
                                caller.name,
                                called.name,
                                shown(protocol, port)
                            );
                            return Some((Holds::Refuted, why, rules));
                        }
                        Fate::Unknown(cause) => {
                            doubt.get_or_insert_with(|| {
                                format!(
                                    "{} to {} on {}: unknown ({cause})",
                                    caller.name,
                                    called.name,
                                    shown(protocol, port)
                                )
                            });
                        }
                        Fate::NeedsAuthentication => {
                            doubt.get_or_insert_with(|| {
                                format!(
                                    "{} reaches {} on {} with an authenticated session",
                                    caller.name,
                                    called.name,
                                    shown(protocol, port)
                                )
                            });
                        }
                    }
                }
            }
        }
        None
    }

    /// The same of whoever there could be.
    fn anybody_reaches(
        &mut self,
        assertion: &Assertion,
        from: &[Somebody],
        to: &[Somebody],
        doubt: &mut Option<String>,
    ) -> Option<Finding> {
        let open = |term: &Term| {
            matches!(
                term,
                Term::Anything | Term::Cluster | Term::Namespace(_) | Term::Labels(..)
            )
        };
        // Whoever could be called: told apart by the policies they would be under and by
        // what callers ask for.
        let mut called_ones = to.to_vec();
        if open(&assertion.to) {
            let mut keys = self.subject_keys();
            for caller in from {
                extend(&mut keys, self.keys_of(caller, Direction::Egress));
            }
            match self.possible(&assertion.to, &keys, &[]) {
                Some(more) => called_ones.extend(more),
                None => {
                    doubt.get_or_insert_with(|| too_many_pods(&assertion.to));
                }
            }
            let found = self.somebody_reaches(assertion, from, &called_ones[to.len()..], doubt);
            if found.is_some() {
                return found;
            }
        }
        if !open(&assertion.from) {
            return None;
        }
        for called in &called_ones {
            // First by what the called end tells apart.
            let keys = self.keys_of(called, Direction::Ingress);
            let Some(callers) = self.possible(&assertion.from, &keys, &[]) else {
                doubt.get_or_insert_with(|| too_many_pods(&assertion.from));
                continue;
            };
            let ports = self.ports_of(called, Direction::Ingress);
            for caller in callers {
                let is_let_in = !called.is_endpoint
                    || targets(assertion, &ports).any(|(protocol, port)| {
                        !matches!(
                            self.side(called, &caller, Direction::Ingress, (protocol, port)),
                            Some((Verdict::DeniedByRule | Verdict::DeniedByDefault, _))
                        )
                    });
                if !is_let_in {
                    continue;
                }
                // Then by the policies that such a caller may be under.
                let asked = self.keys_of(called, Direction::Ingress);
                let labels = &caller.identity.labels;
                let is_there = |key: &str| labels.iter().any(|label| *label.key == *key);
                let mut keys = self.subject_keys();
                extend(&mut keys, asked.clone());
                // What the called end wants not to be there stays so.
                keys.retain(|(key, _)| {
                    is_there(key) || !asked.iter().any(|(known, _)| known == key)
                });
                // Any other value may be one that its own policies ask for.
                let fixed: Vec<Label> = labels
                    .iter()
                    .filter(|label| *label.value != *OTHER)
                    .cloned()
                    .collect();
                let one = std::slice::from_ref(called);
                let found =
                    self.somebody_reaches(assertion, std::slice::from_ref(&caller), one, doubt);
                if found.is_some() {
                    return found;
                }
                let Some(callers) = self.possible(&assertion.from, &keys, &fixed) else {
                    doubt.get_or_insert_with(|| too_many_pods(&assertion.from));
                    continue;
                };
                let found = self.somebody_reaches(assertion, &callers, one, doubt);
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// Everybody of a term who is known, or who is one of few.
    fn known(&self, term: &Term, called: bool) -> Vec<Somebody> {
        let mut known: Vec<Somebody> = self
            .people
            .meant(term)
            .map(|(name, identity)| self.somebody(name, identity, false))
            .collect();
        let outside = matches!(
            term,
            Term::World | Term::Anything | Term::Prefix(_) | Term::Name(_)
        );
        if outside {
            let set = self.cluster.read().set().clone();
            for identity in addresses(term, &set, called) {
                let address = identity.address.map(|address| address.to_string());
                let mut name = address.unwrap_or_default();
                if let Some(dns) = identity.names.first() {
                    name = format!("{dns} ({name})");
                }
                known.push(self.somebody(format!("world, such as {name},"), identity, true));
            }
        }
        let entities: &[&str] = match term {
            Term::Entity(name) => &[name],
            Term::Anything => &["host", "remote-node", "health", "ingress"],
            _ => &[],
        };
        for name in entities {
            let mut labels = vec![Label::new("reserved", name, "")];
            if *name == "kube-apiserver" {
                labels.push(Label::new("reserved", "remote-node", ""));
            }
            let number = match *name {
                "host" => 1,
                "health" => 4,
                "init" => 5,
                "remote-node" => 6,
                "kube-apiserver" => 7,
                "ingress" => 8,
                _ => 3,
            };
            let identity = Identity {
                number,
                labels,
                ..Identity::default()
            };
            known.push(self.somebody((*name).to_owned(), identity, false));
        }
        known
    }

    fn possible(&self, term: &Term, keys: &super::Keys, fixed: &[Label]) -> Option<Vec<Somebody>> {
        let cluster = self.policies.options_of(self.people.cluster.as_deref());
        let identities = pods(term, keys, fixed, &cluster.cluster_name)?;
        let somebody = |identity: Identity| {
            let labels: Vec<String> = identity
                .labels
                .iter()
                .filter(|label| !label.key.starts_with("io.cilium."))
                .map(|label| format!("{}={}", label.key, label.value))
                .collect();
            let name = format!("a pod with {}", labels.join(","));
            self.somebody(name, identity, false)
        };
        Some(identities.into_iter().map(somebody).collect())
    }

    fn somebody(&self, name: String, identity: Identity, outside: bool) -> Somebody {
        let index = self.cluster.index(identity.clone(), outside);
        Somebody {
            name,
            identity,
            index,
            is_endpoint: self.cluster.read().is_endpoint(index),
        }
    }

    fn entries_of(&self, one: &Somebody, direction: Direction) -> Vec<PolicyEntry> {
        if !one.is_endpoint {
            return Vec::new();
        }
        let compiled = self.cluster.read();
        compiled
            .selecting(one.index, direction)
            .into_iter()
            .filter_map(|index| compiled.set().entries.get(index as usize).cloned())
            .collect()
    }

    fn keys_of(&self, one: &Somebody, direction: Direction) -> super::Keys {
        peer_keys(self.entries_of(one, direction).iter())
    }

    fn subject_keys(&self) -> super::Keys {
        subject_keys(self.cluster.read().set())
    }

    fn ports_of(&self, one: &Somebody, direction: Direction) -> BTreeSet<u16> {
        let named = self.policies.inventory().workloads.iter();
        let named = named.flat_map(|workload| &workload.spec.named_ports);
        ports(
            self.entries_of(one, direction).iter(),
            named.map(|port| port.port),
        )
    }

    /// Both sides together.
    fn fate(&mut self, caller: &Somebody, called: &Somebody, target: (u8, u16)) -> Fate {
        let sides = [
            (caller, called, Direction::Egress),
            (called, caller, Direction::Ingress),
        ];
        let mut passed = Vec::new();
        let mut doubt = None;
        for (subject, peer, direction) in sides {
            let Some((verdict, rules)) = self.side(subject, peer, direction, target) else {
                continue;
            };
            match verdict {
                Verdict::DeniedByRule | Verdict::DeniedByDefault => return Fate::Denied(rules),
                Verdict::Unknown(cause) => doubt = Some(Fate::Unknown(cause)),
                Verdict::AuthRequired => {
                    doubt.get_or_insert(Fate::NeedsAuthentication);
                }
                Verdict::Allowed | Verdict::Redirected => passed.extend(rules),
            }
        }
        doubt.unwrap_or(Fate::Passes(passed))
    }

    fn side(
        &mut self,
        subject: &Somebody,
        peer: &Somebody,
        direction: Direction,
        (protocol, port): (u8, u16),
    ) -> Option<(Verdict, Vec<Rule>)> {
        if !subject.is_endpoint {
            return None;
        }
        self.questions += 1;
        let mut decision =
            self.cluster
                .read()
                .decide(subject.index, direction, peer.index, protocol, port);
        if self.policies.strict() {
            decision = decision.strict();
        }
        let computed = Computed {
            cluster: self.place,
            subject: subject.index,
            decision,
            verdict: decision.verdict,
        };
        let rules = Ruling::of(self.policies, &computed, direction).rules;
        Some((decision.verdict, rules))
    }
}

/// What is asked about: the port that was named, or one of each kind.
fn targets<'a>(
    assertion: &'a Assertion,
    ports: &'a BTreeSet<u16>,
) -> impl Iterator<Item = (u8, u16)> + 'a {
    let named = assertion.port;
    let of_ports = PROTOCOLS.into_iter().flat_map(move |protocol| {
        let wanted = named
            .and_then(|(_, protocol)| protocol)
            .and_then(number)
            .is_none_or(|wanted| wanted == protocol);
        let one = named.map(|(port, _)| port);
        let all = ports.iter().copied().filter(move |_| one.is_none());
        all.chain(one)
            .filter(move |_| wanted)
            .map(move |port| (protocol, port))
    });
    let pings = PINGS.into_iter().filter(move |_| named.is_none());
    of_ports.chain(pings)
}

fn number(protocol: Protocol) -> Option<u8> {
    match protocol {
        Protocol::Tcp => Some(6),
        Protocol::Udp => Some(17),
        Protocol::Sctp => Some(132),
        _ => None,
    }
}

fn shown(protocol: u8, port: u16) -> String {
    match protocol {
        6 => format!("{port}/TCP"),
        17 => format!("{port}/UDP"),
        132 => format!("{port}/SCTP"),
        _ => "ICMP".to_owned(),
    }
}

fn extend(keys: &mut super::Keys, more: super::Keys) {
    for (key, values) in more {
        match keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => {
                known.extend(values);
                known.sort();
                known.dedup();
            }
            None => keys.push((key, values)),
        }
    }
}

fn too_many() -> String {
    "there are more questions than are asked".to_owned()
}

fn too_many_pods(term: &Term) -> String {
    format!("policies tell more kinds of pods of {term} apart than are asked about")
}
