//! Incident ids as values of labels and parts of names.
//!
//! Owns what Kubernetes takes. Where an id comes from is the caller's.

use std::sync::Arc;

/// Letters of a value of a label.
const MOST: usize = 63;

/// An id that no label can have as its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{id}' cannot be the value of a label: up to 63 letters, digits, '-', '_' and '.', a letter or digit at both ends"
)]
pub struct IncidentError {
    /// What was given.
    pub id: String,
}

/// An incident's id, if a label can have it as its value.
///
/// # Errors
/// [`IncidentError`].
pub fn incident_id(id: &str) -> Result<Arc<str>, IncidentError> {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = id.as_bytes();
    let is_value = bytes.len() <= MOST
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    if is_value {
        Ok(id.into())
    } else {
        Err(IncidentError { id: id.to_owned() })
    }
}

/// The same as part of an object's name: lower case, `-` for what a name cannot have.
pub(super) fn name_part(id: &str) -> String {
    id.chars()
        .map(|letter| match letter {
            'a'..='z' | '0'..='9' | '-' | '.' => letter,
            'A'..='Z' => letter.to_ascii_lowercase(),
            _ => '-',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_a_label_can_hold() {
        for id in ["INC-1", "2026-06-16_a.b", "7"] {
            assert_eq!(incident_id(id).as_deref(), Ok(id));
        }
        for id in ["", "-a", "a-", "a b", "a/b", &"x".repeat(64), "ü"] {
            assert!(incident_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_name_has_small_letters_and_no_underscores() {
        assert_eq!(name_part("INC_7.b"), "inc-7.b");
    }
}
