//! From rows back to messages: a `GetFlowsResponse` for a row or a notice of a batch.
//!
//! Owns which field of the API a column stands for on the way out. What a row does not hold
//! (what `convert` leaves out on the way in) is not written. JSON is made of the message, by
//! `json_write`.

use super::put;
use crate::flow::{
    Endpoint, Extra, L7, L7Record, Notice, NoticeKind, Policy, Protocol, Reply, RowRef, StrId,
    Tunnel, flags,
};

const NANOSECONDS: i64 = 1_000_000_000;

/// Appends the response of a row: its flow in the envelope an agent or relay sends.
pub fn encode_row(row: RowRef<'_>, out: &mut Vec<u8>) {
    message(1, out, |out| flow(row, out));
    text(1000, row.str(row.node()), out);
    if let Some(at) = row.time() {
        message(1001, out, |out| timestamp(at, out));
    }
}

/// Appends the response of a notice. False for what has none: events that are no flows, what
/// was not seen or could not be read, and envelopes without a body; then nothing is written.
pub fn encode_notice(notice: &Notice, out: &mut Vec<u8>) -> bool {
    match &notice.kind {
        NoticeKind::Lost {
            source,
            events,
            cpu,
            first,
            last,
        } => message(3, out, |out| {
            signed(1, source.0, out);
            number(2, *events, out);
            if let Some(cpu) = cpu {
                message(3, out, |out| signed(1, *cpu, out));
            }
            for (field, at) in [(4, first), (5, last)] {
                if let Some(at) = at {
                    message(field, out, |out| timestamp(*at, out));
                }
            }
        }),
        NoticeKind::Nodes {
            state,
            names,
            message: error,
        } => message(2, out, |out| {
            signed(1, state.0, out);
            for name in names {
                put::bytes(2, name.as_bytes(), out);
            }
            text(3, error, out);
        }),
        NoticeKind::AgentEvent
        | NoticeKind::DebugEvent
        | NoticeKind::Unread
        | NoticeKind::Hole { .. }
        | NoticeKind::Empty => return false,
    }
    text(1000, &notice.node, out);
    if notice.time != crate::flow::NO_TIME {
        message(1001, out, |out| timestamp(notice.time, out));
    }
    true
}

fn flow(row: RowRef<'_>, out: &mut Vec<u8>) {
    let dictionaries = row.dictionaries();
    if let Some(at) = row.time().filter(|_| !row.has(flags::ENVELOPE_TIME)) {
        message(1, out, |out| timestamp(at, out));
    }
    signed(2, row.verdict().0, out);
    number(3, row.drop_reason_number().into(), out);
    if let Some((source, destination)) = dictionaries.pair(row.ethernet()) {
        message(4, out, |out| {
            text(1, source, out);
            text(2, destination, out);
        });
    }
    let extra = row.extra();
    if row.has(flags::HAS_IP) {
        message(5, out, |out| ip(row, extra, out));
    }
    if row.has(flags::HAS_L4) {
        message(6, out, |out| layer4(row, extra, out));
    }
    for (field, endpoint) in [(8, row.source_endpoint()), (9, row.destination_endpoint())] {
        if let Some(endpoint) = endpoint {
            message(field, out, |out| self::endpoint(endpoint, out));
        }
    }
    signed(10, row.flow_type().0, out);
    if !row.has(flags::ENVELOPE_NODE) {
        text(11, row.str(row.node()), out);
    }
    for (field, list) in [
        (13, row.source_names()),
        (14, row.destination_names()),
        (37, row.node_labels()),
    ] {
        texts(field, dictionaries.list(list), out);
    }
    flag(16, row.has(flags::LEGACY_REPLY), out);
    if row.has(flags::HAS_EVENT_TYPE) {
        message(19, out, |out| {
            signed(1, row.event_type(), out);
            signed(2, row.event_sub_type(), out);
        });
    }
    for (field, service) in [(20, row.source_service()), (21, row.destination_service())] {
        if let Some(service) = dictionaries.service(service) {
            message(field, out, |out| {
                text(1, service.name, out);
                text(2, service.namespace, out);
            });
        }
    }
    signed(22, row.direction().0, out);
    number(23, row.policy_match_type().into(), out);
    signed(24, row.trace_point().0, out);
    signed(25, row.drop_reason().0, out);
    if row.reply() != Reply::Unknown {
        message(26, out, |out| flag(1, row.reply() == Reply::Yes, out));
    }
    uuid(row, out);
    signed(36, row.trace_reason().0, out);
    if let Some((name, version)) = dictionaries.pair(row.emitter()) {
        message(41, out, |out| {
            text(1, name, out);
            text(2, version, out);
        });
    }
    text(100_000, row.str(row.summary()), out);
    if let Some(extra) = extra {
        self::extra(row, extra, out);
    }
}

fn extra(row: RowRef<'_>, extra: &Extra, out: &mut Vec<u8>) {
    let dictionaries = row.dictionaries();
    signed(35, extra.auth_type.0, out);
    if let Some(tunnel) = &extra.tunnel {
        message(39, out, |out| self::tunnel(row, tunnel, out));
    }
    if let Some(l7) = &extra.l7 {
        message(15, out, |out| layer7(row, l7, out));
    }
    signed(27, extra.capture_point.0, out);
    if let Some((index, name)) = extra.interface {
        message(28, out, |out| {
            number(1, index.into(), out);
            text(2, row.str(name), out);
        });
    }
    number(29, extra.proxy_port.into(), out);
    if let Some(id) = extra.trace_id {
        message(30, out, |out| {
            message(1, out, |out| text(1, row.str(id), out));
        });
    }
    signed(31, extra.sock_point.0, out);
    number(32, extra.socket_cookie, out);
    number(33, extra.cgroup_id, out);
    if let Some(file) = extra.file {
        message(38, out, |out| {
            text(1, row.str(file.name), out);
            number(2, file.line.into(), out);
        });
    }
    if let Some((id, kind)) = extra.ip_trace_id {
        message(40, out, |out| {
            number(1, id, out);
            number(2, kind.into(), out);
        });
    }
    for (field, policies) in [
        (21_001, &extra.egress_allowed_by),
        (21_002, &extra.ingress_allowed_by),
        (21_004, &extra.egress_denied_by),
        (21_005, &extra.ingress_denied_by),
    ] {
        for policy in policies {
            message(field, out, |out| self::policy(row, policy, out));
        }
    }
    texts(21_006, dictionaries.list(extra.policy_log), out);
    if let Some(aggregate) = extra.aggregate {
        message(21_007, out, |out| {
            number(1, aggregate.ingress.into(), out);
            number(2, aggregate.egress.into(), out);
            number(3, aggregate.unknown.into(), out);
        });
    }
}

fn ip(row: RowRef<'_>, extra: Option<&Extra>, out: &mut Vec<u8>) {
    text(1, row.str(row.source_ip()), out);
    text(2, row.str(row.destination_ip()), out);
    signed(3, row.ip_version(), out);
    flag(4, row.has(flags::ENCRYPTED), out);
    if let Some(extra) = extra {
        text(5, row.str(extra.source_xlated), out);
    }
}

fn layer4(row: RowRef<'_>, extra: Option<&Extra>, out: &mut Vec<u8>) {
    let ports = |out: &mut Vec<u8>| {
        number(1, row.source_port().into(), out);
        number(2, row.destination_port().into(), out);
    };
    match row.protocol() {
        Protocol::None => {}
        Protocol::Tcp => message(1, out, |out| {
            ports(out);
            if row.has(flags::HAS_TCP_FLAGS) {
                message(3, out, |out| {
                    for bit in 0..9 {
                        flag(bit + 1, row.has(1 << bit), out);
                    }
                });
            }
        }),
        Protocol::Udp => message(2, out, ports),
        Protocol::Sctp => message(5, out, |out| {
            ports(out);
            signed(3, extra.map_or(0, |extra| extra.sctp_chunk), out);
        }),
        Protocol::Icmpv4 | Protocol::Icmpv6 => {
            let field = if row.protocol() == Protocol::Icmpv4 {
                3
            } else {
                4
            };
            let icmp = extra.and_then(|extra| extra.icmp).unwrap_or_default();
            message(field, out, |out| {
                number(1, icmp.kind.into(), out);
                number(2, icmp.code.into(), out);
            });
        }
        Protocol::Vrrp => message(6, out, |out| {
            let fields = extra.and_then(|extra| extra.vrrp).unwrap_or_default();
            for (field, value) in (1..).zip(fields) {
                number(field, value.into(), out);
            }
        }),
        Protocol::Igmp => message(7, out, |out| {
            let (kind, group) = extra.and_then(|extra| extra.igmp).unwrap_or_default();
            number(1, kind.into(), out);
            text(2, row.str(group), out);
        }),
    }
}

fn endpoint(endpoint: &Endpoint, out: &mut Vec<u8>) {
    number(1, endpoint.id.into(), out);
    number(2, endpoint.identity.into(), out);
    text(3, &endpoint.namespace, out);
    texts(4, endpoint.labels.iter().map(|label| &**label), out);
    text(5, &endpoint.pod, out);
    for workload in &endpoint.workloads {
        message(6, out, |out| {
            text(1, &workload.name, out);
            text(2, &workload.kind, out);
        });
    }
    text(7, &endpoint.cluster, out);
}

fn tunnel(row: RowRef<'_>, tunnel: &Tunnel, out: &mut Vec<u8>) {
    signed(1, tunnel.protocol, out);
    if tunnel.source != StrId(0) || tunnel.destination != StrId(0) {
        message(2, out, |out| {
            text(1, row.str(tunnel.source), out);
            text(2, row.str(tunnel.destination), out);
        });
    }
    if let Some((source, destination)) = tunnel.ports {
        // VXLAN and Geneve are carried in UDP.
        message(3, out, |out| {
            message(2, out, |out| {
                number(1, source.into(), out);
                number(2, destination.into(), out);
            });
        });
    }
    number(4, tunnel.vni.into(), out);
}

fn layer7(row: RowRef<'_>, l7: &L7, out: &mut Vec<u8>) {
    let list = |id| row.dictionaries().list(id);
    signed(1, l7.kind.0, out);
    number(2, l7.latency_ns, out);
    match &l7.record {
        None => {}
        Some(L7Record::Dns(dns)) => message(100, out, |out| {
            text(1, row.str(dns.query), out);
            texts(2, list(dns.ips), out);
            number(3, dns.ttl.into(), out);
            texts(4, list(dns.cnames), out);
            text(5, row.str(dns.observation_source), out);
            number(6, dns.rcode.into(), out);
            texts(7, list(dns.qtypes), out);
            texts(8, list(dns.rrtypes), out);
        }),
        Some(L7Record::Http(http)) => message(101, out, |out| {
            number(1, http.code.into(), out);
            text(2, row.str(http.method), out);
            text(3, row.str(http.url), out);
            text(4, row.str(http.protocol), out);
            for header in &http.headers {
                message(5, out, |out| {
                    text(1, row.str(header.key), out);
                    text(2, row.str(header.value), out);
                });
            }
        }),
        Some(L7Record::Kafka(kafka)) => message(102, out, |out| {
            signed(1, kafka.error_code, out);
            signed(2, kafka.api_version, out);
            text(3, row.str(kafka.api_key), out);
            signed(4, kafka.correlation_id, out);
            text(5, row.str(kafka.topic), out);
        }),
    }
}

fn policy(row: RowRef<'_>, policy: &Policy, out: &mut Vec<u8>) {
    text(1, row.str(policy.name), out);
    text(2, row.str(policy.namespace), out);
    texts(3, row.dictionaries().list(policy.labels), out);
    number(4, policy.revision, out);
    text(5, row.str(policy.kind), out);
}

fn uuid(row: RowRef<'_>, out: &mut Vec<u8>) {
    if let Some(text) = row.extra().and_then(|extra| extra.uuid.as_deref()) {
        self::text(34, text, out);
    } else if row.uuid() != 0 {
        put::bytes(34, &hyphenated(row.uuid()), out);
    }
}

fn hyphenated(uuid: u128) -> [u8; 36] {
    let mut text = [b'-'; 36];
    let mut at = 0;
    for digit in 0..32 {
        if matches!(at, 8 | 13 | 18 | 23) {
            at += 1;
        }
        text[at] = b"0123456789abcdef"[(uuid >> (124 - 4 * digit)) as usize & 15];
        at += 1;
    }
    text
}

fn timestamp(at: i64, out: &mut Vec<u8>) {
    number(1, at.div_euclid(NANOSECONDS) as u64, out);
    number(2, at.rem_euclid(NANOSECONDS) as u64, out);
}

/// A message of any length.
fn message(field: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    put::key(field, put::DELIMITED, out);
    let Ok(()) = put::delimited(out, |out| {
        body(out);
        Ok::<(), std::convert::Infallible>(())
    });
}

fn text(field: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        put::bytes(field, text.as_bytes(), out);
    }
}

fn texts<'a>(field: u32, texts: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    for text in texts {
        put::bytes(field, text.as_bytes(), out);
    }
}

fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        put::key(field, put::VARINT, out);
        put::varint(value, out);
    }
}

fn signed(field: u32, value: i32, out: &mut Vec<u8>) {
    number(field, i64::from(value) as u64, out);
}

fn flag(field: u32, value: bool, out: &mut Vec<u8>) {
    number(field, value.into(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::BatchBuilder;
    use crate::wire::generate::{Generator, cases};
    use crate::wire::walk::push_message;

    /// Scenario: messages at random, read into a batch, written, and read again.
    /// Guarantees: rows and notices are the same, field by field.
    #[test]
    fn what_is_written_reads_back_as_the_same_rows() {
        for seed in 0..cases(40) {
            let mut generator = Generator::new(seed, 0);
            let mut builder = BatchBuilder::default();
            for _ in 0..32 {
                let message = generator.response();
                let _ = push_message(&mut builder, &message, || unreachable!());
            }
            let first = builder.finish();
            let mut again = BatchBuilder::default();
            for row in first.rows() {
                let mut wire = Vec::new();
                encode_row(row, &mut wire);
                push_message(&mut again, &wire, || unreachable!()).unwrap();
            }
            for notice in first.notices() {
                let mut wire = Vec::new();
                if encode_notice(notice, &mut wire) {
                    push_message(&mut again, &wire, || unreachable!()).unwrap();
                }
            }
            let again = again.finish();
            assert_eq!(first.len(), again.len());
            for row in 0..first.len() {
                assert_eq!(first.describe(row), again.describe(row), "seed {seed}");
            }
            let kinds = |notices: &[Notice]| -> Vec<NoticeKind> {
                let written = |notice: &&Notice| notice.kind != NoticeKind::Empty;
                let kept = notices.iter().filter(written);
                kept.map(|notice| notice.kind.clone()).collect()
            };
            assert_eq!(kinds(first.notices()), kinds(again.notices()));
        }
    }
}
