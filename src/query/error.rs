//! What can be wrong with a question.

use super::near::near;
use crate::source::archive::ArchiveError;

/// A question that has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Not SQL.
    #[error("read the query: {0}")]
    Syntax(String),
    /// SQL that does more than select from views.
    #[error("{what} cannot be used here: a query is one SELECT over {}", super::VIEWS.join(", "))]
    Refused {
        /// What of it.
        what: String,
    },
    /// A condition on flows where there are none.
    #[error("{what} has no flows: choose from it by WHERE, not by flags or --where")]
    NoFlows {
        /// What was asked.
        what: String,
    },
    /// Not a column of what is asked.
    #[error("there is no column {name:?}{}", meant(near.as_deref()))]
    Column {
        /// As typed.
        name: String,
        /// Those that look like it.
        near: Option<String>,
    },
    /// Not a view.
    #[error("there is no table {name:?}{}: there are {}", meant(near.as_deref()), super::VIEWS.join(", "))]
    Table {
        /// As typed.
        name: String,
        /// One that looks like it.
        near: Option<String>,
    },
    /// A condition that is not CEL, or more of CEL than there is.
    #[error("condition {text:?}: {reason}")]
    Condition {
        /// As typed.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A value that a filter flag does not take.
    #[error("--{flag} {value:?}: {reason}")]
    Flag {
        /// The flag.
        flag: String,
        /// As typed.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// No query has this name.
    #[error("there is no query {name:?}{}: a question is one of {}, or a SELECT",
        meant(near(name, names()).as_deref()), names().collect::<Vec<_>>().join(", "))]
    Name {
        /// As typed.
        name: String,
    },
    /// A named query was given too little or too much.
    #[error("{usage}: {problem}")]
    Parameters {
        /// How it is called.
        usage: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Values that have no form in an output.
    #[error("column {column:?} has values of type {kind}: select something simpler of it")]
    Type {
        /// Its name.
        column: String,
        /// What it holds.
        kind: String,
    },
    /// There is no room for what is counted.
    #[error("keep connections in the folder for temporary files: {0}")]
    Spill(String),
    /// The engine refused, or failed.
    #[error("answer the query: {0}")]
    Engine(String),
}

impl QueryError {
    /// An error of a temporary file.
    pub(super) fn spill(cause: impl std::fmt::Display) -> Self {
        Self::Spill(cause.to_string())
    }

    /// An error of the engine.
    pub(super) fn engine(cause: impl std::fmt::Display) -> Self {
        let text = cause.to_string();
        // What follows is the engine's own plan, or a list of every column.
        let brief = text.split("\n\n").next().unwrap_or_default();
        if brief.contains("unsupported function 'date_trunc'") {
            let reason = "there is no DATE_TRUNC: write STRFTIME(time, '%Y-%m-%dT%H') for hours, \
                          or count with --by and --per";
            return Self::Syntax(reason.to_owned());
        }
        no_column(brief).unwrap_or_else(|| Self::Engine(brief.trim().to_owned()))
    }
}

/// The engine's "unable to find column", which names the columns that it has, or "no
/// column named", which does not.
fn no_column(text: &str) -> Option<QueryError> {
    if let Some((_, rest)) = text.split_once("no column named '") {
        let (name, _) = rest.split_once('\'')?;
        return Some(QueryError::Column {
            name: name.to_owned(),
            near: None,
        });
    }
    let (_, rest) = text.split_once("unable to find column \"")?;
    let (name, rest) = rest.split_once('"')?;
    let (_, columns) = rest.split_once('[')?;
    let columns = columns.split('"').skip(1).step_by(2);
    Some(QueryError::Column {
        name: name.to_owned(),
        near: near(name, columns),
    })
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!(", but {near}")).unwrap_or_default()
}

fn names() -> impl Iterator<Item = &'static str> {
    super::CANNED.iter().map(|canned| canned.name)
}

#[cfg(test)]
mod tests {
    use super::QueryError;

    #[test]
    fn a_column_that_the_engine_misses_is_named_with_its_neighbours() {
        let text = "not found: unable to find column \"verdct\"; valid columns: [\"time\", \
                    \"verdict\"]\n\nDid you mean \"verdict\"?";
        assert_eq!(
            QueryError::engine(text).to_string(),
            "there is no column \"verdct\", but verdict"
        );
        let text = "no column named 'x' found in table 'f'";
        assert_eq!(
            QueryError::engine(text).to_string(),
            "there is no column \"x\""
        );
        let other = QueryError::engine("it gave up\n\nResolved plan until failure:");
        assert_eq!(other.to_string(), "answer the query: it gave up");
    }
}
