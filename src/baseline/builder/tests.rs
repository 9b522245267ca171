//! Ticks of connections.

use super::*;
use crate::baseline::testing::{connection, minute, peer};
use crate::baseline::tick::{MOST_GROUPS, MOST_SAMPLES, MOST_STARTS, SECOND};
use crate::connection::{Peer, PeerId};
use crate::flow::Protocol;

/// Ticks of connections, in the order they are given.
fn ticks(connections: &[Connection], peers: &Peers) -> (Vec<Tick>, TickBuilder) {
    let mut names = Names::default();
    let mut builder = TickBuilder::new();
    let mut ticks = Vec::new();
    for one in connections {
        builder.opened(one, peers, &mut names);
    }
    builder.finish(&mut |tick| ticks.push(tick));
    (ticks, builder)
}

fn known(shown: &[&str]) -> (Peers, Vec<PeerId>) {
    let mut peers = Peers::default();
    let ids = shown
        .iter()
        .map(|shown| peers.intern(peer(shown)))
        .collect();
    (peers, ids)
}

/// A connection of the first peer to the second.
fn one(ids: &[PeerId], port: u16, time: i64, from: u16) -> Connection {
    let mut one = connection(Protocol::Tcp, port, time);
    (one.edge.client, one.edge.server) = (ids[0], ids[1]);
    one.tuple.client_port = from;
    one
}

#[test]
fn what_is_alike_is_one_group_whatever_its_order() {
    let (peers, ids) = known(&["shop/cart", "a.example.com"]);
    let mut all: Vec<Connection> = (0..100)
        .map(|at| {
            one(
                &ids,
                443,
                minute(1) + i64::from(at) * SECOND / 2,
                1_000 + at,
            )
        })
        .collect();
    let (forward, _) = ticks(&all, &peers);
    all.reverse();
    let (backward, _) = ticks(&all, &peers);
    assert_eq!(forward, backward);

    let [tick] = &forward[..] else {
        panic!("{forward:?}");
    };
    let [group] = &tick.groups[..] else {
        panic!("{:?}", tick.groups);
    };
    assert_eq!(
        (tick.start, group.count, group.attempts),
        (minute(1), 100, 100)
    );
    assert_eq!(group.starts.len(), MOST_STARTS);
    assert_eq!(group.starts[..2], [minute(1), minute(1) + SECOND / 2]);
    assert_eq!(group.samples.len(), MOST_SAMPLES);
    assert_eq!(group.sample.tuple.client_port, 1_000);
    assert_ne!(group.server, group.key);
}

#[test]
fn a_tick_is_sealed_when_its_connections_are_settled_and_what_comes_later_is_late() {
    let (peers, ids) = known(&["shop/cart", "shop/pay"]);
    let mut names = Names::default();
    let mut builder = TickBuilder::new();
    let mut sealed = Vec::new();
    builder.opened(&one(&ids, 1, minute(1), 1), &peers, &mut names);
    builder.opened(&one(&ids, 1, minute(3), 1), &peers, &mut names);
    let end = minute(2) + SETTLING;
    builder.reached(end - SECOND, &mut |tick| sealed.push(tick.start));
    assert!(sealed.is_empty());
    builder.reached(end, &mut |tick| sealed.push(tick.start));
    assert_eq!(sealed, [minute(1)]);
    builder.opened(&one(&ids, 1, minute(2) - 1, 1), &peers, &mut names);
    assert_eq!(builder.late(), 1);
    builder.opened(&one(&ids, 1, minute(2), 1), &peers, &mut names);
    builder.finish(&mut |tick| sealed.push(tick.start));
    assert_eq!(sealed, [minute(1), minute(2), minute(3)]);
}

/// Scenario: one pod calls more addresses and ports in a minute than are told apart.
/// Guarantees: what is held is bounded, and nothing goes uncounted.
#[test]
fn a_flood_of_ports_is_bounded_and_counted() {
    let (mut peers, mut ids) = known(&["shop/cart", "shop/pay"]);
    let mut names = Names::default();
    let mut builder = TickBuilder::new();
    let mut total = 0;
    for at in 0..3_u32 {
        let address = std::net::Ipv4Addr::from(0xc000_0200 + at);
        ids[1] = peers.intern(Peer::Prefix(std::net::IpAddr::from(address).into()));
        for port in 1..=40_000 {
            builder.opened(&one(&ids, port, minute(1), port), &peers, &mut names);
            total += 1;
        }
    }
    assert!(builder.held() <= MOST_GROUPS + 2);
    let mut counted = 0;
    builder.finish(&mut |tick| {
        counted += tick.groups.iter().map(|group| group.count).sum::<u64>();
        assert!(tick.beyond > 0);
    });
    assert_eq!(counted, total);
}

#[test]
fn a_long_connection_is_told_when_all_of_its_time_have_ended() {
    let (peers, ids) = known(&["shop/cart", "shop/pay"]);
    let mut names = Names::default();
    let mut builder = TickBuilder::new();
    let mut long = one(&ids, 1, minute(1), 1);
    long.last = long.first + LASTING;
    builder.ended(&long, &peers, &mut names);
    builder.ended(&one(&ids, 1, minute(1), 2), &peers, &mut names);
    let mut sealed = Vec::new();
    builder.reached(long.last + SECOND, &mut |tick| sealed.push(tick));
    assert!(sealed.is_empty());
    builder.finish(&mut |tick| sealed.push(tick));
    assert_eq!(sealed.len(), 1);
    assert_eq!(sealed[0].lasting[0].last, long.last);
    assert!(sealed[0].start > long.last);
}
