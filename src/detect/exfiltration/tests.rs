//! Data in names, and names that look like it.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::baseline::{SECOND, TICK};
use crate::detect::testing::Stage;

/// A question for a name, by the client.
fn question(stage: &mut Stage, client: &str, name: &str, time: i64) -> DnsGroup {
    let registered: Vec<&str> = name.rsplitn(3, '.').take(2).collect();
    DnsGroup {
        client: stage.scenery.peer(client),
        server: stage.scenery.peer("kube-system/coredns"),
        port: 53,
        query: name.into(),
        raw: true,
        registered: format!("{}.{}", registered[1], registered[0]).into(),
        types: "A".into(),
        code: 0,
        answered: true,
        count: 1,
        first: time,
    }
}

fn hexadecimal(random: &mut ChaCha8Rng, bytes: usize) -> String {
    (0..2 * bytes)
        .map(|_| char::from(b"0123456789abcdef"[random.random_range(0..16)]))
        .collect()
}

/// Minutes until it is told that so many bytes a second go out, in names of 20 bytes each, over
/// so many domains.
fn minutes_to_tell(rate: f64, domains: usize) -> Option<i64> {
    let mut stage = Stage::default();
    let mut detector = Exfiltration::default();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut owed = 0.0;
    for minute in 0..120 {
        let start = stage.now;
        let mut dns = Vec::new();
        owed += rate * 60.0;
        while owed >= 20.0 {
            owed -= 20.0;
            let domain = random.random_range(0..domains);
            let name = format!("{}.evil{domain}.example", hexadecimal(&mut random, 20));
            dns.push(question(&mut stage, "shop/web", &name, start + SECOND));
        }
        let tick = Tick {
            start,
            dns,
            ..Tick::default()
        };
        if !stage.play(&mut detector, &tick).is_empty() {
            return Some(minute + 1);
        }
    }
    None
}

#[test]
fn data_in_names_is_told_in_time() {
    assert!(minutes_to_tell(10.0, 1).is_some_and(|minutes| minutes <= 2));
    assert!(minutes_to_tell(1.0, 1).is_some_and(|minutes| minutes <= 30));
    assert!(minutes_to_tell(0.7, 1).is_some_and(|minutes| minutes <= 60));
    // Spread over many domains it is told of all of them together.
    assert!(minutes_to_tell(1.0, 20).is_some_and(|minutes| minutes <= 60));
}

#[test]
fn it_says_what_was_carried() {
    let mut stage = Stage::default();
    let mut detector = Exfiltration::default();
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let start = stage.now;
    let dns = (0..200)
        .map(|_| {
            let name = format!("{}.evil.example", hexadecimal(&mut random, 20));
            let mut one = question(&mut stage, "shop/web", &name, start + SECOND);
            one.types = "TXT".into();
            one
        })
        .collect();
    let tick = Tick {
        start,
        dns,
        ..Tick::default()
    };
    let seen = stage.play(&mut detector, &tick);
    let [one] = &seen[..] else {
        panic!("{seen:?}");
    };
    // 200 names of 20 bytes are 4 kB.
    assert!(
        (one.observed / 4_000.0 - 1.0).abs() < 0.1,
        "{}",
        one.observed
    );
    assert!(
        one.evidence[0].contains("under evil.example (on average 40 characters of 4.0 bit)"),
        "{:?}",
        one.evidence
    );
    assert!(one.evidence[2].starts_with("100 % of the questions are for TXT"));
    assert!(one.p < 1e-6);
}

/// Names of content delivery come again; search suffixes and the cluster's names go nowhere.
#[test]
fn names_that_come_again_and_names_of_the_cluster_are_quiet() {
    let mut stage = Stage::default();
    let mut detector = Exfiltration::default();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let pool: Vec<String> = (0..12)
        .map(|_| format!("{}.cdn.example", hexadecimal(&mut random, 8)))
        .collect();
    for minute in 0..600 {
        let start = stage.now;
        let mut dns: Vec<DnsGroup> = pool
            .iter()
            .map(|name| question(&mut stage, "shop/web", name, start))
            .collect();
        let pod = format!("pod-{minute:08x}-0123456789abcdef.shop.svc.cluster.local");
        dns.push(question(&mut stage, "shop/web", &pod, start));
        let reverse = format!("{}.{}.0.10.in-addr.arpa", minute % 256, minute / 256);
        dns.push(question(&mut stage, "shop/web", &reverse, start));
        let tick = Tick {
            start,
            dns,
            ..Tick::default()
        };
        assert!(stage.play(&mut detector, &tick).is_empty());
    }
}

#[test]
fn more_is_a_smaller_p_and_a_usual_maximum_makes_it_larger() {
    let told = |bytes: usize| {
        let mut stage = Stage::default();
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let mut pair = Pair::default();
        for _ in 0..bytes / 20 {
            let name = hexadecimal(&mut random, 20);
            let group = question(&mut stage, "a/a", "x.evil.example", 5);
            pair.add(&name, &group, 0);
        }
        (p_of(&pair, USUAL), p_of(&pair, 10.0 * USUAL))
    };
    assert!(told(4_000).0 < told(2_000).0);
    assert!(told(4_000).1 > told(4_000).0);
}

#[test]
fn memory_is_bounded_under_random_names() {
    let mut stage = Stage::default();
    let mut detector = Exfiltration::default();
    let one = question(&mut stage, "shop/web", "a.b.example", 0);
    for minute in 0..20u32 {
        let start = stage.now + i64::from(minute) * TICK;
        let dns = (0..5_000u32)
            .map(|at| {
                let random = (minute * 5_000 + at).wrapping_mul(2_654_435_761);
                let registered = format!("d{}.example", random >> 20);
                DnsGroup {
                    query: format!("{random:08x}.{registered}").into(),
                    registered: registered.into(),
                    ..one.clone()
                }
            })
            .collect();
        let tick = Tick {
            start,
            dns,
            ..Tick::default()
        };
        let scene = Scene {
            peers: stage.scenery.peers(),
            model: &stage.model,
            sight: &stage.sight,
            now: tick.end(),
        };
        detector.observe(&tick, &scene, &mut Vec::new());
        let most = (MOST_DOMAINS + 1) * (2 * MOST_NAMES + 2);
        assert!(detector.held() <= most, "{}", detector.held());
    }
}
