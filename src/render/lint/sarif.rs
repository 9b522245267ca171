//! Findings as SARIF 2.1.0, for whatever shows them beside the code.
//!
//! Files are relative to where the command ran.

use serde_json::{Value, json};

use super::{GUIDE, fingerprint};
use crate::policy::lint::{CHECKS, Check, LintFinding, Severity};
use crate::render::sarif;

/// The log: one run, with every check as a rule.
#[must_use]
pub fn sarif(findings: &[LintFinding]) -> Value {
    let rules: Vec<Value> = CHECKS.iter().map(|check| rule(check)).collect();
    let results: Vec<Value> = findings.iter().map(result).collect();
    sarif::log(&rules, &results)
}

fn rule(check: &Check) -> Value {
    sarif::rule(check.id, check.summary, GUIDE, level(check.severity))
}

fn result(finding: &LintFinding) -> Value {
    let index = CHECKS.iter().position(|check| check.id == finding.check.id);
    let (line, column) = (u64::from(finding.at.line), u64::from(finding.at.column));
    let mut location = sarif::location(&finding.file, line, column);
    if !finding.object.is_empty() {
        location["logicalLocations"] = json!([{
            "fullyQualifiedName": format!("{} {}", finding.object, finding.field).trim_end(),
        }]);
    }
    let mut result = json!({
        "ruleId": finding.check.id,
        "level": level(finding.severity),
        "message": {"text": format!("{}. Mend: {}.", finding.message, finding.mend)},
        "locations": [location],
        "partialFingerprints": {"flowwatch/v1": fingerprint(finding)},
    });
    if let Some(index) = index {
        result["ruleIndex"] = json!(index);
    }
    if let Some(reason) = &finding.suppressed {
        result["suppressions"] = json!([{"kind": "inSource", "justification": &**reason}]);
    }
    result
}

pub(in crate::render) fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}
