//! How much less than `serde_json::Value` does a line cost, from text to columns?
//!
//! Lines of about 1.56 kB, both sides on mimalloc (target: 1.4 times as fast at least,
//! wanted 3), and what a second thread adds (target: 85 % of what it adds to a loop that
//! only computes).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use flowwatch::source::file::{Chunk, LineDecoder};
use serde_json::Value;

mod common;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FLOWS: usize = 16_000;

static LINES: LazyLock<Chunk> = LazyLock::new(|| Chunk {
    bytes: Bytes::from(common::lines(FLOWS)),
    dropped: 0,
    damaged: None,
});

fn decode(decoder: &mut LineDecoder, chunk: &Chunk) {
    let mut rows = 0;
    let report = decoder.decode(chunk, |decoder, batch| {
        rows += batch.len();
        decoder.recycle(black_box(batch));
    });
    assert_eq!((rows, report.skips.is_empty()), (FLOWS, true));
}

fn parse(chunk: &Chunk) {
    for line in chunk.bytes.split(|&byte| byte == b'\n') {
        if !line.is_empty() {
            black_box(serde_json::from_slice::<Value>(line).unwrap());
        }
    }
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn json_lines_to_columns(bencher: divan::Bencher<'_, '_>) {
    let mut decoder = LineDecoder::default();
    bencher
        .counter(ItemsCount::new(FLOWS))
        .counter(BytesCount::new(LINES.bytes.len()))
        .bench_local(|| decode(&mut decoder, &LINES));
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn json_lines_to_value(bencher: divan::Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(FLOWS))
        .counter(BytesCount::new(LINES.bytes.len()))
        .bench_local(|| parse(&LINES));
}

/// Throughput of two threads over that of one, each thread with work of its own.
fn scaling(work: impl Fn() + Sync) -> f64 {
    let alone = || {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    let together = || {
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(&work);
            scope.spawn(&work);
        });
        start.elapsed()
    };
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        ones.push(alone());
        twos.push(together());
    }
    2.0 * median(ones) / median(twos)
}

fn main() {
    divan::main();
    let mut decoder = LineDecoder::default();
    let result = common::compare(25, || parse(&LINES), || decode(&mut decoder, &LINES));
    println!(
        "json_lines: Value / columns = {:.2} (target 1.4, wanted 3); {:.0} ns and {:.0} ns a line of {} B",
        result.ratio,
        result.first.as_nanos() as f64 / FLOWS as f64,
        result.second.as_nanos() as f64 / FLOWS as f64,
        LINES.bytes.len() / FLOWS,
    );
    let decoding = scaling(|| {
        let mut decoder = LineDecoder::default();
        for _ in 0..8 {
            decode(&mut decoder, &LINES);
        }
    });
    let control = scaling(|| {
        let mut random = common::Random::new();
        for _ in 0..60_000_000 {
            black_box(random.next());
        }
    });
    println!(
        "json_lines: two threads / one = {decoding:.2}, a loop {control:.2}: {:.0} % (target 85 %)",
        100.0 * decoding / control
    );
}
