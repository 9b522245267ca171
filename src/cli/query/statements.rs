//! Text cut into statements: SQL up to its `;`, names and commands to the end of a line.
//!
//! Owns where a statement ends, and what kind it is by its first word. Whether it means
//! anything is for whoever runs it.

use crate::query::CANNED;

/// Most bytes of a statement that has no end yet.
pub(super) const MOST_BYTES: usize = 64 << 10;

/// A statement, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// Without its `;`.
    pub(super) text: String,
    /// The line of its first word, from 1.
    pub(super) line: usize,
}

/// What a text is by its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `.help`, and what people type for it.
    Command,
    /// A query that has a name, or one word that should be a name.
    Named,
    Sql,
}

/// What a text is. A name that is none is told from SQL by its hyphen.
pub(super) fn kind(text: &str) -> Kind {
    let text = text.trim().trim_end_matches(';').trim_end();
    let first = text.split_whitespace().next().unwrap_or_default();
    let alone = first.len() == text.len() && !text.is_empty();
    if first.starts_with('.') || alone && is_bare_command(first) {
        return Kind::Command;
    }
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let named = CANNED.iter().any(|canned| canned.name == first)
        || first.contains('-') && !first.starts_with('-') && first.chars().all(letters);
    if named || alone && !first.starts_with("--") && first.chars().all(letters) && !opens_sql(first)
    {
        Kind::Named
    } else {
        Kind::Sql
    }
}

/// Commands that other prompts have without a dot.
fn is_bare_command(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "help" | "quit" | "exit")
}

/// A word after which more has to come.
fn opens_sql(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "select" | "with")
}

/// Parameters, separated by spaces; one with spaces stands in quotes.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in text.trim().trim_end_matches(';').chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// Where the reading of SQL is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Nothing,
    Quote(char),
    /// `/* */`, which nest.
    Comment(u32),
}

/// Cuts lines, as they come, into statements.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    pending: String,
    /// Lines so far.
    line: usize,
    /// The line where `pending` has its first word, if it has one.
    began: Option<usize>,
    within: Within,
}

impl Splitter {
    /// Takes a line without its end and gives the statements that it ends.
    pub(super) fn push(&mut self, line: &str) -> Vec<Statement> {
        self.line += 1;
        let blank = line.trim().is_empty();
        if self.began.is_none()
            && self.within == Within::Nothing
            && !blank
            && kind(line) != Kind::Sql
        {
            self.pending.clear();
            let text = line.trim().trim_end_matches(';').trim_end().to_owned();
            return vec![Statement {
                text,
                line: self.line,
            }];
        }
        let mut ended = Vec::new();
        let mut rest = line.chars().peekable();
        while let Some(character) = rest.next() {
            let next = rest.peek().copied();
            match (self.within, character, next) {
                (Within::Nothing, ';', _) => {
                    ended.extend(self.take());
                    continue;
                }
                // It ends with the line, and is not needed.
                (Within::Nothing, '-', Some('-')) => break,
                (Within::Nothing, '/', Some('*')) => {
                    rest.next();
                    self.within = Within::Comment(1);
                }
                (Within::Comment(depth), '/', Some('*')) => {
                    rest.next();
                    self.within = Within::Comment(depth.saturating_add(1));
                }
                (Within::Comment(depth), '*', Some('/')) => {
                    rest.next();
                    self.within = match depth {
                        0 | 1 => Within::Nothing,
                        deeper => Within::Comment(deeper - 1),
                    };
                    self.pending.push(' ');
                    continue;
                }
                (Within::Nothing, '\'' | '"' | '`', _) => self.within = Within::Quote(character),
                (Within::Quote(open), _, _) if open == character => self.within = Within::Nothing,
                _ => {}
            }
            if matches!(self.within, Within::Comment(_)) {
                continue;
            }
            if self.began.is_none() && !character.is_whitespace() {
                self.began = Some(self.line);
            }
            self.pending.push(character);
        }
        self.pending.push('\n');
        ended
    }

    /// The statement that has no `;`.
    pub(super) fn finish(&mut self) -> Option<Statement> {
        self.within = Within::Nothing;
        self.take()
    }

    /// Whether a statement has begun.
    #[cfg(test)]
    fn is_within(&self) -> bool {
        self.began.is_some() || self.within != Within::Nothing
    }

    /// Bytes that wait for their end.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len()
    }

    fn take(&mut self) -> Option<Statement> {
        let text = std::mem::take(&mut self.pending);
        let line = self.began.take()?;
        Some(Statement {
            text: text.trim().to_owned(),
            line,
        })
    }
}

/// Whether what is typed at a prompt can be run: SQL that ends with `;` or is a whole
/// SELECT, or is wrong in a way that more text does not mend. A blank line ends it too.
pub(super) fn is_complete(text: &str) -> bool {
    let last = text.rsplit('\n').next().unwrap_or_default();
    if last.trim().is_empty() || kind(text) != Kind::Sql {
        return true;
    }
    let mut splitter = Splitter::default();
    for line in text.split('\n') {
        splitter.push(line);
    }
    if splitter.within != Within::Nothing {
        return false;
    }
    match splitter.take() {
        None => true,
        Some(statement) => crate::query::is_whole(&statement.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(usize, String)> {
        let mut splitter = Splitter::default();
        let mut all: Vec<Statement> = text.lines().flat_map(|line| splitter.push(line)).collect();
        all.extend(splitter.finish());
        assert!(!splitter.is_within());
        all.into_iter()
            .map(|statement| (statement.line, statement.text))
            .collect()
    }

    #[test]
    fn sql_ends_at_its_semicolon_and_all_else_with_the_line() {
        let text = "-- who\n\
                    SELECT *\n  FROM flows -- all; of them\n  WHERE a = ';''';\n\
                    .mode csv\n\
                    who-talked-to shop/checkout;\n\
                    /* one; /* two */\n still */ SELECT 1; SELECT 2;;\n\
                    loss\n\
                    SELECT \"a;b\"\nFROM edges";
        let wanted = [
            (2, "SELECT *\n  FROM flows \n  WHERE a = ';'''"),
            (5, ".mode csv"),
            (6, "who-talked-to shop/checkout"),
            (8, "SELECT 1"),
            (8, "SELECT 2"),
            (9, "loss"),
            (10, "SELECT \"a;b\"\nFROM edges"),
        ];
        let wanted = wanted.map(|(line, text)| (line, text.to_owned()));
        assert_eq!(split(text), wanted);
    }

    #[test]
    fn a_statement_goes_on_over_lines_that_look_like_others() {
        let found = split("SELECT\nloss\nFROM holes;");
        assert_eq!(found, [(1, "SELECT\nloss\nFROM holes".to_owned())]);
        assert_eq!(split("-- nothing\n\n/* at all */;\n"), []);
    }

    #[test]
    fn the_first_word_says_what_it_is() {
        for (text, wanted) in [
            (".help", Kind::Command),
            ("quit;", Kind::Command),
            ("dns", Kind::Named),
            ("dns shop/checkout", Kind::Named),
            ("first-sen x", Kind::Named),
            ("timline", Kind::Named),
            ("SELECT", Kind::Sql),
            ("help me", Kind::Sql),
            ("--", Kind::Sql),
            ("-- a comment", Kind::Sql),
            ("(SELECT 1)", Kind::Sql),
            ("DROP TABLE x", Kind::Sql),
            (";", Kind::Sql),
            ("", Kind::Sql),
        ] {
            assert_eq!(kind(text), wanted, "{text}");
        }
    }

    #[test]
    fn parameters_are_words_and_quotes_hold_them_together() {
        assert_eq!(words(" dns  'a b' \"c\"d ;"), ["dns", "a b", "cd"]);
        assert_eq!(words("timeline '' 1h"), ["timeline", "", "1h"]);
    }

    #[test]
    fn a_prompt_asks_for_more_only_where_more_is_needed() {
        for complete in [
            "",
            "loss",
            ".mode",
            "SELECT * FROM flows",
            "SELECT * FROM flows;",
            "SELECT\n*\nFROM flows",
            "SELECT * FROM flows WHERE\n",
            "SELEC * FROM flows",
            "SELECT * FROM FROM",
            "INSERT INTO flows VALUES (1)",
        ] {
            assert!(is_complete(complete), "{complete:?}");
        }
        for open in [
            "SELECT",
            "SELECT *,",
            "SELECT 1",
            "SELECT * FROM",
            "SELECT * FROM flows WHERE",
            "SELECT * FROM flows WHERE a = 'x",
            "SELECT * FROM flows /* why",
            "WITH a AS (SELECT * FROM flows)",
            "SELECT count(*",
        ] {
            assert!(!is_complete(open), "{open:?}");
        }
    }
}
