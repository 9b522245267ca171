//! The policies of one cluster as every thread judges with them.
//!
//! Owns the compiled set, the identities that flows brought to it, and which policies were
//! given by name. Whose verdicts hang on policies that were not is `ledger`'s.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::alter::Alterations;
use crate::flow::Endpoint;
use crate::inventory::{Identity, Label, NamedPort};
use crate::policy::{
    Compiled, Direction, IdentityIndex, ObjectId, ObjectKind, Options, PeerSelector, PolicySet,
    World,
};

/// Identities that flows may bring to a cluster; who comes after them is not known.
const MOST_IDENTITIES: usize = 1 << 18;

/// Policies of one cluster.
#[derive(Debug)]
pub struct ClusterPolicies {
    name: Arc<str>,
    compiled: RwLock<Compiled>,
    /// What makes decisions void, without a lock.
    generation: AtomicU64,
    brought: RwLock<Brought>,
    /// Whether a rule is about names that DNS gives.
    names_matter: bool,
    /// Named ports of pods, by their identity labels.
    ports: HashMap<Vec<Label>, Vec<NamedPort>, RandomState>,
    /// Policies that were given, by name.
    held: HashMap<Arc<str>, Vec<Held>, RandomState>,
    /// They pass for holding whatever is asked for.
    alone: bool,
    /// What is changed about who flows bring.
    alterations: Arc<Alterations>,
}

/// Kind and namespace of a policy; `None` where the namespace is not known.
type Held = (ObjectKind, Option<Arc<str>>);

/// Who flows brought.
#[derive(Debug, Default)]
struct Brought {
    indices: HashMap<Who, IdentityIndex, RandomState>,
    identities: HashMap<IdentityIndex, Who, RandomState>,
}

/// An identity, by what policies see of it. It stays the same whatever the policies are.
#[derive(Clone, Debug)]
pub(super) struct Who(Arc<Identity>);

impl Who {
    /// A node is known by its address and labels too.
    fn seen(&self) -> (&[Label], Option<std::net::IpAddr>, Option<&[Label]>) {
        let Identity {
            labels,
            address,
            subject_labels,
            ..
        } = &*self.0;
        (labels, *address, subject_labels.as_deref())
    }
}

impl PartialEq for Who {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.seen() == other.seen()
    }
}

impl Eq for Who {}

impl Hash for Who {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.seen().hash(state);
    }
}

impl From<Identity> for Who {
    /// Labels are sorted; ports are not its own.
    fn from(mut identity: Identity) -> Self {
        identity.labels.sort();
        identity.named_ports = Vec::new();
        Self(Arc::new(identity))
    }
}

impl ClusterPolicies {
    /// Compiles a set; the world holds the pods that are known.
    pub(super) fn new(set: Arc<PolicySet>, world: World, options: &Options) -> Self {
        let names_matter = set.entries.iter().any(|entry| {
            let peers = entry.peers.as_deref().unwrap_or_default();
            peers
                .iter()
                .any(|peer| matches!(peer, PeerSelector::Fqdn { .. }))
        });
        let mut held: HashMap<Arc<str>, Vec<Held>, RandomState> = HashMap::default();
        for object in &set.objects {
            let held = held.entry(object.id.name.clone()).or_default();
            held.push((object.id.kind, Some(object.id.namespace.clone())));
        }
        for floating in &set.floating {
            let held = held.entry(floating.id.name.clone()).or_default();
            held.push((floating.id.kind, None));
        }
        let compiled = Compiled::new(set, &world, options);
        let mut ports: HashMap<Vec<Label>, Vec<NamedPort>, RandomState> = HashMap::default();
        for pod in world.identities {
            let known = ports.entry(asked(&pod.labels)).or_default();
            known.extend(pod.named_ports);
        }
        Self {
            name: options.cluster_name.clone(),
            compiled: RwLock::new(compiled),
            generation: AtomicU64::new(0),
            brought: RwLock::default(),
            names_matter,
            ports,
            held,
            alone: false,
            alterations: Arc::default(),
        }
    }

    /// The same, that passes for holding policies of others too, or all there are, and
    /// changes who flows bring.
    pub(super) fn instead_of(
        mut self,
        others: &[ObjectId],
        alone: bool,
        changes: Arc<Alterations>,
    ) -> Self {
        self.alone = alone;
        for id in others {
            let held = self.held.entry(id.name.clone()).or_default();
            held.push((id.kind, Some(id.namespace.clone())));
        }
        self.alterations = changes;
        self
    }

    /// An endpoint as it is to be judged, where that is not as it is.
    pub(super) fn altered(&self, endpoint: &Endpoint) -> Option<Endpoint> {
        self.alterations.apply(endpoint)
    }

    /// Takes the identities that flows brought to the policies before these, and makes
    /// ready what is asked about them first.
    pub(super) fn take_over(&self, before: &Self) {
        let brought = before
            .brought
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let brought: Vec<Who> = brought.indices.keys().cloned().collect();
        for who in brought {
            let index = self.index_of(who);
            for direction in [Direction::Ingress, Direction::Egress] {
                // The table of a subject is built when it is first asked for.
                let _ = self.read().decide(index, direction, index, 6, 80);
            }
        }
    }

    /// The name of the cluster.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

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
        self.alone
            || self.held.get(name).is_some_and(|held| {
                held.iter().any(|(of_kind, of_namespace)| {
                    let namespace_fits = of_namespace
                        .as_ref()
                        // It may be this one.
                        .is_none_or(|known| **known == *namespace);
                    of_kind.name() == kind && namespace_fits
                })
            })
    }

    /// Changes whenever decisions made before may not hold any more.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The index of an identity that a flow brought; `outside` for an address that is not
    /// of the cluster.
    pub fn index(&self, identity: Identity, outside: bool) -> IdentityIndex {
        if outside {
            let mut compiled = self
                .compiled
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            return compiled.outside(&identity);
        }
        self.index_of(identity.into())
    }

    fn index_of(&self, who: Who) -> IdentityIndex {
        let brought = self.brought.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = brought.indices.get(&who) {
            return *index;
        }
        drop(brought);
        let mut identity = Identity::clone(&who.0);
        if let Some(ports) = self.ports.get(&asked(&identity.labels)) {
            identity.named_ports.clone_from(ports);
        }
        let mut brought = self.brought.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = brought.indices.get(&who) {
            return *index;
        }
        if brought.indices.len() >= MOST_IDENTITIES {
            let nobody = brought.indices.get(&Who::from(nobody()));
            return nobody.copied().unwrap_or(IdentityIndex(u32::MAX));
        }
        let mut compiled = self
            .compiled
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let index = compiled.add(&identity);
        self.generation
            .store(compiled.generation(), Ordering::Release);
        drop(compiled);
        brought.identities.insert(index, who.clone());
        brought.indices.insert(who, index);
        index
    }

    /// Who has an index, where flows brought it; addresses outside share theirs.
    pub(super) fn who(&self, index: IdentityIndex) -> Option<Who> {
        let brought = self.brought.read().unwrap_or_else(PoisonError::into_inner);
        brought.identities.get(&index).cloned()
    }

    /// The index of somebody nothing is known of.
    pub fn nobody(&self) -> IdentityIndex {
        self.index(nobody(), false)
    }
}

fn nobody() -> Identity {
    Identity {
        number: u32::MAX,
        ..Identity::default()
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
