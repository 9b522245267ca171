//! How a tick becomes part of what is normal, and what does not.
//!
//! Owns what is not learned: connections that were denied, flagged or failed, of a workload
//! that is too young, or of a time that is held back. What was not learned for such a reason
//! stays so until a person approves it; what was only too young, or fell into an hour in
//! which something was wrong with its workload, is learned when it is seen afterwards.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::super::edge::{EdgeProfile, HOUR, LIFETIME, Listener, Status};
use super::super::stage::Stage;
use super::super::tick::{DAY, Fate, Group, TICK, Tick};
use super::super::workload::{NameProfile, WorkloadProfile};
use super::{Class, Flagged, Held, Model, Pending};
use crate::connection::{Edge, PeerId, Peers};
use crate::flow::Protocol;

/// Hours that are remembered as watched: nine weeks.
const MOST_HOURS: usize = 9 * 168;
/// Clients that wait for one destination, as far as they are counted.
const MOST_AWAITING: usize = 64;

impl Model {
    /// Learns from a tick, without what is flagged. Ticks come in order of time.
    pub fn learn(&mut self, tick: &Tick, flagged: &[Flagged], peers: &Peers) {
        self.meet(peers);
        if !(tick.groups.is_empty() && tick.dns.is_empty() && tick.http.is_empty()) {
            self.watch(tick.start);
        }
        for of_client in tick.groups.chunk_by(|a, b| a.client == b.client) {
            self.learn_client(tick, of_client, flagged);
        }
        self.learn_requests(tick);
        for one in &tick.lasting {
            let edge = Edge {
                client: one.client,
                server: one.key,
                port: one.port,
                protocol: one.protocol,
            };
            // It was there in all of these hours, though it began in the first only.
            let mut time = one.first;
            while time <= one.last {
                self.present(&edge, time);
                time = time.saturating_add(HOUR);
            }
        }
        self.sweep(tick.start);
    }

    fn watch(&mut self, start: i64) {
        let end = start.saturating_add(TICK);
        self.span = Some(match self.span {
            Some((first, last)) => (first.min(start), last.max(end)),
            None => (start, end),
        });
        let hour = start.div_euclid(HOUR);
        match self.watched.back_mut() {
            Some((last, ticks)) if *last == hour => *ticks |= bit(start),
            _ => {
                if self.watched.len() >= MOST_HOURS {
                    self.watched.pop_front();
                }
                self.watched.push_back((hour, bit(start)));
            }
        }
    }

    fn learn_client(&mut self, tick: &Tick, groups: &[Group], flagged: &[Flagged]) {
        let Some(client) = groups.first().map(|group| group.client) else {
            return;
        };
        for group in groups {
            self.learn_listener(group);
        }
        // What is outside is no workload, and who is unknown is nobody.
        let class = self.class(client);
        if !matches!(class, Class::Workload | Class::Entity) {
            return;
        }
        let flagged: Vec<Flagged> = flagged
            .iter()
            .filter(|flagged| flagged.subject == client)
            .copied()
            .collect();
        if class == Class::Workload {
            self.count(tick.start, client, groups);
        }
        for group in groups {
            self.learn_group(group, &flagged);
        }
    }

    /// Counts new connections of a workload; questions to a resolver are none of its rate.
    fn count(&mut self, start: i64, client: PeerId, groups: &[Group]) {
        let first = groups.iter().map(|group| group.first).min();
        let last = groups.iter().map(|group| group.last).max();
        let (first, last) = (first.unwrap_or(start), last.unwrap_or(start));
        let silence = self.workloads.get(&client).map(|known| known.rates.last);
        let silence: Vec<(i64, u32)> = match silence {
            Some(before) if before != i64::MIN => self.silence(before, start).collect(),
            _ => Vec::new(),
        };
        let Some(profile) = self.meet_workload(client, first, last) else {
            self.beyond += 1;
            return;
        };
        for (hour, ticks) in silence {
            profile.rates.add_zeros(hour, ticks);
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
            if !group.is_lookup() {
                new += group.count;
            }
        }
        profile.rates.add(start, new);
    }

    /// Ticks between two others that were watched, by hour.
    fn silence(&self, before: i64, start: i64) -> impl Iterator<Item = (i64, u32)> {
        let (from, to) = (before.div_euclid(HOUR), start.div_euclid(HOUR));
        let at = self.watched.partition_point(|(hour, _)| *hour < from);
        self.watched.range(at..).filter_map(move |&(hour, ticks)| {
            // Of the first and the last hour what lies between the two.
            let mut silent = ticks;
            if hour == from {
                silent &= !(bit(before) | (bit(before) - 1));
            }
            if hour == to {
                silent &= bit(start) - 1;
            }
            (silent != 0).then_some((hour, silent.count_ones()))
        })
    }

    fn learn_group(&mut self, group: &Group, flagged: &[Flagged]) {
        if !matches!(
            self.class(group.key),
            Class::Workload | Class::Entity | Class::Outside
        ) {
            return;
        }
        let edge = edge_of(group);
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
        if !self.is_real(group) {
            return;
        }
        if let Some(why) = self.reason_to_hold(group, flagged) {
            self.keep_back(edge, group, why);
            return;
        }
        let first = self
            .pending
            .remove(&edge)
            .map_or(group.first, |pending| pending.first.min(group.first));
        if self.insert(edge, EdgeProfile::new(first, Status::Learned)) {
            self.present(&edge, first);
            self.present(&edge, group.first);
            self.present(&edge, group.last);
            if let Some(profile) = self.edges.get_mut(&edge) {
                profile.add(group.last, passed, denied, audited);
            }
        }
    }

    /// Whether something was there that answered. A TCP connection that nobody answered may
    /// be a probe; datagrams often have no answer, and where hardly anything has one, answers
    /// are not recorded.
    fn is_real(&mut self, group: &Group) -> bool {
        let [no, yes] = &mut self.answered;
        match group.fate {
            Fate::Answered => *yes = yes.saturating_add(group.count),
            Fate::Unanswered => *no = no.saturating_add(group.count),
            _ => {}
        }
        match group.fate {
            Fate::Answered | Fate::Audited | Fate::RequestDenied | Fate::Missed => true,
            Fate::Unanswered => group.protocol != Protocol::Tcp || *yes < *no / 20,
            _ => false,
        }
    }

    fn reason_to_hold(&self, group: &Group, flagged: &[Flagged]) -> Option<Held> {
        let is_workload = self.class(group.client) == Class::Workload;
        let stage = self.stage(group.client);
        let learns = is_workload && stage <= Stage::Learning;
        let is_about = |flagged: &&Flagged| {
            let peer = flagged.peer;
            let port = flagged.port;
            peer.is_none_or(|peer| peer == group.key || peer == group.server)
                && port.is_none_or(|port| port == (group.port, group.protocol))
                && !(flagged.novelty && learns)
        };
        // What is said of the workload as a whole says nothing of this edge: it has to wait.
        let flagged = flagged.iter().filter(is_about).map(|flagged| {
            if flagged.peer.is_some() {
                Held::Flagged
            } else {
                Held::Incident
            }
        });
        let flagged = flagged.max();
        let before = self.pending.get(&edge_of(group));
        let before = before
            .map(|pending| pending.why)
            .filter(|why| matches!(why, Held::Change | Held::Flagged));
        let hold = self
            .held_until(group.client, group.first)
            .map(|(_, why)| why);
        let young = (is_workload && stage == Stage::Cold).then_some(Held::Young);
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
        if why > Held::Young && self.class(edge.client) == Class::Workload {
            let waiting = self.awaiting.entry(edge.server).or_default();
            if waiting.len() < MOST_AWAITING && !waiting.contains(&edge.client) {
                waiting.push(edge.client);
            }
        }
    }

    fn learn_listener(&mut self, group: &Group) {
        let answers = matches!(
            group.fate,
            Fate::Answered | Fate::Missed | Fate::RequestDenied | Fate::Audited
        );
        if !answers || self.class(group.key) != Class::Workload {
            return;
        }
        // Who never calls anybody is known, too.
        self.meet_workload(group.key, group.first, group.last);
        let most = self.options.listeners;
        let listeners = self.listeners.entry(group.key).or_default();
        let day = |time: i64| time.div_euclid(DAY);
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

    /// Notes that a workload was there from one time to another; `None` where it is one too
    /// many.
    fn meet_workload(&mut self, id: PeerId, first: i64, last: i64) -> Option<&mut WorkloadProfile> {
        let full = self.workloads.len() >= self.options.workloads;
        if full && !self.workloads.contains_key(&id) {
            return None;
        }
        let profile = self.workloads.entry(id).or_insert_with(|| WorkloadProfile {
            first,
            last,
            ..WorkloadProfile::default()
        });
        profile.first = profile.first.min(first);
        profile.last = profile.last.max(last);
        Some(profile)
    }

    fn learn_requests(&mut self, tick: &Tick) {
        let most = self.options.names;
        for group in &tick.dns {
            let failed = group.code != 0 || !group.answered;
            if let Some(workload) = self.workloads.get_mut(&group.client) {
                let known = &mut workload.names;
                let name = &group.registered;
                add(known, name, most, group.first, group.count, failed);
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
        if self.swept != i64::MIN && now.saturating_sub(self.swept) < HOUR {
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
        let before = self.pending.len();
        self.pending.retain(|_, pending| pending.last >= old);
        if self.pending.len() < before {
            let pending = &self.pending;
            let waits: hashbrown::HashSet<(PeerId, PeerId), RandomState> = pending
                .keys()
                .map(|edge| (edge.server, edge.client))
                .collect();
            self.awaiting.retain(|key, clients| {
                clients.retain(|client| waits.contains(&(*key, *client)));
                !clients.is_empty()
            });
        }
        self.holds.retain(|_, (until, _)| *until > now);
        self.workloads
            .retain(|_, workload| workload.last >= old || workload.edges > 0);
        for listeners in self.listeners.values_mut() {
            listeners.retain(|one| one.last >= old);
        }
        self.listeners.retain(|_, listeners| !listeners.is_empty());
        for workload in self.workloads.values_mut() {
            workload.names.retain(|_, name| name.last >= old);
            workload.requests.retain(|_, request| request.last >= old);
        }
    }
}

/// The bit of a tick in its hour.
fn bit(tick: i64) -> u64 {
    1 << (tick.rem_euclid(HOUR) / TICK)
}

fn edge_of(group: &Group) -> Edge {
    Edge {
        client: group.client,
        server: group.key,
        port: group.port,
        protocol: group.protocol,
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
