//! What does `flowwatch tail` cost over gRPC, beside a client that only counts messages?
//!
//! Asks the Observer at `FLOWWATCH_BENCH_SERVER` (it has to end its stream, as `flowgen
//! -mode serve` does) in turn: a client of ours that counts raw messages, `flowwatch
//! tail` in compact, and the real Hubble CLI where `FLOWWATCH_HUBBLE` or the user's cache
//! has it. Prints medians and ratios (targets: 75 % of the counting client, 6 times the
//! Hubble CLI). Says so and ends where there is no server.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flowwatch::proto::observer::GetFlowsRequest;
use flowwatch::source::observer::{ConnectConfig, ObserverSource};
use tokio_stream::StreamExt;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;

fn main() {
    let Ok(server) = std::env::var("FLOWWATCH_BENCH_SERVER") else {
        println!("skipped: FLOWWATCH_BENCH_SERVER is not set");
        return;
    };
    let hubble = std::env::var_os("FLOWWATCH_HUBBLE").map_or_else(
        || {
            PathBuf::from(std::env::var("HOME").unwrap_or_default())
                .join(".cache/flowwatch-peer/hubble")
        },
        PathBuf::from,
    );
    let (mut raw, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut messages = 0;
    for _ in 0..ROUNDS {
        let (count, took) = count(&server);
        messages = count;
        raw.push(took);
        let tail = [
            "tail",
            "-q",
            "--no-follow",
            "--all",
            "-o",
            "compact",
            "--server",
            &server,
        ];
        ours.push(time(
            Command::new(env!("CARGO_BIN_EXE_flowwatch")).args(tail),
        ));
        if hubble.exists() {
            let observe = ["observe", "--all", "-o", "compact", "--server", &server];
            theirs.push(time(Command::new(&hubble).args(observe)));
        }
    }
    let rate = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        messages as f64 / times[times.len() / 2].as_secs_f64()
    };
    let (raw, ours) = (rate(&mut raw), rate(&mut ours));
    println!("{messages} messages: counted {raw:.0}/s, tail compact {ours:.0}/s");
    println!("tail / counting client = {:.2} (target 0.75)", ours / raw);
    if !theirs.is_empty() {
        let theirs = rate(&mut theirs);
        println!(
            "tail / Hubble CLI = {:.1} (target 6; Hubble CLI {theirs:.0}/s)",
            ours / theirs
        );
    }
}

/// Reads the whole stream and counts; a connection is made first, as `tail` makes one.
fn count(server: &str) -> (u64, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let began = Instant::now();
        let source = ObserverSource::connect(ConnectConfig::new(server.parse().unwrap()))
            .await
            .unwrap();
        let request = GetFlowsRequest {
            number: u64::MAX,
            ..GetFlowsRequest::default()
        };
        let mut stream = source.raw_flows(request).await.unwrap().value;
        let mut count = 0;
        while let Some(message) = stream.next().await {
            message.unwrap();
            count += 1;
        }
        (count, began.elapsed())
    })
}

fn time(command: &mut Command) -> Duration {
    let began = Instant::now();
    let status = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command:?}");
    began.elapsed()
}
