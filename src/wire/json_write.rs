//! From the wire format to JSON as Hubble prints it.
//!
//! Owns the order (that of declaration), the names (as declared), what is left out
//! (defaults, unknown fields) and protobuf's rules of merging: the last scalar wins,
//! messages add up, the last arm of a oneof stands. Strict: what prost refuses is
//! refused, even in pieces that a later one replaces.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    check::{check_value, check_wire_type, last_value},
    json_memo::Memo,
    json_read::MAX_DEPTH,
    json_text,
    pieces::{Piece, Pieces, Raw},
    rfc3339::Instant,
    shape::{self, Field, Kind, Message},
};

pub use super::pieces::WireError;

/// Appends the JSON of a message, without a newline.
///
/// # Errors
/// [`WireError`] when the bytes are not a message, or it holds a time that has no text
/// form; then `out` is as it was.
pub fn wire_to_json(shape: Message, wire: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    Writer::default().write(shape, wire, out)
}

/// Writes the JSON of many messages, and what they repeat once.
#[derive(Clone, Debug, Default)]
pub struct JsonWriter(Writer);

impl JsonWriter {
    /// As [`wire_to_json`].
    ///
    /// # Errors
    /// Those of [`wire_to_json`].
    pub fn write(
        &mut self,
        shape: Message,
        wire: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        self.0.memo.get_or_insert_default();
        self.0.write(shape, wire, out)
    }
}

type Outcome = Result<(), WireError>;

/// Deeper messages are written anew, since some of them are too deep.
const USUAL_DEPTH: usize = 8;

#[derive(Clone, Debug, Default)]
struct Writer {
    /// What was found of the fields of the messages that are open, outer ones first. Only
    /// what a message's [`Mask`] names is of that message.
    slots: Vec<Slot>,
    /// Slots of open messages.
    open: usize,
    /// Where many messages are written.
    memo: Option<Memo>,
}

/// Fields of a message by their index; what it yields is in their order.
#[derive(Clone, Debug, Default)]
struct Mask([u64; MOST_FIELDS / 64]);

/// No message of the API has as many fields.
const MOST_FIELDS: usize = 128;

impl Mask {
    /// Whether it was not there before.
    fn add(&mut self, index: usize) -> bool {
        let (word, bit) = (&mut self.0[index / 64], 1 << (index % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn remove(&mut self, index: usize) {
        self.0[index / 64] &= !(1 << (index % 64));
    }
}

impl Iterator for Mask {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let word = self.0.iter().position(|word| *word != 0)?;
        let bit = self.0[word].trailing_zeros() as usize;
        self.0[word] &= self.0[word] - 1;
        Some(word * 64 + bit)
    }
}

/// What was found of a field.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// How many pieces; 0 again after another arm of the oneof.
    count: usize,
    /// Where the first of them begins.
    first: usize,
    last: Found,
}

/// The last piece of a field, with bytes as a span of the message.
#[derive(Clone, Copy, Debug)]
enum Found {
    Number(u64),
    Span { start: usize, end: usize },
}

const NOTHING: Slot = Slot {
    count: 0,
    first: 0,
    last: Found::Number(0),
};

impl Writer {
    fn write(&mut self, shape: Message, wire: &[u8], out: &mut Vec<u8>) -> Outcome {
        let start = out.len();
        out.reserve(wire.len().saturating_mul(2));
        self.open = 0;
        let outcome = self.message(shape, wire, 0, out);
        if outcome.is_err() {
            out.truncate(start);
        }
        outcome
    }

    /// A message of any kind; one that came before is what it was.
    fn message(&mut self, shape: Message, wire: &[u8], depth: usize, out: &mut Vec<u8>) -> Outcome {
        let memo = self.memo.as_mut().filter(|_| depth < USUAL_DEPTH);
        let Some(place) = memo.and_then(|memo| memo.place(shape, wire)) else {
            return self.new_message(shape, wire, depth, out);
        };
        if let Some(memo) = &self.memo
            && memo.write(place, shape, wire, out)
        {
            return Ok(());
        }
        let start = out.len();
        self.new_message(shape, wire, depth, out)?;
        if let Some(memo) = &mut self.memo {
            memo.keep(place, shape, wire, &out[start..]);
        }
        Ok(())
    }

    fn new_message(
        &mut self,
        shape: Message,
        wire: &[u8],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Outcome {
        if depth >= MAX_DEPTH {
            return Err(WireError::TooDeep);
        }
        match shape.kind() {
            Kind::Timestamp => timestamp(shape, wire, out),
            Kind::Wrapper => wrapper(shape, wire, out),
            Kind::FieldMask => field_mask(shape, wire, out),
            Kind::Any => self.any(shape, wire, depth, out),
            _ => {
                out.push(b'{');
                self.fields(shape, wire, depth, out)?;
                out.push(b'}');
                Ok(())
            }
        }
    }

    /// The fields of a message, with a comma before each but the first in the object.
    fn fields(&mut self, shape: Message, wire: &[u8], depth: usize, out: &mut Vec<u8>) -> Outcome {
        let base = self.open;
        self.open += shape.fields().len();
        if self.slots.len() < self.open {
            self.slots.resize(self.open, NOTHING);
        }
        let mut found = Mask::default();
        self.scan(shape, wire, base, &mut found, depth)?;
        for index in found {
            let field = &shape.fields()[index];
            let slot = self.slots[base + index];
            let start = out.len();
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            out.extend_from_slice(field.json_key().as_bytes());
            if !self.field(field, slot, wire, depth, out)? {
                out.truncate(start);
            }
        }
        self.open = base;
        Ok(())
    }

    /// Finds the pieces of each field, and checks those that will not be written.
    fn scan(
        &mut self,
        shape: Message,
        wire: &[u8],
        base: usize,
        found: &mut Mask,
        depth: usize,
    ) -> Outcome {
        let mut pieces = Pieces::new(wire);
        loop {
            let first = pieces.offset();
            let Some(Piece { number, value }) = pieces.next()? else {
                return Ok(());
            };
            let Some(field) = shape.by_number(number) else {
                continue;
            };
            check_wire_type(field, value)?;
            let last = match value {
                Raw::Varint(number) | Raw::Fixed64(number) => Found::Number(number),
                Raw::Fixed32(number) => Found::Number(u64::from(number)),
                Raw::Bytes(bytes) => Found::Span {
                    start: pieces.offset() - bytes.len(),
                    end: pieces.offset(),
                },
                Raw::Group => continue,
            };
            if field.oneof().is_some() {
                self.drop_other_arms(shape, field, wire, base, found, depth)?;
            }
            let slot = &mut self.slots[base + field.index()];
            if found.add(field.index()) {
                *slot = NOTHING;
            }
            if slot.count > 0 && !field.is_repeated() {
                if slot.count == 1 {
                    check_found(field, slot.last, wire, depth)?;
                }
                check_found(field, last, wire, depth)?;
            }
            slot.first = if slot.count == 0 { first } else { slot.first };
            slot.count += 1;
            slot.last = last;
        }
    }

    fn drop_other_arms(
        &mut self,
        shape: Message,
        chosen: &Field,
        wire: &[u8],
        base: usize,
        found: &mut Mask,
        depth: usize,
    ) -> Outcome {
        for index in found.clone() {
            let field = &shape.fields()[index];
            if field.oneof() != chosen.oneof() || index == chosen.index() {
                continue;
            }
            let slot = self.slots[base + index];
            if slot.count == 1 {
                check_found(field, slot.last, wire, depth)?;
            }
            found.remove(index);
        }
        Ok(())
    }

    /// Writes a field's value; false where it is the default, which is left out.
    fn field(
        &mut self,
        field: &'static Field,
        slot: Slot,
        wire: &[u8],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, WireError> {
        if field.is_repeated() {
            return self.list(field, slot.first, wire, depth, out);
        }
        match (slot.last, field.message()) {
            (Found::Span { start, end }, Some(shape)) => {
                if slot.count == 1 {
                    self.message(shape, &wire[start..end], depth + 1, out)?;
                } else {
                    let merged = merged(field, slot.first, wire)?;
                    self.message(shape, &merged, depth + 1, out)?;
                }
                Ok(true)
            }
            (Found::Span { start, end }, None) => {
                bytes(field, &wire[start..end], out)?;
                Ok(start < end || field.oneof().is_some())
            }
            (Found::Number(value), _) => {
                let value = narrowed(field.kind(), value);
                number(field.kind(), value, out);
                Ok(value != 0 || field.oneof().is_some())
            }
        }
    }

    /// Writes the values of a repeated field; false where packed pieces hold none.
    fn list(
        &mut self,
        field: &'static Field,
        first: usize,
        wire: &[u8],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, WireError> {
        out.push(b'[');
        let mut pieces = Pieces::from_offset(wire, first);
        while let Some(piece) = pieces.next()? {
            if piece.number != field.number() {
                continue;
            }
            match (piece.value, field.message()) {
                (Raw::Bytes(packed), None) if field.kind().is_packable() => {
                    let mut values = Pieces::new(packed);
                    while !values.is_at_end() {
                        let value = match field.kind() {
                            Kind::F64 => values.fixed64()?,
                            Kind::F32 => u64::from(values.fixed32()?),
                            _ => values.varint()?,
                        };
                        number(field.kind(), narrowed(field.kind(), value), out);
                        out.push(b',');
                    }
                    continue;
                }
                (Raw::Bytes(wire), Some(shape)) => self.message(shape, wire, depth + 1, out)?,
                (Raw::Bytes(text), None) => bytes(field, text, out)?,
                (Raw::Varint(value) | Raw::Fixed64(value), _) => {
                    number(field.kind(), narrowed(field.kind(), value), out);
                }
                (Raw::Fixed32(value), _) => number(field.kind(), u64::from(value), out),
                (Raw::Group, _) => continue,
            }
            out.push(b',');
        }
        // Every value has a comma after it; the last one's becomes the bracket.
        match out.last_mut() {
            Some(comma) if *comma == b',' => {
                *comma = b']';
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The fields of a known type that decodes; else the bytes.
    fn any(&mut self, shape: Message, wire: &[u8], depth: usize, out: &mut Vec<u8>) -> Outcome {
        let url = last_value(shape, 1, wire)?;
        let value = last_value(shape, 2, wire)?;
        let (Raw::Bytes(url), Raw::Bytes(value)) = (url, value) else {
            return Ok(());
        };
        let url = std::str::from_utf8(url).map_err(|_| WireError::Utf8("type_url"))?;
        out.push(b'{');
        if !url.is_empty() || !value.is_empty() {
            out.extend_from_slice(b"\"@type\":");
            json_text::string(url, out);
            let end = out.len();
            let open = self.open;
            if self.any_value(url, value, depth, out).is_none() {
                self.open = open;
                out.truncate(end);
                if !value.is_empty() {
                    out.extend_from_slice(b",\"value\":");
                    base64(value, out);
                }
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn any_value(
        &mut self,
        url: &str,
        value: &[u8],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let shape = shape::by_full_name(url.rsplit('/').next().unwrap_or(url))?;
        if shape.kind() != Kind::Message {
            out.extend_from_slice(b",\"value\":");
            return self.message(shape, value, depth + 1, out).ok();
        }
        if depth + 1 >= MAX_DEPTH {
            return None;
        }
        self.fields(shape, value, depth + 1, out).ok()
    }
}

fn timestamp(shape: Message, wire: &[u8], out: &mut Vec<u8>) -> Outcome {
    let (seconds, nanos) = (last_value(shape, 1, wire)?, last_value(shape, 2, wire)?);
    let (Raw::Varint(seconds), Raw::Varint(nanos)) = (seconds, nanos) else {
        return Ok(());
    };
    let instant = Instant {
        seconds: seconds as i64,
        nanos: nanos as i32,
    };
    if !instant.is_valid() {
        return Err(WireError::Time {
            seconds: instant.seconds,
            nanos: instant.nanos,
        });
    }
    out.push(b'"');
    instant.write(out);
    out.push(b'"');
    Ok(())
}

fn wrapper(shape: Message, wire: &[u8], out: &mut Vec<u8>) -> Outcome {
    let Some(field) = shape.by_number(1) else {
        return Ok(());
    };
    match last_value(shape, 1, wire)? {
        Raw::Bytes(value) => return bytes(field, value, out),
        Raw::Varint(value) | Raw::Fixed64(value) => {
            number(field.kind(), narrowed(field.kind(), value), out);
        }
        Raw::Fixed32(value) => number(field.kind(), u64::from(value), out),
        Raw::Group => {}
    }
    Ok(())
}

/// The paths in camel case, as protojson has them, where that can be undone.
fn field_mask(shape: Message, wire: &[u8], out: &mut Vec<u8>) -> Outcome {
    let mut paths = String::new();
    let mut pieces = Pieces::new(wire);
    while let Some(Piece { number, value }) = pieces.next()? {
        let Some(field) = shape.by_number(number) else {
            continue;
        };
        check_wire_type(field, value)?;
        if let Raw::Bytes(path) = value {
            let path = std::str::from_utf8(path).map_err(|_| WireError::Utf8(field.name()))?;
            if !paths.is_empty() {
                paths.push(',');
            }
            paths.push_str(&camel_case(path).unwrap_or_else(|| path.to_owned()));
        }
    }
    json_text::string(&paths, out);
    Ok(())
}

fn camel_case(path: &str) -> Option<String> {
    let mut camel = String::with_capacity(path.len());
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '_' => camel.push(
                letters
                    .next()
                    .filter(char::is_ascii_lowercase)?
                    .to_ascii_uppercase(),
            ),
            'A'..='Z' => return None,
            _ => camel.push(letter),
        }
    }
    Some(camel)
}

/// All pieces of a message field from an offset on as one, which is what merging means.
fn merged(field: &Field, first: usize, wire: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut merged = Vec::new();
    let mut pieces = Pieces::from_offset(wire, first);
    while let Some(piece) = pieces.next()? {
        if let (true, Raw::Bytes(bytes)) = (piece.number == field.number(), piece.value) {
            merged.extend_from_slice(bytes);
        }
    }
    Ok(merged)
}

fn bytes(field: &'static Field, value: &[u8], out: &mut Vec<u8>) -> Outcome {
    if field.kind() == Kind::Bytes {
        base64(value, out);
        return Ok(());
    }
    let text = std::str::from_utf8(value).map_err(|_| WireError::Utf8(field.name()))?;
    json_text::string(text, out);
    Ok(())
}

fn base64(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(value).as_bytes());
    out.push(b'"');
}

/// The bits of a number that its kind keeps.
#[inline]
fn narrowed(kind: Kind, value: u64) -> u64 {
    match kind {
        Kind::Bool => u64::from(value != 0),
        Kind::U32 => u64::from(value as u32),
        Kind::I32 | Kind::Enum(_) => i64::from(value as i32) as u64,
        _ => value,
    }
}

/// Writes a narrowed number.
#[inline]
fn number(kind: Kind, value: u64, out: &mut Vec<u8>) {
    match kind {
        Kind::Bool => out.extend_from_slice(if value == 0 { b"false" } else { b"true" }),
        Kind::I32 => json_text::signed(value as i64, out),
        Kind::Enum(names) => match names.quoted(value as i32) {
            Some(quoted) => out.extend_from_slice(quoted.as_bytes()),
            None => json_text::signed(value as i64, out),
        },
        Kind::I64 | Kind::U64 => {
            out.push(b'"');
            if kind == Kind::I64 {
                json_text::signed(value as i64, out);
            } else {
                json_text::unsigned(value, out);
            }
            out.push(b'"');
        }
        Kind::F64 => json_text::double(f64::from_bits(value), out),
        Kind::F32 => json_text::single(f32::from_bits(value as u32), out),
        _ => json_text::unsigned(value, out),
    }
}

fn check_found(field: &'static Field, found: Found, wire: &[u8], depth: usize) -> Outcome {
    match found {
        Found::Number(_) => Ok(()),
        Found::Span { start, end } => check_value(field, Raw::Bytes(&wire[start..end]), depth),
    }
}

#[cfg(test)]
mod tests;
