//! Verdicts by the rule as it is told, entry by entry.
//!
//! Owns a second opinion that shares no code with the first: no filters, no map, no sets.
//! Knows no authentication, names, groups or named ports.

use std::net::IpAddr;

use super::super::{
    Direction, LabelSelector, Operator, PeerSelector, PolicyEntry, PolicySet, Port, PortProtocol,
    Protocol, Source,
};
use crate::inventory::Identity;

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naive {
    Allowed,
    Redirected,
    DeniedByRule,
    DeniedByDefault,
}

/// A connection, seen from the subject.
pub(crate) struct Connection<'a> {
    pub(crate) subject: &'a Identity,
    pub(crate) peer: &'a Identity,
    pub(crate) direction: Direction,
    pub(crate) protocol: u8,
    pub(crate) port: u16,
}

pub(crate) fn verdict(set: &PolicySet, connection: &Connection<'_>) -> Naive {
    let selecting: Vec<&PolicyEntry> = set
        .entries
        .iter()
        .filter(|entry| entry.direction == connection.direction)
        .filter(|entry| has(&entry.subject.selector, connection.subject))
        .collect();
    if selecting.is_empty() {
        return Naive::Allowed;
    }
    let covering: Vec<&PolicyEntry> = selecting
        .iter()
        .copied()
        .filter(|entry| has_peer(entry, connection.peer) && has_port(entry, connection))
        .collect();
    if covering.iter().any(|entry| entry.deny) {
        return Naive::DeniedByRule;
    }
    if covering.iter().any(|entry| redirects(entry, connection)) {
        return Naive::Redirected;
    }
    let from_host = connection.direction == Direction::Ingress && connection.peer.number == 1;
    let open = selecting.iter().all(|entry| !entry.default_deny);
    if from_host || open || !covering.is_empty() {
        return Naive::Allowed;
    }
    Naive::DeniedByDefault
}

fn has(selector: &LabelSelector, identity: &Identity) -> bool {
    selector.requirements().all(|requirement| {
        let value = identity
            .labels
            .iter()
            .find(|label| {
                label.key == requirement.key.name
                    && match &requirement.key.source {
                        Source::Any => true,
                        Source::Of(source) => label.source == *source,
                    }
            })
            .map(|label| &label.value);
        match requirement.operator {
            Operator::In => value.is_some_and(|value| requirement.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !requirement.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    })
}

fn has_peer(entry: &PolicyEntry, peer: &Identity) -> bool {
    let Some(peers) = &entry.peers else {
        return true;
    };
    peers.iter().any(|selector| match selector {
        PeerSelector::Everyone => true,
        // What asks for nothing is everybody, too.
        PeerSelector::Labels(selector) if selector.requirements().next().is_none() => true,
        _ if peer.number == 0 => false,
        PeerSelector::Labels(selector) => has(selector, peer),
        PeerSelector::Cidr { prefix, except } => peer.address.is_some_and(|address: IpAddr| {
            prefix.contains(&address) && !except.iter().any(|except| except.contains(&address))
        }),
        other => panic!("not modelled: {other:?}"),
    })
}

fn has_port(entry: &PolicyEntry, connection: &Connection<'_>) -> bool {
    entry.ports.is_empty()
        || entry
            .ports
            .iter()
            .flat_map(|rule| &rule.ports)
            .any(|port| covers(port, connection))
}

fn redirects(entry: &PolicyEntry, connection: &Connection<'_>) -> bool {
    entry
        .ports
        .iter()
        .filter(|rule| rule.l7.is_some() && connection.protocol == 6)
        .flat_map(|rule| &rule.ports)
        .any(|port| covers(port, connection))
}

fn covers(port: &PortProtocol, connection: &Connection<'_>) -> bool {
    let protocol = match port.protocol {
        Protocol::Any => matches!(connection.protocol, 6 | 17 | 132),
        Protocol::Tcp => connection.protocol == 6,
        Protocol::Udp => connection.protocol == 17,
        Protocol::Icmp => connection.protocol == 1,
        other => panic!("not modelled: {other:?}"),
    };
    let Port::Number(first) = port.port else {
        panic!("not modelled: {port:?}");
    };
    let every = first == 0 && (port.end_port == 0 || port.end_port == u16::MAX);
    let ranged = first <= connection.port && connection.port <= port.end_port.max(first);
    protocol && (every || ranged)
}
