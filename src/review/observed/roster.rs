//! Who there is, with the labels of their pods.
//!
//! Owns which labels each workload was seen with, in flows and in manifests, on any number of
//! threads. A pod's owner may be told by another flow than the one that shows its labels, so
//! pods are kept until all flows were read. Bounded: further pods are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::connection::{Peer, workload_of};
use crate::engine::{ClusterPolicies, Party, Policies};
use crate::flow::{Endpoint, FlowBatch, WorkloadName};
use crate::inventory::{Identity, Label as IdentityLabel, UNNUMBERED, identity_relevant};
use crate::pattern::Label;
use crate::policy::IdentityIndex;

/// Pods that are told apart.
const MOST_PODS: usize = 1 << 18;
/// Label sets that are kept of a workload.
const MOST_SETS: usize = 64;

/// Labels that Kubernetes gave, key and value, sorted.
pub type Labels = Vec<(Arc<str>, Arc<str>)>;
/// Cluster, namespace and name of a workload.
pub type WorkloadKey = (Arc<str>, Arc<str>, Arc<str>);
/// Namespace, name and labels of a workload, for tests.
#[cfg(test)]
pub(in crate::review) type Listed<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);
/// Cluster, namespace and name of a pod.
type PodKey = (Arc<str>, Arc<str>, Arc<str>);

/// Notes who flows show; shared by all threads.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<Roster>>);

/// What one thread notes.
#[derive(Debug)]
pub struct Noter {
    notes: Notes,
    epoch: Option<u64>,
    known: Vec<bool>,
}

/// Pods that were seen.
#[derive(Debug, Default)]
struct Roster {
    pods: HashMap<PodKey, Pod, RandomState>,
    beyond: bool,
}

#[derive(Debug)]
struct Pod {
    workload: Peer,
    /// Whether a flow said the owner.
    told: bool,
    sets: BTreeSet<Labels>,
    identities: BTreeSet<Vec<IdentityLabel>>,
}

/// Workloads with the labels of their pods.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    workloads: BTreeMap<WorkloadKey, Member>,
    /// There were more pods than are told apart.
    pub more: bool,
}

/// A workload.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// Kind of the owner, empty where it is not known.
    pub kind: Arc<str>,
    /// Label sets its pods were seen with, or have in manifests, and of how many pods.
    pub sets: BTreeMap<Labels, usize>,
    /// Labels of their identities, those that the agent adds included.
    pub identities: BTreeSet<Vec<IdentityLabel>>,
    /// Pods that flows show.
    pub pods: usize,
}

impl Notes {
    /// What a thread notes with.
    #[must_use]
    pub fn noter(&self) -> Noter {
        Noter {
            notes: self.clone(),
            epoch: None,
            known: Vec::new(),
        }
    }

    /// Everybody of the flows and of the manifests beside the policies; `cluster` is the one
    /// that manifests are of.
    #[must_use]
    pub fn directory(&self, policies: &Policies, cluster: Option<&str>) -> Directory {
        let roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut directory = Directory {
            more: roster.beyond,
            ..Directory::default()
        };
        for pod in roster.pods.values() {
            if let Some(key) = key_of(&pod.workload) {
                let member = directory.workloads.entry(key).or_default();
                member.pods += 1;
                member.take(&pod.workload, pod.sets.iter().cloned());
                for identity in &pod.identities {
                    member.identity(identity.clone());
                }
            }
        }
        let own: Arc<str> = cluster.unwrap_or_default().into();
        let named = policies.options_of(cluster).cluster_name;
        for workload in &policies.inventory().workloads {
            let Some(namespace) = workload.namespace.clone() else {
                continue;
            };
            if workload.spec.host_network {
                continue;
            }
            let name =
                WorkloadName::of_object(&workload.kind, &workload.name, &workload.spec.labels);
            let mut labels: Labels = workload
                .spec
                .labels
                .iter()
                .filter(|(key, _)| identity_relevant(key))
                .cloned()
                .collect();
            labels.sort();
            let peer = Peer::Workload {
                cluster: own.clone(),
                namespace,
                kind: name.kind,
                name: name.name,
            };
            if let Some(key) = key_of(&peer) {
                let member = directory.workloads.entry(key).or_default();
                member.take(&peer, std::iter::once(labels));
                // What flows show is what is there.
                if member.pods == 0
                    && let Some(identity) = policies.inventory().identity(workload, &named)
                {
                    member.identity(identity.labels);
                }
            }
        }
        directory
    }

    /// The cluster most pods are of.
    #[must_use]
    pub fn cluster(&self) -> Option<Arc<str>> {
        let roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts: BTreeMap<&Arc<str>, u64> = BTreeMap::new();
        for (cluster, _, _) in roster.pods.keys() {
            *counts.entry(cluster).or_default() += 1;
        }
        counts
            .into_iter()
            .filter(|(name, _)| !name.is_empty())
            .max_by_key(|(_, count)| *count)
            .map(|(name, _)| name.clone())
    }
}

impl Noter {
    /// Notes the endpoints of the rows of a batch for which `kept` says yes that were not
    /// noted yet; an empty one keeps all.
    pub fn batch(&mut self, batch: &FlowBatch, kept: &[bool]) {
        let epoch = batch.dictionaries().epoch();
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.known.clear();
        }
        let mut new: Vec<&Endpoint> = Vec::new();
        for row in batch.rows() {
            if !kept.get(row.index()).copied().unwrap_or(true) {
                continue;
            }
            for (id, endpoint) in [
                (row.source(), row.source_endpoint()),
                (row.destination(), row.destination_endpoint()),
            ] {
                let at = id.0 as usize;
                if self.known.get(at).copied().unwrap_or(false) {
                    continue;
                }
                if self.known.len() <= at {
                    self.known.resize((at + 1).next_power_of_two(), false);
                }
                self.known[at] = true;
                new.extend(endpoint);
            }
        }
        if new.is_empty() {
            return;
        }
        let mut roster = self.notes.0.lock().unwrap_or_else(PoisonError::into_inner);
        for endpoint in new {
            roster.note(endpoint);
        }
    }
}

impl Roster {
    fn note(&mut self, endpoint: &Endpoint) {
        let Some(workload) = workload_of(endpoint) else {
            return;
        };
        let Peer::Workload {
            cluster,
            namespace,
            name,
            ..
        } = &workload
        else {
            return;
        };
        let labels = labels_of(endpoint);
        // A pod without a name is known by its workload.
        let pod = if endpoint.pod.is_empty() {
            format!("/{name}").into()
        } else {
            endpoint.pod.clone()
        };
        let key = (cluster.clone(), namespace.clone(), pod);
        if self.pods.len() >= MOST_PODS && !self.pods.contains_key(&key) {
            self.beyond = true;
            return;
        }
        let told = !endpoint.workloads.is_empty();
        let pod = self.pods.entry(key).or_insert_with(|| Pod {
            workload: workload.clone(),
            told,
            sets: BTreeSet::new(),
            identities: BTreeSet::new(),
        });
        if told && !pod.told {
            (pod.workload, pod.told) = (workload, true);
        }
        if labels.is_empty() {
            return;
        }
        if pod.sets.len() < MOST_SETS {
            pod.sets.insert(labels);
        }
        if pod.identities.len() < MOST_SETS
            && let Party::Known { mut identity, .. } =
                Party::of(Some(endpoint), "", std::iter::empty())
        {
            identity.labels.sort();
            pod.identities.insert(identity.labels);
        }
    }
}

impl Directory {
    /// A workload.
    #[must_use]
    pub fn get(&self, key: &WorkloadKey) -> Option<&Member> {
        self.workloads.get(key)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&WorkloadKey, &Member)> {
        self.workloads.iter()
    }

    /// Those of one namespace.
    pub fn of_namespace<'a>(
        &'a self,
        cluster: &'a Arc<str>,
        namespace: &'a Arc<str>,
    ) -> impl Iterator<Item = (&'a WorkloadKey, &'a Member)> {
        let from = (cluster.clone(), namespace.clone(), Arc::from(""));
        self.workloads
            .range(from..)
            .take_while(move |((of, within, _), _)| of == cluster && within == namespace)
    }

    #[cfg(test)]
    pub(in crate::review) fn with(list: &[Listed<'_>]) -> Self {
        let mut directory = Self::default();
        for (namespace, name, labels) in list {
            let key = ("c".into(), (*namespace).into(), (*name).into());
            let member = directory.workloads.entry(key).or_default();
            let pairs = labels.iter();
            let mut labels: Labels = pairs
                .map(|(key, value)| (Arc::from(*key), Arc::from(*value)))
                .collect();
            labels.sort();
            member.sets.insert(labels, 1);
        }
        directory
    }
}

impl Member {
    /// Its pods as policies know them.
    pub fn indices(&self, cluster: &ClusterPolicies) -> impl Iterator<Item = IdentityIndex> {
        self.identities.iter().map(|labels| {
            let identity = Identity {
                number: UNNUMBERED,
                labels: labels.clone(),
                ..Identity::default()
            };
            cluster.index(identity, false)
        })
    }

    fn identity(&mut self, labels: Vec<IdentityLabel>) {
        if self.identities.len() < MOST_SETS {
            self.identities.insert(labels);
        }
    }

    fn take(&mut self, workload: &Peer, sets: impl Iterator<Item = Labels>) {
        if let Peer::Workload { kind, .. } = workload
            && self.kind.is_empty()
        {
            self.kind = kind.clone();
        }
        for set in sets {
            if !set.is_empty() && (self.sets.len() < MOST_SETS || self.sets.contains_key(&set)) {
                *self.sets.entry(set).or_default() += 1;
            }
        }
    }
}

/// What names a workload; `None` for other peers, and for one whose name is not known.
#[must_use]
pub fn key_of(peer: &Peer) -> Option<WorkloadKey> {
    match peer {
        Peer::Workload {
            cluster,
            namespace,
            name,
            ..
        } if !name.is_empty() && !namespace.is_empty() => {
            Some((cluster.clone(), namespace.clone(), name.clone()))
        }
        _ => None,
    }
}

/// Labels of a pod that Kubernetes gave it.
fn labels_of(endpoint: &Endpoint) -> Labels {
    let labels = endpoint.labels.iter().map(|text| Label::parse(text));
    let mut labels: Labels = labels
        .filter(|label| label.source == "k8s" && !is_clusters(label.key))
        .map(|label| (Arc::from(label.key), Arc::from(label.value)))
        .collect();
    labels.sort();
    labels.dedup();
    labels
}

/// What the agent adds to the labels of a pod.
fn is_clusters(key: &str) -> bool {
    key.starts_with("io.cilium.") || key.starts_with("io.kubernetes.pod.")
}
