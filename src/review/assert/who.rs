//! Whom a declaration names.
//!
//! Owns the terms, who of those that are known they stand for, and which ends of recorded
//! connections.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::connection::{Peer, workload_of};
use crate::engine::{Party, Policies};
use crate::flow::{FlowBatch, WorkloadName};
use crate::inventory::{Identity, Label};

/// Label of a pod's namespace.
pub(in crate::review) const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Entities that are one reserved label.
pub(in crate::review) const ENTITIES: [&str; 7] = [
    "host",
    "remote-node",
    "kube-apiserver",
    "health",
    "ingress",
    "init",
    "unmanaged",
];
/// Pods that are known; what comes after them is not.
const MOST_PEOPLE: usize = 1 << 16;

/// Whom a declaration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// Everybody.
    Anything,
    /// Every pod of the cluster.
    Cluster,
    /// Whatever is outside.
    World,
    /// A reserved endpoint.
    Entity(&'static str),
    /// A workload: the namespace where one is given, and the name.
    Workload(Option<Arc<str>>, Arc<str>),
    /// Every pod of a namespace.
    Namespace(Arc<str>),
    /// Pods of a namespace with labels.
    Labels(Arc<str>, Vec<(Arc<str>, Arc<str>)>),
    /// Addresses outside.
    Prefix(IpNet),
    /// What DNS gives for a name.
    Name(Arc<str>),
}

/// Pods that are known, by documents and by flows.
#[derive(Clone, Debug, Default)]
pub struct People {
    pods: BTreeSet<Known>,
    /// The cluster that flows are of.
    pub(in crate::review) cluster: Option<Arc<str>>,
}

/// A pod that is known: its namespace, its workload's name, its labels.
type Known = (Arc<str>, Arc<str>, Vec<Label>);

impl Term {
    /// Reads a term.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(prefix) = text.parse::<IpNet>() {
            return Ok(Self::Prefix(prefix.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Prefix(address.into()));
        }
        if let Some(entity) = ENTITIES.into_iter().find(|known| *known == text) {
            return Ok(Self::Entity(entity));
        }
        match text {
            "anything" | "anybody" | "everything" | "all" => return Ok(Self::Anything),
            "cluster" => return Ok(Self::Cluster),
            "world" => return Ok(Self::World),
            _ => {}
        }
        let is_name = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        };
        if let Some((namespace, rest)) = text.split_once('/') {
            if !is_name(namespace) {
                return Err(format!("'{text}': '{namespace}' is no namespace"));
            }
            if rest == "*" {
                return Ok(Self::Namespace(namespace.into()));
            }
            if rest.contains('=') {
                let labels: Option<Vec<(Arc<str>, Arc<str>)>> = rest
                    .split(',')
                    .map(|pair| {
                        let (key, value) = pair.trim().split_once('=')?;
                        let key = key.strip_prefix("k8s:").unwrap_or(key);
                        (!key.is_empty()).then(|| (key.into(), value.into()))
                    })
                    .collect();
                return labels
                    .map(|labels| Self::Labels(namespace.into(), labels))
                    .ok_or_else(|| format!("'{text}': expected namespace/key=value,key=value"));
            }
            if is_name(rest) {
                return Ok(Self::Workload(Some(namespace.into()), rest.into()));
            }
        } else if is_name(text) && text.contains('.') {
            return Ok(Self::Name(
                text.trim_end_matches('.').to_ascii_lowercase().into(),
            ));
        } else if is_name(text) {
            return Ok(Self::Workload(None, text.into()));
        }
        Err(format!(
            "'{text}': expected a workload (shop/checkout), a namespace (shop/*), labels (shop/app=web), an address or prefix, a DNS name, world, cluster, anything, or one of {}",
            ENTITIES.join(", ")
        ))
    }

    /// Whether a known pod is meant; `None` for a term that is not about pods.
    pub(in crate::review) fn has(&self, (namespace, name, labels): &Known) -> Option<bool> {
        Some(match self {
            Self::Anything | Self::Cluster => true,
            Self::Workload(of, workload) => {
                workload == name && of.as_ref().is_none_or(|of| of == namespace)
            }
            Self::Namespace(of) => of == namespace,
            Self::Labels(of, wanted) => {
                of == namespace
                    && wanted.iter().all(|(key, value)| {
                        labels
                            .iter()
                            .any(|label| &label.key == key && &label.value == value)
                    })
            }
            Self::World | Self::Entity(_) | Self::Prefix(_) | Self::Name(_) => return None,
        })
    }

    /// Whether an end of a recorded connection is meant; `None` where its name does not
    /// tell.
    pub(in crate::review) fn is(&self, peer: &Peer, address: Option<IpAddr>) -> Option<bool> {
        Some(match (self, peer) {
            (Self::Anything, _) => true,
            (_, Peer::Unknown | Peer::Others) | (Self::Labels(..), Peer::Workload { .. }) => {
                return None;
            }
            (Self::Cluster, peer) => matches!(peer, Peer::Workload { .. }),
            (Self::World, Peer::Entity(entity)) => &**entity == "world",
            (Self::World, peer) => matches!(peer, Peer::Name(_) | Peer::Prefix(_)),
            (Self::Entity(name), Peer::Entity(entity)) => **entity == **name,
            (
                Self::Workload(of, workload),
                Peer::Workload {
                    namespace, name, ..
                },
            ) => workload == name && of.as_ref().is_none_or(|of| of == namespace),
            (Self::Namespace(of), Peer::Workload { namespace, .. }) => of == namespace,
            (Self::Name(name), Peer::Name(other)) => name == other,
            (Self::Prefix(prefix), Peer::Name(_) | Peer::Prefix(_)) => prefix.contains(&address?),
            (Self::Prefix(prefix), Peer::Entity(entity)) if &**entity == "world" => {
                prefix.contains(&address?)
            }
            _ => false,
        })
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anything => f.write_str("anything"),
            Self::Cluster => f.write_str("cluster"),
            Self::World => f.write_str("world"),
            Self::Entity(name) => f.write_str(name),
            Self::Workload(Some(namespace), name) => write!(f, "{namespace}/{name}"),
            Self::Workload(None, name) | Self::Name(name) => f.write_str(name),
            Self::Namespace(namespace) => write!(f, "{namespace}/*"),
            Self::Labels(namespace, labels) => {
                let labels: Vec<String> = labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                write!(f, "{namespace}/{}", labels.join(","))
            }
            Self::Prefix(prefix) => write!(f, "{prefix}"),
        }
    }
}

impl People {
    /// Those of documents.
    #[must_use]
    pub fn of(policies: &Policies, cluster: Option<&str>) -> Self {
        let mut people = Self {
            cluster: cluster.map(Arc::from),
            ..Self::default()
        };
        let options = policies.options_of(cluster);
        let inventory = policies.inventory();
        for workload in &inventory.workloads {
            let Some(identity) = inventory.identity(workload, &options.cluster_name) else {
                continue;
            };
            let name =
                WorkloadName::of_object(&workload.kind, &workload.name, &workload.spec.labels);
            let namespace = workload.namespace.clone().unwrap_or_default();
            people.add((namespace, name.name, identity.labels));
        }
        people
    }

    /// The cluster that flows are of, where they say.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Adds those of a batch of flows.
    pub fn batch(&mut self, batch: &FlowBatch) {
        for row in batch.rows() {
            for endpoint in [row.source_endpoint(), row.destination_endpoint()] {
                let Some(endpoint) = endpoint else { continue };
                let Some(Peer::Workload {
                    namespace, name, ..
                }) = workload_of(endpoint)
                else {
                    continue;
                };
                if self.cluster.is_none() {
                    self.cluster =
                        crate::engine::cluster(Some(endpoint), row.str(row.node())).map(Arc::from);
                }
                if let Party::Known { identity, .. } =
                    Party::of(Some(endpoint), "", std::iter::empty())
                {
                    self.add((namespace, name, identity.labels));
                }
            }
        }
    }

    /// Adds a pod by its namespace, the name of its workload and its labels.
    pub fn know(&mut self, namespace: Arc<str>, workload: Arc<str>, labels: Vec<Label>) {
        self.add((namespace, workload, labels));
    }

    /// Takes in what another thread knows.
    pub fn merge(&mut self, other: Self) {
        self.cluster = self.cluster.take().or(other.cluster);
        for known in other.pods {
            self.add(known);
        }
    }

    /// Known pods that a term stands for, by what they are called.
    pub(in crate::review) fn meant<'a>(
        &'a self,
        term: &'a Term,
    ) -> impl Iterator<Item = (String, Identity)> + 'a {
        self.pods
            .iter()
            .filter(|known| term.has(known) == Some(true))
            .map(|(namespace, name, labels)| {
                let identity = Identity {
                    number: crate::inventory::UNNUMBERED,
                    labels: labels.clone(),
                    ..Identity::default()
                };
                (format!("{namespace}/{name}"), identity)
            })
    }

    fn add(&mut self, (namespace, name, mut labels): Known) {
        labels.sort();
        if self.pods.len() < MOST_PEOPLE {
            self.pods.insert((namespace, name, labels));
        }
    }
}
