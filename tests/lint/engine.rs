//! What Cilium's engine was asked: where its answer surprises, a check says so, and what
//! it rejects is said to be rejected.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowwatch::inventory::Inventory;
use flowwatch::manifest::{self, LoadOptions, STDIN};
use flowwatch::policy::Options;
use flowwatch::policy::lint::{LintFinding, LintInput, lint};
use serde_json::Value;

/// Situations in which the engine does not do what is written, and the check for each.
const SETTLED: [(&str, &str); 36] = [
    ("A15", "deny-switches-on-default-deny"),
    ("A19", "default-deny-option-off"),
    ("A20", "default-deny-without-elements"),
    ("A21", "node-selector-without-host-firewall"),
    ("A26", "policies-add-up"),
    ("B3", "empty-peer-list"),
    ("B9", "negative-namespace-key"),
    ("B10", "negative-reserved-key"),
    ("B11", "label-key-dotted-source"),
    ("B19", "subject-other-namespace"),
    ("B20", "subject-other-namespace"),
    ("B23", "subject-selects-reserved"),
    ("C14", "deny-cuts-probes"),
    ("C17", "entity-selects-nobody"),
    ("D8", "cidr-host-bits"),
    ("D11", "except-covers-cidr"),
    ("D13", "cidr-group-missing"),
    ("D16", "cidr-group-selector-matches-everyone"),
    ("E7", "end-port-below-port"),
    ("E15", "icmp-type-zero"),
    ("E18", "ports-allow-nothing"),
    ("E18b", "ports-empty-list"),
    ("E22", "port-not-decimal"),
    ("E23", "port-not-decimal"),
    ("E30", "port-name-with-end-port"),
    ("F13", "deny-empty-selector-scope"),
    ("F16", "layer7-in-deny"),
    ("G2", "layer7-void"),
    ("G3", "layer7-void"),
    ("G15", "layer7-empty-list"),
    ("I4", "networkpolicy-policy-types"),
    ("I18", "networkpolicy-ingress-ipblock"),
    ("I23", "networkpolicy-empty-peer"),
    ("K4b", "empty-list-is-wildcard"),
    ("K4e", "deny-services-not-expanded"),
    ("K6b", "service-selector-dotted-key"),
];

/// What says that an object is not in force as written.
const REFUSALS: [&str; 4] = [
    "rejected-by-agent",
    "refused-by-api-server",
    "needs-agent-option",
    "networkpolicy-selector-invalid",
];

/// The situations by their names.
fn situations() -> BTreeMap<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/conformance");
    let text = std::fs::read_to_string(path.join("situations.jsonl")).unwrap();
    let read = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        (value["id"].as_str().unwrap().to_owned(), value)
    };
    text.lines().map(read).collect()
}

fn findings(situation: &Value) -> Vec<LintFinding> {
    let policies = situation["policies"].as_array().unwrap();
    let policies: Vec<&str> = policies.iter().filter_map(Value::as_str).collect();
    let text = policies.join("\n---\n");
    let load = LoadOptions {
        namespace: Some("default".into()),
    };
    let loaded = manifest::load_with(&["-".into()], &load, &mut text.as_bytes());
    let mut options = Options::default();
    for (key, name) in [
        ("default_local_cluster", "policy-default-local-cluster"),
        ("enable_host_firewall", "enable-host-firewall"),
        (
            "enable_non_default_deny",
            "enable-non-default-deny-policies",
        ),
        ("enable_l7_proxy", "enable-l7-proxy"),
        ("enable_node_selector_labels", "enable-node-selector-labels"),
        (
            "enable_extended_ip_protocols",
            "enable-extended-ip-protocols",
        ),
    ] {
        if let Some(value) = situation["config"][key].as_bool() {
            options.set(name, &value.to_string()).unwrap();
        }
    }
    let found = lint(&LintInput {
        documents: &loaded.documents,
        errors: &loaded.errors,
        inventory: &Inventory::default(),
        options: &options,
        complete: false,
    });
    assert!(found.iter().all(|finding| &*finding.file == STDIN));
    found
}

#[test]
fn what_the_engine_settled_is_found() {
    let situations = situations();
    for (situation, id) in SETTLED {
        let found = findings(&situations[situation]);
        let ids: BTreeSet<&str> = found.iter().map(|finding| finding.check.id).collect();
        assert!(ids.contains(id), "{situation}: {ids:?}");
    }
}

#[test]
fn what_the_engine_rejects_is_said_to_be_rejected_and_nothing_else_is() {
    for (name, situation) in situations() {
        let Some(results) = situation["policy_results"].as_array() else {
            continue;
        };
        let found = findings(&situation);
        let refused = found
            .iter()
            .filter(|finding| REFUSALS.contains(&finding.check.id));
        let rejected = results.iter().any(|result| result["accepted"] == false);
        if rejected {
            assert!(refused.clone().count() > 0, "{name}");
        }
        for finding in refused.filter(|finding| finding.check.id == "rejected-by-agent") {
            assert!(rejected, "{name}: {}", finding.message);
        }
    }
}
