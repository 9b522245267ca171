//! When a connection ends, and the same tuple is another one.

use super::*;

#[test]
fn what_is_unanswered_ends_after_a_minute_and_tcp_after_its_tracking() {
    let count = |flows: &[Flow]| fold(flows).connections.len();
    assert_eq!(count(&[syn(0), syn(60 * SECOND)]), 1);
    assert_eq!(count(&[syn(0), syn(61 * SECOND)]), 2);
    let open = [syn(0), syn_ack(MILLI), data(2 * MILLI)];
    let with = |time| [&open[..], &[data(time)]].concat();
    assert_eq!(count(&with(7_000 * SECOND)), 1);
    assert_eq!(count(&with(8_010 * SECOND)), 2);
    let datagrams = |time| [udp(data(0)), udp(data(time))];
    assert_eq!(count(&datagrams(60 * SECOND)), 1);
    assert_eq!(count(&datagrams(61 * SECOND)), 2);
}

#[test]
fn a_missed_beginning_is_said() {
    assert_eq!(fold(&[data(0)]).one().opening, Opening::Missed);
    assert_eq!(fold(&[data(0)]).one().attempts, 0);
    let datagram = udp(packet(0)).with(|row| row.event_type = EventType::TRACE.0);
    assert_eq!(fold(&[datagram]).one().opening, Opening::Seen);
    assert_eq!(fold(&[udp(data(0))]).one().opening, Opening::Missed);
    assert_eq!(fold(&[udp(syn_ack(0))]).one().opening, Opening::Missed);
}

/// A whole connection on one node, from `start`.
fn whole(start: i64, node: &'static str) -> Vec<Flow> {
    [
        syn(start),
        syn_ack(start + MILLI),
        data(start + 2 * MILLI),
        fin(start + 100 * MILLI),
    ]
    .map(|flow| flow.on(node))
    .to_vec()
}

#[test]
fn a_port_is_used_again_after_the_end() {
    let mut flows = whole(0, "c/a");
    flows.extend(whole(SECOND / 2, "c/a"));
    let out = fold(&flows);
    assert_eq!(out.connections.len(), 2);
    assert!(
        out.connections
            .iter()
            .all(|one| one.rows == 4 && one.attempts == 1)
    );

    // No end was seen, and it was answered more than a second ago.
    let again = |time| fold(&[syn(0), syn_ack(MILLI), data(2 * MILLI), syn(time)]);
    assert_eq!(again(2 * SECOND).connections.len(), 2);
    assert_eq!(again(SECOND / 2).connections.len(), 1);
}

#[test]
fn a_retry_after_a_lost_answer_is_the_same_connection() {
    let retry = |time| syn(time).with(|row| row.trace_reason = TraceReason::ESTABLISHED);
    let out = fold(&[
        syn(0),
        syn_ack(MILLI),
        retry(SECOND + MILLI),
        retry(3 * SECOND),
    ]);
    assert_eq!(out.one().attempts, 3);
}

/// Scenario: a port is used again at once, two nodes see both connections, and their clocks
/// are up to two seconds apart, either way.
/// Guarantees: each node's flows go to the connection they are of.
#[test]
fn clocks_neither_split_nor_join() {
    for skew in [-2_000, -700, -1, 0, 1, 700, 2_000] {
        let mut flows = Vec::new();
        for start in [10 * SECOND, 10 * SECOND + 300 * MILLI] {
            flows.extend(whole(start, "c/a"));
            flows.extend(whole(start + MILLI / 2 + skew * MILLI, "c/b"));
        }
        let out = fold(&flows);
        let rows: Vec<u64> = out.connections.iter().map(|one| one.rows).collect();
        assert_eq!(rows, [8, 8], "{skew}");
        assert!(out.connections.iter().all(|one| one.attempts == 1));
    }
}

#[test]
fn the_proxy_behind_a_connection_opens_none_of_its_own() {
    let flows = [
        verdict(0, Direction::INGRESS, Verdict::REDIRECTED),
        trace(1, TracePoint::TO_PROXY, TraceReason::NEW, flags::SYN),
        syn_ack(MILLI),
        spoken(20 * SECOND, L7Type::REQUEST, Said::Http("GET", "/", 0)),
        trace(
            21 * SECOND,
            TracePoint::TO_ENDPOINT,
            TraceReason::NEW,
            flags::SYN,
        ),
    ];
    assert_eq!(fold(&flows).one().attempts, 1);
}

#[test]
fn a_flow_that_is_much_too_late_stands_for_itself() {
    let flows = [syn(1_000 * SECOND), syn(0), data(1_001 * SECOND)];
    let out = fold_with(FoldOptions::default(), &flows, 10);
    assert_eq!(out.connections.len(), 2);
    assert_eq!(out.fold.counts().late, 1);
}

/// Guarantees: no more connections are open than allowed, nothing is lost, and what goes on
/// after it was let go of says so.
#[test]
fn what_does_not_fit_is_cut() {
    let options = FoldOptions {
        connections: 8,
        ..FoldOptions::default()
    };
    let first = [syn(0), syn_ack(1), data(2)];
    let others: Vec<Flow> = (0..20)
        .map(|at| udp(syn(SECOND + at)).port(50_000 + at as u32))
        .collect();
    let flows = [&first[..], &others, &[data(2 * SECOND)]].concat();
    let out = fold_with(options, &flows, 3);
    assert_eq!(out.fold.counts().cut, 14);
    let of_first: Vec<&Connection> = out
        .connections
        .iter()
        .filter(|one| one.tuple.client_port == 40_000)
        .collect();
    assert_eq!(of_first.len(), 2);
    assert_eq!(of_first[0].opening, Opening::Seen);
    assert_eq!(of_first[1].opening, Opening::Missed);
}
