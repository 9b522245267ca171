//! Names and values as Kubernetes writes them.
//!
//! Owns the syntax of label keys and values and of DNS names. Each check gives the rule that
//! is broken, `None` where none is.

/// Longest name, and longest part of a name, in bytes.
const MAX_NAME: usize = 63;
const MAX_SUBDOMAIN: usize = 253;

/// `prefix/name` or `name`.
pub(in crate::policy) fn qualified_name(text: &str) -> Option<&'static str> {
    let name = match text.split_once('/') {
        Some(("", _)) => return Some("nothing before the '/'"),
        Some((_, name)) if name.contains('/') => return Some("more than one '/'"),
        Some((prefix, _)) if !is_dns_subdomain(prefix) => {
            return Some("no DNS name before the '/'");
        }
        Some((_, name)) => name,
        None => text,
    };
    if name.is_empty() {
        Some("the name is empty")
    } else if name.len() > MAX_NAME {
        Some("the name is longer than 63 characters")
    } else if !is_word(name) {
        Some("only letters, digits, '-', '_' and '.', the first three not at its ends")
    } else {
        None
    }
}

/// Whether a text is a label key.
pub(in crate::policy) fn is_qualified_name(text: &str) -> bool {
    qualified_name(text).is_none()
}

/// A label's value; it may be empty.
pub(in crate::policy) fn label_value(text: &str) -> Option<&'static str> {
    if text.len() > MAX_NAME {
        Some("longer than 63 characters")
    } else if !text.is_empty() && !is_word(text) {
        Some("only letters, digits, '-', '_' and '.', a letter or digit at its ends")
    } else {
        None
    }
}

/// Lower-case labels with dots between them.
pub(in crate::policy) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= MAX_SUBDOMAIN && text.split('.').all(is_dns_label)
}

fn is_dns_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
        && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
}

fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_key_is_a_name_with_a_dns_prefix_or_none() {
        for key in [
            "app",
            "k8s.app",
            "app.kubernetes.io/name",
            "cidr.9.9.9.9/32",
            "a_b",
        ] {
            assert!(is_qualified_name(key), "{key}");
        }
        for no_key in [
            "", "a b", "/a", "a/", "a/b/c", "App.io/x", "a_b/c", "-a", "a.", "k8s:app",
        ] {
            assert!(!is_qualified_name(no_key), "{no_key}");
        }
        assert!(!is_qualified_name(&"a".repeat(64)));
    }

    #[test]
    fn a_label_value_may_be_empty() {
        for value in ["", "a", "A-b_c.1"] {
            assert_eq!(label_value(value), None, "{value}");
        }
        for no_value in ["${APP}", "-a", "a/b", "a b"] {
            assert!(label_value(no_value).is_some(), "{no_value}");
        }
    }
}
