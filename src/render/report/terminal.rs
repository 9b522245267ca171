//! A report on a terminal: the story, then sections with tables that fit its width.

use super::Options;
use super::outline::{Outline, Row, Table, Tone};
use super::words::harmless;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Columns between two cells.
const SPACE: usize = 2;
/// Columns of the margin.
const MARGIN: usize = 2;
/// A cell is not cut below this.
const NARROWEST: usize = 12;
/// Columns that are always shown.
const FEWEST: usize = 3;

pub(in crate::render) fn write(out: &mut String, outline: &Outline, options: &Options) {
    let page = Page { options };
    page.heading(out, "In short");
    for sentence in &outline.short {
        page.sentence(out, sentence, "");
    }
    if !outline.checks.is_empty() {
        out.push('\n');
        page.heading(out, "Checklist");
        for check in &outline.checks {
            page.sentence(out, &format!("[ ] {}", check.text), "");
            page.command(out, check.command.as_deref());
        }
    }
    for section in &outline.sections {
        out.push('\n');
        page.heading(out, section.title);
        for note in &section.notes {
            page.sentence(out, note, "");
        }
        for table in &section.tables {
            page.table(
                out,
                table,
                section.tables.len() > 1 || !section.notes.is_empty(),
            );
        }
    }
}

struct Page<'a> {
    options: &'a Options,
}

impl Page<'_> {
    fn paint(&self, text: &str, paint: &str) -> String {
        if self.options.color && !paint.is_empty() && !text.is_empty() {
            format!("{paint}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }

    fn heading(&self, out: &mut String, title: &str) {
        out.push_str(&self.paint(title, BOLD));
        out.push('\n');
    }

    /// A command below what it is about. It is copied: it stays on one line.
    fn command(&self, out: &mut String, command: Option<&str>) {
        if let Some(command) = command {
            out.push_str(&" ".repeat(MARGIN + 4));
            out.push_str(&self.paint(&harmless(command), DIM));
            out.push('\n');
        }
    }

    /// A sentence over as many lines as it takes.
    fn sentence(&self, out: &mut String, text: &str, paint: &str) {
        let text = harmless(text);
        let room = self.options.width.saturating_sub(MARGIN).max(20);
        let mut line = String::new();
        let mut lines = 0;
        let mut flush = |line: &mut String| {
            let margin = MARGIN + if lines > 0 { 2 } else { 0 };
            out.push_str(&" ".repeat(margin));
            out.push_str(&self.paint(line, paint));
            out.push('\n');
            line.clear();
            lines += 1;
        };
        for word in text.split(' ') {
            if !line.is_empty() && width(&line) + 1 + width(word) + 2 > room {
                flush(&mut line);
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        flush(&mut line);
    }

    fn table(&self, out: &mut String, table: &Table, titled: bool) {
        let shown = table.rows.len().min(self.options.top);
        let rows = &table.rows[..shown];
        if titled {
            out.push('\n');
            out.push_str(&" ".repeat(MARGIN));
            let count = if table.rows.len() > shown {
                format!(" (first {shown} of {})", table.rows.len())
            } else {
                String::new()
            };
            out.push_str(&self.paint(&format!("{}{count}", table.title), BOLD));
            out.push('\n');
        }
        // A column that says nothing takes no room.
        let mut used: Vec<usize> = (0..table.columns.len())
            .filter(|column| rows.iter().any(|row| !cell(row, *column).is_empty()))
            .collect();
        let mut widths = self.widths(table, rows, &used);
        // Where not even narrow columns fit, the last ones are left out.
        while used.len() > FEWEST && widths.iter().sum::<usize>() > self.room(used.len()) {
            used.pop();
            widths = self.widths(table, rows, &used);
        }
        let header: Vec<String> = used
            .iter()
            .map(|column| table.columns[*column].name.to_owned())
            .collect();
        self.line(out, table, &used, &widths, &header, DIM);
        for row in rows {
            let cells: Vec<String> = used
                .iter()
                .map(|column| harmless(cell(row, *column)))
                .collect();
            self.line(out, table, &used, &widths, &cells, paint_of(row.tone));
            for below in &row.below {
                // A command is copied: it stays on one line.
                out.push_str(&" ".repeat(MARGIN + 2));
                out.push_str(&self.paint(&harmless(below), DIM));
                out.push('\n');
            }
        }
        if let Some(others) = &table.others {
            self.sentence(out, &format!("and {others}"), DIM);
        }
    }

    /// Room for the cells of so many columns.
    fn room(&self, columns: usize) -> usize {
        self.options
            .width
            .saturating_sub(MARGIN + SPACE * columns.saturating_sub(1))
    }

    /// Widths that fit: the widest flexible columns give way first.
    fn widths(&self, table: &Table, rows: &[Row], used: &[usize]) -> Vec<usize> {
        let mut widths: Vec<usize> = used
            .iter()
            .map(|column| {
                rows.iter()
                    .map(|row| width(&harmless(cell(row, *column))))
                    .chain([table.columns[*column].name.len()])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let room = self.room(used.len());
        while widths.iter().sum::<usize>() > room {
            let widest = (0..used.len())
                .filter(|at| table.columns[used[*at]].flexible && widths[*at] > NARROWEST)
                .max_by_key(|at| widths[*at]);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
        }
        widths
    }

    fn line(
        &self,
        out: &mut String,
        table: &Table,
        used: &[usize],
        widths: &[usize],
        cells: &[String],
        paint: &str,
    ) {
        let mut line = String::new();
        for (at, text) in cells.iter().enumerate() {
            let text = cut(text, widths[at]);
            let space = " ".repeat(widths[at] - width(&text));
            if at > 0 {
                line.push_str(&" ".repeat(SPACE));
            }
            if table.columns[used[at]].number {
                line.push_str(&space);
                line.push_str(&text);
            } else {
                line.push_str(&text);
                line.push_str(&space);
            }
        }
        out.push_str(&" ".repeat(MARGIN));
        out.push_str(&self.paint(line.trim_end(), paint));
        out.push('\n');
    }
}

fn cell(row: &Row, column: usize) -> &str {
    row.cells.get(column).map_or("", String::as_str)
}

fn paint_of(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Good => GREEN,
        Tone::Attention => YELLOW,
        Tone::Bad => RED,
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The text in so many columns: of names the end tells more than the middle.
fn cut(text: &str, room: usize) -> String {
    let count = width(text);
    if count <= room {
        return text.to_owned();
    }
    let dots = 2.min(room);
    let kept = room - dots;
    let tail = kept / 2;
    let head: String = text.chars().take(kept - tail).collect();
    let end: String = text.chars().skip(count - tail).collect();
    format!("{head}{}{end}", &".."[..dots])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_keeps_both_ends() {
        assert_eq!(cut("abcdefghij", 10), "abcdefghij");
        assert_eq!(cut("abcdefghij", 8), "abc..hij");
        assert_eq!(cut("abcdefghij", 1), ".");
    }
}
