//! Marks that stand for patterns which a redaction could not map.
//!
//! Owns their text. A mark is a DNS name below a domain that exists nowhere, so that it can
//! stand wherever a pattern, a name or an expression does, and is valid there. Whatever
//! meets one is unknown.

/// The end of every mark; `.invalid` is reserved (RFC 2606).
const END: &str = ".redacted.flowwatch.invalid";

/// The mark of a pattern, told from other marks by a word of letters.
#[must_use]
pub fn redacted_mark(word: &str) -> String {
    format!("{word}{END}")
}

/// Whether a pattern, a name or an expression is a mark.
#[must_use]
pub fn is_redacted_mark(text: &str) -> bool {
    text.strip_suffix('.').unwrap_or(text).ends_with(END)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_known_with_and_without_its_dot() {
        let mark = redacted_mark("kibo");
        assert!(is_redacted_mark(&mark) && is_redacted_mark(&format!("{mark}.")));
        assert!(!is_redacted_mark("redacted.flowwatch.invalid.example"));
    }
}
