//! Redundant rules as JSON. The schema is `docs/schema/redundant.json`; fields are only added
//! within a version.

use serde_json::{Value, json};

use super::Options;
use super::outline::{said, universe};
use crate::render::usage::{policy_json, rule_json};
use crate::review::redundant::{Redundant, Superfluous, Why};

/// Goes up when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// The report.
#[must_use]
pub fn json(redundant: &Redundant, options: &Options) -> Value {
    let counts: serde_json::Map<String, Value> = Why::ALL
        .into_iter()
        .map(|why| (why.name().to_owned(), json!(redundant.count(why))))
        .collect();
    json!({
        "version": VERSION,
        "looked_at": redundant.looked_at,
        "counts": counts,
        "found": redundant.found.iter().map(one).collect::<Vec<_>>(),
        "questions": redundant.questions,
        "people": redundant.people,
        "dropped": redundant.dropped,
        "not_compared": redundant.not_compared.iter().map(|(why, count)| {
            json!({"reason": why, "rules": count})
        }).collect::<Vec<_>>(),
        "left_out": redundant.left_out,
        "universe": universe(redundant),
        "failing": options.failing,
    })
}

fn one(one: &Superfluous) -> Value {
    let part = one.part.zip(one.written()).map(|((kind, _), part)| {
        json!({"kind": kind, "path": part.path, "line": part.at.line, "says": part.text})
    });
    json!({
        "why": one.why.name(),
        "rule": rule_json(&one.policy, &one.file, &one.rule),
        "part": part,
        "line": one.line(),
        "says": said(one),
        "beside": one.beside.as_ref().map(|(text, line)| json!({"says": text, "line": line})),
        "witnesses": one.witnesses.iter().map(|witness| json!({
            "policy": policy_json(&witness.policy),
            "path": witness.path,
            "file": &*witness.file,
            "line": witness.line,
            "deny": witness.deny,
        })).collect::<Vec<_>>(),
    })
}
