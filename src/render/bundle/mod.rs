//! The pages of an incident bundle, as Markdown.
//!
//! Owns their words and order: what happened and how sure that is, for the first page; the
//! timeline, how far it reaches, what to save and to revoke, the page to fill in, and what
//! would have prevented it. What is
//! in them is `respond`'s; what is said of the quarantine is `isolate`'s. Computes nothing.

mod forensics;
mod improvement;
mod prevention;
mod radius;
mod runbook;
mod story;
mod timeline;
mod words;

pub use forensics::forensics;
pub use improvement::improvement;
pub use prevention::{prevented, prevention};
pub use radius::radius;
pub use runbook::runbook;
pub use story::story;
pub use timeline::timeline;

use crate::finding::{Finding, Incident};
use crate::respond::credentials::Credential;
use crate::respond::improvement::{Nothing, Prevention};
use crate::respond::quarantine::Plan;
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
    /// What would have prevented it.
    pub improvement: &'a Result<Prevention, Nothing>,
    /// What cuts it off.
    pub plan: &'a Plan,
    /// Recordings, as they were named.
    pub flows: Vec<String>,
    /// Policies, as they were named.
    pub policies: Vec<String>,
}
