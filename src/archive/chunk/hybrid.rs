//! Runs and packed bits: Parquet's hybrid of both for levels and dictionary indices.
//!
//! Owns the encoding (the Parquet format, "Run Length Encoding / Bit-Packing Hybrid").

/// Values of a group of packed bits.
const GROUP: usize = 8;

/// Appends runs of values, each of `width` bits (0 to 32), to `out`.
///
/// Eight equal values or more, past what fills the group before them, are a run. `packed`
/// is for what waits to be packed.
pub(super) fn encode(
    out: &mut Vec<u8>,
    width: u8,
    runs: impl IntoIterator<Item = (u32, u32)>,
    packed: &mut Vec<u32>,
) {
    packed.clear();
    for (value, count) in runs {
        let count = count as usize;
        // Groups of packed bits are whole, so a run lends what is missing.
        let lent = (GROUP - packed.len() % GROUP) % GROUP;
        if count >= lent + GROUP {
            packed.extend(std::iter::repeat_n(value, lent));
            pack(out, width, packed);
            packed.clear();
            run(out, width, value, count - lent);
        } else {
            packed.extend(std::iter::repeat_n(value, count));
        }
    }
    pack(out, width, packed);
}

/// Appends one value `count` times.
pub(super) fn run(out: &mut Vec<u8>, width: u8, value: u32, count: usize) {
    varint(out, (count as u64) << 1);
    let bytes = value.to_le_bytes();
    out.extend_from_slice(&bytes[..usize::from(width.div_ceil(8))]);
}

/// Appends values as packed bits, lowest bit first; the last group is filled with zeros.
fn pack(out: &mut Vec<u8>, width: u8, values: &[u32]) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(GROUP);
    varint(out, (groups as u64) << 1 | 1);
    let start = out.len();
    out.reserve(groups * usize::from(width));
    let (mut bits, mut held) = (0u64, 0u32);
    for &value in values {
        bits |= u64::from(value) << held;
        held += u32::from(width);
        if held >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            held -= 32;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..held.div_ceil(8) as usize]);
    out.resize(start + groups * usize::from(width), 0);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads what `encode` writes, straight from the format.
    fn decode(mut bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let mut out = Vec::new();
        let width = usize::from(width);
        while out.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            let length = (header >> 1) as usize;
            if header & 1 == 0 {
                let mut value = [0; 4];
                value[..width.div_ceil(8)].copy_from_slice(&bytes[..width.div_ceil(8)]);
                bytes = &bytes[width.div_ceil(8)..];
                out.extend(std::iter::repeat_n(u32::from_le_bytes(value), length));
            } else {
                for at in 0..length * GROUP {
                    let bit = |bit: usize| u32::from(bytes[bit / 8] >> (bit % 8) & 1);
                    out.push((0..width).map(|of| bit(at * width + of) << of).sum());
                }
                bytes = &bytes[length * width..];
            }
        }
        assert!(bytes.is_empty());
        assert!(out.len() < count + GROUP);
        out.truncate(count);
        out
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            width in 0u8..=32,
            runs in prop::collection::vec((any::<u32>(), 1usize..30), 0..20),
        ) {
            let mask = ((1u64 << width) - 1) as u32;
            let values: Vec<u32> = runs
                .iter()
                .flat_map(|&(value, count)| std::iter::repeat_n(value & mask, count))
                .collect();
            let mut bytes = Vec::new();
            let runs = runs.iter().map(|&(value, count)| (value & mask, count as u32));
            encode(&mut bytes, width, runs, &mut Vec::new());
            prop_assert_eq!(decode(&bytes, width, values.len()), values);
        }
    }

    #[test]
    fn one_run_is_two_bytes() {
        let mut bytes = Vec::new();
        encode(&mut bytes, 1, [(1, 60)], &mut Vec::new());
        assert_eq!(bytes, [120, 1]);
    }
}
