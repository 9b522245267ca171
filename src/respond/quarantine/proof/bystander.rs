//! Others beside the target: its replicas, the kubelet that probes it, names of the same
//! addresses, whoever has the same labels.
//!
//! Owns finding them. What their connections come to is `collateral`'s.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Scene;
use super::bench::{Bench, Fate, When};
use super::cast::{Cast, has_own_labels};
use super::collateral::{Overlap, Probes, Replicas};
use crate::policy::Direction;
use crate::respond::KnownPod;
use crate::respond::quarantine::manifest::Destination;
use crate::respond::quarantine::plan::{Plan, Subjects, own_labels};

/// How much of each workload is cut off.
pub(super) fn replicas(plan: &Plan, scene: &Scene<'_>) -> Vec<Replicas> {
    let hit = |pod: &KnownPod| {
        if plan.target.is_outside() || plan.subjects == Subjects::Node {
            return false;
        }
        pod.is_meant(&plan.target) || has_own_labels(pod, plan)
    };
    let workloads: BTreeSet<String> = scene
        .known
        .pods()
        .filter(|pod| hit(pod))
        .map(KnownPod::workload_name)
        .collect();
    workloads
        .into_iter()
        .map(|workload| {
            let pods: Vec<&KnownPod> = scene
                .known
                .pods()
                .filter(|pod| pod.workload_name() == workload && !pod.pod.is_empty())
                .collect();
            let names = |wanted: &dyn Fn(&KnownPod) -> bool| -> BTreeSet<String> {
                pods.iter()
                    .filter(|pod| wanted(pod))
                    .map(|pod| pod.pod.to_string())
                    .collect()
            };
            Replicas {
                hit: names(&hit).into_iter().collect(),
                of: names(&|_| true).len(),
                workload,
            }
        })
        .collect()
}

pub(super) fn probes(plan: &Plan, scene: &Scene<'_>, cast: &Cast, bench: &mut Bench) -> Probes {
    let is_hit = |pod: &&KnownPod| {
        pod.is_meant(&plan.target) && !pod.host_network && !plan.target.is_outside()
    };
    let probed: Vec<Option<bool>> = scene
        .known
        .pods()
        .filter(is_hit)
        .map(|pod| pod.probed)
        .collect();
    let host = cast
        .peers
        .iter()
        .position(|peer| peer.is_reserved("host"))
        .and_then(|at| bench.peers.get(at).copied());
    let Some(host) = host else {
        return Probes::Unsaid;
    };
    let mut fails = false;
    for subject in bench.subjects.clone() {
        let starts = bench.starts(subject, Direction::Ingress);
        for port in starts.ports {
            let target = (6, port);
            let before = bench.ask(When::Before, subject, Direction::Ingress, host, target);
            let after = bench.ask(When::After, subject, Direction::Ingress, host, target);
            fails |= before.fate == Fate::Passes && after.fate == Fate::Denied;
        }
    }
    let is_probed = probed.contains(&Some(true));
    let is_said = probed.iter().any(Option::is_some);
    match (fails, is_probed, is_said) {
        (true, true, _) | (true, _, false) => Probes::Fail,
        (false, true, _) => Probes::GoOn,
        (_, false, true) => Probes::None,
        (false, false, false) => Probes::Unsaid,
    }
}

/// Names that have the addresses of the destination, but for its own.
pub(super) fn shared(plan: &Plan, scene: &Scene<'_>) -> Vec<String> {
    let Some(Destination::Outside { name, prefixes }) = &plan.destination else {
        return Vec::new();
    };
    let is_cut = |address: &IpAddr| prefixes.iter().any(|prefix| prefix.contains(address));
    let names: BTreeSet<&str> = scene
        .names
        .iter()
        .filter(|(address, _)| is_cut(address))
        .flat_map(|(_, names)| names)
        .filter(|other| name.as_ref() != Some(*other))
        .map(|other| &**other)
        .collect();
    names.into_iter().map(str::to_owned).collect()
}

pub(super) fn overlap(plan: &Plan, scene: &Scene<'_>) -> Vec<Overlap> {
    if matches!(plan.subjects, Subjects::Everybody | Subjects::Node) {
        return Vec::new();
    }
    let mut others: BTreeSet<(String, String)> = BTreeSet::new();
    let labels = own_labels(&plan.target, scene.known);
    // Where no pod is known by name, the command labels by labels.
    let by_labels = matches!(plan.subjects, Subjects::Labelled { .. })
        && scene
            .known
            .meant(&plan.target)
            .all(|pod| pod.pod.is_empty());
    for pod in scene.known.pods() {
        let is_labelled = by_labels
            && plan.target.namespace() == Some(&pod.namespace)
            && !labels.is_empty()
            && labels
                .iter()
                .all(|(key, value)| pod.label(key) == Some(&**value));
        if is_labelled && !pod.is_meant(&plan.target) {
            let why = "the command labels pods by labels that it has, too".to_owned();
            others.insert((pod.workload_name(), why));
        }
        if pod.is_meant(&plan.target) || !has_own_labels(pod, plan) {
            continue;
        }
        let why = match plan.subjects {
            Subjects::Labelled { .. } => "it carries the label of the incident already",
            _ => "its labels are those the policy selects by",
        };
        others.insert((pod.workload_name(), why.to_owned()));
    }
    others
        .into_iter()
        .map(|(workload, why)| Overlap { workload, why })
        .collect()
}
