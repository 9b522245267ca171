//! Who one side of a flow is, as a policy sees it.
//!
//! Owns telling pods, nodes, reserved endpoints and what is outside apart by what a flow
//! carries. Which selectors select them is `policy`'s.
//!
//! The number of an identity is not trusted beyond the reserved ones: those of pods differ
//! between clusters, those of addresses between nodes.

use std::net::IpAddr;
use std::sync::Arc;

use crate::flow::{Endpoint, identity_name};
use crate::inventory::{Identity, Label, UNNUMBERED};

/// The last reserved number that has a label of its own.
const LAST_RESERVED: u32 = 10;
/// Local identities: those of addresses outside, given by each node.
const LOCAL_SCOPE: u32 = 1 << 24;
/// Label that names the cluster of a pod.
const CLUSTER_LABEL: &str = "io.cilium.k8s.policy.cluster";

/// One side of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// What policies ask of it is known.
    Known {
        /// The identity.
        identity: Identity,
        /// What it is.
        kind: PartyKind,
    },
    /// The flow carries neither labels nor a reserved identity nor an address that could
    /// only be outside: only what holds for everybody can be said.
    Unknown,
}

/// What a side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartyKind {
    /// A pod.
    Pod,
    /// The node's own host, another node.
    Node,
    /// Health, ingress, init, unmanaged.
    Reserved,
    /// Outside the cluster: judged by its address.
    Outside,
}

impl Party {
    /// Reads a side: its endpoint, its address as text (empty where unknown), and the
    /// names DNS gave for it.
    #[must_use]
    pub fn of<'a>(
        endpoint: Option<&Endpoint>,
        address: &str,
        names: impl Iterator<Item = &'a str>,
    ) -> Self {
        let number = endpoint.map_or(0, |endpoint| endpoint.identity);
        let mut labels: Vec<Label> = endpoint
            .map(|endpoint| {
                endpoint
                    .labels
                    .iter()
                    .map(|text| Label::parse(text))
                    .collect()
            })
            .unwrap_or_default();
        if labels.is_empty() {
            labels.extend(reserved_labels(number));
        }
        let address: Option<IpAddr> = address.parse().ok();
        let Some(kind) = kind(&labels, number, address) else {
            return Self::Unknown;
        };
        let mut identity = Identity {
            // 0 is somebody unknown; of whom labels are known only the number is not.
            number: if number == 0 {
                reserved_number(&labels).unwrap_or(UNNUMBERED)
            } else {
                number
            },
            labels,
            ..Identity::default()
        };
        if kind == PartyKind::Outside {
            let Some(address) = address else {
                // Prefix rules cannot be answered without it.
                return Self::Unknown;
            };
            identity.address = Some(address);
            // The world label and those of prefixes follow from the address, also for
            // prefixes of policies that are newer than the flow.
            identity
                .labels
                .retain(|label| &*label.source == "fqdn" || &*label.key == "kube-apiserver");
            identity.names = names
                .map(|name| Arc::from(name.trim_end_matches('.').to_ascii_lowercase()))
                .collect();
            identity.names.sort();
            identity.names.dedup();
        } else if kind == PartyKind::Node {
            identity.address = address;
        }
        Self::Known { identity, kind }
    }

    /// Whether it is outside the cluster.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::Known {
                kind: PartyKind::Outside,
                ..
            }
        )
    }

    /// The identity, where it is known.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Known { identity, .. } => Some(identity),
            Self::Unknown => None,
        }
    }
}

/// The cluster an endpoint is of, by its label, else by what Hubble says, else by the name
/// of the node (`cluster/node`).
#[must_use]
pub fn cluster<'a>(endpoint: Option<&'a Endpoint>, node: &'a str) -> Option<&'a str> {
    let by_label = endpoint.and_then(|endpoint| {
        endpoint.labels.iter().find_map(|text| {
            let label = crate::pattern::Label::parse(text);
            (label.source == "k8s" && label.key == CLUSTER_LABEL).then_some(label.value)
        })
    });
    by_label
        .or_else(|| endpoint.map(|endpoint| &*endpoint.cluster))
        .filter(|name| !name.is_empty())
        .or_else(|| node.split_once('/').map(|(cluster, _)| cluster))
        .filter(|name| !name.is_empty())
}

/// Labels of a reserved number, for flows whose labels were masked.
fn reserved_labels(number: u32) -> impl Iterator<Item = Label> {
    let name = (1..=LAST_RESERVED)
        .contains(&number)
        .then(|| identity_name(number))
        .flatten();
    // 7 is a node that runs an API server: it carries both labels.
    let second = (number == 7).then_some("remote-node");
    name.into_iter()
        .chain(second)
        .map(|name| Label::new("reserved", name, ""))
}

/// The number that a reserved label stands for; 7 is a node with an API server.
fn reserved_number(labels: &[Label]) -> Option<u32> {
    let has = |name: &str| {
        labels
            .iter()
            .any(|label| &*label.source == "reserved" && &*label.key == name)
    };
    if has("host") {
        Some(1)
    } else if has("kube-apiserver") && has("remote-node") {
        Some(7)
    } else {
        (1..=LAST_RESERVED).find(|number| *number != 7 && identity_name(*number).is_some_and(&has))
    }
}

fn kind(labels: &[Label], number: u32, address: Option<IpAddr>) -> Option<PartyKind> {
    let reserved = |name: &str| {
        labels
            .iter()
            .any(|label| &*label.source == "reserved" && &*label.key == name)
    };
    let source = |name: &str| labels.iter().any(|label| &*label.source == name);
    if source("k8s") && !reserved("remote-node") && !reserved("host") {
        Some(PartyKind::Pod)
    } else if reserved("host") || reserved("remote-node") {
        Some(PartyKind::Node)
    } else if ["health", "ingress", "init", "unmanaged"]
        .iter()
        .any(|name| reserved(name))
    {
        Some(PartyKind::Reserved)
    } else if reserved("world")
        || reserved("world-ipv4")
        || reserved("world-ipv6")
        || reserved("kube-apiserver")
        || source("cidr")
        || source("fqdn")
        || (number & LOCAL_SCOPE != 0 && number >> 24 == 1 && address.is_some())
    {
        Some(PartyKind::Outside)
    } else if labels.iter().any(|label| &*label.key != "unknown") {
        // Labels of other sources, such as a container's: an endpoint all the same.
        Some(PartyKind::Pod)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(identity: u32, labels: &[&str]) -> Endpoint {
        Endpoint {
            identity,
            labels: labels.iter().map(|&text| Arc::from(text)).collect(),
            ..Endpoint::default()
        }
    }

    fn kind_of(identity: u32, labels: &[&str], address: &str) -> Option<PartyKind> {
        match Party::of(
            Some(&endpoint(identity, labels)),
            address,
            std::iter::empty(),
        ) {
            Party::Known { kind, .. } => Some(kind),
            Party::Unknown => None,
        }
    }

    #[test]
    fn a_side_is_what_its_labels_say() {
        let pod = ["k8s:app=a", "k8s:io.kubernetes.pod.namespace=x"];
        assert_eq!(kind_of(4711, &pod, "10.0.0.1"), Some(PartyKind::Pod));
        assert_eq!(kind_of(1, &["reserved:host"], ""), Some(PartyKind::Node));
        let outside = ["cidr:9.9.9.9/32", "reserved:world-ipv4"];
        assert_eq!(
            kind_of(16_777_217, &outside, "9.9.9.9"),
            Some(PartyKind::Outside)
        );
        assert_eq!(
            kind_of(8, &["reserved:ingress"], ""),
            Some(PartyKind::Reserved)
        );
    }

    #[test]
    fn without_labels_only_reserved_numbers_say_something() {
        assert_eq!(kind_of(7, &[], "10.0.0.9"), Some(PartyKind::Node));
        assert_eq!(kind_of(2, &[], "9.9.9.9"), Some(PartyKind::Outside));
        assert_eq!(kind_of(4711, &[], "10.0.0.1"), None);
        assert_eq!(kind_of(0, &[], "9.9.9.9"), None);
        assert_eq!(kind_of(2, &[], ""), None);
    }

    #[test]
    fn outside_keeps_what_its_address_does_not_tell() {
        let labels = [
            "cidr:1.2.3.0/24",
            "fqdn:*.example.com",
            "reserved:kube-apiserver",
            "reserved:world-ipv4",
        ];
        let party = Party::of(
            Some(&endpoint(16_777_300, &labels)),
            "1.2.3.4",
            ["API.Example.com.", "api.example.com"].into_iter(),
        );
        let identity = party.identity().unwrap();
        let kept: Vec<String> = identity.labels.iter().map(ToString::to_string).collect();
        assert_eq!(kept, ["fqdn:*.example.com", "reserved:kube-apiserver"]);
        assert_eq!(identity.names, [Arc::from("api.example.com")]);
    }

    #[test]
    fn a_pod_without_its_number_is_not_the_unknown_identity() {
        let pod = endpoint(0, &["k8s:app=a", "k8s:io.kubernetes.pod.namespace=x"]);
        let party = Party::of(Some(&pod), "10.0.0.1", std::iter::empty());
        assert_eq!(party.identity().unwrap().number, UNNUMBERED);
        let host = endpoint(0, &["reserved:host"]);
        let party = Party::of(Some(&host), "10.0.0.1", std::iter::empty());
        assert_eq!(party.identity().unwrap().number, 1);
    }

    #[test]
    fn the_cluster_is_read_from_the_flow() {
        let labelled = endpoint(1, &["k8s:io.cilium.k8s.policy.cluster=west"]);
        assert_eq!(cluster(Some(&labelled), "east/n1"), Some("west"));
        assert_eq!(cluster(None, "east/n1"), Some("east"));
        assert_eq!(cluster(None, "n1"), None);
    }
}
