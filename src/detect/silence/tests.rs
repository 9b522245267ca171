//! Silence that is unusual, and that which is explained.

use super::*;
use crate::baseline::{Fate, Loss};
use crate::detect::testing::Stage;

/// Workloads that call a database every minute, some of them each other.
struct Play {
    stage: Stage,
    detector: Silence,
}

/// Who calls whom, and how often a minute.
const CALLS: [(&str, &str, u64); 9] = [
    ("shop/web", "shop/pay", 10),
    ("shop/pay", "data/db", 10),
    ("ops/agent", "data/db", 10),
    ("ops/logs", "data/db", 10),
    ("ops/mail", "data/db", 10),
    ("ops/sync", "data/db", 10),
    ("ops/scan", "data/db", 10),
    ("ops/sums", "data/db", 10),
    ("ops/keys", "data/db", 10),
];

impl Play {
    /// After three days.
    fn new() -> Self {
        let mut play = Self {
            stage: Stage::default(),
            detector: Silence::default(),
        };
        for _ in 0..3 * 1_440 + 60 {
            assert!(play.minute(&[]).is_empty());
        }
        play
    }

    /// A minute in which some do not speak.
    fn minute(&mut self, silent: &[&str]) -> Vec<Observation> {
        self.lossy_minute(silent, 0)
    }

    fn lossy_minute(&mut self, silent: &[&str], lost: u64) -> Vec<Observation> {
        let start = self.stage.now;
        let speaking = CALLS
            .iter()
            .filter(|(client, _, _)| !silent.contains(client));
        let mut groups: Vec<Group> = speaking
            .map(|(client, server, count)| {
                let fate = Fate::Answered;
                let mut group = self.stage.scenery.group(client, server, 443, start, fate);
                group.count = *count;
                group
            })
            .collect();
        groups.sort_by_key(|group| (group.client, group.key, group.port));
        let tick = Tick {
            start,
            groups,
            loss: Loss {
                lost,
                uncounted: false,
                seen: 100,
            },
            ..Tick::default()
        };
        self.stage.play(&mut self.detector, &tick)
    }

    /// What is said within so many minutes, with the minute.
    fn minutes(&mut self, count: usize, silent: &[&str]) -> Vec<(usize, Observation)> {
        let minutes = (1..=count).map(|at| (at, self.minute(silent)));
        minutes
            .flat_map(|(at, said)| said.into_iter().map(move |one| (at, one)))
            .collect()
    }

    fn who(&self, one: &Observation) -> String {
        self.stage.scenery.peers().get(one.subject).to_string()
    }
}

/// Guarantees: the closed form is the mean over the gamma, summed up by hand.
#[test]
fn p_is_the_mean_over_days_that_differ() {
    // Density of shape 4 and mean 1: 4^4 / 3! g^3 exp(-4 g).
    let density = |g: f64| 256.0 / 6.0 * g.powi(3) * (-4.0 * g).exp();
    for weight in [0.5, 5.0, 60.0] {
        let step = 1e-4;
        let parts = (0..100_000).map(|at| (f64::from(at) + 0.5) * step);
        let sum: f64 = parts.map(|g| density(g) * (-weight * g).exp() * step).sum();
        assert!((p_of(weight) / sum - 1.0).abs() < 1e-6, "{weight}: {sum}");
    }
    assert!((p_of(0.0) - 1.0).abs() < 1e-12);
}

#[test]
fn who_stops_is_said_with_what_was_expected_and_again_as_it_goes_on() {
    let mut play = Play::new();
    let said = play.minutes(120, &["ops/mail"]);
    let (at, one) = &said[0];
    assert_eq!(play.who(one), "ops/mail");
    assert!((3..12).contains(at), "{at}");
    assert!(one.p <= P && one.p > P / 10.0, "{}", one.p);
    assert_eq!(
        one.evidence[0],
        format!(
            "ops/mail (Deployment) has opened no connection since {}, for {} minutes; about {:.0} \
             were to be expected of it in that time.",
            words::at(one.from),
            at + 1,
            one.expected,
        )
    );
    assert_eq!(
        one.evidence[1],
        "No connection came in to it either: it may be gone."
    );
    assert!(one.evidence[2].starts_with(&format!("{at} minutes of that time were watched")));
    assert!((one.expected / (10 * at) as f64 - 1.0).abs() < 0.1);
    // Once for each tenfold fall, down to the least.
    let p: Vec<f64> = said.iter().map(|(_, one)| one.p).collect();
    assert!(p.len() > 2 && p.len() < 9, "{p:?}");
    assert!(p.windows(2).all(|two| two[1] * AGAIN <= two[0]), "{p:?}");
    assert!(said.iter().all(|(_, two)| two.from == one.from));
    assert!(play.minutes(10, &[]).is_empty());
}

#[test]
fn others_that_still_call_are_told() {
    let mut play = Play::new();
    let said = play.minutes(20, &["shop/pay"]);
    assert_eq!(
        said[0].1.evidence[1],
        format!(
            "Others still call it: {} connections came in meanwhile.",
            said[0].0 * 10
        )
    );
}

#[test]
fn who_has_nothing_to_do_is_not_silent() {
    let mut play = Play::new();
    let said = play.minutes(60, &["shop/web", "shop/pay"]);
    assert!(!said.is_empty());
    assert!(said.iter().all(|(_, one)| play.who(one) == "shop/web"));
}

#[test]
fn a_view_that_is_gone_or_lossy_proves_nothing() {
    let mut play = Play::new();
    let most = ["shop/web", "shop/pay", "ops/agent", "ops/logs", "ops/mail"];
    assert!(play.minutes(60, &most).is_empty());

    let mut play = Play::new();
    for _ in 0..60 {
        assert!(play.lossy_minute(&["ops/mail"], 50).is_empty());
    }
    let blind = play.stage.blind(&play.detector).unwrap();
    assert!(
        blind.why.ends_with("silence proves nothing"),
        "{}",
        blind.why
    );
    // What was missing counts for nothing afterwards.
    assert!(play.minutes(2, &["ops/mail"]).is_empty());
}

#[test]
fn a_time_without_any_tick_was_not_watched() {
    let mut play = Play::new();
    assert!(play.minutes(2, &["ops/mail"]).is_empty());
    play.stage.now += 3 * HOUR;
    assert!(play.minutes(60, &["ops/mail"]).is_empty());
}

/// Guarantees: a silence that was too short to be said makes the next one wait until it is
/// twice as heavy, and one that was said does not.
#[test]
fn a_habit_is_said_when_it_grows() {
    let mut play = Play::new();
    assert!(play.minutes(5, &["ops/mail"]).is_empty());
    assert!(play.minutes(5, &[]).is_empty());
    let said = play.minutes(20, &["ops/mail"]);
    let (at, one) = &said[0];
    assert!((10..14).contains(at), "{at}");
    assert_eq!(
        one.evidence[1],
        "No connection came in to it either: it may be gone."
    );
    assert!(
        one.evidence[2].starts_with("Silences of up to 5 minutes came in the last 7 days"),
        "{:?}",
        one.evidence
    );
    assert!(play.minutes(5, &[]).is_empty());
    let again = play.minutes(20, &["ops/mail"]);
    assert!(again[0].0 <= at + 1, "{} after {at}", again[0].0);
}

#[test]
fn the_young_and_the_seldom_are_not_judged() {
    let mut stage = Stage::default();
    stage.learn("ops/agent", &["data/db:5432"], 9);
    // Twice an hour.
    stage.learn("ops/mail", &["data/db:5432"], 9);
    let mut detector = Silence::default();
    stage.observe(
        &mut detector,
        &[("ops/mail", "data/db", 5432, Fate::Answered)],
    );
    for _ in 0..120 {
        let calls = [("ops/agent", "data/db", 5432, Fate::Answered)];
        assert!(stage.observe(&mut detector, &calls).is_empty());
    }
    assert!(detector.held() <= 2);
}
