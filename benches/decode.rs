//! How much less than prost does the walk cost, from bytes to columns?
//!
//! `wire_full`: whole flows of about 1.2 kB (target: a quarter). `wire_masked`: what the
//! default field mask leaves, about 430 B (target: a fifth).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

use std::hint::black_box;
use std::sync::LazyLock;

use divan::counter::{BytesCount, ItemsCount};
use flowwatch::flow::{BatchBuilder, Raw};
use flowwatch::wire::walk::{DecodeError, push_by_prost, push_message};

mod common;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Push = fn(&mut BatchBuilder, &[u8], fn() -> Raw) -> Result<(), DecodeError>;

const WALK: Push = |builder, message, raw| push_message(builder, message, raw);
const PROST: Push = |builder, message, raw| push_by_prost(builder, message, raw);
/// Few enough to stay in cache, as messages do that were just received.
const FLOWS: usize = 4_000;

static FULL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| common::full(FLOWS));
static MASKED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| common::masked(FLOWS));

fn decode(builder: &mut BatchBuilder, messages: &[Vec<u8>], push: Push) {
    let raw: fn() -> Raw = || Raw::Message(bytes::Bytes::new());
    for message in messages {
        push(builder, message, raw).unwrap();
        if builder.is_full() {
            let batch = black_box(builder.finish());
            builder.recycle(batch);
        }
    }
}

fn run(bencher: divan::Bencher<'_, '_>, messages: &[Vec<u8>], push: Push) {
    let mut builder = BatchBuilder::default();
    bencher
        .counter(ItemsCount::new(messages.len()))
        .counter(BytesCount::new(size(messages)))
        .bench_local(|| decode(&mut builder, messages, push));
}

fn size(messages: &[Vec<u8>]) -> usize {
    messages.iter().map(Vec::len).sum()
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn wire_full_by_walk(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &FULL, WALK);
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn wire_full_by_prost(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &FULL, PROST);
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn wire_masked_by_walk(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &MASKED, WALK);
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn wire_masked_by_prost(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &MASKED, PROST);
}

fn main() {
    divan::main();
    // With a filter, only what it asks for.
    if std::env::args().any(|argument| argument.starts_with("wire")) {
        return;
    }
    for (name, messages, target) in [("wire_full", &FULL, 0.25), ("wire_masked", &MASKED, 0.2)] {
        let (mut walked, mut decoded) = (BatchBuilder::default(), BatchBuilder::default());
        let result = common::compare(
            25,
            || decode(&mut walked, messages, WALK),
            || decode(&mut decoded, messages, PROST),
        );
        println!(
            "{name}: walk / prost = {:.3} (target {target}); {:.0} ns and {:.0} ns a flow of {} B",
            result.ratio,
            result.first.as_nanos() as f64 / FLOWS as f64,
            result.second.as_nanos() as f64 / FLOWS as f64,
            size(messages) / FLOWS,
        );
    }
}
