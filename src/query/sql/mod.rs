//! SQL: what is let through, and what its conditions say before the engine runs.
//!
//! Owns reading it as the engine does. The check is `check`'s; `hint` finds what a WHERE
//! asks of stored columns, and `numbers` groups by numbers what is to be grouped by names.

mod check;
mod hint;
mod numbers;

use std::ops::ControlFlow;

use sqlparser::ast::{Statement, visit_relations};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError, ParserOptions};

use super::answer::guarded;
use super::condition::Condition;
use super::error::QueryError;

pub(super) use check::check;
pub(super) use hint::OF_FLOWS;
pub(super) use numbers::grouped_by_numbers;

/// Longest text of a query.
const MOST_BYTES: usize = 16 << 10;

/// A view that a SELECT uses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// Its name.
    pub(super) view: &'static str,
    /// What every row of it fulfils that can matter to the answer.
    pub(super) hint: Condition,
}

/// Whether a text can be judged: it is a statement over some table and ends with no comma,
/// or it is wrong in a way that no more text mends.
#[must_use]
pub fn is_whole(text: &str) -> bool {
    if text.len() > MOST_BYTES {
        return true;
    }
    let has_table = guarded(|| {
        let statements = parse(text)?;
        let found = visit_relations(&statements, |_| ControlFlow::Break(()));
        Ok(found.is_break() || !matches!(statements.as_slice(), [Statement::Query(_)]))
    });
    match has_table {
        Ok(has_table) => has_table && !text.trim_end().ends_with(','),
        // The parser has one kind of error, and says where it is only in its text.
        Err(QueryError::Syntax(reason)) => {
            let at_the_end = ["Unterminated", "Unexpected EOF"];
            !reason.ends_with("found: EOF") && !at_the_end.iter().any(|of| reason.contains(of))
        }
        Err(_) => true,
    }
}

fn parse(text: &str) -> Result<Vec<Statement>, QueryError> {
    let syntax = |error: ParserError| {
        let (ParserError::TokenizerError(reason) | ParserError::ParserError(reason)) = error else {
            return QueryError::Syntax(error.to_string());
        };
        QueryError::Syntax(reason)
    };
    // As the engine reads it.
    let options = ParserOptions {
        trailing_commas: true,
        ..ParserOptions::default()
    };
    Parser::new(&GenericDialect)
        .with_options(options)
        .try_with_sql(text)
        .map_err(syntax)?
        .parse_statements()
        .map_err(syntax)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_whole_unless_more_could_mend_it() {
        for whole in [
            "SHOW TABLES",
            "SELECT * FROM flows LIMIT 1",
            "SELEC 1",
            "SELECT * FROM FROM",
        ] {
            assert!(is_whole(whole), "{whole}");
        }
        for open in [
            "SELECT",
            "SELECT verdict,",
            "SELECT 1",
            "SELECT 1 FROM",
            "SELECT (1",
            "SELECT 'a",
            "SELECT 1 /* a",
        ] {
            assert!(!is_whole(open), "{open}");
        }
    }
}
