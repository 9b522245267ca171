//! What documents say about a cluster.
//!
//! Owns collecting it: namespaces and their labels, pods and the templates of workloads,
//! Services and their backends, nodes, numbers of identities. Kinds it does not know are
//! none of its business.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::pod::{self, PodSpec};
use super::{CidrGroup, Identity, Label, Service, UNNUMBERED};
use crate::manifest::{Node, Value};

type Labels = Vec<(Arc<str>, Arc<str>)>;
type Name = (Arc<str>, Arc<str>);

/// Namespaces' labels in the identity of their pods.
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNode {
    /// Name.
    pub name: Arc<str>,
    /// Labels.
    pub labels: Labels,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

/// Pods that are alike: one pod, or the template of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Kind of the object, `Pod` for a pod of its own.
    pub kind: Arc<str>,
    /// Namespace; `None` where the document does not say.
    pub namespace: Option<Arc<str>>,
    /// Name of the object.
    pub name: Arc<str>,
    /// What its pods are.
    pub spec: PodSpec,
}

/// What is known of a cluster from documents.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Labels of each namespace that was given.
    pub namespaces: BTreeMap<Arc<str>, Labels>,
    /// Pods and templates.
    pub workloads: Vec<Workload>,
    /// Nodes.
    pub nodes: Vec<ClusterNode>,
    /// CIDR groups.
    pub cidr_groups: Vec<CidrGroup>,
    /// `data` of a `cilium-config` ConfigMap.
    pub cilium_config: Vec<(Arc<str>, Arc<str>)>,
    services: BTreeMap<Name, Service>,
    /// Backends of a Service, which may come before or without it.
    backends: BTreeMap<Name, Vec<IpAddr>>,
}

impl Inventory {
    /// Takes an object; whether it is of a kind that says something about the cluster.
    ///
    /// `namespace` is the one the object is in, where that is known.
    pub fn add(&mut self, object: &Node, namespace: Option<&str>) -> bool {
        let kind = text(object, &["kind"]).unwrap_or_default();
        let name: Arc<str> = text(object, &["metadata", "name"])
            .unwrap_or_default()
            .into();
        let namespace: Option<Arc<str>> = namespace.map(Arc::from);
        match kind {
            "Namespace" => {
                let mut labels = pairs(object, &["metadata", "labels"]);
                if !labels
                    .iter()
                    .any(|(key, _)| &**key == "kubernetes.io/metadata.name")
                {
                    labels.push(("kubernetes.io/metadata.name".into(), name.clone()));
                }
                self.namespaces.insert(name, labels);
            }
            "Service" => {
                let service = Service {
                    namespace: namespace.unwrap_or_default(),
                    labels: pairs(object, &["metadata", "labels"]),
                    selector: pairs(object, &["spec", "selector"]),
                    endpoints: Vec::new(),
                    name,
                };
                self.services
                    .insert((service.namespace.clone(), service.name.clone()), service);
            }
            "Endpoints" | "EndpointSlice" => {
                self.add_backends(object, kind, namespace.unwrap_or_default(), name);
            }
            "Node" => self.nodes.push(ClusterNode {
                name,
                labels: pairs(object, &["metadata", "labels"]),
                addresses: list(object, &["status", "addresses"])
                    .iter()
                    .filter_map(|entry| text(entry, &["address"])?.parse().ok())
                    .collect(),
            }),
            "ConfigMap" if &*name == "cilium-config" => {
                self.cilium_config = pairs(object, &["data"]);
            }
            _ => {
                let Some(spec) = pod::of_object(kind, object) else {
                    return false;
                };
                self.workloads.push(Workload {
                    kind: kind.into(),
                    namespace,
                    name,
                    spec,
                });
            }
        }
        true
    }

    /// Services with their backends.
    #[must_use]
    pub fn services(&self) -> Vec<Service> {
        self.services
            .iter()
            .map(|(name, service)| Service {
                endpoints: self.backends.get(name).cloned().unwrap_or_default(),
                ..service.clone()
            })
            .collect()
    }

    /// The identity a workload's pods get in a cluster; `None` where its namespace is not
    /// known, or its pods are on the node's network and so have none.
    #[must_use]
    pub fn identity(&self, workload: &Workload, cluster: &str) -> Option<Identity> {
        let namespace = workload.namespace.as_ref()?;
        if workload.spec.host_network {
            return None;
        }
        let mut labels: Vec<Label> = workload
            .spec
            .labels
            .iter()
            .filter(|(key, _)| super::identity_relevant(key))
            .map(|(key, value)| Label::new("k8s", key, value))
            .collect();
        let of_namespace = self.namespaces.get(namespace).into_iter().flatten();
        labels.extend(
            of_namespace
                .map(|(key, value)| Label::new("k8s", &format!("{NAMESPACE_LABELS}{key}"), value)),
        );
        if !self.namespaces.contains_key(namespace) {
            // Every namespace has it.
            let key = format!("{NAMESPACE_LABELS}kubernetes.io/metadata.name");
            labels.push(Label::new("k8s", &key, namespace));
        }
        labels.push(Label::new("k8s", "io.kubernetes.pod.namespace", namespace));
        labels.push(Label::new("k8s", "io.cilium.k8s.policy.cluster", cluster));
        labels.push(Label::new(
            "k8s",
            "io.cilium.k8s.policy.serviceaccount",
            &workload.spec.service_account,
        ));
        labels.sort();
        Some(Identity {
            number: UNNUMBERED,
            labels,
            named_ports: workload.spec.named_ports.clone(),
            ..Identity::default()
        })
    }

    fn add_backends(&mut self, object: &Node, kind: &str, namespace: Arc<str>, name: Arc<str>) {
        let of = if kind == "Endpoints" {
            name
        } else {
            let label = pairs(object, &["metadata", "labels"])
                .into_iter()
                .find(|(key, _)| &**key == "kubernetes.io/service-name");
            match label {
                Some((_, service)) => service,
                None => return,
            }
        };
        let addresses: Vec<IpAddr> = if kind == "Endpoints" {
            list(object, &["subsets"])
                .iter()
                .flat_map(|subset| list(subset, &["addresses"]))
                .filter_map(|entry| text(entry, &["ip"])?.parse().ok())
                .collect()
        } else {
            list(object, &["endpoints"])
                .iter()
                .flat_map(|entry| list(entry, &["addresses"]))
                .filter_map(|address| address.as_str()?.parse().ok())
                .collect()
        };
        let backends = self.backends.entry((namespace, of)).or_default();
        backends.extend(addresses);
        backends.sort_unstable();
        backends.dedup();
    }
}

/// The value at a path of keys.
pub(super) fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

/// The text at a path.
pub(super) fn text<'a>(node: &'a Node, path: &[&str]) -> Option<&'a str> {
    at(node, path)?.as_str()
}

/// The list at a path; empty where there is none.
pub(super) fn list<'a>(node: &'a Node, path: &[&str]) -> &'a [Node] {
    at(node, path).and_then(Node::as_list).unwrap_or_default()
}

/// The texts of a mapping at a path; what is no text is left out.
pub(super) fn pairs(node: &Node, path: &[&str]) -> Labels {
    let Some(map) = at(node, path).and_then(Node::as_map) else {
        return Vec::new();
    };
    map.entries
        .iter()
        .filter_map(|(key, node)| match &node.value {
            Value::String(value) => Some((Arc::from(&*key.name), Arc::from(&**value))),
            _ => None,
        })
        .collect()
}
