//! DNS: whether names can be looked up, and whether Cilium sees the answers.
//!
//! Owns what follows from all policies that may select the same pods. Files are often a
//! part of what a cluster has, so that a policy which may help keeps these checks quiet.

use std::sync::Arc;

use super::checks;
use super::finding::Severity;
use super::name_pattern::{matches, sample};
use super::report::{Report, World, field_of};
use super::selectors::{NAMESPACE, disjoint};
use crate::policy::entry::{
    Direction, DnsRule, L7Rules, PolicyEntry, Port, PortProtocol, PortRule, Protocol, Subject,
};
use crate::policy::selector::{LabelSelector, Operator, PeerSelector};

const DNS_PORT: u16 = 53;

/// Checks what the entries of the object need of DNS.
pub(super) fn object(report: &mut Report<'_, '_>) {
    let entries = report.entries();
    let mut said = Vec::new();
    for entry in entries.iter().filter(|entry| is_allowed_out(entry)) {
        let names: Vec<DnsRule> = names_of(entry);
        if names.is_empty() || said.contains(&&entry.subject) {
            continue;
        }
        let rules = dns_rules(report.world, &entry.subject);
        if rules.is_empty() {
            said.push(&entry.subject);
            no_rule(report, entry);
        } else {
            not_looked_up(report, entry, &names, &rules);
        }
    }
    if said.is_empty() {
        cut(report, entries);
    }
}

fn no_rule(report: &mut Report<'_, '_>, entry: &PolicyEntry) {
    let own_dns = report.entries().iter().any(lets_ask);
    let mend = if own_dns {
        "add 'rules: {dns: [{matchPattern: \"*\"}]}' to the ports of the element that allows DNS"
    } else {
        "allow port 53 to kube-dns with 'rules: {dns: [{matchPattern: \"*\"}]}'"
    };
    // Where nothing is said of DNS at all, it is said in files that were not given.
    let severity = if own_dns || report.world.allows_dns {
        Severity::Warning
    } else {
        Severity::Info
    };
    report.add_as(
        &checks::FQDN_NO_DNS_RULE,
        severity,
        entry.rule.at,
        format!("{}.toFQDNs", field_of(&entry.rule)),
        "Cilium learns addresses of names from DNS rules only, and no policy here has one for these pods: the names match nothing",
        mend,
    );
}

/// Whether an entry lets somebody ask a DNS server, as far as can be told.
pub(super) fn lets_ask(entry: &PolicyEntry) -> bool {
    is_allowed_out(entry) && allows_dns(entry)
}

fn is_allowed_out(entry: &PolicyEntry) -> bool {
    entry.direction == Direction::Egress && !entry.deny
}

/// Whether an entry allows DNS by its port.
pub(super) fn names_the_port(entry: &PolicyEntry) -> bool {
    !entry.ports.is_empty() && lets_ask(entry)
}

fn not_looked_up(
    report: &mut Report<'_, '_>,
    entry: &PolicyEntry,
    names: &[DnsRule],
    rules: &[DnsRule],
) {
    let open = |name: &str| {
        rules.iter().any(|rule| {
            (rule.name.is_empty() && rule.pattern.is_empty())
                || [&rule.name, &rule.pattern]
                    .iter()
                    .any(|text| !text.is_empty() && matches(text, name))
        })
    };
    let refused = names.iter().find_map(|name| {
        let text = if name.name.is_empty() {
            &name.pattern
        } else {
            &name.name
        };
        let same = rules.iter().any(|rule| {
            rule.name.eq_ignore_ascii_case(text) || rule.pattern.eq_ignore_ascii_case(text)
        });
        (!text.is_empty() && !same && !open(&sample(text))).then(|| text.clone())
    });
    let Some(refused) = refused else { return };
    if is_plainly_allowed(report.world, &entry.subject) {
        return;
    }
    report.add(
        &checks::FQDN_NOT_LOOKED_UP,
        entry.rule.at,
        format!("{}.toFQDNs", field_of(&entry.rule)),
        format!("'{refused}' may not be looked up: no DNS rule for these pods matches it, and the query is refused"),
        "add the name to the DNS rules",
    );
}

/// A policy that lets pods out and forgets DNS.
fn cut(report: &mut Report<'_, '_>, entries: &[PolicyEntry]) {
    let wants: Vec<&PolicyEntry> = entries
        .iter()
        .filter(|entry| is_allowed_out(entry) && entry.default_deny)
        .filter(|entry| needs_names(entry) && !entry.subject.node)
        .collect();
    let Some(first) = wants.first() else { return };
    if wants.iter().any(|entry| allows_dns(entry)) || is_dns_server(&first.subject.selector) {
        return;
    }
    let mut around = report.world.asking_around(&first.subject.selector);
    let helped = around.any(|other| may_meet(&other.subject, &first.subject));
    if helped || unread_may_help(report.world) {
        return;
    }
    let to_world = wants.iter().any(|entry| reaches_world(entry));
    if !to_world && !report.world.allows_dns {
        return;
    }
    report.add_as(
        &checks::DNS_CUT,
        if to_world { Severity::Warning } else { Severity::Info },
        first.rule.at,
        field_of(&first.rule),
        "with this the pods may not ask DNS any more, and no policy here allows it: what is reached by name is cut",
        format!("allow port 53 (UDP and TCP) to 'k8s-app: kube-dns' in '{NAMESPACE}: kube-system'"),
    );
}

/// Documents that were not understood may hold the policy that allows DNS.
fn unread_may_help(world: &World<'_>) -> bool {
    world
        .objects
        .iter()
        .any(|object| object.templated && object.entries.is_err())
}

/// Peers that are reached by name as a rule.
fn needs_names(entry: &PolicyEntry) -> bool {
    match &entry.peers {
        None => true,
        Some(peers) => peers.iter().any(|peer| match peer {
            PeerSelector::Everyone | PeerSelector::Fqdn { .. } => true,
            PeerSelector::Labels(labels) => !labels.requirements().any(|requirement| {
                matches!(
                    &*requirement.key.name,
                    "host"
                        | "remote-node"
                        | "kube-apiserver"
                        | "ingress"
                        | "health"
                        | "init"
                        | "unmanaged"
                )
            }),
            PeerSelector::Cidr { prefix, .. } => prefix.prefix_len() == 0,
            PeerSelector::CidrGroups { .. } => false,
        }),
    }
}

fn reaches_world(entry: &PolicyEntry) -> bool {
    entry.peers.iter().flatten().any(|peer| match peer {
        PeerSelector::Everyone | PeerSelector::Fqdn { .. } => true,
        PeerSelector::Labels(labels) => labels
            .requirements()
            .any(|requirement| requirement.key.name.starts_with("world")),
        PeerSelector::Cidr { prefix, .. } => prefix.prefix_len() == 0,
        PeerSelector::CidrGroups { .. } => false,
    })
}

/// The DNS server itself asks servers outside, by address.
fn is_dns_server(subject: &LabelSelector) -> bool {
    subject.requirements().any(|requirement| {
        requirement.values.iter().any(|value| {
            value.contains("dns") || value.contains("adguard") || value.contains("blocky")
        })
    })
}

/// Whether an entry lets somebody ask some DNS server, as far as can be told.
fn allows_dns(entry: &PolicyEntry) -> bool {
    let to_server = match &entry.peers {
        None => true,
        Some(peers) => peers.iter().any(|peer| match peer {
            PeerSelector::Labels(labels) => may_be_dns(labels),
            PeerSelector::Fqdn { .. } => false,
            _ => true,
        }),
    };
    if entry.ports.is_empty() {
        return entry.peers.as_ref().is_none_or(|peers| !peers.is_empty()) && to_server;
    }
    let port = |port: &PortProtocol| {
        let protocol = matches!(port.protocol, Protocol::Any | Protocol::Udp | Protocol::Tcp);
        let number = match &port.port {
            Port::Number(number) => {
                *number == 0
                    || *number == DNS_PORT
                    || *number == 5353
                    || *number == 1053
                    || (*number < DNS_PORT && port.end_port >= DNS_PORT)
            }
            Port::Name(name) => name.contains("dns"),
        };
        protocol && number
    };
    let named = entry
        .ports
        .iter()
        .any(|rule: &PortRule| rule.ports.iter().any(port));
    named && entry.peers.as_ref().is_none_or(|peers| !peers.is_empty())
}

/// Without ports: whether the pods selected may be DNS servers.
fn may_be_dns(labels: &LabelSelector) -> bool {
    labels.requirements().all(|requirement| {
        let values = &requirement.values;
        match &*requirement.key.name {
            NAMESPACE if requirement.operator == Operator::In => values
                .iter()
                .any(|value| &**value == "kube-system" || value.contains("dns")),
            "k8s-app" | "app" | "app.kubernetes.io/name"
                if requirement.operator == Operator::In =>
            {
                values.iter().any(|value| value.contains("dns"))
            }
            "kube-apiserver" | "ingress" | "health" | "init" | "unmanaged" => false,
            _ => true,
        }
    })
}

/// The DNS rules of every policy that may select a subject.
fn dns_rules(world: &World<'_>, subject: &Subject) -> Vec<DnsRule> {
    let entries = world.entries_around(&subject.selector);
    entries
        .filter(|entry| is_allowed_out(entry) && may_meet(&entry.subject, subject))
        .flat_map(|entry| entry.ports.iter().map(move |rule| (entry, rule)))
        .filter_map(|(entry, rule)| match &rule.l7 {
            // Without default deny Cilium adds a rule for every name.
            Some(L7Rules::Dns(_)) if !entry.default_deny => Some(vec![every_name()]),
            Some(L7Rules::Dns(names)) => Some(names.clone()),
            _ => None,
        })
        .flatten()
        .collect()
}

fn every_name() -> DnsRule {
    DnsRule {
        name: Arc::default(),
        pattern: "*".into(),
    }
}

/// Whether somebody allows the port of DNS without rules: then every name passes, and the
/// proxy still sees the answers.
fn is_plainly_allowed(world: &World<'_>, subject: &Subject) -> bool {
    let entries = world.entries_around(&subject.selector);
    entries
        .filter(|entry| is_allowed_out(entry) && may_meet(&entry.subject, subject))
        .any(|entry| {
            let plain: Vec<PortRule> = entry
                .ports
                .iter()
                .filter(|rule| rule.l7.is_none())
                .cloned()
                .collect();
            !plain.is_empty()
                && allows_dns(&PolicyEntry {
                    ports: plain,
                    ..entry.clone()
                })
        })
}

fn may_meet(a: &Subject, b: &Subject) -> bool {
    a.node == b.node && !disjoint(&a.selector, &b.selector)
}

fn names_of(entry: &PolicyEntry) -> Vec<DnsRule> {
    entry
        .peers
        .iter()
        .flatten()
        .filter_map(|peer| match peer {
            PeerSelector::Fqdn { name, pattern } => Some(DnsRule {
                name: name.clone(),
                pattern: pattern.clone(),
            }),
            _ => None,
        })
        .collect()
}
