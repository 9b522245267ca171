//! NetworkPolicies of Kubernetes, as Cilium means them.
//!
//! Owns where that differs from what is written, and what they add to Cilium's own.

use super::addresses;
use super::checks;
use super::finding::Severity;
use super::keys;
use super::report::Report;
use super::selectors::{disjoint, within};
use super::subject;
use crate::inventory::Label;
use crate::policy::convert::kubernetes_subject;
use crate::policy::entry::Direction;
use crate::policy::read::{
    Body, IntOrText, KubernetesPeer, KubernetesRule, NetworkPolicy, Path, Selector,
};
use crate::policy::set::ObjectKind;
use crate::policy::validate::{by_source, is_valid};

/// Checks an object; others than NetworkPolicies are passed over.
pub(super) fn object(report: &mut Report<'_, '_>) {
    let Ok(Body::Kubernetes(policy)) = &report.object.policy.body else {
        return;
    };
    let path = Path::Root;
    let path = path.field("spec");
    pods(report, &policy.pods, &path.field("podSelector"));
    if is_valid(&policy.pods, of_kubernetes) {
        let selector = kubernetes_subject(&policy.pods, &report.object.policy.id.namespace);
        subject::inventory(report, &selector, &policy.pods, &path.field("podSelector"));
    }
    types(report, policy, &path);
    let name = report.object.policy.id.name.to_ascii_lowercase();
    for (direction, field, peers, rules) in [
        (Direction::Ingress, "ingress", "from", &policy.ingress),
        (Direction::Egress, "egress", "to", &policy.egress),
    ] {
        let list = path.field(field);
        for (index, rule) in rules.iter().enumerate() {
            let path = list.item(index);
            if name.contains("deny") && is_open(rule) && !name.contains("allow") {
                report.add(
                    &checks::EMPTY_AGAINST_NAME,
                    rule.at,
                    path,
                    format!("an empty rule of a NetworkPolicy allows all {field}, and the name says 'deny'"),
                    format!("write '{field}: []' to deny all"),
                );
            }
            dns_ports(report, rule, direction, &path);
            let list = path.field(peers);
            for (index, peer) in rule.peers.iter().enumerate() {
                self::peer(report, peer, direction, &list.item(index));
            }
        }
    }
    if !report.object.templated {
        adds_up(report);
    }
}

fn is_open(rule: &KubernetesRule) -> bool {
    rule.peers.is_empty() && rule.ports.is_empty()
}

fn types(report: &mut Report<'_, '_>, policy: &NetworkPolicy, path: &Path<'_>) {
    let listed = |wanted: &str| policy.types.iter().any(|name| &**name == wanted);
    let lists = [
        ("Ingress", "ingress", &policy.ingress),
        ("Egress", "egress", &policy.egress),
    ];
    for (name, field, rules) in lists {
        let Some(first) = rules.first() else { continue };
        if !policy.types.is_empty() && !listed(name) {
            report.add(
                &checks::KNP_TYPES,
                first.at,
                path.field(field),
                format!("'policyTypes' leaves out {name}, and Cilium enforces its rules all the same; others do not"),
                format!("add '{name}' to 'policyTypes', or remove the rules"),
            );
        }
    }
    if let Some(first) = policy.egress.first()
        && policy.types.is_empty()
        && policy.ingress.is_empty()
    {
        report.add(
            &checks::KNP_IMPLICIT,
            first.at,
            path.field("policyTypes"),
            "without 'policyTypes' a NetworkPolicy is about ingress too: all ingress is denied",
            "write 'policyTypes: [Egress]'",
        );
    }
}

fn dns_ports(
    report: &mut Report<'_, '_>,
    rule: &KubernetesRule,
    direction: Direction,
    path: &Path<'_>,
) {
    if direction != Direction::Egress {
        return;
    }
    let is_dns = |port: &&crate::policy::read::KubernetesPort| {
        port.port.as_ref().map(IntOrText::text).as_deref() == Some("53")
    };
    let udp = rule
        .ports
        .iter()
        .filter(is_dns)
        .any(|port| port.protocol.as_deref() == Some("UDP"));
    let implicit = rule
        .ports
        .iter()
        .filter(is_dns)
        .find(|port| port.protocol.is_none());
    if let Some(port) = implicit
        && !udp
    {
        report.add(
            &checks::KNP_DNS_TCP,
            port.at,
            path.field("ports"),
            "a port of a NetworkPolicy without a protocol is TCP: DNS over UDP is not allowed by it",
            "add the port with 'protocol: UDP'",
        );
    }
}

fn peer(report: &mut Report<'_, '_>, peer: &KubernetesPeer, direction: Direction, path: &Path<'_>) {
    let ingress = direction == Direction::Ingress;
    if let Some(written) = &peer.pods {
        pods(report, written, &path.field("podSelector"));
    }
    if let Some(written) = &peer.namespaces {
        namespaces(report, written, &path.field("namespaceSelector"));
    }
    if let Some(block) = &peer.block {
        let path = path.field("ipBlock");
        addresses::prefix(report, &block.cidr, &block.except, ingress, &path);
    }
    let selected = peer.pods.is_some() || peer.namespaces.is_some();
    let version = report.options().version;
    let defect = ingress
        && (version.major, version.minor) == (1, 19)
        && version.patch <= 4
        && report.options().default_local_cluster;
    if !selected && peer.block.is_none() {
        let effect = if defect {
            "every pod of the policy's namespace"
        } else {
            "nobody"
        };
        report.add(
            &checks::KNP_PEER_EMPTY,
            peer.at,
            path,
            format!("the API server refuses an empty peer; where one gets in, it selects {effect}, not everybody"),
            "leave the list of peers out to allow everybody, or write 'podSelector: {}'",
        );
    } else if !selected && defect {
        report.add(
            &checks::KNP_BLOCK,
            peer.at,
            path.field("ipBlock"),
            format!("Cilium {version} lets every pod of the policy's namespace in beside the block (a defect of 1.19.0 to 1.19.4)"),
            "update Cilium, or write the rule as a CiliumNetworkPolicy with 'fromCIDRSet'",
        );
    }
}

fn pods(report: &mut Report<'_, '_>, written: &Selector, path: &Path<'_>) {
    if valid(report, written, path) {
        keys::kubernetes(report, written, path);
    }
}

/// Whether a selector can be read; the agent takes one that cannot for an empty one.
fn valid(report: &mut Report<'_, '_>, written: &Selector, path: &Path<'_>) -> bool {
    let valid = is_valid(written, of_kubernetes);
    if !valid && !report.object.templated {
        report.add(
            &checks::KNP_SELECTOR,
            written.at,
            path,
            "a key, value or operator of the selector is none: the API server refuses it, and Cilium takes it for one that asks for nothing",
            "write keys, values and operators as Kubernetes has them",
        );
    }
    valid
}

fn namespaces(report: &mut Report<'_, '_>, written: &Selector, path: &Path<'_>) {
    if !valid(report, written, path) || report.object.templated {
        return;
    }
    let known = &report.world.cluster.inventory.namespaces;
    let selector = kubernetes_subject(written, "");
    let anything = written.labels.is_empty() && written.expressions.is_empty();
    // A few namespaces are in many trees; what they lack says nothing of the others.
    let all_known = report.world.cluster.knows_pods()
        && report
            .world
            .cluster
            .pods
            .iter()
            .filter_map(|pod| pod.workload.namespace.as_ref())
            .all(|namespace| known.contains_key(namespace));
    if anything || known.is_empty() || !all_known {
        return;
    }
    let selected = known.values().any(|labels| {
        let labels: Vec<Label> = labels
            .iter()
            .map(|(key, value)| Label::new("k8s", key, value))
            .collect();
        super::selectors::selects(&selector, &labels, |_| false) == super::selectors::Selected::Yes
    });
    if !selected {
        report.add(
            &checks::KNP_NAMESPACE,
            written.at,
            path,
            "none of the namespaces that are known has these labels: nobody is selected",
            "ask for 'kubernetes.io/metadata.name', the name, which every namespace has as a label",
        );
    }
}

/// Cilium's policies for the same pods: what either allows is allowed.
fn adds_up(report: &mut Report<'_, '_>) {
    let Some(own) = report.object.namespace else {
        return;
    };
    for direction in [Direction::Ingress, Direction::Egress] {
        let mine = report
            .entries()
            .iter()
            .find(|entry| entry.direction == direction);
        let Some(mine) = mine else { continue };
        let other = report.world.around(&mine.subject.selector).find(|object| {
            object.policy.id.kind == ObjectKind::CiliumNetworkPolicy
                && object.namespace == Some(own)
                && object.entries.iter().flatten().any(|entry| {
                    let (a, b) = (&entry.subject.selector, &mine.subject.selector);
                    entry.direction == direction
                        && !entry.deny
                        && entry.peers.as_ref().is_none_or(|peers| !peers.is_empty())
                        && !disjoint(a, b)
                        && (within(a, b) || within(b, a))
                })
        });
        let Some(other) = other else { continue };
        let (word, name) = (direction.name(), &other.policy.id.name);
        report.add_as(
            &checks::ADD_UP,
            Severity::Info,
            report.object.policy.at,
            "spec",
            format!("the CiliumNetworkPolicy '{name}' allows {word} of the same pods: what either of both allows is allowed ({}:{})", other.file, other.policy.at),
            "keep the rules of a workload in objects of one kind",
        );
        return;
    }
}

fn of_kubernetes(key: &str) -> String {
    by_source("k8s", key)
}
