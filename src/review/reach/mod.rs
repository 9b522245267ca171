//! Whom somebody may reach, and who may reach it, by the policies alone.
//!
//! Owns the answer for everybody who is known, for the reserved endpoints, for what is
//! outside, and for pods that could be there and are not (`ask`). Ports are told as ranges:
//! policies tell ports apart only where a rule begins or ends. What the policies mean is
//! asked as declarations ask it (`assert`). That a peer listens is not said.

mod ask;
mod ports;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

pub use ask::reach;
pub use ports::PortRange;

use crate::engine::Rule;
use crate::inventory::{Identity, Label, UNNUMBERED};

/// What may be reached, and who may reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Whom it may call.
    pub out: Vec<Open>,
    /// Who may call it.
    pub inward: Vec<Open>,
    /// Why the answer is not all there is, as sentences.
    pub limits: Vec<String>,
}

/// Somebody who is asked about: the labels of a pod, or an address outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// Who it is.
    pub identity: Identity,
    /// Whether it is outside the cluster.
    pub outside: bool,
}

/// A peer, and the ports that are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Who.
    pub whom: Whom,
    /// Ports that pass on both sides, in order.
    pub ports: Vec<PortRange>,
    /// Ports of which it is not known, in order, and the first cause of it.
    pub unknown: Vec<PortRange>,
    /// Why it is not known; empty where it is.
    pub cause: String,
    /// The rules that let it, some.
    pub rules: Vec<Rule>,
}

/// Who a peer is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whom {
    /// A workload that is known.
    Workload {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// A reserved endpoint.
    Entity(&'static str),
    /// Any address outside.
    World,
    /// Addresses outside that no policy tells from this one.
    Like(IpAddr),
    /// What DNS gives for a name or a pattern that policies know.
    Name(Arc<str>),
    /// Pods that could be there: how many kinds of them, and some, by their labels.
    Possible(usize, Vec<String>),
}

impl Subject {
    /// A pod by its labels.
    #[must_use]
    pub fn pod(name: String, labels: impl IntoIterator<Item = Label>) -> Self {
        let mut labels: Vec<Label> = labels.into_iter().collect();
        labels.sort();
        Self {
            name,
            identity: Identity {
                number: UNNUMBERED,
                labels,
                ..Identity::default()
            },
            outside: false,
        }
    }

    /// An address outside, of which no name is known.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::named(address, [])
    }

    /// An address outside with all the names it has.
    #[must_use]
    pub fn named(address: IpAddr, names: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self {
            name: address.to_string(),
            identity: Identity {
                number: UNNUMBERED,
                address: Some(address),
                names: names.into_iter().collect(),
                names_complete: true,
                ..Identity::default()
            },
            outside: true,
        }
    }
}
