//! Policies as every thread judges with them.
//!
//! Owns one compiled set a cluster: which cluster a flow is of is known only from the flow,
//! and the cluster's name is part of what policies mean. Identities that flows bring are
//! added as they come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::ledger::Ledger;
use crate::inventory::{Identity, Inventory, Label, NamedPort, Service};
use crate::manifest::{Document, Scope, is_policy_kind};
use crate::policy::{
    Compiled, IdentityIndex, OptionName, Options, PeerSelector, PolicySet, Taint, TaintScope, World,
};

/// Clusters that are told apart; flows of further ones are judged with the last.
const MOST_CLUSTERS: usize = 64;
/// Identities that flows may bring to a cluster; who comes after them is not known.
const MOST_IDENTITIES: usize = 1 << 18;

/// Policies, what is known of the cluster, and the agents' options.
#[derive(Debug)]
pub struct Policies {
    documents: Vec<Document>,
    /// Policies of which nothing says in which namespace they are.
    floating: Vec<Document>,
    taints: Vec<Taint>,
    inventory: Inventory,
    services: Vec<Service>,
    options: Options,
    strict: bool,
    complete: bool,
    names_complete: bool,
    clusters: RwLock<Vec<(Arc<str>, Arc<ClusterPolicies>)>>,
    ledger: Ledger,
}

/// What is given to judge with.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Policy objects and CIDR groups; others are passed over.
    pub documents: Vec<Document>,
    /// What could not be read.
    pub taints: Vec<Taint>,
    /// What is known of the cluster.
    pub inventory: Inventory,
    /// Options of the agents.
    pub options: Options,
    /// Whether a verdict that hangs on an option nobody gave is unknown.
    pub strict: bool,
    /// Whether the inventory holds every pod of the cluster.
    pub complete: bool,
    /// Whether every name of an address is with it, as in a question that gives the name.
    pub names_complete: bool,
}

/// Policies of one cluster.
#[derive(Debug)]
pub struct ClusterPolicies {
    compiled: RwLock<Compiled>,
    /// What makes decisions void, without a lock.
    generation: AtomicU64,
    identities: RwLock<HashMap<Vec<Label>, IdentityIndex, RandomState>>,
    /// Whether a rule is about names that DNS gives.
    names_matter: bool,
    /// Named ports of pods, by their identity labels.
    ports: HashMap<Vec<Label>, Vec<NamedPort>, RandomState>,
}

impl Policies {
    /// Takes what was given. Nothing is compiled before the first flow asks.
    #[must_use]
    pub fn new(given: Given) -> Self {
        let (floating, documents): (Vec<Document>, Vec<Document>) =
            given.documents.into_iter().partition(|document| {
                document.scope == Scope::Unknown
                    && document.placeholder.is_none()
                    && document.kind().is_some_and(is_policy_kind)
            });
        // What is known of these but where they are taints only whom they might select.
        let mut taints = given.taints;
        taints.retain(|taint| {
            !floating.iter().any(|document| {
                taint.scope == TaintScope::Everything
                    && taint.file == document.file
                    && taint.at == document.at()
            })
        });
        Self {
            services: given.inventory.services(),
            documents: documents.into_iter().map(placed).collect(),
            floating,
            taints,
            inventory: given.inventory,
            options: given.options,
            strict: given.strict,
            complete: given.complete,
            names_complete: given.names_complete,
            clusters: RwLock::default(),
            ledger: Ledger::default(),
        }
    }

    /// Whether a verdict that hangs on an option nobody gave is unknown.
    #[must_use]
    pub fn strict(&self) -> bool {
        self.strict
    }

    /// What flows told about later ones.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What is known of the cluster.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The options that were given.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The set as it is in a cluster; `None` is the one of the options.
    #[must_use]
    pub fn set(&self, cluster: Option<&str>) -> PolicySet {
        let mut set = PolicySet::build(
            &self.documents,
            &self.services,
            &self.inventory.cidr_groups,
            &self.options_of(cluster),
        );
        set.taints.extend(self.taints.iter().cloned());
        set.taints.extend(self.unmodelled());
        set.add_floating(&self.floating, &self.services, &self.options_of(cluster));
        set
    }

    /// Policies of a kind that newer agents enforce and that is not modelled.
    fn unmodelled(&self) -> impl Iterator<Item = Taint> {
        let enforced = self.options.version.minor >= 20;
        let documents = self.documents.iter().filter(move |document| {
            enforced
                && document.kind() == Some("ClusterNetworkPolicy")
                && document
                    .api_version()
                    .is_some_and(|version| version.starts_with("policy.networking.k8s.io/"))
        });
        documents.map(|document| Taint {
            scope: TaintScope::Everything,
            file: document.file.clone(),
            at: document.at(),
            reason: "a ClusterNetworkPolicy is not modelled".to_owned(),
            unmodelled: true,
        })
    }

    /// The options of a cluster: its name is the flows', unless it was given.
    #[must_use]
    pub fn options_of(&self, cluster: Option<&str>) -> Options {
        let mut options = self.options.clone();
        // The default of this option changed with 1.19.
        if options.version.minor < 19 && !options.given.contains(&OptionName::DefaultLocalCluster) {
            options.default_local_cluster = false;
        }
        if let Some(cluster) = cluster
            && !options.given.contains(&OptionName::ClusterName)
        {
            options.cluster_name = cluster.into();
            options.given.insert(OptionName::ClusterName);
        }
        options
    }

    /// The policies of a cluster, compiled when first asked for.
    #[must_use]
    pub fn cluster(&self, name: Option<&str>) -> Arc<ClusterPolicies> {
        let options = self.options_of(name);
        let name = options.cluster_name.clone();
        let find = |clusters: &[(Arc<str>, Arc<ClusterPolicies>)]| {
            clusters
                .iter()
                .find(|(known, _)| *known == name)
                .or_else(|| clusters.get(MOST_CLUSTERS - 1))
                .map(|(_, cluster)| cluster.clone())
        };
        if let Some(known) = find(&self.clusters.read().unwrap_or_else(PoisonError::into_inner)) {
            return known;
        }
        let mut clusters = self
            .clusters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = find(&clusters) {
            return known;
        }
        let cluster = Arc::new(self.compile(&options));
        clusters.push((name, cluster.clone()));
        cluster
    }

    /// The number of a cluster's policies, the same on every thread.
    #[must_use]
    pub fn place(&self, policies: &Arc<ClusterPolicies>) -> u32 {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        clusters
            .iter()
            .position(|(_, known)| Arc::ptr_eq(known, policies))
            .map_or(u32::MAX, |place| place as u32)
    }

    /// The policies of a cluster by its number.
    #[must_use]
    pub fn at(&self, place: u32) -> Option<Arc<ClusterPolicies>> {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        clusters
            .get(place as usize)
            .map(|(_, policies)| policies.clone())
    }

    fn compile(&self, options: &Options) -> ClusterPolicies {
        let set = Arc::new(self.set(Some(&options.cluster_name)));
        let names_matter = set.entries.iter().any(|entry| {
            let peers = entry.peers.as_deref().unwrap_or_default();
            peers
                .iter()
                .any(|peer| matches!(peer, PeerSelector::Fqdn { .. }))
        });
        let pods: Vec<Identity> = self
            .inventory
            .workloads
            .iter()
            .filter_map(|workload| self.inventory.identity(workload, &options.cluster_name))
            .collect();
        let world = World {
            identities: pods.clone(),
            names_complete: self.names_complete,
            ports_complete: self.complete,
        };
        let mut ports: HashMap<Vec<Label>, Vec<NamedPort>, RandomState> = HashMap::default();
        for pod in pods {
            let known = ports.entry(asked(&pod.labels)).or_default();
            known.extend(pod.named_ports);
        }
        ClusterPolicies {
            compiled: RwLock::new(Compiled::new(set, &world, options)),
            generation: AtomicU64::new(0),
            identities: RwLock::default(),
            names_matter,
            ports,
        }
    }
}

/// A document with the namespace that its tree gives it written into it.
fn placed(mut document: Document) -> Document {
    if let Scope::Namespace(namespace) = &document.scope {
        document.root.set_namespace(namespace);
    }
    document
}

impl ClusterPolicies {
    /// The compiled policies, for reading. Held for as short as can be: new identities wait
    /// for it.
    pub fn read(&self) -> RwLockReadGuard<'_, Compiled> {
        self.compiled.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a rule is about names that DNS gives.
    #[must_use]
    pub fn names_matter(&self) -> bool {
        self.names_matter
    }

    /// Whether a policy was given, by kind, namespace and name.
    #[must_use]
    pub fn holds(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.read().set().objects.iter().any(|object| {
            object.id.kind.name() == kind
                && &*object.id.namespace == namespace
                && &*object.id.name == name
        }) || self.read().set().floating.iter().any(|floating| {
            // It may be this one.
            floating.id.kind.name() == kind && &*floating.id.name == name
        })
    }

    /// Changes whenever decisions made before may not hold any more.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The index of an identity that a flow brought; `outside` for an address that is not
    /// of the cluster.
    pub fn index(&self, mut identity: Identity, outside: bool) -> IdentityIndex {
        if outside {
            let mut compiled = self
                .compiled
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            return compiled.outside(&identity);
        }
        identity.labels.sort();
        let mut key = identity.labels.clone();
        // A node is known by its address and labels too.
        if let Some(address) = identity.address {
            key.push(Label::new("address", &address.to_string(), ""));
        }
        key.extend(identity.subject_labels.iter().flatten().cloned());
        if let Some(index) = self
            .identities
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return *index;
        }
        if let Some(ports) = self.ports.get(&asked(&identity.labels)) {
            identity.named_ports.clone_from(ports);
        }
        let mut identities = self
            .identities
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = identities.get(&key) {
            return *index;
        }
        let mut compiled = self
            .compiled
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if identities.len() >= MOST_IDENTITIES {
            let nobody = identities.get(&Vec::new());
            return nobody.copied().unwrap_or(IdentityIndex(u32::MAX));
        }
        let index = compiled.add(&identity);
        self.generation
            .store(compiled.generation(), Ordering::Release);
        identities.insert(key, index);
        index
    }

    /// The index of somebody nothing is known of.
    pub fn nobody(&self) -> IdentityIndex {
        self.index(
            Identity {
                number: u32::MAX,
                ..Identity::default()
            },
            false,
        )
    }
}

/// Labels by which a pod of the inventory is found again in flows: those of the pod and its
/// namespace's name. What a namespace adds and the service account may not have been given.
fn asked(labels: &[Label]) -> Vec<Label> {
    let mut labels: Vec<Label> = labels
        .iter()
        .filter(|label| {
            !label.key.starts_with("io.cilium.k8s.namespace.labels.")
                && &*label.key != "io.cilium.k8s.policy.serviceaccount"
        })
        .cloned()
        .collect();
    labels.sort();
    labels
}
