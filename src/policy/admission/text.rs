//! Syntax of texts, as the API server checks them.
//!
//! Owns the rules that differ from the agent's: some are laxer, some stricter.

use crate::policy::cidr;
use crate::policy::validate::label_value;

/// A prefix with its length; a bare address is none.
pub(super) fn is_cidr(text: &str) -> bool {
    cidr::prefix(text).is_ok()
}

/// A label's value.
pub(super) fn is_label_value(text: &str) -> bool {
    label_value(text).is_none()
}

/// A port: what begins like a number of up to 65535, or ends in a name. The definition of
/// the resource leaves both open at the other end, so `514 ` passes.
pub(super) fn is_port(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_digit())
        || ends_in_a_name(text)
}

fn ends_in_a_name(text: &str) -> bool {
    let mut after_hyphen = true;
    for byte in text.bytes().rev() {
        match byte {
            b'-' if !after_hyphen => after_hyphen = true,
            _ if byte.is_ascii_alphabetic() => return true,
            _ if byte.is_ascii_digit() => after_hyphen = false,
            _ => return false,
        }
    }
    false
}

/// A DNS name: words with single dots between them, one behind allowed.
pub(super) fn is_name(text: &str) -> bool {
    is_dotted(text, is_word_byte)
}

/// A DNS pattern: a name with asterisks.
pub(super) fn is_pattern(text: &str) -> bool {
    is_dotted(text, |byte| is_word_byte(byte) || byte == b'*')
}

/// A server name: a name, one or two asterisks and a dot before it allowed.
pub(super) fn is_server_name(text: &str) -> bool {
    let rest = text.strip_prefix("**.").or_else(|| text.strip_prefix("*."));
    is_name(rest.unwrap_or(text))
}

fn is_dotted(text: &str, word: impl Fn(u8) -> bool) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && !text.contains("..")
        && text.bytes().all(|byte| word(byte) || byte == b'.')
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

/// An ICMP type as a text: 0 to 255 without leading zeros, or a name of either family.
pub(super) fn is_icmp_type(text: &str) -> bool {
    let number = || {
        text.parse::<u8>()
            .is_ok_and(|number| number.to_string() == text)
    };
    let named = ["IPv4", "IPv6"]
        .iter()
        .any(|family| crate::policy::icmp::number(family, text).is_some());
    // The definition has this name with a blank only.
    if text == "ExtendedEchoReply" {
        return false;
    }
    named || text == "ExtendedEcho Reply" || number()
}

/// No control characters and the like.
pub(super) fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// The port of a container by name: lower-case letters, digits and single hyphens between
/// them, at least one letter, up to 15.
pub(super) fn is_port_name(text: &str) -> bool {
    crate::policy::port::is_name(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_open_at_one_end() {
        for port in ["80", "514 ", "99999", "http", "HTTP", "a--b", "_a", "0x50"] {
            assert!(is_port(port), "{port}");
        }
        for no_port in ["", "{{.Port}}", "a-", "-", "$"] {
            assert!(!is_port(no_port), "{no_port}");
        }
    }

    #[test]
    fn a_name_has_no_two_dots() {
        assert!(is_name("www.cilium.io") && is_name("a.") && is_name("a_b"));
        assert!(!is_name("") && !is_name(".a") && !is_name("a..b") && !is_name("*.io"));
        assert!(is_pattern("*.io") && is_pattern("*"));
        assert!(is_server_name("*.a.io") && is_server_name("**.io") && !is_server_name("***.io"));
    }

    #[test]
    fn an_icmp_type_is_a_byte_or_a_name() {
        for kind in ["0", "255", "Echo", "PacketTooBig"] {
            assert!(is_icmp_type(kind), "{kind}");
        }
        for no_kind in ["256", "00", "echo", "", "+1"] {
            assert!(!is_icmp_type(no_kind), "{no_kind}");
        }
    }
}
