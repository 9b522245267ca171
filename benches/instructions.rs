//! How many instructions does a flow take, step by step?
//!
//! A thousand flows or verdicts each under valgrind, whose counts do not move with what
//! else the machine does: divide by a thousand. Dictionaries and the memo know what comes,
//! as they do in a run. Needs valgrind and the runner of the same version as the library:
//! `cargo install gungraun-runner`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::hint::black_box;

use bytes::Bytes;
use flowwatch::flow::{BatchBuilder, Raw};
use flowwatch::policy::{Compiled, Memo, Question};
use flowwatch::source::file::{Chunk, LineDecoder};
use flowwatch::wire::walk::{push_by_prost, push_message};
use gungraun::prelude::*;

mod common;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COUNT: usize = 1_000;

/// A builder that has seen the messages.
fn decoded(messages: Vec<Vec<u8>>) -> (BatchBuilder, Vec<Vec<u8>>) {
    let mut builder = BatchBuilder::default();
    for message in &messages {
        push_message(&mut builder, message, raw).unwrap();
    }
    let batch = builder.finish();
    builder.recycle(batch);
    (builder, messages)
}

/// Not called: nothing keeps its message.
fn raw() -> Raw {
    Raw::Message(Bytes::new())
}

#[library_benchmark]
#[bench::masked(decoded(common::masked(COUNT)))]
#[bench::full(decoded(common::full(COUNT)))]
fn wire_by_walk(input: (BatchBuilder, Vec<Vec<u8>>)) -> (BatchBuilder, Vec<Vec<u8>>) {
    let (mut builder, messages) = input;
    for message in &messages {
        push_message(&mut builder, black_box(message), raw).unwrap();
    }
    (builder, messages)
}

#[library_benchmark]
#[bench::masked(decoded(common::masked(COUNT)))]
#[bench::full(decoded(common::full(COUNT)))]
fn wire_by_prost(input: (BatchBuilder, Vec<Vec<u8>>)) -> (BatchBuilder, Vec<Vec<u8>>) {
    let (mut builder, messages) = input;
    for message in &messages {
        push_by_prost(&mut builder, black_box(message), raw).unwrap();
    }
    (builder, messages)
}

/// A decoder that has seen the lines.
fn read(lines: Vec<u8>) -> (LineDecoder, Chunk) {
    let chunk = Chunk {
        bytes: Bytes::from(lines),
        dropped: 0,
        damaged: None,
    };
    let mut decoder = LineDecoder::default();
    decoder.decode(&chunk, flowwatch::source::file::LineDecoder::recycle);
    (decoder, chunk)
}

#[library_benchmark]
#[bench::lines(read(common::lines(COUNT)))]
fn json_by_scan(input: (LineDecoder, Chunk)) -> (LineDecoder, Chunk) {
    let (mut decoder, chunk) = input;
    decoder.decode(
        black_box(&chunk),
        flowwatch::source::file::LineDecoder::recycle,
    );
    (decoder, chunk)
}

type Judged = (Memo, Compiled, Vec<Question>);

/// A memo that has decided the questions.
fn asked() -> Judged {
    let cluster = common::cluster::Cluster::new(200, 100);
    let compiled = cluster.compiled(cluster.set());
    let mut questions = cluster.traffic();
    questions.truncate(COUNT);
    let mut memo = Memo::new();
    for &question in &questions {
        memo.decide(&compiled, question);
    }
    (memo, compiled, questions)
}

#[library_benchmark]
#[bench::traffic(asked())]
fn verdict_warm(input: Judged) -> Judged {
    let (mut memo, compiled, questions) = input;
    for &question in &questions {
        black_box(memo.decide(&compiled, black_box(question)));
    }
    (memo, compiled, questions)
}

library_benchmark_group!(
    name = instructions,
    benchmarks = [wire_by_walk, wire_by_prost, json_by_scan, verdict_warm]
);

main!(library_benchmark_groups = instructions);
