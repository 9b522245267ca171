//! What can be wrong with a question.

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
    /// Not a column of `flows`.
    #[error("there is no column {name:?}{}", near.map(|near| format!(", but {near}")).unwrap_or_default())]
    Column {
        /// As typed.
        name: String,
        /// One that looks like it.
        near: Option<&'static str>,
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
    #[error("there is no query {name:?}: a name of {}, or a SELECT", names())]
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
    /// The engine refused, or failed.
    #[error("answer the query: {0}")]
    Engine(String),
}

impl QueryError {
    /// An error of the engine.
    pub(super) fn engine(cause: impl std::fmt::Display) -> Self {
        Self::Engine(cause.to_string())
    }
}

fn names() -> String {
    let names: Vec<&str> = super::CANNED.iter().map(|canned| canned.name).collect();
    names.join(", ")
}
