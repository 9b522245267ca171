//! SARIF 2.1.0: what all logs of ours have in common.
//!
//! Owns the log around rules and results, a rule with its page of the guide, the number that
//! a result keeps, and files as references. What a rule or a result says is whose finding it is.

use std::fmt::Write as _;

use serde_json::{Value, json};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The log: one run. Places count characters.
pub(super) fn log(rules: &[Value], results: &[Value]) -> Value {
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// Says something of the run that is no result: `warning` or `note`.
pub(super) fn notify(log: &mut Value, level: &str, text: &str) {
    log["runs"][0]["invocations"] = json!([{
        "executionSuccessful": true,
        "toolExecutionNotifications": [{"level": level, "message": {"text": text}}],
    }]);
}

/// A rule, with a section of a page of the guide.
pub(super) fn rule(id: &str, summary: &str, guide: &str, level: &str) -> Value {
    let page = page(guide, id);
    json!({
        "id": id,
        "shortDescription": {"text": summary},
        "help": {"text": format!("See {page}."), "markdown": format!("See [{id}]({page}).")},
        "helpUri": page,
        "defaultConfiguration": {"level": level},
    })
}

/// Where a section of the guide is: on the project's page where the package names one, else
/// in its folder.
fn page(guide: &str, section: &str) -> String {
    let section = format!("{guide}#{section}");
    match env!("CARGO_PKG_REPOSITORY") {
        "" => section,
        repository => format!("{repository}/blob/main/{section}"),
    }
}

/// A result at a place; `parts` are what makes it the same result in the next run.
pub(super) fn result(id: &str, level: &str, text: &str, location: &Value, parts: &[&str]) -> Value {
    let parts: Vec<&str> = std::iter::once(id).chain(parts.iter().copied()).collect();
    json!({
        "ruleId": id,
        "level": level,
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"flowwatch/v1": fingerprint(&parts)},
    })
}

/// A place in a file; lines and columns from 1, 0 where there is none.
pub(super) fn location(file: &str, line: u64, column: u64) -> Value {
    let mut region = json!({"startLine": line.max(1)});
    if column > 0 {
        region["startColumn"] = json!(column);
    }
    json!({
        "physicalLocation": {
            "artifactLocation": {"uri": uri(file)},
            "region": region,
        },
    })
}

/// A number that stays the same for the same texts (FNV-1a).
pub(super) fn fingerprint(parts: &[&str]) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    });
    format!("{hash:016x}")
}

/// A path as a relative or absolute reference, what no URI may hold escaped.
fn uri(file: &str) -> String {
    if matches!(file, "<stdin>" | "-") {
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
