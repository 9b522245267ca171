//! Why a flow filter is refused. Texts follow Hubble's where it has one.

use crate::pattern::{GlobError, Re2Error, SelectorError};

/// A flow filter that means nothing. `field` is the field of `FlowFilter`, as words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Neither an address nor a prefix.
    #[error("invalid {field} filter: invalid {} {value:?}", if value.contains('/') { "CIDR" } else { "IP address" })]
    Address {
        /// The field.
        field: &'static str,
        /// The entry.
        value: String,
    },
    /// An entry that must not be empty is.
    #[error("invalid {field} filter: empty value")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// Not a glob over names.
    #[error("invalid {field} filter: {value:?}: {source}")]
    Glob {
        /// The field.
        field: &'static str,
        /// The entry.
        value: String,
        /// What is wrong with it.
        source: GlobError,
    },
    /// Not an expression, or one that cannot be evaluated here.
    #[error("invalid {field} filter: {source}")]
    Regex {
        /// The field.
        field: &'static str,
        /// What is wrong; it quotes the entry.
        source: Re2Error,
    },
    /// Not a label selector.
    #[error("invalid {field} filter: {value:?}: {source}")]
    Selector {
        /// The field.
        field: &'static str,
        /// The entry.
        value: String,
        /// What is wrong with it.
        source: SelectorError,
    },
    /// Not a port number.
    #[error("invalid {field} filter: invalid port {value:?}: not a number from 0 to 65535")]
    Port {
        /// The field.
        field: &'static str,
        /// The entry.
        value: String,
    },
    /// Not a protocol Hubble knows.
    #[error("invalid protocol filter: unknown protocol: {value:?}")]
    Protocol {
        /// The entry.
        value: String,
    },
    /// Neither a status code nor the beginning of one with a `+`.
    #[error("invalid http status code filter: invalid status code prefix: {value:?}")]
    HttpStatus {
        /// The entry.
        value: String,
    },
    /// An HTTP field beside event types of which none is L7: nothing could match.
    #[error("filtering by {field} requires the event type filter to only match 'l7' events")]
    NeedsL7 {
        /// The field.
        field: &'static str,
    },
    /// A CEL expression that does not parse, does not check, or is no condition.
    #[error("error compiling CEL expression {expression:?}: {reason}")]
    Cel {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More CEL expressions than one request may have.
    #[error("{count} CEL expressions are too many: {most} at most in one request")]
    TooManyCel {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
}
