//! From a row to a judgement.
//!
//! Owns finding who the two sides are (an endpoint is looked at once), which direction is
//! asked about, and putting the answer beside what was recorded. One judge a thread; the
//! policies are shared.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::agreement::Agreement;
use super::event::{Apart, Event};
use super::memo::{Memo, Question};
use super::party::{Party, PartyKind, cluster};
use super::policies::{ClusterPolicies, Policies};
use crate::flow::{EndpointId, Protocol, RowRef, StrId};
use crate::inventory::Label;
use crate::policy::{BroadThresholds, Cause, Decision, Direction, Gap, IdentityIndex, Verdict};

/// Addresses and names remembered a cluster; beyond that they are forgotten together.
const MOST_OUTSIDE: usize = 1 << 17;

/// What is said about a flow.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What the recorded event says.
    pub event: Event,
    /// The answer of the policies in the direction the event speaks of; `None` where it
    /// speaks of none.
    pub computed: Option<Computed>,
    /// Whether the two agree.
    pub agreement: Agreement,
    /// Why the flow is a gap, if it is one.
    pub gap: Option<Gap>,
}

/// A computed verdict.
#[derive(Clone, Debug)]
pub struct Computed {
    /// The policies that were asked.
    pub policies: Arc<ClusterPolicies>,
    /// Whose policy.
    pub subject: IdentityIndex,
    /// In which direction.
    pub direction: Direction,
    /// For a connection: its verdict. For a request: that of the rules of layer 7.
    pub verdict: Verdict,
    /// The connection's decision.
    pub decision: Decision,
}

/// Judges rows, one after the other.
pub struct Judge {
    policies: Arc<Policies>,
    thresholds: BroadThresholds,
    epoch: Option<u64>,
    /// For each endpoint the cluster it would be a subject in.
    clusters: Vec<Option<usize>>,
    known: Vec<Known>,
}

/// What a thread remembers of one cluster.
struct Known {
    policies: Arc<ClusterPolicies>,
    memo: Memo,
    /// For each endpoint who it is.
    endpoints: Vec<Who>,
    outside: HashMap<(EndpointId, u32, u32), IdentityIndex, RandomState>,
    nobody: IdentityIndex,
    /// Whether an identity is a pod: only these are expected to have a policy.
    pods: Vec<bool>,
    /// Policies Hubble names, by kind, namespace and name: whether they were given.
    loaded: HashMap<(StrId, StrId, StrId), bool, RandomState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    NotAsked,
    /// The same in every flow.
    Is(IdentityIndex),
    /// Depends on the address, the names, or the node's labels.
    Varies,
}

impl Judge {
    /// Makes a judge.
    #[must_use]
    pub fn new(policies: Arc<Policies>) -> Self {
        Self {
            policies,
            thresholds: BroadThresholds::default(),
            epoch: None,
            clusters: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Judges a row.
    pub fn judge(&mut self, row: RowRef<'_>) -> Judgement {
        let event = Event::of(row);
        let Some(direction) = event.direction() else {
            return apart(event);
        };
        let Some((protocol, port)) = layer4(row) else {
            return apart(Event::Apart(Apart::NoDecision));
        };
        let epoch = row.dictionaries().epoch();
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.clusters.clear();
            for known in &mut self.known {
                known.endpoints.clear();
                known.outside.clear();
                known.loaded.clear();
            }
        }
        let at = self.cluster(row, direction);
        let known = &mut self.known[at];
        let source = known.who(row, End::Source);
        let destination = known.who(row, End::Destination);
        let (subject, peer) = match direction {
            Direction::Ingress => (destination, source),
            Direction::Egress => (source, destination),
        };
        let question = Question {
            subject,
            peer,
            direction,
            protocol,
            port,
        };
        let policies = &known.policies;
        let decision = known.memo.get(policies.generation(), question, || {
            policies
                .read()
                .decide(subject, direction, peer, protocol, port)
        });
        let decision = if self.policies.strict() {
            decision.strict()
        } else {
            decision
        };
        let mut verdict = decision.verdict;
        if let Event::Request { .. } = event {
            verdict = super::request::verdict(row, &policies.read(), &question, decision);
        }
        let loaded = &mut known.loaded;
        let missing = named(row, direction).any(|(kind, namespace, name)| {
            !row.str(name).is_empty()
                && !*loaded.entry((kind, namespace, name)).or_insert_with(|| {
                    policies.holds(row.str(kind), row.str(namespace), row.str(name))
                })
        });
        if missing {
            verdict = Verdict::Unknown(Cause::PolicyNotLoaded);
        }
        let gap = if event.went_on() && known.is_pod(subject) {
            self.thresholds.gap(&policies.read(), decision)
        } else {
            None
        };
        Judgement {
            event,
            agreement: Agreement::of(event, verdict),
            gap,
            computed: Some(Computed {
                policies: policies.clone(),
                subject,
                direction,
                verdict,
                decision,
            }),
        }
    }

    /// Position of the cluster whose policies the subject is under.
    fn cluster(&mut self, row: RowRef<'_>, direction: Direction) -> usize {
        let (id, endpoint) = match direction {
            Direction::Ingress => (row.destination(), row.destination_endpoint()),
            Direction::Egress => (row.source(), row.source_endpoint()),
        };
        let index = id.0 as usize;
        if let Some(Some(at)) = self.clusters.get(index) {
            return *at;
        }
        let name = cluster(endpoint, row.str(row.node()));
        let policies = self.policies.cluster(name);
        let at = self
            .known
            .iter()
            .position(|known| Arc::ptr_eq(&known.policies, &policies));
        let at = at.unwrap_or_else(|| {
            self.known.push(Known {
                nobody: policies.nobody(),
                policies,
                memo: Memo::new(),
                endpoints: Vec::new(),
                outside: HashMap::default(),
                pods: Vec::new(),
                loaded: HashMap::default(),
            });
            self.known.len() - 1
        });
        // Without its own word the cluster follows from the node, which may change.
        if cluster(endpoint, "").is_some() {
            if self.clusters.len() <= index {
                self.clusters.resize(index + 1, None);
            }
            self.clusters[index] = Some(at);
        }
        at
    }
}

#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

impl Known {
    fn is_pod(&self, index: IdentityIndex) -> bool {
        self.pods.get(index.0 as usize).is_some_and(|pod| *pod)
    }

    fn who(&mut self, row: RowRef<'_>, end: End) -> IdentityIndex {
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
                    return *who;
                }
            }
            Who::NotAsked => {}
        }
        let dictionaries = row.dictionaries();
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

fn apart(event: Event) -> Judgement {
    Judgement {
        event,
        computed: None,
        agreement: Agreement::NotCompared,
        gap: None,
    }
}

/// IANA number and destination port (ICMP type) of a row.
fn layer4(row: RowRef<'_>) -> Option<(u8, u16)> {
    let icmp = || {
        let icmp = row.extra().and_then(|extra| extra.icmp)?;
        u16::try_from(icmp.kind).ok()
    };
    let port = u16::try_from(row.destination_port()).ok()?;
    Some(match row.protocol() {
        Protocol::Tcp => (6, port),
        Protocol::Udp => (17, port),
        Protocol::Sctp => (132, port),
        Protocol::Icmpv4 => (1, icmp()?),
        Protocol::Icmpv6 => (58, icmp()?),
        Protocol::Vrrp => (112, 0),
        Protocol::Igmp => (2, 0),
        Protocol::None => return None,
    })
}

/// Policies that Hubble names in this direction: kind, namespace, name.
fn named(
    row: RowRef<'_>,
    direction: Direction,
) -> impl Iterator<Item = (StrId, StrId, StrId)> + use<'_> {
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
