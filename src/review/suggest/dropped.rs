//! Denied connections that somebody needs.
//!
//! Owns which of them look meant, and on which side a rule is missing. Meant is what was
//! tried several times, between ends that are known, by somebody who did not try everything:
//! a scan is denied as it should be, and so is whoever calls from the internet. A rule is missing where nothing allows it; where a deny
//! rule stops it, no further rule helps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::draft::Materials;
use crate::connection::Peer;
use crate::engine::{ClusterPolicies, Party};
use crate::flow::{Endpoint, Protocol, counted};
use crate::inventory::{Identity, UNNUMBERED};
use crate::policy::{Direction, IdentityIndex, Verdict};
use crate::review::observed::{Use, WorkloadKey, is_private, key_of};

/// Connections that something must have been tried with.
const LEAST: u64 = 3;
/// Denied servers and ports from which on somebody is trying what there is.
const PROBED: usize = 8;

/// Which denied connections need a rule, and on which side.
#[derive(Clone, Debug, Default)]
pub struct Needs(BTreeSet<(usize, Direction)>);

/// Denied connections that get no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probing {
    /// Who tried.
    pub client: Peer,
    /// Whom; `None` for very many.
    pub server: Option<(Peer, u16, Protocol)>,
    /// Connections.
    pub count: u64,
    /// Why they get none, a fragment.
    pub why: String,
}

impl Needs {
    pub(super) fn has(&self, at: usize, direction: Direction) -> bool {
        self.0.contains(&(at, direction))
    }
}

/// Which of the denied connections need a rule and where, and those that get none.
#[must_use]
pub fn lost(materials: &Materials<'_>) -> (Needs, Vec<Probing>) {
    let mut needs = Needs::default();
    let mut refused = Vec::new();
    let mut tried: BTreeMap<&Peer, (usize, u64)> = BTreeMap::new();
    for one in &materials.usage.uses {
        let tried = tried.entry(&one.client).or_default();
        tried.0 += 1;
        tried.1 += one.evidence.count;
    }
    for (client, (edges, count)) in &tried {
        if *edges > PROBED {
            refused.push(Probing {
                client: (*client).clone(),
                server: None,
                count: *count,
                why: format!(
                    "it tried {}: that looks like a scan",
                    counted(*edges as u64, "server and port", "servers and ports")
                ),
            });
        }
    }
    let cluster = materials.compiled();
    for (at, one) in materials.usage.uses.iter().enumerate() {
        if tried
            .get(&one.client)
            .is_some_and(|(edges, _)| *edges > PROBED)
        {
            continue;
        }
        let mut refuse = |why: String| {
            refused.push(Probing {
                client: one.client.clone(),
                server: Some((one.server.clone(), one.port, one.protocol)),
                count: one.evidence.count,
                why,
            });
        };
        if one.evidence.count < LEAST {
            refuse(format!("it was tried fewer than {LEAST} times"));
            continue;
        }
        let anybody = matches!(&one.client, Peer::Entity(name) if &**name == "world")
            && (one.evidence.clients.is_empty()
                || !one.evidence.clients.iter().copied().all(is_private));
        if anybody {
            refuse("anybody outside may have tried it: allow it by hand if it is meant".to_owned());
            continue;
        }
        match sides(materials, &cluster, one) {
            Ok(sides) if sides.is_empty() => {
                refuse("the policies given let it pass on both sides".to_owned());
            }
            Ok(sides) => needs.0.extend(sides.into_iter().map(|side| (at, side))),
            Err(why) => refuse(why),
        }
    }
    (needs, refused)
}

/// On which sides nothing allows it.
fn sides(
    materials: &Materials<'_>,
    cluster: &Arc<ClusterPolicies>,
    one: &Use,
) -> Result<Vec<Direction>, String> {
    let clients = indices(materials, cluster, &one.client, &one.evidence.clients);
    let servers = indices(materials, cluster, &one.server, &one.evidence.servers);
    let protocol = match one.protocol {
        Protocol::None | Protocol::Vrrp | Protocol::Igmp => {
            return Err("its protocol has no ports".to_owned());
        }
        known => known.iana(),
    };
    let mut missing = Vec::new();
    let ends = [
        (Direction::Egress, &one.client, &clients, &servers),
        (Direction::Ingress, &one.server, &servers, &clients),
    ];
    for (direction, subject, subjects, peers) in ends {
        if key_of(subject).is_none() {
            continue;
        }
        let compiled = cluster.read();
        for subject in subjects {
            for peer in peers {
                let decision = compiled.decide(*subject, direction, *peer, protocol, one.port);
                match decision.verdict {
                    Verdict::DeniedByRule => {
                        return Err(format!(
                            "a deny rule stops it ({}): no further rule allows it",
                            direction.name()
                        ));
                    }
                    Verdict::DeniedByDefault if !missing.contains(&direction) => {
                        missing.push(direction);
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(missing)
}

/// Everybody a peer is, as policies know them.
fn indices(
    materials: &Materials<'_>,
    cluster: &ClusterPolicies,
    peer: &Peer,
    addresses: &BTreeSet<IpAddr>,
) -> Vec<IdentityIndex> {
    match peer {
        Peer::Workload { .. } => {
            let key: Option<WorkloadKey> = key_of(peer);
            let member = key.and_then(|key| materials.directory.get(&key));
            member.map_or_else(Vec::new, |member| member.indices(cluster).collect())
        }
        Peer::Entity(name) if &**name != "world" => {
            let endpoint = Endpoint {
                labels: std::iter::once(Arc::from(format!("reserved:{name}"))).collect(),
                ..Endpoint::default()
            };
            match Party::of(Some(&endpoint), "", std::iter::empty()) {
                Party::Known { identity, .. } => vec![cluster.index(identity, false)],
                Party::Unknown => Vec::new(),
            }
        }
        Peer::Unknown | Peer::Others => Vec::new(),
        Peer::Entity(_) | Peer::Name(_) | Peer::Prefix(_) => addresses
            .iter()
            .map(|address| {
                let names = match peer {
                    Peer::Name(name) => vec![name.clone()],
                    _ => Vec::new(),
                };
                let identity = Identity {
                    number: UNNUMBERED,
                    address: Some(*address),
                    names,
                    names_complete: true,
                    ..Identity::default()
                };
                cluster.index(identity, true)
            })
            .collect(),
    }
}
