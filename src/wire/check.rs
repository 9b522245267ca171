//! Whether values are what the shapes say, without writing them.
//!
//! Owns the checks that prost makes when it decodes; the writer uses them for what it
//! does not write itself, such as pieces that a later one replaces.

use super::{
    json_read::MAX_DEPTH,
    pieces::{Piece, Pieces, Raw, WireError},
    shape::{Field, Kind, Message},
};

type Outcome = Result<(), WireError>;

/// Checks a whole value, as deep as it goes.
pub(super) fn check_value(field: &'static Field, value: Raw<'_>, depth: usize) -> Outcome {
    check_wire_type(field, value)?;
    let Raw::Bytes(bytes) = value else {
        return Ok(());
    };
    match (field.kind(), field.message()) {
        (Kind::String, _) => match std::str::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(_) => Err(WireError::Utf8(field.name())),
        },
        (_, Some(shape)) => check_message(shape, bytes, depth + 1),
        (kind, None) if kind.is_packable() => {
            let mut values = Pieces::new(bytes);
            while !values.is_at_end() {
                match kind {
                    Kind::F64 => values.fixed64()?,
                    Kind::F32 => u64::from(values.fixed32()?),
                    _ => values.varint()?,
                };
            }
            Ok(())
        }
        (_, None) => Ok(()),
    }
}

fn check_message(shape: Message, wire: &[u8], depth: usize) -> Outcome {
    if depth >= MAX_DEPTH {
        return Err(WireError::TooDeep);
    }
    let mut pieces = Pieces::new(wire);
    while let Some(piece) = pieces.next()? {
        if let Some(field) = shape.by_number(piece.number) {
            check_value(field, piece.value, depth)?;
        }
    }
    Ok(())
}

#[inline]
pub(super) fn check_wire_type(field: &'static Field, value: Raw<'_>) -> Outcome {
    let fits = match (field.kind(), value) {
        (Kind::F64, Raw::Fixed64(_)) | (Kind::F32, Raw::Fixed32(_)) => true,
        (kind, Raw::Bytes(_)) => !kind.is_packable() || field.is_repeated(),
        (kind, Raw::Varint(_)) => kind.is_packable() && !matches!(kind, Kind::F32 | Kind::F64),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(WireError::WireType {
        field: field.name(),
        wire_type: value.wire_type(),
    })
}

/// The last value of a field that is no message, or its default; the others are checked.
pub(super) fn last_value(shape: Message, wanted: u32, wire: &[u8]) -> Result<Raw<'_>, WireError> {
    let mut last = match shape.by_number(wanted).map(Field::kind) {
        Some(Kind::String | Kind::Bytes) => Raw::Bytes(&[]),
        Some(Kind::F32) => Raw::Fixed32(0),
        Some(Kind::F64) => Raw::Fixed64(0),
        _ => Raw::Varint(0),
    };
    let mut pieces = Pieces::new(wire);
    while let Some(Piece { number, value }) = pieces.next()? {
        let Some(field) = shape.by_number(number) else {
            continue;
        };
        check_value(field, value, 0)?;
        if number == wanted {
            last = value;
        }
    }
    Ok(last)
}
