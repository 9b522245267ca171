//! A position in an expression, and the errors that point at it.
//!
//! Owns reading characters. Knows no syntax.

use super::Re2Error;

#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pattern: &'a str,
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(pattern: &'a str) -> Self {
        Self {
            pattern,
            position: 0,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn rest(&self) -> &'a str {
        self.pattern.get(self.position..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.position += next.len_utf8();
        Some(next)
    }

    /// Moves behind `text` if it is next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.position += text.len();
        }
        found
    }

    /// The text up to `end`, moving behind `end`; `None` leaves the position.
    pub(super) fn until(&mut self, end: &str) -> Option<&'a str> {
        let (text, _) = self.rest().split_once(end)?;
        self.position += text.len() + end.len();
        Some(text)
    }

    pub(super) fn take_rest(&mut self) -> &'a str {
        let rest = self.rest();
        self.position = self.pattern.len();
        rest
    }

    /// What RE2 refuses, here.
    pub(super) fn invalid(&self, reason: &'static str) -> Re2Error {
        self.invalid_at(self.position, reason)
    }

    pub(super) fn invalid_at(&self, position: usize, reason: &'static str) -> Re2Error {
        Re2Error::Invalid {
            pattern: self.pattern.to_owned(),
            position,
            reason,
        }
    }

    pub(super) fn untranslatable(&self, reason: String) -> Re2Error {
        Re2Error::Untranslatable {
            pattern: self.pattern.to_owned(),
            reason,
        }
    }
}
