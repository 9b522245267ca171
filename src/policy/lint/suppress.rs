//! Comments that say a finding is known and meant.
//!
//! ```yaml
//! # flowwatch: ignore fqdn-without-dns-rule -- the platform's policy has the DNS rule
//! - toFQDNs: [{matchName: example.com}]
//! ```
//!
//! Owns what a comment covers: on a line of its own, the next value and what is below it;
//! before the first line of a document, the whole document; at the end of a line, that line.
//! The reason after `--` is obligatory, for whoever reads it next.

use std::sync::Arc;

use super::checks::{self, CHECKS};
use super::finding::{Check, LintFinding};
use crate::manifest::Place;

/// The comments of one file.
#[derive(Clone, Debug, Default)]
pub struct Suppressions {
    file: Arc<str>,
    comments: Vec<Comment>,
}

#[derive(Clone, Debug)]
struct Comment {
    at: Place,
    ids: Vec<String>,
    reason: Option<Arc<str>>,
    /// First and last line that are covered.
    lines: (u32, u32),
}

const MARK: &str = "flowwatch:";
const VERB: &str = "ignore";

impl Suppressions {
    /// Finds the comments of a file. Texts that look like one count too: in a policy there
    /// are none.
    #[must_use]
    pub fn read(text: &str, file: Arc<str>) -> Self {
        if !text.contains(MARK) {
            return Self {
                file,
                comments: Vec::new(),
            };
        }
        let lines: Vec<&str> = text.lines().collect();
        let mut comments = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let Some(hash) = comment_start(line) else {
                continue;
            };
            let Some(said) = said(&line[hash + 1..]) else {
                continue;
            };
            let (ids, reason) = match said.split_once("--") {
                Some((ids, reason)) => (ids, Some(reason.trim())),
                None => (said, None),
            };
            let own_line = line[..hash].trim().is_empty();
            comments.push(Comment {
                at: Place {
                    line: index as u32 + 1,
                    column: line[..hash].chars().count() as u32 + 1,
                },
                ids: ids
                    .split([',', ' '])
                    .filter(|id| !id.is_empty())
                    .map(str::to_owned)
                    .collect(),
                reason: reason.filter(|reason| !reason.is_empty()).map(Arc::from),
                lines: if own_line {
                    covered(&lines, index)
                } else {
                    (index as u32 + 1, index as u32 + 1)
                },
            });
        }
        Self { file, comments }
    }

    /// Marks the findings of this file that a comment covers, and adds what is wrong with
    /// the comments.
    pub fn apply(&self, findings: &mut Vec<LintFinding>) {
        for comment in &self.comments {
            let mut used = false;
            let of_file = findings
                .iter_mut()
                .filter(|finding| finding.file == self.file);
            for finding in of_file {
                let inside = (comment.lines.0..=comment.lines.1).contains(&finding.at.line);
                let named = comment.ids.iter().any(|id| id == finding.check.id);
                if inside && named {
                    used = true;
                    if let Some(reason) = &comment.reason {
                        finding.suppressed.get_or_insert_with(|| Arc::clone(reason));
                    }
                }
            }
            self.judge(comment, used, findings);
        }
    }

    fn judge(&self, comment: &Comment, used: bool, findings: &mut Vec<LintFinding>) {
        let mut say = |check: &'static Check, message: String, mend: &str| {
            findings.push(LintFinding {
                check,
                severity: check.severity,
                file: Arc::clone(&self.file),
                at: comment.at,
                object: Arc::default(),
                field: String::new(),
                message,
                mend: mend.to_owned(),
                suppressed: None,
            });
        };
        let unknown = comment
            .ids
            .iter()
            .find(|id| !CHECKS.iter().any(|check| check.id == **id));
        if let Some(id) = unknown {
            say(
                &checks::SUPPRESSION_UNKNOWN,
                format!("there is no check '{id}'"),
                "use an id as findings show it",
            );
        } else if comment.ids.is_empty() {
            say(
                &checks::SUPPRESSION_UNKNOWN,
                "the comment names no check".to_owned(),
                "write 'flowwatch: ignore ID -- reason'",
            );
        } else if comment.reason.is_none() {
            say(
                &checks::SUPPRESSION_REASON,
                "the comment has no reason, and is not followed".to_owned(),
                "write '-- ' and why this is as it should be",
            );
        } else if !used {
            say(
                &checks::SUPPRESSION_UNUSED,
                format!("nothing here is found by '{}'", comment.ids.join("', '")),
                "remove the comment",
            );
        }
    }
}

/// What a comment says after the mark and the verb.
fn said(comment: &str) -> Option<&str> {
    let said = comment.trim().strip_prefix(MARK)?.trim_start();
    let said = said.strip_prefix(VERB)?;
    (said.is_empty() || said.starts_with(' ')).then(|| said.trim())
}

/// Where a comment begins: at a `#` at the start of a line or after a blank.
fn comment_start(line: &str) -> Option<usize> {
    line.match_indices('#').map(|(at, _)| at).find(|at| {
        line[..*at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
            && line[at + 1..].trim_start().starts_with(MARK)
    })
}

/// First and last line of what follows a comment.
fn covered(lines: &[&str], comment: usize) -> (u32, u32) {
    let is_content = |line: &str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    };
    let is_mark = |line: &str| line.starts_with("---") || line.starts_with("...");
    let number = |index: usize| index as u32 + 1;
    let before = lines[..comment].iter().rev().find(|line| is_content(line));
    let first_of_document = before.is_none_or(|line| is_mark(line));
    let Some(first) = (comment + 1..lines.len()).find(|index| is_content(lines[*index])) else {
        return (number(comment), number(comment));
    };
    // Before the `---` of a document it is about that document.
    let begins = is_mark(lines[first]);
    if first_of_document || begins {
        let from = if begins { first + 1 } else { first };
        let end = (from..lines.len()).find(|index| is_mark(lines[*index]));
        return (number(comment), end.map_or(lines.len() as u32, number));
    }
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let own = indent(lines[first]);
    // A list may stand at the indentation of its key.
    let opens_list = lines[first].trim_end().ends_with(':');
    let end = (first + 1..lines.len()).find(|index| {
        let line = lines[*index];
        is_content(line)
            && (is_mark(line)
                || indent(line) < own
                || (indent(line) == own && !(opens_list && line.trim_start().starts_with("- "))))
    });
    (
        number(first),
        number(end.unwrap_or(lines.len()).saturating_sub(1)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(u32, u32)> {
        let read = Suppressions::read(text, "a.yaml".into());
        read.comments.iter().map(|comment| comment.lines).collect()
    }

    #[test]
    fn a_comment_covers_what_follows_at_its_depth() {
        let text = "\
a: 1
# flowwatch: ignore x -- because
b:
- c: 1
  d: 2
- e: 3
f: 4 # flowwatch: ignore y -- here
g:
  # flowwatch: ignore z -- the item
  - h: 1
    i: 2
  - j: 3
";
        assert_eq!(lines(text), [(3, 6), (7, 7), (10, 11)]);
    }

    #[test]
    fn a_comment_before_a_document_covers_it() {
        let text = "\
# flowwatch: ignore x -- all of it
a: 1
b: 2
---
# flowwatch: ignore y -- the second
c: 3
";
        assert_eq!(lines(text), [(1, 4), (5, 6)]);
    }

    #[test]
    fn other_comments_are_none() {
        assert_eq!(
            lines("# flowwatch: ignored\n# flowwatch ignore x\na: b#flowwatch: ignore x\n"),
            []
        );
    }
}
