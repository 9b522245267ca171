//! What people know and mean: `flowwatch.suppress.yaml`.
//!
//! ```yaml
//! suppressions:
//!   - id: "3f2a9c0011223344"          # as findings show it; or a list of them
//!     reason: the nightly export, TICKET-12
//!     expires: 2026-12-31
//!   - kind: scan                      # or what it is about: all that is given must fit
//!     subject: security/scanner       # * stands for anything
//!     since: 2026-06-01T22:00:00Z     # with expires: a window of maintenance
//!     expires: 2026-06-02T02:00:00Z
//!     reason: the weekly scan of the platform team
//! ```
//!
//! Owns the keys, their errors with the line, and what an entry covers. A suppressed finding
//! is kept with the reason, and alerts nobody. An entry counts by the time of the flows, so
//! that a replay says what the live session said.

mod entry;
mod write;

use std::path::Path;

use super::kind::KindInfo;
use super::moment;
use super::record::{Finding, Suppressed};
use crate::manifest::{KeyedError, Place};

use entry::Entry;
pub use write::{AckError, Acknowledged, acknowledge};

/// The name that is looked for where none is given.
pub const FILE_NAME: &str = "flowwatch.suppress.yaml";
/// Entries of a file: more is no list that people keep.
const MOST_ENTRIES: usize = 10_000;

/// What is wrong with a suppression file.
#[derive(Debug, thiserror::Error)]
pub enum SuppressError {
    /// The file, a key or the kind of a value.
    #[error(transparent)]
    File(#[from] KeyedError),
    /// An entry without a reason.
    #[error("{file}:{}: a suppression needs a reason", at.line)]
    NoReason {
        /// The file.
        file: String,
        /// Where.
        at: Place,
    },
    /// An entry that would cover everything.
    #[error("{file}:{}: a suppression needs one of: id, kind, subject, peer, port", at.line)]
    Everything {
        /// The file.
        file: String,
        /// Where.
        at: Place,
    },
    /// A value that is none.
    #[error("{file}:{}: {key} is '{text}', expected {expected}", at.line)]
    Value {
        /// The file.
        file: String,
        /// Where.
        at: Place,
        /// The key.
        key: &'static str,
        /// As written.
        text: String,
        /// What it must be.
        expected: &'static str,
    },
    /// More entries than are read.
    #[error("{file}: more than {MOST_ENTRIES} suppressions")]
    TooMany {
        /// The file.
        file: String,
    },
}

/// The entries of a file. `Default` suppresses nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suppressions {
    file: String,
    entries: Vec<Entry>,
}

impl Suppressions {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SuppressError`] with the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self, SuppressError> {
        let text = crate::manifest::read_keyed(path)?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a text; `file` names it in errors.
    ///
    /// # Errors
    /// As [`Suppressions::read`].
    pub fn parse(text: &str, file: &str) -> Result<Self, SuppressError> {
        Ok(Self {
            file: file.to_owned(),
            entries: entry::entries(text, file)?,
        })
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Why a finding alerts nobody: the first entry that covers it at its end.
    #[must_use]
    pub fn covers(&self, finding: &Finding) -> Option<Suppressed> {
        let covering = self.entries.iter().find(|entry| entry.covers(finding))?;
        Some(Suppressed {
            reason: covering.reason.clone(),
            until: covering.expires.map(moment::text),
            by: format!("{}:{}", self.file, covering.at.line),
        })
    }

    /// Sentences about the entries that have expired at a time.
    #[must_use]
    pub fn expired(&self, now: i64) -> Vec<String> {
        let expired = self
            .entries
            .iter()
            .filter(|entry| entry.expires.is_some_and(|end| end <= now));
        expired
            .map(|entry| {
                format!(
                    "{}:{}: expired on {}: {}",
                    self.file,
                    entry.at.line,
                    moment::text(entry.expires.unwrap_or_default()),
                    entry.reason
                )
            })
            .collect()
    }
}

/// Whether a text is a kind or a detector.
fn is_kind(text: &str) -> bool {
    KindInfo::of(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::testing::{HOUR, TEN, finding, seen, workload};

    const DAY: i64 = 24 * HOUR;

    fn parse(text: &str) -> Suppressions {
        Suppressions::parse(text, "s.yaml").unwrap()
    }

    fn error(text: &str) -> String {
        Suppressions::parse(text, "s.yaml").unwrap_err().to_string()
    }

    fn scan() -> Finding {
        finding(&seen("scan", workload("security/scanner"), None, 1e-6))
    }

    #[test]
    fn all_that_an_entry_says_must_fit() {
        let fits = |entry: &str| {
            let text = format!("suppressions:\n- {{{entry}, reason: meant}}\n");
            parse(&text).covers(&scan()).is_some()
        };
        for entry in [
            "kind: scan",
            "kind: D7",
            "subject: security/scanner",
            "subject: security/*",
            "port: 8443",
            "port: 8443/TCP",
            "kind: scan, subject: '*/scanner', port: 8443/tcp",
            "subject: 'prod/security/scanner'",
        ] {
            assert!(fits(entry), "{entry}");
        }
        for entry in [
            "kind: beacon",
            "kind: scan, subject: shop/*",
            "subject: scanner",
            "peer: '*'",
            "port: 8443/UDP",
            "port: 844",
            "id: '0000000000000000'",
        ] {
            assert!(!fits(entry), "{entry}");
        }
    }

    #[test]
    fn an_entry_by_id_covers_that_finding_alone() {
        let id = scan().id;
        let by_id = parse(&format!(
            "suppressions:\n- id: ['0123456789abcdef', '{id}']\n  reason: meant\n"
        ));
        let why = by_id.covers(&scan()).unwrap();
        assert_eq!(
            (why.reason.as_str(), why.by.as_str()),
            ("meant", "s.yaml:2")
        );
        assert_eq!(why.until, None);
        let other = finding(&seen("beacon", workload("security/scanner"), None, 1e-6));
        assert!(by_id.covers(&other).is_none());
    }

    /// Guarantees: the time of the flows counts, not the clock, on both ends.
    #[test]
    fn a_window_covers_what_ended_within_it() {
        let window = parse(
            "suppressions:\n- kind: scan\n  since: 2026-06-01T10:00:00Z\n  expires: 2026-06-01\n  reason: r\n",
        );
        // A day alone is its end: what happens on it is covered.
        let at = |last: i64| {
            let mut one = scan();
            one.last = last;
            window.covers(&one).is_some()
        };
        assert!(!at(TEN - 1));
        assert!(at(TEN));
        assert!(at(TEN + 14 * HOUR - 1));
        assert!(!at(TEN + 14 * HOUR));
        assert!(window.expired(TEN).is_empty());
        assert_eq!(
            window.expired(TEN + DAY),
            ["s.yaml:2: expired on 2026-06-02T00:00:00Z: r"]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, wanted) in [
            (
                "suppressions:\n- kind: scan\n",
                "s.yaml:2: a suppression needs a reason",
            ),
            (
                "suppressions:\n- kind: scan\n  reason: ' '\n",
                "s.yaml:2: a suppression needs a reason",
            ),
            (
                "suppressions:\n- reason: all of it\n",
                "s.yaml:2: a suppression needs one of: id, kind, subject, peer, port",
            ),
            (
                "suppressions:\n- kind: scan\n  reason: r\n  until: x\n",
                "s.yaml:4: unknown key 'suppressions.until', expected one of: id, kind, subject, peer, port, since, expires, reason",
            ),
            (
                "suppression: []\n",
                "s.yaml:1: unknown key 'suppression', expected one of: version, suppressions",
            ),
            ("version: 2\n", "s.yaml:1: version must be 1"),
            (
                "suppressions:\n- kind: scam\n  reason: r\n",
                "s.yaml:2: kind is 'scam', expected the kind or the detector of a finding, such as new-edge or D1",
            ),
            (
                "suppressions:\n- id: 12\n  reason: r\n",
                "s.yaml:2: id must be 16 hexadecimal digits in quotes, or a list of such",
            ),
            (
                "suppressions:\n- id: xyz\n  reason: r\n",
                "s.yaml:2: id is 'xyz', expected 16 hexadecimal digits",
            ),
            (
                "suppressions:\n- kind: scan\n  reason: r\n  expires: tomorrow\n",
                "s.yaml:4: expires is 'tomorrow', expected a day or a time, such as 2026-12-31 or 2026-12-31T18:00:00Z",
            ),
            (
                "suppressions:\n- port: 99999\n  reason: r\n",
                "s.yaml:2: port is '99999', expected a port such as 443 or 443/TCP",
            ),
            (
                "suppressions: yes\n",
                "s.yaml:1: suppressions must be a list",
            ),
        ] {
            assert_eq!(error(text), wanted, "{text}");
        }
        assert!(error("suppressions: [").starts_with("s.yaml:1:"));
    }

    #[test]
    fn an_empty_file_suppresses_nothing() {
        for text in [
            "",
            "# nothing\n",
            "suppressions:\n",
            "version: 1\nsuppressions: []\n",
        ] {
            assert!(parse(text).is_empty(), "{text}");
        }
    }
}
