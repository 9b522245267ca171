//! What can be wrong with filter flags.

use crate::wire::json_read::JsonError;

/// Filter flags that make no filter.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// A value the flag does not take.
    #[error("invalid argument {value:?} for \"--{flag}\" flag: {reason}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two flags that exclude each other.
    #[error("filters --{flag} and --{other} cannot be combined")]
    Conflict {
        /// One of them.
        flag: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A name of another namespace than the one asked for.
    #[error("namespace conflict: {namespace:?} does not contain {name:?}")]
    Namespace {
        /// The namespace.
        namespace: String,
        /// The pod or service.
        name: String,
    },
    /// A service of another namespace than the pod on its side.
    #[error("namespace of service {service:?} conflicts with pod {pod:?}")]
    ServiceNamespace {
        /// The service.
        service: String,
        /// The pod.
        pod: String,
    },
    /// `--not` with no filter after it.
    #[error("trailing --not found in the arguments")]
    TrailingNot,
    /// `--not --not`.
    #[error("consecutive --not statements")]
    ConsecutiveNot,
    /// A raw filter that is not a `FlowFilter` in JSON.
    #[error("invalid --{flag} flag: failed to decode '{value}': {source}")]
    Raw {
        /// `allowlist` or `denylist`.
        flag: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        source: RawFilterError,
    },
}

/// Why a raw filter is refused.
#[derive(Debug, thiserror::Error)]
pub enum RawFilterError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// JSON, but no `FlowFilter`.
    #[error(transparent)]
    Filter(#[from] JsonError),
    /// What was read does not decode; the reader is at fault.
    #[error(transparent)]
    Decode(#[from] prost::DecodeError),
}
