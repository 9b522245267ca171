//! Recordings of other clusters, judged by policies that are not theirs.
//!
//! Scenario: each recording of the corpus through `tail` with the sample policies, which
//! speak of none of its pods.
//! Guarantees: it runs to its end; a flow that names a policy is unknown, as that policy was
//! not given; every drift is a denial nobody's policy explains, which is what is left to
//! say of a denial by default: Hubble names no policy for it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::support::{flowwatch, shared};

#[test]
fn other_peoples_recordings_are_judged_without_false_drift() {
    let Some(corpus) = shared("FLOWWATCH_CORPUS", "corpus") else {
        return;
    };
    let mut files: Vec<_> = fs::read_dir(corpus.join("flows"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for file in files {
        let ran = flowwatch()
            .args("tail -o json --policies samples/policies")
            .path(&file)
            .run()
            .exit(0);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for line in ran.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let Some(agreement) = record["flowwatch"]["agreement"].as_str() else {
                continue;
            };
            check(&record["flow"], &record["flowwatch"], agreement);
            *counts.entry(agreement.to_owned()).or_default() += 1;
        }
        println!("{}: {counts:?}", file.file_name().unwrap().display());
        for line in ran.stderr.lines() {
            println!("    {line}");
        }
        for (agreement, count) in counts {
            *all.entry(agreement).or_default() += count;
        }
    }
    println!("together: {all:?}");
}

fn check(flow: &Value, judged: &Value, agreement: &str) {
    let direction = judged["direction"].as_str().unwrap_or_default();
    let names = ["allowed_by", "denied_by"].iter().any(|field| {
        flow[format!("{direction}_{field}")]
            .as_array()
            .is_some_and(|policies| !policies.is_empty())
    });
    if names && agreement != "not compared" {
        assert_eq!(judged["cause"], "policy not loaded", "{flow}\n{judged}");
    }
    if agreement == "drift" {
        let denied = flow["verdict"] == "AUDIT" || flow["drop_reason_desc"] == "POLICY_DENIED";
        assert!(denied && judged["verdict"] == "allowed", "{flow}\n{judged}");
        assert_eq!(judged["enforced"], false, "{flow}\n{judged}");
    }
}
