//! The secret that a redaction hangs on, and the one function everything is drawn from.
//!
//! Owns the key in memory. Where it comes from is `cli`'s. It is never shown.

use std::fmt;

use ring::hmac;

/// Fewest bytes of a secret that is worth the name.
pub const LEAST_BYTES: usize = 16;

/// What a value is drawn for: equal texts of two kinds have nothing in common.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    Name = 1,
    Case,
    Random,
    Address4,
    Address6,
    Mac,
    Uuid,
    Hex,
    Number,
    Path,
    Header,
    Text,
}

/// A key. Cloning it is cheap.
#[derive(Clone)]
pub struct Key(hmac::Key);

/// A secret too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key has {bytes} bytes; {LEAST_BYTES} or more are needed")]
pub struct ShortKey {
    /// How many it has.
    pub bytes: usize,
}

impl Key {
    /// Makes a key of a secret.
    ///
    /// # Errors
    /// [`ShortKey`] below [`LEAST_BYTES`].
    pub fn new(secret: &[u8]) -> Result<Self, ShortKey> {
        if secret.len() < LEAST_BYTES {
            return Err(ShortKey {
                bytes: secret.len(),
            });
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// HMAC-SHA-256 of what it is for and a text.
    pub(super) fn draw(&self, what: Use, text: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[what as u8]);
        context.update(text);
        let tag = context.sign();
        let mut drawn = [0; 32];
        for (to, from) in drawn.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        drawn
    }

    /// The first bytes of a draw as a number.
    pub(super) fn number(&self, what: Use, text: &[u8]) -> u64 {
        let drawn = self.draw(what, text);
        drawn[..8]
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_long_and_never_shown() {
        assert_eq!(Key::new(b"short").unwrap_err(), ShortKey { bytes: 5 });
        let key = Key::new(b"0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?}"), "Key(..)");
        assert_ne!(key.draw(Use::Name, b"a"), key.draw(Use::Path, b"a"));
    }
}
