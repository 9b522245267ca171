//! What the recorded output does not show: odd, hostile and half-empty flows.

use crate::flow::{
    AuthType, BatchBuilder, Dns, DropReason, Endpoint, EventType, Extra, FlowBatch, Interner,
    Kafka, L7, L7Record, L7Type, NO_TIME, NoticeKind, Policy, Reply, Row, StrId, Verdict, flags,
};
use crate::render::{LineFormat, LineOptions, LineRenderer};

/// A batch of one row that `fill` made from the empty one.
fn batch(fill: impl FnOnce(&mut Interner, &mut Row)) -> FlowBatch {
    let mut builder = BatchBuilder::default();
    let mut row = Row::default();
    fill(builder.interner(), &mut row);
    builder.push(row, || unreachable!());
    builder.finish()
}

fn compact(fill: impl FnOnce(&mut Interner, &mut Row)) -> String {
    written(LineOptions::default(), &batch(fill))
}

fn written(options: LineOptions, batch: &FlowBatch) -> String {
    let mut out = Vec::new();
    LineRenderer::new(options).flow(batch.row(0), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_empty_flow_is_a_line_all_the_same() {
    let expected = "N/A:  (unknown) <>  (unknown) UNKNOWN VERDICT_UNKNOWN ()\n";
    assert_eq!(compact(|_, _| {}), expected);
}

#[test]
fn a_service_lends_its_namespace_to_the_pod_and_its_name_where_there_is_none() {
    let line = |pod: &str, namespace: &str| {
        compact(|interner, row| {
            row.flags = flags::HAS_IP;
            row.source = interner.endpoint(Endpoint {
                pod: pod.into(),
                namespace: "of-pod".into(),
                ..Endpoint::default()
            });
            row.source_service = interner.pair("web", namespace);
            row.destination_ip = interner.text("10.0.0.2");
        })
    };
    assert!(
        line("web-1", "of-service").starts_with("N/A: of-service/web-1 (unknown) <> 10.0.0.2 ")
    );
    assert!(line("web-1", "").starts_with("N/A: web-1 (unknown)"));
    assert!(line("", "of-service").starts_with("N/A: of-service/web (unknown)"));
}

#[test]
fn a_host_with_a_colon_has_brackets_only_before_a_port() {
    let line = |port: u32, color: bool| {
        let batch = batch(|interner, row| {
            row.flags = flags::HAS_IP;
            row.reply = Reply::Yes;
            row.destination_ip = interner.text("fd00::1");
            row.destination_port = port;
        });
        let options = LineOptions {
            color,
            ..LineOptions::default()
        };
        written(options, &batch)
    };
    assert!(line(0, false).starts_with("N/A: fd00::1 (unknown) <-  (unknown)"));
    assert!(line(53, false).starts_with("N/A: [fd00::1]:53 (unknown) <-"));
    assert!(line(53, true).starts_with("N/A: \x1b[36m[fd00::1]:\x1b[33m53\x1b[0m\x1b[0m "));
}

#[test]
fn numbers_without_a_name_are_shown_as_numbers() {
    let of_type = |kind: i32, sub_type: i32, verdict: i32| {
        compact(|_, row| {
            (row.event_type, row.event_sub_type) = (kind, sub_type);
            row.verdict = Verdict(verdict);
        })
    };
    assert!(of_type(4, 99, 42).contains(" 99 42 ("));
    assert!(of_type(4, 256, 1).contains(" to-endpoint FORWARDED ("));
    assert!(of_type(1, 206, 2).contains(" 206, 0 DROPPED ("));
    assert!(of_type(1, 131, 2).contains(" Invalid destination mac DROPPED ("));
    assert!(of_type(7, 0, 6).contains(" SOCK_XLATE_POINT_UNKNOWN TRACED ("));
    assert_eq!(DropReason(206).text(), Some("No device"));
}

#[test]
fn an_l7_record_names_the_type_whatever_the_event() {
    let of_record = |kind: L7Type, record: Option<L7Record>| {
        compact(|_, row| {
            row.event_type = EventType::TRACE.0;
            row.extra().l7 = Some(Box::new(L7 {
                kind,
                latency_ns: 0,
                record,
            }));
        })
    };
    let kafka = Some(L7Record::Kafka(Kafka::default()));
    let dns = Some(L7Record::Dns(Dns::default()));
    assert!(of_record(L7Type::REQUEST, kafka).contains(" kafka-request VERDICT"));
    assert!(of_record(L7Type::SAMPLE, None).contains(" l7-sample VERDICT"));
    assert!(of_record(L7Type(9), None).contains(" l7-9 VERDICT"));
    // The space before the missing observer is Hubble's.
    assert!(of_record(L7Type::RESPONSE, dns).contains(" dns-response  VERDICT"));
}

#[test]
fn only_policies_with_name_and_kind_are_named() {
    let batch = batch(|interner, row| {
        row.event_type = EventType::POLICY_VERDICT.0;
        row.verdict = Verdict::FORWARDED;
        row.direction.0 = 2;
        row.policy_match_type = 9;
        let [name, kind] = ["web", "NetworkPolicy"].map(|text| interner.text(text));
        let policy = |name, kind| Policy {
            name,
            kind,
            ..Policy::default()
        };
        *row.extra() = Extra {
            egress_allowed_by: vec![
                policy(name, StrId::default()),
                policy(name, kind),
                policy(name, kind),
            ],
            auth_type: AuthType::TEST_ALWAYS_FAIL,
            ..Extra::default()
        };
    });
    let options = LineOptions {
        policy_names: true,
        color: true,
        ..LineOptions::default()
    };
    assert!(written(options, &batch).ends_with(
        " policy-verdict:unknown EGRESS \x1b[32mALLOWED BY web (NetworkPolicy), web (NetworkPolicy)\
         \x1b[0m (; Auth: \x1b[31mTEST_ALWAYS_FAIL\x1b[0m)\n"
    ));
}

#[test]
fn a_flow_cannot_forge_a_line_or_a_colour_in_any_format() {
    let batch = batch(|interner, row| {
        let hostile = "\x1b[31m\n\r\u{9b}2J";
        let text = interner.text(hostile);
        row.flags = flags::HAS_IP;
        (row.summary, row.node, row.source_ip) = (text, text, text);
        row.destination_names = interner.list(["a", hostile].into_iter());
        row.source = interner.endpoint(Endpoint {
            namespace: hostile.into(),
            pod: hostile.into(),
            ..Endpoint::default()
        });
    });
    for (format, lines) in [
        (LineFormat::Compact, 1),
        (LineFormat::Dict, 7),
        (LineFormat::Table, 2),
    ] {
        let text = written(
            LineOptions {
                format,
                node_name: true,
                ..LineOptions::default()
            },
            &batch,
        );
        assert_eq!(text.lines().count(), lines);
        assert!(
            !text
                .chars()
                .any(|char| char.is_control() && !matches!(char, '\n' | '\t'))
        );
    }
}

#[test]
fn a_loss_without_time_or_cpu_or_the_end_of_its_span_says_so() {
    let mut builder = BatchBuilder::default();
    let lost = NoticeKind::Lost {
        source: crate::flow::LostSource(7),
        events: u64::MAX,
        cpu: None,
        first: Some(0),
        last: None,
    };
    builder.push_notice("n", NO_TIME, lost, || unreachable!());
    builder.push_notice("n", NO_TIME, NoticeKind::AgentEvent, || unreachable!());
    let batch = builder.finish();
    let mut out = Vec::new();
    let mut renderer = LineRenderer::new(LineOptions::default());
    for notice in batch.notices() {
        renderer.notice(notice, &mut out);
        renderer.node_status(notice, &mut out);
    }
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "N/A EVENTS LOST: 7 CPU(0) 18446744073709551615 (first: Jan  1 00:00:00.000, last: N/A)\n"
    );
}
