//! What two baseline files have not in common.
//!
//! Owns comparing them by names: edges, listeners, decisions, stages. How often something
//! was seen is no difference.

use std::collections::BTreeMap;

use super::edge::Status;
use super::file::{BaselineFile, CallEntry, WorkloadEntry, peer_text, port_text};
use crate::connection::Peer;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What happened to it.
    pub change: Change,
    /// Whose it is.
    pub workload: String,
    /// What it is: `api.example.com 443/TCP`, `listens on 8080/TCP`; empty for the workload
    /// itself.
    pub what: String,
}

/// What happened to something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the later file has it.
    Added,
    /// Only the earlier one has it.
    Removed,
    /// Both have it, and say something else: before, after.
    Changed(String, String),
}

/// Compares two files; by workload, then by what.
#[must_use]
pub fn difference(before: &BaselineFile, after: &BaselineFile) -> Vec<Difference> {
    let (before, after) = (by_name(before), by_name(after));
    let mut found = Vec::new();
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        let whole = match (old, new) {
            (None, Some(_)) => Some(Change::Added),
            (Some(_), None) => Some(Change::Removed),
            (Some(old), Some(new)) => stages(old, new),
            (None, None) => None,
        };
        if let Some(change) = whole {
            found.push(Difference {
                change,
                workload: name.clone(),
                what: String::new(),
            });
        }
        let facts =
            |entry: Option<&&WorkloadEntry>| entry.map(|one| facts(one)).unwrap_or_default();
        let (old, new) = (facts(old), facts(new));
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let change = match (old.get(key), new.get(key)) {
                (None, Some(_)) => Change::Added,
                (Some(_), None) => Change::Removed,
                (Some(old), Some(new)) if old != new => {
                    Change::Changed(old.name().to_owned(), new.name().to_owned())
                }
                _ => continue,
            };
            found.push(Difference {
                change,
                workload: name.clone(),
                what: key.clone(),
            });
        }
    }
    found
}

fn by_name(file: &BaselineFile) -> BTreeMap<String, &WorkloadEntry> {
    let entries = file.workloads.iter();
    entries
        .map(|entry| (peer_text(&entry.peer, ""), entry))
        .collect()
}

fn stages(old: &WorkloadEntry, new: &WorkloadEntry) -> Option<Change> {
    let name = |entry: &WorkloadEntry| {
        entry
            .stage
            .map_or_else(|| "none".to_owned(), |stage| stage.to_string())
    };
    (old.stage != new.stage).then(|| Change::Changed(name(old), name(new)))
}

fn facts(entry: &WorkloadEntry) -> BTreeMap<String, Status> {
    let cluster = match &entry.peer {
        Peer::Workload { cluster, .. } => &**cluster,
        _ => "",
    };
    let call = |call: &CallEntry| {
        let to = call
            .to
            .as_ref()
            .map_or_else(|| "*".to_owned(), |peer| peer_text(peer, cluster));
        let port = call
            .port
            .map_or_else(String::new, |port| format!(" {}", port_text(port)));
        (format!("calls {to}{port}"), call.status)
    };
    let mut facts: BTreeMap<String, Status> = entry.calls.iter().map(call).collect();
    for port in &entry.listens {
        facts.insert(format!("listens on {}", port_text(*port)), Status::Learned);
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::super::file::read;
    use super::*;

    #[test]
    fn edges_and_decisions_are_compared_and_counts_are_not() {
        let file = |calls: &str| {
            let text = format!(
                "baseline: 1\nworkloads:\n- workload: shop/cart\n  stage: active\n  calls:\n{calls}\n"
            );
            read(&text, "b").unwrap()
        };
        let before = file(
            "  - {to: data/db, port: 5432/TCP, days: 3}\n  - {to: a.example, port: 443/TCP, days: 2}",
        );
        let after = file(
            "  - {to: data/db, port: 5432/TCP, days: 9, status: approved}\n  - {to: b.example, \
             port: 443/TCP}\n  listens: [80/TCP]",
        );
        let shown: Vec<String> = difference(&before, &after)
            .iter()
            .map(|one| format!("{:?} {} {}", one.change, one.workload, one.what))
            .collect();
        assert_eq!(
            shown,
            [
                "Removed shop/cart calls a.example 443/TCP",
                "Added shop/cart calls b.example 443/TCP",
                "Changed(\"learned\", \"approved\") shop/cart calls data/db 5432/TCP",
                "Added shop/cart listens on 80/TCP",
            ]
        );
        assert!(difference(&before, &before).is_empty());
    }
}
