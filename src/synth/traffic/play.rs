//! What happens: actions in order of time.
//!
//! Owns what is under way and what each action is. The calls they lead to are `calls`', what
//! Hubble reports of it is `stage`'s, what changes is `changes`', what incidents do is
//! `incident`'s.

use super::agenda::{Action, Agenda, busyness};
use super::calls::Pool;
use super::cast::{Cast, PartyId, TCP};
use super::incident::Incident;
use super::plan::{Change, Plan, Rare};
use super::plot::{Beat, DEEPEST, Job, Plot, Who};
use super::record::Record;
use super::stage::{MILLI, SECOND, Stage};
use super::talk::Talks;

/// Calls that one user can lead to, at most.
const MOST_CALLS: u32 = 120;
/// Length of a stretch of equal noise.
const STRETCH: i64 = 300 * SECOND;
/// Life of a connection of a scrape or of a watch of the API server, in seconds.
const BEAT_LIFE: f64 = 1_800.0;

/// A source with the stretch of noise it is in.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    end: i64,
    noise: f64,
}

/// The traffic as it goes on.
pub(super) struct Play {
    pub(super) stage: Stage,
    pub(super) plot: Plot,
    pub(super) agenda: Agenda,
    pub(super) pools: Vec<Pool>,
    stretches: Vec<Stretch>,
    pub(super) rare: Vec<Rare>,
    pub(super) scaled: Vec<u32>,
    pub(super) scanner: Option<u32>,
    pub(super) changes: Vec<Change>,
    pub(super) incidents: Vec<Option<Incident>>,
    pub(super) talks: Talks,
    pub(super) record: Record,
    /// Share of events that Hubble loses now, beside its bursts.
    pub(super) haze: f64,
    pub(super) end: i64,
}

impl Play {
    pub(super) fn new(stage: Stage, plot: Plot, plan: Plan, (start, end): (i64, i64)) -> Self {
        let mut play = Self {
            pools: vec![Pool::default(); plot.pools as usize],
            stretches: vec![Stretch::default(); plot.sources.len()],
            stage,
            plot,
            agenda: Agenda::default(),
            rare: plan.rare,
            scaled: plan.scaled.into_iter().collect(),
            scanner: plan.scanner,
            changes: plan.changes,
            incidents: Vec::new(),
            talks: Talks::default(),
            record: Record::default(),
            haze: 0.0,
            end,
        };
        for source in 0..play.plot.sources.len() {
            play.next_arrival(source as u32, start);
        }
        for beat in 0..play.plot.later.start as usize {
            let phase = play.stage.random.unit();
            let at = start + (play.plot.beats[beat].interval as f64 * phase) as i64;
            let beat = beat as u32;
            play.agenda.push(at, Action::Beat { beat });
        }
        for job in 0..play.plot.jobs.len() {
            let at = play.plot.jobs[job].schedule.after(start);
            play.agenda.push(at, Action::Run { job: job as u32 });
        }
        if play.stage.settings.platform.strays > 0.0 {
            for member in 1..play.plot.of.len() as u32 {
                play.next_stray(member, start);
            }
        }
        for rare in 0..play.rare.len() as u32 {
            play.next_rare(rare, start);
        }
        for (change, planned) in (0..).zip(&play.changes) {
            play.agenda.push(planned.at, Action::Begin { change });
        }
        if !play.scaled.is_empty() {
            play.agenda.push(start, Action::Scale);
        }
        play
    }

    /// Adds the next incident.
    pub(super) fn expect(&mut self, incident: Incident) {
        let number = self.incidents.len() as u32;
        let at = incident.start;
        self.agenda.push(at, Action::Step { incident: number });
        self.incidents.push(Some(incident));
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
            Action::Rare { rare } => {
                self.seldom(rare, at);
                self.next_rare(rare, at);
            }
            Action::Begin { change } => self.begin(change, at),
            Action::Finish { change } => self.finish(change),
            Action::Again { change, round } => self.again(change, round, at),
            Action::Roll { member, place } => self.roll(member, place, None, at),
            Action::Scale => self.scale(at),
            Action::Talk { talk } => self.go_on(talk, at),
            Action::Step { incident } => self.step(incident, at),
        }
    }

    /// Lets an incident go on.
    fn step(&mut self, number: u32, at: i64) {
        let Some(mut incident) = self.incidents[number as usize].take() else {
            return;
        };
        if let Some(next) = incident.step(self, at)
            && next < self.end
        {
            let next = next.max(at + 1);
            self.agenda.push(next, Action::Step { incident: number });
        }
        self.incidents[number as usize] = Some(incident);
    }

    fn next_rare(&mut self, rare: u32, from: i64) {
        let rate = self.rare[rare as usize].rate;
        let wait = self.stage.random.exponential() / rate;
        let at = from.saturating_add(wait as i64);
        if at < self.end {
            self.agenda.push(at, Action::Rare { rare });
        }
    }

    /// A call that is made once in a while: alone, whatever its source does otherwise.
    fn seldom(&mut self, rare: u32, at: i64) {
        let call = self.rare[rare as usize].call;
        let Some(edge) = self.plot.edge_of[call] else {
            return;
        };
        let owner = self.plot.of.partition_point(|edges| edges.end <= edge);
        let pods = self.stage.cast.members[owner].pods.len();
        if pods > 0 && !self.stage.quiet[owner] {
            let client = self.stage.random.below(pods) as u32;
            self.call(edge, client, at, DEEPEST, &mut 1);
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

    pub(super) fn arrive(&mut self, source: u32, at: i64) {
        let source = &self.plot.sources[source as usize];
        let mut budget = MOST_CALLS;
        if let Some(edge) = source.ingress {
            let node = self.stage.random.below(self.stage.cast.ingresses.len());
            self.call(edge, node as u32, at, 0, &mut budget);
        } else {
            let member = source.member;
            let pods = &self.stage.cast.members[member as usize].pods;
            if pods.is_empty() {
                return;
            }
            let client = self.stage.random.below(pods.len()) as u32;
            self.call_on(member, client, at, 0, &mut budget);
        }
    }

    /// A run of a CronJob: some tasks, one after the other.
    fn run(&mut self, job: u32, at: i64) {
        let Job { member, schedule } = self.plot.jobs[job as usize].clone();
        self.agenda.push(schedule.after(at), Action::Run { job });
        if self.stage.settings.churn.job_pods {
            // Each run is a Job named by its minute.
            self.stage.cast.members[member as usize].revision = (at / (60 * SECOND)) as u32;
            self.roll(member, 0, None, at);
        }
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
        let (Some(client), Some(server)) = (self.who(client), self.who(server)) else {
            return;
        };
        if self.is_quiet(client) {
            return;
        }
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

    /// Who it is now, if anybody.
    fn who(&self, who: Who) -> Option<PartyId> {
        let cast = &self.stage.cast;
        let pod = |member: u32, place: u32| {
            let pods = &cast.members[member as usize].pods;
            pods.get(place as usize).copied()
        };
        match who {
            Who::Party(id) => Some(id),
            Who::Pod { member, place } => pod(member, place),
            Who::HostOf { member, place } => {
                let node = cast.party(pod(member, place)?).node?;
                Some(cast.hosts[node as usize])
            }
        }
    }

    /// Whether a client has stopped working.
    fn is_quiet(&self, client: PartyId) -> bool {
        let member = self.stage.cast.party(client).member();
        member.is_some_and(|member| self.stage.quiet[member])
    }

    /// A workload tries what nobody expects of it: another's port, the metadata service, an
    /// address.
    fn stray(&mut self, member: u32, at: i64) {
        let Some(client) = self.stage.cast.pod_of(member, &mut self.stage.random) else {
            return;
        };
        let (server, port) = match self.stage.random.below(10) {
            0..3 => (self.stage.cast.metadata, 80),
            3..6 => {
                let wild = self.stage.cast.wild.clone();
                (Cast::one_of(&wild, &mut self.stage.random), 443)
            }
            _ => {
                let others = self.stage.cast.members.len() - 1;
                let other = 1 + self.stage.random.below(others);
                let port = self.stage.cast.members[other].port.port;
                let random = &mut self.stage.random;
                match self.stage.cast.pod_of(other as u32, random) {
                    Some(pod) => (pod, port),
                    None => return,
                }
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
}
