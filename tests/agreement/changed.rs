//! Policies that are not those of the cluster: one left out, or one with another port.
//!
//! Scenario: the flows of a case under all its policies, read back with one of them missing
//! or changed.
//! Guarantees: a flow that names a policy which is missing is unknown, and so are those of
//! its subject that come after it; of the others those
//! drift whose answer is now another, and no others. What the answer is now, the library
//! says of the same documents.

use std::collections::{BTreeSet, HashSet};

use flowwatch::manifest;
use serde_json::Value;

use super::case::{self, Case};
use super::{LISTED, folder, judge, random, write};
use crate::conformance;

/// Random cases have many policies and questions each.
const RANDOM: usize = 15;
/// Policies of a case that are left out, one at a time.
const LEFT_OUT: usize = 3;

/// What the flows of one kind came to.
#[derive(Debug, Default)]
struct Outcome {
    cases: usize,
    equal: usize,
    drift: usize,
    not_loaded: usize,
    unknown: usize,
    wrong: Vec<String>,
}

#[test]
fn situations_drift_only_where_a_missing_policy_matters() {
    check("situations.jsonl", usize::MAX, "left out", without_one);
}

#[test]
fn random_cases_drift_only_where_a_missing_policy_matters() {
    check(
        "random_a.jsonl.zst",
        random(RANDOM),
        "left out",
        without_one,
    );
}

#[test]
fn situations_drift_only_where_another_port_matters() {
    check("situations.jsonl", usize::MAX, "changed", another_port);
}

#[test]
fn random_cases_drift_only_where_another_port_matters() {
    check(
        "random_a.jsonl.zst",
        random(RANDOM),
        "changed",
        another_port,
    );
}

/// The case without one of its policies.
fn without_one(case: &Case) -> Vec<Case> {
    (0..case.policies.len().min(LEFT_OUT))
        .map(|index| {
            let mut changed = case.clone();
            changed.policies.remove(index);
            changed
        })
        .collect()
}

/// The case with the first port 80 of its policies moved by one.
fn another_port(case: &Case) -> Vec<Case> {
    let is_eighty = |text: &String| text.contains("\"80\"");
    let Some(index) = case.policies.iter().position(is_eighty) else {
        return Vec::new();
    };
    let mut changed = case.clone();
    changed.policies[index] = changed.policies[index].replacen("\"80\"", "\"81\"", 1);
    vec![changed]
}

fn check(file: &str, most: usize, what: &str, variants: fn(&Case) -> Vec<Case>) {
    let Some(folder) = folder() else {
        println!("skipped: the conformance data is not there");
        return;
    };
    let mut outcome = Outcome::default();
    for case in case::cases(&folder, file, most) {
        let flows = write::flows(&case);
        if !flows.is_empty() {
            for changed in variants(&case) {
                outcome.compare(&flows, &changed);
            }
        }
    }
    println!(
        "{file}, a policy {what} {} times: {} equal, {} drift, {} name what is missing, \
         {} unknown, {} wrong",
        outcome.cases,
        outcome.equal,
        outcome.drift,
        outcome.not_loaded,
        outcome.unknown,
        outcome.wrong.len()
    );
    outcome.wrong.truncate(10);
    assert!(outcome.wrong.is_empty(), "{:#?}", outcome.wrong);
    assert!(outcome.equal > 0);
    assert!(outcome.drift > 0);
}

impl Outcome {
    fn compare(&mut self, flows: &[write::Written], changed: &Case) {
        self.cases += 1;
        let given = names(changed);
        let answers = conformance::answers(&changed.json());
        let temporary = tempfile::tempdir().unwrap();
        let judged = judge(changed, flows, temporary.path());
        let mut open = HashSet::new();
        for (flow, judged) in flows.iter().zip(judged) {
            let missing = flow.names.iter().any(|name| !given.contains(name));
            // From where a subject's policy was missed, its verdicts stay open.
            let before = open.contains(&(flow.subject, flow.direction));
            if missing {
                open.insert((flow.subject, flow.direction));
            }
            let now = &answers[&(flow.number, flow.direction)];
            match expected(flow, now, missing || before, &judged) {
                Some(Expected::Equal) => self.equal += 1,
                Some(Expected::Drift) => self.drift += 1,
                Some(Expected::NotLoaded) => self.not_loaded += 1,
                Some(Expected::Unknown) => self.unknown += 1,
                None => self
                    .wrong
                    .push(format!("{} is {judged}, and now {now}", flow.question)),
            }
        }
    }
}

enum Expected {
    Equal,
    Drift,
    NotLoaded,
    Unknown,
}

/// What a judgement is, if it is what it has to be.
fn expected(flow: &write::Written, now: &Value, missing: bool, judged: &Value) -> Option<Expected> {
    let agreement = judged["agreement"].as_str()?;
    let because = |cause: &str| agreement == "unknown" && judged.to_string().contains(cause);
    if missing {
        // What a rule that is there denies, another that is not cannot allow.
        let denied = judged["verdict"] == "denied-by-rule" && now["verdict"] == "deny_rule";
        return (denied || because("policy not loaded")).then_some(Expected::NotLoaded);
    }
    if LISTED.iter().any(|cause| because(cause)) {
        return Some(Expected::Unknown);
    }
    // Without the policy nothing may be certain, as Cilium could not compute it.
    if now["verdict"].is_null() || now["verdict"] == "error" {
        return (agreement == "unknown").then_some(Expected::Unknown);
    }
    let equal = agrees(flow.recorded, now);
    match agreement {
        "equal" if equal => Some(Expected::Equal),
        "drift" if !equal => Some(Expected::Drift),
        // An echo reply that was refused says nothing about whoever did not ask.
        "unknown" if !equal && because("may be a reply") => Some(Expected::Unknown),
        _ => None,
    }
}

/// Whether what was recorded is what is computed; a session lets pass what asks for one.
fn agrees(recorded: (&str, &str), now: &Value) -> bool {
    let computed = write::recorded(now);
    computed == recorded || computed.1 == "AUTH_REQUIRED" && recorded.0 != "DROPPED"
}

/// Policies that are given, as flows name them.
fn names(case: &Case) -> BTreeSet<String> {
    case.policies
        .iter()
        .flat_map(|text| manifest::read(text, "policy.yaml".into()).documents)
        .map(|document| {
            let kind = document.kind().unwrap_or_default().to_owned();
            let namespace = match document.namespace() {
                _ if kind.contains("Clusterwide") => "",
                None => "default",
                Some(namespace) => namespace,
            };
            format!("{kind}/{namespace}/{}", document.name().unwrap_or_default())
        })
        .collect()
}
