//! A review as JSON, for programs and to be kept.

use serde_json::{Value, json};

use super::Review;
use crate::connection::Peer;
use crate::flow::Protocol;
use crate::render::coverage as coverage_forms;
use crate::render::report::json::{edge_sum, first, last, peer_json, rule, ruling};
use crate::render::report::words::rfc3339;
use crate::render::{gap_name, verdict_name};
use crate::review::periodic::{
    Attendance, DropChange, DropKind, EdgeChange, EdgeName, EdgeRuling, NameChange, PolicyReview,
    SideChange, Times,
};
use crate::review::report::DropCause;

/// Goes up when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// The review.
#[must_use]
pub fn json(review: &Review<'_>) -> Value {
    let comparison = review.comparison;
    let clusters = &review.report.reading.clusters;
    let mut value = json!({
        "version": VERSION,
        "kind": review.kind.name(),
        "clusters": clusters.iter().map(|name| &**name).collect::<Vec<_>>(),
        "earlier": attendance(&comparison.earlier, comparison.connections.0, comparison.denied.0),
        "later": attendance(&comparison.later, comparison.connections.1, comparison.denied.1),
        "comparable": comparison.is_comparable(),
        "names": comparison.names.iter().map(name).collect::<Vec<_>>(),
        "edges": comparison.edges.iter().map(edge).collect::<Vec<_>>(),
        "vanished": comparison.gone.iter().map(edge).collect::<Vec<_>>(),
        "drops": comparison.drops.iter().map(drops).collect::<Vec<_>>(),
        "edges_not_compared": comparison.nameless,
    });
    let Some(policies) = review.policies else {
        return value;
    };
    let more = json!({
        "verdicts": {"equal": comparison.compared.0, "drift": comparison.compared.1},
        "drift": comparison.drifts.iter().map(side).collect::<Vec<_>>(),
        "gaps": comparison.gaps.iter().map(side).collect::<Vec<_>>(),
        "unknown": comparison.unknown.iter().map(|(cause, before, after)| json!({
            "cause": cause.to_string(),
            "hint": cause.hint(),
            "verdicts": after,
            "before": before,
        })).collect::<Vec<_>>(),
        "policies": used(policies),
    });
    add(&mut value, more);
    if let Some(coverage) = review.coverage {
        add(
            &mut value,
            json!({"coverage": coverage_forms::json(coverage)}),
        );
    }
    value
}

fn attendance(one: &Attendance, connections: u64, denied: u64) -> Value {
    json!({
        "from": rfc3339(one.window.0),
        "to": rfc3339(one.window.1),
        "whole": one.is_whole(),
        "watched_seconds": seconds(one.watched),
        "missing_seconds": seconds(one.missing),
        "events_lost": one.lost(),
        "connections": connections,
        "denied": denied,
        "nodes": one.nodes.iter().map(|name| &**name).collect::<Vec<_>>(),
        "nodes_not_watched": one.unwatched.iter().map(|name| &**name).collect::<Vec<_>>(),
        "nothing_recorded": one.dark.iter().map(|span| times(None, *span)).collect::<Vec<_>>(),
        "node_not_recorded": one.gaps.iter()
            .map(|(node, span)| times(Some(node), *span)).collect::<Vec<_>>(),
        "holes": one.holes.iter().map(|(node, hole)| json!({
            "node": &**node,
            "from": hole.span.start().to_string(),
            "to": hole.span.end().to_string(),
            "cause": hole.cause.name(),
            "events": hole.events,
        })).collect::<Vec<_>>(),
        "not_read": one.unread,
        "connections_not_told_apart": one.untold,
    })
}

fn times(node: Option<&str>, span: Times) -> Value {
    let mut value = json!({"from": rfc3339(span.0), "to": rfc3339(span.1)});
    if let Some(node) = node {
        add(&mut value, json!({"node": node}));
    }
    value
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

fn name(change: &NameChange) -> Value {
    json!({
        "server": peer_json(&change.server),
        "ports": change.ports.iter().map(|(protocol, port)| json!({
            "port": port,
            "protocol": protocol.name(),
        })).collect::<Vec<_>>(),
        "clients": change.clients.iter().map(|(client, count)| json!({
            "peer": peer_json(client),
            "connections": count,
        })).collect::<Vec<_>>(),
        "connections": change.connections,
        "dropped": change.dropped,
        "gaps": change.gaps,
        "first": first(change.seen),
        "last": last(change.seen),
        "rulings": change.ruling.as_ref().map(rulings),
    })
}

fn edge(change: &EdgeChange) -> Value {
    let mut value = edge_name(&change.edge);
    add(&mut value, edge_sum(&change.sum));
    let more = json!({
        "pair_known": change.pair_known,
        "rulings": change.ruling.as_ref().map(rulings),
    });
    add(&mut value, more);
    value
}

fn edge_name(edge: &EdgeName) -> Value {
    json!({
        "client": peer_json(&edge.client),
        "server": peer_json(&edge.server),
        "port": edge.port,
        "protocol": edge.protocol.name(),
    })
}

fn rulings(one: &EdgeRuling) -> Value {
    json!({
        "egress": one.egress.as_ref().map(ruling),
        "ingress": one.ingress.as_ref().map(ruling),
    })
}

fn drops(change: &DropChange) -> Value {
    json!({
        "class": change.name.cause.class().name(),
        "reason": match change.name.cause {
            DropCause::Reason(reason) => reason.to_string(),
            DropCause::Audited => "AUDITED".to_owned(),
            DropCause::Error => "ERROR".to_owned(),
        },
        "direction": change.name.direction.map(crate::policy::Direction::name),
        "subject": peer_json(&change.name.subject),
        "change": match change.kind {
            DropKind::New => Some("new"),
            DropKind::NewEnds => Some("other-ends"),
            DropKind::Grown => Some("grew"),
            DropKind::Only => None,
        },
        "connections": change.sum.connections,
        "before": change.before,
        "attempts": change.sum.attempts,
        "first": first(change.sum.seen),
        "last": last(change.sum.seen),
        "ends": change.sum.ends.iter().map(end).collect::<Vec<_>>(),
        "other_ends": change.new_ends.iter().map(|(key, count)| end((key, count)))
            .collect::<Vec<_>>(),
        "ruling": change.sum.ruling.as_ref().map(ruling),
        "named": change.sum.named.iter().map(|name| &**name).collect::<Vec<_>>(),
    })
}

fn end(((one, port, protocol), connections): (&(Peer, u16, Protocol), &u64)) -> Value {
    json!({
        "peer": peer_json(one),
        "port": port,
        "protocol": protocol.name(),
        "connections": connections,
    })
}

fn side(change: &SideChange) -> Value {
    let mut value = edge_name(&change.edge);
    let more = json!({
        "direction": change.direction.name(),
        "connections": change.sum.connections,
        "before": change.before,
        "first": first(change.sum.seen),
        "last": last(change.sum.seen),
        "recorded": change.sum.recorded.map(|(verdict, _)| verdict.0),
        "drop_reason": change.sum.recorded.map(|(_, reason)| reason.to_string()),
        "computed": change.sum.ruling.as_ref().map(|one| verdict_name(one.verdict)),
        "rules": change.sum.ruling.as_ref()
            .map(|one| one.rules.iter().map(rule).collect::<Vec<_>>()),
        "gap": change.sum.gap.map(gap_name),
    });
    add(&mut value, more);
    value
}

fn used(review: &PolicyReview) -> Value {
    json!({
        "with_rules": review.policies,
        "default_deny_only": review.default_deny_only,
        "never_hit": (!review.more).then(|| review.never_hit.iter().map(|unused| {
            let mut value = rule(&unused.rule);
            add(&mut value, json!({"allows": unused.allows, "denies": unused.denies}));
            value
        }).collect::<Vec<_>>()),
        "broad": review.broad.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn add(row: &mut Value, more: Value) {
    if let (Value::Object(row), Value::Object(more)) = (row, more) {
        row.extend(more);
    }
}
