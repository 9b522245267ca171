//! What can be wrong with a configuration file.

use crate::manifest::{KeyedError, Place};
use crate::policy::OptionError;

/// An error of the configuration file, with its place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file, a key or the kind of a value.
    #[error(transparent)]
    File(#[from] KeyedError),
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
