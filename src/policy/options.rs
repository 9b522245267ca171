//! Agent options that change what policies mean, and the release.
//!
//! Owns their names and defaults. Where they are read from is not its business; an option
//! nobody gave keeps its default and is known not to have been given.

use std::collections::BTreeSet;
use std::sync::Arc;

/// `enable-policy`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Endpoints that a policy selects.
    #[default]
    Default,
    /// All endpoints.
    Always,
    /// None.
    Never,
}

/// `allow-localhost`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowLocalhost {
    /// As `Always` under Kubernetes.
    #[default]
    Auto,
    /// The node's host reaches its endpoints.
    Always,
    /// Only what policies allow.
    Policy,
}

/// A release of Cilium, `major.minor.patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 1
    pub major: u16,
    /// 19
    pub minor: u16,
    /// 4
    pub patch: u16,
}

/// Options of an agent, with the defaults of 1.19.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `cluster-name`
    pub cluster_name: Arc<str>,
    /// `policy-default-local-cluster`
    pub default_local_cluster: bool,
    /// `enable-policy`
    pub enforcement: Enforcement,
    /// `allow-localhost`
    pub allow_localhost: AllowLocalhost,
    /// `enable-ipv4`
    pub ipv4: bool,
    /// `enable-ipv6`
    pub ipv6: bool,
    /// `enable-host-firewall`
    pub host_firewall: bool,
    /// `enable-node-selector-labels`
    pub node_selector_labels: bool,
    /// `enable-non-default-deny-policies`
    pub non_default_deny: bool,
    /// `enable-l7-proxy`
    pub l7_proxy: bool,
    /// `enable-extended-ip-protocols`
    pub extended_ip_protocols: bool,
    /// `policy-cidr-match-mode` has `nodes`
    pub cidr_match_nodes: bool,
    /// The release.
    pub version: Version,
    /// Options that were given; a verdict that hangs on another one is assumed.
    pub given: BTreeSet<OptionName>,
}

/// The options by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptionName {
    /// `cluster-name`
    ClusterName,
    /// `policy-default-local-cluster`
    DefaultLocalCluster,
    /// `enable-policy`
    Enforcement,
    /// `allow-localhost`
    AllowLocalhost,
    /// `enable-ipv4`, `enable-ipv6`
    Families,
    /// `enable-host-firewall`
    HostFirewall,
    /// `enable-node-selector-labels`
    NodeSelectorLabels,
    /// `enable-non-default-deny-policies`
    NonDefaultDeny,
    /// `enable-l7-proxy`
    L7Proxy,
    /// `enable-extended-ip-protocols`
    ExtendedIpProtocols,
    /// `policy-cidr-match-mode`
    CidrMatchMode,
}

impl OptionName {
    /// The agent's flag, without dashes in front.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClusterName => "cluster-name",
            Self::DefaultLocalCluster => "policy-default-local-cluster",
            Self::Enforcement => "enable-policy",
            Self::AllowLocalhost => "allow-localhost",
            Self::Families => "enable-ipv4, enable-ipv6",
            Self::HostFirewall => "enable-host-firewall",
            Self::NodeSelectorLabels => "enable-node-selector-labels",
            Self::NonDefaultDeny => "enable-non-default-deny-policies",
            Self::L7Proxy => "enable-l7-proxy",
            Self::ExtendedIpProtocols => "enable-extended-ip-protocols",
            Self::CidrMatchMode => "policy-cidr-match-mode",
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cluster_name: "default".into(),
            default_local_cluster: true,
            enforcement: Enforcement::Default,
            allow_localhost: AllowLocalhost::Auto,
            ipv4: true,
            ipv6: true,
            host_firewall: false,
            node_selector_labels: false,
            non_default_deny: true,
            l7_proxy: true,
            extended_ip_protocols: false,
            cidr_match_nodes: false,
            version: Version {
                major: 1,
                minor: 19,
                patch: 4,
            },
            given: BTreeSet::new(),
        }
    }
}
