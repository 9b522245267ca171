use proptest::prelude::*;
use prost::Message as _;
use serde_json::Value;

use super::*;
use crate::{
    proto::{flow, observer},
    wire::json_read::{ReadOptions, ReadReport, json_to_wire},
};

fn written(shape: Message, wire: &[u8]) -> Result<String, WireError> {
    let mut out = Vec::new();
    wire_to_json(shape, wire, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn read(shape: Message, text: &str) -> (Vec<u8>, ReadReport) {
    let json: Value = serde_json::from_str(text).unwrap();
    let mut wire = Vec::new();
    let report = json_to_wire(shape, &json, &ReadOptions::default(), &mut wire).unwrap();
    (wire, report)
}

/// Every line, one a shape of what Hubble prints, comes back byte for byte.
#[test]
fn what_hubble_prints_comes_back_byte_for_byte() {
    let lines = include_str!("../../../tests/data/shapes.jsonl").lines();
    let mut count = 0;
    for line in lines {
        let (name, text) = line.split_once('\t').unwrap();
        let shape = shape::by_full_name(name).unwrap();
        let (wire, report) = read(shape, text);
        assert_eq!(report, ReadReport::default(), "{text}");
        assert_eq!(written(shape, &wire).unwrap(), text);
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn the_last_scalar_wins_and_messages_add_up() {
    let flow = |flow: flow::Flow| flow.encode_to_vec();
    let endpoint = |pod: &str, namespace: &str| flow::Flow {
        source: Some(flow::Endpoint {
            pod_name: pod.to_owned(),
            namespace: namespace.to_owned(),
            labels: vec![pod.to_owned()],
            ..Default::default()
        }),
        verdict: 2,
        uuid: pod.to_owned(),
        ..Default::default()
    };
    let mut wire = flow(endpoint("a", "ns"));
    wire.extend(flow(endpoint("b", "")));
    wire.extend([0x10, 0]);
    assert_eq!(
        written(shape::flow(), &wire).unwrap(),
        r#"{"uuid":"b","source":{"namespace":"ns","labels":["a","b"],"pod_name":"b"}}"#
    );
}

#[test]
fn the_last_arm_of_a_oneof_stands_and_starts_anew() {
    let layer4 = shape::by_full_name("flow.Layer4").unwrap();
    // TCP source 1, UDP source 2, TCP destination 3.
    let wire = [0x0a, 2, 8, 1, 0x12, 2, 8, 2, 0x0a, 2, 16, 3];
    assert_eq!(
        written(layer4, &wire).unwrap(),
        r#"{"TCP":{"destination_port":3}}"#
    );
    let wire = [0x0a, 2, 8, 1, 0x0a, 2, 16, 3];
    assert_eq!(
        written(layer4, &wire).unwrap(),
        r#"{"TCP":{"source_port":1,"destination_port":3}}"#
    );
}

#[test]
fn pieces_that_are_replaced_must_still_be_right() {
    let layer4 = shape::by_full_name("flow.Layer4").unwrap();
    let half = [0x0a, 1, 8, 0x12, 0];
    assert_eq!(written(layer4, &half), Err(WireError::Truncated));
    let uuid_not_utf8 = [0x92, 2, 1, 0xff, 0x92, 2, 1, b'u'];
    assert_eq!(
        written(shape::flow(), &uuid_not_utf8),
        Err(WireError::Utf8("uuid"))
    );
    // Two halves that would make one whole.
    let halves = [0x0a, 1, 8, 0x0a, 1, 1];
    assert_eq!(written(layer4, &halves), Err(WireError::Truncated));
}

#[test]
fn unknown_fields_are_left_out_and_unpacked_lists_read() {
    let filter = shape::flow_filter();
    // verdict: packed 1, 2, then single 99; reply: an empty packed piece.
    let wire = [0x2a, 2, 1, 2, 0x28, 99, 0x7a, 0, 0xfa, 0x7f, 1, 0];
    assert_eq!(
        written(filter, &wire).unwrap(),
        r#"{"verdict":["FORWARDED","DROPPED",99]}"#
    );
    // An unknown group, with a varint inside.
    let group = [0xa3, 6, 8, 1, 0xa4, 6];
    assert_eq!(written(filter, &group).unwrap(), "{}");
    assert_eq!(written(filter, &group[..4]), Err(WireError::Truncated));
    assert_eq!(written(filter, &[0xa4, 6]), Err(WireError::Group(100)));
}

#[test]
fn an_any_is_its_fields_or_its_bytes() {
    let any = |url: &str, value: &[u8]| {
        let flow = flow::Flow {
            extensions: Some(prost_types::Any {
                type_url: url.to_owned(),
                value: value.to_vec(),
            }),
            ..Default::default()
        };
        let wire = flow.encode_to_vec();
        let text = written(shape::flow(), &wire).unwrap();
        assert_eq!(
            read(shape::flow(), &text),
            (wire, ReadReport::default()),
            "{text}"
        );
        text
    };
    assert_eq!(
        any("type.googleapis.com/flow.Workload", &[10, 1, b'w']),
        r#"{"extensions":{"@type":"type.googleapis.com/flow.Workload","name":"w"}}"#
    );
    assert_eq!(
        any("type.googleapis.com/google.protobuf.BoolValue", &[8, 1]),
        r#"{"extensions":{"@type":"type.googleapis.com/google.protobuf.BoolValue","value":true}}"#
    );
    assert_eq!(
        any("x/vendor.Thing", &[0, 255]),
        r#"{"extensions":{"@type":"x/vendor.Thing","value":"AP8="}}"#
    );
    assert_eq!(
        any("x/flow.Workload", &[10, 9]),
        r#"{"extensions":{"@type":"x/flow.Workload","value":"Cgk="}}"#
    );
    assert_eq!(any("", &[]), r#"{"extensions":{}}"#);
}

#[test]
fn a_time_without_a_text_form_is_refused_and_nothing_is_written() {
    let flow = flow::Flow {
        time: Some(prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        }),
        ..Default::default()
    };
    let mut out = b"before".to_vec();
    let error = wire_to_json(shape::flow(), &flow.encode_to_vec(), &mut out).unwrap_err();
    assert!(matches!(error, WireError::Time { .. }));
    assert_eq!(out, b"before");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z0-9./=-]{1,12}", ".{0,6}"]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..3)
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0..300_u32, any::<u32>()]
}

fn open_enum() -> impl Strategy<Value = i32> {
    prop_oneof![0..12_i32, 130..208_i32, any::<i32>()]
}

fn time() -> impl Strategy<Value = prost_types::Timestamp> {
    (-62_135_596_800..253_402_300_800_i64, 0..1_000_000_000)
        .prop_map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos })
}

prop_compose! {
    fn endpoint()(
        id in small(), identity in small(), cluster_name in text(), namespace in text(),
        labels in texts(), pod_name in text(), workload in text(), kind in text(),
        workloads in 0..3_usize,
    ) -> flow::Endpoint {
        let workload = flow::Workload { name: workload, kind };
        flow::Endpoint {
            id, identity, cluster_name, namespace, labels, pod_name,
            workloads: vec![workload; workloads],
        }
    }
}

fn layer4() -> impl Strategy<Value = flow::Layer4> {
    use flow::layer4::Protocol;
    let tcp = (small(), small(), prop::option::of(any::<[bool; 4]>())).prop_map(
        |(source_port, destination_port, flags)| {
            let flags = flags.map(|[syn, ack, fin, rst]| flow::TcpFlags {
                syn,
                ack,
                fin,
                rst,
                ..Default::default()
            });
            Protocol::Tcp(flow::Tcp {
                source_port,
                destination_port,
                flags,
            })
        },
    );
    let udp = (small(), small()).prop_map(|(source_port, destination_port)| {
        Protocol::Udp(flow::Udp {
            source_port,
            destination_port,
        })
    });
    let icmp = small().prop_map(|kind| {
        Protocol::IcmPv4(flow::IcmPv4 {
            r#type: kind,
            code: 0,
        })
    });
    prop::option::of(prop_oneof![tcp, udp, icmp]).prop_map(|protocol| flow::Layer4 { protocol })
}

fn layer7() -> impl Strategy<Value = flow::Layer7> {
    use flow::layer7::Record;
    let dns = (text(), texts(), small()).prop_map(|(query, ips, rcode)| {
        Record::Dns(flow::Dns {
            query,
            ips,
            rcode,
            ..Default::default()
        })
    });
    let http = (small(), text(), text(), text()).prop_map(|(code, url, key, value)| {
        Record::Http(flow::Http {
            code,
            url,
            headers: vec![flow::HttpHeader { key, value }],
            ..Default::default()
        })
    });
    (
        open_enum(),
        any::<u64>(),
        prop::option::of(prop_oneof![dns, http]),
    )
        .prop_map(|(kind, latency_ns, record)| flow::Layer7 {
            r#type: kind,
            latency_ns,
            record,
        })
}

fn policy() -> impl Strategy<Value = flow::Policy> {
    (text(), text(), texts(), any::<u64>()).prop_map(|(name, namespace, labels, revision)| {
        flow::Policy {
            name,
            namespace,
            labels,
            revision,
            kind: String::new(),
        }
    })
}

fn any_message() -> impl Strategy<Value = prost_types::Any> {
    (text(), prop::collection::vec(any::<u8>(), 0..5)).prop_map(|(url, value)| prost_types::Any {
        type_url: format!("x/vendor.{url}"),
        value,
    })
}

prop_compose! {
    fn plain_fields()(
        (uuid, node_name, summary) in (text(), text(), text()),
        (verdict, kind, drop_reason_desc, direction) in
            (open_enum(), open_enum(), open_enum(), open_enum()),
        (drop_reason, policy_match_type, proxy_port) in (small(), small(), small()),
        (socket_cookie, cgroup_id, reply) in (any::<u64>(), any::<u64>(), any::<bool>()),
        (node_labels, destination_names, policy_log) in (texts(), texts(), texts()),
        is_reply in any::<Option<bool>>(),
        event_type in prop::option::of((open_enum(), any::<i32>())),
    ) -> flow::Flow {
        flow::Flow {
            uuid, node_name, summary, verdict, r#type: kind, drop_reason_desc,
            traffic_direction: direction, drop_reason, policy_match_type, proxy_port,
            socket_cookie, cgroup_id, reply, node_labels, destination_names, policy_log,
            is_reply,
            event_type: event_type.map(|(kind, sub_type)| flow::CiliumEventType {
                r#type: kind,
                sub_type,
            }),
            ..Default::default()
        }
    }
}

prop_compose! {
    fn flows()(
        plain in plain_fields(),
        time in prop::option::of(time()),
        source in prop::option::of(endpoint()),
        destination in prop::option::of(endpoint()),
        l4 in prop::option::of(layer4()),
        l7 in prop::option::of(layer7()),
        egress_allowed_by in prop::collection::vec(policy(), 0..3),
        extensions in prop::option::of(any_message()),
        ip_trace_id in prop::option::of(any::<u64>()),
    ) -> flow::Flow {
        flow::Flow {
            time, source, destination, l4, l7, egress_allowed_by, extensions,
            ip_trace_id: ip_trace_id.map(|trace_id| flow::IpTraceId {
                trace_id,
                ip_option_type: 136,
            }),
            ..plain
        }
    }
}

/// Bytes that are a message in most places: pieces of real ones, cut, doubled and bent.
fn nearly_messages() -> impl Strategy<Value = Vec<u8>> {
    let response = flows()
        .prop_map(|flow| {
            observer::GetFlowsResponse {
                node_name: flow.node_name.clone(),
                time: flow.time,
                response_types: Some(observer::get_flows_response::ResponseTypes::Flow(flow)),
            }
            .encode_to_vec()
        })
        .boxed();
    let bend = (any::<prop::sample::Index>(), any::<u8>());
    (
        response.clone(),
        response,
        prop::collection::vec(bend, 0..4),
    )
        .prop_map(|(mut wire, other, bends)| {
            wire.extend(other);
            for (at, byte) in bends {
                if !wire.is_empty() {
                    let at = at.index(wire.len());
                    wire[at] = byte;
                }
            }
            wire
        })
}

/// What prost makes of the bytes is what the JSON says.
fn agrees_with_prost(wire: &[u8]) -> Result<(), TestCaseError> {
    let Ok(text) = written(shape::get_flows_response(), wire) else {
        return Ok(());
    };
    let decoded = observer::GetFlowsResponse::decode(wire);
    prop_assert!(decoded.is_ok(), "{:?} but {}", decoded, text);
    let (again, _) = read(shape::get_flows_response(), &text);
    let again = observer::GetFlowsResponse::decode(again.as_slice());
    prop_assert_eq!(again, decoded);
    Ok(())
}

proptest! {
    #[test]
    fn any_flow_comes_back(flow in flows()) {
        let wire = flow.encode_to_vec();
        let text = written(shape::flow(), &wire).unwrap();
        let (again, report) = read(shape::flow(), &text);
        prop_assert_eq!(report, ReadReport::default());
        prop_assert_eq!(flow::Flow::decode(again.as_slice()).unwrap(), flow);
        prop_assert_eq!(again, wire);
    }

    #[test]
    fn what_is_accepted_prost_accepts_and_reads_the_same(wire in nearly_messages()) {
        agrees_with_prost(&wire)?;
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read_as_prost_does(
        wire in prop::collection::vec(any::<u8>(), 0..128),
    ) {
        agrees_with_prost(&wire)?;
    }

    /// Two whole messages, one after the other, are one.
    #[test]
    fn merging_is_that_of_prost(first in flows().boxed(), second in flows().boxed()) {
        let mut wire = first.encode_to_vec();
        wire.extend(second.encode_to_vec());
        let merged = flow::Flow::decode(wire.as_slice()).unwrap();
        let text = written(shape::flow(), &wire).unwrap();
        prop_assert_eq!(text, written(shape::flow(), &merged.encode_to_vec()).unwrap());
    }
}
