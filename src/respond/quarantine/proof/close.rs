//! What closes a leak.
//!
//! Owns the rules that would, and trying them: the policies are computed once more with all
//! of them, and only what is closed then is said to be.

use std::collections::BTreeSet;

use super::bench::{Bench, Fate, When};
use super::cast::{Cast, Somebody};
use super::sum::{Closing, Leak};
use super::{Proof, Scene};
use crate::policy::Direction;
use crate::respond::quarantine::manifest::{self, Denied};
use crate::respond::quarantine::plan::Plan;

/// Entities by their reserved label.
const ENTITIES: [&str; 7] = [
    "host",
    "remote-node",
    "kube-apiserver",
    "unmanaged",
    "health",
    "ingress",
    "init",
];

/// Says of each leak what closes it.
pub(super) fn add(plan: &Plan, scene: &Scene<'_>, cast: &Cast, proof: &mut Proof) {
    if proof.open.is_empty() {
        return;
    }
    let denied: Vec<Denied> = proof.open.iter().map(|leak| denied(leak, cast)).collect();
    let tried = tried(plan, scene, cast, &proof.open, &denied);
    for ((leak, denied), is_closed) in proof.open.iter_mut().zip(denied).zip(tried) {
        leak.closed_by = Some(closing(leak, &denied, is_closed));
    }
}

fn closing(leak: &Leak, denied: &Denied, is_closed: bool) -> Closing {
    let rule = leak.rules.iter().find(|rule| rule.line > 0);
    let is_unenforced = leak
        .rules
        .iter()
        .any(|rule| rule.policy.starts_with("reserved:allow-any"));
    let list = match leak.direction {
        Direction::Ingress => "ingressDeny",
        Direction::Egress => "egressDeny",
    };
    let (words, yaml) = if is_closed {
        (
            format!("add this to {list} of the policy"),
            manifest::rules(leak.direction, denied),
        )
    } else if is_unenforced {
        (
            "no policy is enforced for it: see to enable-policy of the agents, and to whom the policy selects".to_owned(),
            String::new(),
        )
    } else if let Some(rule) = rule {
        (
            format!(
                "no deny rule can be written for it: take it out of {} ({}:{})",
                rule.policy, rule.file, rule.line
            ),
            String::new(),
        )
    } else {
        (
            "no rule closes it: take what runs there off the cluster".to_owned(),
            String::new(),
        )
    };
    Closing {
        words,
        yaml,
        tried: is_closed,
    }
}

/// Who has to be denied.
fn denied(leak: &Leak, cast: &Cast) -> Denied {
    let mut denied = Denied::default();
    let mut entities = BTreeSet::new();
    for name in &leak.peers {
        let known = cast.peers.iter().find(|peer| peer.name == *name);
        match known {
            Some(peer) if peer.outside => {
                if let Some(address) = peer.after.address {
                    denied.prefixes.push(address.into());
                }
            }
            Some(peer) => match entity(peer) {
                Some(entity) => {
                    entities.insert(entity);
                }
                None => denied.pods = true,
            },
            None if name.starts_with("the world") => {
                entities.insert("world");
            }
            // A name is nothing that a deny rule can be about.
            None if name.ends_with("at another address") => {}
            None => denied.pods = true,
        }
    }
    denied.prefixes.sort_unstable();
    denied.prefixes.dedup();
    denied.entities = entities.into_iter().collect();
    denied
}

fn entity(peer: &Somebody) -> Option<&'static str> {
    ENTITIES.into_iter().find(|name| peer.is_reserved(name))
}

/// Which leaks are closed with all of the rules.
fn tried(
    plan: &Plan,
    scene: &Scene<'_>,
    cast: &Cast,
    leaks: &[Leak],
    denied: &[Denied],
) -> Vec<bool> {
    let mut all = [Denied::default(), Denied::default()];
    for (leak, denied) in leaks.iter().zip(denied) {
        all[leak.direction as usize].merge(denied);
    }
    let [inward, outward] = all;
    let mut plan = plan.clone();
    plan.manifests
        .push(manifest::denying(&plan, &inward, &outward));
    let mut bench = Bench::new(&plan, scene, cast);
    leaks
        .iter()
        .zip(denied)
        .map(|(leak, denied)| !denied.is_empty() && is_closed(&mut bench, cast, leak))
        .collect()
}

fn is_closed(bench: &mut Bench, cast: &Cast, leak: &Leak) -> bool {
    let subjects: Vec<usize> = places(&cast.subjects, &leak.subjects);
    let peers: Vec<usize> = places(&cast.peers, &leak.peers);
    for subject in &subjects {
        for peer in &peers {
            for span in &leak.spans {
                let (Some(subject), Some(peer)) = (
                    bench.subjects.get(*subject).copied(),
                    bench.peers.get(*peer).copied(),
                ) else {
                    return false;
                };
                let target = (span.protocol, span.first);
                let said = bench.ask(When::After, subject, leak.direction, peer, target);
                if said.fate != Fate::Denied {
                    return false;
                }
            }
        }
    }
    true
}

fn places(of: &[Somebody], names: &[String]) -> Vec<usize> {
    names
        .iter()
        .filter_map(|name| of.iter().position(|one| one.name == *name))
        .collect()
}
