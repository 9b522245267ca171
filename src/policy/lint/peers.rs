//! Who is let in or out.
//!
//! Owns peers that are nobody, everybody, or not those that seem meant. Addresses, names
//! and Services have files of their own.

use super::checks;
use super::finding::Severity;
use super::keys::{self, is_negative, is_reserved, split};
use super::lists;
use super::report::{Part, Report, sections};
use super::selectors::{CLUSTER, NAMESPACE, NAMESPACE_LABELS};
use crate::manifest::{Node, Value};
use crate::policy::convert::peer_selector;
use crate::policy::read::{Path, Rule, Selector};
use crate::policy::selector::{LabelSelector, Operator, PeerSelector};

/// Checks an element.
pub(super) fn element(report: &mut Report<'_, '_>, part: Part<'_>) {
    let path = part.path;
    empty_lists(report, part);
    for (field, list, whom) in [
        ("Endpoints", &part.element.endpoints, keys::Whom::Endpoints),
        ("Nodes", &part.element.nodes, keys::Whom::Nodes),
    ] {
        let field = part.peer_field(field);
        let path = path.field(&field);
        for (index, written) in list.iter().flatten().enumerate() {
            let path = path.item(index);
            if whom == keys::Whom::Endpoints {
                keys::cilium(report, written, &path, whom);
                endpoints(report, part, written, &path);
            }
        }
    }
    lists::entities(report, part);
    if part
        .element
        .groups
        .as_ref()
        .is_some_and(|list| !list.is_empty())
    {
        let field = part.peer_field("Groups");
        report.add(
            &checks::GROUPS,
            part.node.get(&field).map_or(part.element.at, |node| node.at),
            path.field(&field),
            "the agents import nothing of an object with groups: an operator with access to the provider writes another one from it",
            "see that the operator runs with the provider's credentials, and look at the object it writes",
        );
    }
    let field = part.peer_field("Requires");
    if let Some(node) = part.node.get(&field) {
        report.add(
            &checks::REQUIRES,
            node.at,
            path.field(&field),
            format!("'{field}' has no effect since Cilium 1.19"),
            "add the requirement to each selector of the peers",
        );
    }
    for (key, node) in part.node.as_map().into_iter().flat_map(|map| &map.entries) {
        if let Some(list) = node.as_list() {
            lists::duplicates(report, list, &path.field(&key.name));
        }
    }
}

/// Checks the lists of a rule as a whole.
pub(super) fn rule(report: &mut Report<'_, '_>, rule: &Rule, node: &Node, path: &Path<'_>) {
    let mut only_empty = true;
    let mut first = None;
    for (_, field, _) in sections(rule) {
        let Some(list) = node.get(field).and_then(Node::as_list) else {
            continue;
        };
        let path = path.field(field);
        lists::duplicates(report, list, &path);
        let deny = field.ends_with("Deny");
        for (index, element) in list.iter().enumerate() {
            let empty = is_empty(element);
            only_empty &= empty && !deny;
            if !empty || deny {
                continue;
            }
            first.get_or_insert((element.at, path.item(index).to_string()));
            if list.len() > 1 {
                report.add(
                    &checks::EMPTY_ELEMENT,
                    element.at,
                    path.item(index),
                    "an empty element allows nobody, and the others deny what they do not allow anyway",
                    format!("remove it; to allow everybody, write '{}Entities: [all]'", if field == "ingress" { "from" } else { "to" }),
                );
            }
        }
    }
    let name = report.object.policy.id.name.to_ascii_lowercase();
    if let Some((at, field)) = first
        && only_empty
        && name.contains("allow")
        && !name.contains("deny")
    {
        let direction = if field.contains("ingress") {
            "from"
        } else {
            "to"
        };
        report.add(
            &checks::EMPTY_AGAINST_NAME,
            at,
            field,
            "an empty element allows nobody in Cilium's policies, and the name says 'allow'",
            format!("to allow everybody, write '{direction}Entities: [all]'"),
        );
    }
}

fn empty_lists(report: &mut Report<'_, '_>, part: Part<'_>) {
    let element = part.element;
    let length = |list: Option<usize>| list == Some(0);
    let nobody = [
        (
            "Endpoints",
            length(element.endpoints.as_ref().map(Vec::len)),
        ),
        ("Nodes", length(element.nodes.as_ref().map(Vec::len))),
        ("CIDR", length(element.cidrs.as_ref().map(Vec::len))),
        ("CIDRSet", length(element.cidr_sets.as_ref().map(Vec::len))),
        ("Entities", length(element.entities.as_ref().map(Vec::len))),
    ];
    let ports = !element.ports.is_empty() || !element.icmps.is_empty();
    let siblings = sections(part.rule)
        .into_iter()
        .find(|(section, ..)| *section == part.section)
        .map_or(0, |(_, _, list)| list.len());
    let at = |field: &str| part.node.get(field).map_or(element.at, |node| node.at);
    let mut is_nobody = false;
    for (field, empty) in nobody {
        if !empty {
            continue;
        }
        is_nobody = true;
        let field = part.peer_field(field);
        // Alone and without ports it is one way to write "deny all".
        let severity = if ports || siblings > 1 || part.is_deny() {
            Severity::Warning
        } else {
            Severity::Info
        };
        report.add_as(
            &checks::EMPTY_PEERS,
            severity,
            at(&field),
            part.path.field(&field),
            format!("an empty '{field}' selects nobody, other than one that is absent"),
            format!("leave '{field}' out to mean everybody on the ports, or remove the element"),
        );
    }
    if is_nobody || part.is_deny() || !ports {
        return;
    }
    let written = [
        element.endpoints.is_some(),
        element.nodes.is_some(),
        element.cidrs.is_some(),
        element.cidr_sets.is_some(),
        element.entities.is_some(),
    ];
    let wildcard = [
        ("toFQDNs", element.names.as_ref().map(Vec::len)),
        ("toServices", element.services.as_ref().map(Vec::len)),
        ("toGroups", element.groups.as_ref().map(Vec::len)),
        ("fromGroups", element.groups.as_ref().map(Vec::len)),
    ];
    if written.contains(&true) || wildcard.iter().any(|(_, list)| list.is_some_and(|n| n > 0)) {
        return;
    }
    for (field, list) in wildcard {
        if list == Some(0) && field.starts_with(part.prefix()) {
            report.add(
                &checks::EMPTY_WILDCARD,
                at(field),
                part.path.field(field),
                format!(
                    "an empty '{field}' is as one that is absent: everybody is allowed on the ports"
                ),
                "fill the list, or remove the element",
            );
        }
    }
}

fn endpoints(report: &mut Report<'_, '_>, part: Part<'_>, written: &Selector, path: &Path<'_>) {
    let keys: Vec<(&str, &str)> = written
        .labels
        .iter()
        .map(|(key, _)| (&**key, "In"))
        .chain(
            written
                .expressions
                .iter()
                .map(|expression| (&*expression.key, &*expression.operator)),
        )
        .collect();
    if keys.iter().any(|(key, _)| keys::is_dead(key)) || report.object.templated {
        return;
    }
    let all_negative = !keys.is_empty() && keys.iter().all(|(_, operator)| is_negative(operator));
    if keys.iter().any(|(key, _)| is_reserved(key)) {
        if all_negative {
            report.add(
                &checks::NEGATIVE_RESERVED,
                written.at,
                path,
                "a key of the source 'reserved' keeps Cilium from adding the namespace: everybody without that label is selected, the world included",
                format!("name who is meant with '{}Entities', or select pods by labels of theirs", part.prefix()),
            );
        }
        return;
    }
    let is_namespace = |key: &str| split(key).1 == NAMESPACE;
    if all_negative
        && keys.iter().any(|(key, _)| is_namespace(key))
        && !report.options().default_local_cluster
    {
        report.add(
            &checks::NEGATIVE_NAMESPACE,
            written.at,
            path,
            "nodes and the world have no namespace, so that they are selected too",
            format!("add '{NAMESPACE}' with the operator Exists"),
        );
    }
    let scoped = keys
        .iter()
        .any(|(key, _)| is_namespace(key) || split(key).1.starts_with(NAMESPACE_LABELS));
    if well_known(report, written, scoped, path) {
        return;
    }
    if keys.iter().any(|(key, _)| split(key).1 == CLUSTER) || keys.is_empty() {
        return;
    }
    against_inventory(report, written, scoped, path);
}

/// The DNS server and the API server, which many policies select the wrong way.
fn well_known(
    report: &mut Report<'_, '_>,
    written: &Selector,
    scoped: bool,
    path: &Path<'_>,
) -> bool {
    let label = |keys: &[&str], values: &[&str]| {
        written
            .labels
            .iter()
            .any(|(key, value)| keys.contains(&split(key).1) && values.contains(&&**value))
    };
    let own = report.object.namespace;
    let namespaced = !report.is_clusterwide() && own != Some("kube-system");
    if namespaced && !scoped && label(&["k8s-app"], &["kube-dns", "coredns", "node-local-dns"]) {
        let here = own.map_or_else(|| "of the policy".to_owned(), |own| format!("'{own}'"));
        report.add_as(
            &checks::DNS_NAMESPACE,
            if own.is_some() { Severity::Error } else { Severity::Warning },
            written.at,
            path,
            format!("without a namespace the DNS server is looked for in the namespace {here}, where it is not"),
            format!("add 'k8s:{NAMESPACE}: kube-system'"),
        );
        return true;
    }
    if label(&["component", "k8s-app"], &["kube-apiserver"]) {
        report.add(
            &checks::APISERVER_PODS,
            written.at,
            path,
            "the API server is on the node's network: it has no labels of a pod and is not selected",
            "use the entity 'kube-apiserver'",
        );
        return true;
    }
    false
}

fn against_inventory(
    report: &mut Report<'_, '_>,
    written: &Selector,
    scoped: bool,
    path: &Path<'_>,
) {
    let cluster = &report.world.cluster;
    let PeerSelector::Labels(selector) = peer_selector(
        written,
        &report.object.policy.id.namespace,
        report.options(),
    ) else {
        return;
    };
    if cluster.selected(&selector).next().is_some() || !is_known(report, &selector) {
        return;
    }
    if !scoped && !report.is_clusterwide() {
        let PeerSelector::Labels(anywhere) = peer_selector(written, "", report.options()) else {
            return;
        };
        if let Some((pod, _)) = cluster.selected(&anywhere).next()
            && let Some(namespace) = &pod.workload.namespace
        {
            let name = pod.name();
            let mend = format!("add 'k8s:{NAMESPACE}: {namespace}'");
            report.add(
                &checks::PEER_OTHER_NAMESPACE,
                written.at,
                path,
                format!("a peer without a namespace is in the policy's own, and nothing there has the labels; {name} has them"),
                mend,
            );
            return;
        }
    }
    report.add(
        &checks::PEER_NOTHING,
        written.at,
        path,
        "none of the pods that are known is selected",
        "compare namespace and labels with those of the pods' template",
    );
}

/// Whether the pods are known of every namespace that a selector can select from.
fn is_known(report: &Report<'_, '_>, selector: &LabelSelector) -> bool {
    let cluster = &report.world.cluster;
    let asked = selector.requirements().find(|requirement| {
        &*requirement.key.name == NAMESPACE && requirement.operator == Operator::In
    });
    match asked {
        Some(asked) => asked
            .values
            .iter()
            .all(|namespace| cluster.knows_pods_of(namespace)),
        None => cluster.knows_pods(),
    }
}

/// `{}` or nothing.
pub(super) fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Map(map) => map.entries.is_empty(),
        _ => false,
    }
}
