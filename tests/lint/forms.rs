//! The command's forms, exit codes and comments, as a person and a program see them.

use serde_json::Value;

use crate::support::{Ran, flowwatch};

const BAD: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  endpointSelector: {}
  ingress:
  - fromEntities: [cluster, host]
  - fromEndpoints:
    - matchLabels:
        app:kubernetes.io/name: cart
";

fn lint(args: &str, stdin: &str) -> Ran {
    flowwatch()
        .args("policy lint")
        .args(args)
        .arg("-")
        .stdin(stdin)
        .run()
}

fn json(args: &str, stdin: &str) -> Value {
    serde_json::from_slice(&lint(args, stdin).stdout).unwrap()
}

#[test]
fn a_finding_is_a_line_with_its_place_and_a_line_that_mends_it() {
    let ran = lint("", BAD).exit(1);
    let text = String::from_utf8(ran.stdout.clone()).unwrap();
    assert!(
        text.contains("<stdin>:12:9: error label-key-source: 'app:kubernetes.io/name' asks for"),
        "{text}"
    );
    assert!(
        text.contains("\n    mend: write 'app.kubernetes.io/name'"),
        "{text}"
    );
    assert!(
        text.contains("\n    in: CiliumNetworkPolicy/shop/web spec.ingress[1]"),
        "{text}"
    );
    assert_eq!(
        ran.stderr.trim_end(),
        "1 policy in 1 file: 1 error, 0 warnings, 1 info"
    );
}

#[test]
fn what_makes_it_fail_is_a_choice() {
    for (args, code) in [
        ("--fail-on never", 0),
        ("--fail-on error", 1),
        ("--fail-on entity-redundant", 1),
        ("--fail-on http-path-glob", 0),
        ("--fail-on warnings", 64),
    ] {
        assert_eq!(lint(args, BAD).code, code, "{args}");
    }
    lint(
        "--fail-on info",
        &BAD[..BAD.find("  - fromEndpoints").unwrap()].replace(", host", ""),
    )
    .exit(0);
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let ran = flowwatch()
        .args("policy lint no-such-file.yaml")
        .run()
        .exit(2);
    assert!(ran.stderr.contains("no-such-file.yaml"), "{}", ran.stderr);
}

#[test]
fn a_comment_with_a_reason_keeps_a_finding_away() {
    let text = BAD.replace(
        "  - fromEndpoints",
        "  # flowwatch: ignore label-key-source -- known, see the ticket\n  - fromEndpoints",
    );
    let ran = lint("", &text).exit(0);
    assert!(!String::from_utf8_lossy(&ran.stdout).contains("label-key-source"));
    assert!(ran.stderr.contains("1 suppressed"), "{}", ran.stderr);

    let sarif = json("-o sarif", &text);
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let suppressed = results
        .iter()
        .find(|result| result["ruleId"] == "label-key-source")
        .unwrap();
    assert_eq!(
        suppressed["suppressions"][0]["justification"],
        "known, see the ticket"
    );
}

#[test]
fn json_has_the_fields_and_the_counts() {
    let value = json("-o json", BAD);
    assert_eq!(value["version"], 1);
    assert_eq!(value["summary"]["errors"], 1);
    let finding = &value["findings"][1];
    assert_eq!(finding["id"], "label-key-source");
    assert_eq!(finding["line"], 12);
    assert_eq!(finding["object"], "CiliumNetworkPolicy/shop/web");
    assert_eq!(finding["fingerprint"].as_str().unwrap().len(), 16);
}

/// The parts of the SARIF 2.1.0 schema that apply to what we write.
#[test]
fn sarif_has_the_shape_of_its_schema() {
    let log = json("-o sarif", BAD);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "flowwatch");
    let rules = driver["rules"].as_array().unwrap();
    for rule in rules {
        let id = rule["id"].as_str().unwrap();
        assert!(rule["shortDescription"]["text"].is_string());
        assert!(
            rule["helpUri"]
                .as_str()
                .unwrap()
                .ends_with(&format!("docs/lint.md#{id}"))
        );
        let level = rule["defaultConfiguration"]["level"].as_str().unwrap();
        assert!(["error", "warning", "note"].contains(&level), "{level}");
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(result["ruleId"], rules[index]["id"]);
        assert!(result["message"]["text"].is_string());
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].is_string());
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
        assert!(place["region"]["startColumn"].as_u64().unwrap() >= 1);
    }
}

#[test]
fn options_of_the_agents_are_read_from_the_tree() {
    let nodes = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: nodes}
spec: {nodeSelector: {}, ingress: [{fromEntities: [cluster]}]}
";
    let config = "---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-host-firewall: 'true'}
";
    let before = json("-o json", nodes);
    assert_eq!(
        before["findings"][0]["id"],
        "node-selector-without-host-firewall"
    );
    let after = json("-o json", &format!("{nodes}{config}"));
    assert_eq!(after["findings"].as_array().unwrap().len(), 0);
}

/// Scenario: two objects of one name say different things; loading keeps the first.
/// Guarantees: the second is looked at too, and that they contradict is said once.
#[test]
fn both_of_two_objects_with_one_name_are_looked_at() {
    let good = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec: {endpointSelector: {}, ingress: [{fromEntities: [cluster]}]}
---
";
    let value = json("-o json", &format!("{good}{BAD}"));
    let findings = value["findings"].as_array().unwrap();
    let lines = |id: &str| -> Vec<u64> {
        let of_id = findings.iter().filter(|finding| finding["id"] == id);
        of_id
            .map(|finding| finding["line"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(lines("label-key-source"), [17]);
    assert_eq!(lines("duplicate-object").len(), 1);
}
