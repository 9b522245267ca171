//! What is learned, tick by tick, and what is asked of it.
//!
//! Owns edges, workloads and popularity. How a tick becomes part of them, and what does not,
//! is `learn`'s; keeping the sums in step is `edges`'s. Numbers of peers are those of the
//! ticks. Severity and files are not its.
//!
//! Bounded by [`ModelOptions`]. An edge takes some 250 bytes, a workload 2.5 kB and its
//! names and requests. What was not seen for 45 days is forgotten.

mod edges;
mod learn;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::edge::{EdgeProfile, Listener, Status};
use super::novelty::{Novelty, new_share, rank};
use super::stage::{Readiness, Stage};
use super::tick::DAY;
use super::workload::WorkloadProfile;
use crate::connection::{Edge, Peer, PeerId, Peers};
use crate::flow::Protocol;

/// Bounds of a [`Model`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelOptions {
    /// Edges, and as many again that are held back.
    pub edges: usize,
    /// Edges of one client.
    pub client_edges: usize,
    /// Workloads.
    pub workloads: usize,
    /// Registered domains, and kinds of requests, of one workload.
    pub names: usize,
    /// Ports that one workload listens on.
    pub listeners: usize,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            edges: 1 << 18,
            client_edges: 1 << 12,
            workloads: 1 << 14,
            names: 256,
            listeners: 256,
        }
    }
}

/// What must not be learned of a tick: connections of a subject, to a peer and on a port
/// where these are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flagged {
    /// Who.
    pub subject: PeerId,
    /// To whom; `None` for everybody.
    pub peer: Option<PeerId>,
    /// On which port; `None` for all.
    pub port: Option<(u16, Protocol)>,
    /// Whether it is flagged for being new alone: then it is learned of a workload that
    /// still learns.
    pub novelty: bool,
}

/// An edge that was seen and is not learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was first seen.
    pub first: i64,
    /// When it was last seen.
    pub last: i64,
    /// Connections.
    pub count: u64,
    /// Why it is held back, the gravest reason.
    pub why: Held,
}

/// Why an edge is not learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Held {
    /// The workload is not known long enough.
    Young,
    /// It began when policies or the workload had just changed.
    Change,
    /// It began while there was an incident about the workload.
    Incident,
    /// A detector flagged it.
    Flagged,
}

impl Held {
    /// Why, as a fragment.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Young => "the workload was too young",
            Self::Change => "the workload or its policies had just changed",
            Self::Incident => "there was an incident about the workload",
            Self::Flagged => "it was flagged",
        }
    }
}

/// What a person decided about edges of a client, where it is not about one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The destination; `None` for all.
    pub key: Option<PeerId>,
    /// The port; `None` for all.
    pub port: Option<(u16, Protocol)>,
    /// [`Status::Approved`] or [`Status::Forbidden`].
    pub status: Status,
}

/// What is normal.
#[derive(Debug, Default)]
pub struct Model {
    options: ModelOptions,
    edges: BTreeMap<Edge, EdgeProfile>,
    pending: BTreeMap<Edge, Pending>,
    workloads: HashMap<PeerId, WorkloadProfile, RandomState>,
    /// Ports of a client with a destination: how many, and pairs of a port and a day.
    pairs: HashMap<(PeerId, PeerId), Ports, RandomState>,
    keys: HashMap<PeerId, Popularity, RandomState>,
    /// How many destinations have so many users: in the cluster, and outside.
    histogram: [Vec<u32>; 2],
    /// Clients whose calls of a destination are held back.
    awaiting: HashMap<PeerId, Vec<PeerId>, RandomState>,
    listeners: HashMap<PeerId, Vec<Listener>, RandomState>,
    decisions: HashMap<PeerId, Vec<Decision>, RandomState>,
    holds: HashMap<PeerId, (i64, Held), RandomState>,
    /// What each number of a peer is, as far as they were met.
    classes: Vec<Class>,
    /// Ticks that were watched, by hour: a bit a minute.
    watched: VecDeque<(i64, u64)>,
    span: Option<(i64, i64)>,
    swept: i64,
    beyond: u64,
    /// Connections by whether they were answered.
    answered: [u64; 2],
}

/// What a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Workload,
    /// A reserved entity that has edges of its own.
    Entity,
    /// What is in front of the cluster, or the world as a client.
    Front,
    Outside,
    Unknown,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ports {
    ports: u32,
    trials: u64,
}

#[derive(Clone, Copy, Debug)]
struct Popularity {
    users: u32,
    first: i64,
}

impl Model {
    /// A model that knows nothing.
    #[must_use]
    pub fn new(options: ModelOptions) -> Self {
        Self {
            options,
            swept: i64::MIN,
            ..Self::default()
        }
    }

    /// Meets peers that have numbers by now: what was asked of a number before says nothing.
    pub fn meet(&mut self, peers: &Peers) {
        for (_, peer) in peers.iter().skip(self.classes.len()) {
            self.classes.push(class(peer));
        }
    }

    /// How far the baseline of a client is. Of what is no workload there is none: it stays
    /// cold.
    #[must_use]
    pub fn stage(&self, client: PeerId) -> Stage {
        self.readiness(client).stage()
    }

    /// What the stage of a client is judged by.
    #[must_use]
    pub fn readiness(&self, client: PeerId) -> Readiness {
        let Some(profile) = self.workloads.get(&client) else {
            return Readiness::default();
        };
        Readiness {
            observed: profile.last.saturating_sub(profile.first),
            activity: profile.activity,
            once: profile.once,
            edges: profile.edges,
            declared: profile.declared,
        }
    }

    /// Edges of a client that are seen about once a week: on several days, five days and
    /// more apart on average.
    #[must_use]
    pub fn weekly(&self, client: PeerId) -> usize {
        let weekly = |edge: &EdgeProfile| {
            let apart = edge.last.saturating_sub(edge.first);
            edge.days > 1 && apart >= 5 * DAY * (i64::from(edge.days) - 1)
        };
        self.edges_of(client)
            .filter(|(_, edge)| weekly(edge))
            .count()
    }

    /// What is known of an edge.
    #[must_use]
    pub fn edge(
        &self,
        client: PeerId,
        key: PeerId,
        port: u16,
        protocol: Protocol,
    ) -> Option<&EdgeProfile> {
        self.edges.get(&Edge {
            client,
            server: key,
            port,
            protocol,
        })
    }

    /// What a person decided about an edge; of several decisions the one that says most.
    #[must_use]
    pub fn decided(
        &self,
        client: PeerId,
        key: PeerId,
        port: u16,
        protocol: Protocol,
    ) -> Option<Status> {
        let own = self.edge(client, key, port, protocol);
        let own = own.map(|edge| edge.status);
        if let Some(status) = own.filter(|status| *status != Status::Learned) {
            return Some(status);
        }
        let decisions = self.decisions.get(&client)?;
        decisions
            .iter()
            .filter(|one| one.key.is_none_or(|known| known == key))
            .filter(|one| one.port.is_none_or(|known| known == (port, protocol)))
            .max_by_key(|one| (one.key.is_some(), one.port.is_some(), one.status))
            .map(|one| one.status)
    }

    /// Takes a decision about edges of a client.
    pub fn decide(&mut self, client: PeerId, decision: Decision) {
        let decisions = self.decisions.entry(client).or_default();
        decisions.retain(|one| (one.key, one.port) != (decision.key, decision.port));
        decisions.push(decision);
    }

    /// What is held back of an edge.
    #[must_use]
    pub fn pending(&self, edge: &Edge) -> Option<&Pending> {
        self.pending.get(edge)
    }

    /// All edges of a client, by destination and port.
    pub fn edges_of(&self, client: PeerId) -> impl Iterator<Item = (&Edge, &EdgeProfile)> {
        let least = Edge {
            client,
            server: PeerId(0),
            port: 0,
            protocol: Protocol::None,
        };
        self.edges
            .range(least..)
            .take_while(move |(edge, _)| edge.client == client)
    }

    /// All edges, by client, destination and port.
    pub fn edges(&self) -> impl Iterator<Item = (&Edge, &EdgeProfile)> {
        self.edges.iter()
    }

    /// Edges of one client that are held back.
    pub(super) fn held_back_from(&self, least: &Edge) -> impl Iterator<Item = (&Edge, &Pending)> {
        let client = least.client;
        self.pending
            .range(*least..)
            .take_while(move |(edge, _)| edge.client == client)
    }

    /// Who was seen to answer, in no order.
    pub fn servers(&self) -> impl Iterator<Item = PeerId> {
        self.listeners.keys().copied()
    }

    pub(super) fn put_workload(&mut self, id: PeerId, profile: WorkloadProfile) {
        self.workloads.insert(id, profile);
    }

    pub(super) fn put_listener(&mut self, id: PeerId, listener: Listener) {
        let listeners = self.listeners.entry(id).or_default();
        if listeners.len() < self.options.listeners {
            listeners.push(listener);
        }
    }

    pub(super) fn put_pending(&mut self, edge: Edge, pending: Pending) {
        self.pending.insert(edge, pending);
    }

    pub(super) fn put_span(&mut self, span: (i64, i64)) {
        self.span = Some(span);
    }

    /// All edges that are held back.
    pub fn held_back(&self) -> impl Iterator<Item = (&Edge, &Pending)> {
        self.pending.iter()
    }

    /// What is known of a workload.
    #[must_use]
    pub fn workload(&self, client: PeerId) -> Option<&WorkloadProfile> {
        self.workloads.get(&client)
    }

    /// All workloads, in no order.
    pub fn workloads(&self) -> impl Iterator<Item = (PeerId, &WorkloadProfile)> {
        self.workloads.iter().map(|(id, profile)| (*id, profile))
    }

    /// How many workloads there are.
    #[must_use]
    pub fn workload_count(&self) -> usize {
        self.workloads.len()
    }

    /// Ports that a workload was seen to answer on.
    #[must_use]
    pub fn listeners(&self, server: PeerId) -> &[Listener] {
        self.listeners.get(&server).map_or(&[], Vec::as_slice)
    }

    /// Whether a client has called a destination on any port.
    #[must_use]
    pub fn knows(&self, client: PeerId, key: PeerId) -> bool {
        self.pairs.contains_key(&(client, key))
    }

    /// Begin of the first and end of the last tick that was learned from.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// Workloads that use a destination.
    #[must_use]
    pub fn users(&self, key: PeerId) -> usize {
        self.keys.get(&key).map_or(0, |key| key.users as usize)
    }

    /// Edges that were not learned because a client had too many.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Edges, pending ones, workloads and what they hold: for tests of the bound.
    #[must_use]
    pub fn held(&self) -> usize {
        let names = self.workloads.values();
        self.edges.len()
            + self.pending.len()
            + self.pairs.len()
            + self.keys.len()
            + names
                .map(|w| w.names.len() + w.requests.len())
                .sum::<usize>()
            + self.listeners.values().map(Vec::len).sum::<usize>()
            + self.awaiting.values().map(Vec::len).sum::<usize>()
    }

    /// How surprising it is that a client calls a destination on a port.
    ///
    /// A destination that the client never called is judged in three steps: that the client
    /// calls something new at all, that this is in the cluster or outside, and how few use it
    /// among those there; a new port of a known one among the ports of the pair. What nobody was seen to use is the rarest. Other workloads whose calls of it are
    /// new too count as users: one workload cannot make a destination popular.
    #[must_use]
    pub fn novelty(&self, client: PeerId, key: PeerId, port: u16, protocol: Protocol) -> Novelty {
        let profile = self.workloads.get(&client);
        let outside = self.class(key) == Class::Outside;
        let known = self.keys.get(&key);
        let histogram = &self.histogram[usize::from(outside)];
        let destinations: usize = histogram.iter().map(|n| *n as usize).sum();
        let (trials, distinct) = profile.map_or((0, 0), |profile| profile.trials_of(outside));
        let mut novelty = Novelty {
            p: 1.0,
            new_share: profile.map_or(1.0, |profile| self.new_share(profile, outside)),
            trials,
            distinct,
            users: known.map_or(0, |key| key.users as usize),
            awaiting: self.awaiting(client, key),
            workloads: self.workloads.len(),
            destinations,
            key_first_seen: known.map(|key| key.first),
        };
        if self.edge(client, key, port, protocol).is_some() {
            return novelty;
        }
        if let Some(pair) = self.pairs.get(&(client, key)) {
            (novelty.trials, novelty.distinct) = (pair.trials, u64::from(pair.ports));
            novelty.new_share = new_share(novelty.trials, novelty.distinct);
            let listeners = self.listeners(key);
            let listens = |one: &Listener| (one.port, one.protocol) == (port, protocol);
            let as_rare = if listeners.iter().any(listens) {
                listeners.len()
            } else {
                0
            };
            novelty.p = novelty.new_share * rank(as_rare, listeners.len());
        } else {
            let users = novelty.users + novelty.awaiting;
            let as_rare = if users == 0 {
                0
            } else {
                histogram.iter().take(users + 1).map(|n| *n as usize).sum()
            };
            novelty.p = novelty.new_share * rank(as_rare, destinations);
        }
        novelty
    }

    /// Probability that the next trial of a workload is a destination that is new to it, and
    /// outside or in the cluster.
    ///
    /// Trials are pairs of an edge and a day, or days, where these are more: a day without a
    /// call is one on which nothing was new. That what is new is outside is as likely as it
    /// was among the workload's own destinations, with all that are known as one more.
    fn new_share(&self, profile: &WorkloadProfile, outside: bool) -> f64 {
        let days = profile.last.saturating_sub(profile.first).max(0) / DAY;
        let trials = profile.trials.max(days.unsigned_abs());
        let (_, own) = profile.trials_of(outside);
        let known = |outside: bool| self.histogram[usize::from(outside)].iter().sum::<u32>();
        let all = f64::from(known(false)) + f64::from(known(true));
        let usual = (f64::from(known(outside)) + 1.0) / (all + 2.0);
        let kind = (own as f64 + usual) / (profile.edges as f64 + 1.0);
        new_share(trials, profile.edges) * kind.min(1.0)
    }

    /// Other clients whose calls of a destination are held back.
    fn awaiting(&self, client: PeerId, key: PeerId) -> usize {
        let waiting = self.awaiting.get(&key).map_or(&[][..], Vec::as_slice);
        waiting.iter().filter(|other| **other != client).count()
    }

    fn class(&self, id: PeerId) -> Class {
        let class = self.classes.get(id.0 as usize);
        class.copied().unwrap_or(Class::Unknown)
    }

    /// Says that nothing new is learned of a client until a time.
    pub fn hold(&mut self, client: PeerId, until: i64, why: Held) {
        let hold = self.holds.entry(client).or_insert((until, why));
        *hold = (hold.0.max(until), hold.1.max(why));
    }

    /// Why nothing new is learned of a client at a time, and until when.
    #[must_use]
    pub fn held_until(&self, client: PeerId, now: i64) -> Option<(i64, Held)> {
        let hold = self.holds.get(&client).copied();
        hold.filter(|(until, _)| *until > now)
    }
}

fn class(peer: &Peer) -> Class {
    match peer {
        Peer::Workload { .. } => Class::Workload,
        Peer::Entity(name) if matches!(&**name, "world" | "ingress") => Class::Front,
        Peer::Entity(_) => Class::Entity,
        Peer::Name(_) | Peer::Prefix(_) => Class::Outside,
        Peer::Unknown | Peer::Others => Class::Unknown,
    }
}
