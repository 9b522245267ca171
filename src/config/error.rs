//! What can be wrong with a configuration file.

use std::path::PathBuf;

use crate::manifest::Place;
use crate::policy::OptionError;

/// An error of the configuration file, with its place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is not YAML.
    #[error("{file}:{}:{}: {message}", at.line, at.column)]
    Syntax {
        /// The file.
        file: String,
        /// Where.
        at: Place,
        /// What is wrong.
        message: String,
    },
    /// A key that does not exist.
    #[error("{file}:{}: unknown key '{key}', expected one of: {known}", at.line)]
    UnknownKey {
        /// The file.
        file: String,
        /// Where.
        at: Place,
        /// The key with those it is under.
        key: String,
        /// The keys that exist there.
        known: String,
    },
    /// A value of another kind than its key asks for.
    #[error("{file}:{}: {key} must be {expected}", at.line)]
    Kind {
        /// The file.
        file: String,
        /// Where.
        at: Place,
        /// The key.
        key: String,
        /// What it must be.
        expected: &'static str,
    },
    /// An option of the agent that cannot be taken.
    #[error("{file}:{}: {error}", at.line)]
    Option {
        /// The file.
        file: String,
        /// Where.
        at: Place,
        /// Why.
        error: OptionError,
    },
}
