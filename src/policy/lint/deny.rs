//! Deny rules and default deny.
//!
//! Owns denies that deny nobody, more than they name, or the kubelet; and the switch
//! `enableDefaultDeny` where it does nothing.

use super::checks;
use super::finding::Severity;
use super::peers::is_empty;
use super::report::{Part, Report};
use super::selectors::disjoint;
use crate::manifest::Node;
use crate::policy::convert::subject_selector;
use crate::policy::entry::{Direction, Section};
use crate::policy::options::OptionName;
use crate::policy::read::{Path, Rule};

/// Checks one element of a deny list.
pub(super) fn element(report: &mut Report<'_, '_>, part: Part<'_>) {
    if !part.is_deny() {
        return;
    }
    if is_empty(part.node) {
        report.add(
            &checks::DENY_EMPTY,
            part.element.at,
            part.path,
            "an empty element denies nobody; it only switches default deny on",
            format!(
                "to deny everybody, write '{}Entities: [all]'",
                part.prefix()
            ),
        );
    }
    if let Some(services) = &part.element.services
        && !services.is_empty()
    {
        let effect = if part.element.ports.is_empty() {
            "nobody is denied"
        } else {
            "everybody is denied on the ports"
        };
        let field = part.path.field("toServices");
        let at = part
            .node
            .get("toServices")
            .map_or(part.element.at, |node| node.at);
        report.add(
            &checks::DENY_SERVICES,
            at,
            field,
            format!("Services are not looked up for a deny: {effect}"),
            "name the pods with 'toEndpoints'",
        );
    }
    scope(report, part);
    probes(report, part);
}

/// Checks the deny lists and the switch of a rule.
pub(super) fn rule(report: &mut Report<'_, '_>, rule: &Rule, node: &Node, path: &Path<'_>) {
    let directions = [
        (
            Direction::Ingress,
            "ingress",
            rule.default_deny_ingress,
            &rule.ingress,
            &rule.ingress_deny,
        ),
        (
            Direction::Egress,
            "egress",
            rule.default_deny_egress,
            &rule.egress,
            &rule.egress_deny,
        ),
    ];
    for (direction, name, written, allow, deny) in directions {
        let at = node
            .get("enableDefaultDeny")
            .and_then(|node| node.get(name));
        let field = path.field("enableDefaultDeny");
        let field = field.field(name);
        if written == Some(true) && allow.is_empty() && deny.is_empty() {
            report.add(
                &checks::DEFAULT_DENY_EMPTY,
                at.map_or(rule.at, |node| node.at),
                field,
                format!("without an element of {name} the switch does nothing: {name} stays open"),
                format!("add '{name}: [{{}}]' to deny {name}"),
            );
        }
        let options = report.options();
        if written == Some(false)
            && !options.non_default_deny
            && options.given.contains(&OptionName::NonDefaultDeny)
            && !(allow.is_empty() && deny.is_empty())
        {
            report.add(
                &checks::DEFAULT_DENY_IGNORED,
                at.map_or(rule.at, |node| node.at),
                field,
                "the agents have 'enable-non-default-deny-policies' off: the rule denies by default all the same",
                "set that option, or do without the rule",
            );
        }
        if written.is_none() && allow.is_empty() && !deny.is_empty() {
            switched_on(report, (rule, node), direction, name, path);
        }
    }
}

/// A rule that only denies: everything it does not name is cut as well, unless others allow
/// something.
fn switched_on(
    report: &mut Report<'_, '_>,
    (rule, node): (&Rule, &Node),
    direction: Direction,
    name: &str,
    path: &Path<'_>,
) {
    let list = match direction {
        Direction::Ingress => &rule.ingress_deny,
        Direction::Egress => &rule.egress_deny,
    };
    let everybody = list.iter().any(|element| {
        element.ports.is_empty()
            && element.icmps.is_empty()
            && element
                .entities
                .iter()
                .flatten()
                .any(|entity| &**entity == "all")
    });
    let Some(written) = &rule.endpoints else {
        return;
    };
    // Elements that deny nobody have their own finding, one that denies all is plain.
    let deny = node.get(&format!("{name}Deny")).and_then(Node::as_list);
    let names_nobody = deny.is_some_and(|list| list.iter().all(is_empty));
    if everybody || names_nobody || report.object.templated {
        return;
    }
    let subject = subject_selector(written, &report.object.policy.id.namespace);
    let others = report.world.entries_around(&subject).any(|entry| {
        entry.direction == direction
            && !entry.deny
            && entry.default_deny
            && !entry.subject.node
            && !disjoint(&entry.subject.selector, &subject)
    });
    if others {
        return;
    }
    // A deny of the world alone is one way to say that nobody is to come in.
    let broad = list.iter().all(|element| {
        let broad = |name: &str| matches!(name, "all" | "world" | "cluster");
        element.ports.is_empty()
            && element.icmps.is_empty()
            && element
                .entities
                .iter()
                .flatten()
                .any(|entity| broad(entity))
    });
    let severity = if broad {
        Severity::Info
    } else {
        Severity::Warning
    };
    let at = list.first().map_or(rule.at, |element| element.at);
    report.add_as(
        &checks::DENY_DEFAULT,
        severity,
        at,
        path.field(&format!("{name}Deny")),
        format!("a deny switches default deny on, and no policy here allows any {name} to these pods: all of it is cut"),
        format!("add 'enableDefaultDeny: {{{name}: false}}' to cut only what is named"),
    );
}

fn scope(report: &mut Report<'_, '_>, part: Part<'_>) {
    let everything = part
        .element
        .endpoints
        .iter()
        .flatten()
        .find(|selector| selector.labels.is_empty() && selector.expressions.is_empty());
    let Some(selector) = everything else { return };
    let field = part.peer_field("Endpoints");
    let message = if report.is_clusterwide() {
        "an empty selector is every pod of this cluster: nodes, the world and pods of other clusters are not denied"
    } else {
        "an empty selector is every pod of the policy's namespace: other namespaces, nodes and the world are not denied"
    };
    report.add(
        &checks::DENY_SCOPE,
        selector.at,
        part.path.field(&field),
        message,
        format!("write '{}Entities: [all]' to deny everybody", part.prefix()),
    );
}

/// Denying the host stops the kubelet, which nothing else does.
fn probes(report: &mut Report<'_, '_>, part: Part<'_>) {
    let host = part
        .element
        .entities
        .iter()
        .flatten()
        .find(|name| matches!(&***name, "all" | "host" | "cluster"));
    let (Some(host), Some(written), Section::IngressDeny) =
        (host, &part.rule.endpoints, part.section)
    else {
        return;
    };
    let subject = subject_selector(written, &report.object.policy.id.namespace);
    let cluster = &report.world.cluster;
    let selected: Vec<_> = cluster.surely_selected(&subject).collect();
    let probed: Vec<_> = selected
        .iter()
        .filter(|pod| {
            let numbers: Vec<String> = pod
                .workload
                .spec
                .ports
                .iter()
                .map(|(port, _)| port.to_string())
                .collect();
            let ports: Vec<_> = part
                .element
                .ports
                .iter()
                .flat_map(|ports| &ports.list)
                .collect();
            let reached = ports.is_empty()
                || numbers.is_empty()
                || ports
                    .iter()
                    .any(|port| numbers.contains(&port.port.to_string()) || port.end_port > 0);
            pod.workload.spec.probed && reached && part.element.icmps.is_empty()
        })
        .collect();
    let field = part.path.field("fromEntities");
    let mend = "deny the entities that are meant, such as 'world' and 'remote-node', and leave the host out";
    match probed.first() {
        Some(pod) => {
            let message = format!(
                "'{}' covers the kubelet, and {} has probes: they fail, and its containers restart",
                &**host,
                pod.name()
            );
            report.add(&checks::DENY_PROBES, host.at, field, message, mend);
        }
        None if selected.is_empty()
            && part.element.ports.is_empty()
            && part.element.icmps.is_empty() =>
        {
            report.add_as(
                &checks::DENY_PROBES,
                Severity::Info,
                host.at,
                field,
                format!(
                    "'{}' covers the kubelet: probes of these pods fail, if they have any",
                    &**host
                ),
                mend,
            );
        }
        None => {}
    }
}
