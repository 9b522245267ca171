//! The pages of an incident bundle, as Markdown.
//!
//! Owns their words and order: the first page, which is read in a minute; the timeline, how
//! far it reaches, what to save and to revoke, and the page to fill in. What is in them is
//! `respond`'s. Computes nothing.

mod forensics;
mod improvement;
mod radius;
mod readme;
mod runbook;
mod timeline;
mod words;

pub use forensics::forensics;
pub use improvement::{Improvement, improvement};
pub use radius::radius;
pub use readme::readme;
pub use runbook::runbook;
pub use timeline::timeline;

use crate::finding::{Finding, Incident};
use crate::respond::credentials::Credential;
use crate::respond::scope::{Radius, Timeline};
use crate::respond::snapshot::Snapshot;
use crate::review::trace::Trace;

/// All that pages are made of.
#[derive(Debug)]
pub struct Bundle<'a> {
    /// Whom it is about, as it is typed.
    pub target: String,
    /// When it was made, in nanoseconds since 1970 UTC.
    pub made: i64,
    /// The incident, where a file tells it.
    pub incident: Option<&'a Incident>,
    /// Its findings.
    pub findings: &'a [Finding],
    /// Who talked to the target.
    pub trace: &'a Trace,
    /// What happened.
    pub timeline: &'a Timeline,
    /// How far it reaches.
    pub radius: &'a Radius,
    /// What to save.
    pub snapshots: &'a [Snapshot],
    /// Pods beyond those that are listed to save.
    pub more_pods: usize,
    /// What to revoke.
    pub credentials: &'a [Credential],
    /// What cuts it off.
    pub cut: Cut,
    /// Recordings, as they were named.
    pub flows: Vec<String>,
    /// Policies, as they were named.
    pub policies: Vec<String>,
    /// Files of the bundle with what each is for, in order.
    pub pages: Vec<(&'static str, &'static str)>,
    /// The folder, as it was named.
    pub folder: String,
}

/// What cuts the target off, as far as pages tell it.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    /// The pattern, by its name.
    pub pattern: String,
    /// What it does, a sentence without its end.
    pub purpose: String,
    /// What was proven: `proven`, `undecided`, `refuted`.
    pub proof: String,
    /// What stays open, or is not known, as sentences; those that matter most first.
    pub open: Vec<String>,
    /// What else breaks, as sentences.
    pub breaks: Vec<String>,
    /// What to type to apply it, with why.
    pub apply: Vec<(String, String)>,
    /// What to type to take it back.
    pub undo: Vec<(String, String)>,
    /// What GitOps and controllers do to it.
    pub gitops: Vec<String>,
    /// When it is to be looked at again, RFC 3339; empty where nobody said.
    pub expires: String,
}
