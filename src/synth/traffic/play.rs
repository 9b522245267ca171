//! What happens: actions in order of time, the calls they lead to, and the connections these
//! are made over.
//!
//! Owns pools, what clients remember of look-ups, and retries. What Hubble reports of it is
//! `stage`'s. Further kinds of actions (releases, incidents) belong here, as arms of
//! [`Play::act`].

use super::agenda::{Action, Agenda, busyness};
use super::cast::{Cast, PartyId, TCP};
use super::plot::{Beat, DEEPEST, Job, Plot, Target};
use super::stage::{MILLI, Path, SECOND, Stage};
use super::wheel::Name;

/// Calls that one user can lead to, at most.
const MOST_CALLS: u32 = 120;
/// Length of a stretch of equal noise.
const STRETCH: i64 = 300 * SECOND;
/// Longest a workload takes for a call.
const SLOWEST: f64 = 2.0;
/// Life of a connection of a scrape or of a watch of the API server, in seconds.
const BEAT_LIFE: f64 = 1_800.0;

/// A connection that is kept for the next call of its client.
#[derive(Clone, Copy, Debug, Default)]
struct Pool {
    /// The connection, if there is one.
    path: Option<Path>,
    /// When it ends.
    until: i64,
    /// When it last spoke.
    last: i64,
    /// Which connection of this pool it is.
    generation: u32,
    /// How long the client remembers the address.
    resolved: i64,
    /// Which address of a content network it remembers.
    turn: u32,
}

/// A source with the stretch of noise it is in.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    end: i64,
    noise: f64,
}

/// The traffic as it goes on.
pub(super) struct Play {
    pub(super) stage: Stage,
    plot: Plot,
    agenda: Agenda,
    pools: Vec<Pool>,
    stretches: Vec<Stretch>,
    end: i64,
}

impl Play {
    pub(super) fn new(stage: Stage, plot: Plot, start: i64, end: i64) -> Self {
        let mut play = Self {
            pools: vec![Pool::default(); plot.pools as usize],
            stretches: vec![Stretch::default(); plot.sources.len()],
            stage,
            plot,
            agenda: Agenda::default(),
            end,
        };
        for source in 0..play.plot.sources.len() {
            play.next_arrival(source as u32, start);
        }
        for beat in 0..play.plot.beats.len() {
            let phase = play.stage.random.unit();
            let at = start + (play.plot.beats[beat].interval as f64 * phase) as i64;
            let beat = beat as u32;
            play.agenda.push(at, Action::Beat { beat });
        }
        for job in 0..play.plot.jobs.len() {
            let at = play.plot.jobs[job].schedule.after(start);
            play.agenda.push(at, Action::Run { job: job as u32 });
        }
        for member in 1..play.plot.of.len() as u32 {
            play.next_stray(member, start);
        }
        play
    }

    /// When the next action is; `None` at the end.
    pub(super) fn next_time(&self) -> Option<i64> {
        self.agenda.next_time().filter(|at| *at < self.end)
    }

    /// Things that are remembered or wait: what memory goes by.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.agenda.len() + self.pools.len() + self.stage.wheel.waiting()
    }

    /// Does the next action.
    pub(super) fn act(&mut self) {
        let Some((at, action)) = self.agenda.pop() else {
            return;
        };
        match action {
            Action::Arrive { source } => {
                self.arrive(source, at);
                self.next_arrival(source, at);
            }
            Action::Close { pool, generation } => {
                let kept = &mut self.pools[pool as usize];
                if kept.generation == generation
                    && let Some(path) = kept.path.take()
                {
                    self.stage.close(&path, at);
                }
            }
            Action::Beat { beat } => self.beat(beat, at),
            Action::Run { job } => self.run(job, at),
            Action::Stray { member } => {
                self.stray(member, at);
                self.next_stray(member, at);
            }
        }
    }

    /// Draws when the next user comes: a Poisson process whose rate follows the day, the
    /// week and the noise of five minutes.
    fn next_arrival(&mut self, source: u32, from: i64) {
        let mut at = from;
        let index = source as usize;
        while at < self.end {
            let users = &self.stage.settings.users;
            if at >= self.stretches[index].end {
                let (low, high) = (users.noise_low, users.noise_high);
                let random = &mut self.stage.random;
                let shape = random.log_uniform(low, high);
                self.stretches[index] = Stretch {
                    end: (at.div_euclid(STRETCH) + 1) * STRETCH,
                    noise: random.gamma(shape),
                };
            }
            let stretch = self.stretches[index];
            let source = &self.plot.sources[index];
            let users = &self.stage.settings.users;
            let rate = source.rate * stretch.noise * busyness(users, at + source.phase);
            let wait = self.stage.random.exponential() / rate.max(1e-12) * 1e9;
            // What is left of a stretch is as good as new: the process has no memory.
            if wait < (stretch.end - at) as f64 {
                at += wait as i64;
                self.agenda.push(
                    at,
                    Action::Arrive {
                        source: index as u32,
                    },
                );
                return;
            }
            at = stretch.end;
        }
    }

    fn next_stray(&mut self, member: u32, from: i64) {
        let rate = self.stage.settings.platform.strays / 86_400.0;
        let wait = self.stage.random.exponential() / rate.max(1e-12);
        let at = from.saturating_add((wait * 1e9) as i64);
        if at < self.end {
            self.agenda.push(at, Action::Stray { member });
        }
    }

    fn arrive(&mut self, source: u32, at: i64) {
        let source = &self.plot.sources[source as usize];
        let mut budget = MOST_CALLS;
        if let Some(edge) = source.ingress {
            let node = self.stage.random.below(self.stage.cast.ingresses.len());
            self.call(edge, node as u32, at, 0, &mut budget);
        } else {
            let member = source.member;
            let pods = &self.stage.cast.members[member as usize].pods;
            let client = self.stage.random.below(pods.len()) as u32;
            self.call_on(member, client, at, 0, &mut budget);
        }
    }

    /// A run of a CronJob: some tasks, one after the other.
    fn run(&mut self, job: u32, at: i64) {
        let Job { member, schedule } = self.plot.jobs[job as usize].clone();
        self.agenda.push(schedule.after(at), Action::Run { job });
        let tasks = 3 + self.stage.random.below(8) as i64;
        let begun = at + (1.0 + self.stage.random.exponential().min(8.0)) as i64 * SECOND;
        for task in 0..tasks {
            let mut budget = MOST_CALLS / 4;
            self.call_on(member, 0, begun + task * 400 * MILLI, 1, &mut budget);
        }
    }

    fn beat(&mut self, beat: u32, at: i64) {
        let Beat {
            client,
            server,
            port,
            interval,
            pool,
        } = self.plot.beats[beat as usize].clone();
        self.agenda.push(at + interval, Action::Beat { beat });
        let Some(pool) = pool else {
            let path = self.stage.path(client, server, TCP, port);
            if self.stage.open(&path, at, 0) {
                let took = 1 + self.stage.random.below(6) as i64;
                self.stage.close(&path, at + took * MILLI);
            }
            return;
        };
        if self.reuse(pool, at) {
            return;
        }
        let path = self.stage.path(client, server, TCP, port);
        if self.stage.open(&path, at, 0) {
            let life = BEAT_LIFE * self.stage.random.between(0.5, 1.5);
            self.keep(pool, path, at, life);
        }
    }

    /// A workload tries what nobody expects of it: another's port, the metadata service, an
    /// address.
    fn stray(&mut self, member: u32, at: i64) {
        let pods = self.stage.cast.members[member as usize].pods.clone();
        let client = Cast::one_of(&pods, &mut self.stage.random);
        let (server, port) = match self.stage.random.below(10) {
            0..3 => (self.stage.cast.metadata, 80),
            3..6 => {
                let wild = self.stage.cast.wild.clone();
                (Cast::one_of(&wild, &mut self.stage.random), 443)
            }
            _ => {
                let others = self.stage.cast.members.len() - 1;
                let other = 1 + self.stage.random.below(others);
                let other = &self.stage.cast.members[other];
                let (pods, port) = (other.pods.clone(), other.port.port);
                (Cast::one_of(&pods, &mut self.stage.random), port)
            }
        };
        if server == client {
            return;
        }
        let path = self.stage.path(client, server, TCP, port);
        if self.stage.open(&path, at, 0) {
            self.stage.close(&path, at + 40 * MILLI);
        }
    }

    /// What a pod calls when it is called, or of itself.
    fn call_on(&mut self, member: u32, client: u32, at: i64, depth: u32, budget: &mut u32) {
        let edges = self.plot.of[member as usize].clone();
        let mut at = at;
        for edge in edges {
            let branch = self.plot.edges[edge as usize].branch;
            if self.stage.random.chance(branch) {
                at = self.call(edge, client, at, depth, budget);
            }
        }
    }

    /// A call of a client on an edge; returns when it is answered.
    fn call(&mut self, edge: u32, client: u32, at: i64, depth: u32, budget: &mut u32) -> i64 {
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
            return at + SECOND;
        };
        let passed = self.stage.http(&path, at, took);
        let server = self.stage.cast.party(path.server).member();
        if let (true, Some(member)) = (passed, server) {
            let first = self.stage.cast.members[member].pods.start;
            let pod = path.server.0 - first;
            self.call_on(member as u32, pod, at + took / 4, depth + 1, budget);
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
        let client = self.client(edge, client);
        let (server, at) = self.resolve(pool, client, target, at);
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
    fn client(&self, edge: u32, client: u32) -> PartyId {
        let owner = self.plot.of.partition_point(|edges| edges.end <= edge);
        match self.stage.cast.members.get(owner) {
            Some(member) => PartyId(member.pods.start + client),
            None => self.stage.cast.ingresses[client as usize],
        }
    }

    /// The server of a new connection, looked up by name where the client does not remember.
    fn resolve(&mut self, pool: u32, client: PartyId, target: Target, at: i64) -> (PartyId, i64) {
        let dns = &self.stage.settings.dns;
        let (name, addresses, ttl) = match target {
            Target::Member(member) => {
                let pods = self.stage.cast.members[member as usize].pods.clone();
                (Some(Name::Service(member)), pods, dns.cluster_ttl)
            }
            Target::External(external) => {
                let addresses = self.stage.cast.externals[external as usize].clone();
                let named = !super::lines::external_name(&self.stage.cast, external).is_empty();
                let cdn = self.stage.cast.cdn[external as usize];
                let ttl = if cdn { dns.cdn_ttl } else { dns.external_ttl };
                (named.then_some(Name::External(external)), addresses, ttl)
            }
        };
        let mut at = at;
        // The ingress proxy learns addresses from the API server.
        if let Some(name) = name.filter(|_| self.stage.cast.party(client).is_pod())
            && self.pools[pool as usize].resolved <= at
        {
            // Answers take turns with time, so that clients at one time get the same.
            let turn = (at / ttl.nanos().max(SECOND)) as u32;
            at = self.stage.look_up(client, name, turn, at);
            let kept = &mut self.pools[pool as usize];
            (kept.resolved, kept.turn) = (at + ttl.nanos(), turn);
        }
        let server = match target {
            Target::External(_) => {
                let count = addresses.end - addresses.start;
                PartyId(addresses.start + self.pools[pool as usize].turn % count)
            }
            Target::Member(_) => Cast::one_of(&addresses, &mut self.stage.random),
        };
        (server, at)
    }

    /// Uses the connection of a pool, if it still lives.
    fn reuse(&mut self, pool: u32, at: i64) -> bool {
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

    fn keep(&mut self, pool: u32, path: Path, at: i64, life: f64) {
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
