//! Conformance vectors: cases with their options and Services.

use std::io::Read;
use std::sync::Arc;

use flowwatch::inventory::Service;
use flowwatch::policy::{AllowLocalhost, Enforcement, Options};
use serde_json::Value;

use crate::support;

/// One case.
pub struct Case {
    pub id: String,
    pub options: Options,
    pub services: Vec<Service>,
    pub policies: Vec<String>,
    pub results: Vec<Expected>,
}

/// What Cilium made of a document.
pub struct Expected {
    pub id: String,
    /// How many entries, or the class of the error.
    pub outcome: Result<usize, String>,
    /// What the schema of the resource says is wrong.
    pub schema: Option<String>,
}

/// The cases of a file, if there is one.
pub fn cases(file: &str) -> Option<Vec<Case>> {
    let folder = support::shared("FLOWWATCH_CONFORMANCE", "conformance")?;
    let universe = std::fs::read_to_string(folder.join("universe.json")).unwrap();
    let universe: Value = serde_json::from_str(&universe).unwrap();
    let opened = std::fs::File::open(folder.join(file)).unwrap();
    let mut text = String::new();
    if let Some(plain) = file.strip_suffix(".zst") {
        let mut reader = zstd::Decoder::new(opened).unwrap();
        reader.read_to_string(&mut text).expect(plain);
    } else {
        let mut opened = opened;
        opened.read_to_string(&mut text).unwrap();
    }
    Some(read_cases(&text, &universe))
}

/// The cases that are checked in.
pub fn checked_in() -> Vec<Case> {
    read_cases(include_str!("../data/policy_objects.jsonl"), &Value::Null)
}

fn read_cases(text: &str, universe: &Value) -> Vec<Case> {
    text.lines().map(|line| case(line, universe)).collect()
}

fn case(line: &str, universe: &Value) -> Case {
    let json: Value = serde_json::from_str(line).unwrap();
    let name = json["universe"].as_str().unwrap_or("fixture");
    let services = json
        .get("services")
        .unwrap_or(&universe[name]["services"])
        .as_array()
        .map(|list| list.iter().map(service).collect());
    let texts = json["policies"].as_array().unwrap();
    Case {
        id: json["id"].as_str().unwrap().to_owned(),
        options: options(&json["config"]),
        services: services.unwrap_or_default(),
        policies: texts
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect(),
        results: json["policy_results"]
            .as_array()
            .unwrap()
            .iter()
            .map(expected)
            .collect(),
    }
}

fn expected(json: &Value) -> Expected {
    let outcome = if json["accepted"].as_bool().unwrap() {
        Ok(json["entries"].as_u64().unwrap_or_default() as usize)
    } else {
        Err(json["error_class"].as_str().unwrap().to_owned())
    };
    Expected {
        id: json["id"].as_str().unwrap().to_owned(),
        outcome,
        schema: json["schema_error"].as_str().map(str::to_owned),
    }
}

fn service(json: &Value) -> Service {
    let text = |name: &str| Arc::from(json[name].as_str().unwrap_or_default());
    let pairs = |name: &str| {
        let map = json[name].as_object().into_iter().flatten();
        map.map(|(key, value)| (Arc::from(key.as_str()), Arc::from(value.as_str().unwrap())))
            .collect()
    };
    let endpoints = json["endpoints"].as_array().into_iter().flatten();
    Service {
        namespace: text("namespace"),
        name: text("name"),
        labels: pairs("labels"),
        selector: pairs("selector"),
        endpoints: endpoints
            .map(|address| address.as_str().unwrap().parse().unwrap())
            .collect(),
    }
}

/// Agent options of a case.
pub fn options(json: &Value) -> Options {
    let defaults = Options::default();
    let flag = |name: &str, default| json[name].as_bool().unwrap_or(default);
    Options {
        cluster_name: json["cluster_name"].as_str().unwrap_or("default").into(),
        default_local_cluster: flag("default_local_cluster", defaults.default_local_cluster),
        enforcement: match json["policy_enforcement"].as_str() {
            Some("always") => Enforcement::Always,
            Some("never") => Enforcement::Never,
            _ => Enforcement::Default,
        },
        allow_localhost: match json["allow_localhost"].as_str() {
            Some("always") => AllowLocalhost::Always,
            Some("policy") => AllowLocalhost::Policy,
            _ => AllowLocalhost::Auto,
        },
        ipv4: flag("ipv4", defaults.ipv4),
        ipv6: flag("ipv6", defaults.ipv6),
        host_firewall: flag("enable_host_firewall", defaults.host_firewall),
        node_selector_labels: flag("enable_node_selector_labels", defaults.node_selector_labels),
        non_default_deny: flag("enable_non_default_deny", defaults.non_default_deny),
        l7_proxy: flag("enable_l7_proxy", defaults.l7_proxy),
        extended_ip_protocols: flag(
            "enable_extended_ip_protocols",
            defaults.extended_ip_protocols,
        ),
        cidr_match_nodes: json["policy_cidr_match_mode"]
            .as_array()
            .is_some_and(|modes| modes.iter().any(|mode| mode == "nodes")),
        ..defaults
    }
}
