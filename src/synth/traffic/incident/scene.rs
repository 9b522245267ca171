//! What an incident can do: look names up, open connections, find out what policies let
//! through. All of it leaves the same traces as anybody's.
//!
//! Owns these tools. Which are used is up to each act.

use super::super::cast::{PartyId, TCP};
use super::super::lookup::Query;
use super::super::play::Play;
use super::super::record::Subject;
use super::super::rules::Outcome;
use super::super::stage::{MILLI, Path, Response, SECOND};
use super::super::wheel::{Name, QueryType};
use super::Facts;
use crate::policy::Direction;

pub(super) struct Scene<'a> {
    pub(super) play: &'a mut Play,
    pub(super) facts: &'a mut Facts,
    /// Of the incident.
    pub(super) number: u16,
}

impl Scene<'_> {
    /// Takes down that a stage begins, once.
    pub(super) fn stage(&mut self, name: &'static str, at: i64) {
        if name == super::quiet::WAITING {
            return;
        }
        let stages = &mut self.facts.stages;
        if stages.last().is_none_or(|(last, _)| *last != name) && stages.len() < 255 {
            stages.push((name, at));
        }
    }

    /// The pod it comes from; another of the workload, where that is gone.
    pub(super) fn pod(&self) -> Option<PartyId> {
        let (member, place) = self.facts.foothold;
        self.pod_at(member, place)
    }

    /// The pod of a member in a place, or its first.
    pub(super) fn pod_at(&self, member: u32, place: u32) -> Option<PartyId> {
        let pods = &self.play.stage.cast.members[member as usize].pods;
        pods.get(place as usize).or_else(|| pods.first()).copied()
    }

    /// Any pod of a member.
    pub(super) fn some_pod(&mut self, member: u32) -> Option<PartyId> {
        let stage = &mut self.play.stage;
        stage.cast.pod_of(member, &mut stage.random)
    }

    /// Whether policies let a connection through.
    pub(super) fn passes(&mut self, client: PartyId, server: PartyId, port: u16) -> bool {
        let stage = &mut self.play.stage;
        let sides = [(client, Direction::Egress), (server, Direction::Ingress)];
        sides.into_iter().all(|(side, direction)| {
            if !stage.cast.party(side).is_pod() {
                return true;
            }
            let question = ((client, server), (TCP, port));
            let answer = stage
                .rules
                .ask(&stage.cast, direction, question.0, question.1);
            !stage.outcome(answer).is_denied()
        })
    }

    /// Whether a proxy shows requests of one member to another.
    pub(super) fn shows_requests(&mut self, from: u32, to: u32) -> bool {
        let (Some(client), Some(server)) = (self.pod_at(from, 0), self.pod_at(to, 0)) else {
            return false;
        };
        let stage = &mut self.play.stage;
        let port = stage.cast.members[to as usize].port.port;
        let (sides, way) = ((client, server), Direction::Ingress);
        let answer = stage.rules.ask(&stage.cast, way, sides, (TCP, port));
        stage.outcome(answer) == Outcome::HttpProxy
    }

    /// Opens a connection; `None` where it is denied or not answered.
    pub(super) fn open(
        &mut self,
        (client, server): (PartyId, PartyId),
        (protocol, port): (u8, u16),
        response: Response,
        at: i64,
    ) -> Option<Path> {
        let stage = &mut self.play.stage;
        let path = stage.path(client, server, protocol, port);
        self.facts.opened += 1;
        self.facts.last = self.facts.last.max(at);
        let sides = [path.egress, path.ingress];
        let denied = sides
            .into_iter()
            .flatten()
            .any(|answer| stage.outcome(answer).is_denied());
        self.facts.denied += u64::from(denied);
        stage.open_to(&path, at, 0, response).then_some(path)
    }

    /// Opens a TCP connection to a pod, which answers if it listens there.
    pub(super) fn open_pod(
        &mut self,
        client: PartyId,
        server: PartyId,
        port: u16,
        at: i64,
    ) -> Option<Path> {
        let response = self.play.listener(server, port);
        self.open((client, server), (TCP, port), response, at)
    }

    /// Opens a connection and closes it after some time.
    pub(super) fn touch(&mut self, client: PartyId, server: PartyId, port: u16, at: i64) -> bool {
        let path = self.open_pod(client, server, port, at);
        if let Some(path) = path {
            let took = 15 + self.play.stage.random.below(120) as i64;
            self.play.stage.close(&path, at + took * MILLI);
        }
        path.is_some()
    }

    /// Looks up the name of an external and gives its address; a bare one needs none.
    pub(super) fn resolve(
        &mut self,
        client: PartyId,
        external: usize,
        at: i64,
    ) -> Option<(PartyId, i64)> {
        let stage = &mut self.play.stage;
        let server = PartyId(stage.cast.externals[external].start);
        let name = super::super::lines::external_name(&stage.cast, external as u32);
        if name.is_empty() {
            return Some((server, at));
        }
        let (at, found) = stage.look_up(client, Name::External(external as u32), 0, at);
        found.then_some((server, at))
    }

    /// Asks for a name that it makes up; returns when that is answered.
    pub(super) fn ask(
        &mut self,
        client: PartyId,
        number: u32,
        (search, only, exists): (bool, Option<QueryType>, bool),
        at: i64,
    ) -> i64 {
        let name = Name::Made {
            incident: self.number,
            number,
        };
        let query = Query {
            name,
            search,
            only,
            exists,
            turn: 0,
        };
        self.facts.opened += 1;
        self.facts.last = self.facts.last.max(at);
        self.play.stage.query(client, query, at).0
    }

    /// Lets a connection be spoken on until it ends.
    pub(super) fn talk(&mut self, path: Path, at: i64, until: i64, every: i64) {
        self.facts.last = self.facts.last.max(until.min(self.play.end));
        self.play.talk(path, at, until, every.max(SECOND));
    }

    /// Takes down who is on the other side.
    pub(super) fn peer(&mut self, peer: Subject) {
        // A scan has more peers than anybody reads.
        if self.facts.peers.len() < 64 && !self.facts.peers.contains(&peer) {
            self.facts.peers.push(peer);
        }
    }

    pub(super) fn peer_member(&mut self, member: u32) {
        let peer = self.play.workload(member);
        self.peer(peer);
    }

    pub(super) fn peer_external(&mut self, external: usize) {
        let cast = &self.play.stage.cast;
        let name = super::super::lines::external_name(cast, external as u32);
        let peer = if name.is_empty() {
            let address = cast.parties[cast.externals[external].start as usize].ip;
            Subject::address(address)
        } else {
            Subject::name_of(&name)
        };
        self.peer(peer);
    }

    /// Every so many nanoseconds, by chance alone.
    pub(super) fn chance_gap(&mut self, mean: f64) -> i64 {
        let gap = self.play.stage.random.exponential() * mean;
        (gap.min(1e6) * 1e9) as i64
    }

    /// About so many seconds, in nanoseconds.
    pub(super) fn about(&mut self, seconds: f64, off: f64) -> i64 {
        let factor = self.play.stage.random.between(1.0 - off, 1.0 + off);
        (seconds * factor * 1e9) as i64
    }
}
