//! Calls, and the connections they go over.
//!
//! Owns pools, what clients remember of look-ups, and retries. When calls begin is `play`'s.

use super::agenda::Action;
use super::cast::{PartyId, Role, TCP};
use super::play::Play;
use super::plot::{DEEPEST, Edge, Target};
use super::stage::{MILLI, Path, SECOND};
use super::wheel::Name;

/// Longest a workload takes for a call.
const SLOWEST: f64 = 2.0;

/// A connection that is kept for the next call of its client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pool {
    /// The connection, if there is one.
    pub(super) path: Option<Path>,
    /// When it ends.
    pub(super) until: i64,
    /// When it last spoke.
    pub(super) last: i64,
    /// Which connection of this pool it is.
    pub(super) generation: u32,
    /// How long the client remembers the address.
    pub(super) resolved: i64,
    /// Which address of a content network it remembers.
    pub(super) turn: u32,
}

impl Play {
    /// What a pod calls when it is called, or of itself.
    pub(super) fn call_on(
        &mut self,
        member: u32,
        client: u32,
        at: i64,
        depth: u32,
        budget: &mut u32,
    ) {
        if self.stage.quiet[member as usize] {
            return;
        }
        let edges = self.plot.of[member as usize].clone();
        let mut at = at;
        for edge in edges {
            let Edge { branch, off, .. } = self.plot.edges[edge as usize];
            if !off && self.stage.random.chance(branch) {
                at = self.call(edge, client, at, depth, budget);
            }
        }
    }

    /// A call of a client on an edge; returns when it is answered.
    pub(super) fn call(
        &mut self,
        edge: u32,
        client: u32,
        at: i64,
        depth: u32,
        budget: &mut u32,
    ) -> i64 {
        if depth > DEEPEST || *budget == 0 {
            return at;
        }
        *budget -= 1;
        let connections = &self.stage.settings.connections;
        let (median, sigma) = (connections.latency.0, connections.latency_sigma);
        let retries = connections.retries.0;
        let seconds = self.stage.random.log_normal(median, sigma).min(SLOWEST);
        let took = (seconds * 1e9) as i64;
        let Some((path, at)) = self.connect(edge, client, at, took) else {
            let refused = match self.plot.edges[edge as usize].target {
                Target::Member(member) => self.stage.down[member as usize].is_some(),
                Target::External(_) => false,
            };
            // Who is refused tries again, twice, before it gives up.
            for pause in [200 * MILLI, 900 * MILLI].into_iter().filter(|_| refused) {
                self.connect(edge, client, at + pause, took);
            }
            return at + SECOND;
        };
        let passed = self.stage.http(&path, at, took);
        let server = self.stage.cast.party(path.server).role;
        if let (true, Role::Pod { member, place, .. }) = (passed, server) {
            self.call_on(member, place, at + took / 4, depth + 1, budget);
        }
        let answered = at + took;
        if self.stage.random.chance(retries) {
            // The answer came late, or was an error: once more, after a pause.
            let pause = (100 + self.stage.random.below(200) as i64) * MILLI;
            self.connect(edge, client, answered + pause, took);
        }
        answered
    }

    /// A connection for a call: the pooled one, or a new one. `None` where policy denies it.
    fn connect(&mut self, edge: u32, client: u32, at: i64, took: i64) -> Option<(Path, i64)> {
        let (target, port, kept, pool) = {
            let edge = &self.plot.edges[edge as usize];
            (edge.target, edge.port, edge.kept, edge.pools + client)
        };
        if self.reuse(pool, at) {
            return self.pools[pool as usize].path.map(|path| (path, at));
        }
        let client = self.client(edge, client)?;
        let (server, at) = self.resolve(pool, client, target, at)?;
        let path = self.stage.path(client, server, TCP, port);
        if !self.stage.open(&path, at, 0) {
            return None;
        }
        if kept {
            let connections = &self.stage.settings.connections;
            let most = connections.lifetime_most.0;
            let (median, sigma) = (connections.lifetime.0, connections.lifetime_sigma);
            let life = self.stage.random.log_normal(median, sigma).min(most);
            self.keep(pool, path, at, life + took as f64 / 1e9);
        } else {
            self.stage.close(&path, at + took + MILLI);
        }
        Some((path, at))
    }

    /// Which party a client of an edge is: a pod of its source, or an ingress proxy.
    fn client(&self, edge: u32, client: u32) -> Option<PartyId> {
        let owner = self.plot.of.partition_point(|edges| edges.end <= edge);
        match self.stage.cast.members.get(owner) {
            Some(member) => member.pods.get(client as usize).copied(),
            None => self.stage.cast.ingresses.get(client as usize).copied(),
        }
    }

    /// The server of a new connection, looked up by name where the client does not remember.
    fn resolve(
        &mut self,
        pool: u32,
        client: PartyId,
        target: Target,
        at: i64,
    ) -> Option<(PartyId, i64)> {
        let dns = &self.stage.settings.dns;
        let (name, ttl) = match target {
            Target::Member(member) => (Some(Name::Service(member)), dns.cluster_ttl),
            Target::External(external) => {
                let named = !super::lines::external_name(&self.stage.cast, external).is_empty();
                let cdn = self.stage.cast.cdn[external as usize];
                let ttl = if cdn { dns.cdn_ttl } else { dns.external_ttl };
                (named.then_some(Name::External(external)), ttl)
            }
        };
        let mut at = at;
        // The ingress proxy learns addresses from the API server.
        if let Some(name) = name.filter(|_| self.stage.cast.party(client).is_pod())
            && self.pools[pool as usize].resolved <= at
        {
            // Answers take turns with time, so that clients at one time get the same.
            let turn = (at / ttl.nanos().max(SECOND)) as u32;
            let (answered, found) = self.stage.look_up(client, name, turn, at);
            at = answered;
            if !found {
                return None;
            }
            let kept = &mut self.pools[pool as usize];
            (kept.resolved, kept.turn) = (at + ttl.nanos(), turn);
        }
        let server = match target {
            Target::External(external) => {
                let addresses = &self.stage.cast.externals[external as usize];
                let count = addresses.end - addresses.start;
                PartyId(addresses.start + self.pools[pool as usize].turn % count)
            }
            Target::Member(member) => {
                let random = &mut self.stage.random;
                self.stage.cast.pod_of(member, random)?
            }
        };
        Some((server, at))
    }

    /// Closes the connections of a pod that goes, on both sides, and makes its place forget.
    pub(super) fn retire(&mut self, member: u32, place: u32, at: i64) {
        let pods = &self.stage.cast.members[member as usize].pods;
        let Some(id) = pods.get(place as usize).copied() else {
            return;
        };
        self.cut(at, |path| path.client == id || path.server == id);
        for edge in self.plot.of[member as usize].clone() {
            let pool = self.plot.edges[edge as usize].pools + place;
            self.pools[pool as usize].resolved = i64::MIN;
        }
    }

    /// Closes pooled connections.
    pub(super) fn cut(&mut self, at: i64, which: impl Fn(&Path) -> bool) {
        for pool in 0..self.pools.len() {
            if let Some(path) = self.pools[pool].path
                && which(&path)
            {
                self.pools[pool].path = None;
                self.stage.close(&path, at);
            }
        }
    }

    /// Uses the connection of a pool, if it still lives.
    pub(super) fn reuse(&mut self, pool: u32, at: i64) -> bool {
        let tick = self.stage.settings.observation.tick.nanos();
        let kept = &mut self.pools[pool as usize];
        let Some(path) = kept.path else {
            return false;
        };
        if at >= kept.until {
            kept.path = None;
            let until = kept.until;
            self.stage.close(&path, until);
            return false;
        }
        // Within a tick nothing more is reported of a connection.
        if at >= kept.last + tick {
            kept.last = at;
            self.stage.speak(&path, at);
        }
        true
    }

    pub(super) fn keep(&mut self, pool: u32, path: Path, at: i64, life: f64) {
        let until = at + (life.max(0.05) * 1e9) as i64;
        let kept = &mut self.pools[pool as usize];
        kept.path = Some(path);
        kept.until = until;
        kept.last = at;
        kept.generation = kept.generation.wrapping_add(1);
        let generation = kept.generation;
        self.agenda.push(until, Action::Close { pool, generation });
    }
}
