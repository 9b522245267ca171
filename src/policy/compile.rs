//! A policy set made ready to answer.
//!
//! Owns the selectors with their identities, which entries select which subject, and the
//! tables that subjects share. Tables are built when a subject is first asked about.
//! Answering is `decide`'s.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::decide::{Subject, is_plain, is_redacted};
use super::entry::{Direction, PolicyEntry};
use super::filter::{Filters, Selected, Surroundings};
use super::interner::Interner;
use super::member::Member;
use super::merge::Conflict;
use super::options::{AllowLocalhost, Options};
use super::plan::Plan;
use super::selection::{Selection, SelectorId};
use super::selector::{PeerSelector, Source};
use super::set::{ObjectKind, PolicySet};
use super::subjects::{Place, Subjects};
use super::table::{Named, Side};
use super::verdict::{Origin, Redirect, RedirectId, RulesId};
use super::world::{IdentityIndex, World};
use crate::inventory::{CidrGroup, Identity, NamedPort};
use crate::pattern::Re2;

/// Policies compiled for a cluster.
#[derive(Debug)]
pub struct Compiled {
    pub(super) set: Arc<PolicySet>,
    pub(super) options: Options,
    groups: Vec<Arc<CidrGroup>>,
    pub(super) names_complete: bool,
    pub(super) ports_complete: bool,
    pub(super) members: Vec<Arc<Member>>,
    pub(super) selection: Selection,
    /// For each entry its peers; everybody is a peer too.
    peers: Vec<Box<[SelectorId]>>,
    subjects: Subjects,
    tables: Mutex<HashMap<TableKey, Arc<Table>, RandomState>>,
    pub(super) states: Vec<OnceLock<Subject>>,
    /// Which identities are known and nothing special as peers.
    pub(super) plain: Vec<bool>,
    /// Ports by name over all pods: what egress rules mean.
    named: HashMap<(Arc<str>, u8), Named, RandomState>,
    pub(super) interner: Arc<Interner>,
    classes: HashMap<AddressClass, IdentityIndex, RandomState>,
    /// Expressions of HTTP rules; `None` where one cannot be evaluated.
    pub(super) expressions: Mutex<HashMap<Arc<str>, Option<Arc<Re2>>, RandomState>>,
    generation: u64,
}

/// Both directions of a subject's policy, shared by all subjects of the same entries.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) ingress: Side,
    pub(super) egress: Side,
    pub(super) conflict: Option<Conflict>,
    /// Ingress and egress, where they can be written out.
    pub(super) plans: [Option<Plan>; 2],
}

/// What a table depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TableKey {
    /// Distinct subjects, by index.
    subjects: Box<[u32]>,
    /// Default deny whatever the rules say.
    always: bool,
    host: bool,
    /// Where a namespaced listener takes part.
    namespace: Option<Arc<str>>,
    /// Where a named port takes part.
    ports: Vec<(Arc<str>, u16, u8)>,
}

/// Addresses that no policy tells apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct AddressClass {
    selecting: Vec<SelectorId>,
    v4: bool,
    names_complete: bool,
}

/// A subject as its table needs it.
pub(super) struct SubjectView {
    pub(super) table: Arc<Table>,
    /// Whether entries select it, ingress and egress.
    pub(super) selected: [bool; 2],
}

impl Compiled {
    /// Compiles a set.
    #[must_use]
    pub fn new(set: Arc<PolicySet>, world: &World, options: &Options) -> Self {
        let groups = groups_of(&set);
        let members: Vec<Arc<Member>> = world
            .identities
            .iter()
            .map(|identity| Arc::new(Member::new(identity, &groups, options)))
            .collect();
        let mut selection = Selection::new(options.version);
        selection.intern(peers_of(&set), &members);
        let mut compiled = Self {
            peers: Vec::new(),
            subjects: Subjects::default(),
            tables: Mutex::default(),
            states: members.iter().map(|_| OnceLock::new()).collect(),
            plain: members.iter().map(|member| is_plain(member)).collect(),
            named: HashMap::default(),
            interner: Arc::new(Interner::new()),
            classes: HashMap::default(),
            expressions: Mutex::default(),
            generation: next_generation(),
            names_complete: world.names_complete,
            ports_complete: world.ports_complete,
            options: options.clone(),
            set,
            groups,
            members,
            selection,
        };
        for member in &compiled.members {
            name_ports(&mut compiled.named, &member.named_ports);
        }
        compiled.index_entries();
        compiled
    }

    /// The same cluster under another set: what is known of identities and of selectors
    /// that stay is kept. Indices of identities stay as they are; those of outside
    /// addresses have to be asked for anew.
    #[must_use]
    pub fn with_set(&self, set: Arc<PolicySet>) -> Self {
        let (groups, members, mut selection) = if set.cidr_groups == self.set.cidr_groups {
            (
                self.groups.clone(),
                self.members.clone(),
                self.selection.clone(),
            )
        } else {
            // Who is a member of a group is part of what is known of identities.
            let groups = groups_of(&set);
            let members = self
                .members
                .iter()
                .map(|member| Arc::new(member.regrouped(&groups)))
                .collect();
            (groups, members, Selection::new(self.options.version))
        };
        selection.intern(peers_of(&set), &members);
        let mut compiled = Self {
            set,
            options: self.options.clone(),
            groups,
            names_complete: self.names_complete,
            ports_complete: self.ports_complete,
            states: members.iter().map(|_| OnceLock::new()).collect(),
            plain: members.iter().map(|member| is_plain(member)).collect(),
            members,
            selection,
            peers: Vec::new(),
            subjects: Subjects::default(),
            tables: Mutex::default(),
            named: self.named.clone(),
            interner: Arc::new(Interner::new()),
            classes: HashMap::default(),
            expressions: Mutex::default(),
            generation: next_generation(),
        };
        compiled.index_entries();
        compiled
    }

    /// Adds an identity. Its index is valid from now on.
    pub fn add(&mut self, identity: &Identity) -> IdentityIndex {
        let member = Member::new(identity, &self.groups, &self.options);
        let ports = member.named_ports.clone();
        let index = self.push(member);
        if name_ports(&mut self.named, &ports) {
            self.forget_tables();
        }
        index
    }

    /// The index of an address outside the cluster. Addresses that no policy tells apart
    /// share one, so that there are not more of these than policies need.
    pub fn outside(&mut self, identity: &Identity) -> IdentityIndex {
        let member = Member::new(identity, &self.groups, &self.options);
        let class = AddressClass {
            selecting: self.selection.selecting(&member),
            v4: identity.address.is_some_and(|address| address.is_ipv4()),
            names_complete: identity.names_complete,
        };
        if let Some(index) = self.classes.get(&class) {
            return *index;
        }
        let index = self.push(member);
        self.classes.insert(class, index);
        index
    }

    /// Changes whenever decisions made before may not hold any more. No two sets have one
    /// in common.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The policies.
    #[must_use]
    pub fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    /// Whether an identity is an endpoint of this cluster, for which policy is enforced.
    #[must_use]
    pub fn is_endpoint(&self, index: IdentityIndex) -> bool {
        self.members
            .get(index.0 as usize)
            .is_some_and(|member| member.is_endpoint(&self.options.cluster_name))
    }

    /// The rules behind a decision.
    #[must_use]
    pub fn rules(&self, id: RulesId) -> Arc<[Origin]> {
        self.interner.rules_of(id)
    }

    /// Where a redirected connection goes; `None` for a number of another set.
    #[must_use]
    pub fn redirect(&self, id: RedirectId) -> Option<Arc<Redirect>> {
        self.interner.redirect_of(id)
    }

    /// Why the rules that select a subject cannot be had together.
    #[must_use]
    pub fn conflict(&self, subject: IdentityIndex) -> Option<Conflict> {
        let member = self.members.get(subject.0 as usize)?;
        self.view(member, self.always(member)).table.conflict
    }

    /// Entries that select a subject in a direction, by index in the set.
    #[must_use]
    pub fn selecting(&self, subject: IdentityIndex, direction: Direction) -> Vec<u32> {
        let Some(member) = self.members.get(subject.0 as usize) else {
            return Vec::new();
        };
        let groups = self.subjects.of(member).into_iter();
        let mut entries: Vec<u32> = groups
            .filter_map(|index| self.subjects.distinct.get(index as usize))
            .flat_map(|group| &group.entries)
            .map(|place| place.entry)
            .filter(|index| {
                let entry = self.set.entries.get(*index as usize);
                entry.is_some_and(|entry| entry.direction == direction)
            })
            .collect();
        entries.sort_unstable();
        entries
    }

    /// The number a port's name stands for in the rules of a subject.
    pub(super) fn named_port(
        &self,
        subject: IdentityIndex,
        direction: Direction,
        name: &str,
        protocol: u8,
    ) -> Named {
        self.members
            .get(subject.0 as usize)
            .map_or(Named::Unknown, |member| {
                self.resolve(member, direction, name, protocol)
            })
    }

    fn push(&mut self, member: Member) -> IdentityIndex {
        let index = self.members.len() as u32;
        self.selection.add(index, &member);
        self.plain.push(is_plain(&member));
        self.members.push(Arc::new(member));
        self.states.push(OnceLock::new());
        IdentityIndex(index)
    }

    fn forget_tables(&mut self) {
        self.tables
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        for state in &mut self.states {
            *state = OnceLock::new();
        }
        self.generation = next_generation();
    }

    /// Sorts the entries as Cilium does and files them by subject.
    fn index_entries(&mut self) {
        let set = self.set.clone();
        let mut objects: Vec<(String, usize)> = set
            .objects
            .iter()
            .map(|object| {
                let kind = match object.id.kind {
                    ObjectKind::CiliumNetworkPolicy => "cnp",
                    ObjectKind::CiliumClusterwideNetworkPolicy => "ccnp",
                    ObjectKind::NetworkPolicy => "netpol",
                    ObjectKind::ClusterNetworkPolicy => "cluster-netpol",
                };
                format!("{kind}/{}/{}", object.id.namespace, object.id.name)
            })
            .zip(0..)
            .collect();
        objects.sort_unstable();
        let mut ranks = vec![0; objects.len()];
        for (rank, (_, object)) in objects.into_iter().enumerate() {
            if let Some(slot) = ranks.get_mut(object) {
                *slot = rank;
            }
        }
        let mut order: Vec<(usize, u32)> = set
            .entries
            .iter()
            .zip(0..)
            .map(|(entry, index)| {
                (
                    ranks.get(entry.object as usize).copied().unwrap_or(0),
                    index,
                )
            })
            .collect();
        order.sort_unstable();
        self.peers = set
            .entries
            .iter()
            .map(|entry| self.peers_of_entry(entry))
            .collect();
        for (rank, (_, index)) in order.into_iter().enumerate() {
            if let Some(entry) = set.entries.get(index as usize) {
                let place = Place {
                    rank: rank as u32,
                    entry: index,
                };
                self.subjects.file(entry, place);
            }
        }
    }

    fn peers_of_entry(&self, entry: &PolicyEntry) -> Box<[SelectorId]> {
        match &entry.peers {
            None => Box::new([SelectorId::EVERYONE]),
            Some(peers) => {
                let ids: Box<[SelectorId]> = peers
                    .iter()
                    .filter(|peer| !is_nobody(peer))
                    .filter_map(|peer| self.selection.id(peer))
                    .collect();
                // Everybody makes the others superfluous, and Cilium drops them.
                if ids.contains(&SelectorId::EVERYONE) {
                    Box::new([SelectorId::EVERYONE])
                } else {
                    ids
                }
            }
        }
    }

    /// What applies to a subject. `always` turns on default deny whatever the rules say.
    pub(super) fn view(&self, member: &Member, always: bool) -> SubjectView {
        let mut subjects = self.subjects.of(member);
        subjects.sort_unstable();
        let groups = || {
            subjects
                .iter()
                .filter_map(|index| self.subjects.distinct.get(*index as usize))
        };
        let mut entries: Vec<Place> = groups().flat_map(|group| &group.entries).copied().collect();
        entries.sort_unstable();
        let selects = |direction| {
            entries.iter().any(|place| {
                self.set
                    .entries
                    .get(place.entry as usize)
                    .is_some_and(|entry| entry.direction == direction)
            })
        };
        let selected = [selects(Direction::Ingress), selects(Direction::Egress)];
        let key = TableKey {
            always,
            host: member.is_host(),
            namespace: groups()
                .any(|group| group.by_listener)
                .then(|| member.namespace().cloned())
                .flatten(),
            ports: if groups().any(|group| group.by_name) {
                member
                    .named_ports
                    .iter()
                    .map(|port| (port.name.clone(), port.port, port.protocol))
                    .collect()
            } else {
                Vec::new()
            },
            subjects: subjects.into(),
        };
        let known = self
            .tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        let table = known.unwrap_or_else(|| {
            let table = Arc::new(self.table(member, &entries, always));
            self.tables
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key, table.clone());
            table
        });
        SubjectView { table, selected }
    }

    fn table(&self, member: &Member, entries: &[Place], always: bool) -> Table {
        let side = |direction| {
            let of_direction = || {
                entries.iter().filter_map(|place| {
                    let entry = self.set.entries.get(place.entry as usize)?;
                    (entry.direction == direction).then_some((place.entry, entry))
                })
            };
            let around = Surroundings {
                direction,
                namespace: member.namespace().map_or("", |namespace| namespace),
                default_deny: always || of_direction().any(|(_, entry)| entry.default_deny),
            };
            let selected = of_direction().filter_map(|(index, entry)| {
                Some(Selected {
                    index,
                    entry,
                    peers: self.peers.get(index as usize)?,
                })
            });
            let filters = Filters::of(selected, &around)?;
            let localhost = direction == Direction::Ingress
                && self.options.allow_localhost != AllowLocalhost::Policy
                && !member.is_host();
            Ok(Side::new(
                filters,
                localhost,
                &self.interner,
                |name, protocol| self.resolve(member, direction, name, protocol),
                |selector| {
                    matches!(
                        self.selection.selector(selector),
                        Some(PeerSelector::Fqdn { .. })
                    )
                },
            ))
        };
        match (side(Direction::Ingress), side(Direction::Egress)) {
            (Ok(ingress), Ok(egress)) => Table {
                plans: [&ingress, &egress].map(|side| self.plan(side)),
                ingress,
                egress,
                conflict: None,
            },
            (Err(conflict), _) | (_, Err(conflict)) => Table {
                ingress: Side::default(),
                egress: Side::default(),
                conflict: Some(conflict),
                plans: [None, None],
            },
        }
    }

    fn plan(&self, side: &Side) -> Option<Plan> {
        // An address whose names are not all known may be one that rules name.
        if side.by_name && (!self.names_complete || self.has_redacted_name(side)) {
            return None;
        }
        Plan::new(side, &self.interner, |decision| self.assumed(decision))
    }

    fn has_redacted_name(&self, side: &Side) -> bool {
        side.filters
            .iter()
            .flat_map(|(filter, _)| filter.policies())
            .any(|(id, _)| self.selection.selector(id).is_some_and(is_redacted))
    }

    /// A port's name: on ingress the subject's own, on egress the one that all pods agree
    /// on, wherever the connection goes.
    fn resolve(&self, member: &Member, direction: Direction, name: &str, protocol: u8) -> Named {
        let unknown = if self.ports_complete {
            Named::Nothing
        } else {
            Named::Unknown
        };
        match direction {
            Direction::Ingress if member.named_ports.is_empty() => unknown,
            Direction::Ingress => member
                .named_ports
                .iter()
                .rev()
                .find(|port| port.name.eq_ignore_ascii_case(name))
                .filter(|port| port.protocol == protocol && port.port != 0)
                .map_or(Named::Nothing, |port| Named::Port(port.port)),
            // Another pod may define the name otherwise, which would void it for everybody.
            Direction::Egress if !self.ports_complete => Named::Unknown,
            Direction::Egress => {
                let key = (Arc::from(name), protocol);
                self.named.get(&key).copied().unwrap_or(unknown)
            }
        }
    }
}

fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn groups_of(set: &PolicySet) -> Vec<Arc<CidrGroup>> {
    set.cidr_groups.iter().cloned().map(Arc::new).collect()
}

/// The entity `none`, which Cilium leaves out of merging.
fn is_nobody(peer: &PeerSelector) -> bool {
    let PeerSelector::Labels(selector) = peer else {
        return false;
    };
    matches!(
        (selector.labels.as_slice(), selector.expressions.as_slice()),
        ([label], []) if &*label.key.name == "none"
            && matches!(&label.key.source, Source::Of(source) if &**source == "reserved")
    )
}

fn peers_of(set: &PolicySet) -> impl Iterator<Item = &PeerSelector> {
    set.entries
        .iter()
        .filter_map(|entry| entry.peers.as_ref())
        .flatten()
}

/// Adds the ports of a pod. Two numbers for one name and protocol make it worth nothing.
/// Returns whether anything changed.
fn name_ports(
    named: &mut HashMap<(Arc<str>, u8), Named, RandomState>,
    ports: &[NamedPort],
) -> bool {
    let mut changed = false;
    for port in ports {
        let key = (Arc::from(port.name.to_lowercase()), port.protocol);
        let known = named.get(&key).copied();
        let next = match known {
            None => Named::Port(port.port),
            Some(Named::Port(number)) if number == port.port => continue,
            Some(_) => Named::Nothing,
        };
        if known != Some(next) {
            named.insert(key, next);
            changed = true;
        }
    }
    changed
}
