//! Findings held against what really happened.
//!
//! Owns which finding is about which incident (`matching`), and the figures that come of it
//! (`tally`). Reads both files by their fields alone (`read`) and knows no detector: what a
//! file says is judged, whoever wrote it.

mod fields;
mod json;
mod matching;
mod party;
mod read;
mod tally;
#[cfg(test)]
mod tests;

pub use crate::finding::Severity;
pub use read::{Found, FoundFile, ScoreError, TruthFile};
pub use tally::{Budget, Calibration, Days, KindScore, Score, Share, Spread};

/// What is compared, and how strictly.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreOptions {
    /// Incidents below it raise no false alarm and find nothing.
    pub severity: Severity,
    /// From when on, in nanoseconds since 1970; before that is training.
    pub from: Option<i64>,
    /// Until when.
    pub until: Option<i64>,
    /// How long after its end an incident may still be found, in nanoseconds.
    pub grace: i64,
    /// Detectors that are there: incidents that none of them is made for count apart. Empty:
    /// all.
    pub detectors: Vec<String>,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self {
            severity: Severity::Medium,
            from: None,
            until: None,
            grace: 3_600_000_000_000,
            detectors: Vec::new(),
        }
    }
}

/// Holds findings against the truth.
#[must_use]
pub fn score(found: &FoundFile, truth: &TruthFile, options: &ScoreOptions) -> Score {
    tally::tally(found, truth, options)
}
