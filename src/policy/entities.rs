//! Entities: peers that policies name instead of selecting.
//!
//! Owns their names and the labels that stand behind them.

use super::selector::{LabelSelector, Operator, PeerSelector, Requirement, SelectorKey, Source};

/// Label of the cluster an endpoint is in.
pub(super) const CLUSTER_LABEL: &str = "io.cilium.k8s.policy.cluster";

/// Whether Cilium 1.19 knows an entity.
pub(super) fn is_known(name: &str) -> bool {
    matches!(name, "all" | "world" | "cluster") || single(name).is_some()
}

/// The peers an entity stands for, in the cluster of a name.
pub(super) fn peers(name: &str, cluster: &str) -> Vec<PeerSelector> {
    let reserved = |name| labelled("reserved", name, "");
    match name {
        "all" => vec![PeerSelector::Everyone],
        "world" => ["world", "world-ipv4", "world-ipv6"].map(reserved).to_vec(),
        "cluster" => {
            let mut peers: Vec<_> = CLUSTER.iter().copied().map(reserved).collect();
            peers.push(labelled("k8s", CLUSTER_LABEL, cluster));
            peers
        }
        _ => single(name).map(reserved).into_iter().collect(),
    }
}

/// What belongs to the cluster besides its endpoints.
const CLUSTER: &[&str] = &[
    "host",
    "remote-node",
    "init",
    "ingress",
    "health",
    "unmanaged",
    "kube-apiserver",
];

/// Entities that are one reserved label of the same name.
fn single(name: &str) -> Option<&str> {
    let known = CLUSTER.contains(&name) || ["world-ipv4", "world-ipv6", "none"].contains(&name);
    known.then_some(name)
}

fn labelled(source: &str, name: &str, value: &str) -> PeerSelector {
    PeerSelector::Labels(LabelSelector {
        labels: vec![Requirement {
            key: SelectorKey {
                source: Source::Of(source.into()),
                name: name.into(),
            },
            operator: Operator::In,
            values: vec![value.into()],
        }],
        expressions: Vec::new(),
    })
}
