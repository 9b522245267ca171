//! `flowwatch synth` end to end: what it writes is what Hubble would, and agrees with its own
//! policies.
//!
//! Proves that lines, policies and truth fit each other, through files and a server. Does
//! not prove that real clusters behave so.

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
