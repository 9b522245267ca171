//! Events as the rows Hubble 1.19 would give.
//!
//! Owns every field of a row and the ids they need, remembered as long as the dictionaries
//! hold. What happened is decided elsewhere.

use std::fmt::Write as _;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::super::number::{Random, mix};
use super::cast::{Cast, PartyId, Role};
use super::lines;
use super::names::{self, Outside, View};
use super::rules::{AnswerId, Outcome, Rules};
use super::settings::Settings;
use super::wheel::{DnsEvent, Event, HttpEvent, Name, Point, QueryType, State, Way, What};
use crate::flow::{
    BatchBuilder, Direction, Dns, DropReason, EndpointId, EventType, File, FlowType, Header, Http,
    Interner, L7, L7Record, L7Type, ListId, PairId, Policy, Protocol, Raw, Reply, Row, StrId,
    TracePoint, TraceReason, Verdict, flags,
};
use crate::policy::{ObjectId, ObjectKind};

/// What answers without an address have for a time to live.
const NO_TTL: u32 = u32::MAX;
/// Response code of a name that does not exist.
const NX_DOMAIN: u32 = 3;
/// Ports of the proxies.
const DNS_PROXY: u32 = 40_905;
const HTTP_PROXY: u32 = 14_217;
/// Index of the tunnel's device.
const TUNNEL_LINK: u32 = 7;

type Texts<K, V> = HashMap<K, V, FixedState>;

/// Writes events into a batch.
pub(super) struct Writer {
    outside: Outside,
    random: Random,
    missing: f64,
    unknown: f64,
    ttl: Ttl,
    epoch: u64,
    ids: Ids,
}

/// Times to live of answers, in seconds.
struct Ttl {
    service: u32,
    external: u32,
    cdn: u32,
}

/// Ids of one epoch of dictionaries.
#[derive(Default)]
struct Ids {
    emitter: PairId,
    nodes: Vec<(StrId, ListId)>,
    parties: Vec<PartyIds>,
    endpoints: Texts<(PartyId, View, u16), EndpointId>,
    policies: Vec<Option<Vec<Policy>>>,
    summaries: Vec<StrId>,
    udp: StrId,
    queries: Texts<(Name, u8, u32), StrId>,
    tunnel_link: StrId,
    drop_file: StrId,
    host_file: StrId,
}

#[derive(Clone, Copy, Default)]
struct PartyIds {
    ip: StrId,
    uid: u64,
    known: [EndpointId; 2],
    arriving: PairId,
    leaving: PairId,
    link: (u32, StrId),
    names: ListId,
}

impl Writer {
    pub(super) fn new(outside: Outside, settings: &Settings, seed: u64) -> Self {
        let observation = &settings.observation;
        Self {
            outside,
            random: Random::new(seed, 3),
            missing: observation.missing_metadata.0,
            unknown: observation.unknown_reply.0,
            ttl: Ttl {
                service: settings.dns.cluster_ttl.0 as u32,
                external: settings.dns.external_ttl.0 as u32,
                cdn: settings.dns.cdn_ttl.0 as u32,
            },
            epoch: 0,
            ids: Ids::default(),
        }
    }

    /// Adds the row of an event; its uuid.
    pub(super) fn write(
        &mut self,
        cast: &Cast,
        rules: &Rules,
        event: &Event,
        builder: &mut BatchBuilder,
    ) -> u128 {
        let (interner, row) = builder.next_row();
        if self.epoch != interner.epoch() {
            self.epoch = interner.epoch();
            self.ids = Ids::new(cast, interner);
        }
        self.common(cast, event, interner, row);
        match event.what {
            What::Trace { point, way, state } => {
                self.packet(cast, event, arrives(point, way), interner, row);
                self.trace(cast, event, (point, way, state), interner, row);
            }
            What::Verdict { answer, way } => {
                self.packet(cast, event, way == Way::Ingress, interner, row);
                row.event_type = EventType::POLICY_VERDICT.0;
                row.direction = direction(way);
                self.verdict(rules, answer, way, interner, row);
            }
            What::Drop { answer, way } => {
                self.packet(cast, event, way == Way::Ingress, interner, row);
                let reason = reason(rules.answer(answer).outcome);
                row.event_type = EventType::DROP.0;
                row.event_sub_type = reason.0;
                row.direction = direction(way);
                row.verdict = Verdict::DROPPED;
                row.drop_reason = reason;
                row.drop_reason_number = reason.0 as u32;
                let name = self.ids.drop_file;
                let line = if way == Way::Egress { 1_462 } else { 2_103 };
                row.extra().file = Some(File { name, line });
            }
            What::Fault { reason, way } => {
                self.packet(cast, event, way == Way::Ingress, interner, row);
                let reason = DropReason(i32::from(reason));
                row.event_type = EventType::DROP.0;
                row.event_sub_type = reason.0;
                row.direction = direction(way);
                row.verdict = Verdict::DROPPED;
                row.drop_reason = reason;
                row.drop_reason_number = reason.0 as u32;
                let name = self.ids.host_file;
                row.extra().file = Some(File { name, line: 1_177 });
            }
            What::Dns(dns) => self.dns(cast, event, dns, interner, row),
            What::Http(event) => http(cast, event, interner, row),
        }
        let uuid = row.uuid;
        builder.keep_row(|| Raw::Message(Bytes::new()));
        uuid
    }

    /// What every flow has.
    fn common(&mut self, cast: &Cast, event: &Event, interner: &mut Interner, row: &mut Row) {
        let high = self.random.next();
        let low = self.random.next();
        // Version 4, variant 1.
        let high = high & !0xf000 | 0x4000;
        let low = low & !(0b11 << 62) | 0b10 << 62;
        row.uuid = u128::from(high) << 64 | u128::from(low);
        row.time = event.time;
        row.emitter = self.ids.emitter;
        (row.node, row.node_labels) = self.ids.nodes[event.node as usize];
        row.flags = flags::HAS_IP | flags::HAS_L4 | flags::HAS_EVENT_TYPE;
        row.ip_version = 1;
        row.protocol = if event.udp {
            Protocol::Udp
        } else {
            Protocol::Tcp
        };
        row.source_port = event.source_port.into();
        row.destination_port = event.destination_port.into();
        let mut bare = [false; 2];
        if self.random.chance(self.missing) {
            bare[self.random.below(2)] = true;
        }
        for (side, id) in [event.source, event.destination].into_iter().enumerate() {
            let ids = self.party(cast, id, interner);
            let view = match () {
                () if bare[side] => View::Bare,
                () if cast.party(id).node == Some(event.node) => View::Local,
                () => View::Remote,
            };
            let endpoint = self.endpoint(cast, id, view, event.node, interner);
            if side == 0 {
                (row.source_ip, row.source, row.source_names) = (ids.ip, endpoint, ids.names);
            } else {
                row.destination_ip = ids.ip;
                (row.destination, row.destination_names) = (endpoint, ids.names);
            }
        }
    }

    /// What every packet has.
    fn packet(
        &mut self,
        cast: &Cast,
        event: &Event,
        arrives: bool,
        interner: &mut Interner,
        row: &mut Row,
    ) {
        row.flow_type = FlowType::L3_L4;
        row.ethernet = if arrives {
            self.party(cast, event.destination, interner).arriving
        } else {
            self.party(cast, event.source, interner).leaving
        };
        if event.udp {
            row.summary = self.ids.udp;
        } else {
            row.flags |= flags::HAS_TCP_FLAGS | u32::from(event.flags);
            row.summary = self.ids.summaries[event.flags as usize & 31];
        }
    }

    fn trace(
        &mut self,
        cast: &Cast,
        event: &Event,
        (point, way, state): (Point, Way, State),
        interner: &mut Interner,
        row: &mut Row,
    ) {
        row.verdict = Verdict::FORWARDED;
        row.event_type = EventType::TRACE.0;
        (row.trace_point, row.event_sub_type) = match point {
            Point::Endpoint => (TracePoint::TO_ENDPOINT, 0),
            Point::Proxy => (TracePoint::TO_PROXY, 1),
            Point::Stack => (TracePoint::TO_STACK, 3),
            Point::Overlay => (TracePoint::TO_OVERLAY, 4),
        };
        match point {
            Point::Endpoint => {
                row.extra().interface = Some(self.party(cast, event.destination, interner).link);
            }
            Point::Overlay => row.extra().interface = Some((TUNNEL_LINK, self.ids.tunnel_link)),
            Point::Proxy => {
                row.extra().proxy_port = if event.udp { DNS_PROXY } else { HTTP_PROXY };
            }
            Point::Stack => {}
        }
        // Where connection tracking did not say, nothing that follows from it is known.
        if !self.random.chance(self.unknown) {
            row.direction = direction(way);
            row.reply = Reply::from_option(Some(state == State::Reply));
            row.trace_reason = match state {
                State::New => TraceReason::NEW,
                State::Established => TraceReason::ESTABLISHED,
                State::Reply => TraceReason::REPLY,
            };
        }
    }

    fn verdict(
        &mut self,
        rules: &Rules,
        id: AnswerId,
        way: Way,
        interner: &mut Interner,
        row: &mut Row,
    ) {
        let answer = rules.answer(id);
        row.policy_match_type = answer.match_type;
        let denied = answer.outcome.is_denied();
        row.verdict = match answer.outcome {
            Outcome::Allowed => Verdict::FORWARDED,
            Outcome::DnsProxy | Outcome::HttpProxy => Verdict::REDIRECTED,
            Outcome::DeniedByDefault | Outcome::DeniedByRule => Verdict::DROPPED,
        };
        if denied {
            row.drop_reason = reason(answer.outcome);
            row.drop_reason_number = row.drop_reason.0 as u32;
        } else {
            row.reply = Reply::No;
        }
        if answer.policies.is_empty() {
            return;
        }
        let policies = self.policies(rules, id, interner);
        let extra = row.extra();
        match (denied, way) {
            (false, Way::Egress) => extra.egress_allowed_by = policies,
            (false, Way::Ingress) => extra.ingress_allowed_by = policies,
            (true, Way::Egress) => extra.egress_denied_by = policies,
            (true, Way::Ingress) => extra.ingress_denied_by = policies,
        }
    }

    fn dns(
        &mut self,
        cast: &Cast,
        event: &Event,
        dns: DnsEvent,
        interner: &mut Interner,
        row: &mut Row,
    ) {
        let client = if dns.took.is_some() {
            event.destination
        } else {
            event.source
        };
        let member = cast.party(client).member().unwrap_or_default();
        let query = match dns.name {
            // Each is asked for once.
            Name::Made { .. } => interner.text(&lines::query(cast, &dns, member)),
            _ => *self
                .ids
                .queries
                .entry((dns.name, dns.search, member as u32))
                .or_insert_with(|| interner.text(&lines::query(cast, &dns, member))),
        };
        let kind = match dns.kind {
            QueryType::A => "A",
            QueryType::Aaaa => "AAAA",
            QueryType::Txt => "TXT",
        };
        let types = interner.list([kind].into_iter());
        let mut record = Dns {
            query,
            observation_source: interner.text("proxy"),
            qtypes: types,
            ..Dns::default()
        };
        let mut summary = String::with_capacity(96);
        if dns.took.is_none() {
            let _ = write!(summary, "DNS Query {} {kind}", interner.str(query));
        } else {
            let (ips, ttl) = self.ips(cast, dns);
            summary.push_str("DNS Answer ");
            record.ttl = if ips.is_empty() { NO_TTL } else { ttl };
            if dns.code != 0 {
                record.rcode = dns.code.into();
                summary.push_str(match record.rcode {
                    NX_DOMAIN => "RCode: Non-Existent Domain",
                    _ => "RCode: Server Failure",
                });
            } else if !ips.is_empty() {
                record.rrtypes = types;
                let _ = write!(summary, "\"{}\"", ips.join(","));
            }
            record.ips = interner.list(ips.iter().map(String::as_str));
            let query = interner.str(query);
            let _ = write!(summary, " TTL: {} (Proxy {query} {kind})", record.ttl);
        }
        row.summary = interner.text(&summary);
        let took = dns.took.map(|took| u64::from(took) * 1_000);
        layer7(row, Way::Egress, took, false, L7Record::Dns(record));
    }

    /// What is answered to a question, and how long it holds.
    fn ips(&self, cast: &Cast, dns: DnsEvent) -> (Vec<String>, u32) {
        if dns.code != 0 || dns.kind == QueryType::Aaaa {
            return (Vec::new(), NO_TTL);
        }
        match dns.name {
            Name::Service(member) => (vec![lines::service_ip(member)], self.ttl.service),
            Name::External(external) => {
                let ttl = if cast.cdn[external as usize] {
                    self.ttl.cdn
                } else {
                    self.ttl.external
                };
                (lines::external_ips(cast, external, dns.turn), ttl)
            }
            Name::Made { .. } => (Vec::new(), NO_TTL),
        }
    }

    fn party(&mut self, cast: &Cast, id: PartyId, interner: &mut Interner) -> PartyIds {
        let at = id.0 as usize;
        if self.ids.parties.len() <= at {
            let count = cast.parties.len();
            self.ids.parties.resize(count, PartyIds::default());
        }
        let known = self.ids.parties[at];
        let party = cast.party(id);
        // A number may be another pod's by now.
        if known.ip != StrId(0) && known.uid == party.uid {
            return known;
        }
        let mut ids = PartyIds {
            ip: interner.text(&party.ip.to_string()),
            uid: party.uid,
            ..PartyIds::default()
        };
        match party.role {
            Role::Pod { slot, .. } => {
                let (own, host) = (names::mac(party.uid), names::host_mac(party.uid));
                ids.arriving = interner.pair(&host, &own);
                ids.leaving = interner.pair(&own, &host);
                let (index, name) = names::link(party.uid, slot);
                ids.link = (index, interner.text(&name));
            }
            Role::External(external) => {
                let name = lines::external_name(cast, external);
                let name = Some(&*name).filter(|name| !name.is_empty());
                ids.names = interner.list(name.into_iter());
            }
            _ => {}
        }
        self.ids.parties[at] = ids;
        ids
    }

    fn endpoint(
        &mut self,
        cast: &Cast,
        id: PartyId,
        view: View,
        node: u16,
        interner: &mut Interner,
    ) -> EndpointId {
        // A pod looks the same from every other node; addresses outside do not.
        let place = match view {
            View::Local if cast.party(id).is_pod() => Some(0),
            View::Remote if cast.party(id).is_pod() => Some(1),
            _ => None,
        };
        let outside = &self.outside;
        let make = |interner: &mut Interner| {
            interner.endpoint(names::endpoint(cast, outside, id, view, node))
        };
        match place {
            Some(place) => {
                let known = &mut self.ids.parties[id.0 as usize].known[place];
                if *known == EndpointId(0) {
                    *known = make(interner);
                }
                *known
            }
            None if cast.party(id).is_pod() => make(interner),
            None => *self
                .ids
                .endpoints
                .entry((id, view, node))
                .or_insert_with(|| make(interner)),
        }
    }

    fn policies(&mut self, rules: &Rules, id: AnswerId, interner: &mut Interner) -> Vec<Policy> {
        let known = &mut self.ids.policies;
        if known.len() < rules.answers().len() {
            known.resize(rules.answers().len(), None);
        }
        let policies = known[id.0 as usize].get_or_insert_with(|| {
            let policies = rules.answer(id).policies.iter();
            policies.map(|id| reference(id, interner)).collect()
        });
        policies.clone()
    }
}

impl Ids {
    fn new(cast: &Cast, interner: &mut Interner) -> Self {
        let node = |name: &String| {
            let full = format!("{}/{name}", cast.cluster);
            let labels = [
                "kubernetes.io/arch=amd64".to_owned(),
                format!("kubernetes.io/hostname={name}"),
                "kubernetes.io/os=linux".to_owned(),
            ];
            (full, labels)
        };
        let nodes = cast.nodes.iter().map(|name| {
            let (full, labels) = node(name);
            let labels = interner.list(labels.iter().map(String::as_str));
            (interner.text(&full), labels)
        });
        Self {
            nodes: nodes.collect(),
            emitter: interner.pair("Hubble", "1.19.4"),
            parties: vec![PartyIds::default(); cast.parties.len()],
            summaries: (0..32).map(|bits| interner.text(&summary(bits))).collect(),
            udp: interner.text("UDP"),
            tunnel_link: interner.text("cilium_vxlan"),
            drop_file: interner.text("bpf_lxc.c"),
            host_file: interner.text("bpf_host.c"),
            ..Self::default()
        }
    }
}

/// A request or response of the HTTP proxy.
fn http(cast: &Cast, http: HttpEvent, interner: &mut Interner, row: &mut Row) {
    let (method, path) = lines::request_of(http.request);
    let host = lines::authority(&cast.members[http.member as usize]);
    let url = format!("http://{host}{path}");
    let summary = if http.code == 0 {
        format!("HTTP/1.1 {method} {url}")
    } else {
        let took = http.took / 1_000;
        format!("HTTP/1.1 {} {took}ms ({method} {url})", http.code)
    };
    row.summary = interner.text(&summary);
    let record = Http {
        code: http.code.into(),
        method: interner.text(method),
        url: interner.text(&url),
        protocol: interner.text("HTTP/1.1"),
        headers: vec![Header {
            key: interner.text("User-Agent"),
            value: interner.text("Go-http-client/1.1"),
        }],
    };
    let took = (http.code != 0).then(|| u64::from(http.took) * 1_000);
    layer7(row, Way::Ingress, took, http.denied, L7Record::Http(record));
}

/// A record of a proxy: what all of them have. `took` is of a response.
fn layer7(row: &mut Row, way: Way, took: Option<u64>, denied: bool, record: L7Record) {
    row.flow_type = FlowType::L7;
    row.event_type = EventType::L7.0;
    row.verdict = if denied {
        Verdict::DROPPED
    } else {
        Verdict::FORWARDED
    };
    row.direction = direction(way);
    row.reply = Reply::from_option(Some(took.is_some()));
    row.extra().l7 = Some(Box::new(L7 {
        kind: match took {
            Some(_) => L7Type::RESPONSE,
            None => L7Type::REQUEST,
        },
        latency_ns: took.unwrap_or_default(),
        record: Some(record),
    }));
}

/// Whether a packet is on its way into the pod that reports it.
fn arrives(point: Point, way: Way) -> bool {
    point == Point::Endpoint || (point == Point::Proxy && way == Way::Ingress)
}

fn direction(way: Way) -> Direction {
    match way {
        Way::Ingress => Direction::INGRESS,
        Way::Egress => Direction::EGRESS,
    }
}

fn reason(outcome: Outcome) -> DropReason {
    match outcome {
        Outcome::DeniedByRule => DropReason::POLICY_DENY,
        _ => DropReason::POLICY_DENIED,
    }
}

fn summary(bits: u32) -> String {
    let all = [
        (flags::SYN, "SYN"),
        (flags::ACK, "ACK"),
        (flags::RST, "RST"),
        (flags::FIN, "FIN"),
        (flags::PSH, "PSH"),
    ];
    let set = all.iter().filter(|(bit, _)| bits & bit != 0);
    let names: Vec<&str> = set.map(|(_, name)| *name).collect();
    format!("TCP Flags: {}", names.join(", "))
}

/// A policy as a verdict names it.
fn reference(id: &ObjectId, interner: &mut Interner) -> Policy {
    let kind = id.kind.name();
    let mut labels = vec![format!("k8s:io.cilium.k8s.policy.derived-from={kind}")];
    labels.push(format!("k8s:io.cilium.k8s.policy.name={}", id.name));
    if id.kind != ObjectKind::CiliumClusterwideNetworkPolicy {
        labels.push(format!(
            "k8s:io.cilium.k8s.policy.namespace={}",
            id.namespace
        ));
    }
    let hash = id
        .short()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            mix(hash ^ u64::from(byte))
        });
    let uid = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        hash as u32,
        hash >> 32 & 0xffff,
        hash >> 48 & 0xfff,
        mix(hash) & 0xfff,
        mix(hash) >> 16
    );
    labels.push(format!("k8s:io.cilium.k8s.policy.uid={uid}"));
    Policy {
        name: interner.text(&id.name),
        namespace: interner.text(&id.namespace),
        kind: interner.text(kind),
        labels: interner.list(labels.iter().map(String::as_str)),
        revision: 17,
    }
}
