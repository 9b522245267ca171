//! Shapes that recordings of real clusters have: how refusals are recorded, how clients try
//! again, when ports are used again.

use proptest::prelude::*;

use super::*;

/// How a client that is not answered sends its SYN again: gaps in milliseconds.
#[derive(Clone, Copy, Debug)]
enum Retry {
    /// Doubling, as Linux has done it always.
    Doubling,
    /// Four times after a second, then doubling.
    Linear,
    /// Doubling from three seconds, as old systems do.
    Slow,
    /// A resolver's five seconds.
    Steady,
}

impl Retry {
    fn gaps(self) -> [i64; 6] {
        match self {
            Self::Doubling => [1_000, 2_000, 4_000, 8_000, 16_000, 32_000],
            Self::Linear => [1_000, 1_000, 1_000, 1_000, 2_000, 4_000],
            Self::Slow => [3_000, 6_000, 12_000, 24_000, 48_000, 0],
            Self::Steady => [5_000; 6],
        }
    }
}

/// What a recording kept of a refused packet.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Both,
    DropFirst,
    Verdict,
    Drop,
    /// Event types were masked, and nothing tells one from the other.
    Masked,
}

/// A client that is refused, on one port.
#[derive(Clone, Debug)]
struct Refused {
    port: u32,
    /// Milliseconds.
    start: i64,
    retry: Retry,
    tries: usize,
    kept: Kept,
    /// Nanoseconds between verdict and drop.
    apart: i64,
    ingress: bool,
    v6: bool,
    datagrams: bool,
    /// Rows that the recording begins too late for.
    cut: usize,
}

impl Refused {
    fn flows(&self) -> Vec<Flow> {
        let direction = if self.ingress {
            Direction::INGRESS
        } else {
            Direction::EGRESS
        };
        let mut time = self.start * MILLI;
        let mut flows = Vec::new();
        for at in 0..self.tries {
            let verdict = |time| verdict(time, direction, Verdict::DROPPED);
            let drop = |time| drop(time, direction);
            match self.kept {
                Kept::Both => flows.extend([verdict(time), drop(time + self.apart)]),
                Kept::DropFirst => flows.extend([drop(time), verdict(time + self.apart)]),
                Kept::Verdict => flows.push(verdict(time)),
                Kept::Drop => flows.push(drop(time)),
                Kept::Masked => {
                    flows.extend([verdict(time), drop(time + self.apart)].map(|flow| {
                        flow.with(|row| {
                            (row.event_type, row.event_sub_type) = (0, 0);
                            row.flags &= !flags::HAS_EVENT_TYPE;
                        })
                    }));
                }
            }
            time += self.retry.gaps()[at] * MILLI;
        }
        flows.drain(..self.cut.min(flows.len() - 1));
        let changed = flows.into_iter().map(|mut flow| {
            flow = flow.port(self.port);
            if self.v6 {
                flow.addresses = ("2001:db8::9".to_owned(), "2001:db8::1".to_owned());
            }
            if self.datagrams { udp(flow) } else { flow }
        });
        changed.collect()
    }

    /// Packets of which a row was kept.
    fn packets(&self) -> usize {
        let rows = match self.kept {
            Kept::Verdict | Kept::Drop => 1,
            _ => 2,
        };
        self.flows().len().div_ceil(rows)
    }
}

fn refused_client() -> impl Strategy<Value = Refused> {
    let retry = prop_oneof![
        3 => Just(Retry::Doubling),
        1 => Just(Retry::Linear),
        1 => Just(Retry::Slow),
        1 => Just(Retry::Steady)
    ];
    let kept = prop_oneof![
        3 => Just(Kept::Both),
        1 => Just(Kept::DropFirst),
        1 => Just(Kept::Verdict),
        1 => Just(Kept::Drop),
        1 => Just(Kept::Masked)
    ];
    let apart = prop_oneof![Just(0), 1_000..900_000_i64];
    (
        (0..120_000_i64, retry, 1..=6_usize, kept, apart),
        (any::<bool>(), any::<bool>(), any::<bool>(), 0..2_usize),
    )
        .prop_map(
            |((start, retry, tries, kept, apart), (ingress, v6, datagrams, cut))| Refused {
                port: 0,
                start,
                retry,
                tries,
                kept,
                apart,
                ingress,
                v6,
                datagrams,
                cut,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Scenario: a recording of refusals alone, of many clients at once, each with its own
    /// way of trying again and of being recorded; the first packet of some came before the
    /// recording.
    /// Guarantees: there are as many connections as ports, and each has as many attempts as
    /// packets were recorded.
    #[test]
    fn refusals_are_counted_by_port_and_by_packet(
        clients in proptest::collection::vec(refused_client(), 1..40)
    ) {
        let clients: Vec<Refused> = (0..)
            .zip(clients)
            .map(|(at, client)| Refused { port: 40_000 + at, ..client })
            .collect();
        let flows: Vec<Flow> = clients.iter().flat_map(Refused::flows).collect();
        let out = fold(&flows);
        prop_assert_eq!(out.connections.len(), clients.len());
        for client in clients {
            let one = out
                .connections
                .iter()
                .find(|one| u32::from(one.tuple.client_port) == client.port)
                .unwrap();
            prop_assert_eq!(one.attempts as usize, client.packets(), "{:?}", client);
            prop_assert!(one.oriented && !one.answered, "{:?}", client);
            prop_assert_eq!(one.outcome, Outcome::Dropped(DropReason::POLICY_DENIED));
            let side = if client.ingress { &one.ingress } else { &one.egress };
            prop_assert_eq!(&*side.node, "c/a");
        }
    }
}

/// Scenario: a client gives up after five seconds and tries again from the next port, for
/// a quarter of an hour.
/// Guarantees: every port is a connection.
#[test]
fn a_client_with_a_timeout_opens_from_one_port_after_the_other() {
    let clients = (0..180_i64).map(|at| Refused {
        port: 41_000 + at as u32,
        start: at * 5_000,
        retry: Retry::Doubling,
        tries: 3,
        kept: Kept::Both,
        apart: 14_000,
        ingress: false,
        v6: false,
        datagrams: false,
        cut: 0,
    });
    let flows: Vec<Flow> = clients.flat_map(|client| client.flows()).collect();
    let out = fold(&flows);
    assert_eq!(out.connections.len(), 180);
    assert!(out.connections.iter().all(|one| one.attempts == 3));
}

/// Scenario: 4,000 ports within a second, each SYN recorded twice, and all sent again after
/// one, three and seven seconds.
#[test]
fn a_flood_is_counted_by_port() {
    let mut flows = Vec::new();
    for second in [0, 1, 3, 7] {
        for port in 0..4_000_u32 {
            let time = second * SECOND + i64::from(port) * 230_000;
            let both = refused(time).into_iter();
            flows.extend(both.map(|flow| flow.port(20_000 + port)));
        }
    }
    let out = fold(&flows);
    assert_eq!(out.connections.len(), 4_000);
    assert!(
        out.connections
            .iter()
            .all(|one| (one.attempts, one.rows) == (4, 8))
    );
}

/// A refused client uses a port again: within a minute nothing tells that from trying
/// again, after it another connection has begun.
#[test]
fn a_refused_port_is_another_connection_after_a_minute() {
    let again = |gap: i64| {
        let flows = [
            refused(0),
            refused(gap * SECOND),
            refused((gap + 1) * SECOND),
        ]
        .concat();
        let out = fold(&flows);
        let attempts: Vec<u32> = out.connections.iter().map(|one| one.attempts).collect();
        attempts
    };
    assert_eq!(again(40), [3]);
    assert_eq!(again(61), [1, 2]);
    assert_eq!(again(120), [1, 2]);
}

#[test]
fn a_closed_port_is_another_connection_at_once() {
    for gap in [1, 30, 59, 61, 120, 9_000] {
        let once = |start: i64| {
            [
                syn(start),
                syn_ack(start + MILLI),
                data(start + 2 * MILLI),
                fin(start + 90 * MILLI),
                fin(start + 91 * MILLI).back(),
            ]
        };
        let out = fold(&[once(0), once(gap * SECOND)].concat());
        let rows: Vec<u64> = out.connections.iter().map(|one| one.rows).collect();
        assert_eq!(rows, [5, 5], "{gap}");
    }
}

/// Nobody listens: the server's kernel resets. A client that tries again from its port has
/// made two connections.
#[test]
fn a_reset_ends_a_connection() {
    let reset = |start: i64| {
        let mut back = syn_ack(start + MILLI);
        back.row.flags &= !(flags::SYN | flags::ACK);
        back.row.flags |= flags::RST | flags::ACK;
        vec![syn(start), back]
    };
    let out = fold(&[reset(0), reset(SECOND)].concat());
    assert_eq!(out.connections.len(), 2);
    assert!(out.connections.iter().all(|one| one.reset && one.answered));
}

/// Scenario: the source lets a SYN out, the server's node refuses it, and its clock is up
/// to two seconds off. The source's node reports not every retry.
#[test]
fn what_the_other_node_refuses_is_one_connection_by_any_clock() {
    for skew in [-2_000, -900, 0, 900, 2_000] {
        let mut flows = vec![verdict(10 * SECOND, Direction::EGRESS, Verdict::FORWARDED)];
        for second in [10, 17, 25] {
            flows.push(syn(second * SECOND + 20_000));
        }
        for second in [10, 11, 13, 17, 25] {
            let time = second * SECOND + skew * MILLI + 200_000;
            flows.extend(refused(time).into_iter().map(|flow| flow.on("c/b")));
        }
        let out = fold(&flows);
        assert_eq!(out.one().attempts, 5, "{skew}");
        assert_eq!(
            out.one().outcome,
            Outcome::Dropped(DropReason::POLICY_DENIED)
        );
        assert_eq!(&*out.one().ingress.node, "c/b");
    }
}

/// Scenario: audit mode is switched off while a client has a connection open: its data is
/// refused from then on, and so are its new connections.
#[test]
fn audit_and_then_enforcement() {
    let second = 30 * SECOND;
    let refused_data = |time| {
        let data = |mut flow: Flow| {
            flow.row.flags &= !flags::SYN;
            flow.row.flags |= flags::PSH | flags::ACK;
            flow
        };
        let both = [
            verdict(time, Direction::INGRESS, Verdict::DROPPED),
            drop(time + 9_000, Direction::INGRESS),
        ];
        both.map(data)
    };
    let mut flows = vec![
        verdict(0, Direction::INGRESS, Verdict::AUDIT),
        trace(9_000, TracePoint::TO_ENDPOINT, TraceReason::NEW, flags::SYN),
        syn_ack(MILLI),
        data(2 * MILLI),
    ];
    flows.extend(refused_data(second));
    flows.extend(refused_data(second + SECOND / 5));
    for at in [0, 1, 3] {
        let new = refused(second + at * SECOND + 5).into_iter();
        flows.extend(new.map(|flow| flow.port(40_001)));
    }
    let out = fold(&flows);
    let seen: Vec<(Outcome, u32)> = out
        .connections
        .iter()
        .map(|one| (one.outcome, one.attempts))
        .collect();
    let dropped = Outcome::Dropped(DropReason::POLICY_DENIED);
    assert_eq!(seen[1], (dropped, 3));
    assert_eq!((seen.len(), seen[0].0), (2, Outcome::Audited));
    assert!(out.connections[0].oriented && out.connections[0].answered);
}

/// One ping a second is one connection, answered or refused: nothing in a flow tells one
/// ping from another.
#[test]
fn pings_are_one_connection() {
    let ping = |flow: Flow, kind: u32| {
        let mut flow = udp(flow).port(0).with(|row| {
            row.protocol = Protocol::Icmpv4;
            row.destination_port = 0;
        });
        flow.icmp = Some(kind);
        flow
    };
    let (mut answered, mut denied) = (Vec::new(), Vec::new());
    for second in 0..20 {
        let time = second * SECOND;
        answered.push(ping(syn(time), 8));
        answered.push(ping(syn_ack(time + MILLI), 0));
        denied.extend(refused(time).into_iter().map(|flow| ping(flow, 8)));
    }
    let out = fold(&answered);
    assert!(out.one().answered);
    assert_eq!((out.one().rows, out.one().tuple.server_port), (40, 8));
    let out = fold(&denied);
    assert_eq!((out.one().rows, out.one().attempts), (40, 20));
}

/// A resolver asks for A and AAAA from one port, and asks again after five seconds.
#[test]
fn both_questions_of_a_socket_are_one_connection() {
    let ask = |time: i64, kind| spoken(time, L7Type::REQUEST, Said::Dns("db.shop.", kind, 0));
    let tell = |time: i64, kind| spoken(time, L7Type::RESPONSE, Said::Dns("db.shop.", kind, 0));
    let mut flows = vec![
        udp(verdict(0, Direction::EGRESS, Verdict::REDIRECTED)),
        udp(trace(1, TracePoint::TO_PROXY, TraceReason::NEW, 0)),
        udp(syn_ack(3 * MILLI)),
    ];
    for (time, kind) in [(MILLI, "A"), (MILLI + 5, "AAAA"), (5 * SECOND, "AAAA")] {
        flows.push(udp(ask(time, kind)).with(|row| row.direction = Direction::EGRESS));
    }
    for (time, kind) in [(2 * MILLI, "A"), (5 * SECOND + MILLI, "AAAA")] {
        flows.push(udp(tell(time, kind)).with(|row| row.direction = Direction::EGRESS));
    }
    let out = fold(&flows);
    assert_eq!((out.one().attempts, out.one().exchanges), (1, 3));
    assert_eq!(out.exchanges.len(), 3);
    assert_eq!(out.exchanges.iter().filter(|one| one.answered).count(), 2);
}

/// A proxy's requests over one kept connection, and one of them refused: the connection
/// was let pass.
#[test]
fn requests_over_a_kept_connection_open_nothing() {
    let mut flows = vec![
        verdict(0, Direction::INGRESS, Verdict::REDIRECTED),
        trace(9_000, TracePoint::TO_PROXY, TraceReason::NEW, flags::SYN),
        syn_ack(MILLI),
    ];
    for at in 1..=200_i64 {
        let time = at * 2 * SECOND;
        let said = |code| Said::Http("GET", "http://server/items", code);
        flows.push(spoken(time, L7Type::REQUEST, said(0)));
        flows.push(spoken(time + MILLI, L7Type::RESPONSE, said(200)));
        if at % 3 == 0 {
            flows.push(data(time + 9_000));
        }
    }
    let refused = spoken(500 * SECOND, L7Type::REQUEST, Said::Http("DELETE", "/", 0));
    flows.push(refused.with(|row| row.verdict = Verdict::DROPPED));
    let out = fold(&flows);
    assert_eq!((out.one().attempts, out.one().exchanges), (1, 201));
    assert_eq!(out.one().outcome, Outcome::RequestDenied);
    assert_eq!(out.exchanges.len(), 201);
}

/// Scenario: an export of drops alone is cut out of a longer one: of the first client the
/// verdict of its third SYN is the first row, and IPv4 stands beside IPv6.
#[test]
fn a_recording_that_begins_among_retries_has_their_connection() {
    let mut first = Vec::new();
    for second in [3, 7, 15] {
        first.extend(refused(second * SECOND));
    }
    first.remove(0);
    let mut second: Vec<Flow> = first.clone();
    for flow in &mut second {
        flow.addresses = ("fd00::9".to_owned(), "fd00::1".to_owned());
    }
    let out = fold(&[first, second].concat());
    assert_eq!(out.connections.len(), 2);
    for one in &out.connections {
        assert_eq!((one.attempts, one.rows), (3, 5));
        assert_eq!(one.opening, Opening::Seen);
    }
}

/// What is let pass and not answered is tried again as what is refused is.
#[test]
fn syns_that_nobody_answers_are_one_connection() {
    for retry in [Retry::Doubling, Retry::Linear] {
        let mut time = 0;
        let mut flows = Vec::new();
        for gap in retry.gaps() {
            flows.push(syn(time));
            flows.push(trace(
                time + 30_000,
                TracePoint::TO_NETWORK,
                TraceReason::NEW,
                flags::SYN,
            ));
            time += gap * MILLI;
        }
        let out = fold(&flows);
        assert_eq!((out.one().attempts, out.one().answered), (6, false));
    }
}
