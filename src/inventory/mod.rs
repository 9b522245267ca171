//! What the cluster is: identities, namespaces, services, named ports, CIDR groups.
//!
//! Owns the facts that policies are resolved against, wherever they were read. Does not
//! decide verdicts.

mod cluster;
mod identity;
mod label;
mod pod;
mod relevant;
mod service;

pub use cluster::{ClusterNode, Inventory, Workload};
pub use identity::{Identity, NamedPort, UNNUMBERED};
pub use label::Label;
pub use pod::PodSpec;
pub use relevant::identity_relevant;
pub use service::{CidrGroup, Service};
