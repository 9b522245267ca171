//! What does a flow cost on its way into the archive, out of it, and into a report?
//!
//! Targets on one core: at most 20 bytes a flow without uuid, 1.2 M flows/s written, 3 M/s
//! read with a projection, 1.5 M/s from the archive over verdicts and connections to the
//! report. Flows of the preset L (2,000 workloads), all of it on one thread. Beside what
//! the parquet crate takes for the same columns: its writer and its reader of Arrow
//! columns, neither of which makes rows. A figure is the best of several rounds that take
//! turns. `archive write`, `archive read` and `archive pass` run a part of it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flowwatch::archive::{Store, WriterOptions};
use flowwatch::connection::FoldOptions;
use flowwatch::engine::{BatchJudge, Given, JudgedBatch, Pass, Policies, UNUSED_COLUMNS};
use flowwatch::flow::{Encoder, FlowBatch};
use flowwatch::manifest;
use flowwatch::policy::Options;
use flowwatch::review::report::{Gatherer, Reading, RowReader};
use flowwatch::source::archive::{Archive, Projection, Query};
use flowwatch::synth::{Preset, Traffic};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2026-01-05, a Monday, at ten.
const TEN: i64 = 1_767_607_200_000_000_000;
const FLOWS: u64 = 600_000;
const ROUNDS: usize = 5;

fn main() {
    let only = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.starts_with(only));
    let (settings, seconds) = Preset::L.settings();
    let traffic = Traffic::new(&settings, 1, TEN, seconds).unwrap();
    let mut traffic = traffic.stopping_after(FLOWS);
    let batches: Vec<FlowBatch> = std::iter::from_fn(|| traffic.next_batch()).collect();
    let flows: usize = batches.iter().map(FlowBatch::len).sum();
    let folder = tempfile::tempdir().unwrap();
    write(&batches, folder.path());
    let archive = Archive::open(folder.path()).unwrap();
    let bytes = archive.manifest().bytes() as f64 / flows as f64;
    println!("archive: {flows} flows, {bytes:.1} bytes a flow (target 20)");
    if wanted("write") {
        writing(&batches, flows);
    }
    if wanted("read") {
        reading(&archive, folder.path(), flows);
    }
    if wanted("pass") {
        let policies = (0..ROUNDS).map(|_| policies(&traffic)).collect();
        passing(&archive, policies, flows);
    }
}

fn writing(batches: &[FlowBatch], flows: usize) {
    let [ours, crates] = best([
        &mut || write(batches, tempfile::tempdir().unwrap().path()),
        &mut || write_plainly(batches, tempfile::tempdir().unwrap().path()),
    ]);
    println!(
        "write: {} (target 1.2); columns alone by the parquet crate {}, {:.2} of the time",
        rate(flows, ours),
        rate(flows, crates),
        ours / crates
    );
}

fn reading(archive: &Archive, folder: &Path, flows: usize) {
    let projected = Query {
        projection: Projection::only([
            "verdict",
            "source_namespace",
            "source_workload",
            "destination_namespace",
            "destination_workload",
        ]),
        ..Query::default()
    };
    let [whole, part, crates] = best([
        &mut || assert_eq!(read(archive, &Query::default()), flows),
        &mut || assert_eq!(read(archive, &projected), flows),
        &mut || assert_eq!(read_plainly(archive, folder), flows),
    ]);
    println!(
        "read: {} whole, {} projected (target 3); columns alone by the parquet crate {}, whole rows {:.2} of the time",
        rate(flows, whole),
        rate(flows, part),
        rate(flows, crates),
        whole / crates
    );
}

/// What flows tell is kept with the policies, so that each round has its own.
fn passing(archive: &Archive, mut policies: Vec<Arc<Policies>>, flows: usize) {
    let [plain, judged, read] = best([
        &mut || pass(archive, None, flows),
        &mut || pass(archive, policies.pop().as_ref(), flows),
        &mut || assert_eq!(self::read(archive, &query()), flows),
    ]);
    println!(
        "pass: {} from the archive to the report, {} judged (target 1.5); reading alone {}, {:.0} % and {:.0} % of the time",
        rate(flows, plain),
        rate(flows, judged),
        rate(flows, read),
        100.0 * read / plain,
        100.0 * read / judged
    );
}

/// The least seconds of each.
fn best<const N: usize>(mut runs: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut least = [f64::INFINITY; N];
    for _ in 0..ROUNDS {
        for (run, least) in runs.iter_mut().zip(&mut least) {
            let began = Instant::now();
            run();
            *least = least.min(began.elapsed().as_secs_f64());
        }
    }
    least
}

fn rate(flows: usize, seconds: f64) -> String {
    format!(
        "{:.2} M/s ({:.0} ns)",
        flows as f64 / seconds / 1e6,
        seconds / flows as f64 * 1e9
    )
}

fn write(batches: &[FlowBatch], folder: &Path) {
    let mut store = Store::open(folder).unwrap();
    let mut writer = store.writer(WriterOptions::default());
    for batch in batches {
        writer.push(batch).unwrap();
    }
    let entries = writer.finish().unwrap();
    store.commit(entries, &[]).unwrap();
}

/// The first thing one would write: rows as they come, row groups of as many.
fn write_plainly(batches: &[FlowBatch], folder: &Path) {
    let mut encoder = Encoder::new(false);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap()))
        .set_max_row_group_row_count(Some(64 << 10))
        .build();
    let file = File::create(folder.join("flows.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, encoder.schema(), Some(properties)).unwrap();
    for batch in batches {
        let order: Vec<u32> = (0..batch.len() as u32).collect();
        writer
            .write(&encoder.encode(batch, &order).unwrap())
            .unwrap();
    }
    writer.close().unwrap();
}

fn query() -> Query {
    Query {
        projection: Projection::Without(UNUSED_COLUMNS),
        ..Query::default()
    }
}

fn read(archive: &Archive, query: &Query) -> usize {
    archive
        .scan(query)
        .map(|batch| black_box(batch.unwrap()).len())
        .sum()
}

/// Every column of every file as Arrow has it.
fn read_plainly(archive: &Archive, folder: &Path) -> usize {
    let files = archive.manifest().files.iter();
    let rows = files.map(|entry| {
        let file = File::open(folder.join(&entry.path)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let reader = reader.with_batch_size(64 << 10).build().unwrap();
        reader
            .map(|record| black_box(record.unwrap()).num_rows())
            .sum::<usize>()
    });
    rows.sum()
}

/// What `analyze` does of an archive, on one thread.
fn pass(archive: &Archive, policies: Option<&Arc<Policies>>, flows: usize) {
    let mut judge = policies.cloned().map(BatchJudge::new);
    let mut rows = RowReader::default();
    let mut reading = Reading::default();
    let mut gatherer = Gatherer::default();
    let mut pass = Pass::new(FoldOptions::default());
    for (piece, batch) in (0..).zip(archive.scan(&query())) {
        let batch = batch.unwrap();
        let mut own = Reading::default();
        rows.batch(&batch, &[], &mut own);
        let judged = match &mut judge {
            Some(judge) => {
                judge.begin(piece, 0, std::slice::from_ref(&batch));
                judge.judge(batch, Vec::new())
            }
            None => JudgedBatch::unjudged(batch),
        };
        for notice in judged.batch.notices() {
            reading.notice(notice);
        }
        reading.merge(0, own);
        pass.push(0, judged, &mut gatherer);
    }
    pass.finish(&mut gatherer);
    let report = gatherer.finish(reading, pass.peers(), policies.map(AsRef::as_ref));
    assert_eq!(report.reading.flows, flows as u64);
}

/// The policies of the cluster, compiled.
fn policies(traffic: &Traffic) -> Arc<Policies> {
    let cluster = &traffic.world().cluster;
    let documents = manifest::read(&traffic.policies(), "policies.yaml".into()).documents;
    let mut options = Options::default();
    options.set("cluster-name", cluster).unwrap();
    let policies = Policies::new(Given {
        documents,
        options,
        ..Given::default()
    });
    let _ = policies.cluster(Some(cluster));
    Arc::new(policies)
}
