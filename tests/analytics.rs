//! `flowwatch policy unused`, `broad` and `redundant` as a person and a pipeline run them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::flowwatch;

/// The sample recording without what says that something was lost.
fn whole(folder: &Path) -> std::path::PathBuf {
    let text = fs::read_to_string("samples/shop.jsonl").unwrap();
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("\"lost_events\"") && !line.contains("\"node_status\""))
        .collect();
    let path = folder.join("whole.jsonl");
    fs::write(&path, kept.join("\n") + "\n").unwrap();
    path
}

fn fits(value: &Value, name: &str) {
    let text = fs::read_to_string(format!("docs/schema/{name}.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let errors = crate::analyze::schema::errors(&schema, value);
    assert!(errors.is_empty(), "{errors:?}");
}

fn json(args: &str, path: &Path, more: &str, exit: i32) -> Value {
    let ran = flowwatch()
        .args(args)
        .path(path)
        .args(more)
        .run()
        .exit(exit);
    serde_json::from_str(ran.text()).unwrap()
}

const UNUSED: &str = "policy unused -q -o json --min-window 0s samples/policies --flows";

/// Rules and parts of a standing, as `policy path` and line.
fn of_standing(value: &Value, standing: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for rule in value["rules"].as_array().unwrap() {
        let name = format!(
            "{} {}",
            rule["policy"]["name"].as_str().unwrap(),
            rule["path"].as_str().unwrap()
        );
        if rule["standing"] == standing {
            found.push((name, rule["line"].as_u64().unwrap()));
            continue;
        }
        for part in rule["parts"].as_array().unwrap() {
            if part["standing"] == standing {
                let path = part["path"].as_str().unwrap();
                found.push((path.to_owned(), part["line"].as_u64().unwrap()));
            }
        }
    }
    found
}

#[test]
fn with_a_loss_nothing_is_called_unused_and_a_check_is_undecided() {
    let value = json(UNUSED, Path::new("samples/shop.jsonl"), "", 0);
    fits(&value, "unused");
    assert_eq!(value["unused"], serde_json::json!({"rules": 0, "parts": 0}));
    assert_eq!(value["withdrawn"][0]["reason"], "unseen");
    assert!(!of_standing(&value, "not shown").is_empty());
    let ran = flowwatch()
        .args(UNUSED)
        .args("samples/shop.jsonl --fail-on unused")
        .run()
        .exit(1);
    assert!(
        ran.stderr.contains("undecided: not all was seen"),
        "{}",
        ran.stderr
    );
}

#[test]
fn without_a_loss_what_nothing_needed_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path());
    let value = json(UNUSED, &whole, "", 0);
    fits(&value, "unused");
    assert_eq!(value["withdrawn"], serde_json::json!([]));
    let named = of_standing(&value, "unused");
    assert!(!named.is_empty(), "{value:#}");
    assert_eq!(value["replay"]["denied"], 0);
    for (path, line) in &named {
        assert!(*line > 0, "{path}");
    }
    // A rule that was never there before is what nothing needed.
    let more = folder.path().join("more.yaml");
    fs::write(
        &more,
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: more, namespace: shop}\nspec:\n  endpointSelector: {matchLabels: {app: checkout}}\n  egress:\n  - toEndpoints:\n    - matchLabels: {app: legacy}\n    toPorts: [{ports: [{port: '9999', protocol: TCP}]}]\n",
    )
    .unwrap();
    let args = format!(
        "policy unused -q -o json --min-window 0s samples/policies {} --flows",
        more.display()
    );
    let value = json(&args, &whole, "", 0);
    let named = of_standing(&value, "unused");
    assert!(
        named.contains(&("more spec.egress[0]".to_owned(), 7)),
        "{named:?}"
    );
}

/// Guarantees: what is less than the least window calls no rule unused; a check is
/// undecided, and the log for code scanning says why it is empty.
#[test]
fn a_window_that_is_too_short_names_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path());
    let value = json(
        "policy unused -q -o json --min-window 1h samples/policies --flows",
        &whole,
        "",
        0,
    );
    fits(&value, "unused");
    assert_eq!(value["unused"], serde_json::json!({"rules": 0, "parts": 0}));
    assert_eq!(value["withdrawn"][0]["reason"], "short");
    assert_eq!(value["confidence"], Value::Null);
    let accepted = json(UNUSED, &whole, "", 0);
    let often = accepted["confidence"]["at_least_every_seconds"]
        .as_f64()
        .unwrap();
    assert!((60.0..120.0).contains(&often), "{often}");
    let log = json(
        "policy unused -q -o sarif --min-window 1h samples/policies --flows",
        &whole,
        "",
        0,
    );
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]));
    let told = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
    let text = told["message"]["text"].as_str().unwrap();
    assert!(text.contains("the recording is only 4 min"), "{text}");
    let ran = flowwatch()
        .args("policy unused -q --min-window 1h samples/policies --fail-on unused --flows")
        .path(&whole)
        .run()
        .exit(1);
    assert!(
        ran.stderr.contains("undecided: the recording is too short"),
        "{}",
        ran.stderr
    );
}

/// Scenario: a CronJob that runs once a month, and a rule that is for it.
/// Guarantees: the rule is not called unused by a recording of minutes.
#[test]
fn what_a_job_may_need_is_not_called_unused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path());
    let more = folder.path().join("more.yaml");
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: more, namespace: shop}\nspec:\n  endpointSelector: {matchLabels: {app: invoices}}\n  egress:\n  - toEndpoints:\n    - matchLabels: {app: legacy}\n";
    let job = "---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: invoices, namespace: shop}\nspec:\n  schedule: '0 3 1 * *'\n  jobTemplate: {spec: {template: {metadata: {labels: {app: invoices}}, spec: {containers: []}}}}\n";
    let args = format!(
        "policy unused -q -o json --min-window 0s samples/policies {} --flows",
        more.display()
    );
    fs::write(&more, policy).unwrap();
    let value = json(&args, &whole, "", 0);
    let rule = ("more spec.egress[0]".to_owned(), 7);
    assert!(of_standing(&value, "unused").contains(&rule));
    fs::write(&more, format!("{policy}{job}")).unwrap();
    let value = json(&args, &whole, "", 0);
    assert!(!of_standing(&value, "unused").contains(&rule));
    assert!(of_standing(&value, "not shown").contains(&rule));
    assert_eq!(value["jobs"][0]["name"], "invoices");
    fits(&value, "unused");
}

#[test]
fn filters_leave_nothing_to_be_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path());
    let value = json(UNUSED, &whole, "--namespace payments", 0);
    assert_eq!(value["withdrawn"][0]["reason"], "filtered");
    assert_eq!(value["unused"]["rules"], 0);
}

/// Guarantees: files that lack what is named, deleted as a person would, deny nothing of what
/// passed: the simulation of both sets says so.
#[test]
fn a_simulation_without_what_is_named_denies_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path());
    let value = json(UNUSED, &whole, "", 0);
    let named: Vec<u64> = of_standing(&value, "unused")
        .into_iter()
        .map(|(_, line)| line)
        .collect();
    let mut files = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for rule in value["rules"].as_array().unwrap() {
        let file = rule["file"].as_str().unwrap().to_owned();
        let lines = files.entry(file).or_default();
        if rule["standing"] == "unused" {
            lines.push(rule["line"].as_u64().unwrap());
        }
        for part in rule["parts"].as_array().unwrap() {
            if rule["standing"] != "unused" && part["standing"] == "unused" {
                lines.push(part["line"].as_u64().unwrap());
            }
        }
    }
    assert!(!named.is_empty());
    let head = folder.path().join("head");
    fs::create_dir(&head).unwrap();
    for (file, lines) in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = Path::new(&file).file_name().unwrap();
        fs::write(head.join(name), without_items(&text, &lines)).unwrap();
    }
    let ran = flowwatch()
        .args("simulate -q -o json --base samples/policies --head")
        .path(&head)
        .args("--flows")
        .path(&whole)
        .args("--fail-on newly-denied,unknown")
        .run()
        .exit(0);
    let value: Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!(value["connections"]["changed"]["newly_denied"], 0);
    assert_eq!(value["requests"]["changed"]["newly_denied"], 0);
    assert!(!value["policies"].as_array().unwrap().is_empty());
}

/// A text without the items of lists that begin on these lines; an element goes with all
/// below it.
fn without_items(text: &str, lines: &[u64]) -> String {
    let all: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut kept = Vec::new();
    let mut at = 0;
    while at < all.len() {
        let begins = lines.contains(&(at as u64 + 1)) && all[at].trim_start().starts_with("- ");
        if !begins {
            kept.push(all[at]);
            at += 1;
            continue;
        }
        let own = indent(all[at]);
        at += 1;
        while at < all.len() && (all[at].trim().is_empty() || indent(all[at]) > own) {
            at += 1;
        }
    }
    kept.join("\n") + "\n"
}

#[test]
fn a_person_reads_what_is_broad_and_what_was_used_of_it() {
    let value = json(
        "policy broad -q -o json samples/policies --flows",
        Path::new("samples/shop.jsonl"),
        "",
        0,
    );
    fits(&value, "broad");
    let rules = value["rules"].as_array().unwrap();
    let names: Vec<&Value> = rules
        .iter()
        .filter(|rule| rule["broad"][0]["written"] == "*.edge.example")
        .collect();
    assert_eq!(names.len(), 1, "{rules:#?}");
    assert_eq!(names[0]["distinct_peers"], 2);
    assert_eq!(names[0]["only"], 10);
    assert_eq!(
        names[0]["edges"][0]["server"]["name"],
        "q7x2-sync.edge.example"
    );
    flowwatch()
        .args("policy broad -q samples/policies --flows samples/shop.jsonl --fail-on broad")
        .run()
        .exit(1);
    flowwatch()
        .args("policy broad -q samples/policies --flows samples/shop.jsonl --fail-on gap")
        .run()
        .exit(0);
}

const TWICE: &str = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: twice, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: checkout}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: frontend}}]
    toPorts: [{ports: [{port: '9090', protocol: TCP}]}]
  - fromEndpoints: [{}]
    toPorts: [{ports: [{port: '9000', endPort: 9999, protocol: TCP}]}]
  ingressDeny:
  - fromEndpoints: [{matchLabels: {app: guest}}]
  egress:
  - toCIDR: [10.1.0.0/16]
  - toCIDR: [10.0.0.0/8]
";

#[test]
fn what_is_redundant_has_a_witness_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("twice.yaml");
    fs::write(&file, TWICE).unwrap();
    let value = json("policy redundant -q -o json", &file, "", 0);
    fits(&value, "redundant");
    let found: Vec<(u64, &str, u64)> = value["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["line"].as_u64().unwrap(),
                one["why"].as_str().unwrap(),
                one["witnesses"][0]["line"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [(7, "shadowed", 9), (14, "shadowed", 15)]);
    assert!(value["questions"].as_u64().unwrap() > 0);
    assert_eq!(value["dropped"], 0);
    flowwatch()
        .args("policy redundant -q --fail-on shadowed")
        .path(&file)
        .run()
        .exit(1);
    flowwatch()
        .args("policy redundant -q --fail-on contradictory")
        .path(&file)
        .run()
        .exit(0);
}

#[test]
fn logs_for_code_scanning_stand_at_the_lines() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path());
    for (command, path) in [
        (
            "policy unused -q -o sarif samples/policies --flows",
            whole.as_path(),
        ),
        (
            "policy broad -q -o sarif samples/policies --flows",
            whole.as_path(),
        ),
    ] {
        let value = json(command, path, "", 0);
        let results = value["runs"][0]["results"].as_array().unwrap();
        assert!(!results.is_empty(), "{command}");
        for result in results {
            let place = &result["locations"][0]["physicalLocation"];
            assert!(place["region"]["startLine"].as_u64().unwrap() > 1);
            assert!(
                place["artifactLocation"]["uri"]
                    .as_str()
                    .unwrap()
                    .starts_with("samples/")
            );
        }
    }
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    flowwatch()
        .args("policy unused samples/policies")
        .run()
        .exit(64);
    flowwatch()
        .args("policy unused samples/policies --flows samples/shop.jsonl --min-seen 101")
        .run()
        .exit(64);
    flowwatch()
        .args("policy redundant no-such-folder")
        .run()
        .exit(2);
}
