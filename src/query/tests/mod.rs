//! Questions against plain computations over the lines of the sample, and connections
//! against what `analyze` counts.
//!
//! Owns how tests make archives, ask and compare; the tests are in the modules.

mod answers;
mod connections;
mod flows;
mod plain;
mod reads;
mod safety;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::archive::{Store, WriterOptions};
use crate::flow::BatchBuilder;
use crate::render::{RowFormat, RowWriter};
use crate::source::file::{ChunkReader, LineDecoder};

/// An archive of JSON lines.
fn archive(lines: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let mut writer = store.writer(WriterOptions { with_uuid: true });
    let mut decoder = LineDecoder::new(BatchBuilder::default());
    let mut reader = ChunkReader::new(lines.as_bytes());
    while let Some(chunk) = reader.next_chunk() {
        decoder.decode(&chunk, |_, batch| writer.push(&batch).unwrap());
    }
    let entries = writer.finish().unwrap();
    store.commit(entries, &[]).unwrap();
    folder
}

fn sample() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/shop.jsonl");
    fs::read_to_string(path).unwrap()
}

fn session(folder: &Path, condition: Option<&str>, flags: &[(&str, &[&str])]) -> Session {
    let selection = Selection {
        condition: condition.map(str::to_owned),
        flags: flags
            .iter()
            .map(|(flag, values)| {
                let values = values.iter().map(|value| (*value).to_owned());
                ((*flag).to_owned(), values.collect())
            })
            .collect(),
        ..Selection::default()
    };
    Session::open(folder, selection).unwrap()
}

fn all(folder: &Path) -> Session {
    session(folder, None, &[])
}

/// Rows of an answer as objects.
fn rows(answer: Answer) -> Vec<Value> {
    let mut text = Vec::new();
    let mut writer = RowWriter::new(RowFormat::Json, answer.schema(), &mut text).unwrap();
    answer
        .run(|batch| {
            writer.batch(batch).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    writer.finish().unwrap();
    let text = String::from_utf8(text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sorted(mut rows: Vec<Value>) -> Vec<String> {
    rows.iter_mut().for_each(Value::sort_all_objects);
    let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    rows.sort();
    rows
}

fn canned(folder: &Path, name: &str, parameters: &[&str]) -> Vec<Value> {
    let parameters: Vec<String> = parameters.iter().map(|&text| text.to_owned()).collect();
    rows(all(folder).canned(name, &parameters).unwrap())
}
