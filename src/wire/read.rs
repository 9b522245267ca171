//! Reading protobuf's wire format without decoding it.
//!
//! Owns varints, tags and lengths, as strict as prost, and times as they are mostly sent. Anything prost would refuse,
//! or that merges by rules of its own (groups), is [`Odd`]: the caller hands the whole
//! message to prost, which decides.

/// Something the walk does not decide; prost does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Odd;

/// Wire types that are walked.
pub(crate) const VARINT: u32 = 0;
pub(crate) const FIXED64: u32 = 1;
pub(crate) const LENGTH: u32 = 2;
pub(crate) const FIXED32: u32 = 5;

/// The bit of each byte that says that more follow.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The value of eight groups of seven bits, each in a byte, the lowest first.
#[inline]
fn close_up(groups: u64) -> u64 {
    let groups = groups & 0x007f_007f_007f_007f | (groups & 0x7f00_7f00_7f00_7f00) >> 1;
    let groups = groups & 0x0000_3fff_0000_3fff | (groups & 0x3fff_0000_3fff_0000) >> 2;
    groups & 0x0fff_ffff | (groups & 0x0fff_ffff_0000_0000) >> 4
}

/// A cursor over the fields of one message.
///
/// It stays in registers where no call out of line takes it by reference: what is rare is
/// handed the bytes and gives back what is left of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a> {
    rest: &'a [u8],
}

impl<'a> Wire<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next tag as it is encoded (`number << 3 | wire type`), `None` at the end.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Option<u32>, Odd> {
        let tag = match *self.rest {
            [] => return Ok(None),
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                u32::from(first)
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                u32::from(first & 0x7f) | u32::from(second) << 7
            }
            _ => u32::try_from(self.long_varint()?).map_err(|_| Odd)?,
        };
        // Field number 0 is not a field.
        if tag < 8 { Err(Odd) } else { Ok(Some(tag)) }
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Odd> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => self.long_varint(),
        }
    }

    /// Up to eight bytes at once: the first byte without its high bit ends the varint, and
    /// the groups of seven bits close up in three steps.
    #[inline]
    fn long_varint(&mut self) -> Result<u64, Odd> {
        if let Some((word, _)) = self.rest.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            let ends = !word & HIGH;
            if ends != 0 {
                let within = ends ^ (ends - 1);
                let groups = word & within & !HIGH;
                self.rest = &self.rest[ends.trailing_zeros() as usize / 8 + 1..];
                return Ok(close_up(groups));
            }
        }
        let (value, rest) = varint_by_bytes(self.rest)?;
        self.rest = rest;
        Ok(value)
    }

    /// The bytes of a length-delimited field.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Odd> {
        let length = usize::try_from(self.varint()?).map_err(|_| Odd)?;
        if length > self.rest.len() {
            return Err(Odd);
        }
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(bytes)
    }

    /// Skips the value of a field that is not known.
    #[inline]
    pub(crate) fn skip(&mut self, tag: u32) -> Result<(), Odd> {
        *self = self.after(tag)?;
        Ok(())
    }

    #[inline(never)]
    fn after(mut self, tag: u32) -> Result<Self, Odd> {
        let fixed = |size: usize| {
            let rest = self.rest.get(size..).ok_or(Odd)?;
            Ok(Self { rest })
        };
        match tag & 7 {
            VARINT => self.varint().map(|_| self),
            FIXED64 => fixed(8),
            LENGTH => self.bytes().map(|_| self),
            FIXED32 => fixed(4),
            _ => Err(Odd),
        }
    }
}

/// A varint and what follows it.
#[inline(never)]
fn varint_by_bytes(bytes: &[u8]) -> Result<(u64, &[u8]), Odd> {
    let mut value = 0_u64;
    for (at, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            // The tenth byte has room for one bit.
            if at == 9 && byte > 1 {
                return Err(Odd);
            }
            return Ok((value, &bytes[at + 1..]));
        }
    }
    Err(Odd)
}

/// Seconds and nanoseconds of a `Timestamp` as agents write it: seconds of five bytes
/// (until the year 3058) and nanoseconds of one to five, in this order and nothing else.
/// That is read as two words; `None` for any other form.
#[inline]
pub(crate) fn usual_timestamp(message: &[u8]) -> Option<(i64, i32)> {
    // Tag, five bytes of which the last ends, tag; the eighth is the other word's.
    const FORM: u64 = 0x00ff_8080_8080_80ff;
    const USUAL: u64 = 0x0010_0080_8080_8008;
    let head = u64::from_le_bytes(*message.first_chunk()?);
    let tail = u64::from_le_bytes(*message.last_chunk()?);
    let more = message.len() as u32 - 8;
    if head & FORM != USUAL || more > 4 {
        return None;
    }
    let nanos = tail >> (56 - 8 * more);
    if nanos & HIGH != HIGH & ((1 << (8 * more)) - 1) {
        return None;
    }
    let seconds = (head >> 8) & 0x7f_7f7f_7f7f;
    Some((close_up(seconds) as i64, close_up(nanos & !HIGH) as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message as _;

    proptest! {
        #[test]
        fn varints_are_read_as_prost_reads_them(bytes in proptest::collection::vec(any::<u8>(), 0..14)) {
            let mut ours = Wire::new(&bytes);
            let mut theirs = bytes.as_slice();
            match prost::encoding::decode_varint(&mut theirs) {
                Ok(value) => {
                    prop_assert_eq!(ours.varint(), Ok(value));
                    prop_assert_eq!(ours.rest().len(), theirs.len());
                }
                Err(_) => prop_assert!(ours.varint().is_err()),
            }
        }

        #[test]
        fn usual_timestamps_are_read_as_prost_reads_them(
            seconds in any::<u64>(),
            nanos in any::<u32>(),
            shifts in (20..64_u32, 0..32_u32),
            flip in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        ) {
            let (seconds, nanos) = ((seconds >> shifts.0) as i64, (nanos >> shifts.1) as i32);
            let mut bytes = prost_types::Timestamp { seconds, nanos }.encode_to_vec();
            if let Some((at, byte)) = flip && !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some((seconds, nanos)) = usual_timestamp(&bytes) {
                let expected = prost_types::Timestamp { seconds, nanos };
                prop_assert_eq!(prost_types::Timestamp::decode(bytes.as_slice()), Ok(expected));
            } else {
                let usual = (1 << 28..1 << 35).contains(&seconds) && nanos > 0;
                prop_assert!(flip.is_some() || !usual);
            }
        }

        #[test]
        fn written_varints_are_read(value in any::<u64>(), shift in 0..64, rest in 0..9_usize) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(value, &mut bytes);
            bytes.extend(std::iter::repeat_n(0xff, rest));
            let mut wire = Wire::new(&bytes);
            prop_assert_eq!(wire.varint(), Ok(value));
            prop_assert_eq!(wire.rest().len(), rest);
        }
    }
}
