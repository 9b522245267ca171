//! One side of a question, as a person names it.
//!
//! Owns the forms: `ns/workload` or `ns/pod` (from the documents or from flows),
//! `ns/key=value,…`, an address, an entity, a DNS name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::super::error::UsageError;
use super::flows::Endpoints;
use crate::engine::{Party, PartyKind, Policies};
use crate::inventory::{Identity, Label, UNNUMBERED};

const ENTITIES: [&str; 8] = [
    "host",
    "remote-node",
    "kube-apiserver",
    "ingress",
    "health",
    "init",
    "unmanaged",
    "world",
];

/// Stands for the address of a name: in the block kept for documentation, which no prefix
/// in use is likely to hold.
const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 254));

/// A side.
#[derive(Clone, Debug)]
pub(super) struct Side {
    shown: String,
    party: Party,
}

impl Side {
    /// A side that a flow names.
    pub(super) fn of_flow(shown: String, party: Party) -> Self {
        Self { shown, party }
    }

    /// Reads what a person typed.
    ///
    /// # Errors
    /// [`UsageError`] for a workload nobody knows, or more than one.
    pub(super) fn parse(
        text: &str,
        policies: &Policies,
        known: &Endpoints,
    ) -> Result<Self, UsageError> {
        let party = if let Ok(address) = text.parse::<IpAddr>() {
            by_address(address, policies, known)
        } else if ENTITIES.contains(&text) {
            entity(text)?
        } else if let Some((namespace, name)) = text.split_once('/') {
            if name.contains('=') {
                by_labels(namespace, name, policies, known)
            } else {
                by_name(namespace, name, policies, known)?
            }
        } else if text.contains('.') {
            outside_by_name(text)
        } else {
            return Err(UsageError::new(format!(
                "'{text}': expected ns/workload, ns/key=value, an address, a DNS name, or one of {}",
                ENTITIES[..ENTITIES.len() - 1].join(", ")
            )));
        };
        Ok(Self {
            shown: text.to_owned(),
            party,
        })
    }

    /// Who it is, where that is known.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.party.identity()
    }

    /// Whether it is a name whose address is not known.
    pub(super) fn is_name_only(&self) -> bool {
        self.identity().is_some_and(|identity| {
            identity.address == Some(NO_ADDRESS) && !identity.names.is_empty()
        })
    }

    /// Whether it is outside the cluster.
    pub(super) fn is_outside(&self) -> bool {
        matches!(
            self.party,
            Party::Known {
                kind: PartyKind::Outside,
                ..
            }
        )
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn pod(identity: Identity) -> Party {
    Party::Known {
        identity,
        kind: PartyKind::Pod,
    }
}

fn cluster<'a>(policies: &'a Policies, known: &'a Endpoints) -> &'a str {
    match &known.cluster {
        Some(cluster) => cluster,
        None => &policies.options().cluster_name,
    }
}

/// An address: that of a pod or node the documents know, else outside.
fn by_address(address: IpAddr, policies: &Policies, known: &Endpoints) -> Party {
    let inventory = policies.inventory();
    let of_pod = inventory
        .workloads
        .iter()
        .find(|workload| workload.spec.address == Some(address))
        .and_then(|workload| inventory.identity(workload, cluster(policies, known)));
    if let Some(identity) = of_pod {
        return pod(identity);
    }
    let of_node = inventory
        .nodes
        .iter()
        .any(|node| node.addresses.contains(&address));
    let (labels, kind) = if of_node {
        (
            vec![Label::new("reserved", "remote-node", "")],
            PartyKind::Node,
        )
    } else {
        (Vec::new(), PartyKind::Outside)
    };
    Party::Known {
        identity: Identity {
            number: if of_node { 6 } else { 2 },
            labels,
            address: Some(address),
            ..Identity::default()
        },
        kind,
    }
}

fn entity(name: &str) -> Result<Party, UsageError> {
    if name == "world" {
        return Err(UsageError::new(
            "'world' is many: give an address or a DNS name, rules about prefixes and names depend on it",
        ));
    }
    let mut labels = vec![Label::new("reserved", name, "")];
    if name == "kube-apiserver" {
        labels.push(Label::new("reserved", "remote-node", ""));
    }
    let (number, kind) = match name {
        "host" => (1, PartyKind::Node),
        "remote-node" => (6, PartyKind::Node),
        "kube-apiserver" => (7, PartyKind::Node),
        "unmanaged" => (3, PartyKind::Reserved),
        "health" => (4, PartyKind::Reserved),
        "init" => (5, PartyKind::Reserved),
        _ => (8, PartyKind::Reserved),
    };
    Ok(Party::Known {
        identity: Identity {
            number,
            labels,
            ..Identity::default()
        },
        kind,
    })
}

/// A name outside.
fn outside_by_name(name: &str) -> Party {
    Party::Known {
        identity: Identity {
            number: 2,
            address: Some(NO_ADDRESS),
            names: vec![Arc::from(name.trim_end_matches('.').to_ascii_lowercase())],
            ..Identity::default()
        },
        kind: PartyKind::Outside,
    }
}

/// Labels as they are, of source `k8s` where none is written.
fn by_labels(namespace: &str, text: &str, policies: &Policies, known: &Endpoints) -> Party {
    let mut labels: Vec<Label> = text
        .split(',')
        .map(|pair| {
            if pair.contains(':') {
                Label::parse(pair)
            } else {
                Label::parse(&format!("k8s:{pair}"))
            }
        })
        .collect();
    let of_namespace = policies.inventory().namespaces.get(namespace);
    labels.extend(of_namespace.into_iter().flatten().map(|(key, value)| {
        Label::new(
            "k8s",
            &format!("io.cilium.k8s.namespace.labels.{key}"),
            value,
        )
    }));
    labels.push(Label::new("k8s", "io.kubernetes.pod.namespace", namespace));
    labels.push(Label::new(
        "k8s",
        "io.cilium.k8s.policy.cluster",
        cluster(policies, known),
    ));
    pod(Identity {
        number: UNNUMBERED,
        labels,
        ..Identity::default()
    })
}

/// A workload or pod by its name: from flows, which carry its very labels, else from the
/// documents.
fn by_name(
    namespace: &str,
    name: &str,
    policies: &Policies,
    known: &Endpoints,
) -> Result<Party, UsageError> {
    if let Some(party) = known.find(namespace, name) {
        return Ok(party.clone());
    }
    let inventory = policies.inventory();
    let (kind, name) = match name.split_once('/') {
        Some((kind, name)) => (Some(kind), name),
        None => (None, name),
    };
    let mut found = inventory.workloads.iter().filter(|workload| {
        workload.namespace.as_deref() == Some(namespace)
            && &*workload.name == name
            && kind.is_none_or(|kind| workload.kind.eq_ignore_ascii_case(kind))
    });
    let Some(workload) = found.next() else {
        return Err(UsageError::new(format!(
            "{namespace}/{name} is not known: give its manifest with --policies, flows with --flows, or its labels as {namespace}/key=value"
        )));
    };
    if let Some(other) = found.next() {
        return Err(UsageError::new(format!(
            "{namespace}/{name} is a {} and a {}: write {namespace}/{}/{name}",
            workload.kind, other.kind, workload.kind
        )));
    }
    inventory
        .identity(workload, cluster(policies, known))
        .map(pod)
        .ok_or_else(|| {
            UsageError::new(format!(
                "{namespace}/{name} is on the network of its node: policies see the node (host, remote-node), not the pod"
            ))
        })
}
