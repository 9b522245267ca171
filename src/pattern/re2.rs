//! RE2 expressions, as Go's `regexp` and Envoy read them, on the `regex` crate.
//!
//! Owns the translation and its limits. `parse` reads the syntax and writes an
//! equivalent expression in which nothing depends on where the two languages differ;
//! `class` and `unicode` do so for character classes.
//!
//! Only whether a text matches is kept: groups do not capture and laziness is dropped,
//! as neither can change that answer.

mod class;
mod cursor;
mod nesting;
mod parse;
mod unicode;

use regex::{Regex, RegexBuilder};

/// What one compiled expression may take, in bytes.
const COMPILED_LIMIT: usize = 10 << 20;
/// What expressions that come together may take, in bytes.
const COMPILED_TOGETHER: usize = 64 << 20;
/// What the lazy automaton of one expression may cache, in bytes.
const CACHE_LIMIT: usize = 1 << 20;
/// Groups inside groups that the `regex` parser accepts; `parse` stops well before.
const GROUP_LIMIT: u32 = 4096;

/// A compiled RE2 expression.
#[derive(Clone, Debug)]
pub struct Re2 {
    pattern: String,
    search: Regex,
    full: Regex,
}

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Re2Error {
    /// RE2 refuses it too.
    #[error("{reason} at byte {position} of `{pattern}`")]
    Invalid {
        /// The whole expression.
        pattern: String,
        /// Byte offset of the offending part.
        position: usize,
        /// What is wrong, in the words of Go's `regexp`.
        reason: &'static str,
    },
    /// RE2 may accept it, but what it matches cannot be said here.
    #[error("cannot evaluate `{pattern}`: {reason}")]
    Untranslatable {
        /// The whole expression.
        pattern: String,
        /// What stands in the way.
        reason: String,
    },
}

impl Re2 {
    /// Compiles an expression.
    ///
    /// # Errors
    /// [`Re2Error::Invalid`] for what Go's `regexp` refuses, [`Re2Error::Untranslatable`]
    /// for what it may accept and we cannot evaluate within bounded memory.
    pub fn new(pattern: &str) -> Result<Self, Re2Error> {
        Self::one_of(1, pattern)
    }

    /// Compiles one of `count` expressions that come together, as in a request, and share
    /// the bounds on time and memory: the more there are, the smaller each has to be.
    ///
    /// # Errors
    /// As [`Re2::new`].
    pub fn one_of(count: usize, pattern: &str) -> Result<Self, Re2Error> {
        let count = count.max(1);
        // Each is compiled twice.
        let limit = COMPILED_LIMIT.min(COMPILED_TOGETHER / 2 / count);
        let translated = parse::translate(pattern, count)?;
        let search = compile(pattern, &translated, limit)?;
        let full = compile(pattern, &format!(r"\A(?:{translated})\z"), limit)?;
        Ok(Self {
            pattern: pattern.to_owned(),
            search,
            full,
        })
    }

    /// Whether the expression matches anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.search.is_match(text)
    }

    /// Whether the expression matches all of `text`.
    pub fn is_full_match(&self, text: &str) -> bool {
        self.full.is_match(text)
    }

    /// The expression as it was given.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }
}

fn compile(pattern: &str, translated: &str, limit: usize) -> Result<Regex, Re2Error> {
    RegexBuilder::new(translated)
        .size_limit(limit)
        .dfa_size_limit(CACHE_LIMIT.min(limit))
        .nest_limit(GROUP_LIMIT)
        .build()
        .map_err(|error| Re2Error::Untranslatable {
            pattern: pattern.to_owned(),
            reason: match error {
                regex::Error::CompiledTooBig(limit) => {
                    format!("its compiled form exceeds {limit} bytes")
                }
                other => last_line(&other.to_string()).to_owned(),
            },
        })
}

/// The `regex` crate draws the expression before it says what is wrong.
fn last_line(message: &str) -> &str {
    message.trim_end().rsplit('\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
