//! How Hubble names those who take part.
//!
//! Owns endpoints as the node that reports sees them: its own in full, others as the address
//! cache has them, and those of whom only the number is known. Also MAC addresses and
//! interfaces.

use std::sync::Arc;

use super::super::number::mix;
use super::cast::{Cast, Party, PartyId, Role};
use crate::flow::{Endpoint, Workload};

/// What rules say of addresses outside: they give these identities of their own.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// Names, sorted.
    pub(super) names: Vec<String>,
    /// Prefixes, sorted.
    pub(super) prefixes: Vec<ipnet::IpNet>,
}

/// Identities of addresses begin here; each node numbers them on its own.
const LOCAL_SCOPE: u32 = 1 << 24;
/// Identity of what is outside.
const WORLD: u32 = 2;
/// Identity of a node to itself.
const HOST: u32 = 1;
/// Identity of other nodes.
const REMOTE_NODE: u32 = 6;

/// How much of an endpoint is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum View {
    /// It is an endpoint of the node that reports.
    Local,
    /// It is elsewhere.
    Remote,
    /// Only its number is known.
    Bare,
}

/// The endpoint of a party in events of `node`.
pub(super) fn endpoint(
    cast: &Cast,
    outside: &Outside,
    id: PartyId,
    view: View,
    node: u16,
) -> Endpoint {
    let party = cast.party(id);
    let mut endpoint = Endpoint {
        identity: party.number,
        ..Endpoint::default()
    };
    let labels = |names: &[&str]| names.iter().map(|&name| Arc::from(name)).collect();
    match party.role {
        Role::Pod { place, slot, .. } => {
            let of = cast.variant(party);
            if view == View::Local {
                endpoint.id = 100 + (slot * 37 + u32::from(node) * 101) % 3_803;
                endpoint.workloads = vec![Workload {
                    name: of.name.clone(),
                    kind: of.kind.into(),
                }];
            }
            endpoint.cluster = cast.cluster.clone();
            endpoint.namespace = of.namespace.clone();
            endpoint.labels.clone_from(&of.labels);
            endpoint.pod = pod_name(&of.name, of.kind, party, place).into();
        }
        Role::Host if party.node == Some(node) => endpoint.labels = labels(&["reserved:host"]),
        Role::Host => {
            endpoint.identity = REMOTE_NODE;
            endpoint.labels = labels(&["reserved:remote-node"]);
        }
        Role::Ingress => endpoint.labels = labels(&["reserved:ingress"]),
        Role::Node(own) if own == node => {
            endpoint.identity = HOST;
            endpoint.labels = labels(&["reserved:host"]);
        }
        Role::Node(_) => endpoint.labels = labels(&["reserved:remote-node"]),
        Role::ApiServer => {
            endpoint.labels = labels(&["reserved:kube-apiserver", "reserved:remote-node"]);
        }
        Role::External(_) | Role::Address => {
            endpoint.labels = labels(&["reserved:world"]);
            endpoint.identity = WORLD;
            let identity = &cast.identities[party.identity.0 as usize];
            let name = identity.names.first();
            let named = name.filter(|name| {
                let known = |own: &String| (**own).cmp(name);
                outside.names.binary_search_by(known).is_ok()
            });
            let covering = outside.prefixes.iter();
            let covering = covering
                .filter(|prefix| prefix.contains(&std::net::IpAddr::V4(party.ip)))
                .max_by_key(|prefix| prefix.prefix_len());
            if let Some(prefix) = covering {
                endpoint.labels.insert(0, format!("cidr:{prefix}").into());
            }
            if let Some(name) = named {
                let at = usize::from(covering.is_some());
                endpoint.labels.insert(at, format!("fqdn:{name}").into());
            }
            if covering.is_some() || named.is_some() {
                endpoint.identity = LOCAL_SCOPE + 1 + (id.0 * 7 + u32::from(node) * 131) % 60_000;
            }
        }
    }
    if view == View::Bare {
        return Endpoint {
            identity: endpoint.identity,
            ..Endpoint::default()
        };
    }
    endpoint
}

/// The name a controller gives to a pod.
fn pod_name(name: &str, kind: &str, party: &Party, place: u32) -> String {
    let letters = |value: u64, count: usize| -> String {
        // The letters that Kubernetes picks from.
        const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        let digits = (0..count).scan(value, |rest, _| {
            let digit = LETTERS[(*rest % 27) as usize];
            *rest /= 27;
            Some(char::from(digit))
        });
        digits.collect()
    };
    let own = letters(mix(party.uid | 1 << 60), 5);
    match kind {
        "StatefulSet" => format!("{name}-{place}"),
        "DaemonSet" => format!("{name}-{own}"),
        // A run is named by its minute.
        "CronJob" if party.revision > 0 => format!("{name}-{}-{own}", party.revision),
        "CronJob" => format!("{name}-{}-{own}", 29_000_000 + mix(party.uid) % 900_000),
        _ => {
            let template = u64::from(party.variant) << 32 | u64::from(party.revision);
            format!("{name}-{}-{own}", letters(mix(template | 1 << 62), 9))
        }
    }
}

/// MAC address of a pod's own end of its link.
pub(super) fn mac(uid: u64) -> String {
    mac_of(mix(uid ^ 1 << 40))
}

/// MAC address of the host's end of a pod's link.
pub(super) fn host_mac(uid: u64) -> String {
    mac_of(mix(uid ^ 1 << 41))
}

fn mac_of(bits: u64) -> String {
    let bytes = bits.to_be_bytes();
    // Locally administered, no group.
    let first = bytes[2] & 0xfc | 2;
    format!(
        "{first:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
        bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]
    )
}

/// Index and name of the host's end of a pod's link.
pub(super) fn link(uid: u64, slot: u32) -> (u32, String) {
    let name = mix(uid ^ 1 << 42);
    (10 + 2 * slot, format!("lxc{:012x}", name >> 16))
}
