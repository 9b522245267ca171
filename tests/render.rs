//! The line formats against what `hubble observe` 1.19 printed for the same flows.
//!
//! A small part of its output is in `data/hubble-lines`. All of it is compared where
//! `FLOWWATCH_GOLDEN`, or `../shared/golden` beside the repository, holds it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing, in its helpers too"
)]

use std::fs;
use std::path::{Path, PathBuf};

use flowwatch::flow::{BatchBuilder, FlowBatch};
use flowwatch::render::{LineFormat, LineOptions, LineRenderer, TableWriter, TimeFormat};
use flowwatch::wire::{json_read, walk};

#[test]
fn lines_are_those_of_hubble() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hubble-lines");
    assert_eq!(compare(&folder), 24);
}

#[test]
fn all_recorded_lines_are_those_of_hubble() {
    let golden = std::env::var_os("FLOWWATCH_GOLDEN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden"),
        PathBuf::from,
    );
    let folder = golden.join("hubble-observe");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return;
    }
    assert_eq!(compare(&folder), 600);
}

/// Compares every format with `format-NN.txt` and returns the number of records.
fn compare(folder: &Path) -> usize {
    let batch = read(&folder.join("flows.jsonl"));
    for (number, options) in formats().into_iter().enumerate() {
        let path = folder.join(format!("format-{number:02}.txt"));
        let expected = fs::read_to_string(&path).expect("the recorded output is readable");
        let printed = String::from_utf8(print(&batch, options)).expect("output is UTF-8");
        for (line, (printed, expected)) in printed.lines().zip(expected.lines()).enumerate() {
            assert_eq!(printed, expected, "{}:{}", path.display(), line + 1);
        }
        assert!(printed == expected, "{}: lengths differ", path.display());
    }
    batch.len() + batch.notices().len()
}

/// The settings of `format-00` to `format-09`.
fn formats() -> [LineOptions; 10] {
    let compact = LineOptions::default();
    let dict = LineOptions {
        format: LineFormat::Dict,
        ..compact
    };
    let table = LineOptions {
        format: LineFormat::Table,
        ..compact
    };
    let numeric = LineOptions {
        ip_translation: false,
        ..compact
    };
    [
        compact,
        LineOptions {
            time_format: TimeFormat::Rfc3339Nano,
            node_name: true,
            ..compact
        },
        LineOptions {
            policy_names: true,
            ..compact
        },
        numeric,
        numeric,
        LineOptions {
            color: true,
            ..compact
        },
        dict,
        LineOptions {
            node_name: true,
            time_format: TimeFormat::Rfc1123Z,
            ..dict
        },
        table,
        LineOptions {
            node_name: true,
            ..table
        },
    ]
}

fn read(path: &Path) -> FlowBatch {
    let text = fs::read_to_string(path).expect("the recorded flows are readable");
    let mut builder = BatchBuilder::default();
    for line in text.lines() {
        let wire = json_read::object_to_wire(line.as_bytes(), "observer.GetFlowsResponse")
            .expect("a recorded line is JSON of a response");
        walk::push_message(&mut builder, &wire, || unreachable!())
            .expect("the reader writes protobuf");
    }
    builder.finish()
}

fn print(batch: &FlowBatch, options: LineOptions) -> Vec<u8> {
    let mut out = Vec::new();
    let mut notices = batch.notices().iter().peekable();
    if options.format == LineFormat::Table {
        let mut table = TableWriter::new(options);
        for index in 0..=batch.len() {
            while let Some(notice) = notices.next_if(|notice| notice.before_row <= index) {
                table.notice(notice).expect("memory is enough");
            }
            if index < batch.len() {
                table.flow(batch.row(index)).expect("memory is enough");
            }
        }
        table.finish(&mut out).expect("a vector takes everything");
    } else {
        let mut renderer = LineRenderer::new(options);
        for index in 0..=batch.len() {
            while let Some(notice) = notices.next_if(|notice| notice.before_row <= index) {
                renderer.notice(notice, &mut out);
            }
            if index < batch.len() {
                renderer.flow(batch.row(index), &mut out);
            }
        }
    }
    out
}
