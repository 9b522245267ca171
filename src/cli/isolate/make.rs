//! From what was read to a plan and its proof.
//!
//! Owns the calls in their order, and what the pages are told beside them.

use std::net::IpAddr;

use super::{Read, Resolved};
use crate::cli::error::CommandError;
use crate::connection::Peer;
use crate::engine::Policies;
use crate::flow::counted;
use crate::render::isolate as forms;
use crate::respond::quarantine::{self, CutEdge, Order, Pattern, Plan, Proof, Scene};
use crate::respond::{Target, TargetEdge};

/// The plan and its proof.
pub(super) fn isolate(
    resolved: &Resolved,
    policies: &Policies,
    read: &Read,
) -> Result<(Plan, Proof), CommandError> {
    let plan = plan(resolved, policies, read, resolved.pattern)?;
    let proof = quarantine::prove(&plan, &scene(policies, read));
    Ok((plan, proof))
}

/// What is to be done, by a pattern.
fn plan(
    resolved: &Resolved,
    policies: &Policies,
    read: &Read,
    pattern: Option<Pattern>,
) -> Result<Plan, CommandError> {
    let order = order(resolved, policies, read, pattern)?;
    quarantine::plan(&order, &read.known, read.known.cluster()).map_err(CommandError::failed)
}

fn order(
    resolved: &Resolved,
    policies: &Policies,
    read: &Read,
    pattern: Option<Pattern>,
) -> Result<Order, CommandError> {
    let settle = |target: &Target| {
        read.known
            .settle(target.clone())
            .map_err(CommandError::Failed)
    };
    Ok(Order {
        target: settle(&resolved.target)?,
        pattern,
        incident: resolved.label.clone(),
        expires: resolved.expires,
        cut: resolved.cut.as_ref().map(settle).transpose()?,
        keep: resolved.keep.iter().map(settle).collect::<Result<_, _>>()?,
        addresses: addresses(resolved, &read.watched.edges),
        files: policies
            .any_set()
            .objects
            .iter()
            .map(|object| {
                let id = &object.id;
                (id.kind, id.namespace.clone(), object.file.clone())
            })
            .collect(),
    })
}

fn scene<'a>(policies: &'a Policies, read: &'a Read) -> Scene<'a> {
    Scene {
        policies,
        known: &read.known,
        edges: &read.watched.edges,
        names: &read.watched.names,
        flows: read.traced.is_some(),
    }
}

/// Of the edges that a label quarantine stops, those that a NetworkPolicy without rules would
/// leave open.
pub(super) fn deny_all(
    plan: &Plan,
    resolved: &Resolved,
    policies: &Policies,
    read: &Read,
) -> Result<Option<(u64, u64)>, CommandError> {
    if plan.pattern != Pattern::LabelQuarantine
        || plan.target.namespace().is_none()
        || read.traced.is_none()
    {
        return Ok(None);
    }
    let other = self::plan(resolved, policies, read, Some(Pattern::KubernetesDenyAll))?;
    let hit = quarantine::hit(&other, &scene(policies, read));
    let is_probe = |edge: &&CutEdge| edge.inward && edge.peer == "host";
    let open = hit.goes_on.iter();
    let open = open.filter(|edge| !is_probe(edge)).count() as u64;
    Ok(Some((open, open + hit.cut.len() as u64)))
}

/// What the recordings do not show: sentences.
pub(super) fn missing(read: &Read) -> Vec<String> {
    let mut missing = Vec::new();
    if let Some(traced) = &read.traced {
        missing.extend(forms::missing(&traced.trace.reading));
    }
    if read.watched.beyond > 0 {
        missing.push(format!(
            "{} of the target are on edges beyond those that are kept.",
            counted(read.watched.beyond, "connection", "connections")
        ));
    }
    missing
}

/// Addresses that flows show of the name that is cut.
fn addresses(resolved: &Resolved, edges: &[TargetEdge]) -> Vec<IpAddr> {
    let Target::Name(name) = resolved.cut.as_ref().unwrap_or(&resolved.target) else {
        return Vec::new();
    };
    let is_it = |peer: &Peer| matches!(peer, Peer::Name(known) if known == name);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for edge in edges {
        if is_it(&edge.peer) {
            addresses.extend(&edge.addresses);
        }
        if is_it(&edge.own) {
            addresses.extend(&edge.own_addresses);
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// All policies in one file.
pub(super) fn policy(plan: &Plan) -> String {
    let texts: Vec<&str> = plan
        .manifests
        .iter()
        .map(|manifest| manifest.text.as_str())
        .collect();
    texts.join("---\n")
}
