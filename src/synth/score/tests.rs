//! Scores of files that are small enough to count by hand.

use serde_json::{Value, json};

use super::*;

const FROM: &str = "2026-01-05T00:00:00Z";

fn workload(name: &str) -> Value {
    json!({"kind": "workload", "cluster": "synth", "namespace": "shop", "workload_kind": "Deployment", "name": name})
}

fn truth() -> TruthFile {
    let incident =
        |id: &str, kind: &str, who: &str, peers: Value, hours: (u32, u32), intensity: f64| {
            let at = |hour: u32| format!("2026-01-05T{hour:02}:00:00Z");
            json!({
                "id": id, "kind": kind, "subject": workload(who), "peers": peers,
                "start": at(hours.0), "end": at(hours.1), "intensity": intensity,
                "detectors": ["D9"], "attack": [], "allowed": true,
            })
        };
    let outside = json!([{"kind": "name", "name": "c2.cloudbase.test"}]);
    let value = json!({
        "version": 1, "seed": 1, "world": {},
        "span": {"start": FROM, "end": "2026-01-07T00:00:00Z"},
        "incidents": [
            incident("I1", "A4", "web", outside, (2, 5), 0.9),
            incident("I2", "A4", "cart", json!([]), (10, 12), 0.2),
            incident("I3", "A3", "mail", json!([workload("db")]), (20, 22), 0.6),
        ],
        "changes": [
            {"kind": "release", "at": "2026-01-06T09:00:00Z", "end": "2026-01-06T09:05:00Z", "subject": workload("search")},
            {"kind": "loss", "at": "2026-01-06T15:00:00Z", "end": "2026-01-06T16:00:00Z", "subject": null},
        ],
    });
    TruthFile::read(&value.to_string(), "truth").unwrap()
}

fn incident(
    id: &str,
    severity: &str,
    score: f64,
    day: u32,
    hour: u32,
    who: &str,
    peer: &Value,
) -> String {
    let at = |minute: u32| format!("2026-01-{day:02}T{hour:02}:{minute:02}:00Z");
    let finding = json!({
        "type": "finding", "version": 1, "id": format!("f{id}"), "incident": id,
        "detector": "D9", "kind": "beacon", "severity": severity, "score": score,
        "first": at(10), "last": at(30), "subject": workload(who), "peer": peer, "p": 2e-5,
    });
    let incident = json!({
        "type": "incident", "version": 1, "id": id, "severity": severity, "score": score,
        "first": at(10), "last": at(30), "title": id, "subjects": [workload(who)],
    });
    format!("{finding}\n{incident}\n")
}

fn found(text: &str) -> FoundFile {
    FoundFile::read(text, "found").unwrap()
}

#[test]
fn recall_is_by_kind_and_half_and_the_rest_are_false_alarms_by_day() {
    let text = [
        // Of the foothold, in time.
        incident("a", "high", 9.0, 5, 2, "web", &Value::Null),
        // A target of few, whose own finding it is.
        incident("b", "medium", 6.0, 5, 21, "db", &Value::Null),
        // Another that merely talks to a target: false.
        incident("c", "medium", 7.0, 5, 21, "other", &workload("db")),
        // The right one, a day late: false, and of the release.
        incident("d", "critical", 11.0, 6, 9, "search", &workload("web")),
        // Of nobody in particular, while events were lost.
        incident("e", "medium", 6.5, 6, 15, "stock", &Value::Null),
        // Too low to be either.
        incident("f", "low", 4.0, 5, 11, "cart", &Value::Null),
    ];
    let score = score(&found(&text.concat()), &truth(), &ScoreOptions::default());

    let beacon = &score.kinds["A4"];
    assert_eq!(beacon.all, Share { hit: 1, all: 2 });
    assert_eq!((beacon.upper.hit, beacon.lower.hit), (1, 0));
    assert_eq!(score.kinds["A3"].upper, Share { hit: 1, all: 1 });
    let half_an_hour = Spread {
        median: 1_800.0,
        p90: 1_800.0,
    };
    assert_eq!(beacon.time, Some(half_an_hour));
    assert_eq!(score.missed.len(), 1);
    let days = score.false_alarms;
    assert_eq!((days.days, days.worst), (2, 2));
    assert!((days.mean - 1.5).abs() < 1e-9);
    assert!((score.false_criticals_a_week - 3.5).abs() < 1e-9);
    let causes: Vec<(&str, u64)> = score
        .false_by_change
        .iter()
        .map(|(kind, count)| (kind.as_str(), *count))
        .collect();
    assert_eq!(causes, [("loss", 1), ("nothing", 1), ("release", 1)]);
    // The best of each day: a, and d.
    assert_eq!(score.budgets[0].precision, Share { hit: 1, all: 2 });
    assert_eq!(score.budgets[1].precision, Share { hit: 1, all: 4 });
    assert_eq!(score.budgets[2].recall, Share { hit: 3, all: 3 });
    assert_eq!(
        score.calibration.severities[&Severity::Medium],
        Share { hit: 1, all: 3 }
    );
    assert_eq!(score.calibration.decades[&-5], Share { hit: 3, all: 6 });
}

#[test]
fn what_merged_or_is_suppressed_does_not_count_and_the_first_line_tells_when() {
    let mut text = incident("a", "high", 9.0, 5, 2, "web", &Value::Null);
    // Told again an hour later; what counts is the first time.
    text += &incident("a", "high", 9.5, 5, 3, "web", &Value::Null);
    for extra in [json!({"merged": "a"}), json!({"alert": "suppressed"})] {
        let mut line = json!({
            "type": "incident", "version": 1, "id": format!("x{extra}"), "severity": "high",
            "score": 8.0, "first": FROM, "last": FROM, "title": "", "subjects": [workload("x")],
        });
        let object = line.as_object_mut().unwrap();
        object.extend(extra.as_object().unwrap().clone());
        text.push_str(&line.to_string());
        text.push('\n');
    }
    let score = score(&found(&text), &truth(), &ScoreOptions::default());
    assert_eq!(score.kinds["A4"].all.hit, 1);
    assert!((score.kinds["A4"].time.unwrap().median - 1_800.0).abs() < 1e-9);
    assert_eq!(score.false_alarms.worst, 0);
}

#[test]
fn only_the_days_asked_for_count_and_kinds_without_a_detector_count_apart() {
    let text = incident("c", "medium", 7.0, 5, 1, "other", &Value::Null);
    let from: jiff::Timestamp = "2026-01-05T18:00:00Z".parse().unwrap();
    let options = ScoreOptions {
        from: Some(from.as_nanosecond() as i64),
        detectors: vec!["D7".into()],
        ..ScoreOptions::default()
    };
    let score = score(&found(&text), &truth(), &options);
    assert_eq!(score.kinds.keys().collect::<Vec<_>>(), ["A3"]);
    assert_eq!(score.covered.all.all, 0);
    assert_eq!(score.others, Share { hit: 0, all: 1 });
    assert_eq!(score.false_alarms.worst, 0);
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_line() {
    let error = |text: &str| FoundFile::read(text, "f.jsonl").unwrap_err().to_string();
    assert!(error("\n{").starts_with("f.jsonl:2: "));
    assert_eq!(error("{}"), "f.jsonl:1: line has no type");
    assert_eq!(
        error("{\"type\":\"incident\",\"version\":2}"),
        "f.jsonl:1: version 2 is not known, 1 is"
    );
    assert_eq!(
        error("{\"type\":\"incident\",\"version\":1,\"id\":\"a\"}"),
        "f.jsonl:1: incident has no severity"
    );
    assert!(
        FoundFile::read("{\"type\":\"note\"}\n", "f")
            .unwrap()
            .incidents
            .is_empty()
    );
    let truth = TruthFile::read("{\"version\":1}", "t.json").unwrap_err();
    assert_eq!(truth.to_string(), "t.json:1: truth has no span");
}

/// Scenario: the story of an incident turned out to be part of another one.
/// Guarantees: its findings count there.
#[test]
fn findings_of_what_became_part_of_another_count_there() {
    let outside = json!({"kind": "name", "name": "cloudbase.test"});
    let one = incident("a", "medium", 6.0, 5, 3, "web", &outside);
    let other = incident("b", "high", 8.0, 5, 3, "other", &Value::Null);
    let gone = json!({
        "type": "incident", "version": 1, "id": "a", "severity": "low", "score": 0.0,
        "first": "2026-01-05T03:10:00Z", "last": "2026-01-05T03:30:00Z", "title": "",
        "subjects": [], "merged": "b",
    });
    let found = FoundFile::read(&format!("{one}{other}{gone}\n"), "found").unwrap();
    let score = score(&found, &truth(), &ScoreOptions::default());
    assert_eq!(score.kinds["A4"].all.hit, 1);
    assert_eq!(score.false_alarms.worst, 0);
}
