//! What is unusual, as a part of a report.
//!
//! Owns what belongs together of it: what was found, and what could not be looked for. Found
//! it is elsewhere: by the detectors, at the desk of `finding`.

use crate::detect::Blindness;
use crate::finding::Findings;

/// What was found, where a baseline was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Anomalies {
    /// Findings and incidents as they stand at the end.
    pub findings: Findings,
    /// What detectors could not see: nothing found of it says nothing.
    pub blind: Vec<Blindness>,
    /// Sentences about the baseline: since when it learns, how far it is.
    pub notes: Vec<String>,
}
