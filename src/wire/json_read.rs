//! From JSON, as protojson writes it and more, to the wire format.
//!
//! Owns what is accepted: either spelling of a name, enums by name or number, integers
//! as numbers or text, offsets in times. Fields come out in the order of their numbers,
//! so that equal objects have equal bytes, whatever their order in JSON. Framing of
//! files is `source`'s. Doubled keys of one spelling are the JSON parser's, which keeps
//! the last.

use serde_json::{Map, Value};

use super::{
    json_scalar::{self, Number},
    put,
    shape::{self, Field, Kind, Message},
};

pub use super::{
    json_error::{JsonError, JsonProblem},
    record::{Record, read_record, record_to_wire},
};

/// What is an error rather than left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// Fields that the message does not have, and `Any` of unknown types.
    pub strict_fields: bool,
    /// Names that an enum does not have.
    pub strict_enums: bool,
}

/// What was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Fields that their message does not have.
    pub unknown_fields: u32,
    /// The name of the first of them.
    pub first_unknown_field: Option<String>,
    /// Enum names without a number; they read as 0.
    pub unknown_enums: u32,
    /// `Any` values of types that are not known.
    pub unknown_types: u32,
}

/// Appends the wire format of a message given as JSON.
///
/// # Errors
/// [`JsonError`] when the JSON is not that message; then `out` is as it was.
pub fn json_to_wire(
    shape: Message,
    json: &Value,
    options: &ReadOptions,
    out: &mut Vec<u8>,
) -> Result<ReadReport, JsonError> {
    let mut reader = Reader::new(*options);
    let start = out.len();
    match reader.body(shape, json, 0, out) {
        Ok(()) => Ok(reader.report),
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// Reads the text of one message, of the type with that full name, the liberal way.
///
/// # Errors
/// [`JsonError`] when it is not JSON or not such a message.
pub fn object_to_wire(text: &[u8], full_name: &str) -> Result<Vec<u8>, JsonError> {
    let json: Value = serde_json::from_slice(text).map_err(JsonProblem::Syntax)?;
    let mut out = Vec::with_capacity(text.len());
    if let Some(shape) = shape::by_full_name(full_name) {
        json_to_wire(shape, &json, &ReadOptions::default(), &mut out)?;
    }
    Ok(out)
}

/// Levels of messages; Hubble's have less than ten, but an `Any` may hold another.
pub(super) const MAX_DEPTH: usize = 32;

type Outcome = Result<(), JsonError>;

pub(super) struct Reader {
    options: ReadOptions,
    pub(super) report: ReadReport,
}

impl Reader {
    pub(super) fn new(options: ReadOptions) -> Self {
        Self {
            options,
            report: ReadReport::default(),
        }
    }

    /// The content of a message of any kind, without tag and length.
    fn body(&mut self, shape: Message, json: &Value, depth: usize, out: &mut Vec<u8>) -> Outcome {
        if depth >= MAX_DEPTH {
            return Err(JsonProblem::TooDeep.into());
        }
        match shape.kind() {
            Kind::Timestamp => timestamp(json, out),
            Kind::FieldMask => field_mask(json, out),
            Kind::Any => self.any(json, depth, out),
            Kind::Wrapper => match shape.by_number(1) {
                Some(value) => self.single(value, json, depth, out),
                None => Ok(()),
            },
            _ => {
                let object = json_scalar::object(json)?;
                self.fields(shape, object, |_| false, depth, out)
            }
        }
    }

    /// The fields of a message, less the keys that `skip` says are no fields of it.
    pub(super) fn fields(
        &mut self,
        shape: Message,
        object: &Map<String, Value>,
        skip: impl Fn(&str) -> bool,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let mut present: Vec<(&Field, &Value)> = Vec::with_capacity(object.len());
        for (name, value) in object {
            if skip(name) {
                continue;
            }
            match shape.by_name(name) {
                Some(_) if value.is_null() => {}
                Some(field) => present.push((field, value)),
                None => self.unknown_field(name)?,
            }
        }
        present.sort_by_key(|(field, _)| field.number());
        check_exclusive(&present)?;
        for (field, value) in present {
            self.field(field, value, depth, out)
                .map_err(|error| error.inside(field.name()))?;
        }
        Ok(())
    }

    /// A field with its tag; nothing where the value is its default.
    fn field(&mut self, field: &Field, json: &Value, depth: usize, out: &mut Vec<u8>) -> Outcome {
        if !field.is_repeated() {
            return self.single(field, json, depth, out);
        }
        let list = json_scalar::list(json)?;
        if list.is_empty() {
            return Ok(());
        }
        if !field.kind().is_packable() {
            for (index, element) in list.iter().enumerate() {
                self.element(field, element, depth, out)
                    .map_err(|error| error.element(index))?;
            }
            return Ok(());
        }
        put::key(field.number(), put::DELIMITED, out);
        put::delimited(out, |out| {
            for (index, element) in list.iter().enumerate() {
                let number = self
                    .number(field.kind(), element)
                    .map_err(|error| error.element(index))?;
                number.put(out);
            }
            Ok(())
        })
    }

    /// A value that is not repeated.
    fn single(&mut self, field: &Field, json: &Value, depth: usize, out: &mut Vec<u8>) -> Outcome {
        // Within a oneof a default is still a choice.
        let explicit = field.oneof().is_some();
        match field.kind() {
            Kind::String => {
                let text = json_scalar::string(json)?;
                if explicit || !text.is_empty() {
                    put::bytes(field.number(), text.as_bytes(), out);
                }
                Ok(())
            }
            Kind::Bytes => {
                let bytes = json_scalar::bytes(json)?;
                if explicit || !bytes.is_empty() {
                    put::bytes(field.number(), &bytes, out);
                }
                Ok(())
            }
            kind if kind.is_message() => self.element(field, json, depth, out),
            kind => {
                let number = self.number(kind, json)?;
                if explicit || !number.is_zero() {
                    put::key(field.number(), number.wire_type(), out);
                    number.put(out);
                }
                Ok(())
            }
        }
    }

    /// A string, bytes or message with its tag, default or not.
    fn element(&mut self, field: &Field, json: &Value, depth: usize, out: &mut Vec<u8>) -> Outcome {
        match (field.kind(), field.message()) {
            (Kind::String, _) => {
                let text = json_scalar::string(json)?;
                put::bytes(field.number(), text.as_bytes(), out);
                Ok(())
            }
            (Kind::Bytes, _) => {
                put::bytes(field.number(), &json_scalar::bytes(json)?, out);
                Ok(())
            }
            (_, Some(shape)) => {
                put::key(field.number(), put::DELIMITED, out);
                put::delimited(out, |out| self.body(shape, json, depth + 1, out))
            }
            (_, None) => Ok(()),
        }
    }

    fn number(&mut self, kind: Kind, json: &Value) -> Result<Number, JsonError> {
        let Kind::Enum(names) = kind else {
            return Ok(json_scalar::number(kind, json)?);
        };
        let Value::String(name) = json else {
            return Ok(json_scalar::number(kind, json)?);
        };
        let number = match names.number(name) {
            Some(number) => number,
            None if self.options.strict_enums => {
                return Err(JsonProblem::UnknownEnum {
                    kind: names.full_name(),
                    name: json_scalar::short(name),
                }
                .into());
            }
            None => {
                self.report.unknown_enums += 1;
                0
            }
        };
        Ok(Number::Varint(i64::from(number) as u64))
    }

    /// An `Any`: the fields of a known type, or the bytes of an unknown one where they are
    /// all there is.
    fn any(&mut self, json: &Value, depth: usize, out: &mut Vec<u8>) -> Outcome {
        let object = json_scalar::object(json)?;
        let Some(url) = object.get("@type") else {
            return object.keys().try_for_each(|name| self.unknown_field(name));
        };
        let url =
            json_scalar::string(url).map_err(|problem| JsonError::from(problem).inside("@type"))?;
        let value = object.get("value");
        let known = shape::by_full_name(url.rsplit('/').next().unwrap_or(url));
        match (known, value) {
            (Some(shape), Some(Value::String(text)))
                if shape.kind() == Kind::Message
                    && object.len() == 2
                    && shape.by_name("value").is_none() =>
            {
                any_of_bytes(url, text, out)
            }
            (Some(shape), _) => {
                put::bytes(1, url.as_bytes(), out);
                put::key(2, put::DELIMITED, out);
                put::delimited(out, |out| {
                    if shape.kind() == Kind::Message {
                        return self.fields(shape, object, |key| key == "@type", depth + 1, out);
                    }
                    let value = value.unwrap_or(&Value::Null);
                    self.body(shape, value, depth + 1, out)
                        .map_err(|error| error.inside("value"))
                })
            }
            (None, Some(Value::String(text))) if object.len() == 2 => any_of_bytes(url, text, out),
            (None, None) if object.len() == 1 => {
                if !url.is_empty() {
                    put::bytes(1, url.as_bytes(), out);
                }
                Ok(())
            }
            (None, _) if self.options.strict_fields => {
                Err(JsonProblem::UnknownType(json_scalar::short(url)).into())
            }
            (None, _) => {
                self.report.unknown_types += 1;
                Ok(())
            }
        }
    }

    fn unknown_field(&mut self, name: &str) -> Outcome {
        if self.options.strict_fields {
            return Err(JsonProblem::UnknownField(json_scalar::short(name)).into());
        }
        self.report.unknown_fields += 1;
        if self.report.first_unknown_field.is_none() {
            self.report.first_unknown_field = Some(json_scalar::short(name));
        }
        Ok(())
    }
}

/// The form that `json_write` gives to what it cannot decode.
fn any_of_bytes(url: &str, text: &str, out: &mut Vec<u8>) -> Outcome {
    let bytes =
        json_scalar::base64(text).map_err(|error| JsonError::from(error).inside("value"))?;
    for (number, part) in [(1, url.as_bytes()), (2, &bytes)] {
        if !part.is_empty() {
            put::bytes(number, part, out);
        }
    }
    Ok(())
}

/// Refuses both spellings of a field and two arms of a oneof; `present` is sorted.
fn check_exclusive(present: &[(&Field, &Value)]) -> Outcome {
    let mut arms: Vec<&Field> = Vec::new();
    let mut before: Option<&Field> = None;
    for &(field, _) in present {
        if before.is_some_and(|before| before.number() == field.number()) {
            return Err(JsonProblem::Duplicate(field.name().to_owned()).into());
        }
        before = Some(field);
        if field.oneof().is_none() {
            continue;
        }
        if let Some(first) = arms.iter().find(|arm| arm.oneof() == field.oneof()) {
            return Err(JsonProblem::Oneof {
                first: first.name().to_owned(),
                second: field.name().to_owned(),
            }
            .into());
        }
        arms.push(field);
    }
    Ok(())
}

fn timestamp(json: &Value, out: &mut Vec<u8>) -> Outcome {
    let text = json_scalar::string(json)?;
    let instant = json_scalar::instant(text)?;
    for (number, value) in [(1, instant.seconds), (2, i64::from(instant.nanos))] {
        if value != 0 {
            put::key(number, put::VARINT, out);
            put::varint(value as u64, out);
        }
    }
    Ok(())
}

/// Paths that are fields of a flow in either spelling get the declared one; others are
/// turned from camel case, as protojson would.
fn field_mask(json: &Value, out: &mut Vec<u8>) -> Outcome {
    let text = json_scalar::string(json)?;
    for path in text
        .split(',')
        .map(str::trim)
        .filter(|path| !path.is_empty())
    {
        let declared = declared_path(path).unwrap_or_else(|| snake_case(path));
        put::bytes(1, declared.as_bytes(), out);
    }
    Ok(())
}

fn declared_path(path: &str) -> Option<String> {
    let mut shape = Some(shape::flow());
    let mut declared: Vec<&str> = Vec::new();
    for name in path.split('.') {
        let field = shape?.by_name(name)?;
        declared.push(field.name());
        shape = field.message();
    }
    Some(declared.join("."))
}

fn snake_case(path: &str) -> String {
    let mut snake = String::with_capacity(path.len() + 4);
    for letter in path.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests;
