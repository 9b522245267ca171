//! Rates that are unusual, and those that are explained.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::baseline::Fate;
use crate::detect::testing::Stage;

/// A workload with some 20 connections a minute for three days, and one that calls it.
struct Play {
    stage: Stage,
    detector: Rate,
    random: ChaCha8Rng,
}

impl Play {
    fn new() -> Self {
        let mut play = Self {
            stage: Stage::default(),
            detector: Rate::default(),
            random: ChaCha8Rng::seed_from_u64(7),
        };
        for _ in 0..3 * 1_440 + 60 {
            play.minute(1.0, 1.0);
        }
        play.detector = Rate::default();
        play
    }

    /// A minute with so many times the usual connections out, and in.
    fn minute(&mut self, out: f64, into: f64) -> Vec<Observation> {
        let around = |random: &mut ChaCha8Rng, mean: f64| {
            // Gamma of shape 8 around the mean, then rounded: dispersion about 8.
            let gamma: f64 = (0..8).map(|_| -(1.0 - random.random::<f64>()).ln()).sum();
            (mean * gamma / 8.0).round() as u64
        };
        let start = self.stage.now;
        let mut groups = Vec::new();
        for (client, peer, mean) in [
            ("shop/web", "shop/cart", 20.0 * into),
            ("shop/cart", "data/db", 20.0 * out),
        ] {
            let count = around(&mut self.random, mean);
            if count > 0 {
                let mut group = self
                    .stage
                    .scenery
                    .group(client, peer, 80, start, Fate::Answered);
                group.count = count;
                groups.push(group);
            }
        }
        groups.sort_by_key(|group| group.client);
        let tick = Tick {
            start,
            groups,
            ..Tick::default()
        };
        self.stage.play(&mut self.detector, &tick)
    }

    fn minutes(&mut self, n: usize, out: f64, into: f64) -> Vec<Observation> {
        (0..n).flat_map(|_| self.minute(out, into)).collect()
    }
}

#[test]
fn a_burst_that_did_not_come_in_is_told_at_once() {
    let mut play = Play::new();
    assert!(play.minutes(30, 1.0, 1.0).is_empty());
    let seen = play.minutes(2, 10.0, 1.0);
    let cart = play.stage.scenery.peer("shop/cart");
    assert!(!seen.is_empty());
    assert_eq!((seen[0].subject, &*seen[0].key), (cart, "more"));
    assert!(seen[0].p < 1e-6 && seen[0].p >= 1e-12);
    assert!(
        seen[0].evidence[0].contains("connections in a minute; usual are"),
        "{:?}",
        seen[0].evidence
    );
}

/// Users come in eightfold, and everything behind follows.
#[test]
fn a_crowd_is_not_said_of_the_services_it_reaches() {
    let mut play = Play::new();
    play.minutes(30, 1.0, 1.0);
    let cart = play.stage.scenery.peer("shop/cart");
    let seen = play.minutes(30, 8.0, 8.0);
    assert!(seen.iter().all(|one| one.subject != cart), "{seen:?}");
}

#[test]
fn twice_as_many_for_long_is_a_drift_and_told_once() {
    let mut play = Play::new();
    play.minutes(60, 1.0, 1.0);
    let mut told = None;
    for minute in 0..240 {
        let cart = play.stage.scenery.peer("shop/cart");
        let seen = play.minute(2.0, 1.0);
        if let Some(one) = seen.iter().find(|one| one.subject == cart) {
            assert_eq!(one.key, "drift-up");
            told = Some(minute);
            break;
        }
    }
    assert!(told.is_some_and(|minute| minute <= 120), "{told:?}");
    assert!(play.minutes(120, 2.0, 1.0).is_empty());
}

#[test]
fn silence_is_told_unless_less_comes_in() {
    let mut play = Play::new();
    play.minutes(60, 1.0, 1.0);
    let cart = play.stage.scenery.peer("shop/cart");
    let seen = play.minutes(30, 0.02, 1.0);
    assert!(
        seen.iter()
            .any(|one| one.subject == cart && one.key == "fewer"),
        "{seen:?}"
    );

    let mut play = Play::new();
    play.minutes(60, 1.0, 1.0);
    let seen = play.minutes(40, 0.02, 0.02);
    assert!(seen.iter().all(|one| one.subject != cart), "{seen:?}");
}

#[test]
fn two_usual_days_are_quiet_and_a_young_workload_is_said_to_be_unseen() {
    let mut play = Play::new();
    assert!(play.minutes(300, 1.0, 1.0).is_empty());
    assert!(play.stage.blind(&play.detector).is_none());
    play.stage.learn("shop/new", &["shop/cart:80"], 1);
    let blind = play.stage.blind(&play.detector).unwrap();
    assert_eq!(blind.why, "1 of 4 workloads were seen for less than 3 days");
}

#[test]
fn memory_is_bounded() {
    let mut stage = Stage::default();
    let mut detector = Rate::default();
    let start = stage.now;
    let one = stage.scenery.group("a/a", "b/b", 80, start, Fate::Answered);
    let clients: Vec<PeerId> = (0..20_000)
        .map(|at| stage.scenery.peer(&format!("a/w{at}")))
        .collect();
    let groups = clients
        .iter()
        .map(|client| Group {
            client: *client,
            ..one.clone()
        })
        .collect();
    let tick = Tick {
        start,
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
    assert_eq!(detector.held(), MOST_CLIENTS);
}
