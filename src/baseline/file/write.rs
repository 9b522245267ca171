//! From a model to text, and the comments of the text before it.
//!
//! Owns the order and the form: one edge a line, sorted by names. Comments behind an edge,
//! or on lines of their own before it or its workload, stay with it when a file is written
//! anew; so do decisions and their reasons, which are in the model or the file before.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::text::{day_text, peer_text, port_text, scalar, time_text};
use super::{BaselineFile, CallEntry, HeldEntry, WorkloadEntry};
use crate::baseline::{Held, Model, Names, Status};
use crate::connection::{Edge, Peer, PeerId};
use crate::manifest::Place;

/// The head of a new file.
const HEAD: &str = "\
# What is normal here, learned from flows by `flowwatch baseline learn`. Review it as code.
# `flowwatch baseline approve` and `forbid` change what is decided about an edge.
";

/// What a model knows, as a file. `before` is the file that it was learned on from: decisions
/// that are about no edge alone, and reasons, are taken from it.
#[must_use]
pub(super) fn of_model(
    model: &Model,
    names: &Names,
    before: Option<&BaselineFile>,
) -> BaselineFile {
    let mut entries: BTreeMap<Peer, WorkloadEntry> = BTreeMap::new();
    let peers = names.peers();
    let mut entry = |id: PeerId| -> Option<Peer> {
        let peer = peers.get(id);
        let known = matches!(peer, Peer::Workload { .. } | Peer::Entity(_));
        if !known {
            return None;
        }
        entries
            .entry(peer.clone())
            .or_insert_with(|| WorkloadEntry {
                peer: peer.clone(),
                at: Place::default(),
                stage: model.workload(id).map(|_| model.stage(id)),
                calls: Vec::new(),
                listens: Vec::new(),
                names: Vec::new(),
                requests: Vec::new(),
                held: Vec::new(),
            });
        Some(peer.clone())
    };
    let mut of: BTreeMap<PeerId, Peer> = BTreeMap::new();
    let clients = model.edges().map(|(edge, _)| edge.client);
    let held = model.held_back().map(|(edge, _)| edge.client);
    let workloads = model.workloads().map(|(id, _)| id);
    let servers = model.servers();
    for id in clients.chain(held).chain(workloads).chain(servers) {
        if !of.contains_key(&id)
            && let Some(peer) = entry(id)
        {
            of.insert(id, peer);
        }
    }
    for (id, peer) in &of {
        if let Some(entry) = entries.get_mut(peer) {
            fill(entry, *id, model, names);
        }
    }
    if let Some(before) = before {
        for old in &before.workloads {
            let entry = entries
                .entry(old.peer.clone())
                .or_insert_with(|| WorkloadEntry {
                    calls: Vec::new(),
                    listens: Vec::new(),
                    names: Vec::new(),
                    requests: Vec::new(),
                    held: Vec::new(),
                    ..old.clone()
                });
            keep_decisions(entry, old);
        }
    }
    BaselineFile {
        learned: model.span(),
        statistics: None,
        shadow: None,
        workloads: entries.into_values().collect(),
    }
}

fn fill(entry: &mut WorkloadEntry, id: PeerId, model: &Model, names: &Names) {
    let peers = names.peers();
    for (edge, profile) in model.edges_of(id) {
        entry.calls.push(CallEntry {
            at: Place::default(),
            to: Some(peers.get(edge.server).clone()),
            port: Some((edge.port, edge.protocol)),
            since: (profile.days > 0).then_some(profile.first),
            days: profile.days,
            status: profile.status,
            reason: None,
        });
    }
    for one in model.listeners(id) {
        entry.listens.push((one.port, one.protocol));
    }
    entry.listens.sort_unstable();
    if let Some(workload) = model.workload(id) {
        entry.names = workload.names.keys().cloned().collect();
        entry.requests = workload.requests.keys().cloned().collect();
        entry.names.sort();
        entry.requests.sort();
    }
    let least = Edge {
        client: id,
        server: PeerId(0),
        port: 0,
        protocol: crate::flow::Protocol::None,
    };
    for (edge, pending) in model.held_back_from(&least) {
        entry.held.push(HeldEntry {
            to: peers.get(edge.server).clone(),
            port: (edge.port, edge.protocol),
            since: Some(pending.first),
            why: why(pending.why).into(),
        });
    }
}

fn why(held: Held) -> &'static str {
    match held {
        Held::Young => "young",
        Held::Change => "change",
        Held::Incident => "incident",
        Held::Flagged => "flagged",
    }
}

/// Decisions of the file before that are not about one edge, and reasons.
fn keep_decisions(entry: &mut WorkloadEntry, old: &WorkloadEntry) {
    for call in old
        .calls
        .iter()
        .filter(|call| call.status != Status::Learned)
    {
        let same = |one: &&mut CallEntry| {
            same_peer(one.to.as_ref(), call.to.as_ref()) && one.port == call.port
        };
        match entry.calls.iter_mut().find(same) {
            Some(known) => {
                known.status = call.status;
                known.reason.clone_from(&call.reason);
            }
            None => entry.calls.push(call.clone()),
        }
    }
}

/// Whether two are the same, where a file does not say the kind.
pub(super) fn same_peer(one: Option<&Peer>, other: Option<&Peer>) -> bool {
    match (one, other) {
        (
            Some(Peer::Workload {
                cluster,
                namespace,
                name,
                ..
            }),
            Some(Peer::Workload {
                cluster: cluster2,
                namespace: namespace2,
                name: name2,
                ..
            }),
        ) => (cluster, namespace, name) == (cluster2, namespace2, name2),
        (one, other) => one == other,
    }
}

/// The text of a file, with the comments that `before` had.
#[must_use]
pub fn write(file: &BaselineFile, before: Option<&str>) -> String {
    let comments = before.map(Comments::of).unwrap_or_default();
    let mut out = String::new();
    match &comments.head {
        Some(head) => out.push_str(head),
        None => out.push_str(HEAD),
    }
    let _ = writeln!(out, "baseline: {}", super::FILE_VERSION);
    if let Some((from, to)) = file.learned {
        let (from, to) = (time_text(from), time_text(to));
        let _ = writeln!(out, "learned: {{from: {from}, to: {to}}}");
    }
    if let Some(statistics) = &file.statistics {
        let _ = writeln!(out, "statistics: {}", scalar(statistics));
    }
    if let Some(shadow) = &file.shadow {
        super::shadow::write(&mut out, shadow);
    }
    out.push_str("workloads:\n");
    let mut workloads: Vec<&WorkloadEntry> = file.workloads.iter().collect();
    workloads.sort_by_key(|entry| peer_text(&entry.peer, ""));
    for entry in workloads {
        workload(&mut out, entry, &comments);
    }
    if let Some(tail) = comments.before.get("") {
        out.push_str(tail);
    }
    out
}

fn workload(out: &mut String, entry: &WorkloadEntry, comments: &Comments) {
    let (cluster, kind) = match &entry.peer {
        Peer::Workload { cluster, kind, .. } => (&**cluster, &**kind),
        _ => ("", ""),
    };
    let name = peer_text(&entry.peer, cluster);
    let head = format!("- workload: {}", scalar(&name));
    comments.line(out, &name, &head);
    if !kind.is_empty() {
        let _ = writeln!(out, "  kind: {}", scalar(kind));
    }
    if !cluster.is_empty() {
        let _ = writeln!(out, "  cluster: {}", scalar(cluster));
    }
    if let Some(stage) = entry.stage {
        let _ = writeln!(out, "  stage: {stage}");
    }
    let mut calls: Vec<(String, &CallEntry)> = entry
        .calls
        .iter()
        .map(|call| (call_key(call, cluster), call))
        .collect();
    calls.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.port.cmp(&b.1.port)));
    if !calls.is_empty() {
        out.push_str("  calls:\n");
    }
    for (key, call) in calls {
        let place = format!("{name} {key}");
        comments.line(out, &place, &format!("  - {}", call_text(call, cluster)));
    }
    let ports: Vec<String> = entry.listens.iter().map(|port| port_text(*port)).collect();
    list(out, "listens", &ports);
    list(out, "names", &entry.names);
    list(out, "requests", &entry.requests);
    let mut held: Vec<String> = entry
        .held
        .iter()
        .map(|held| held_text(held, cluster))
        .collect();
    held.sort();
    if !held.is_empty() {
        out.push_str("  held:\n");
    }
    for held in held {
        let _ = writeln!(out, "  - {held}");
    }
}

fn list(out: &mut String, key: &str, values: &[impl AsRef<str>]) {
    if values.is_empty() {
        return;
    }
    let values: Vec<String> = values.iter().map(|value| scalar(value.as_ref())).collect();
    let _ = writeln!(out, "  {key}: [{}]", values.join(", "));
}

/// What an edge is sorted and known by in a file.
pub(super) fn call_key(call: &CallEntry, cluster: &str) -> String {
    let to = call
        .to
        .as_ref()
        .map_or_else(|| "*".to_owned(), |peer| peer_text(peer, cluster));
    match call.port {
        Some(port) => format!("{to} {}", port_text(port)),
        None => to,
    }
}

/// An edge as it is written, `{to: …, port: …}`.
pub(super) fn call_text(call: &CallEntry, cluster: &str) -> String {
    let to = match &call.to {
        Some(peer) => scalar(&peer_text(peer, cluster)),
        None => "\"*\"".to_owned(),
    };
    let mut text = format!("{{to: {to}");
    if let Some(port) = call.port {
        let _ = write!(text, ", port: {}", scalar(&port_text(port)));
    }
    if let Some(since) = call.since {
        let _ = write!(text, ", since: {}", scalar_day(since));
    }
    if call.days > 0 {
        let _ = write!(text, ", days: {}", call.days);
    }
    if call.status != Status::Learned {
        let _ = write!(text, ", status: {}", call.status.name());
    }
    if let Some(reason) = &call.reason {
        let _ = write!(text, ", reason: {}", scalar(reason));
    }
    text.push('}');
    text
}

fn held_text(held: &HeldEntry, cluster: &str) -> String {
    let to = scalar(&peer_text(&held.to, cluster));
    let port = scalar(&port_text(held.port));
    let mut text = format!("{{to: {to}, port: {port}");
    if let Some(since) = held.since {
        let _ = write!(text, ", since: {}", scalar_day(since));
    }
    let _ = write!(text, ", why: {}}}", scalar(&held.why));
    text
}

/// A day is a text in YAML 1.2 and in Kubernetes' YAML, and needs no quotes.
fn scalar_day(time: i64) -> String {
    day_text(time)
}

/// Comments of a file, by what they stand at.
#[derive(Debug, Default)]
struct Comments {
    /// Everything before the first key.
    head: Option<String>,
    /// Lines of comments before an entry; those at the end before nothing.
    before: BTreeMap<String, String>,
    /// Comments behind an entry.
    behind: BTreeMap<String, String>,
}

impl Comments {
    fn of(text: &str) -> Self {
        let mut comments = Self::default();
        let Ok(file) = super::read(text, "") else {
            return comments;
        };
        // Lines, from 1, at which entries begin.
        let mut at: BTreeMap<u32, String> = BTreeMap::new();
        for entry in &file.workloads {
            let cluster = match &entry.peer {
                Peer::Workload { cluster, .. } => &**cluster,
                _ => "",
            };
            let name = peer_text(&entry.peer, cluster);
            for call in &entry.calls {
                let key = call_key(call, cluster);
                at.insert(call.at.line, format!("{name} {key}"));
            }
            at.insert(entry.at.line, name);
        }
        let mut waiting = String::new();
        let mut begun = false;
        for (number, line) in (1..).zip(text.lines()) {
            let trimmed = line.trim_start();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                waiting.push_str(line);
                waiting.push('\n');
                continue;
            }
            if !begun {
                comments.head = Some(std::mem::take(&mut waiting));
                begun = true;
            }
            let Some(place) = at.get(&number) else {
                // What stands before a key that is written anew is of what follows.
                continue;
            };
            if !waiting.is_empty() {
                let before = std::mem::take(&mut waiting);
                comments.before.insert(place.clone(), before);
            }
            if let Some(behind) = behind(line) {
                comments.behind.insert(place.clone(), behind.to_owned());
            }
        }
        if !waiting.is_empty() {
            comments.before.insert(String::new(), waiting);
        }
        comments
    }

    fn line(&self, out: &mut String, place: &str, line: &str) {
        if let Some(before) = self.before.get(place) {
            out.push_str(before);
        }
        out.push_str(line);
        if let Some(behind) = self.behind.get(place) {
            out.push_str("  ");
            out.push_str(behind);
        }
        out.push('\n');
    }
}

/// The comment at the end of a line, which is not within quotes.
pub(super) fn behind(line: &str) -> Option<&str> {
    let (mut single, mut double, mut escaped) = (false, false, false);
    let mut last = ' ';
    for (at, letter) in line.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if double => escaped = true,
            '"' if !single => double = !double,
            '\'' if !double => single = !single,
            '#' if !single && !double && last.is_whitespace() => return Some(&line[at..]),
            _ => {}
        }
        last = letter;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::file::read;

    const FILE: &str = "\
# Reviewed by the platform team.
baseline: 1
learned: {from: 2026-01-05T00:00:00Z, to: 2026-01-19T00:00:00Z}
statistics: b.parquet
workloads:
# The shop's front.
- workload: shop/cart
  kind: Deployment
  stage: active
  calls:
  - {to: \"*\", port: 22/TCP, status: forbidden}
  # Payments move in March.
  - {to: api.example.com, port: 443/TCP, since: 2026-01-07, days: 3, status: approved, reason: \"ticket 7, #2\"}  # ask again
  - {to: data/db, port: 5432/TCP, since: 2026-01-05, days: 14}
  listens: [8080/TCP]
  names: [example.com]
  requests: [\"GET /orders/{n}\"]
  held:
  - {to: 192.0.2.0/24, port: 443/TCP, since: 2026-01-12, why: flagged}
# The end.
";

    #[test]
    fn what_is_read_is_written_with_its_comments() {
        let file = read(FILE, "b.yaml").unwrap();
        assert_eq!(write(&file, Some(FILE)), FILE);
    }

    #[test]
    fn a_new_file_has_a_head_and_is_read_back() {
        let file = read(FILE, "b.yaml").unwrap();
        let text = write(&file, None);
        assert!(text.starts_with("# What is normal here"));
        let mut again = read(&text, "b.yaml").unwrap();
        let mut file = file;
        for file in [&mut file, &mut again] {
            for entry in &mut file.workloads {
                entry.at = Place::default();
                entry
                    .calls
                    .iter_mut()
                    .for_each(|call| call.at = Place::default());
            }
        }
        assert_eq!(file, again);
    }

    #[test]
    fn a_comment_begins_outside_of_quotes() {
        assert_eq!(behind("a: b # c"), Some("# c"));
        assert_eq!(behind("a: \"b # c\""), None);
        assert_eq!(behind("a: 'b # c' # d"), Some("# d"));
        assert_eq!(behind("a: b#c"), None);
        assert_eq!(behind("a: \"\\\" # \" # d"), Some("# d"));
    }
}
