//! Seeds for the targets in `fuzz/`, made of recordings.
//!
//! Not run by itself: `cargo test --test main fuzz_seeds -- --ignored` writes to
//! `fuzz/corpus`, which is not checked in.

use std::path::{Path, PathBuf};

use clap::Parser;
use flowwatch::cli::flow_filter::FlowFilterArgs;
use flowwatch::cli::selection::SelectionArgs;
use flowwatch::wire::json_read::{Record, record_to_wire};
use flowwatch::wire::json_write::wire_to_json;
use flowwatch::wire::shape;
use prost::Message;
use serde_json::Value;

use crate::support::shared;

/// As many flows of a file as keep the start of a run short.
const FLOWS: usize = 600;

#[derive(Debug, Parser)]
struct Tail {
    #[command(flatten)]
    _selection: SelectionArgs,
    #[command(flatten)]
    filters: FlowFilterArgs,
}

#[test]
#[ignore = "writes to fuzz/corpus"]
fn recorded_flows_become_seeds() {
    let samples = root().join("samples");
    let mut files = vec![
        samples.join("forms/wrapped.jsonl"),
        samples.join("forms/aggregated.jsonl"),
        samples.join("forms/field-masked.jsonl"),
        samples.join("exporter/events.log"),
    ];
    files.extend(golden().map(|golden| golden.join("flows.jsonl")));
    let mut wires = 0;
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().take(FLOWS) {
            seed("json_reader", line.as_bytes());
            if let Ok(Record::Response(wire) | Record::BareFlow(wire)) =
                record_to_wire(line.as_bytes())
            {
                seed("walker", &wire);
                wires += 1;
            }
        }
    }
    for form in ["array.json", "bare-flows.json", "cri.log", "pretty.json"] {
        let text = std::fs::read(samples.join("forms").join(form)).unwrap();
        seed("json_reader", &text[..text.len().min(4000)]);
    }
    assert!(wires > 100, "{wires}");
}

#[test]
#[ignore = "writes to fuzz/corpus"]
fn recorded_filters_become_seeds() {
    let Some(golden) = golden() else { return };
    let mut filters = 0;
    for file in ["filters.json", "errors.json"] {
        let cases = std::fs::read(golden.join(file)).unwrap();
        let cases: Value = serde_json::from_slice(&cases).unwrap();
        for case in cases["cases"].as_array().unwrap() {
            let args: Vec<&str> = case["args"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            for value in &args {
                for language in "rgltjcsm".chars() {
                    seed("filter_parsers", format!("{language}{value}").as_bytes());
                }
            }
            let Ok(tail) = Tail::try_parse_from(["tail"].iter().chain(&args)) else {
                continue;
            };
            let Ok((allow, deny)) = tail.filters.filters(|_| None) else {
                continue;
            };
            for filter in allow.iter().chain(&deny) {
                let wire = filter.encode_to_vec();
                let mut json = b"j".to_vec();
                wire_to_json(shape::flow_filter(), &wire, &mut json).unwrap();
                seed("filter_parsers", &json);
                seed("filter_parsers", &[b"p", wire.as_slice()].concat());
                filters += 1;
            }
        }
    }
    assert!(filters > 100, "{filters}");
}

/// Named by its content, so that a second run adds nothing.
fn seed(target: &str, bytes: &[u8]) {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let folder = root().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&folder).unwrap();
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    std::fs::write(folder.join(format!("{:016x}", hasher.finish())), bytes).unwrap();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn golden() -> Option<PathBuf> {
    shared("FLOWWATCH_GOLDEN", "golden").map(|folder| folder.join("hubble-observe"))
}
