//! What flows say about the pods there are.
//!
//! Owns collecting it, within bounds: which pods were seen, how many flows opened or
//! carried connections in each direction, with how many peers that no rule names, and how
//! many packets were seen encrypted. Knows no workloads: a pod's owner may be told by a
//! flow that comes later.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use crate::engine::{Judgement, Party, PartyKind, cluster};
use crate::flow::{Endpoint, EndpointId, EventType, RowRef, StrId, flags};
use crate::inventory::{Identity, Label};
use crate::policy::{Cause, Direction, Verdict};

/// Pods that are told apart; further ones are left out, and that is said.
const MOST_PODS: usize = 1 << 17;
/// Peers that are told apart, of one pod in one direction.
const MOST_PEERS: usize = 1 << 10;
/// Endpoints remembered; beyond that they are forgotten together.
const MOST_ENDPOINTS: usize = 1 << 17;

/// What was seen. One a thread; [`Traffic::merge`] puts them together.
#[derive(Debug, Default)]
pub struct Traffic {
    pub(super) pods: Vec<Pod>,
    index: HashMap<PodKey, u32, RandomState>,
    /// An endpoint as the observing node's flows have it.
    endpoints: HashMap<(EndpointId, StrId), Option<u32>, RandomState>,
    epoch: Option<u64>,
    flows: u64,
    more_pods: bool,
}

/// What makes a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PodKey {
    /// `None` where flows do not say.
    pub(super) cluster: Option<Arc<str>>,
    pub(super) namespace: Arc<str>,
    /// Empty where flows do not say.
    pub(super) pod: Arc<str>,
    /// Sorted. Empty where they were not recorded.
    pub(super) labels: Vec<Label>,
}

/// A pod and what it did.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) key: PodKey,
    pub(super) number: u32,
    /// Kind and name of its owner, where a flow said it.
    pub(super) owner: Option<(Arc<str>, Arc<str>)>,
    pub(super) ingress: Stream,
    pub(super) egress: Stream,
    pub(super) packets: u64,
    pub(super) encrypted: u64,
}

/// One direction of a pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) flows: u64,
    /// Peers of connections that passed without a rule that names them.
    pub(super) peers: HashSet<Peer, RandomState>,
    pub(super) more_peers: bool,
    /// Hubble named a policy that was not given.
    pub(super) not_loaded: bool,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    Pod(u32),
    /// An entity, a DNS name, an address.
    Other(Arc<str>),
}

impl Traffic {
    /// Takes a flow and what was judged of it.
    pub fn observe(&mut self, row: RowRef<'_>, judgement: &Judgement) {
        let epoch = row.dictionaries().epoch();
        if self.epoch != Some(epoch) || self.endpoints.len() >= MOST_ENDPOINTS {
            self.epoch = Some(epoch);
            self.endpoints.clear();
        }
        let weight = u64::from(row.weight());
        self.flows += weight;
        let source = self.pod(row, row.source(), row.source_endpoint());
        let destination = self.pod(row, row.destination(), row.destination_endpoint());
        if EventType(row.event_type()) == EventType::TRACE {
            let encrypted = row.has(flags::ENCRYPTED);
            for index in [source, destination].into_iter().flatten() {
                if let Some(pod) = self.pods.get_mut(index as usize) {
                    pod.packets += weight;
                    pod.encrypted += if encrypted { weight } else { 0 };
                }
            }
        }
        let Some(direction) = judgement.event.direction() else {
            return;
        };
        let (subject, peer) = match direction {
            Direction::Ingress => (destination, source),
            Direction::Egress => (source, destination),
        };
        let Some(pod) = subject.and_then(|index| self.pods.get_mut(index as usize)) else {
            return;
        };
        let stream = match direction {
            Direction::Ingress => &mut pod.ingress,
            Direction::Egress => &mut pod.egress,
        };
        stream.flows += weight;
        stream.not_loaded |= judgement
            .computed
            .as_ref()
            .is_some_and(|computed| computed.verdict == Verdict::Unknown(Cause::PolicyNotLoaded));
        if judgement.gap.is_some() {
            let peer = match peer {
                Some(index) => Peer::Pod(index),
                None => other(row, direction),
            };
            stream.peer(peer);
        }
    }

    /// Adds what another thread saw.
    pub fn merge(&mut self, other: Self) {
        self.flows += other.flows;
        self.more_pods |= other.more_pods;
        // Where each pod of the other one is here.
        let places: Vec<Option<u32>> = other
            .pods
            .iter()
            .map(|pod| self.place(&pod.key, pod.number))
            .collect();
        for (pod, place) in other.pods.into_iter().zip(&places) {
            let Some(own) = place.and_then(|place| self.pods.get_mut(place as usize)) else {
                continue;
            };
            own.owner = own.owner.take().or(pod.owner);
            own.packets += pod.packets;
            own.encrypted += pod.encrypted;
            for (own, stream) in [
                (&mut own.ingress, pod.ingress),
                (&mut own.egress, pod.egress),
            ] {
                own.flows += stream.flows;
                own.not_loaded |= stream.not_loaded;
                own.more_peers |= stream.more_peers;
                for peer in stream.peers {
                    match peer {
                        Peer::Pod(index) => match places.get(index as usize).copied().flatten() {
                            Some(place) => own.peer(Peer::Pod(place)),
                            None => own.more_peers = true,
                        },
                        peer @ Peer::Other(_) => own.peer(peer),
                    }
                }
            }
        }
    }

    /// Flows seen.
    #[must_use]
    pub fn flows(&self) -> u64 {
        self.flows
    }

    /// Whether there were more pods than are told apart.
    #[must_use]
    pub fn more_pods(&self) -> bool {
        self.more_pods
    }

    /// The pod an endpoint is, if it is one.
    fn pod(&mut self, row: RowRef<'_>, id: EndpointId, endpoint: Option<&Endpoint>) -> Option<u32> {
        let endpoint = endpoint?;
        if let Some(known) = self.endpoints.get(&(id, row.node())) {
            return *known;
        }
        let known =
            key(endpoint, row.str(row.node())).and_then(|key| self.place(&key, endpoint.identity));
        if let Some(pod) = known.and_then(|index| self.pods.get_mut(index as usize))
            && let Some(workload) = endpoint.workloads.first()
        {
            pod.owner
                .get_or_insert_with(|| (workload.kind.clone(), workload.name.clone()));
        }
        self.endpoints.insert((id, row.node()), known);
        known
    }

    fn place(&mut self, key: &PodKey, number: u32) -> Option<u32> {
        if let Some(index) = self.index.get(key) {
            return Some(*index);
        }
        if self.pods.len() >= MOST_PODS {
            self.more_pods = true;
            return None;
        }
        let index = self.pods.len() as u32;
        self.index.insert(key.clone(), index);
        self.pods.push(Pod {
            key: key.clone(),
            number,
            owner: None,
            ingress: Stream::default(),
            egress: Stream::default(),
            packets: 0,
            encrypted: 0,
        });
        Some(index)
    }
}

impl Stream {
    fn peer(&mut self, peer: Peer) {
        if self.peers.len() < MOST_PEERS {
            self.peers.insert(peer);
        } else if !self.peers.contains(&peer) {
            self.more_peers = true;
        }
    }
}

impl Pod {
    /// Its identity; `None` where its labels were not recorded.
    pub(super) fn identity(&self) -> Option<Identity> {
        (!self.key.labels.is_empty()).then(|| Identity {
            number: self.number,
            labels: self.key.labels.clone(),
            ..Identity::default()
        })
    }

    /// The labels its manifest gave it, as key and value.
    pub(super) fn own_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.key
            .labels
            .iter()
            .filter(|label| &*label.source == "k8s" && is_own(&label.key))
            .map(|label| (&*label.key, &*label.value))
    }
}

/// Whether a label of an identity is the pod's, and not what Cilium adds.
fn is_own(key: &str) -> bool {
    !key.starts_with("io.cilium.k8s.") && key != "io.kubernetes.pod.namespace"
}

/// What makes an endpoint a pod, if it is one.
fn key(endpoint: &Endpoint, node: &str) -> Option<PodKey> {
    // Only what is outside is told by its address.
    let labels = match Party::of(Some(endpoint), "", std::iter::empty()) {
        Party::Known {
            identity,
            kind: PartyKind::Pod,
        } => {
            let mut labels = identity.labels;
            labels.sort();
            labels
        }
        Party::Unknown if !endpoint.pod.is_empty() => Vec::new(),
        _ => return None,
    };
    let by_label = || {
        labels
            .iter()
            .find(|label| &*label.key == "io.kubernetes.pod.namespace")
            .map(|label| label.value.clone())
    };
    let namespace = Some(endpoint.namespace.clone())
        .filter(|name| !name.is_empty())
        .or_else(by_label)
        .unwrap_or_default();
    Some(PodKey {
        cluster: cluster(Some(endpoint), node).map(Arc::from),
        namespace,
        pod: endpoint.pod.clone(),
        labels,
    })
}

/// A peer that is no pod.
fn other(row: RowRef<'_>, direction: Direction) -> Peer {
    let (endpoint, address, names) = match direction {
        Direction::Ingress => (row.source_endpoint(), row.source_ip(), row.source_names()),
        Direction::Egress => (
            row.destination_endpoint(),
            row.destination_ip(),
            row.destination_names(),
        ),
    };
    let address = row.str(address);
    let name = match Party::of(endpoint, address, std::iter::empty()) {
        Party::Known {
            identity,
            kind: PartyKind::Node | PartyKind::Reserved,
        } => identity
            .labels
            .iter()
            .find(|label| &*label.source == "reserved")
            .map(|label| label.key.clone()),
        _ => row.dictionaries().list(names).next().map(Arc::from),
    };
    Peer::Other(name.unwrap_or_else(|| address.into()))
}
