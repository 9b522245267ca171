//! `flowwatch policy coverage`: what a person and a pipeline get.
//!
//! The figures of the sample recording were counted from its lines by hand.

use serde_json::Value;

use crate::support::flowwatch;

const SHOP: &str = "policy coverage samples/policies --flows samples/shop.jsonl";

/// A Deployment that nothing selects, and one under default deny in one direction.
const MANIFESTS: &str = r"
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: shop}
  spec: {template: {metadata: {labels: {app: web}}, spec: {containers: []}}}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: 'new', namespace: shop}
  spec: {template: {metadata: {labels: {app: new}}, spec: {containers: []}}}
- apiVersion: apps/v1
  kind: DaemonSet
  metadata: {name: agent, namespace: shop}
  spec: {template: {metadata: {labels: {app: agent}}, spec: {hostNetwork: true, containers: []}}}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: web, namespace: shop}
  spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
";

#[test]
fn a_person_reads_first_the_score_and_what_has_no_policy() {
    let ran = flowwatch().args(SHOP).run().exit(0);
    let lines = ran.lines();
    assert!(
        lines[0].starts_with("Score 80.0 of 100: of the 10 directions of 5 workloads, 8 are"),
        "{}",
        lines[0]
    );
    assert_eq!(
        lines[2..4],
        [
            "1 of 5 workloads needs a policy and has none:",
            "  kube-system/coredns  ingress and egress  24 flows, 2 peers to name"
        ]
    );
    let fields =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    assert_eq!(
        fields(lines[6]),
        [
            "kube-system",
            "0.0",
            "1",
            "1",
            "0/1",
            "0/1",
            "0",
            "0",
            "0.0%"
        ]
    );
    assert_eq!(
        fields(lines[9]),
        ["all", "80.0", "5", "1", "4/5", "4/5", "2", "4", "0.0%"]
    );
    assert!(!ran.text().contains('\x1b'));
}

#[test]
fn figures_of_a_recording_are_those_of_its_lines() {
    let ran = flowwatch().args(SHOP).args("-o json").run().exit(0);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(
        (&report["points"], &report["points_possible"]),
        (&16.into(), &20.into())
    );
    assert_eq!(report["packets"], 421);
    let flows: Vec<(String, u64, u64)> = report["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|workload| {
            let flows = |side: &str| workload[side]["flows"].as_u64().unwrap();
            (
                workload["name"].as_str().unwrap().to_owned(),
                flows("ingress"),
                flows("egress"),
            )
        })
        .collect();
    let wanted = [
        ("coredns", 24, 0),
        ("database", 7, 0),
        ("payments", 35, 1),
        ("checkout", 33, 284),
        ("frontend", 49, 17),
    ];
    assert_eq!(
        flows,
        wanted.map(|(name, ingress, egress)| (name.to_owned(), ingress, egress))
    );
    let checkout = &report["workloads"][3];
    assert_eq!(checkout["kind"], "Deployment");
    assert_eq!(checkout["ingress"]["cover"], "default-deny");
    assert_eq!(checkout["ingress"]["layer7"], serde_json::json!(["http"]));
    assert_eq!(
        checkout["ingress"]["policies"],
        serde_json::json!([
            "CiliumNetworkPolicy/shop/checkout",
            "CiliumClusterwideNetworkPolicy//default-deny"
        ])
    );
    assert_eq!(checkout["dns_visibility"], true);
}

#[test]
fn manifests_show_what_exists() {
    flowwatch()
        .args("policy coverage --workloads -")
        .stdin(MANIFESTS)
        .run()
        .exit(0)
        .stdout_contains("Score 25.0 of 100: of the 4 directions of 2 workloads, 1 is under")
        .stdout_contains("  shop/new  ingress and egress\n  shop/web  egress\n")
        .stdout_contains("shop/web  default deny  no policy  -\n")
        .stdout_contains("1 workload on the node's network, out of scope");
}

#[test]
fn a_score_that_is_asked_for_makes_the_exit_code() {
    let with = |args: &str, code| {
        flowwatch()
            .args("policy coverage -")
            .args(args)
            .stdin(MANIFESTS)
            .run()
            .exit(code)
    };
    with("--fail-under 25", 0);
    let _ = with("--fail-under 25.1", 1).stderr_contains("the score is below 25.1");
    let _ = with("--fail-under 101", 64);
    let _ = with("--flows none.jsonl", 2);
}

#[test]
fn policies_alone_are_said_not_to_tell_and_pass_no_threshold() {
    let run = |args: &str| {
        flowwatch()
            .args("policy coverage samples/policies")
            .args(args)
            .run()
    };
    let _ = run("")
        .exit(0)
        .stdout_contains("6 policies, and nothing that shows which workloads exist");
    let _ = run("--fail-under 0").exit(1).stderr_contains("undecided");
}

#[test]
fn markdown_is_a_page_of_tables() {
    flowwatch()
        .args(SHOP)
        .args("-o markdown")
        .run()
        .exit(0)
        .stdout_contains("**Score 80.0 of 100**")
        .stdout_contains("| kube-system/coredns | ingress and egress | 24 | 2 |")
        .stdout_contains("| shop | 100.0 | 2 | 0 | 2/2 | 2/2 | 0 | 0 | 1 | 2 | 0.0% |");
}
