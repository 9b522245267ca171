//! `flowwatch isolate` as a person runs it, and its policies before Cilium's engine.

mod oracle;

use std::fs;

use serde_json::Value;

use crate::support::flowwatch;

const INCIDENT: &str =
    "isolate shop/checkout --policies samples/policies --flows samples/shop.jsonl.gz -q";

fn json(args: &str, code: i32) -> Value {
    let ran = flowwatch().args(args).args("-o json").run().exit(code);
    let value: Value = serde_json::from_str(ran.text()).unwrap();
    let schema = fs::read_to_string("docs/schema/isolate.json").unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let errors = crate::analyze::schema::errors(&schema, &value);
    assert!(errors.is_empty(), "{errors:?}");
    value
}

/// Scenario: the workload of the sample incident, at three in the morning.
/// Guarantees: the quarantine is proven, its clients and its beacon stop, its kubelet goes on,
/// and a bundle is there whose first page says what to type.
#[test]
fn the_sample_incident_is_cut_off_with_proof() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("INC-1");
    flowwatch()
        .args(INCIDENT)
        .args("--incident INC-1 --out")
        .path(&out)
        .run()
        .exit(0)
        .stdout_contains("Proven:")
        .stdout_contains("q7x2-sync.edge.example");
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let page = read("README.md");
    assert!(
        page.starts_with("# Incident INC-1: cut off shop/checkout\n\n**Proven:"),
        "{page}"
    );
    assert!(
        page.contains("flowwatch.io/quarantine=INC-1 --field-manager=flowwatch"),
        "{page}"
    );
    assert!(page.contains("checkout-7d5b9c6f48-hx2vp"), "{page}");
    let policy = read("30-quarantine.yaml");
    assert!(
        policy.contains("flowwatch.io/quarantine: INC-1"),
        "{policy}"
    );
    assert!(read("50-rollback.yaml").contains("flowwatch-quarantine-inc-1"));
    let data: Value = serde_json::from_str(&read("41-proof.json")).unwrap();
    assert_eq!(data["result"], "proven");
    assert_eq!(data["asked"]["closed_by_default"], 0);
    let stops = data["collateral"]["stops"].as_array().unwrap();
    let has = |direction: &str, peer: &str, role: &str| {
        stops.iter().any(|edge| {
            edge["direction"] == direction && edge["peer"] == peer && edge["role"] == role
        })
    };
    assert!(has("in", "shop/frontend", "client"), "{stops:#?}");
    assert!(has("out", "q7x2-sync.edge.example", "server"), "{stops:#?}");
    assert!(has("out", "payments/payments", "server"), "{stops:#?}");
    assert!(stops.iter().any(|edge| edge["role"] == "dns"), "{stops:#?}");
    // A second run over the same bundle; what is no bundle is left alone.
    flowwatch()
        .args(INCIDENT)
        .args("--incident INC-1 --out")
        .path(&out)
        .run()
        .exit(0);
    fs::write(out.join("notes.txt"), "mine").unwrap();
    flowwatch()
        .args(INCIDENT)
        .args("--out")
        .path(&out)
        .run()
        .exit(2);
    assert_eq!(fs::read_to_string(out.join("notes.txt")).unwrap(), "mine");
}

#[test]
fn one_pod_of_two_is_counted_as_such() {
    let data = json(
        "isolate shop/checkout-7d5b9c6f48-hx2vp --policies samples/policies --flows samples/shop.jsonl.gz -q",
        0,
    );
    assert_eq!(data["target_kind"], "pod");
    let replicas = &data["collateral"]["replicas"][0];
    assert_eq!(replicas["workload"], "shop/checkout");
    assert_eq!(
        replicas["hit"],
        serde_json::json!(["checkout-7d5b9c6f48-hx2vp"])
    );
    assert_eq!(replicas["known"], 2);
}

#[test]
fn a_kubernetes_deny_all_leaks_and_says_what_closes_it() {
    let data = json(&format!("{INCIDENT} --pattern kubernetes-deny-all"), 1);
    assert_eq!(data["result"], "refuted");
    let open = data["open"].as_array().unwrap();
    let leak = open
        .iter()
        .find(|leak| {
            let peers = leak["peers"].as_array().unwrap();
            peers.iter().any(|peer| peer == "shop/frontend")
        })
        .unwrap();
    assert_eq!(leak["rules"][0]["file"], "samples/policies/shop.yaml");
    assert_eq!(leak["closed_by"]["tried"], true);
}

/// Scenario: only the beacon's name is cut, and a rule allows names of its kind.
/// Guarantees: what was seen of it is cut and nothing else, and that the name may move is said
/// with the rule that lets it.
#[test]
fn cutting_the_beacon_alone_says_that_its_name_can_move() {
    let data = json(&format!("{INCIDENT} --cut q7x2-sync.edge.example"), 1);
    assert_eq!(data["pattern"], "cut-destination");
    let open = data["open"].as_array().unwrap();
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!(open[0]["rules"][0]["file"], "samples/policies/shop.yaml");
    assert_eq!(data["not_meant"], serde_json::json!([]));
    let goes_on = data["collateral"]["goes_on"].as_array().unwrap();
    assert!(
        goes_on.iter().any(|edge| edge["peer"] == "shop/frontend"),
        "{goes_on:#?}"
    );
    let stops = data["collateral"]["stops"].as_array().unwrap();
    assert_eq!(stops.len(), 1, "{stops:#?}");
}

#[test]
fn a_fence_around_the_database_keeps_its_one_client() {
    let data = json(
        "isolate payments/database --pattern ring-fence --keep payments/payments --policies samples/policies --flows samples/shop.jsonl.gz -q",
        0,
    );
    assert_eq!(data["result"], "proven");
    let goes_on = data["collateral"]["goes_on"].as_array().unwrap();
    assert!(
        goes_on
            .iter()
            .any(|edge| edge["peer"] == "payments/payments" && edge["direction"] == "in"),
        "{goes_on:#?}"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_read() {
    flowwatch()
        .args("isolate checkout --policies samples/policies")
        .run()
        .exit(64);
    flowwatch()
        .args("isolate shop/checkout --policies samples/policies --pattern wall")
        .run()
        .exit(64);
    flowwatch()
        .args("isolate shop/checkout --policies samples/policies --ttl soon")
        .run()
        .exit(64);
    let ran = flowwatch()
        .args("isolate shop/nobody --policies samples/policies --flows samples/shop.jsonl -q")
        .run()
        .exit(2);
    assert!(ran.stderr.contains("shop/checkout"), "{}", ran.stderr);
}
