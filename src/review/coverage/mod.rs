//! Coverage: which namespaces, workloads and directions policies cover.
//!
//! Owns which workloads there are (from manifests, from flows, or both) and what policies
//! do for each. Only ever about policy: that a connection was or was not seen says nothing
//! about whether a rule covers it.

mod gather;
mod score;
mod side;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::Policies;
use crate::policy::{Cause, ObjectId};

pub use score::{Score, SideSum, Sum};
pub use traffic::Traffic;

/// What covers what.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// By cluster, namespace and name.
    pub workloads: Vec<WorkloadCover>,
    /// Pods on the network of their node: no endpoints, so that only a host policy, which
    /// is the node's, can be about them.
    pub host_network: Vec<WorkloadId>,
    /// Policies that are enforced.
    pub policies: usize,
    /// Flows that were looked at; `None` where none were given.
    pub flows: Option<u64>,
    /// There were more pods in the flows than are told apart.
    pub more_pods: bool,
}

/// What names a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadId {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// Its namespace; `None` where the manifest does not say.
    pub namespace: Option<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
    /// Kind of the object; empty where flows do not say. Not part of what it is known by.
    pub kind: Arc<str>,
}

/// A workload and what covers it.
#[derive(Clone, Debug, Default)]
pub struct WorkloadCover {
    /// Which.
    pub id: WorkloadId,
    /// Manifests have it.
    pub in_documents: bool,
    /// Flows have it.
    pub in_flows: bool,
    /// Towards it.
    pub ingress: SideCover,
    /// From it.
    pub egress: SideCover,
    /// A rule hands its look-ups to the DNS proxy, so that names are seen and known.
    pub dns: bool,
    /// Packets seen on their way from or to it.
    pub packets: u64,
    /// Those of them that were seen encrypted. What is not marked may have been on one
    /// node, or seen before it was encrypted.
    pub encrypted: u64,
}

/// One direction of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideCover {
    /// What it comes to.
    pub cover: Cover,
    /// Policies that select it in this direction.
    pub policies: BTreeSet<ObjectId>,
    /// Rules that let something through.
    pub allows: u32,
    /// Those of them that name neither whom nor what.
    pub broad: u32,
    /// What its rules look at beyond ports: `http`, `dns`, `kafka`, `tls`, `envoy`, `generic`.
    pub layer7: BTreeSet<&'static str>,
    /// Flows seen that opened or carried connections in this direction; replies are not
    /// counted.
    pub flows: u64,
    /// Peers whose connections passed although no rule names them: each needs one before
    /// default deny is turned on.
    pub peers: u64,
    /// There are more of these than are told apart.
    pub more_peers: bool,
}

/// What covers a workload in a direction, the least first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cover {
    /// No policy selects it: everything passes.
    #[default]
    NotSelected,
    /// Policies select it, and none turns on default deny: everything passes that none
    /// denies.
    NoDefaultDeny,
    /// It cannot be told.
    Unknown(Doubt),
    /// Default deny, and a rule that lets in, or out, as good as everybody.
    Broad,
    /// Default deny.
    DefaultDeny,
}

/// Why it cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The cause.
    pub cause: Cause,
    /// `file:line` of what could not be read.
    pub place: Option<Arc<str>>,
}

/// In which direction no policy selects a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Without {
    /// In both.
    Both,
    /// Towards it.
    Ingress,
    /// From it.
    Egress,
}

impl Coverage {
    /// What the policies cover, of what the manifests beside them and the flows show.
    #[must_use]
    pub fn of(policies: &Policies, traffic: Option<&Traffic>) -> Self {
        gather::coverage(policies, traffic)
    }

    /// Everything together.
    #[must_use]
    pub fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        for workload in &self.workloads {
            sum.add(workload);
        }
        sum
    }

    /// Each namespace by cluster and name; `None` holds what is in no known one.
    #[must_use]
    pub fn namespaces(&self) -> BTreeMap<(Arc<str>, Option<Arc<str>>), Sum> {
        let mut sums = BTreeMap::<_, Sum>::new();
        for workload in &self.workloads {
            let id = &workload.id;
            sums.entry((id.cluster.clone(), id.namespace.clone()))
                .or_default()
                .add(workload);
        }
        sums
    }

    /// Workloads that need a policy and have none in a direction: first those without any,
    /// and of these those with the most flows.
    #[must_use]
    pub fn without_policy(&self) -> Vec<(&WorkloadCover, Without)> {
        let mut list: Vec<(&WorkloadCover, Without)> = self
            .workloads
            .iter()
            .filter_map(|workload| Some((workload, workload.without_policy()?)))
            .collect();
        list.sort_by_key(|(workload, without)| (*without, std::cmp::Reverse(workload.flows())));
        list
    }

    /// Whether it is known of anything that it exists.
    #[must_use]
    pub fn knows_workloads(&self) -> bool {
        !self.workloads.is_empty() || !self.host_network.is_empty()
    }

    /// Whether workloads of several clusters are in it.
    #[must_use]
    pub fn has_clusters(&self) -> bool {
        let mut clusters = self.workloads.iter().map(|workload| &workload.id.cluster);
        let first = clusters.next();
        clusters.any(|cluster| Some(cluster) != first)
    }
}

impl WorkloadCover {
    /// In which direction no policy selects it, if there is one.
    #[must_use]
    pub fn without_policy(&self) -> Option<Without> {
        let none = |side: &SideCover| side.cover == Cover::NotSelected;
        match (none(&self.ingress), none(&self.egress)) {
            (true, true) => Some(Without::Both),
            (true, false) => Some(Without::Ingress),
            (false, true) => Some(Without::Egress),
            (false, false) => None,
        }
    }

    /// Flows seen in both directions.
    #[must_use]
    pub fn flows(&self) -> u64 {
        self.ingress.flows + self.egress.flows
    }
}

impl SideCover {
    /// Whether one of its rules looks beyond ports at something else than DNS.
    #[must_use]
    pub fn looks_beyond_ports(&self) -> bool {
        self.layer7.iter().any(|kind| *kind != "dns")
    }
}

impl Cover {
    /// A stable name, for JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotSelected => "not-selected",
            Self::NoDefaultDeny => "no-default-deny",
            Self::Unknown(_) => "unknown",
            Self::Broad => "broad",
            Self::DefaultDeny => "default-deny",
        }
    }

    /// Higher is better covered.
    fn rank(&self) -> u8 {
        match self {
            Self::NotSelected => 0,
            Self::NoDefaultDeny => 1,
            Self::Unknown(_) => 2,
            Self::Broad => 3,
            Self::DefaultDeny => 4,
        }
    }
}

impl Without {
    /// A stable name, for JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}
