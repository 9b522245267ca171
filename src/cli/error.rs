//! Errors at the door, and the exit codes they mean.

use std::process::ExitCode;

use crate::source::file::OpenError;

/// Exit code of a check that found something.
pub(super) const FOUND: u8 = 1;
/// Exit code of an error.
pub(super) const ERROR: u8 = 2;
/// Exit code of wrong usage (`EX_USAGE`).
pub(super) const USAGE: u8 = 64;

/// Arguments that do not mean anything together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct UsageError {
    message: String,
}

impl UsageError {
    /// An error with a text for the person who typed.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The arguments are wrong.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// What is wrong has been said already.
    #[error("failed")]
    Said,
    /// A check found something, and has said what.
    #[error("found something")]
    Found,
    /// Anything else; the text is for people.
    #[error("{0}")]
    Failed(String),
}

impl From<OpenError> for CommandError {
    /// Manifests where recordings belong are a mistake of who typed it. Commands take
    /// recordings by `--flows`; for others see `fold::open_named`.
    fn from(error: OpenError) -> Self {
        if error.is_usage() {
            UsageError::new(format!(
                "{error}: --flows takes every path behind it; put policies before --flows, or give them by --policies where the command has that"
            ))
            .into()
        } else {
            Self::failed(error)
        }
    }
}

impl CommandError {
    /// An error that is not about arguments.
    pub(super) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// The exit code.
    #[must_use]
    pub(super) fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(USAGE),
            Self::Failed(_) | Self::Said => ExitCode::from(ERROR),
            Self::Found => ExitCode::from(FOUND),
        }
    }
}
