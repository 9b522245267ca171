//! An identity as selectors see it.
//!
//! Owns the labels that Cilium gives to an address, and what each kind of selector means
//! for one identity. Which of many identities a selector selects is `selection`'s.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::names::{NamePattern, canonical};
use super::options::Options;
use super::selector::{
    CidrGroups, LabelSelector, Operator, PeerSelector, Requirement, SelectorKey, Source,
};
use crate::inventory::{CidrGroup, Identity, Label, NamedPort};

pub(super) const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
/// The number of the node's own host.
const HOST: u32 = 1;

/// An identity with what follows from its address.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) number: u32,
    labels: Vec<Label>,
    subject_labels: Option<Vec<Label>>,
    /// Where CIDR rules apply to it.
    address: Option<IpAddr>,
    /// As patterns are compared.
    names: Vec<String>,
    /// Groups that contain the address.
    groups: Vec<Arc<CidrGroup>>,
    pub(super) named_ports: Vec<NamedPort>,
    /// Neither labels nor an address were recorded.
    pub(super) unlabelled: bool,
    /// Outside the cluster.
    pub(super) external: bool,
    /// Its names are all that it has.
    pub(super) names_complete: bool,
    /// Carries what a prefix of length 0 stands for, IPv4 and IPv6.
    world: [bool; 2],
}

impl Member {
    pub(super) fn new(identity: &Identity, groups: &[Arc<CidrGroup>], options: &Options) -> Self {
        let mut member = Self {
            number: identity.number,
            labels: identity.labels.clone(),
            subject_labels: identity.subject_labels.clone(),
            address: None,
            names: Vec::new(),
            groups: Vec::new(),
            named_ports: identity.named_ports.clone(),
            unlabelled: identity.number != 0
                && identity.labels.is_empty()
                && identity.address.is_none(),
            external: false,
            names_complete: identity.names_complete,
            world: [false; 2],
        };
        match identity.address {
            Some(address) if member.namespace().is_none() => {
                member.derive(address, identity, groups, options);
            }
            _ => {
                member.external = member
                    .labels
                    .iter()
                    .any(|label| is_world(label) || label.source.as_ref() == "cidr");
            }
        }
        member.labels.sort_by(|a, b| a.key.cmp(&b.key));
        member.world = [true, false].map(|v4| member.is_reserved(world_label(v4, options)));
        member
    }

    /// What Cilium's IP cache would know of an address.
    fn derive(
        &mut self,
        address: IpAddr,
        identity: &Identity,
        groups: &[Arc<CidrGroup>],
        options: &Options,
    ) {
        let node = self.is_reserved("host") || self.is_reserved("remote-node");
        let inside = node || self.is_reserved("health") || self.is_reserved("ingress");
        self.external = !inside;
        // Prefixes and worlds follow from the address: those recorded may be older than
        // the policies. A name's label is evidence, though.
        self.labels
            .retain(|label| !is_world(label) && !matches!(&*label.source, "cidr" | "cidrgroup"));
        if !inside {
            let world = world_label(address.is_ipv4(), options);
            self.labels.push(Label::new("reserved", world, ""));
        }
        if !inside || node && options.cidr_match_nodes {
            self.address = Some(address);
            self.names = identity.names.iter().map(|name| canonical(name)).collect();
            *self = self.regrouped(groups);
        }
    }

    /// The same under other CIDR groups.
    pub(super) fn regrouped(&self, groups: &[Arc<CidrGroup>]) -> Self {
        let contains = |group: &&Arc<CidrGroup>| {
            self.address
                .is_some_and(|address| group.prefixes.iter().any(|own| own.contains(&address)))
        };
        Self {
            groups: groups.iter().filter(contains).cloned().collect(),
            ..self.clone()
        }
    }

    /// The unknown identity: only wildcards match it.
    pub(super) fn is_unknown(&self) -> bool {
        self.number == 0
    }

    pub(super) fn is_host(&self) -> bool {
        self.number == HOST
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn labels(&self) -> &[Label] {
        &self.labels
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Its address, or the prefixes that its labels name.
    pub(super) fn prefixes(&self) -> Vec<IpNet> {
        match self.address {
            Some(address) => vec![address.into()],
            None => self
                .labels
                .iter()
                .filter(|label| &*label.source == "cidr")
                .filter_map(|label| prefix_of(&label.key))
                .collect(),
        }
    }

    /// Labels it has as the subject of a policy.
    fn as_subject(&self) -> &[Label] {
        self.subject_labels.as_deref().unwrap_or(&self.labels)
    }

    /// Whether it has a label of this key, whatever its source: how Cilium looks for
    /// `host` and `init` when it decides whether to enforce.
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.as_subject().iter().any(|label| &*label.key == key)
    }

    /// Namespace of a pod.
    pub(super) fn namespace(&self) -> Option<&Arc<str>> {
        self.label("k8s", NAMESPACE)
    }

    fn label(&self, source: &str, key: &str) -> Option<&Arc<str>> {
        self.labels
            .iter()
            .find(|label| &*label.source == source && &*label.key == key)
            .map(|label| &label.value)
    }

    fn is_reserved(&self, name: &str) -> bool {
        self.label("reserved", name).is_some()
    }

    /// Whether it is an endpoint that policies of this cluster are enforced for.
    pub(super) fn is_endpoint(&self, cluster: &str) -> bool {
        if self.namespace().is_some() {
            return self
                .label("k8s", CLUSTER)
                .is_none_or(|own| &**own == cluster);
        }
        ["host", "health", "ingress", "init", "unmanaged"]
            .iter()
            .any(|name| self.is_reserved(name))
    }

    /// Whether it is the subject of rules with this selector. A node selector is for the
    /// host endpoint and for nothing else.
    pub(super) fn is_subject(&self, selector: &LabelSelector, node: bool) -> bool {
        node == self.is_host() && holds_for(selector, self.as_subject(), self.address)
    }

    pub(super) fn is_selected(&self, selector: &PeerSelector, names: &NamePattern) -> bool {
        if self.is_unknown() {
            return false;
        }
        match selector {
            PeerSelector::Everyone => true,
            PeerSelector::Labels(selector) => holds_for(selector, &self.labels, self.address),
            PeerSelector::Cidr { prefix, except } => {
                self.is_within(prefix) && self.is_outside(except)
            }
            PeerSelector::CidrGroups { groups, except } => {
                self.is_member(groups) && self.is_outside(except)
            }
            PeerSelector::Fqdn { name, pattern } => self.is_named(name, pattern, names),
        }
    }

    fn is_outside(&self, except: &[IpNet]) -> bool {
        !except.iter().any(|prefix| self.is_within(prefix))
    }

    fn is_within(&self, prefix: &IpNet) -> bool {
        if prefix.prefix_len() == 0 {
            let [v4, v6] = self.world;
            return if matches!(prefix, IpNet::V4(_)) {
                v4
            } else {
                v6
            };
        }
        if let Some(address) = &self.address {
            return prefix.contains(address);
        }
        self.labels
            .iter()
            .filter(|label| &*label.source == "cidr")
            .filter_map(|label| prefix_of(&label.key))
            .any(|own| prefix.contains(&own))
    }

    fn is_member(&self, groups: &CidrGroups) -> bool {
        match groups {
            CidrGroups::Named(name) => self.groups.iter().any(|group| group.name == *name),
            CidrGroups::Selected(selector) => selector
                .requirements()
                .all(|requirement| self.group_holds(requirement)),
        }
    }

    /// Each value of each group's labels is a label of its own, so that an address in two
    /// groups has both.
    fn group_holds(&self, requirement: &Requirement) -> bool {
        let mut values = self
            .groups
            .iter()
            .flat_map(|group| &group.labels)
            .filter(|label| label.key == requirement.key.name)
            .map(|label| &label.value);
        match requirement.operator {
            Operator::In => values.any(|value| requirement.values.contains(value)),
            Operator::NotIn => !values.any(|value| requirement.values.contains(value)),
            Operator::Exists => values.next().is_some(),
            Operator::DoesNotExist => values.next().is_none(),
        }
    }

    fn is_named(&self, name: &str, pattern: &str, names: &NamePattern) -> bool {
        let text = if name.is_empty() { pattern } else { name };
        self.names.iter().any(|name| names.matches(name))
            || self
                .labels
                .iter()
                .any(|label| &*label.source == "fqdn" && &*label.key == text)
    }
}

/// The world an address is in.
pub(super) fn world_label(v4: bool, options: &Options) -> &'static str {
    match v4 {
        true if options.ipv6 => "world-ipv4",
        false if options.ipv4 => "world-ipv6",
        _ => "world",
    }
}

fn is_world(label: &Label) -> bool {
    &*label.source == "reserved" && matches!(&*label.key, "world" | "world-ipv4" | "world-ipv6")
}

fn holds_for(selector: &LabelSelector, labels: &[Label], address: Option<IpAddr>) -> bool {
    selector
        .requirements()
        .all(|requirement| requirement_holds(requirement, labels, address))
}

fn requirement_holds(requirement: &Requirement, labels: &[Label], address: Option<IpAddr>) -> bool {
    let value = lookup(&requirement.key, labels, address);
    let listed = |value: &str| requirement.values.iter().any(|wanted| **wanted == *value);
    match requirement.operator {
        Operator::In => value.is_some_and(listed),
        Operator::NotIn => !value.is_some_and(listed),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
    }
}

/// The value of the first label with this key. A key that is a prefix finds labels of
/// prefixes inside it.
fn lookup<'a>(key: &SelectorKey, labels: &'a [Label], address: Option<IpAddr>) -> Option<&'a str> {
    let source = match &key.source {
        Source::Any => {
            return labels
                .iter()
                .find(|label| label.key == key.name)
                .map(|label| &*label.value);
        }
        Source::Of(source) => &**source,
    };
    if source == "cidr" {
        let prefix = prefix_of(&key.name)?;
        if address.is_some_and(|address| prefix.contains(&address)) {
            return Some("");
        }
        return labels
            .iter()
            .filter(|label| &*label.source == "cidr")
            .find(|label| prefix_of(&label.key).is_some_and(|own| prefix.contains(&own)))
            .map(|label| &*label.value);
    }
    labels
        .iter()
        .find(|label| &*label.source == source && label.key == key.name)
        .map(|label| &*label.value)
}

/// A prefix as a label's key: `-` stands for `:`.
fn prefix_of(key: &str) -> Option<IpNet> {
    key.replace('-', ":").parse().ok()
}
