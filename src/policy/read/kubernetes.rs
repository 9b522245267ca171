//! NetworkPolicy of Kubernetes: its shape as written, and out of values.
//!
//! Owns the fields the agent reads of it. Nothing is checked but types.

use super::decode::{Decoder, IntOrText, Text, present};
use super::model::{CidrSet, Selector};
use super::path::Path;
use super::rule::selector;
use crate::manifest::{Map, Node, Place};

/// The `spec`.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct NetworkPolicy {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) pods: Selector,
    pub(in crate::policy) ingress: Vec<KubernetesRule>,
    pub(in crate::policy) egress: Vec<KubernetesRule>,
    pub(in crate::policy) types: Vec<Text>,
}

/// One rule of a direction.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct KubernetesRule {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) ports: Vec<KubernetesPort>,
    pub(in crate::policy) peers: Vec<KubernetesPeer>,
}

/// One port.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct KubernetesPort {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) protocol: Option<Text>,
    pub(in crate::policy) port: Option<IntOrText>,
    pub(in crate::policy) end_port: Option<i32>,
}

/// One peer.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct KubernetesPeer {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) pods: Option<Selector>,
    pub(in crate::policy) namespaces: Option<Selector>,
    pub(in crate::policy) block: Option<CidrSet>,
}

impl NetworkPolicy {
    /// How much its entries repeat: each holds its subject and the ports of its rule.
    pub(in crate::policy) fn weight(&self) -> usize {
        let subject = 1 + self.pods.weight();
        let rules = self.ingress.iter().chain(&self.egress);
        rules
            .map(|rule| {
                rule.peers
                    .len()
                    .max(1)
                    .saturating_mul(subject + rule.ports.len())
            })
            .fold(0, usize::saturating_add)
    }
}

/// Reads the `spec` of an object.
pub(super) fn policy(d: &mut Decoder, map: &Map, path: &Path<'_>) -> NetworkPolicy {
    let Some(node) = present(map, "spec") else {
        return NetworkPolicy::default();
    };
    let path = path.field("spec");
    let mut read = NetworkPolicy {
        at: node.at,
        ..NetworkPolicy::default()
    };
    let known = ["podSelector", "ingress", "egress", "policyTypes"];
    if let Some(map) = d.object(node, &path, &known) {
        read.pods = optional_selector(d, map, "podSelector", &path).unwrap_or_default();
        read.ingress = rules(d, map, ("ingress", "from"), &path);
        read.egress = rules(d, map, ("egress", "to"), &path);
        read.types = d.texts(map, "policyTypes", &path).unwrap_or_default();
    }
    read
}

fn rules(
    d: &mut Decoder,
    map: &Map,
    (list, peers): (&str, &str),
    path: &Path<'_>,
) -> Vec<KubernetesRule> {
    d.list(map, list, path, |d, node, path| {
        let mut read = KubernetesRule {
            at: node.at,
            ..KubernetesRule::default()
        };
        if let Some(map) = d.object(node, path, &["ports", peers]) {
            read.ports = d.list(map, "ports", path, port).unwrap_or_default();
            read.peers = d.list(map, peers, path, peer).unwrap_or_default();
        }
        read
    })
    .unwrap_or_default()
}

fn port(d: &mut Decoder, node: &Node, path: &Path<'_>) -> KubernetesPort {
    let mut read = KubernetesPort {
        at: node.at,
        ..KubernetesPort::default()
    };
    if let Some(map) = d.object(node, path, &["protocol", "port", "endPort"]) {
        read.protocol = d.optional_text(map, "protocol", path);
        read.port = d.int_or_text(map, "port", path);
        read.end_port = d.integer(map, "endPort", path);
    }
    read
}

fn peer(d: &mut Decoder, node: &Node, path: &Path<'_>) -> KubernetesPeer {
    let mut read = KubernetesPeer {
        at: node.at,
        ..KubernetesPeer::default()
    };
    if let Some(map) = d.object(node, path, &["podSelector", "namespaceSelector", "ipBlock"]) {
        read.pods = optional_selector(d, map, "podSelector", path);
        read.namespaces = optional_selector(d, map, "namespaceSelector", path);
        read.block = present(map, "ipBlock").map(|node| block(d, node, &path.field("ipBlock")));
    }
    read
}

fn block(d: &mut Decoder, node: &Node, path: &Path<'_>) -> CidrSet {
    let mut read = CidrSet {
        at: node.at,
        ..CidrSet::default()
    };
    if let Some(map) = d.object(node, path, &["cidr", "except"]) {
        read.cidr = d.text(map, "cidr", path);
        read.except = d.texts(map, "except", path).unwrap_or_default();
    }
    read
}

fn optional_selector(d: &mut Decoder, map: &Map, name: &str, path: &Path<'_>) -> Option<Selector> {
    present(map, name).map(|node| selector(d, node, &path.field(name)))
}
