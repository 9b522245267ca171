//! A simulation as SARIF 2.1.0: what changes, at the rule it changes by.

use serde_json::{Value, json};

use super::Options;
use super::words::{change, deciding, request, side, sides};
use crate::engine::Rule;
use crate::render::lint::sarif::level;
use crate::render::report::words::{counted, peer, port};
use crate::render::sarif::{self as log, fingerprint};
use crate::review::simulate::{Change, ChangeRow, Simulation};

/// The page that says what each rule means.
const GUIDE: &str = "docs/simulate.md";
/// The rule of objects that a cluster refuses.
const REFUSED: &str = "refused";

/// The log: one run. Changes that are meant to be are suppressed.
#[must_use]
pub fn sarif(simulation: &Simulation, options: &Options) -> Value {
    let mut results: Vec<Value> = simulation
        .rows
        .iter()
        .map(|row| result(row, options))
        .collect();
    for kept in &simulation.kept {
        results.push(json!({
            "ruleId": REFUSED,
            "level": "error",
            "message": {"text": format!(
                "{} refuses {}, {}.", kept.by.name(), kept.id, kept.reason
            )},
            "locations": [location(&kept.file, kept.at.line, options)],
            "partialFingerprints": {"flowwatch/v1": fingerprint(&[REFUSED, &kept.id.to_string()])},
        }));
    }
    for finding in &simulation.lint {
        results.push(json!({
            "ruleId": finding.check.id,
            "level": level(finding.severity),
            "message": {"text": format!("{}. Mend: {}.", finding.message, finding.mend)},
            "locations": [location(&finding.file, finding.at.line, options)],
            "partialFingerprints": {"flowwatch/v1": fingerprint(&[
                finding.check.id, &finding.object, &finding.field,
            ])},
        }));
    }
    log::log(&rules(simulation), &results)
}

fn rules(simulation: &Simulation) -> Vec<Value> {
    let own = |id: &str, text: &str, level: &str| {
        json!({
            "id": id,
            "shortDescription": {"text": text},
            "help": {"text": format!("See {GUIDE}.")},
            "defaultConfiguration": {"level": level},
        })
    };
    let mut rules: Vec<Value> = Change::ALL
        .into_iter()
        .map(|kind| {
            own(
                kind.name(),
                &format!("Recorded connections would be {}", change(kind)),
                severity(kind),
            )
        })
        .collect();
    rules.push(own(REFUSED, "A cluster would refuse the policy", "error"));
    let mut checks: Vec<_> = simulation
        .lint
        .iter()
        .map(|finding| finding.check)
        .collect();
    checks.sort_by_key(|check| check.id);
    checks.dedup_by_key(|check| check.id);
    rules.extend(
        checks
            .into_iter()
            .map(|check| own(check.id, check.summary, level(check.severity))),
    );
    rules
}

fn result(row: &ChangeRow, options: &Options) -> Value {
    let (from, to) = (peer(&row.client), peer(&row.server));
    let to_port = port(row.port, row.protocol);
    let request = request(&row.what);
    let counted = if request.is_empty() {
        counted(row.count, "connection")
    } else {
        format!("{} ({request})", counted(row.count, "request"))
    };
    let why: Vec<String> = sides(row).map(side).collect();
    let text = format!(
        "{counted} from {from} to {to} {to_port} {}: {}.",
        change(row.change),
        why.join("; ")
    );
    let rule = place(row);
    let mut result = json!({
        "ruleId": row.change.name(),
        "level": severity(row.change),
        "message": {"text": text},
        "locations": rule.map(|rule| location(&rule.file, rule.line, options))
            .into_iter().collect::<Vec<_>>(),
        "partialFingerprints": {"flowwatch/v1": fingerprint(&[
            row.change.name(), &from, &to, &to_port, &request,
        ])},
    });
    if row.is_accepted() {
        result["suppressions"] = json!([{"kind": "external"}]);
    }
    result
}

/// The rule of the second set that does it; else that of the first which did.
fn place(row: &ChangeRow) -> Option<&Rule> {
    let side = deciding(row)?;
    let written = |rule: &&Rule| !rule.file.is_empty();
    let head = side.head.rules.iter().find(written);
    head.or_else(|| side.base.rules.iter().find(written))
}

fn location(file: &str, line: u32, options: &Options) -> Value {
    let plain = options
        .prefixes
        .iter()
        .find_map(|prefix| file.strip_prefix(prefix.as_str()))
        .unwrap_or(file);
    log::location(plain, u64::from(line), 0)
}

fn severity(change: Change) -> &'static str {
    match change {
        Change::NewlyDenied => "error",
        Change::NewlyAllowed | Change::NewlyUnknown => "warning",
        Change::NoLongerUnknown | Change::OtherRule => "note",
    }
}
