//! Findings for programs: one JSON document with a version.

use serde_json::{Value, json};

use super::{LintCounts, fingerprint};
use crate::policy::lint::LintFinding;

/// Changes when a program that reads the document would have to.
const VERSION: u32 = 1;

/// The document; suppressed findings are in it, with the reason.
#[must_use]
pub fn json(findings: &[LintFinding]) -> Value {
    let counts = LintCounts::of(findings);
    json!({
        "version": VERSION,
        "findings": findings.iter().map(one).collect::<Vec<_>>(),
        "summary": {
            "errors": counts.errors,
            "warnings": counts.warnings,
            "infos": counts.infos,
            "suppressed": counts.suppressed,
        },
    })
}

fn one(finding: &LintFinding) -> Value {
    let mut value = json!({
        "id": finding.check.id,
        "severity": finding.severity.name(),
        "file": &*finding.file,
        "line": finding.at.line,
        "column": finding.at.column,
        "object": &*finding.object,
        "field": finding.field,
        "message": finding.message,
        "mend": finding.mend,
        "fingerprint": fingerprint(finding),
    });
    if let (Some(reason), Value::Object(map)) = (&finding.suppressed, &mut value) {
        map.insert("suppressed".to_owned(), json!(&**reason));
    }
    value
}
