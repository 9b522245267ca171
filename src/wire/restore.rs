//! Rows back to messages: what [`super::convert`] made of a flow, undone.
//!
//! Owns the way from columns to `GetFlowsResponse`, for rows that did not keep what they
//! were decoded from. Everything this version's messages can say comes back; fields of a
//! newer server do not.

use prost::Message as _;

use crate::flow::{
    Dictionaries, Endpoint, Extra, L7Record, ListId, NO_TIME, Notice, NoticeKind, PairId, Policy,
    Protocol, Reply, RowRef, Seconds, StrId, Tunnel, flags,
};
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::{flow as pb, relay};

/// Appends the `GetFlowsResponse` of a notice in wire format; false where it is none of
/// a response (an agent's event, a hole that we saw ourselves).
pub fn notice_to_wire(notice: &Notice, out: &mut Vec<u8>) -> bool {
    let body = match &notice.kind {
        NoticeKind::Lost {
            source,
            events,
            cpu,
            first,
            last,
        } => ResponseTypes::LostEvents(pb::LostEvent {
            source: source.0,
            num_events_lost: *events,
            cpu: *cpu,
            first: first.map(timestamp),
            last: last.map(timestamp),
        }),
        NoticeKind::Nodes {
            state,
            names,
            message,
        } => ResponseTypes::NodeStatus(relay::NodeStatusEvent {
            state_change: state.0,
            node_names: names.iter().map(ToString::to_string).collect(),
            message: message.to_string(),
        }),
        _ => return false,
    };
    let response = GetFlowsResponse {
        node_name: notice.node.to_string(),
        time: (notice.time != NO_TIME).then(|| timestamp(notice.time)),
        response_types: Some(body),
    };
    response.encode(out).is_ok()
}

/// The message of a row, made at once: what [`super::row_write`] has to give.
#[cfg(test)]
pub(super) fn row_to_response(row: RowRef<'_>) -> GetFlowsResponse {
    let words = Words(row.dictionaries());
    let mut flow = flow(row);
    flow.source = row.source_endpoint().map(endpoint);
    flow.destination = row.destination_endpoint().map(endpoint);
    if let Some(extra) = row.extra() {
        let policies = |of: &[Policy]| of.iter().map(|policy| words.policy(policy)).collect();
        flow.egress_allowed_by = policies(&extra.egress_allowed_by);
        flow.ingress_allowed_by = policies(&extra.ingress_allowed_by);
        flow.egress_denied_by = policies(&extra.egress_denied_by);
        flow.ingress_denied_by = policies(&extra.ingress_denied_by);
    }
    GetFlowsResponse {
        response_types: Some(ResponseTypes::Flow(flow)),
        ..envelope(row)
    }
}

/// The response of a row without its flow.
pub(super) fn envelope(row: RowRef<'_>) -> GetFlowsResponse {
    let (node_name, time) = match row.extra().and_then(|extra| extra.envelope.as_deref()) {
        Some(envelope) => (row.str(envelope.node).to_owned(), envelope.time.map(exact)),
        None if row.has(flags::OTHER_ENVELOPE) => (String::new(), None),
        None => (row.str(row.node()).to_owned(), row.time().map(timestamp)),
    };
    GetFlowsResponse {
        node_name,
        time,
        response_types: None,
    }
}

/// The flow of a row without its endpoints and policies, which are the same in many.
pub(super) fn flow(row: RowRef<'_>) -> pb::Flow {
    let words = Words(row.dictionaries());
    let mut flow = pb::Flow {
        time: row
            .time()
            .filter(|_| !row.has(flags::ENVELOPE_TIME))
            .map(timestamp),
        uuid: uuid(row.uuid()),
        verdict: row.verdict().0,
        drop_reason: row.drop_reason_number(),
        drop_reason_desc: row.drop_reason().0,
        r#type: row.flow_type().0,
        traffic_direction: row.direction().0,
        policy_match_type: row.policy_match_type(),
        trace_observation_point: row.trace_point().0,
        trace_reason: row.trace_reason().0,
        summary: words.text(row.summary()),
        node_labels: words.list(row.node_labels()),
        source_names: words.list(row.source_names()),
        destination_names: words.list(row.destination_names()),
        reply: row.has(flags::LEGACY_REPLY),
        is_reply: match row.reply() {
            Reply::Unknown => None,
            Reply::No => Some(false),
            Reply::Yes => Some(true),
        },
        source_service: words.service(row.source_service()),
        destination_service: words.service(row.destination_service()),
        ..pb::Flow::default()
    };
    if !row.has(flags::ENVELOPE_NODE) {
        flow.node_name = words.text(row.node());
    }
    if row.has(flags::HAS_EVENT_TYPE) {
        flow.event_type = Some(pb::CiliumEventType {
            r#type: row.event_type(),
            sub_type: row.event_sub_type(),
        });
    }
    flow.emitter = words
        .pair(row.emitter())
        .map(|(name, version)| pb::Emitter { name, version });
    flow.ethernet = words
        .pair(row.ethernet())
        .map(|(source, destination)| pb::Ethernet {
            source,
            destination,
        });
    if row.has(flags::HAS_IP) {
        flow.ip = Some(pb::Ip {
            source: words.text(row.source_ip()),
            destination: words.text(row.destination_ip()),
            ip_version: row.ip_version(),
            encrypted: row.has(flags::ENCRYPTED),
            source_xlated: row
                .extra()
                .map_or_else(String::new, |extra| words.text(extra.source_xlated)),
        });
    }
    if row.has(flags::HAS_L4) {
        flow.l4 = Some(layer4(row, words));
    }
    if let Some(extra) = row.extra() {
        set_extra(&mut flow, words, extra, row.has(flags::HAS_TRACE_PARENT));
    }
    flow
}

fn layer4(row: RowRef<'_>, words: Words<'_>) -> pb::Layer4 {
    use pb::layer4::Protocol as Arm;
    let (source_port, destination_port) = (row.source_port(), row.destination_port());
    let extra = row.extra();
    let icmp = extra.and_then(|extra| extra.icmp).unwrap_or_default();
    let arm = match row.protocol() {
        Protocol::None => None,
        Protocol::Tcp => Some(Arm::Tcp(pb::Tcp {
            source_port,
            destination_port,
            flags: row.has(flags::HAS_TCP_FLAGS).then(|| tcp_flags(row)),
        })),
        Protocol::Udp => Some(Arm::Udp(pb::Udp {
            source_port,
            destination_port,
        })),
        Protocol::Sctp => Some(Arm::Sctp(pb::Sctp {
            source_port,
            destination_port,
            chunk_type: extra.map_or(0, |extra| extra.sctp_chunk),
        })),
        Protocol::Icmpv4 => Some(Arm::IcmPv4(pb::IcmPv4 {
            r#type: icmp.kind,
            code: icmp.code,
        })),
        Protocol::Icmpv6 => Some(Arm::IcmPv6(pb::IcmPv6 {
            r#type: icmp.kind,
            code: icmp.code,
        })),
        Protocol::Vrrp => {
            let [kind, vrid, priority] = extra.and_then(|extra| extra.vrrp).unwrap_or_default();
            Some(Arm::Vrrp(pb::Vrrp {
                r#type: kind,
                vrid,
                priority,
            }))
        }
        Protocol::Igmp => {
            let (kind, group) = extra.and_then(|extra| extra.igmp).unwrap_or_default();
            Some(Arm::Igmp(pb::Igmp {
                r#type: kind,
                group_address: words.text(group),
            }))
        }
    };
    pb::Layer4 { protocol: arm }
}

fn tcp_flags(row: RowRef<'_>) -> pb::TcpFlags {
    pb::TcpFlags {
        fin: row.has(flags::FIN),
        syn: row.has(flags::SYN),
        rst: row.has(flags::RST),
        psh: row.has(flags::PSH),
        ack: row.has(flags::ACK),
        urg: row.has(flags::URG),
        ece: row.has(flags::ECE),
        cwr: row.has(flags::CWR),
        ns: row.has(flags::NS),
    }
}

fn set_extra(flow: &mut pb::Flow, words: Words<'_>, extra: &Extra, has_parent: bool) {
    if let Some(uuid) = &extra.uuid {
        flow.uuid = uuid.to_string();
    }
    if let Some(time) = extra.odd_time {
        flow.time = Some(exact(time));
    }
    flow.auth_type = extra.auth_type.0;
    flow.tunnel = extra.tunnel.as_deref().map(|tunnel| {
        let whole = tunnel.message.as_deref();
        // It was encoded by us: it decodes.
        whole
            .and_then(|message| pb::Tunnel::decode(message).ok())
            .unwrap_or_else(|| {
                usual_tunnel(
                    words.0.str(tunnel.source),
                    words.0.str(tunnel.destination),
                    tunnel,
                )
            })
    });
    flow.l7 = extra.l7.as_deref().map(|l7| pb::Layer7 {
        r#type: l7.kind.0,
        latency_ns: l7.latency_ns,
        record: l7.record.as_ref().map(|record| l7_record(words, record)),
    });
    flow.debug_capture_point = extra.capture_point.0;
    flow.interface = extra.interface.map(|(index, name)| pb::NetworkInterface {
        index,
        name: words.text(name),
    });
    flow.proxy_port = extra.proxy_port;
    flow.trace_context = extra.trace_id.map(|trace_id| pb::TraceContext {
        parent: has_parent.then(|| pb::TraceParent {
            trace_id: words.text(trace_id),
        }),
    });
    flow.sock_xlate_point = extra.sock_point.0;
    flow.socket_cookie = extra.socket_cookie;
    flow.cgroup_id = extra.cgroup_id;
    flow.file = extra.file.map(|file| pb::FileInfo {
        name: words.text(file.name),
        line: file.line,
    });
    flow.ip_trace_id = extra
        .ip_trace_id
        .map(|(trace_id, ip_option_type)| pb::IpTraceId {
            trace_id,
            ip_option_type,
        });
    flow.policy_log = words.list(extra.policy_log);
    flow.aggregate = extra.aggregate.map(|counters| pb::Aggregate {
        ingress_flow_count: counters.ingress,
        egress_flow_count: counters.egress,
        unknown_direction_flow_count: counters.unknown,
    });
    flow.extensions = extra.extensions.as_deref().map(|any| prost_types::Any {
        type_url: words.text(any.type_url),
        value: any.value.to_vec(),
    });
}

fn l7_record(words: Words<'_>, record: &L7Record) -> pb::layer7::Record {
    match record {
        L7Record::Dns(dns) => pb::layer7::Record::Dns(pb::Dns {
            query: words.text(dns.query),
            ips: words.list(dns.ips),
            ttl: dns.ttl,
            cnames: words.list(dns.cnames),
            observation_source: words.text(dns.observation_source),
            rcode: dns.rcode,
            qtypes: words.list(dns.qtypes),
            rrtypes: words.list(dns.rrtypes),
        }),
        L7Record::Http(http) => pb::layer7::Record::Http(pb::Http {
            code: http.code,
            method: words.text(http.method),
            url: words.text(http.url),
            protocol: words.text(http.protocol),
            headers: http
                .headers
                .iter()
                .map(|header| pb::HttpHeader {
                    key: words.text(header.key),
                    value: words.text(header.value),
                })
                .collect(),
        }),
        L7Record::Kafka(kafka) => pb::layer7::Record::Kafka(pb::Kafka {
            error_code: kafka.error_code,
            api_version: kafka.api_version,
            api_key: words.text(kafka.api_key),
            correlation_id: kafka.correlation_id,
            topic: words.text(kafka.topic),
        }),
    }
}

/// What a tunnel's columns say where the message says no more: addresses of one version,
/// and UDP around.
pub(super) fn usual_tunnel(source: &str, destination: &str, tunnel: &Tunnel) -> pb::Tunnel {
    let version = |address: &str| match address {
        address if address.contains(':') => 2,
        address if address.contains('.') => 1,
        _ => 0,
    };
    pb::Tunnel {
        protocol: tunnel.protocol,
        ip: (!source.is_empty() || !destination.is_empty()).then(|| pb::Ip {
            source: source.to_owned(),
            destination: destination.to_owned(),
            ip_version: version(source),
            ..pb::Ip::default()
        }),
        l4: tunnel
            .ports
            .map(|(source_port, destination_port)| pb::Layer4 {
                protocol: Some(pb::layer4::Protocol::Udp(pb::Udp {
                    source_port,
                    destination_port,
                })),
            }),
        vni: tunnel.vni,
    }
}

/// The message of an endpoint.
pub(super) fn endpoint(endpoint: &Endpoint) -> pb::Endpoint {
    pb::Endpoint {
        id: endpoint.id,
        identity: endpoint.identity,
        cluster_name: endpoint.cluster.to_string(),
        namespace: endpoint.namespace.to_string(),
        labels: endpoint.labels.iter().map(ToString::to_string).collect(),
        pod_name: endpoint.pod.to_string(),
        workloads: endpoint
            .workloads
            .iter()
            .map(|workload| pb::Workload {
                name: workload.name.to_string(),
                kind: workload.kind.to_string(),
            })
            .collect(),
    }
}

/// Dictionaries, with owned answers.
#[derive(Clone, Copy)]
pub(super) struct Words<'a>(pub(super) &'a Dictionaries);

impl Words<'_> {
    fn text(self, id: StrId) -> String {
        self.0.str(id).to_owned()
    }

    fn list(self, id: ListId) -> Vec<String> {
        self.0.list(id).map(str::to_owned).collect()
    }

    fn pair(self, id: PairId) -> Option<(String, String)> {
        let (left, right) = self.0.pair(id)?;
        Some((left.to_owned(), right.to_owned()))
    }

    fn service(self, id: PairId) -> Option<pb::Service> {
        self.pair(id)
            .map(|(name, namespace)| pb::Service { name, namespace })
    }

    /// The message of a policy.
    pub(super) fn policy(self, policy: &Policy) -> pb::Policy {
        pb::Policy {
            name: self.text(policy.name),
            namespace: self.text(policy.namespace),
            labels: self.list(policy.labels),
            revision: policy.revision,
            kind: self.text(policy.kind),
        }
    }
}

/// Nanoseconds since the epoch as a message.
pub(crate) fn timestamp(nanoseconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: nanoseconds.div_euclid(1_000_000_000),
        nanos: nanoseconds.rem_euclid(1_000_000_000) as i32,
    }
}

fn exact(time: Seconds) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.seconds,
        nanos: time.nanos,
    }
}

/// The text of 128 bits; empty for none.
pub(crate) fn uuid(bits: u128) -> String {
    if bits == 0 {
        return String::new();
    }
    let mut text = String::with_capacity(36);
    for (at, byte) in bits.to_be_bytes().into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0xf] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::BatchBuilder;
    use crate::wire::generate::{Generator, cases};
    use crate::wire::walk::push_message;

    /// Guarantees: any flow or notice that an encoder writes comes back as it was.
    #[test]
    fn what_was_decoded_comes_back() {
        let mut flows = 0;
        for seed in 0..cases(60) {
            let mut generator = Generator::new(seed, 0);
            let mut builder = BatchBuilder::default();
            for _ in 0..64 {
                let message = generator.response();
                push_message(&mut builder, &message, || unreachable!()).unwrap();
                let batch = builder.finish();
                let sent = GetFlowsResponse::decode(message.as_slice()).unwrap();
                if batch.is_empty() {
                    let notice = &batch.notices()[0];
                    let mut wire = Vec::new();
                    if notice_to_wire(notice, &mut wire) && notice.time != NO_TIME {
                        let back = GetFlowsResponse::decode(wire.as_slice()).unwrap();
                        let known = |response: &GetFlowsResponse| {
                            matches!(&response.response_types, Some(ResponseTypes::NodeStatus(_)))
                        };
                        if known(&sent) {
                            assert_eq!(back, sent);
                        }
                    }
                    continue;
                }
                flows += 1;
                assert_eq!(row_to_response(batch.row(0)), sent);
            }
        }
        assert!(flows > 1000, "{flows}");
    }
}
