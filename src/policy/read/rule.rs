//! Cilium's rules out of values.
//!
//! Owns which fields a rule and its elements have, peers included; ports are `ports`'s.

use super::decode::{Decoder, present};
use super::model::{
    CidrSet, CiliumPolicy, Element, Expression, Name, Rule, Selector, ServiceReference,
};
use super::path::Path;
use super::ports;
use crate::manifest::{Map, Node};
use crate::policy::entry::{Direction, Section};

/// Reads `spec` and `specs`.
pub(super) fn policy(d: &mut Decoder, map: &Map, path: &Path<'_>) -> CiliumPolicy {
    CiliumPolicy {
        spec: present(map, "spec").map(|node| rule(d, node, &path.field("spec"))),
        specs: d.list(map, "specs", path, |d, node, path| {
            (!node.is_null()).then(|| rule(d, node, path))
        }),
    }
}

const RULE: &[&str] = &[
    "endpointSelector",
    "nodeSelector",
    "ingress",
    "ingressDeny",
    "egress",
    "egressDeny",
    "labels",
    "enableDefaultDeny",
    "description",
    "log",
];

fn rule(d: &mut Decoder, node: &Node, path: &Path<'_>) -> Rule {
    let Some(map) = d.object(node, path, RULE) else {
        return Rule::default();
    };
    let section = |d: &mut Decoder, name, section| {
        d.list(map, name, path, |d, node, path| {
            element(d, node, path, section)
        })
        .unwrap_or_default()
    };
    let ingress = section(d, "ingress", Section::Ingress);
    let ingress_deny = section(d, "ingressDeny", Section::IngressDeny);
    let egress = section(d, "egress", Section::Egress);
    let egress_deny = section(d, "egressDeny", Section::EgressDeny);
    d.list(map, "labels", path, label);
    d.text(map, "description", path);
    if let Some(log) = present(map, "log") {
        let path = path.field("log");
        if let Some(log) = d.object(log, &path, &["value"]) {
            d.text(log, "value", &path);
        }
    }
    let deny = present(map, "enableDefaultDeny").and_then(|node| {
        let path = path.field("enableDefaultDeny");
        let map = d.object(node, &path, &["ingress", "egress"])?;
        Some((
            d.boolean(map, "ingress", &path),
            d.boolean(map, "egress", &path),
        ))
    });
    let (default_deny_ingress, default_deny_egress) = deny.unwrap_or_default();
    Rule {
        at: node.at,
        endpoints: written_selector(d, map, "endpointSelector", path),
        nodes: written_selector(d, map, "nodeSelector", path),
        ingress,
        ingress_deny,
        egress,
        egress_deny,
        default_deny_ingress,
        default_deny_egress,
    }
}

/// Peer fields of ingress: endpoints, nodes, addresses, address sets, entities, groups.
pub(in crate::policy) const INGRESS: [&str; 6] = [
    "fromEndpoints",
    "fromNodes",
    "fromCIDR",
    "fromCIDRSet",
    "fromEntities",
    "fromGroups",
];
/// Peer fields of egress, in the same order.
pub(in crate::policy) const EGRESS: [&str; 6] = [
    "toEndpoints",
    "toNodes",
    "toCIDR",
    "toCIDRSet",
    "toEntities",
    "toGroups",
];

fn element(d: &mut Decoder, node: &Node, path: &Path<'_>, section: Section) -> Element {
    let (direction, deny) = match section {
        Section::Ingress => (Direction::Ingress, false),
        Section::IngressDeny => (Direction::Ingress, true),
        Section::EgressDeny => (Direction::Egress, true),
        Section::Egress | Section::Whole => (Direction::Egress, false),
    };
    let peers = if direction == Direction::Ingress {
        INGRESS
    } else {
        EGRESS
    };
    let mut known = peers.to_vec();
    known.extend(["toPorts", "icmps"]);
    match direction {
        Direction::Ingress => known.push("fromRequires"),
        Direction::Egress => known.extend(["toRequires", "toServices"]),
    }
    if !deny {
        known.push("authentication");
        if direction == Direction::Egress {
            known.push("toFQDNs");
        }
    }
    let Some(map) = d.object(node, path, &known) else {
        return Element {
            at: node.at,
            ..Element::default()
        };
    };
    let [endpoints, nodes, cidrs, cidr_sets, entities, groups] = peers;
    let mut read = Element {
        at: node.at,
        endpoints: d.list(map, endpoints, path, selector),
        nodes: d.list(map, nodes, path, selector),
        cidrs: d.texts(map, cidrs, path),
        cidr_sets: d.list(map, cidr_sets, path, cidr_set),
        entities: d.texts(map, entities, path),
        groups: d.list(map, groups, path, group),
        icmps: d.list(map, "icmps", path, ports::icmp).unwrap_or_default(),
        ports: d
            .list(map, "toPorts", path, |d, node, path| {
                ports::ports(d, node, path, deny)
            })
            .unwrap_or_default(),
        ..Element::default()
    };
    if direction == Direction::Egress {
        d.texts(map, "toRequires", path);
        read.services = d.list(map, "toServices", path, service);
    } else {
        d.texts(map, "fromRequires", path);
    }
    if !deny {
        if direction == Direction::Egress {
            read.names = d.list(map, "toFQDNs", path, name);
        }
        if let Some(node) = present(map, "authentication") {
            let path = path.field("authentication");
            if let Some(map) = d.object(node, &path, &["mode"]) {
                read.auth = Some(d.text(map, "mode", &path));
            }
        }
    }
    read
}

/// A selector that counts as written even where it is `null`: then it is an empty one.
fn written_selector(d: &mut Decoder, map: &Map, name: &str, path: &Path<'_>) -> Option<Selector> {
    map.get(name)
        .map(|node| selector(d, node, &path.field(name)))
}

/// A label selector.
pub(super) fn selector(d: &mut Decoder, node: &Node, path: &Path<'_>) -> Selector {
    let mut read = Selector {
        at: node.at,
        ..Selector::default()
    };
    if let Some(map) = d.object(node, path, &["matchLabels", "matchExpressions"]) {
        read.labels = d.pairs(map, "matchLabels", path);
        read.expressions = d
            .list(map, "matchExpressions", path, expression)
            .unwrap_or_default();
    }
    read
}

fn expression(d: &mut Decoder, node: &Node, path: &Path<'_>) -> Expression {
    let mut read = Expression {
        at: node.at,
        ..Expression::default()
    };
    if let Some(map) = d.object(node, path, &["key", "operator", "values"]) {
        read.key = d.text(map, "key", path);
        read.operator = d.text(map, "operator", path);
        read.values = d.texts(map, "values", path).unwrap_or_default();
    }
    read
}

fn cidr_set(d: &mut Decoder, node: &Node, path: &Path<'_>) -> CidrSet {
    let mut read = CidrSet {
        at: node.at,
        ..CidrSet::default()
    };
    let known = ["cidr", "cidrGroupRef", "cidrGroupSelector", "except"];
    if let Some(map) = d.object(node, path, &known) {
        read.cidr = d.text(map, "cidr", path);
        read.group = d.text(map, "cidrGroupRef", path);
        read.selector = written_selector(d, map, "cidrGroupSelector", path);
        read.except = d.texts(map, "except", path).unwrap_or_default();
    }
    read
}

/// A name or a pattern.
pub(super) fn name(d: &mut Decoder, node: &Node, path: &Path<'_>) -> Name {
    let mut read = Name {
        at: node.at,
        ..Name::default()
    };
    if let Some(map) = d.object(node, path, &["matchName", "matchPattern"]) {
        read.exact = d.text(map, "matchName", path);
        read.pattern = d.text(map, "matchPattern", path);
    }
    read
}

fn service(d: &mut Decoder, node: &Node, path: &Path<'_>) -> ServiceReference {
    let mut read = ServiceReference::default();
    let Some(map) = d.object(node, path, &["k8sServiceSelector", "k8sService"]) else {
        return read;
    };
    if let Some(node) = present(map, "k8sServiceSelector") {
        let path = path.field("k8sServiceSelector");
        if let Some(map) = d.object(node, &path, &["selector", "namespace"]) {
            let found = written_selector(d, map, "selector", &path).unwrap_or_default();
            read.labelled = Some((found, d.text(map, "namespace", &path)));
        }
    }
    if let Some(node) = present(map, "k8sService") {
        let path = path.field("k8sService");
        if let Some(map) = d.object(node, &path, &["serviceName", "namespace"]) {
            let found = d.text(map, "serviceName", &path);
            read.named = Some((found, d.text(map, "namespace", &path)));
        }
    }
    read
}

fn group(d: &mut Decoder, node: &Node, path: &Path<'_>) {
    let Some(map) = d.object(node, path, &["aws"]) else {
        return;
    };
    let Some(node) = present(map, "aws") else {
        return;
    };
    let path = path.field("aws");
    let known = [
        "labels",
        "securityGroupsIds",
        "securityGroupsNames",
        "region",
    ];
    if let Some(map) = d.object(node, &path, &known) {
        d.pairs(map, "labels", &path);
        d.texts(map, "securityGroupsIds", &path);
        d.texts(map, "securityGroupsNames", &path);
        d.text(map, "region", &path);
    }
}

/// A label of the rule: a text, or an object with a key. It has no effect on verdicts.
fn label(d: &mut Decoder, node: &Node, path: &Path<'_>) {
    if node.as_str().is_some_and(|text| !text.is_empty()) {
        return;
    }
    let key = node.get("key").and_then(Node::as_str);
    if key.is_none_or(str::is_empty) {
        d.mismatch(node, path, "a label");
    } else if let Some(map) = d.object(node, path, &["source", "key", "value"]) {
        d.text(map, "source", path);
        d.text(map, "value", path);
    }
}
