//! The report on unused rules as JSON. The schema is `docs/schema/unused.json`; fields are
//! only added within a version.

use serde_json::{Value, json};

use super::Options;
use super::outline::limits;
use crate::render::report::json::{first, last};
use crate::render::simulate::json::{causes, job, recording};
use crate::render::usage::{doubt, rule_json, withdrawn_json};
use crate::review::unused::{LEVEL, Unused, UnusedRule};
use crate::review::usage::{Doubt, Use};

/// Goes up when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// The report.
#[must_use]
pub fn json(unused: &Unused, options: &Options) -> Value {
    let (rules, parts) = unused.named();
    let (not_shown, not_shown_parts) = unused.not_shown();
    json!({
        "version": VERSION,
        "recording": recording(&unused.reading),
        "connections": unused.connections,
        "requests": unused.requests,
        "not_judged": unused.not_judged,
        "unknown": causes(&unused.unknown),
        "fit": {
            "equal": unused.fit.equal,
            "drift": unused.fit.drift,
            "changed": unused.fit.changed,
        },
        "withdrawn": withdrawn_json(&unused.withdrawn),
        "confidence": unused.confidence.map(|confidence| json!({
            "level": LEVEL,
            "watched_seconds": seconds(confidence.watched),
            "at_least_every_seconds": seconds(confidence.pause),
        })),
        "unused": {"rules": rules, "parts": parts},
        "not_shown": {"rules": not_shown, "parts": not_shown_parts},
        "replay": {
            "questions": unused.replay.questions,
            "denied": unused.replay.denied,
            "opened": unused.replay.opened,
        },
        "rules": unused.rules.iter().map(rule).collect::<Vec<_>>(),
        "jobs": unused.jobs.iter().map(job).collect::<Vec<_>>(),
        "left_out": unused.left_out,
        "limits": limits(unused),
        "failing": options.failing,
    })
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

fn rule(rule: &UnusedRule) -> Value {
    let mut value = rule_json(&rule.policy, &rule.file, &rule.rule);
    value["standing"] = json!(rule.standing.name());
    value["use"] = usage(&rule.usage);
    value["nobody_seen"] = json!(rule.nobody_seen);
    value["turns_default_deny_on"] = json!(rule.isolates);
    let written: Vec<_> = rule.rule.parts().collect();
    value["parts"] = rule
        .parts
        .iter()
        .filter_map(|part| {
            let (_, written) = written.get(part.index)?;
            Some(json!({
                "kind": part.kind,
                "path": written.path,
                "line": written.at.line,
                "says": written.text,
                "standing": part.standing.name(),
                "use": usage(&part.usage),
            }))
        })
        .collect();
    value
}

fn usage(usage: &Use) -> Value {
    json!({
        "alone": usage.alone,
        "shared": usage.shared,
        "idle": usage.idle,
        "with": usage.with,
        "first": first(usage.seen),
        "last": last(usage.seen),
        "doubts": usage.doubts.iter().map(|(reason, count)| json!({
            "reason": reason_name(reason),
            "count": count,
            "text": doubt(reason, *count),
        })).collect::<Vec<_>>(),
    })
}

fn reason_name(doubt: &Doubt) -> &'static str {
    match doubt {
        Doubt::Unknown(_) => "unknown",
        Doubt::Unjudged => "not-judged",
        Doubt::Drift => "drift",
        Doubt::Job(_) => "job",
        Doubt::NoRequests => "no-requests",
        Doubt::AllRefused => "all-refused",
    }
}
