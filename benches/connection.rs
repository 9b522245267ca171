//! What does folding flows into connections cost, and how much memory does it take?
//!
//! `rows`: flows of the preset S that are in memory already, with what its policies say of
//! each, folded (target: 250 ns a flow), beside a map from the tuple as text to the rows of
//! it, which tells no two connections of one tuple apart. A figure is the least of several
//! rounds that take turns. `memory`: two million connections at once, a third of them
//! refused, and what the process has grown by; an open one is to take 300 bytes at most.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use flowwatch::connection::{Computed, Fold, FoldOptions, JudgedSide};
use flowwatch::engine::{Agreement, Given, Judge, Policies};
use flowwatch::flow::{
    BatchBuilder, Direction, DropReason, EventType, FlowBatch, FlowType, Protocol, Raw, Reply, Row,
    RowRef, TracePoint, TraceReason, Verdict, flags,
};
use flowwatch::manifest;
use flowwatch::policy::Options;
use flowwatch::synth::{Preset, Traffic};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2026-01-05, a Monday, at noon.
const NOON: i64 = 1_767_614_400_000_000_000;
const FLOWS: u64 = 400_000;
const ROUNDS: usize = 7;
const CONNECTIONS: usize = 2_000_000;

fn main() {
    let only = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.starts_with(only));
    if wanted("rows") {
        rows();
    }
    if wanted("memory") {
        memory();
    }
}

fn rows() {
    let (settings, seconds) = Preset::S.settings();
    let traffic = Traffic::new(&settings, 1, NOON, seconds).unwrap();
    let mut traffic = traffic.stopping_after(FLOWS);
    let batches: Vec<FlowBatch> = std::iter::from_fn(|| traffic.next_batch()).collect();
    let count: usize = batches.iter().map(FlowBatch::len).sum();
    let judged = judged(&traffic, &batches);
    let (mut fold, mut bare, mut naive) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    let (mut connections, mut tuples) = (0, 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        connections = folded(&batches, &judged);
        fold = fold.min(began.elapsed().as_secs_f64());
        let began = Instant::now();
        black_box(folded(&batches, &[]));
        bare = bare.min(began.elapsed().as_secs_f64());
        let began = Instant::now();
        tuples = by_text(&batches);
        naive = naive.min(began.elapsed().as_secs_f64());
    }
    let each = |seconds: f64| seconds / count as f64 * 1e9;
    println!(
        "rows: {count} flows, {connections} connections and exchanges of {tuples} tuples; folded with what was judged {:.0} ns a flow (target 250), without {:.0} ns; by text {:.0} ns, {:.1} times",
        each(fold),
        each(bare),
        each(naive),
        naive / fold
    );
}

/// What comes out, counted.
fn folded(batches: &[FlowBatch], judged: &[Vec<Option<JudgedSide>>]) -> usize {
    let mut fold = Fold::default();
    let mut count = 0;
    let mut out = |folded| {
        black_box(&folded);
        count += 1;
    };
    for (at, batch) in batches.iter().enumerate() {
        let judged = judged.get(at);
        for row in batch.rows() {
            let side = judged.and_then(|judged| judged[row.index()]);
            fold.push(row, side, &mut out);
        }
    }
    fold.finish(&mut out);
    count
}

/// The first thing one would write.
fn by_text(batches: &[FlowBatch]) -> usize {
    let mut tuples: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
    for (at, batch) in batches.iter().enumerate() {
        for row in batch.rows() {
            let source = format!("{}:{}", row.str(row.source_ip()), row.source_port());
            let destination = format!(
                "{}:{}",
                row.str(row.destination_ip()),
                row.destination_port()
            );
            let protocol = row.protocol();
            let key = if source <= destination {
                format!("{protocol:?} {source} {destination}")
            } else {
                format!("{protocol:?} {destination} {source}")
            };
            tuples.entry(key).or_default().push((at, row.index()));
        }
    }
    black_box(&tuples).len()
}

/// What the policies say of every flow.
fn judged(traffic: &Traffic, batches: &[FlowBatch]) -> Vec<Vec<Option<JudgedSide>>> {
    let documents = manifest::read(&traffic.policies(), "policies.yaml".into()).documents;
    let mut options = Options::default();
    options
        .set("cluster-name", &traffic.world().cluster)
        .unwrap();
    let given = Given {
        documents,
        options,
        names_complete: true,
        ..Given::default()
    };
    let mut judge = Judge::new(Arc::new(Policies::new(given)));
    let mut side = |row: RowRef<'_>| {
        let judgement = judge.judge(row);
        let computed = judgement.computed.as_ref()?;
        Some(JudgedSide {
            direction: computed.direction,
            computed: Some(Computed {
                cluster: computed.cluster as u32,
                subject: computed.subject,
                decision: computed.decision,
                verdict: computed.verdict,
            }),
            gap: judgement.gap,
            drift: judgement.agreement == Agreement::Drift,
            changed: false,
            unknown: match judgement.agreement {
                Agreement::Unknown(cause) => Some(cause),
                _ => None,
            },
            mark: 0,
        })
    };
    batches
        .iter()
        .map(|batch| batch.rows().map(&mut side).collect())
        .collect()
}

fn memory() {
    let options = FoldOptions {
        connections: CONNECTIONS,
        ..FoldOptions::default()
    };
    let mut fold = Fold::new(options);
    let mut builder = BatchBuilder::default();
    let mut came = 0;
    let before = resident();
    for first in (0..CONNECTIONS).step_by(4_096) {
        for number in first..(first + 4_096).min(CONNECTIONS) {
            opened(number, &mut builder);
        }
        let batch = builder.finish();
        for row in batch.rows() {
            fold.push(row, None, &mut |_| came += 1);
        }
        builder.recycle(batch);
    }
    let grown = resident().saturating_sub(before);
    let open = fold.open();
    println!(
        "memory: {open} connections open, {came} came out; {} MB more, {:.0} bytes each (target 300)",
        grown >> 20,
        grown as f64 / open as f64
    );
}

/// The flows of a connection that begins: refused, or let pass and answered.
fn opened(number: usize, builder: &mut BatchBuilder) {
    let interner = builder.interner();
    let client = format!("10.{}.{}.9", number / 50_000 / 250, number / 50_000 % 250);
    let row = Row {
        time: NOON + number as i64 * 10_000,
        flow_type: FlowType::L3_L4,
        verdict: Verdict::FORWARDED,
        protocol: Protocol::Tcp,
        source_port: 10_000 + (number % 50_000) as u32,
        destination_port: 443,
        node: interner.text("bench/worker-1"),
        source_ip: interner.text(&client),
        destination_ip: interner.text("10.200.0.1"),
        flags: flags::HAS_L4 | flags::HAS_IP | flags::HAS_EVENT_TYPE | flags::HAS_TCP_FLAGS,
        ..Row::default()
    };
    let mut rows = Vec::with_capacity(2);
    if number.is_multiple_of(3) {
        for kind in [EventType::POLICY_VERDICT, EventType::DROP] {
            rows.push(Row {
                verdict: Verdict::DROPPED,
                drop_reason: DropReason::POLICY_DENIED,
                direction: Direction::EGRESS,
                event_type: kind.0,
                flags: row.flags | flags::SYN,
                ..row.clone()
            });
        }
    } else {
        let trace = Row {
            event_type: EventType::TRACE.0,
            direction: Direction::EGRESS,
            trace_point: TracePoint::TO_STACK,
            trace_reason: TraceReason::NEW,
            reply: Reply::No,
            flags: row.flags | flags::SYN,
            ..row
        };
        rows.push(trace.clone());
        rows.push(Row {
            source_ip: trace.destination_ip,
            destination_ip: trace.source_ip,
            source_port: trace.destination_port,
            destination_port: trace.source_port,
            trace_point: TracePoint::TO_ENDPOINT,
            trace_reason: TraceReason::REPLY,
            reply: Reply::Yes,
            flags: trace.flags | flags::ACK,
            ..trace
        });
    }
    for row in rows {
        builder.push(row, || Raw::Message(bytes::Bytes::new()));
    }
}

/// Memory that the process has, in bytes; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() << 10
}
