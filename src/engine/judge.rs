//! From a row to a judgement.
//!
//! Owns finding who the two sides are (an endpoint is looked at once), which direction is
//! asked about, and putting the answer beside what was recorded. One judge a thread; the
//! policies are shared, and may give way to others between two pieces.

use std::sync::Arc;

use super::agreement::Agreement;
use super::asking::{Asking, Holds};
use super::changed::Changed;
use super::cluster_policies::ClusterPolicies;
use super::current::Current;
use super::event::Event;
use super::known::{Known, named};
use super::ledger::Position;
use super::names::{Names, NamesDoubt};
use super::party::{Party, cluster};
use super::policies::Policies;
use super::posed::Posed;
use super::request::RequestIds;
use super::watch::{Changes, DnsRecord, Watches};
use crate::flow::{self, Endpoint, FlowBatch, L7, L7Record, L7Type, ListId, RowRef, StrId};
use crate::policy::{
    BroadThresholds, Cause, Decision, Direction, Gap, IdentityIndex, Question, Verdict,
};

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
    /// Where they disagree and a policy is younger than the flow: that policy.
    pub changed: Option<Arc<Changed>>,
    /// Where the verdict is unknown because the address may have a name: what is recorded
    /// of its names.
    pub names: Option<Box<NamesSeen>>,
}

/// What is recorded of the names of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesSeen {
    /// The node whose DNS counts.
    pub node: Arc<str>,
    /// Why it may have a name that is not known.
    pub doubt: NamesDoubt,
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

/// Whose policies an endpoint is under, once it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    NotAsked,
    /// Those of a cluster, by its position.
    Of(usize),
    /// Those of the cluster of the node that saw it.
    OfNode,
}

/// Judges rows, one after the other.
pub struct Judge {
    pub(super) policies: Arc<Policies>,
    /// Where other policies come from, and which of them these are.
    current: Option<(Arc<Current>, u64)>,
    thresholds: BroadThresholds,
    epoch: Option<u64>,
    /// For each endpoint the cluster it would be a subject in.
    clusters: Vec<Subject>,
    /// The cluster of each node, which counts for those of whom the flow does not say it.
    nodes: Vec<Option<usize>>,
    pub(super) known: Vec<Known>,
    /// For each of them its number among all policies, the same on every thread.
    places: Vec<u32>,
    /// Position of the first row of the batch.
    at: Position,
    /// Flows were selected before they come here.
    selected: bool,
    /// What is recorded of the DNS of nodes: in the piece, and after it.
    dns: (Changes, Watches),
}

impl Judge {
    /// Makes a judge.
    #[must_use]
    pub fn new(policies: Arc<Policies>) -> Self {
        Self {
            policies,
            current: None,
            thresholds: BroadThresholds::default(),
            epoch: None,
            clusters: Vec::new(),
            nodes: Vec::new(),
            known: Vec::new(),
            places: Vec::new(),
            at: Position::default(),
            selected: false,
            dns: <(Changes, Watches)>::default(),
        }
    }

    /// Makes a judge by the policies of the moment, which are looked for at
    /// [`Self::renew`].
    #[must_use]
    pub fn current(current: Arc<Current>) -> Self {
        let (policies, number) = current.get();
        Self {
            current: Some((current, number)),
            ..Self::new(policies)
        }
    }

    /// Takes the policies of the moment, between two pieces: a piece is judged by one
    /// set. Returns whether they are others; then what was remembered of judgements
    /// before does not count.
    pub fn renew(&mut self) -> bool {
        let Some((current, number)) = &mut self.current else {
            return false;
        };
        if current.number() == *number {
            return false;
        }
        (self.policies, *number) = current.get();
        self.epoch = None;
        self.clusters.clear();
        self.nodes.clear();
        self.known.clear();
        self.places.clear();
        true
    }

    /// Says whether flows are selected before they come here: then what is not among them
    /// may have happened all the same.
    #[must_use]
    pub fn of_selected(mut self, selected: bool) -> Self {
        self.selected = selected;
        self
    }

    /// Begins a piece of an input: takes what its batches tell about later flows, and waits
    /// until every piece before it has done so too. What is recorded without a hole is so
    /// within one input only.
    pub fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        self.at = Position { piece, row: 0 };
        for batch in batches {
            self.learn(batch);
            self.at.row += batch.len() as u64;
        }
        self.at.row = 0;
        let ledger = self.policies.ledger();
        ledger.wait_for(piece);
        self.dns = ledger.watch(input, batches);
        ledger.publish(piece);
    }

    /// One side of a row as it is judged: with the names that DNS gave for its address.
    #[must_use]
    pub fn party(
        &self,
        row: RowRef<'_>,
        endpoint: Option<&Endpoint>,
        address: StrId,
        names: ListId,
    ) -> Party {
        let text = row.str(address);
        let names = row.dictionaries().list(names);
        let party = Party::of(endpoint, text, names.clone());
        let (true, Ok(address)) = (party.is_outside(), text.parse()) else {
            return party;
        };
        let of_address = self.names(row).of(row, endpoint, address);
        let all = names.chain(of_address.names.iter().map(AsRef::as_ref));
        match Party::of(endpoint, text, all) {
            Party::Known { mut identity, kind } => {
                identity.names_complete = of_address.doubt.is_none();
                Party::Known { identity, kind }
            }
            Party::Unknown => party,
        }
    }

    /// Why the destination of a row may have a name that is not known; `None` where that is
    /// known, or where it has no address.
    #[must_use]
    pub fn names_seen(&self, row: RowRef<'_>) -> Option<NamesSeen> {
        seen(row, &self.names(row))
    }

    fn names(&self, row: RowRef<'_>) -> Names<'_> {
        let at = self.at_of(row);
        Names {
            ledger: self.policies.ledger(),
            at,
            options: self.policies.options(),
            record: self.record(row, at),
        }
    }

    /// What is recorded of the DNS of the node that a row's subject is on.
    pub(super) fn record(&self, row: RowRef<'_>, at: Position) -> Result<DnsRecord, NamesDoubt> {
        let here = match Event::of(row) {
            // Policy and proxy are asked on the node of the endpoint; packets come by others.
            Event::Answer { .. } | Event::Request { .. } => true,
            _ => row.source_endpoint().is_some_and(|source| source.id != 0),
        };
        if !here {
            return Err(NamesDoubt::OtherNode);
        }
        if self.selected {
            return Err(NamesDoubt::Selected);
        }
        let (changes, after) = &self.dns;
        Ok(changes.record(row.str(row.node()), at.row, after))
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
            self.forget_other_epochs(row);
            let cluster = self.cluster(row, direction);
            let Self {
                policies, known, ..
            } = self;
            known[cluster].tell_missing(row, direction, policies.ledger(), at);
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
        let seconds = seconds.max(i64::from(self.policies.options().min_ttl));
        let until = time.saturating_add(seconds.saturating_mul(1_000_000_000));
        let name = row.str(dns.query).trim_end_matches('.');
        let name = name.to_ascii_lowercase();
        let (node, at) = (row.str(row.node()), self.at_of(row));
        for address in row.dictionaries().list(dns.ips) {
            if let Ok(address) = address.parse() {
                let ledger = self.policies.ledger();
                ledger.resolve((node, address), &name, (time, until), at);
            }
        }
    }

    pub(super) fn at_of(&self, row: RowRef<'_>) -> Position {
        Position {
            row: self.at.row + row.index() as u64,
            ..self.at
        }
    }

    /// Ids mean something in one epoch of dictionaries only.
    pub(super) fn forget_other_epochs(&mut self, row: RowRef<'_>) {
        let epoch = row.dictionaries().epoch();
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.clusters.clear();
            self.nodes.clear();
            for known in &mut self.known {
                known.forget_ids();
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

    /// The number that every thread has for a cluster, as [`Policies::place`] gives it.
    pub fn place(&mut self, cluster: usize) -> u32 {
        while self.places.len() <= cluster {
            let policies = &self.known[self.places.len()].policies;
            self.places.push(self.policies.place(policies));
        }
        self.places[cluster]
    }

    /// Judges a row.
    pub fn judge(&mut self, row: RowRef<'_>) -> Judgement {
        match Asking::of(row) {
            Ok(asking) => self.answer(row, asking).0,
            Err(event) => apart(event),
        }
    }

    /// Judges a row that is about a connection. Beside it for how long the same holds of
    /// every row between the same endpoints that asks the same; `None` where it hangs on
    /// more than that.
    pub fn answer(&mut self, row: RowRef<'_>, asking: Asking) -> (Judgement, Option<Holds>) {
        let Asking {
            event,
            direction,
            protocol,
            port,
        } = asking;
        let posed = self.pose(row, direction, (protocol, port));
        let Posed {
            cluster,
            question,
            names_matter,
        } = posed;
        let generation = self.known[cluster].policies.generation();
        let decision = self.decide(&posed);
        let mut verdict = decision.verdict;
        if let Event::Request { .. } = event {
            verdict = self.known[cluster].request(row, &question, decision);
        }
        // A certain denial by a rule stays one, whatever else there is.
        let misses = verdict != Verdict::DeniedByRule && self.is_missing(row, &posed);
        if misses {
            verdict = Verdict::Unknown(Cause::PolicyNotLoaded);
        }
        let Question {
            subject, direction, ..
        } = question;
        let known = &mut self.known[cluster];
        let certain = matches!(verdict, Verdict::Allowed | Verdict::Redirected);
        let gap = if certain && event.was_let_on() && known.is_pod(subject) {
            known.gap(self.thresholds, decision)
        } else {
            None
        };
        let mut agreement = Agreement::of(event, verdict);
        let changed = row
            .time()
            .filter(|_| agreement == Agreement::Drift)
            .and_then(|time| {
                let change = known.changed(subject, direction, self.policies.since());
                change.filter(|change| change.is_after(time))
            });
        if changed.is_some() {
            agreement = Agreement::ChangedSince;
        }
        let repeats = is_repeatable(row, event)
            && !misses
            && !matches!(agreement, Agreement::Drift | Agreement::ChangedSince)
            && known.is_settled(row.source())
            && known.is_settled(row.destination())
            && self.is_settled(row, direction)
            && self.policies.ledger().misses() == 0;
        let judgement = Judgement {
            event,
            agreement,
            changed,
            gap,
            names: (names_matter && verdict == Verdict::Unknown(Cause::NameNotObserved))
                .then(|| self.names_seen(row))
                .flatten()
                .map(Box::new),
            computed: Some(Computed {
                cluster,
                subject,
                direction,
                verdict,
                decision,
            }),
        };
        let holds = repeats.then_some(Holds {
            cluster,
            generation,
        });
        (judgement, holds)
    }

    /// Whether what was answered holds still, for a row that asks the same.
    pub fn holds(&mut self, row: RowRef<'_>, asking: Asking, holds: Holds) -> bool {
        self.policies.ledger().misses() == 0
            && self.known.get_mut(holds.cluster).is_some_and(|known| {
                known.policies.generation() == holds.generation
                    && !known.names_missing(row, asking.direction)
            })
    }

    /// Whether the cluster of a row's subject does not hang on the node.
    fn is_settled(&self, row: RowRef<'_>, direction: Direction) -> bool {
        self.settled(row, direction).is_some()
    }

    /// The cluster of a row's subject, if it does not hang on the node.
    pub(super) fn settled(&self, row: RowRef<'_>, direction: Direction) -> Option<usize> {
        let id = match direction {
            Direction::Ingress => row.destination(),
            Direction::Egress => row.source(),
        };
        match self.clusters.get(id.0 as usize)? {
            Subject::Of(at) => Some(*at),
            _ => None,
        }
    }

    /// Position of the cluster whose policies the subject is under.
    pub(super) fn cluster(&mut self, row: RowRef<'_>, direction: Direction) -> usize {
        let (id, endpoint) = match direction {
            Direction::Ingress => (row.destination(), row.destination_endpoint()),
            Direction::Egress => (row.source(), row.source_endpoint()),
        };
        let index = id.0 as usize;
        let node = row.node().0 as usize;
        if self.clusters.len() <= index {
            self.clusters.resize(index + 1, Subject::NotAsked);
        }
        match self.clusters[index] {
            Subject::Of(at) => return at,
            Subject::OfNode => {
                if let Some(Some(at)) = self.nodes.get(node) {
                    return *at;
                }
            }
            Subject::NotAsked => {}
        }
        let name = cluster(endpoint, row.str(row.node()));
        let policies = self.policies.cluster(name);
        let at = self
            .known
            .iter()
            .position(|known| Arc::ptr_eq(&known.policies, &policies));
        let at = at.unwrap_or_else(|| {
            self.known.push(Known::new(policies));
            self.known.len() - 1
        });
        if cluster(endpoint, "").is_some() {
            self.clusters[index] = Subject::Of(at);
        } else {
            // Without its own word the cluster follows from the node, which may change.
            self.clusters[index] = Subject::OfNode;
            if self.nodes.len() <= node {
                self.nodes.resize(node + 1, None);
            }
            self.nodes[node] = Some(at);
        }
        at
    }
}

/// Whether all that a row says beyond who asks whom can be remembered.
pub(super) fn is_repeatable(row: RowRef<'_>, event: Event) -> bool {
    !matches!(event, Event::Request { .. }) || RequestIds::of(row).is_some()
}

fn apart(event: Event) -> Judgement {
    Judgement {
        event,
        computed: None,
        agreement: Agreement::NotCompared,
        gap: None,
        changed: None,
        names: None,
    }
}

/// Why the destination may have a name that is not known.
fn seen(row: RowRef<'_>, names: &Names<'_>) -> Option<NamesSeen> {
    let address = row.str(row.destination_ip()).parse().ok()?;
    let doubt = names.of(row, row.destination_endpoint(), address).doubt?;
    Some(NamesSeen {
        node: Arc::from(row.str(row.node())),
        doubt,
    })
}
