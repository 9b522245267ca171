//! `flowwatch isolate` as a person runs it, and its policies before Cilium's engine.

mod improvement;
mod oracle;

use std::fs;
use std::io::BufRead as _;

use serde_json::Value;

use crate::support::flowwatch;

/// What `bundle.json` and the like say, held against their schema.
fn fits(schema: &str, value: &Value) {
    let schema = fs::read_to_string(schema).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let errors = crate::analyze::schema::errors(&schema, value);
    assert!(errors.is_empty(), "{errors:?}");
}

const INCIDENT: &str =
    "isolate shop/checkout --policies samples/policies --flows samples/shop.jsonl.gz -q";

fn json(args: &str, code: i32) -> Value {
    let ran = flowwatch().args(args).args("-o json").run().exit(code);
    let value: Value = serde_json::from_str(ran.text()).unwrap();
    fits("docs/schema/isolate.json", &value);
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
    let record: Value = serde_json::from_str(&read("bundle.json")).unwrap();
    fits("docs/schema/bundle.json", &record);
    assert_eq!(record["quarantine"]["label"]["value"], "INC-1");
    assert!(
        record["evidence"]["flows"].as_u64().unwrap() > 0,
        "{record:#}"
    );
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

/// The sample incident, as its findings tell it, into a folder.
fn bundle(policies: &str, more: &str, out: &std::path::Path) -> Value {
    flowwatch()
        .args("isolate shop/checkout --flows samples/shop.jsonl.gz -q --policies")
        .args(policies)
        .args(more)
        .args("--out")
        .path(out)
        .run();
    let record = fs::read_to_string(out.join("bundle.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    fits("docs/schema/bundle.json", &record);
    record["improvement"].clone()
}

/// Scenario: the beacon goes where a pattern of names lets it, the scan is denied.
/// Guarantees: the policy in the bundle lets all pass that passed before, does not let the
/// beacon pass, touches nothing else, and a simulation by itself says the same.
#[test]
fn the_bundle_has_the_policy_that_would_have_stopped_the_beacon() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("INC-1");
    let said = bundle(
        "samples/policies",
        "--findings samples/findings.jsonl",
        &out,
    );
    assert_eq!(said["file"], "80-improvement.yaml");
    assert_eq!(said["policies"], serde_json::json!(["shop/checkout"]));
    assert_eq!(said["accepted"], said["pass"]);
    assert_eq!((&said["new"], &said["denied"]), (&23.into(), &23.into()));
    let text = fs::read_to_string(out.join("80-improvement.yaml")).unwrap();
    assert!(text.contains("- matchName: assets.edge.example"), "{text}");
    assert!(!text.contains("- matchPattern"), "{text}");
    assert!(!text.contains("name: frontend"), "{text}");
    let evidence = [
        "# Policies that would have prevented incident 1c19700300dd8a9f of shop/checkout.",
        "# Replay of that time: 93 of 93 accepted connections pass.",
        "#   shop/checkout -> q7x2-sync.edge.example:443/TCP: 23 of 23 connections denied, as long as 198.51.100.23 has no other name that is allowed",
        "# Nothing else that passed since would have been denied.",
    ];
    for line in evidence {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let page = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(page.contains("## What would have prevented it"), "{page}");
    // As it is applied: over the policies that are there.
    let head = folder.path().join("head");
    fs::create_dir(&head).unwrap();
    for name in ["allow-dns.yaml", "default-deny.yaml", "payments.yaml"] {
        fs::copy(format!("samples/policies/{name}"), head.join(name)).unwrap();
    }
    let shop = fs::read_to_string("samples/policies/shop.yaml").unwrap();
    let (frontend, _) = shop.split_once("---\n").unwrap();
    fs::write(head.join("shop.yaml"), format!("{frontend}---\n{text}")).unwrap();
    let ran = flowwatch()
        .args("simulate --base samples/policies --flows samples/shop.jsonl.gz -q -o json --head")
        .path(&head)
        .run()
        .exit(0);
    let simulation: Value = serde_json::from_str(ran.text()).unwrap();
    let rows = simulation["changes"].as_array().unwrap();
    let changes = rows.iter().filter(|row| row["change"] != "other-rule");
    let changes: Vec<&Value> = changes.collect();
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(changes[0]["server"]["name"], "q7x2-sync.edge.example");
    assert_eq!(changes[0]["head"]["cause"], "name never observed");
    // A second run that can say nothing takes the file away.
    let said = bundle("samples/policies", "", &out);
    assert_eq!(said["file"], Value::Null);
    assert!(!out.join("80-improvement.yaml").exists());
}

/// Guarantees: where nothing honest can be said, the reason is, and no policy is written.
#[test]
fn a_bundle_says_why_there_is_no_policy_that_would_have_prevented_it() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("", "nobody said when the incident began"),
        (
            "--incident-start 2026-06-16T14:00:00Z",
            "do not begin before the incident",
        ),
        (
            "--incident-start 2026-06-16T14:19:45Z",
            "is like accepted history",
        ),
    ];
    for (at, (more, why)) in cases.into_iter().enumerate() {
        let out = folder.path().join(at.to_string());
        let said = bundle("samples/policies", more, &out);
        assert_eq!(said["file"], Value::Null, "{said}");
        assert!(said["why"].as_str().unwrap().contains(why), "{said}");
        let page = fs::read_to_string(out.join("README.md")).unwrap();
        assert!(page.contains("No policy is made: "), "{page}");
        assert!(page.contains(why), "{page}");
        assert!(!out.join("80-improvement.yaml").exists());
    }
}

/// Scenario: no policy selects the target, nor is one named by the flows.
/// Guarantees: the one that is made for it would have stopped what was new, and what else it
/// would have denied is said.
#[test]
fn a_target_without_a_policy_gets_one_that_would_have_stopped_it() {
    let folder = tempfile::tempdir().unwrap();
    let policies = folder.path().join("policies");
    fs::create_dir(&policies).unwrap();
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n";
    fs::write(policies.join("shop.yaml"), namespace).unwrap();
    let flows = folder.path().join("flows.jsonl");
    let packed = fs::File::open("samples/shop.jsonl.gz").unwrap();
    let lines = std::io::BufReader::new(flate2::read::MultiGzDecoder::new(packed)).lines();
    let bare = lines.map(|line| {
        let mut line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if let Some(flow) = line.get_mut("flow").and_then(Value::as_object_mut) {
            flow.retain(|key, _| !key.ends_with("_allowed_by") && !key.ends_with("_denied_by"));
        }
        line.to_string()
    });
    fs::write(&flows, bare.collect::<Vec<_>>().join("\n")).unwrap();
    let out = folder.path().join("INC-1");
    flowwatch()
        .args("isolate -q --findings samples/findings.jsonl --policies")
        .path(&policies)
        .args("--flows")
        .path(&flows)
        .args("--out")
        .path(&out)
        .run();
    let text = fs::read_to_string(out.join("80-improvement.yaml")).unwrap();
    assert!(text.contains("name: checkout"), "{text}");
    assert!(
        text.contains("q7x2-sync.edge.example:443/TCP: 23 of 23 connections denied"),
        "{text}"
    );
    // Its name is looked up in vain, too.
    assert!(
        text.contains("kube-system/coredns:53/UDP: q7x2-sync.edge.example, "),
        "{text}"
    );
    let (head, policy) = text.split_once("\n---\n").unwrap();
    assert!(head.lines().all(|line| line.starts_with('#')), "{head}");
    assert!(!policy.contains("q7x2"), "{policy}");
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

/// Scenario: without an incident and without flows.
#[test]
fn a_bundle_of_policies_alone_fits_its_schema_too() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("b");
    flowwatch()
        .args("isolate 192.0.2.7 --policies samples/policies -q --out")
        .path(&out)
        .run();
    let record = fs::read_to_string(out.join("bundle.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    fits("docs/schema/bundle.json", &record);
    assert_eq!(record["evidence"], Value::Null);
}

/// Scenario: the address of the beacon, which flows know by its name.
/// Guarantees: every recorded connection to it stops and is said to.
#[test]
fn an_address_that_flows_know_by_a_name_is_cut_off() {
    let args = "isolate 198.51.100.23 --policies samples/policies --flows samples/shop.jsonl.gz -q";
    let data = json(args, 0);
    let stops = data["collateral"]["stops"].as_array().unwrap();
    let connections = |of: &[Value]| -> u64 {
        of.iter()
            .map(|edge| edge["connections"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(connections(stops), 23, "{stops:#?}");
    assert!(
        stops
            .iter()
            .all(|edge| edge["peer"] == "q7x2-sync.edge.example"),
        "{stops:#?}"
    );
    assert_eq!(data["collateral"]["untold"], 0);
    let ran = flowwatch().args(args).run().exit(0);
    assert!(
        ran.text().contains("Stops: 23 recorded connections on"),
        "{}",
        ran.text()
    );
    assert!(!ran.text().contains("cannot be told"), "{}", ran.text());
    // A prefix it is in, too.
    let data = json(&args.replace("198.51.100.23", "198.51.100.0/24"), 0);
    let stops = data["collateral"]["stops"].as_array().unwrap();
    assert!(connections(stops) >= 23, "{stops:#?}");
    assert_eq!(data["collateral"]["untold"], 0);
}

/// Scenario: what calls the address is the node's own host, which no policy of pods selects.
/// Guarantees: that it cannot be told whether this stops is said, on the terminal and in
/// Markdown.
#[test]
fn connections_that_cannot_be_told_are_said_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let flows = folder.path().join("flows.jsonl");
    let flow = serde_json::json!({
        "flow": {
            "time": "2026-06-16T14:09:00Z",
            "verdict": "FORWARDED",
            "IP": {"source": "10.42.2.1", "destination": "192.0.2.7", "ipVersion": "IPv4"},
            "l4": {"TCP": {"source_port": 40000, "destination_port": 443, "flags": {"SYN": true}}},
            "source": {"identity": 1, "labels": ["reserved:host"]},
            "destination": {"identity": 2, "labels": ["reserved:world"]},
            "Type": "L3_L4",
            "node_name": "shop-prod/worker-2",
            "event_type": {"type": 4, "sub_type": 3},
            "traffic_direction": "EGRESS",
            "trace_observation_point": "TO_STACK",
            "is_reply": false,
        },
        "node_name": "shop-prod/worker-2",
        "time": "2026-06-16T14:09:00Z",
    });
    let sample = fs::read_to_string("samples/shop.jsonl").unwrap();
    fs::write(&flows, format!("{sample}{flow}\n")).unwrap();
    let run = |form: &str| {
        flowwatch()
            .args("isolate 192.0.2.7 --policies samples/policies -q --flows")
            .path(&flows)
            .args("-o")
            .arg(form)
            .run()
    };
    let terminal = run("terminal");
    assert!(
        terminal
            .text()
            .contains("Of 1 recorded connection it cannot be told."),
        "{}",
        terminal.text()
    );
    let markdown = run("markdown");
    assert!(
        markdown
            .text()
            .contains("Of 1 connection it cannot be told."),
        "{}",
        markdown.text()
    );
}
