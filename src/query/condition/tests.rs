//! One condition, asked in every way.

use std::path::Path;

use super::*;
use crate::flow::{Encoder, FlowBatch};
use crate::query::{Grouping, Selection, Session};
use crate::source::archive::{Archive, Query};

fn of_flag(flag: &str, value: &str) -> Condition {
    super::of_flag(flag, &[value.to_owned()]).unwrap()
}

/// Guarantees: rows fulfil a condition as the engine sees it, and what it wants of columns
/// leaves none of them out.
#[test]
fn rows_the_engine_and_files_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/archive");
    let archive = Archive::open(&folder).unwrap();
    let counted = |query: &Query, condition: &Condition| -> usize {
        let mut encoder = Encoder::new(true);
        let batches = archive.scan(query).map(Result::unwrap);
        let counts = batches.map(|batch: FlowBatch| {
            let order: Vec<u32> = (0..batch.len() as u32).collect();
            let record = encoder.encode(&batch, &order).unwrap();
            condition
                .rows(&record)
                .iter()
                .filter(|holds| **holds)
                .count()
        });
        counts.sum()
    };
    let all = archive.manifest().rows();
    let mut decisive = 0;
    let texts = [
        "verdict == 'DROPPED'",
        "verdict != 'FORWARDED' && !(port in [53, 8080])",
        "drop_reason == null",
        "drop_reason != null",
        "drop_class == 'policy'",
        "drop_class == null || is_reply",
        "drop_class.startsWith('pol')",
        "is_reply == false",
        "!(is_reply == false)",
        "!is_reply",
        "src.workload.startsWith('c') || dst.namespace == null",
        "src.workload != 'checkout'",
        "!(src.workload < 'd')",
        "traffic_direction.endsWith('GRESS') && http.code >= 400",
        "!(http.code >= 400)",
        "80 < port && port <= 8080",
        "protocol == 'TCP'",
        "l7_type == null",
        "event_type == 'drop'",
        "uuid != null && node.contains('worker')",
        "uuid > '8'",
        "time < timestamp('2026-06-16T14:10:00Z')",
        "!(time < timestamp('2026-06-16T14:10:00Z'))",
        "true",
        "false",
        "src.identity == 2 || dst.identity > 65536",
        "dns.query.contains('cluster.local') && dns.rcode == 3",
    ];
    let flags = [
        ("namespace", "shop"),
        ("to-pod", "payments/pay"),
        ("from-pod", "checkout"),
        ("workload", "Deployment/checkout"),
        ("to-workload", "payments"),
        ("port", "53"),
        ("http-status", "4+"),
        ("protocol", "dns"),
        ("identity", "world"),
        ("type", "policy-verdict"),
    ];
    let conditions = texts
        .into_iter()
        .map(|text| (text.to_owned(), translate(text).unwrap()))
        .chain(
            flags
                .into_iter()
                .map(|(flag, value)| (format!("--{flag} {value}"), of_flag(flag, value))),
        );
    for (text, condition) in conditions {
        let by_row = counted(&Query::default(), &condition);
        decisive += usize::from(by_row > 0 && (by_row as u64) < all);
        let (since, until) = condition.window();
        let wanted = condition.wanted();
        let query = Query {
            since,
            until,
            wanted,
            ..Query::default()
        };
        assert_eq!(counted(&query, &condition), by_row, "{text}: {query:?}");
        let selection = Selection::default();
        let mut session = Session::open(&folder, selection).unwrap();
        session.chosen = condition;
        let answer = session.group(&Grouping::default()).unwrap();
        let mut by_engine = 0;
        answer
            .run(|batch| {
                let flows = batch.column_by_name("flows").unwrap();
                let flows = arrow::array::AsArray::as_primitive::<arrow::datatypes::UInt64Type>(
                    flows.as_ref(),
                );
                by_engine += flows.values().iter().sum::<u64>();
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(by_engine, by_row as u64, "{text}");
    }
    assert!(decisive > 25, "{decisive}");
}

#[test]
fn a_condition_is_as_short_as_it_can_be() {
    let verdict = Condition::number("verdict", 2);
    assert_eq!(Condition::default().and(verdict.clone()), verdict);
    assert_eq!(verdict.clone().not().not(), verdict);
    assert!(Condition::all([Condition::default()]).is_everything());
    assert!(!Condition::never().is_everything());
    let time = |comparison, at| Condition::Is("time", Test::Time(comparison, at));
    let after = time(Comparison::Greater, 5);
    let either = time(Comparison::Equal, 9).or(time(Comparison::Less, 3));
    assert_eq!(after.clone().and(either.clone()).window(), (5, 9));
    assert_eq!(after.not().window(), (i64::MIN, i64::MAX));
    assert_eq!(either.or(verdict).window(), (i64::MIN, i64::MAX));
}
