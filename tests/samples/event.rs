//! Events as Cilium 1.19 records them: which fields each type carries, and what it says.

use serde_json::{Map, Value, json};

use super::cluster::{NODES, Peer, Policy, RELAY};
use super::prng::Prng;

/// Nanoseconds of a second and a millisecond.
pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const MS: i64 = 1_000_000;

/// Fields of a flow in the order they are written, which is that of `flow.proto`.
const FIELDS: [&str; 32] = [
    "time",
    "uuid",
    "emitter",
    "verdict",
    "drop_reason",
    "ethernet",
    "IP",
    "l4",
    "source",
    "destination",
    "Type",
    "node_name",
    "node_labels",
    "source_names",
    "destination_names",
    "l7",
    "reply",
    "event_type",
    "source_service",
    "destination_service",
    "traffic_direction",
    "policy_match_type",
    "trace_observation_point",
    "trace_reason",
    "file",
    "drop_reason_desc",
    "is_reply",
    "interface",
    "proxy_port",
    "sock_xlate_point",
    "socket_cookie",
    "cgroup_id",
];
const LAST_FIELDS: [&str; 3] = ["Summary", "egress_allowed_by", "ingress_allowed_by"];

#[derive(Clone, Copy, PartialEq)]
pub(super) enum L4 {
    Tcp(&'static [&'static str]),
    Udp,
    /// ICMP type; its code is 0.
    Icmp(u32),
}

#[derive(Clone, Copy)]
pub(super) struct Packet {
    pub(super) source: Peer,
    pub(super) source_port: u32,
    pub(super) destination: Peer,
    pub(super) destination_port: u32,
    pub(super) l4: L4,
}

impl Packet {
    pub(super) fn tcp(source: Peer, source_port: u32, destination: Peer, port: u32) -> Self {
        Self {
            source,
            source_port,
            destination,
            destination_port: port,
            l4: L4::Tcp(&["SYN"]),
        }
    }

    pub(super) fn udp(source: Peer, source_port: u32, destination: Peer, port: u32) -> Self {
        Self {
            l4: L4::Udp,
            ..Self::tcp(source, source_port, destination, port)
        }
    }

    pub(super) fn flags(self, flags: &'static [&'static str]) -> Self {
        Self {
            l4: L4::Tcp(flags),
            ..self
        }
    }

    pub(super) fn back(self) -> Self {
        Self {
            source: self.destination,
            source_port: self.destination_port,
            destination: self.source,
            destination_port: self.source_port,
            l4: self.l4,
        }
    }

    fn layer4(&self, with_flags: bool) -> Value {
        let mut ports = Map::new();
        if self.source_port != 0 {
            ports.insert("source_port".into(), self.source_port.into());
        }
        ports.insert("destination_port".into(), self.destination_port.into());
        match self.l4 {
            L4::Tcp(flags) => {
                if with_flags {
                    // In the order of `TCPFlags`.
                    let set: Map<String, Value> = ["FIN", "SYN", "RST", "PSH", "ACK"]
                        .into_iter()
                        .filter(|flag| flags.contains(flag))
                        .map(|flag| (flag.to_owned(), true.into()))
                        .collect();
                    ports.insert("flags".into(), set.into());
                }
                json!({"TCP": ports})
            }
            L4::Udp => json!({"UDP": ports}),
            L4::Icmp(0) => json!({"ICMPv4": {}}),
            L4::Icmp(kind) => json!({"ICMPv4": {"type": kind}}),
        }
    }

    fn summary(&self) -> String {
        match self.l4 {
            L4::Tcp(flags) => format!("TCP Flags: {}", flags.join(", ")),
            L4::Udp => "UDP".to_owned(),
            L4::Icmp(0) => "ICMPv4 EchoReply".to_owned(),
            L4::Icmp(_) => "ICMPv4 EchoRequest".to_owned(),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    Ingress,
    Egress,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Ingress => "INGRESS",
            Self::Egress => "EGRESS",
        }
    }
}

/// What a policy verdict says.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    /// Allowed; how it matched, and which policy says so where one does.
    Allowed(u32, Option<&'static Policy>),
    /// Allowed, and for the proxy to judge further.
    Redirected(&'static Policy),
    Denied,
    /// Not allowed, and let through all the same.
    Audited,
}

#[derive(Clone, Copy)]
pub(super) enum Point {
    Endpoint,
    Proxy(u32),
    Stack,
    Overlay,
    Network,
}

/// One line of a recording.
pub(super) struct Event {
    pub(super) time: i64,
    /// The node that saw it; `None` for what relay says.
    pub(super) node: Option<usize>,
    /// The line with its wrapper.
    pub(super) line: Value,
}

/// Where events go, in no order yet.
pub(super) struct Recorder {
    pub(super) prng: Prng,
    pub(super) events: Vec<Event>,
}

impl Recorder {
    pub(super) fn verdict(
        &mut self,
        at: i64,
        node: usize,
        packet: Packet,
        way: Way,
        outcome: Outcome,
    ) {
        let mut flow = self.packet(packet, node);
        flow.insert("event_type".into(), json!({"type": 5}));
        flow.insert("traffic_direction".into(), way.name().into());
        let verdict = match outcome {
            Outcome::Allowed(..) => "FORWARDED",
            Outcome::Redirected(_) => "REDIRECTED",
            Outcome::Denied => "DROPPED",
            Outcome::Audited => "AUDIT",
        };
        flow.insert("verdict".into(), verdict.into());
        let (match_type, policy) = match outcome {
            Outcome::Allowed(match_type, policy) => (match_type, policy),
            Outcome::Redirected(policy) => (2, Some(policy)),
            Outcome::Denied | Outcome::Audited => (0, None),
        };
        if match_type != 0 {
            flow.insert("policy_match_type".into(), match_type.into());
        }
        if let Some(policy) = policy {
            let field = match way {
                Way::Ingress => "ingress_allowed_by",
                Way::Egress => "egress_allowed_by",
            };
            flow.insert(field.into(), json!([policy.reference()]));
        }
        if let Outcome::Denied = outcome {
            flow.insert("drop_reason".into(), 133.into());
            flow.insert("drop_reason_desc".into(), "POLICY_DENIED".into());
        } else {
            flow.insert("is_reply".into(), false.into());
        }
        self.push(at, node, flow);
    }

    /// The drop that follows a denial.
    pub(super) fn drop(&mut self, at: i64, node: usize, packet: Packet, way: Way) {
        let mut flow = self.packet(packet, node);
        flow.insert("verdict".into(), "DROPPED".into());
        flow.insert("drop_reason".into(), 133.into());
        flow.insert("drop_reason_desc".into(), "POLICY_DENIED".into());
        flow.insert("event_type".into(), json!({"type": 1, "sub_type": 133}));
        flow.insert("traffic_direction".into(), way.name().into());
        let line = if way == Way::Egress { 1545 } else { 2412 };
        flow.insert("file".into(), json!({"name": "bpf_lxc.c", "line": line}));
        self.push(at, node, flow);
    }

    /// A trace; `reason` is the connection's state.
    pub(super) fn trace(
        &mut self,
        at: i64,
        node: usize,
        packet: Packet,
        way: Way,
        point: Point,
        reason: &str,
    ) {
        let reply = reason == "REPLY";
        let mut flow = self.packet(packet, node);
        flow.insert("verdict".into(), "FORWARDED".into());
        let (name, sub_type, interface) = match point {
            Point::Endpoint => ("TO_ENDPOINT", 0, None),
            Point::Proxy(_) => ("TO_PROXY", 1, None),
            Point::Stack => ("TO_STACK", 3, None),
            Point::Overlay => (
                "TO_OVERLAY",
                4,
                Some(json!({"index": 5, "name": "cilium_vxlan"})),
            ),
            Point::Network => ("TO_NETWORK", 11, Some(json!({"index": 2, "name": "eth0"}))),
        };
        let mut event_type = json!({"type": 4});
        if sub_type != 0 {
            event_type["sub_type"] = sub_type.into();
        }
        flow.insert("event_type".into(), event_type);
        if let Some(interface) = interface {
            flow.insert("interface".into(), interface);
        }
        if let Point::Proxy(port) = point {
            flow.insert("proxy_port".into(), port.into());
        }
        if let Point::Network = point {
            let ip = json!({
                "source": packet.source.ip(),
                "source_xlated": NODES[node].ip,
                "destination": packet.destination.ip(),
                "ipVersion": "IPv4",
            });
            flow.insert("IP".into(), ip);
        }
        if let (Point::Endpoint, Peer::Pod(pod)) = (point, packet.destination) {
            flow.insert("interface".into(), json!({"index": 20 + pod.id % 40}));
        }
        flow.insert("traffic_direction".into(), way.name().into());
        flow.insert("trace_observation_point".into(), name.into());
        flow.insert("trace_reason".into(), reason.into());
        if reply {
            flow.insert("reply".into(), true.into());
        }
        flow.insert("is_reply".into(), reply.into());
        self.push(at, node, flow);
    }

    /// A record of the proxy.
    pub(super) fn l7(
        &mut self,
        at: i64,
        node: usize,
        packet: Packet,
        way: Way,
        verdict: &str,
        (record, summary): (Value, String),
    ) {
        let reply = record["type"] == "RESPONSE";
        let mut flow = self.base(packet, node);
        flow.insert("verdict".into(), verdict.into());
        flow.insert("l4".into(), packet.layer4(false));
        flow.insert("Type".into(), "L7".into());
        flow.insert("l7".into(), record);
        flow.insert("event_type".into(), json!({"type": 129}));
        flow.insert("traffic_direction".into(), way.name().into());
        if reply {
            flow.insert("reply".into(), true.into());
        }
        flow.insert("is_reply".into(), reply.into());
        flow.insert("Summary".into(), summary.into());
        self.push(at, node, flow);
    }

    /// A service address on its way through the socket's load balancer.
    pub(super) fn sock(&mut self, at: i64, client: Peer, server: Peer, port: u32) {
        let (Peer::Pod(from), Peer::Pod(to)) = (client, server) else {
            return;
        };
        let cookie = self.prng.between(4096, 1 << 20).to_string();
        let cgroup = (9000 + from.id).to_string();
        let before = Packet::tcp(client, 0, Peer::World(to.service_ip), port);
        let after = Packet::tcp(client, 0, server, port);
        for (step, packet) in [before, after].into_iter().enumerate() {
            let mut flow = self.base(packet, from.node);
            let (verdict, point) = if step == 0 {
                ("TRACED", "SOCK_XLATE_POINT_PRE_DIRECTION_FWD")
            } else {
                ("TRANSLATED", "SOCK_XLATE_POINT_POST_DIRECTION_FWD")
            };
            if step == 0 {
                flow.insert("destination_service".into(), to.service());
            }
            flow.insert("verdict".into(), verdict.into());
            flow.insert("l4".into(), packet.layer4(false));
            flow.insert("Type".into(), "SOCK".into());
            flow.insert(
                "event_type".into(),
                json!({"type": 7, "sub_type": step + 1}),
            );
            flow.insert("sock_xlate_point".into(), point.into());
            flow.insert("socket_cookie".into(), cookie.clone().into());
            flow.insert("cgroup_id".into(), cgroup.clone().into());
            flow.insert("Summary".into(), "TCP".into());
            self.push(at + 4_000 * step as i64, from.node, flow);
        }
    }

    /// Lost events, which the agent signs with its node's bare name.
    pub(super) fn lost(&mut self, at: i64, node: usize, lost: &Value) {
        let line = json!({
            "lost_events": lost,
            "node_name": NODES[node].name,
            "time": timestamp(at),
        });
        self.events.push(Event {
            time: at,
            node: Some(node),
            line,
        });
    }

    /// What relay says of a node.
    pub(super) fn node_status(&mut self, at: i64, node: usize, state: &str) {
        let line = json!({
            "node_status": {
                "state_change": state,
                "node_names": [NODES[node].full_name()],
            },
            "node_name": RELAY,
            "time": timestamp(at),
        });
        self.events.push(Event {
            time: at,
            node: None,
            line,
        });
    }

    /// What every flow has.
    fn base(&mut self, packet: Packet, node: usize) -> Map<String, Value> {
        let mut flow = Map::new();
        flow.insert("uuid".into(), self.prng.uuid().into());
        flow.insert(
            "emitter".into(),
            json!({"name": "Hubble", "version": "1.19.4"}),
        );
        flow.insert(
            "IP".into(),
            json!({
                "source": packet.source.ip(),
                "destination": packet.destination.ip(),
                "ipVersion": "IPv4",
            }),
        );
        flow.insert("source".into(), packet.source.endpoint(node));
        flow.insert("destination".into(), packet.destination.endpoint(node));
        flow.insert("node_name".into(), NODES[node].full_name().into());
        flow.insert("node_labels".into(), NODES[node].labels());
        // Names are known to the endpoint that looked them up, which is a local one.
        if let Some(name) = packet.source.dns_name() {
            flow.insert("source_names".into(), json!([name]));
        }
        if let Some(name) = packet.destination.dns_name() {
            flow.insert("destination_names".into(), json!([name]));
        }
        flow
    }

    /// What every flow of a packet has.
    fn packet(&mut self, packet: Packet, node: usize) -> Map<String, Value> {
        let mut flow = self.base(packet, node);
        flow.insert(
            "ethernet".into(),
            json!({"source": packet.source.mac(node), "destination": packet.destination.mac(node)}),
        );
        flow.insert("l4".into(), packet.layer4(true));
        flow.insert("Type".into(), "L3_L4".into());
        flow.insert("Summary".into(), packet.summary().into());
        flow
    }

    fn push(&mut self, at: i64, node: usize, mut flow: Map<String, Value>) {
        // Agents stamp what they read, some microseconds after it happened.
        let at = at + self.prng.between(900, 9_000);
        flow.insert("time".into(), timestamp(at).into());
        let mut ordered = Map::new();
        for field in FIELDS.iter().chain(&LAST_FIELDS) {
            if let Some(value) = flow.remove(*field) {
                ordered.insert((*field).to_owned(), value);
            }
        }
        assert!(flow.is_empty(), "a field without a place: {flow:?}");
        let line = json!({
            "flow": ordered,
            "node_name": NODES[node].full_name(),
            "time": timestamp(at),
        });
        self.events.push(Event {
            time: at,
            node: Some(node),
            line,
        });
    }
}

/// RFC 3339 with as many digits as protojson gives: none, three, six or nine.
pub(super) fn timestamp(at: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(at)).expect("a time of this century");
    let digits = match at % SECOND {
        0 => 0,
        part if part % 1_000_000 == 0 => 3,
        part if part % 1_000 == 0 => 6,
        _ => 9,
    };
    format!("{time:.digits$}")
}
