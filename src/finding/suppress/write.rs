//! Acknowledging findings: an entry more in a suppression file, whose comments stay.
//!
//! Owns what an entry looks like that the program writes. Files are the caller's.

use std::fmt::Write as _;

use super::entry::span;
use super::{SuppressError, Suppressions};
use crate::finding::moment;
use crate::finding::record::Finding;
use crate::manifest::{EditError, append_item};

/// What a new file begins with.
const HEADER: &str = "\
# Findings that are known and meant: kept with the reason, and nobody is told of them.
# What an entry can say: docs/findings.md. Entries without `expires` hold for ever.
";

/// A file with an entry more, or why not.
#[derive(Debug, thiserror::Error)]
pub enum AckError {
    /// The file cannot be added to.
    #[error("{file}: {error}; add this yourself:\n{entry}")]
    Edit {
        /// The file.
        file: String,
        /// Why.
        error: EditError,
        /// What was to be added.
        entry: String,
    },
    /// The file, as it is or as it would be, is wrong.
    #[error(transparent)]
    File(#[from] SuppressError),
    /// The reason says nothing.
    #[error("a suppression needs a reason")]
    NoReason,
    /// The end is none.
    #[error("'{0}' is no day or time, such as 2026-12-31 or 2026-12-31T18:00:00Z")]
    Expires(String),
}

/// What acknowledging came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The whole text of the file.
    pub text: String,
    /// Findings that are covered now and were not before.
    pub covered: usize,
}

/// The text of a suppression file with an entry for findings; `text` is empty where there is
/// no file yet. Findings that are covered already get no second entry.
///
/// # Errors
/// [`AckError`]; the file is then as it was.
pub fn acknowledge(
    text: &str,
    file: &str,
    findings: &[&Finding],
    reason: &str,
    expires: Option<&str>,
) -> Result<Acknowledged, AckError> {
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    if reason.is_empty() {
        return Err(AckError::NoReason);
    }
    if let Some(typed) = expires.filter(|typed| span(typed).is_none()) {
        return Err(AckError::Expires(typed.to_owned()));
    }
    let before = Suppressions::parse(text, file)?;
    let mut new: Vec<&Finding> = findings
        .iter()
        .copied()
        .filter(|finding| before.covers(finding).is_none())
        .collect();
    new.sort_by_key(|finding| (finding.first, &finding.id));
    new.dedup_by_key(|finding| &finding.id);
    if new.is_empty() {
        return Ok(Acknowledged {
            text: text.to_owned(),
            covered: 0,
        });
    }
    let entry = entry(&new, &reason, expires);
    let begun = if text.is_empty() { HEADER } else { text };
    let written = append_item(begun, "suppressions", &entry).map_err(|error| AckError::Edit {
        file: file.to_owned(),
        error,
        entry: entry.clone(),
    })?;
    Suppressions::parse(&written, file)?;
    Ok(Acknowledged {
        text: written,
        covered: new.len(),
    })
}

fn entry(findings: &[&Finding], reason: &str, expires: Option<&str>) -> String {
    let mut entry = String::new();
    for finding in findings {
        let title = finding.title.replace(char::is_control, " ");
        let _ = writeln!(
            entry,
            "# {} {title} ({})",
            finding.detector,
            moment::text(finding.first)
        );
    }
    let ids: Vec<String> = findings.iter().map(|finding| quoted(&finding.id)).collect();
    let _ = match &ids[..] {
        [one] => writeln!(entry, "id: {one}"),
        many => writeln!(entry, "id: [{}]", many.join(", ")),
    };
    let _ = writeln!(entry, "reason: {}", quoted(reason));
    if let Some(expires) = expires {
        let _ = writeln!(entry, "expires: {}", quoted(expires));
    }
    entry
}

/// A text in double quotes, as JSON and YAML both read it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::testing::{finding, name, seen, workload};

    fn beacon() -> Finding {
        finding(&seen(
            "beacon",
            workload("a/a"),
            Some(name("x.example")),
            1e-6,
        ))
    }

    #[test]
    fn an_entry_is_written_with_what_it_is_about_and_is_read_again() {
        let one = beacon();
        let done = acknowledge(
            "",
            "s.yaml",
            &[&one],
            " the agent's\n heartbeat ",
            Some("2026-12-31"),
        )
        .unwrap();
        assert_eq!(done.covered, 1);
        let wanted = format!(
            "{HEADER}suppressions:\n  # D9 a/a calls x.example:8443/TCP in a rhythm (2026-06-01T10:00:00Z)\n  \
             - id: \"{}\"\n    reason: \"the agent's heartbeat\"\n    expires: \"2026-12-31\"\n",
            one.id
        );
        assert_eq!(done.text, wanted);
        let read = Suppressions::parse(&done.text, "s.yaml").unwrap();
        assert_eq!(read.covers(&one).unwrap().reason, "the agent's heartbeat");
    }

    #[test]
    fn what_is_covered_already_gets_no_second_entry() {
        let (one, other) = (
            beacon(),
            finding(&seen("scan", workload("a/a"), None, 1e-6)),
        );
        let first = acknowledge("", "s", &[&one], "r", None).unwrap();
        let again = acknowledge(&first.text, "s", &[&one], "r", None).unwrap();
        assert_eq!((again.text, again.covered), (first.text.clone(), 0));
        let both = acknowledge(&first.text, "s", &[&one, &other, &other], "r", None).unwrap();
        assert_eq!(both.covered, 1);
        assert!(both.text.starts_with(&first.text));
    }

    #[test]
    fn odd_titles_and_reasons_stay_text() {
        let mut one = beacon();
        one.title = "a\nb: - [x]".to_owned();
        let done = acknowledge("", "s", &[&one], "\"quoted\": # {no} \u{1b}", None).unwrap();
        let read = Suppressions::parse(&done.text, "s").unwrap();
        assert_eq!(
            read.covers(&one).unwrap().reason,
            "\"quoted\": # {no} \u{1b}"
        );
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let one = beacon();
        let error = |text: &str, reason: &str, expires: Option<&str>| {
            acknowledge(text, "s.yaml", &[&one], reason, expires)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error("", " ", None), "a suppression needs a reason");
        assert!(error("", "r", Some("soon")).starts_with("'soon' is no day or time"));
        assert!(
            error("suppressions: [{kind: scan, reason: r}]\n", "r", None)
                .contains("add this yourself:\n# D9")
        );
        assert!(error("x: 1\n", "r", None).starts_with("s.yaml:1: unknown key 'x'"));
    }
}
