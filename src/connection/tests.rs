//! Flows written down in short, and what they fold into.

mod attempts;
mod exchanges;
mod lifetime;
mod memory;
mod naming;
mod opened;
mod orientation;
mod properties;
mod shapes;
mod sides;

use super::*;
use crate::flow::{
    Aggregate, BatchBuilder, Direction, Dns, DropReason, Endpoint, EventType, FlowBatch, FlowType,
    Http, Icmp, L7, L7Record, L7Type, Protocol, Reply, Row, SockPoint, TracePoint, TraceReason,
    Verdict, flags,
};

const MILLI: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MILLI;
const CLIENT: (&str, u32) = ("10.0.0.9", 40_000);
const SERVER: (&str, u32) = ("10.0.0.1", 80);

/// A flow: text beside a row.
#[derive(Clone, Debug)]
struct Flow {
    row: Row,
    node: &'static str,
    source: Endpoint,
    destination: Endpoint,
    addresses: (String, String),
    service: Option<(&'static str, &'static str)>,
    names: Vec<&'static str>,
    l7: Option<(L7Type, Said)>,
    aggregate: Option<Aggregate>,
    socket: Option<(SockPoint, u64)>,
    icmp: Option<u32>,
    policies: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Http(&'static str, &'static str, u32),
    Dns(&'static str, &'static str, u32),
}

fn pod(name: &str) -> Endpoint {
    Endpoint {
        id: 7,
        identity: 4_711,
        namespace: "shop".into(),
        pod: name.into(),
        labels: vec![format!("k8s:app={name}").into()],
        ..Endpoint::default()
    }
}

fn world() -> Endpoint {
    Endpoint {
        identity: 2,
        labels: vec!["reserved:world".into()],
        ..Endpoint::default()
    }
}

/// A packet of the client, at `time` ns, with nothing said of it.
fn packet(time: i64) -> Flow {
    Flow {
        row: Row {
            time,
            flow_type: FlowType::L3_L4,
            verdict: Verdict::FORWARDED,
            protocol: Protocol::Tcp,
            source_port: CLIENT.1,
            destination_port: SERVER.1,
            flags: flags::HAS_L4 | flags::HAS_IP,
            ..Row::default()
        },
        node: "c/a",
        source: pod("client"),
        destination: pod("server"),
        addresses: (CLIENT.0.to_owned(), SERVER.0.to_owned()),
        service: None,
        names: Vec::new(),
        l7: None,
        aggregate: None,
        socket: None,
        icmp: None,
        policies: Vec::new(),
    }
}

/// A trace of a packet of the client.
fn trace(time: i64, point: TracePoint, reason: TraceReason, tcp: u32) -> Flow {
    let mut flow = packet(time);
    flow.row.event_type = EventType::TRACE.0;
    flow.row.trace_point = point;
    flow.row.trace_reason = reason;
    flow.row.direction = Direction::EGRESS;
    if reason != TraceReason::TRACE_REASON_UNKNOWN {
        flow.row.reply = Reply::from_option(Some(reason == TraceReason::REPLY));
    }
    flow.row.flags |= flags::HAS_EVENT_TYPE | flags::HAS_TCP_FLAGS | tcp;
    flow
}

fn syn(time: i64) -> Flow {
    trace(time, TracePoint::TO_OVERLAY, TraceReason::NEW, flags::SYN)
}

fn syn_ack(time: i64) -> Flow {
    trace(
        time,
        TracePoint::TO_ENDPOINT,
        TraceReason::REPLY,
        flags::SYN | flags::ACK,
    )
    .back()
}

fn data(time: i64) -> Flow {
    trace(
        time,
        TracePoint::TO_OVERLAY,
        TraceReason::ESTABLISHED,
        flags::PSH | flags::ACK,
    )
}

fn fin(time: i64) -> Flow {
    trace(
        time,
        TracePoint::TO_OVERLAY,
        TraceReason::ESTABLISHED,
        flags::FIN | flags::ACK,
    )
}

/// A policy verdict on a SYN of the client.
fn verdict(time: i64, direction: Direction, verdict: Verdict) -> Flow {
    let mut flow = packet(time);
    flow.row.event_type = EventType::POLICY_VERDICT.0;
    flow.row.verdict = verdict;
    flow.row.direction = direction;
    flow.row.flags |= flags::HAS_EVENT_TYPE | flags::HAS_TCP_FLAGS | flags::SYN;
    if verdict == Verdict::DROPPED {
        flow.row.drop_reason = DropReason::POLICY_DENIED;
    } else {
        flow.row.reply = Reply::No;
    }
    flow
}

/// The drop of a SYN of the client.
fn drop(time: i64, direction: Direction) -> Flow {
    let mut flow = verdict(time, direction, Verdict::DROPPED);
    flow.row.event_type = EventType::DROP.0;
    flow.row.event_sub_type = 133;
    flow
}

/// What the datapath records of one refused SYN.
fn refused(time: i64) -> Vec<Flow> {
    vec![
        verdict(time, Direction::INGRESS, Verdict::DROPPED),
        drop(time + 12_000, Direction::INGRESS),
    ]
}

fn udp(mut flow: Flow) -> Flow {
    flow.row.protocol = Protocol::Udp;
    flow.row.flags &= !(flags::TCP_MASK | flags::HAS_TCP_FLAGS);
    flow
}

fn spoken(time: i64, kind: L7Type, said: Said) -> Flow {
    let mut flow = packet(time);
    flow.row.flow_type = FlowType::L7;
    flow.row.event_type = EventType::L7.0;
    flow.row.direction = Direction::INGRESS;
    flow.row.reply = Reply::from_option(Some(kind == L7Type::RESPONSE));
    flow.l7 = Some((kind, said));
    if kind == L7Type::RESPONSE {
        flow = flow.back();
    }
    flow
}

impl Flow {
    /// The same packet on its way back.
    fn back(mut self) -> Self {
        std::mem::swap(&mut self.row.source_port, &mut self.row.destination_port);
        std::mem::swap(&mut self.source, &mut self.destination);
        self.addresses = (self.addresses.1, self.addresses.0);
        self
    }

    fn on(mut self, node: &'static str) -> Self {
        self.node = node;
        self
    }

    /// From another port of the client.
    fn port(mut self, port: u32) -> Self {
        self.row.source_port = port;
        self
    }

    fn server(mut self, address: &str) -> Self {
        address.clone_into(&mut self.addresses.1);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Row)) -> Self {
        change(&mut self.row);
        self
    }

    fn push(&self, builder: &mut BatchBuilder) {
        let mut row = self.row.clone();
        let interner = builder.interner();
        row.node = interner.text(self.node);
        row.source_ip = interner.text(&self.addresses.0);
        row.destination_ip = interner.text(&self.addresses.1);
        row.source = interner.endpoint(self.source.clone());
        row.destination = interner.endpoint(self.destination.clone());
        if let Some((name, namespace)) = self.service {
            row.destination_service = interner.pair(name, namespace);
        }
        row.destination_names = interner.list(self.names.iter().copied());
        if let Some(aggregate) = self.aggregate {
            row.extra().aggregate = Some(aggregate);
        }
        if let Some((point, cookie)) = self.socket {
            row.extra().sock_point = point;
            row.extra().socket_cookie = cookie;
        }
        if let Some(kind) = self.icmp {
            row.extra().icmp = Some(Icmp { kind, code: 0 });
        }
        for (namespace, name) in &self.policies {
            let policy = crate::flow::Policy {
                name: interner.text(name),
                namespace: interner.text(namespace),
                ..crate::flow::Policy::default()
            };
            row.extra().ingress_allowed_by.push(policy);
        }
        if let Some((kind, said)) = self.l7 {
            let record = match said {
                Said::Http(method, url, code) => L7Record::Http(Http {
                    code,
                    method: interner.text(method),
                    url: interner.text(url),
                    ..Http::default()
                }),
                Said::Dns(query, types, rcode) => L7Record::Dns(Dns {
                    query: interner.text(query),
                    qtypes: interner.list(std::iter::once(types)),
                    rcode,
                    ..Dns::default()
                }),
            };
            row.extra().l7 = Some(Box::new(L7 {
                kind,
                latency_ns: 0,
                record: Some(record),
            }));
        }
        builder.push(row, || unreachable!());
    }
}

fn batches(flows: &[Flow], size: usize) -> Vec<FlowBatch> {
    let mut builder = BatchBuilder::default();
    flows
        .chunks(size.max(1))
        .map(|chunk| {
            for flow in chunk {
                flow.push(&mut builder);
            }
            builder.finish()
        })
        .collect()
}

/// What came out, with names in place of numbers.
#[derive(Debug)]
struct Out {
    connections: Vec<Connection>,
    exchanges: Vec<Exchange>,
    fold: Fold,
}

impl Out {
    fn one(&self) -> &Connection {
        assert_eq!(self.connections.len(), 1, "{:#?}", self.connections);
        &self.connections[0]
    }

    /// Rows of connections and those apart are all.
    fn is_whole(&self) -> bool {
        let folded: u64 = self.connections.iter().map(|one| one.rows).sum();
        let counts = self.fold.counts();
        folded + counts.apart() == counts.rows
    }

    fn shown(&self, id: PeerId) -> String {
        self.fold.peers().get(id).to_string()
    }
}

fn fold_with(options: FoldOptions, flows: &[Flow], size: usize) -> Out {
    let mut fold = Fold::new(options);
    let (mut connections, mut exchanges) = (Vec::new(), Vec::new());
    let mut out = |folded| match folded {
        Folded::Opened(_) => {}
        Folded::Connection(connection) => connections.push(connection),
        Folded::Exchange(exchange) => exchanges.push(exchange),
    };
    for batch in batches(flows, size) {
        for row in batch.rows() {
            fold.push(row, None, &mut out);
        }
    }
    fold.finish(&mut out);
    assert_eq!(fold.open(), 0);
    assert_eq!((fold.recorded.len(), fold.judged.len()), (0, 0));
    assert_eq!(fold.asked.held(), 0);
    let out = Out {
        connections,
        exchanges,
        fold,
    };
    assert!(out.is_whole(), "{out:#?}");
    out
}

/// Folds flows in the order of time.
fn fold(flows: &[Flow]) -> Out {
    let mut flows = flows.to_vec();
    flows.sort_by_key(|flow| (flow.row.time, flow.node));
    fold_with(FoldOptions::default(), &flows, 100)
}
