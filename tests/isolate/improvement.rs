//! What would have prevented the sample incident, where more than one rule let it pass.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::bundle;
use crate::support::flowwatch;

/// Whatever is outside, on one port.
const WORLD: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: checkout-out
  namespace: shop
spec:
  endpointSelector:
    matchLabels:
      app: checkout
  egress:
    - toEntities:
        - world
      toPorts:
        - ports:
            - port: \"443\"
              protocol: TCP
";

const ALL_DENIED: &str = "q7x2-sync.edge.example:443/TCP: 23 of 23 connections denied";

/// The policies of the samples, with a file more.
fn policies(folder: &Path, name: &str, text: &str) {
    fs::create_dir_all(folder).unwrap();
    for file in ["allow-dns", "default-deny", "payments", "shop"] {
        let file = format!("{file}.yaml");
        fs::copy(format!("samples/policies/{file}"), folder.join(file)).unwrap();
    }
    fs::write(folder.join(name), text).unwrap();
}

fn improved(policies: &Path, out: &Path) -> (Value, String) {
    let policies = policies.display().to_string();
    let said = bundle(&policies, "--findings samples/findings.jsonl", out);
    let text = fs::read_to_string(out.join("80-improvement.yaml")).unwrap_or_default();
    (said, text)
}

/// Scenario: two policies let the beacon pass, both of them by a loose rule.
/// Guarantees: both are narrowed at once, and it would have been denied.
#[test]
fn a_second_loose_rule_is_narrowed_with_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("policies");
    policies(&at, "out.yaml", WORLD);
    let (said, text) = improved(&at, &folder.path().join("INC-1"));
    assert_eq!(said["accepted"], said["pass"], "{said}");
    assert_eq!((&said["new"], &said["denied"]), (&23.into(), &23.into()));
    let names = serde_json::json!(["shop/checkout", "shop/checkout-out"]);
    assert_eq!(said["policies"], names, "{text}");
    assert!(text.contains(ALL_DENIED), "{text}");
    assert!(!text.contains("- world"), "{text}");
}

/// Scenario: every connection from before the incident is let pass by rules that say whom they
/// mean; only the beacon needed the loose one.
/// Guarantees: that one lets nobody pass any more, and stays in its list.
#[test]
fn a_rule_that_only_the_incident_needed_lets_nobody_pass() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("policies");
    policies(&at, "out.yaml", WORLD);
    let shop = fs::read_to_string(at.join("shop.yaml")).unwrap();
    let named = shop.replace(
        "matchPattern: \"*.edge.example\"",
        "matchName: assets.edge.example",
    );
    assert_ne!(shop, named);
    fs::write(at.join("shop.yaml"), named).unwrap();
    let (said, text) = improved(&at, &folder.path().join("INC-1"));
    assert_eq!(said["accepted"], said["pass"], "{said}");
    assert_eq!((&said["new"], &said["denied"]), (&23.into(), &23.into()));
    assert_eq!(said["policies"], serde_json::json!(["shop/checkout-out"]));
    assert!(
        text.contains("    - toEndpoints: []\n      toPorts:\n"),
        "{text}"
    );
    assert!(
        text.contains("nobody, as nothing accepted needed it"),
        "{text}"
    );
}

/// Scenario: the policies are items of one `List`, as `kubectl get -o yaml` gives them.
/// Guarantees: the same rule is narrowed, where it stands.
#[test]
fn policies_of_a_list_are_narrowed_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("policies");
    let shop = fs::read_to_string("samples/policies/shop.yaml").unwrap();
    let items = shop.split("---\n").map(|document| {
        let lines = document.lines().map(|line| format!("  {line}\n"));
        let lines: String = lines.collect();
        format!("-{}", &lines[1..])
    });
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}",
        items.collect::<String>()
    );
    policies(&at, "shop.yaml", &list);
    let (said, text) = improved(&at, &folder.path().join("INC-1"));
    assert_eq!(
        said["policies"],
        serde_json::json!(["shop/checkout"]),
        "{said}"
    );
    assert_eq!((&said["new"], &said["denied"]), (&23.into(), &23.into()));
    assert!(text.contains("kind: List\n"), "{text}");
    assert!(text.contains("- matchName: assets.edge.example"), "{text}");
    assert!(!text.contains("- matchPattern"), "{text}");
}

/// Scenario: the target is the address that was called, or its name.
/// Guarantees: who may call it is said with the names that flows show of it, and what would
/// have prevented it is narrowed on the side of whoever called.
#[test]
fn an_address_outside_is_asked_about_with_its_names() {
    let folder = tempfile::tempdir().unwrap();
    for target in ["198.51.100.23", "198.51.100.0/24", "q7x2-sync.edge.example"] {
        let out = folder.path().join(target.replace('/', "-"));
        flowwatch()
            .args("isolate --policies samples/policies --flows samples/shop.jsonl.gz -q")
            .args("--incident-start 2026-06-16T14:08:40Z --out")
            .path(&out)
            .arg(target)
            .run();
        let reach = fs::read_to_string(out.join("20-reach.md")).unwrap();
        let (_, callers) = reach.split_once("## Who may call it").unwrap();
        let line = "| shop/checkout | 443/TCP | shop/checkout (samples/policies/shop.yaml:63) |";
        assert!(callers.contains(line), "{target}: {reach}");
        let text = fs::read_to_string(out.join("80-improvement.yaml")).unwrap();
        assert!(text.contains(ALL_DENIED), "{target}: {text}");
    }
}
