use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::connection::{Connection, Edge, Opening, Outcome, Peers, Side, Tuple};
use crate::engine::Observer;
use crate::flow::{DropReason, Protocol};

/// A call: client, server, when it began and ended, whether it passed.
type Call = (usize, usize, i64, i64, bool);

const PEOPLE: usize = 6;
const ADDRESS: &str = "10.0.0.";

fn peer(at: usize) -> Peer {
    Peer::Workload {
        cluster: "c".into(),
        namespace: "n".into(),
        kind: "Deployment".into(),
        name: format!("w{at}").into(),
    }
}

fn connection(call: Call, peers: &mut Peers) -> Connection {
    let (client, server, first, last, passed) = call;
    let address = |at: usize| format!("{ADDRESS}{at}").parse().ok();
    Connection {
        tuple: Tuple {
            protocol: Protocol::Tcp,
            client: address(client),
            client_port: 40_000,
            server: address(server),
            server_port: 80,
        },
        edge: Edge {
            client: peers.intern(peer(client)),
            server: peers.intern(peer(server)),
            port: 80,
            protocol: Protocol::Tcp,
        },
        first,
        last,
        opening: Opening::Seen,
        outcome: if passed {
            Outcome::Forwarded
        } else {
            Outcome::Dropped(DropReason(133))
        },
        answered: passed,
        oriented: true,
        attempts: 1,
        weight: 1,
        rows: 1,
        busy: 1,
        reset: false,
        refused: false,
        closed: true,
        encrypted: false,
        plain: false,
        egress: Side::default(),
        ingress: Side::default(),
        service: Arc::default(),
        reference: (Arc::default(), first, 0),
        exchanges: 0,
        alone: false,
    }
}

/// The trace of `w0`, as several readings of the same calls give it.
fn trace(calls: &[Call], hops: usize, incident: Option<i64>) -> Trace {
    let target = Target::parse("n/w0").unwrap();
    let mut peers = Peers::default();
    let mut own = Gatherer::new(target, [], incident);
    for call in calls.iter().filter(|call| call.0 == 0 || call.1 == 0) {
        own.connection(&connection(*call, &mut peers), &peers);
    }
    let mut trace = own.finish(Reading::default(), Seen::default(), &peers, None);
    trace.who.push(Who {
        peer: Some(peer(0)),
        ..Who::default()
    });
    let mut frontier = Frontier::of(&trace);
    for _ in 1..hops {
        // Another reading numbers peers anew.
        let mut peers = Peers::default();
        let mut further = Further::new(Arc::new(frontier), incident);
        for call in calls.iter().rev() {
            further.connection(&connection(*call, &mut peers), &peers);
        }
        let (hop, next) = further.finish(&peers, None);
        trace.hops.push(hop);
        frontier = next;
    }
    trace
}

/// From when each could have been reached by at most `hops` calls, by trying every path.
fn reached(calls: &[Call], hops: usize, from: i64) -> BTreeMap<usize, i64> {
    let mut best: BTreeMap<usize, i64> = BTreeMap::new();
    let mut open = vec![(0, from, 0)];
    while let Some((at, time, depth)) = open.pop() {
        if depth == hops {
            continue;
        }
        for (client, server, first, last, passed) in calls {
            if *client != at || *server == 0 || !passed || *last < time {
                continue;
            }
            let arrival = time.max(*first);
            let known = best.entry(*server).or_insert(arrival);
            *known = arrival.min(*known);
            open.push((*server, arrival, depth + 1));
        }
    }
    best
}

/// Until when each could have gone on towards `w0` by at most `hops` calls.
fn left(calls: &[Call], hops: usize) -> BTreeMap<usize, i64> {
    // The same with time and calls the other way round.
    let turned: Vec<Call> = calls
        .iter()
        .map(|(client, server, first, last, passed)| (*server, *client, -last, -first, *passed))
        .collect();
    reached(&turned, hops, i64::MIN)
        .into_iter()
        .map(|(who, time)| (who, -time))
        .collect()
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = (0..PEOPLE, 0..PEOPLE, 0i64..40, 0i64..8, 0u8..5)
        .prop_filter("two ends", |call| call.0 != call.1)
        .prop_map(|(client, server, first, length, passed)| {
            (client, server, first, first + length, passed > 0)
        });
    proptest::collection::vec(call, 1..16)
}

proptest! {
    /// Guarantees: whom hops reach, and from when, is what trying every path in the order of
    /// time gives; the same towards the target; and no link is told twice.
    #[test]
    fn hops_are_paths_in_the_order_of_time(
        calls in calls(), hops in 1usize..5, incident in proptest::option::of(0i64..40)
    ) {
        let trace = trace(&calls, hops, incident);
        let from = incident.unwrap_or(i64::MIN);
        let mut out: BTreeMap<usize, i64> = BTreeMap::new();
        let mut inward: BTreeMap<usize, i64> = BTreeMap::new();
        let mut told = Vec::new();
        for link in trace.hops.iter().flat_map(|hop| &hop.links) {
            let key = (link.way, link.client.clone(), link.server.clone());
            prop_assert!(!told.contains(&key), "{key:?} twice");
            told.push(key);
            let who = (0..PEOPLE).find(|at| peer(*at) == *link.far()).unwrap();
            let Some((first, last)) = link.carried else { continue };
            if link.way == Way::Out {
                let known = out.entry(who).or_insert(first);
                *known = first.min(*known);
            } else {
                let known = inward.entry(who).or_insert(last);
                *known = last.max(*known);
            }
        }
        let (wanted_out, wanted_in) = (reached(&calls, hops, from), left(&calls, hops));
        let names = |map: &BTreeMap<usize, i64>| map.keys().copied().collect::<Vec<_>>();
        prop_assert_eq!(names(&out), names(&wanted_out));
        prop_assert_eq!(names(&inward), names(&wanted_in));
        // Of the last hop the times are those of its first way there, which may be later.
        for (who, time) in wanted_out {
            prop_assert!(out[&who] >= time);
        }
        for (who, time) in wanted_in {
            prop_assert!(inward[&who] <= time);
        }
    }
}

#[test]
fn a_call_before_the_one_towards_its_client_does_not_count() {
    let early = [(0, 1, 10, 11, true), (1, 2, 5, 6, true)];
    assert!(trace(&early, 2, None).hops[1].links.is_empty());
    let late = [(0, 1, 10, 11, true), (1, 2, 12, 13, true)];
    assert_eq!(trace(&late, 2, None).hops[1].links.len(), 1);
    // A connection that is open already carries from then on.
    let open = [(0, 1, 10, 11, true), (1, 2, 5, 20, true)];
    let traced = trace(&open, 2, None);
    assert_eq!(traced.hops[1].links[0].carried, Some((10, 20)));
}

#[test]
fn what_was_denied_is_told_and_leads_nowhere() {
    let calls = [(0, 1, 10, 11, false), (1, 2, 12, 13, true)];
    let traced = trace(&calls, 2, None);
    assert_eq!(traced.hops[0].links[0].sum.denied, 1);
    assert!(traced.hops[1].links.is_empty());
}

#[test]
fn new_is_what_was_not_seen_before_the_incident() {
    let calls = [
        (0, 1, 10, 11, true),
        (0, 1, 30, 31, true),
        (0, 2, 30, 31, true),
    ];
    let mut traced = trace(&calls, 1, Some(20));
    let new = |traced: &Trace| -> Vec<String> {
        let links = traced.hops[0].links.iter();
        links
            .filter(|link| traced.is_new(link.seen()))
            .map(|link| link.server.to_string())
            .collect()
    };
    // Nothing says that somebody was watching before.
    assert!(new(&traced).is_empty());
    traced.window = Seen { first: 0, last: 40 };
    assert_eq!(new(&traced), ["n/w2"]);
    assert_eq!(traced.watched_before(), Some(20));
    let known = traced.own(Way::Out).find(|link| link.sum.connections == 2);
    assert_eq!(known.map(|link| link.after), Some(1));
}
