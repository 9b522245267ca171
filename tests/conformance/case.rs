//! One case: what it gives us to know, what it asks, and what we answer.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowwatch::inventory::{Identity, Label, NamedPort, Service};
use flowwatch::manifest;
use flowwatch::policy::{
    AllowLocalhost, Compiled, Direction, Enforcement, IdentityIndex, Options, PolicySet, World,
};
use serde_json::Value;

use super::outcome::{Answer, Tally, compare};

/// Identities and services that cases refer to by name.
pub struct Universes(BTreeMap<String, Value>);

impl Universes {
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("universe.json");
        Self(serde_json::from_str(&text).expect("universes"))
    }
}

/// A connection that is asked about.
pub struct Question<'a> {
    pub case: &'a str,
    pub query: &'a Value,
    pub subject: IdentityIndex,
    pub peer: IdentityIndex,
    pub direction: Direction,
    pub protocol: u8,
    pub port: u16,
}

/// Answers all questions of a case and compares.
pub fn judge(case: &Value, universes: &Universes, tally: &mut Tally) {
    let universe = case["universe"].as_str().map(|name| &universes.0[name]);
    ask(case, universe, |_, expected, answer, question| {
        compare(expected, answer, question, tally);
    });
}

/// Our answers to a case that brings its own identities, by number of the question and
/// direction.
pub fn answers(case: &Value) -> BTreeMap<(usize, Direction), Value> {
    let mut answers = BTreeMap::new();
    ask(case, None, |number, _, answer, question| {
        answers.insert((number, question.direction), answer.json());
    });
    answers
}

/// Our answers to a case, by number of the question and direction.
pub fn answers_in(case: &Value, universes: &Universes) -> BTreeMap<(usize, Direction), Value> {
    let universe = case["universe"].as_str().map(|name| &universes.0[name]);
    let mut answers = BTreeMap::new();
    ask(case, universe, |number, _, answer, question| {
        answers.insert((number, question.direction), answer.json());
    });
    answers
}

/// Asks all questions of a case. `told` is given a question's number, what the data says,
/// our answer, and the question.
fn ask(
    case: &Value,
    universe: Option<&Value>,
    mut told: impl FnMut(usize, &Value, &Answer, &Question<'_>),
) {
    let id = case["id"].as_str().expect("an id");
    let options = options(&case["config"]);
    let (world, places) = world(case, universe);
    let services: Vec<Service> = list(case, universe, "services").map(service).collect();
    let texts: Vec<String> = case["policies"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|policy| text(policy.as_str().expect("a document")))
        .collect();
    let documents: Vec<_> = texts
        .iter()
        .flat_map(|text| manifest::read(text, "policy.yaml".into()).documents)
        .collect();
    let set = PolicySet::build(&documents, &services, &[], &options);
    let compiled = Compiled::new(Arc::new(set), &world, &options);
    let queries = case["queries"].as_array().into_iter().flatten();
    for (number, query) in queries.enumerate() {
        let place = |end: &str| places[&query[end].as_u64().expect("an identity")];
        let (from, to) = (place("from"), place("to"));
        for (name, direction, subject, peer) in [
            ("egress", Direction::Egress, from, to),
            ("ingress", Direction::Ingress, to, from),
        ] {
            let Some(expected) = query.get(name) else {
                continue;
            };
            let question = Question {
                case: id,
                query,
                subject,
                peer,
                direction,
                protocol: protocol(query["proto"].as_str().expect("a protocol")),
                port: u16::try_from(query["port"].as_u64().expect("a port")).expect("16 bits"),
            };
            let answer = Answer::of(&compiled, &options, &question);
            told(number, expected, &answer, &question);
        }
    }
}

fn options(config: &Value) -> Options {
    let flag = |name: &str, default| config[name].as_bool().unwrap_or(default);
    let mut options = Options {
        cluster_name: config["cluster_name"].as_str().unwrap_or("default").into(),
        default_local_cluster: flag("default_local_cluster", true),
        ipv4: flag("ipv4", true),
        ipv6: flag("ipv6", true),
        host_firewall: flag("enable_host_firewall", false),
        node_selector_labels: flag("enable_node_selector_labels", false),
        non_default_deny: flag("enable_non_default_deny", true),
        l7_proxy: flag("enable_l7_proxy", true),
        extended_ip_protocols: flag("enable_extended_ip_protocols", false),
        ..Options::default()
    };
    options.enforcement = match config["policy_enforcement"].as_str() {
        Some("always") => Enforcement::Always,
        Some("never") => Enforcement::Never,
        _ => Enforcement::Default,
    };
    options.allow_localhost = match config["allow_localhost"].as_str() {
        Some("always") => AllowLocalhost::Always,
        Some("policy") => AllowLocalhost::Policy,
        _ => AllowLocalhost::Auto,
    };
    options.cidr_match_nodes = config["policy_cidr_match_mode"]
        .as_array()
        .is_some_and(|modes| modes.iter().any(|mode| mode == "nodes"));
    options
}

fn list<'a>(
    case: &'a Value,
    universe: Option<&'a Value>,
    name: &str,
) -> impl Iterator<Item = &'a Value> {
    let own = case.get(name).and_then(Value::as_array);
    let shared = universe
        .and_then(|universe| universe.get(name))
        .and_then(Value::as_array);
    own.or(shared).into_iter().flatten()
}

fn world(case: &Value, universe: Option<&Value>) -> (World, HashMap<u64, IdentityIndex>) {
    let mut identities: BTreeMap<u64, Identity> = BTreeMap::new();
    let shared = universe.and_then(|universe| universe["identities"].as_array());
    let own = case["identities"].as_array();
    for identity in shared.into_iter().chain(own).flatten() {
        identities.insert(
            identity["id"].as_u64().expect("an id"),
            read_identity(identity),
        );
    }
    let places = identities
        .keys()
        .zip(0..)
        .map(|(id, index)| (*id, IdentityIndex(index)))
        .collect();
    let world = World {
        identities: identities.into_values().collect(),
        names_complete: true,
        ports_complete: true,
    };
    (world, places)
}

fn read_identity(identity: &Value) -> Identity {
    let labels = |name: &str| {
        identity[name].as_array().map(|labels| {
            labels
                .iter()
                .map(|label| Label::parse(label.as_str().expect("a label")))
                .collect()
        })
    };
    Identity {
        number: u32::try_from(identity["id"].as_u64().expect("an id")).expect("32 bits"),
        labels: labels("labels").unwrap_or_default(),
        subject_labels: labels("subject_labels"),
        address: identity["ip"]
            .as_str()
            .map(|ip| ip.parse().expect("an address")),
        names: texts(&identity["names"]),
        named_ports: identity["named_ports"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, port)| {
                let (port, of) = port
                    .as_str()
                    .and_then(|port| port.split_once('/'))
                    .expect("port/protocol");
                NamedPort {
                    name: name.as_str().into(),
                    port: port.parse().expect("a port"),
                    protocol: protocol(of),
                }
            })
            .collect(),
        names_complete: false,
    }
}

fn service(service: &Value) -> Service {
    let pairs = |name: &str| {
        service[name]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str().into(), value.as_str().unwrap_or("").into()))
            .collect()
    };
    Service {
        namespace: service["namespace"].as_str().unwrap_or("").into(),
        name: service["name"].as_str().unwrap_or("").into(),
        labels: pairs("labels"),
        selector: pairs("selector"),
        endpoints: service["endpoints"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|ip| {
                ip.as_str()
                    .and_then(|ip| ip.parse().ok())
                    .expect("an address")
            })
            .collect(),
    }
}

fn texts(list: &Value) -> Vec<Arc<str>> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|text| text.as_str().expect("a text").into())
        .collect()
}

pub fn protocol(name: &str) -> u8 {
    match name {
        "TCP" => 6,
        "UDP" => 17,
        "SCTP" => 132,
        "ICMP" => 1,
        "ICMPv6" => 58,
        "VRRP" => 112,
        "IGMP" => 2,
        other => panic!("protocol {other}"),
    }
}

/// A document, or the part of a corpus file that it refers to.
fn text(policy: &str) -> String {
    let Some(reference) = policy.strip_prefix("corpus:") else {
        return policy.to_owned();
    };
    let (path, part) = reference.rsplit_once('#').expect("a part");
    let corpus = std::env::var_os("FLOWWATCH_CORPUS")
        .map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    let path = corpus.join("policies").join(path);
    let text = std::fs::read_to_string(&path).expect("a file of the corpus");
    let mut parts = vec![String::new()];
    for line in text.lines() {
        if line == "---" || line.starts_with("--- ") {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts.swap_remove(part.parse().expect("a number"))
}
