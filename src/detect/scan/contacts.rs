//! First contacts of a minute, and what became of them.
//!
//! Owns what a contact is counted as, which outcome it has, and who else fails at the same
//! place. What many of them mean is the detector's.

use std::collections::BTreeMap;

use crate::baseline::{Fate, Group, Tick};
use crate::connection::{Peer, PeerId};
use crate::detect::{Scene, gate};
use crate::flow::{DropClass, Protocol};

/// A destination and port.
pub(super) type Target = (PeerId, u16, Protocol);

/// A first contact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    pub(super) first: i64,
    pub(super) outcome: Outcome,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// Says nothing.
    Open,
    Denied,
    Refused,
    Silent,
    NoSuch,
    Success,
}

impl Outcome {
    pub(super) fn is_failure(self) -> bool {
        !matches!(self, Self::Open | Self::Success)
    }
}

/// Who did what at a place in a tick: failures and all, of clients that know it and others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Others {
    failing: f64,
    all: f64,
}

impl Others {
    /// Share of others that fail, one being left out that fails itself; shrunk, so that a
    /// single other one halves it.
    pub(super) fn without(self, own: f64) -> f64 {
        let failing = (self.failing - own).max(0.0);
        let all = (self.all - own).max(0.0);
        failing / (all + 1.0)
    }
}

/// Who fails and who does not, by place. Clients that know the place count fully, others half:
/// scanners must not excuse each other.
pub(super) fn others(tick: &Tick, scene: &Scene<'_>) -> BTreeMap<Target, Others> {
    let mut clients: BTreeMap<(Target, PeerId), (bool, bool)> = BTreeMap::new();
    for group in &tick.groups {
        let outcome = outcome_of(group);
        if outcome == Outcome::Open {
            continue;
        }
        let known = !gate::is_new(gate::place(group), scene);
        let place = (target_of(group, scene), group.client);
        let entry = clients.entry(place).or_insert((false, known));
        entry.0 |= outcome == Outcome::Success;
    }
    let mut all: BTreeMap<Target, Others> = BTreeMap::new();
    for ((target, _), (success, known)) in clients {
        // Whoever asks is taken out again with a weight of 1.
        let weight = if known { 1.0 } else { 0.5 };
        let others = all.entry(target).or_insert(Others {
            failing: 0.5,
            all: 0.5,
        });
        others.all += weight;
        if !success {
            others.failing += weight;
        }
    }
    all
}

/// Outcomes at places that the baseline does not know, in order.
pub(super) fn first_contacts(groups: &[Group], scene: &Scene<'_>) -> BTreeMap<Target, Outcome> {
    let mut first: BTreeMap<Target, Outcome> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.fate.is_new()) {
        let others = matches!(scene.peers.get(group.key), Peer::Others | Peer::Unknown);
        if others || group.client == group.key || !gate::is_new(gate::place(group), scene) {
            continue;
        }
        let outcome = outcome_of(group);
        let known = first.entry(target_of(group, scene)).or_insert(outcome);
        *known = (*known).max(outcome);
    }
    first
}

/// What a group is one outcome with: a workload, an address of a private network, what is
/// outside by its key.
pub(super) fn target_of(group: &Group, scene: &Scene<'_>) -> Target {
    let private = match scene.peers.get(group.server) {
        Peer::Prefix(prefix) => match prefix.addr() {
            std::net::IpAddr::V4(address) => address.is_private() || address.is_link_local(),
            std::net::IpAddr::V6(address) => address.is_unique_local(),
        },
        _ => false,
    };
    let peer = if private { group.server } else { group.key };
    (peer, group.port, group.protocol)
}

fn outcome_of(group: &Group) -> Outcome {
    let has_answers = !matches!(group.protocol, Protocol::Udp | Protocol::None);
    match group.fate {
        Fate::Answered | Fate::RequestDenied | Fate::Audited => Outcome::Success,
        Fate::Refused => Outcome::Refused,
        Fate::Denied | Fate::Dropped(DropClass::Policy) => Outcome::Denied,
        Fate::Dropped(DropClass::Routing) => Outcome::NoSuch,
        Fate::Unanswered if has_answers => Outcome::Silent,
        Fate::Unanswered | Fate::Dropped(_) | Fate::Missed => Outcome::Open,
    }
}
