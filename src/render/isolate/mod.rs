//! A quarantine and its proof, as pages of a bundle, for a terminal and for programs.
//!
//! Owns words and order. The first page says in this order whether it is proven, what to
//! type, who is hit, what stays open, how to take it back. Computes nothing.

mod json;
mod proof;
mod readme;
mod terminal;
mod words;

pub use json::{VERSION, json};
pub use proof::proof;
pub use readme::readme;
pub use terminal::terminal;

use jiff::Timestamp;

use super::report::outline::short::holes;
use crate::respond::layout::Page;
use crate::review::report::Reading;

/// What is shown beside a plan and its proof, known to the caller alone.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether to colour.
    pub color: bool,
    /// Rows of a table.
    pub top: usize,
    /// Recordings, as they were named.
    pub flows: Vec<String>,
    /// Policies, as they were named.
    pub policies: Vec<String>,
    /// When it was made.
    pub made: Timestamp,
    /// First and last flow, in nanoseconds since 1970 UTC.
    pub seen: Option<(i64, i64)>,
    /// Flows that were read.
    pub read: u64,
    /// What happened and how sure that is: sections of Markdown, for the first page.
    pub story: String,
    /// What would have prevented it, a line of Markdown; empty where nothing was asked.
    pub prevented: String,
    /// What the recordings miss: sentences.
    pub missing: Vec<String>,
    /// Of the edges that flows show, those that a NetworkPolicy without rules would leave
    /// open, and how many there are.
    pub deny_all: Option<(u64, u64)>,
    /// Pages that are in the bundle.
    pub pages: Vec<Page>,
    /// Folder of the bundle, where there is one.
    pub folder: Option<String>,
}

/// What recordings miss, where they miss something.
#[must_use]
pub fn missing(reading: &Reading) -> Option<String> {
    holes(reading)
}
