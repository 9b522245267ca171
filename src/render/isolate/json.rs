//! A plan and its proof for programs.

use serde_json::{Value, json};

use super::words::direction;
use crate::render::report::json::rule;
use crate::render::report::words::rfc3339;
use crate::respond::quarantine::{
    CutEdge, LabelReach, Leak, Permitted, Plan, Probes, Proof, Role, Span, Step,
};

/// Goes up when a field of the JSON changes its meaning or goes.
pub const VERSION: u32 = 1;

/// The plan and its proof.
#[must_use]
pub fn json(plan: &Plan, proof: &Proof) -> Value {
    let collateral = &proof.collateral;
    json!({
        "version": VERSION,
        "target": plan.target.to_string(),
        "target_kind": plan.target.kind(),
        "pattern": plan.pattern.name(),
        "incident": &*plan.incident,
        "expires": plan.expires.to_string(),
        "manifests": plan.manifests.iter().map(|one| json!({
            "kind": one.object.kind.name(),
            "namespace": &*one.object.namespace,
            "name": &*one.object.name,
            "yaml": one.text,
        })).collect::<Vec<_>>(),
        "apply": plan.apply.iter().map(step).collect::<Vec<_>>(),
        "undo": plan.undo.iter().map(step).collect::<Vec<_>>(),
        "result": proof.holds().name(),
        "subjects": proof.subjects,
        "asked": {
            "known_peers": proof.known_peers,
            "possible_peers": proof.possible_peers,
            "questions": proof.questions,
            "open_before": proof.open_before,
            "closed_by_rule": proof.by_rule,
            "closed_by_default": proof.by_default,
            "not_compared": proof.skipped,
        },
        "open": proof.open.iter().map(leak).collect::<Vec<_>>(),
        "held_by_the_other_side": proof.held.iter().map(leak).collect::<Vec<_>>(),
        "kept": proof.kept.iter().map(leak).collect::<Vec<_>>(),
        "cut": proof.cuts.iter().map(permitted).collect::<Vec<_>>(),
        "not_meant": proof.unmeant.iter().map(permitted).collect::<Vec<_>>(),
        "undecided": proof.undecided.iter().map(|one| json!({
            "doubt": one.doubt.name(),
            "who": one.who,
            "count": one.count,
            "why": one.why,
            "instead": one.instead,
        })).collect::<Vec<_>>(),
        "label": label(&proof.label),
        "assumed": proof.assumed.iter().map(|one| one.name()).collect::<Vec<_>>(),
        "collateral": {
            "flows": collateral.flows,
            "replicas": collateral.replicas.iter().map(|one| json!({
                "workload": one.workload,
                "hit": one.hit,
                "known": one.of,
            })).collect::<Vec<_>>(),
            "stops": collateral.cut.iter().map(edge).collect::<Vec<_>>(),
            "goes_on": collateral.goes_on.iter().map(edge).collect::<Vec<_>>(),
            "untold": collateral.untold,
            "probes": match collateral.probes {
                Probes::Unsaid => "unsaid",
                Probes::None => "none",
                Probes::GoOn => "go on",
                Probes::Fail => "fail",
            },
            "overlap": collateral.overlap.iter().map(|one| json!({
                "workload": one.workload,
                "why": one.why,
            })).collect::<Vec<_>>(),
            "shared_names": collateral.shared,
            "proxied": collateral.established.iter().map(|one| json!({
                "direction": if one.inward { "in" } else { "out" },
                "peer": one.peer,
                "port": one.port,
                "protocol": one.protocol.name(),
            })).collect::<Vec<_>>(),
        },
    })
}

fn step(one: &Step) -> Value {
    json!({"command": one.command, "why": one.why})
}

fn leak(one: &Leak) -> Value {
    json!({
        "direction": direction(one.direction),
        "subjects": one.subjects,
        "peers": one.peers,
        "ports": one.spans.iter().copied().map(span).collect::<Vec<_>>(),
        "rules": one.rules.iter().map(rule).collect::<Vec<_>>(),
        "authenticated": one.authenticated,
        "possible": one.possible,
        "reason": (!one.reason.is_empty()).then_some(one.reason),
        "closed_by": one.closed_by.as_ref().map(|closing| json!({
            "words": closing.words,
            "yaml": (!closing.yaml.is_empty()).then_some(&closing.yaml),
            "tried": closing.tried,
        })),
    })
}

fn permitted(one: &Permitted) -> Value {
    json!({
        "direction": direction(one.direction),
        "subjects": one.subjects,
        "peer": one.peer,
        "ports": one.spans.iter().copied().map(span).collect::<Vec<_>>(),
        "connections": one.seen,
    })
}

fn span(one: Span) -> Value {
    json!({"protocol": one.protocol, "first": one.first, "last": one.last})
}

fn edge(one: &CutEdge) -> Value {
    json!({
        "direction": if one.inward { "in" } else { "out" },
        "own": one.own,
        "peer": one.peer,
        "port": one.port,
        "protocol": one.protocol.name(),
        "connections": one.connections,
        "role": match one.role {
            Role::Client => "client",
            Role::Server => "server",
            Role::Dns => "dns",
            Role::Scrape => "scrape",
            Role::Health => "health",
        },
        "first": one.seen.and_then(|(first, _)| rfc3339(first)),
        "last": one.seen.and_then(|(_, last)| rfc3339(last)),
    })
}

fn label(reach: &LabelReach) -> Value {
    match reach {
        LabelReach::NotNeeded => json!("not needed"),
        LabelReach::Shown => json!("shown"),
        LabelReach::Configured => json!("configured"),
        LabelReach::Assumed => json!("assumed"),
        LabelReach::Filtered(why) => json!({"filtered": why}),
    }
}
