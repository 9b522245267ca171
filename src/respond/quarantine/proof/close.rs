//! What closes a leak.
//!
//! Owns the rules that would, and trying them: the policies are computed once more with all
//! of them, and only what is closed then is said to be.

use std::collections::BTreeSet;

use super::bench::{Bench, Seat, When};
use super::cast::{Cast, Somebody};
use super::possible::MOVED;
use super::sum::{Closing, Leak};
use super::{Proof, Scene};
use crate::policy::{Direction, Verdict};
use crate::respond::quarantine::denied::{Denied, denying, rules};
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
///
/// `others` are those of leaks who are not known.
pub(super) fn add(
    plan: &Plan,
    scene: &Scene<'_>,
    cast: &Cast,
    others: &[Somebody],
    proof: &mut Proof,
) {
    if proof.open.is_empty() {
        return;
    }
    let denied: Vec<Denied> = proof.open.iter().map(|leak| denied(leak, cast)).collect();
    let tried = tried(plan, scene, (cast, others), &proof.open, &denied);
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
            rules(leak.direction, denied),
        )
    } else if leak.peers.iter().all(|peer| peer.ends_with(MOVED)) {
        let words = match rule {
            Some(rule) => format!(
                "a deny rule cannot be about a name: take it out of {} ({}:{}), or cut off whoever calls it as a whole",
                rule.policy, rule.file, rule.line
            ),
            None => "a deny rule cannot be about a name: give whoever calls it a policy of egress, or cut it off as a whole".to_owned(),
        };
        (words, String::new())
    } else if is_unenforced {
        let words = "no policy is enforced for it: see to enable-policy of the agents, and to whom the policy selects";
        (words.to_owned(), String::new())
    } else if let Some(rule) = rule {
        let words = format!(
            "no deny rule of this plan closes it: take it out of {} ({}:{})",
            rule.policy, rule.file, rule.line
        );
        (words, String::new())
    } else {
        let words = "no rule closes it: take what runs there off the cluster";
        (words.to_owned(), String::new())
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
            None if name.ends_with(MOVED) || name.starts_with("a name such as") => {}
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
    (cast, others): (&Cast, &[Somebody]),
    leaks: &[Leak],
    denied: &[Denied],
) -> Vec<bool> {
    let mut all = [Denied::default(), Denied::default()];
    for (leak, denied) in leaks.iter().zip(denied) {
        all[leak.direction as usize].merge(denied);
    }
    let [inward, outward] = all;
    let mut plan = plan.clone();
    plan.manifests.push(denying(&plan, &inward, &outward));
    let mut bench = Bench::new(&plan, scene, cast);
    leaks
        .iter()
        .zip(denied)
        .map(|(leak, denied)| !denied.is_empty() && is_closed(&mut bench, cast, others, leak))
        .collect()
}

/// Whether the side of whom the plan cuts off denies all of a leak.
fn is_closed(bench: &mut Bench, cast: &Cast, others: &[Somebody], leak: &Leak) -> bool {
    let subjects = seats(bench, &cast.subjects, others, &leak.subjects, |bench| {
        &bench.subjects
    });
    let peers = seats(bench, &cast.peers, others, &leak.peers, |bench| {
        &bench.peers
    });
    let (Some(subjects), Some(peers)) = (subjects, peers) else {
        return false;
    };
    subjects.iter().all(|subject| {
        peers.iter().all(|peer| {
            leak.spans.iter().all(|span| {
                let target = (span.protocol, span.first);
                let own = bench.side(When::After, *subject, leak.direction, *peer, target);
                own.is_some_and(|own| own.verdict == Verdict::DeniedByRule)
            })
        })
    })
}

/// Where those of these names are; `None` where one is not known.
fn seats(
    bench: &mut Bench,
    known: &[Somebody],
    others: &[Somebody],
    names: &[String],
    of: fn(&Bench) -> &[Seat],
) -> Option<Vec<Seat>> {
    names
        .iter()
        .map(|name| {
            if let Some(at) = known.iter().position(|one| one.name == *name) {
                return of(bench).get(at).copied();
            }
            let other = others.iter().find(|one| one.name == *name)?;
            Some(bench.seat(other))
        })
        .collect()
}
