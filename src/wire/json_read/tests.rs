use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::*;
use crate::proto::{flow, observer};

fn read(shape: Message, json: &Value) -> Result<(Vec<u8>, ReadReport), JsonError> {
    let mut out = Vec::new();
    let report = json_to_wire(shape, json, &ReadOptions::default(), &mut out)?;
    Ok((out, report))
}

fn flow_of(json: &Value) -> flow::Flow {
    let (wire, _) = read(shape::flow(), json).unwrap();
    flow::Flow::decode(wire.as_slice()).unwrap()
}

fn refused(shape: Message, json: &Value) -> String {
    read(shape, json).unwrap_err().to_string()
}

#[test]
fn either_spelling_and_any_form_of_a_value_reads_the_same() {
    let plain = flow_of(&json!({
        "node_name": "n", "is_reply": false, "verdict": "DROPPED", "proxy_port": 80,
        "socket_cookie": "7", "time": "1970-01-01T00:00:01Z", "drop_reason": 1000,
    }));
    let liberal = flow_of(&json!({
        "nodeName": "n", "isReply": false, "verdict": 2, "proxyPort": "80.0",
        "socketCookie": 7, "time": "1970-01-01T01:00:01.000+01:00", "drop_reason": 1e3,
        "uuid": null, "reply": false, "Summary": "",
    }));
    assert_eq!(plain, liberal);
    assert_eq!(plain.is_reply, Some(false));
    assert_eq!(plain.drop_reason, 1000);
}

#[test]
fn equal_objects_have_equal_bytes_and_those_of_prost() {
    let one = read(
        shape::flow(),
        &json!({"Summary": "s", "uuid": "u", "verdict": 1}),
    )
    .unwrap();
    let other = read(
        shape::flow(),
        &json!({"verdict": 1, "Summary": "s", "uuid": "u"}),
    )
    .unwrap();
    assert_eq!(one, other);
    let message = flow::Flow::decode(one.0.as_slice()).unwrap();
    assert_eq!(message.encode_to_vec(), one.0);
}

#[test]
fn empty_messages_are_kept_and_defaults_are_not() {
    let (wire, _) = read(
        shape::flow(),
        &json!({"source": {}, "uuid": "", "verdict": "VERDICT_UNKNOWN", "l4": {"ICMPv4": {}}, "node_labels": []}),
    )
    .unwrap();
    assert_eq!(wire, [0x32, 2, 0x1a, 0, 0x42, 0]);
}

#[test]
fn unknown_numbers_are_kept_and_unknown_names_counted() {
    let (wire, report) = read(
        shape::flow(),
        &json!({"verdict": 99, "Type": "L9", "nope": {"a": 1}, "source": {"zone": "b"}}),
    )
    .unwrap();
    assert_eq!(flow::Flow::decode(wire.as_slice()).unwrap().verdict, 99);
    assert_eq!(report.unknown_enums, 1);
    assert_eq!(report.unknown_fields, 2);
    assert_eq!(report.first_unknown_field.as_deref(), Some("nope"));
}

#[test]
fn strict_reading_names_what_it_does_not_know() {
    let strict = ReadOptions {
        strict_fields: true,
        strict_enums: true,
    };
    let refused = |json: Value| {
        let mut out = vec![1];
        let error = json_to_wire(shape::flow_filter(), &json, &strict, &mut out).unwrap_err();
        assert_eq!(out, [1]);
        error.to_string()
    };
    assert_eq!(refused(json!({"nope": 1})), "unknown field \"nope\"");
    assert_eq!(
        refused(json!({"tcp_flags": [{"SYN": true}, {"XYZ": true}]})),
        "tcp_flags[1]: unknown field \"XYZ\""
    );
    assert_eq!(
        refused(json!({"verdict": ["dropped"]})),
        "verdict[0]: unknown flow.Verdict \"dropped\""
    );
}

#[test]
fn errors_say_where_and_what() {
    let response = shape::get_flows_response();
    assert_eq!(
        refused(
            response,
            &json!({"flow": {"l4": {"TCP": {"source_port": -1}}}})
        ),
        "flow.l4.TCP.source_port: -1 is not a 32-bit unsigned integer"
    );
    assert_eq!(
        refused(response, &json!({"flow": {"source": "x"}})),
        "flow.source: expected an object, found text"
    );
    assert_eq!(
        refused(response, &json!({"flow": {"source_names": ["a", null]}})),
        "flow.source_names[1]: expected text, found null"
    );
    assert_eq!(
        refused(response, &json!({"time": "yesterday"})),
        "time: \"yesterday\" is not an RFC 3339 time"
    );
    assert_eq!(
        refused(response, &json!({"node_name": "a", "nodeName": "b"})),
        "field \"node_name\" is there twice"
    );
    assert_eq!(
        refused(response, &json!({"flow": {"l4": {"UDP": {}, "TCP": {}}}})),
        "flow.l4: \"TCP\" and \"UDP\" exclude each other"
    );
    assert_eq!(
        refused(response, &json!([])),
        "expected an object, found a list"
    );
}

#[test]
fn integers_out_of_range_or_not_whole_are_refused() {
    for value in [
        json!(1.5),
        json!("1.5"),
        json!(4_294_967_296_u64),
        json!("4294967296"),
        json!(" 1"),
        json!("1 "),
        json!("+1"),
        json!(""),
        json!("0x10"),
        json!(true),
        json!(1e300),
    ] {
        let json = json!({ "proxy_port": value });
        assert!(read(shape::flow(), &json).is_err(), "{json}");
    }
    let most = flow_of(&json!({"cgroup_id": u64::MAX, "socket_cookie": u64::MAX.to_string()}));
    assert_eq!((most.cgroup_id, most.socket_cookie), (u64::MAX, u64::MAX));
    for value in [
        json!("18446744073709551616"),
        json!(1.844_674_407_370_955_2e19),
    ] {
        assert!(read(shape::flow(), &json!({ "cgroup_id": value })).is_err());
    }
    let negative = flow_of(&json!({"event_type": {"type": -1, "sub_type": i32::MIN}}));
    assert_eq!(negative.event_type.unwrap().sub_type, i32::MIN);
}

#[test]
fn repeated_numbers_are_packed() {
    let (wire, _) = read(
        shape::flow_filter(),
        &json!({"verdict": ["FORWARDED", 2], "reply": [false], "ip_trace_id": ["5"]}),
    )
    .unwrap();
    let filter = flow::FlowFilter::decode(wire.as_slice()).unwrap();
    assert_eq!(filter.verdict, [1, 2]);
    assert_eq!(filter.reply, [false]);
    assert_eq!(filter.encode_to_vec(), wire);
}

#[test]
fn any_keeps_known_types_and_bytes_and_counts_the_rest() {
    let any = |json: Value| {
        let (wire, report) = read(shape::flow(), &json!({ "extensions": json })).unwrap();
        let message = flow::Flow::decode(wire.as_slice()).unwrap();
        (message.extensions.unwrap(), report.unknown_types)
    };
    let (known, unknown) = any(json!({"@type": "type.googleapis.com/flow.Workload", "name": "w"}));
    assert_eq!((known.value.as_slice(), unknown), (&[10, 1, b'w'][..], 0));
    let (bytes, unknown) = any(json!({"@type": "x/vendor.Thing", "value": "AP8"}));
    assert_eq!((bytes.value.as_slice(), unknown), (&[0, 255][..], 0));
    let (empty, unknown) = any(json!({"@type": "x/vendor.Thing", "a": 1, "b": {}}));
    assert_eq!((empty, unknown), (prost_types::Any::default(), 1));
    let (time, _) = any(json!({
        "@type": "type.googleapis.com/google.protobuf.Timestamp",
        "value": "1970-01-01T00:00:01Z",
    }));
    assert_eq!(time.value, [8, 1]);
}

#[test]
fn nesting_is_bounded() {
    let url = "type.googleapis.com/google.protobuf.Any";
    let mut json = json!({});
    for _ in 0..100 {
        json = json!({ "@type": url, "value": json });
    }
    let error = read(shape::flow(), &json!({ "extensions": json })).unwrap_err();
    assert!(matches!(error.problem(), JsonProblem::TooDeep));
}

#[test]
fn field_masks_get_the_declared_spelling() {
    let shape = shape::by_full_name("observer.GetFlowsRequest").unwrap();
    let json = json!({"field_mask": "time,source.podName,l4.TCP,IP.ipVersion,fooBar"});
    let (wire, _) = read(shape, &json).unwrap();
    let request = observer::GetFlowsRequest::decode(wire.as_slice()).unwrap();
    assert_eq!(
        request.field_mask.unwrap().paths,
        [
            "time",
            "source.pod_name",
            "l4.TCP",
            "IP.ipVersion",
            "foo_bar"
        ]
    );
}

fn response_of(text: &str) -> observer::GetFlowsResponse {
    let (Record::Response(wire) | Record::BareFlow(wire)) =
        record_to_wire(text.as_bytes()).unwrap()
    else {
        panic!("{text} is a response");
    };
    observer::GetFlowsResponse::decode(wire.as_slice()).unwrap()
}

#[test]
fn a_bare_flow_is_the_wrapped_one() {
    let flow = r#"{"time":"1970-01-01T00:00:01.5Z","verdict":"DROPPED","node_name":"c/n"}"#;
    let wrapped = format!(r#"{{"flow":{flow},"node_name":"c/n","time":"1970-01-01T00:00:01.5Z"}}"#);
    assert_eq!(response_of(flow), response_of(&wrapped));
    assert!(matches!(
        record_to_wire(flow.as_bytes()),
        Ok(Record::BareFlow(_))
    ));
    assert!(matches!(
        record_to_wire(wrapped.as_bytes()),
        Ok(Record::Response(_))
    ));
}

#[test]
fn bare_lost_events_are_the_wrapped_ones() {
    let lost = r#"{"source":"HUBBLE_RING_BUFFER","num_events_lost":"5"}"#;
    assert_eq!(
        response_of(lost),
        response_of(&format!(r#"{{"lost_events":{lost}}}"#))
    );
}

#[test]
fn records_are_told_apart_by_their_keys() {
    let form = |text: &str| record_to_wire(text.as_bytes()).unwrap();
    assert_eq!(
        form(
            r#"{"agent_event":{"type":"AGENT_STARTED"},"node_name":"n","time":"1970-01-01T00:00:01Z"}"#
        ),
        Record::AgentEvent("n".to_owned(), Some(1_000_000_000))
    );
    assert_eq!(
        form(r#"{"debugEvent":{"hash":1}}"#),
        Record::DebugEvent(String::new(), None)
    );
    assert_eq!(form("{}"), Record::NotARecord);
    assert_eq!(form(r#"{"level":"info","msg":"x"}"#), Record::NotARecord);
    assert!(matches!(form(r#"{"l4":{"TCP":{}}}"#), Record::BareFlow(_)));
    assert!(matches!(form(r#"{"source":{}}"#), Record::BareFlow(_)));
    assert!(matches!(form(r#"{"flow":{}}"#), Record::Response(_)));
    let newer = form(r#"{"packet_event":{"a":1},"node_name":"n","time":"1970-01-01T00:00:01Z"}"#);
    assert!(matches!(newer, Record::Response(_)));
    assert!(record_to_wire(br#"{"flow":{},"agent_event":{}}"#).is_err());
    assert!(record_to_wire(b"[]").is_err());
    assert!(record_to_wire(b"{\"flow\":").is_err());
    assert!(record_to_wire(b"\xff").is_err());
}

/// Replaces the value at a place in the document, counted over all values.
fn replace_nth(json: &mut Value, place: &mut usize, with: &Value) {
    if *place == 0 {
        *json = with.clone();
    }
    *place = place.wrapping_sub(1);
    match json {
        Value::Array(list) => list
            .iter_mut()
            .for_each(|value| replace_nth(value, place, with)),
        Value::Object(object) => object
            .iter_mut()
            .for_each(|(_, value)| replace_nth(value, place, with)),
        _ => {}
    }
}

fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!({})),
        Just(json!([])),
        Just(json!([[]])),
        Just(json!([null])),
        Just(json!({"@type": "x/flow.Flow", "value": "AA"})),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<u64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        ".{0,100}".prop_map(|value| json!(value)),
        Just(json!("9999-12-31T23:59:59.9+00:00")),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_refused(text in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = record_to_wire(&text);
    }

    /// A record with one value bent is refused, or is a message for prost too.
    #[test]
    fn what_is_read_prost_reads(
        line in 0..6_usize,
        place in any::<prop::sample::Index>(),
        value in odd_value(),
    ) {
        let lines: Vec<&str> = include_str!("../../../tests/data/shapes.jsonl").lines().collect();
        let (_, text) = lines[line].split_once('\t').unwrap();
        let mut json: Value = serde_json::from_str(text).unwrap();
        replace_nth(&mut json, &mut place.index(100), &value);
        let record = record_to_wire(json.to_string().as_bytes());
        if let Ok(Record::Response(wire) | Record::BareFlow(wire)) = record {
            let decoded = observer::GetFlowsResponse::decode(wire.as_slice());
            prop_assert!(decoded.is_ok(), "{} of {}", decoded.unwrap_err(), json);
        }
    }
}
