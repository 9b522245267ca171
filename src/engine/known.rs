//! What a thread remembers of one cluster while it judges.
//!
//! Owns who the endpoints of flows are, each looked at once, and the answers that were given
//! before. All of it is bounded and forgotten with the dictionaries whose ids it uses.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::changed::Changed;
use super::cluster_policies::ClusterPolicies;
use super::ledger::{Ledger, Position, Subject};
use super::names::Names;
use super::party::{Party, PartyKind};
use super::request::RequestIds;
use crate::flow::{Endpoint, EndpointId, ListId, RowRef, StrId};
use crate::inventory::Label;
use crate::policy::{
    BroadThresholds, Decision, Direction, Gap, IdentityIndex, Memo, Question, RulesId, Verdict,
};

/// Addresses and names remembered a cluster; beyond that they are forgotten together.
const MOST_OUTSIDE: usize = 1 << 17;
/// Answers about gaps that are remembered.
const MOST_GAPS: usize = 1 << 14;
/// Answers about missing policies that are remembered.
const MOST_MISSED: usize = 1 << 16;
/// Answers about requests that are remembered.
const MOST_REQUESTS: usize = 1 << 14;

/// What a thread remembers of one cluster.
pub(super) struct Known {
    pub(super) policies: Arc<ClusterPolicies>,
    memo: Memo,
    /// For each endpoint who it is.
    endpoints: Vec<Who>,
    outside: HashMap<(EndpointId, u32, u32), IdentityIndex, RandomState>,
    /// The same for those of which it is known that they have no other names.
    complete: HashMap<(EndpointId, u32, u32), IdentityIndex, RandomState>,
    nobody: IdentityIndex,
    /// Whether an identity is a pod: only these are expected to have a policy.
    pods: Vec<bool>,
    /// Whether policy may be asked of an identity as a subject.
    subjects: Vec<Option<bool>>,
    /// Gaps by what decides about them.
    gaps: HashMap<(RulesId, bool, Verdict), Option<Gap>, RandomState>,
    /// The last change of what decides about a subject, of one generation.
    changed: (
        u64,
        HashMap<(IdentityIndex, Direction), Change, RandomState>,
    ),
    /// Policies Hubble names, by kind, namespace and name: whether they were given.
    loaded: HashMap<PolicyIds, bool, RandomState>,
    /// Whose missing policies the ledger has been told.
    told: HashSet<(IdentityIndex, Direction, PolicyIds), RandomState>,
    /// From where on subjects miss a policy, and of which state of the ledger that is.
    missed: HashMap<(IdentityIndex, Direction), Option<Position>, RandomState>,
    missed_of: u64,
    /// What the proxy's rules say of requests, of one generation.
    requests: (u64, HashMap<Request, Verdict, RandomState>),
}

/// What is asked of the proxy: subject, peer, direction, protocol and port of the
/// connection, and what the request says.
type Request = (
    (IdentityIndex, IdentityIndex, Direction, u8, u16),
    RequestIds,
);

/// A policy that Hubble names: kind, namespace, name.
type PolicyIds = (StrId, StrId, StrId);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    NotAsked,
    /// The same in every flow.
    Is(IdentityIndex),
    /// Depends on the address, the names, or the node's labels.
    Varies,
}

/// An end of a row: its endpoint, its address, the names that the flow carries.
type Side<'a> = (EndpointId, Option<&'a Endpoint>, StrId, ListId);

type Change = Option<Arc<Changed>>;

#[derive(Clone, Copy)]
pub(super) enum End {
    Source,
    Destination,
}

impl Known {
    /// Remembers nothing yet.
    pub(super) fn new(policies: Arc<ClusterPolicies>) -> Self {
        Self {
            nobody: policies.nobody(),
            policies,
            memo: Memo::new(),
            endpoints: Vec::new(),
            outside: HashMap::default(),
            complete: HashMap::default(),
            pods: Vec::new(),
            subjects: Vec::new(),
            gaps: HashMap::default(),
            changed: Default::default(),
            loaded: HashMap::default(),
            told: HashSet::default(),
            missed: HashMap::default(),
            missed_of: 0,
            requests: Default::default(),
        }
    }

    /// Forgets what ids of dictionaries meant.
    pub(super) fn forget_ids(&mut self) {
        self.endpoints.clear();
        self.outside.clear();
        self.complete.clear();
        self.loaded.clear();
        self.told.clear();
        self.requests.1.clear();
    }

    pub(super) fn decide(&mut self, question: Question) -> Decision {
        let policies = &self.policies;
        self.memo.remember(policies.generation(), question, || {
            policies.read().answer(&question)
        })
    }

    /// What the rules of the proxy say of a request, given what the policies say of its
    /// connection.
    pub(super) fn request(
        &mut self,
        row: RowRef<'_>,
        question: &Question,
        decision: Decision,
    ) -> Verdict {
        let ask = |policies: &ClusterPolicies| {
            super::request::verdict(row, &policies.read(), question, decision)
        };
        let asks = matches!(
            decision.verdict,
            Verdict::Redirected | Verdict::AuthRequired
        );
        let Some(ids) = RequestIds::of(row).filter(|_| asks) else {
            return ask(&self.policies);
        };
        let generation = self.policies.generation();
        let (of, known) = &mut self.requests;
        if *of != generation || known.len() >= MOST_REQUESTS {
            known.clear();
            *of = generation;
        }
        let Question {
            subject,
            peer,
            direction,
            protocol,
            port,
        } = *question;
        let key = ((subject, peer, direction, protocol, port), ids);
        *known.entry(key).or_insert_with(|| ask(&self.policies))
    }

    pub(super) fn gap(&mut self, thresholds: BroadThresholds, decision: Decision) -> Option<Gap> {
        let key = (decision.rules, decision.enforced, decision.verdict);
        if self.gaps.len() > MOST_GAPS {
            self.gaps.clear();
        }
        *self
            .gaps
            .entry(key)
            .or_insert_with(|| thresholds.gap(&self.policies.read(), decision))
    }

    /// The last change of what decides about a subject; `since` is what was said of all
    /// policies.
    pub(super) fn changed(
        &mut self,
        subject: IdentityIndex,
        direction: Direction,
        since: Option<i64>,
    ) -> Change {
        let generation = self.policies.generation();
        let (of, known) = &mut self.changed;
        if *of != generation || known.len() > MOST_GAPS {
            known.clear();
            *of = generation;
        }
        known
            .entry((subject, direction))
            .or_insert_with(|| Changed::last(&self.policies.read(), subject, direction, since))
            .clone()
    }

    /// Whether Hubble names a policy of this direction that was not given.
    pub(super) fn names_missing(&mut self, row: RowRef<'_>, direction: Direction) -> bool {
        let Self {
            policies, loaded, ..
        } = self;
        let mut missing = false;
        for ids in named(row, direction) {
            let (kind, namespace, name) = ids;
            missing |= !*loaded.entry(ids).or_insert_with(|| {
                row.str(name).is_empty()
                    || policies.holds(row.str(kind), row.str(namespace), row.str(name))
            });
        }
        missing
    }

    /// Tells the ledger which policies Hubble names that were not given, and whose.
    pub(super) fn tell_missing(
        &mut self,
        row: RowRef<'_>,
        direction: Direction,
        ledger: &Ledger,
        at: Position,
    ) {
        if !self.names_missing(row, direction) {
            return;
        }
        let end = match direction {
            Direction::Ingress => End::Destination,
            Direction::Egress => End::Source,
        };
        let index = self.who(row, end, None);
        let Some(who) = self.policies.who(index) else {
            // What is outside has no policy.
            return;
        };
        if self.told.len() >= MOST_MISSED {
            self.told.clear();
        }
        for ids in named(row, direction) {
            let is_missing = self.loaded.get(&ids) == Some(&false);
            // Rows come in their order: the first place is the one that counts.
            if is_missing && self.told.insert((index, direction, ids)) {
                let subject = Subject {
                    cluster: self.policies.name().clone(),
                    who: who.clone(),
                    direction,
                };
                let (kind, namespace, name) = ids;
                ledger.miss(subject, [kind, namespace, name].map(|id| row.str(id)), at);
            }
        }
    }

    /// Whether a policy of the subject was missed before, and is still.
    pub(super) fn misses(
        &mut self,
        index: IdentityIndex,
        direction: Direction,
        ledger: &Ledger,
        at: Position,
    ) -> bool {
        let misses = ledger.misses();
        if misses == 0 {
            return false;
        }
        if self.missed_of != misses || self.missed.len() >= MOST_MISSED {
            self.missed_of = misses;
            self.missed.clear();
        }
        let policies = &self.policies;
        let first = *self.missed.entry((index, direction)).or_insert_with(|| {
            let subject = Subject {
                cluster: policies.name().clone(),
                who: policies.who(index)?,
                direction,
            };
            ledger.missed(&subject, |kind, namespace, name| {
                policies.holds(kind, namespace, name)
            })
        });
        first.is_some_and(|first| first < at)
    }

    /// Whether an endpoint was found to be the same in every flow.
    pub(super) fn is_settled(&self, id: EndpointId) -> bool {
        matches!(self.endpoints.get(id.0 as usize), Some(Who::Is(_)))
    }

    /// Whether policy is enforced for an identity, or nothing is known of it.
    pub(super) fn is_subject(&mut self, index: IdentityIndex) -> bool {
        if index == self.nobody {
            return true;
        }
        let at = index.0 as usize;
        if at > MOST_OUTSIDE << 2 {
            return self.policies.read().is_endpoint(index);
        }
        if self.subjects.len() <= at {
            self.subjects.resize(at + 1, None);
        }
        let policies = &self.policies;
        *self.subjects[at].get_or_insert_with(|| policies.read().is_endpoint(index))
    }

    pub(super) fn is_pod(&self, index: IdentityIndex) -> bool {
        self.pods.get(index.0 as usize).is_some_and(|pod| *pod)
    }

    /// Who a side is; with what DNS told before, where that is given.
    pub(super) fn who(
        &mut self,
        row: RowRef<'_>,
        end: End,
        told: Option<&Names<'_>>,
    ) -> IdentityIndex {
        let (id, endpoint, address, names) = match end {
            End::Source => (
                row.source(),
                row.source_endpoint(),
                row.source_ip(),
                row.source_names(),
            ),
            End::Destination => (
                row.destination(),
                row.destination_endpoint(),
                row.destination_ip(),
                row.destination_names(),
            ),
        };
        let index = id.0 as usize;
        if self.endpoints.len() <= index {
            self.endpoints.resize(index + 1, Who::NotAsked);
        }
        match self.endpoints[index] {
            Who::Is(who) => return who,
            Who::Varies => {
                if let Some(who) = self.outside.get(&(id, address.0, names.0)) {
                    return self.told(*who, row, (id, endpoint, address, names), told);
                }
            }
            Who::NotAsked => {}
        }
        let dictionaries = row.dictionaries();
        let altered = endpoint.and_then(|endpoint| self.policies.altered(endpoint));
        let endpoint = altered.as_ref().or(endpoint);
        match Party::of(endpoint, row.str(address), dictionaries.list(names)) {
            Party::Known {
                mut identity,
                kind: kind @ (PartyKind::Outside | PartyKind::Node),
            } => {
                self.endpoints[index] = Who::Varies;
                let local_host = identity
                    .labels
                    .iter()
                    .any(|label| &*label.source == "reserved" && &*label.key == "host");
                if local_host {
                    identity.subject_labels = Some(host_labels(row, &identity.labels));
                }
                let who = self.policies.index(identity, kind == PartyKind::Outside);
                if self.outside.len() >= MOST_OUTSIDE {
                    self.outside.clear();
                }
                // The host's labels are the node's, which is not in the key.
                if !local_host {
                    self.outside.insert((id, address.0, names.0), who);
                }
                if kind == PartyKind::Outside {
                    return self.told(who, row, (id, endpoint, address, names), told);
                }
                who
            }
            Party::Known { identity, kind } => {
                let who = self.policies.index(identity, false);
                if kind == PartyKind::Pod {
                    let index = who.0 as usize;
                    if self.pods.len() <= index {
                        self.pods.resize(index + 1, false);
                    }
                    self.pods[index] = true;
                }
                self.endpoints[index] = Who::Is(who);
                who
            }
            // An address may tell more in another flow.
            Party::Unknown => self.nobody,
        }
    }
}

impl Known {
    /// The same address with the names that DNS gave for it before, where rules ask for
    /// names and a flow does not carry them.
    fn told(
        &mut self,
        who: IdentityIndex,
        row: RowRef<'_>,
        (id, endpoint, address, names): Side<'_>,
        told: Option<&Names<'_>>,
    ) -> IdentityIndex {
        let Some(told) = told.filter(|_| self.policies.names_matter()) else {
            return who;
        };
        let text = row.str(address);
        let Ok(parsed) = text.parse() else {
            return who;
        };
        let found = told.of(row, endpoint, parsed);
        let complete = found.doubt.is_none();
        if found.names.is_empty() {
            if !complete {
                return who;
            }
            if let Some(who) = self.complete.get(&(id, address.0, names.0)) {
                return *who;
            }
        }
        let all = row
            .dictionaries()
            .list(names)
            .chain(found.names.iter().map(AsRef::as_ref));
        let Party::Known {
            mut identity,
            kind: PartyKind::Outside,
        } = Party::of(endpoint, text, all)
        else {
            return who;
        };
        identity.names_complete = complete;
        let who = self.policies.index(identity, true);
        if found.names.is_empty() {
            if self.complete.len() >= MOST_OUTSIDE {
                self.complete.clear();
            }
            self.complete.insert((id, address.0, names.0), who);
        }
        who
    }
}

/// The host endpoint as a subject carries the labels of its node.
fn host_labels(row: RowRef<'_>, labels: &[Label]) -> Vec<Label> {
    let of_node = row
        .dictionaries()
        .list(row.node_labels())
        .filter_map(|text| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            crate::inventory::identity_relevant(key).then(|| Label::new("k8s", key, value))
        });
    labels.iter().cloned().chain(of_node).collect()
}

/// Policies that Hubble names in this direction: kind, namespace, name.
pub(super) fn named(
    row: RowRef<'_>,
    direction: Direction,
) -> impl Iterator<Item = PolicyIds> + use<'_> {
    row.extra().into_iter().flat_map(move |extra| {
        let (allowed, denied) = match direction {
            Direction::Ingress => (&extra.ingress_allowed_by, &extra.ingress_denied_by),
            Direction::Egress => (&extra.egress_allowed_by, &extra.egress_denied_by),
        };
        allowed
            .iter()
            .chain(denied)
            .map(|policy| (policy.kind, policy.namespace, policy.name))
    })
}
