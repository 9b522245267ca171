//! Policies that people wrote, before the agent and before the API server.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowwatch::manifest::{Document, ReadOutcome, read};
use flowwatch::policy::{Options, ReadObject, admit, read_object};
use serde_json::Value;

use crate::support::shared;

#[test]
fn policies_of_the_corpus_are_imported_or_rejected_as_by_cilium() {
    let Some((corpus, lines)) = found("corpus_parse.jsonl") else {
        return;
    };
    let mut files = HashMap::new();
    let (mut compared, mut rejected, mut wrong) = (0, 0, Vec::new());
    for expected in lines {
        let name = format!("{}/{}", text(&expected, "repo"), text(&expected, "file"));
        let file = file(&mut files, &corpus, &name);
        let part = parts(file)[expected["doc"].as_u64().unwrap() as usize].clone();
        let class = class(&read(&part, Arc::from(&*name)));
        compared += 1;
        rejected += usize::from(class.is_some());
        if class.as_deref() != expected.get("error_class").and_then(Value::as_str) {
            wrong.push(format!("{class:?}, expected {expected}"));
        }
    }
    println!("corpus_parse: {compared} documents compared, {rejected} of them rejected");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((compared, rejected), (1160, 34));
}

/// Why a document is not imported.
fn class(outcome: &ReadOutcome) -> Option<String> {
    if !outcome.errors.is_empty() {
        return Some("yaml".to_owned());
    }
    let document = outcome.documents.first().unwrap();
    match read_object(&document.root) {
        ReadObject::Policy(policy) => {
            // One of the policies selects nodes as peers; the vectors let it.
            let options = Options {
                node_selector_labels: true,
                ..Options::default()
            };
            let entries = policy.entries(&[], &options);
            entries.err().map(|rejection| rejection.class.to_owned())
        }
        ReadObject::CidrGroup(group) => group.group.err().map(|error| error.class.to_owned()),
        ReadObject::Other => Some("other kind".to_owned()),
    }
}

#[test]
fn policies_of_the_corpus_are_stored_or_refused_as_by_an_api_server() {
    let Some((corpus, lines)) = found("corpus_admission.jsonl") else {
        return;
    };
    let mut files = HashMap::new();
    let mut tally = Admitted::default();
    for expected in lines {
        let name = text(&expected, "file");
        let outcome = read(file(&mut files, &corpus, name), Arc::from(name));
        tally.compare(&outcome, &expected);
    }
    println!("corpus_admission: {tally:?}");
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert_eq!(
        (tally.stored, tally.malformed, tally.invalid),
        (1092, 40, 33)
    );
    assert_eq!((tally.unreadable, tally.tabs), (8, 1));
    assert_eq!((tally.fields, tally.same_fields), (93, 93));
}

#[derive(Debug, Default)]
struct Admitted {
    stored: usize,
    malformed: usize,
    invalid: usize,
    unreadable: usize,
    tabs: usize,
    /// Fields that the server complained about, and those we did as well.
    fields: usize,
    same_fields: usize,
    wrong: Vec<String>,
}

impl Admitted {
    fn compare(&mut self, outcome: &ReadOutcome, expected: &Value) {
        let index = expected["doc"].as_u64().unwrap() as usize;
        let item = expected["item"].as_u64().map(|item| item as usize);
        if expected.get("yaml").is_some() {
            // The vectors were made with another reader, which takes no tab before a comment.
            self.unreadable += usize::from(!outcome.errors.is_empty());
            self.tabs += usize::from(outcome.errors.is_empty());
            return;
        }
        let wanted = |document: &&Document| {
            document.name() == expected["name"].as_str()
                && document.kind() == expected["kind"].as_str()
        };
        let same_place = |document: &&Document| document.index == index && document.item == item;
        let Some(document) = outcome
            .documents
            .iter()
            .filter(wanted)
            .find(same_place)
            .or_else(|| outcome.documents.iter().find(wanted))
        else {
            self.wrong.push(format!("not found: {expected}"));
            return;
        };
        let admission = admit(&document.root).unwrap();
        let status = admission.outcome.status();
        match status {
            201 => self.stored += 1,
            400 => self.malformed += 1,
            _ => self.invalid += 1,
        }
        if u64::from(status) != expected["status"].as_u64().unwrap() {
            self.wrong
                .push(format!("{admission:?}, expected {expected}"));
        }
        for field in fields(expected) {
            self.fields += 1;
            if admission.causes.iter().any(|cause| cause.field == field) {
                self.same_fields += 1;
            } else {
                println!("not complained about: {field} of {expected}");
            }
        }
    }
}

/// The fields the server complains about: its causes, or those its message calls unknown.
fn fields(expected: &Value) -> Vec<String> {
    let causes = expected["causes"].as_array().into_iter().flatten();
    let mut fields: Vec<_> = causes
        .map(|cause| text(cause, "field").to_owned())
        .collect();
    let message = expected["message"].as_str().unwrap_or_default();
    let unknown = message.split("unknown field \"").skip(1);
    fields.extend(unknown.map(|rest| rest.split('"').next().unwrap().to_owned()));
    fields
}

fn found(vectors: &str) -> Option<(PathBuf, Vec<Value>)> {
    let folder = shared("FLOWWATCH_CONFORMANCE", "conformance")?;
    let corpus = shared("FLOWWATCH_CORPUS", "corpus")?.join("policies");
    let text = std::fs::read_to_string(folder.join(vectors)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    Some((corpus, lines.collect()))
}

fn file<'f>(files: &'f mut HashMap<String, String>, corpus: &Path, name: &str) -> &'f str {
    files
        .entry(name.to_owned())
        .or_insert_with(|| std::fs::read_to_string(corpus.join(name)).unwrap())
}

/// Parts of a file as the vectors number them: split at lines that are `---` or begin with
/// it and a blank; empty ones count.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        if line == "---" || line.starts_with("--- ") {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}
