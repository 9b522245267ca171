//! When an allowed connection is a gap: nothing selects the endpoint in that direction, or
//! only broad rules let it through.
//!
//! Owns the one predicate and its thresholds, so that every report means the same by it.

use ipnet::IpNet;

use super::compile::Compiled;
use super::entry::{PolicyEntry, Port, PortProtocol};
use super::selector::{LabelSelector, Operator, PeerSelector, Source};
use super::verdict::{Decision, Origin, Verdict};

/// From where on a rule is broad: when both its peers and its ports are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BroadThresholds {
    /// IPv4 prefixes of this length or shorter are broad.
    pub ipv4_length: u8,
    /// IPv6 prefixes of this length or shorter are broad.
    pub ipv6_length: u8,
    /// Ranges of this many ports or more are broad.
    pub ports: u32,
}

impl Default for BroadThresholds {
    fn default() -> Self {
        Self {
            ipv4_length: 8,
            ipv6_length: 32,
            ports: 1_024,
        }
    }
}

/// Why an allowed connection is a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gap {
    /// No policy selects the endpoint in that direction.
    NotSelected,
    /// Policies select it, and none of them turns on default deny.
    NoDefaultDeny,
    /// Only broad rules allow it.
    OnlyBroad,
}

impl BroadThresholds {
    /// Why a decision that let something pass is a gap.
    #[must_use]
    pub fn gap(self, compiled: &Compiled, decision: Decision) -> Option<Gap> {
        if !decision.enforced && decision.verdict == Verdict::Allowed {
            return Some(Gap::NotSelected);
        }
        if !matches!(decision.verdict, Verdict::Allowed | Verdict::Redirected) {
            return None;
        }
        let set = compiled.set();
        let rules = compiled.rules(decision.rules);
        let broad = |origin: &Origin| match origin {
            Origin::Entry(index) => set
                .entries
                .get(*index as usize)
                .is_some_and(|entry| self.is_broad(entry)),
            Origin::AllowAnyIngress | Origin::AllowAnyEgress => true,
            Origin::AllowLocalhost => false,
        };
        let synthesised = rules
            .iter()
            .any(|origin| matches!(origin, Origin::AllowAnyIngress | Origin::AllowAnyEgress));
        if rules.is_empty() || !rules.iter().all(broad) {
            None
        } else if synthesised {
            Some(Gap::NoDefaultDeny)
        } else {
            Some(Gap::OnlyBroad)
        }
    }

    /// Whether an allow entry is broad: it names neither whom nor what.
    #[must_use]
    pub fn is_broad(self, entry: &PolicyEntry) -> bool {
        self.any_port(entry) && self.anybody(entry)
    }

    fn any_port(self, entry: &PolicyEntry) -> bool {
        entry.ports.is_empty()
            || entry
                .ports
                .iter()
                .flat_map(|rule| &rule.ports)
                .any(|port| self.is_wide_port(port))
    }

    /// Whether a port stands for every port, or for a wide range.
    #[must_use]
    pub fn is_wide_port(self, port: &PortProtocol) -> bool {
        match port.port {
            Port::Number(0) => true,
            Port::Number(first) => {
                u32::from(port.end_port).saturating_sub(u32::from(first)) + 1 >= self.ports
            }
            Port::Name(_) => false,
        }
    }

    fn anybody(self, entry: &PolicyEntry) -> bool {
        entry
            .peers
            .as_ref()
            .is_none_or(|peers| peers.iter().any(|peer| self.is_wide_peer(peer)))
    }

    /// Whether a peer stands for everybody, for all of a cluster or of the world.
    #[must_use]
    pub fn is_wide_peer(self, peer: &PeerSelector) -> bool {
        match peer {
            PeerSelector::Everyone => true,
            PeerSelector::Labels(selector) => wide_selector(selector),
            PeerSelector::Cidr { prefix, .. } => self.is_wide_prefix(*prefix),
            PeerSelector::CidrGroups { .. } | PeerSelector::Fqdn { .. } => false,
        }
    }

    /// Whether a prefix stands for a large part of the world.
    #[must_use]
    pub fn is_wide_prefix(self, prefix: IpNet) -> bool {
        match prefix {
            IpNet::V4(net) => net.prefix_len() <= self.ipv4_length,
            IpNet::V6(net) => net.prefix_len() <= self.ipv6_length,
        }
    }
}

/// A selector that asks for nothing but where somebody is: a cluster, any namespace, or
/// outside. The pods of one namespace are not everybody.
fn wide_selector(selector: &LabelSelector) -> bool {
    selector.requirements().all(|requirement| {
        let name = &*requirement.key.name;
        let reserved =
            matches!(&requirement.key.source, Source::Of(source) if &**source == "reserved");
        match requirement.operator {
            Operator::NotIn | Operator::DoesNotExist => true,
            Operator::Exists => name == "io.kubernetes.pod.namespace" || reserved,
            Operator::In => {
                name == "io.cilium.k8s.policy.cluster" || (reserved && name.starts_with("world"))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::entry::{Direction, PortRule, Protocol, RulePlace, Section, Subject};
    use super::super::selector::{Requirement, SelectorKey};
    use super::*;
    use crate::manifest::Place;

    fn entry(peers: Option<Vec<PeerSelector>>, ports: &[(u16, u16)]) -> PolicyEntry {
        let ports = ports.iter().map(|&(first, last)| PortProtocol {
            port: Port::Number(first),
            end_port: last,
            protocol: Protocol::Tcp,
            at: Place::default(),
        });
        let rule = PortRule {
            ports: ports.collect(),
            ..PortRule::default()
        };
        PolicyEntry {
            object: 0,
            rule: RulePlace {
                spec: None,
                section: Section::Ingress,
                element: 0,
                peer: None,
                at: Place::default(),
            },
            subject: Subject {
                selector: LabelSelector::default(),
                node: false,
            },
            direction: Direction::Ingress,
            deny: false,
            default_deny: true,
            peers,
            ports: if rule.ports.is_empty() {
                Vec::new()
            } else {
                vec![rule]
            },
            auth: None,
            service_missing: false,
        }
    }

    fn labels(name: &str, value: &str) -> PeerSelector {
        PeerSelector::Labels(LabelSelector {
            labels: vec![Requirement {
                key: SelectorKey {
                    source: Source::Of("k8s".into()),
                    name: name.into(),
                },
                operator: Operator::In,
                values: vec![Arc::from(value)],
            }],
            expressions: Vec::new(),
        })
    }

    #[test]
    fn a_rule_is_broad_when_it_names_neither_whom_nor_what() {
        let thresholds = BroadThresholds::default();
        let everybody = || Some(vec![PeerSelector::Everyone]);
        let prefix = |text: &str| {
            Some(vec![PeerSelector::Cidr {
                prefix: text.parse().unwrap(),
                except: Vec::new(),
            }])
        };
        assert!(thresholds.is_broad(&entry(None, &[])));
        assert!(thresholds.is_broad(&entry(everybody(), &[(0, 0)])));
        assert!(thresholds.is_broad(&entry(prefix("0.0.0.0/0"), &[(30_000, 32_767)])));
        assert!(!thresholds.is_broad(&entry(everybody(), &[(443, 0)])));
        assert!(!thresholds.is_broad(&entry(prefix("10.1.0.0/16"), &[])));
        assert!(!thresholds.is_broad(&entry(Some(Vec::new()), &[])));
    }

    #[test]
    fn the_pods_of_a_namespace_are_not_everybody_and_those_of_a_cluster_are() {
        let thresholds = BroadThresholds::default();
        let one = labels("io.kubernetes.pod.namespace", "shop");
        let all = labels("io.cilium.k8s.policy.cluster", "c1");
        assert!(!thresholds.is_broad(&entry(Some(vec![one]), &[])));
        assert!(thresholds.is_broad(&entry(Some(vec![all]), &[])));
    }
}
