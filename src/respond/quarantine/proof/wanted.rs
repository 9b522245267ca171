//! What a plan is for: who is to be cut off from whom, who stays, who is not touched.
//!
//! Owns the purpose of each pattern, apart from its rules: the proof holds them to this.

use super::cast::{CLUSTER, Somebody};
use crate::policy::Direction;
use crate::respond::quarantine::FORENSICS;
use crate::respond::quarantine::manifest::Destination;
use crate::respond::quarantine::pattern::Pattern;
use crate::respond::quarantine::plan::Plan;

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
pub(super) fn wanted(plan: &Plan, cluster: &str, direction: Direction, peer: &Somebody) -> Wanted {
    let is_forensics = peer.label(FORENSICS).as_deref() == Some("true");
    let is_probe = direction == Direction::Ingress && peer.is_reserved("host");
    let is_own_cluster = peer.label(CLUSTER).is_none_or(|of| *of == *cluster);
    let is_kept = is_own_cluster
        && peer.namespace().is_some_and(|namespace| {
            plan.kept
                .iter()
                .any(|kept| kept.fits(&namespace, |key| peer.label(key)))
        });
    match plan.pattern {
        Pattern::CutDestination => {
            let is_destination = match &plan.destination {
                Some(Destination::Outside { name, prefixes }) => {
                    let named = name
                        .as_ref()
                        .is_some_and(|name| peer.after.names.contains(name));
                    let inside = peer.after.address.is_some_and(|address| {
                        prefixes.iter().any(|prefix| prefix.contains(&address))
                    });
                    peer.outside && (named || inside)
                }
                Some(Destination::Inside { namespace, labels }) => {
                    direction == Direction::Egress
                        && is_own_cluster
                        && peer.namespace().as_ref() == Some(namespace)
                        && labels
                            .iter()
                            .all(|(key, value)| peer.label(key).as_ref() == Some(value))
                }
                None => false,
            };
            if is_destination {
                Wanted::Closed
            } else {
                Wanted::Free
            }
        }
        Pattern::RingFence if direction == Direction::Egress => Wanted::Free,
        _ if is_probe => Wanted::Kept("probes of the node's own host"),
        _ if is_forensics => Wanted::Kept("the pod that looks at it"),
        Pattern::NamespaceLockdown | Pattern::RingFence if is_kept => Wanted::Kept("whom you keep"),
        Pattern::Node => {
            let manages = ["kube-apiserver", "remote-node", "health", "host", "ingress"];
            let others = ["init", "unmanaged"];
            if manages
                .into_iter()
                .chain(others)
                .any(|name| peer.is_reserved(name))
            {
                Wanted::Kept("what manages the node")
            } else {
                Wanted::Closed
            }
        }
        _ => Wanted::Closed,
    }
}
