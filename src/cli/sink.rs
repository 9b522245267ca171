//! Standard output as a command writes to it.
//!
//! A reader that closes the pipe has seen enough: that ends the command without an error.

use std::io::{self, Write};
use std::path::Path;

use super::error::CommandError;

/// Why a command stopped writing.
#[derive(Debug, thiserror::Error)]
pub(super) enum SinkError {
    /// The reader closed the pipe; not an error of ours.
    #[error("output was closed")]
    Closed,
    /// Anything else, such as a full disk.
    #[error("write output: {0}")]
    Write(io::Error),
}

impl From<io::Error> for SinkError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Write(error)
        }
    }
}

/// Writes all of `text`.
///
/// # Errors
/// [`SinkError`].
pub(super) fn write(out: &mut dyn Write, text: &[u8]) -> Result<(), SinkError> {
    if text.is_empty() {
        return Ok(());
    }
    out.write_all(text).map_err(SinkError::from)
}

/// Writes a line to standard error; a closed one is nobody's concern.
pub(super) fn say(err: &mut dyn Write, line: &str) {
    let _ = writeln!(err, "{line}");
}

/// Writes the whole output of a command.
///
/// # Errors
/// [`CommandError`] where it cannot be written; a closed pipe is no error.
pub(super) fn all(out: &mut dyn Write, text: &[u8]) -> Result<(), CommandError> {
    match write(out, text).and_then(|()| out.flush().map_err(SinkError::from)) {
        Err(error @ SinkError::Write(_)) => Err(CommandError::failed(error)),
        Ok(()) | Err(SinkError::Closed) => Ok(()),
    }
}

/// Writes the whole output of a command to a file, where one is named, or to `out`.
///
/// # Errors
/// As [`all`].
pub(super) fn deliver(
    out: &mut dyn Write,
    path: Option<&Path>,
    text: &str,
) -> Result<(), CommandError> {
    match path {
        Some(path) => std::fs::write(path, text)
            .map_err(|cause| CommandError::failed(format!("write {}: {cause}", path.display()))),
        None => all(out, text.as_bytes()),
    }
}

/// Says what of the inputs could not be read.
///
/// # Errors
/// [`CommandError::Said`] where there is anything to say.
pub(super) fn complain(err: &mut dyn Write, messages: &[String]) -> Result<(), CommandError> {
    for message in messages {
        say(err, &format!("flowwatch: {message}"));
    }
    if messages.is_empty() {
        Ok(())
    } else {
        Err(CommandError::Said)
    }
}

/// Fails where there is something that the person asked to fail on, and says what.
///
/// # Errors
/// [`CommandError::Found`] where there is anything.
pub(super) fn check(failing: &[String], err: &mut dyn Write) -> Result<(), CommandError> {
    if failing.is_empty() {
        return Ok(());
    }
    say(err, &format!("failing on {}", failing.join(", ")));
    Err(CommandError::Found)
}

/// JSON as a person reads it, with its last line break.
///
/// # Errors
/// [`CommandError`] for what has no form in JSON.
pub(super) fn pretty(value: &serde_json::Value) -> Result<String, CommandError> {
    let mut text = serde_json::to_string_pretty(value).map_err(CommandError::failed)?;
    text.push('\n');
    Ok(text)
}
