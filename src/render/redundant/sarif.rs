//! Redundant rules as SARIF 2.1.0: each at its line, with its witnesses.

use serde_json::Value;

use super::outline::{said, what, witnesses};
use crate::render::sarif as log;
use crate::review::redundant::{Redundant, Superfluous, Why};

/// The page that says what each rule means.
const GUIDE: &str = "docs/analytics.md";

/// The log: one run.
#[must_use]
pub fn sarif(redundant: &Redundant) -> Value {
    let rules: Vec<Value> = Why::ALL
        .into_iter()
        .map(|why| log::rule(id(why), summary(why), GUIDE, level(why)))
        .collect();
    let results: Vec<Value> = redundant.found.iter().map(result).collect();
    log::log(&rules, &results)
}

fn result(one: &Superfluous) -> Value {
    let by: Vec<String> = witnesses(one);
    let text = format!(
        "{} ({}): {}, {}.",
        what(one),
        said(one),
        summary(one.why),
        by.join(", ")
    );
    let related: Vec<Value> = one
        .witnesses
        .iter()
        .map(|witness| log::location(&witness.file, u64::from(witness.line), 0))
        .collect();
    let path = one.written().map_or(&one.rule.path, |part| &part.path);
    let place = log::location(&one.file, u64::from(one.line()), 0);
    let parts = [&*one.policy.to_string(), path];
    let mut result = log::result(id(one.why), level(one.why), &text, &place, &parts);
    result["relatedLocations"] = related.into();
    result
}

fn id(why: Why) -> &'static str {
    match why {
        Why::Contradictory => "contradictory-rule",
        Why::Duplicate => "duplicate-rule",
        Why::Shadowed => "shadowed-rule",
    }
}

fn summary(why: Why) -> &'static str {
    match why {
        Why::Contradictory => "all that it allows is denied",
        Why::Duplicate => "another one says the same",
        Why::Shadowed => "others cover all of it",
    }
}

fn level(why: Why) -> &'static str {
    match why {
        Why::Contradictory => "warning",
        Why::Duplicate | Why::Shadowed => "note",
    }
}
