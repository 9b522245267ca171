//! Ports and ICMP types.
//!
//! Owns texts that are not the port they look like, names that pods do not have, and ports
//! that are a Service's: policy is asked about the pod's.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::checks;
use super::cluster::{Cluster, Numbers, Pod, Target};
use super::report::{Part, Report, field_of};
use crate::manifest::Node;
use crate::policy::convert::subject_selector;
use crate::policy::entry::{Direction, PolicyEntry, Port, PortProtocol};
use crate::policy::icmp;
use crate::policy::port;
use crate::policy::read::{Path, PortText};
use crate::policy::selector::{LabelSelector, PeerSelector};

/// Pods of a peer that are looked at.
const MANY_PODS: usize = 100;

/// Checks the ports of an element.
pub(super) fn element(report: &mut Report<'_, '_>, part: Part<'_>) {
    let list = part.path.field("toPorts");
    if let Some(node) = part.node.get("toPorts")
        && node.as_list().is_some_and(<[Node]>::is_empty)
    {
        let what = if part.is_deny() { "denied" } else { "allowed" };
        report.add(
            &checks::PORTS_EMPTY,
            node.at,
            list,
            format!("an empty 'toPorts' is as one that is absent: every port is {what}"),
            "name the ports, or leave 'toPorts' out",
        );
    }
    for (index, ports) in part.element.ports.iter().enumerate() {
        let path = list.item(index);
        if ports.list.is_empty() {
            let what = if part.is_deny() { "denies" } else { "allows" };
            report.add(
                &checks::PORTS_NOTHING,
                ports.at,
                path,
                format!("an entry without ports {what} nothing"),
                "name the ports; port \"0\" is every port of a protocol",
            );
        }
        let path = path.field("ports");
        for (index, written) in ports.list.iter().enumerate() {
            text(report, written, &path.item(index));
            if port::is_name(&written.port) && !report.object.templated {
                name(report, part, written, &path.item(index));
            }
        }
    }
    types(report, part);
}

fn text(report: &mut Report<'_, '_>, written: &PortText, path: &Path<'_>) {
    let text = &*written.port;
    let looks_like_hex = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let number = port::number(text);
    let plain = text.parse::<u16>();
    if looks_like_hex && port::is_name(text) {
        report.add(
            &checks::PORT_NOT_DECIMAL,
            written.port.at,
            path.field("port"),
            format!("'{text}' is the name of a container port, not a number"),
            "write the number in decimal digits",
        );
        return;
    }
    if let (false, Ok(number)) = (port::is_name(text), number)
        && plain != Ok(number)
    {
        report.add(
            &checks::PORT_NOT_DECIMAL,
            written.port.at,
            path.field("port"),
            format!("'{text}' is read as {number}: a leading 0 makes it octal"),
            "write the number in decimal digits, without a leading 0",
        );
    }
    if written.end_port == 0 {
        return;
    }
    if port::is_name(text) {
        report.add(
            &checks::PORT_NAME_RANGE,
            written.at,
            path.field("endPort"),
            format!("the range begins at whatever number a pod gives to '{text}'"),
            "write the first port as a number",
        );
    } else if number.is_ok_and(|number| written.end_port < i32::from(number)) {
        report.add(
            &checks::END_PORT_BELOW,
            written.at,
            path.field("endPort"),
            format!(
                "a range from {text} to {} is the single port {text}",
                written.end_port
            ),
            "exchange both, or remove 'endPort'",
        );
    }
}

fn name(report: &mut Report<'_, '_>, part: Part<'_>, written: &PortText, path: &Path<'_>) {
    let cluster = &report.world.cluster;
    let text = written.port.to_ascii_lowercase();
    let protocols = protocols(&written.protocol);
    let message = if part.is_ingress() {
        let Some(subject) = subject_of(report, part) else {
            return;
        };
        let pods: Vec<&Pod<'_>> = cluster.surely_selected(&subject).collect();
        let has = |pod: &&Pod<'_>| {
            pod.workload.spec.named_ports.iter().any(|port| {
                port.name.eq_ignore_ascii_case(&text) && protocols.contains(&port.protocol)
            })
        };
        match pods.first() {
            Some(first) if !pods.iter().any(has) => format!(
                "no container of {} has a port named '{text}'{}: nothing is allowed by it",
                first.name(),
                with_protocol(&written.protocol)
            ),
            _ => return,
        }
    } else {
        let none = Numbers::default();
        let numbers = cluster.numbers_of(&text).unwrap_or(&none);
        let clash = numbers
            .iter()
            .find(|(protocol, numbers)| protocols.contains(protocol) && numbers.len() > 1);
        if let Some((_, numbers)) = clash {
            let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
            report.add(
                &checks::PORT_NAME_CLASH,
                written.port.at,
                path.field("port"),
                format!("pods give '{text}' the numbers {}; on egress Cilium 1.19 has one number a name for the whole cluster, and with several the name is nothing", numbers.join(" and ")),
                "write the number",
            );
            return;
        }
        if !cluster.knows_pods() || numbers.keys().any(|protocol| protocols.contains(protocol)) {
            return;
        }
        format!(
            "no pod that is known has a port named '{text}'{}: nothing is allowed by it",
            with_protocol(&written.protocol)
        )
    };
    report.add(
        &checks::PORT_NAME_UNKNOWN,
        written.port.at,
        path.field("port"),
        message,
        "write the number, or name the port in the pod's template",
    );
}

fn with_protocol(protocol: &str) -> String {
    if protocol.is_empty() || protocol.eq_ignore_ascii_case("ANY") {
        String::new()
    } else {
        format!(" and protocol {protocol}")
    }
}

/// IANA numbers of the protocols that have ports.
fn protocols(written: &str) -> BTreeSet<u8> {
    match written.to_ascii_uppercase().as_str() {
        "TCP" => [6].into(),
        "UDP" => [17].into(),
        "SCTP" => [132].into(),
        _ => [6, 17, 132].into(),
    }
}

fn subject_of(report: &Report<'_, '_>, part: Part<'_>) -> Option<LabelSelector> {
    let written = part.rule.endpoints.as_ref()?;
    Some(subject_selector(
        written,
        &report.object.policy.id.namespace,
    ))
}

/// Ports of egress that only the Service in front of the peers has.
pub(super) fn object(report: &mut Report<'_, '_>) {
    for entry in report.entries() {
        if entry.direction != Direction::Egress || entry.deny {
            continue;
        }
        let ports: Vec<&PortProtocol> = entry.ports.iter().flat_map(|rule| &rule.ports).collect();
        for port in &ports {
            if let Port::Number(number) = port.port
                && number != 0
                && port.end_port <= number
            {
                of_service(report, entry, port, number, &ports);
            }
        }
    }
}

fn of_service(
    report: &mut Report<'_, '_>,
    entry: &PolicyEntry,
    port: &PortProtocol,
    number: u16,
    ports: &[&PortProtocol],
) {
    let cluster = &report.world.cluster;
    let selectors = entry.peers.iter().flatten().filter_map(|peer| match peer {
        PeerSelector::Labels(labels) => Some(labels),
        _ => None,
    });
    let pods: Vec<&Pod<'_>> = selectors
        .flat_map(|selector| cluster.surely_selected(selector))
        .take(MANY_PODS)
        .collect();
    let declares = |pod: &&Pod<'_>| {
        let mut ports = pod.workload.spec.ports.iter();
        ports.any(|(port, _)| *port == number)
    };
    // A peer of many workloads is meant for more than one port.
    if pods.is_empty() || pods.len() == MANY_PODS || pods.iter().any(declares) {
        return;
    }
    let leads = |pod: &&Pod<'_>| leads_elsewhere(cluster, pod, number);
    let Some((service, target)) = pods.iter().find_map(leads) else {
        return;
    };
    // The right port beside it: then this one is only superfluous.
    if ports.iter().any(|port| port.port == Port::Number(target)) {
        return;
    }
    report.add(
        &checks::PORT_OF_SERVICE,
        port.at,
        field_of(&entry.rule),
        format!("{number} is the port of the Service '{service}', and policy is asked about the port of the pod, {target}"),
        format!("write the port {target}"),
    );
}

fn leads_elsewhere(cluster: &Cluster<'_>, pod: &Pod<'_>, number: u16) -> Option<(Arc<str>, u16)> {
    cluster.services_of(pod).find_map(|service| {
        let (_, target) = service.ports.iter().find(|(port, _)| *port == number)?;
        let target = match target {
            Target::Number(target) => *target,
            Target::Name(name) => {
                pod.workload
                    .spec
                    .named_ports
                    .iter()
                    .find(|port| port.name.eq_ignore_ascii_case(name))?
                    .port
            }
        };
        (target != number).then(|| (service.name.clone(), target))
    })
}

fn types(report: &mut Report<'_, '_>, part: Part<'_>) {
    let list = part.path.field("icmps");
    for (index, rule) in part.element.icmps.iter().enumerate() {
        let item = list.item(index);
        let fields = item.field("fields");
        for (index, field) in rule.fields.iter().enumerate() {
            let text = field.kind.text();
            let number = icmp::number(&field.family, &text);
            let zero = number == Some(0) || (number.is_none() && text == "0");
            if zero {
                let family = if field.family.is_empty() {
                    icmp::IPV4
                } else {
                    &field.family
                };
                let what = if part.is_deny() { "denied" } else { "allowed" };
                report.add(
                    &checks::ICMP_ZERO,
                    field.at,
                    fields.item(index),
                    format!("type 0 stands for no type in particular: every ICMP type of {family} is {what}"),
                    "remove it: answers to an echo request that was allowed pass without a rule",
                );
            }
        }
    }
}
