//! Names that incidents make up: data in labels, and domains of a generator.
//!
//! Owns their texts, computed from the number of each, so that none is kept.

use std::sync::Arc;

use super::super::super::number::mix;

/// Longest label of DNS.
const LONGEST: usize = 63;

/// How the names of an incident are made.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct MadeNames {
    pub(in super::super) style: Style,
    /// Domains that take turns.
    pub(in super::super) domains: Vec<Arc<str>>,
    /// Letters of data in each name, or of a domain.
    pub(in super::super) length: usize,
    pub(in super::super) seed: u64,
}

/// What the letters are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Style {
    /// Data in base 32 below a domain.
    #[default]
    Base32,
    /// Data in base 16 below a domain.
    Hex,
    /// A domain of random letters.
    Domain,
}

impl MadeNames {
    /// Bytes of data in a name.
    pub(in super::super) fn bytes(&self) -> f64 {
        let bits = match self.style {
            Style::Base32 => 5.0,
            Style::Hex => 4.0,
            Style::Domain => 0.0,
        };
        self.length as f64 * bits / 8.0
    }

    /// The name of a number, without a dot at the end.
    pub(in super::super) fn name(&self, number: u32) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        const ENDINGS: [&str; 4] = ["example", "test", "invalid", "example"];
        let mut bits = 0;
        let alphabet = match self.style {
            Style::Base32 => 32,
            Style::Hex => 16,
            Style::Domain => 26,
        };
        let mut text = String::with_capacity(self.length + 32);
        for at in 0..self.length {
            if at % 10 == 0 {
                bits = mix(self.seed ^ u64::from(number) << 16 ^ (at as u64 + 1));
            }
            if at > 0 && at % LONGEST == 0 {
                text.push('.');
            }
            let digit = (bits % alphabet) as usize;
            text.push(char::from(match self.style {
                Style::Hex => b"0123456789abcdef"[digit],
                _ => LETTERS[digit],
            }));
            bits /= alphabet;
        }
        text.push('.');
        match self.style {
            Style::Domain => text.push_str(ENDINGS[(mix(self.seed) % 4) as usize]),
            _ if self.domains.is_empty() => text.push_str("invalid"),
            _ => text.push_str(&self.domains[number as usize % self.domains.len()]),
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_hardly_ever_the_same() {
        let names = MadeNames {
            style: Style::Base32,
            domains: vec!["a.example".into(), "b.test".into()],
            length: 90,
            seed: 7,
        };
        let all: std::collections::BTreeSet<String> =
            (0..5_000).map(|number| names.name(number)).collect();
        assert_eq!(all.len(), 5_000);
        for name in &all {
            assert!(name.ends_with(".a.example") || name.ends_with(".b.test"));
            assert!(name.split('.').all(|label| (1..=63).contains(&label.len())));
            assert!(name.len() <= 253);
        }
        assert!((names.bytes() - 56.25).abs() < 1e-9);
    }
}
