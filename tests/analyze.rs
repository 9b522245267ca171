//! `flowwatch analyze`: what a person, a pipeline and a browser get.
//!
//! Figures of the sample recording follow from its story (samples/README.md).

pub mod schema;

use std::fs;

use serde_json::Value;

use crate::support::{flowwatch, shared};

const SHOP: &str = "analyze samples/shop.jsonl --policies samples/policies -q";

fn report(args: &str) -> Value {
    let ran = flowwatch().args(args).args("-o json").run().exit(0);
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn fits_the_schema(report: &Value) -> Vec<String> {
    let text = fs::read_to_string("docs/schema/report.json").unwrap();
    schema::errors(&serde_json::from_str(&text).unwrap(), report)
}

#[test]
fn the_report_tells_the_incident_of_the_samples() {
    let ran = flowwatch().args(SHOP).run().exit(0);
    let text = ran.text().replace("\n    ", " ");
    for told in [
        "223 events were lost on worker-2 and worker-3, worker-1 could not be reached for 45 s",
        "Policy denied 82 connections, 81 of them from the pod shop/checkout-7d5b9c6f48-hx2vp",
        "asked payments/payments for GET /admin/export, GET /admin/users and POST /admin/refunds",
        "The same pod is the only one that talks to q7x2-sync.edge.example (443/TCP): 9 connections, about every 30 s",
        "shop/checkout (samples/policies/shop.yaml:63) lets it",
        "1 request failed with 5xx: shop/checkout (POST /checkout/import, the slowest after 2.4 s)",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
}

#[test]
fn every_sum_of_the_samples_is_what_its_story_says() {
    let report = report(SHOP);
    let at = |pointer: &str| report.pointer(pointer).unwrap().clone();
    assert_eq!(at("/read/flows"), 679);
    assert_eq!(at("/totals/denied"), 82);
    assert_eq!(at("/read/clusters"), serde_json::json!(["shop-prod"]));
    assert_eq!(at("/policies/drift"), 0);
    assert_eq!(at("/policies/agreement"), 1.0);
    let sum = |rows: &Value, field: &str| -> u64 {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row[field].as_u64().unwrap()).sum()
    };
    // The same connections, whichever way they are summed.
    let connections = at("/totals/connections").as_u64().unwrap();
    assert_eq!(sum(&at("/edges/rows"), "connections"), connections);
    assert_eq!(sum(&at("/timeline/steps"), "connections"), connections);
    assert_eq!(sum(&at("/edges/rows"), "denied"), 82);
    assert_eq!(sum(&at("/drops/groups"), "connections"), 82);
    let nodes = at("/read/nodes");
    assert_eq!(sum(&nodes, "flows"), 679);
    // Losses are told without the cluster and belong to the nodes that flows name.
    for hole in at("/read/holes").as_array().unwrap() {
        let named = |node: &&Value| node["name"] == hole["node"];
        assert!(nodes.as_array().unwrap().iter().find(named).is_some());
    }
}

/// Scenario: the incident goes on over twenty minutes, with audited traffic too.
/// Guarantees: what only audit mode lets pass is told and is no drop.
#[test]
fn audited_traffic_is_told_apart_from_drops() {
    let ran = flowwatch()
        .args("analyze samples/shop.jsonl.gz --policies samples/policies -q")
        .run()
        .exit(0)
        .stdout_contains("Only audit mode lets shop/reports talk to");
    assert!(
        ran.text()
            .contains("allow it before audit mode is turned off")
    );
    let report = report("analyze samples/shop.jsonl.gz -q");
    assert_eq!(report["totals"]["audited"], 2);
    assert!(report.get("policies").is_none());
}

#[test]
fn compressed_recordings_give_the_same_report() {
    let plain = report("analyze samples/shop.jsonl -q");
    assert_eq!(report("analyze samples/shop.jsonl.zst -q"), plain);
    let piped = flowwatch()
        .args("analyze - -q -o json")
        .stdin(fs::read("samples/shop.jsonl").unwrap())
        .run()
        .exit(0);
    assert_eq!(
        serde_json::from_slice::<Value>(&piped.stdout).unwrap(),
        plain
    );
}

/// Scenario: the lines of a recording, newest first, in no order, and one file a node.
/// Guarantees: the same report, whatever the files look like.
#[test]
fn the_order_of_lines_and_files_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string("samples/shop.jsonl").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let write = |name: &str, lines: &[&str]| {
        let path = folder.path().join(name);
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        path.display().to_string()
    };
    let mut reversed = lines.clone();
    reversed.reverse();
    let count = lines.len();
    let mixed: Vec<&str> = (0..count).map(|at| lines[at * 271 % count]).collect();
    assert_ne!(count % 271, 0);
    let of = |node: &str| -> Vec<&str> {
        let named = format!("\"node_name\":\"shop-prod/{node}\"");
        lines
            .iter()
            .copied()
            .filter(|line| line.starts_with("{\"flow\"") && line.contains(&named))
            .collect()
    };
    let sums = |args: &str| {
        let report = report(&format!("analyze {args} -q"));
        (
            report["totals"].clone(),
            report["edges"].clone(),
            report["read"]["late_rows"].clone(),
        )
    };
    let wanted = sums("samples/shop.jsonl");
    assert_eq!(wanted.2, 0);
    assert_eq!(sums(&write("reversed", &reversed)), wanted);
    assert_eq!(sums(&write("mixed", &mixed)), wanted);
    let nodes: Vec<String> = ["worker-3", "worker-1", "worker-2"]
        .iter()
        .map(|node| write(node, &of(node)))
        .collect();
    assert_eq!(sums(&nodes.join(" ")), wanted);
}

#[test]
fn every_recording_of_the_samples_and_the_corpus_gives_a_report() {
    let mut paths: Vec<_> = fs::read_dir("samples/forms")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.push("samples/exporter".into());
    if let Some(corpus) = shared("FLOWWATCH_CORPUS", "corpus") {
        let flows = fs::read_dir(corpus.join("flows")).unwrap();
        paths.extend(flows.map(|entry| entry.unwrap().path()));
    }
    for path in paths {
        let json = flowwatch()
            .args("analyze -q -o json")
            .path(&path)
            .run()
            .exit(0);
        let report: Value = serde_json::from_slice(&json.stdout).unwrap();
        let errors = fits_the_schema(&report);
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        for form in ["terminal", "markdown", "html", "csv"] {
            let ran = flowwatch()
                .args("analyze -q -o")
                .arg(form)
                .path(&path)
                .run()
                .exit(0);
            assert!(!ran.stdout.is_empty());
        }
    }
}

#[test]
fn the_schema_is_that_of_the_report_and_strict() {
    let mut report = report(SHOP);
    assert_eq!(fits_the_schema(&report), Vec::<String>::new());
    report["totals"]["connections"] = "many".into();
    report["drops"]["new"] = 1.into();
    report["read"].as_object_mut().unwrap().remove("holes");
    assert_eq!(fits_the_schema(&report).len(), 3);
}

/// Scenario: names from outside hold markup, escapes and a cell of a table.
/// Guarantees: in no form do they become more than text.
#[test]
fn names_from_outside_stay_text_in_every_form() {
    let name = r#"</script><script>alert(1)</script>|\u001b[31m\"x"#;
    let line = format!(
        r#"{{"flow":{{"time":"2026-06-01T10:00:00Z","verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED","IP":{{"source":"10.0.0.1","destination":"10.0.0.2"}},"l4":{{"TCP":{{"source_port":40000,"destination_port":80,"flags":{{"SYN":true}}}}}},"source":{{"identity":4711,"namespace":"a","pod_name":"{name}","labels":["k8s:app={name}"]}},"destination":{{"identity":4712,"namespace":"b","pod_name":"web-0"}},"node_name":"n1","event_type":{{"type":5}},"traffic_direction":"EGRESS"}},"node_name":"n1","time":"2026-06-01T10:00:00Z"}}"#
    );
    let text = |form: &str| {
        let ran = flowwatch()
            .args("analyze - -q -o")
            .arg(form)
            .stdin(&line)
            .run()
            .exit(0);
        String::from_utf8(ran.stdout).unwrap()
    };
    let html = text("html");
    assert!(html.contains("&lt;/script&gt;&lt;script&gt;alert(1)"));
    assert_eq!(html.matches("<script").count(), 1);
    assert_eq!(html.matches("</script").count(), 1);
    assert!(!html.contains('\u{1b}') && !text("terminal").contains('\u{1b}'));
    let markdown = text("markdown");
    assert!(!markdown.contains("<script") && !markdown.contains('\u{1b}'));
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    for line in markdown
        .lines()
        .filter(|line| line.contains("alert") && line.starts_with('|'))
    {
        assert!([8, 9].contains(&cells(line)), "{line}");
    }
    assert!(text("csv").contains(r#"""x"#));
}

#[test]
fn the_page_asks_for_nothing_else() {
    let ran = flowwatch().args(SHOP).args("-o html").run().exit(0);
    let html = ran.text();
    for outside in [
        "http://", "https://", "src=", "@import", "url(http", "<link",
    ] {
        let found = html.find(outside);
        // The requests of the recording are text.
        assert!(found.is_none(), "{outside} at {found:?}");
    }
    assert!(html.contains("<svg class=\"map") && html.contains("<svg class=\"time\""));
    assert!(html.len() < 200_000);
}

#[test]
fn a_pipeline_fails_on_what_it_asks_for() {
    let with = |kinds: &str| {
        flowwatch()
            .args(SHOP)
            .args("-o csv --fail-on")
            .arg(kinds)
            .run()
    };
    with("drift").exit(0);
    with("unknown").exit(0);
    with("drop,drift")
        .exit(1)
        .stderr_contains("failing on 85 connections dropped or refused");
    with("gap").exit(1).stderr_contains("failing on 12 gaps");
    flowwatch()
        .args("analyze samples/shop.jsonl --fail-on drift")
        .run()
        .exit(64)
        .stderr_contains("go with --policies");
}

#[test]
fn what_is_asked_for_wrongly_is_said_and_what_is_not_there_too() {
    flowwatch().args("analyze").run().exit(64);
    flowwatch()
        .args("analyze /nowhere.jsonl")
        .run()
        .exit(2)
        .stderr_contains("/nowhere.jsonl");
    flowwatch()
        .args("analyze samples/shop.jsonl --since yesterday")
        .run()
        .exit(64)
        .stderr_contains("since");
}

#[test]
fn filters_and_bounds_are_those_of_tail() {
    let all = report("analyze samples/shop.jsonl -q --verdict DROPPED");
    let flows = &all["read"]["flows"];
    assert_eq!(all["read"]["flows_read"], 679);
    assert_eq!(*flows, 173);
    // Let pass, and a request on each refused.
    assert_eq!(all["totals"]["forwarded"], 3);
    assert_eq!(all["totals"]["requests_refused"], 3);
    let late = report("analyze samples/shop.jsonl -q --since 2026-06-16T14:11:00Z");
    assert_eq!(late["totals"]["denied"], 1);
    assert!(late["read"]["first"].as_str() >= Some("2026-06-16T14:11:00Z"));
}

#[test]
fn a_report_goes_to_a_file_without_colours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.txt");
    flowwatch()
        .args(SHOP)
        .args("--color always --out")
        .path(&path)
        .run()
        .exit(0)
        .prints_nothing();
    let text = fs::read_to_string(path).unwrap();
    assert!(text.starts_with("In short\n"));
    let colours = flowwatch().args(SHOP).args("--color always").run().exit(0);
    assert!(colours.text().contains("\u{1b}[31m") && !text.contains('\u{1b}'));
}

#[test]
fn tables_fit_the_width_of_the_terminal() {
    let ran = flowwatch().args(SHOP).env("COLUMNS", "80").run().exit(0);
    for line in ran.lines() {
        // A command and its rules are copied whole.
        if !line.starts_with("    ") {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
