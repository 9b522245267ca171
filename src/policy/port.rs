//! Ports as texts.
//!
//! Owns what is a name, what is a number and in which base, as Cilium takes them: `010` is
//! octal, `0x50` is a name, and a number that does not parse is 0 or the highest where it
//! was not validated.

/// Whether a text is an IANA service name: up to 15 letters, digits and single hyphens
/// between them, at least one letter.
pub(super) fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 15
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().any(u8::is_ascii_alphabetic)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && !text.contains("--")
}

/// Why a text is no port number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    /// Not a number of its base.
    Syntax,
    /// Above 65535.
    Range,
}

/// Reads a number with the base its prefix says, underscores between digits allowed.
///
/// # Errors
/// [`NumberError`]
pub(super) fn number(text: &str) -> Result<u16, NumberError> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, &*lower)
    };
    let digits = if base == 10 {
        digits
    } else {
        digits.strip_prefix('_').unwrap_or(digits)
    };
    if digits.is_empty()
        || digits.starts_with('_')
        || digits.ends_with('_')
        || digits.contains("__")
    {
        return Err(NumberError::Syntax);
    }
    let mut value = 0_u32;
    for digit in digits.chars().filter(|digit| *digit != '_') {
        let digit = digit.to_digit(base).ok_or(NumberError::Syntax)?;
        value = value
            .saturating_mul(base)
            .saturating_add(digit)
            .min(1 << 20);
    }
    u16::try_from(value).map_err(|_| NumberError::Range)
}

/// The number the agent ends with for a text that is no name.
pub(super) fn number_or_bound(text: &str) -> u16 {
    number(text).unwrap_or_else(|error| match error {
        NumberError::Syntax => 0,
        NumberError::Range => u16::MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_read_in_the_base_it_is_written_in() {
        for (text, expected) in [
            ("80", Ok(80)),
            ("0", Ok(0)),
            ("010", Ok(8)),
            ("0_7", Ok(7)),
            ("8_0", Ok(80)),
            ("0x0000000000000050", Ok(80)),
            ("65535", Ok(65535)),
            ("65536", Err(NumberError::Range)),
            ("99999999999999999999", Err(NumberError::Range)),
            ("080", Err(NumberError::Syntax)),
            ("514 ", Err(NumberError::Syntax)),
            ("-1", Err(NumberError::Syntax)),
            ("+1", Err(NumberError::Syntax)),
            ("a--b", Err(NumberError::Syntax)),
            ("0x", Err(NumberError::Syntax)),
            ("", Err(NumberError::Syntax)),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_has_a_letter_and_no_two_hyphens() {
        for name in ["http", "0x50", "1a", "Z", "a-9", "1-a-9", "fifteen-letters"] {
            assert!(is_name(name), "{name}");
        }
        for no_name in [
            "",
            "80",
            "1-2",
            "a--9",
            "-a",
            "a-",
            "sixteen-letters1",
            "a.b",
        ] {
            assert!(!is_name(no_name), "{no_name}");
        }
    }
}
