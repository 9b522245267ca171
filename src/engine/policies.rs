//! Policies as every thread judges with them.
//!
//! Owns one compiled set a cluster: which cluster a flow is of is known only from the flow,
//! and the cluster's name is part of what policies mean. What one cluster's set is made of
//! is `cluster_policies`'s; when policies give way to others is `current`'s.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::alter::Alterations;
use super::changed::Changed;
use super::cluster_policies::ClusterPolicies;
use super::ledger::Ledger;
use crate::inventory::{Identity, Inventory, Service};
use crate::manifest::{Document, Scope, is_policy_kind};
use crate::policy::{
    Direction, IdentityIndex, ObjectId, OptionName, Options, PolicySet, Taint, TaintScope, World,
};

/// Clusters that are told apart; flows of further ones are judged with the last.
const MOST_CLUSTERS: usize = 64;

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
    /// Since when they are said to be in force.
    since: Option<i64>,
    clusters: RwLock<Vec<(Arc<str>, Arc<ClusterPolicies>)>>,
    /// The set that was built last, by the name of its cluster.
    built: Mutex<Option<(Arc<str>, Arc<PolicySet>)>>,
    ledger: Arc<Ledger>,
    /// Policies of others that flows may name: these are not missing.
    others: Vec<ObjectId>,
    /// Whatever flows name is not missing.
    alone: bool,
    alterations: Arc<Alterations>,
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

impl Policies {
    /// Takes what was given. Nothing is compiled before the first flow asks.
    #[must_use]
    pub fn new(given: Given) -> Self {
        Self::with_ledger(given, Arc::default())
    }

    /// What was given anew, in place of these: what flows told and who they brought is
    /// kept, and compiled is at once what was compiled here. Takes its time, and does not
    /// hold up those who judge by these.
    #[must_use]
    pub fn succeeded_by(&self, given: Given) -> Self {
        let next = Self::with_ledger(given, self.ledger.clone());
        let mut taken = 0;
        // Flows may bring another cluster while this goes on.
        while let Some((name, cluster)) = self.known_cluster(taken) {
            next.cluster(Some(&name)).take_over(&cluster);
            taken += 1;
        }
        next
    }

    fn known_cluster(&self, at: usize) -> Option<(Arc<str>, Arc<ClusterPolicies>)> {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        clusters.get(at).cloned()
    }

    fn with_ledger(given: Given, ledger: Arc<Ledger>) -> Self {
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
            since: None,
            clusters: RwLock::default(),
            built: Mutex::default(),
            ledger,
            others: Vec::new(),
            alone: false,
            alterations: Arc::default(),
        }
    }

    /// The same, to be tried on flows that were recorded under others: policies of those
    /// are not missing where flows name them.
    #[must_use]
    pub fn beside(mut self, others: &PolicySet) -> Self {
        self.others = others
            .objects
            .iter()
            .map(|object| object.id.clone())
            .collect();
        self
    }

    /// The same, in place of all others: what flows name and was not given is not missing,
    /// as it would not be there.
    #[must_use]
    pub fn by_themselves(mut self) -> Self {
        self.alone = true;
        self
    }

    /// The same, for endpoints that are changed before they are judged, those of the
    /// inventory too.
    #[must_use]
    pub fn altering(mut self, alterations: Alterations) -> Self {
        alterations.apply_to(&mut self.inventory);
        self.alterations = Arc::new(alterations);
        self
    }

    /// The same, said to be in force since a time, in nanoseconds since 1970 UTC: what is
    /// recorded before may have been decided by others.
    #[must_use]
    pub fn in_force_since(mut self, since: Option<i64>) -> Self {
        self.since = since;
        self
    }

    /// Since when they are said to be in force.
    #[must_use]
    pub fn since(&self) -> Option<i64> {
        self.since
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

    /// The documents that policies were given in, each in its namespace.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// The options that were given.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The set as it is in a cluster; `None` is the one of the options. The last one is
    /// remembered.
    #[must_use]
    pub fn set(&self, cluster: Option<&str>) -> Arc<PolicySet> {
        let options = self.options_of(cluster);
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, set)) = &*built
            && *name == options.cluster_name
        {
            return set.clone();
        }
        let set = Arc::new(self.build(&options));
        *built = Some((options.cluster_name, set.clone()));
        set
    }

    /// The set of any cluster, for what is the same in all: what was rejected, and what
    /// could not be read.
    #[must_use]
    pub fn any_set(&self) -> Arc<PolicySet> {
        match self.known_cluster(0) {
            Some((_, cluster)) => cluster.read().set().clone(),
            None => self.set(None),
        }
    }

    fn build(&self, options: &Options) -> PolicySet {
        let groups = &self.inventory.cidr_groups;
        let mut set = PolicySet::build(&self.documents, &self.services, groups, options);
        set.taints.extend(self.taints.iter().cloned());
        set.taints.extend(self.unmodelled());
        set.add_floating(&self.floating, &self.services, options);
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

    /// The last change of what decides about a subject in a direction, of the cluster with
    /// this number.
    #[must_use]
    pub fn changed(
        &self,
        place: u32,
        subject: IdentityIndex,
        direction: Direction,
    ) -> Option<Arc<Changed>> {
        let cluster = self.at(place)?;
        Changed::last(&cluster.read(), subject, direction, self.since)
    }

    fn compile(&self, options: &Options) -> ClusterPolicies {
        let set = self.set(Some(&options.cluster_name));
        let pods: Vec<Identity> = self
            .inventory
            .workloads
            .iter()
            .filter_map(|workload| self.inventory.identity(workload, &options.cluster_name))
            .collect();
        let world = World {
            identities: pods,
            names_complete: self.names_complete,
            ports_complete: self.complete,
        };
        ClusterPolicies::new(set, world, options).instead_of(
            &self.others,
            self.alone,
            Arc::clone(&self.alterations),
        )
    }
}

/// A document with the namespace that its tree gives it written into it.
fn placed(mut document: Document) -> Document {
    if let Scope::Namespace(namespace) = &document.scope {
        document.root.set_namespace(namespace);
    }
    document
}
