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
use super::ledger::{Ledger, Position};
use super::party::{Party, PartyKind, cluster};
use super::policies::{ClusterPolicies, Policies};
use crate::flow::{self, EndpointId, FlowBatch, L7, L7Record, L7Type, Protocol, RowRef, StrId};
use crate::inventory::Label;
use crate::policy::{
    BroadThresholds, Cause, Decision, Direction, Gap, IdentityIndex, Memo, Question, RulesId,
    Verdict,
};

/// Addresses and names remembered a cluster; beyond that they are forgotten together.
const MOST_OUTSIDE: usize = 1 << 17;
/// Answers about gaps that are remembered.
const MOST_GAPS: usize = 1 << 14;

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
    /// The cluster whose policies were asked, as [`Judge::policies`] counts them.
    pub cluster: usize,
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
    /// Position of the first row of the batch.
    at: Position,
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
    /// Gaps by what decides about them.
    gaps: HashMap<(RulesId, bool, Verdict), Option<Gap>, RandomState>,
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
            at: Position::default(),
        }
    }

    /// Begins a piece: takes what its batches tell about later flows, and waits until every
    /// piece before it has done so too.
    pub fn begin(&mut self, piece: u64, batches: &[FlowBatch]) {
        self.at = Position { piece, row: 0 };
        for batch in batches {
            self.learn(batch);
            self.at.row += batch.len() as u64;
        }
        self.at.row = 0;
        self.policies.ledger().publish(piece);
        self.policies.ledger().wait_for(piece);
    }

    /// Says that the rows of a batch were judged.
    pub fn end_of(&mut self, batch: &FlowBatch) {
        self.at.row += batch.len() as u64;
    }

    fn learn(&mut self, batch: &FlowBatch) {
        for row in batch.rows() {
            let Some(extra) = row.extra() else {
                continue;
            };
            if let Some(l7) = &extra.l7 {
                self.learn_names(row, l7);
                continue;
            }
            let Some(direction) = Event::of(row).direction() else {
                continue;
            };
            if named(row, direction).next().is_none() {
                continue;
            }
            let at = self.at_of(row);
            let known = self.known_of(row, direction);
            if known.names_missing(row, direction) {
                let end = match direction {
                    Direction::Ingress => End::Destination,
                    Direction::Egress => End::Source,
                };
                let subject = known.who(row, end, None);
                let subject = (Arc::as_ptr(&known.policies) as usize, subject, direction);
                self.policies.ledger().miss(subject, at);
            }
        }
    }

    /// A DNS answer that the proxy of a node passed on.
    fn learn_names(&mut self, row: RowRef<'_>, l7: &L7) {
        let Some(L7Record::Dns(dns)) = &l7.record else {
            return;
        };
        let time = row.time();
        if l7.kind != L7Type::RESPONSE || row.verdict() != flow::Verdict::FORWARDED {
            return;
        }
        let Some(time) = time else {
            return;
        };
        let seconds = match dns.ttl {
            // No answer with a time to live.
            u32::MAX => 0,
            seconds => i64::from(seconds),
        };
        let until = time.saturating_add(seconds.saturating_mul(1_000_000_000));
        let name: Arc<str> = row
            .str(dns.query)
            .trim_end_matches('.')
            .to_ascii_lowercase()
            .into();
        for address in row.dictionaries().list(dns.ips) {
            if let Ok(address) = address.parse() {
                let node = Arc::from(row.str(row.node()));
                let at = self.at_of(row);
                self.policies
                    .ledger()
                    .resolve((node, address), name.clone(), (time, until), at);
            }
        }
    }

    fn at_of(&self, row: RowRef<'_>) -> Position {
        Position {
            row: self.at.row + row.index() as u64,
            ..self.at
        }
    }

    /// What is remembered of the cluster whose policies the subject is under.
    fn known_of(&mut self, row: RowRef<'_>, direction: Direction) -> &mut Known {
        self.forget_other_epochs(row);
        let at = self.cluster(row, direction);
        &mut self.known[at]
    }

    /// Ids mean something in one epoch of dictionaries only.
    fn forget_other_epochs(&mut self, row: RowRef<'_>) {
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
    }

    /// The policies of a cluster that a judgement is about.
    ///
    /// # Panics
    /// When the number is not of a judgement of this judge.
    #[must_use]
    pub fn policies(&self, cluster: usize) -> &Arc<ClusterPolicies> {
        &self.known[cluster].policies
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
        let at = self.at_of(row);
        let strict = self.policies.strict();
        self.forget_other_epochs(row);
        let cluster = self.cluster(row, direction);
        let Self {
            policies,
            thresholds,
            known,
            ..
        } = self;
        let ledger = policies.ledger();
        let known = &mut known[cluster];
        let source = known.who(row, End::Source, Some((ledger, at)));
        let destination = known.who(row, End::Destination, Some((ledger, at)));
        let (subject, peer) = match direction {
            Direction::Ingress => (destination, source),
            Direction::Egress => (source, destination),
        };
        let question = Question {
            subject,
            direction,
            peer,
            protocol,
            port,
        };
        let mut decision = known.decide(question);
        if strict {
            decision = decision.strict();
        }
        let mut verdict = decision.verdict;
        if let Event::Request { .. } = event {
            verdict = super::request::verdict(row, &known.policies.read(), &question, decision);
        }
        let place = Arc::as_ptr(&known.policies) as usize;
        // A certain denial by a rule stays one, whatever else there is.
        if verdict != Verdict::DeniedByRule
            && (known.names_missing(row, direction)
                || ledger.misses((place, subject, direction), at))
        {
            verdict = Verdict::Unknown(Cause::PolicyNotLoaded);
        }
        let certain = matches!(verdict, Verdict::Allowed | Verdict::Redirected);
        let gap = if certain && event.was_let_on() && known.is_pod(subject) {
            known.gap(*thresholds, decision)
        } else {
            None
        };
        Judgement {
            event,
            agreement: Agreement::of(event, verdict),
            gap,
            computed: Some(Computed {
                cluster,
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
                gaps: HashMap::default(),
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
    fn decide(&mut self, question: Question) -> Decision {
        let policies = &self.policies;
        self.memo.remember(policies.generation(), question, || {
            policies.read().decide(
                question.subject,
                question.direction,
                question.peer,
                question.protocol,
                question.port,
            )
        })
    }

    fn gap(&mut self, thresholds: BroadThresholds, decision: Decision) -> Option<Gap> {
        let key = (decision.rules, decision.enforced, decision.verdict);
        if self.gaps.len() > MOST_GAPS {
            self.gaps.clear();
        }
        *self
            .gaps
            .entry(key)
            .or_insert_with(|| thresholds.gap(&self.policies.read(), decision))
    }

    /// Whether Hubble names a policy of this direction that was not given.
    fn names_missing(&mut self, row: RowRef<'_>, direction: Direction) -> bool {
        let Self {
            policies, loaded, ..
        } = self;
        named(row, direction).any(|(kind, namespace, name)| {
            !row.str(name).is_empty()
                && !*loaded.entry((kind, namespace, name)).or_insert_with(|| {
                    policies.holds(row.str(kind), row.str(namespace), row.str(name))
                })
        })
    }

    fn is_pod(&self, index: IdentityIndex) -> bool {
        self.pods.get(index.0 as usize).is_some_and(|pod| *pod)
    }

    /// Who a side is; with what DNS told before, where that is given.
    fn who(
        &mut self,
        row: RowRef<'_>,
        end: End,
        told: Option<(&Ledger, Position)>,
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
                    return self.told(*who, row, address, told);
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
                if kind == PartyKind::Outside {
                    return self.told(who, row, address, told);
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
        address: StrId,
        told: Option<(&Ledger, Position)>,
    ) -> IdentityIndex {
        let (Some((ledger, at)), Some(time), true) =
            (told, row.time(), self.policies.names_matter())
        else {
            return who;
        };
        let text = row.str(address);
        let Ok(address) = text.parse() else {
            return who;
        };
        let names = ledger.names(row.str(row.node()), address, time, at);
        if names.is_empty() {
            return who;
        }
        let end = if text == row.str(row.source_ip()) {
            (row.source_endpoint(), row.source_names())
        } else {
            (row.destination_endpoint(), row.destination_names())
        };
        let all = row
            .dictionaries()
            .list(end.1)
            .chain(names.iter().map(AsRef::as_ref));
        match Party::of(end.0, text, all) {
            Party::Known {
                identity,
                kind: PartyKind::Outside,
            } => self.policies.index(identity, true),
            _ => who,
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
