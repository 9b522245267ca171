//! Broad rules as JSON. The schema is `docs/schema/broad.json`; fields are only added within
//! a version.

use serde_json::{Value, json};

use super::Options;
use super::outline::{breadth, limits};
use crate::render::report::json::{first, last, peer_json};
use crate::render::simulate::json::recording;
use crate::render::usage::{rule_json, withdrawn_json};
use crate::review::broad::{Breadth, Broad, BroadRule};

/// Goes up when a field changes its meaning or goes.
pub const VERSION: u32 = 1;
/// Edges of a rule.
const MOST_EDGES: usize = 100;

/// The report.
#[must_use]
pub fn json(broad: &Broad, options: &Options) -> Value {
    json!({
        "version": VERSION,
        "recording": recording(&broad.reading),
        "connections": broad.connections,
        "looked_at": broad.looked_at,
        "withdrawn": withdrawn_json(&broad.withdrawn),
        "rules": broad.rules.iter().map(rule).collect::<Vec<_>>(),
        "limits": limits(broad),
        "failing": options.failing,
    })
}

fn rule(rule: &BroadRule) -> Value {
    let mut value = rule_json(&rule.policy, &rule.file, &rule.rule);
    value["names_neither_whom_nor_what"] = json!(rule.gap);
    value["broad"] = rule.why.iter().map(why).collect();
    value["connections"] =
        json!(rule.edges.iter().map(|edge| edge.count).sum::<u64>() + rule.other_edges);
    value["only"] = json!(rule.only);
    value["only_by_gaps"] = json!(rule.only_broad);
    value["doubtful"] = json!(rule.is_doubtful());
    value["peers"] = rule
        .peers
        .iter()
        .take(MOST_EDGES)
        .map(|(peer, count)| json!({"peer": peer_json(peer), "connections": count}))
        .collect();
    value["distinct_peers"] = json!(rule.peers.len());
    value["ports"] = rule
        .ports
        .iter()
        .take(MOST_EDGES)
        .map(|((port, protocol), count)| {
            json!({"port": port, "protocol": protocol.name(), "connections": count})
        })
        .collect();
    value["distinct_ports"] = json!(rule.ports.len());
    value["edges"] = rule
        .edges
        .iter()
        .take(MOST_EDGES)
        .map(|edge| {
            json!({
                "client": peer_json(&edge.client),
                "server": peer_json(&edge.server),
                "port": edge.port,
                "protocol": edge.protocol.name(),
                "connections": edge.count,
                "only": edge.only,
                "first": first(edge.seen),
                "last": last(edge.seen),
            })
        })
        .collect();
    value
}

fn why(why: &Breadth) -> Value {
    let written = why.written();
    json!({
        "kind": why.name(),
        "written": written.map(|(text, _)| text),
        "line": written.map(|(_, line)| line),
        "text": breadth(why),
    })
}
