//! Beacons, and clocks that are none.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::super::testing::Stage;
use super::*;
use crate::baseline::{Fate, SECOND, TICK, tick_of};

fn stage() -> Stage {
    let mut stage = Stage::default();
    stage.learn("shop/web", &["shop/pay:443", "old.example.com:443"], 9);
    stage.learn("shop/cart", &["shop/pay:443"], 9);
    stage
}

/// Calls at these seconds from now on, tick by tick.
fn play(
    stage: &mut Stage,
    detector: &mut Beacon,
    (client, peer, port): (&str, &str, u16),
    seconds: &[f64],
) -> Vec<Observation> {
    let begin = stage.now;
    let mut ticks: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for at in seconds {
        let time = begin + (at * SECOND as f64) as i64;
        ticks.entry(tick_of(time)).or_default().push(time);
    }
    let mut seen = Vec::new();
    for (start, starts) in ticks {
        let mut group = stage
            .scenery
            .group(client, peer, port, starts[0], Fate::Answered);
        group.count = starts.len() as u64;
        group.last = starts[starts.len() - 1];
        group.starts = starts;
        let tick = Tick {
            start,
            groups: vec![group],
            ..Tick::default()
        };
        seen.extend(stage.play(detector, &tick));
    }
    seen
}

fn beats(period: f64, jitter: f64, n: usize, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut at = 0.0;
    (0..n)
        .map(|_| {
            at += period * (1.0 + jitter * (2.0 * random.random::<f64>() - 1.0));
            at
        })
        .collect()
}

#[test]
fn a_new_beacon_is_told_by_24_calls() {
    for (period, jitter) in [(60.0, 0.0), (60.0, 0.3), (300.0, 0.3), (600.0, 0.2)] {
        let mut stage = stage();
        let mut detector = Beacon::default();
        let calls = beats(period, jitter, 24, 3);
        let seen = play(
            &mut stage,
            &mut detector,
            ("shop/web", "evil.example.net", 443),
            &calls,
        );
        assert!(!seen.is_empty(), "{period} {jitter}");
        assert!(seen[0].p < P && seen[0].p >= LEAST_P);
    }
    let mut stage = stage();
    let calls = beats(300.0, 0.1, 24, 1);
    let seen = play(
        &mut stage,
        &mut Beacon::default(),
        ("shop/web", "203.0.113.7", 443),
        &calls,
    );
    assert!(
        seen[0].evidence[0].starts_with("shop/web (Deployment) called 203.0.113.7:443/TCP every "),
        "{:?}",
        seen[0].evidence
    );
    assert!(seen[0].evidence[1].starts_with("It is called by 1 of 3 workloads"));
}

#[test]
fn old_edges_random_calls_and_young_workloads_are_quiet() {
    let mut stage = stage();
    let mut detector = Beacon::default();
    let calls = beats(60.0, 0.1, 60, 1);
    let known = ("shop/web", "old.example.com", 443);
    assert!(play(&mut stage, &mut detector, known, &calls).is_empty());

    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut at = 0.0;
    let poisson: Vec<f64> = (0..300)
        .map(|_| {
            at += -60.0 * (1.0 - random.random::<f64>()).ln();
            at
        })
        .collect();
    let new = ("shop/cart", "api.example.org", 443);
    assert!(play(&mut stage, &mut detector, new, &poisson).is_empty());

    let young = ("shop/new", "api.example.org", 443);
    assert!(play(&mut stage, &mut detector, young, &calls).is_empty());
}

#[test]
fn leader_election_among_known_peers_is_quiet() {
    let mut stage = stage();
    let calls = beats(2.0, 0.05, 300, 1);
    let known = ("shop/web", "shop/pay", 443);
    assert!(play(&mut stage, &mut Beacon::default(), known, &calls).is_empty());
}

#[test]
fn memory_is_bounded_under_random_destinations() {
    let mut stage = stage();
    let mut detector = Beacon::default();
    let start = stage.now;
    let one = stage
        .scenery
        .group("shop/web", "203.0.113.9", 1, start, Fate::Answered);
    for minute in 0..20u32 {
        let groups = (0..5_000u32)
            .map(|at| Group {
                port: ((minute * 5_000 + at).wrapping_mul(2_654_435_761) >> 8) as u16,
                ..one.clone()
            })
            .collect();
        let tick = Tick {
            start: start + i64::from(minute) * TICK,
            groups,
            ..Tick::default()
        };
        let scene = Scene {
            peers: stage.scenery.peers(),
            model: &stage.model,
            sight: &stage.sight,
            now: tick.end(),
        };
        detector.observe(&tick, &scene, &mut Vec::new());
        assert!(detector.edges.len() <= MOST_EDGES);
        assert!(detector.held() <= MOST_EDGES * (RING + 1));
    }
}
