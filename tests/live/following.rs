//! Streams that go on: Ctrl-C, cuts, and servers that come back.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{SHOP, Server};
use crate::support::flowwatch;

const SINCE: &str = "--since 2026-06-16T14:00:00Z";

/// The flows of the sample, without what is no flow.
fn flows() -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(SHOP)).unwrap();
    let flows = text.lines().filter(|line| line.starts_with("{\"flow\""));
    flows.map(str::to_owned).collect()
}

/// What they look like.
fn lines(flows: &[String]) -> Vec<String> {
    let ran = flowwatch()
        .args("tail -q -")
        .stdin(flows.join("\n"))
        .run()
        .exit(0);
    ran.lines().into_iter().map(str::to_owned).collect()
}

#[test]
fn an_interrupt_ends_a_followed_stream_well() {
    let server = Server::new(SHOP);
    for (args, shown) in [("", 0), ("--last 4 -f", 4), ("-o json --last 2 -f", 2)] {
        let mut run = server.ask("tail").args(args).start();
        if shown == 0 {
            assert!(run.is_silent(), "what was before is not asked for");
        }
        for _ in 0..shown {
            run.next_line();
        }
        let began = Instant::now();
        run.signal("INT");
        let ran = run.end().exit(0).stderr_contains(" flows in ");
        assert!(began.elapsed() < Duration::from_secs(2));
        assert_eq!(ran.lines().len(), shown);
        assert!(!ran.stderr.contains("hole"), "{}", ran.stderr);
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_stream_without_an_error() {
    let server = Server::new(SHOP);
    // More than a pipe holds.
    for args in ["tail --all", "tail -o json -f --since 2026-06-16T14:00:00Z"] {
        let mut child = server
            .ask(args)
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::with_capacity(64, child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        drop(stdout);
        let mut complaint = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut complaint).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{complaint}");
        assert!(!complaint.contains("panic"), "{complaint}");
    }
}

/// Scenario: the server is killed and started again, with more flows than before.
/// Guarantees: the new ones come, none comes twice, and both are said.
#[test]
fn a_server_that_goes_away_and_comes_back_is_followed_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.jsonl");
    let flows = flows();
    let lines = lines(&flows);
    fs::write(&path, flows[..300].join("\n")).unwrap();
    let server = Server::new(&path.display().to_string());
    let (address, before) = (server.address.clone(), 300);
    let mut run = server.ask("tail -f").args(SINCE).start();
    for line in &lines[..before] {
        assert_eq!(run.next_line(), *line);
    }
    drop(server);
    run.wait_for("; trying again in 1.");

    fs::write(&path, flows.join("\n")).unwrap();
    let again = flowwatch()
        .args("serve --listen")
        .arg(&address)
        .args("--input-file")
        .path(&path);
    let _server = Server::start(&again);
    for line in &lines[before..] {
        assert_eq!(run.next_line(), *line);
    }
    assert!(run.is_silent());
    run.wait_for(&format!(
        "connected to {address} again, flows continue from 2026-06-16T14:"
    ));
    run.signal("INT");
    let ran = run.end().exit(0).stderr_contains("679 flows in ");
    assert_eq!(ran.lines(), lines);
    assert!(!ran.stderr.contains("hole: "), "{}", ran.stderr);
}

/// Scenario: the first stream is cut, the second finds the ring overwritten, and there a
/// message is garbage.
/// Guarantees: what is missing is said to be a hole, the rest comes once.
#[test]
fn cuts_and_holes_are_told_on_standard_error() {
    let folder = tempfile::tempdir().unwrap();
    let (path, script) = (
        folder.path().join("flows.jsonl"),
        folder.path().join("faults.json"),
    );
    let flows = flows();
    let lines = lines(&flows);
    fs::write(&path, flows.join("\n")).unwrap();
    fs::write(
        &script,
        r#"{"overruns": [{"stream": 1, "oldest": 500}],
            "acts": [{"at": 200, "do": "cut", "stream": 0, "message": "going away"},
                     {"at": 10, "do": "garbage", "stream": 1},
                     {"every": 3, "do": "unknown_fields"}]}"#,
    )
    .unwrap();
    let server = Server::start(
        &flowwatch()
            .args("serve --listen 127.0.0.1:0 --input-file")
            .path(&path)
            .args("--faults")
            .path(&script),
    );
    let mut run = server.ask("tail -f").args(SINCE).start();
    for line in lines[..200].iter().chain(&lines[500..]) {
        assert_eq!(run.next_line(), *line);
    }
    run.wait_for("going away; trying again in 1.");
    run.wait_for("hole: shop-prod/worker-2, 2026-06-16T14:");
    run.signal("INT");
    let ran = run
        .end()
        .exit(0)
        .stderr_contains(": the connection was cut, an unknown number of events")
        .stderr_contains("1 messages could not be decoded, the first: ")
        .stderr_contains("379 flows in ")
        .stderr_contains(" holes on shop-prod/worker-1");
    assert!(!ran.stderr.contains("panic"));
}

#[test]
fn a_stream_that_is_cut_without_following_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("faults.json");
    fs::write(
        &script,
        r#"{"acts": [{"at": 50, "do": "cut", "code": 14, "message": "going away"}]}"#,
    )
    .unwrap();
    let server = Server::start(
        &flowwatch()
            .args("serve --listen 127.0.0.1:0 --input-file")
            .args(SHOP)
            .args("--faults")
            .path(&script),
    );
    let run = server.ask("tail --no-follow --all");
    let ran = run.run().exit(2).stderr_contains("going away");
    assert_eq!(ran.lines().len(), 50);
}
