//! Recorded verdicts against computed ones, end to end.
//!
//! Scenario: Cilium's own answers are written out as the manifests and flows of a cluster,
//! and read back by `tail --policies`.
//! Guarantees: no drift; with one policy left out or changed, drift only where that changes
//! an answer (`changed`).

mod case;
mod changed;
mod names;
mod recordings;
mod times;
mod write;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{flowwatch, shared};
use case::Case;

/// Situations are few and all are asked; of random cases as many as a test can take.
const RANDOM: usize = 150;

/// What a recording leaves unknown. Identity 0 is one whose labels nobody recorded; of an
/// address outside a recording holds the names it was called by, and cannot say that there
/// are no others.
const LISTED: [&str; 2] = ["no labels", "name never observed"];

#[test]
fn situations_read_back_without_drift() {
    agree("situations.jsonl", usize::MAX);
}

#[test]
fn random_cases_read_back_without_drift() {
    agree("random_a.jsonl.zst", random(RANDOM));
}

/// How many random cases are tried.
fn random(otherwise: usize) -> usize {
    std::env::var("FLOWWATCH_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

fn folder() -> Option<PathBuf> {
    shared("FLOWWATCH_CONFORMANCE", "conformance")
}

fn agree(file: &str, most: usize) {
    let Some(folder) = folder() else {
        println!("skipped: the conformance data is not there");
        return;
    };
    let (mut equal, mut unknown, mut wrong) = (0_u64, Vec::new(), Vec::new());
    for case in case::cases(&folder, file, most) {
        let temporary = tempfile::tempdir().unwrap();
        let flows = write::flows(&case);
        if flows.is_empty() {
            continue;
        }
        for (written, judged) in flows.iter().zip(judge(&case, &flows, temporary.path())) {
            match judged["agreement"].as_str() {
                Some("equal") => equal += 1,
                Some("unknown") => {
                    unknown.push(format!("{} is {judged}", written.question));
                }
                _ => wrong.push(format!("{} is {judged}", written.question)),
            }
        }
    }
    println!(
        "{file}: {equal} equal, {} unknown, {} differ",
        unknown.len(),
        wrong.len()
    );
    wrong.truncate(10);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unexpected: Vec<&String> = unknown
        .iter()
        .filter(|line| !LISTED.iter().any(|cause| line.contains(cause)))
        .take(10)
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(equal > 0);
}

/// What `tail` says of each flow.
fn judge(case: &Case, flows: &[write::Written], folder: &Path) -> Vec<Value> {
    write::manifests(case, folder);
    let recording = folder.join("flows.jsonl");
    let lines: Vec<&str> = flows.iter().map(|flow| flow.line.as_str()).collect();
    fs::write(&recording, lines.join("\n") + "\n").unwrap();
    let ran = flowwatch()
        .args("tail -q -o json --cluster-complete --policies")
        .path(folder)
        .path(&recording)
        .run();
    assert_eq!(ran.code, 0, "{}: {}", case.id, ran.stderr);
    let judged: Vec<Value> = String::from_utf8(ran.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["flowwatch"].clone())
        .collect();
    assert_eq!(judged.len(), flows.len(), "{}", case.id);
    judged
}
