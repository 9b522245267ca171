//! Changes that are meant to be.
//!
//! Owns the file of intended changes, and which row an entry covers. An entry says why, so
//! that the next reader need not ask; one that has run out covers nothing any more.

use jiff::civil::Date;

use super::{Change, ChangeRow};
use crate::connection::Peer;
use crate::flow::Protocol;
use crate::manifest::{KeyedError, KeyedFile, Node, Place};
use crate::review::wild::Wild;

/// The keys of an entry.
const KEYS: &str = "change, from, to, port, policy, reason, until";

/// The file of intended changes.
#[derive(Clone, Debug, Default)]
pub struct Acceptance {
    entries: Vec<Entry>,
}

/// What an entry says and covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Line of the entry in its file.
    pub line: u32,
    /// Why.
    pub reason: String,
    /// Until when, where it ends.
    pub until: Option<Date>,
    /// Whether that day is over: it covers nothing.
    pub is_over: bool,
    /// Rows it covers.
    pub rows: u64,
    /// Connections and requests of these.
    pub count: u64,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// A key that does not exist, or a value of another kind.
    #[error(transparent)]
    Keyed(#[from] KeyedError),
    /// A value that means nothing, or a key that must be there.
    #[error("{file}:{line}: {message}")]
    Value {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// What is wrong.
        message: String,
    },
}

#[derive(Clone, Debug)]
struct Entry {
    line: u32,
    change: Option<Change>,
    from: Option<Wild>,
    to: Option<Wild>,
    port: Option<(u16, Option<Protocol>)>,
    policy: Option<Wild>,
    reason: String,
    until: Option<Date>,
}

impl Acceptance {
    /// Reads the text of a file: a list below `accept`.
    ///
    /// # Errors
    /// [`AcceptError`] with the line.
    pub fn read(name: &str, text: &str) -> Result<Self, AcceptError> {
        let file = KeyedFile::new(name);
        let mut entries = Vec::new();
        for document in file.documents(text)? {
            for (key, at, value) in file.entries(&document.root, "")? {
                if key != "accept" {
                    return Err(file.unknown(at, key, "accept").into());
                }
                if value.is_null() {
                    continue;
                }
                let list = value
                    .as_list()
                    .ok_or_else(|| file.kind(value.at, key, "a list"))?;
                for node in list {
                    entries.push(entry(file, node)?);
                }
            }
        }
        Ok(Self { entries })
    }

    /// Gives each row the first entry that covers it, and says what each entry covers.
    pub(super) fn apply(&self, rows: &mut [ChangeRow], today: Date) -> Vec<Accepted> {
        let mut accepted: Vec<Accepted> = self
            .entries
            .iter()
            .map(|entry| Accepted {
                line: entry.line,
                reason: entry.reason.clone(),
                until: entry.until,
                is_over: entry.until.is_some_and(|until| until < today),
                rows: 0,
                count: 0,
            })
            .collect();
        for row in rows {
            let covers = |(at, entry): (usize, &Entry)| {
                (!accepted[at].is_over && entry.covers(row)).then_some(at)
            };
            row.accepted = self.entries.iter().enumerate().find_map(covers);
            if let Some(at) = row.accepted {
                accepted[at].rows += 1;
                accepted[at].count += row.count;
            }
        }
        accepted
    }
}

impl Entry {
    fn covers(&self, row: &ChangeRow) -> bool {
        let is_named = |glob: &Option<Wild>, peer: &Peer| {
            glob.as_ref()
                .is_none_or(|glob| glob.matches(&peer.to_string()))
        };
        self.change.is_none_or(|change| change == row.change)
            && is_named(&self.from, &row.client)
            && is_named(&self.to, &row.server)
            && self.port.is_none_or(|(port, protocol)| {
                port == row.port && protocol.is_none_or(|known| known == row.protocol)
            })
            && self
                .policy
                .as_ref()
                .is_none_or(|glob| row.rules().any(|rule| glob.matches(&rule.policy)))
    }
}

fn entry(file: KeyedFile<'_>, node: &Node) -> Result<Entry, AcceptError> {
    let mut entry = Entry {
        line: node.at.line,
        change: None,
        from: None,
        to: None,
        port: None,
        policy: None,
        reason: String::new(),
        until: None,
    };
    let wrong = |at: Place, message: String| AcceptError::Value {
        file: file.name().to_owned(),
        line: at.line,
        message,
    };
    for (key, at, value) in file.entries(node, "accept")? {
        let text = || {
            value
                .as_str()
                .ok_or_else(|| file.kind(value.at, key, "a text"))
        };
        let glob = || {
            let text = text()?;
            Ok::<_, AcceptError>(Wild::new(text))
        };
        match key {
            "change" => {
                let text = text()?;
                let known = Change::ALL.into_iter().find(|change| change.name() == text);
                entry.change = Some(known.ok_or_else(|| {
                    let names: Vec<&str> = Change::ALL.iter().map(|change| change.name()).collect();
                    wrong(
                        value.at,
                        format!("change is one of {}, not '{text}'", names.join(", ")),
                    )
                })?);
            }
            "from" => entry.from = Some(glob()?),
            "to" => entry.to = Some(glob()?),
            "policy" => entry.policy = Some(glob()?),
            "port" => {
                let text = match &value.value {
                    crate::manifest::Value::Number(crate::manifest::Number::Int(port)) => {
                        port.to_string()
                    }
                    _ => text()?.to_owned(),
                };
                entry.port = Some(port(&text).ok_or_else(|| {
                    wrong(
                        value.at,
                        format!("port is a number or one with a protocol, 8080/TCP, not '{text}'"),
                    )
                })?);
            }
            "reason" => text()?.trim().clone_into(&mut entry.reason),
            "until" => {
                let text = text()?;
                entry.until = Some(text.parse().map_err(|_| {
                    wrong(
                        value.at,
                        format!("until is a day, 2026-12-31, not '{text}'"),
                    )
                })?);
            }
            _ => return Err(file.unknown(at, &format!("accept.{key}"), KEYS).into()),
        }
    }
    if entry.reason.is_empty() {
        return Err(wrong(node.at, "an entry needs a reason".to_owned()));
    }
    let says_nothing = entry.change.is_none()
        && entry.from.is_none()
        && entry.to.is_none()
        && entry.port.is_none()
        && entry.policy.is_none();
    if says_nothing {
        return Err(wrong(
            node.at,
            "an entry needs one of change, from, to, port, policy: without them it covers everything"
                .to_owned(),
        ));
    }
    Ok(entry)
}

/// `8080` or `8080/TCP`.
pub(in crate::review) fn port(text: &str) -> Option<(u16, Option<Protocol>)> {
    let (number, protocol) = match text.split_once('/') {
        Some((number, protocol)) => (number, Some(protocol)),
        None => (text, None),
    };
    let protocol = match protocol.map(str::to_ascii_uppercase).as_deref() {
        None => None,
        Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => return None,
    };
    Some((number.parse().ok()?, protocol))
}
