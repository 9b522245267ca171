//! Decisions of people, written into the file and nowhere else.
//!
//! Owns the smallest change of text: a line gets a status, or a line is put where the order
//! wants it. All other lines stay as they are, comments too.

use std::sync::Arc;

use super::text::{peer_text, port_text, scalar};
use super::write::{behind, call_key, call_text, same_peer};
use super::{BaselineFile, CallEntry, WorkloadEntry};
use crate::baseline::Status;
use crate::connection::Peer;
use crate::flow::Protocol;
use crate::manifest::{KeyedError, Place};

/// What a person decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// Whose edges.
    pub client: Peer,
    /// To whom; `None` for all.
    pub to: Option<Peer>,
    /// On which port; `None` for all.
    pub port: Option<(u16, Protocol)>,
    /// [`Status::Approved`] or [`Status::Forbidden`].
    pub status: Status,
    /// Why.
    pub reason: Option<Arc<str>>,
}

/// Why a file cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] KeyedError),
    /// The change did not do what it was to do: the file is written in a way that this
    /// does not know.
    #[error("{file}:{line}: write the entry on one line of its own, as `- {{to: …, port: …}}`")]
    Form {
        /// The file.
        file: String,
        /// The line.
        line: u32,
    },
}

/// The text with a decision written into it.
///
/// # Errors
/// [`EditError`].
pub fn edit(text: &str, name: &str, decision: &Edited) -> Result<String, EditError> {
    let file = super::read(text, name)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let owner = owner(&file, &decision.client);
    let decision = &in_cluster(decision, owner.map(|owner| &file.workloads[owner].peer));
    let cluster = cluster_of(&decision.client);
    let place = match owner {
        Some(owner) => change(&mut lines, &file, owner, decision, &cluster),
        None => add_workload(&mut lines, &file, decision, &cluster),
    };
    let mut changed = lines.join("\n");
    changed.push('\n');
    let error = || EditError::Form {
        file: name.to_owned(),
        line: place.line,
    };
    let again = super::read(&changed, name).map_err(|_| error())?;
    let done = again.workloads.iter().any(|entry| {
        same_peer(Some(&entry.peer), Some(&decision.client))
            && entry.calls.iter().any(|call| {
                same_peer(call.to.as_ref(), decision.to.as_ref())
                    && call.port == decision.port
                    && call.status == decision.status
            })
    });
    if done { Ok(changed) } else { Err(error()) }
}

/// The workload that is meant. A person who names no cluster means the one there is.
fn owner(file: &BaselineFile, client: &Peer) -> Option<usize> {
    let named = !cluster_of(client).is_empty();
    file.workloads.iter().position(|entry| {
        let known = if named {
            entry.peer.clone()
        } else {
            without_cluster(&entry.peer)
        };
        same_peer(Some(&known), Some(client))
    })
}

/// The decision with the cluster of the workload that is meant, where it names none.
fn in_cluster(decision: &Edited, owner: Option<&Peer>) -> Edited {
    let mut decision = decision.clone();
    let Some(cluster) = owner.map(cluster_of).filter(|own| !own.is_empty()) else {
        return decision;
    };
    let parties = [Some(&mut decision.client), decision.to.as_mut()];
    for party in parties.into_iter().flatten() {
        if let Peer::Workload { cluster: own, .. } = party
            && own.is_empty()
        {
            own.clone_from(&cluster);
        }
    }
    decision
}

fn cluster_of(peer: &Peer) -> Arc<str> {
    match peer {
        Peer::Workload { cluster, .. } => cluster.clone(),
        _ => Arc::default(),
    }
}

fn without_cluster(peer: &Peer) -> Peer {
    let mut peer = peer.clone();
    if let Peer::Workload { cluster, .. } = &mut peer {
        *cluster = Arc::default();
    }
    peer
}

fn change(
    lines: &mut Vec<String>,
    file: &BaselineFile,
    owner: usize,
    decision: &Edited,
    cluster: &str,
) -> Place {
    let entry = &file.workloads[owner];
    let same = |call: &&CallEntry| {
        same_peer(call.to.as_ref(), decision.to.as_ref()) && call.port == decision.port
    };
    if let Some(call) = entry.calls.iter().find(same) {
        let new = CallEntry {
            status: decision.status,
            reason: decision.reason.clone().or_else(|| call.reason.clone()),
            ..call.clone()
        };
        if let Some(line) = lines.get_mut(call.at.line as usize - 1) {
            replace(line, &call_text(&new, cluster));
        }
        return call.at;
    }
    let new = CallEntry {
        at: Place::default(),
        to: decision.to.clone(),
        port: decision.port,
        since: None,
        days: 0,
        status: decision.status,
        reason: decision.reason.clone(),
    };
    let at = insert(lines, file, owner, &new, cluster);
    if let (Some(to), Some(port)) = (&decision.to, decision.port) {
        drop_held(lines, to, port, cluster, at);
    }
    Place {
        line: at as u32 + 1,
        column: 1,
    }
}

/// Puts an edge where the order of a workload's calls wants it; gives the index of its line.
fn insert(
    lines: &mut Vec<String>,
    file: &BaselineFile,
    owner: usize,
    new: &CallEntry,
    cluster: &str,
) -> usize {
    let entry = &file.workloads[owner];
    let begin = entry.at.line as usize - 1;
    let text = call_text(new, cluster);
    let key = call_key(new, cluster);
    if let Some(next) = entry
        .calls
        .iter()
        .find(|call| call_key(call, cluster) > key)
    {
        let mut at = next.at.line as usize - 1;
        let indent = indent(&lines[at]).to_owned();
        // Comments before the next one are of the next one.
        while at > 0 && lines[at - 1].trim_start().starts_with('#') {
            at -= 1;
        }
        lines.insert(at, format!("{indent}- {text}"));
        return at;
    }
    if let Some(last) = entry.calls.last() {
        let at = last.at.line as usize - 1;
        let indent = indent(&lines[at]).to_owned();
        lines.insert(at + 1, format!("{indent}- {text}"));
        return at + 1;
    }
    // Without calls: behind the keys that stand before them.
    let column = lines[begin].find("workload:").unwrap_or(2);
    let pad = " ".repeat(column);
    let mut at = begin + 1;
    let before = ["kind:", "cluster:", "stage:"];
    while lines.get(at).is_some_and(|line| {
        let key = line.trim_start();
        before.iter().any(|known| key.starts_with(known))
    }) {
        at += 1;
    }
    lines.insert(at, format!("{pad}calls:"));
    lines.insert(at + 1, format!("{pad}- {text}"));
    at + 1
}

/// Takes a line of `held` out that is about an edge that is decided.
fn drop_held(
    lines: &mut Vec<String>,
    to: &Peer,
    port: (u16, Protocol),
    cluster: &str,
    near: usize,
) {
    let start = format!(
        "- {{to: {}, port: {}",
        scalar(&peer_text(to, cluster)),
        scalar(&port_text(port))
    );
    let end = lines
        .iter()
        .enumerate()
        .skip(near + 1)
        .find(|(_, line)| line.trim_start().starts_with("- workload:"))
        .map_or(lines.len(), |(at, _)| at);
    let held = (near + 1..end).find(|at| {
        let line = lines[*at].trim_start();
        line.starts_with(&start) && line.contains("why:")
    });
    let Some(at) = held else {
        return;
    };
    lines.remove(at);
    let is_entry = |line: &String| line.trim_start().starts_with("- {");
    let lonely = lines.get(at - 1).is_some_and(|line| line.trim() == "held:")
        && !lines.get(at).is_some_and(is_entry);
    if lonely {
        lines.remove(at - 1);
    }
}

fn add_workload(
    lines: &mut Vec<String>,
    file: &BaselineFile,
    decision: &Edited,
    cluster: &str,
) -> Place {
    let next: Option<&WorkloadEntry> = file
        .workloads
        .iter()
        .find(|entry| peer_text(&entry.peer, "") > peer_text(&decision.client, ""));
    let mut at = next.map_or(lines.len(), |next| next.at.line as usize - 1);
    while next.is_some() && at > 0 && lines[at - 1].trim_start().starts_with('#') {
        at -= 1;
    }
    if file.workloads.is_empty()
        && let Some(key) = lines
            .iter()
            .position(|line| line.trim_start().starts_with("workloads:"))
    {
        "workloads:".clone_into(&mut lines[key]);
        at = key + 1;
    } else if file.workloads.is_empty() {
        lines.push("workloads:".to_owned());
        at = lines.len();
    }
    let call = CallEntry {
        at: Place::default(),
        to: decision.to.clone(),
        port: decision.port,
        since: None,
        days: 0,
        status: decision.status,
        reason: decision.reason.clone(),
    };
    let mut new = vec![format!(
        "- workload: {}",
        scalar(&peer_text(&decision.client, cluster))
    )];
    if let Peer::Workload { kind, .. } = &decision.client
        && !kind.is_empty()
    {
        new.push(format!("  kind: {}", scalar(kind)));
    }
    if !cluster.is_empty() {
        new.push(format!("  cluster: {}", scalar(cluster)));
    }
    new.push("  calls:".to_owned());
    new.push(format!("  - {}", call_text(&call, cluster)));
    lines.splice(at..at, new);
    Place {
        line: at as u32 + 1,
        column: 1,
    }
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// Replaces the entry on a line, and keeps the comment behind it.
fn replace(line: &mut String, text: &str) {
    let comment = behind(line).map(|comment| format!("  {comment}"));
    let start = indent(line).to_owned();
    *line = format!("{start}- {text}{}", comment.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::file::parse_peer;

    const FILE: &str = "\
baseline: 1
workloads:
- workload: shop/cart
  kind: Deployment
  calls:
  # The bank.
  - {to: api.example.com, port: 443/TCP, since: 2026-01-07, days: 3}  # ask again
  - {to: data/db, port: 5432/TCP, since: 2026-01-05, days: 14}
  held:
  - {to: 192.0.2.0/24, port: 443/TCP, since: 2026-01-12, why: flagged}
- workload: shop/web
  kind: Deployment
  listens: [80/TCP]
";

    fn decide(client: &str, to: &str, port: Option<u16>, status: Status) -> String {
        let decision = Edited {
            client: parse_peer(client, "").unwrap(),
            to: parse_peer(to, ""),
            port: port.map(|port| (port, Protocol::Tcp)),
            status,
            reason: None,
        };
        edit(FILE, "b.yaml", &decision).unwrap()
    }

    /// Lines that one text has and the other does not.
    fn difference(text: &str) -> (Vec<&str>, Vec<&str>) {
        let gone = FILE
            .lines()
            .filter(|line| !text.lines().any(|new| new == *line));
        let new = text
            .lines()
            .filter(|line| !FILE.lines().any(|old| old == *line));
        (gone.collect(), new.collect())
    }

    #[test]
    fn a_status_is_written_on_the_line_of_its_edge_and_the_comment_stays() {
        let text = decide("shop/cart", "api.example.com", Some(443), Status::Approved);
        let line = "  - {to: api.example.com, port: 443/TCP, since: 2026-01-07, days: 3, status: \
                    approved}  # ask again";
        let (gone, new) = difference(&text);
        assert_eq!((gone.len(), new), (1, vec![line]));
    }

    #[test]
    fn a_new_edge_stands_where_the_order_wants_it() {
        let text = decide("shop/cart", "data/cache", Some(6379), Status::Forbidden);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[7],
            "  - {to: data/cache, port: 6379/TCP, status: forbidden}"
        );
        let text = decide("shop/cart", "a.example", None, Status::Forbidden);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[5], "  - {to: a.example, status: forbidden}");
        assert_eq!(lines[6], "  # The bank.");
    }

    #[test]
    fn what_was_held_back_is_no_longer_when_it_is_decided() {
        let text = decide("shop/cart", "192.0.2.0/24", Some(443), Status::Approved);
        let (gone, new) = difference(&text);
        assert_eq!(gone.len(), 2, "{text}");
        assert_eq!(
            new,
            ["  - {to: 192.0.2.0/24, port: 443/TCP, status: approved}"]
        );
    }

    #[test]
    fn a_workload_without_calls_and_one_that_is_not_there_get_theirs() {
        let text = decide("shop/web", "*", None, Status::Forbidden);
        let (gone, new) = difference(&text);
        assert!(gone.is_empty());
        assert_eq!(new, ["  - {to: \"*\", status: forbidden}"]);

        let text = decide("shop/mail", "*", None, Status::Forbidden);
        let lines: Vec<&str> = text.lines().collect();
        let at = lines
            .iter()
            .position(|line| line.ends_with("shop/mail"))
            .unwrap();
        assert!(
            at > 5 && lines[at + 3].starts_with("- workload: shop/web"),
            "{text}"
        );
    }

    #[test]
    fn an_empty_file_gets_its_first_workload() {
        let decision = Edited {
            client: parse_peer("shop/cart", "").unwrap(),
            to: None,
            port: None,
            status: Status::Forbidden,
            reason: Some("not in use".into()),
        };
        for start in ["baseline: 1\n", "baseline: 1\nworkloads: []\n"] {
            let text = edit(start, "b.yaml", &decision).unwrap();
            assert!(text.contains("reason: \"not in use\""), "{text}");
        }
    }

    #[test]
    fn who_names_no_cluster_means_the_one_there_is() {
        let text = FILE.replace(
            "  kind: Deployment\n",
            "  kind: Deployment\n  cluster: prod\n",
        );
        let decision = Edited {
            client: parse_peer("shop/cart", "").unwrap(),
            to: parse_peer("data/db", ""),
            port: Some((5432, Protocol::Tcp)),
            status: Status::Forbidden,
            reason: None,
        };
        let changed = edit(&text, "b.yaml", &decision).unwrap();
        assert!(changed.contains(
            "{to: data/db, port: 5432/TCP, since: 2026-01-05, days: 14, status: forbidden}"
        ));
        assert_eq!(changed.lines().count(), text.lines().count());
    }

    #[test]
    fn another_form_is_refused_with_its_line() {
        let text = "baseline: 1\nworkloads:\n- workload: shop/a\n  calls:\n  - to: x/y\n    \
                    port: 1/TCP\n    since: 2026-01-05\n    days: 2\n";
        let decision = Edited {
            client: parse_peer("shop/a", "").unwrap(),
            to: parse_peer("x/y", ""),
            port: Some((1, Protocol::Tcp)),
            status: Status::Approved,
            reason: None,
        };
        let error = edit(text, "b.yaml", &decision).unwrap_err().to_string();
        assert!(error.starts_with("b.yaml:5:"), "{error}");
    }
}
