//! Who is known: pods, nodes and reserved endpoints, by documents and by flows.
//!
//! Owns putting both together and who of them a target means. What policies say about them
//! is not asked here.
//!
//! Bounded: [`MOST_PODS`] pods and [`MOST_OTHERS`] others; whether some were left out is
//! kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::Target;
use super::pod::{KnownPod, node_alone};
use crate::connection::{Peer, workload_of};
use crate::engine::{Party, PartyKind, Policies, cluster};
use crate::flow::{Direction, Endpoint, FlowBatch, RowRef, WorkloadName};
use crate::inventory::{Identity, Label};

/// Pods that are kept.
const MOST_PODS: usize = 1 << 16;
/// Nodes and reserved endpoints that are kept.
const MOST_OTHERS: usize = 1 << 12;
/// Ends that are remembered as looked at.
const MOST_LOOKED: usize = 1 << 20;
/// Names that are said where a target is not known.
const MOST_SAID: usize = 8;

/// Who is known of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pods: BTreeMap<Key, KnownPod>,
    others: BTreeMap<(Vec<String>, Option<IpAddr>), Identity>,
    nodes: BTreeMap<IpAddr, Arc<str>>,
    cluster: Option<Arc<str>>,
    /// Whether a label of ours is in an identity that flows show.
    own_label: bool,
    left_out: bool,
    looked: Looked,
}

/// Namespace, pod, workload, labels.
type Key = (Arc<str>, Arc<str>, Arc<str>, Vec<Label>);

/// Ends of rows that were looked at, with the dictionaries they are of: several threads have
/// their own.
type Looked = HashSet<(u64, u32, u32, u32), RandomState>;

impl Known {
    /// Who documents know of, in the cluster that flows are of.
    #[must_use]
    pub fn of(policies: &Policies, cluster: Option<&str>) -> Self {
        let mut known = Self {
            cluster: cluster.map(Arc::from),
            ..Self::default()
        };
        let options = policies.options_of(cluster);
        let inventory = policies.inventory();
        for node in &inventory.nodes {
            let addresses = node.addresses.iter();
            let named = addresses.map(|address| (*address, node.name.clone()));
            known.nodes.extend(named.take(MOST_OTHERS));
        }
        for workload in &inventory.workloads {
            let spec = &workload.spec;
            let name = WorkloadName::of_object(&workload.kind, &workload.name, &spec.labels);
            let identity = inventory
                .identity(workload, &options.cluster_name)
                .unwrap_or_default();
            let is_pod = &*workload.kind == "Pod";
            known.add(KnownPod {
                namespace: workload.namespace.clone().unwrap_or_default(),
                pod: if is_pod {
                    workload.name.clone()
                } else {
                    "".into()
                },
                kind: name.kind,
                workload: name.name,
                identity,
                addresses: spec.address.into_iter().collect(),
                node: spec.node.clone(),
                seen: false,
                declared: true,
                host_network: spec.host_network,
                unmanaged: false,
                probed: Some(spec.probed),
            });
        }
        known
    }

    /// The cluster that flows are of, where they say.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Whether somebody was left out because there are too many.
    #[must_use]
    pub fn left_out(&self) -> bool {
        self.left_out
    }

    /// All pods and templates.
    pub fn pods(&self) -> impl Iterator<Item = &KnownPod> {
        self.pods.values()
    }

    /// Nodes and reserved endpoints that flows show.
    pub fn others(&self) -> impl Iterator<Item = &Identity> {
        self.others.values()
    }

    /// Who of the cluster has an address: `the pod shop/web-1`, `the node worker-2`.
    #[must_use]
    pub fn inside(&self, address: IpAddr) -> Option<String> {
        let has = |pod: &&KnownPod| pod.addresses.contains(&address);
        if let Some(pod) = self.pods.values().find(has) {
            return Some(format!("the pod {}", pod.name()));
        }
        if let Some(node) = self.nodes.get(&address) {
            return Some(format!("the node {node}"));
        }
        let is_there = |identity: &&Identity| identity.address == Some(address);
        let other = self.others.values().find(is_there)?;
        let labels: Vec<String> = other.labels.iter().map(ToString::to_string).collect();
        Some(format!("a node ({})", labels.join(", ")))
    }

    /// Whether flows show a label of flowwatch as part of an identity: then agents take it.
    #[must_use]
    pub fn own_label_seen(&self) -> bool {
        self.own_label
    }

    /// Adds who takes part in the rows of a batch. Says whether a target may mean somebody
    /// more now, or one at another address.
    pub fn batch(&mut self, batch: &FlowBatch) -> bool {
        let mut learned = false;
        for row in batch.rows() {
            learned |= self.row(row);
        }
        learned
    }

    /// Takes in what another one knows.
    pub fn merge(&mut self, other: Self) {
        self.cluster = self.cluster.take().or(other.cluster);
        self.own_label |= other.own_label;
        self.left_out |= other.left_out;
        self.nodes.extend(other.nodes);
        for pod in other.pods.into_values() {
            self.add(pod);
        }
        for (key, identity) in other.others {
            if self.others.len() < MOST_OTHERS {
                self.others.insert(key, identity);
            }
        }
    }

    /// The pods and templates a target means. None for what is outside; for a node, those
    /// that are known to be on it.
    pub fn meant<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a KnownPod> + 'a {
        self.pods.values().filter(move |pod| pod.is_meant(target))
    }

    /// The target, told apart by who is known: what reads as a workload may be a pod.
    ///
    /// # Errors
    /// Nobody is known of it: a sentence that says who is.
    pub fn settle(&self, target: Target) -> Result<Target, String> {
        if target.is_outside() || self.meant(&target).next().is_some() {
            return Ok(target);
        }
        if let Target::Workload { namespace, name } = &target {
            let pod = Target::Pod {
                namespace: namespace.clone(),
                name: name.clone(),
            };
            if self.meant(&pod).next().is_some() {
                return Ok(pod);
            }
        }
        if matches!(target, Target::Node(_)) {
            // Its own host can be cut off without knowing who is on it.
            return Ok(target);
        }
        Err(self.nobody(&target))
    }

    fn nobody(&self, target: &Target) -> String {
        let here = |pod: &&KnownPod| target.namespace() == Some(&pod.namespace);
        let names: BTreeSet<String> = self
            .pods
            .values()
            .filter(here)
            .map(KnownPod::workload_name)
            .collect();
        let mut said: Vec<String> = names.iter().take(MOST_SAID).cloned().collect();
        if said.is_empty() {
            let namespaces: BTreeSet<&str> =
                self.pods.values().map(|pod| &*pod.namespace).collect();
            said = namespaces
                .into_iter()
                .take(MOST_SAID)
                .map(|namespace| format!("{namespace}/*"))
                .collect();
        }
        let known = if said.is_empty() {
            "nobody at all".to_owned()
        } else {
            said.join(", ")
        };
        let said = match target {
            // These say what they are.
            Target::Identity(_) | Target::Node(_) => target.to_string(),
            _ => format!("{} {target}", target.kind()),
        };
        format!(
            "nobody is known of {said}: give the manifests, or flows that show it; known are {known}"
        )
    }

    fn row(&mut self, row: RowRef<'_>) -> bool {
        let mut learned = false;
        let epoch = row.dictionaries().epoch();
        if self.looked.len() >= MOST_LOOKED {
            self.looked.clear();
        }
        for (id, address, own) in [
            (row.source(), row.source_ip(), Direction::EGRESS),
            (row.destination(), row.destination_ip(), Direction::INGRESS),
        ] {
            let is_here = row.direction() == own;
            let node = if is_here { row.node().0 } else { 0 };
            if !self.looked.insert((epoch, id.0, address.0, node)) {
                continue;
            }
            let Some(endpoint) = row.dictionaries().endpoint(id) else {
                continue;
            };
            let node = if is_here { row.str(row.node()) } else { "" };
            learned |= self.end(endpoint, row.str(address), node, row.str(row.node()));
        }
        learned
    }

    /// One end of a row. `node` is where it is, where the row tells; `by` who looked.
    fn end(&mut self, endpoint: &Endpoint, address: &str, node: &str, by: &str) -> bool {
        let party = Party::of(Some(endpoint), address, std::iter::empty());
        let Party::Known { identity, kind } = party else {
            return false;
        };
        let workload = workload_of(endpoint);
        if let Some(Peer::Workload {
            namespace,
            kind: owner,
            name,
            ..
        }) = workload
        {
            if self.cluster.is_none() {
                self.cluster = cluster(Some(endpoint), by).map(Arc::from);
            }
            let mut identity = identity;
            identity.labels.sort();
            self.own_label |= identity
                .labels
                .iter()
                .any(|label| label.key.starts_with(super::quarantine::PREFIX));
            return self.add(KnownPod {
                namespace,
                pod: endpoint.pod.clone(),
                kind: owner,
                workload: name,
                addresses: address.parse().ok().into_iter().collect(),
                node: node_alone(node).into(),
                seen: true,
                declared: false,
                host_network: false,
                unmanaged: kind == PartyKind::Reserved
                    && identity
                        .labels
                        .iter()
                        .any(|label| &*label.key == "unmanaged"),
                probed: None,
                identity,
            });
        }
        if matches!(kind, PartyKind::Node | PartyKind::Reserved) {
            let labels = identity.labels.iter().map(ToString::to_string).collect();
            let key = (labels, identity.address);
            if self.others.len() < MOST_OTHERS {
                self.others.insert(key, identity);
            }
        }
        false
    }

    fn add(&mut self, pod: KnownPod) -> bool {
        let key: Key = (
            pod.namespace.clone(),
            pod.pod.clone(),
            pod.workload.clone(),
            pod.identity.labels.clone(),
        );
        if let Some(known) = self.pods.get_mut(&key) {
            return known.learn(pod);
        }
        let room = self.pods.len() < MOST_PODS;
        if room {
            self.pods.insert(key, pod);
        } else {
            self.left_out = true;
        }
        room
    }
}
