//! What an endpoint of a flow is called.
//!
//! Owns reading an endpoint's labels, workloads and number. A pod's name for reports may
//! be told by a later flow, so that the pod is named here and its workload beside it. What
//! is outside is named by more than its endpoint: see `names`.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::peer::Peer;
use crate::flow::{Endpoint, WorkloadName, identity_name};
use crate::pattern::Label;

/// Numbers of what is outside, given by each node.
const LOCAL_SCOPE: u32 = 1;
/// The last reserved number that has a label of its own.
const LAST_RESERVED: u32 = 10;
/// Labels of the cluster and the namespace of a pod.
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Reserved endpoints other than what is outside, those first that say most. `host` is
/// the node that looks: another node calls the same one `remote-node`.
pub const RESERVED_ENDPOINTS: [&str; 7] = [
    "kube-apiserver",
    "health",
    "ingress",
    "host",
    "remote-node",
    "init",
    "unmanaged",
];

/// What an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A pod.
    Pod {
        /// Cluster, namespace and name. `None` where the flow does not name the pod.
        pod: Option<PodName>,
        /// Its workload.
        workload: Peer,
        /// Whether Hubble said the owner.
        told: bool,
    },
    /// A reserved endpoint.
    Entity(&'static str),
    /// Outside the cluster.
    World {
        /// The one DNS name its identity is of.
        name: Option<Arc<str>>,
        /// The longest prefix its identity is of.
        prefix: Option<IpNet>,
    },
    /// The flow does not say.
    Unknown,
}

/// What tells a pod from another.
pub(super) type PodName = (Arc<str>, Arc<str>, Arc<str>);

/// The workload that an endpoint says it is of; `None` for what is no pod. Another flow may
/// tell a better name.
#[must_use]
pub fn workload_of(endpoint: &Endpoint) -> Option<Peer> {
    match Named::of(endpoint) {
        Named::Pod { workload, .. } => Some(workload),
        _ => None,
    }
}

impl Named {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let labels = || endpoint.labels.iter().map(|label| Label::parse(label));
        let reserved = |name: &str| {
            labels().any(|label| label.source == "reserved" && label.key == name)
                || (endpoint.labels.is_empty()
                    && (1..=LAST_RESERVED).contains(&endpoint.identity)
                    && identity_name(endpoint.identity) == Some(name))
        };
        let is_node = reserved("host") || reserved("remote-node");
        let has = |source: &str| labels().any(|label| label.source == source);
        if !is_node && (has("k8s") || !endpoint.pod.is_empty()) {
            return pod(endpoint);
        }
        if let Some(entity) = RESERVED_ENDPOINTS.into_iter().find(|name| reserved(name)) {
            return Self::Entity(entity);
        }
        if ["world", "world-ipv4", "world-ipv6"]
            .into_iter()
            .any(reserved)
            || has("cidr")
            || has("fqdn")
            || endpoint.identity >> 24 == LOCAL_SCOPE
        {
            return Self::World {
                name: dns_name(endpoint),
                prefix: prefix(endpoint),
            };
        }
        if labels().any(|label| label.key != "unknown") || !endpoint.workloads.is_empty() {
            return pod(endpoint);
        }
        Self::Unknown
    }

    /// How much the name says, to choose between what several flows say.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::World { .. } => ADDRESS,
            Self::Entity(entity) => {
                let at = RESERVED_ENDPOINTS.iter().position(|known| known == entity);
                PREFIX + (RESERVED_ENDPOINTS.len() - at.unwrap_or_default()) as u8
            }
            Self::Pod { .. } => POD,
        }
    }
}

/// Ranks of names of what is outside, between those of [`Named::rank`].
pub(super) const ADDRESS: u8 = 1;
pub(super) const PREFIX: u8 = 2;
pub(super) const DNS_NAME: u8 = POD - 1;
pub(super) const POD: u8 = 20;

fn pod(endpoint: &Endpoint) -> Named {
    let label = |key: &str| {
        endpoint
            .labels
            .iter()
            .map(|label| Label::parse(label))
            .find(|label| label.source == "k8s" && label.key == key)
            .map(|label| Arc::<str>::from(label.value))
    };
    let or_label = |text: &Arc<str>, key: &str| {
        if text.is_empty() {
            label(key).unwrap_or_default()
        } else {
            text.clone()
        }
    };
    let cluster = or_label(&endpoint.cluster, CLUSTER);
    let namespace = or_label(&endpoint.namespace, NAMESPACE);
    let owner = endpoint
        .workloads
        .first()
        .filter(|owner| !owner.name.is_empty());
    let own = endpoint
        .labels
        .iter()
        .map(|label| Label::parse(label))
        .filter(|label| label.source != "reserved")
        .map(|label| (label.key, label.value));
    let name = match owner {
        Some(owner) => WorkloadName::of_owner(&owner.kind, &owner.name),
        None => WorkloadName::of_pod(&endpoint.pod, own),
    };
    Named::Pod {
        pod: (!endpoint.pod.is_empty())
            .then(|| (cluster.clone(), namespace.clone(), endpoint.pod.clone())),
        workload: Peer::Workload {
            cluster,
            namespace,
            kind: name.kind,
            name: name.name,
        },
        told: owner.is_some(),
    }
}

/// The name of an `fqdn:` label, where it is one name and no pattern.
fn dns_name(endpoint: &Endpoint) -> Option<Arc<str>> {
    let mut names = endpoint
        .labels
        .iter()
        .filter_map(|label| label.strip_prefix("fqdn:"));
    match (names.next(), names.next()) {
        (Some(name), None) if !name.contains('*') => canonical_name(name),
        _ => None,
    }
}

/// A DNS name as names are compared: lower case, no last dot.
pub(super) fn canonical_name(name: &str) -> Option<Arc<str>> {
    let name = name.trim_end_matches('.').trim_end_matches('=');
    (!name.is_empty()).then(|| name.to_ascii_lowercase().into())
}

/// The longest prefix of `cidr:` labels, which have `-` for the `:` of an address.
fn prefix(endpoint: &Endpoint) -> Option<IpNet> {
    endpoint
        .labels
        .iter()
        .filter_map(|label| label.strip_prefix("cidr:"))
        .filter_map(|text| text.trim_end_matches('=').replace('-', ":").parse().ok())
        .filter(|prefix: &IpNet| prefix.prefix_len() > 0)
        .max_by_key(|prefix| (prefix.prefix_len(), *prefix))
        .map(|prefix| prefix.trunc())
}

/// The prefix that is one address.
pub(super) fn single(address: IpAddr) -> Peer {
    Peer::Prefix(IpNet::from(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Workload;

    fn labelled(labels: &[&str]) -> Endpoint {
        Endpoint {
            labels: labels.iter().map(|&label| label.into()).collect(),
            ..Endpoint::default()
        }
    }

    fn shown(endpoint: &Endpoint) -> String {
        match Named::of(endpoint) {
            Named::Pod { workload, told, .. } => format!("{workload} {told}"),
            Named::Entity(name) => name.to_owned(),
            Named::World { name, prefix } => format!("{name:?} {prefix:?}"),
            Named::Unknown => "unknown".to_owned(),
        }
    }

    #[test]
    fn a_pod_is_known_by_its_workload() {
        let pod = Endpoint {
            namespace: "shop".into(),
            pod: "checkout-7d5b9c6f48-hx2vp".into(),
            ..labelled(&["k8s:app=checkout"])
        };
        assert_eq!(shown(&pod), "shop/checkout false");
        let told = Endpoint {
            workloads: vec![Workload {
                name: "report-29012345".into(),
                kind: "Job".into(),
            }],
            ..pod.clone()
        };
        assert_eq!(shown(&told), "shop/report true");
        let unnamed = labelled(&["k8s:app=db", "k8s:io.kubernetes.pod.namespace=data"]);
        assert_eq!(shown(&unnamed), "data/db false");
    }

    #[test]
    fn reserved_endpoints_are_told_by_label_or_number() {
        for (labels, wanted) in [
            (
                &["reserved:host", "reserved:kube-apiserver"][..],
                "kube-apiserver",
            ),
            (
                &["reserved:kube-apiserver", "reserved:world"],
                "kube-apiserver",
            ),
            (&["reserved:host", "reserved:remote-node"], "host"),
            (&["reserved:remote-node", "k8s:node=a"], "remote-node"),
            (&["reserved:health"], "health"),
            (&["reserved:world"], "None None"),
            (
                &["cidr:192.0.2.0/24", "cidr:0.0.0.0/0", "reserved:world"],
                "None Some(192.0.2.0/24)",
            ),
            (
                &["cidr:2001-db8--/32", "reserved:world"],
                "None Some(2001:db8::/32)",
            ),
            (
                &["fqdn:Example.com", "reserved:world"],
                "Some(\"example.com\") None",
            ),
            (&["fqdn:*.example.com", "reserved:world"], "None None"),
        ] {
            assert_eq!(shown(&labelled(labels)), wanted);
        }
        for (identity, wanted) in [
            (6, "remote-node"),
            (2, "None None"),
            (16_777_217, "None None"),
            (0, "unknown"),
            (4_711, "unknown"),
        ] {
            let endpoint = Endpoint {
                identity,
                ..Endpoint::default()
            };
            assert_eq!(shown(&endpoint), wanted);
        }
    }
}
