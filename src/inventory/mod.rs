//! What the cluster is: identities, namespaces, services, named ports, CIDR groups.
//!
//! Owns the facts that policies are resolved against, wherever they were read. Does not
//! decide verdicts.

mod identity;
mod label;
mod service;

pub use identity::{Identity, NamedPort};
pub use label::Label;
pub use service::{CidrGroup, Service};
