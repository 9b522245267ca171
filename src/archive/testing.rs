//! Flows for the tests of this room, and what an archive gives back.

use std::path::Path;

use super::{Store, WriterOptions};
use crate::flow::{BatchBuilder, FlowBatch, NO_TIME, Row};
use crate::source::archive::{Archive, Query};
use crate::wire::generate::Generator;
use crate::wire::walk::push_message;

/// 2026-06-01T10:00:00Z in nanoseconds.
pub(super) const TEN: i64 = 1_780_308_000_000_000_000;
/// A second.
pub(super) const SECOND: i64 = 1_000_000_000;

/// Whatever messages the generator makes: flows and notices of any kind.
pub(super) fn generated(seed: u64, messages: usize) -> FlowBatch {
    let mut generator = Generator::new(seed, 0);
    let mut builder = BatchBuilder::default();
    for _ in 0..messages {
        push_message(&mut builder, &generator.response(), || unreachable!()).unwrap();
    }
    builder.finish()
}

/// Flows of a node at the given times.
pub(super) fn at_times(node: &str, times: impl IntoIterator<Item = i64>) -> FlowBatch {
    let mut builder = BatchBuilder::default();
    for (number, time) in (0..).zip(times) {
        let source_ip = builder.interner().text(&format!("10.0.0.{}", number % 7));
        let row = Row {
            time,
            node: builder.interner().text(node),
            source_ip,
            source_port: number,
            ..Row::default()
        };
        builder.push(row, || unreachable!());
    }
    builder.finish()
}

/// The rows of batches by what they say, in the order of the archive.
pub(super) fn described<'a>(batches: impl IntoIterator<Item = &'a FlowBatch>) -> Vec<String> {
    let mut rows: Vec<_> = batches
        .into_iter()
        .flat_map(FlowBatch::rows)
        .map(|row| {
            let text = row.batch().describe(row.index());
            let key = (
                row.time().unwrap_or(NO_TIME),
                row.str(row.node()).to_owned(),
                crate::flow::tuple_hash(row),
            );
            (key, text)
        })
        .collect();
    rows.sort();
    rows.into_iter().map(|(_, text)| text).collect()
}

/// An archive of some flows.
pub(super) fn write(batches: &[FlowBatch]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let mut writer = store.writer(WriterOptions { with_uuid: true });
    for batch in batches {
        writer.push(batch).unwrap();
    }
    let entries = writer.finish().unwrap();
    store.commit(entries, &[]).unwrap();
    folder
}

/// What an archive gives.
pub(super) fn stored(folder: &Path, query: &Query) -> Vec<FlowBatch> {
    let archive = Archive::open(folder).unwrap();
    archive.scan(query).map(Result::unwrap).collect()
}
