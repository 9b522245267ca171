//! Findings as SARIF 2.1.0, for whatever shows them beside the code.
//!
//! Places count characters; files are relative to where the command ran.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{GUIDE, fingerprint};
use crate::policy::lint::{CHECKS, Check, LintFinding, Severity};

pub(in crate::render) const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The log: one run, with every check as a rule.
#[must_use]
pub fn sarif(findings: &[LintFinding]) -> Value {
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": CHECKS.iter().map(|check| rule(check)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn rule(check: &Check) -> Value {
    let page = page(check);
    json!({
        "id": check.id,
        "shortDescription": {"text": check.summary},
        "help": {"text": format!("See {page}."), "markdown": format!("See [{}]({page}).", check.id)},
        "helpUri": page,
        "defaultConfiguration": {"level": level(check.severity)},
    })
}

/// Where the section of a check is: on the project's page where the package names one,
/// else in its folder.
fn page(check: &Check) -> String {
    let section = format!("{GUIDE}#{}", check.id);
    match env!("CARGO_PKG_REPOSITORY") {
        "" => section,
        repository => format!("{repository}/blob/main/{section}"),
    }
}

fn result(finding: &LintFinding) -> Value {
    let index = CHECKS.iter().position(|check| check.id == finding.check.id);
    let mut region = json!({"startLine": finding.at.line.max(1)});
    if finding.at.column > 0 {
        region["startColumn"] = json!(finding.at.column);
    }
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": {"uri": uri(&finding.file)},
            "region": region,
        },
    });
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

/// A path as a relative or absolute reference, what no URI may hold escaped.
pub(in crate::render) fn uri(file: &str) -> String {
    if file == "<stdin>" {
        return "stdin".to_owned();
    }
    let mut uri = String::new();
    if file.starts_with('/') {
        uri.push_str("file://");
    }
    let file = file.strip_prefix("./").unwrap_or(file);
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_reference_that_is_valid() {
        assert_eq!(uri("./a b/c#d.yaml"), "a%20b/c%23d.yaml");
        assert_eq!(uri("/etc/x.yaml"), "file:///etc/x.yaml");
        assert_eq!(uri("<stdin>"), "stdin");
    }
}
