//! Writing the wire format: tags, varints, and lengths that are known afterwards.
//!
//! Owns the bytes only; which field is written and whether is the callers'.

/// Wire type of varints.
pub(super) const VARINT: u32 = 0;
/// Wire type of eight bytes.
pub(super) const FIXED64: u32 = 1;
/// Wire type of strings, bytes, messages and packed values.
pub(super) const DELIMITED: u32 = 2;
/// Wire type of four bytes.
pub(super) const FIXED32: u32 = 5;

/// Appends a varint.
#[inline]
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field's key.
#[inline]
pub(super) fn key(number: u32, wire_type: u32, out: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | u64::from(wire_type), out);
}

/// Appends a field of bytes.
pub(super) fn bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    key(number, DELIMITED, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Appends what `body` writes, with its length before it.
///
/// # Errors
/// Those of `body`; then `out` ends somewhere inside.
pub(super) fn delimited<E>(
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let at = out.len();
    out.push(0);
    body(out)?;
    let length = out.len() - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
        return Ok(());
    }
    // The length needs more than the one byte kept for it: the body moves up.
    let extra = (63 - (length as u64).leading_zeros() as usize) / 7;
    out.resize(out.len() + extra, 0);
    out.copy_within(at + 1..at + 1 + length, at + 1 + extra);
    let mut rest = length;
    for byte in &mut out[at..at + extra] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    out[at + extra] = rest as u8;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_any_length_gets_its_length() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152] {
            let body: Vec<u8> = (0..length).map(|at: usize| at as u8).collect();
            let mut out = vec![9];
            delimited(&mut out, |out| {
                out.extend_from_slice(&body);
                Ok::<(), ()>(())
            })
            .unwrap();
            let mut expected = vec![9];
            varint(length as u64, &mut expected);
            expected.extend_from_slice(&body);
            assert_eq!(out, expected, "{length}");
        }
    }
}
