//! What expressions mean, on one flow with nearly everything and one with nothing.

use proptest::prelude::*;
use prost_types::Timestamp;

use super::*;
use crate::flow::FlowBatch;
use crate::proto::flow as pb;
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

/// 2026-06-01T10:02:00.5Z, DROPPED, shop/front to 10.0.0.2:443, HTTP.
fn full() -> pb::Flow {
    let policy = pb::Policy {
        name: "deny".to_owned(),
        labels: vec!["k8s:a=b".to_owned()],
        revision: 7,
        ..pb::Policy::default()
    };
    pb::Flow {
        time: Some(Timestamp {
            seconds: 1_780_308_120,
            nanos: 500_000_000,
        }),
        uuid: "835ac828-aaaa-4bbb-8ccc-000000000026".to_owned(),
        verdict: 2,
        drop_reason_desc: 181,
        ip: Some(pb::Ip {
            source: "10.0.0.1".to_owned(),
            destination: "10.0.0.2".to_owned(),
            ip_version: 1,
            encrypted: true,
            ..pb::Ip::default()
        }),
        l4: Some(pb::Layer4 {
            protocol: Some(pb::layer4::Protocol::Tcp(pb::Tcp {
                source_port: 40_000,
                destination_port: 443,
                flags: Some(pb::TcpFlags {
                    syn: true,
                    ..pb::TcpFlags::default()
                }),
            })),
        }),
        source: Some(pb::Endpoint {
            identity: 100,
            namespace: "shop".to_owned(),
            pod_name: "front-1".to_owned(),
            labels: vec!["k8s:app=front".to_owned(), "k8s:env=prod".to_owned()],
            workloads: vec![pb::Workload {
                name: "front".to_owned(),
                kind: "Deployment".to_owned(),
            }],
            ..pb::Endpoint::default()
        }),
        r#type: 2,
        node_name: "c1/node-a".to_owned(),
        destination_names: vec!["api.github.com".to_owned()],
        is_reply: Some(false),
        ingress_denied_by: vec![policy],
        l7: Some(pb::Layer7 {
            r#type: 1,
            record: Some(pb::layer7::Record::Http(pb::Http {
                method: "GET".to_owned(),
                url: "http://a/b".to_owned(),
                ..pb::Http::default()
            })),
            ..pb::Layer7::default()
        }),
        trace_context: Some(pb::TraceContext {
            parent: Some(pb::TraceParent {
                trace_id: "abc".to_owned(),
            }),
        }),
        socket_cookie: u64::MAX,
        ..pb::Flow::default()
    }
}

fn holds_on(expression: &str, batch: &FlowBatch) -> bool {
    match Expressions::compile(&[expression.to_owned()]) {
        Ok(expressions) => expressions.matches(batch.row(0)),
        Err(error) => panic!("{error}"),
    }
}

fn refusal(expression: &str) -> String {
    match compile(expression) {
        Ok(_) => panic!("{expression} is accepted"),
        Err(reason) => reason,
    }
}

#[test]
fn fields_of_a_full_flow_read_as_they_are() {
    let batch = batch(full());
    for expression in [
        "_flow.verdict == Verdict.DROPPED",
        "_flow.verdict == flow.Verdict.DROPPED && _flow.verdict == 2",
        "_flow.drop_reason_desc == DropReason.POLICY_DENY",
        "_flow.uuid == '835ac828-aaaa-4bbb-8ccc-000000000026'",
        "_flow.IP.source == '10.0.0.1' && _flow.IP.encrypted",
        "_flow.IP.ipVersion == IPVersion.IPv4",
        "_flow.l4.TCP.destination_port > 400u && _flow.l4.TCP.source_port == 40000u",
        "_flow.l4.TCP.flags.SYN && !_flow.l4.TCP.flags.ACK",
        "_flow.source.pod_name.startsWith('front')",
        "'k8s:env=prod' in _flow.source.labels",
        "_flow.source.labels.exists(l, l.endsWith('=front'))",
        "_flow.source.workloads.all(w, w.kind == 'Deployment')",
        "size(_flow.source.labels) == 2 && _flow.source.labels[1] == 'k8s:env=prod'",
        "_flow.source.identity in [100u, 200u]",
        "_flow.Type == FlowType.L7 && _flow.l7.type == L7FlowType.REQUEST",
        "_flow.l7.http.url.matches('^http://[a-z]+/b$') && matches(_flow.node_name, '^c1/')",
        "_flow.destination_names.filter(n, n.contains('github')).size() == 1",
        "_flow.is_reply == false && _flow.is_reply != null",
        "_flow.ingress_denied_by[0].name == 'deny' && _flow.ingress_denied_by[0].revision == 7u",
        "_flow.ingress_denied_by.map(p, p.labels[0]) == ['k8s:a=b']",
        "_flow.trace_context.parent.trace_id == 'abc'",
        "_flow.socket_cookie == 18446744073709551615u",
        "_flow.time > timestamp('2026-06-01T10:00:00Z')",
        "_flow.time - timestamp('2026-06-01T10:00:00Z') == duration('2m0.5s')",
        "_flow.time + duration('1h') > _flow.time && duration('1h') > duration('59m')",
        "_flow.time.getFullYear() == 2026 && _flow.time.getMonth() == 5",
        "_flow.time.getDayOfWeek() == 1 && _flow.time.getMilliseconds() == 500",
        "string(_flow.time) == '2026-06-01T10:02:00.5Z' && int(_flow.time) == 1780308120",
        "string(_flow.l4.TCP.destination_port) == '443'",
        "_flow.verdict == 1 ? false : _flow.verdict == 2",
    ] {
        assert!(holds_on(expression, &batch), "{expression}");
    }
}

#[test]
fn an_unset_field_reads_as_its_default() {
    let batch = batch(pb::Flow::default());
    for expression in [
        "_flow.verdict == Verdict.VERDICT_UNKNOWN",
        "_flow.l4.TCP.destination_port == 0u",
        "_flow.source.pod_name == '' && size(_flow.source.labels) == 0",
        "_flow.l7.dns.query == ''",
        "_flow.is_reply == null",
        "_flow.time == timestamp(0)",
        "_flow.tunnel.IP.source == '' && _flow.tunnel.l4.UDP.source_port == 0u",
        "!_flow.IP.encrypted",
    ] {
        assert!(holds_on(expression, &batch), "{expression}");
    }
    assert!(!holds_on("_flow.l4.TCP.destination_port>1000u", &batch));
}

#[test]
fn presence_is_that_of_protobuf() {
    let set = batch(full());
    let unset = batch(pb::Flow::default());
    for field in [
        "_flow.l4",
        "_flow.l4.TCP",
        "_flow.l4.TCP.flags",
        "_flow.source",
        "_flow.verdict",
        "_flow.is_reply",
        "_flow.source.labels",
        "_flow.l7.http",
        "_flow.time",
        "_flow.uuid",
        "_flow.trace_context.parent",
        "_flow.ingress_denied_by",
    ] {
        let expression = format!("has({field})");
        assert!(holds_on(&expression, &set), "{field}");
        assert!(!holds_on(&expression, &unset), "{field}");
    }
    for field in [
        "_flow.l4.UDP",
        "_flow.destination",
        "_flow.l7.dns",
        "_flow.l7.http.code",
    ] {
        assert!(!holds_on(&format!("has({field})"), &set), "{field}");
    }
    assert!(holds_on("has({'a': 1}.a)", &set));
    assert!(holds_on(
        "_flow.source.workloads.exists(w, has(w.kind))",
        &set
    ));
}

#[test]
fn what_does_not_check_is_refused() {
    for (expression, part) in [
        ("1+", "ERROR"),
        ("", "ERROR"),
        ("_flow.nope == 1", "undefined field 'nope'"),
        ("true || _flow.source.nope", "undefined field 'nope'"),
        ("has(_flow.nope)", "undefined field 'nope'"),
        ("_flow.verdict", "wanted \"bool\""),
        ("_flow", "wanted \"bool\""),
        ("_flow.is_reply", "wanted \"bool\""),
        ("dyn(1)", "wanted \"bool\""),
        (
            "_flow.verdict == 'DROPPED'",
            "no matching overload for '_==_' applied to '(int, string)'",
        ),
        (
            "_flow.l4.TCP.destination_port > 80",
            "applied to '(uint, int)'",
        ),
        ("_flow.node_name.nope", "does not support field selection"),
        ("Verdict.NOPE == 1", "undeclared reference to 'Verdict'"),
        ("nope == 1", "undeclared reference to 'nope'"),
        ("nope(1)", "undeclared reference to 'nope'"),
        ("_flow.source == _flow.destination", "comparing messages"),
        ("flow.Flow{} == _flow", "not supported"),
        (
            "_flow.source.labels.exists(l, l == 1)",
            "no matching overload",
        ),
        ("1 in _flow.source.labels", "no matching overload"),
        (
            "[1].all(a, [1].all(b, [1].all(c, true)))",
            "comprehensions inside",
        ),
    ] {
        let reason = refusal(expression);
        assert!(reason.contains(part), "{expression}: {reason}");
    }
    assert!(refusal(&"x".repeat(5000)).contains("longer than"));
}

/// 20 doublings are 4 MiB of text, and an expression has room for more.
#[test]
fn a_chain_of_maps_cannot_double_its_text_without_end() {
    for step in [
        ".map(x, x + x)",
        ".map(x, [x, x])",
        ".map(x, {'a': x, 'b': x})",
    ] {
        let chain = format!("['aaaa']{}.exists(x, x == x)", step.repeat(20));
        let reason = refusal(&chain.replace("['aaaa']", "[dyn('aaaa')]"));
        assert!(reason.contains("too many steps"), "{reason}");
    }
    let batch = batch(full());
    let short = "_flow.source.labels.map(l, l + l).map(l, l + l).exists(l, size(l) > 40)";
    assert!(holds_on(short, &batch));
}

#[test]
fn a_chain_of_operators_does_not_overflow_the_stack() {
    for (first, step, last) in [
        ("1", "+1", " == 1"),
        ("dyn(1)", ".a", " == 1"),
        ("[1]", "[0]", " == 1"),
        ("[1]", ".map(x,x)", " == [1]"),
        ("true", "==true", ""),
        ("true", "?true:true", ""),
        ("", "(", "true"),
    ] {
        let text = |count| format!("{first}{}{last}", step.repeat(count));
        // As many as there is room for.
        let reason = refusal(&text((MAX_EXPRESSION - 20) / step.len()));
        assert!(
            ["nests deeper", "recursion", "ERROR"]
                .iter()
                .any(|part| reason.contains(part)),
            "{reason}"
        );
        for count in 0..100 {
            let _ = Expressions::compile(&[text(count)])
                .map(|expressions| expressions.matches(batch(full()).row(0)));
        }
    }
    let terms = vec!["_flow.verdict == 7"; 150].join(" || ");
    assert!(!holds_on(&terms, &batch(full())));
}

#[test]
fn comprehensions_inside_each_other_cannot_take_seconds() {
    let list = format!("[{}]", vec!["1"; 600].join(","));
    let reason = refusal(&format!("{list}.all(x, {list}.all(y, x + y > 0))"));
    assert!(reason.contains("too many steps"), "{reason}");
    let patterns = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]";
    let reason = refusal(&format!(
        "{patterns}.all(x, {patterns}.all(y, 'a'.matches(string(x) + string(y) + '|a')))"
    ));
    assert!(reason.contains("too many steps"), "{reason}");
}

#[test]
fn an_error_on_a_flow_is_no_match_and_ends_the_search() {
    let batch = batch(full());
    assert!(!holds_on("_flow.source.labels[9] == 'x'", &batch));
    assert!(!holds_on("1 / (_flow.verdict - 2) == 1", &batch));
    let two = |first: &str, second: &str| {
        Expressions::compile(&[first.to_owned(), second.to_owned()])
            .unwrap()
            .matches(batch.row(0))
    };
    assert!(two("false", "true"));
    assert!(!two("_flow.source.labels[9] == 'x'", "true"));
}

#[test]
fn every_field_of_the_flow_api_can_be_named() {
    let batch = batch(full());
    let mut open = vec![("_flow".to_owned(), "flow.Flow".to_owned())];
    while let Some((path, message)) = open.pop() {
        let message = crate::proto::pool().get_message_by_name(&message).unwrap();
        for field in message.fields() {
            let path = format!("{path}.{}", field.name());
            if let prost_reflect::Kind::Message(inner) = field.kind()
                && inner.package_name() == "flow"
                && !field.is_list()
            {
                open.push((path.clone(), inner.full_name().to_owned()));
            }
            holds_on(&format!("has({path}) || type({path}) == int"), &batch);
        }
    }
}

proptest! {
    #[test]
    fn no_expression_panics(
        text in any::<String>(),
        close in "(_flow|\\.|verdict|l4|TCP|source|labels|\\(|\\)|\\[|\\]|has|exists|\\?|:|==|<|&&|!|1u?|'a'|,| |-|\\{|\\}){0,12}",
    ) {
        let batch = batch(full());
        for text in [text, close] {
            if let Ok(expressions) = Expressions::compile(&[text]) {
                expressions.matches(batch.row(0));
            }
        }
    }
}
