//! Policies that are younger than flows.
//!
//! Scenario: the policies of a cluster as `kubectl get -o yaml` gives them, with the times of
//! their last change, and flows from before and after.
//! Guarantees: a disagreement about an older flow is `changed since` and not drift; only
//! changes of policies that select the subject in the direction count, and none of a status.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Ran, flowwatch};

/// A policy of the pods `web`, whose metadata has these lines too.
fn policy(name: &str, direction: &str, metadata: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: {name}\n  \
         namespace: shop\n{metadata}spec:\n  endpointSelector: {{matchLabels: {{app: web}}}}\n  \
         {direction}: [{{}}]\n"
    )
}

const CREATED: &str = "  creationTimestamp: \"2026-06-16T12:00:00Z\"\n";
const MANAGED: &str = "  creationTimestamp: 2026-06-16T10:00:00Z
  managedFields:
  - {manager: kubectl, operation: Apply, time: \"2026-06-16T12:00:00Z\"}
  - {manager: kubectl, operation: Update, time: \"2026-06-16T11:00:00Z\"}
  - {manager: operator, operation: Update, subresource: status, time: \"2026-06-16T13:00:00Z\"}
";

/// The pod is reached, which a policy that lets nobody in would not allow.
fn reached(time: &str, port: usize) -> String {
    let pod = |app: &str, id: u32| {
        json!({
            "ID": id, "identity": 1000 + app.len(), "namespace": "shop", "pod_name": app,
            "labels": [format!("k8s:app={app}"), "k8s:io.kubernetes.pod.namespace=shop"],
        })
    };
    let flow = json!({
        "time": time, "node_name": "n1", "verdict": "FORWARDED",
        "IP": {"source": "10.0.1.2", "destination": "10.0.1.1", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": port, "destination_port": 80, "flags": {"SYN": true}}},
        "source": pod("client", 0), "destination": pod("web", 100),
        "Type": "L3_L4", "event_type": {"type": 5}, "traffic_direction": "INGRESS",
    });
    json!({"flow": flow, "node_name": "n1", "time": time}).to_string()
}

/// Runs a command on connections of these times, judged by the policies.
fn run(command: &str, policies: &[String], times: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policies.yaml");
    fs::write(&policy, policies.join("---\n")).unwrap();
    let flows = folder.path().join("flows.jsonl");
    let ports = 45678..;
    let lines: String = times
        .iter()
        .zip(ports)
        .map(|(time, port)| reached(time, port) + "\n")
        .collect();
    fs::write(&flows, lines).unwrap();
    let run = flowwatch().args(command).arg("--policies");
    run.path(policy).path(flows).run().exit(0)
}

fn judge(policies: &[String], times: &[&str], args: &str) -> Ran {
    run(&format!("tail {args}"), policies, times)
}

fn agreements(policies: &[String], times: &[&str], args: &str) -> Vec<String> {
    let ran = judge(policies, times, &format!("-q -o json {args}"));
    let agreement = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let judged = &record["flowwatch"];
        assert_eq!(judged["verdict"], "denied-by-default", "{line}");
        judged["agreement"].as_str().unwrap().to_owned()
    };
    ran.lines().into_iter().map(agreement).collect()
}

const BEFORE: &str = "2026-06-16T11:59:59.5Z";
/// The time of a change is a whole second.
const WITHIN: &str = "2026-06-16T12:00:00.5Z";
const AFTER: &str = "2026-06-16T12:00:01Z";
const TIMES: [&str; 3] = [BEFORE, WITHIN, AFTER];
const CHANGED: [&str; 3] = ["changed since", "changed since", "drift"];

#[test]
fn a_flow_from_before_a_policy_is_no_drift() {
    assert_eq!(
        agreements(&[policy("web", "ingress", CREATED)], &TIMES, ""),
        CHANGED
    );
    assert_eq!(
        agreements(&[policy("web", "ingress", MANAGED)], &TIMES, ""),
        CHANGED
    );
    let timeless = policy("web", "ingress", "");
    assert_eq!(agreements(&[timeless], &TIMES, ""), ["drift"; 3]);
}

#[test]
fn only_policies_of_the_direction_count() {
    let policies = [
        policy("in", "ingress", ""),
        policy("out", "egress", CREATED),
    ];
    assert_eq!(agreements(&policies, &TIMES, ""), ["drift"; 3]);
    let policies = [policy("a", "ingress", ""), policy("b", "ingress", CREATED)];
    assert_eq!(agreements(&policies, &TIMES, ""), CHANGED);
}

#[test]
fn policies_may_be_said_to_be_in_force_since_a_time() {
    let timeless = [policy("web", "ingress", "")];
    let since = "--policies-since 2026-06-16T12:00:00.5Z";
    assert_eq!(
        agreements(&timeless, &TIMES, since),
        ["changed since", "drift", "drift"]
    );
    let ran = judge(&timeless, &TIMES, since);
    let wanted =
        "changed since: 1 recorded before the policies came into force 2026-06-16T12:00:00.5Z";
    ran.stderr_contains(wanted);
    let ran = flowwatch().args("tail --policies-since tomorrow --policies samples/policies");
    ran.args("samples/shop.jsonl")
        .run()
        .exit(64)
        .stderr_contains("--policies-since: failed to convert tomorrow to time");
}

#[test]
fn a_report_keeps_what_is_older_than_its_policies_apart() {
    let policies = [policy("web", "ingress", CREATED)];
    let ran = run("analyze -q -o json", &policies, &TIMES);
    let report: Value = serde_json::from_str(ran.text()).unwrap();
    let judged = &report["policies"];
    let changed = json!([{"policy": "shop/web", "time": "2026-06-16T12:00:00Z", "verdicts": 2}]);
    assert_eq!(judged["changed"], changed);
    assert_eq!((&judged["drift"], &judged["equal"]), (&json!(1), &json!(0)));
    let text = run("analyze -q", &policies, &TIMES);
    text.stdout_contains("2 other verdicts were recorded before shop/web changed");
}

#[test]
fn the_policy_and_its_time_are_named_and_counted_apart() {
    let policies = [policy("web", "ingress", CREATED)];
    let ran = judge(&policies, &TIMES, "")
        .stderr_contains(
            "agreement: 0 of 1 recorded verdicts (0.0 %) \u{b7} drift 1 \u{b7} changed since 2",
        )
        .stderr_contains("changed since: 2 recorded before shop/web changed 2026-06-16T12:00:00Z");
    let line = ran.lines()[0].to_owned();
    assert!(
        line.contains(" | changed since: computed implicit default deny by shop/web ("),
        "{line}"
    );
    assert!(
        line.ends_with("; shop/web changed 2026-06-16T12:00:00Z"),
        "{line}"
    );

    let shown = |only: &str| agreements(&policies, &TIMES, &format!("--only {only}"));
    assert_eq!(shown("drift"), ["drift"]);
    assert_eq!(shown("changed"), ["changed since"; 2]);

    let ran = judge(&policies, &[BEFORE], "-q -o json");
    let record: Value = serde_json::from_str(ran.lines()[0]).unwrap();
    let changed = &record["flowwatch"]["changed"];
    assert_eq!(changed["policy"]["name"], "web", "{record}");
    assert_eq!(changed["policy"]["namespace"], "shop");
    assert_eq!(changed["time"], "2026-06-16T12:00:00Z");
}
