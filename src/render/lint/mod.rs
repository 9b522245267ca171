//! How findings of `policy lint` are shown: text, JSON and SARIF.
//!
//! Owns the forms. Which findings there are and which of them count is the caller's.

mod json;
pub(in crate::render) mod sarif;
mod text;

pub use json::json;
pub use sarif::sarif;
pub use text::text;

use crate::policy::lint::{LintFinding, Severity};
use crate::render::sarif as sarif_log;

/// The page of the guide with a section a check.
const GUIDE: &str = "docs/lint.md";

/// How many findings there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LintCounts {
    /// Errors.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
    /// Infos.
    pub infos: usize,
    /// Those that somebody gave a reason for; in none of the others.
    pub suppressed: usize,
}

impl LintCounts {
    /// Counts findings.
    #[must_use]
    pub fn of(findings: &[LintFinding]) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            let count = match (&finding.suppressed, finding.severity) {
                (Some(_), _) => &mut counts.suppressed,
                (None, Severity::Error) => &mut counts.errors,
                (None, Severity::Warning) => &mut counts.warnings,
                (None, Severity::Info) => &mut counts.infos,
            };
            *count += 1;
        }
        counts
    }
}

/// A number that stays the same for the same finding, wherever in its file it moves to.
fn fingerprint(finding: &LintFinding) -> String {
    sarif_log::fingerprint(&[
        finding.check.id,
        &*finding.file,
        &*finding.object,
        &*finding.field,
    ])
}
