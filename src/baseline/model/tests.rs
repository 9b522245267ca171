//! What is learned and what is not.

use super::super::testing::{Scenery, minute};
use super::*;
use crate::baseline::{Fate, Group, HOUR, Tick};

/// A call every minute for so many minutes, from minute `from` on.
fn calls(scenery: &mut Scenery, to: &str, minutes: std::ops::Range<i64>, fate: Fate) -> Vec<Tick> {
    minutes
        .map(|at| {
            let group = scenery.group("shop/cart", to, 443, minute(at), fate);
            Tick {
                start: minute(at),
                groups: vec![group],
                ..Tick::default()
            }
        })
        .collect()
}

fn learn(model: &mut Model, scenery: &Scenery, ticks: &[Tick], flagged: &[Flagged]) {
    for tick in ticks {
        model.learn(tick, flagged, scenery.peers());
    }
}

#[test]
fn a_workload_is_learned_of_after_an_hour() {
    let (mut scenery, mut model) = (Scenery::default(), Model::default());
    let (cart, pay) = (scenery.peer("shop/cart"), scenery.peer("shop/pay"));
    let ticks = calls(&mut scenery, "shop/pay", 0..50, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[]);
    assert_eq!(model.stage(cart), Stage::Cold);
    assert!(model.edge(cart, pay, 443, Protocol::Tcp).is_none());

    let ticks = calls(&mut scenery, "shop/pay", 50..70, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[]);
    assert_eq!(model.stage(cart), Stage::Learning);
    let edge = model.edge(cart, pay, 443, Protocol::Tcp).unwrap();
    assert_eq!((edge.first, edge.days, edge.hours), (minute(0), 1, 2));
    assert_eq!(model.users(pay), 1);
    assert_eq!(model.held_back().count(), 0);
}

#[test]
fn what_was_denied_refused_or_not_answered_is_not_learned() {
    let (mut scenery, mut model) = (Scenery::default(), Model::default());
    let ticks = calls(&mut scenery, "shop/pay", 0..70, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[]);
    for fate in [Fate::Denied, Fate::Refused, Fate::Unanswered] {
        let ticks = calls(&mut scenery, "shop/db", 70..80, fate);
        learn(&mut model, &scenery, &ticks, &[]);
        assert_eq!(model.edges().count(), 1, "{fate:?}");
    }
    let cart = scenery.peer("shop/cart");
    assert_eq!(model.workload(cart).unwrap().verdicts.denied, 10);
}

/// Scenario: an edge is flagged once, and goes on unflagged.
/// Guarantees: it is not learned afterwards either; it makes its destination no more popular
/// for the client itself, but for others.
#[test]
fn what_was_flagged_once_stays_out() {
    let (mut scenery, mut model) = (Scenery::default(), Model::default());
    let ticks = calls(&mut scenery, "shop/pay", 0..70, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[]);
    let (cart, evil) = (scenery.peer("shop/cart"), scenery.peer("evil.example"));
    let flagged = Flagged {
        subject: cart,
        peer: Some(evil),
        port: None,
        novelty: false,
    };
    let ticks = calls(&mut scenery, "evil.example", 70..72, Fate::Answered);
    learn(&mut model, &scenery, &ticks[..1], &[flagged]);
    learn(&mut model, &scenery, &ticks[1..], &[]);
    assert!(model.edge(cart, evil, 443, Protocol::Tcp).is_none());
    let (edge, pending) = model.held_back().next().unwrap();
    assert_eq!(
        (edge.server, pending.count, pending.why),
        (evil, 2, Held::Flagged)
    );
    let other = scenery.peer("shop/other");
    assert_eq!(model.novelty(cart, evil, 443, Protocol::Tcp).awaiting, 0);
    assert_eq!(model.novelty(other, evil, 443, Protocol::Tcp).awaiting, 1);
}

#[test]
fn what_is_only_new_is_learned_while_a_workload_learns() {
    let (mut scenery, mut model) = (Scenery::default(), Model::default());
    let cart = scenery.peer("shop/cart");
    let flagged = Flagged {
        subject: cart,
        peer: None,
        port: None,
        novelty: true,
    };
    let ticks = calls(&mut scenery, "shop/pay", 0..70, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[flagged]);
    assert_eq!(model.edges().count(), 1);
}

#[test]
fn nothing_new_is_learned_while_it_is_held() {
    let (mut scenery, mut model) = (Scenery::default(), Model::default());
    let ticks = calls(&mut scenery, "shop/pay", 0..70, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[]);
    let cart = scenery.peer("shop/cart");
    model.hold(cart, minute(80), Held::Change);
    let ticks = calls(&mut scenery, "shop/db", 75..90, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[]);
    assert_eq!(model.edges().count(), 1);
    let ticks = calls(&mut scenery, "shop/mail", 90..91, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[]);
    assert_eq!(model.edges().count(), 2);
}

#[test]
fn silent_minutes_count_where_they_were_watched() {
    let (mut scenery, mut model) = (Scenery::default(), Model::default());
    let other = |scenery: &mut Scenery, at: i64| -> Group {
        scenery.group("shop/other", "shop/db", 1, minute(at), Fate::Answered)
    };
    for at in [0, 1, 2, 3, 65, 66, 200] {
        let mut groups = vec![other(&mut scenery, at)];
        if [0, 3, 66].contains(&at) {
            groups.push(scenery.group("shop/cart", "shop/pay", 1, minute(at), Fate::Answered));
        }
        groups.sort_by_key(|group| group.client);
        let tick = Tick {
            start: minute(at),
            groups,
            ..Tick::default()
        };
        model.learn(&tick, &[], scenery.peers());
    }
    let rates = &model.workload(scenery.peer("shop/cart")).unwrap().rates;
    let all = rates.all();
    // Watched from its first minute on: 0, 1, 2, 3, 65, 66. Of 200 nothing is known yet.
    assert_eq!((all.n, all.sum), (6.0, 3.0));
}

#[test]
fn an_edge_of_long_ago_is_forgotten_unless_a_person_spoke() {
    let (mut scenery, mut model) = (Scenery::default(), Model::default());
    let ticks = calls(&mut scenery, "shop/pay", 0..70, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[]);
    let (cart, pay, db) = ("shop/cart", "shop/pay", "shop/db");
    let [cart, pay, db] = [cart, pay, db].map(|name| scenery.peer(name));
    let approved = Edge {
        client: cart,
        server: db,
        port: 1,
        protocol: Protocol::Tcp,
    };
    model.meet(scenery.peers());
    assert!(model.insert(approved, EdgeProfile::new(0, Status::Approved)));
    assert_eq!((model.users(pay), model.users(db)), (1, 1));
    let late = 60 * 24 * 60;
    let ticks = calls(&mut scenery, "shop/mail", late..late + 1, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[]);
    assert_eq!((model.users(pay), model.users(db)), (0, 1));
    assert_eq!(model.edges_of(cart).count(), 2);
}

/// Guarantees: the figure is the one worked out by hand.
#[test]
fn novelty_is_the_share_of_new_ones_times_the_rank() {
    let (mut scenery, mut model) = (Scenery::default(), Model::default());
    let names: Vec<String> = (0..9).map(|at| format!("data/db{at}")).collect();
    // Cart calls db0 to db2 on four days each, ten others call db0, one calls db3 to db8.
    let mut add = |scenery: &mut Scenery, client: &str, server: &str, days: i64| {
        let client = scenery.peer(client);
        let server = scenery.peer(server);
        model.meet(scenery.peers());
        model
            .workloads
            .entry(client)
            .or_insert_with(WorkloadProfile::default);
        let edge = Edge {
            client,
            server,
            port: 443,
            protocol: Protocol::Tcp,
        };
        model.insert(edge, EdgeProfile::new(0, Status::Learned));
        for day in 0..days {
            model.present(&edge, day * DAY);
        }
    };
    for name in &names[..3] {
        add(&mut scenery, "shop/cart", name, 4);
    }
    for at in 0..10 {
        add(&mut scenery, &format!("shop/o{at}"), &names[0], 1);
    }
    for name in &names[3..] {
        add(&mut scenery, "shop/o0", name, 1);
    }
    let cart = scenery.peer("shop/cart");
    let mut novelty = |name: &str| {
        let key = scenery.peer(name);
        model.meet(scenery.peers());
        model.novelty(cart, key, 443, Protocol::Tcp)
    };
    // 12 trials of 3 edges: (1 + 0.5 * 3) / (1 + 12). All 3 are in the cluster, as one more is
    // in (9 + 1) / (9 + 2) of cases.
    let share = 2.5 / 13.0 * ((3.0 + 10.0 / 11.0) / 4.0);
    let nobody = novelty("data/none");
    assert!((nobody.p - share / 10.0).abs() < 1e-12);
    assert_eq!((nobody.users, nobody.destinations), (0, 9));
    // db3 has one user, as db1, db2 and db4 to db8 have: 8 of 9.
    assert!((novelty("data/db3").p - share * 9.0 / 10.0).abs() < 1e-12);
    assert!((novelty("data/db1").p - 1.0).abs() < 1e-12);
    // Outside nobody called anything: nothing is rarer, and cart never did.
    let outside = 2.5 / 13.0 * ((1.0 / 11.0) / 4.0);
    assert!((novelty("example.com").p - outside).abs() < 1e-12);
}

/// Scenario: one pod calls ten million ports, more or less.
/// Guarantees: what is held of it is bounded.
#[test]
fn one_client_has_so_many_edges_and_no_more() {
    let options = ModelOptions {
        client_edges: 100,
        listeners: 10,
        ..ModelOptions::default()
    };
    let (mut scenery, mut model) = (Scenery::default(), Model::new(options));
    let ticks = calls(&mut scenery, "shop/pay", 0..70, Fate::Answered);
    learn(&mut model, &scenery, &ticks, &[]);
    let groups: Vec<Group> = (1..=10_000)
        .map(|port| {
            let at = HOUR * 2;
            scenery.group("shop/cart", "shop/pay", port, at, Fate::Answered)
        })
        .collect();
    let tick = Tick {
        start: HOUR * 2,
        groups,
        ..Tick::default()
    };
    model.learn(&tick, &[], scenery.peers());
    assert!(model.held() < 200, "{}", model.held());
    assert!(model.beyond() > 9_000);
}

#[test]
fn the_decision_that_says_most_counts() {
    let (mut scenery, mut model) = (Scenery::default(), Model::default());
    let [cart, pay, db] = ["shop/cart", "shop/pay", "shop/db"].map(|name| scenery.peer(name));
    let mut decide = |key, port, status| model.decide(cart, Decision { key, port, status });
    decide(None, None, Status::Forbidden);
    decide(Some(pay), None, Status::Approved);
    decide(Some(pay), Some((22, Protocol::Tcp)), Status::Forbidden);
    let decided = |key, port| model.decided(cart, key, port, Protocol::Tcp);
    assert_eq!(decided(db, 1), Some(Status::Forbidden));
    assert_eq!(decided(pay, 443), Some(Status::Approved));
    assert_eq!(decided(pay, 22), Some(Status::Forbidden));
    assert_eq!(model.decided(pay, db, 1, Protocol::Tcp), None);
}
