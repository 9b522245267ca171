//! The desk as a whole: what the steps come to together.

use proptest::prelude::*;

use super::testing::{HOUR, MINUTE, TEN, at, lines, name, seen, workload};
use super::*;
use crate::policy::Gap;

/// What a run of ticks comes to.
fn run(desk: &mut Desk, ticks: &[(i64, Vec<Seen>)]) -> (Vec<Line>, Findings) {
    let mut out = Vec::new();
    for (now, seen) in ticks {
        desk.tick(*now, seen.clone(), &mut out);
    }
    desk.finish(&mut out);
    let mut all = Findings::default();
    out.iter().cloned().for_each(|line| all.take(line));
    (out, all)
}

fn desk(per_day: f64) -> Desk {
    Desk::new(DeskOptions {
        per_day,
        ..DeskOptions::default()
    })
}

fn minute(number: i64) -> i64 {
    TEN + number * MINUTE
}

/// A tick with one observation in it.
fn tick(number: i64, one: Seen) -> (i64, Vec<Seen>) {
    (minute(number + 1), vec![at(one, minute(number))])
}

fn scan() -> Seen {
    seen("scan", workload("a/a"), None, 1e-6)
}

fn beacon(peer: &str) -> Seen {
    seen("beacon", workload("a/a"), Some(name(peer)), 1e-6)
}

#[test]
fn a_kill_chain_of_hours_is_one_incident_with_its_stages_in_order() {
    let (_, all) = run(
        &mut desk(5.0),
        &[
            tick(
                0,
                seen(
                    "metadata",
                    workload("shop/web"),
                    Some(name("169.254.169.254")),
                    1e-6,
                ),
            ),
            tick(150, seen("scan", workload("shop/web"), None, 1e-8)),
            tick(
                160,
                seen(
                    "new-edge",
                    workload("shop/web"),
                    Some(workload("data/db")),
                    1e-6,
                ),
            ),
            tick(
                400,
                seen(
                    "dns-exfiltration",
                    workload("data/db"),
                    Some(name("evil.example")),
                    1e-6,
                ),
            ),
        ],
    );
    let incidents = all.incidents();
    let [incident] = incidents[..] else {
        panic!("{incidents:#?}")
    };
    let stages: Vec<&str> = incident
        .stages
        .iter()
        .map(|step| step.stage.words())
        .collect();
    assert_eq!(
        stages,
        [
            "credentials",
            "discovery",
            "lateral movement",
            "exfiltration"
        ]
    );
    assert_eq!(incident.severity, Severity::Critical);
    assert_eq!(incident.alert, Alert::Raised);
    assert_eq!(
        incident.subjects,
        [workload("shop/web"), workload("data/db")]
    );
    assert_eq!(all.findings().len(), 4);
    assert!(
        all.findings()
            .iter()
            .all(|(finding, _)| finding.incident == incident.id)
    );
}

#[test]
fn what_goes_on_is_one_finding_until_it_was_silent_for_six_hours() {
    let mut ticks: Vec<(i64, Vec<Seen>)> = (0..100).map(|at| tick(at * 5, scan())).collect();
    let (lines, all) = run(&mut desk(5.0), &ticks);
    let findings = all.findings();
    let [(finding, _)] = findings[..] else {
        panic!()
    };
    assert_eq!(finding.evidence.count, 100);
    assert_eq!(
        (finding.first, finding.last),
        (minute(0), minute(495) + 1_000_000_000)
    );
    assert!(lines.len() <= 4, "{}", lines.len());
    let again = 495 + 6 * 60 + 2;
    ticks.push(tick(again, scan()));
    let (_, all) = run(&mut desk(5.0), &ticks);
    assert_eq!(all.findings().len(), 2);
    assert_eq!(all.ids("").len(), 3);
}

#[test]
fn a_tenth_of_p_or_another_technique_is_told_again() {
    let mut desk = desk(5.0);
    let mut out = Vec::new();
    let mut revisions = Vec::new();
    let mut p = 1e-6;
    for number in 0..4 {
        let mut one = beacon("x.example");
        one.p = p;
        p /= 4.0;
        out.clear();
        desk.tick(minute(number + 1), vec![at(one, minute(number))], &mut out);
        revisions.extend(out.iter().filter_map(|line| match line {
            Line::Incident(incident) => Some(incident.revision),
            Line::Finding(_) => None,
        }));
    }
    // p falls by four each time: every second time by more than ten.
    assert_eq!(revisions, [0, 1]);
    out.clear();
    desk.tick(minute(6), vec![at(scan(), minute(5))], &mut out);
    assert!(matches!(&out[..], [Line::Finding(_), Line::Incident(one)] if one.revision == 2));
}

#[test]
fn what_is_over_the_budget_is_ranked_and_not_lost() {
    let ticks: Vec<(i64, Vec<Seen>)> = (0..10)
        .map(|at| tick(at, seen("scan", workload(&format!("ns/w{at}")), None, 1e-7)))
        .collect();
    let (_, all) = run(&mut desk(3.0), &ticks);
    let count = |alert| {
        all.incidents()
            .iter()
            .filter(|one| one.alert == alert)
            .count()
    };
    assert_eq!((count(Alert::Raised), count(Alert::Ranked)), (3, 7));
    assert_eq!(all.raised(), [0, 3, 0, 0]);
}

/// Scenario: two are over the budget; one of them still goes on when there are tokens again.
#[test]
fn what_waits_is_told_when_the_day_has_room_again() {
    let other = |at: i64| seen("scan", workload(&format!("ns/w{at}")), None, 1e-7);
    let mut ticks = vec![tick(0, other(0)), tick(1, other(1)), tick(2, other(2))];
    ticks.extend((1..30).map(|hour| tick(hour * 60, other(2))));
    let (_, all) = run(&mut desk(1.0), &ticks);
    let told: Vec<String> = all
        .incidents()
        .into_iter()
        .filter(|one| one.alert == Alert::Raised)
        .map(|one| one.subjects[0].to_string())
        .collect();
    assert_eq!(told, ["ns/w2", "ns/w0"]);
}

#[test]
fn a_suppressed_finding_is_kept_and_tells_nobody() {
    let text = "suppressions:\n- {kind: scan, subject: a/*, reason: the weekly scan}\n";
    let options = DeskOptions {
        suppressions: Suppressions::parse(text, "s.yaml").unwrap(),
        ..DeskOptions::default()
    };
    let (_, all) = run(&mut Desk::new(options), &[tick(0, scan())]);
    let incidents = all.incidents();
    assert_eq!(incidents[0].alert, Alert::Suppressed);
    let why = all.findings()[0].0.suppressed.clone().unwrap();
    assert_eq!(
        (why.reason.as_str(), why.by.as_str()),
        ("the weekly scan", "s.yaml:2")
    );
}

#[test]
fn what_is_new_with_a_release_is_one_quiet_finding_and_what_attackers_want_is_not() {
    let edge = |peer: &str, port: u16| {
        let mut one = seen("new-edge", workload("a/a"), Some(workload(peer)), 1e-6);
        one.port = Some((port, crate::flow::Protocol::Tcp));
        one.around.released = Some(TEN);
        one.around.gap = Some(Gap::NotSelected);
        one
    };
    let mut ticks: Vec<(i64, Vec<Seen>)> = (0..20)
        .map(|at| tick(at, edge(&format!("b/{at}"), 8080)))
        .collect();
    let (_, all) = run(&mut desk(5.0), &ticks);
    let findings = all.findings();
    let [(finding, _)] = findings[..] else {
        panic!("{}", findings.len())
    };
    assert_eq!(finding.kind, "release");
    assert_eq!(finding.evidence.observed, Some(20.0));
    assert_eq!(all.incidents()[0].alert, Alert::Quiet);
    ticks.push(tick(20, edge("data/db", 5432)));
    let (_, all) = run(&mut desk(5.0), &ticks);
    assert_eq!(all.findings().len(), 2);
    assert_eq!(all.incidents().len(), 1);
    assert_eq!(all.incidents()[0].alert, Alert::Raised);
}

#[test]
fn a_workload_that_is_learned_is_low() {
    let mut desk = desk(5.0);
    let mut out = Vec::new();
    for number in 0..2_000_i64 {
        let mut one = seen("rate", workload(&format!("ns/w{number}")), None, 1e-3);
        one.p = 1e-3 * (number as f64 + 0.5) / 2_000.0;
        one.fixed = false;
        one.around.shadow = true;
        one.around.exposed = true;
        desk.tick(minute(number + 1), vec![at(one, minute(number))], &mut out);
    }
    let severities: Vec<Severity> = out
        .iter()
        .filter_map(|line| match line {
            Line::Incident(incident) => Some(incident.severity),
            Line::Finding(_) => None,
        })
        .collect();
    assert!(!severities.is_empty());
    assert!(severities.iter().all(|severity| *severity == Severity::Low));
    let counts = desk.counts();
    assert_eq!(counts.seen, 2_000);
}

#[test]
fn memory_is_bounded_by_any_number_of_subjects() {
    let mut desk = desk(5.0);
    let mut out = Vec::new();
    for number in 0..30_i64 {
        let subject = |at: i64| workload(&format!("ns/w{}", number * 1_000 + at));
        let many = (0..1_000).map(|one| at(seen("scan", subject(one), None, 1e-6), minute(number)));
        desk.tick(minute(number + 1), many.collect(), &mut out);
        out.clear();
    }
    assert!(desk.held() < 25_000, "{}", desk.held());
    assert_eq!(desk.counts().evicted, 30_000 - 4_096);
    desk.finish(&mut out);
    assert_eq!(desk.held(), 0);
}

#[test]
fn numbers_that_are_none_are_left_out_of_the_record() {
    let mut one = scan();
    (one.observed, one.expected, one.p) = (f64::NAN, f64::INFINITY, 0.0);
    let text = serde_json::to_string(&lines(vec![one])[0]).unwrap();
    assert!(
        text.contains(r#""observed":null,"expected":null"#),
        "{text}"
    );
    assert!(serde_json::from_str::<Line>(&text).is_ok());
}

/// Observations of a few minutes, of a few workloads.
fn some() -> impl Strategy<Value = Vec<Seen>> {
    let kinds = ["scan", "beacon", "new-edge", "verdict-shift", "rate"];
    let one = (
        0..kinds.len(),
        0..4_u8,
        0..5_u8,
        3..9_i32,
        0..300_i64,
        any::<bool>(),
    );
    let one = one.prop_map(move |(kind, subject, peer, p, minutes, released)| {
        let peer = (peer < 4).then(|| workload(&format!("b/{peer}")));
        let mut one = seen(
            kinds[kind],
            workload(&format!("a/{subject}")),
            peer,
            10_f64.powi(-p),
        );
        one.around.released = released.then_some(TEN);
        at(one, minute(minutes))
    });
    proptest::collection::vec(one, 0..60)
}

/// The same observations by ticks of a minute.
fn ticks(mut all: Vec<Seen>) -> Vec<(i64, Vec<Seen>)> {
    let mut ticks: Vec<(i64, Vec<Seen>)> = Vec::new();
    // Stable: within a tick they stay in the order they have.
    all.sort_by_key(|one| one.from);
    for one in all {
        let end = one.from + MINUTE;
        match ticks.last_mut() {
            Some((now, seen)) if *now == end => seen.push(one),
            _ => ticks.push((end, vec![one])),
        }
    }
    ticks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_within_a_tick_does_not_matter(all in some(), seed in any::<u64>()) {
        let mut mixed = all.clone();
        let mut state = seed;
        for at in (1..mixed.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            mixed.swap(at, (state >> 33) as usize % (at + 1));
        }
        let one = run(&mut desk(2.0), &ticks(all)).0;
        let other = run(&mut desk(2.0), &ticks(mixed)).0;
        prop_assert_eq!(one, other);
    }

    /// Guarantees: ticks in which nothing was seen change nothing but when lines come.
    #[test]
    fn empty_ticks_change_nothing(all in some()) {
        let dense = ticks(all);
        let last = dense.last().map_or(TEN, |(now, _)| *now);
        let mut sparse = dense.clone();
        for now in (TEN..last).step_by(MINUTE as usize) {
            if !sparse.iter().any(|(known, _)| *known == now) {
                sparse.push((now, Vec::new()));
            }
        }
        sparse.sort_by_key(|(now, _)| *now);
        let one = run(&mut desk(100.0), &dense).1;
        let other = run(&mut desk(100.0), &sparse).1;
        prop_assert_eq!(one, other);
    }

    /// Guarantees: every finding belongs to an incident that is there and names it, scores
    /// are the sums of their terms, and lines are read back as they were written.
    #[test]
    fn what_comes_out_hangs_together(all in some()) {
        let (lines, all) = run(&mut desk(2.0), &ticks(all));
        for incident in all.incidents() {
            let sum: f64 = incident.terms.iter().map(|term| term.value).sum();
            prop_assert!((sum - incident.score).abs() < 0.006);
            prop_assert_eq!(incident.findings.len() as u64 + incident.more, all.of(incident).count() as u64);
            prop_assert!(incident.first <= incident.last);
            for finding in all.of(incident) {
                prop_assert!(incident.findings.contains(&finding.id));
                prop_assert!(incident.first <= finding.first && finding.last <= incident.last);
                let sum: f64 = finding.terms.iter().map(|term| term.value).sum();
                prop_assert!((sum - finding.score).abs() < 0.006);
            }
        }
        for (finding, _) in all.findings() {
            prop_assert!(all.incident(&finding.incident).is_some());
        }
        for line in lines {
            let text = serde_json::to_string(&line).unwrap();
            prop_assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
        }
    }
}

/// Scenario: hours of quiet in which tokens come back, in steps of any length.
#[test]
fn a_budget_fills_the_same_in_steps_of_any_length() {
    let mut whole = Budget::new(5.0);
    let mut steps = Budget::new(5.0);
    for budget in [&mut whole, &mut steps] {
        budget.advance(TEN);
        for _ in 0..5 {
            assert!(budget.take(Severity::Medium));
        }
    }
    let end = 24 * HOUR / 5;
    whole.advance(TEN + end);
    for at in 0..=1_000 {
        steps.advance(TEN + end * at / 1_000);
    }
    assert!(whole.take(Severity::Medium));
    assert!(steps.take(Severity::Medium));
}
