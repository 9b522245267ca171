//! Text and numbers as Go's JSON encoder writes them.
//!
//! Owns the escapes (`<`, `>`, `&`, U+2028 and U+2029 among them, as in every line that
//! Hubble prints) and the forms of numbers. Knows no message.

use std::io::Write as _;

/// Writes text in quotes.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut at = 0;
    while let Some(skipped) = bytes[at..]
        .iter()
        .position(|&byte| SPECIAL[usize::from(byte)])
    {
        at += skipped;
        // U+2028 and U+2029 are E2 80 A8 and E2 80 A9; what else starts with E2 stands.
        let length = match (bytes[at], bytes.get(at + 1..at + 3)) {
            (0xe2, Some([0x80, 0xa8 | 0xa9])) => 3,
            (0xe2, _) => {
                at += 1;
                continue;
            }
            _ => 1,
        };
        out.extend_from_slice(&bytes[from..at]);
        escape(bytes[at], bytes.get(at + 2), out);
        at += length;
        from = at;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// Writes an integer.
#[inline]
pub(super) fn unsigned(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Writes an integer with its sign.
#[inline]
pub(super) fn signed(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(value.unsigned_abs(), out);
}

/// Writes a number with the fewest digits that read back, or the name of one that has none.
pub(super) fn double(value: f64, out: &mut Vec<u8>) {
    float(value, value.abs(), out);
}

/// Writes a 32-bit number likewise.
pub(super) fn single(value: f32, out: &mut Vec<u8>) {
    float(value, f64::from(value.abs()), out);
}

fn float(value: impl std::fmt::Display + std::fmt::LowerExp, size: f64, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = if size.is_nan() {
        write!(out, "\"NaN\"")
    } else if size.is_infinite() {
        write!(out, "\"{}\"", format!("{value}").replace("inf", "Infinity"))
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        let sign = if size < 1.0 { "e" } else { "e+" };
        write!(out, "{}", text.replace('e', sign))
    } else {
        write!(out, "{value}")
    };
}

/// Bytes that cannot stand as they are, and the first one of those that might not.
static SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special[b'<' as usize] = true;
    special[b'>' as usize] = true;
    special[b'&' as usize] = true;
    special[0xe2] = true;
    special
};

fn escape(byte: u8, third: Option<&u8>, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0xe2 => {
            let last: &[u8] = if third == Some(&0xa8) { b"8" } else { b"9" };
            out.extend_from_slice(b"\\u202");
            out.extend_from_slice(last);
            return;
        }
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.push(b'\\');
    out.push(short);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_are_those_of_go() {
        let written = text(|out| {
            string(
                "a<b>&\"\\\n\u{1}\u{8}\u{1f}\u{7f}\u{2028}\u{2029}\u{2027}\u{20ac}",
                out,
            );
        });
        assert_eq!(
            written,
            "\"a\\u003cb\\u003e\\u0026\\\"\\\\\\n\\u0001\\b\\u001f\u{7f}\\u2028\\u2029\u{2027}\u{20ac}\""
        );
    }

    #[test]
    fn numbers_are_those_of_go() {
        let cases = [
            (1.5, "1.5"),
            (0.0, "0"),
            (3.0, "3"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1e-6, "0.000001"),
            (-2.5e-7, "-2.5e-7"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ];
        for (value, expected) in cases {
            assert_eq!(text(|out| double(value, out)), expected);
        }
        assert_eq!(text(|out| single(0.1, out)), "0.1");
        assert_eq!(text(|out| signed(i64::MIN, out)), i64::MIN.to_string());
        assert_eq!(text(|out| unsigned(u64::MAX, out)), u64::MAX.to_string());
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(original in ".*") {
            let written = text(|out| string(&original, out));
            let read: String = serde_json::from_str(&written).unwrap();
            proptest::prop_assert_eq!(read, original);
        }
    }
}
