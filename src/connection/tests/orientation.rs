//! Who called whom.

use super::*;

fn is_right(out: &Out) -> bool {
    let tuple = out.one().tuple;
    tuple.client_port == 40_000 && tuple.server_port == 80
}

#[test]
fn each_kind_of_evidence_tells_the_client() {
    let plain = |tcp: u32| trace(0, TracePoint::TO_ENDPOINT, TraceReason::default(), tcp);
    let mut service = plain(flags::ACK);
    service.service = Some(("web", "shop"));
    let cases = [
        syn(0).with(|row| row.reply = Reply::Unknown),
        plain(flags::SYN),
        plain(flags::SYN | flags::ACK).back(),
        plain(flags::ACK).back().with(|row| row.reply = Reply::Yes),
        plain(flags::ACK)
            .back()
            .with(|row| row.flags |= flags::LEGACY_REPLY),
        plain(flags::ACK).with(|row| row.reply = Reply::No),
        service,
        spoken(0, L7Type::REQUEST, Said::Http("GET", "/", 0)),
        spoken(0, L7Type::RESPONSE, Said::Http("GET", "/", 200)),
        udp(verdict(0, Direction::INGRESS, Verdict::DROPPED)),
        udp(drop(0, Direction::INGRESS)),
    ];
    for flow in cases {
        let out = fold(std::slice::from_ref(&flow));
        assert!(out.one().oriented && is_right(&out), "{flow:#?}");
    }
}

#[test]
fn without_evidence_it_is_as_sent_until_something_tells() {
    let plain = |time| {
        trace(
            time,
            TracePoint::TO_ENDPOINT,
            TraceReason::default(),
            flags::ACK,
        )
    };
    let out = fold(&[plain(0).back()]);
    assert!(!out.one().oriented);
    assert_eq!(out.one().tuple.client_port, 80);

    let out = fold(&[plain(0).back(), plain(1), syn_ack(2)]);
    assert!(out.one().oriented && is_right(&out));
    assert!(out.one().answered);
    assert_eq!(out.shown(out.one().edge.client), "shop/client");
}

#[test]
fn a_refused_packet_of_an_open_connection_may_be_its_reply() {
    let refused = udp(verdict(SECOND, Direction::EGRESS, Verdict::DROPPED)).back();
    let out = fold(&[udp(syn(0)), refused.clone()]);
    assert!(is_right(&out));
    assert!(!out.one().answered);
    assert_eq!(out.one().attempts, 1);
    assert_eq!(
        out.one().outcome,
        Outcome::Dropped(DropReason::POLICY_DENIED)
    );
    assert!(out.one().egress.recorded.is_none());

    // It came first, and was taken for a request.
    let late = udp(syn(2 * SECOND));
    let out = fold(&[refused, late]);
    assert!(is_right(&out) && out.one().egress.recorded.is_none());
}

#[test]
fn an_echo_is_one_connection_and_an_error_none() {
    let icmp = |time, kind| {
        let mut flow = udp(packet(time)).with(|row| {
            row.protocol = Protocol::Icmpv4;
            (row.source_port, row.destination_port) = (0, 0);
            row.event_type = EventType::TRACE.0;
        });
        flow.icmp = Some(kind);
        flow
    };
    let out = fold(&[icmp(0, 8), icmp(1, 0).back(), icmp(2, 3).back()]);
    let one = out.one();
    assert_eq!(
        (one.tuple.client_port, one.tuple.server_port, one.rows),
        (0, 8, 2)
    );
    assert_eq!(one.tuple.client, Some(CLIENT.0.parse().unwrap()));
    assert!(one.answered && one.oriented);
    assert_eq!(out.fold.counts().icmp_messages, 1);
}

#[test]
fn masked_addresses_leave_endpoints_and_ports() {
    let masked = |mut flow: Flow| {
        flow.addresses = (String::new(), String::new());
        flow
    };
    let flows = [
        masked(data(0)),
        masked(syn_ack(1)),
        masked(data(2).port(41_000)),
    ];
    let out = fold(&flows);
    assert_eq!(out.connections.len(), 2);
    let tuple = out.connections[0].tuple;
    assert_eq!(
        (tuple.client, tuple.client_port, tuple.server_port),
        (None, 40_000, 80)
    );

    let nothing = |time| {
        let mut flow = masked(data(time));
        (flow.source, flow.destination) = (Endpoint::default(), Endpoint::default());
        flow
    };
    let out = fold(&[nothing(0), nothing(1)]);
    assert_eq!(out.connections.len(), 2);
    assert!(out.connections.iter().all(|one| one.alone));
    assert_eq!(out.fold.counts().alone, 2);
}

#[test]
fn a_flow_without_a_time_is_folded_like_others() {
    let out = fold(&[syn(crate::flow::NO_TIME), syn_ack(crate::flow::NO_TIME)]);
    assert_eq!((out.one().first, out.one().rows), (crate::flow::NO_TIME, 2));
    let flows = [syn(0), data(crate::flow::NO_TIME)];
    let out = fold_with(FoldOptions::default(), &flows, 1);
    assert_eq!((out.one().first, out.one().rows), (0, 2));
}
