//! What a scalar is: a text, a number, a boolean or nothing, as Kubernetes resolves it.
//!
//! Owns the rules of YAML 1.1 as `sigs.k8s.io/yaml` applies them, which differ from both
//! YAML 1.2 (`on` is a boolean, `010` is eight) and from the letter of 1.1 (no numbers in
//! base 60, points in time stay texts). Does not know where the scalar stands.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::ReadErrorKind;
use super::value::{Number, Value};

/// How a scalar is tagged, as far as it matters to resolving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarTag<'a> {
    /// None, and written plainly: the text decides.
    Plain,
    /// None, and quoted or a block; or a tag that is not YAML's: a text.
    Text,
    /// One of YAML's own, without its prefix: `int`.
    Core(&'a str),
}

/// Resolves a scalar.
pub(super) fn resolve(tag: ScalarTag<'_>, text: &str) -> Result<Value, ReadErrorKind> {
    let wanted = match tag {
        ScalarTag::Core("binary") => return binary(text),
        ScalarTag::Plain => None,
        ScalarTag::Core(name @ ("bool" | "int" | "float" | "null" | "timestamp")) => Some(name),
        ScalarTag::Text | ScalarTag::Core(_) => return Ok(Value::String(text.into())),
    };
    let resolved = plain(text);
    let fits = match wanted {
        None => true,
        Some("bool") => matches!(resolved, Plain::Bool(_)),
        Some("int") => matches!(resolved, Plain::Int(_) | Plain::Unsigned(_)),
        Some("float") => matches!(resolved, Plain::Float(_) | Plain::Int(_)),
        Some("null") => matches!(resolved, Plain::Null),
        Some(_) => matches!(resolved, Plain::Text) && looks_like_a_date(text),
    };
    if !fits {
        return Err(ReadErrorKind::WrongTag {
            text: text.into(),
            tag: wanted.unwrap_or_default().into(),
        });
    }
    resolved.into_value(text)
}

/// The text of a mapping's key: what is not a text is written out.
pub(super) fn resolve_key(tag: ScalarTag<'_>, text: &str) -> Result<Box<str>, ReadErrorKind> {
    let float_tag = tag == ScalarTag::Core("float");
    if matches!(tag, ScalarTag::Plain | ScalarTag::Core(_)) {
        let resolved = match plain(text) {
            Plain::Int(value) if float_tag => Plain::Float(value as f64),
            resolved => resolved,
        };
        match resolved {
            // A float is written as go-yaml writes it, also where it is infinite.
            Plain::Float(value) if matches!(tag, ScalarTag::Plain) || float_tag => {
                return Ok(float_key(value as f32).into());
            }
            Plain::Unsigned(_) if tag == ScalarTag::Plain || tag == ScalarTag::Core("int") => {
                return Err(ReadErrorKind::KeyNotText);
            }
            _ => {}
        }
    }
    match resolve(tag, text)? {
        Value::String(text) => Ok(text),
        Value::Bool(value) => Ok(if value { "true" } else { "false" }.into()),
        Value::Number(Number::Int(value)) => Ok(value.to_string().into()),
        _ => Err(ReadErrorKind::KeyNotText),
    }
}

/// What a plain scalar says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plain {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text,
}

impl Plain {
    fn into_value(self, text: &str) -> Result<Value, ReadErrorKind> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Number(Number::Int(value)),
            Self::Unsigned(value) => Value::Number(Number::Unsigned(value)),
            Self::Float(value) => {
                Value::Number(as_json(value).ok_or(ReadErrorKind::NotJson { text: text.into() })?)
            }
            Self::Text => Value::String(text.into()),
        })
    }
}

/// A float as it arrives on JSON's other side: whole ones are written without a point
/// below 1e21, so that they are integers to whoever reads them.
fn as_json(value: f64) -> Option<Number> {
    if !value.is_finite() {
        return None;
    }
    if value.fract() != 0.0 || value.abs() >= 1e21 {
        return Some(Number::Float(value));
    }
    // 2^63 and 2^64, above which the casts would saturate.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value) {
        Some(Number::Int(value as i64))
    } else if (0.0..18_446_744_073_709_551_616.0).contains(&value) {
        Some(Number::Unsigned(value as u64))
    } else {
        Some(Number::Float(value))
    }
}

fn plain(text: &str) -> Plain {
    let Some(first) = text.bytes().next() else {
        return Plain::Null;
    };
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Plain::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Plain::Bool(false);
        }
        "~" | "null" | "Null" | "NULL" => return Plain::Null,
        ".nan" | ".NaN" | ".NAN" => return Plain::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Plain::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Plain::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match first {
        b'.' => float(text).map_or(Plain::Text, Plain::Float),
        b'0'..=b'9' | b'+' | b'-' => number(&text.replace('_', "")),
        _ => Plain::Text,
    }
}

/// A text that begins with a digit or a sign, its underscores taken out.
fn number(text: &str) -> Plain {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if let Some(magnitude) = magnitude(digits) {
        if let Ok(value) = i64::try_from(if negative {
            -i128::from(magnitude)
        } else {
            i128::from(magnitude)
        }) {
            return Plain::Int(value);
        }
        if digits.len() == text.len() {
            return Plain::Unsigned(magnitude);
        }
    }
    if let Some(value) = float(text) {
        return Plain::Float(value);
    }
    // A sign after the prefix: what the library reads, nobody writes.
    match text
        .strip_prefix("0b")
        .map(|rest| i64::from_str_radix(rest, 2))
    {
        Some(Ok(value)) => Plain::Int(value),
        _ => Plain::Text,
    }
}

/// Digits with an optional prefix of their base; a lone leading zero is base eight.
fn magnitude(text: &str) -> Option<u64> {
    let prefixed = |length: usize| text.len() > length;
    let (base, digits) = match text.as_bytes() {
        [b'0', b'b' | b'B', ..] if prefixed(2) => (2, &text[2..]),
        [b'0', b'o' | b'O', ..] if prefixed(2) => (8, &text[2..]),
        [b'0', b'x' | b'X', ..] if prefixed(2) => (16, &text[2..]),
        [b'0', _, ..] => (8, &text[1..]),
        _ => (10, text),
    };
    let plain_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain_digits.then(|| u64::from_str_radix(digits, base).ok())?
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, and not beyond what a double holds.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let good_mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let good_exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    if !good_mantissa || !good_exponent {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A float as a key: the shortest form of a 32-bit float, with an exponent where it is
/// below -4 or above 5.
fn float_key(value: f32) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value}"),
    }
}

fn binary(text: &str) -> Result<Value, ReadErrorKind> {
    let packed: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(packed) {
        Ok(bytes) => Ok(Value::String(String::from_utf8_lossy(&bytes).into())),
        Err(_) => Err(ReadErrorKind::WrongTag {
            text: text.into(),
            tag: "binary".into(),
        }),
    }
}

fn looks_like_a_date(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits == 4 && text.as_bytes().get(4) == Some(&b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plainly(text: &str) -> Value {
        resolve(ScalarTag::Plain, text).unwrap()
    }

    #[test]
    fn bases_signs_and_underscores_are_numbers() {
        for (text, value) in [
            ("0", 0),
            ("010", 8),
            ("-010", -8),
            ("0o17", 15),
            ("0x50", 80),
            ("-0x50", -80),
            ("0b11", 3),
            ("0b-11", -3),
            ("1_000", 1000),
            ("080", 80),
            ("1e3", 1000),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(plainly(text), Value::Number(Number::Int(value)), "{text}");
        }
        assert_eq!(
            plainly("18446744073709551615"),
            Value::Number(Number::Unsigned(u64::MAX))
        );
        assert_eq!(plainly("1.5e-3"), Value::Number(Number::Float(0.0015)));
    }

    #[test]
    fn what_only_looks_like_a_number_is_a_text() {
        for text in [
            "0x",
            "0xZZ",
            "1e400",
            "1.2.3",
            "+",
            "-",
            ".",
            "1:30",
            "--1",
            "0b2",
            "e5",
            "inf",
            "nan",
            "0x1p4",
            "1e",
            "2024-01-01",
        ] {
            assert_eq!(plainly(text), Value::String(text.into()), "{text}");
        }
    }

    #[test]
    fn keys_are_written_out() {
        for (text, key) in [
            ("1", "1"),
            ("010", "8"),
            ("on", "true"),
            ("1.5", "1.5"),
            ("1e6", "1e+06"),
            ("100000.0", "100000"),
            (".inf", ".inf"),
            ("a", "a"),
        ] {
            assert_eq!(
                &*resolve_key(ScalarTag::Plain, text).unwrap(),
                key,
                "{text}"
            );
        }
        for text in ["~", "", "18446744073709551615"] {
            assert!(resolve_key(ScalarTag::Plain, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tag_that_the_text_does_not_fit_is_an_error() {
        assert!(resolve(ScalarTag::Core("int"), "x").is_err());
        assert!(resolve(ScalarTag::Core("bool"), "1").is_err());
        assert!(resolve(ScalarTag::Core("binary"), "%").is_err());
        assert_eq!(
            resolve(ScalarTag::Core("float"), "3").unwrap(),
            Value::Number(Number::Int(3))
        );
    }
}
