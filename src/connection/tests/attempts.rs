//! What is counted: connections, and the packets that asked for them.

use super::*;

/// Gaps between retries in milliseconds: exponential, then as newer kernels begin.
const EXPONENTIAL: [i64; 6] = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000];
const LINEAR: [i64; 6] = [1_000, 1_000, 1_000, 1_000, 2_000, 4_000];

/// A refused connection that is tried `tries` times: each SYN is in the stream twice.
fn attempt(start: i64, port: u32, gaps: &[i64], tries: usize) -> Vec<Flow> {
    let mut time = start;
    let mut flows = Vec::new();
    for at in 0..tries {
        flows.extend(refused(time).into_iter().map(|flow| flow.port(port)));
        time += gaps.get(at).copied().unwrap_or_default() * MILLI;
    }
    flows
}

#[test]
fn a_drop_that_is_in_the_stream_twice_is_one_attempt() {
    let out = fold(&refused(0));
    let one = out.one();
    assert_eq!((one.attempts, one.rows), (1, 2));
    assert_eq!(one.outcome, Outcome::Dropped(DropReason::POLICY_DENIED));
    assert!(!one.answered && one.oriented);
    assert_eq!(one.opening, Opening::Seen);

    let mut backwards = refused(0);
    backwards[1].row.time = -1;
    assert_eq!(fold(&backwards).one().attempts, 1);
}

#[test]
fn retries_from_one_port_are_one_connection() {
    for gaps in [EXPONENTIAL, LINEAR] {
        for tries in 1..=7 {
            let out = fold(&attempt(0, 40_000, &gaps, tries));
            let one = out.one();
            assert_eq!(one.attempts as usize, tries);
            assert_eq!(one.rows as usize, 2 * tries);
        }
    }
}

#[test]
fn retries_of_which_one_kind_was_recorded_count_alike() {
    for kind in [EventType::POLICY_VERDICT, EventType::DROP] {
        let mut flows = attempt(0, 40_000, &EXPONENTIAL, 5);
        flows.retain(|flow| flow.row.event_type == kind.0);
        assert_eq!(fold(&flows).one().attempts, 5);
    }
    let mut flows = attempt(0, 40_000, &EXPONENTIAL, 5);
    for flow in &mut flows {
        flow.row.event_type = 0;
        flow.row.flags &= !flags::HAS_EVENT_TYPE;
    }
    assert_eq!(fold(&flows).one().attempts, 5, "event types were masked");
}

/// Scenario: 113 SYNs of one client, all refused and all recorded twice, from 19 ports.
/// Guarantees: 226 rows are 19 connections of 113 packets.
#[test]
fn ports_are_connections_and_rows_are_neither() {
    let mut flows = Vec::new();
    for port in 0..19_u32 {
        let start = i64::from(port) * 130 * SECOND;
        let tries = if port < 18 { 6 } else { 5 };
        flows.extend(attempt(start, 40_000 + port, &EXPONENTIAL, tries));
    }
    assert_eq!(flows.len(), 226);
    let out = fold(&flows);
    assert_eq!(out.connections.len(), 19);
    let packets: u32 = out.connections.iter().map(|one| one.attempts).sum();
    assert_eq!(packets, 113);
}

/// Scenario: a client that gives up after 3 s and tries again from another port, at the
/// addresses of one name in turn, on several ports at once.
/// Guarantees: 218 rows are 48 connections, and one edge.
#[test]
fn addresses_of_one_name_are_one_edge() {
    let mut flows = Vec::new();
    for at in 0..48_u32 {
        let tries = if at < 35 { 2 } else { 3 };
        let start = i64::from(at / 3) * 3 * SECOND;
        let address = format!("192.0.2.{}", 10 + at % 4);
        for mut flow in attempt(start, 50_000 + at, &[1_000, 2_000], tries) {
            flow.destination = world();
            flow.names = vec!["cdn.example.com"];
            flow.row.direction = Direction::EGRESS;
            flows.push(flow.server(&address));
        }
    }
    assert_eq!(flows.len(), 218);
    let out = fold(&flows);
    assert_eq!(out.connections.len(), 48);
    let edge = out.connections[0].edge;
    assert!(out.connections.iter().all(|one| one.edge == edge));
    assert_eq!(out.shown(edge.server), "cdn.example.com");
    assert_eq!(
        out.connections.iter().map(|one| one.attempts).sum::<u32>(),
        109
    );
}

#[test]
fn both_observation_points_and_every_trace_point_are_one_connection() {
    let mut flows = vec![
        verdict(0, Direction::EGRESS, Verdict::FORWARDED),
        syn(1_000),
        trace(2_000, TracePoint::TO_NETWORK, TraceReason::NEW, flags::SYN),
        verdict(MILLI, Direction::INGRESS, Verdict::FORWARDED).on("c/b"),
        trace(
            MILLI + 1,
            TracePoint::TO_ENDPOINT,
            TraceReason::NEW,
            flags::SYN,
        )
        .on("c/b"),
        syn_ack(2 * MILLI),
        data(3 * MILLI),
        data(3 * MILLI + 1).on("c/b"),
        fin(4 * MILLI),
    ];
    flows.push(data(6 * SECOND));
    let out = fold(&flows);
    let one = out.one();
    assert_eq!(
        (one.attempts, one.rows, one.weight, one.busy),
        (1, 10, 1, 2)
    );
    assert!(one.answered && one.closed && !one.reset);
    assert_eq!(one.outcome, Outcome::Forwarded);
    assert_eq!((&*one.egress.node, &*one.ingress.node), ("c/a", "c/b"));
}

#[test]
fn a_connection_of_two_clusters_is_one() {
    let flows = [
        syn(0).on("poc2/w"),
        verdict(2 * MILLI, Direction::INGRESS, Verdict::AUDIT).on("poc1/w"),
        trace(
            2 * MILLI + 9,
            TracePoint::TO_ENDPOINT,
            TraceReason::NEW,
            flags::SYN,
        )
        .on("poc1/w"),
        data(3 * MILLI).on("poc2/w"),
    ];
    let out = fold(&flows);
    assert_eq!(out.one().outcome, Outcome::Audited);
    assert_eq!(
        (&*out.one().egress.node, &*out.one().ingress.node),
        ("poc2/w", "poc1/w")
    );
}

#[test]
fn forwarded_on_one_side_and_dropped_on_the_other_is_dropped() {
    let mut flows = Vec::new();
    for (at, second) in [0, 1, 3].into_iter().enumerate() {
        let time = second * SECOND;
        if at == 0 {
            flows.push(verdict(time, Direction::EGRESS, Verdict::FORWARDED));
        }
        flows.push(syn(time + 1_000));
        flows.extend(refused(time + MILLI).into_iter().map(|flow| flow.on("c/b")));
    }
    let out = fold(&flows);
    let one = out.one();
    assert_eq!(one.attempts, 3);
    assert_eq!(one.outcome, Outcome::Dropped(DropReason::POLICY_DENIED));
    assert_eq!(
        one.egress.recorded.as_ref().unwrap().verdict,
        Verdict::FORWARDED
    );
    assert_eq!(
        one.ingress.recorded.as_ref().unwrap().verdict,
        Verdict::DROPPED
    );
}

#[test]
fn what_was_answered_after_all_is_not_dropped() {
    let mut flows = refused(0);
    flows.extend([
        verdict(SECOND, Direction::INGRESS, Verdict::FORWARDED),
        syn(SECOND + 1),
        syn_ack(SECOND + MILLI),
    ]);
    let out = fold(&flows);
    assert_eq!(out.one().outcome, Outcome::Forwarded);
    assert_eq!(out.one().attempts, 2);
}

#[test]
fn a_packet_that_was_consumed_is_no_drop() {
    let not_a_drop = DropReason::all()
        .map(|(reason, _)| reason)
        .find(|reason| reason.class() == crate::flow::DropClass::NotADrop)
        .unwrap();
    let drop = drop(0, Direction::INGRESS).with(|row| row.drop_reason = not_a_drop);
    let out = fold(&[drop]);
    assert_eq!(out.one().outcome, Outcome::Forwarded);
}

#[test]
fn an_aggregated_row_weighs_what_one_side_counted() {
    let aggregated = |node, ingress, egress| {
        let mut flow = packet(0).on(node).port(0);
        flow.aggregate = Some(Aggregate {
            ingress,
            egress,
            unknown: 0,
        });
        flow
    };
    let both = [aggregated("c/a", 0, 30), aggregated("c/b", 28, 0)];
    assert_eq!(fold(&both).one().weight, 28);
    assert_eq!(fold(&both[..1]).one().weight, 30);
    let out = fold(&both.map(|mut flow| {
        flow.destination = world();
        flow
    }));
    assert_eq!(out.one().weight, 30);
    assert_eq!(
        fold(&[packet(0).with(|row| row.weight = 9)]).one().weight,
        9
    );
}
