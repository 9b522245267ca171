//! What is held stays within the bounds, whatever comes.

use super::*;

const CONNECTIONS: usize = 2_000_000;

/// Rows of `count` connections from `first` on, each of a tuple of its own: refused ones
/// twice, and those let pass once.
fn distinct(builder: &mut BatchBuilder, first: usize, count: usize, step: i64) -> FlowBatch {
    let interner = builder.interner();
    let (node, server) = (interner.text("c/a"), interner.text("10.200.0.1"));
    let source = interner.endpoint(pod("client"));
    for number in first..first + count {
        let address = format!("10.1.{}.{}", number / 50_000 / 250, number / 50_000 % 250);
        let mut row = syn(number as i64 * step).row;
        (row.node, row.destination_ip, row.source) = (node, server, source);
        row.source_ip = builder.interner().text(&address);
        row.source_port = 10_000 + (number % 50_000) as u32;
        if number % 2 == 0 {
            for kind in [EventType::POLICY_VERDICT, EventType::DROP] {
                let mut row = row.clone();
                (row.verdict, row.event_type) = (Verdict::DROPPED, kind.0);
                row.drop_reason = DropReason::POLICY_DENIED;
                row.trace_reason = TraceReason::TRACE_REASON_UNKNOWN;
                row.reply = Reply::Unknown;
                builder.push(row, || unreachable!());
            }
        } else {
            builder.push(row, || unreachable!());
        }
    }
    builder.finish()
}

/// Scenario: two million connections within seconds, each of a tuple of its own; the bound
/// is the default.
/// Guarantees: no more are open than the bound says, nothing beside them grows with what
/// came, and each comes out once.
#[test]
fn two_million_connections_are_held_within_the_bound() {
    let most = FoldOptions::default().connections;
    let mut fold = Fold::default();
    let mut builder = BatchBuilder::default();
    let (mut came, mut rows) = (0, 0);
    let mut out = |folded| {
        if let Folded::Connection(one) = folded {
            came += 1;
            rows += one.rows;
            assert_eq!(one.attempts, 1);
        }
    };
    for first in (0..CONNECTIONS).step_by(4_000) {
        let batch = distinct(&mut builder, first, 4_000, 1_000);
        for row in batch.rows() {
            fold.push(row, None, &mut out);
        }
        builder.recycle(batch);
        assert!(fold.open() <= most);
        assert!(fold.asked.held() <= most);
        assert!(fold.table.waiting() <= 2 * most);
        assert!(fold.recorded.len() <= 2);
        assert!(fold.ready.len() <= 1 << 12);
    }
    assert_eq!(fold.open(), most);
    assert_eq!(fold.counts().cut as usize, CONNECTIONS - most);
    fold.finish(&mut out);
    assert_eq!((came, rows), (CONNECTIONS, fold.counts().rows));
    assert_eq!(fold.asked.held(), 0);
}

/// Scenario: connections that live for two minutes and are closed, 20 a second for an
/// hour, and long ones wait more than two hours for their end.
/// Guarantees: what has ended leaves no place behind in a queue.
#[test]
fn what_was_long_and_is_closed_is_forgotten() {
    let mut fold = Fold::default();
    let mut builder = BatchBuilder::default();
    let (mut came, mut most) = (0, 0);
    let ids = {
        let interner = builder.interner();
        ["c/a", CLIENT.0, SERVER.0].map(|text| interner.text(text))
    };
    for second in 0..3_600_i64 {
        for number in 0..20_u32 {
            let place = |mut flow: Flow, start: i64| {
                let port = 20_000 + (start as u32 % 2_000) * 20 + number;
                (flow.row.node, flow.row.source_ip, flow.row.destination_ip) =
                    (ids[0], ids[1], ids[2]);
                flow.row.source_port = port;
                flow.row
            };
            let time = second * SECOND;
            builder.push(place(syn(time), second), || unreachable!());
            builder.push(place(data(time + 1), second), || unreachable!());
            if second >= 120 {
                let flow = fin(time + 2).with(|row| row.flags |= flags::RST);
                builder.push(place(flow, second - 120), || unreachable!());
            }
        }
        let batch = builder.finish();
        for row in batch.rows() {
            fold.push(row, None, &mut |_| came += 1);
        }
        builder.recycle(batch);
        most = most.max(fold.table.waiting());
    }
    assert!(came > 60_000, "{came}");
    assert!(fold.open() < 5_000, "{}", fold.open());
    assert!(most < 20_000, "{most}");
}
