//! Recordings through the transcoders: what Hubble printed comes back.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says so by failing, or that it was skipped, in its helpers too"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use flowwatch::{
    proto::observer::GetFlowsResponse,
    wire::{
        json_read::{ReadOptions, ReadReport, Record, read_record},
        json_write::wire_to_json,
        shape,
    },
};
use prost::Message as _;
use serde_json::Value;

/// A folder of the shared material, where this machine has it.
fn shared(variable: &str, name: &str) -> Option<PathBuf> {
    let beside = || {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared")
            .join(name)
    };
    let folder = env::var_os(variable).map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: {variable} is not set and {} is absent",
        folder.display()
    );
    None
}

fn response(text: &[u8]) -> (Vec<u8>, ReadReport) {
    match read_record(text, &ReadOptions::default()) {
        Ok((Record::Response(wire) | Record::BareFlow(wire), report)) => (wire, report),
        other => panic!("{other:?} of {}", String::from_utf8_lossy(text)),
    }
}

fn printed(wire: &[u8]) -> String {
    let mut out = Vec::new();
    wire_to_json(shape::get_flows_response(), wire, &mut out).expect("a response");
    String::from_utf8(out).expect("text")
}

#[test]
fn what_hubble_printed_comes_back() {
    let Some(golden) = shared("FLOWWATCH_GOLDEN", "golden") else {
        return;
    };
    let read = |name: &str| {
        fs::read_to_string(golden.join("hubble-observe").join(name)).expect("a golden file")
    };
    let (flows, hubble) = (read("flows.jsonl"), read("format-10.txt"));
    assert_eq!(flows.lines().count(), hubble.lines().count());
    for (line, expected) in flows.lines().zip(hubble.lines()) {
        let (wire, report) = response(line.as_bytes());
        assert_eq!(report, ReadReport::default(), "{line}");
        let decoded = GetFlowsResponse::decode(wire.as_slice()).expect("a response");
        assert_eq!(decoded.encode_to_vec(), wire, "{line}");
        let ours = printed(&wire);
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(value(&ours), value(expected));
        // Only values are promised, but an equal order is what a person compares by.
        assert_eq!(ours, expected);
    }
}

#[test]
fn every_object_of_the_corpus_reads() {
    let Some(corpus) = shared("FLOWWATCH_CORPUS", "corpus") else {
        return;
    };
    let mut objects = 0;
    for entry in fs::read_dir(corpus.join("flows")).expect("recordings") {
        let path = entry.expect("a file").path();
        let text = fs::read(&path).expect("a recording");
        for value in serde_json::Deserializer::from_slice(&text).into_iter::<Value>() {
            let records = match value.expect("JSON") {
                Value::Array(records) => records,
                record => vec![record],
            };
            for record in records {
                let (wire, report) = response(record.to_string().as_bytes());
                assert_eq!(report.unknown_enums, 0, "{}", path.display());
                GetFlowsResponse::decode(wire.as_slice()).expect("a response");
                let again = response(printed(&wire).as_bytes());
                assert_eq!(again, (wire, ReadReport::default()));
                objects += 1;
            }
        }
    }
    assert!(objects > 18, "{objects}");
}
