//! A simulation as JSON. The schema is `docs/schema/simulate.json`; fields are only added
//! within a version.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Options;
use super::words::{direction, limits};
use crate::connection::ExchangeKind;
use crate::engine::{Alteration, Altered};
use crate::policy::Cause;
use crate::render::report::json::{first, last, peer_json, rule};
use crate::render::report::words::rfc3339;
use crate::render::verdict_name;
use crate::review::report::Reading;
use crate::review::simulate::{
    Change, ChangeRow, Job, Outcome, SideRuling, Simulation, Sums, What,
};

/// Goes up when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// The simulation.
#[must_use]
pub fn json(simulation: &Simulation, options: &Options) -> Value {
    let reading = &simulation.reading;
    json!({
        "version": VERSION,
        "base": options.base,
        "head": options.head,
        "altered": options.alterations.iter().map(altered).collect::<Vec<_>>(),
        "recording": recording(reading),
        "connections": sums(&simulation.connections),
        "requests": sums(&simulation.requests),
        "changes": simulation.rows.iter().map(row).collect::<Vec<_>>(),
        "others": simulation.others.iter().map(|(change, count)| {
            json!({"change": change.name(), "count": count})
        }).collect::<Vec<_>>(),
        "fit": {
            "equal": simulation.fit.equal,
            "drift": simulation.fit.drift,
            "changed": simulation.fit.changed,
        },
        "assumed": simulation.assumed.iter().map(|(option, count)| {
            json!({"option": option, "sides": count})
        }).collect::<Vec<_>>(),
        "policies": simulation.objects.iter().map(|object| json!({
            "kind": object.id.kind.name(),
            "namespace": &*object.id.namespace,
            "name": &*object.id.name,
            "change": object.changed.name(),
            "file": &*object.file,
            "line": object.line,
            "connections": object.connections,
        })).collect::<Vec<_>>(),
        "refused": simulation.kept.iter().map(|kept| json!({
            "kind": kept.id.kind.name(),
            "namespace": &*kept.id.namespace,
            "name": &*kept.id.name,
            "file": &*kept.file,
            "line": kept.at.line,
            "by": kept.by.name(),
            "reason": kept.reason,
            "base_stays": kept.base_stays,
        })).collect::<Vec<_>>(),
        "jobs": simulation.jobs.iter().map(job).collect::<Vec<_>>(),
        "lint": simulation.lint.iter().map(|finding| json!({
            "id": finding.check.id,
            "severity": finding.severity.name(),
            "file": &*finding.file,
            "line": finding.at.line,
            "object": &*finding.object,
            "field": finding.field,
            "message": finding.message,
        })).collect::<Vec<_>>(),
        "accepted": simulation.accepted.iter().map(|entry| json!({
            "line": entry.line,
            "reason": entry.reason,
            "until": entry.until.map(|day| day.to_string()),
            "over": entry.is_over,
            "rows": entry.rows,
            "count": entry.count,
        })).collect::<Vec<_>>(),
        "limits": limits(simulation),
        "failing": options.failing,
    })
}

/// What was read.
pub(in crate::render) fn recording(reading: &Reading) -> Value {
    let seen = reading.share_seen();
    json!({
        "flows": reading.flows,
        "first": first(reading.seen),
        "last": last(reading.seen),
        "share": seen.map(|seen| seen.share),
        "lost": seen.map_or(Some(0), |seen| seen.lost),
        "late": reading.late,
        "skipped": reading.skipped().values().sum::<u64>(),
        "failed": reading.failed,
        "interrupted": reading.interrupted,
    })
}

/// A job that may have been missed.
pub(in crate::render) fn job(job: &Job) -> Value {
    json!({
        "namespace": &*job.namespace,
        "name": &*job.name,
        "schedule": &*job.schedule,
        "pause_minutes": job.pause,
        "file": &*job.file,
        "line": job.line,
    })
}

fn sums(sums: &Sums) -> Value {
    let changed: serde_json::Map<String, Value> = Change::ALL
        .into_iter()
        .map(|change| {
            let count = sums.changed.get(&change).copied().unwrap_or_default();
            (change.name().replace('-', "_"), json!(count))
        })
        .collect();
    json!({
        "all": sums.all,
        "pass": sums.pass,
        "denied": sums.denied,
        "authenticated": sums.authenticated,
        "unknown": causes(&sums.unknown),
        "not_asked": sums.not_asked,
        "not_judged": sums.not_judged,
        "changed": changed,
    })
}

/// Causes by their names; what could not be read is one.
pub(in crate::render) fn causes(causes: &BTreeMap<Cause, u64>) -> Value {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (cause, count) in causes {
        *sums.entry(cause.to_string()).or_default() += count;
    }
    sums.iter()
        .map(|(cause, count)| json!({"cause": cause, "count": count}))
        .collect()
}

fn row(row: &ChangeRow) -> Value {
    json!({
        "change": row.change.name(),
        "client": peer_json(&row.client),
        "server": peer_json(&row.server),
        "port": row.port,
        "protocol": row.protocol.name(),
        "request": request(&row.what),
        "base": outcome(row.outcomes.0),
        "head": outcome(row.outcomes.1),
        "sides": row.sides.iter().map(|side| json!({
            "direction": direction(side.direction),
            "differs": side.differs,
            "base": ruling(&side.base),
            "head": ruling(&side.head),
        })).collect::<Vec<_>>(),
        "count": row.count,
        "forwarded": row.forwarded,
        "first": first(row.seen),
        "last": last(row.seen),
        "flows": row.references.iter().map(|(node, time, hash)| json!({
            "node": &**node,
            "time": rfc3339(*time),
            "hash": format!("{hash:016x}"),
        })).collect::<Vec<_>>(),
        "accepted": row.accepted,
    })
}

fn request(what: &What) -> Value {
    match what {
        What::Connections => Value::Null,
        What::Requests(ExchangeKind::Dns { query, .. }) => {
            json!({"protocol": "dns", "query": &**query})
        }
        What::Requests(ExchangeKind::Http {
            method, host, path, ..
        }) => json!({
            "protocol": "http", "method": &**method, "host": &**host, "path": &**path,
        }),
        What::Requests(ExchangeKind::Other(name)) => json!({"protocol": &**name}),
    }
}

fn outcome(outcome: Outcome) -> Value {
    let cause = match outcome {
        Outcome::Unknown(cause) => Some(cause.to_string()),
        _ => None,
    };
    json!({"outcome": outcome.name(), "cause": cause})
}

fn ruling(ruling: &SideRuling) -> Value {
    let cause = match ruling.verdict {
        crate::policy::Verdict::Unknown(cause) => Some(cause.to_string()),
        _ => None,
    };
    json!({
        "verdict": verdict_name(ruling.verdict),
        "cause": cause,
        "unread": ruling.unread.as_deref(),
        "assumed": ruling.assumed.map(crate::policy::OptionName::name),
        "rules": ruling.rules.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn altered(alteration: &Alteration) -> Value {
    let mut value = json!({
        "namespace": &*alteration.namespace,
        "workload": &*alteration.workload,
    });
    match &alteration.change {
        Altered::Labels(labels) => {
            let labels: serde_json::Map<String, Value> = labels
                .iter()
                .map(|(key, value)| (key.to_string(), json!(value.as_deref())))
                .collect();
            value["labels"] = labels.into();
        }
        Altered::Namespace(namespace, _) => value["moved_to"] = json!(&**namespace),
    }
    value
}
