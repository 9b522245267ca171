//! A report as Markdown, for a comment or a wiki.

use std::fmt::Write as _;

use super::Options;
use super::outline::{Check, Outline, Table};
use super::words::harmless;

/// How a line begins that says what to do.
const NEXT: &str = "Next: ";

pub(in crate::render) fn write(out: &mut String, outline: &Outline, options: &Options) {
    let _ = writeln!(out, "# {}\n", text(&outline.title));
    for sentence in &outline.short {
        let _ = writeln!(out, "- {}", text(sentence));
    }
    checks(out, &outline.checks);
    for section in &outline.sections {
        let _ = writeln!(out, "\n## {}", section.title);
        if !section.notes.is_empty() {
            out.push('\n');
        }
        for note in &section.notes {
            let _ = writeln!(out, "- {}", text(note));
        }
        for one in &section.tables {
            table(out, one, options.top);
        }
    }
}

/// The list that a reviewer ticks off and signs.
fn checks(out: &mut String, checks: &[Check]) {
    if checks.is_empty() {
        return;
    }
    out.push_str("\n## Checklist\n\n");
    for check in checks {
        let _ = writeln!(out, "- [ ] {}", text(&check.text));
        if let Some(command) = &check.command {
            let shown = if command.contains('<') {
                text(command)
            } else {
                code(command)
            };
            let _ = writeln!(out, "  - {shown}");
        }
    }
    out.push_str("\nReviewed by: ____________________ on: ____________\n");
    out.push_str("\nApproved by: ____________________ on: ____________\n");
}

/// A command between as many backticks as it takes.
pub(in crate::render) fn code(command: &str) -> String {
    let command = harmless(command);
    let longest = command
        .split(|char| char != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let ticks = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{ticks}{space}{command}{space}{ticks}")
}

fn table(out: &mut String, table: &Table, top: usize) {
    let _ = write!(out, "\n### {}\n\n|", table.title);
    for column in &table.columns {
        let _ = write!(out, " {} |", column.name);
    }
    out.push_str("\n|");
    for column in &table.columns {
        out.push_str(if column.number { "---:|" } else { "---|" });
    }
    out.push('\n');
    for row in table.rows.iter().take(top) {
        out.push('|');
        for (at, _) in table.columns.iter().enumerate() {
            let cell = row.cells.get(at).map_or("", String::as_str);
            let _ = write!(out, " {} |", text(cell));
        }
        out.push('\n');
    }
    if table.rows.len() > top {
        let _ = writeln!(out, "\nThe first {top} of {} rows.", table.rows.len());
    }
    if let Some(others) = &table.others {
        let _ = writeln!(out, "\nAnd {}.", text(others));
    }
    // A table has no room for lines below a row.
    let below: Vec<(&str, &String)> = table
        .rows
        .iter()
        .take(top)
        .flat_map(|row| {
            let who = row.cells.first().map_or("", String::as_str);
            row.below.iter().map(move |line| (who, line))
        })
        .collect();
    if !below.is_empty() {
        out.push('\n');
    }
    for (who, line) in below {
        let _ = match line.strip_prefix(NEXT) {
            // Text that some readers would take for markup even there stays escaped.
            Some(command) if command.starts_with("flowwatch ") && !command.contains('<') => {
                writeln!(out, "- {}: next {}", text(who), code(command))
            }
            _ => writeln!(out, "- {}: {}", text(who), text(line)),
        };
    }
}

/// Text that stays text: no markup, no cell of its own, no element of HTML.
pub(in crate::render) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in harmless(text).chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' => {
                out.push('\\');
                out.push(char);
            }
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_stays_in_its_ticks() {
        assert_eq!(code("flowwatch tail a"), "`flowwatch tail a`");
        assert_eq!(code("tail 'a``b'"), "``` tail 'a``b' ```");
    }

    #[test]
    fn text_is_no_markup() {
        assert_eq!(
            text("a|b `c` <d> [e](f)"),
            "a\\|b \\`c\\` &lt;d&gt; \\[e\\](f)"
        );
    }
}
