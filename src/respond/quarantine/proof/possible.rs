//! Peers that nobody has seen and that could be there.
//!
//! Owns asking about them. First the plan's rules are asked alone: whoever these deny is
//! denied in any set of policies, as a deny goes before every allow, so that only the labels
//! and prefixes that the plan's rules ask for have to be told apart. Who is not denied by
//! these is asked about again, told apart by everything that the subject's rules ask for.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::Proof;
use super::answer::spans;
use super::bench::{Bench, Fate, Seat, Starts, When};
use super::cast::{CLUSTER, Cast, Somebody};
use super::doubt::{self, Doubt};
use super::sum::{Class, Leaks, Span};
use super::wanted::{Wanted, wanted};
use crate::connection::Peer;
use crate::inventory::{Identity, Label, UNNUMBERED};
use crate::policy::{Direction, PolicyEntry, Verdict};
use crate::respond::quarantine::manifest::Destination;
use crate::respond::quarantine::plan::{Plan, Subjects};
use crate::review::assert::{OTHER, Term, possible_addresses, possible_pods, selected_keys};

/// A cluster that no policy names.
const OTHER_CLUSTER: &str = "flowwatch-any-other";
/// Behind a name that is not where it was.
pub(super) const MOVED: &str = " at another address";
/// Subjects that are asked about one by one; the others of a plan that selects everybody
/// differ by nothing its rules ask for.
const MOST_SUBJECTS: usize = 256;

/// Asks about everybody there could be. Returns those who are in leaks and not known.
pub(super) fn check(
    bench: &mut Bench,
    cast: &Cast,
    plan: &Plan,
    proof: &mut Proof,
) -> Vec<Somebody> {
    let mut found = Vec::new();
    let mut leaks = Leaks::default();
    let subjects = bench.subjects.clone();
    let mut asked = BTreeSet::new();
    let by_plan = told_apart_by_plan(bench, plan);
    let by_all = OnceCell::new();
    for (seat, subject) in subjects.into_iter().zip(&cast.subjects).take(MOST_SUBJECTS) {
        for direction in [Direction::Ingress, Direction::Egress] {
            let rules: Vec<PolicyEntry> = bench
                .entries(When::Alone, seat, direction)
                .into_iter()
                .cloned()
                .collect();
            let mut round = Round {
                spans: spans(&bench.starts(seat, direction), &Starts::default()),
                bench,
                cast,
                plan,
                seat,
                subject,
                direction,
                leaks: &mut leaks,
                proof,
                asked: &mut asked,
                found: &mut found,
            };
            round.pods(&rules);
            round.addresses(&by_plan, &by_all);
        }
    }
    proof.possible_peers = asked.len() as u64;
    found.extend(detached(bench, cast, plan, &mut leaks, proof));
    leaks.into_lists(proof);
    found
}

/// An address that could be called, or a name.
struct Elsewhere {
    one: Somebody,
    seat: Seat,
    /// Whether it is the destination's name at another address.
    moved: bool,
}

impl Elsewhere {
    fn new(bench: &mut Bench, identity: Identity, moved: bool) -> Self {
        let one = outside(identity, moved);
        Self {
            seat: bench.seat(&one),
            one,
            moved,
        }
    }
}

/// Addresses that the plan's rules tell apart, and what its name stands for next.
fn told_apart_by_plan(bench: &mut Bench, plan: &Plan) -> Vec<Elsewhere> {
    let alone = bench.compiled(When::Alone).set().clone();
    let mut parts = possible_addresses(&Term::Anything, &alone, false);
    if let Some(Destination::Outside {
        name: Some(name),
        prefixes,
    }) = &plan.destination
    {
        let elsewhere = (1..=254)
            .map(|last| IpAddr::V4(Ipv4Addr::new(198, 51, 100, last)))
            .find(|address| !prefixes.iter().any(|prefix| prefix.contains(address)));
        parts.extend(elsewhere.map(|address| Identity {
            number: UNNUMBERED,
            address: Some(address),
            names: vec![name.clone()],
            names_complete: true,
            ..Identity::default()
        }));
    }
    parts
        .into_iter()
        .map(|part| {
            let moved = !part.names.is_empty();
            Elsewhere::new(bench, part, moved)
        })
        .collect()
}

/// Addresses and names that all policies together tell apart.
fn told_apart_by_all(bench: &mut Bench) -> Vec<Elsewhere> {
    let set = bench.compiled(When::After).set().clone();
    possible_addresses(&Term::Anything, &set, true)
        .into_iter()
        .map(|part| Elsewhere::new(bench, part, false))
        .collect()
}

/// A label that is put on a pod holds whatever other labels are taken away, as where it is to
/// leave its ReplicaSet or its Service.
fn detached(
    bench: &mut Bench,
    cast: &Cast,
    plan: &Plan,
    leaks: &mut Leaks,
    proof: &mut Proof,
) -> Option<Somebody> {
    let Subjects::Labelled { key } = plan.subjects else {
        return None;
    };
    let first = cast.subjects.first()?;
    let mut bare = first.clone();
    bare.name = format!("{} without its other labels", first.name);
    bare.after
        .labels
        .retain(|label| label.key.starts_with("io.") || &*label.key == key);
    let seat = bench.seat(&bare);
    for direction in [Direction::Ingress, Direction::Egress] {
        let starts = bench.starts(seat, direction);
        for (peer, other) in cast.peers.iter().zip(bench.peers.clone()) {
            if wanted(plan, &cast.cluster, direction, &bare, peer) != Wanted::Closed {
                continue;
            }
            for span in spans(&starts, &Starts::default()) {
                let target = (span.protocol, span.first);
                let said = bench.ask(When::After, seat, direction, other, target);
                let Some(own) = said.own.filter(|_| said.fate == Fate::Passes) else {
                    continue;
                };
                let rules = bench.rules(When::After, &own);
                let authenticated = own.verdict == Verdict::AuthRequired;
                let kind = (direction, Class::Open, rules, authenticated, true);
                leaks.add(kind, &bare.name, &peer.name, span);
            }
        }
    }
    proof.detached = true;
    Some(bare)
}

/// One subject in one direction.
struct Round<'a, 'b> {
    bench: &'a mut Bench,
    cast: &'a Cast,
    plan: &'a Plan,
    seat: Seat,
    subject: &'b Somebody,
    direction: Direction,
    /// Spans of ports that the subject's rules tell apart.
    spans: Vec<Span>,
    leaks: &'a mut Leaks,
    proof: &'a mut Proof,
    asked: &'a mut BTreeSet<String>,
    found: &'a mut Vec<Somebody>,
}

impl Round<'_, '_> {
    fn pods(&mut self, by_plan: &[PolicyEntry]) {
        let cluster = self.cast.cluster.clone();
        let other = vec![Label::new("k8s", CLUSTER, OTHER_CLUSTER)];
        let keys = selected_keys(by_plan.iter());
        for fixed in [Vec::new(), other] {
            let Some(parts) = possible_pods(&Term::Anything, &keys, &fixed, &cluster) else {
                self.too_many();
                continue;
            };
            let mut left = false;
            for part in parts {
                let pod = pod(part, &cluster);
                left |= self.is_left(&pod).is_some();
            }
            if !left {
                continue;
            }
            let entries: Vec<PolicyEntry> = self
                .bench
                .entries(When::After, self.seat, self.direction)
                .into_iter()
                .cloned()
                .collect();
            let keys = selected_keys(entries.iter().chain(by_plan));
            let Some(parts) = possible_pods(&Term::Anything, &keys, &fixed, &cluster) else {
                self.too_many();
                continue;
            };
            for part in parts {
                let pod = pod(part, &cluster);
                if let Some(seat) = self.is_left(&pod) {
                    self.ask(&pod, seat);
                }
            }
        }
    }

    fn addresses(&mut self, by_plan: &[Elsewhere], by_all: &OnceCell<Vec<Elsewhere>>) {
        let mut left = false;
        for Elsewhere { one, seat, moved } in by_plan {
            if !self.is_wanted_closed(one) || self.is_closed_by_plan(*seat) {
                continue;
            }
            if *moved {
                self.ask(one, *seat);
            } else {
                left = true;
            }
        }
        if !left {
            return;
        }
        for Elsewhere { one, seat, .. } in by_all.get_or_init(|| told_apart_by_all(self.bench)) {
            if self.is_wanted_closed(one) && !self.is_closed_by_plan(*seat) {
                self.ask(one, *seat);
            }
        }
    }

    /// The seat of somebody who is to be cut off and whom the plan's rules alone do not.
    fn is_left(&mut self, peer: &Somebody) -> Option<Seat> {
        if !self.is_wanted_closed(peer) {
            return None;
        }
        let seat = self.bench.seat(peer);
        (!self.is_closed_by_plan(seat)).then_some(seat)
    }

    fn is_wanted_closed(&mut self, peer: &Somebody) -> bool {
        self.asked.insert(peer.name.clone());
        wanted(
            self.plan,
            &self.cast.cluster,
            self.direction,
            self.subject,
            peer,
        ) == Wanted::Closed
    }

    /// Whether the plan's rules deny it on every port, whatever other policies say.
    fn is_closed_by_plan(&mut self, other: Seat) -> bool {
        let (seat, direction) = (self.seat, self.direction);
        self.spans.iter().all(|span| {
            let target = (span.protocol, span.first);
            let side = self.bench.side(When::Alone, seat, direction, other, target);
            side.is_some_and(|decision| decision.verdict == Verdict::DeniedByRule)
        })
    }

    /// Asks all policies together about somebody of whom no policy is known.
    fn ask(&mut self, peer: &Somebody, other: Seat) {
        for span in self.spans.clone() {
            let target = (span.protocol, span.first);
            let Some(own) = self
                .bench
                .side(When::After, self.seat, self.direction, other, target)
            else {
                continue;
            };
            match own.verdict {
                Verdict::DeniedByRule | Verdict::DeniedByDefault => {}
                Verdict::Unknown(cause) => {
                    doubt::unknown(self.proof, cause, &self.subject.name, &peer.name);
                }
                Verdict::Allowed | Verdict::Redirected | Verdict::AuthRequired => {
                    let kind = (
                        self.direction,
                        Class::Open,
                        self.bench.rules(When::After, &own),
                        own.verdict == Verdict::AuthRequired,
                        true,
                    );
                    self.leaks.add(kind, &self.subject.name, &peer.name, span);
                    if self.found.iter().all(|known| known.name != peer.name) {
                        self.found.push(peer.clone());
                    }
                }
            }
        }
    }

    fn too_many(&mut self) {
        doubt::add_one(
            self.proof,
            Doubt::TooManyKinds,
            &self.subject.name,
            "its rules tell more kinds of pods apart than are asked about".to_owned(),
        );
    }
}

fn pod(identity: Identity, cluster: &str) -> Somebody {
    let shown = |label: &&Label| {
        !label.key.starts_with("io.cilium.k8s.namespace.labels.") && &*label.key != CLUSTER
    };
    let is_other = identity
        .labels
        .iter()
        .any(|label| &*label.key == CLUSTER && *label.value != *cluster);
    let labels: Vec<String> = identity
        .labels
        .iter()
        .filter(shown)
        .map(|label| {
            let key = match &*label.key {
                "io.kubernetes.pod.namespace" => "namespace",
                key => key,
            };
            let value = if &*label.value == OTHER {
                "(any other)"
            } else {
                &label.value
            };
            format!("{key}={value}")
        })
        .collect();
    let whose = if is_other {
        "a pod of another cluster"
    } else {
        "any pod"
    };
    Somebody {
        name: format!("{whose} with {}", labels.join(", ")),
        peer: Peer::Unknown,
        before: identity.clone(),
        after: identity,
        outside: false,
    }
}

/// Somebody outside; `moved` says that the name is that of the destination.
fn outside(identity: Identity, moved: bool) -> Somebody {
    let address = identity
        .address
        .map(|address| address.to_string())
        .unwrap_or_default();
    let name = match identity.names.first() {
        Some(name) if moved => format!("{name}{MOVED}"),
        Some(name) => format!("a name such as {name} ({address})"),
        None => format!("the world, such as {address}"),
    };
    Somebody {
        name,
        peer: Peer::Unknown,
        before: identity.clone(),
        after: identity,
        outside: true,
    }
}
