//! What a check says: which check, how bad, where, one sentence, and how to mend it.
//!
//! Owns the values. What they look like is `render`'s.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::manifest::Place;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Works as Cilium says, and surprises.
    Info,
    /// Probably not what was meant.
    Warning,
    /// Has no effect, or the opposite of the one it was written for.
    Error,
}

impl Severity {
    /// `info`, `warning`, `error`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no severity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no severity, expected info, warning or error")]
pub struct NoSeverity(String);

impl FromStr for Severity {
    type Err = NoSeverity;

    fn from_str(text: &str) -> Result<Self, NoSeverity> {
        [Self::Info, Self::Warning, Self::Error]
            .into_iter()
            .find(|severity| severity.name() == text)
            .ok_or_else(|| NoSeverity(text.to_owned()))
    }
}

/// A thing that is looked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, also its section in the guide.
    pub id: &'static str,
    /// How bad it is as a rule; a finding can be milder.
    pub severity: Severity,
    /// What it finds, a fragment.
    pub summary: &'static str,
}

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintFinding {
    /// Which check.
    pub check: &'static Check,
    /// How bad.
    pub severity: Severity,
    /// The file, as given.
    pub file: Arc<str>,
    /// Where in the file.
    pub at: Place,
    /// `Kind/namespace/name`; empty where there is no object.
    pub object: Arc<str>,
    /// The field, as a path; empty for the object as a whole.
    pub field: String,
    /// What is the matter, one sentence without its full stop.
    pub message: String,
    /// What to do about it, one sentence without its full stop.
    pub mend: String,
    /// The reason somebody gave for leaving it as it is.
    pub suppressed: Option<Arc<str>>,
}

impl LintFinding {
    /// In the order people read: by file, then by place.
    #[must_use]
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        self.file
            .cmp(&other.file)
            .then(self.at.cmp(&other.at))
            .then(other.severity.cmp(&self.severity))
            .then(self.check.id.cmp(other.check.id))
            .then_with(|| self.field.cmp(&other.field))
    }
}
