//! A report as Markdown, for a comment or a wiki.

use std::fmt::Write as _;

use super::Options;
use super::outline::{Outline, Table};
use super::words::harmless;

pub(super) fn write(out: &mut String, outline: &Outline, options: &Options) {
    out.push_str("# Flows\n\n");
    for sentence in &outline.short {
        let _ = writeln!(out, "- {}", text(sentence));
    }
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
        let _ = writeln!(out, "- {}: {}", text(who), text(line));
    }
}

/// Text that stays text: no markup, no cell of its own, no element of HTML.
fn text(text: &str) -> String {
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
    fn text_is_no_markup() {
        assert_eq!(
            text("a|b `c` <d> [e](f)"),
            "a\\|b \\`c\\` &lt;d&gt; \\[e\\](f)"
        );
    }
}
