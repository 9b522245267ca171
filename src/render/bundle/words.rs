//! Small helpers of pages.

use std::fmt::Write as _;

use crate::render::report::markdown::{code, text};

/// A heading.
pub(super) fn heading(out: &mut String, level: usize, title: &str) {
    let _ = writeln!(out, "\n{} {}\n", "#".repeat(level), text(title));
}

/// A line of a list.
pub(super) fn item(out: &mut String, line: &str) {
    let _ = writeln!(out, "- {}", text(line));
}

/// Commands to be copied. Text of flows in them is harmless, and ends no fence.
pub(super) fn commands<'a>(out: &mut String, commands: impl IntoIterator<Item = &'a str>) {
    out.push_str("```sh\n");
    for command in commands {
        let command = crate::render::report::words::harmless(command);
        out.push_str(&command.replace("```", "` ` `"));
        out.push('\n');
    }
    out.push_str("```\n");
}

/// A table's line.
pub(super) fn row(out: &mut String, cells: &[String]) {
    out.push('|');
    for cell in cells {
        let _ = write!(out, " {} |", text(cell));
    }
    out.push('\n');
}

/// The head of a table.
pub(super) fn head(out: &mut String, columns: &[&str]) {
    let _ = writeln!(out, "| {} |", columns.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(columns.len()));
}

/// A command within a sentence.
pub(super) fn inline(command: &str) -> String {
    code(command)
}
