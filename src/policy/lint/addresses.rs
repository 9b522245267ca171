//! Prefixes.
//!
//! Owns what a prefix can match: what is outside the cluster. Pods carry no address as a
//! label, nodes only where the agents are told to, and a Service's address is replaced by a
//! pod's before policy is asked.

use ipnet::IpNet;

use super::checks;
use super::finding::Severity;
use super::report::{Part, Report, field_of};
use crate::policy::cidr;
use crate::policy::entry::PolicyEntry;
use crate::policy::read::{CidrSet, Path, Text};
use crate::policy::selector::PeerSelector;

/// Checks the prefixes of an element.
pub(super) fn element(report: &mut Report<'_, '_>, part: Part<'_>) {
    let field = part.peer_field("CIDR");
    let path = part.path.field(&field);
    for (index, text) in part.element.cidrs.iter().flatten().enumerate() {
        prefix(report, text, &[], part.is_ingress(), &path.item(index));
        any_address(report, part, text, &[], &path.item(index));
    }
    let field = part.peer_field("CIDRSet");
    let path = part.path.field(&field);
    for (index, set) in part.element.cidr_sets.iter().flatten().enumerate() {
        let path = path.item(index);
        if set.cidr.is_empty() {
            groups(report, set, &path);
            continue;
        }
        let field = path.field("cidr");
        prefix(report, &set.cidr, &set.except, part.is_ingress(), &field);
        any_address(report, part, &set.cidr, &set.except, &field);
    }
}

/// Checks one prefix with its exceptions; it is an `ipBlock` too.
pub(super) fn prefix(
    report: &mut Report<'_, '_>,
    text: &Text,
    except: &[Text],
    ingress: bool,
    path: &Path<'_>,
) {
    let Ok(written) = cidr::prefix_or_address(text) else {
        return;
    };
    let prefix = written.trunc();
    if written != prefix {
        let address = written.addr();
        report.add(
            &checks::CIDR_HOST_BITS,
            text.at,
            path,
            format!("'{}' is all of {prefix}", &**text),
            format!(
                "write '{prefix}' if that is meant, '{address}/{}' for the one address",
                prefix.max_prefix_len()
            ),
        );
    }
    let except_read: Vec<IpNet> = except
        .iter()
        .filter_map(|text| cidr::prefix_or_address(text).ok())
        .map(|prefix| prefix.trunc())
        .collect();
    if let Some(index) = except_read
        .iter()
        .position(|except| except.contains(&prefix))
    {
        let except = &except[index.min(except.len() - 1)];
        report.add(
            &checks::EXCEPT_COVERS,
            except.at,
            path,
            format!("the exception '{}' leaves nothing of {prefix}", &**except),
            "narrow the exception, or remove the entry",
        );
        return;
    }
    members(report, text, prefix, &except_read, ingress, path);
}

fn members(
    report: &mut Report<'_, '_>,
    text: &Text,
    prefix: IpNet,
    except: &[IpNet],
    ingress: bool,
    path: &Path<'_>,
) {
    let covers = |address: &std::net::IpAddr| {
        prefix.prefix_len() > 0
            && prefix.contains(address)
            && !except.iter().any(|except| except.contains(address))
    };
    let cluster = &report.world.cluster;
    let single = prefix.prefix_len() == prefix.max_prefix_len();
    if let Some(service) = cluster
        .services
        .iter()
        .find(|service| !ingress && single && service.address.is_some_and(|at| covers(&at)))
    {
        let name = service.name.clone();
        report.add(
            &checks::CIDR_SERVICE,
            text.at,
            path,
            format!("'{}' is the address of the Service '{name}', which is replaced by a pod's before policy is asked: it never matches", &**text),
            "use 'toServices', or 'toEndpoints' with the labels of its pods",
        );
        return;
    }
    let inside = cluster
        .pod_prefixes
        .iter()
        .find(|pods| prefix.prefix_len() > 0 && pods.contains(&prefix));
    let pod = cluster.pods.iter().find(|pod| {
        let spec = &pod.workload.spec;
        !spec.host_network && spec.address.is_some_and(|at| covers(&at))
    });
    if inside.is_some() || pod.is_some() {
        let what = match (pod, inside) {
            (Some(pod), _) => format!("the address of {}", pod.name()),
            (None, Some(pods)) => format!("addresses of pods ({pods})"),
            (None, None) => return,
        };
        let certain = inside.is_some() || single;
        report.add_as(
            &checks::CIDR_PODS,
            if certain {
                Severity::Warning
            } else {
                Severity::Info
            },
            text.at,
            path,
            format!(
                "'{}' covers {what}, and a prefix never matches a pod",
                &**text
            ),
            format!(
                "select pods with '{}Endpoints'",
                if ingress { "from" } else { "to" }
            ),
        );
    }
    if report.options().cidr_match_nodes {
        return;
    }
    let node = cluster
        .inventory
        .nodes
        .iter()
        .find(|node| node.addresses.iter().any(covers));
    if let Some(node) = node {
        let name = node.name.clone();
        report.add_as(
            &checks::CIDR_NODES,
            if single { Severity::Warning } else { Severity::Info },
            text.at,
            path,
            format!("'{}' covers the node '{name}', and a prefix does not match nodes of the cluster", &**text),
            format!("add the entities 'host' and 'remote-node' with '{}Entities', or set the agents' option 'policy-cidr-match-mode: nodes'",
                if ingress { "from" } else { "to" }),
        );
    }
}

fn any_address(
    report: &mut Report<'_, '_>,
    part: Part<'_>,
    text: &Text,
    except: &[Text],
    path: &Path<'_>,
) {
    let any = cidr::prefix_or_address(text).is_ok_and(|prefix| prefix.prefix_len() == 0);
    if !any || !part.is_deny() || !except.is_empty() {
        return;
    }
    report.add_as(
        &checks::DENY_CIDR,
        Severity::Info,
        text.at,
        path,
        format!(
            "'{}' is the world outside the cluster: pods and nodes are not denied",
            &**text
        ),
        format!(
            "add '{}Entities: [cluster]' in an element of its own if they are meant too",
            part.prefix()
        ),
    );
}

fn groups(report: &mut Report<'_, '_>, set: &CidrSet, path: &Path<'_>) {
    if let Some(selector) = &set.selector {
        let positive = !selector.labels.is_empty()
            || selector
                .expressions
                .iter()
                .any(|expression| !super::keys::is_negative(&expression.operator));
        if !positive {
            report.add(
                &checks::CIDR_GROUP_NEGATIVE,
                selector.at,
                path.field("cidrGroupSelector"),
                "everybody who is in none of the groups is selected, pods and nodes included",
                "ask for a label that the meant groups have",
            );
        }
        return;
    }
    let groups = &report.world.groups;
    let name = &*set.group;
    if report.object.templated || groups.iter().any(|group| *group.name == *name) {
        return;
    }
    let (severity, message) = if groups.is_empty() {
        (
            Severity::Info,
            format!(
                "the CiliumCIDRGroup '{name}' is not among the files: nobody is selected if it is not in the cluster"
            ),
        )
    } else {
        (
            Severity::Warning,
            format!("there is no CiliumCIDRGroup '{name}': nobody is selected"),
        )
    };
    let at = set.group.at;
    report.add_as(
        &checks::CIDR_GROUP_MISSING,
        severity,
        at,
        path.field("cidrGroupRef"),
        message,
        "add the group, or mend its name",
    );
}

/// Exceptions that another element of the same object allows.
pub(super) fn exceptions(report: &mut Report<'_, '_>) {
    let entries = report.entries();
    for entry in entries.iter().filter(|entry| !entry.deny) {
        for except in exceptions_of(entry) {
            let voids = entries.iter().find(|other| {
                !other.deny
                    && other.rule != entry.rule
                    && other.direction == entry.direction
                    && other.subject == entry.subject
                    && covers_ports(other, entry)
                    && covers(other, &except)
            });
            let Some(voids) = voids else { continue };
            let direction = entry.direction.name();
            report.add(
                &checks::EXCEPT_VOID,
                entry.rule.at,
                field_of(&entry.rule),
                format!("the exception {except} has no effect: the {direction} element at {} allows all of it", voids.rule.at),
                "an exception is no deny: remove the other element, or deny the prefix",
            );
            break;
        }
    }
}

fn exceptions_of(entry: &PolicyEntry) -> Vec<IpNet> {
    entry
        .peers
        .iter()
        .flatten()
        .flat_map(|peer| match peer {
            PeerSelector::Cidr { except, .. } => except.clone(),
            _ => Vec::new(),
        })
        .collect()
}

/// Whether an entry allows at least the ports of another, as far as their texts say.
fn covers_ports(wide: &PolicyEntry, narrow: &PolicyEntry) -> bool {
    let plain = |entry: &PolicyEntry| {
        let mut rules = entry.ports.clone();
        for port in rules.iter_mut().flat_map(|rule| &mut rule.ports) {
            port.at = crate::manifest::Place::default();
        }
        rules
    };
    wide.ports.is_empty() || plain(wide) == plain(narrow)
}

fn covers(entry: &PolicyEntry, except: &IpNet) -> bool {
    let Some(peers) = &entry.peers else {
        return true;
    };
    peers.iter().any(|peer| match peer {
        PeerSelector::Everyone => true,
        PeerSelector::Labels(labels) => {
            let mut asked = labels.requirements();
            let world = asked
                .next()
                .is_some_and(|requirement| &*requirement.key.name == "world");
            world && asked.next().is_none()
        }
        PeerSelector::Cidr {
            prefix,
            except: excepted,
        } => prefix.contains(except) && !excepted.iter().any(|other| other.contains(except)),
        PeerSelector::CidrGroups { .. } | PeerSelector::Fqdn { .. } => false,
    })
}
