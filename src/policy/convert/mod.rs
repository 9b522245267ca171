//! From validated rules to entries.
//!
//! Owns everything Cilium adds on the way: namespaces, the cluster, default deny, entities,
//! Services. Nothing here evaluates an entry.

mod kubernetes;
mod peers;
mod ports;
mod selector;
mod services;

pub(super) use kubernetes::{entries as kubernetes, subject as kubernetes_subject};
pub(super) use ports::protocol;

use self::selector::Scope;
use super::entry::{AuthMode, Direction, PolicyEntry, RulePlace, Section, Subject};
use super::options::Options;
use super::read::{CiliumPolicy, Element, Rule};
use super::selector::{LabelSelector, PeerSelector};
use super::set::ObjectId;
use crate::inventory::Service;

/// The subject that a selector is in a namespace; an empty one adds nothing.
pub(super) fn subject_selector(written: &super::read::Selector, namespace: &str) -> LabelSelector {
    selector::subject(written, namespace)
}

/// The peers that a selector of endpoints is in a namespace; an empty one is all of them.
pub(super) fn peer_selector(
    written: &super::read::Selector,
    namespace: &str,
    options: &Options,
) -> PeerSelector {
    let scope = Scope {
        namespace,
        cluster: options
            .default_local_cluster
            .then_some(&*options.cluster_name),
        init: false,
    };
    selector::endpoints(written, scope)
}

/// Entries of a policy of Cilium's two kinds that passed validation.
///
/// A policy that asks a cloud provider for groups becomes none: the agent waits for an
/// operator to write another one from it.
pub(super) fn cilium(
    policy: &CiliumPolicy,
    id: &ObjectId,
    services: &[Service],
    options: &Options,
) -> Vec<PolicyEntry> {
    let specs = policy.specs.iter().flatten().flatten();
    let numbered = specs.zip(0..).map(|(rule, index)| (Some(index), rule));
    let rules: Vec<_> = policy
        .spec
        .iter()
        .map(|rule| (None, rule))
        .chain(numbered)
        .collect();
    if rules.iter().any(|(_, rule)| rule.has_groups()) {
        return Vec::new();
    }
    let mut entries = Vec::new();
    for (spec, rule) in rules {
        convert(rule, spec, id, services, options, &mut entries);
    }
    entries
}

fn convert(
    rule: &Rule,
    spec: Option<u32>,
    id: &ObjectId,
    services: &[Service],
    options: &Options,
    entries: &mut Vec<PolicyEntry>,
) {
    let subject = subject(rule, id);
    let scope = Scope {
        namespace: &id.namespace,
        cluster: options
            .default_local_cluster
            .then_some(&*options.cluster_name),
        init: rule.endpoints.as_ref().is_some_and(selector::asks_for_init),
    };
    let lists = [
        (Section::Ingress, &rule.ingress),
        (Section::IngressDeny, &rule.ingress_deny),
        (Section::Egress, &rule.egress),
        (Section::EgressDeny, &rule.egress_deny),
    ];
    for (section, list) in lists {
        for (element, index) in list.iter().zip(0..) {
            let ports = ports::rules(element);
            let peers = peers::of(element, section, scope, services, options);
            let (direction, deny) = direction(section);
            entries.push(PolicyEntry {
                object: 0,
                rule: RulePlace {
                    spec,
                    section,
                    element: index,
                    peer: None,
                    at: element.at,
                },
                subject: subject.clone(),
                direction,
                deny,
                default_deny: default_deny(rule, direction, options),
                peers: match peers {
                    // No peer field at all: anybody on the ports, nobody without ports.
                    Some(peers) if peers.is_empty() && !ports.is_empty() => None,
                    Some(peers) => Some(peers),
                    None => Some(Vec::new()),
                },
                ports,
                auth: auth(element),
                service_missing: section == Section::Egress
                    && services::may_miss(element, services),
            });
        }
    }
}

fn subject(rule: &Rule, id: &ObjectId) -> Subject {
    let none = super::read::Selector::default();
    let (written, node) = match (&rule.nodes, &rule.endpoints) {
        (Some(nodes), _) => (nodes, true),
        (None, Some(endpoints)) => (endpoints, false),
        (None, None) => (&none, false),
    };
    Subject {
        selector: selector::subject(written, &id.namespace),
        node,
    }
}

fn direction(section: Section) -> (Direction, bool) {
    match section {
        Section::Ingress => (Direction::Ingress, false),
        Section::IngressDeny => (Direction::Ingress, true),
        Section::EgressDeny => (Direction::Egress, true),
        Section::Egress | Section::Whole => (Direction::Egress, false),
    }
}

/// What the rule says, or else yes: an element of the direction is there to ask.
fn default_deny(rule: &Rule, direction: Direction, options: &Options) -> bool {
    let written = match direction {
        Direction::Ingress => rule.default_deny_ingress,
        Direction::Egress => rule.default_deny_egress,
    };
    !options.non_default_deny || written.unwrap_or(true)
}

/// A mode the agent does not know is as if none was written.
fn auth(element: &Element) -> Option<AuthMode> {
    match &**element.auth.as_ref()? {
        "disabled" => Some(AuthMode::Disabled),
        "required" => Some(AuthMode::Required),
        "test-always-fail" => Some(AuthMode::TestAlwaysFail),
        _ => None,
    }
}
