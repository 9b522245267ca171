//! What can be wrong with JSON that should be a message.

use std::fmt;

/// JSON that is not the message it should be: where, and what is wrong.
#[derive(Debug, thiserror::Error)]
pub struct JsonError {
    path: String,
    #[source]
    problem: JsonProblem,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum JsonProblem {
    /// Not JSON at all.
    #[error("not JSON: {0}")]
    Syntax(serde_json::Error),
    /// A value of another kind.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// What the field holds.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A number or text that does not stand for a value of the field.
    #[error("{text} is not {expected}")]
    Value {
        /// What the field holds.
        expected: &'static str,
        /// What stands there, cut short.
        text: String,
    },
    /// A field that the message does not have (strict reading only).
    #[error("unknown field \"{0}\"")]
    UnknownField(String),
    /// A name that the enum does not have (strict reading only).
    #[error("unknown {kind} \"{name}\"")]
    UnknownEnum {
        /// The enum, `flow.Verdict`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// An `Any` of a type that is not known (strict reading only).
    #[error("unknown type \"{0}\"")]
    UnknownType(String),
    /// Both spellings of a field's name.
    #[error("field \"{0}\" is there twice")]
    Duplicate(String),
    /// Two fields of which a message can hold one.
    #[error("\"{first}\" and \"{second}\" exclude each other")]
    Oneof {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// More levels than any message has.
    #[error("nested too deeply")]
    TooDeep,
}

impl JsonError {
    /// Where: `flow.l4.TCP.source_port`, empty for the message itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What.
    pub fn problem(&self) -> &JsonProblem {
        &self.problem
    }

    /// Whether the text is not JSON at all.
    #[must_use]
    pub fn is_syntax(&self) -> bool {
        matches!(self.problem, JsonProblem::Syntax(_))
    }

    /// The same error seen from a field's parent.
    pub(super) fn inside(mut self, field: &str) -> Self {
        let dot = match self.path.as_bytes().first() {
            None | Some(b'[') => "",
            Some(_) => ".",
        };
        self.path = format!("{field}{dot}{}", self.path);
        self
    }

    /// The same error seen from the list it is in.
    pub(super) fn element(self, index: usize) -> Self {
        self.inside(&format!("[{index}]"))
    }
}

impl From<JsonProblem> for JsonError {
    fn from(problem: JsonProblem) -> Self {
        Self {
            path: String::new(),
            problem,
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        self.problem.fmt(f)
    }
}
