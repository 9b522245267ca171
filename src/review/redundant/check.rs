//! What the proof found, held against the compiled policies.
//!
//! Owns somebody for each kind of pod and address that the policies speak of, and asking
//! about all of them with and without what is to go. The proof is over all there could be;
//! this is a second opinion by what decides about flows, and drops what it does not bear out.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::{Redundant, Superfluous};
use crate::inventory::{Identity, Label, UNNUMBERED};
use crate::policy::{
    Compiled, IdentityIndex, LabelSelector, Operator, Options, PeerSelector, Piece, PolicySet,
    Port, Question, Source, World, retain_at,
};

/// Pods and addresses at most.
const MOST_PEOPLE: usize = 2_000;
/// Subjects of one rule at most.
const MOST_SUBJECTS: usize = 8;
/// Ports of one rule at most.
const MOST_PORTS: usize = 24;
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
const OWN_NAME: &str = "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name";

/// Asks about everybody with and without all of it, and drops what changes an answer.
pub(super) fn hold(
    redundant: &mut Redundant,
    set: &Arc<PolicySet>,
    options: &Options,
    known: Vec<Identity>,
) {
    let people = people(set, options, known);
    redundant.people = people.len() as u64;
    if redundant.found.is_empty() {
        return;
    }
    let world = World {
        identities: people,
        names_complete: true,
        ports_complete: true,
    };
    let before = Compiled::new(set.clone(), &world, options);
    loop {
        let rest = Arc::new(without(set, redundant));
        let after = before.with_set(rest);
        redundant.questions = 0;
        let mut wrong = BTreeSet::new();
        for (at, found) in (0_u32..).zip(&redundant.found) {
            let (questions, differs) = ask(&before, &after, set, found, &world);
            redundant.questions += questions;
            if differs {
                wrong.insert(at);
            }
        }
        if wrong.is_empty() {
            return;
        }
        redundant.dropped += wrong.len() as u64;
        retain_at(&mut redundant.found, |at| !wrong.contains(&at));
    }
}

/// The set as it is when somebody deletes all of it: rules go, default deny with them.
pub(super) fn without(set: &PolicySet, redundant: &Redundant) -> PolicySet {
    let gone = redundant.pieces();
    let mut rest = set.without(&gone);
    retain_at(&mut rest.entries, |at| !gone.contains(&Piece::Entry(at)));
    rest
}

fn ask(
    before: &Compiled,
    after: &Compiled,
    set: &PolicySet,
    found: &Superfluous,
    world: &World,
) -> (u64, bool) {
    let mut questions = 0;
    let everybody = || (0..world.identities.len() as u32).map(IdentityIndex);
    for index in &found.rule.entries {
        let Some(entry) = set.entries.get(*index as usize) else {
            continue;
        };
        let subjects = everybody().filter(|who| before.selects_subject(entry, *who));
        let mut ports: BTreeSet<(u8, u16)> = BTreeSet::new();
        for port in entry.ports.iter().flat_map(|rule| &rule.ports) {
            let Port::Number(first) = port.port else {
                continue;
            };
            let last = port.end_port.max(first);
            for number in port.protocol.numbers() {
                ports.extend([(*number, first.max(1)), (*number, last.max(1))]);
            }
        }
        if entry.ports.is_empty() {
            ports.extend([(6, 443), (6, 4242), (17, 53), (1, 8)]);
        }
        for subject in subjects.take(MOST_SUBJECTS) {
            for peer in everybody() {
                for (protocol, port) in ports.iter().take(MOST_PORTS) {
                    let question = Question {
                        subject,
                        direction: entry.direction,
                        peer,
                        protocol: *protocol,
                        port: *port,
                    };
                    questions += 1;
                    if before.answer(&question).verdict != after.answer(&question).verdict {
                        return (questions, true);
                    }
                }
            }
        }
    }
    (questions, false)
}

/// One of each kind of pod and address that selectors speak of, with those who are known.
fn people(set: &PolicySet, options: &Options, known: Vec<Identity>) -> Vec<Identity> {
    let mut people: Vec<Identity> = vec![Identity {
        number: 1,
        labels: vec![Label::new("reserved", "host", "")],
        ..Identity::default()
    }];
    let mut add = |identity: Identity| {
        if people.len() < MOST_PEOPLE
            && !people.iter().any(|one| {
                one.labels == identity.labels
                    && one.address == identity.address
                    && one.names == identity.names
            })
        {
            people.push(identity);
        }
    };
    add(pod(&[], "elsewhere", options));
    add(outside(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), None));
    known.into_iter().for_each(&mut add);
    for entry in &set.entries {
        somebody(&entry.subject.selector, options)
            .into_iter()
            .for_each(&mut add);
        for peer in entry.peers.iter().flatten() {
            match peer {
                PeerSelector::Labels(selector) => {
                    somebody(selector, options).into_iter().for_each(&mut add);
                }
                PeerSelector::Cidr { prefix, except } => {
                    add(outside(inside(prefix), None));
                    if let Some(except) = except.first() {
                        add(outside(inside(except), None));
                    }
                }
                PeerSelector::Fqdn { name, pattern } => {
                    let text = if name.is_empty() { pattern } else { name };
                    let plain = text.replace("**.", "any.").replace('*', "any");
                    let address = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 8));
                    add(outside(address, Some(plain.to_lowercase().into())));
                }
                PeerSelector::Everyone | PeerSelector::CidrGroups { .. } => {}
            }
        }
    }
    people
}

fn inside(prefix: &IpNet) -> IpAddr {
    prefix.hosts().nth(1).unwrap_or_else(|| prefix.addr())
}

fn outside(address: IpAddr, name: Option<Arc<str>>) -> Identity {
    Identity {
        number: UNNUMBERED,
        address: Some(address),
        names: name.into_iter().collect(),
        names_complete: true,
        ..Identity::default()
    }
}

/// Somebody a selector selects, as simple as can be; `None` where that takes more.
fn somebody(selector: &LabelSelector, options: &Options) -> Option<Identity> {
    let mut labels: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    let mut namespace: Arc<str> = "elsewhere".into();
    for requirement in selector.requirements() {
        let key = &requirement.key.name;
        let value: Arc<str> = match requirement.operator {
            Operator::In => requirement.values.first()?.clone(),
            Operator::Exists => "there".into(),
            Operator::NotIn | Operator::DoesNotExist => continue,
        };
        if matches!(&requirement.key.source, Source::Of(source) if &**source == "reserved") {
            return Some(Identity {
                number: UNNUMBERED,
                labels: vec![Label::new("reserved", key, "")],
                ..Identity::default()
            });
        }
        match &**key {
            NAMESPACE if requirement.operator == Operator::Exists => {}
            NAMESPACE | OWN_NAME => namespace = value,
            CLUSTER => {}
            _ => labels.push((key.clone(), value)),
        }
    }
    Some(pod(&labels, &namespace, options))
}

fn pod(labels: &[(Arc<str>, Arc<str>)], namespace: &str, options: &Options) -> Identity {
    let mut own: Vec<Label> = labels
        .iter()
        .map(|(key, value)| Label::new("k8s", key, value))
        .collect();
    own.push(Label::new("k8s", NAMESPACE, namespace));
    own.push(Label::new("k8s", OWN_NAME, namespace));
    own.push(Label::new("k8s", CLUSTER, &options.cluster_name));
    own.sort();
    own.dedup_by(|one, other| one.key == other.key);
    Identity {
        number: UNNUMBERED,
        labels: own,
        ..Identity::default()
    }
}
