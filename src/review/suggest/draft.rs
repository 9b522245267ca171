//! Policies out of what was used.
//!
//! Owns which workloads get one, in which directions, under which name, and what each holds.
//! Rules are made in `usage`; what a replay found to be mended comes in as repairs, so that
//! every round makes all policies anew from the same facts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::dropped::Needs;
use super::repair::{DraftName, NODES};
use super::{Ask, Draft, Repairs, SIDES, Side, Skipped, Unseen};
use crate::baseline::{Readiness, Stage};
use crate::connection::Peer;
use crate::engine::{ClusterPolicies, Policies};
use crate::flow::NO_TIME;
use crate::policy::{AllowLocalhost, Direction, ObjectId, ObjectKind};
use crate::review::observed::{
    Directory, Evidence, Home, Lookups, Member, Names, Naming, PortKey, RuleOptions, Selector,
    Term, Terms, Usage, Use, WorkloadKey, choose, key_of, rules,
};
use crate::review::report::Seen;

/// Namespaces whose workloads the cluster does not work without: they are asked for by name.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
/// Policies of one name that are told apart by a number.
const MOST_NAMESAKES: usize = 10_000;
/// Letters of a name.
const MOST_LETTERS: usize = 63;

/// What policies are made of.
#[derive(Clone, Copy, Debug)]
pub struct Materials<'a> {
    /// What was used.
    pub usage: &'a Usage,
    /// Who there is.
    pub directory: &'a Directory,
    /// The policies that are there.
    pub policies: &'a Policies,
    /// The cluster that policies are for.
    pub cluster: &'a Arc<str>,
    /// What is asked for.
    pub ask: &'a Ask,
    /// Which denied connections need a rule, and where; only with `ask.dropped`.
    pub needs: Option<&'a Needs>,
}

/// A policy before it has rules: namespace and selector, with its members and directions.
type Groups = BTreeMap<(Arc<str>, Selector), (BTreeSet<WorkloadKey>, [bool; 2])>;

/// The policies, by namespace and name, and whom none was made for.
#[must_use]
pub fn drafts(materials: &Materials<'_>, repairs: &Repairs) -> (Vec<Draft>, Vec<Skipped>) {
    let mut skipped = Vec::new();
    let mut groups = Groups::new();
    let cluster = materials.compiled();
    let by_end = ByEnd::new(materials.usage);
    for (key, member) in materials.directory.iter() {
        if !materials.is_asked_for(key, member) {
            continue;
        }
        let wanted = match materials.directions(key, member, &cluster, &by_end) {
            Ok(wanted) => wanted,
            Err(None) => continue,
            Err(Some(why)) => {
                skipped.push(Skipped {
                    workload: key.clone(),
                    why,
                });
                continue;
            }
        };
        let chosen = choose(materials.directory, key).unwrap_or_default();
        if chosen.selector.labels.is_empty() {
            skipped.push(Skipped {
                workload: key.clone(),
                why: "its pods have no label in common that outlives them".to_owned(),
            });
            continue;
        }
        let group = groups
            .entry((key.1.clone(), chosen.selector))
            .or_insert_with(|| (BTreeSet::new(), [false; 2]));
        group.0.insert(key.clone());
        group.0.extend(chosen.also);
        for (known, wanted) in group.1.iter_mut().zip(wanted) {
            *known |= wanted;
        }
    }
    let mut names = Taken::new(materials.policies);
    let mut all = Vec::new();
    for ((namespace, selector), (members, wanted)) in groups {
        let name = names.free(&namespace, &members, materials.ask.dropped);
        let id = ObjectId {
            kind: ObjectKind::CiliumNetworkPolicy,
            namespace,
            name,
        };
        let draft = materials.draft(id, selector, &members, wanted, &by_end, repairs);
        if !draft.is_empty() || !draft.withheld.is_empty() {
            all.push(draft);
        }
    }
    all.sort_by(|one, other| one.id.cmp(&other.id));
    (all, skipped)
}

/// Uses by who is at their ends, and names by who asked for them.
struct ByEnd<'a> {
    clients: BTreeMap<WorkloadKey, Vec<(usize, &'a Use)>>,
    servers: BTreeMap<WorkloadKey, Vec<(usize, &'a Use)>>,
    names: BTreeMap<WorkloadKey, Vec<&'a Names>>,
}

impl<'a> ByEnd<'a> {
    fn new(usage: &'a Usage) -> Self {
        let mut by_end = Self {
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        for (at, one) in usage.uses.iter().enumerate() {
            if let Some(key) = key_of(&one.client) {
                by_end.clients.entry(key).or_default().push((at, one));
            }
            if let Some(key) = key_of(&one.server) {
                by_end.servers.entry(key).or_default().push((at, one));
            }
        }
        for (client, _, asked) in &usage.names {
            if let Some(key) = key_of(client) {
                by_end.names.entry(key).or_default().push(asked);
            }
        }
        by_end
    }

    /// Uses towards a workload, or from it.
    fn of(&self, key: &WorkloadKey, direction: Direction) -> &[(usize, &'a Use)] {
        let by_end = match direction {
            Direction::Ingress => &self.servers,
            Direction::Egress => &self.clients,
        };
        by_end.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether a workload is at an end of any.
    fn has(&self, key: &WorkloadKey) -> bool {
        self.clients.contains_key(key) || self.servers.contains_key(key)
    }

    /// Names that any of these asked for.
    fn names(&self, members: &BTreeSet<WorkloadKey>) -> Names {
        let mut names = Names::default();
        for asked in members.iter().filter_map(|key| self.names.get(key)) {
            for asked in asked {
                names.merge(asked);
            }
        }
        names
    }
}

impl Materials<'_> {
    /// The policies that are there, of the cluster; flows need not name it.
    pub(super) fn compiled(&self) -> Arc<ClusterPolicies> {
        let name = Some(&**self.cluster).filter(|name| !name.is_empty());
        self.policies.cluster(name)
    }

    /// How many workloads are asked about.
    #[must_use]
    pub fn asked_for(&self) -> usize {
        let all = self.directory.iter();
        all.filter(|(key, member)| self.is_asked_for(key, member))
            .count()
    }

    fn is_asked_for(&self, key: &WorkloadKey, member: &Member) -> bool {
        let (cluster, namespace, name) = key;
        if cluster != self.cluster {
            return false;
        }
        let Ask {
            namespaces,
            workloads,
            ..
        } = self.ask;
        let named = workloads.contains(&(namespace.clone(), name.clone()));
        if named || namespaces.contains(namespace) {
            return true;
        }
        let everybody = namespaces.is_empty() && workloads.is_empty();
        let is_seen = member.pods > 0 || self.closes(key, member);
        everybody && is_seen && (self.ask.dropped || !SYSTEM.contains(&&**namespace))
    }

    /// Whether a workload of which nothing accepted was seen gets a policy all the same.
    fn closes(&self, key: &WorkloadKey, member: &Member) -> bool {
        match self.ask.unseen {
            Unseen::LeftOut => false,
            Unseen::All => true,
            Unseen::Standing => {
                let mut near = self.directory.of_namespace(&key.0, &key.1);
                !is_job(member) && near.any(|(_, other)| other.pods > 0)
            }
        }
    }

    /// In which directions a workload gets a policy: those in which none turns on default
    /// deny for all of its pods.
    ///
    /// # Errors
    /// Why it gets none, where that is worth saying.
    fn directions(
        &self,
        key: &WorkloadKey,
        member: &Member,
        cluster: &ClusterPolicies,
        by_end: &ByEnd<'_>,
    ) -> Result<[bool; 2], Option<String>> {
        let asked = SIDES.map(|side| self.ask.direction.is_none_or(|only| only == side));
        if let Some(needs) = self.needs {
            let wanted = [0, 1].map(|at| {
                let uses = by_end.of(key, SIDES[at]);
                asked[at] && uses.iter().any(|(use_at, _)| needs.has(*use_at, SIDES[at]))
            });
            return if wanted == [false; 2] {
                Err(None)
            } else {
                Ok(wanted)
            };
        }
        if member.pods == 0 && !self.closes(key, member) {
            return Err(Some("no flow shows it".to_owned()));
        }
        let covered = covered(member, cluster);
        let wanted = [0, 1].map(|at| asked[at] && !covered[at]);
        if wanted == [false; 2] {
            let by_name = !self.ask.workloads.is_empty();
            return Err(by_name.then(|| {
                "policies select it already: `flowwatch policy tighten` narrows them".to_owned()
            }));
        }
        if member.pods > 0 && !by_end.has(key) {
            let unclear = self.usage.unclear.contains(key) || self.usage.beyond > 0;
            if unclear || !self.closes(key, member) {
                return Err(Some("no accepted connection of it was seen".to_owned()));
            }
        }
        Ok(wanted)
    }

    fn draft(
        &self,
        id: ObjectId,
        selector: Selector,
        members: &BTreeSet<WorkloadKey>,
        wanted: [bool; 2],
        by_end: &ByEnd<'_>,
        repairs: &Repairs,
    ) -> Draft {
        let home = Home {
            cluster: self.cluster.clone(),
            namespace: Some(id.namespace.clone()),
        };
        let name: DraftName = (id.namespace.clone(), id.name.clone());
        let mut draft = Draft {
            id,
            selector,
            members: members.iter().cloned().collect(),
            sides: [None, None],
            adds: self.ask.dropped,
            quiet: !members.iter().any(|member| by_end.has(member)),
            readiness: Readiness::default(),
            newest: None,
            notes: notes(members, self.directory, by_end),
            withheld: Vec::new(),
        };
        let mut all: BTreeMap<usize, &Use> = BTreeMap::new();
        for (at, direction) in SIDES.into_iter().enumerate() {
            if !wanted[at] {
                continue;
            }
            if let Some(why) = repairs.withheld.get(&(name.clone(), direction)) {
                draft.withheld.push((direction, why.clone()));
                continue;
            }
            let uses: BTreeMap<usize, &Use> = members
                .iter()
                .flat_map(|member| by_end.of(member, direction))
                .filter(|(use_at, _)| self.needs.is_none_or(|needs| needs.has(*use_at, direction)))
                .map(|(use_at, one)| (*use_at, *one))
                .collect();
            all.extend(&uses);
            let own = (&home, &name);
            draft.sides[at] = Some(self.side(&uses, (members, by_end), direction, own, repairs));
        }
        (draft.readiness, draft.newest) = readiness(all.values().copied());
        draft
    }

    fn side(
        &self,
        uses: &BTreeMap<usize, &Use>,
        (members, by_end): (&BTreeSet<WorkloadKey>, &ByEnd<'_>),
        direction: Direction,
        (home, name): (&Home, &DraftName),
        repairs: &Repairs,
    ) -> Side {
        let naming = Naming {
            directory: self.directory,
            home: home.clone(),
            lets_host_in: self.policies.options().allow_localhost != AllowLocalhost::Policy,
        };
        let mut terms = naming.terms(uses.values().copied(), direction);
        for (of, way, port) in &repairs.nodes {
            if of == name && *way == direction {
                for node in NODES {
                    let wanted = terms.entry(Term::Entity(node.into())).or_default();
                    wanted.ports.entry(*port).or_default();
                }
            }
        }
        if direction == Direction::Egress {
            for ((of, port), addresses) in &repairs.addresses {
                if of == name {
                    beside(&mut terms, *port, addresses);
                }
            }
        }
        let lookups = match direction {
            // Only who calls asks.
            Direction::Ingress => Lookups::default(),
            Direction::Egress => {
                let any_name = repairs.any_name.contains(name);
                self.lookups(uses, members, by_end, any_name)
            }
        };
        let made = rules(
            &terms,
            &RuleOptions {
                home,
                direction,
                lookups: &lookups,
                http: self.ask.http && !repairs.no_paths.contains(name),
                queries: repairs.queries.contains(name),
                dns: true,
            },
        );
        let mut evidence = Evidence::default();
        for one in uses.values() {
            evidence.merge(&one.evidence);
        }
        Side {
            rules: made,
            evidence,
            edges: uses.len() as u64,
        }
    }

    /// What the look-ups of these were, for a rule that lets them.
    fn lookups(
        &self,
        uses: &BTreeMap<usize, &Use>,
        members: &BTreeSet<WorkloadKey>,
        by_end: &ByEnd<'_>,
        any_name: bool,
    ) -> Lookups {
        if any_name {
            return Lookups::anything(self.directory, "names beyond a list were asked for");
        }
        let called = uses.values().filter_map(|one| match &one.server {
            Peer::Name(name) => Some(name),
            _ => None,
        });
        let old = self.policies.options().version.minor < 19;
        Lookups::new(by_end.names(members), called, self.directory, old)
    }
}

/// Addresses that are allowed beside names.
fn beside(terms: &mut Terms, port: PortKey, addresses: &BTreeSet<std::net::IpAddr>) {
    for address in addresses {
        let wanted = terms
            .entry(Term::Prefix(ipnet::IpNet::from(*address)))
            .or_default();
        wanted.ports.entry(port).or_default();
        wanted
            .notes
            .insert("called when its name was not known".to_owned());
    }
}

/// In which directions policies turn on default deny for all pods of a workload.
fn covered(member: &Member, cluster: &ClusterPolicies) -> [bool; 2] {
    let mut covered = [!member.identities.is_empty(); 2];
    for index in member.indices(cluster) {
        let compiled = cluster.read();
        for (at, direction) in SIDES.into_iter().enumerate() {
            covered[at] &= compiled.selecting(index, direction).iter().any(|entry| {
                let entry = compiled.set().entries.get(*entry as usize);
                entry.is_some_and(|entry| entry.default_deny)
            });
        }
    }
    covered
}

fn is_job(member: &Member) -> bool {
    matches!(&*member.kind, "CronJob" | "Job")
}

fn notes(
    members: &BTreeSet<WorkloadKey>,
    directory: &Directory,
    by_end: &ByEnd<'_>,
) -> Vec<String> {
    let mut notes = Vec::new();
    if members.len() > 1 {
        let names: Vec<&str> = members.iter().map(|(_, _, name)| &**name).collect();
        notes.push(format!(
            "No label tells {} apart: this is for all of them.",
            names.join(" and ")
        ));
    }
    let is_unseen = |key| directory.get(key).is_some_and(|member| member.pods == 0);
    if members.iter().all(is_unseen) {
        notes.push(
            "Only manifests show it: nothing of it is known to be needed. Leave this out if it does something rarely."
                .to_owned(),
        );
    } else if !members.iter().any(|key| by_end.has(key)) {
        notes.push(
            "All that flows show of it is denied or flagged: nothing of it is known to be needed."
                .to_owned(),
        );
    }
    let jobs = members
        .iter()
        .filter(|key| directory.get(key).is_some_and(is_job));
    for (_, _, name) in jobs {
        notes.push(format!(
            "{name} is a job: what a run does that was not seen is denied."
        ));
    }
    notes
}

/// How far what was seen is: share of activity still unseen by Good and Turing, and the age.
fn readiness<'a>(uses: impl Iterator<Item = &'a Use>) -> (Readiness, Option<(i64, i64)>) {
    let mut readiness = Readiness {
        declared: Stage::Cold,
        ..Readiness::default()
    };
    let mut seen = Seen::default();
    let mut newest = i64::MIN;
    for one in uses {
        readiness.edges += 1;
        readiness.activity += u64::from(one.evidence.hours);
        readiness.once += u64::from(one.evidence.hours == 1);
        seen.merge(one.evidence.seen);
        if one.evidence.seen.first != i64::MAX && one.evidence.seen.first != NO_TIME {
            newest = newest.max(one.evidence.seen.first);
        }
    }
    let Some((first, last)) = seen.span() else {
        return (readiness, None);
    };
    readiness.observed = last.saturating_sub(first);
    (readiness, (newest > i64::MIN).then_some((newest, last)))
}

/// Names of policies that are taken.
struct Taken(BTreeSet<(Arc<str>, String)>);

impl Taken {
    fn new(policies: &Policies) -> Self {
        let set = policies.any_set();
        Self(
            set.objects
                .iter()
                .filter(|object| object.id.kind == ObjectKind::CiliumNetworkPolicy)
                .map(|object| (object.id.namespace.clone(), object.id.name.to_string()))
                .collect(),
        )
    }

    /// The name of the first member, as far as an object can be called so.
    fn free(
        &mut self,
        namespace: &Arc<str>,
        members: &BTreeSet<WorkloadKey>,
        adds: bool,
    ) -> Arc<str> {
        let own = members.first().map_or("workload", |(_, _, name)| name);
        let name: String = own
            .to_ascii_lowercase()
            .chars()
            .map(|one| {
                if one.is_ascii_alphanumeric() || one == '.' {
                    one
                } else {
                    '-'
                }
            })
            .take(MOST_LETTERS - 12)
            .collect();
        let name = name.trim_matches(['-', '.']);
        let mut name = if name.is_empty() { "workload" } else { name }.to_owned();
        if adds {
            name.push_str("-allow");
        }
        let suffixed = |round: usize| match round {
            0 => name.clone(),
            1 => format!("{name}-suggested"),
            round => format!("{name}-{round}"),
        };
        let free = (0..=MOST_NAMESAKES)
            .map(suffixed)
            .find(|name| !self.0.contains(&(namespace.clone(), name.clone())))
            .unwrap_or(name.clone());
        self.0.insert((namespace.clone(), free.clone()));
        free.into()
    }
}
