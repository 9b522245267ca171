//! Who takes part in a proof: whom the plan cuts off, and everybody they could talk to.
//!
//! Owns choosing them, one of each kind that policies see, and what of each changes with the
//! plan: a label more. Who there could be beside the known ones is `possible`'s.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::Scene;
use crate::connection::{Peer, RESERVED_ENDPOINTS};
use crate::inventory::{Identity, Label, NamedPort, UNNUMBERED};
use crate::respond::quarantine::QUARANTINE;
use crate::respond::quarantine::manifest::Destination;
use crate::respond::quarantine::plan::{Plan, Subjects};
use crate::respond::{KnownPod, Target};

/// Label of a pod's cluster.
pub(super) const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

/// Somebody who takes part.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Somebody {
    /// What a person calls it.
    pub(super) name: String,
    /// What it is to edges, where it is a workload, an entity or an address.
    pub(super) peer: Peer,
    /// As it is before.
    pub(super) before: Identity,
    /// As it is with the plan.
    pub(super) after: Identity,
    /// Whether it is asked about as an address outside.
    pub(super) outside: bool,
}

/// Everybody who takes part.
#[derive(Clone, Debug, Default)]
pub(super) struct Cast {
    /// Whom the plan cuts off.
    pub(super) subjects: Vec<Somebody>,
    /// Everybody who is known, the subjects too.
    pub(super) peers: Vec<Somebody>,
    /// The cluster's name.
    pub(super) cluster: Arc<str>,
}

impl Cast {
    pub(super) fn new(plan: &Plan, scene: &Scene<'_>) -> Self {
        let cluster = scene
            .policies
            .options_of(scene.known.cluster())
            .cluster_name;
        let mut cast = Self {
            subjects: Vec::new(),
            peers: Vec::new(),
            cluster,
        };
        let is_subject = |pod: &KnownPod| match plan.subjects {
            Subjects::Everybody => true,
            Subjects::Node => false,
            _ => pod.is_meant(&plan.target) || has_own_labels(pod, plan),
        };
        // Flows do not say what a pod calls its ports; its documents do.
        let ports: BTreeMap<(&Arc<str>, &Arc<str>), &Vec<NamedPort>> = scene
            .known
            .pods()
            .filter(|pod| !pod.identity.named_ports.is_empty())
            .map(|pod| ((&pod.namespace, &pod.workload), &pod.identity.named_ports))
            .collect();
        let mut pods: BTreeMap<(Vec<Label>, bool), Somebody> = BTreeMap::new();
        for pod in scene.known.pods() {
            if pod.host_network || pod.unmanaged || pod.identity.labels.is_empty() {
                continue;
            }
            // What enforces policy for a pod of another cluster is that cluster.
            let is_subject = is_subject(pod) && !is_elsewhere(pod, &cast.cluster);
            let before = pod.identity.clone();
            let after = if is_subject {
                with_label(&before, plan)
            } else {
                before.clone()
            };
            let key = (before.labels.clone(), is_subject);
            let somebody = pods.entry(key).or_insert_with(|| Somebody {
                // Its replicas are not the target and stay what they are.
                name: if is_subject && matches!(plan.target, Target::Pod { .. }) {
                    pod.name()
                } else {
                    pod.workload_name()
                },
                peer: Peer::Workload {
                    cluster: "".into(),
                    namespace: pod.namespace.clone(),
                    kind: pod.kind.clone(),
                    name: pod.workload.clone(),
                },
                before,
                after,
                outside: false,
            });
            if somebody.before.named_ports.is_empty()
                && let Some(ports) = ports.get(&(&pod.namespace, &pod.workload))
            {
                somebody.before.named_ports.clone_from(ports);
                somebody.after.named_ports.clone_from(ports);
            }
        }
        for ((_, is_subject), somebody) in pods {
            if is_subject {
                cast.subjects.push(somebody.clone());
            }
            cast.peers.push(somebody);
        }
        if plan.subjects == Subjects::Node {
            cast.subjects.push(host(plan));
        }
        cast.add_reserved(scene);
        cast.add_outside(plan, scene);
        cast.tell_apart();
        cast
    }

    pub(super) fn subject_names(&self) -> Vec<String> {
        self.subjects.iter().map(|one| one.name.clone()).collect()
    }

    fn add_reserved(&mut self, scene: &Scene<'_>) {
        let node = |number, names: &[&str], cluster: bool| {
            let mut labels: Vec<Label> = names
                .iter()
                .map(|name| Label::new("reserved", name, ""))
                .collect();
            if cluster {
                labels.push(Label::new("k8s", CLUSTER, &self.cluster));
            }
            labels.sort();
            Identity {
                number,
                labels,
                ..Identity::default()
            }
        };
        let mut reserved = vec![
            ("host", node(1, &["host"], false)),
            ("unmanaged", node(3, &["unmanaged"], false)),
            ("health", node(4, &["health"], false)),
            ("init", node(5, &["init"], false)),
            ("remote-node", node(6, &["remote-node"], false)),
            ("remote-node", node(UNNUMBERED, &["remote-node"], true)),
            (
                "kube-apiserver",
                node(7, &["kube-apiserver", "remote-node"], false),
            ),
            ("ingress", node(8, &["ingress"], false)),
        ];
        for identity in scene.known.others() {
            let has = |name: &str| {
                identity
                    .labels
                    .iter()
                    .any(|label| &*label.source == "reserved" && &*label.key == name)
            };
            let name = RESERVED_ENDPOINTS.into_iter().find(|name| has(name));
            if let Some(name) = name {
                reserved.push((name, identity.clone()));
            }
        }
        for (name, mut identity) in reserved {
            // Where it is matters only to prefixes that select nodes.
            if !scene.policies.options().cidr_match_nodes {
                identity.address = None;
            }
            identity.labels.sort();
            let is_known = self.peers.iter().any(|known| {
                known.before.labels == identity.labels && known.before.address == identity.address
            });
            if is_known {
                continue;
            }
            self.peers.push(Somebody {
                name: name.to_owned(),
                peer: Peer::Entity(name.into()),
                before: identity.clone(),
                after: identity,
                outside: false,
            });
        }
    }

    /// Addresses of flows and of the destination, and an API server outside.
    fn add_outside(&mut self, plan: &Plan, scene: &Scene<'_>) {
        let mut outside: BTreeMap<(IpAddr, Option<Arc<str>>, bool), Peer> = BTreeMap::new();
        for edge in scene.edges {
            let (name, api) = match &edge.peer {
                Peer::Name(name) => (Some(name.clone()), false),
                Peer::Prefix(_) => (None, false),
                Peer::Entity(entity) if &**entity == "world" => (None, false),
                Peer::Entity(entity) if &**entity == "kube-apiserver" => (None, true),
                _ => continue,
            };
            for address in &edge.addresses {
                outside
                    .entry((*address, name.clone(), api))
                    .or_insert_with(|| edge.peer.clone());
            }
        }
        if let Some(Destination::Outside { name, prefixes }) = &plan.destination {
            for prefix in prefixes {
                let peer = match name {
                    Some(name) => Peer::Name(name.clone()),
                    None => Peer::Prefix(*prefix),
                };
                for name in [None, name.clone()] {
                    outside
                        .entry((prefix.network(), name, false))
                        .or_insert_with(|| peer.clone());
                }
            }
        }
        let documentation = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        outside
            .entry((documentation, None, true))
            .or_insert_with(|| Peer::Entity("kube-apiserver".into()));
        for ((address, name, api), peer) in outside {
            self.peers.push(self::outside(address, name, api, peer));
        }
    }

    /// Those of one name are told apart by what their labels do not share.
    fn tell_apart(&mut self) {
        for list in [&mut self.subjects, &mut self.peers] {
            let mut seen: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (at, one) in list.iter().enumerate() {
                seen.entry(one.name.clone()).or_default().push(at);
            }
            for places in seen.into_values().filter(|places| places.len() > 1) {
                let sets: Vec<Vec<Label>> = places
                    .iter()
                    .map(|at| list[*at].before.labels.clone())
                    .collect();
                for (at, labels) in places.into_iter().zip(&sets) {
                    let own: Vec<String> = labels
                        .iter()
                        .filter(|label| !sets.iter().all(|other| other.contains(label)))
                        .map(|label| format!("{}={}", label.key, label.value))
                        .collect();
                    let address = list[at].before.address;
                    let mut told = own;
                    told.extend(address.map(|address| address.to_string()));
                    if !told.is_empty() {
                        list[at].name = format!("{} ({})", list[at].name, told.join(","));
                    }
                }
            }
        }
    }
}

impl Somebody {
    /// The value of one of its own labels, with the plan.
    pub(super) fn label(&self, key: &str) -> Option<Arc<str>> {
        label(&self.after, key)
    }

    /// Whether it has a reserved label.
    pub(super) fn is_reserved(&self, name: &str) -> bool {
        self.after
            .labels
            .iter()
            .any(|label| &*label.source == "reserved" && &*label.key == name)
    }

    /// The namespace of a pod.
    pub(super) fn namespace(&self) -> Option<Arc<str>> {
        self.label("io.kubernetes.pod.namespace")
    }
}

/// An address outside, with the name that flows show of it; `api` says that the API server is
/// there.
pub(super) fn outside(address: IpAddr, name: Option<Arc<str>>, api: bool, peer: Peer) -> Somebody {
    let mut labels = Vec::new();
    if api {
        labels.push(Label::new("reserved", "kube-apiserver", ""));
    }
    let shown = match (&name, api) {
        (Some(name), _) => format!("{name} ({address})"),
        (None, true) => format!("kube-apiserver outside ({address})"),
        (None, false) => address.to_string(),
    };
    let identity = Identity {
        number: UNNUMBERED,
        labels,
        address: Some(address),
        names: name.into_iter().collect(),
        names_complete: true,
        ..Identity::default()
    };
    Somebody {
        name: shown,
        peer,
        before: identity.clone(),
        after: identity,
        outside: true,
    }
}

/// The value of a label of a pod.
pub(super) fn label(identity: &Identity, key: &str) -> Option<Arc<str>> {
    identity
        .labels
        .iter()
        .find(|label| &*label.source == "k8s" && &*label.key == key)
        .map(|label| label.value.clone())
}

/// Whether a pod is of another cluster of the mesh.
pub(super) fn is_elsewhere(pod: &KnownPod, cluster: &str) -> bool {
    pod.label(CLUSTER).is_some_and(|of| of != cluster)
}

/// Whether the plan's selector by labels of their own selects a pod.
pub(super) fn has_own_labels(pod: &KnownPod, plan: &Plan) -> bool {
    match &plan.subjects {
        Subjects::Own { namespace, labels } => {
            *namespace == pod.namespace
                && labels
                    .iter()
                    .all(|(key, value)| pod.label(key) == Some(&**value))
        }
        Subjects::Labelled { key } => pod.label(key) == Some(&*plan.incident),
        Subjects::Everybody => true,
        Subjects::Node => false,
    }
}

/// An identity with the label that the plan puts on it.
pub(super) fn with_label(identity: &Identity, plan: &Plan) -> Identity {
    let Subjects::Labelled { key } = plan.subjects else {
        return identity.clone();
    };
    let mut identity = identity.clone();
    identity
        .labels
        .retain(|label| !(&*label.source == "k8s" && &*label.key == key));
    identity.labels.push(Label::new("k8s", key, &plan.incident));
    identity.labels.sort();
    // The number is that of other labels.
    identity.number = UNNUMBERED;
    identity
}

/// The host of the target's node.
fn host(plan: &Plan) -> Somebody {
    let identity = |labels: Vec<Label>| Identity {
        number: 1,
        labels: vec![Label::new("reserved", "host", "")],
        subject_labels: Some(labels),
        ..Identity::default()
    };
    let reserved = Label::new("reserved", "host", "");
    Somebody {
        name: plan.target.to_string(),
        peer: Peer::Entity("host".into()),
        before: identity(vec![reserved.clone()]),
        after: identity(vec![
            Label::new("k8s", QUARANTINE, &plan.incident),
            reserved,
        ]),
        outside: false,
    }
}
