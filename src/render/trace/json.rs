//! A trace as JSON. The schema is `docs/schema/trace.json`; fields are only added within a
//! version.

use serde_json::{Value, json};

use super::words::limits;
use crate::connection::ExchangeKind;
use crate::render::report::json::{edge_sum, first, last, peer_json, ruling};
use crate::render::report::words::rfc3339;
use crate::review::trace::{Asked, Link, Trace, Who};

/// Goes up when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// The trace.
#[must_use]
pub fn json(trace: &Trace) -> Value {
    let reading = &trace.reading;
    let seen = reading.share_seen();
    json!({
        "version": VERSION,
        "target": trace.target.to_string(),
        "incident_start": trace.incident.and_then(rfc3339),
        "recording": {
            "flows": reading.flows,
            "first": first(trace.window),
            "last": last(trace.window),
            "share": seen.map(|seen| seen.share),
            "lost": seen.map_or(Some(0), |seen| seen.lost),
        },
        "who": trace.who.iter().map(who).collect::<Vec<_>>(),
        "hops": trace.hops.iter().enumerate().map(|(at, hop)| json!({
            "hop": at + 1,
            "links": hop.links.iter().map(|one| link(trace, one)).collect::<Vec<_>>(),
            "others": hop.others,
        })).collect::<Vec<_>>(),
        "requests": trace.asked.iter().map(|one| asked(trace, one)).collect::<Vec<_>>(),
        "more_requests": trace.more_asked,
        "limits": limits(trace),
    })
}

fn who(who: &Who) -> Value {
    json!({
        "pod": (!who.pod.is_empty()).then_some(&*who.pod),
        "peer": who.peer.as_ref().map(peer_json),
        "nodes": who.nodes.iter().map(|node| &**node).collect::<Vec<_>>(),
        "addresses": who.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "identities": who.identities,
        "labels": who.labels.iter().map(|label| &**label).collect::<Vec<_>>(),
        "flows": who.flows,
        "first": first(who.seen),
        "last": last(who.seen),
    })
}

fn link(trace: &Trace, link: &Link) -> Value {
    let addresses = |ends: &crate::review::trace::Ends| {
        ends.some
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    json!({
        "way": link.way.name(),
        "client": peer_json(&link.client),
        "server": peer_json(&link.server),
        "port": link.port,
        "protocol": link.protocol.name(),
        "sums": edge_sum(&link.sum),
        "since_incident": trace.incident.map(|_| link.after),
        "new": trace.is_new(link.seen()),
        "counts_from": link.carried.and_then(|(from, _)| rfc3339(from)),
        "counts_to": link.carried.and_then(|(_, to)| rfc3339(to)),
        "client_addresses": addresses(&link.clients),
        "server_addresses": addresses(&link.servers),
        "recorded_policies": link.recorded.iter().map(|name| &**name).collect::<Vec<_>>(),
        "rulings": link.ruled.iter().map(|side| json!({
            "direction": side.direction.name(),
            "ruling": ruling(&side.ruling),
        })).collect::<Vec<_>>(),
        "flows": link.references.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn asked(trace: &Trace, asked: &Asked) -> Value {
    let what = match &asked.kind {
        ExchangeKind::Dns { query, types, code } => json!({
            "type": "dns", "query": &**query, "types": &**types, "code": code,
        }),
        ExchangeKind::Http {
            method,
            host,
            path,
            code,
        } => json!({
            "type": "http", "method": &**method, "host": &**host, "path": &**path, "code": code,
        }),
        ExchangeKind::Other(name) => json!({"type": "other", "name": &**name}),
    };
    json!({
        "way": asked.way.name(),
        "client": peer_json(&asked.client),
        "server": peer_json(&asked.server),
        "port": asked.port,
        "request": what,
        "count": asked.count,
        "refused": asked.denied,
        "errors": asked.errors,
        "since_incident": trace.incident.map(|_| asked.after),
        "new": trace.is_new(asked.seen),
        "first": first(asked.seen),
        "last": last(asked.seen),
    })
}
