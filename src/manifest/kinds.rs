//! Kinds that matter before anyone looks into an object.
//!
//! Owns which kinds hold policies, which are in no namespace, and which may not occur
//! twice. What their fields mean is `policy`'s and `inventory`'s.

/// Whether verdicts follow from the objects of a kind.
#[must_use]
pub fn is_policy_kind(kind: &str) -> bool {
    matches!(
        kind,
        "CiliumNetworkPolicy"
            | "CiliumClusterwideNetworkPolicy"
            | "NetworkPolicy"
            | "ClusterNetworkPolicy"
            | "CiliumCIDRGroup"
    )
}

/// Whether the objects of a kind are in no namespace.
pub(super) fn is_cluster_wide(kind: &str) -> bool {
    matches!(
        kind,
        "CiliumClusterwideNetworkPolicy"
            | "ClusterNetworkPolicy"
            | "AdminNetworkPolicy"
            | "BaselineAdminNetworkPolicy"
            | "CiliumCIDRGroup"
            | "CiliumNode"
            | "CiliumIdentity"
            | "CustomResourceDefinition"
            | "ClusterRole"
            | "ClusterRoleBinding"
            | "Namespace"
            | "Node"
    )
}

/// Whether two objects of one kind and name contradict each other to us. Of other kinds
/// nothing is read, and trees of several clusters repeat them.
pub(super) fn is_unique(kind: &str) -> bool {
    is_policy_kind(kind)
        || matches!(
            kind,
            "Namespace" | "Node" | "CiliumNode" | "Service" | "Pod" | "CiliumEndpoint"
        )
}

/// Whether a text can name a namespace: no variable, no template.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}
