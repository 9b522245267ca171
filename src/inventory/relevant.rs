//! Which labels of a pod or node become part of its identity.
//!
//! Owns the agent's default list (Cilium 1.19, "Limiting identity-relevant labels"). A
//! cluster with a `labels` setting of its own is not modelled: identities of such a
//! cluster come from its flows.

/// Kept although a pattern below would leave them out. Prefixes.
const KEPT: [&str; 5] = [
    "io.kubernetes.pod.namespace",
    "io.cilium.k8s.namespace.labels",
    "io.cilium.k8s.policy.cluster",
    "io.cilium.k8s.policy.serviceaccount",
    "app.kubernetes.io",
];

/// Left out. Prefixes.
const LEFT_OUT: [&str; 13] = [
    "io.kubernetes",
    "kubernetes.io",
    "k8s.io",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/controller-uid",
    "pod-template-generation",
    "pod-template-hash",
    "controller-revision-hash",
    "controller-uid",
    "annotation",
    "etcd_node",
];

/// Whether a label of a pod or a node is part of the identity.
#[must_use]
pub fn identity_relevant(key: &str) -> bool {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| key.starts_with(prefix));
    begins(&KEPT) || !(begins(&LEFT_OUT) || key.contains("beta.kubernetes.io"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_kubernetes_own_labels_are_no_identity() {
        for key in ["app", "app.kubernetes.io/name", "topology.example.com/zone"] {
            assert!(identity_relevant(key), "{key}");
        }
        for key in [
            "pod-template-hash",
            "kubernetes.io/os",
            "beta.kubernetes.io/arch",
            "node.beta.kubernetes.io/x",
            "k8s.io/cluster",
        ] {
            assert!(!identity_relevant(key), "{key}");
        }
    }
}
