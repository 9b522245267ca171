//! A pod that is known, or the template of a workload.
//!
//! Owns what is known of one, and whether a target means it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::Target;
use crate::inventory::{Identity, UNNUMBERED};

/// Addresses of one pod that are kept.
const MOST_ADDRESSES: usize = 8;

/// A pod, or the template of a workload, that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name; empty for a template.
    pub pod: Arc<str>,
    /// Kind of its workload, empty where it is not known.
    pub kind: Arc<str>,
    /// Name of its workload.
    pub workload: Arc<str>,
    /// What policies see of it; labels are sorted.
    pub identity: Identity,
    /// Its addresses, few.
    pub addresses: BTreeSet<IpAddr>,
    /// The node it is on, empty where it is not known.
    pub node: Arc<str>,
    /// Whether flows show it.
    pub seen: bool,
    /// Whether the documents have it.
    pub declared: bool,
    /// On the network of its node: no policy selects it.
    pub host_network: bool,
    /// Cilium does not manage it: no policy is enforced for it.
    pub unmanaged: bool,
    /// Whether the kubelet probes it over the network; `None` where no document says.
    pub probed: Option<bool>,
}

impl KnownPod {
    /// `shop/checkout-7d5b9c6f48-hx2vp`; the workload for a template.
    #[must_use]
    pub fn name(&self) -> String {
        let name = if self.pod.is_empty() {
            &self.workload
        } else {
            &self.pod
        };
        format!("{}/{name}", self.namespace)
    }

    /// `shop/checkout`.
    #[must_use]
    pub fn workload_name(&self) -> String {
        format!("{}/{}", self.namespace, self.workload)
    }

    /// The value of one of its own labels.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        let labels = &self.identity.labels;
        labels
            .iter()
            .find(|label| &*label.source == "k8s" && &*label.key == key)
            .map(|label| &*label.value)
    }

    /// Whether a target means it.
    pub(super) fn is_meant(&self, target: &Target) -> bool {
        match target {
            Target::Pod { namespace, name } => {
                *namespace == self.namespace && *name == self.pod && !name.is_empty()
            }
            Target::Workload { namespace, name } => {
                *namespace == self.namespace && *name == self.workload
            }
            Target::Identity(number) => self.identity.number == *number,
            Target::Node(node) => {
                let name = node_alone(node);
                *name == *self.node && !name.is_empty()
            }
            Target::Namespace(namespace) => *namespace == self.namespace,
            Target::Address(_) | Target::Name(_) => false,
        }
    }

    /// Takes in what somewhere else is said of it. Says whether that was something a target
    /// may go by: its node, its identity or an address.
    pub(super) fn learn(&mut self, other: Self) -> bool {
        let before = (
            self.node.is_empty(),
            self.identity.number,
            self.addresses.len(),
        );
        if self.node.is_empty() {
            self.node = other.node;
        }
        if self.kind.is_empty() {
            self.kind = other.kind;
        }
        if self.identity.number == UNNUMBERED {
            self.identity.number = other.identity.number;
        }
        if self.identity.named_ports.is_empty() {
            self.identity.named_ports = other.identity.named_ports;
        }
        for address in other.addresses {
            if self.addresses.len() < MOST_ADDRESSES {
                self.addresses.insert(address);
            }
        }
        self.seen |= other.seen;
        self.declared |= other.declared;
        self.host_network |= other.host_network;
        self.unmanaged |= other.unmanaged;
        self.probed = self.probed.or(other.probed);
        before
            != (
                self.node.is_empty(),
                self.identity.number,
                self.addresses.len(),
            )
    }
}

/// A node's name without that of its cluster.
pub(super) fn node_alone(node: &str) -> &str {
    node.rsplit_once('/').map_or(node, |(_, name)| name)
}
