//! `flowwatch tail` on recordings, as a person sees it.
//!
//! Proves that every form of a recording gives the lines it should, in order, with what
//! was skipped on standard error. What a line says is held by `golden`.

mod program;
mod selection;
mod streams;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Ran, flowwatch};

const WRAPPED: &str = "samples/forms/wrapped.jsonl";
const SHOP: &str = "samples/shop.jsonl";

fn sample(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(name)).unwrap()
}

/// The first `count` lines of the recording with one event of each kind.
fn flow_lines(count: usize) -> Vec<String> {
    let text = sample(WRAPPED);
    text.lines().take(count).map(str::to_owned).collect()
}

fn tail(args: &str) -> Ran {
    flowwatch().args("tail").args(args).run().exit(0)
}

fn values(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

fn time(event: &Value) -> jiff::Timestamp {
    event["time"].as_str().unwrap().parse().unwrap()
}

fn write(folder: &tempfile::TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn forms_of_the_same_events_give_the_same_lines() {
    let wrapped = tail(WRAPPED);
    let wrapped = wrapped.lines();
    assert_eq!(wrapped.len(), 38);
    for form in ["pretty.json", "array.json", "cri.log"] {
        let ran = tail(&format!("samples/forms/{form}"));
        assert_eq!(ran.lines(), wrapped, "{form}");
    }
    // Without a wrapper a loss has no time.
    let ran = tail("samples/forms/bare-flows.json");
    let without_time = |line: &&str| match line.split_once(" EVENTS LOST") {
        Some((_, lost)) => format!("N/A EVENTS LOST{lost}"),
        None => (*line).to_owned(),
    };
    let expected: Vec<String> = wrapped.iter().map(without_time).collect();
    assert_eq!(ran.lines(), expected);
}

#[test]
fn masked_and_aggregated_recordings_give_what_they_have() {
    let ran = tail("samples/forms/field-masked.jsonl")
        .stderr_contains("masked recording: no event types: ")
        .stderr_contains("masked recording: no identities or labels: ")
        .stderr_contains("drops: unknown reason 7");
    assert_eq!(ran.lines().len(), 36);
    assert!(!ran.stderr.contains("no times"), "{}", ran.stderr);

    let ran = tail("samples/forms/node-masked.jsonl")
        .stderr_contains("masked recording: no times: ")
        .stderr_contains("masked recording: no node names: ");
    let lines = ran.lines();
    assert_eq!(lines.len(), 36);
    assert!(
        lines.iter().all(|line| line.starts_with("N/A: ")),
        "{lines:?}"
    );

    let ran = tail("samples/forms/aggregated.jsonl -o json");
    let values = values(ran.text());
    assert_eq!(values.len(), 13);
    let recorded = self::values(&sample("samples/forms/aggregated.jsonl"));
    assert_eq!(values, recorded);
}

#[test]
fn json_is_one_wrapped_object_a_line_whatever_it_was() {
    let wrapped = tail(&format!("{WRAPPED} -o json"));
    assert_eq!(wrapped.lines().len(), 38);
    for form in ["bare-flows.json", "pretty.json", "array.json"] {
        let ran = tail(&format!("samples/forms/{form} -o json"));
        let lines = ran.lines();
        assert_eq!(lines.len(), 38, "{form}");
        for (line, wrapped) in lines.iter().zip(wrapped.lines()) {
            assert!(!line.contains("\": "), "{form} is not compact: {line}");
            let value: Value = serde_json::from_str(line).unwrap();
            let wrapped: Value = serde_json::from_str(wrapped).unwrap();
            assert_eq!(value["flow"], wrapped["flow"], "{form}");
            assert_eq!(value["lost_events"], wrapped["lost_events"], "{form}");
            if form != "bare-flows.json" || value["flow"].is_object() {
                assert_eq!(value["time"], wrapped["time"], "{form}");
                assert_eq!(value["node_name"], wrapped["node_name"], "{form}");
            }
        }
    }
}

#[test]
fn compression_is_told_by_content_and_not_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let plain = tail(SHOP);
    let text = sample(SHOP);
    assert_eq!(tail("samples/shop.jsonl.zst").text(), plain.text());
    for (name, bytes) in [
        ("gzip", gzip(&text)),
        ("zstd.gz", zstd::encode_all(text.as_bytes(), 1).unwrap()),
        ("plain.zst", text.clone().into_bytes()),
        (
            "members",
            [gzip(&text[..text.len() / 2]), gzip(&text[text.len() / 2..])].concat(),
        ),
    ] {
        let path = write(&folder, name, &bytes);
        let ran = flowwatch().args("tail").path(path).run().exit(0);
        assert!(ran.text() == plain.text(), "{name}");
        let ran = flowwatch().args("tail -").stdin(&bytes).run().exit(0);
        assert!(ran.text() == plain.text(), "{name} on standard input");
    }
}

/// Guarantees: files in the order given, the rotations of a directory oldest first.
#[test]
fn several_inputs_come_in_order() {
    let first = tail("samples/forms/array.json");
    let exporter = tail("samples/exporter")
        .stderr_contains("skipped 2 agent events, first at samples/exporter/events.log:1");
    let both = tail("samples/exporter samples/forms/array.json --input-file samples/exporter");
    assert_eq!(
        both.text(),
        [exporter.text(), first.text(), exporter.text()].concat()
    );
    let rotations: String = ["11-00.000.log.gz", "13-00.000.log.gz"]
        .map(|name| format!("samples/exporter/events-2026-06-16T14-{name}"))
        .into_iter()
        .chain(["samples/exporter/events.log".to_owned()])
        .map(|file| tail(&file).text().to_owned())
        .collect();
    assert_eq!(exporter.text(), rotations);
}

#[test]
fn what_is_no_event_is_counted_with_its_first_place() {
    let folder = tempfile::tempdir().unwrap();
    let flows = flow_lines(4);
    let text = [
        "level=info msg=\"starting\"",
        &flows[0],
        "{\"flow\":{\"uuid\":",
        &flows[1],
        "level=info msg=\"still here\"",
        "{\"flow\":{\"verdict\":[]}}",
        &flows[2],
        "{\"hello\":\"world\"}",
        &flows[3],
    ]
    .join("\n");
    let path = write(&folder, "mixed.log", &text);
    let name = path.display();
    let ran = flowwatch().args("tail").path(&path).run().exit(0);
    let expected = flowwatch()
        .args("tail -q -")
        .stdin(flows.join("\n"))
        .run()
        .exit(0);
    assert_eq!(ran.text(), expected.text());
    assert_eq!(ran.lines().len(), 4);
    ran.stderr_contains(&format!("skipped 2 lines of text, first at {name}:1\n"))
        .stderr_contains(&format!("skipped 1 line of broken JSON, first at {name}:3"))
        .stderr_contains(&format!(
            "skipped 1 event with a wrong value, first at {name}:6"
        ))
        .stderr_contains(&format!(
            "skipped 1 JSON object that is no Hubble event, first at {name}:8"
        ))
        .stderr_contains("4 flows in ");
}

#[test]
fn a_truncated_gzip_gives_what_is_there_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = gzip(&sample(SHOP));
    let path = write(&folder, "cut.gz", &bytes[..bytes.len() / 2]);
    let ran = flowwatch().args("tail").path(&path).run();
    let whole = tail(SHOP);
    let lines = ran.lines();
    assert!(lines.len() > 100, "{}", ran.stderr);
    assert_eq!(lines, whole.lines()[..lines.len()]);
    ran.stderr_contains("damaged compressed stream, first at ")
        .stderr_contains("cut.gz:");
}

#[test]
fn a_missing_file_is_named_and_the_others_are_read() {
    for args in ["/nowhere.jsonl {}", "{} /nowhere.jsonl"] {
        let ran = flowwatch()
            .args("tail")
            .args(&args.replace("{}", WRAPPED))
            .run()
            .exit(2)
            .stderr_contains("flowwatch: open /nowhere.jsonl: No such file");
        assert_eq!(ran.text(), tail(WRAPPED).text());
    }
}

#[test]
fn escapes_in_names_do_not_reach_the_terminal() {
    let flow = r#"{"flow":{"time":"2026-06-16T14:00:00Z","verdict":"FORWARDED",
        "IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"},
        "source":{"namespace":"a","pod_name":"x\u001b[31mred\u0007\n\r\u009b2J"},
        "destination":{"namespace":"b","pod_name":"y\u202e"},
        "Summary":"\u001b]0;title\u0007"}}"#;
    let flow = flow.replace('\n', "");
    for format in ["compact", "dict", "table", "json"] {
        let ran = flowwatch()
            .args("tail -q - -o")
            .args(format)
            .stdin(&flow)
            .run()
            .exit(0)
            .stdout_contains("red");
        let harmful = |c: char| c.is_control() && c != '\n';
        assert!(!ran.text().contains(harmful), "{format}: {:?}", ran.text());
        let lines = match format {
            "compact" | "json" => 1,
            "table" => 2,
            _ => continue,
        };
        assert_eq!(ran.lines().len(), lines, "{format}: {:?}", ran.text());
    }
}
