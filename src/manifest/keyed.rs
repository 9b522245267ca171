//! Files of our own whose keys are all known: configuration, synthetic worlds.
//!
//! Owns what can be wrong with one, with its place, and going over its mappings. What a key
//! means is whose file it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::Document;
use super::read::read;
use super::value::{Node, Place};

/// What is wrong with a file, with its place.
#[derive(Debug, thiserror::Error)]
pub enum KeyedError {
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
    /// A value that its key cannot take.
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
}

/// A file by the name that errors give it.
#[derive(Clone, Copy, Debug)]
pub struct KeyedFile<'a> {
    name: &'a str,
}

impl<'a> KeyedFile<'a> {
    /// A file of this name.
    #[must_use]
    pub fn new(name: &'a str) -> Self {
        Self { name }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.name
    }

    /// The documents of its text.
    ///
    /// # Errors
    /// [`KeyedError::Syntax`] for the first place that is not YAML.
    pub fn documents(self, text: &str) -> Result<Vec<Document>, KeyedError> {
        let outcome = read(text, Arc::from(self.name));
        match outcome.errors.first() {
            Some(error) => Err(KeyedError::Syntax {
                file: self.name.to_owned(),
                at: error.at,
                message: error.kind.to_string(),
            }),
            None => Ok(outcome.documents),
        }
    }

    /// The keys below `key`, each with its place and value; none of nothing at all.
    ///
    /// # Errors
    /// [`KeyedError::Kind`] when it is no mapping.
    pub fn entries<'n>(
        self,
        node: &'n Node,
        key: &str,
    ) -> Result<impl Iterator<Item = (&'n str, Place, &'n Node)> + use<'n>, KeyedError> {
        let map = match node.as_map() {
            None if !node.is_null() => return Err(self.kind(node.at, key, "a mapping")),
            map => map,
        };
        let entries = map.into_iter().flat_map(|map| &map.entries);
        Ok(entries.map(|(key, value)| (&*key.name, key.at, value)))
    }

    /// A value that `key` cannot take.
    #[must_use]
    pub fn kind(self, at: Place, key: &str, expected: &'static str) -> KeyedError {
        KeyedError::Kind {
            file: self.name.to_owned(),
            at,
            key: key.to_owned(),
            expected,
        }
    }

    /// A key that is not among the `known` ones.
    #[must_use]
    pub fn unknown(self, at: Place, key: &str, known: &str) -> KeyedError {
        KeyedError::UnknownKey {
            file: self.name.to_owned(),
            at,
            key: key.to_owned(),
            known: known.to_owned(),
        }
    }
}

/// The text of a file.
///
/// # Errors
/// [`KeyedError::Read`] when it cannot be read.
pub fn read_keyed(path: &Path) -> Result<String, KeyedError> {
    std::fs::read_to_string(path).map_err(|error| KeyedError::Read {
        path: path.to_owned(),
        error,
    })
}
