//! YAML is read as Kubernetes reads it, and trees of files as their tools mean them.

mod trees;

use std::path::Path;
use std::sync::Arc;

use flowwatch::manifest::{Node, Number, ReadOutcome, Value, read};
use serde_json::Value as Json;

use crate::support::shared;

/// A vector: a text, and what `sigs.k8s.io/yaml` makes of it.
fn differences(vectors: &str) -> (usize, Vec<String>) {
    let mut differences = Vec::new();
    let mut count = 0;
    for line in vectors.lines() {
        let vector: Json = serde_json::from_str(line).unwrap();
        let text = vector["yaml"].as_str().unwrap();
        let outcome = read(text, Arc::from("vector.yaml"));
        count += 1;
        if let Some(difference) = difference(&vector, &outcome) {
            differences.push(format!("{text:?}: {difference}"));
        }
    }
    (count, differences)
}

fn difference(vector: &Json, outcome: &ReadOutcome) -> Option<String> {
    if vector["error"] == true {
        return outcome
            .errors
            .is_empty()
            .then(|| format!("read as {:?}", outcome.documents));
    }
    if !outcome.errors.is_empty() {
        return Some(format!("{:?}", outcome.errors));
    }
    let root = outcome.documents.first().map(|document| &document.root);
    let read = root.map_or(Json::Null, Json::from);
    if !same(&read, &vector["json"]) {
        return Some(format!("read as {read}"));
    }
    let value = root.and_then(|root| root.get("v"));
    let fits = |name: &str, fits: fn(&Value) -> bool| {
        let expected = vector[name].as_bool()?;
        let value = value.map_or(&Value::Null, |node: &Node| &node.value);
        (fits(value) != expected).then(|| format!("{name} is {}", !expected))
    };
    fits("fits_string", |value| {
        matches!(value, Value::String(_) | Value::Null)
    })
    .or_else(|| {
        fits("fits_int32", |value| match value {
            Value::Number(Number::Int(value)) => i32::try_from(*value).is_ok(),
            value => *value == Value::Null,
        })
    })
}

/// Equal, numbers by what they are.
fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => {
            left == right || (left.as_f64() == right.as_f64() && left.as_f64().is_some())
        }
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same(a, b))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

#[test]
fn yaml_is_read_as_kubernetes_reads_it() {
    let (count, differences) = differences(include_str!("data/yaml.jsonl"));
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(count > 20, "{count}");
}

#[test]
fn every_yaml_vector_is_read_as_kubernetes_reads_it() {
    let Some(folder) = shared("FLOWWATCH_CONFORMANCE", "conformance") else {
        println!("skipped: no conformance vectors; FLOWWATCH_CONFORMANCE may name their folder");
        return;
    };
    let vectors = std::fs::read_to_string(Path::new(&folder).join("yaml.jsonl")).unwrap();
    let (count, differences) = differences(&vectors);
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(count >= 109, "{count}");
}
