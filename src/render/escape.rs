//! Makes control characters in foreign text harmless.
//!
//! Names, summaries and labels come from workloads, so they may hold terminal
//! sequences or line breaks that would forge output. As Hubble does, ESC becomes `^[`
//! and a carriage return `\r`; beyond Hubble, so do all other C0 controls, DEL and
//! the C1 controls. Our own colour codes never pass through here.

use memchr::{memchr2_iter, memchr3};

/// What a tab may do where the text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// It stays: it moves the cursor and no more.
    Keep,
    /// It would end a cell and becomes `\t`.
    Escape,
}

/// Appends `text` with its control characters made visible.
#[inline]
pub fn push(out: &mut Vec<u8>, text: &str, tab: Tab) {
    let bytes = text.as_bytes();
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        push_escaped(out, text, tab);
    }
}

/// Whether nothing in `bytes` needs a second look: no byte of a control character,
/// and none that starts a C1 control (which also starts some letters).
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let suspicious = |word: u64| {
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        control | has_zero(word ^ (ONES * 0x7f)) | has_zero(word ^ (ONES * 0xc2))
    };

    let (words, rest) = bytes.as_chunks::<8>();
    let mut found = 0;
    for word in words {
        found |= suspicious(u64::from_le_bytes(*word));
    }
    match bytes.last_chunk::<8>() {
        Some(word) => found |= suspicious(u64::from_le_bytes(*word)),
        None if rest
            .iter()
            .any(|&byte| byte < 0x20 || byte == 0x7f || byte == 0xc2) =>
        {
            return false;
        }
        None => {}
    }
    found == 0
}

#[cold]
fn push_escaped(out: &mut Vec<u8>, text: &str, tab: Tab) {
    for char in text.chars() {
        match char {
            '\x1b' => out.extend_from_slice(b"^["),
            '\r' => out.extend_from_slice(b"\\r"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\t' if tab == Tab::Keep => out.push(b'\t'),
            '\t' => out.extend_from_slice(b"\\t"),
            char if char.is_control() => push_code(out, char as u32),
            char => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Appends `text` as a quoted string, so that it ends where it seems to end.
pub(super) fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = memchr3(b'"', b'\\', b'\t', rest.as_bytes()) {
        push(out, &rest[..at], Tab::Escape);
        out.push(b'\\');
        out.push(match rest.as_bytes()[at] {
            b'\t' => b't',
            other => other,
        });
        rest = &rest[at + 1..];
    }
    push(out, rest, Tab::Escape);
    out.push(b'"');
}

/// Escapes DEL and the C1 controls in the JSON text that `out` holds from `start` on.
///
/// JSON has them as they are, in strings only, so an escape is the same character. What
/// comes before U+0020 it has only escaped.
pub(super) fn json_controls(out: &mut Vec<u8>, start: usize) {
    if let Some(first) = next_control(&out[start..]) {
        escape_json_controls(out, start + first);
    }
}

/// Where the first DEL or C1 control begins.
fn next_control(text: &[u8]) -> Option<usize> {
    memchr2_iter(0x7f, 0xc2, text)
        .find(|&at| text[at] == 0x7f || text.get(at + 1).is_some_and(|&byte| byte < 0xa0))
}

#[cold]
fn escape_json_controls(out: &mut Vec<u8>, first: usize) {
    let text = out.split_off(first);
    let mut rest = text.as_slice();
    while let Some(at) = next_control(rest) {
        out.extend_from_slice(&rest[..at]);
        // U+0080 to U+009F are the byte C2 and their own number.
        let length = if rest[at] == 0x7f { 1 } else { 2 };
        push_code(out, u32::from(rest[at + length - 1]));
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
}

/// Appends a character below U+0100 as four hexadecimal digits.
fn push_code(out: &mut Vec<u8>, code: u32) {
    let hex = |nibble: u32| b"0123456789abcdef"[(nibble & 15) as usize];
    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(code >> 4), hex(code)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &str, tab: Tab) -> String {
        let mut out = Vec::new();
        push(&mut out, text, tab);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_terminal_sequence_loses_its_power_and_stays_readable() {
        assert_eq!(escaped("a\x1b[31mred\x1b[0m", Tab::Keep), "a^[[31mred^[[0m");
        assert_eq!(escaped("\u{9b}31m", Tab::Keep), "\\u009b31m");
        assert_eq!(
            escaped("one\r\ntwo\x07\x00\x7f", Tab::Keep),
            "one\\r\\ntwo\\u0007\\u0000\\u007f"
        );
    }

    #[test]
    fn a_tab_is_escaped_only_where_it_ends_a_cell() {
        assert_eq!(escaped("a\tb", Tab::Keep), "a\tb");
        assert_eq!(escaped("a\tb", Tab::Escape), "a\\tb");
    }

    #[test]
    fn letters_that_start_like_a_c1_control_stay() {
        assert_eq!(
            escaped("5 \u{b5}s, \u{e9}", Tab::Escape),
            "5 \u{b5}s, \u{e9}"
        );
    }

    #[test]
    fn quotes_inside_a_quoted_text_are_escaped() {
        let mut out = Vec::new();
        push_quoted(&mut out, "say \"no\"\\\t\x1b");
        assert_eq!(out, br#""say \"no\"\\\t^[""#);
    }

    proptest! {
        #[test]
        fn json_stays_what_it_says_and_controls_no_terminal(text in "\\PC{0,9}[\\x00-\\x{c0}]{0,9}\\PC{0,9}") {
            let mut out = b"before\x7f".to_vec();
            let start = out.len();
            serde_json::to_writer(&mut out, &text).unwrap();
            json_controls(&mut out, start);
            prop_assert_eq!(&out[..start], b"before\x7f");
            let json = std::str::from_utf8(&out[start..]).unwrap();
            prop_assert!(!json.chars().any(char::is_control), "{:?}", json);
            prop_assert_eq!(serde_json::from_str::<String>(json).unwrap(), text);
        }

        #[test]
        fn nothing_that_controls_a_terminal_gets_through(text in "\\PC{0,9}[\\x00-\\x{a0}]{0,3}\\PC{0,9}") {
            let out = escaped(&text, Tab::Escape);
            prop_assert!(!out.chars().any(char::is_control));
            if !text.chars().any(char::is_control) {
                prop_assert_eq!(out, text);
            }
        }
    }
}
