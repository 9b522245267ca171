//! Unused rules as SARIF 2.1.0: each at its line.

use serde_json::Value;

use super::outline::{confidence, withheld};
use crate::policy::WrittenPart;
use crate::render::sarif as log;
use crate::render::usage::{name, says, window};
use crate::review::unused::{Standing, Unused, UnusedRule};

/// The page that says what each rule means.
const GUIDE: &str = "docs/analytics.md";
const RULES: [(&str, &str); 3] = [
    ("unused-rule", "No recorded connection needed the rule"),
    (
        "unused-part",
        "No recorded connection needed a part of the rule",
    ),
    ("unused-deny", "No recorded connection ran into the deny"),
];

/// The log: one run. Why nothing is claimed, or how sure a claim is, is a notification.
#[must_use]
pub fn sarif(unused: &Unused) -> Value {
    let seen = window(unused.connections, &unused.reading);
    let mut results = Vec::new();
    for rule in &unused.rules {
        if rule.standing.is_named() {
            results.push(whole(rule, &seen));
        }
        let written: Vec<(&str, &WrittenPart)> = rule.rule.parts().collect();
        for part in rule.named_parts() {
            let Some((_, written)) = written.get(part.index) else {
                continue;
            };
            let text = format!(
                "Nothing needed the {} '{}' of {} in {seen}.",
                part.kind,
                written.text,
                name(&rule.policy, &rule.rule)
            );
            results.push(result(
                rule,
                "unused-part",
                &text,
                written.at.line,
                &written.path,
            ));
        }
    }
    let rules: Vec<Value> = RULES
        .iter()
        .map(|(id, summary)| log::rule(id, summary, GUIDE, "note"))
        .collect();
    let mut value = log::log(&rules, &results);
    let (level, told) = match withheld(unused) {
        Some(why) => ("warning", Some(why)),
        None => ("note", confidence(unused)),
    };
    if let Some(text) = told {
        log::notify(&mut value, level, &text);
    }
    value
}

fn whole(rule: &UnusedRule, seen: &str) -> Value {
    let id = if rule.rule.deny {
        "unused-deny"
    } else {
        "unused-rule"
    };
    let what = if rule.standing == Standing::Overruled {
        "Nothing passes by"
    } else {
        "Nothing needed"
    };
    let keep = if rule.isolates {
        " Keep an empty element in its place: it turns default deny on."
    } else {
        ""
    };
    let text = format!(
        "{what} {} ({}) in {seen}.{keep}",
        name(&rule.policy, &rule.rule),
        says(&rule.rule)
    );
    result(rule, id, &text, rule.rule.at.line, &rule.rule.path)
}

fn result(rule: &UnusedRule, id: &str, text: &str, line: u32, path: &str) -> Value {
    let place = log::location(&rule.file, u64::from(line), 0);
    log::result(id, "note", text, &place, &[&rule.policy.to_string(), path])
}
