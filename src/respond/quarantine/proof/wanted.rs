//! What a plan is for: who is to be cut off from whom, who stays, who is not touched.
//!
//! Owns the purpose of each pattern, apart from its rules: the proof holds them to this.

use std::sync::Arc;

use super::cast::{CLUSTER, Somebody};
use crate::policy::Direction;
use crate::respond::quarantine::FORENSICS;
use crate::respond::quarantine::manifest::Destination;
use crate::respond::quarantine::pattern::Pattern;
use crate::respond::quarantine::plan::{Plan, Subjects};

/// Reserved labels of who manages a node, or has no label of a pod.
const MANAGES: [&str; 7] = [
    "kube-apiserver",
    "remote-node",
    "health",
    "host",
    "ingress",
    "init",
    "unmanaged",
];

/// What is to become of connections between a subject and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    /// None passes.
    Closed,
    /// They may pass, and why.
    Kept(&'static str),
    /// As before.
    Free,
}

/// What a plan wants; `direction` is seen from the subject.
pub(super) fn wanted(
    plan: &Plan,
    cluster: &str,
    direction: Direction,
    subject: &Somebody,
    peer: &Somebody,
) -> Wanted {
    let closed = |is_closed: bool| {
        if is_closed {
            Wanted::Closed
        } else {
            Wanted::Free
        }
    };
    match plan.pattern {
        Pattern::CutDestination => match &plan.destination {
            Some(Destination::Outside { name, prefixes }) => {
                // Who calls is known by the address alone.
                let named = direction == Direction::Egress
                    && name
                        .as_ref()
                        .is_some_and(|name| peer.after.names.contains(name));
                let inside = peer
                    .after
                    .address
                    .is_some_and(|address| prefixes.iter().any(|prefix| prefix.contains(&address)));
                closed(peer.outside && (named || inside))
            }
            Some(Destination::Inside { namespace, labels }) => {
                let is_destination = |one: &Somebody| {
                    is_own_cluster(one, cluster) && has_labels(one, namespace, labels)
                };
                closed(match direction {
                    Direction::Egress => is_destination(peer),
                    // Among those that are cut off from each other.
                    Direction::Ingress => is_subject(plan, peer) && is_destination(subject),
                })
            }
            None => Wanted::Free,
        },
        // Whom it calls is fenced, too, where that is one of its own replicas.
        Pattern::RingFence if direction == Direction::Egress => {
            if is_subject(plan, peer) {
                wanted(plan, cluster, Direction::Ingress, peer, subject)
            } else {
                Wanted::Free
            }
        }
        _ if direction == Direction::Ingress && peer.is_reserved("host") => {
            Wanted::Kept("probes of the node's own host")
        }
        _ if peer.label(FORENSICS).as_deref() == Some("true") => {
            Wanted::Kept("the pod that looks at it")
        }
        Pattern::NamespaceLockdown | Pattern::RingFence if is_kept(plan, cluster, peer) => {
            Wanted::Kept("whom you keep")
        }
        Pattern::Node if MANAGES.iter().any(|name| peer.is_reserved(name)) => {
            Wanted::Kept("what manages the node")
        }
        _ => Wanted::Closed,
    }
}

fn is_own_cluster(one: &Somebody, cluster: &str) -> bool {
    one.label(CLUSTER).is_none_or(|of| *of == *cluster)
}

fn is_kept(plan: &Plan, cluster: &str, peer: &Somebody) -> bool {
    is_own_cluster(peer, cluster)
        && plan
            .kept
            .iter()
            .any(|kept| has_labels(peer, &kept.namespace, &kept.labels))
}

/// Whether the plan's policies select somebody.
fn is_subject(plan: &Plan, one: &Somebody) -> bool {
    match &plan.subjects {
        Subjects::Labelled { key } => one.label(key).as_ref() == Some(&plan.incident),
        Subjects::Own { namespace, labels } => has_labels(one, namespace, labels),
        Subjects::Everybody => one.namespace().is_some(),
        Subjects::Node => false,
    }
}

fn has_labels(one: &Somebody, namespace: &Arc<str>, labels: &[(Arc<str>, Arc<str>)]) -> bool {
    one.namespace().as_ref() == Some(namespace)
        && labels
            .iter()
            .all(|(key, value)| one.label(key).as_ref() == Some(value))
}
