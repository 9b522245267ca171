//! Addresses without a name, and what recorded DNS says of them.
//!
//! Scenario: a pod may reach what is called `*.good.example`; it reaches an address whose
//! name nobody asked for.
//! Guarantees: the address has no name only where the DNS of the pod's node was recorded
//! without a hole for longer than the longest time to live; otherwise the verdict stays
//! unknown and says what is missing. `explain` says the same as `tail`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Run, flowwatch};

const POLICY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: names, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
  - toFQDNs: [{matchPattern: "*.good.example"}]
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
"#;
const OTHER: &str = "203.0.113.9";
const GOOD: &str = "203.0.113.7";
const WORLD: [&str; 2] = ["cidr:203.0.113.9/32", "reserved:world-ipv4"];
/// Times to live are up to this many seconds.
const TTL: i64 = 300;

fn time(second: i64) -> String {
    // 2026-06-16T12:00:00Z
    let time = jiff::Timestamp::from_second(1_781_611_200 + second).unwrap();
    time.to_string()
}

fn record(kind: &str, node: &str, second: i64, mut body: Value) -> String {
    if kind == "flow" {
        body["time"] = json!(time(second));
        body["node_name"] = json!(node);
    }
    json!({kind: body, "node_name": node, "time": time(second)}).to_string()
}

fn dns(node: &str, second: i64, ttl: i64) -> String {
    let flow = json!({
        "verdict": "FORWARDED", "Type": "L7", "event_type": {"type": 129},
        "is_reply": true, "traffic_direction": "EGRESS",
        "l7": {"type": "RESPONSE", "dns": {
            "query": "api.good.example.", "ips": [GOOD], "ttl": ttl, "qtypes": ["A"],
            "observation_source": "proxy",
        }},
    });
    record("flow", node, second, flow)
}

fn lost(node: &str, second: i64) -> String {
    let lost = json!({"source": "HUBBLE_RING_BUFFER", "num_events_lost": 3});
    record("lost_events", node, second, lost)
}

/// The pod is refused, as if the address had no name.
fn refused(node: &str, second: i64, address: &str, labels: &[&str]) -> String {
    let flow = json!({
        "verdict": "DROPPED", "drop_reason_desc": "POLICY_DENIED",
        "IP": {"source": "10.0.1.1", "destination": address, "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 45678, "destination_port": 443, "flags": {"SYN": true}}},
        "source": {
            "ID": 100, "identity": 1001, "namespace": "shop", "pod_name": "web-0",
            "labels": ["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"],
        },
        "destination": {"identity": 16_777_300, "labels": labels},
        "Type": "L3_L4", "event_type": {"type": 5}, "traffic_direction": "EGRESS",
    });
    record("flow", node, second, flow)
}

struct Recording {
    folder: TempDir,
    lines: usize,
}

impl Recording {
    fn new(lines: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
        let recording = Self {
            folder,
            lines: lines.len(),
        };
        fs::write(recording.path(), lines.join("\n") + "\n").unwrap();
        recording
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("flows.jsonl")
    }

    fn run(&self, command: &str) -> Run {
        flowwatch()
            .args(command)
            .arg("--policies")
            .path(self.folder.path().join("policy.yaml"))
    }

    /// What is said of the last flow, by `tail` and by `explain`.
    fn last(&self, args: &str) -> Value {
        let ran = self.run("tail -q -o json").args(args).path(self.path());
        let ran = ran.run().exit(0);
        let line = ran.lines().pop().unwrap();
        let judged = serde_json::from_str::<Value>(line).unwrap()["flowwatch"].clone();
        let place = format!("{}:{}", self.path().display(), self.lines);
        let explained = self
            .run("explain -o json")
            .args(args)
            .arg("--line")
            .arg(place);
        let explained: Value = serde_json::from_slice(&explained.run().exit(0).stdout).unwrap();
        let egress = &explained["egress"];
        assert_eq!(egress["verdict"], judged["verdict"], "{explained}");
        assert_eq!(explained["names"], judged["names"], "{explained}");
        judged
    }
}

#[track_caller]
fn has_no_name(lines: &[String]) {
    let judged = Recording::new(lines).last("");
    assert_eq!(judged["verdict"], "denied-by-default", "{judged}");
    assert_eq!(judged["agreement"], "equal", "{judged}");
}

#[track_caller]
fn may_have_a_name(lines: &[String], args: &str, why: &str) -> Value {
    let judged = Recording::new(lines).last(args);
    assert_eq!(judged["cause"], "name never observed", "{judged}");
    assert_eq!(judged["agreement"], "unknown", "{judged}");
    let said = judged["names"]["why"].as_str().unwrap();
    assert!(said.contains(why), "{judged}");
    judged
}

fn flow(second: i64) -> String {
    refused("n1", second, OTHER, &WORLD)
}

#[test]
fn a_long_record_leaves_an_address_without_a_name() {
    let start = [dns("n1", 0, 60), dns("n1", 10, TTL)];
    let with = |last| [&start[..], &[last]].concat();
    has_no_name(&with(flow(TTL + 1)));
    // Number 2 is the world, which has no label of a name.
    let mut world: Value = serde_json::from_str(&flow(TTL + 1)).unwrap();
    world["flow"]["destination"] = json!({"identity": 2});
    has_no_name(&with(world.to_string()));
    let judged = may_have_a_name(
        &with(flow(TTL)),
        "",
        "DNS of n1 recorded from 2026-06-16T12:00:00Z",
    );
    assert_eq!(judged["names"]["needed_seconds"], TTL);
    assert_eq!(judged["names"]["recorded_from"], time(0));
}

#[test]
fn what_the_agent_keeps_for_longer_is_waited_for() {
    let lines = [dns("n1", 0, TTL), flow(TTL + 30)];
    has_no_name(&lines);
    let args = "--cilium-option tofqdns-idle-connection-grace-period=30s";
    let judged = may_have_a_name(&lines, args, "more than 330 s");
    assert_eq!(judged["names"]["needed_seconds"], 330);
    may_have_a_name(
        &lines,
        "--cilium-option tofqdns-min-ttl=3600",
        "more than 3600 s",
    );
}

#[test]
fn a_hole_begins_the_record_anew() {
    for node in ["n1", ""] {
        let mut lines = vec![dns("n1", 0, TTL), lost(node, 200), flow(TTL + 1)];
        may_have_a_name(&lines, "", "no DNS of n1 without a hole");
        lines.insert(2, dns("n1", 210, 60));
        may_have_a_name(&lines, "", "recorded from 2026-06-16T12:03:30Z");
        lines.push(flow(210 + TTL + 1));
        has_no_name(&lines);
    }
    has_no_name(&[dns("n1", 0, TTL), lost("n2", 200), flow(TTL + 1)]);
}

#[test]
fn a_line_that_cannot_be_read_is_a_hole() {
    let cut = dns("n1", 200, 60)[..90].to_owned();
    let lines = [dns("n1", 0, TTL), cut, flow(TTL + 1)];
    may_have_a_name(&lines, "", "no DNS of n1 without a hole");
}

#[test]
fn the_dns_of_another_node_does_not_count() {
    let lines = [dns("n2", 0, TTL), flow(10 * TTL)];
    may_have_a_name(&lines, "", "no DNS of n1");
}

#[test]
fn the_label_of_a_name_is_proof_of_it() {
    let labels = ["fqdn:*.good.example", "reserved:world-ipv4"];
    let labelled = refused("n1", 1, OTHER, &labels);
    let judged = Recording::new(&[labelled]).last("");
    assert_eq!(judged["verdict"], "allowed", "{judged}");
    // One of another rule says that there are names nobody recorded.
    let labels = ["fqdn:*.bad.example", "reserved:world-ipv4"];
    let lines = [dns("n1", 0, TTL), refused("n1", TTL + 1, OTHER, &labels)];
    may_have_a_name(&lines, "", "labels");
    // Without labels it is not known whether there was one.
    let lines = [dns("n1", 0, TTL), refused("n1", TTL + 1, OTHER, &[])];
    may_have_a_name(&lines, "", "labels");
}

#[test]
fn a_name_that_has_expired_may_be_kept_by_a_connection() {
    let labels = ["reserved:world-ipv4"];
    let good = |second| refused("n1", second, GOOD, &labels);
    let judged = Recording::new(&[dns("n1", 0, TTL), good(TTL)]).last("");
    assert_eq!(judged["verdict"], "allowed", "{judged}");
    may_have_a_name(&[dns("n1", 0, TTL), good(TTL + 1)], "", "expired");
}

/// Scenario: the first half in one file, the second in another.
/// Guarantees: what lies between them is not taken as recorded.
#[test]
fn a_record_does_not_go_on_in_another_file() {
    let first = Recording::new(&[dns("n1", 0, TTL)]);
    let second = Recording::new(&[flow(TTL + 1)]);
    let ran = second.run("tail -q").path(first.path()).path(second.path());
    let ran = ran.run().exit(0);
    let line = ran.lines().pop().unwrap();
    let wanted = "unknown: name never observed (no DNS of n1 without a hole before)";
    assert!(line.ends_with(wanted), "{line}");
}

/// Scenario: the same events, spread by so many others that they are read in pieces.
/// Guarantees: the answers are those of one piece.
#[test]
fn pieces_change_nothing() {
    let mut lines = vec![dns("n1", 0, TTL)];
    for second in 1..6_000 {
        lines.push(flow(second));
        if second % 1_500 == 0 {
            lines.push(lost("n1", second));
        }
        if second % 100 == 0 {
            lines.push(dns("n1", second, 60));
        }
    }
    let recording = Recording::new(&lines);
    let ran = recording
        .run("tail -q -o json")
        .path(recording.path())
        .run();
    let (mut since, mut checked) = (0, 0);
    for line in ran.exit(0).lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let judged = &record["flowwatch"];
        if judged["direction"] != "egress" {
            continue;
        }
        checked += 1;
        let at: jiff::Timestamp = record["time"].as_str().unwrap().parse().unwrap();
        let second = at.as_second() - 1_781_611_200;
        // The loss comes behind the flow of its second, and an answer right behind it.
        if second > 0 && (second - 1) % 1_500 == 0 && second > 1 {
            since = second - 1;
        }
        let known = second - since > TTL;
        let expected = if known {
            "denied-by-default"
        } else {
            "unknown"
        };
        assert_eq!(
            judged["verdict"], expected,
            "{second} after {since}: {line}"
        );
    }
    assert_eq!(checked, 5_999);
}
