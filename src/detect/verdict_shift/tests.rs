//! Verdicts that shift, their causes, and what is no shift.

use super::super::testing::Stage;
use super::*;

fn stage() -> Stage {
    let mut stage = Stage::default();
    stage.learn(
        "shop/web",
        &[
            "shop/pay:443",
            "data/db:5432",
            "shop/cart:80",
            "shop/mail:25",
        ],
        9,
    );
    stage
}

fn minutes(
    stage: &mut Stage,
    detector: &mut VerdictShift,
    n: usize,
    calls: &[(&str, &str, u16, Fate)],
) -> Vec<Observation> {
    (0..n)
        .flat_map(|_| stage.observe(detector, calls))
        .collect()
}

#[test]
fn an_edge_that_is_denied_is_told_with_its_history() {
    let mut stage = stage();
    let mut detector = VerdictShift::default();
    let denied = [("shop/web", "shop/pay", 443, Fate::Denied); 1];
    let seen = minutes(&mut stage, &mut detector, 5, &denied);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].key, "unexplained");
    assert!(seen[0].p < 1e-6 && seen[0].p > 0.0, "{}", seen[0].p);
    assert!(
        seen[0].evidence[0].contains("5 of 5 are denied since 2026-"),
        "{:?}",
        seen[0].evidence
    );
}

#[test]
fn causes_are_told_apart() {
    let mut stage = stage();
    let all = ["shop/pay:443", "data/db:5432", "shop/cart:80"].map(|call| {
        let (peer, port) = call.split_once(':').unwrap();
        ("shop/web", peer, port.parse().unwrap(), Fate::Denied)
    });
    let seen = minutes(&mut stage, &mut VerdictShift::default(), 5, &all);
    assert!(!seen.is_empty() && seen.iter().all(|one| one.key == "policy" && one.p >= 1e-6));

    let mut stage = self::stage();
    let dropped = [(
        "shop/web",
        "shop/pay",
        443,
        Fate::Dropped(DropClass::Infrastructure),
    )];
    let seen = minutes(&mut stage, &mut VerdictShift::default(), 5, &dropped);
    assert!(
        seen.iter()
            .all(|one| one.key == "infrastructure" && one.p >= 1e-5)
    );
    assert!(!seen.is_empty());
}

#[test]
fn few_denials_dead_servers_and_unknown_edges_are_quiet() {
    let mut stage = stage();
    let mut detector = VerdictShift::default();
    for calls in [
        [("shop/web", "shop/pay", 443, Fate::Refused)],
        [("shop/web", "shop/pay", 443, Fate::Unanswered)],
        [("shop/web", "vault/vault", 8200, Fate::Denied)],
    ] {
        assert!(minutes(&mut stage, &mut detector, 10, &calls).is_empty());
    }
    let one = [("shop/web", "data/db", 5432, Fate::Denied)];
    assert!(stage.observe(&mut detector, &one).is_empty());
    let fine = [("shop/web", "data/db", 5432, Fate::Answered)];
    assert!(minutes(&mut stage, &mut detector, 10, &fine).is_empty());
}

#[test]
fn what_was_always_denied_and_passes_is_told() {
    let mut stage = stage();
    let mut detector = VerdictShift::default();
    let denied = [("shop/web", "vault/vault", 8200, Fate::Denied)];
    assert!(minutes(&mut stage, &mut detector, 60, &denied).is_empty());
    stage.now += 20 * TICK;
    let open = [("shop/web", "vault/vault", 8200, Fate::Answered)];
    let seen = minutes(&mut stage, &mut detector, 8, &open);
    assert_eq!(seen[0].key, "opened");
    assert!(
        seen[0].evidence[0].contains("was denied 60 times and never passed"),
        "{:?}",
        seen[0].evidence
    );
}

#[test]
fn memory_is_bounded() {
    let mut stage = stage();
    let start = stage.now;
    let client = stage
        .scenery
        .group("shop/web", "vault/vault", 1, start, Fate::Denied);
    let mut detector = VerdictShift::default();
    for minute in 0..20u32 {
        let groups = (0..5_000u32)
            .map(|at| {
                let random = (minute * 5_000 + at).wrapping_mul(2_654_435_761);
                Group {
                    port: random as u16,
                    key: crate::connection::PeerId(100 + (random >> 20)),
                    ..client.clone()
                }
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
        assert!(detector.held() <= MOST_DENIED + MOST_WINDOWS);
    }
}
