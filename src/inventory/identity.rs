//! A security identity: who can be the subject or the peer of a policy.
//!
//! Owns what is known of it. Which selectors select it is `policy`'s.

use std::net::IpAddr;
use std::sync::Arc;

use super::Label;

/// The number of an identity whose own is not known, though its labels are.
pub const UNNUMBERED: u32 = u32::MAX;

/// An identity and what policies can ask of it.
///
/// Pods share one by their labels. Outside the cluster an address is its own identity,
/// as the answer of a policy depends on the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Cilium's number; 0 is unknown, which only wildcards match.
    pub number: u32,
    /// Identity labels. An external address needs none but those that are no prefix, name
    /// or world (`reserved:kube-apiserver`): these follow from `address` and `names`.
    pub labels: Vec<Label>,
    /// Labels it has as a subject, where these differ: those of a node's host endpoint.
    pub subject_labels: Option<Vec<Label>>,
    /// Address of what is outside the cluster, or of a node.
    pub address: Option<IpAddr>,
    /// Names that DNS gave for the address, lower case, without the trailing dot.
    pub names: Vec<Arc<str>>,
    /// Whether it is known that the address has no other names.
    pub names_complete: bool,
    /// Ports of its containers by name.
    pub named_ports: Vec<NamedPort>,
}

/// A named container port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPort {
    /// As written; names are compared without regard to case.
    pub name: Arc<str>,
    /// Its number.
    pub port: u16,
    /// IANA number of its protocol: 6 TCP, 17 UDP, 132 SCTP.
    pub protocol: u8,
}
