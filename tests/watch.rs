//! Lists, rules and marks: what a person sees who looks for what is unusual.
//!
//! Proves that what is on a list or fits a rule is told with the file and line that says so,
//! that a file that means nothing is refused with its line, and that `tail` marks the lines
//! of a finding. Does not prove that a list is right.

use std::fs;

use serde_json::Value;

use crate::support::flowwatch;

const SHOP: &str = "samples/shop.jsonl";

/// A folder with a file.
fn file(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    (folder, path)
}

const LIST: &str = "# seen in 2026\n*.edge.example\n198.51.100.0/24\n";

#[test]
fn what_is_on_a_list_is_told_with_its_line() {
    let (folder, list) = file("bad.txt", LIST);
    let found = folder.path().join("found.jsonl");
    flowwatch()
        .args("analyze --quiet")
        .path(SHOP)
        .arg("--threat-list")
        .path(&list)
        .arg("--findings-out")
        .path(&found)
        .run()
        .exit(0)
        .stdout_contains("Without a baseline only lists and rules were looked at.");
    let text = fs::read_to_string(&found).unwrap();
    let name = text.contains("called q7x2-sync.edge.example on 443/TCP");
    assert!(name && text.contains("bad.txt:2."), "{text}");
    assert!(!text.contains("\"scan\""));
}

#[test]
fn a_list_that_means_nothing_is_refused_with_its_line() {
    let (_folder, list) = file("bad.txt", "ok.example\nhttp://evil.example/\n");
    flowwatch()
        .args("analyze")
        .path(SHOP)
        .arg("--threat-list")
        .path(&list)
        .run()
        .exit(2)
        .stderr_contains("bad.txt:2: `http://evil.example/` is neither");
}

const RULES: &str = "\
rules:
- name: admin paths
  severity: high
  over: requests
  cel: path.startsWith('/admin') && code == 403
- name: many doors
  severity: medium
  cel: fate == 'denied' && client == 'shop/checkout'
  evidence: \"{client} was denied {server}:{port}\"
";

#[test]
fn what_a_rule_fits_is_as_severe_as_it_says() {
    let (folder, rules) = file("rules.yaml", RULES);
    let found = folder.path().join("found.jsonl");
    flowwatch()
        .args("analyze --quiet --fail-on incident")
        .path(SHOP)
        .arg("--rules")
        .path(&rules)
        .arg("--findings-out")
        .path(&found)
        .run()
        .exit(1);
    let text = fs::read_to_string(&found).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |name: &str| {
        let is = |line: &&Value| {
            let title = line["title"].as_str().unwrap_or_default();
            line["type"] == "finding" && title.ends_with(name)
        };
        lines
            .iter()
            .find(is)
            .unwrap_or_else(|| panic!("{name}: {text}"))
    };
    assert_eq!(of("admin paths")["severity"], "high");
    assert_eq!(of("admin paths")["score"], 8.0);
    assert_eq!(of("many doors")["severity"], "medium");
    let said = of("many doors")["evidence"]["text"][0].as_str().unwrap();
    assert!(said.starts_with("shop/checkout was denied "), "{said}");
    assert!(said.contains("rules.yaml:6) fits."), "{said}");
}

#[test]
fn a_rule_with_a_wrong_type_is_refused_with_its_line() {
    for (cel, why) in [
        ("port == '22'", "rules.yaml:4: cel of rule a: "),
        ("prot == 22", "undeclared reference to 'prot'"),
        ("port", "wanted \"bool\" result type"),
    ] {
        let text = format!("rules:\n- name: a\n  severity: low\n  cel: {cel}\n");
        let (_folder, rules) = file("rules.yaml", &text);
        flowwatch()
            .args("tail")
            .path(SHOP)
            .arg("--rules")
            .path(&rules)
            .run()
            .exit(2)
            .stderr_contains(why)
            .prints_nothing();
    }
}

#[test]
fn a_findings_file_needs_something_to_look_for() {
    flowwatch()
        .args("analyze samples/shop.jsonl --findings-out found.jsonl")
        .run()
        .exit(64)
        .stderr_contains("--findings-out goes with --baseline, --threat-list or --rules");
}

/// Scenario: a pod calls a listed name every 30 s, from 14:08:40 on.
/// Guarantees: the incident is told once; lines of the calls are marked from 30 s after the
/// minute of the first one on, in every form, and others are not.
#[test]
fn tail_marks_the_lines_of_a_finding() {
    let (_folder, list) = file("bad.txt", LIST);
    let run = |form: &str| {
        flowwatch()
            .args("tail --quiet -o")
            .arg(form)
            .path(SHOP)
            .arg("--threat-list")
            .path(&list)
            .run()
            .exit(0)
    };
    let compact = run("compact");
    let marked: Vec<&str> = compact
        .lines()
        .into_iter()
        .filter(|line| line.contains(" | L listed "))
        .collect();
    assert!(!marked.is_empty(), "{}", compact.text());
    for line in &marked {
        // A domain that is listed stands for all names under it.
        assert!(line.contains(".edge.example:443"), "{line}");
        assert!(line.contains("(medium)"), "{line}");
        assert!(!line.contains("14:08:"), "{line}");
    }
    let json = run("json");
    let values: Vec<Value> = json
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |value: &Value| value["findings"][0]["kind"].as_str().map(str::to_owned);
    let found: Vec<String> = values.iter().filter_map(of).collect();
    assert_eq!(found.len(), marked.len());
    assert!(found.iter().all(|kind| kind == "listed"));
    let dict = run("dict");
    let count = dict.text().matches("FINDING: L listed").count();
    assert_eq!(count, marked.len());
}

/// Guarantees: with policies, findings carry the rule that let it pass, from `tail` as from
/// `analyze`.
#[test]
fn tail_says_by_which_rule_it_passed() {
    let (folder, list) = file("bad.txt", LIST);
    let rules = |command: &str| {
        let found = folder.path().join(format!("{command}.jsonl"));
        flowwatch()
            .args(command)
            .args("--quiet --policies samples/policies")
            .path(SHOP)
            .arg("--threat-list")
            .path(&list)
            .arg("--findings-out")
            .path(&found)
            .run()
            .exit(0);
        let text = fs::read_to_string(&found).unwrap();
        let values = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let findings = values.filter(|line: &Value| line["type"] == "finding");
        let mut rules: Vec<String> = findings
            .map(|line| format!("{} {}", line["id"], line["rules"]))
            .collect();
        rules.sort();
        rules.dedup();
        rules
    };
    let tailed = rules("tail");
    assert!(
        tailed.iter().any(|one| one.contains("shop.yaml")),
        "{tailed:?}"
    );
    assert_eq!(tailed, rules("analyze"));
}
