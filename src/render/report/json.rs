//! A report as JSON: every value, with a version.
//!
//! The schema is `docs/schema/report.json`. Fields are only added within a version.

use serde_json::{Map, Value, json};

use super::words::{peer, rfc3339};
use crate::connection::Peer;
use crate::render::{gap_name, verdict_name};
use crate::review::report::{
    Anomalies, DropCause, DropGroup, EdgeSum, Outside, Reading, Report, Rule, Ruling, Seen,
};

/// Version of the form.
pub const VERSION: u32 = 1;

/// The report as a value.
#[must_use]
pub fn json(report: &Report) -> Value {
    let mut value = json!({
        "version": VERSION,
        "read": read(&report.reading),
        "totals": totals(report),
        "timeline": timeline(report),
        "standouts": report.standouts.iter().map(|standout| json!({
            "address": standout.address.to_string(),
            "pod": standout.pod.as_deref(),
            "denied": {
                "connections": standout.reach.connections,
                "attempts": standout.reach.attempts,
                "addresses": standout.reach.addresses,
                "ports": standout.reach.ports,
                "more": standout.reach.more,
                "first": first(standout.reach.seen),
                "last": last(standout.reach.seen),
            },
            "refused": standout.refused.iter().map(refused).collect::<Vec<_>>(),
            "alone_with": standout.alone.iter().map(|one| outside(one, report)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "drops": {
            "groups": report.drops.iter().map(|group| drop_group(group, report)).collect::<Vec<_>>(),
            "others": report.other_drops,
            "refused": report.refused.iter().map(refused).collect::<Vec<_>>(),
        },
        "edges": {
            "rows": report.edges.iter().map(|edge| {
                let mut row = json!({
                    "client": peer_json(&edge.client),
                    "server": peer_json(&edge.server),
                    "port": edge.port,
                    "protocol": edge.protocol.name(),
                });
                add(&mut row, edge_sum(&edge.sum));
                row
            }).collect::<Vec<_>>(),
            "others": report.other_edges,
        },
        "outside": {
            "rows": report.outside.iter().map(|one| outside(one, report)).collect::<Vec<_>>(),
            "others": report.other_outside,
        },
        "layer7": layer7(report),
        "encryption": {
            "visible": !report.encryption.is_empty(),
            "pairs": report.encryption.iter().map(|pair| json!({
                "nodes": [&*pair.nodes.0, &*pair.nodes.1],
                "encrypted": pair.encrypted,
                "plain": pair.plain,
            })).collect::<Vec<_>>(),
        },
    });
    if let Some(anomalies) = &report.anomalies {
        value["anomalies"] = self::anomalies(anomalies);
    }
    if let Some(policies) = policies(report) {
        value["policies"] = policies;
    }
    value
}

/// Findings and incidents have the form they have in a findings file.
fn anomalies(anomalies: &Anomalies) -> Value {
    json!({
        "incidents": anomalies.findings.incidents(),
        "findings": anomalies.findings.findings().iter().map(|(one, _)| *one).collect::<Vec<_>>(),
        "blind": anomalies.blind.iter().map(|blind| json!({
            "detector": blind.kind.id(),
            "kind": blind.kind.name(),
            "why": blind.why,
            "share": blind.share,
        })).collect::<Vec<_>>(),
        "notes": anomalies.notes,
    })
}

fn read(reading: &Reading) -> Value {
    let seen = reading.share_seen();
    json!({
        "flows": reading.flows,
        "flows_read": reading.read,
        "events": reading.events,
        "aggregated_rows": reading.aggregated,
        "late_rows": reading.late,
        "interrupted": reading.interrupted,
        "first": first(reading.seen),
        "last": last(reading.seen),
        "clusters": reading.clusters.iter().map(|name| &**name).collect::<Vec<_>>(),
        "nodes": reading.nodes.iter().map(|(name, node)| json!({
            "name": &**name,
            "flows": node.flows,
            "first": first(node.seen),
            "last": last(node.seen),
        })).collect::<Vec<_>>(),
        "completeness": {
            "share": seen.map(|seen| seen.share),
            "lost_events": seen.and_then(|seen| seen.lost),
        },
        "holes": reading.holes().iter().map(|(node, hole)| json!({
            "node": &**node,
            "start": hole.span.start().to_string(),
            "end": hole.span.end().to_string(),
            "cause": hole.cause.to_string(),
            "events": hole.events,
        })).collect::<Vec<_>>(),
        "missing": reading.missing().map(|missing| missing.sentence).collect::<Vec<_>>(),
        "skipped": reading.skips.iter().flat_map(|(input, _, skips)| {
            skips.iter().map(move |(reason, count, place)| json!({
                "input": input,
                "reason": format!("{reason:?}"),
                "count": count,
                "first_line": place.line,
                "detail": place.detail,
            }))
        }).collect::<Vec<_>>(),
        "failed": reading.failed,
    })
}

fn totals(report: &Report) -> Value {
    let totals = &report.totals;
    let dropped: Map<String, Value> = totals
        .dropped
        .iter()
        .map(|(class, count)| (class.name().to_owned(), json!(count)))
        .collect();
    json!({
        "connections": totals.connections,
        "joined": totals.joined,
        "attempts": totals.attempts,
        "forwarded": totals.forwarded,
        "denied": totals.denied,
        "dropped": dropped,
        "audited": totals.audited,
        "requests_refused": totals.refused,
        "errors": totals.errors,
        "exchanges": totals.exchanges,
        "workloads": totals.workloads,
    })
}

fn timeline(report: &Report) -> Value {
    let timeline = &report.timeline;
    json!({
        "start": (!timeline.steps.is_empty()).then(|| rfc3339(timeline.start)).flatten(),
        "step_seconds": timeline.width as f64 / 1e9,
        "steps": timeline.steps.iter().map(|step| json!({
            "connections": step.connections,
            "denied": step.denied,
            "dropped": step.dropped,
        })).collect::<Vec<_>>(),
    })
}

fn drop_group(group: &DropGroup, report: &Report) -> Value {
    json!({
        "class": group.cause.class().name(),
        "reason": match group.cause {
            DropCause::Reason(reason) => reason.to_string(),
            DropCause::Audited => "AUDITED".to_owned(),
            DropCause::Error => "ERROR".to_owned(),
        },
        "direction": group.direction.map(crate::policy::Direction::name),
        "subject": peer_json(&group.subject),
        "ends": group.ends.iter().map(|end| json!({
            "peer": peer_json(&end.peer),
            "port": end.port,
            "protocol": end.protocol.name(),
            "connections": end.connections,
        })).collect::<Vec<_>>(),
        "other_ends": group.other_ends,
        "clients": group.clients.iter().map(|(address, count)| json!({
            "address": address.to_string(),
            "pod": report.reading.pod(*address).map(|pod| &**pod),
            "connections": count,
        })).collect::<Vec<_>>(),
        "connections": group.connections,
        "attempts": group.attempts,
        "first": first(group.seen),
        "last": last(group.seen),
        "computed": group.ruling.as_ref().map(ruling),
        "named_policies": group.named.iter().map(|name| &**name).collect::<Vec<_>>(),
    })
}

fn refused(refused: &crate::review::report::Refused) -> Value {
    json!({
        "client": peer_json(&refused.client),
        "server": peer_json(&refused.server),
        "port": refused.port,
        "request": &*refused.request,
        "requests": refused.exchanges,
        "first": first(refused.seen),
        "last": last(refused.seen),
    })
}

pub(in crate::render) fn edge_sum(sum: &EdgeSum) -> Value {
    json!({
        "connections": sum.connections,
        "forwarded": sum.forwarded,
        "denied": sum.denied,
        "dropped": sum.dropped,
        "audited": sum.audited,
        "requests_refused": sum.refused,
        "answered": sum.answered,
        "attempts": sum.attempts,
        "resets": sum.resets,
        "gaps": sum.gaps,
        "gap": sum.gap.map(gap_name),
        "drifts": sum.drifts,
        "service": sum.service.as_deref(),
        "first": first(sum.seen),
        "last": last(sum.seen),
    })
}

fn outside(one: &Outside, report: &Report) -> Value {
    json!({
        "server": peer_json(&one.server),
        "port": one.port,
        "protocol": one.protocol.name(),
        "connections": one.connections,
        "dropped": one.dropped,
        "clients": one.clients.iter().map(|(client, count)| json!({
            "peer": peer_json(client),
            "connections": count,
        })).collect::<Vec<_>>(),
        "addresses": one.addresses.iter().map(|(address, count)| json!({
            "address": address.to_string(),
            "pod": report.reading.pod(*address).map(|pod| &**pod),
            "connections": count,
        })).collect::<Vec<_>>(),
        "more_clients": one.more,
        "every_seconds": one.every,
        "computed": one.ruling.as_ref().map(ruling),
        "first": first(one.seen),
        "last": last(one.seen),
    })
}

fn layer7(report: &Report) -> Value {
    let dns = report.dns.as_ref().map(|dns| {
        let codes: Map<String, Value> = dns
            .codes
            .iter()
            .map(|(code, count)| (code.to_string(), json!(count)))
            .collect();
        json!({
            "exchanges": dns.exchanges,
            "unanswered": dns.unanswered,
            "codes": codes,
            "search_suffixes": dns.search,
            "names": dns.names.iter().map(|name| json!({
                "name": &*name.name,
                "exchanges": name.exchanges,
                "found": name.found,
                "nxdomain": name.nxdomain,
                "failed": name.failed,
                "client": name.client.as_ref().map(peer_json),
                "more_clients": name.more_clients,
                "first": first(name.seen),
                "last": last(name.seen),
            })).collect::<Vec<_>>(),
            "others": dns.others,
        })
    });
    let other: Map<String, Value> = report
        .other_protocols
        .iter()
        .map(|(name, count)| (name.to_string(), json!(count)))
        .collect();
    json!({
        "dns": dns,
        "http": {
            "requests": report.http,
            "paths": report.paths.iter().map(|path| json!({
                "server": peer_json(&path.server),
                "method": &*path.method,
                "path": &*path.path,
                "requests": path.exchanges,
                "client_errors": path.client_errors,
                "server_errors": path.server_errors,
                "refused": path.refused,
                "median_seconds": path.median as f64 / 1e9,
                "p95_seconds": path.high as f64 / 1e9,
                "slowest_seconds": path.slowest as f64 / 1e9,
            })).collect::<Vec<_>>(),
            "others": report.other_paths,
        },
        "other": other,
    })
}

fn policies(report: &Report) -> Option<Value> {
    let judged = report.judged.as_ref()?;
    let assumed: Map<String, Value> = judged
        .assumed
        .iter()
        .map(|(name, count)| ((*name).to_owned(), json!(count)))
        .collect();
    Some(json!({
        "equal": judged.equal,
        "drift": judged.drift,
        "agreement": judged.rate(),
        "changed": judged.changed.iter().map(|(changed, count)| json!({
            "policy": changed.policy.as_ref().map(crate::policy::ObjectId::short),
            "time": changed.when(),
            "verdicts": count,
        })).collect::<Vec<_>>(),
        "assumed": assumed,
        "unknown": judged.unknown.iter().map(|(cause, count)| json!({
            "cause": cause.to_string(),
            "hint": cause.hint(),
            "verdicts": count,
        })).collect::<Vec<_>>(),
        "gap_connections": judged.gap_connections,
        "gaps": judged.gaps.iter().map(|gap| json!({
            "client": peer_json(&gap.client),
            "server": peer_json(&gap.server),
            "port": gap.port,
            "protocol": gap.protocol.name(),
            "direction": gap.direction.name(),
            "kind": gap_name(gap.gap),
            "connections": gap.connections,
            "first": first(gap.seen),
            "last": last(gap.seen),
        })).collect::<Vec<_>>(),
        "drifts": judged.drifts.iter().map(|drift| json!({
            "client": peer_json(&drift.client),
            "server": peer_json(&drift.server),
            "port": drift.port,
            "protocol": drift.protocol.name(),
            "direction": drift.direction.name(),
            "recorded": drift.recorded.name().map_or_else(|| drift.recorded.0.to_string(), str::to_owned),
            "reason": (drift.reason.0 != 0).then(|| drift.reason.to_string()),
            "computed": ruling(&drift.ruling),
            "connections": drift.connections,
            "first": first(drift.seen),
            "last": last(drift.seen),
            "reference": format!("{}/{}/{:016x}", drift.reference.0, drift.reference.1, drift.reference.2),
        })).collect::<Vec<_>>(),
        "others": judged.others,
    }))
}

pub(in crate::render) fn ruling(ruling: &Ruling) -> Value {
    json!({
        "verdict": verdict_name(ruling.verdict),
        "rules": ruling.rules.iter().map(rule).collect::<Vec<_>>(),
    })
}

pub(in crate::render) fn rule(rule: &Rule) -> Value {
    json!({
        "policy": &*rule.policy,
        "file": (!rule.file.is_empty()).then_some(&*rule.file),
        "line": (rule.line > 0).then_some(rule.line),
    })
}

pub(in crate::render) fn peer_json(one: &Peer) -> Value {
    let kind = match one {
        Peer::Workload {
            cluster,
            namespace,
            kind,
            name,
        } => {
            return json!({
                "type": "workload",
                "name": peer(one),
                "cluster": &**cluster,
                "namespace": &**namespace,
                "kind": &**kind,
                "workload": &**name,
            });
        }
        Peer::Entity(_) => "entity",
        Peer::Name(_) => "name",
        Peer::Prefix(_) => "prefix",
        Peer::Unknown => "unknown",
        Peer::Others => "others",
    };
    json!({"type": kind, "name": peer(one)})
}

pub(in crate::render) fn first(seen: Seen) -> Option<String> {
    seen.span().and_then(|(first, _)| rfc3339(first))
}

pub(in crate::render) fn last(seen: Seen) -> Option<String> {
    seen.span().and_then(|(_, last)| rfc3339(last))
}

fn add(row: &mut Value, more: Value) {
    if let (Value::Object(row), Value::Object(more)) = (row, more) {
        row.extend(more);
    }
}
