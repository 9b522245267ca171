//! A case of the conformance data, as far as it can be written as a cluster and its flows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Value, json};

/// A case with its universe resolved.
#[derive(Clone)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// Agent options.
    pub config: Value,
    /// Policy documents.
    pub policies: Vec<String>,
    /// Identities by number.
    pub identities: BTreeMap<u64, Value>,
    /// Services.
    pub services: Vec<Value>,
    /// Questions with Cilium's answers.
    pub queries: Vec<Value>,
}

impl Case {
    /// The case as it stands in a file, without a universe.
    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "config": self.config,
            "policies": self.policies,
            "identities": self.identities.values().collect::<Vec<_>>(),
            "services": self.services,
            "queries": self.queries,
        })
    }
}

/// Reads cases of a file, each with what its universe gives. Cases whose policies are
/// references into the corpus are left out.
pub fn cases(folder: &Path, name: &str, most: usize) -> Vec<Case> {
    let universes: Value =
        serde_json::from_reader(File::open(folder.join("universe.json")).unwrap()).unwrap();
    let file = File::open(folder.join(name)).unwrap();
    let reader: Box<dyn BufRead> = if Path::new(name).extension().is_some_and(|end| end == "zst") {
        Box::new(BufReader::new(zstd::Decoder::new(file).unwrap()))
    } else {
        Box::new(BufReader::new(file))
    };
    reader
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        .filter_map(|value| case(&value, &universes))
        .take(most)
        .collect()
}

fn case(value: &Value, universes: &Value) -> Option<Case> {
    let universe = value["universe"].as_str().map(|name| &universes[name]);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut identities = BTreeMap::new();
    let of_universe = universe.map(|universe| list(&universe["identities"]));
    for identity in of_universe
        .into_iter()
        .flatten()
        .chain(list(&value["identities"]))
    {
        identities.insert(identity["id"].as_u64().unwrap(), identity);
    }
    let services = match (&value["services"], universe) {
        (Value::Array(own), _) => own.clone(),
        (_, Some(universe)) => list(&universe["services"]),
        _ => Vec::new(),
    };
    let policies: Vec<String> = list(&value["policies"])
        .iter()
        .map(|policy| policy.as_str().unwrap().to_owned())
        .collect();
    if policies.iter().any(|policy| policy.starts_with("corpus:")) {
        return None;
    }
    Some(Case {
        id: value["id"].as_str().unwrap().to_owned(),
        config: value["config"].clone(),
        policies,
        identities,
        services,
        queries: list(&value["queries"]),
    })
}
