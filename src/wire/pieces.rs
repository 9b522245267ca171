//! A message in wire format as a sequence of numbered pieces.
//!
//! Owns the strictness of the transcoders: what prost refuses in tags, varints, lengths
//! and groups is refused here. What a piece means is up to the shapes.

use super::put::{DELIMITED, FIXED32, FIXED64, VARINT};

/// Bytes that are not the message they should be.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    /// The message ends inside a piece.
    #[error("message ends inside a field")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("varint is too long")]
    Varint,
    /// A tag without a valid field number or wire type.
    #[error("tag {0} is invalid")]
    Tag(u64),
    /// A group that is not opened, or closed by another number.
    #[error("group {0} ends without a start")]
    Group(u32),
    /// A known field in an encoding that its kind does not have.
    #[error("field {field} has wire type {wire_type}")]
    WireType {
        /// The field's name.
        field: &'static str,
        /// What the tag says.
        wire_type: u8,
    },
    /// Text that is not UTF-8.
    #[error("field {0} is not UTF-8")]
    Utf8(&'static str),
    /// A time outside the years 1 to 9999, which has no text form.
    #[error("time of {seconds} s and {nanos} ns is out of range")]
    Time {
        /// Seconds since 1970.
        seconds: i64,
        /// Nanoseconds within the second.
        nanos: i32,
    },
    /// More levels than any message has.
    #[error("nested too deeply")]
    TooDeep,
}

/// The pieces of a message, in order.
#[derive(Clone, Copy)]
pub(super) struct Pieces<'a> {
    wire: &'a [u8],
    at: usize,
}

/// A field's number with one value.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) number: u32,
    pub(super) value: Raw<'a>,
}

/// A value as its wire type delimits it.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
    /// Well-formed and never the encoding of a field that has a shape.
    Group,
}

impl Raw<'_> {
    pub(super) fn wire_type(self) -> u8 {
        match self {
            Self::Varint(_) => VARINT as u8,
            Self::Fixed64(_) => FIXED64 as u8,
            Self::Bytes(_) => DELIMITED as u8,
            Self::Group => START_GROUP as u8,
            Self::Fixed32(_) => FIXED32 as u8,
        }
    }
}

const START_GROUP: u32 = 3;
const END_GROUP: u32 = 4;
const GROUP_DEPTH: usize = 32;

impl<'a> Pieces<'a> {
    pub(super) fn new(wire: &'a [u8]) -> Self {
        Self { wire, at: 0 }
    }

    /// Those from an offset on where [`Self::offset`] was once.
    pub(super) fn from_offset(wire: &'a [u8], at: usize) -> Self {
        Self { wire, at }
    }

    /// Where the next piece begins.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// The bytes from an offset to the next piece.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.wire.get(start..self.at).unwrap_or_default()
    }

    /// The next piece, `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Piece<'a>>, WireError> {
        if self.at >= self.wire.len() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        let value = self.value(number, wire_type, 0)?;
        Ok(Some(Piece { number, value }))
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, WireError> {
        let rest = self.wire.get(self.at..).unwrap_or_default();
        match rest.first() {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(rest),
        }
    }

    /// Eight bytes, little-endian.
    pub(super) fn fixed64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Four bytes, little-endian.
    pub(super) fn fixed32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.wire.len()
    }

    fn long_varint(&mut self, rest: &[u8]) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (index, &byte) in rest.iter().take(10).enumerate() {
            if index == 9 && byte > 1 {
                return Err(WireError::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(WireError::Truncated)
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u32), WireError> {
        let tag = self.varint()?;
        match u32::try_from(tag) {
            Ok(narrow) if narrow >> 3 != 0 => Ok((narrow >> 3, narrow & 7)),
            _ => Err(WireError::Tag(tag)),
        }
    }

    #[inline]
    fn value(&mut self, number: u32, wire_type: u32, depth: usize) -> Result<Raw<'a>, WireError> {
        match wire_type {
            VARINT => self.varint().map(Raw::Varint),
            FIXED64 => self.fixed64().map(Raw::Fixed64),
            FIXED32 => self.fixed32().map(Raw::Fixed32),
            DELIMITED => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
                self.take(length).map(Raw::Bytes)
            }
            START_GROUP => {
                self.skip_group(number, depth)?;
                Ok(Raw::Group)
            }
            END_GROUP => Err(WireError::Group(number)),
            _ => Err(WireError::Tag(u64::from(number << 3 | wire_type))),
        }
    }

    fn skip_group(&mut self, number: u32, depth: usize) -> Result<(), WireError> {
        if depth >= GROUP_DEPTH {
            return Err(WireError::TooDeep);
        }
        loop {
            match self.tag()? {
                (inner, END_GROUP) if inner == number => return Ok(()),
                (inner, END_GROUP) => return Err(WireError::Group(inner)),
                (inner, wire_type) => self.value(inner, wire_type, depth + 1)?,
            };
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let rest = self.wire.get(self.at..).unwrap_or_default();
        let taken = rest.get(..length).ok_or(WireError::Truncated)?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| WireError::Truncated)
    }
}
