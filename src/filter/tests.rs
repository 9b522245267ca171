//! Filters on small flows, given as protobuf messages.

use proptest::prelude::*;

use super::*;
use crate::flow::{BatchBuilder, FlowBatch, LostSource, NO_TIME};
use crate::proto::observer::{GetFlowsResponse, get_flows_response::ResponseTypes};
use crate::wire::convert::push_response;

fn batch(flow: pb::Flow) -> FlowBatch {
    let response = GetFlowsResponse {
        response_types: Some(ResponseTypes::Flow(flow)),
        ..GetFlowsResponse::default()
    };
    let mut builder = BatchBuilder::default();
    push_response(&mut builder, &response, || unreachable!("raw is not kept"));
    builder.finish()
}

/// Whether one filter lets one flow through; asked twice, so that a kept answer counts.
fn allows(filter: pb::FlowFilter, flow: pb::Flow) -> bool {
    let mut filters = Filters::compile(&[filter], &[]).unwrap();
    let batch = batch(flow);
    let answer = filters.matches(batch.row(0));
    assert_eq!(filters.matches(batch.row(0)), answer);
    answer
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn http(method: &str, url: &str, code: u32) -> pb::Flow {
    pb::Flow {
        l7: Some(pb::Layer7 {
            record: Some(pb::layer7::Record::Http(pb::Http {
                code,
                method: method.to_owned(),
                url: url.to_owned(),
                headers: vec![pb::HttpHeader {
                    key: "X-A".to_owned(),
                    value: "b".to_owned(),
                }],
                ..pb::Http::default()
            })),
            ..pb::Layer7::default()
        }),
        ..pb::Flow::default()
    }
}

#[test]
fn fields_are_anded_values_ored_and_deny_wins() {
    let flow = || pb::Flow {
        verdict: 2,
        traffic_direction: 1,
        ..pb::Flow::default()
    };
    let verdict = |verdicts: &[i32], directions: &[i32]| pb::FlowFilter {
        verdict: verdicts.to_vec(),
        traffic_direction: directions.to_vec(),
        ..pb::FlowFilter::default()
    };
    assert!(allows(verdict(&[1, 2], &[1]), flow()));
    assert!(!allows(verdict(&[2], &[2]), flow()));
    let batch = batch(flow());
    let keeps = |allow: &[pb::FlowFilter], deny: &[pb::FlowFilter]| {
        Filters::compile(allow, deny).unwrap().matches(batch.row(0))
    };
    assert!(keeps(&[], &[]));
    assert!(keeps(&[verdict(&[1], &[]), verdict(&[2], &[])], &[]));
    assert!(!keeps(&[verdict(&[2], &[])], &[verdict(&[2], &[])]));
    assert!(
        !keeps(&[], &[pb::FlowFilter::default()]),
        "an empty filter matches all"
    );
    assert!(keeps(&[], &[verdict(&[2], &[2])]));
}

#[test]
fn an_absent_reply_is_none_only_for_drops() {
    let reply = |wanted| pb::FlowFilter {
        reply: vec![wanted],
        ..pb::FlowFilter::default()
    };
    let flow = |verdict, is_reply| pb::Flow {
        verdict,
        is_reply,
        ..pb::Flow::default()
    };
    assert!(allows(reply(false), flow(2, None)));
    assert!(!allows(reply(false), flow(1, None)));
    assert!(allows(reply(true), flow(1, Some(true))));
    assert!(!allows(reply(false), flow(2, Some(true))));
}

#[test]
fn a_drop_reason_counts_only_for_drops() {
    let filter = pb::FlowFilter {
        drop_reason_desc: vec![133],
        ..pb::FlowFilter::default()
    };
    let flow = |verdict| pb::Flow {
        verdict,
        drop_reason_desc: 133,
        ..pb::Flow::default()
    };
    assert!(allows(filter.clone(), flow(2)));
    assert!(!allows(filter, flow(4)));
}

#[test]
fn an_empty_tcp_flag_entry_wants_flags_at_all() {
    let filter = |flags| pb::FlowFilter {
        tcp_flags: vec![flags],
        ..pb::FlowFilter::default()
    };
    let flow = |flags| pb::Flow {
        l4: Some(pb::Layer4 {
            protocol: Some(pb::layer4::Protocol::Tcp(pb::Tcp {
                flags,
                ..pb::Tcp::default()
            })),
        }),
        ..pb::Flow::default()
    };
    let syn_ack = pb::TcpFlags {
        syn: true,
        ack: true,
        ..pb::TcpFlags::default()
    };
    let syn = pb::TcpFlags {
        ack: false,
        ..syn_ack
    };
    assert!(allows(filter(syn), flow(Some(syn_ack))));
    assert!(!allows(filter(syn_ack), flow(Some(syn))));
    assert!(allows(filter(pb::TcpFlags::default()), flow(Some(syn))));
    assert!(!allows(filter(pb::TcpFlags::default()), flow(None)));
}

#[test]
fn http_fields_read_the_record() {
    let request = || http("GET", "http://a/b%20c?x=/d", 0);
    let one = |set: fn(&mut pb::FlowFilter)| {
        let mut filter = pb::FlowFilter::default();
        set(&mut filter);
        filter
    };
    assert!(allows(one(|f| f.http_method = texts(&["get"])), request()));
    assert!(allows(one(|f| f.http_path = texts(&["^/b c$"])), request()));
    assert!(!allows(one(|f| f.http_path = texts(&["d"])), request()));
    assert!(allows(one(|f| f.http_url = texts(&["x=/d$"])), request()));
    assert!(!allows(
        one(|f| f.http_status_code = texts(&["5+"])),
        request()
    ));
    let response = || http("GET", "/", 503);
    assert!(allows(
        one(|f| f.http_status_code = texts(&["5+"])),
        response()
    ));
    assert!(allows(
        one(|f| f.http_status_code = texts(&["50+", "404"])),
        response()
    ));
    assert!(!allows(
        one(|f| f.http_status_code = texts(&["404"])),
        response()
    ));
    let header = |key: &str| pb::FlowFilter {
        http_header: vec![pb::HttpHeader {
            key: key.to_owned(),
            value: "b".to_owned(),
        }],
        ..pb::FlowFilter::default()
    };
    assert!(allows(header("X-A"), response()));
    assert!(!allows(header("x-a"), response()));
    assert!(allows(one(|f| f.protocol = texts(&["HTTP"])), response()));
    assert!(!allows(one(|f| f.protocol = texts(&["dns"])), response()));
}

#[test]
fn http_fields_beside_other_event_types_are_refused() {
    let filter = |types: &[i32]| pb::FlowFilter {
        http_url: texts(&["x"]),
        event_type: types
            .iter()
            .map(|&number| pb::EventTypeFilter {
                r#type: number,
                ..pb::EventTypeFilter::default()
            })
            .collect(),
        ..pb::FlowFilter::default()
    };
    assert!(Filters::compile(&[filter(&[4, 129])], &[]).is_ok());
    assert_eq!(
        Filters::compile(&[], &[filter(&[4])]).unwrap_err(),
        FilterError::NeedsL7 { field: "http url" }
    );
}

#[test]
fn a_workload_entry_may_leave_out_name_or_kind() {
    let flow = |workloads: &[(&str, &str)]| pb::Flow {
        destination: Some(pb::Endpoint {
            workloads: workloads
                .iter()
                .map(|(kind, name)| pb::Workload {
                    name: (*name).to_owned(),
                    kind: (*kind).to_owned(),
                })
                .collect(),
            ..pb::Endpoint::default()
        }),
        ..pb::Flow::default()
    };
    let filter = |kind: &str, name: &str| pb::FlowFilter {
        destination_workload: vec![pb::Workload {
            name: name.to_owned(),
            kind: kind.to_owned(),
        }],
        ..pb::FlowFilter::default()
    };
    let front = &[("Deployment", "front")];
    assert!(allows(filter("", "front"), flow(front)));
    assert!(allows(filter("Deployment", ""), flow(front)));
    assert!(!allows(filter("Job", "front"), flow(front)));
    assert!(allows(filter("", ""), flow(front)));
    assert!(!allows(filter("", ""), flow(&[])));
}

#[test]
fn interfaces_and_trace_ids_are_compared_as_they_are() {
    let flow = || pb::Flow {
        interface: Some(pb::NetworkInterface {
            index: 3,
            name: "eth0".to_owned(),
        }),
        trace_context: Some(pb::TraceContext {
            parent: Some(pb::TraceParent {
                trace_id: "abc".to_owned(),
            }),
        }),
        ip_trace_id: Some(pb::IpTraceId {
            trace_id: 9,
            ip_option_type: 136,
        }),
        uuid: "Not-A-Uuid".to_owned(),
        ..pb::Flow::default()
    };
    let interface = |index, name: &str| pb::FlowFilter {
        interface: vec![pb::NetworkInterface {
            index,
            name: name.to_owned(),
        }],
        ..pb::FlowFilter::default()
    };
    assert!(allows(interface(0, "eth0"), flow()));
    assert!(allows(interface(3, ""), flow()));
    assert!(!allows(interface(4, "eth0"), flow()));
    assert!(!allows(interface(0, ""), pb::Flow::default()));
    let filter = pb::FlowFilter {
        trace_id: texts(&["abc"]),
        ip_trace_id: vec![9],
        uuid: texts(&["Not-A-Uuid"]),
        ..pb::FlowFilter::default()
    };
    assert!(allows(filter.clone(), flow()));
    assert!(!allows(filter, pb::Flow::default()));
}

#[test]
fn ports_are_numbers_of_three_protocols() {
    for bad in ["", "http", "70000", "+80", "-1", "80-90"] {
        let filter = pb::FlowFilter {
            destination_port: texts(&[bad]),
            ..pb::FlowFilter::default()
        };
        assert!(Filters::compile(&[filter], &[]).is_err(), "{bad}");
    }
    let zero = pb::FlowFilter {
        source_port: texts(&["0"]),
        ..pb::FlowFilter::default()
    };
    assert!(!allows(zero, pb::Flow::default()), "no layer 4, no port");
}

#[test]
fn an_event_without_a_flow_passes_where_hubble_lets_it() {
    let notice = |kind| Notice {
        before_row: 0,
        node: "n".into(),
        time: NO_TIME,
        kind,
        raw: None,
    };
    let lost = notice(NoticeKind::Lost {
        source: LostSource::PERF_EVENT_RING_BUFFER,
        events: 1,
        cpu: None,
        first: None,
        last: None,
    });
    let drops = || pb::FlowFilter {
        event_type: vec![pb::EventTypeFilter {
            r#type: 1,
            ..pb::EventTypeFilter::default()
        }],
        ..pb::FlowFilter::default()
    };
    let none = Filters::default();
    assert!(none.is_empty() && none.keeps_notice(&lost));
    let allow = Filters::compile(&[drops()], &[]).unwrap();
    assert!(!allow.keeps_notice(&lost));
    assert!(allow.sends_notice(&lost));
    assert!(!allow.sends_notice(&notice(NoticeKind::Empty)));
    let deny = Filters::compile(&[], &[drops()]).unwrap();
    assert!(deny.keeps_notice(&lost));
    assert!(!deny.sends_notice(&lost));
    let verdict = pb::FlowFilter {
        verdict: vec![0],
        ..pb::FlowFilter::default()
    };
    assert!(
        !Filters::compile(&[verdict], &[])
            .unwrap()
            .keeps_notice(&lost)
    );
}

/// 800 of these in a filter of 4 KiB took over a gigabyte and 20 seconds.
#[test]
fn regular_expressions_of_a_request_share_their_bounds() {
    let filter = |pattern: &str, count: usize| pb::FlowFilter {
        dns_query: vec![pattern.to_owned(); count],
        ..pb::FlowFilter::default()
    };
    let large = r"\pL{9}";
    assert!(Filters::compile(&[filter(large, 1)], &[]).is_ok());
    for filters in [vec![filter(large, 800)], vec![filter(large, 1); 800]] {
        assert!(matches!(
            Filters::compile(&filters, &[]),
            Err(FilterError::Regex { .. })
        ));
    }
    let plain = filter(r"^([a-z0-9-]+\.)*example\.com\.$", 500);
    assert!(Filters::compile(&[plain], &[]).is_ok());
}

#[test]
fn errors_name_the_field_and_the_value() {
    let error = |set: fn(&mut pb::FlowFilter)| {
        let mut filter = pb::FlowFilter::default();
        set(&mut filter);
        Filters::compile(&[filter], &[]).unwrap_err().to_string()
    };
    for (text, parts) in [
        (
            error(|f| f.source_label = texts(&["(("])),
            ["source label", "(("],
        ),
        (
            error(|f| f.destination_ip = texts(&["300.1.1.1"])),
            ["IP address", "300.1.1.1"],
        ),
        (
            error(|f| f.source_ip = texts(&["::/129"])),
            ["CIDR", "::/129"],
        ),
        (error(|f| f.http_path = texts(&["["])), ["http path", "["]),
        (
            error(|f| f.node_name = texts(&["a/b/c"])),
            ["node name", "a/b/c"],
        ),
        (
            error(|f| f.protocol = texts(&["quic"])),
            ["protocol", "quic"],
        ),
        (
            error(|f| f.http_status_code = texts(&["99"])),
            ["status code", "99"],
        ),
        (
            error(|f| f.source_pod = texts(&[""])),
            ["source pod", "empty"],
        ),
    ] {
        for part in parts {
            assert!(text.contains(part), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn no_value_panics(field in 0..18_usize, text in any::<String>(), flow_text in any::<String>()) {
        let mut filter = pb::FlowFilter::default();
        let value = vec![text];
        match field {
            0 => filter.uuid = value,
            1 => filter.source_ip = value,
            2 => filter.source_pod = value,
            3 => filter.destination_fqdn = value,
            4 => filter.source_label = value,
            5 => filter.destination_service = value,
            6 => filter.source_cluster_name = value,
            7 => filter.http_status_code = value,
            8 => filter.protocol = value,
            9 => filter.source_port = value,
            10 => filter.dns_query = value,
            11 => filter.http_method = value,
            12 => filter.http_path = value,
            13 => filter.http_url = value,
            14 => filter.node_name = value,
            15 => filter.node_labels = value,
            16 => filter.trace_id = value,
            _ => filter.experimental = Some(pb::flow_filter::Experimental { cel_expression: value }),
        }
        if let Ok(mut filters) = Filters::compile(&[filter], &[]) {
            let mut flow = http(&flow_text, &flow_text, 200);
            flow.uuid = flow_text.clone();
            flow.node_name = flow_text.clone();
            flow.node_labels = vec![flow_text.clone()];
            flow.source = Some(pb::Endpoint {
                labels: vec![flow_text.clone()],
                pod_name: flow_text,
                ..pb::Endpoint::default()
            });
            let batch = batch(flow);
            filters.matches(batch.row(0));
        }
    }
}

#[test]
fn a_request_has_a_bound_on_cel_expressions_over_all_its_filters() {
    let filter = |count| pb::FlowFilter {
        experimental: Some(pb::flow_filter::Experimental {
            cel_expression: vec!["true".to_owned(); count],
        }),
        ..pb::FlowFilter::default()
    };
    let filters = |count| [filter(count / 2), filter(count - count / 2)];
    assert!(Filters::compile(&filters(MAX_PROGRAMS - 1), &[filter(1)]).is_ok());
    let error = Filters::compile(&filters(MAX_PROGRAMS), &[filter(1)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "129 CEL expressions are too many: 128 at most in one request"
    );
}
