//! `flowwatch synth` end to end: what it writes is what Hubble would, and agrees with its own
//! policies.
//!
//! Proves that lines, policies and truth fit each other, through files and a server. Does
//! not prove that real clusters behave so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Ran, flowwatch};

const NOON: &str = "--preset XS --seed 3 --start 2026-01-05T11:00:00Z --duration 1h";

fn synth(args: &str) -> Ran {
    flowwatch().args("synth").args(args).run()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Flows and cluster of an hour, in a folder.
fn hour(folder: &Path, more: &str) -> Ran {
    let run = flowwatch().args("synth").args(NOON).args(more).arg("--out");
    let run = run.path(folder.join("flows.jsonl")).arg("--truth");
    let run = run.path(folder.join("truth.jsonl")).arg("--policies");
    run.path(folder.join("cluster")).run().exit(0)
}

/// Scenario: an hour of XS with all its losses, skew and gaps of metadata, judged by the
/// policies it was made under.
/// Guarantees: every verdict, drop and request that can be judged agrees; what cannot is
/// about endpoints whose metadata is missing.
#[test]
fn flows_agree_with_the_policies_they_were_made_under() {
    let folder = tempfile::tempdir().unwrap();
    hour(folder.path(), "");
    let ran = flowwatch()
        .args("tail -q -o json --cluster-complete --policies")
        .path(folder.path().join("cluster"))
        .path(folder.path().join("flows.jsonl"))
        .run()
        .exit(0);
    let (mut equal, mut denied, mut requests, mut unknown) = (0, 0, 0, Vec::new());
    for line in lines(ran.text()) {
        let judged = &line["flowwatch"];
        match judged["agreement"].as_str() {
            Some("equal") => {
                equal += 1;
                denied += u32::from(line["flow"]["verdict"] == "DROPPED");
                requests += u32::from(line["flow"]["Type"] == "L7");
            }
            Some("unknown") => unknown.push(line),
            Some("drift") => panic!("{line}"),
            _ => {}
        }
    }
    assert!(
        equal > 3_000 && denied > 0 && requests > 0,
        "{equal} {denied} {requests}"
    );
    assert!(unknown.len() * 50 < equal, "{} of {equal}", unknown.len());
    for line in unknown {
        let bare = |side: &str| line["flow"][side]["labels"].is_null();
        assert!(bare("source") || bare("destination"), "{line}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    let short = "--duration 10m --preset XS --seed";
    let one = synth(&format!("{short} 1")).exit(0);
    assert!(one.stdout.len() > 100_000);
    assert!(one.stdout == synth(&format!("{short} 1 --out -")).exit(0).stdout);
    assert!(one.stdout != synth(&format!("{short} 2")).exit(0).stdout);
    assert!(one.stderr.contains(" connections ("), "{}", one.stderr);
}

#[test]
fn lines_have_the_fields_of_hubble_in_its_order() {
    let ran = synth(NOON).exit(0);
    let mut events = std::collections::BTreeSet::new();
    for line in lines(ran.text()) {
        let object = line.as_object().unwrap();
        let Some(flow) = object.get("flow").and_then(Value::as_object) else {
            assert!(object.contains_key("lost_events"), "{line}");
            continue;
        };
        let keys: Vec<&str> = flow.keys().map(String::as_str).collect();
        assert_eq!(keys[..3], ["time", "uuid", "emitter"], "{line}");
        assert_eq!(keys[3], "verdict");
        assert_eq!(
            keys[keys.len() - 1].starts_with(char::is_uppercase),
            !flow
                .keys()
                .any(|key| key.contains("allowed_by") || key.contains("denied_by"))
        );
        assert_eq!(line["node_name"], line["flow"]["node_name"]);
        assert_eq!(line["time"], line["flow"]["time"]);
        for key in [
            "IP",
            "l4",
            "source",
            "destination",
            "Type",
            "event_type",
            "Summary",
            "node_labels",
        ] {
            assert!(flow.contains_key(key), "no {key}: {line}");
        }
        events.insert(flow["event_type"]["type"].as_u64().unwrap());
    }
    assert_eq!(Vec::from_iter(events), [1, 4, 5, 129]);
}

#[test]
fn the_truth_and_the_cluster_are_written_beside_the_flows() {
    let folder = tempfile::tempdir().unwrap();
    hour(folder.path(), "--flows 2000");
    let truth = fs::read_to_string(folder.path().join("truth.jsonl")).unwrap();
    let truth = lines(&truth);
    let opened: u64 = truth
        .iter()
        .map(|edge| edge["opened"].as_u64().unwrap())
        .sum();
    assert!(opened > 100, "{opened}");
    assert!(
        truth
            .iter()
            .all(|edge| edge["source"].is_object() && edge["port"].is_u64())
    );
    let flows = fs::read_to_string(folder.path().join("flows.jsonl")).unwrap();
    let flows = flows.lines().count();
    assert!((2_000..4_000).contains(&flows), "{flows}");
    let lint = flowwatch()
        .args("policy lint --fail-on never")
        .path(folder.path().join("cluster"))
        .run();
    assert!(!lint.text().contains("rejected"), "{}", lint.text());
}

#[test]
fn a_world_file_is_read_and_its_errors_have_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.yaml");
    fs::write(
        &world,
        "world:\n  workloads: 5\nobservation:\n  skews: 1s\n",
    )
    .unwrap();
    let run = || flowwatch().args("synth --duration 1m --world").path(&world);
    let ran = run().run().exit(2);
    assert!(
        ran.stderr
            .contains("world.yaml:4: unknown key 'observation.skews'"),
        "{}",
        ran.stderr
    );
    fs::write(&world, "world: {workloads: 5}\n").unwrap();
    run().run().exit(0);
    synth("--rate 5").exit(64);
    synth("--duration 5").exit(64);
}

#[test]
fn a_server_shows_flows_as_they_come() {
    let run = flowwatch().args(
        "synth --seed 3 --duration 1h --start 2026-01-05T12:00:00Z --rate 2000 --serve 127.0.0.1:0",
    );
    let mut server = run.start();
    let line = server.next_line();
    let address = line.strip_prefix("listening on ").unwrap();
    // It began with nothing: what comes is waited for.
    let mut shown = Vec::new();
    for _ in 0..100 {
        let ran = flowwatch()
            .args("tail -q -o json --no-follow --last 50 --server")
            .arg(address)
            .run()
            .exit(0);
        shown = lines(ran.text());
        if shown.len() >= 10 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(shown.len() >= 10, "{}", shown.len());
    assert!(shown.iter().all(|line| line["flow"]["uuid"].is_string()));
}

const INCIDENTS: &str = "\
world: {workloads: 30, policies: 90}
observation: {losses: 0}
churn: {releases: 20, relabels: 0.3, scaled: 0.5, job_pods: true, drains: 10, previews: 20, preview_life: 1h}
rare: {edges: 1, often: 10m, domains: true}
disturbances: {backend_outages: 2, dns_outages: 1, load_tests: 1, observability_rollouts: 1}
incidents:
  after: 5m
  A1: 1
  A2: 1
  A3: 1
  A8: 2
  A9: 1
  A11: 1
  A16: 1
  list:
  - {kind: A4, at: 10m, intensity: 0.9, knobs: {period: 1m, bare: true}}
  - {kind: A5, at: 15m, intensity: 0.8}
";

/// Scenario: incidents, churn and disturbances over three hours.
/// Guarantees: what policies say of every flow of theirs is what was recorded, labels name
/// flows that are there, and a file of findings made of the truth scores as it should.
#[test]
fn incidents_agree_with_policies_and_with_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("world.yaml"), INCIDENTS).unwrap();
    let run = flowwatch().args("synth --seed 5 --start 2026-01-05T08:00:00Z --duration 3h");
    let run = run.arg("--world").path(at("world.yaml"));
    let run = run.arg("--out").path(at("flows.jsonl"));
    let run = run.arg("--policies").path(at("cluster"));
    run.arg("--incidents").path(at("truth")).run().exit(0);
    let ran = flowwatch()
        .args("tail -q -o json --cluster-complete --policies")
        .path(at("cluster"))
        .path(at("flows.jsonl"))
        .run()
        .exit(0);
    let (mut equal, mut unknown, mut uuids) = (0, 0, BTreeSet::new());
    for line in lines(ran.text()) {
        uuids.insert(line["flow"]["uuid"].as_str().unwrap().to_owned());
        match line["flowwatch"]["agreement"].as_str() {
            Some("equal") => equal += 1,
            Some("unknown") => unknown += 1,
            Some("drift") => panic!("{line}"),
            _ => {}
        }
    }
    assert!(equal > 3_000 && unknown * 20 < equal, "{equal} {unknown}");
    let labels = fs::read_to_string(at("truth/labels.jsonl")).unwrap();
    let labels = lines(&labels);
    let mut labelled = BTreeSet::new();
    for label in &labels {
        assert!(uuids.contains(label["uuid"].as_str().unwrap()), "{label}");
        labelled.extend(label["incident"].as_str().map(str::to_owned));
    }
    let truth = fs::read_to_string(at("truth/incidents.json")).unwrap();
    let truth: Value = serde_json::from_str(&truth).unwrap();
    let incidents = truth["incidents"].as_array().unwrap();
    assert_eq!(labelled.len(), incidents.len());
    let changes = fs::read_to_string(at("truth/changes.json")).unwrap();
    let changes: Value = serde_json::from_str(&changes).unwrap();
    assert_eq!(changes, truth["changes"]);
    assert!(changes.as_array().unwrap().len() > 5);

    // Findings of one who knows everything, but for the first.
    let mut findings = String::new();
    for one in &incidents[1..] {
        let id = one["id"].as_str().unwrap();
        let finding = serde_json::json!({
            "type": "finding", "version": 1, "id": id, "incident": id, "detector": "D0",
            "kind": "known", "severity": "high", "score": 9.0, "first": one["start"],
            "last": one["end"], "subject": one["subject"], "peer": null, "p": 1e-6,
        });
        let incident = serde_json::json!({
            "type": "incident", "version": 1, "id": id, "severity": "high", "score": 9.0,
            "first": one["start"], "last": one["end"], "title": id, "subjects": [one["subject"]],
        });
        findings.extend([
            finding.to_string(),
            "\n".into(),
            incident.to_string(),
            "\n".into(),
        ]);
    }
    fs::write(at("findings.jsonl"), findings).unwrap();
    let score = |more: &str| {
        let run = flowwatch().args("synth score").path(at("findings.jsonl"));
        run.path(at("truth/incidents.json"))
            .args(more)
            .run()
            .exit(0)
    };
    let json: Value = serde_json::from_str(score("-o json").text()).unwrap();
    let all = &json["recall"]["covered"]["all"];
    assert_eq!(all["all"], incidents.len());
    assert!(all["hit"].as_u64().unwrap() + 1 >= incidents.len() as u64);
    assert_eq!(json["false"]["worst"], 0);
    let table = score("");
    assert!(table.text().contains("covered"), "{}", table.text());
    assert!(table.text().contains("False incidents a day"));
}

#[test]
fn an_archive_is_written_at_once_and_only_into_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let run = || {
        let run = flowwatch().args("synth").args(NOON).arg("--archive");
        run.path(&archive).run()
    };
    let flows = synth(NOON).exit(0);
    run().exit(0);
    let counted = flowwatch()
        .args("tail -q -o json")
        .path(&archive)
        .run()
        .exit(0);
    let of = |ran: &Ran| {
        lines(ran.text())
            .iter()
            .filter(|line| line["flow"].is_object())
            .count()
    };
    assert_eq!(of(&counted), of(&flows));
    assert!(run().exit(2).stderr.contains("has flows already"));
}
