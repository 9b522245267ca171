//! Numbers as decimal text, straight into a buffer.

const PAIRS: &[u8; 200] =
    b"00010203040506070809101112131415161718192021222324252627282930313233343536373839\
40414243444546474849505152535455565758596061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

pub use crate::flow::thousands;

/// Appends `number` in decimal.
#[inline]
pub(super) fn push(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    while number >= 100 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair((number % 100) as usize));
        number /= 100;
    }
    if number >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair(number as usize));
    } else {
        at -= 1;
        digits[at] = b'0' + number as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `number` in decimal, with its sign where it is negative.
pub(super) fn push_signed(out: &mut Vec<u8>, number: i32) {
    if number < 0 {
        out.push(b'-');
    }
    push(out, u64::from(number.unsigned_abs()));
}

/// The two digits of a number below 100.
#[inline]
pub(super) fn pair(number: usize) -> [u8; 2] {
    [PAIRS[number * 2], PAIRS[number * 2 + 1]]
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_of_every_length_are_as_the_standard_library_writes_them() {
        for number in (0..20).map(|power| 10_u64.pow(power)).chain([u64::MAX]) {
            for number in [number, number - 1, number / 2] {
                let mut out = Vec::new();
                super::push(&mut out, number);
                assert_eq!(out, number.to_string().as_bytes());
            }
        }
        let mut out = Vec::new();
        super::push_signed(&mut out, i32::MIN);
        assert_eq!(out, b"-2147483648");
    }
}
