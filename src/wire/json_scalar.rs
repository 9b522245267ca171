//! Single JSON values as the scalars of a message.
//!
//! Owns how liberal a scalar is read: integers as numbers, as text, or with a fraction
//! of zero; base64 of either alphabet, padded or not.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use super::{json_error::JsonProblem, put, rfc3339::Instant, shape::Kind};

/// A number as the wire has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Booleans, enums and integers; signed ones are extended to 64 bits.
    Varint(u64),
    /// `float`
    Float(f32),
    /// `double`
    Double(f64),
}

impl Number {
    pub(super) fn is_zero(self) -> bool {
        match self {
            Self::Varint(value) => value == 0,
            Self::Float(value) => value.to_bits() == 0,
            Self::Double(value) => value.to_bits() == 0,
        }
    }

    pub(super) fn wire_type(self) -> u32 {
        match self {
            Self::Varint(_) => put::VARINT,
            Self::Float(_) => put::FIXED32,
            Self::Double(_) => put::FIXED64,
        }
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        match self {
            Self::Varint(value) => put::varint(value, out),
            Self::Float(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Double(value) => out.extend_from_slice(&value.to_le_bytes()),
        }
    }
}

pub(super) fn object(json: &Value) -> Result<&Map<String, Value>, JsonProblem> {
    json.as_object()
        .ok_or_else(|| other_kind("an object", json))
}

pub(super) fn list(json: &Value) -> Result<&[Value], JsonProblem> {
    match json {
        Value::Array(list) => Ok(list),
        other => Err(other_kind("a list", other)),
    }
}

pub(super) fn string(json: &Value) -> Result<&str, JsonProblem> {
    json.as_str().ok_or_else(|| other_kind("text", json))
}

pub(super) fn bytes(json: &Value) -> Result<Vec<u8>, JsonProblem> {
    base64(string(json)?)
}

pub(super) fn base64(text: &str) -> Result<Vec<u8>, JsonProblem> {
    const LIBERAL: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LIBERAL);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LIBERAL);

    let decoded = if text.contains(['-', '_']) {
        URL_SAFE.decode(text)
    } else {
        STANDARD.decode(text)
    };
    decoded.map_err(|_| JsonProblem::Value {
        expected: "base64",
        text: format!("\"{}\"", short(text)),
    })
}

pub(super) fn instant(text: &str) -> Result<Instant, JsonProblem> {
    Instant::parse(text).ok_or_else(|| JsonProblem::Value {
        expected: "an RFC 3339 time",
        text: format!("\"{}\"", short(text)),
    })
}

/// A number of `kind`; enums by number only.
pub(super) fn number(kind: Kind, json: &Value) -> Result<Number, JsonProblem> {
    match kind {
        Kind::Bool => match json {
            Value::Bool(value) => Ok(Number::Varint(u64::from(*value))),
            other => Err(other_kind("a boolean", other)),
        },
        Kind::U32 => integer(json, "a 32-bit unsigned integer", 0, i128::from(u32::MAX)),
        Kind::U64 => integer(json, "a 64-bit unsigned integer", 0, i128::from(u64::MAX)),
        Kind::I64 => integer(
            json,
            "a 64-bit integer",
            i128::from(i64::MIN),
            i128::from(i64::MAX),
        ),
        Kind::F32 => match float(json)? {
            value if value.is_finite() && value.abs() > f64::from(f32::MAX) => {
                Err(not_a("a 32-bit number", json))
            }
            value => Ok(Number::Float(value as f32)),
        },
        Kind::F64 => float(json).map(Number::Double),
        Kind::Enum(_) if !json.is_number() => Err(other_kind("a name or number", json)),
        _ => integer(
            json,
            "a 32-bit integer",
            i128::from(i32::MIN),
            i128::from(i32::MAX),
        ),
    }
}

/// A piece of text that is short enough for an error.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn integer(
    json: &Value,
    expected: &'static str,
    least: i128,
    most: i128,
) -> Result<Number, JsonProblem> {
    let parsed = match json {
        Value::Number(number) => whole(number),
        Value::String(text) => number_in(text).and_then(|number| whole(&number)),
        other => return Err(other_kind(expected, other)),
    };
    match parsed {
        Some(value) if (least..=most).contains(&value) => Ok(Number::Varint(value as u64)),
        _ => Err(not_a(expected, json)),
    }
}

fn float(json: &Value) -> Result<f64, JsonProblem> {
    let parsed = match json {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => number_in(text).and_then(|number| number.as_f64()),
        },
        other => return Err(other_kind("a number", other)),
    };
    parsed.ok_or_else(|| not_a("a number", json))
}

/// The number that a text is, with nothing around it.
fn number_in(text: &str) -> Option<serde_json::Number> {
    let bare = text.ends_with(|last: char| last.is_ascii_digit())
        && text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    bare.then(|| serde_json::from_str(text).ok()).flatten()
}

/// The integer that a number is, be it written `80`, `80.0` or `8e1`.
fn whole(number: &serde_json::Number) -> Option<i128> {
    if let Some(value) = number.as_i128() {
        return Some(value);
    }
    let value = number.as_f64()?;
    (value.fract() == 0.0 && value.abs() <= 2_f64.powi(64)).then_some(value as i128)
}

fn not_a(expected: &'static str, json: &Value) -> JsonProblem {
    JsonProblem::Value {
        expected,
        text: short(&json.to_string()),
    }
}

fn other_kind(expected: &'static str, json: &Value) -> JsonProblem {
    let found = match json {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    JsonProblem::Kind { expected, found }
}
