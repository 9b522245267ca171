//! Where one document of a file ends and the next begins.
//!
//! Owns the cut at `---`, so that each document is read by itself and a bad one takes
//! nothing with it. Does not look inside.

use memchr::memmem;

/// The text of one document, from its `---` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Which document of the file, from 0; empty ones count.
    pub index: usize,
    /// The line of the file it begins at, from 1.
    pub line: u32,
    /// The byte of the file it begins at.
    pub start: usize,
    /// Its text.
    pub text: &'a str,
}

/// The documents of a file. What stands before the first `---` is one only if it has
/// content; directives and comments there belong to the document that follows.
pub(super) fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let markers = memmem::find_iter(text.as_bytes(), "---");
    let mut cuts = markers.filter(|at| is_marker(text, *at)).peekable();
    if cuts.peek().is_some_and(|at| !has_content(&text[..*at])) {
        cuts.next();
    }
    let mut start = Some(0);
    let (mut line, mut index) = (1, 0);
    std::iter::from_fn(move || {
        let from = start?;
        start = cuts.next();
        let part = Part {
            index,
            line,
            start: from,
            text: &text[from..start.unwrap_or(text.len())],
        };
        index += 1;
        line += line_breaks(part.text);
        Some(part)
    })
}

/// The text of one document as it can stand by itself, empty ones counted: without its marker,
/// without directives, with lines that end in `\n`.
#[must_use]
pub fn document_text(text: &str, index: usize) -> Option<String> {
    let part = parts(text).find(|part| part.index == index)?;
    let text = part.text.strip_prefix('\u{feff}').unwrap_or(part.text);
    let text = text.replace("\r\n", "\n");
    let marks = |line: &str| line.starts_with("---") && is_marker(line, 0);
    let has_marker = text.split('\n').any(marks);
    let mut out = String::with_capacity(text.len() + 1);
    let mut inside = !has_marker;
    for line in text.trim_end().split('\n') {
        let line = if !inside && marks(line) {
            inside = true;
            let rest = line[3..].trim_start();
            if rest.is_empty() {
                continue;
            }
            rest
        } else if !inside && line.starts_with('%') {
            continue;
        } else {
            line
        };
        out.push_str(line);
        out.push('\n');
    }
    Some(out)
}

/// How many lines a text goes on: `\n`, `\r\n` and `\r` alone are one break each.
pub(super) fn line_breaks(text: &str) -> u32 {
    let bytes = text.as_bytes();
    memchr::memchr2_iter(b'\n', b'\r', bytes)
        .filter(|&at| bytes[at] == b'\n' || bytes.get(at + 1) != Some(&b'\n'))
        .count() as u32
}

/// Whether the three dashes at a position are a document's marker.
fn is_marker(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let begins_line = before.is_empty() || before.ends_with(['\n', '\r']) || before == "\u{feff}";
    let after = text.as_bytes().get(at + 3);
    begins_line && matches!(after, None | Some(b' ' | b'\t' | b'\n' | b'\r'))
}

/// Whether a text has more than comments and directives.
fn has_content(text: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split(['\n', '\r']).any(|line| {
        let trimmed = line.trim_start();
        !(trimmed.is_empty() || trimmed.starts_with('#') || line.starts_with('%'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_stands_by_itself_without_marker_and_directives() {
        let text =
            "# ours\r\n%YAML 1.1\r\n---\r\na: 1\r\n--- # second\r\nb: |\r\n  %x\r\n\r\n---\r\n";
        assert_eq!(document_text(text, 0).unwrap(), "# ours\na: 1\n");
        assert_eq!(document_text(text, 1).unwrap(), "# second\nb: |\n  %x\n");
        assert_eq!(document_text("a: 1", 0).unwrap(), "a: 1\n");
        // A space behind three letters makes no marker of them.
        let nested = "a:\n  b:\n    c: 1\nkey d: 2\n";
        assert_eq!(document_text(nested, 0).unwrap(), nested);
        assert_eq!(document_text(text, 9), None);
    }

    fn cut(text: &str) -> Vec<(usize, u32, &str)> {
        parts(text)
            .map(|part| (part.index, part.line, part.text))
            .collect()
    }

    #[test]
    fn each_document_begins_with_its_marker() {
        assert_eq!(
            cut("a\n---\nb\n--- c\n---\n---\td"),
            [
                (0, 1, "a\n"),
                (1, 2, "---\nb\n"),
                (2, 4, "--- c\n"),
                (3, 5, "---\n"),
                (4, 6, "---\td")
            ]
        );
    }

    #[test]
    fn what_stands_before_the_first_marker_belongs_to_it() {
        let text = "%YAML 1.1\n# x\n---\na\n---\nb";
        assert_eq!(
            cut(text),
            [(0, 1, "%YAML 1.1\n# x\n---\na\n"), (1, 5, "---\nb")]
        );
        assert_eq!(cut("---\na"), [(0, 1, "---\na")]);
        assert_eq!(
            cut("\u{feff}---\na\n---"),
            [(0, 1, "\u{feff}---\na\n"), (1, 3, "---")]
        );
    }

    #[test]
    fn dashes_elsewhere_are_no_markers() {
        assert_eq!(cut("a\n ---\n----\n---b\nc---\n").len(), 1);
        assert_eq!(cut(""), [(0, 1, "")]);
    }

    #[test]
    fn every_kind_of_line_break_counts_once() {
        assert_eq!(line_breaks("a\r\nb\rc\n"), 3);
        assert_eq!(cut("a\r\n---\r\nb\r---\rc").len(), 3);
    }
}
