//! Detection end to end: what is found does not depend on how flows come.
//!
//! Proves that batches, doubled input, order within the watermark, and live against replay
//! change nothing. Does not prove that what is found is right: that is the detectors' own,
//! and measured on synthetic worlds.

use std::sync::OnceLock;

use flowwatch::baseline::{Baseline, Names};
use flowwatch::connection::FoldOptions;
use flowwatch::engine::{Detection, Incidents, JudgedBatch, Pass};
use flowwatch::finding::{DeskOptions, Line};
use flowwatch::source::file::{Chunk, LineDecoder};

use crate::support::flowwatch;

/// A workload that begins at once to scan, to beacon and to call where nobody does.
const BEGIN: i64 = 1_767_603_600;

/// An hour of a small cluster, as lines, with something in its last half.
fn story() -> &'static [String] {
    static STORY: OnceLock<Vec<String>> = OnceLock::new();
    STORY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.jsonl");
        let args = "synth --preset XS --seed 5 --start 2026-01-05T09:00:00Z --duration 40m --out";
        flowwatch().args(args).path(&path).run().exit(0);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.extend(attack());
        lines.sort_by_key(|line| time(line));
        lines
    })
}

fn time(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    value["time"].as_str().unwrap_or_default().to_owned()
}

/// One pod tries forty addresses, and asks a metadata service.
fn attack() -> Vec<String> {
    let mut lines = Vec::new();
    for at in 0..40_i64 {
        let time = jiff::Timestamp::from_millisecond((BEGIN + 1_500 + at) * 1_000 + 17).unwrap();
        let (address, port) = if at == 39 {
            ("169.254.169.254".to_owned(), 80)
        } else {
            (format!("10.9.{at}.7"), 445)
        };
        let flow = serde_json::json!({
            "flow": {
                "time": time.to_string(), "verdict": "FORWARDED", "node_name": "synth/node-1",
                "Type": "L3_L4", "event_type": {"type": 4, "sub_type": 3},
                "trace_observation_point": "TO_STACK", "trace_reason": "NEW", "is_reply": false,
                "traffic_direction": "EGRESS",
                "IP": {"source": "10.244.0.99", "destination": address, "ipVersion": "IPv4"},
                "l4": {"TCP": {"source_port": 40_000 + at, "destination_port": port,
                               "flags": {"SYN": true}}},
                "source": {"ID": 99, "identity": 4242, "namespace": "shop",
                           "pod_name": "taken-7d5b9c6f48-hx2vp", "labels": ["k8s:app=taken"],
                           "workloads": [{"name": "taken", "kind": "Deployment"}]},
                "destination": {"identity": 2, "labels": ["reserved:world"]},
            },
            "node_name": "synth/node-1",
            "time": time.to_string(),
        });
        lines.push(flow.to_string());
    }
    lines
}

/// Lines in batches of so many, through the whole of detection with an empty baseline: what
/// was found, and detection as it ended.
pub fn detect(lines: &[String], each: usize) -> (Vec<Line>, Detection<Incidents>) {
    let mut detection = Detection::new(
        Baseline::default().model,
        Names::default(),
        Incidents::new(DeskOptions::default()),
    );
    let options = FoldOptions {
        opened: true,
        ..FoldOptions::default()
    };
    let mut pass = Pass::new(options).distinct();
    let mut decoder = LineDecoder::default();
    for lines in lines.chunks(each) {
        let chunk = Chunk {
            bytes: (lines.join("\n") + "\n").into_bytes().into(),
            dropped: 0,
            damaged: None,
        };
        let mut batches = Vec::new();
        decoder.decode(&chunk, |_, batch| batches.push(batch));
        for batch in batches {
            pass.push(0, JudgedBatch::unjudged(batch), &mut detection);
        }
    }
    pass.finish(&mut detection);
    detection.finish();
    let found = detection.found();
    found.finish();
    let found = found.drain();
    (found, detection)
}

/// The same as text, with what is known afterwards.
fn found(lines: &[String], each: usize) -> Vec<String> {
    let (found, detection) = detect(lines, each);
    let mut shown: Vec<String> = found
        .iter()
        .map(|line| serde_json::to_string(line).unwrap())
        .collect();
    // What the model knows afterwards has to be the same too.
    let peers = detection.names().peers();
    let known = detection.model().edges().map(|(edge, profile)| {
        let (client, server) = (peers.get(edge.client), peers.get(edge.server));
        format!("{client} {server} {} {profile:?}", edge.port)
    });
    let held = detection.model().held_back().map(|(edge, pending)| {
        let (client, server) = (peers.get(edge.client), peers.get(edge.server));
        format!("{client} {server} {} {pending:?}", edge.port)
    });
    let mut known: Vec<String> = known.chain(held).collect();
    known.sort();
    shown.extend(known);
    shown
}

/// The answer that all others have to equal: one line a batch.
fn wanted() -> &'static [String] {
    static WANTED: OnceLock<Vec<String>> = OnceLock::new();
    WANTED.get_or_init(|| found(story(), 1))
}

#[test]
fn something_is_found_and_learned() {
    let scan = wanted().iter().any(|line| line.contains("\"scan\""));
    let metadata = wanted().iter().any(|line| line.contains("\"metadata\""));
    assert!(
        scan && metadata,
        "{:#?}",
        &wanted()[..wanted().len().min(5)]
    );
    // Nothing is known for an hour yet: what was seen waits.
    let edges = wanted().iter().filter(|line| line.contains("Pending"));
    assert!(edges.count() > 10);
}

#[test]
fn batches_do_not_matter() {
    for each in [7, 1_000, usize::MAX] {
        let each = each.min(story().len());
        assert!(found(story(), each) == wanted(), "batches of {each} lines");
    }
}

#[test]
fn doubled_input_changes_nothing() {
    let doubled: Vec<String> = story()
        .iter()
        .flat_map(|line| [line.clone(), line.clone()])
        .collect();
    assert!(found(&doubled, 500) == wanted());
}

/// Scenario: flows come up to eight seconds late, as Relay gives them.
/// Guarantees: the watermark puts them in order, and nothing differs.
#[test]
fn order_within_the_watermark_does_not_matter() {
    let mut shuffled: Vec<(i64, &String)> = story()
        .iter()
        .enumerate()
        .map(|(at, line)| {
            let time: jiff::Timestamp = time(line).parse().unwrap();
            let late = (at as i64).wrapping_mul(7_919).rem_euclid(8_000);
            (time.as_millisecond() + late, line)
        })
        .collect();
    shuffled.sort();
    let shuffled: Vec<String> = shuffled.into_iter().map(|(_, line)| line.clone()).collect();
    assert!(found(&shuffled, 300) == wanted());
}
