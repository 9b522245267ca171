//! Scans and what looks like them.

use super::*;
use crate::baseline::Fate;
use crate::detect::testing::Stage;
use crate::flow::{DropClass, Protocol};

fn stage() -> Stage {
    let mut stage = Stage::default();
    stage.learn(
        "shop/web",
        &["shop/pay:443", "shop/cart:80", "data/db:5432"],
        9,
    );
    stage.learn("shop/cart", &["data/db:5432"], 9);
    stage.learn("ops/agent", &["data/db:5432"], 9);
    stage
}

/// Calls of one client in a minute.
fn calls<'a>(
    client: &'a str,
    targets: &'a [String],
    port: u16,
    fate: Fate,
) -> Vec<(&'a str, &'a str, u16, Fate)> {
    targets
        .iter()
        .map(|target| (client, &**target, port, fate))
        .collect()
}

fn workloads(n: usize) -> Vec<String> {
    (0..n).map(|at| format!("other/w{at}")).collect()
}

#[test]
fn a_fast_scan_is_told_within_eight_probes() {
    for fate in [
        Fate::Denied,
        Fate::Refused,
        Fate::Unanswered,
        Fate::Dropped(DropClass::Routing),
    ] {
        let mut stage = stage();
        let mut detector = Scan::default();
        let targets = workloads(8);
        let seen = stage.observe(&mut detector, &calls("shop/web", &targets, 22, fate));
        let [one] = &seen[..] else {
            panic!("{fate:?}: {seen:?}");
        };
        assert!(one.p < ALPHA && one.p > 0.0, "{}", one.p);
        assert_eq!(one.port, Some((22, Protocol::Tcp)));
        assert!(
            one.evidence[0].contains("8 places for the first time"),
            "{:?}",
            one.evidence
        );
    }
}

#[test]
fn many_ports_of_one_are_a_scan_of_it() {
    let mut stage = stage();
    let mut detector = Scan::default();
    let probes: Vec<_> = (1..=20)
        .map(|port| ("shop/web", "data/db", port, Fate::Refused))
        .collect();
    let seen = stage.observe(&mut detector, &probes);
    let db = stage.scenery.peer("data/db");
    assert_eq!(seen[0].peer, Some(db));
    assert!(
        seen[0].evidence[0].contains("(20 ports of data/db): 20 failed (20 refused)"),
        "{:?}",
        seen[0].evidence
    );
}

#[test]
fn a_slow_scan_adds_up_within_two_hours() {
    let mut stage = stage();
    let mut detector = Scan::default();
    let targets = workloads(30);
    let mut told = None;
    for (at, target) in targets.iter().enumerate() {
        let one = [("shop/web", &**target, 6379, Fate::Denied)];
        if !stage.observe(&mut detector, &one).is_empty() {
            told = Some(at);
            break;
        }
        stage.now += 9 * TICK;
    }
    assert!(told.is_some_and(|at| at < 12), "{told:?}");
}

#[test]
fn a_dead_server_makes_no_scanners() {
    let mut stage = stage();
    let mut detector = Scan::default();
    // Everybody who knows it fails, for an hour; a new workload too.
    for _ in 0..60 {
        let seen = stage.observe(
            &mut detector,
            &[
                ("shop/web", "data/db", 5432, Fate::Unanswered),
                ("shop/cart", "data/db", 5432, Fate::Unanswered),
                ("ops/agent", "data/db", 5432, Fate::Unanswered),
                ("shop/new", "data/db", 5432, Fate::Unanswered),
            ],
        );
        assert!(seen.is_empty(), "{seen:?}");
    }
}

#[test]
fn a_wrong_port_that_is_tried_again_and_again_is_one_failure() {
    let mut stage = stage();
    let mut detector = Scan::default();
    for _ in 0..200 {
        let wrong = [("shop/web", "shop/pay", 8443, Fate::Refused)];
        assert!(stage.observe(&mut detector, &wrong).is_empty());
    }
}

/// Prometheus finds what was deployed: most of it answers.
#[test]
fn discovery_that_mostly_succeeds_is_none() {
    let mut stage = Stage::default();
    let first: Vec<String> = workloads(40)
        .iter()
        .map(|name| format!("{name}:9090"))
        .collect();
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    stage.learn("ops/prometheus", &first, 9);
    let mut detector = Scan::default();
    let targets: Vec<String> = (100..160).map(|at| format!("other/w{at}")).collect();
    for (at, target) in targets.iter().enumerate() {
        let fate = if at % 5 == 0 {
            Fate::Refused
        } else {
            Fate::Answered
        };
        let seen = stage.observe(&mut detector, &[("ops/prometheus", &**target, 9090, fate)]);
        assert!(seen.iter().all(|one| one.key != "failing"), "{seen:?}");
        stage.now += 4 * TICK;
    }
}

#[test]
fn open_doors_are_a_scan_by_their_number() {
    let mut stage = stage();
    let mut detector = Scan::default();
    let targets = workloads(25);
    let seen = stage.observe(
        &mut detector,
        &calls("shop/web", &targets, 443, Fate::Answered),
    );
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].key, "spreading");
    let three = workloads(3);
    let mut detector = Scan::default();
    let release = calls("shop/cart", &three, 443, Fate::Answered);
    assert!(stage.observe(&mut detector, &release).is_empty());
}

#[test]
fn more_failures_are_a_smaller_p() {
    let p = |n: usize| {
        let mut stage = stage();
        let targets = workloads(n);
        let seen = stage.observe(
            &mut Scan::default(),
            &calls("shop/web", &targets, 22, Fate::Denied),
        );
        seen.first().map_or(1.0, |one| one.p)
    };
    assert!(p(3) > p(6) && p(6) > p(9));
}

#[test]
fn the_order_within_a_minute_does_not_matter_and_memory_is_bounded() {
    let mut stage = stage();
    let mut detector = Scan::default();
    let start = stage.now;
    // A million random targets: 20 ticks of 50,000 groups.
    for minute in 0..20u32 {
        let mut groups: Vec<Group> = Vec::with_capacity(5_000);
        let one = stage
            .scenery
            .group("shop/web", "data/db", 1, start, Fate::Refused);
        let targets: Vec<PeerId> = workloads(16)
            .iter()
            .map(|name| stage.scenery.peer(name))
            .collect();
        for at in 0..5_000u32 {
            let mut group = one.clone();
            let random = (minute * 5_000 + at).wrapping_mul(2_654_435_761);
            group.port = random as u16;
            group.key = targets[(random >> 28) as usize];
            group.server = group.key;
            groups.push(group);
        }
        groups.sort_by_key(|group| (group.client, group.key, group.port));
        let tick = Tick {
            start: start + i64::from(minute) * TICK,
            groups,
            ..Tick::default()
        };
        let mut out = Vec::new();
        let peers = stage.scenery.peers();
        let scene = Scene {
            peers,
            model: &stage.model,
            sight: &stage.sight,
            now: tick.end(),
        };
        detector.observe(&tick, &scene, &mut out);
    }
    assert!(detector.held() <= 1 + MOST_TARGETS, "{}", detector.held());
}
