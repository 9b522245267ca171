//! Names, numbers and kinds, written down by hand from the reference.

use std::collections::BTreeSet;

use flowwatch::proto::{self, health, observer, peer};
use prost_reflect::{Cardinality, EnumValueDescriptor, FieldDescriptor, MessageDescriptor};

use super::message;

#[test]
fn flow_has_the_fields_of_the_api_in_its_order() {
    let expected = "\
1 time: google.protobuf.Timestamp
34 uuid: string
41 emitter: flow.Emitter
2 verdict: flow.Verdict
3 drop_reason: uint32
35 auth_type: flow.AuthType
4 ethernet: flow.Ethernet
5 IP: flow.IP
6 l4: flow.Layer4
39 tunnel: flow.Tunnel
8 source: flow.Endpoint
9 destination: flow.Endpoint
10 Type: flow.FlowType
11 node_name: string
37 node_labels: repeated string
13 source_names: repeated string
14 destination_names: repeated string
15 l7: flow.Layer7
16 reply: bool
19 event_type: flow.CiliumEventType
20 source_service: flow.Service
21 destination_service: flow.Service
22 traffic_direction: flow.TrafficDirection
23 policy_match_type: uint32
24 trace_observation_point: flow.TraceObservationPoint
36 trace_reason: flow.TraceReason
38 file: flow.FileInfo
40 ip_trace_id: flow.IPTraceID
25 drop_reason_desc: flow.DropReason
26 is_reply: google.protobuf.BoolValue
27 debug_capture_point: flow.DebugCapturePoint
28 interface: flow.NetworkInterface
29 proxy_port: uint32
30 trace_context: flow.TraceContext
31 sock_xlate_point: flow.SocketTranslationPoint
32 socket_cookie: uint64
33 cgroup_id: uint64
100000 Summary: string
150000 extensions: google.protobuf.Any
21001 egress_allowed_by: repeated flow.Policy
21002 ingress_allowed_by: repeated flow.Policy
21004 egress_denied_by: repeated flow.Policy
21005 ingress_denied_by: repeated flow.Policy
21006 policy_log: repeated string
21007 aggregate: flow.Aggregate";

    assert_eq!(table(&message("flow.Flow")), lines(expected));
}

#[test]
fn filter_has_the_fields_of_the_api() {
    let expected = "\
1 source_ip: repeated string
2 source_pod: repeated string
3 destination_ip: repeated string
4 destination_pod: repeated string
5 verdict: repeated flow.Verdict
6 event_type: repeated flow.EventTypeFilter
7 source_fqdn: repeated string
8 destination_fqdn: repeated string
9 http_status_code: repeated string
10 source_label: repeated string
11 destination_label: repeated string
12 protocol: repeated string
13 source_port: repeated string
14 destination_port: repeated string
15 reply: repeated bool
16 source_service: repeated string
17 destination_service: repeated string
18 dns_query: repeated string
19 source_identity: repeated uint32
20 destination_identity: repeated uint32
21 http_method: repeated string
22 http_path: repeated string
23 tcp_flags: repeated flow.TCPFlags
24 node_name: repeated string
25 ip_version: repeated flow.IPVersion
26 source_workload: repeated flow.Workload
27 destination_workload: repeated flow.Workload
28 trace_id: repeated string
29 uuid: repeated string
30 traffic_direction: repeated flow.TrafficDirection
31 http_url: repeated string
32 http_header: repeated flow.HTTPHeader
33 drop_reason_desc: repeated flow.DropReason
34 source_ip_xlated: repeated string
35 interface: repeated flow.NetworkInterface
36 node_labels: repeated string
37 source_cluster_name: repeated string
38 destination_cluster_name: repeated string
39 ip_trace_id: repeated uint64
40 encrypted: repeated bool
999 experimental: flow.FlowFilter.Experimental";

    // By number, for the reference does not give the order of declaration.
    let fields: Vec<String> = message("flow.FlowFilter")
        .fields()
        .map(|field| line(&field))
        .collect();
    assert_eq!(fields, lines(expected));
    assert_eq!(
        table(&message("flow.FlowFilter.Experimental")),
        ["1 cel_expression: repeated string"]
    );
}

#[test]
fn smaller_messages_have_the_fields_of_the_api() {
    for (name, expected) in [
        (
            "flow.Endpoint",
            "1 ID: uint32\n2 identity: uint32\n7 cluster_name: string\n3 namespace: string\n\
             4 labels: repeated string\n5 pod_name: string\n6 workloads: repeated flow.Workload",
        ),
        (
            "flow.IP",
            "1 source: string\n5 source_xlated: string\n2 destination: string\n\
             3 ipVersion: flow.IPVersion\n4 encrypted: bool",
        ),
        (
            "flow.Layer4",
            "1 TCP: flow.TCP\n2 UDP: flow.UDP\n3 ICMPv4: flow.ICMPv4\n4 ICMPv6: flow.ICMPv6\n\
             5 SCTP: flow.SCTP\n6 VRRP: flow.VRRP\n7 IGMP: flow.IGMP",
        ),
        (
            "flow.TCPFlags",
            "1 FIN: bool\n2 SYN: bool\n3 RST: bool\n4 PSH: bool\n5 ACK: bool\n6 URG: bool\n\
             7 ECE: bool\n8 CWR: bool\n9 NS: bool",
        ),
        (
            "flow.Layer7",
            "1 type: flow.L7FlowType\n2 latency_ns: uint64\n100 dns: flow.DNS\n\
             101 http: flow.HTTP\n102 kafka: flow.Kafka",
        ),
        (
            "flow.LostEvent",
            "1 source: flow.LostEventSource\n2 num_events_lost: uint64\n\
             3 cpu: google.protobuf.Int32Value\n4 first: google.protobuf.Timestamp\n\
             5 last: google.protobuf.Timestamp",
        ),
        (
            "observer.GetFlowsRequest",
            "1 number: uint64\n3 follow: bool\n5 blacklist: repeated flow.FlowFilter\n\
             6 whitelist: repeated flow.FlowFilter\n7 since: google.protobuf.Timestamp\n\
             8 until: google.protobuf.Timestamp\n9 first: bool\n\
             10 field_mask: google.protobuf.FieldMask\n\
             999 experimental: observer.GetFlowsRequest.Experimental\n\
             150000 extensions: google.protobuf.Any",
        ),
        (
            "observer.GetFlowsResponse",
            "1 flow: flow.Flow\n2 node_status: relay.NodeStatusEvent\n\
             3 lost_events: flow.LostEvent\n1000 node_name: string\n\
             1001 time: google.protobuf.Timestamp",
        ),
        (
            "observer.GetAgentEventsRequest",
            "1 number: uint64\n2 follow: bool\n7 since: google.protobuf.Timestamp\n\
             8 until: google.protobuf.Timestamp\n9 first: bool",
        ),
    ] {
        assert_eq!(table(&message(name)), lines(expected), "{name}");
    }
}

#[test]
fn enums_have_the_numbers_of_the_api() {
    assert_eq!(
        values("flow.Verdict"),
        "0 VERDICT_UNKNOWN, 1 FORWARDED, 2 DROPPED, 3 ERROR, 4 AUDIT, 5 REDIRECTED, 6 TRACED, \
         7 TRANSLATED"
    );
    assert_eq!(
        values("flow.TraceObservationPoint"),
        "0 UNKNOWN_POINT, 1 TO_PROXY, 2 TO_HOST, 3 TO_STACK, 4 TO_OVERLAY, 5 FROM_ENDPOINT, \
         6 FROM_PROXY, 7 FROM_HOST, 8 FROM_STACK, 9 FROM_OVERLAY, 10 FROM_NETWORK, \
         11 TO_NETWORK, 12 FROM_CRYPTO, 13 TO_CRYPTO, 101 TO_ENDPOINT"
    );
    assert_eq!(
        values("relay.NodeState"),
        "0 UNKNOWN_NODE_STATE, 1 NODE_CONNECTED, 2 NODE_UNAVAILABLE, 3 NODE_GONE, 4 NODE_ERROR"
    );
}

#[test]
fn small_enums_have_the_numbers_of_the_api() {
    for (name, expected) in [
        ("FlowType", "0 UNKNOWN_TYPE, 1 L3_L4, 2 L7, 3 SOCK"),
        ("AuthType", "0 DISABLED, 1 SPIRE, 2 TEST_ALWAYS_FAIL"),
        ("IPVersion", "0 IP_NOT_USED, 1 IPv4, 2 IPv6"),
        (
            "TrafficDirection",
            "0 TRAFFIC_DIRECTION_UNKNOWN, 1 INGRESS, 2 EGRESS",
        ),
        (
            "L7FlowType",
            "0 UNKNOWN_L7_TYPE, 1 REQUEST, 2 RESPONSE, 3 SAMPLE",
        ),
        (
            "TraceReason",
            "0 TRACE_REASON_UNKNOWN, 1 NEW, 2 ESTABLISHED, 3 REPLY, 4 RELATED, 5 REOPENED, \
             6 SRV6_ENCAP, 7 SRV6_DECAP, 8 ENCRYPT_OVERLAY",
        ),
        (
            "SocketTranslationPoint",
            "0 SOCK_XLATE_POINT_UNKNOWN, 1 SOCK_XLATE_POINT_PRE_DIRECTION_FWD, \
             2 SOCK_XLATE_POINT_POST_DIRECTION_FWD, 3 SOCK_XLATE_POINT_PRE_DIRECTION_REV, \
             4 SOCK_XLATE_POINT_POST_DIRECTION_REV",
        ),
        (
            "DebugCapturePoint",
            "0 DBG_CAPTURE_POINT_UNKNOWN, 4 DBG_CAPTURE_DELIVERY, 5 DBG_CAPTURE_FROM_LB, \
             6 DBG_CAPTURE_AFTER_V46, 7 DBG_CAPTURE_AFTER_V64, 8 DBG_CAPTURE_PROXY_PRE, \
             9 DBG_CAPTURE_PROXY_POST, 10 DBG_CAPTURE_SNAT_PRE, 11 DBG_CAPTURE_SNAT_POST",
        ),
        (
            "LostEventSource",
            "0 UNKNOWN_LOST_EVENT_SOURCE, 1 PERF_EVENT_RING_BUFFER, 2 OBSERVER_EVENTS_QUEUE, \
             3 HUBBLE_RING_BUFFER",
        ),
        (
            "AgentEventType",
            "0 AGENT_EVENT_UNKNOWN, 2 AGENT_STARTED, 3 POLICY_UPDATED, 4 POLICY_DELETED, \
             5 ENDPOINT_REGENERATE_SUCCESS, 6 ENDPOINT_REGENERATE_FAILURE, 7 ENDPOINT_CREATED, \
             8 ENDPOINT_DELETED, 9 IPCACHE_UPSERTED, 10 IPCACHE_DELETED, 11 SERVICE_UPSERTED, \
             12 SERVICE_DELETED",
        ),
        ("EventType", "0 UNKNOWN, 2 RecordLost, 9 EventSample"),
        ("Tunnel.Protocol", "0 UNKNOWN, 1 VXLAN, 2 GENEVE"),
    ] {
        assert_eq!(values(&format!("flow.{name}")), expected, "{name}");
    }
}

#[test]
fn drop_reasons_have_the_numbers_of_the_api() {
    let reasons = proto::pool()
        .get_enum_by_name("flow.DropReason")
        .expect("in the pool");

    let numbers: BTreeSet<i32> = reasons.values().map(|value| value.number()).collect();
    let expected: BTreeSet<i32> = (130..=205)
        .filter(|number| *number != 159)
        .chain([0, 207])
        .collect();
    assert_eq!(numbers, expected);

    for (number, name) in [
        (0, "DROP_REASON_UNKNOWN"),
        (130, "INVALID_SOURCE_MAC"),
        (133, "POLICY_DENIED"),
        (136, "CT_MISSING_TCP_ACK_FLAG"),
        (150, "UNKNOWN_L3_TARGET_ADDRESS"),
        (158, "SERVICE_BACKEND_NOT_FOUND"),
        (160, "NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT"),
        (161, "FAILED_TO_INSERT_INTO_PROXYMAP"),
        (181, "POLICY_DENY"),
        (189, "AUTH_REQUIRED"),
        (198, "DROP_RATE_LIMITED"),
        (202, "DROP_HOST_NOT_READY"),
        (203, "DROP_EP_NOT_READY"),
        (205, "DROP_PUNT_PROXY"),
        (207, "DROP_FRAG_NOT_FOUND_WORLD"),
    ] {
        let value = reasons.get_value(number);
        assert_eq!(value.as_ref().map(EnumValueDescriptor::name), Some(name));
    }
}

#[test]
fn debug_events_are_numbered_without_a_gap() {
    let events = proto::pool()
        .get_enum_by_name("flow.DebugEventType")
        .expect("in the pool");

    let numbers: Vec<i32> = events.values().map(|value| value.number()).collect();
    assert_eq!(numbers, (0..=68).collect::<Vec<i32>>());
    assert!(
        events
            .values()
            .all(|value| value.name().starts_with("DBG_"))
    );
}

#[test]
fn methods_have_the_paths_of_the_api() {
    let methods: BTreeSet<String> = proto::pool()
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| {
            let stream = if method.is_server_streaming() {
                " stream"
            } else {
                ""
            };
            assert!(!method.is_client_streaming());
            format!(
                "/{}/{}{stream}",
                method.parent_service().full_name(),
                method.name()
            )
        })
        .collect();

    let expected = [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch stream",
        "/observer.Observer/GetAgentEvents stream",
        "/observer.Observer/GetDebugEvents stream",
        "/observer.Observer/GetFlows stream",
        "/observer.Observer/GetNamespaces",
        "/observer.Observer/GetNodes",
        "/observer.Observer/ServerStatus",
        "/peer.Peer/Notify stream",
    ];
    assert_eq!(methods, expected.map(String::from).into());
    assert_eq!(observer::observer_server::SERVICE_NAME, "observer.Observer");
    assert_eq!(peer::peer_server::SERVICE_NAME, "peer.Peer");
    assert_eq!(health::health_server::SERVICE_NAME, "grpc.health.v1.Health");
}

/// The fields in the order of declaration, which is that of the JSON.
fn table(descriptor: &MessageDescriptor) -> Vec<String> {
    let declared = &descriptor.descriptor_proto().field;
    declared
        .iter()
        .map(|field| {
            descriptor
                .get_field_by_name(field.name())
                .expect("declared")
        })
        .map(|field| line(&field))
        .collect()
}

fn line(field: &FieldDescriptor) -> String {
    let label = match field.cardinality() {
        Cardinality::Repeated => "repeated ",
        Cardinality::Optional | Cardinality::Required => "",
    };
    format!(
        "{} {}: {label}{:?}",
        field.number(),
        field.name(),
        field.kind()
    )
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// The values of an enum by number.
fn values(name: &str) -> String {
    let descriptor = proto::pool().get_enum_by_name(name).expect("in the pool");
    let mut values: Vec<(i32, String)> = descriptor
        .values()
        .map(|value| (value.number(), value.name().to_owned()))
        .collect();
    values.sort();
    let values: Vec<String> = values
        .iter()
        .map(|(number, name)| format!("{number} {name}"))
        .collect();
    values.join(", ")
}
