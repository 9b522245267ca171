//! What changes and disturbances do again and again.
//!
//! Owns the users of a crowd, the calls of a load test, the probes of the authorised scan and
//! the nights' backups; also how a pod answers who asks for any port.

use super::agenda::{Action, busyness};
use super::cast::{Cast, PartyId, TCP};
use super::plan::What;
use super::play::Play;
use super::plot::Target;
use super::stage::{MILLI, Response, SECOND};
use super::wheel::{Mark, Name};

const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// Marks of changes begin here, those of incidents are below.
pub(super) const FIRST_MARK: u16 = 40_000;
/// Calls of a load test a second.
const LOAD: f64 = 2.0;
/// Ports that the authorised scan asks for.
const SCANNED: [u16; 8] = [22, 80, 443, 3_306, 5_432, 6_379, 8_080, 9_100];
/// How long a backup speaks, in seconds.
const BACKUP: f64 = 2_400.0;

impl Play {
    /// What a change does again: a user of a crowd, a call of a load test, a probe of a
    /// scan, a night's backup.
    pub(super) fn again(&mut self, number: u32, round: u32, at: i64) {
        let change = self.changes[number as usize].clone();
        if at >= change.end {
            return;
        }
        let next = match change.what {
            What::FlashCrowd { member } => self.crowd(member, at),
            What::LoadTest { call } => {
                self.mark(number);
                if let Some(edge) = self.plot.edge_of[call] {
                    self.call(edge, 0, at, 1, &mut 4);
                }
                let wait = self.stage.random.exponential() / LOAD;
                Some(at + (wait * 1e9) as i64)
            }
            What::Scan => {
                self.mark(number);
                self.probe(round, at)
            }
            What::Backup { call, .. } => {
                self.back_up(call, at);
                Some(at + DAY)
            }
            _ => None,
        };
        self.stage.wheel.mark = Mark::default();
        if let Some(next) = next {
            let action = Action::Again {
                change: number,
                round: round + 1,
            };
            self.agenda.push(next.max(at + 1), action);
        }
    }

    fn crowd(&mut self, member: u32, at: i64) -> Option<i64> {
        let sources = &self.plot.sources;
        let source = sources.iter().position(|source| source.member == member)?;
        self.arrive(source as u32, at);
        let users = &self.stage.settings.users;
        let busy = busyness(users, at + self.plot.sources[source].phase);
        let more = self.stage.settings.disturbances.crowd - 1.0;
        let rate = self.plot.sources[source].rate * busy * more.max(0.1);
        let wait = self.stage.random.exponential() / rate.max(1e-6);
        Some(at.saturating_add((wait.min(1e6) * 1e9) as i64))
    }

    /// The next probe of the authorised scan: each workload, port after port, over an hour.
    fn probe(&mut self, round: u32, at: i64) -> Option<i64> {
        let scanner = self.scanner?;
        let members = self.stage.cast.members.len() as u32;
        let all = members * SCANNED.len() as u32;
        let client = self.stage.cast.pod_of(scanner, &mut self.stage.random)?;
        let (member, port) = (round % members, SCANNED[(round / members) as usize % 8]);
        if let Some(server) = self.stage.cast.pod_of(member, &mut self.stage.random)
            && server != client
        {
            let response = self.listener(server, port);
            let path = self.stage.path(client, server, TCP, port);
            if self.stage.open_to(&path, at, 0, response) {
                self.stage.close(&path, at + 30 * MILLI);
            }
        }
        (round + 1 < all).then(|| {
            let gap = (HOUR - 60 * SECOND) as f64 / f64::from(all);
            at + (gap * self.stage.random.between(0.5, 1.5)) as i64
        })
    }

    /// How a pod answers on a port.
    pub(super) fn listener(&self, server: PartyId, port: u16) -> Response {
        let Some(member) = self.stage.cast.party(server).member() else {
            return Response::Accepts;
        };
        let own = self.stage.cast.members[member].port.port;
        if port == own || port == super::super::platform::METRICS {
            self.stage.response(server)
        } else {
            Response::Refuses
        }
    }

    /// One long connection to a bucket, as a night's backup makes it.
    fn back_up(&mut self, call: usize, at: i64) {
        let Some(edge) = self.plot.edge_of[call] else {
            return;
        };
        let owner = self.plot.of.partition_point(|edges| edges.end <= edge);
        let Target::External(external) = self.plot.edges[edge as usize].target else {
            return;
        };
        let random = &mut self.stage.random;
        let late = (random.between(0.0, 300.0) * 1e9) as i64;
        let Some(client) = self.stage.cast.pod_of(owner as u32, random) else {
            return;
        };
        let name = Name::External(external);
        let (at, found) = self.stage.look_up(client, name, 0, at + late);
        if !found {
            return;
        }
        let server = Cast::one_of(
            &self.stage.cast.externals[external as usize],
            &mut self.stage.random,
        );
        let path = self.stage.path(client, server, TCP, super::plot::HTTPS);
        if self.stage.open(&path, at, 0) {
            let length = self.stage.random.log_normal(BACKUP, 0.4).min(7_200.0);
            let tick = self.stage.settings.observation.tick.nanos();
            self.talk(path, at, at + (length * 1e9) as i64, tick);
        }
    }

    fn mark(&mut self, change: u32) {
        let incident = FIRST_MARK.saturating_add(change.min(25_000) as u16);
        self.stage.wheel.mark = Mark { incident, stage: 0 };
    }
}
