//! The recorded output of the real Hubble CLI, against the program itself.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{flowwatch, shared};

fn golden() -> Option<std::path::PathBuf> {
    shared("FLOWWATCH_GOLDEN", "golden").map(|folder| folder.join("hubble-observe"))
}

fn read(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// Scenario: every recorded argument list, over the recorded flows.
/// Guarantees: the same lines in the same order.
#[test]
fn filters_keep_the_lines_hubble_keeps() {
    let Some(folder) = golden() else { return };
    let file = folder.join("flows.jsonl");
    let flows = fs::read_to_string(&file).unwrap();
    let value = |line: &str| serde_json::from_str::<Value>(line).unwrap().to_string();
    let numbers: HashMap<String, usize> = flows
        .lines()
        .enumerate()
        .map(|(number, line)| (value(line), number))
        .collect();
    let cases = read(&folder, "filters.json");
    let cases = cases["cases"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let args = strings(&case["args"]);
        let mut run = flowwatch()
            .args("tail -q -o json --input-file")
            .arg(file.display().to_string());
        for arg in &args {
            run = run.arg(arg);
        }
        let ran = run.run();
        let lines: Vec<usize> = ran
            .text()
            .lines()
            .map(|line| numbers[&value(line)])
            .collect();
        let expected: Vec<usize> = case["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_u64().unwrap() as usize)
            .collect();
        if lines != expected || ran.code != 0 {
            wrong.push(format!(
                "{args:?}: {} lines, not {} {}",
                lines.len(),
                expected.len(),
                ran.stderr
            ));
        }
    }
    assert_eq!(cases.len(), 120);
    assert!(
        wrong.is_empty(),
        "{} of 120 cases differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Guarantees: what Hubble refuses is refused, before anything is printed.
#[test]
fn arguments_hubble_refuses_are_refused() {
    let Some(folder) = golden() else { return };
    let file = folder.join("flows.jsonl");
    for case in read(&folder, "errors.json")["cases"].as_array().unwrap() {
        let mut run = flowwatch()
            .args("tail --input-file")
            .arg(file.display().to_string());
        for arg in strings(&case["args"]) {
            run = run.arg(arg);
        }
        let ran = run.run();
        if case["exit"] == 0 {
            assert_eq!(ran.code, 0, "{:?}: {}", case["args"], ran.stderr);
        } else {
            assert_eq!(ran.code, 64, "{:?}: {}", case["args"], ran.stderr);
            assert!(
                ran.stdout.is_empty() && !ran.stderr.is_empty(),
                "{:?}",
                case["args"]
            );
        }
    }
}

/// Guarantees: text formats byte for byte, JSON as values.
#[test]
fn formats_are_what_hubble_prints() {
    let Some(folder) = golden() else { return };
    let file = folder.join("flows.jsonl");
    let formats = read(&folder, "formats.json");
    let formats = formats.as_array().unwrap();
    for case in formats {
        let args = strings(&case["args"]);
        let mut run = flowwatch()
            .args("tail -q --input-file")
            .arg(file.display().to_string());
        for arg in &args {
            run = run.arg(arg);
        }
        let ran = run.run().exit(0);
        let expected = fs::read(folder.join(case["file"].as_str().unwrap())).unwrap();
        if args.iter().any(|arg| arg.starts_with("json")) {
            let values = |text: &[u8]| -> Vec<Value> {
                text.split(|&byte| byte == b'\n')
                    .filter(|line| !line.is_empty())
                    .map(|line| serde_json::from_slice(line).unwrap())
                    .collect()
            };
            assert_eq!(values(&ran.stdout), values(&expected), "{args:?}");
        } else {
            assert!(ran.stdout == expected, "{args:?}");
        }
    }
    assert_eq!(formats.len(), 13);
}
