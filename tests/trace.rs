//! `flowwatch trace` as a person runs it.

use std::fs;

use serde_json::Value;

use crate::support::flowwatch;

const SHOP: &str = "samples/shop.jsonl.gz";

fn traced(args: &str) -> Value {
    let ran = flowwatch()
        .args("trace -q -o json")
        .args(args)
        .run()
        .exit(0);
    let value: Value = serde_json::from_str(ran.text()).unwrap();
    let text = fs::read_to_string("docs/schema/trace.json").unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let errors = crate::analyze::schema::errors(&schema, &value);
    assert!(errors.is_empty(), "{errors:?}");
    value
}

fn links<'a>(value: &'a Value, hop: usize, way: &str) -> Vec<&'a Value> {
    let links = value["hops"][hop]["links"].as_array().unwrap();
    links.iter().filter(|link| link["way"] == way).collect()
}

fn link<'a>(value: &'a Value, way: &str, peer: &str, port: u64) -> &'a Value {
    let far = if way == "in" { "client" } else { "server" };
    let found = links(value, 0, way)
        .into_iter()
        .find(|link| link[far]["name"] == peer && link["port"] == port);
    found.unwrap_or_else(|| panic!("no link {way} {peer}:{port} in {value:#}"))
}

#[test]
fn the_taken_over_pod_shows_its_callbacks_its_scan_and_what_was_refused() {
    let value = traced(&format!(
        "shop/checkout-7d5b9c6f48-hx2vp --flows {SHOP} --policies samples/policies --findings samples/findings.jsonl"
    ));
    assert_eq!(value["incident_start"], "2026-06-16T14:08:40.005Z");
    let beacon = link(&value, "out", "q7x2-sync.edge.example", 443);
    assert_eq!(beacon["new"], true);
    assert_eq!(beacon["sums"]["denied"], 0);
    let rules = beacon["rulings"][0]["ruling"]["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["line"] == 63), "{rules:?}");
    // The scan was denied, and is told.
    let denied: u64 = links(&value, 0, "out")
        .iter()
        .map(|link| link["sums"]["denied"].as_u64().unwrap())
        .sum();
    assert!(denied > 50, "{denied}");
    let refused: Vec<&Value> = value["requests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["refused"].as_u64() > Some(0))
        .collect();
    let paths: Vec<&str> = refused
        .iter()
        .map(|one| one["request"]["path"].as_str().unwrap())
        .collect();
    for path in ["/admin/export", "/admin/users", "/admin/refunds"] {
        assert!(paths.contains(&path), "{paths:?}");
    }
    let who = value["who"].as_array().unwrap();
    assert_eq!(who.len(), 1);
    assert_eq!(who[0]["pod"], "shop/checkout-7d5b9c6f48-hx2vp");
    assert_eq!(who[0]["nodes"][0], "shop-prod/worker-2");
}

/// Guarantees: the connections of a workload are those that the report has on its edges.
#[test]
fn sums_are_those_of_the_report() {
    let value = traced(&format!("shop/checkout --flows {SHOP}"));
    let ran = flowwatch()
        .args("analyze -q -o json --top 1000")
        .args(SHOP)
        .run()
        .exit(0);
    let report: Value = serde_json::from_str(ran.text()).unwrap();
    let mut of_report = 0;
    for row in report["edges"]["rows"].as_array().unwrap() {
        let is = |end: &str| row[end]["name"] == "shop/checkout";
        if is("client") || is("server") {
            of_report += row["connections"].as_u64().unwrap();
        }
    }
    let links = value["hops"][0]["links"].as_array().unwrap();
    let of_trace: u64 = links
        .iter()
        .map(|link| link["sums"]["connections"].as_u64().unwrap())
        .sum();
    assert_eq!(of_trace, of_report);
}

#[test]
fn the_second_hop_goes_on_from_whom_was_reached() {
    let value = traced(&format!("shop/checkout --flows {SHOP} --hops 2"));
    let onwards = links(&value, 1, "out");
    let has = |client: &str, server: &str| {
        onwards
            .iter()
            .any(|link| link["client"]["name"] == client && link["server"]["name"] == server)
    };
    assert!(has("payments/payments", "payments/database"));
    assert!(
        !onwards
            .iter()
            .any(|link| link["server"]["name"] == "shop/checkout")
    );
    let towards = links(&value, 1, "in");
    assert!(
        towards
            .iter()
            .any(|link| link["client"]["name"] == "world"
                && link["server"]["name"] == "shop/frontend")
    );
}

#[test]
fn every_form_of_a_target_finds_the_same_callbacks() {
    let count = |target: &str| {
        let value = traced(&format!("{target} --flows {SHOP}"));
        let links = value["hops"][0]["links"].as_array().unwrap();
        links
            .iter()
            .filter(|link| {
                link["server"]["name"] == "q7x2-sync.edge.example" && link["port"] == 443
            })
            .map(|link| link["sums"]["connections"].as_u64().unwrap())
            .sum::<u64>()
    };
    let wanted = count("shop/checkout");
    assert!(wanted > 20, "{wanted}");
    assert_eq!(count("pod:shop/checkout-7d5b9c6f48-hx2vp"), wanted);
    assert_eq!(count("q7x2-sync.edge.example"), wanted);
    assert_eq!(count("shop/*"), wanted);
    assert_eq!(count("node:worker-2"), wanted);
}

#[test]
fn an_archive_tells_what_its_recording_tells() {
    let target = "shop/checkout --hops 2";
    let archive = traced(&format!("{target} --flows samples/archive"));
    let file = traced(&format!("{target} --flows samples/shop.jsonl"));
    for hop in 0..2 {
        assert_eq!(archive["hops"][hop]["links"], file["hops"][hop]["links"]);
    }
    assert_eq!(archive["requests"], file["requests"]);
    assert_eq!(archive["who"], file["who"]);
}

/// Scenario: a cluster whose second hop is DNS, which everybody asks, with events of which no
/// flow says whether they are replies.
/// Guarantees: what an archive does not read for a hop changes nothing of it.
#[test]
fn a_hop_over_a_hub_is_the_same_from_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (flows, archive) = (path("flows.jsonl"), path("archive"));
    let world = "synth --preset XS --seed 5 --start 2026-01-05T09:00:00Z --duration 20m";
    flowwatch()
        .args(&format!("{world} --out {flows}"))
        .run()
        .exit(0);
    flowwatch()
        .args(&format!("record -q --archive {archive} {flows}"))
        .run()
        .exit(0);
    let text = fs::read_to_string(&flows).unwrap();
    let flow: Value = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|line| line["flow"]["destination"]["namespace"] == "kube-system")
        .unwrap();
    let source = &flow["flow"]["source"];
    let (namespace, workload) = (&source["namespace"], &source["workloads"][0]["name"]);
    let target = format!(
        "{}/{} --hops 3 --flows",
        namespace.as_str().unwrap(),
        workload.as_str().unwrap()
    );
    let of_file = traced(&format!("{target} {flows}"));
    let of_archive = traced(&format!("{target} {archive}"));
    assert!(!of_file["hops"][1]["links"].as_array().unwrap().is_empty());
    assert_eq!(of_archive["hops"], of_file["hops"]);
}

#[test]
fn graphs_name_both_ends() {
    let args = format!("trace -q shop/checkout --flows {SHOP} --hops 2 -o");
    let dot = flowwatch().args(&args).args("dot").run().exit(0);
    assert!(dot.text().starts_with("digraph trace {\n"));
    assert!(
        dot.text()
            .contains("\"shop/checkout\" -> \"payments/payments\" [label=")
    );
    let mermaid = flowwatch().args(&args).args("mermaid").run().exit(0);
    assert!(mermaid.text().starts_with("flowchart LR\n"));
}

#[test]
fn what_cannot_be_is_said() {
    let ran = flowwatch()
        .args("trace -q shop/nobody --flows")
        .args(SHOP)
        .run()
        .exit(2);
    assert!(
        ran.stderr.contains("no flow is about shop/nobody"),
        "{}",
        ran.stderr
    );
    let ran = flowwatch()
        .args("trace -q worker --flows")
        .args(SHOP)
        .run()
        .exit(64);
    assert!(ran.stderr.contains("is no target"), "{}", ran.stderr);
    let ran = flowwatch()
        .args("trace -q shop/checkout --hops 2 --flows -")
        .run()
        .exit(2);
    assert!(ran.stderr.contains("are read once"), "{}", ran.stderr);
}
