//! Narrowed policies: as a diff, as a summary, as JSON.
//!
//! Owns the unified diff that `git apply` and `patch -p1` take, and the words around it.

use std::fmt::Write as _;

use serde_json::{Value, json};
use similar::TextDiff;

use super::suggest::{between_words, tally};
use crate::flow::{counted, thousands};
use crate::review::suggest::Tally;
use crate::review::tighten::{Narrowing, Tightened};

/// Lines of each kind in the summary.
const SHOWN: usize = 20;
/// Peers shown of each rule.
const PEERS: usize = 4;
/// Lines around a change.
const CONTEXT: usize = 3;

/// All changes as one patch.
#[must_use]
pub fn diff(tightened: &Tightened, color: bool) -> String {
    let mut text = String::new();
    for (file, before, after) in &tightened.files {
        let name = file.trim_start_matches("./");
        let (old, new) = if name.starts_with('/') {
            (name.to_owned(), name.to_owned())
        } else {
            (format!("a/{name}"), format!("b/{name}"))
        };
        let diff = TextDiff::from_lines(before.as_str(), after.as_str());
        let shown = diff
            .unified_diff()
            .context_radius(CONTEXT)
            .header(&old, &new)
            .to_string();
        text.push_str(&shown);
    }
    if color { colored(&text) } else { text }
}

fn colored(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for line in text.split_inclusive('\n') {
        let code = match line.as_bytes().first() {
            _ if line.starts_with("+++") || line.starts_with("---") => "\x1b[1m",
            Some(b'+') => "\x1b[32m",
            Some(b'-') => "\x1b[31m",
            Some(b'@') => "\x1b[36m",
            _ => "",
        };
        if code.is_empty() {
            out.push_str(line);
        } else {
            let body = line.trim_end_matches('\n');
            out.push_str(code);
            out.push_str(body);
            out.push_str("\x1b[0m\n");
        }
    }
    out
}

/// What a person is told beside the diff.
#[must_use]
pub fn summary(tightened: &Tightened) -> Vec<String> {
    let mut lines = Vec::new();
    if tightened.narrowed.is_empty() {
        lines.push("nothing to narrow".to_owned());
    } else {
        lines.push(format!(
            "{} narrowed in {}, by {}, {}",
            counted(tightened.narrowed.len() as u64, "rule", "rules"),
            counted(tightened.files.len() as u64, "file", "files"),
            counted(
                tightened.accepted,
                "accepted connection",
                "accepted connections"
            ),
            between_words(&tightened.window),
        ));
        lines.push(format!(
            "replay: {}",
            replay(&tightened.replayed.accepted, "still ")
        ));
    }
    for one in tightened.narrowed.iter().take(SHOWN) {
        lines.push(format!(
            "  {}:{}: {}: {}",
            one.file,
            one.line,
            one.id.short(),
            becomes(one)
        ));
    }
    more(&mut lines, tightened.narrowed.len());
    if !tightened.left.is_empty() {
        lines.push(format!(
            "{}:",
            counted(
                tightened.left.len() as u64,
                "loose rule is left as it is",
                "loose rules are left as they are"
            )
        ));
        for one in tightened.left.iter().take(SHOWN) {
            lines.push(format!(
                "  {}:{}: {}: {}",
                one.file,
                one.line,
                one.id.short(),
                one.why
            ));
        }
        more(&mut lines, tightened.left.len());
    }
    lines.extend(tightened.unproven());
    lines
}

/// `toEntities: world -> ports used by 12 connections`: what is loose, and what it becomes.
pub(in crate::render) fn becomes(one: &Narrowing) -> String {
    let mut peers: Vec<&str> = one.peers.iter().map(String::as_str).collect();
    let more = peers.len().saturating_sub(PEERS);
    peers.truncate(PEERS);
    let mut to = peers.join(", ");
    if more > 0 {
        let _ = write!(to, " and {more} more");
    }
    let loose = one.loose.join(" and ");
    if to.is_empty() {
        format!("{loose} -> ports used by {}", one.evidence.sentence())
    } else {
        format!("{loose} -> {to}")
    }
}

/// `94 of 94 accepted connections pass`; `still ` may stand before the verb.
pub(in crate::render) fn replay(accepted: &Tally, still: &str) -> String {
    let mut line = format!(
        "{} of {} {still}pass",
        thousands(accepted.pass + accepted.authenticated),
        counted(
            accepted.all(),
            "accepted connection",
            "accepted connections"
        )
    );
    if accepted.denied > 0 {
        let _ = write!(
            line,
            ", {} are denied as before",
            thousands(accepted.denied)
        );
    }
    if accepted.undecided() > 0 {
        let _ = write!(line, ", {} undecided", thousands(accepted.undecided()));
    }
    line
}

fn more(lines: &mut Vec<String>, count: usize) {
    if count > SHOWN {
        lines.push(format!("  and {} more", thousands((count - SHOWN) as u64)));
    }
}

/// Everything as JSON: `docs/schema/tighten.json`.
#[must_use]
pub fn json(tightened: &Tightened) -> Value {
    let narrowed = tightened.narrowed.iter().map(|one| {
        json!({
            "policy": one.id.short(),
            "kind": one.id.kind.name(),
            "file": &*one.file,
            "line": one.line,
            "direction": one.direction.name(),
            "loose": one.loose,
            "peers": one.peers,
            "connections": one.evidence.count,
        })
    });
    let left = tightened.left.iter().map(|one| {
        json!({
            "policy": one.id.short(),
            "kind": one.id.kind.name(),
            "file": &*one.file,
            "line": one.line,
            "why": one.why,
        })
    });
    let files = tightened
        .files
        .iter()
        .map(|(file, _, after)| json!({"file": &**file, "text": after}));
    json!({
        "version": 1,
        "narrowed": narrowed.collect::<Vec<_>>(),
        "left": left.collect::<Vec<_>>(),
        "files": files.collect::<Vec<_>>(),
        "diff": diff(tightened, false),
        "replay": {
            "accepted": tally(&tightened.replayed.accepted),
            "unwanted": tally(&tightened.replayed.unwanted),
            "newly_allowed": tightened.replayed.newly_allowed,
        },
        "unproven": tightened.unproven(),
    })
}
