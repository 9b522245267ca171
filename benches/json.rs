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
use flowwatch::proto::flow::{Endpoint, layer4};
use flowwatch::source::file::{Chunk, LineDecoder};
use serde_json::{Value, json};

mod common;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FLOWS: usize = 16_000;

static LINES: LazyLock<Chunk> = LazyLock::new(|| Chunk {
    bytes: Bytes::from(lines()),
    dropped: 0,
    damaged: None,
});

/// The lines Hubble's exporter would write of the flows.
fn lines() -> Vec<u8> {
    let endpoint = |endpoint: &Option<Endpoint>| {
        let endpoint = endpoint.as_ref().unwrap();
        let workload = &endpoint.workloads[0];
        json!({
            "ID": endpoint.id, "identity": endpoint.identity, "cluster_name": endpoint.cluster_name,
            "namespace": endpoint.namespace, "labels": endpoint.labels,
            "pod_name": endpoint.pod_name,
            "workloads": [{"name": workload.name, "kind": workload.kind}],
        })
    };
    let mut text = Vec::new();
    for mut response in common::flows(FLOWS, 6) {
        let flow = common::flow_of(&mut response).unwrap();
        let stamp = flow.time.as_ref().unwrap();
        let time = jiff::Timestamp::new(stamp.seconds, stamp.nanos)
            .unwrap()
            .to_string();
        let (ip, ethernet) = (flow.ip.as_ref().unwrap(), flow.ethernet.as_ref().unwrap());
        let Some(layer4::Protocol::Tcp(tcp)) = &flow.l4.as_ref().unwrap().protocol else {
            unreachable!("the flows are TCP");
        };
        let event = flow.event_type.as_ref().unwrap();
        let mut json = json!({
            "time": time, "uuid": flow.uuid, "verdict": flow.verdict().as_str_name(),
            "ethernet": {"source": ethernet.source, "destination": ethernet.destination},
            "IP": {"source": ip.source, "destination": ip.destination, "ipVersion": "IPv4"},
            "l4": {"TCP": {"source_port": tcp.source_port,
                "destination_port": tcp.destination_port, "flags": {"SYN": true}}},
            "source": endpoint(&flow.source), "destination": endpoint(&flow.destination),
            "Type": "L3_L4", "node_name": flow.node_name,
            "event_type": {"type": event.r#type, "sub_type": event.sub_type},
            "traffic_direction": "INGRESS",
        });
        let object = json.as_object_mut().unwrap();
        match flow.is_reply {
            None => {
                object.insert("drop_reason_desc".to_owned(), json!("POLICY_DENIED"));
            }
            Some(reply) => {
                object.insert("trace_observation_point".to_owned(), json!("TO_ENDPOINT"));
                object.insert("trace_reason".to_owned(), json!("NEW"));
                object.insert("is_reply".to_owned(), json!(reply));
            }
        }
        object.insert("Summary".to_owned(), json!(flow.summary));
        let line = json!({"flow": json, "node_name": response.node_name, "time": time});
        serde_json::to_writer(&mut text, &line).unwrap();
        text.push(b'\n');
    }
    text
}

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
