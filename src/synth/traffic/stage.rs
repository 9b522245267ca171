//! What a connection leaves behind at Hubble's observation points.
//!
//! Owns which node sees which event of a connection (monitor aggregation medium), the
//! verdicts of both sides, and retries of what is dropped. When and why connections are made
//! is `play`'s; look-ups are `lookup`'s, requests `requests`'.

use ipnet::IpNet;

use super::super::number::{Random, mix};
use super::cast::{Cast, PartyId, Role, TCP, UDP};
use super::rules::{AnswerId, Outcome, Rules};
use super::settings::Settings;
use super::truth::{EdgeId, EdgeKey, TruthSink};
use super::wheel::{Packet, Point, State, Way, What, Wheel};
use crate::flow::flags::{ACK, FIN, PSH, RST, SYN};
use crate::policy::Direction;

pub(super) const MICRO: i64 = 1_000;
pub(super) const MILLI: i64 = 1_000_000;
pub(super) const SECOND: i64 = 1_000_000_000;
/// When Linux sends a SYN again, after the first.
const SYN_RETRIES: [i64; 5] = [0, 1, 3, 7, 15];
/// Those of them that the source's node reports: others come within a tick of one before.
const SYN_SEEN_AGAIN: [i64; 3] = [0, 7, 15];
/// Cilium's reason for packets to addresses that lead nowhere.
const STALE_OR_UNROUTABLE: u16 = 151;
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

/// What a server does with a connection that policies let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Response {
    Accepts,
    /// Nobody listens: RST.
    Refuses,
    /// No answer.
    Silent,
    /// No answer, and the client does not try again.
    Once,
    /// Nobody has the address: Cilium drops it.
    Unroutable,
}

/// Everything an event is made of.
pub(super) struct Stage {
    pub(super) cast: Cast,
    pub(super) rules: Rules,
    pub(super) wheel: Wheel,
    pub(super) truth: TruthSink,
    pub(super) random: Random,
    pub(super) settings: Settings,
    /// How each member's servers answer while they are not well.
    pub(super) down: Vec<Option<Response>>,
    /// Members that have stopped working.
    pub(super) quiet: Vec<bool>,
    /// How much each node's clock is off.
    pub(super) skew: Vec<i64>,
    next_port: Vec<u16>,
    /// What policies name of the addresses outside.
    pub(super) prefixes: Vec<IpNet>,
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
            wheel: Wheel::new(start - settings.margin()),
            down: vec![None; cast.members.len()],
            quiet: vec![false; cast.members.len()],
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
        while self.next_port.len() <= client.0 as usize {
            let first = self.random.below(EPHEMERALS.into()) as u16;
            self.next_port.push(first);
        }
        let next = &mut self.next_port[client.0 as usize];
        *next = (*next + 1) % EPHEMERALS;
        let turn = *next;
        // As Linux picks them (RFC 6056, 3.3.3): from where the destination says, one up each
        // time, so that ports tell nothing of order and no 5-tuple comes twice.
        let to = self.cast.party(server).uid ^ u64::from(port) << 48;
        let offset = mix(self.cast.party(client).uid ^ to.rotate_left(17)) as u16 % EPHEMERALS;
        let client_port = EPHEMERAL + (offset + turn) % EPHEMERALS;
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
            source: self.end(client, None),
            destination: self.end(server, self.node(client)),
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

    /// Opens a connection; false where a policy denies it or nobody answers. `wait` is how
    /// long the server takes for its first packet.
    pub(super) fn open(&mut self, path: &Path, at: i64, wait: i64) -> bool {
        let response = self.response(path.server);
        self.open_to(path, at, wait, response)
    }

    /// How a server answers now.
    pub(super) fn response(&self, server: PartyId) -> Response {
        let down = |member: usize| self.down[member];
        let down = self.cast.party(server).member().and_then(down);
        down.unwrap_or(Response::Accepts)
    }

    /// Opens a connection to who answers in this way.
    pub(super) fn open_to(&mut self, path: &Path, at: i64, wait: i64, response: Response) -> bool {
        self.truth.opened(path.edge);
        let packet = packet(path).with(SYN);
        let once = response == Response::Once || path.protocol == UDP;
        if let (Some(answer), Some(node)) = (path.egress, self.node(path.client)) {
            if self.outcome(answer).is_denied() {
                self.refuse(path, (node, answer, Way::Egress), at, once);
                return false;
            }
            self.verdict(at, node, packet, answer, Way::Egress);
            if response == Response::Unroutable {
                self.unroutable(packet, node, at);
                return false;
            }
        }
        if let (Some(answer), Some(node)) = (path.ingress, self.node(path.server)) {
            if self.outcome(answer).is_denied() {
                let times = if response == Response::Once { 1 } else { 3 };
                for second in &SYN_SEEN_AGAIN[..times] {
                    self.depart(path, packet, at + second * SECOND, State::New, false);
                }
                let at = at + 190 * MICRO;
                self.refuse(path, (node, answer, Way::Ingress), at, once);
                return false;
            }
            self.verdict(at + 190 * MICRO, node, packet, answer, Way::Ingress);
        }
        let at = at + 9 * MICRO;
        match response {
            Response::Accepts => {
                let answer = if path.protocol == UDP { 0 } else { SYN | ACK };
                self.exchange(path, at, wait, (SYN, answer), State::New);
                true
            }
            Response::Refuses => {
                self.exchange(path, at, 0, (SYN, RST | ACK), State::New);
                false
            }
            Response::Silent | Response::Once | Response::Unroutable => {
                self.unanswered(path, packet, at, if once { 1 } else { 3 });
                false
            }
        }
    }

    /// Packets arrive, and nothing comes back.
    fn unanswered(&mut self, path: &Path, packet: Packet, at: i64, times: usize) {
        for second in &SYN_SEEN_AGAIN[..times] {
            let at = at + second * SECOND;
            self.depart(path, packet, at, State::New, *second == 0);
            if let (Some(node), true) = (self.node(path.server), path.ingress.is_some()) {
                let point = (Point::Endpoint, Way::Ingress, State::New);
                self.trace(at + 220 * MICRO, node, packet, point);
            }
        }
    }

    /// Packets to an address of the pod network that no pod has.
    fn unroutable(&mut self, packet: Packet, node: u16, at: i64) {
        let (reason, way) = (STALE_OR_UNROUTABLE, Way::Egress);
        let times = if packet.udp { 1 } else { SYN_RETRIES.len() };
        for second in &SYN_RETRIES[..times] {
            let at = at + second * SECOND + 31 * MICRO;
            self.emit(at, node, packet, What::Fault { reason, way });
        }
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
    fn refuse(
        &mut self,
        path: &Path,
        (node, answer, way): (u16, AnswerId, Way),
        at: i64,
        once: bool,
    ) {
        self.truth.denied(path.edge);
        let packet = packet(path).with(SYN);
        let retries = if once {
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
