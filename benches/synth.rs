//! How quick is synthetic traffic, beside a program that only writes JSON?
//!
//! Prints flows a second into batches (target: 500,000 a core), the same as Hubble's JSON
//! lines, and how long `serde_json` takes to write the same lines from values that are made
//! already; the ratios are of one run on one core. M and XL are with churn and disturbances.
//! Then how long each preset takes to set up, and XS as a whole (target: 1 s).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

use std::hint::black_box;
use std::time::Instant;

use flowwatch::synth::{Preset, Traffic};
use flowwatch::wire::json_write::JsonWriter;
use flowwatch::wire::row_write::RowWriter;
use flowwatch::wire::shape;
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2026-01-05, a Monday, at noon.
const NOON: i64 = 1_767_614_400_000_000_000;
const FLOWS: u64 = 400_000;
const ROUNDS: usize = 3;

/// Bytes of lines that are written at once.
const CHUNK: usize = 256 << 10;
/// Bytes of lines that serde_json writes too.
const SAMPLE: usize = 64 << 20;

fn main() {
    let filter = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    let wanted = |name: &str| filter.as_deref().is_none_or(|only| name.starts_with(only));
    for (name, preset) in [
        ("XS", Preset::Xs),
        ("S", Preset::S),
        ("M", Preset::M),
        ("L", Preset::L),
        ("XL", Preset::Xl),
    ] {
        if wanted(name) {
            speed(name, preset);
        }
    }
    if wanted("XS") {
        let began = Instant::now();
        let (settings, seconds) = Preset::Xs.settings();
        let mut traffic = Traffic::new(&settings, 1, NOON, seconds).unwrap();
        drain(&mut traffic);
        println!(
            "XS as a whole: {} flows in {:.2} s (target 1)",
            traffic.flows(),
            began.elapsed().as_secs_f64()
        );
    }
}

fn speed(name: &str, preset: Preset) {
    let (settings, seconds) = preset.settings();
    let began = Instant::now();
    let make = || {
        let traffic = Traffic::new(&settings, 1, NOON, seconds).unwrap();
        traffic.stopping_after(FLOWS)
    };
    drop(make());
    let set_up = began.elapsed().as_secs_f64();
    let batches = best(|| {
        let mut traffic = make();
        let began = Instant::now();
        drain(&mut traffic);
        began.elapsed().as_secs_f64() / traffic.flows() as f64
    });
    let (mut lines, mut wire) = (Vec::new(), Vec::new());
    let (mut rows, mut writer) = (RowWriter::default(), JsonWriter::default());
    let mut sample = Vec::new();
    let json = best(|| {
        let mut traffic = make();
        let began = Instant::now();
        while let Some(batch) = traffic.next_batch() {
            for row in batch.rows() {
                wire.clear();
                rows.write(row, &mut wire);
                writer
                    .write(shape::get_flows_response(), &wire, &mut lines)
                    .unwrap();
                lines.push(b'\n');
            }
            // As they are written to a file: a piece at a time.
            if lines.len() > CHUNK {
                if sample.len() < SAMPLE {
                    sample.extend_from_slice(&lines);
                }
                lines.clear();
            }
            traffic.recycle(batch);
        }
        began.elapsed().as_secs_f64() / traffic.flows() as f64
    });
    let values: Vec<Value> = sample
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let plain = best(|| {
        let began = Instant::now();
        let mut out = Vec::with_capacity(2 * SAMPLE);
        for value in &values {
            serde_json::to_writer(&mut out, value).unwrap();
            out.push(b'\n');
        }
        black_box(out.len());
        began.elapsed().as_secs_f64() / values.len() as f64
    });
    println!(
        "{name}: set up in {set_up:.2} s; into batches {:.0} flows/s (target 500000), {:.2} times as fast as serde_json writes them; as JSON lines {:.0} flows/s, {:.2} times",
        1.0 / batches,
        plain / batches,
        1.0 / json,
        plain / json
    );
}

fn drain(traffic: &mut Traffic) {
    while let Some(batch) = traffic.next_batch() {
        black_box(batch.len());
        traffic.recycle(batch);
    }
}

fn best(mut run: impl FnMut() -> f64) -> f64 {
    (0..ROUNDS).map(|_| run()).fold(f64::INFINITY, f64::min)
}
