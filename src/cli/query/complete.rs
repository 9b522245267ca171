//! What a word that is being typed can become.
//!
//! Owns which words fit at a place: commands, queries, SQL, views, the columns of those
//! that are named, workloads. Knows no terminal.

use std::cell::OnceCell;

use super::shell::{COMMANDS, MODES};
use super::statements::{Kind, kind};
use crate::query::{CANNED, Session, VIEWS};

/// Words of SQL that are worth completing.
const SQL: [&str; 47] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "ORDER",
    "BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "DISTINCT",
    "AS",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "LIKE",
    "ILIKE",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "JOIN",
    "LEFT",
    "INNER",
    "ON",
    "USING",
    "UNION",
    "ALL",
    "WITH",
    "ASC",
    "DESC",
    "COUNT",
    "SUM",
    "AVG",
    "MIN",
    "MAX",
    "ROUND",
    "LOWER",
    "UPPER",
    "LENGTH",
    "COALESCE",
    "CAST",
    "STARTS_WITH",
];

/// Words of an archive.
pub(super) struct Words<'a> {
    session: &'a Session,
    /// The columns of each view.
    columns: Vec<(&'static str, Vec<String>)>,
    /// Workloads, looked for when they are wanted first.
    workloads: OnceCell<Vec<String>>,
}

impl<'a> Words<'a> {
    /// The words of an archive; columns of a view that cannot be had are left out.
    pub(super) fn new(session: &'a Session) -> Self {
        let columns = VIEWS.iter().filter_map(|view| {
            let schema = session.schema(view).ok()?;
            let names = schema.fields().iter().map(|field| field.name().clone());
            Some((*view, names.collect()))
        });
        Self {
            session,
            columns: columns.collect(),
            workloads: OnceCell::new(),
        }
    }

    /// Where the word before `at` begins, and what it can become.
    pub(super) fn complete(&self, text: &str, at: usize) -> (usize, Vec<String>) {
        let before = text.get(..at).unwrap_or(text);
        let line = before.trim_start();
        let is_first = !line.contains(char::is_whitespace);
        if line.starts_with('.') {
            return fitting(before, word(before), of_command(line, is_first));
        }
        if let Some(open) = open_quote(before) {
            return fitting(before, &before[open..], self.parts());
        }
        if is_first {
            let names = CANNED.iter().map(|canned| canned.name.to_owned());
            let commands = COMMANDS.map(|(name, ..)| name.to_owned());
            let opening = ["SELECT", "WITH"].map(str::to_owned);
            return fitting(before, line, names.chain(opening).chain(commands).collect());
        }
        if kind(line) == Kind::Named {
            return fitting(before, word(before), self.workloads().to_vec());
        }
        let begin = before
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(0, |end| {
                end + before[end..].chars().next().map_or(0, char::len_utf8)
            });
        let typed = &before[begin..];
        let mut all = self.columns_of(text);
        all.extend(VIEWS.map(str::to_owned));
        // A column of a table: nothing else fits.
        if before[..begin].ends_with('.') {
            return fitting(before, typed, self.columns_of(text));
        }
        let lower = typed.chars().any(|c| c.is_ascii_lowercase());
        all.extend(SQL.map(|of| {
            if lower {
                of.to_lowercase()
            } else {
                of.to_owned()
            }
        }));
        fitting(before, typed, all)
    }

    /// Columns of the views that a text names; of all, where it names none.
    fn columns_of(&self, text: &str) -> Vec<String> {
        let named = |view: &str| {
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .any(|word| word == view)
        };
        let any = VIEWS.iter().any(|view| named(view));
        let fitting = self.columns.iter().filter(|(view, _)| !any || named(view));
        fitting.flat_map(|(_, names)| names.clone()).collect()
    }

    fn workloads(&self) -> &[String] {
        self.workloads
            .get_or_init(|| self.session.workloads().unwrap_or_default())
    }

    /// What a text in SQL can be: a workload as `edges` has it, its name, its namespace.
    fn parts(&self) -> Vec<String> {
        let mut parts = self.workloads().to_vec();
        for workload in self.workloads() {
            parts.extend(workload.split('/').map(str::to_owned));
        }
        parts
    }
}

/// The word at the end, separated by spaces.
fn word(before: &str) -> &str {
    before
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default()
}

/// Where the text begins that a quote opened and none has closed.
fn open_quote(before: &str) -> Option<usize> {
    let mut open = None;
    for (at, _) in before.match_indices('\'') {
        open = match open {
            None => Some(at + 1),
            Some(_) => None,
        };
    }
    open
}

/// Those that begin as it was typed, in order, each once.
fn fitting(before: &str, typed: &str, words: Vec<String>) -> (usize, Vec<String>) {
    let begins = |word: &String| {
        word.get(..typed.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(typed))
    };
    let mut words: Vec<String> = words.into_iter().filter(begins).collect();
    words.sort_unstable();
    words.dedup();
    (before.len() - typed.len(), words)
}

fn of_command(line: &str, is_first: bool) -> Vec<String> {
    if is_first {
        return COMMANDS.map(|(name, ..)| name.to_owned()).to_vec();
    }
    match line.split_whitespace().next() {
        Some(".schema") => VIEWS.map(str::to_owned).to_vec(),
        Some(".mode") => MODES.map(|(name, _)| name.to_owned()).to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::query::Selection;

    #[test]
    fn what_fits_depends_on_the_place() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/archive");
        let session = Session::open(&folder, Selection::default()).unwrap();
        let words = Words::new(&session);
        let found = |text: &str| {
            let (begin, found) = words.complete(text, text.len());
            (begin, found.join(" "))
        };
        for (text, begin, wanted) in [
            ("who", 0, "who-talked-to"),
            ("sel", 0, "SELECT"),
            (".s", 0, ".schema"),
            (".schema ed", 8, "edges"),
            (".mode m", 6, "markdown"),
            ("dns shop/che", 4, "shop/checkout"),
            ("SELECT * FROM ed", 14, "edges"),
            ("SELECT * FRO", 9, "FROM"),
            ("select * fro", 9, "from"),
            ("SELECT source_wo", 7, "source_workload source_workloads"),
            ("SELECT e.conn", 9, "connections"),
            (
                "SELECT * FROM edges WHERE source = 'shop/che",
                36,
                "shop/checkout",
            ),
            ("SELECT 'a' AS b, x", 17, ""),
        ] {
            assert_eq!(found(text), (begin, wanted.to_owned()), "{text}");
        }
        // What comes behind the cursor says which columns there are.
        let (_, found) = words.complete("SELECT first FROM holes", 12);
        assert!(found.is_empty(), "{found:?}");
        let (_, found) = words.complete("SELECT first FROM edges", 12);
        assert_eq!(found, ["first_seen"]);
        for text in [
            "\u{e4}\u{f6}",
            "SELECT '\u{e4}",
            "\u{e4} \u{f6}",
            "",
            "'",
            ".",
        ] {
            for at in 0..=text.len() + 1 {
                let (begin, _) = words.complete(text, at);
                assert!(begin <= text.len() && text.is_char_boundary(begin));
            }
        }
    }
}
