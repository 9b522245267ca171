//! Decoded messages to rows: what every other way into the columns has to agree with.
//!
//! Owns the mapping from Hubble's messages to columns. The walker takes the same
//! functions for the sub-messages it does not walk itself.

use std::sync::Arc;

use prost::Message as _;

use super::restore;
use crate::flow::{
    Aggregate, AuthType, BatchBuilder, CaptureEnum, Direction, Dns, DropReason, Endpoint, Envelope,
    Extensions, Extra, File, FlowType, Header, Http, Icmp, Interner, Kafka, L7, L7Record, L7Type,
    LostSource, NO_TIME, NodeState, NoticeKind, Policy, Protocol, Raw, Reply, Row, Seconds,
    SockPoint, StrId, TracePoint, TraceReason, Tunnel, Verdict, Workload, flags,
};
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::{flow as pb, relay};

/// Picks a list of policies of a flow.
type Pick = fn(&mut Extra) -> &mut Vec<Policy>;

/// Pushes a decoded response as a row or a notice.
pub fn push_response(
    builder: &mut BatchBuilder,
    response: &GetFlowsResponse,
    raw: impl FnOnce() -> Raw,
) {
    let time = response.time.as_ref().map_or(NO_TIME, nanoseconds);
    let exact = response.time.as_ref().map(seconds);
    match &response.response_types {
        Some(ResponseTypes::Flow(flow)) => {
            let mut row = flow_row(builder.interner(), flow);
            let node = builder.interner().text(&response.node_name);
            envelope(&mut row, node, time, exact);
            builder.push(row, raw);
        }
        Some(ResponseTypes::LostEvents(lost)) => {
            builder.push_notice(&response.node_name, time, lost_notice(lost), raw);
        }
        Some(ResponseTypes::NodeStatus(status)) => {
            builder.push_notice(&response.node_name, time, node_notice(status), raw);
        }
        None => builder.push_notice(&response.node_name, time, NoticeKind::Empty, raw),
    }
}

/// Fills node and time from the envelope where the flow has none of its own.
///
/// `exact` is what the envelope says, `time` the nanoseconds of it. What is not the
/// flow's own is kept.
#[inline]
pub(crate) fn envelope(row: &mut Row, node: StrId, time: i64, exact: Option<Seconds>) {
    if row.time == NO_TIME && time != NO_TIME {
        row.time = time;
        row.flags |= flags::ENVELOPE_TIME;
    }
    if row.node == StrId(0) && node != StrId(0) {
        row.node = node;
        row.flags |= flags::ENVELOPE_NODE;
    }
    if row.node != node || row.time != time || (time == NO_TIME && exact.is_some()) {
        other_envelope(row, node, exact);
    }
}

#[cold]
fn other_envelope(row: &mut Row, node: StrId, time: Option<Seconds>) {
    row.flags |= flags::OTHER_ENVELOPE;
    if node != StrId(0) || time.is_some() {
        row.extra().envelope = Some(Box::new(Envelope { node, time }));
    }
}

pub(crate) fn seconds(time: &prost_types::Timestamp) -> Seconds {
    Seconds {
        seconds: time.seconds,
        nanos: time.nanos,
    }
}

pub(crate) fn set_extensions(interner: &mut Interner, row: &mut Row, any: &prost_types::Any) {
    row.extra().extensions = Some(Box::new(Extensions {
        type_url: interner.text(&any.type_url),
        value: any.value.as_slice().into(),
    }));
}

/// A decoded flow as a row.
pub fn flow_row(interner: &mut Interner, flow: &pb::Flow) -> Row {
    let mut row = Row {
        time: flow.time.as_ref().map_or(NO_TIME, nanoseconds),
        verdict: Verdict(flow.verdict),
        flow_type: FlowType(flow.r#type),
        direction: Direction(flow.traffic_direction),
        trace_point: TracePoint(flow.trace_observation_point),
        trace_reason: TraceReason(flow.trace_reason),
        policy_match_type: flow.policy_match_type,
        drop_reason: DropReason(flow.drop_reason_desc),
        drop_reason_number: flow.drop_reason,
        reply: Reply::from_option(flow.is_reply),
        node: interner.text(&flow.node_name),
        summary: interner.text(&flow.summary),
        node_labels: interner.list(flow.node_labels.iter().map(String::as_str)),
        source_names: interner.list(flow.source_names.iter().map(String::as_str)),
        destination_names: interner.list(flow.destination_names.iter().map(String::as_str)),
        ..Row::default()
    };
    set_uuid(&mut row, &flow.uuid);
    if flow.reply {
        row.flags |= flags::LEGACY_REPLY;
    }
    if let Some(event) = &flow.event_type {
        row.flags |= flags::HAS_EVENT_TYPE;
        row.event_type = event.r#type;
        row.event_sub_type = event.sub_type;
    }
    if let Some(emitter) = &flow.emitter {
        row.emitter = interner.pair(&emitter.name, &emitter.version);
    }
    if let Some(ethernet) = &flow.ethernet {
        row.ethernet = interner.pair(&ethernet.source, &ethernet.destination);
    }
    if let Some(ip) = &flow.ip {
        set_ip(interner, &mut row, ip);
    }
    if let Some(l4) = &flow.l4 {
        set_l4(interner, &mut row, l4);
    }
    if let Some(source) = &flow.source {
        let source = endpoint(interner, source);
        row.source = interner.endpoint(source);
    }
    if let Some(destination) = &flow.destination {
        let destination = endpoint(interner, destination);
        row.destination = interner.endpoint(destination);
    }
    if let Some(service) = &flow.source_service {
        row.source_service = interner.pair(&service.name, &service.namespace);
    }
    if let Some(service) = &flow.destination_service {
        row.destination_service = interner.pair(&service.name, &service.namespace);
    }
    set_extra(interner, &mut row, flow);
    row
}

fn set_extra(interner: &mut Interner, row: &mut Row, flow: &pb::Flow) {
    if let Some(time) = &flow.time
        && nanoseconds(time) == NO_TIME
    {
        row.extra().odd_time = Some(seconds(time));
    }
    if let Some(any) = &flow.extensions {
        set_extensions(interner, row, any);
    }
    if flow.auth_type != 0 {
        row.extra().auth_type = AuthType(flow.auth_type);
    }
    if let Some(tunnel) = &flow.tunnel {
        set_tunnel(interner, row, tunnel);
    }
    if let Some(l7) = &flow.l7 {
        set_l7(interner, row, l7);
    }
    if flow.debug_capture_point != 0 {
        row.extra().capture_point = CaptureEnum(flow.debug_capture_point);
    }
    if let Some(interface) = &flow.interface {
        row.extra().interface = Some((interface.index, interner.text(&interface.name)));
    }
    if flow.proxy_port != 0 {
        row.extra().proxy_port = flow.proxy_port;
    }
    if let Some(context) = &flow.trace_context {
        set_trace_context(interner, row, context);
    }
    if flow.sock_xlate_point != 0 {
        row.extra().sock_point = SockPoint(flow.sock_xlate_point);
    }
    if flow.socket_cookie != 0 {
        row.extra().socket_cookie = flow.socket_cookie;
    }
    if flow.cgroup_id != 0 {
        row.extra().cgroup_id = flow.cgroup_id;
    }
    if let Some(file) = &flow.file {
        set_file(interner, row, file);
    }
    if let Some(trace) = &flow.ip_trace_id {
        row.extra().ip_trace_id = Some((trace.trace_id, trace.ip_option_type));
    }
    let lists: [(&[pb::Policy], Pick); 4] = [
        (&flow.egress_allowed_by, |extra| {
            &mut extra.egress_allowed_by
        }),
        (&flow.ingress_allowed_by, |extra| {
            &mut extra.ingress_allowed_by
        }),
        (&flow.egress_denied_by, |extra| &mut extra.egress_denied_by),
        (&flow.ingress_denied_by, |extra| {
            &mut extra.ingress_denied_by
        }),
    ];
    for (policies, pick) in lists {
        for one in policies {
            let one = policy(interner, one);
            pick(row.extra()).push(one);
        }
    }
    if !flow.policy_log.is_empty() {
        row.extra().policy_log = interner.list(flow.policy_log.iter().map(String::as_str));
    }
    if let Some(aggregate) = &flow.aggregate {
        set_aggregate(row, aggregate);
    }
}

/// Nanoseconds since 1970; [`NO_TIME`] for what does not fit or is not normal.
pub(crate) fn nanoseconds(time: &prost_types::Timestamp) -> i64 {
    nanoseconds_of(time.seconds, time.nanos)
}

pub(crate) fn nanoseconds_of(seconds: i64, nanos: i32) -> i64 {
    if !(0..1_000_000_000).contains(&nanos) {
        return NO_TIME;
    }
    seconds
        .checked_mul(1_000_000_000)
        .and_then(|total| total.checked_add(i64::from(nanos)))
        .unwrap_or(NO_TIME)
}

/// Keeps the 128 bits of a uuid in its usual form, anything else as the text it is.
pub(crate) fn set_uuid(row: &mut Row, text: &str) {
    if text.is_empty() {
        row.uuid = 0;
        if row.extra.is_some() {
            row.extra().uuid = None;
        }
        return;
    }
    match parse_uuid(text.as_bytes()) {
        Some(bits) => row.uuid = bits,
        None => row.extra().uuid = Some(Arc::from(text)),
    }
}

/// The bits of `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` in lower case; `None` for any
/// other spelling and for all zeros, which mean "absent" in the columns.
#[inline]
pub fn parse_uuid(text: &[u8]) -> Option<u128> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if [text[8], text[13], text[18], text[23]] != [b'-'; 4] {
        return None;
    }
    let mut digits = [0; 32];
    for (to, from, length) in [(0, 0, 8), (8, 9, 4), (12, 14, 4), (16, 19, 4), (20, 24, 12)] {
        digits[to..to + length].copy_from_slice(&text[from..from + length]);
    }
    let bits = hex(digits)?;
    (bits != 0).then_some(bits)
}

/// The value of lower-case hex digits, `None` where one is something else.
///
/// Without a branch, so that it is done on vectors: they are digits if writing their
/// values gives them again, and the values are below 16.
#[inline]
fn hex(digits: [u8; 32]) -> Option<u128> {
    let mut wrong = 0;
    let values = digits.map(|digit| {
        // Letters have the bit 0x40; they begin with 1 in their lower half.
        let value = (digit & 0x0f) + if digit & 0x40 == 0 { 0 } else { 9 };
        let written = value + if value > 9 { 0x57 } else { 0x30 };
        wrong |= (written ^ digit) | (value & 0xf0);
        value
    });
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(values.as_chunks::<2>().0) {
        *byte = pair[0] << 4 | pair[1];
    }
    (wrong == 0).then_some(u128::from_be_bytes(bytes))
}

pub(crate) fn endpoint(interner: &mut Interner, endpoint: &pb::Endpoint) -> Endpoint {
    Endpoint {
        id: endpoint.id,
        identity: endpoint.identity,
        cluster: interner.shared(&endpoint.cluster_name),
        namespace: interner.shared(&endpoint.namespace),
        pod: interner.shared(&endpoint.pod_name),
        labels: endpoint
            .labels
            .iter()
            .map(|label| interner.shared(label))
            .collect(),
        workloads: endpoint
            .workloads
            .iter()
            .map(|workload| Workload {
                name: interner.shared(&workload.name),
                kind: interner.shared(&workload.kind),
            })
            .collect(),
    }
}

pub(crate) fn set_ip(interner: &mut Interner, row: &mut Row, ip: &pb::Ip) {
    row.flags |= flags::HAS_IP;
    row.source_ip = interner.text(&ip.source);
    row.destination_ip = interner.text(&ip.destination);
    row.ip_version = ip.ip_version;
    if ip.encrypted {
        row.flags |= flags::ENCRYPTED;
    }
    if !ip.source_xlated.is_empty() {
        row.extra().source_xlated = interner.text(&ip.source_xlated);
    }
}

pub(crate) fn set_l4(interner: &mut Interner, row: &mut Row, l4: &pb::Layer4) {
    use pb::layer4::Protocol as Arm;
    row.flags |= flags::HAS_L4;
    let ports = |row: &mut Row, protocol, source, destination| {
        row.protocol = protocol;
        row.source_port = source;
        row.destination_port = destination;
    };
    match &l4.protocol {
        None => {}
        Some(Arm::Tcp(tcp)) => {
            ports(row, Protocol::Tcp, tcp.source_port, tcp.destination_port);
            if let Some(tcp_flags) = &tcp.flags {
                row.flags |= flags::HAS_TCP_FLAGS | flag_bits(tcp_flags);
            }
        }
        Some(Arm::Udp(udp)) => ports(row, Protocol::Udp, udp.source_port, udp.destination_port),
        Some(Arm::Sctp(sctp)) => {
            ports(row, Protocol::Sctp, sctp.source_port, sctp.destination_port);
            if sctp.chunk_type != 0 {
                row.extra().sctp_chunk = sctp.chunk_type;
            }
        }
        Some(Arm::IcmPv4(icmp)) => {
            row.protocol = Protocol::Icmpv4;
            row.extra().icmp = Some(Icmp {
                kind: icmp.r#type,
                code: icmp.code,
            });
        }
        Some(Arm::IcmPv6(icmp)) => {
            row.protocol = Protocol::Icmpv6;
            row.extra().icmp = Some(Icmp {
                kind: icmp.r#type,
                code: icmp.code,
            });
        }
        Some(Arm::Vrrp(vrrp)) => {
            row.protocol = Protocol::Vrrp;
            row.extra().vrrp = Some([vrrp.r#type, vrrp.vrid, vrrp.priority]);
        }
        Some(Arm::Igmp(igmp)) => {
            row.protocol = Protocol::Igmp;
            row.extra().igmp = Some((igmp.r#type, interner.text(&igmp.group_address)));
        }
    }
}

fn flag_bits(tcp: &pb::TcpFlags) -> u32 {
    [
        (tcp.fin, flags::FIN),
        (tcp.syn, flags::SYN),
        (tcp.rst, flags::RST),
        (tcp.psh, flags::PSH),
        (tcp.ack, flags::ACK),
        (tcp.urg, flags::URG),
        (tcp.ece, flags::ECE),
        (tcp.cwr, flags::CWR),
        (tcp.ns, flags::NS),
    ]
    .into_iter()
    .filter_map(|(set, bit)| set.then_some(bit))
    .sum()
}

pub(crate) fn set_tunnel(interner: &mut Interner, row: &mut Row, message: &pb::Tunnel) {
    use pb::layer4::Protocol as Arm;
    let ip = message.ip.clone().unwrap_or_default();
    let ports = match message.l4.as_ref().and_then(|l4| l4.protocol.as_ref()) {
        Some(Arm::Tcp(tcp)) => Some((tcp.source_port, tcp.destination_port)),
        Some(Arm::Udp(udp)) => Some((udp.source_port, udp.destination_port)),
        Some(Arm::Sctp(sctp)) => Some((sctp.source_port, sctp.destination_port)),
        _ => None,
    };
    let mut tunnel = Tunnel {
        protocol: message.protocol,
        source: interner.text(&ip.source),
        destination: interner.text(&ip.destination),
        ports,
        vni: message.vni,
        message: None,
    };
    if restore::usual_tunnel(&ip.source, &ip.destination, &tunnel) != *message {
        tunnel.message = Some(message.encode_to_vec().into());
    }
    row.extra().tunnel = Some(Box::new(tunnel));
}

pub(crate) fn set_l7(interner: &mut Interner, row: &mut Row, l7: &pb::Layer7) {
    use pb::layer7::Record as Arm;
    let list =
        |interner: &mut Interner, texts: &[String]| interner.list(texts.iter().map(String::as_str));
    let record = l7.record.as_ref().map(|record| match record {
        Arm::Dns(dns) => L7Record::Dns(Dns {
            query: interner.text(&dns.query),
            ips: list(interner, &dns.ips),
            ttl: dns.ttl,
            cnames: list(interner, &dns.cnames),
            observation_source: interner.text(&dns.observation_source),
            rcode: dns.rcode,
            qtypes: list(interner, &dns.qtypes),
            rrtypes: list(interner, &dns.rrtypes),
        }),
        Arm::Http(http) => L7Record::Http(Http {
            code: http.code,
            method: interner.text(&http.method),
            url: interner.text(&http.url),
            protocol: interner.text(&http.protocol),
            headers: http
                .headers
                .iter()
                .map(|header| Header {
                    key: interner.text(&header.key),
                    value: interner.text(&header.value),
                })
                .collect(),
        }),
        Arm::Kafka(kafka) => L7Record::Kafka(Kafka {
            error_code: kafka.error_code,
            api_version: kafka.api_version,
            api_key: interner.text(&kafka.api_key),
            correlation_id: kafka.correlation_id,
            topic: interner.text(&kafka.topic),
        }),
    });
    row.extra().l7 = Some(Box::new(L7 {
        kind: L7Type(l7.r#type),
        latency_ns: l7.latency_ns,
        record,
    }));
}

pub(crate) fn set_trace_context(
    interner: &mut Interner,
    row: &mut Row,
    context: &pb::TraceContext,
) {
    let id = context
        .parent
        .as_ref()
        .map_or("", |parent| &parent.trace_id);
    row.extra().trace_id = Some(interner.text(id));
    if context.parent.is_some() {
        row.flags |= flags::HAS_TRACE_PARENT;
    }
}

pub(crate) fn set_file(interner: &mut Interner, row: &mut Row, file: &pb::FileInfo) {
    row.extra().file = Some(File {
        name: interner.text(&file.name),
        line: file.line,
    });
}

pub(crate) fn policy(interner: &mut Interner, policy: &pb::Policy) -> Policy {
    Policy {
        name: interner.text(&policy.name),
        namespace: interner.text(&policy.namespace),
        kind: interner.text(&policy.kind),
        labels: interner.list(policy.labels.iter().map(String::as_str)),
        revision: policy.revision,
    }
}

/// Counters of an aggregated line; their sum is the row's weight.
pub(crate) fn set_aggregate(row: &mut Row, aggregate: &pb::Aggregate) {
    let counters = Aggregate {
        ingress: aggregate.ingress_flow_count,
        egress: aggregate.egress_flow_count,
        unknown: aggregate.unknown_direction_flow_count,
    };
    row.extra().aggregate = Some(counters);
    row.weight = counters
        .ingress
        .saturating_add(counters.egress)
        .saturating_add(counters.unknown)
        .max(1);
}

pub(crate) fn lost_notice(lost: &pb::LostEvent) -> NoticeKind {
    let time = |time: &Option<prost_types::Timestamp>| {
        time.as_ref()
            .map(nanoseconds)
            .filter(|&time| time != NO_TIME)
    };
    NoticeKind::Lost {
        source: LostSource(lost.source),
        events: lost.num_events_lost,
        cpu: lost.cpu,
        first: time(&lost.first),
        last: time(&lost.last),
    }
}

fn node_notice(status: &relay::NodeStatusEvent) -> NoticeKind {
    NoticeKind::Nodes {
        state: NodeState(status.state_change),
        names: status
            .node_names
            .iter()
            .map(|name| Arc::from(name.as_str()))
            .collect(),
        message: Arc::from(status.message.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_in_its_usual_form_is_128_bits_and_anything_else_stays_text() {
        assert_eq!(
            parse_uuid(b"00000000-0000-0001-0000-00000000ff02"),
            Some(1 << 64 | 0xff02)
        );
        for other in [
            "u",
            "00000000-0000-0000-0000-000000000000",
            "0000000g-0000-0001-0000-00000000ff02",
            "00000000-0000-0001-0000-00000000FF02",
        ] {
            assert_eq!(parse_uuid(other.as_bytes()), None, "{other}");
        }
        let mut row = Row::default();
        set_uuid(&mut row, "odd");
        assert_eq!(row.extra().uuid.as_deref(), Some("odd"));
    }

    proptest::proptest! {
        #[test]
        fn hex_digits_are_read_as_the_standard_library_reads_them(text in "[0-9a-f]{31}[0-9a-fA-Go`/:g@]|[0-9a-f]{32}") {
            let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let expected = lower.then(|| u128::from_str_radix(&text, 16).unwrap());
            proptest::prop_assert_eq!(hex(text.as_bytes().try_into().unwrap()), expected);
        }

        #[test]
        fn a_byte_that_is_no_hex_digit_is_seen(at in 0..32_usize, byte in proptest::prelude::any::<u8>()) {
            let mut digits = [b'1'; 32];
            digits[at] = byte;
            let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            proptest::prop_assert_eq!(hex(digits).is_some(), is_digit);
        }
    }

    #[test]
    fn a_time_that_does_not_fit_is_no_time() {
        assert_eq!(nanoseconds_of(1, 5), 1_000_000_005);
        assert_eq!(nanoseconds_of(i64::MAX, 0), NO_TIME);
        assert_eq!(nanoseconds_of(0, -1), NO_TIME);
    }
}
