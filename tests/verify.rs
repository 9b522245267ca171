//! `flowwatch verify` as a person runs it: on the sample's flows, as they would be had the pod
//! been cut off in the middle of them.
//!
//! Proves what is said of flows that show a quarantine, show none, or have holes. Does not
//! prove that a cluster gives such flows.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Ran, flowwatch};

const SHOP: &str = "samples/shop.jsonl.gz";
const POD: &str = "checkout-7d5b9c6f48-hx2vp";
const POLICY: &str = "flowwatch-quarantine-inc-1";
const LABEL: &str = "k8s:flowwatch.io/quarantine=INC-1";
/// When the label is set, and when the agent has the policy.
const APPLIED: &str = "2026-06-16T14:13:00Z";
const EFFECT: &str = "2026-06-16T14:13:02Z";
/// After the last drop, and before it is taken back.
const LATE: &str = "2026-06-16T14:16:59.9Z";
/// When it is taken back.
const GONE: &str = "2026-06-16T14:17:00Z";

const QUARANTINE: &str = "apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata:
  name: flowwatch-quarantine-inc-1
spec:
  endpointSelector: {matchLabels: {flowwatch.io/quarantine: INC-1}}
  ingressDeny:
  - fromEndpoints:
    - matchExpressions:
      - {key: flowwatch.io/forensics, operator: DoesNotExist}
      - {key: io.cilium.k8s.policy.cluster, operator: Exists}
  - fromEntities: [world, remote-node, kube-apiserver, unmanaged, health, ingress, init]
  egressDeny:
  - toEndpoints:
    - matchExpressions:
      - {key: flowwatch.io/forensics, operator: DoesNotExist}
      - {key: io.cilium.k8s.policy.cluster, operator: Exists}
  - toEntities: [world, remote-node, host, kube-apiserver, unmanaged, health, ingress, init]
";

/// A bundle as `isolate` writes it, as far as `verify` reads it.
fn bundle(folder: &Path) {
    fs::write(folder.join("30-quarantine.yaml"), QUARANTINE).unwrap();
    let record = json!({
        "version": 1,
        "target": format!("pod:shop/{POD}"),
        "workloads": ["shop/checkout"],
        "made": "2026-06-16T14:12:00Z",
        "incident": null,
        "quarantine": {
            "pattern": "label-quarantine",
            "files": ["30-quarantine.yaml"],
            "policies": [POLICY],
            "label": {"key": "flowwatch.io/quarantine", "value": "INC-1"},
            "expires": null,
            "proof": "proven",
        },
        "options": ["cluster-name=shop-prod"],
        "evidence": null,
    });
    fs::write(folder.join("bundle.json"), record.to_string()).unwrap();
}

/// The sample's flows, as lines.
fn sample() -> Vec<Value> {
    let ran = flowwatch()
        .args("tail -q -o json --input-file")
        .args(SHOP)
        .run()
        .exit(0);
    ran.text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The end of a flow that the pod is, `source` or `destination`.
fn end(flow: &Value) -> Option<&'static str> {
    ["source", "destination"]
        .into_iter()
        .find(|end| flow[end]["pod_name"] == POD)
}

/// What would have been seen: from [`APPLIED`] on the pod carries the label; from [`EFFECT`]
/// to [`GONE`] what it sends and gets is dropped by the quarantine, but for its own node's
/// probes.
fn cut(flows: Vec<Value>) -> Vec<Value> {
    let mut seen = Vec::new();
    for mut line in flows {
        let Some(end) = line.get("flow").and_then(end) else {
            seen.push(line);
            continue;
        };
        let flow = &mut line["flow"];
        let time = flow["time"].as_str().unwrap().to_owned();
        let (applied, gone) = (time.as_str() >= APPLIED, time.as_str() >= GONE);
        if applied && !gone {
            flow[end]["labels"]
                .as_array_mut()
                .unwrap()
                .push(json!(LABEL));
        }
        if time.as_str() < EFFECT || gone {
            seen.push(line);
            continue;
        }
        let other = if end == "source" {
            "destination"
        } else {
            "source"
        };
        let labels = flow[other]["labels"].to_string();
        if labels.contains("reserved:host") && end == "destination" {
            seen.push(line);
            continue;
        }
        let direction = if end == "source" { "EGRESS" } else { "INGRESS" };
        let is_asked = matches!(flow["event_type"]["type"].as_i64(), Some(1 | 5))
            && flow["traffic_direction"] == direction
            && flow["is_reply"] != json!(true);
        if !is_asked {
            // Nothing goes on that could be traced, and no proxy is asked.
            continue;
        }
        flow["verdict"] = json!("DROPPED");
        flow["drop_reason"] = json!(181);
        flow["drop_reason_desc"] = json!("POLICY_DENY");
        let object = flow.as_object_mut().unwrap();
        for side in ["egress", "ingress"] {
            object.remove(&format!("{side}_allowed_by"));
            object.remove(&format!("{side}_denied_by"));
        }
        let by = format!("{}_denied_by", direction.to_lowercase());
        object.insert(
            by,
            json!([{"name": POLICY, "kind": "CiliumClusterwideNetworkPolicy"}]),
        );
        seen.push(line);
    }
    seen
}

fn write(path: &Path, flows: &[Value]) {
    let lines: Vec<String> = flows.iter().map(|line| format!("{line}\n")).collect();
    fs::write(path, lines.concat()).unwrap();
}

/// Verifies flows with these further arguments.
fn verified(flows: &[Value], args: &str, code: i32) -> (Ran, Value) {
    let folder = tempfile::tempdir().unwrap();
    bundle(folder.path());
    let path = folder.path().join("flows.jsonl");
    write(&path, flows);
    let run = || {
        flowwatch()
            .args("verify -q")
            .path(folder.path())
            .args("--flows")
            .path(&path)
            .args(args)
    };
    let json = run().args("-o json").run().exit(code);
    let value: Value = serde_json::from_str(json.text()).unwrap();
    let text = fs::read_to_string("docs/schema/verify.json").unwrap();
    let errors = crate::analyze::schema::errors(&serde_json::from_str(&text).unwrap(), &value);
    assert!(errors.is_empty(), "{errors:?}");
    (run().run().exit(code), value)
}

/// Flows until a time.
fn until(flows: &[Value], end: &str) -> Vec<Value> {
    let before = |line: &&Value| {
        line["time"]
            .as_str()
            .or_else(|| line["flow"]["time"].as_str())
            < Some(end)
    };
    flows.iter().filter(before).cloned().collect()
}

/// Without what says that events are missing.
fn whole(flows: Vec<Value>) -> Vec<Value> {
    flows
        .into_iter()
        .filter(|line| line.get("flow").is_some())
        .collect()
}

#[test]
fn a_quarantine_that_works_is_proven_with_its_time_to_effect() {
    let flows = until(&whole(cut(sample())), GONE);
    let (ran, value) = verified(&flows, &format!("--applied {APPLIED}"), 0);
    assert_eq!(value["result"], "proven", "{value:#}");
    assert_eq!(value["survivors"], json!([]));
    let most = value["effect_seconds"]["most"].as_f64().unwrap();
    assert!((0.0..60.0).contains(&most), "{most}");
    let egress = value["sides"]
        .as_array()
        .unwrap()
        .iter()
        .find(|side| side["direction"] == "egress")
        .unwrap();
    assert!(egress["named"].as_u64().unwrap() > 5);
    assert!(ran.text().starts_with("proven"), "{}", ran.text());
    // When nobody says when it was applied, the flows do.
    let (_, value) = verified(&flows, "", 0);
    assert_eq!(value["result"], "proven", "{value:#}");
}

#[test]
fn flows_without_a_quarantine_refute_it() {
    let flows = whole(sample());
    let (ran, value) = verified(&flows, &format!("--applied {APPLIED}"), 1);
    assert_eq!(value["result"], "refuted");
    let survivors = value["survivors"].as_array().unwrap();
    assert!(
        survivors
            .iter()
            .any(|one| one["port"] == 443 && one["direction"] == "egress"),
        "{survivors:?}"
    );
    assert!(ran.text().contains("is it labelled"), "{}", ran.text());
}

#[test]
fn one_that_gets_through_after_the_first_drops_refutes_it() {
    let mut flows = until(&whole(cut(sample())), GONE);
    let original = whole(sample());
    // One connection is let through by another agent's old policy, at the end.
    let late = original
        .iter()
        .rfind(|line| {
            let flow = &line["flow"];
            end(flow) == Some("source")
                && flow["verdict"] == "FORWARDED"
                && flow["event_type"]["type"] == 5
                && flow["time"].as_str().unwrap() < GONE
        })
        .unwrap();
    let mut late = late.clone();
    late["time"] = json!(LATE);
    late["flow"]["time"] = json!(LATE);
    flows.push(late);
    let (_, value) = verified(&flows, &format!("--applied {APPLIED}"), 1);
    assert_eq!(value["result"], "refuted", "{value:#}");
}

#[test]
fn a_hole_on_its_node_leaves_it_undecided() {
    let mut flows = until(&whole(cut(sample())), GONE);
    flows.push(json!({
        "lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "7"},
        "node_name": "worker-2",
        "time": "2026-06-16T14:15:00Z",
    }));
    let (ran, value) = verified(&flows, &format!("--applied {APPLIED}"), 1);
    assert_eq!(value["result"], "undecided", "{value:#}");
    assert!(
        ran.text().contains("may have got through unseen"),
        "{}",
        ran.text()
    );
    // A hole of another node says nothing of this pod.
    let last = flows.len() - 1;
    flows[last]["node_name"] = json!("worker-3");
    let (_, value) = verified(&flows, &format!("--applied {APPLIED}"), 0);
    assert_eq!(value["result"], "proven");
}

#[test]
fn what_is_not_tried_is_not_proven() {
    let flows: Vec<Value> = until(&whole(cut(sample())), GONE)
        .into_iter()
        .filter(|line| {
            let flow = &line["flow"];
            end(flow).is_none() || flow["time"].as_str().unwrap() < APPLIED
        })
        .collect();
    let (_, value) = verified(&flows, &format!("--applied {APPLIED}"), 1);
    assert_eq!(value["result"], "undecided", "{value:#}");
}

#[test]
fn the_way_out_is_checked_too() {
    let flows = whole(cut(sample()));
    let (_, value) = verified(&flows, &format!("--rolled-back --applied {GONE}"), 0);
    assert_eq!(value["result"], "proven", "{value:#}");
    let still = until(&flows, GONE);
    let (_, value) = verified(&still, "--rolled-back --applied 2026-06-16T14:15:00Z", 1);
    assert_ne!(value["result"], "proven");
}

/// Scenario: the same flows from a server, as they would come.
#[test]
fn a_server_proves_it_as_soon_as_it_does() {
    let folder = tempfile::tempdir().unwrap();
    bundle(folder.path());
    let path = folder.path().join("flows.jsonl");
    write(&path, &until(&whole(cut(sample())), GONE));
    let mut server = flowwatch()
        .args("serve --listen 127.0.0.1:0 --input-file")
        .path(&path)
        .start();
    let address = server.next_line();
    let address = address.strip_prefix("listening on ").unwrap();
    let ran = flowwatch()
        .args("verify -q -o json --wait 20s")
        .path(folder.path())
        .args("--server")
        .arg(address)
        .args("--applied")
        .arg(APPLIED)
        .run()
        .exit(0);
    let value: Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!(value["result"], "proven");
}

#[test]
fn a_folder_that_is_no_bundle_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let ran = flowwatch()
        .args("verify -q --flows samples/shop.jsonl --")
        .path(folder.path())
        .run()
        .exit(2);
    assert!(ran.stderr.contains("bundle.json"), "{}", ran.stderr);
}

/// A call to the host of worker-2 from outside, as the node judged it; `dropped` by the
/// quarantine's name.
fn knock(time: &str, dropped: bool) -> Value {
    let mut flow = json!({
        "time": time,
        "verdict": "FORWARDED",
        "IP": {"source": "203.0.113.9", "destination": "10.0.0.12", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40000, "destination_port": 22, "flags": {"SYN": true}}},
        "source": {"identity": 2, "labels": ["reserved:world"]},
        "destination": {"identity": 1, "labels": ["reserved:host"]},
        "Type": "L3_L4",
        "node_name": "shop-prod/worker-2",
        "node_labels": [
            "kubernetes.io/hostname=worker-2",
            "flowwatch.io/quarantine=INC-1",
        ],
        "event_type": {"type": 5},
        "traffic_direction": "INGRESS",
        "policy_match_type": 4,
        "is_reply": false,
    });
    if dropped {
        flow["verdict"] = json!("DROPPED");
        flow["drop_reason"] = json!(181);
        flow["drop_reason_desc"] = json!("POLICY_DENY");
        flow["ingress_denied_by"] = json!([{
            "name": "flowwatch-node-inc-1",
            "kind": "CiliumClusterwideNetworkPolicy",
        }]);
    }
    json!({"flow": flow, "node_name": "shop-prod/worker-2", "time": time})
}

/// Scenario: the host of a node is cut off, by the bundle that `isolate` wrote for it; nothing
/// of it is a pod, and its labels are the node's.
/// Guarantees: drops by name prove it, what gets through refutes it.
#[test]
fn the_host_of_a_node_is_watched_by_the_labels_of_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("INC-1");
    flowwatch()
        .args("isolate node:worker-2 --policies samples/policies --flows")
        .args(SHOP)
        .args("--cilium-option enable-host-firewall=true --incident INC-1 -q --out")
        .path(&bundle)
        .run()
        .exit(1);
    let verified = |flows: &[Value], code: i32| -> Value {
        let path = folder.path().join("flows.jsonl");
        write(&path, flows);
        let ran = flowwatch()
            .args("verify -q -o json")
            .path(&bundle)
            .args("--flows")
            .path(&path)
            .args("--applied")
            .arg(APPLIED)
            .run()
            .exit(code);
        serde_json::from_str(ran.text()).unwrap()
    };
    let mut flows = vec![
        knock("2026-06-16T14:12:50Z", false),
        knock("2026-06-16T14:13:01Z", false),
        knock("2026-06-16T14:13:05Z", true),
        knock("2026-06-16T14:13:40Z", true),
    ];
    let value = verified(&flows, 0);
    assert_eq!(value["result"], "proven", "{value:#}");
    assert_eq!(value["sides"][0]["who"], "10.0.0.12");
    assert_eq!(value["sides"][0]["named"], 2);
    flows.push(knock("2026-06-16T14:13:45Z", false));
    let value = verified(&flows, 1);
    assert_eq!(value["result"], "refuted", "{value:#}");
    assert_eq!(value["survivors"][0]["port"], 22);
    // On another node it says nothing of this one.
    flows.pop();
    for flow in &mut flows {
        flow["node_name"] = json!("shop-prod/worker-3");
        flow["flow"]["node_name"] = json!("shop-prod/worker-3");
    }
    assert_eq!(verified(&flows, 1)["result"], "undecided");
}

/// Scenario: a recording with a line that is no flow.
#[test]
fn what_is_skipped_is_said_unless_it_is_to_be_quiet() {
    let folder = tempfile::tempdir().unwrap();
    bundle(folder.path());
    let path = folder.path().join("flows.jsonl");
    fs::write(&path, "{\"flow\": 1}\n").unwrap();
    let run = |args: &str| {
        flowwatch()
            .args("verify")
            .args(args)
            .path(folder.path())
            .args("--flows")
            .path(&path)
            .run()
            .exit(1)
    };
    let loud = run("");
    assert!(loud.stderr.contains("skipped"), "{}", loud.stderr);
    let quiet = run("-q");
    assert!(!quiet.stderr.contains("skipped"), "{}", quiet.stderr);
}
