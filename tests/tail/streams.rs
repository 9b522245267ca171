//! Pipes, followed files and Ctrl-C: what happens while something is still open.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{SHOP, WRAPPED, flow_lines, gzip, sample, tail, write};
use crate::support::{Running, flowwatch};

/// What `tail` prints for each of the first flows.
fn expected(count: usize) -> Vec<String> {
    let ran = tail(&format!("{WRAPPED} --first {count}"));
    ran.lines().into_iter().map(str::to_owned).collect()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn follow(path: &Path) -> Running {
    flowwatch().args("tail -f").path(path).start()
}

#[test]
fn a_slow_writer_sees_each_line_before_the_end() {
    let (flows, lines) = (flow_lines(3), expected(3));
    for args in ["tail -", "tail -f -"] {
        let mut run = flowwatch().args(args).start();
        for (flow, line) in flows.iter().zip(&lines) {
            run.write(&format!("{flow}\n"));
            assert_eq!(run.next_line(), *line);
        }
        run.close_stdin();
        let ran = run.end().exit(0).stderr_contains("3 flows in ");
        assert_eq!(ran.lines(), lines);
    }
}

#[test]
fn an_interrupt_ends_the_wait_for_a_silent_pipe() {
    for signal in ["INT", "TERM"] {
        let mut run = flowwatch().args("tail -").start();
        run.write(&format!("{}\n", flow_lines(1)[0]));
        run.next_line();
        let began = Instant::now();
        run.signal(signal);
        let ran = run.end().exit(2);
        assert!(began.elapsed() < Duration::from_secs(3), "{signal}");
        assert!(!ran.stderr.contains("panic"), "{}", ran.stderr);
        ran.stderr_contains("1 flow in ")
            .stderr_contains("flowwatch: interrupted before the end of the input");
    }
}

/// Scenario: `flowwatch tail … | head -1`.
/// Guarantees: no error and no complaint, long before the input is read.
#[test]
fn a_reader_that_has_seen_enough_ends_it_without_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "long.jsonl", sample(SHOP).repeat(20));
    for format in ["compact", "dict", "json", "table"] {
        let mut child = flowwatch()
            .args("tail -o")
            .args(format)
            .path(&path)
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        drop(stdout);
        let mut complaint = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut complaint).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{complaint}");
        for word in ["panic", "pipe", "error"] {
            assert!(!complaint.contains(word), "{format}: {complaint}");
        }
    }
}

#[test]
fn a_growing_file_is_followed_by_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (flows, lines) = (flow_lines(4), expected(4));
    let path = write(&folder, "events.log", format!("{}\n", flows[0]));
    let mut run = follow(&path);
    assert_eq!(run.next_line(), lines[0]);

    append(&path, &format!("{}\n{}\n", flows[1], flows[2]));
    assert_eq!(run.next_line(), lines[1]);
    assert_eq!(run.next_line(), lines[2]);

    let (begin, end) = flows[3].split_at(flows[3].len() / 2);
    append(&path, begin);
    assert!(run.is_silent(), "half a line is none");
    append(&path, &format!("{end}\n"));
    assert_eq!(run.next_line(), lines[3]);

    run.signal("INT");
    let ran = run.end().exit(0).stderr_contains("4 flows in ");
    assert_eq!(ran.lines(), lines);
    assert!(!ran.stderr.contains("skipped"), "{}", ran.stderr);
}

#[test]
fn rotations_and_truncations_are_followed_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let (flows, lines) = (flow_lines(5), expected(5));
    let path = write(&folder, "events.log", format!("{}\n", flows[0]));
    let mut run = follow(&path);
    assert_eq!(run.next_line(), lines[0]);

    // What is written just before the rename is still read.
    append(&path, &format!("{}\n", flows[1]));
    let rotated = folder.path().join("events-2026-06-16T14-11-00.000.log");
    fs::rename(&path, rotated).unwrap();
    fs::write(&path, format!("{}\n", flows[2])).unwrap();
    assert_eq!(run.next_line(), lines[1]);
    assert_eq!(run.next_line(), lines[2]);
    run.wait_for("events.log: rotated, reading the next file");

    append(&path, &format!("{}\n", flows[3]));
    assert_eq!(run.next_line(), lines[3]);

    File::create(&path).unwrap();
    run.wait_for("events.log: cut or written anew, reading it from its start");
    append(&path, &format!("{}\n", flows[4]));
    assert_eq!(run.next_line(), lines[4]);

    run.signal("TERM");
    let ran = run.end().exit(0).stderr_contains("5 flows in ");
    assert_eq!(ran.lines(), lines);
}

#[test]
fn following_starts_at_the_last_lines_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (flows, lines) = (flow_lines(6), expected(6));
    let path = write(&folder, "events.log", flows[..5].join("\n") + "\n");
    let mut run = flowwatch().args("tail --last 2 -f").path(&path).start();
    assert_eq!(run.next_line(), lines[3]);
    assert_eq!(run.next_line(), lines[4]);
    append(&path, &format!("{}\n", flows[5]));
    assert_eq!(run.next_line(), lines[5]);
    run.signal("INT");
    assert_eq!(run.end().exit(0).lines(), lines[3..]);
}

#[test]
fn following_what_cannot_grow_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "flows.gz", gzip(&sample(SHOP)));
    let run = follow(&path);
    let ran = run.end().exit(0);
    assert_eq!(ran.text(), tail(SHOP).text());
    follow(Path::new("/nowhere.jsonl"))
        .end()
        .exit(2)
        .prints_nothing()
        .stderr_contains("open /nowhere.jsonl: ");
}
