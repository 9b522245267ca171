//! `flowwatch report`: two weeks by hand, of which it is known what changed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::flowwatch;

/// A Monday.
const START: &str = "2026-06-01T00:00:00Z";
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// Lines of a recording.
#[derive(Default)]
struct Recording {
    lines: Vec<(i64, Value)>,
}

fn at(second: i64) -> String {
    let start: Timestamp = START.parse().unwrap();
    (start + SignedDuration::from_secs(second)).to_string()
}

fn pod(name: &str) -> Value {
    let number = name.bytes().map(u32::from).sum::<u32>();
    json!({
        "ID": number,
        "identity": 10_000 + number,
        "cluster_name": "c1",
        "namespace": "shop",
        "labels": [
            format!("k8s:app={name}"),
            "k8s:io.cilium.k8s.policy.cluster=c1",
            "k8s:io.kubernetes.pod.namespace=shop",
        ],
        "pod_name": format!("{name}-5d9c7b-x2x4z"),
        "workloads": [{"name": name, "kind": "Deployment"}],
    })
}

impl Recording {
    /// A connection as its client's side reports it.
    fn connection(
        &mut self,
        second: i64,
        (to, address, name): (&Value, &str, Option<&str>),
        port: u16,
        dropped: bool,
    ) {
        let from = if dropped { "cart" } else { "web" };
        let mut flow = json!({
            "time": at(second),
            "verdict": if dropped { "DROPPED" } else { "FORWARDED" },
            "IP": {"source": "10.0.0.1", "destination": address, "ipVersion": "IPv4"},
            "l4": {"TCP": {
                "source_port": 1_024 + self.lines.len() % 60_000,
                "destination_port": port,
                "flags": {"SYN": true},
            }},
            "source": pod(from),
            "destination": to,
            "Type": "L3_L4",
            "node_name": "c1/n1",
            "event_type": {"type": 5},
            "traffic_direction": "EGRESS",
            "is_reply": false,
        });
        if dropped {
            flow["drop_reason"] = json!(133);
            flow["drop_reason_desc"] = json!("POLICY_DENIED");
        }
        if let Some(name) = name {
            flow["destination_names"] = json!([name]);
        }
        self.lines.push((
            second,
            json!({"flow": flow, "node_name": "c1/n1", "time": at(second)}),
        ));
    }

    fn reaches_pod(&mut self, second: i64, name: &str, port: u16) {
        self.connection(second, (&pod(name), "10.0.0.2", None), port, false);
    }

    fn reaches_name(&mut self, second: i64, name: &str) {
        let world = json!({"identity": 2, "labels": ["reserved:world"]});
        self.connection(second, (&world, "192.0.2.9", Some(name)), 443, false);
    }

    fn lost(&mut self, second: i64) {
        let lost = json!({
            "source": "HUBBLE_RING_BUFFER",
            "num_events_lost": "7",
            "first": at(second),
            "last": at(second + 60),
        });
        self.lines.push((
            second + 60,
            json!({"lost_events": lost, "node_name": "c1/n1", "time": at(second + 60)}),
        ));
    }

    /// What goes on all the time.
    fn usual(&mut self, seconds: std::ops::Range<i64>) {
        for second in seconds.step_by(590) {
            self.reaches_pod(second, "cart", 8080);
        }
    }

    /// An archive of it, below a folder.
    fn archive(mut self, folder: &Path) -> PathBuf {
        self.lines.sort_by_key(|(second, _)| *second);
        let mut text = String::new();
        for (_, line) in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        let (file, archive) = (folder.join("flows.jsonl"), folder.join("archive"));
        fs::write(&file, text).unwrap();
        flowwatch()
            .args("record -q --archive")
            .path(&archive)
            .path(&file)
            .run()
            .exit(0);
        archive
    }
}

/// The first week has an edge that the second has not; the second has a new edge, a new
/// name outside and a kind of drop.
fn two_weeks() -> Recording {
    let mut recording = Recording::default();
    recording.usual(0..14 * DAY);
    for day in 0..3 {
        recording.reaches_pod(day * DAY + 5 * HOUR, "legacy", 7000);
        recording.reaches_name(day * DAY, "pay.example");
        recording.reaches_name((7 + day) * DAY + 60, "pay.example");
    }
    for hour in 0..2 {
        recording.reaches_pod(9 * DAY + hour * HOUR + 1, "search", 9200);
    }
    for hour in 0..4 {
        recording.reaches_name(8 * DAY + hour * HOUR + 2, "new.example");
        let db = pod("db");
        recording.connection(
            10 * DAY + hour * HOUR + 3,
            (&db, "10.0.0.3", None),
            5432,
            true,
        );
    }
    recording
}

fn weekly(archive: &Path, more: &str) -> Value {
    let ran = flowwatch()
        .args("report weekly -q -o json --archive")
        .path(archive)
        .args(more)
        .run()
        .exit(0);
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// `shop/web shop/search 9200: 2 since 2026-06-10T00:00:01Z`.
fn rows(report: &Value, list: &str) -> Vec<String> {
    let rows = report[list].as_array().unwrap().iter();
    rows.map(|row| {
        format!(
            "{} {} {}: {} since {}",
            row["client"]["name"].as_str().unwrap(),
            row["server"]["name"].as_str().unwrap(),
            row["port"],
            row["connections"],
            row["first"].as_str().unwrap()
        )
    })
    .collect()
}

#[test]
fn two_weeks_differ_in_what_was_put_into_them() {
    let folder = tempfile::tempdir().unwrap();
    let archive = two_weeks().archive(folder.path());
    let report = weekly(&archive, "");
    assert_eq!(report["later"]["from"], "2026-06-08T00:00:00Z");
    assert_eq!(report["later"]["to"], "2026-06-15T00:00:00Z");
    assert_eq!(report["earlier"]["whole"], true);
    assert_eq!(report["later"]["whole"], true);
    assert_eq!(
        rows(&report, "edges"),
        ["shop/web shop/search 9200: 2 since 2026-06-10T00:00:01Z"]
    );
    assert_eq!(
        rows(&report, "vanished"),
        ["shop/web shop/legacy 7000: 3 since 2026-06-01T05:00:00Z"]
    );
    let names = report["names"].as_array().unwrap();
    assert_eq!(names.len(), 1);
    assert_eq!(names[0]["server"]["name"], "new.example");
    assert_eq!(names[0]["connections"], 4);
    let drops = report["drops"].as_array().unwrap();
    assert_eq!(drops.len(), 1);
    assert_eq!(drops[0]["subject"]["name"], "shop/cart");
    assert_eq!(
        (&drops[0]["change"], &drops[0]["connections"]),
        (&json!("new"), &json!(4))
    );
    fits_the_schema(&report);

    let run = || {
        flowwatch()
            .args("report weekly -q --archive")
            .path(&archive)
            .run()
            .exit(0)
    };
    let text = run().text().to_owned();
    for told in [
        "Both periods were seen whole",
        "1 edge new; 1 edge vanished; drops of 1 kind new",
        "New edges",
        "Edges that vanished",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    assert_eq!(text, run().text(), "the same archive gives the same report");
    commands_find_something(&archive, &text);

    let markdown = flowwatch()
        .args("report weekly -q -o markdown --archive")
        .path(&archive)
        .run()
        .exit(0);
    for told in [
        "# Weekly flow review, 2026-06-08 to 2026-06-14",
        "- [ ] Edges: 1 new",
        "Reviewed by: ",
    ] {
        assert!(
            markdown.text().contains(told),
            "{told}\n{}",
            markdown.text()
        );
    }
    let failing = flowwatch()
        .args("report weekly -q --fail-on new-edges,new-names,vanished,drops,missing --archive")
        .path(&archive)
        .run()
        .exit(1);
    assert_eq!(
        failing.stderr.trim(),
        "failing on new-edges (1), new-names (1), vanished (1), drops (1)"
    );
}

/// Every command that `tail`s is one that shows flows.
fn commands_find_something(archive: &Path, text: &str) {
    let mut commands: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(&line[line.find("flowwatch tail ")? + "flowwatch ".len()..]))
        .collect();
    commands.sort_unstable();
    commands.dedup();
    assert!(commands.len() >= 4, "{text}");
    for command in commands {
        assert!(command.contains(&*archive.display().to_string()));
        let ran = flowwatch().args(command).args("-q").run().exit(0);
        assert!(!ran.stdout.is_empty(), "{command} finds nothing");
    }
}

fn fits_the_schema(report: &Value) {
    let text = fs::read_to_string("docs/schema/review.json").unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let errors = crate::analyze::schema::errors(&schema, report);
    assert!(errors.is_empty(), "{errors:?}");
}

/// Scenario: a minute of the first week lost events; ten hours of the second were not
/// recorded.
/// Guarantees: nothing is called new or vanished without what is missing.
#[test]
fn what_is_missing_stands_beside_every_claim() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = two_weeks();
    recording.lost(DAY);
    recording
        .lines
        .retain(|(second, _)| !(12 * DAY..12 * DAY + 10 * HOUR).contains(second));
    let archive = recording.archive(folder.path());
    let report = weekly(&archive, "");
    assert_eq!(report["earlier"]["whole"], false);
    assert_eq!(report["earlier"]["events_lost"], 7);
    assert_eq!(report["earlier"]["missing_seconds"], 60.0);
    assert!(report["later"]["missing_seconds"].as_f64().unwrap() >= 35_000.0);
    assert_eq!(rows(&report, "edges").len(), 1);
    let ran = flowwatch()
        .args("report weekly -q --archive")
        .path(&archive)
        .run()
        .exit(0);
    let text = ran.text().replace("\n    ", " ");
    for told in [
        "Not all of the earlier period was seen: 1 min of 7 d missing and 7 events lost.",
        "Edges not seen before",
        "Edges not seen any more",
        "Of the earlier period: 1 min of 7 d missing and 7 events lost; what is here may have been there then",
        "nothing was recorded",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    for never in ["New edges", "edge new", "vanished;"] {
        assert!(!text.contains(never), "{never}\n{text}");
    }
}

#[test]
fn without_the_period_before_there_is_nothing_new_and_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = two_weeks();
    recording.lines.retain(|(second, _)| *second >= 7 * DAY);
    let archive = recording.archive(folder.path());
    let report = weekly(&archive, "");
    assert_eq!(report["comparable"], false);
    assert_eq!(report["edges"], json!([]));
    assert_eq!(report["names"], json!([]));
    flowwatch()
        .args("report weekly -q --archive")
        .path(&archive)
        .run()
        .exit(0)
        .stdout_contains(
            "Of the earlier period (2026-06-01 to 2026-06-07) nothing is in the archive",
        );
    let ran = flowwatch()
        .args("report weekly -q --fail-on new-edges --archive")
        .path(&archive)
        .run()
        .exit(1);
    assert!(ran.stderr.contains("undecided"), "{}", ran.stderr);
    let other = flowwatch()
        .args("report weekly --week-of 2026-01-01 --archive")
        .path(&archive)
        .run()
        .exit(2);
    assert!(
        other.stderr.contains("has flows from 2026-06-08T00:"),
        "{}",
        other.stderr
    );
}

#[test]
fn two_weeks_alike_are_one_plain_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = Recording::default();
    recording.usual(0..14 * DAY);
    let archive = recording.archive(folder.path());
    flowwatch()
        .args("report weekly -q --archive")
        .path(&archive)
        .run()
        .exit(0)
        .stdout_contains("Nothing changed: no new edge, none that vanished");
}

const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
  - toEndpoints: [{matchLabels: {app: cart}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: idle, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: nobody}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
";

/// Scenario: the policies know nothing of what is new.
/// Guarantees: it drifts, with what the policies say; the quarter names what was not used.
#[test]
fn policies_say_what_they_make_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let archive = two_weeks().archive(folder.path());
    let policies = folder.path().join("policies.yaml");
    fs::write(&policies, POLICY).unwrap();
    let more = format!("--policies {}", policies.display());
    let report = weekly(&archive, &more);
    let drift = rows(&report, "drift");
    assert!(
        drift.contains(&"shop/web shop/search 9200: 2 since 2026-06-10T00:00:01Z".to_owned()),
        "{drift:?}"
    );
    let search = &report["drift"].as_array().unwrap()
        [drift.iter().position(|row| row.contains("search")).unwrap()];
    assert_eq!(search["before"], Value::Null);
    assert_eq!(search["computed"], "denied-by-default");
    let ran = flowwatch()
        .args("report quarterly -q -o json --archive")
        .path(&archive)
        .args(&more)
        .run()
        .exit(0);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    fits_the_schema(&report);
    assert_eq!(report["policies"]["never_hit"][0]["policy"], "shop/idle");
    assert_eq!(report["policies"]["never_hit"].as_array().unwrap().len(), 1);
    assert_eq!(report["comparable"], false);
    assert!(report["coverage"]["namespaces"].as_array().is_some());
}

#[test]
fn what_is_no_archive_is_told_what_to_do() {
    let ran = flowwatch()
        .args("report weekly --archive samples/shop.jsonl")
        .run()
        .exit(2);
    assert!(
        ran.stderr.contains(
            "samples/shop.jsonl is no archive: `flowwatch record --archive DIR samples/shop.jsonl`"
        ),
        "{}",
        ran.stderr
    );
    let ran = flowwatch()
        .args("report weekly --archive nowhere")
        .run()
        .exit(2);
    assert!(
        ran.stderr.contains("there is nothing of that name"),
        "{}",
        ran.stderr
    );
    flowwatch()
        .args("report quarterly --quarter 2026Q5 --archive samples/archive")
        .run()
        .exit(64);
    flowwatch()
        .args("report weekly --fail-on drift --archive samples/archive")
        .run()
        .exit(64);
}
