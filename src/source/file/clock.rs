//! The time of a line, as Hubble writes it: RFC 3339 in UTC.
//!
//! Owns the fast path for times. Any other form is [`Odd`] and goes the general way.

use super::cursor::Odd;

/// Reads times, remembering the day: lines of one file mostly share it.
#[derive(Debug, Default)]
pub(super) struct Clock {
    day: [u8; 10],
    day_start: i64,
    last: [u8; 30],
    last_value: i64,
}

impl Clock {
    /// `2026-06-01T10:00:00[.fraction]Z` in nanoseconds since 1970.
    #[inline]
    pub(super) fn read(&mut self, text: &[u8]) -> Result<i64, Odd> {
        // Flow and envelope of one line carry the same time.
        if text == self.last {
            return Ok(self.last_value);
        }
        let value = self.parse(text)?;
        if let Ok(whole) = text.try_into() {
            self.last = whole;
            self.last_value = value;
        }
        Ok(value)
    }

    fn parse(&mut self, text: &[u8]) -> Result<i64, Odd> {
        let (head, tail) = text.split_at_checked(19).ok_or(Odd)?;
        if head[10] != b'T' || head[13] != b':' || head[16] != b':' {
            return Err(Odd);
        }
        if head[..10] != self.day {
            self.day_start = day_start(&head[..10])?;
            self.day.copy_from_slice(&head[..10]);
        }
        let two = |at: usize| -> Result<i64, Odd> {
            let (tens, ones) = (head[at].wrapping_sub(b'0'), head[at + 1].wrapping_sub(b'0'));
            if tens > 9 || ones > 9 {
                Err(Odd)
            } else {
                Ok(i64::from(tens * 10 + ones))
            }
        };
        let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
        if hour > 23 || minute > 59 || second > 59 {
            return Err(Odd);
        }
        let nanos = match tail {
            b"Z" => 0,
            [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
                let mut value = 0_i64;
                for digit in digits {
                    let digit = digit.wrapping_sub(b'0');
                    if digit > 9 {
                        return Err(Odd);
                    }
                    value = value * 10 + i64::from(digit);
                }
                value * 10_i64.pow(9 - digits.len() as u32)
            }
            _ => return Err(Odd),
        };
        let seconds = self.day_start + hour * 3600 + minute * 60 + second;
        // Years outside 1678 to 2261 do not fit; protobuf's do, so the general way.
        seconds
            .checked_mul(1_000_000_000)
            .and_then(|total| total.checked_add(nanos))
            .ok_or(Odd)
    }
}

fn day_start(date: &[u8]) -> Result<i64, Odd> {
    // jiff reads other forms of that length too.
    let plain = date.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if !plain {
        return Err(Odd);
    }
    let date = std::str::from_utf8(date).map_err(|_| Odd)?;
    let date: jiff::civil::Date = date.parse().map_err(|_| Odd)?;
    let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| Odd)?;
    Ok(zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_any_fraction_and_odd_ones_left_alone() {
        let read = |text: &str| Clock::default().read(text.as_bytes());
        assert_eq!(read("1970-01-02T00:00:01Z"), Ok(86_401_000_000_000));
        assert_eq!(read("1970-01-01T00:00:00.5Z"), Ok(500_000_000));
        assert_eq!(read("1970-01-01T00:00:00.000000001Z"), Ok(1));
        for odd in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00+00:00",
            "1970-02-30T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:00.Z",
            "9999-01-01T00:00:00Z",
        ] {
            assert_eq!(read(odd), Err(Odd), "{odd}");
        }
    }
}
