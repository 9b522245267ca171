//! A case written out as a cluster's manifests and the flows Hubble would have recorded.
//!
//! What a recording cannot hold is left out: directions in which nothing is enforced have
//! no verdict events, and a subject whose policy Cilium cannot compute keeps the one before.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use flowwatch::policy::Direction;
use serde_json::{Value, json};

use super::case::Case;

const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";

/// A flow and what is expected of it.
pub struct Written {
    /// The line.
    pub line: String,
    /// The question, for messages.
    pub question: String,
    /// Which of the case's questions it is.
    pub number: usize,
    /// Whose policy.
    pub subject: u64,
    /// At which side.
    pub direction: Direction,
    /// Verdict and drop reason.
    pub recorded: (&'static str, &'static str),
    /// The policies it names, as `Kind/namespace/name`.
    pub names: Vec<String>,
}

/// Writes policies, pods, Services and agent options as files of a folder.
pub fn manifests(case: &Case, folder: &Path) {
    for (index, policy) in case.policies.iter().enumerate() {
        fs::write(
            folder.join(format!("policy-{index:03}.yaml")),
            namespaced(policy),
        )
        .unwrap();
    }
    let mut cluster = String::new();
    for identity in case.identities.values() {
        cluster.push_str(&pod(case, identity).unwrap_or_default());
    }
    for service in &case.services {
        cluster.push_str(&service_documents(service));
    }
    cluster.push_str(&config_map(&case.config));
    fs::write(folder.join("cluster.yaml"), cluster).unwrap();
}

/// The flows of a case.
pub fn flows(case: &Case) -> Vec<Written> {
    let mut written = Vec::new();
    for (number, query) in case.queries.iter().enumerate() {
        for direction in [Direction::Egress, Direction::Ingress] {
            let answer = &query[name(direction)];
            if answer["enforced"] == true && answer["verdict"] != "error" {
                let second = written.len() + 1;
                written.push(flow(case, number, direction, answer, second));
            }
        }
    }
    written
}

fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "egress",
        Direction::Ingress => "ingress",
    }
}

/// A namespaced object without a namespace is in `default`, as kubectl would store it.
fn namespaced(policy: &str) -> String {
    match serde_json::from_str::<Value>(policy) {
        Ok(mut object) => {
            let clusterwide = ["CiliumClusterwideNetworkPolicy", "CiliumCIDRGroup"]
                .contains(&object["kind"].as_str().unwrap_or_default());
            if !clusterwide && object["metadata"]["namespace"].is_null() {
                object["metadata"]["namespace"] = json!("default");
            }
            object.to_string()
        }
        Err(_) => policy.to_owned(),
    }
}

fn labels(identity: &Value) -> Vec<&str> {
    let list = identity["labels"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    list.iter().map(|label| label.as_str().unwrap()).collect()
}

fn value_of<'a>(identity: &'a Value, key: &str) -> Option<&'a str> {
    labels(identity)
        .into_iter()
        .find_map(|label| label.strip_prefix(&format!("k8s:{key}=")))
}

/// A pod with the ports the identity names.
fn pod(case: &Case, identity: &Value) -> Option<String> {
    let namespace = value_of(identity, NAMESPACE)?;
    let cluster = case.config["cluster_name"].as_str().unwrap_or("default");
    if value_of(identity, CLUSTER).is_some_and(|own| own != cluster) {
        return None;
    }
    let own: serde_json::Map<String, Value> = labels(identity)
        .into_iter()
        .filter_map(|label| label.strip_prefix("k8s:"))
        .filter(|label| !label.starts_with("io.cilium") && !label.starts_with("io.kubernetes"))
        .map(|label| {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            (key.to_owned(), json!(value))
        })
        .collect();
    let ports: Vec<Value> = identity["named_ports"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, port)| {
            let (number, protocol) = port.as_str().unwrap().split_once('/').unwrap();
            json!({"name": name, "containerPort": number.parse::<u16>().unwrap(), "protocol": protocol})
        })
        .collect();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": format!("pod-{}", identity["id"]), "namespace": namespace, "labels": own},
        "spec": {"containers": [{"name": "c", "ports": ports}]},
    });
    Some(format!("{pod}\n---\n"))
}

fn service_documents(service: &Value) -> String {
    let metadata = json!({
        "name": service["name"], "namespace": service["namespace"], "labels": service["labels"],
    });
    let object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"selector": service["selector"]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-1", service["name"].as_str().unwrap()),
            "namespace": service["namespace"],
            "labels": {"kubernetes.io/service-name": service["name"]},
        },
        "endpoints": [{"addresses": service["endpoints"]}],
    });
    format!("{object}\n---\n{slice}\n---\n")
}

fn config_map(config: &Value) -> String {
    let mut data = serde_json::Map::new();
    for (key, value) in config.as_object().into_iter().flatten() {
        let name = match key.as_str() {
            "default_local_cluster" => "policy-default-local-cluster".to_owned(),
            "policy_enforcement" => "enable-policy".to_owned(),
            "ipv4" | "ipv6" => format!("enable-{key}"),
            "enable_non_default_deny" => "enable-non-default-deny-policies".to_owned(),
            other => other.replace('_', "-"),
        };
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(list) => list
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        };
        data.insert(name, json!(text));
    }
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "cilium-config", "namespace": "kube-system"},
        "data": data,
    });
    format!("{map}\n")
}

fn flow(
    case: &Case,
    number: usize,
    side_asked: Direction,
    answer: &Value,
    second: usize,
) -> Written {
    let (query, direction) = (&case.queries[number], name(side_asked));
    let side = |key: &str| {
        let id = query[key].as_u64().unwrap();
        case.identities
            .get(&id)
            .cloned()
            .unwrap_or(json!({"id": id}))
    };
    let (from, to) = (side("from"), side("to"));
    let port = query["port"].as_u64().unwrap();
    let (verdict, reason) = recorded(answer);
    let subject_is_source = direction == "egress";
    let names: Vec<String> = answer["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|rule| rule.as_str().filter(|rule| !rule.starts_with("reserved:")))
        .map(str::to_owned)
        .collect();
    let policies: Vec<Value> = names
        .iter()
        .map(|rule| {
            let mut parts = rule.splitn(3, '/');
            let mut next = || parts.next().unwrap_or_default();
            let (kind, namespace, name) = (next(), next(), next());
            json!({"kind": kind, "namespace": namespace, "name": name})
        })
        .collect();
    let denied = verdict == "DROPPED";
    let mut flow = json!({
        "time": format!("2026-01-02T03:04:{:02}.{:09}Z", second / 1000 % 60, second % 1000 * 1000),
        "verdict": verdict,
        "IP": {
            "source": address(&from), "destination": address(&to),
            "ipVersion": if address(&from).contains(':') || address(&to).contains(':') { "IPv6" } else { "IPv4" },
        },
        "l4": layer4(query["proto"].as_str().unwrap(), port),
        "source": endpoint(&from, subject_is_source, case),
        "destination": endpoint(&to, !subject_is_source, case),
        "Type": "L3_L4",
        "node_name": "c1/node-1",
        "event_type": {"type": 5},
        "traffic_direction": direction.to_uppercase(),
        "policy_match_type": answer["match"],
        "Summary": "synthetic",
    });
    if let Some(names) = from["names"].as_array() {
        flow["source_names"] = json!(names);
    }
    if let Some(names) = to["names"].as_array() {
        flow["destination_names"] = json!(names);
    }
    if let Some(labels) = node_labels(if subject_is_source { &from } else { &to }) {
        flow["node_labels"] = labels;
    }
    if denied {
        flow["drop_reason_desc"] = json!(reason);
    } else {
        flow["is_reply"] = json!(false);
    }
    if !policies.is_empty() {
        let field = if denied { "denied_by" } else { "allowed_by" };
        flow[format!("{direction}_{field}")] = json!(policies);
    }
    let mut question = String::new();
    let _ = write!(
        question,
        "{} {direction} {}>{} {}/{port}: {answer}",
        case.id, query["from"], query["to"], query["proto"]
    );
    Written {
        line: json!({"flow": flow, "node_name": "c1/node-1", "time": flow["time"]}).to_string(),
        question,
        number,
        subject: query[if subject_is_source { "from" } else { "to" }]
            .as_u64()
            .unwrap(),
        direction: side_asked,
        recorded: (verdict, reason),
        names,
    }
}

/// Verdict and drop reason of the event for an answer.
pub fn recorded(answer: &Value) -> (&'static str, &'static str) {
    match (answer["verdict"].as_str().unwrap(), answer["auth"].as_str()) {
        ("deny_default", _) => ("DROPPED", "POLICY_DENIED"),
        ("deny_rule", _) => ("DROPPED", "POLICY_DENY"),
        (_, Some("required" | "test-always-fail")) => ("DROPPED", "AUTH_REQUIRED"),
        ("redirect", _) => ("REDIRECTED", ""),
        _ => ("FORWARDED", ""),
    }
}

fn address(identity: &Value) -> String {
    match identity["ip"].as_str() {
        Some(ip) => ip.to_owned(),
        None => format!(
            "10.200.{}.{}",
            identity["id"].as_u64().unwrap() / 250 % 250,
            identity["id"].as_u64().unwrap() % 250
        ),
    }
}

fn layer4(protocol: &str, port: u64) -> Value {
    match protocol {
        "ICMP" => json!({"ICMPv4": {"type": port}}),
        "ICMPv6" => json!({"ICMPv6": {"type": port}}),
        "TCP" => {
            json!({"TCP": {"source_port": 45678, "destination_port": port, "flags": {"SYN": true}}})
        }
        "VRRP" | "IGMP" => json!({protocol: {}}),
        other => json!({other: {"source_port": 45678, "destination_port": port}}),
    }
}

fn endpoint(identity: &Value, local: bool, case: &Case) -> Value {
    let mut all: Vec<String> = labels(identity).into_iter().map(str::to_owned).collect();
    let pod = value_of(identity, NAMESPACE).is_some();
    let inside = pod
        || all.iter().any(|label| {
            [
                "host",
                "remote-node",
                "health",
                "ingress",
                "init",
                "unmanaged",
            ]
            .iter()
            .any(|name| label == &format!("reserved:{name}"))
        });
    if !inside && let Some(ip) = identity["ip"].as_str() {
        let both = case.config["ipv6"] != false;
        let world = match (ip.contains(':'), both) {
            (true, _) => "reserved:world-ipv6",
            (false, true) => "reserved:world-ipv4",
            (false, false) => "reserved:world",
        };
        all.push(world.to_owned());
        all.push(format!(
            "cidr:{ip}/{}",
            if ip.contains(':') { 128 } else { 32 }
        ));
    }
    let mut endpoint = json!({"identity": identity["id"], "labels": all});
    if local {
        endpoint["ID"] = json!(100 + identity["id"].as_u64().unwrap() % 1000);
    }
    if let Some(namespace) = value_of(identity, NAMESPACE) {
        endpoint["namespace"] = json!(namespace);
        endpoint["pod_name"] = json!(format!("pod-{}", identity["id"]));
    }
    endpoint
}

/// What Hubble says of the node: where the host's labels as a subject come from.
fn node_labels(identity: &Value) -> Option<Value> {
    let labels: Vec<&str> = identity["subject_labels"]
        .as_array()?
        .iter()
        .filter_map(|label| label.as_str()?.strip_prefix("k8s:"))
        .collect();
    Some(json!(labels))
}
