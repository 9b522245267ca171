//! Findings and incidents, each told in full: text, Markdown, lines of JSON, SARIF.
//!
//! Owns the forms. Lists of them are tables of `render::report`. Which there are, and which
//! of them people are told of, is `finding`'s.

mod json;
mod markdown;
mod sarif;
mod text;
mod words;

pub use json::lines;
pub use markdown::{incident_markdown, incidents_markdown};
pub use sarif::sarif;
pub use text::{finding_text, incident_line, incident_text};
pub(in crate::render) use words::reading as verdict;

/// The page of the guide with a section a kind.
const GUIDE: &str = "docs/findings.md";
