//! Which workloads there are, and looking at each.
//!
//! Owns making one workload of what manifests and flows say about it. Flows tell a pod's
//! identity as it is; a manifest tells what it will be, and is asked where no flow has a
//! pod of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::side::{Asked, Look};
use super::traffic::{Peer, Pod, Stream, Traffic};
use super::{Cover, Coverage, Doubt, SideCover, WorkloadCover, WorkloadId};
use crate::engine::{ClusterPolicies, Policies};
use crate::flow::WorkloadName as Name;
use crate::inventory::{Identity, Inventory, identity_relevant};
use crate::policy::{BroadThresholds, Cause, Direction, IdentityIndex, Options};

/// Cluster, namespace and name.
type Key = (Arc<str>, Option<Arc<str>>, Arc<str>);
/// Kind and name of workloads by namespace and pod.
type Owners<'a> = HashMap<(&'a str, &'a str), &'a (Arc<str>, Arc<str>), RandomState>;
/// Key and value of labels, sorted.
type Labels = Vec<(Arc<str>, Arc<str>)>;

/// A workload as it is put together.
#[derive(Default)]
struct Draft {
    kind: Arc<str>,
    in_documents: bool,
    /// Identities by manifests; `None` where the namespace is not known.
    planned: Vec<Option<Identity>>,
    /// Its namespace was not given, so that labels of it may be missing.
    namespace_guessed: bool,
    /// Pods seen, by index.
    pods: Vec<u32>,
}

/// A cluster and its policies.
struct Cluster {
    policies: Arc<ClusterPolicies>,
    options: Options,
}

pub(super) fn coverage(policies: &Policies, traffic: Option<&Traffic>) -> Coverage {
    let pods = traffic.map_or(&[][..], |traffic| &traffic.pods);
    let own = own_cluster(policies, pods);
    let mut drafts: BTreeMap<Key, Draft> = BTreeMap::new();
    let mut coverage = Coverage {
        flows: traffic.map(Traffic::flows),
        more_pods: traffic.is_some_and(Traffic::more_pods),
        policies: enforced(policies, &own),
        ..Coverage::default()
    };
    documents(policies.inventory(), &own, &mut drafts, &mut coverage);
    // Which workload each pod is of, by index.
    let keys = place(policies.inventory(), &own, pods, &mut drafts);
    let mut clusters: BTreeMap<Arc<str>, Cluster> = BTreeMap::new();
    for (key, draft) in drafts {
        let cluster = clusters
            .entry(key.0.clone())
            .or_insert_with(|| Cluster::of(policies, &key.0));
        let strict = policies.strict();
        coverage
            .workloads
            .push(cluster.workload(key, &draft, pods, &keys, strict));
    }
    coverage
}

/// The cluster that manifests are of: the one of all flows, else the options'.
fn own_cluster(policies: &Policies, pods: &[Pod]) -> Arc<str> {
    let seen: BTreeSet<&Arc<str>> = pods
        .iter()
        .filter_map(|pod| pod.key.cluster.as_ref())
        .collect();
    let only = seen.first().filter(|_| seen.len() == 1);
    policies.options_of(only.map(|name| &***name)).cluster_name
}

fn enforced(policies: &Policies, cluster: &str) -> usize {
    let set = policies.set(Some(cluster));
    set.objects
        .iter()
        .filter(|object| object.rejection.is_none())
        .count()
}

/// Workloads that manifests have.
fn documents(
    inventory: &Inventory,
    own: &Arc<str>,
    drafts: &mut BTreeMap<Key, Draft>,
    coverage: &mut Coverage,
) {
    let mut host_network = BTreeSet::new();
    for workload in &inventory.workloads {
        let name = Name::of_object(&workload.kind, &workload.name, &workload.spec.labels);
        let namespace = workload.namespace.clone();
        if workload.spec.host_network {
            host_network.insert(WorkloadId {
                cluster: own.clone(),
                namespace,
                name: name.name,
                kind: name.kind,
            });
            continue;
        }
        let guessed = namespace
            .as_ref()
            .is_some_and(|name| !inventory.namespaces.contains_key(name));
        let draft = drafts
            .entry((own.clone(), namespace, name.name))
            .or_default();
        if draft.kind.is_empty() {
            draft.kind = name.kind;
        }
        draft.in_documents = true;
        draft.namespace_guessed |= guessed;
        let identity = inventory.identity(workload, own);
        if !draft.planned.contains(&identity) {
            draft.planned.push(identity);
        }
    }
    coverage.host_network = host_network.into_iter().collect();
}

/// Puts the pods of flows to their workloads: by the owner a flow says, for this pod or
/// another one that is alike, then by the manifest with the same labels, then by name.
fn place(
    inventory: &Inventory,
    own: &Arc<str>,
    pods: &[Pod],
    drafts: &mut BTreeMap<Key, Draft>,
) -> Vec<Key> {
    let by_labels = manifests(inventory);
    let mut owners = Owners::default();
    for pod in pods {
        if let Some(owner) = &pod.owner
            && !pod.key.pod.is_empty()
        {
            owners.insert((&pod.key.namespace, &pod.key.pod), owner);
        }
    }
    let mut keys = Vec::with_capacity(pods.len());
    for (index, pod) in pods.iter().enumerate() {
        let known = pod
            .owner
            .as_ref()
            .or_else(|| owners.get(&(&*pod.key.namespace, &*pod.key.pod)).copied());
        let labels = || sorted(pod.own_labels());
        let name = match known {
            Some((kind, name)) => Name::new(kind, name),
            None => by_labels
                .get(&(pod.key.namespace.clone(), labels()))
                .cloned()
                .flatten()
                .unwrap_or_else(|| Name::of_pod(&pod.key.pod, pod.own_labels())),
        };
        let cluster = pod.key.cluster.clone().unwrap_or_else(|| own.clone());
        let namespace = Some(pod.key.namespace.clone()).filter(|name| !name.is_empty());
        let key = (cluster, namespace, name.name);
        let draft = drafts.entry(key.clone()).or_default();
        if draft.kind.is_empty() {
            draft.kind = name.kind;
        }
        draft.pods.push(index as u32);
        keys.push(key);
    }
    keys
}

/// Names of workloads by namespace and the labels that pods have in their identity; `None`
/// where several have the same.
fn manifests(inventory: &Inventory) -> HashMap<(Arc<str>, Labels), Option<Name>, RandomState> {
    let mut names: HashMap<(Arc<str>, Labels), Option<Name>, RandomState> = HashMap::default();
    for workload in &inventory.workloads {
        let Some(namespace) = workload.namespace.clone() else {
            continue;
        };
        if workload.spec.host_network {
            continue;
        }
        let labels = workload
            .spec
            .labels
            .iter()
            .filter(|(key, _)| identity_relevant(key))
            .map(|(key, value)| (&**key, &**value));
        let name = Name::of_object(&workload.kind, &workload.name, &workload.spec.labels);
        names
            .entry((namespace, sorted(labels)))
            .and_modify(|known| {
                if known.as_ref() != Some(&name) {
                    *known = None;
                }
            })
            .or_insert(Some(name));
    }
    names
}

fn sorted<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Labels {
    let mut labels: Labels = labels
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    labels.sort();
    labels
}

impl Cluster {
    fn of(policies: &Policies, name: &str) -> Self {
        Self {
            policies: policies.cluster(Some(name)),
            options: policies.options_of(Some(name)),
        }
    }

    fn workload(
        &self,
        (cluster, namespace, name): Key,
        draft: &Draft,
        pods: &[Pod],
        keys: &[Key],
        strict: bool,
    ) -> WorkloadCover {
        let seen: Vec<&Pod> = draft
            .pods
            .iter()
            .filter_map(|index| pods.get(*index as usize))
            .collect();
        let ingress = Streams::of(seen.iter().map(|pod| &pod.ingress), keys);
        let egress = Streams::of(seen.iter().map(|pod| &pod.egress), keys);
        let identities = self.identities(draft, &seen);
        let compiled = self.policies.read();
        let look = Look {
            compiled: &compiled,
            options: &self.options,
            strict,
            thresholds: BroadThresholds::default(),
        };
        let side = |streams: &Streams, direction| {
            let mut side = identities
                .iter()
                .map(|known| match known {
                    Ok((index, guessed)) => look.side(
                        &Asked {
                            index: *index,
                            namespace: namespace.as_deref(),
                            namespace_guessed: *guessed,
                            not_loaded: streams.not_loaded,
                        },
                        direction,
                    ),
                    Err(cause) => SideCover {
                        cover: Cover::Unknown(Doubt {
                            cause: *cause,
                            place: None,
                        }),
                        ..SideCover::default()
                    },
                })
                .reduce(SideCover::with)
                .unwrap_or_default();
            side.flows = streams.flows;
            side.peers = streams.peers;
            side.more_peers = streams.more_peers;
            side
        };
        let (ingress, egress) = (
            side(&ingress, Direction::Ingress),
            side(&egress, Direction::Egress),
        );
        WorkloadCover {
            dns: egress.layer7.contains("dns"),
            ingress,
            egress,
            in_documents: draft.in_documents,
            in_flows: !seen.is_empty(),
            packets: seen.iter().map(|pod| pod.packets).sum(),
            encrypted: seen.iter().map(|pod| pod.encrypted).sum(),
            id: WorkloadId {
                cluster,
                namespace,
                name,
                kind: draft.kind.clone(),
            },
        }
    }

    /// Who its pods are, and whether their namespace's labels may be missing; or why that
    /// is not known.
    fn identities(
        &self,
        draft: &Draft,
        seen: &[&Pod],
    ) -> Vec<Result<(IdentityIndex, bool), Cause>> {
        let labelled: Vec<Identity> = seen.iter().filter_map(|pod| pod.identity()).collect();
        let mut identities: Vec<Result<(IdentityIndex, bool), Cause>> = Vec::new();
        let mut add = |identity| {
            if !identities.contains(&identity) {
                identities.push(identity);
            }
        };
        if !labelled.is_empty() {
            for identity in labelled {
                add(Ok((self.policies.index(identity, false), false)));
            }
        } else if draft.in_documents {
            for identity in &draft.planned {
                add(match identity {
                    Some(identity) => Ok((
                        self.policies.index(identity.clone(), false),
                        draft.namespace_guessed,
                    )),
                    None => Err(Cause::NamespaceUnknown),
                });
            }
        } else {
            add(Err(Cause::NoLabels));
        }
        identities
    }
}

/// One direction of all pods of a workload.
struct Streams {
    flows: u64,
    peers: u64,
    more_peers: bool,
    not_loaded: bool,
}

impl Streams {
    fn of<'a>(streams: impl Iterator<Item = &'a Stream>, keys: &'a [Key]) -> Self {
        /// A peer as a rule would name it.
        #[derive(PartialEq, Eq, PartialOrd, Ord)]
        enum Named<'a> {
            Workload(&'a Key),
            Other(&'a str),
        }
        let mut sum = Self {
            flows: 0,
            peers: 0,
            more_peers: false,
            not_loaded: false,
        };
        let mut peers = BTreeSet::new();
        for stream in streams {
            sum.flows += stream.flows;
            sum.more_peers |= stream.more_peers;
            sum.not_loaded |= stream.not_loaded;
            peers.extend(stream.peers.iter().filter_map(|peer| match peer {
                Peer::Pod(index) => keys.get(*index as usize).map(Named::Workload),
                Peer::Other(name) => Some(Named::Other(name)),
            }));
        }
        sum.peers = peers.len() as u64;
        sum
    }
}
