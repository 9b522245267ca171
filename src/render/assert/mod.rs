//! What came of declarations: text, JSON and JUnit.
//!
//! Owns the forms; whether a declaration holds is not decided here.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::report::html::escape;
use super::report::json::rule as rule_json;
use super::report::words::{counted, harmless, listed, rule};
use crate::review::assert::{Checked, Holds, PastHolds};

/// Goes up when a field of the JSON changes its meaning or goes.
pub const VERSION: u32 = 1;
/// Rules named one by one.
const NAMED: usize = 4;

/// One line a declaration, and below it why it does not hold.
#[must_use]
pub fn text(checked: &[Checked], color: bool) -> String {
    let mut out = String::new();
    for one in checked {
        let holds = one.holds();
        let paint = match (color, holds) {
            (false, _) => "",
            (_, Holds::Proven) => "\x1b[32m",
            (_, Holds::Undecided) => "\x1b[33m",
            (_, Holds::Refuted) => "\x1b[31m",
        };
        let plain = if color { "\x1b[0m" } else { "" };
        let _ = writeln!(
            out,
            "{paint}{:<9}{plain}  {}",
            holds.name(),
            harmless(&one.assertion.name)
        );
        for line in reasons(one) {
            let _ = writeln!(out, "           {}", harmless(&line));
        }
    }
    out
}

/// The same for programs.
#[must_use]
pub fn json(checked: &[Checked]) -> Value {
    json!({
        "version": VERSION,
        "assertions": checked.iter().map(one).collect::<Vec<_>>(),
    })
}

fn one(one: &Checked) -> Value {
    json!({
        "name": one.assertion.name,
        "assertion": one.assertion.text,
        "line": one.assertion.line,
        "result": one.holds().name(),
        "policies": {
            "result": one.by_policies.name(),
            "why": one.why,
            "questions": one.questions,
            "rules": one.rules.iter().map(rule_json).collect::<Vec<_>>(),
        },
        "history": one.by_history.map(|past| json!({
            "result": past.holds(one.assertion.reaches).name(),
            "connections": past.connections,
            "pass": past.pass,
            "denied": past.denied,
            "unknown": past.unknown,
            "nameless": past.nameless,
        })),
    })
}

/// The same for what shows test results: what is not proven is a failure.
#[must_use]
pub fn junit(checked: &[Checked], file: &str) -> String {
    let failures = checked
        .iter()
        .filter(|one| one.holds() != Holds::Proven)
        .count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"flowwatch policy assert\" tests=\"{0}\" failures=\"{failures}\">\n  \
         <testsuite name=\"{1}\" tests=\"{0}\" failures=\"{failures}\">",
        checked.len(),
        escape(file)
    );
    for one in checked {
        let _ = write!(
            out,
            "    <testcase classname=\"flowwatch.assert\" name=\"{}\"",
            escape(&one.assertion.name)
        );
        if one.holds() == Holds::Proven {
            out.push_str("/>\n");
            continue;
        }
        let lines: Vec<String> = reasons(one).iter().map(|line| escape(line)).collect();
        let _ = writeln!(
            out,
            ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
            one.holds().name(),
            lines.join("\n")
        );
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn reasons(one: &Checked) -> Vec<String> {
    let mut lines = Vec::new();
    if one.assertion.name != one.assertion.text {
        lines.push(one.assertion.text.clone());
    }
    if !one.why.is_empty() {
        lines.push(format!("by policies: {}", one.why));
    }
    if !one.rules.is_empty() {
        let rules: Vec<String> = one.rules.iter().map(rule).collect();
        lines.push(format!("rules: {}", listed(&rules, NAMED)));
    }
    if let Some(past) = one.by_history {
        lines.push(history(past));
    }
    lines
}

fn history(past: PastHolds) -> String {
    let mut text = match past.connections {
        0 => "by history: no connection is about it".to_owned(),
        connections => {
            let parts: Vec<String> = [
                (past.pass, "pass"),
                (past.denied, "denied"),
                (past.unknown, "unknown"),
            ]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{} {word}", super::thousands(count)))
            .collect();
            format!(
                "by history: {}, {}",
                counted(connections, "connection"),
                parts.join(", ")
            )
        }
    };
    if past.nameless {
        text.push_str("; connections whose names do not tell are not counted");
    }
    text
}
