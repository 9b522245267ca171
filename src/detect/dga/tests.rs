//! Made-up domains and what looks like them.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::super::testing::Stage;
use super::*;
use crate::baseline::{DnsGroup, TICK};

fn play(
    stage: &mut Stage,
    detector: &mut Dga,
    questions: &[(&str, String, u32)],
) -> Vec<Observation> {
    let start = stage.now;
    let server = stage.scenery.peer("kube-system/coredns");
    let dns = questions
        .iter()
        .map(|(client, name, code)| DnsGroup {
            client: stage.scenery.peer(client),
            server,
            port: 53,
            query: name.as_str().into(),
            raw: true,
            registered: name.as_str().into(),
            types: "A".into(),
            code: *code,
            answered: true,
            count: 1,
            first: start,
        })
        .collect();
    let tick = Tick {
        start,
        dns,
        ..Tick::default()
    };
    stage.play(detector, &tick)
}

fn made_up(n: usize, seed: u64) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..n)
        .map(|_| {
            let label: String = (0..12)
                .map(|_| char::from(b'a' + random.random_range(0..26u8)))
                .collect();
            format!("{label}.com")
        })
        .collect()
}

fn no_such(client: &'static str, names: &[String]) -> Vec<(&'static str, String, u32)> {
    names
        .iter()
        .map(|name| (client, name.clone(), NO_SUCH))
        .collect()
}

#[test]
fn twenty_made_up_domains_are_told_at_once_or_spread_over_hours() {
    for seed in 0..20 {
        let mut stage = Stage::default();
        let names = made_up(20, seed);
        let seen = play(
            &mut stage,
            &mut Dga::default(),
            &no_such("shop/web", &names),
        );
        assert!(
            seen.len() == 1 && seen[0].p < ALPHA && seen[0].p > 0.0,
            "{seed}"
        );
        assert!(
            seen[0].evidence[0].starts_with("shop/web (Deployment) asked for 20 different domains"),
            "{:?}",
            seen[0].evidence
        );

        let mut stage = Stage::default();
        let mut detector = Dga::default();
        let slow: usize = names
            .iter()
            .map(|name| {
                stage.now += 8 * TICK;
                let one = no_such("shop/web", std::slice::from_ref(name));
                play(&mut stage, &mut detector, &one).len()
            })
            .sum();
        assert!(slow > 0, "{seed}");
    }
}

#[test]
fn typing_errors_and_one_wrong_name_again_and_again_are_quiet() {
    let mut stage = Stage::default();
    let mut detector = Dga::default();
    let names = ["exmaple.com", "githbu.com", "gogle.com"].map(str::to_owned);
    for _ in 0..300 {
        assert!(play(&mut stage, &mut detector, &no_such("shop/web", &names)).is_empty());
    }
}

#[test]
fn an_outage_of_dns_is_none() {
    let mut stage = Stage::default();
    let mut detector = Dga::default();
    let names = made_up(30, 1);
    let mut all = Vec::new();
    for client in ["a/a", "a/b", "a/c", "a/d", "a/e", "a/f"] {
        all.extend(no_such(client, &names));
    }
    assert!(play(&mut stage, &mut detector, &all).is_empty());
}

#[test]
fn a_crawler_that_mostly_finds_and_names_of_the_cluster_are_quiet() {
    let mut stage = Stage::default();
    let mut detector = Dga::default();
    let real: Vec<String> = (0..200).map(|at| format!("shop{at}-market.com")).collect();
    let dead: Vec<String> = (0..10).map(|at| format!("garden{at}-market.com")).collect();
    let mut all: Vec<_> = real
        .iter()
        .map(|name| ("shop/crawler", name.clone(), 0))
        .collect();
    all.extend(no_such("shop/crawler", &dead));
    assert!(play(&mut stage, &mut detector, &all).is_empty());
    let inside: Vec<String> = (0..50)
        .map(|at| format!("x{at}.shop.svc.cluster.local"))
        .collect();
    assert!(play(&mut stage, &mut detector, &no_such("shop/web", &inside)).is_empty());
}

#[test]
fn more_is_a_smaller_p_and_memory_is_bounded() {
    let p = |n: usize| {
        let names = made_up(n, 3);
        let seen = play(
            &mut Stage::default(),
            &mut Dga::default(),
            &no_such("shop/web", &names),
        );
        seen.first().map_or(1.0, |one| one.p)
    };
    assert!(p(2) > p(7) && p(7) > p(9));

    let mut stage = Stage::default();
    let mut detector = Dga::default();
    for seed in 0..20 {
        play(
            &mut stage,
            &mut detector,
            &no_such("shop/web", &made_up(2_000, seed)),
        );
        assert!(detector.held() <= MOST_DOMAINS + 1, "{}", detector.held());
    }
}
