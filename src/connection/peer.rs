//! Who talks to whom, by names that outlive pods and addresses.
//!
//! Owns the two ends of an edge and the table that numbers them. A pod is known by its
//! workload; what is outside by the name DNS gave for it, else by its prefix.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::flow::Protocol;

/// One end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// Pods of one owner.
    Workload {
        /// Cluster, empty where flows do not say.
        cluster: Arc<str>,
        /// Namespace.
        namespace: Arc<str>,
        /// Kind of the owner, empty where it is not known.
        kind: Arc<str>,
        /// Name of the owner.
        name: Arc<str>,
    },
    /// A reserved identity other than the world: `host`, `remote-node`, `kube-apiserver`,
    /// `health`, `ingress`, `init`, `unmanaged`. A client outside the cluster is `world`.
    Entity(Arc<str>),
    /// A server outside, by the name DNS gave its client: lower case, no last dot.
    Name(Arc<str>),
    /// A server outside of which no name is known.
    Prefix(IpNet),
    /// The flow does not say.
    Unknown,
    /// Everything beyond the bound of the table.
    Others,
}

/// Number of a [`Peer`] in its [`Peers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u32);

/// Who talks to whom, on which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge {
    /// Who opens connections.
    pub client: PeerId,
    /// Who takes them.
    pub server: PeerId,
    /// Port of the server; the type for ICMP; 0 where there is none.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
}
