//! What does a flow cost in the archive: bytes, and time to write and to read?
//!
//! Targets on one core: at most 20 bytes a flow without uuid, 1.2 M flows/s written,
//! 3 M/s read with a projection. Traffic is that of `common`; a divan run per question,
//! and the bytes are printed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::LazyLock;

use divan::counter::ItemsCount;
use flowwatch::archive::{Store, WriterOptions};
use flowwatch::flow::{BatchBuilder, FlowBatch, Raw};
use flowwatch::source::archive::{Archive, Projection, Query};
use flowwatch::wire::walk::push_message;
use prost::Message;

mod common;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FLOWS: usize = 400_000;

static BATCHES: LazyLock<Vec<FlowBatch>> = LazyLock::new(|| {
    let mut builder = BatchBuilder::default();
    let mut batches = Vec::new();
    for flow in common::flows(FLOWS, 9) {
        let raw = || Raw::Message(bytes::Bytes::new());
        push_message(&mut builder, &flow.encode_to_vec(), raw).unwrap();
        if builder.is_full() {
            batches.push(builder.finish());
        }
    }
    batches.push(builder.finish());
    batches
});

static WRITTEN: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    folder
});

fn write(folder: &Path) {
    let mut store = Store::open(folder).unwrap();
    let mut writer = store.writer(WriterOptions::default());
    for batch in BATCHES.iter() {
        writer.push(batch).unwrap();
    }
    let entries = writer.finish().unwrap();
    store.commit(entries, &[]).unwrap();
}

fn read(query: &Query) -> usize {
    let archive = Archive::open(WRITTEN.path()).unwrap();
    archive
        .scan(query)
        .map(|batch| black_box(batch.unwrap()).len())
        .sum()
}

fn main() {
    let archive = Archive::open(WRITTEN.path()).unwrap();
    let manifest = archive.manifest();
    println!(
        "{:.1} bytes a flow",
        manifest.bytes() as f64 / manifest.rows() as f64
    );
    divan::main();
}

#[divan::bench(sample_count = 5)]
fn archive_write(bencher: divan::Bencher<'_, '_>) {
    LazyLock::force(&BATCHES);
    bencher
        .counter(ItemsCount::new(FLOWS))
        .with_inputs(|| tempfile::tempdir().unwrap())
        .bench_local_values(|folder| write(folder.path()));
}

#[divan::bench(sample_count = 5)]
fn archive_read_whole(bencher: divan::Bencher<'_, '_>) {
    LazyLock::force(&WRITTEN);
    bencher
        .counter(ItemsCount::new(FLOWS))
        .bench_local(|| read(&Query::default()));
}

#[divan::bench(sample_count = 5)]
fn archive_read_projected(bencher: divan::Bencher<'_, '_>) {
    LazyLock::force(&WRITTEN);
    let query = Query {
        projection: Projection::only([
            "verdict",
            "source_namespace",
            "source_workload",
            "destination_namespace",
            "destination_workload",
        ]),
        ..Query::default()
    };
    bencher
        .counter(ItemsCount::new(FLOWS))
        .bench_local(|| read(&query));
}
