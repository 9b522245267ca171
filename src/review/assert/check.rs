//! Whether a declaration holds, by the policies alone.
//!
//! Owns who is asked about, and in which order: who is known first, as they show best; then
//! whoever there could be. What the called end lets in is asked before what the caller is
//! let out, as it leaves few who matter.

use std::collections::BTreeSet;

use super::court::{Court, Fate, Somebody};
use super::possible::OTHER;
use super::who::{People, Term};
use super::{Assertion, Checked, Holds};
use crate::connection::Computed;
use crate::engine::{Policies, Rule};
use crate::flow::Protocol;
use crate::inventory::Label;
use crate::policy::{Direction, Verdict};

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
                        Fate::Denied(said) => {
                            let why = format!("{} does not reach {}", caller.name, called.name);
                            return (Holds::Refuted, why, self.rules(&[said]));
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
                        Fate::Passes(said) => {
                            let rules = self.rules(&said);
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
                            Some(Computed {
                                verdict: Verdict::DeniedByRule | Verdict::DeniedByDefault,
                                ..
                            })
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

/// Adds keys with their values, each once.
pub(in crate::review) fn extend(keys: &mut super::Keys, more: super::Keys) {
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
