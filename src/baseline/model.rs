//! What is learned, tick by tick, and what is asked of it.
//!
//! Owns edges, workloads and popularity, and what is not learned: connections that were
//! denied, flagged, failed, of a workload that is too young, or of a time that is held back.
//! Numbers of peers are those of the ticks. Severity and files are not its.
//!
//! Bounded by [`ModelOptions`]. An edge takes some 250 bytes, a workload 2.5 kB and its
//! names and requests. What was not seen for 45 days is forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::edge::{EdgeProfile, HOUR, LIFETIME, Listener, Status};
use super::novelty::{Novelty, new_share, rank};
use super::stage::{Readiness, Stage};
use super::tick::{Fate, Group, Tick};
use super::workload::{NameProfile, WorkloadProfile};
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
    listeners: HashMap<PeerId, Vec<Listener>, RandomState>,
    holds: HashMap<PeerId, (i64, Held), RandomState>,
    /// Ticks that were watched, by hour.
    watched: VecDeque<(i64, u32)>,
    span: Option<(i64, i64)>,
    swept: i64,
    beyond: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ports {
    ports: u32,
    trials: u64,
}

#[derive(Clone, Copy, Debug)]
struct Popularity {
    users: u32,
    outside: bool,
    first: i64,
}

/// Hours that are remembered as watched: nine weeks.
const MOST_HOURS: usize = 9 * 168;

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
            weekly: 0,
        }
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
    }

    /// How surprising it is that a client calls a destination on a port.
    ///
    /// A destination that the client never called is judged among all destinations; a new
    /// port of a known one among the ports of the pair. A port that nobody was seen to use
    /// there is the rarest.
    #[must_use]
    pub fn novelty(&self, client: PeerId, key: PeerId, port: u16, protocol: Protocol) -> Novelty {
        let profile = self.workloads.get(&client);
        let known = self.keys.get(&key);
        let outside = known.is_some_and(|key| key.outside);
        let histogram = &self.histogram[usize::from(outside)];
        let destinations: usize = histogram.iter().map(|n| *n as usize).sum();
        let users = known.map_or(0, |key| key.users as usize);
        let mut novelty = Novelty {
            p: 1.0,
            new_share: 1.0,
            trials: profile.map_or(0, |profile| profile.trials),
            distinct: profile.map_or(0, |profile| profile.edges),
            users,
            workloads: self.workloads.len(),
            destinations,
            key_first_seen: known.map(|key| key.first),
        };
        novelty.new_share = new_share(novelty.trials, novelty.distinct);
        if self.edge(client, key, port, protocol).is_some() {
            return novelty;
        }
        if let Some(pair) = self.pairs.get(&(client, key)) {
            novelty.new_share = new_share(pair.trials, u64::from(pair.ports));
            let listeners = self.listeners(key);
            let listens = |one: &Listener| (one.port, one.protocol) == (port, protocol);
            let as_rare = if listeners.iter().any(listens) {
                listeners.len()
            } else {
                0
            };
            novelty.p = novelty.new_share * rank(as_rare, listeners.len());
        } else {
            let as_rare = histogram.iter().take(users + 1).map(|n| *n as usize).sum();
            let as_rare = if users == 0 { 0 } else { as_rare };
            novelty.p = novelty.new_share * rank(as_rare, destinations);
        }
        novelty
    }

    /// Says that nothing new is learned of a client until a time.
    pub fn hold(&mut self, client: PeerId, until: i64, why: Held) {
        let hold = self.holds.entry(client).or_insert((until, why));
        *hold = (hold.0.max(until), hold.1.max(why));
    }

    /// Why nothing new is learned of a client at a time.
    #[must_use]
    pub fn held_until(&self, client: PeerId, now: i64) -> Option<(i64, Held)> {
        self.holds
            .get(&client)
            .copied()
            .filter(|(until, _)| *until > now)
    }

    /// Learns from a tick, without what is flagged. Ticks come in order of time.
    pub fn learn(&mut self, tick: &Tick, flagged: &[Flagged], peers: &Peers) {
        self.watch(tick.start);
        for of_client in tick.groups.chunk_by(|a, b| a.client == b.client) {
            self.learn_client(tick, of_client, flagged, peers);
        }
        self.learn_requests(tick);
        for one in &tick.lasting {
            let edge = Edge {
                client: one.client,
                server: one.key,
                port: one.port,
                protocol: one.protocol,
            };
            // It was there on all of these days, though it began on the first only.
            let mut time = one.first;
            while time <= one.last {
                self.present(&edge, time);
                time = time.saturating_add(HOUR);
            }
        }
        self.sweep(tick.start);
    }

    fn watch(&mut self, start: i64) {
        let end = start.saturating_add(super::tick::TICK);
        self.span = Some(match self.span {
            Some((first, last)) => (first.min(start), last.max(end)),
            None => (start, end),
        });
        let hour = start.div_euclid(HOUR);
        match self.watched.back_mut() {
            Some((last, ticks)) if *last == hour => *ticks += 1,
            _ => {
                if self.watched.len() >= MOST_HOURS {
                    self.watched.pop_front();
                }
                self.watched.push_back((hour, 1));
            }
        }
    }

    fn learn_client(&mut self, tick: &Tick, groups: &[Group], flagged: &[Flagged], peers: &Peers) {
        let Some(client) = groups.first().map(|group| group.client) else {
            return;
        };
        let is_workload = matches!(peers.get(client), Peer::Workload { .. });
        for group in groups {
            self.learn_listener(group, peers);
        }
        // What is outside is no workload, and who is unknown is nobody.
        let is_entity = match peers.get(client) {
            Peer::Entity(name) => !matches!(&**name, "world" | "ingress"),
            _ => false,
        };
        if !is_workload && !is_entity {
            return;
        }
        let flagged: Vec<Flagged> = flagged
            .iter()
            .filter(|flagged| flagged.subject == client)
            .copied()
            .collect();
        if is_workload {
            self.count(tick.start, client, groups);
        }
        for group in groups {
            self.learn_group(group, &flagged, is_workload, peers);
        }
    }

    /// Counts new connections of a workload.
    fn count(&mut self, start: i64, client: PeerId, groups: &[Group]) {
        let full = self.workloads.len() >= self.options.workloads;
        if full && !self.workloads.contains_key(&client) {
            self.beyond += 1;
            return;
        }
        let first = groups.iter().map(|group| group.first).min();
        let last = groups.iter().map(|group| group.last).max();
        let (first, last) = (first.unwrap_or(start), last.unwrap_or(start));
        let watched = &self.watched;
        let profile = self
            .workloads
            .entry(client)
            .or_insert_with(|| WorkloadProfile {
                first,
                last,
                ..WorkloadProfile::default()
            });
        profile.first = profile.first.min(first);
        profile.last = profile.last.max(last);
        let before = profile.rates.last;
        if before != i64::MIN {
            // Ticks that were watched since, and in which there was nothing of it.
            let from = before.div_euclid(HOUR);
            let at = watched.partition_point(|(hour, _)| *hour < from);
            for (hour, ticks) in watched.range(at..) {
                let mut silent = *ticks;
                if *hour == from {
                    let gone = (before.rem_euclid(HOUR) / super::tick::TICK) as u32 + 1;
                    silent = silent.min(60 - gone.min(60));
                }
                if *hour == start.div_euclid(HOUR) {
                    let gone = (start.rem_euclid(HOUR) / super::tick::TICK) as u32;
                    let since = if *hour == from {
                        (start.saturating_sub(before) / super::tick::TICK - 1).max(0) as u32
                    } else {
                        gone
                    };
                    silent = silent.saturating_sub(1).min(since);
                }
                profile.rates.add_zeros(*hour, silent);
            }
        }
        let mut new = 0;
        for group in groups {
            let mix = &mut profile.verdicts;
            let counter = match group.fate {
                Fate::Missed => continue,
                Fate::Denied => &mut mix.denied,
                Fate::Audited => &mut mix.audited,
                Fate::Dropped(_) => &mut mix.dropped,
                Fate::Answered | Fate::Unanswered | Fate::Refused | Fate::RequestDenied => {
                    &mut mix.passed
                }
            };
            *counter = counter.saturating_add(group.count);
            new += group.count;
        }
        profile.rates.add(start, new);
    }

    fn learn_group(
        &mut self,
        group: &Group,
        flagged: &[Flagged],
        is_workload: bool,
        peers: &Peers,
    ) {
        let outside = match peers.get(group.key) {
            Peer::Workload { .. } | Peer::Entity(_) => false,
            Peer::Name(_) | Peer::Prefix(_) => true,
            Peer::Unknown | Peer::Others => return,
        };
        let edge = Edge {
            client: group.client,
            server: group.key,
            port: group.port,
            protocol: group.protocol,
        };
        let (passed, denied, audited) = match group.fate {
            Fate::Denied => (0, group.count, 0),
            Fate::Audited => (group.count, 0, group.count),
            Fate::Missed => (0, 0, 0),
            _ if group.fate.passed() => (group.count, 0, 0),
            _ => return,
        };
        if let Some(profile) = self.edges.get_mut(&edge) {
            profile.add(group.last, passed, denied, audited);
            if group.fate != Fate::Denied {
                self.present(&edge, group.first);
                self.present(&edge, group.last);
            }
            return;
        }
        // A connection that nobody answered may be a probe. Datagrams often have no answer.
        let is_real = match group.fate {
            Fate::Answered | Fate::Audited | Fate::RequestDenied | Fate::Missed => true,
            Fate::Unanswered => group.protocol != Protocol::Tcp,
            _ => false,
        };
        if !is_real {
            return;
        }
        let why = self.reason_to_hold(group, flagged, is_workload);
        if let Some(why) = why {
            self.keep_back(edge, group, why);
            return;
        }
        let first = self
            .pending
            .remove(&edge)
            .map_or(group.first, |pending| pending.first.min(group.first));
        if self.insert(edge, EdgeProfile::new(first, Status::Learned), outside) {
            self.present(&edge, first);
            self.present(&edge, group.first);
            self.present(&edge, group.last);
            if let Some(profile) = self.edges.get_mut(&edge) {
                profile.add(group.last, passed, denied, audited);
            }
        }
    }

    fn reason_to_hold(
        &self,
        group: &Group,
        flagged: &[Flagged],
        is_workload: bool,
    ) -> Option<Held> {
        let stage = self.stage(group.client);
        let learns = is_workload && stage <= Stage::Learning;
        let is_flagged = flagged.iter().any(|flagged| {
            flagged
                .peer
                .is_none_or(|peer| peer == group.key || peer == group.server)
                && flagged
                    .port
                    .is_none_or(|port| port == (group.port, group.protocol))
                && !(flagged.novelty && learns)
        });
        let before = self.pending.get(&Edge {
            client: group.client,
            server: group.key,
            port: group.port,
            protocol: group.protocol,
        });
        let before = before
            .map(|pending| pending.why)
            .filter(|why| *why > Held::Young);
        let hold = self
            .held_until(group.client, group.first)
            .map(|(_, why)| why);
        let young = (is_workload && stage == Stage::Cold).then_some(Held::Young);
        let flagged = is_flagged.then_some(Held::Flagged);
        [before, hold, young, flagged].into_iter().flatten().max()
    }

    fn keep_back(&mut self, edge: Edge, group: &Group, why: Held) {
        if self.pending.len() >= self.options.edges && !self.pending.contains_key(&edge) {
            self.beyond += 1;
            return;
        }
        let pending = self.pending.entry(edge).or_insert(Pending {
            first: group.first,
            last: group.last,
            count: 0,
            why,
        });
        pending.first = pending.first.min(group.first);
        pending.last = pending.last.max(group.last);
        pending.count = pending.count.saturating_add(group.count);
        pending.why = pending.why.max(why);
    }

    /// Adds an edge; `false` where there is no room for it, or it is there.
    pub(super) fn insert(&mut self, edge: Edge, profile: EdgeProfile, outside: bool) -> bool {
        if self.edges.contains_key(&edge) {
            return false;
        }
        let of_client = self
            .workloads
            .get(&edge.client)
            .map_or(0, |workload| workload.edges as usize);
        if self.edges.len() >= self.options.edges || of_client >= self.options.client_edges {
            self.beyond += 1;
            return false;
        }
        let (first, days, hours) = (profile.first, profile.days, profile.hours);
        self.edges.insert(edge, profile);
        if let Some(workload) = self.workloads.get_mut(&edge.client) {
            workload.edges += 1;
            workload.trials += u64::from(days);
            workload.activity += u64::from(hours);
            workload.once += u64::from(hours <= 1);
        }
        let pair = self.pairs.entry((edge.client, edge.server)).or_default();
        pair.ports += 1;
        pair.trials += u64::from(days);
        let is_first_port = pair.ports == 1;
        let key = self.keys.entry(edge.server).or_insert_with(|| Popularity {
            users: 0,
            outside,
            first,
        });
        key.first = key.first.min(first);
        let histogram = &mut self.histogram[usize::from(key.outside)];
        if key.users == 0 || is_first_port {
            let users = key.users as usize;
            if histogram.len() < users + 2 {
                histogram.resize(users + 2, 0);
            }
            if users > 0 {
                histogram[users] -= 1;
            }
            histogram[users + 1] += 1;
            key.users += 1;
        }
        true
    }

    /// Takes an edge out.
    pub(super) fn remove(&mut self, edge: &Edge) -> Option<EdgeProfile> {
        let profile = self.edges.remove(edge)?;
        if let Some(workload) = self.workloads.get_mut(&edge.client) {
            workload.edges = workload.edges.saturating_sub(1);
            workload.trials = workload.trials.saturating_sub(u64::from(profile.days));
            workload.activity = workload.activity.saturating_sub(u64::from(profile.hours));
            if profile.hours <= 1 {
                workload.once = workload.once.saturating_sub(1);
            }
        }
        let place = (edge.client, edge.server);
        if let Some(pair) = self.pairs.get_mut(&place) {
            pair.ports = pair.ports.saturating_sub(1);
            pair.trials = pair.trials.saturating_sub(u64::from(profile.days));
            if pair.ports == 0 {
                self.pairs.remove(&place);
                self.unuse(edge.server);
            }
        }
        Some(profile)
    }

    fn unuse(&mut self, key: PeerId) {
        let Some(popularity) = self.keys.get_mut(&key) else {
            return;
        };
        let histogram = &mut self.histogram[usize::from(popularity.outside)];
        let users = popularity.users as usize;
        if let Some(count) = histogram.get_mut(users) {
            *count = count.saturating_sub(1);
        }
        popularity.users = popularity.users.saturating_sub(1);
        if popularity.users == 0 {
            self.keys.remove(&key);
        } else if let Some(count) = histogram.get_mut(users - 1) {
            *count += 1;
        }
    }

    fn present(&mut self, edge: &Edge, time: i64) {
        let Some(profile) = self.edges.get_mut(edge) else {
            return;
        };
        let hours = profile.hours;
        let new_day = profile.present(time);
        let new_hours = profile.hours - hours;
        if let Some(workload) = self.workloads.get_mut(&edge.client) {
            workload.trials += u64::from(new_day);
            workload.activity += u64::from(new_hours);
            // An edge without an hour counts as seen in one.
            if hours == 1 && new_hours > 0 {
                workload.once = workload.once.saturating_sub(1);
            }
        }
        if new_day && let Some(pair) = self.pairs.get_mut(&(edge.client, edge.server)) {
            pair.trials += 1;
        }
    }

    fn learn_listener(&mut self, group: &Group, peers: &Peers) {
        let answers = matches!(
            group.fate,
            Fate::Answered | Fate::Missed | Fate::RequestDenied | Fate::Audited
        );
        if !answers || !matches!(peers.get(group.key), Peer::Workload { .. }) {
            return;
        }
        let most = self.options.listeners;
        let listeners = self.listeners.entry(group.key).or_default();
        let day = |time: i64| time.div_euclid(super::tick::DAY);
        let port = (group.port, group.protocol);
        if let Some(known) = listeners
            .iter_mut()
            .find(|one| (one.port, one.protocol) == port)
        {
            known.days += u32::from(day(group.last) > day(known.last));
            known.last = known.last.max(group.last);
        } else if listeners.len() < most {
            listeners.push(Listener {
                port: group.port,
                protocol: group.protocol,
                first: group.first,
                last: group.last,
                days: 1,
            });
        } else {
            self.beyond += 1;
        }
    }

    fn learn_requests(&mut self, tick: &Tick) {
        let most = self.options.names;
        for group in &tick.dns {
            let failed = group.code != 0 || !group.answered;
            if let Some(workload) = self.workloads.get_mut(&group.client) {
                let known = &mut workload.names;
                add(
                    known,
                    &group.registered,
                    most,
                    group.first,
                    group.count,
                    failed,
                );
            }
        }
        for group in &tick.http {
            if let Some(workload) = self.workloads.get_mut(&group.client) {
                let request: Arc<str> = format!("{} {}", group.method, group.template).into();
                let failed = group.code >= 400;
                let known = &mut workload.requests;
                add(known, &request, most, group.first, group.count, failed);
            }
        }
    }

    /// Once an hour forgets what was not seen for long.
    fn sweep(&mut self, now: i64) {
        if now.saturating_sub(self.swept) < HOUR && self.swept != i64::MIN {
            return;
        }
        self.swept = now;
        let old = now.saturating_sub(LIFETIME);
        let gone: Vec<Edge> = self
            .edges
            .iter()
            .filter(|(_, profile)| profile.last < old && profile.status == Status::Learned)
            .map(|(edge, _)| *edge)
            .collect();
        for edge in &gone {
            self.remove(edge);
        }
        self.pending.retain(|_, pending| pending.last >= old);
        self.holds.retain(|_, (until, _)| *until > now);
        self.workloads
            .retain(|_, workload| workload.last >= old || workload.edges > 0);
        for listeners in self.listeners.values_mut() {
            listeners.retain(|one| one.last >= old);
        }
        self.listeners.retain(|_, listeners| !listeners.is_empty());
    }
}

fn add(
    known: &mut HashMap<Arc<str>, NameProfile, RandomState>,
    name: &Arc<str>,
    most: usize,
    time: i64,
    count: u64,
    failed: bool,
) {
    if known.len() >= most && !known.contains_key(name) {
        return;
    }
    known
        .entry(name.clone())
        .or_default()
        .add(time, count, failed);
}
