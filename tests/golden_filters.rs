//! The filter flags against what `hubble observe` prints for them.
//!
//! Proves that flags, filters and selection choose the same lines of a recorded file,
//! and that what Hubble refuses is refused. Says nothing of live servers.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test says so by failing, in its helpers too"
)]

use std::collections::VecDeque;
use std::path::PathBuf;

use clap::Parser;
use flowwatch::cli::flow_filter::FlowFilterArgs;
use flowwatch::cli::selection::{Count, SelectionArgs};
use flowwatch::filter::Filters;
use flowwatch::flow::{BatchBuilder, FlowBatch, NO_TIME};
use flowwatch::proto::observer::GetFlowsResponse;
use flowwatch::wire::convert::push_response;
use flowwatch::wire::json_read::{Record, record_to_wire};
use prost::Message;
use serde_json::Value;

#[derive(Debug, Parser)]
struct Tail {
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    filters: FlowFilterArgs,
}

#[test]
fn every_argument_list_chooses_the_lines_that_hubble_chooses() {
    let Some(golden) = golden() else { return };
    let flows = std::fs::read_to_string(golden.join("flows.jsonl")).unwrap();
    let cases = json(&golden.join("filters.json"));
    let cases = cases["cases"].as_array().expect("cases");
    // A small dictionary changes epoch often, which must not change an answer.
    for dictionary in [1 << 24, 20_000] {
        let batches = batches(&flows, dictionary);
        for case in cases {
            let args = strings(&case["args"]);
            let wanted: Vec<usize> = case["lines"]
                .as_array()
                .expect("lines")
                .iter()
                .map(|line| line.as_u64().expect("a number") as usize)
                .collect();
            let chosen =
                choose(&args, &batches).unwrap_or_else(|error| panic!("{args:?}: {error}"));
            assert_eq!(chosen, wanted, "{args:?}");
        }
    }
    assert_eq!(cases.len(), 120);
}

#[test]
fn what_hubble_refuses_is_refused() {
    let Some(golden) = golden() else { return };
    let errors = json(&golden.join("errors.json"));
    for case in errors["cases"].as_array().expect("cases") {
        let args = strings(&case["args"]);
        if args[0] == "--output" {
            continue; // Not a filter flag.
        }
        let accepted = case["exit"] == 0;
        match choose(&args, &[]) {
            Ok(_) => assert!(accepted, "{args:?} is not refused"),
            Err(error) => assert!(!accepted, "{args:?}: {error}"),
        }
    }
}

/// The folder of recordings; says so where there is none.
fn golden() -> Option<PathBuf> {
    let folder = std::env::var_os("FLOWWATCH_GOLDEN").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/golden"),
        PathBuf::from,
    );
    let folder = folder.join("hubble-observe");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no recordings in {}", folder.display());
    None
}

fn json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|text| text.as_str().expect("a text").to_owned())
        .collect()
}

fn batches(flows: &str, dictionary: usize) -> Vec<FlowBatch> {
    let mut builder = BatchBuilder::new(dictionary);
    let mut batches = Vec::new();
    for line in flows.lines() {
        let Record::Response(wire) = record_to_wire(line.as_bytes()).unwrap() else {
            panic!("not a response: {line}");
        };
        let response = GetFlowsResponse::decode(wire.as_slice()).unwrap();
        push_response(&mut builder, &response, || unreachable!("raw is not kept"));
        if builder.is_full() {
            batches.push(builder.finish());
        }
    }
    batches.push(builder.finish());
    batches
}

/// Line numbers that an argument list chooses, or why it is refused.
fn choose(args: &[String], batches: &[FlowBatch]) -> Result<Vec<usize>, String> {
    let args = Tail::try_parse_from(std::iter::once("tail").chain(args.iter().map(String::as_str)))
        .map_err(|error| error.to_string())?;
    let selection = args
        .selection
        .resolve(0)
        .and_then(flowwatch::cli::selection::Selection::for_file)
        .map_err(|error| error.to_string())?;
    let (allow, deny) = args
        .filters
        .filters(|_| None)
        .map_err(|error| error.to_string())?;
    let mut filters = Filters::compile(&allow, &deny).map_err(|error| error.to_string())?;

    let mut chosen = VecDeque::new();
    let mut line = 0;
    for batch in batches {
        let mut notices = batch.notices().iter().peekable();
        for row in 0..=batch.len() {
            while let Some(notice) = notices.next_if(|notice| notice.before_row == row) {
                let time = (notice.time != NO_TIME).then_some(notice.time);
                if selection.covers(time) && filters.keeps_notice(notice) {
                    chosen.push_back(line);
                }
                line += 1;
            }
            if row < batch.len() {
                let row = batch.row(row);
                if selection.covers(row.time()) && filters.matches(row) {
                    chosen.push_back(line);
                }
                line += 1;
            }
        }
    }
    match selection.count {
        Count::First(count) => chosen.truncate(count as usize),
        Count::Last(count) => {
            chosen.drain(..chosen.len().saturating_sub(count as usize));
        }
        Count::All | Count::Unsaid => {}
    }
    Ok(chosen.into())
}
