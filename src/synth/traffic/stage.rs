//! What a connection leaves behind at Hubble's observation points.
//!
//! Owns which node sees which event of a connection (monitor aggregation medium), the
//! verdicts of both sides, and retries of what is dropped. When and why connections are made
//! is `play`'s; look-ups are `lookup`'s.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::number::Random;
use super::cast::{Cast, PartyId, Role, TCP, UDP};
use super::rules::{AnswerId, Outcome, Rules};
use super::settings::Settings;
use super::truth::{EdgeId, EdgeKey, End, TruthSink};
use super::wheel::{HttpEvent, Packet, Point, State, Way, What, Wheel};
use crate::flow::flags::{ACK, FIN, PSH, SYN};
use crate::policy::Direction;

pub(super) const MICRO: i64 = 1_000;
pub(super) const MILLI: i64 = 1_000_000;
pub(super) const SECOND: i64 = 1_000_000_000;
/// When Linux sends a SYN again, after the first.
const SYN_RETRIES: [i64; 5] = [0, 1, 3, 7, 15];
/// Those of them that the source's node reports: others come within a tick of one before.
const SYN_SEEN_AGAIN: [i64; 3] = [0, 7, 15];
/// First of the ports given to clients.
const EPHEMERAL: u16 = 32_768;
const EPHEMERALS: u16 = 28_232;

/// A connection: its ends and what policies say of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) client: PartyId,
    pub(super) server: PartyId,
    pub(super) client_port: u16,
    pub(super) port: u16,
    pub(super) protocol: u8,
    /// Of the client's side, where that is a pod.
    pub(super) egress: Option<AnswerId>,
    /// Of the server's side, where that is a pod.
    pub(super) ingress: Option<AnswerId>,
    pub(super) edge: EdgeId,
}

/// Everything an event is made of.
pub(super) struct Stage {
    pub(super) cast: Cast,
    pub(super) rules: Rules,
    pub(super) wheel: Wheel,
    pub(super) truth: TruthSink,
    pub(super) random: Random,
    pub(super) settings: Settings,
    /// How much each node's clock is off.
    skew: Vec<i64>,
    next_port: Vec<u16>,
    /// What policies name of the addresses outside.
    prefixes: Vec<IpNet>,
}

impl Stage {
    pub(super) fn new(cast: Cast, rules: Rules, settings: Settings, seed: u64, start: i64) -> Self {
        let mut random = Random::new(seed, 2);
        let most = settings.observation.skew.0;
        let skew = (0..cast.nodes.len())
            .map(|_| (random.between(-most, most) * 1e9) as i64)
            .collect();
        let next_port = (0..cast.parties.len())
            .map(|_| random.below(EPHEMERALS.into()) as u16)
            .collect();
        Self {
            wheel: Wheel::new(start - (most * 1e9) as i64),
            cast,
            prefixes: rules.outside().1,
            rules,
            truth: TruthSink::default(),
            random,
            settings,
            skew,
            next_port,
        }
    }

    /// A connection that is about to be made, from a port of its own.
    pub(super) fn path(
        &mut self,
        client: PartyId,
        server: PartyId,
        protocol: u8,
        port: u16,
    ) -> Path {
        let next = &mut self.next_port[client.0 as usize];
        *next = (*next + 1) % EPHEMERALS;
        let client_port = EPHEMERAL + *next;
        let mut ask = |party: PartyId, direction| {
            let pod = self.cast.party(party).is_pod();
            pod.then(|| {
                self.rules
                    .ask(&self.cast, direction, (client, server), (protocol, port))
            })
        };
        let egress = ask(client, Direction::Egress);
        let ingress = ask(server, Direction::Ingress);
        let key = EdgeKey {
            source: self.end(client),
            destination: self.end(server),
            port,
            protocol: if protocol == UDP { "UDP" } else { "TCP" },
        };
        Path {
            client,
            server,
            client_port,
            port,
            protocol,
            egress,
            ingress,
            edge: self.truth.edge(key),
        }
    }

    /// Opens a connection; false where a policy denies it. `wait` is how long the server
    /// takes for its first packet.
    pub(super) fn open(&mut self, path: &Path, at: i64, wait: i64) -> bool {
        self.truth.opened(path.edge);
        let packet = packet(path).with(SYN);
        if let (Some(answer), Some(node)) = (path.egress, self.node(path.client)) {
            if self.outcome(answer).is_denied() {
                self.refuse(path, (node, answer, Way::Egress), at);
                return false;
            }
            self.verdict(at, node, packet, answer, Way::Egress);
        }
        if let (Some(answer), Some(node)) = (path.ingress, self.node(path.server)) {
            if self.outcome(answer).is_denied() {
                for second in SYN_SEEN_AGAIN {
                    self.depart(path, packet, at + second * SECOND, State::New, false);
                }
                self.refuse(path, (node, answer, Way::Ingress), at + 190 * MICRO);
                return false;
            }
            self.verdict(at + 190 * MICRO, node, packet, answer, Way::Ingress);
        }
        let answer = if path.protocol == UDP { 0 } else { SYN | ACK };
        self.exchange(path, at + 9 * MICRO, wait, (SYN, answer), State::New);
        true
    }

    /// Something is sent and answered on a connection that is open.
    pub(super) fn speak(&mut self, path: &Path, at: i64) {
        self.exchange(path, at, 0, (ACK | PSH, ACK | PSH), State::Established);
    }

    /// Closes a connection.
    pub(super) fn close(&mut self, path: &Path, at: i64) {
        if path.protocol == TCP {
            self.exchange(path, at, 0, (ACK | FIN, ACK | FIN), State::Established);
        }
    }

    /// A request and its response, where the server's side is proxied. False where the
    /// proxy refused it.
    pub(super) fn http(&mut self, path: &Path, at: i64, took: i64) -> bool {
        let proxied = |answer| self.outcome(answer) == Outcome::HttpProxy;
        let (true, Some(node), Some(member)) = (
            path.ingress.is_some_and(proxied),
            self.node(path.server),
            self.cast.party(path.server).member(),
        ) else {
            return true;
        };
        let odd = self.random.chance(self.settings.connections.odd_requests.0);
        let request = super::lines::request(odd, &mut self.random);
        let (method, url) = super::lines::REQUESTS[request as usize];
        let host = super::lines::authority(&self.cast.members[member]);
        let sides = (path.client, path.server);
        let allowed = self
            .rules
            .lets_in(&self.cast, sides, path.port, (method, &host, url));
        let event = HttpEvent {
            request,
            member: member as u32,
            code: 0,
            took: 0,
            denied: !allowed,
        };
        let asked = packet(path);
        self.emit(at + 2 * MILLI, node, asked, What::Http(event));
        let took = if allowed { took } else { 300 * MICRO };
        let failed = allowed && self.random.chance(0.004);
        let event = HttpEvent {
            code: match (allowed, failed) {
                (false, _) => 403,
                (true, true) => 503,
                (true, false) => 200,
            },
            took: (took / MICRO) as u32,
            denied: false,
            ..event
        };
        let at = at + 2 * MILLI + took;
        self.emit(at, node, asked.back(), What::Http(event));
        allowed
    }

    pub(super) fn outcome(&self, answer: AnswerId) -> Outcome {
        self.rules.answer(answer).outcome
    }

    pub(super) fn node(&self, party: PartyId) -> Option<u16> {
        self.cast.party(party).node
    }

    pub(super) fn verdict(
        &mut self,
        at: i64,
        node: u16,
        packet: Packet,
        answer: AnswerId,
        way: Way,
    ) {
        if self.rules.answer(answer).enforced {
            self.emit(at, node, packet, What::Verdict { answer, way });
        }
    }

    /// An event, stamped by the clock of its node.
    pub(super) fn emit(&mut self, at: i64, node: u16, packet: Packet, what: What) {
        // Agents stamp what they read, some microseconds after it happened.
        let read = self.random.below(3_000) as i64;
        let stamp = at + self.skew[node as usize] + read;
        self.wheel.push(stamp, node, packet, what);
    }

    /// A packet that is dropped, and comes again as long as the client tries.
    fn refuse(&mut self, path: &Path, (node, answer, way): (u16, AnswerId, Way), at: i64) {
        self.truth.denied(path.edge);
        let packet = packet(path).with(SYN);
        let retries = if path.protocol == UDP {
            &SYN_RETRIES[..1]
        } else {
            &SYN_RETRIES[..]
        };
        for second in retries {
            let at = at + second * SECOND;
            self.verdict(at, node, packet, answer, way);
            self.emit(at + 14 * MICRO, node, packet, What::Drop { answer, way });
        }
    }

    /// A packet and its answer, at every point that reports them.
    fn exchange(
        &mut self,
        path: &Path,
        at: i64,
        wait: i64,
        (there, back): (u32, u32),
        state: State,
    ) {
        let sent = packet(path).with(there);
        let answered = sent.back().with(back);
        let first = state == State::New;
        self.depart(path, sent, at, state, first);
        let across = at + (180 + self.random.below(240) as i64) * MICRO;
        let same = self.node(path.client) == self.node(path.server);
        if let (Some(node), true) = (self.node(path.server), path.ingress.is_some()) {
            let proxied = path
                .ingress
                .is_some_and(|answer| self.outcome(answer) == Outcome::HttpProxy);
            if proxied {
                let point = Point::Proxy;
                self.trace(across, node, sent, (point, Way::Ingress, state));
            }
            if !proxied || first {
                let at = across + 11 * MICRO;
                self.trace(at, node, sent, (Point::Endpoint, Way::Ingress, state));
            }
            let point = self.point(path.server, path.client);
            if let Some(point) = point {
                let at = across + wait + 60 * MICRO;
                self.trace(at, node, answered, (point, Way::Ingress, State::Reply));
            }
        }
        if let (Some(node), true) = (self.node(path.client), path.egress.is_some()) {
            let far = if same && wait == 0 {
                90 * MICRO
            } else {
                330 * MICRO
            };
            let far = if path.ingress.is_some() {
                far
            } else {
                18 * MILLI
            };
            let (point, way) = (Point::Endpoint, Way::Egress);
            self.trace(
                across + wait + far,
                node,
                answered,
                (point, way, State::Reply),
            );
        }
    }

    /// A packet leaves the client's node.
    fn depart(&mut self, path: &Path, packet: Packet, at: i64, state: State, first: bool) {
        let (Some(node), Some(egress)) = (self.node(path.client), path.egress) else {
            return;
        };
        let proxied = matches!(self.outcome(egress), Outcome::DnsProxy | Outcome::HttpProxy);
        if proxied && first {
            self.trace(at, node, packet, (Point::Proxy, Way::Egress, state));
        }
        if let Some(point) = self.point(path.client, path.server) {
            let at = at + 12 * MICRO;
            self.trace(at, node, packet, (point, Way::Egress, state));
        }
    }

    pub(super) fn trace(
        &mut self,
        at: i64,
        node: u16,
        packet: Packet,
        (point, way, state): (Point, Way, State),
    ) {
        self.emit(at, node, packet, What::Trace { point, way, state });
    }

    /// Where a packet from a pod is seen to leave: `None` where it stays on the node and
    /// goes into the other pod.
    pub(super) fn point(&self, from: PartyId, to: PartyId) -> Option<Point> {
        let (from, to) = (self.cast.party(from), self.cast.party(to));
        match to.role {
            Role::Pod { .. } if from.node == to.node => None,
            Role::Pod { .. } | Role::Ingress | Role::Host
                if from.node != to.node && self.settings.world.tunnel =>
            {
                Some(Point::Overlay)
            }
            _ => Some(Point::Stack),
        }
    }

    fn end(&self, party: PartyId) -> End {
        let party = self.cast.party(party);
        match party.role {
            Role::Pod { member, .. } => {
                let member = &self.cast.members[member as usize];
                End::Workload {
                    namespace: member.namespace.clone(),
                    kind: member.kind,
                    name: member.name.clone(),
                }
            }
            Role::Host => End::Reserved("host"),
            Role::Ingress => End::Reserved("ingress"),
            Role::ApiServer => End::Reserved("kube-apiserver"),
            Role::External(_) | Role::Address => {
                let identity = &self.cast.identities[party.identity.0 as usize];
                match identity.names.first() {
                    Some(name) => End::Name(name.clone()),
                    None => End::Prefix(self.prefix(party.ip.into())),
                }
            }
        }
    }

    /// The longest prefix of policies that an address is in, itself without one.
    fn prefix(&self, address: IpAddr) -> IpNet {
        let named = self.prefixes.iter().copied();
        named
            .filter(|prefix| prefix.prefix_len() > 0 && prefix.contains(&address))
            .max_by_key(IpNet::prefix_len)
            .unwrap_or_else(|| IpNet::from(address))
    }
}

/// The first packet of a connection.
pub(super) fn packet(path: &Path) -> Packet {
    Packet {
        source: path.client,
        destination: path.server,
        source_port: path.client_port,
        destination_port: path.port,
        udp: path.protocol == UDP,
        flags: 0,
    }
}
