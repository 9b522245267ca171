//! `flowwatch findings`: what a person, a pipeline and a code scanning page get, and the form
//! of findings files.

mod sample;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use flowwatch::finding::{
    Alert, Completeness, Evidence, Finding, Incident, KINDS, Line, Party, Passed, Reading, RuleRef,
    Severity, Step, Suppressed, Tactic, Term,
};
use serde_json::Value;

use crate::analyze::schema;
use crate::support::flowwatch;

const FILE: &str = "samples/findings.jsonl";

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn schema_of_lines() -> Value {
    let text = fs::read_to_string(root("docs/schema/findings.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every way in which a line does not fit its half of the schema.
fn errors(line: &Value) -> Vec<String> {
    let mut half = schema_of_lines();
    let kind = line["type"].as_str().unwrap_or("finding").to_owned();
    half["anyOf"] = serde_json::json!([{"$ref": format!("#/$defs/{kind}")}]);
    let mut found = schema::errors(&half, line);
    if !found.is_empty() {
        // Of alternatives only the fact is told; of one the reason.
        half.as_object_mut().unwrap().remove("anyOf");
        half["$ref"] = Value::from(format!("#/$defs/{kind}"));
        found = schema::errors(&half, line);
    }
    found
}

#[test]
fn the_sample_is_what_the_desk_makes_of_the_story() {
    let text = sample::text();
    if std::env::var_os("FLOWWATCH_BLESS").is_some() {
        fs::write(sample::path(), &text).unwrap();
    }
    assert_eq!(fs::read_to_string(sample::path()).unwrap(), text);
}

#[test]
fn the_story_is_one_incident_with_its_steps_in_order() {
    let all = sample::findings();
    let incidents = all.incidents();
    let told: Vec<&&Incident> = incidents
        .iter()
        .filter(|incident| incident.alert == Alert::Raised)
        .collect();
    let [incident] = told[..] else {
        panic!("{told:#?}")
    };
    let stages: Vec<Tactic> = incident.stages.iter().map(|step| step.stage).collect();
    assert_eq!(stages[..2], [Tactic::Control, Tactic::Control]);
    assert!(stages.contains(&Tactic::Discovery));
    assert_eq!(incident.severity, Severity::Medium);
    assert_eq!(incident.subjects.len(), 1);
    assert!(
        all.findings()
            .iter()
            .any(|(finding, _)| finding.reading == Reading::WouldBeBlocked)
    );
    assert!(
        all.findings()
            .iter()
            .any(|(finding, _)| finding.kind == "release")
    );
}

#[test]
fn every_line_of_the_sample_fits_the_schema() {
    let text = fs::read_to_string(sample::path()).unwrap();
    for line in text.lines() {
        assert_eq!(
            errors(&serde_json::from_str(line).unwrap()),
            Vec::<String>::new(),
            "{line}"
        );
    }
}

/// A finding and an incident in which nothing is missing.
fn whole() -> [Line; 2] {
    let party = Party::workload("c", "shop", "Deployment", "web");
    let finding = Finding {
        version: 1,
        id: "0".repeat(16),
        detector: "D1".to_owned(),
        kind: "new-edge".to_owned(),
        title: "t".to_owned(),
        severity: Severity::High,
        score: 8.0,
        terms: vec![Term::new("surprise", 8.0)],
        first: 1,
        last: 2,
        raised: 3,
        subject: party.clone(),
        peer: Some(Party::Prefix {
            name: "192.0.2.0/24".to_owned(),
        }),
        port: Some(443),
        protocol: Some("TCP".to_owned()),
        p: 1e-8,
        p_raw: 1e-9,
        fixed: false,
        passed: Passed::Mixed,
        reading: Reading::PolicyGap,
        policies: vec!["shop/web".to_owned()],
        rules: vec![RuleRef {
            policy: "shop/web".to_owned(),
            file: "f".to_owned(),
            line: 1,
        }],
        evidence: Evidence {
            text: vec!["e".to_owned()],
            observed: Some(1.5),
            expected: Some(0.5),
            count: 3,
        },
        flows: vec!["n/1/0".to_owned()],
        completeness: Completeness {
            share: Some(0.5),
            lost: Some(1),
        },
        attack: vec!["T1046".to_owned()],
        normal: "n".to_owned(),
        observe: "o".to_owned(),
        incident: "1".repeat(16),
        suppressed: Some(Suppressed {
            reason: "r".to_owned(),
            until: Some("2026-06-01T00:00:00Z".to_owned()),
            by: "f:1".to_owned(),
        }),
    };
    let incident = Incident {
        version: 1,
        id: "1".repeat(16),
        severity: Severity::Critical,
        score: 10.0,
        terms: vec![Term::new("combined", 10.0)],
        p: 1e-10,
        first: 1,
        last: 2,
        title: "t".to_owned(),
        subjects: vec![party],
        stages: vec![Step {
            stage: Tactic::Movement,
            at: 1,
            finding: "0".repeat(16),
        }],
        findings: vec!["0".repeat(16)],
        attack: vec!["T1046".to_owned()],
        alert: Alert::Raised,
        revision: 2,
        more: 1,
        merged: Some("2".repeat(16)),
    };
    [
        Line::Finding(Box::new(finding)),
        Line::Incident(Box::new(incident)),
    ]
}

/// Guarantees: the schema has every field the types have, by their names, and no other.
#[test]
fn schema_and_types_have_the_same_fields() {
    let schema = schema_of_lines();
    for line in whole() {
        let value = serde_json::to_value(&line).unwrap();
        assert_eq!(errors(&value), Vec::<String>::new());
        let kind = value["type"].as_str().unwrap();
        let listed = schema
            .pointer(&format!("/$defs/{kind}/properties"))
            .unwrap();
        let listed: BTreeSet<&String> = listed.as_object().unwrap().keys().collect();
        let written: BTreeSet<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(listed, written);
        // What the schema asks for is what reading asks for, but for what has a default.
        for field in schema
            .pointer(&format!("/$defs/{kind}/required"))
            .unwrap()
            .as_array()
            .unwrap()
        {
            let mut without = value.clone();
            without
                .as_object_mut()
                .unwrap()
                .remove(field.as_str().unwrap());
            assert!(!errors(&without).is_empty(), "{field}");
        }
    }
}

/// Guarantees: a field of a later minor form is no error.
#[test]
fn fields_that_come_later_are_read_over() {
    let mut value = serde_json::to_value(&whole()[0]).unwrap();
    value["later"] = Value::from(1);
    assert!(serde_json::from_value::<Line>(value).is_ok());
}

#[test]
fn a_list_has_the_worst_first_and_hides_what_is_low() {
    let ran = flowwatch().args("findings list").arg(FILE).run().exit(0);
    let text = ran.text();
    assert!(
        text.contains("shop/checkout: a new destination outside, then regular callbacks"),
        "{text}"
    );
    assert!(!text.contains("shop/frontend"), "{text}");
    let ran = flowwatch()
        .args("findings list --min-severity low")
        .arg(FILE)
        .run()
        .exit(0);
    let text = ran.text();
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}\n{text}"));
    assert!(at("shop/checkout") < at("shop/frontend"));
    assert!(at("3 new edges in the 1 minute since") > at("shop/frontend"));
}

#[test]
fn a_list_is_asked_by_kind_and_time() {
    let count = |args: &str| {
        let args = format!("findings list --min-severity low -o json {args}");
        let ran = flowwatch().args(&args).arg(FILE).run().exit(0);
        ran.lines()
            .iter()
            .filter(|line| line.contains(r#""type":"incident""#))
            .count()
    };
    assert_eq!(count(""), 3);
    assert_eq!(count("--kind beacon"), 1);
    assert_eq!(count("--kind D9,release"), 2);
    assert_eq!(count("--kind mining"), 0);
    assert_eq!(count("--since 2026-06-16T14:06:00Z"), 1);
    assert_eq!(count("--until 2026-06-16T14:04:00Z"), 1);
    flowwatch()
        .args("findings list --kind beacons")
        .arg(FILE)
        .run()
        .exit(64)
        .stderr_contains("--kind takes the kind or the detector of a finding, not 'beacons'");
    flowwatch()
        .args("findings list --since noon")
        .arg(FILE)
        .run()
        .exit(64)
        .stderr_contains("failed to parse the since time");
}

#[test]
fn json_is_a_findings_file_again() {
    let ran = flowwatch()
        .args("findings list --min-severity low -o json")
        .arg(FILE)
        .run()
        .exit(0);
    assert_eq!(ran.text(), fs::read_to_string(sample::path()).unwrap());
    let piped = flowwatch()
        .args("findings list --min-severity low -o json -")
        .stdin(ran.text())
        .run()
        .exit(0);
    assert_eq!(piped.text(), ran.text());
}

#[test]
fn a_check_fails_on_what_people_were_told_of() {
    let check = |args: &str| {
        flowwatch()
            .args(&format!("findings list {args}"))
            .arg(FILE)
            .run()
    };
    check("--fail-on medium -q")
        .exit(1)
        .stderr_contains("failing on 1 incident of medium or worse");
    check("--fail-on high").exit(0);
    check("--fail-on medium --kind mining").exit(0);
    check("--fail-on medium --until 2026-06-16T14:06:00Z").exit(0);
    check("--fail-on severe").exit(64);
}

#[test]
fn an_incident_is_told_in_full() {
    let ran = flowwatch().args("findings show").arg(FILE).run().exit(0);
    let text = ran.text();
    for told in [
        "shop/checkout: a new destination outside, then regular callbacks",
        "how unlikely its findings are together, in powers of ten",
        "every 30 s ±2 % for 11 min (23 callbacks, none missed)",
        "allowed by shop/checkout (samples/policies/shop.yaml:63)",
        "attempted, and denied by allow-dns (samples/policies/allow-dns.yaml:15)",
        "normal if",
        "hubble observe --since 2026-06-16T14:10:05Z --until 2026-06-16T14:10:27Z --from-pod shop/checkout --verdict DROPPED",
        "75.0 % of the events of its time were seen, 214 events were lost",
    ] {
        assert!(
            text.replace("\n              ", " ").contains(told),
            "{told}\n{text}"
        );
    }
    assert_eq!(text.matches("shop-prod/worker-2/").count(), 12, "{text}");
}

/// Guarantees: the command that a finding gives finds its flows in the recording.
#[test]
fn the_command_of_a_finding_shows_its_flows() {
    for (finding, _) in sample::findings().findings() {
        if finding.subject.to_string() != "shop/checkout" {
            continue;
        }
        let flags = finding.observe.strip_prefix("hubble observe ").unwrap();
        let ran = flowwatch()
            .args("tail samples/shop.jsonl.gz -q")
            // As a shell takes them.
            .args(&flags.replace('\'', ""))
            .run()
            .exit(0);
        assert!(ran.lines().len() >= 2, "{}", finding.observe);
    }
}

#[test]
fn ids_may_be_short_and_must_be_clear() {
    let all = sample::findings();
    let incident = all.incidents()[0].clone();
    let finding = all.of(&incident).next().unwrap();
    let show = |id: &str| flowwatch().args("findings show").arg(FILE).arg(id).run();
    show(&incident.id[..10])
        .exit(0)
        .stdout_contains(&incident.title);
    show(&finding.id).exit(0).stdout_contains(&finding.title);
    show("zzzz")
        .exit(2)
        .stderr_contains("no finding or incident has the id zzzz");
    show("")
        .exit(2)
        .stderr_contains("no finding or incident has the id");
}

#[test]
fn markdown_has_commands_in_blocks() {
    flowwatch()
        .args("findings show -o markdown")
        .arg(FILE)
        .run()
        .exit(0)
        .stdout_contains("```sh\nhubble observe --since")
        .stdout_contains("| step | at | what |")
        .stdout_contains("## ");
    flowwatch()
        .args("findings list -o markdown")
        .arg(FILE)
        .run()
        .exit(0)
        .stdout_contains("| SEVERITY | SCORE |");
}

/// Guarantees: what SARIF 2.1.0 asks of a log, as far as ours has it, and places people find.
#[test]
fn sarif_points_at_the_rules_that_decided() {
    let ran = flowwatch()
        .args("findings list --min-severity low -o sarif")
        .arg(FILE)
        .run()
        .exit(0);
    let log: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), KINDS.len());
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), sample::findings().findings().len());
    let mut places = BTreeSet::new();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        let file = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
        assert!(root(file).exists(), "{file}");
        places.insert(file.to_owned());
        assert!(matches!(
            result["level"].as_str(),
            Some("error" | "warning" | "note")
        ));
        assert_eq!(
            result["partialFingerprints"]["flowwatch/v1"]
                .as_str()
                .unwrap()
                .len(),
            16
        );
        assert!((0.0..=100.0).contains(&result["rank"].as_f64().unwrap()));
    }
    assert!(places.contains("samples/policies/shop.yaml"));
    assert!(places.contains(FILE));
}

#[test]
fn acknowledged_findings_are_kept_and_tell_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let suppressions = folder.path().join("s.yaml");
    let incident = sample::findings().incidents()[0].clone();
    let ack = |args: &str| {
        flowwatch()
            .args("findings ack")
            .arg(FILE)
            .arg(&incident.id)
            .args(args)
            .arg("--suppressions")
            .path(&suppressions)
            .run()
    };
    ack("--reason a-penetration-test --expires 2026-12-31")
        .exit(0)
        .stderr_contains("suppressed");
    let first = fs::read_to_string(&suppressions).unwrap();
    assert!(
        first.contains("# D9 shop/checkout calls q7x2-sync.edge.example:443/TCP in a rhythm"),
        "{first}"
    );
    ack("--reason again")
        .exit(0)
        .stderr_contains("covers this already");
    assert_eq!(fs::read_to_string(&suppressions).unwrap(), first);
    let list = |args: &str| {
        flowwatch()
            .args("findings list")
            .arg(FILE)
            .args(args)
            .arg("--suppressions")
            .path(&suppressions)
            .run()
    };
    list("--fail-on low")
        .exit(0)
        .stdout_contains("1 incident not shown: known and meant");
    list("--suppressed")
        .exit(0)
        .stdout_contains("Suppressed: a-penetration-test");
    let sarif = list("--suppressed -o sarif");
    assert!(
        sarif
            .text()
            .contains(r#""justification": "a-penetration-test""#)
    );
}

/// Scenario: a file with comments and entries of people; the program adds to it.
#[test]
fn comments_of_a_suppression_file_stay() {
    let folder = tempfile::tempdir().unwrap();
    let suppressions = folder.path().join("s.yaml");
    let before = "# ours\nversion: 1\nsuppressions:\n\n  # the platform's scanner\n  - kind: scan # weekly\n    subject: security/*\n    reason: OPS-1\n# the end\n";
    fs::write(&suppressions, before).unwrap();
    let finding = sample::findings().findings()[0].0.id.clone();
    flowwatch()
        .args("findings ack")
        .arg(FILE)
        .arg(&finding)
        .args("--reason fine --expires 30d --suppressions")
        .path(&suppressions)
        .run()
        .exit(0);
    let after = fs::read_to_string(&suppressions).unwrap();
    for line in before.lines() {
        assert!(after.lines().any(|kept| kept == line), "{line}\n{after}");
    }
    assert!(after.ends_with("# the end\n"), "{after}");
    assert!(
        after.contains(&format!(
            "  - id: \"{finding}\"\n    reason: \"fine\"\n    expires: "
        )),
        "{after}"
    );
}

#[test]
fn wrong_files_are_said_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.jsonl");
    fs::write(&bad, "{\"type\":\"flow\"}\n").unwrap();
    flowwatch()
        .args("findings list")
        .path(&bad)
        .run()
        .exit(2)
        .stderr_contains("bad.jsonl:1: unknown variant `flow`");
    flowwatch()
        .args("findings list no-such.jsonl")
        .run()
        .exit(2)
        .stderr_contains("no-such.jsonl");
    let suppressions = folder.path().join("s.yaml");
    fs::write(&suppressions, "suppressions:\n- kind: scan\n").unwrap();
    flowwatch()
        .args("findings list")
        .arg(FILE)
        .arg("--suppressions")
        .path(&suppressions)
        .run()
        .exit(2)
        .stderr_contains("s.yaml:2: a suppression needs a reason");
    fs::write(
        &suppressions,
        "suppressions:\n- {kind: scan, reason: r, expires: 2026-01-01}\n",
    )
    .unwrap();
    flowwatch()
        .args("findings list")
        .arg(FILE)
        .arg("--suppressions")
        .path(&suppressions)
        .run()
        .exit(0)
        .stderr_contains("s.yaml:2: expired on 2026-01-02T00:00:00Z: r");
    flowwatch()
        .args("findings ack")
        .arg(FILE)
        .arg("0")
        .arg("--reason")
        .arg(" ")
        .run()
        .exit(64);
}

#[test]
fn every_kind_has_a_section_in_the_guide_and_every_term_a_line() {
    let page = fs::read_to_string(root("docs/findings.md")).unwrap();
    let sections: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let wanted: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(sections, wanted);
    for kind in KINDS {
        let section = page.split(&format!("### {}\n", kind.name)).nth(1).unwrap();
        let first = section.trim_start().lines().next().unwrap();
        assert!(
            first.starts_with(&format!("{}:", kind.detector)),
            "{}: {first}",
            kind.name
        );
        for technique in kind.attack {
            assert!(first.contains(technique), "{}: {technique}", kind.name);
        }
    }
    for (term, meaning) in flowwatch::finding::TERMS {
        assert!(
            page.contains(&format!("| {} | {meaning}", term.replace('-', " "))),
            "{term}"
        );
    }
}
