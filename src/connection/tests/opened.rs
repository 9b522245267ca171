//! Connections near their beginning.

use proptest::prelude::*;

use super::properties::stream;
use super::*;

/// What was given out as opened, with the second of the clock at which it was. Between
/// flows the clock is also told, `nudge` ns after each, as far as the next one allows.
fn opened(flows: &[Flow], size: usize, nudge: i64) -> Vec<(i64, Connection)> {
    let options = FoldOptions {
        opened: true,
        ..FoldOptions::default()
    };
    let mut fold = Fold::new(options);
    let mut given = Vec::new();
    let mut ended = Vec::new();
    let mut now = 0;
    let mut take = |folded, now| match folded {
        Folded::Opened(one) => given.push((now, one)),
        Folded::Connection(one) => ended.push((one.tuple, one.first)),
        Folded::Exchange(_) => {}
    };
    let mut next = flows.iter().skip(1).map(|flow| flow.row.time);
    for batch in batches(flows, size) {
        for row in batch.rows() {
            now = now.max(row.time().unwrap_or(now));
            fold.push(row, None, &mut |one| take(one, now));
            let until = next.next().unwrap_or(i64::MAX);
            let nudged = (now + nudge).min(until);
            now = now.max(nudged);
            fold.advance(nudged, &mut |one| take(one, now));
        }
    }
    fold.finish(&mut |one| take(one, i64::MAX));
    let mut first: Vec<_> = given
        .iter()
        .map(|(_, one)| (one.tuple, one.first))
        .collect();
    first.sort();
    ended.sort();
    assert_eq!(first, ended, "each one is given out once");
    given.sort_by_key(|(_, one)| (one.first, one.tuple));
    given
}

#[test]
fn a_connection_is_shown_as_it_was_after_twenty_seconds() {
    let flows = [
        syn(0),
        syn_ack(MILLI),
        data(2 * MILLI),
        data(15 * SECOND),
        data(25 * SECOND),
        data(90 * SECOND),
    ];
    let given = opened(&flows, 10, 0);
    let [(at, one)] = &given[..] else {
        panic!("{given:?}");
    };
    assert_eq!((*at, one.rows), (25 * SECOND, 4));
    assert!(one.answered && one.opening == Opening::Seen);
    assert_eq!(fold(&flows).one().rows, 6);
}

#[test]
fn nothing_is_shown_before_its_end_unless_asked_for() {
    let flows = [syn(0), data(30 * SECOND)];
    let mut fold = Fold::default();
    let mut given = 0;
    for batch in batches(&flows, 1) {
        for row in batch.rows() {
            fold.push(row, None, &mut |_| given += 1);
        }
    }
    assert_eq!(given, 0);
    assert_eq!(fold.table.waiting(), 1);
}

#[test]
fn a_reset_before_anything_else_is_a_refusal() {
    let reset = |time| {
        let reason = TraceReason::REPLY;
        let flags = flags::RST | flags::ACK;
        trace(time, TracePoint::TO_ENDPOINT, reason, flags).back()
    };
    let refused = |flows: &[Flow]| fold(flows).one().refused;
    assert!(refused(&[syn(0), reset(MILLI)]));
    assert!(!refused(&[syn(0), syn_ack(MILLI), reset(2 * MILLI)]));
    assert!(!refused(&[syn(0)]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Guarantees: neither batches nor how often the clock is told change what is shown.
    #[test]
    fn what_is_shown_does_not_depend_on_batches(
        flows in stream(),
        size in 1..40_usize,
        nudge in 0..90 * SECOND,
    ) {
        let shown = |size, nudge| -> Vec<Connection> {
            opened(&flows, size, nudge).into_iter().map(|(_, one)| one).collect()
        };
        prop_assert_eq!(shown(flows.len(), 0), shown(size, nudge));
    }
}
