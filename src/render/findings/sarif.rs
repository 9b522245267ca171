//! Findings as SARIF 2.1.0: a rule a kind, a result a finding.
//!
//! A finding is about traffic and has no place in a file of its own. It is shown at the rule
//! that let it pass or denied it; where no policy was given, at its line of the findings
//! file.

use serde_json::{Value, json};

use super::GUIDE;
use super::words::reading;
use crate::finding::{Alert, Finding, Findings, KINDS, KindInfo, Severity};
use crate::render::report::words::harmless;
use crate::render::sarif;

/// The log; `file` is the findings file.
#[must_use]
pub fn sarif(all: &Findings, file: &str) -> Value {
    let rules: Vec<Value> = KINDS.iter().map(rule).collect();
    let results: Vec<Value> = all
        .findings()
        .into_iter()
        .map(|(one, line)| result(all, one, file, line))
        .collect();
    sarif::log(&rules, &results)
}

fn rule(kind: &KindInfo) -> Value {
    let mut rule = sarif::rule(kind.name, kind.summary, GUIDE, "warning");
    let tags: Vec<&str> = std::iter::once("security")
        .chain(kind.attack.iter().copied())
        .collect();
    rule["properties"] = json!({ "tags": tags });
    rule
}

fn result(all: &Findings, finding: &Finding, file: &str, line: u64) -> Value {
    let incident = all.incident(&finding.incident);
    let rule = finding.rules.iter().find(|rule| !rule.file.is_empty());
    let mut location = match rule {
        Some(rule) => sarif::location(&rule.file, u64::from(rule.line), 0),
        None => sarif::location(file, line, 0),
    };
    location["logicalLocations"] = json!([{
        "fullyQualifiedName": finding.subject.to_string(),
        "kind": "object",
    }]);
    let mut text = vec![finding.title.clone()];
    text.extend(finding.evidence.text.iter().cloned());
    text.push(reading(finding));
    text.push(format!("Normal if: {}", finding.normal));
    text.push(format!("Shown by: {}", finding.observe));
    let text: Vec<String> = text
        .iter()
        .map(|text| harmless(text.trim_end_matches('.')))
        .collect();
    let mut result = json!({
        "ruleId": finding.kind,
        "level": level(finding.severity),
        "message": {"text": format!("{}.", text.join(". "))},
        "locations": [location],
        "partialFingerprints": {"flowwatch/v1": finding.id},
        "rank": (finding.score * 10.0).clamp(0.0, 100.0),
        "properties": {
            "severity": finding.severity.name(),
            "score": finding.score,
            "first": crate::finding::moment::text(finding.first),
            "last": crate::finding::moment::text(finding.last),
            "incident": finding.incident,
            "incidentTitle": incident.map(|incident| harmless(&incident.title)),
            "alert": incident.map(|incident| incident.alert.name()),
            "flows": finding.flows,
            "attack": finding.attack,
        },
    });
    if let Some(index) = KINDS.iter().position(|kind| kind.name == finding.kind) {
        result["ruleIndex"] = json!(index);
    }
    if let Some(why) = &finding.suppressed {
        result["suppressions"] = json!([{"kind": "external", "justification": why.reason}]);
    } else if incident.is_some_and(|incident| incident.alert == Alert::Ranked) {
        result["kind"] = json!("review");
        // A result that is to be reviewed has no level.
        result["level"] = json!("none");
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}
