//! A recording in which pods come and go, for watching a client's memory.
//!
//! Not run by itself: `FLOWWATCH_CHURN=<file> cargo test --test main churn -- --ignored`
//! writes ten minutes of flows, which `flowwatch serve --replay-speed 1` gives out as
//! they came. What memory did with them is told in `docs/performance.md`.

use std::fs::File;
use std::io::{BufWriter, Write};

/// Ten minutes at 2,000 flows a second.
const SECONDS: u64 = 600;
const FLOWS: u64 = SECONDS * 2_000;
/// Pods that exist at some time, and at any time.
const PODS: u64 = 100_000;
const ALIVE: u64 = 2_000;

#[test]
#[ignore = "writes to FLOWWATCH_CHURN"]
fn pods_come_and_go() {
    let path = std::env::var_os("FLOWWATCH_CHURN").expect("FLOWWATCH_CHURN names a file");
    let mut out = BufWriter::new(File::create(path).unwrap());
    let mut seed = 42;
    for number in 0..FLOWS {
        let oldest = number * (PODS - ALIVE) / FLOWS;
        let source = oldest + random(&mut seed) % ALIVE;
        let destination = oldest + random(&mut seed) % ALIVE;
        write_flow(&mut out, number, source, destination).unwrap();
    }
    out.flush().unwrap();
}

fn write_flow(
    out: &mut impl Write,
    number: u64,
    source: u64,
    destination: u64,
) -> std::io::Result<()> {
    let nanos = number * SECONDS * 1_000_000_000 / FLOWS;
    let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let time = format!(
        "2026-01-01T00:{:02}:{:02}.{fraction:09}Z",
        seconds / 60,
        seconds % 60
    );
    let node = source % 20;
    let verdict = if number.is_multiple_of(10) {
        "DROPPED"
    } else {
        "FORWARDED"
    };
    let flags = if number.is_multiple_of(2) {
        "SYN"
    } else {
        "ACK"
    };
    let port = 1024 + number % 60_000;
    writeln!(
        out,
        r#"{{"flow":{{"time":"{time}","uuid":"{number:08x}-0000-4000-8000-{source:012x}","verdict":"{verdict}","IP":{{"source":"{}","destination":"{}","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":{port},"destination_port":8080,"flags":{{"{flags}":true}}}}}},"source":{},"destination":{},"Type":"L3_L4","node_name":"node-{node}","event_type":{{"type":4}},"traffic_direction":"EGRESS","trace_observation_point":"TO_ENDPOINT","is_reply":false,"Summary":"TCP Flags: {flags}"}},"node_name":"node-{node}","time":"{time}"}}"#,
        address(source),
        address(destination),
        endpoint(source),
        endpoint(destination),
    )
}

/// A pod that shares nothing but its namespace with others.
fn endpoint(pod: u64) -> String {
    let team = pod % 50;
    format!(
        r#"{{"ID":{},"identity":{},"cluster_name":"default","namespace":"team-{team}","labels":["k8s:app.kubernetes.io/name=job-{pod}","k8s:batch.kubernetes.io/controller-uid={:08x}-7d9f-4b6c-8d5d-{pod:012x}","k8s:batch.kubernetes.io/job-name=job-{pod}","k8s:io.cilium.k8s.policy.cluster=default","k8s:io.kubernetes.pod.namespace=team-{team}"],"pod_name":"job-{pod}-{:05x}","workloads":[{{"name":"job-{pod}","kind":"Job"}}]}}"#,
        pod % 60_000 + 1,
        20_000 + pod,
        pod.wrapping_mul(2_654_435_761) & 0xffff_ffff,
        pod.wrapping_mul(40_503) & 0xf_ffff,
    )
}

fn address(pod: u64) -> String {
    format!("10.{}.{}.{}", pod >> 16, pod >> 8 & 255, pod & 255)
}

/// Numbers that look random and are the same in every run.
fn random(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}
