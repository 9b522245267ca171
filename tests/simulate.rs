//! `flowwatch simulate` and `flowwatch policy assert` as a person runs them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::flowwatch;

/// The policies of the samples, changed: checkout calls another port, one path of it is
/// refused, and the database's rule cannot be stored.
fn head(folder: &Path) {
    for entry in fs::read_dir("samples/policies").unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = match name {
            "shop.yaml" => text
                .replacen(
                    "namespace: payments\n      toPorts:\n        - ports:\n            - port: \"8080\"",
                    "namespace: payments\n      toPorts:\n        - ports:\n            - port: \"8443\"",
                    1,
                )
                .replace("path: /checkout(/.*)?", "path: /checkout"),
            "payments.yaml" => text.replace("port: \"5432\"", "port: \"99999\""),
            _ => text,
        };
        fs::write(folder.join(name), text).unwrap();
    }
}

fn simulated(head: &Path, more: &str) -> Value {
    let ran = flowwatch()
        .args("simulate -q -o json --base samples/policies --flows samples/shop.jsonl --head")
        .path(head)
        .args(more)
        .run()
        .exit(0);
    let value: Value = serde_json::from_str(ran.text()).unwrap();
    fits(&value, "simulate");
    value
}

fn fits(value: &Value, name: &str) {
    let text = fs::read_to_string(format!("docs/schema/{name}.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let errors = crate::analyze::schema::errors(&schema, value);
    assert!(errors.is_empty(), "{errors:?}");
}

fn of_kind<'a>(value: &'a Value, change: &str) -> Vec<&'a Value> {
    let rows = value["changes"].as_array().unwrap();
    rows.iter().filter(|row| row["change"] == change).collect()
}

#[test]
fn the_same_policies_change_nothing() {
    let value = simulated(Path::new("samples/policies"), "");
    assert_eq!(value["changes"], serde_json::json!([]));
    assert_eq!(value["policies"], serde_json::json!([]));
    assert!(value["connections"]["pass"].as_u64().unwrap() > 0);
    assert_eq!(value["fit"]["drift"], 0);
}

#[test]
fn a_changed_copy_shows_what_breaks_and_by_which_rule() {
    let folder = tempfile::tempdir().unwrap();
    head(folder.path());
    let value = simulated(folder.path(), "");
    let denied = of_kind(&value, "newly-denied");
    let to_payments: Vec<_> = denied
        .iter()
        .filter(|row| row["server"]["name"] == "payments/payments" && row["request"].is_null())
        .collect();
    assert_eq!(to_payments.len(), 1, "{denied:#?}");
    let row = to_payments[0];
    assert_eq!(row["client"]["name"], "shop/checkout");
    assert_eq!(row["port"], 8080);
    assert!(row["count"].as_u64().unwrap() > 0);
    let egress = &row["sides"][0];
    assert_eq!(egress["direction"], "egress");
    assert_eq!(egress["differs"], true);
    assert_eq!(egress["base"]["rules"][0]["policy"], "shop/checkout");
    assert_eq!(
        egress["base"]["rules"][0]["file"],
        "samples/policies/shop.yaml"
    );
    assert_eq!(egress["head"]["verdict"], "denied-by-default");
    // Requests that the narrower path refuses.
    assert!(
        denied
            .iter()
            .any(|row| row["request"]["path"] == "/checkout/import")
    );
    // What the API server does not store leaves what is there.
    let refused = value["refused"].as_array().unwrap();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|one| one["base_stays"] == true));
    assert!(
        denied
            .iter()
            .all(|row| row["server"]["name"] != "payments/database")
    );
}

#[test]
fn the_two_sets_in_each_others_place_give_the_opposite() {
    let folder = tempfile::tempdir().unwrap();
    head(folder.path());
    let there = simulated(folder.path(), "");
    let ran = flowwatch()
        .args("simulate -q -o json --head samples/policies --flows samples/shop.jsonl --base")
        .path(folder.path())
        .run()
        .exit(0);
    let back: Value = serde_json::from_str(ran.text()).unwrap();
    let sum = |value: &Value, change: &str| -> u64 {
        let rows = of_kind(value, change);
        rows.iter()
            .filter(|row| row["server"]["name"] == "payments/payments")
            .map(|row| row["count"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(sum(&there, "newly-denied"), sum(&back, "newly-allowed"));
    assert_eq!(sum(&there, "newly-allowed"), sum(&back, "newly-denied"));
}

#[test]
fn it_fails_on_what_it_is_told_to_and_not_on_what_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    head(folder.path());
    let run = |more: &str| {
        flowwatch()
            .args("simulate -q --base samples/policies --flows samples/shop.jsonl --head")
            .path(folder.path())
            .args(more)
            .run()
    };
    let failing = run("--fail-on newly-denied").exit(1);
    assert!(
        failing.stderr.contains("newly denied"),
        "{}",
        failing.stderr
    );
    run("--fail-on newly-denied:100000").exit(0);
    run("--fail-on newly-allowed").exit(0);
    run("--fail-on lint").exit(1);
    run("--fail-on everything").exit(64);
    let accept = folder.path().join("intended.yaml.txt");
    let entry = "accept:\n  - change: newly-denied\n    from: shop/*\n    reason: moved\n  - to: nobody\n    reason: left over\n";
    fs::write(&accept, entry).unwrap();
    let more = format!("--fail-on newly-denied --accept {}", accept.display());
    run(&more).exit(0).stdout_contains("matches nothing");
    fs::write(
        &accept,
        "accept:\n  - change: newly-denied\n    reason: moved\n",
    )
    .unwrap();
    run(&more).exit(0).stdout_contains("meant to be");
    fs::write(&accept, "accept:\n  - chang: newly-denied\n").unwrap();
    let wrong = run(&more).exit(2);
    assert!(
        wrong.stderr.contains(":2: unknown key 'accept.chang'"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn every_form_names_the_edge_and_the_rule() {
    let folder = tempfile::tempdir().unwrap();
    head(folder.path());
    for form in ["terminal", "markdown", "html", "json", "sarif", "junit"] {
        let ran = flowwatch()
            .args("simulate -q --base samples/policies --flows samples/shop.jsonl --head")
            .path(folder.path())
            .args("--fail-on newly-denied -o")
            .arg(form)
            .run()
            .exit(1);
        for text in ["shop/checkout", "payments/payments", "shop.yaml"] {
            assert!(
                ran.text().contains(text),
                "{form} has no {text}\n{}",
                ran.text()
            );
        }
    }
}

#[test]
fn labels_and_namespaces_that_change_are_judged() {
    let relabelled = flowwatch()
        .args("simulate -q -o json --base samples/policies --head samples/policies --flows samples/shop.jsonl --relabel")
        .arg("shop/checkout: app=other")
        .run()
        .exit(0);
    let value: Value = serde_json::from_str(relabelled.text()).unwrap();
    fits(&value, "simulate");
    let denied = of_kind(&value, "newly-denied");
    assert!(
        denied
            .iter()
            .any(|row| row["client"]["name"] == "shop/checkout")
    );
    assert!(
        denied
            .iter()
            .any(|row| row["server"]["name"] == "shop/checkout")
    );
    let moved = flowwatch()
        .args("simulate -q -o json --base samples/policies --head samples/policies --flows samples/shop.jsonl --move shop/checkout:store")
        .run()
        .exit(0);
    let value: Value = serde_json::from_str(moved.text()).unwrap();
    let denied = of_kind(&value, "newly-denied");
    // The server's rule wants the namespace it was in.
    assert!(
        denied
            .iter()
            .any(|row| row["server"]["name"] == "payments/payments")
    );
    flowwatch()
        .args("simulate --base samples/policies --head samples/policies --flows samples/shop.jsonl --move checkout")
        .run()
        .exit(64);
}

#[test]
fn a_revision_is_read_without_touching_the_work_tree() {
    let folder = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let done = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(args)
            .current_dir(folder.path())
            .output();
        match done {
            Ok(output) if output.status.success() => true,
            Ok(output) => panic!("git {args:?}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => false,
        }
    };
    if !git(&["init", "-q", "-b", "main"]) {
        println!("skipped: there is no git");
        return;
    }
    let policies = folder.path().join("policies");
    fs::create_dir(&policies).unwrap();
    for entry in fs::read_dir("samples/policies").unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, policies.join(path.file_name().unwrap())).unwrap();
    }
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    head(&policies);
    let recording = fs::canonicalize("samples/shop.jsonl").unwrap();
    let run = |base: &str| {
        let mut command = flowwatch()
            .args("simulate -q -o json --head policies --flows")
            .path(&recording)
            .arg("--base")
            .arg(base)
            .command();
        command.current_dir(folder.path()).output().unwrap()
    };
    for base in ["git:main", "git:HEAD:policies"] {
        let output = run(base);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        let denied = of_kind(&value, "newly-denied");
        let row = denied
            .iter()
            .find(|row| row["server"]["name"] == "payments/payments")
            .unwrap();
        let file = row["sides"][0]["base"]["rules"][0]["file"]
            .as_str()
            .unwrap();
        assert!(file.ends_with(":policies/shop.yaml"), "{file}");
    }
    assert!(
        fs::read_to_string(policies.join("shop.yaml"))
            .unwrap()
            .contains("8443")
    );
    for (base, wanted) in [
        ("git:nowhere", "no such revision"),
        ("git:main:other", "nothing at other"),
        ("git:--upload-pack=x", "no such revision"),
    ] {
        let output = run(base);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(wanted), "{said}");
    }
}

/// Scenario: a file of the head cannot be read.
/// Guarantees: what it might decide is unknown, with its place, and nothing is guessed.
#[test]
fn what_cannot_be_read_makes_verdicts_unknown() {
    let folder = tempfile::tempdir().unwrap();
    head(folder.path());
    fs::write(
        folder.path().join("broken.yaml"),
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: x\n  namespace: shop\nspec: {endpointSelector: [\n",
    )
    .unwrap();
    let value = simulated(folder.path(), "");
    let unknown = of_kind(&value, "newly-unknown");
    assert!(!unknown.is_empty());
    let text = serde_json::to_string(&unknown).unwrap();
    assert!(text.contains("broken.yaml:"), "{text}");
}

#[test]
fn declarations_are_proven_refuted_or_undecided() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reach.yaml");
    fs::write(
        &file,
        "assertions:\n\
         - nothing from world reaches payments/database\n\
         - shop/checkout reaches payments/payments:8080\n\
         - name: no database for the shop\n  assert: nothing from shop/* reaches payments/database\n",
    )
    .unwrap();
    let run = |more: &str| {
        flowwatch()
            .args("policy assert -q")
            .path(&file)
            .args("--policies samples/policies --flows samples/shop.jsonl")
            .args(more)
            .run()
    };
    let ran = run("-o json").exit(0);
    let value: Value = serde_json::from_str(ran.text()).unwrap();
    fits(&value, "assert");
    for one in value["assertions"].as_array().unwrap() {
        assert_eq!(one["result"], "proven", "{one:#}");
    }
    let second = &value["assertions"][1]["history"];
    assert!(second["pass"].as_u64().unwrap() > 0, "{second}");
    fs::write(
        &file,
        "assertions:\n- nothing from world reaches shop/frontend\n- shop/nobody reaches shop/frontend:1\n",
    )
    .unwrap();
    let ran = run("").exit(1);
    assert!(ran.text().contains("refuted"), "{}", ran.text());
    assert!(ran.text().contains("undecided"), "{}", ran.text());
    assert!(ran.text().contains("shop.yaml:"), "{}", ran.text());
    run("-o junit").exit(1).stdout_contains("failures=\"2\"");
    fs::write(&file, "assertions:\n- shop/web reached x\n").unwrap();
    assert!(run("").exit(2).stderr.contains("reach.yaml:2:"));
}
