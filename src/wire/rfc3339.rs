//! Timestamps as protojson writes and reads them.
//!
//! Owns the text form of `google.protobuf.Timestamp`, years 1 to 9999. Knows no
//! calendar beyond that: what people type is `cli`'s.

/// Seconds since 1970 and nanoseconds within the second, which are never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instant {
    pub(super) seconds: i64,
    pub(super) nanos: i32,
}

/// 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799;
const DAY: i64 = 86_400;

impl Instant {
    /// Whether it has a text form.
    pub(super) fn is_valid(self) -> bool {
        (FIRST..=LAST).contains(&self.seconds) && (0..1_000_000_000).contains(&self.nanos)
    }

    /// Nanoseconds since 1970; `None` outside the years 1677 to 2262.
    pub(super) fn unix_nanos(self) -> Option<i64> {
        let nanos = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos);
        i64::try_from(nanos).ok()
    }

    /// Reads RFC 3339 with any offset and up to nine digits of a second.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.as_bytes();
        let year = digits(&mut rest, 4)?;
        literal(&mut rest, b'-')?;
        let month = digits(&mut rest, 2).filter(|month| (1..=12).contains(month))?;
        literal(&mut rest, b'-')?;
        let day = digits(&mut rest, 2)?;
        if !(1..=days_in(year, month)).contains(&day) {
            return None;
        }
        literal(&mut rest, b'T')?;
        let hour = digits(&mut rest, 2).filter(|&hour| hour < 24)?;
        literal(&mut rest, b':')?;
        let minute = digits(&mut rest, 2).filter(|&minute| minute < 60)?;
        literal(&mut rest, b':')?;
        let second = digits(&mut rest, 2).filter(|&second| second < 60)?;
        let nanos = fraction(&mut rest)?;
        let offset = offset(&mut rest)?;
        let of_day = hour * 3_600 + minute * 60 + second;
        let instant = Self {
            seconds: days_from_civil(year, month, day) * DAY + of_day - offset,
            nanos,
        };
        (rest.is_empty() && instant.is_valid()).then_some(instant)
    }

    /// Writes RFC 3339 in UTC with no, three, six or nine digits of a second.
    ///
    /// Only for a valid instant; others come out as some text.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let (year, month, day) = civil_from_days(self.seconds.div_euclid(DAY));
        let of_day = self.seconds.rem_euclid(DAY);
        let mut text = *b"0000-00-00T00:00:00.000000000";
        decimal(&mut text[0..4], year);
        decimal(&mut text[5..7], month);
        decimal(&mut text[8..10], day);
        decimal(&mut text[11..13], of_day / 3_600);
        decimal(&mut text[14..16], of_day / 60 % 60);
        decimal(&mut text[17..19], of_day % 60);
        decimal(&mut text[20..29], i64::from(self.nanos));
        let end = match self.nanos {
            0 => 19,
            nanos if nanos % 1_000_000 == 0 => 23,
            nanos if nanos % 1_000 == 0 => 26,
            _ => 29,
        };
        out.extend_from_slice(&text[..end]);
        out.push(b'Z');
    }
}

fn literal(rest: &mut &[u8], byte: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[byte])?;
    Some(())
}

fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (text, after) = rest.split_at_checked(count)?;
    let mut number = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    *rest = after;
    Some(number)
}

/// Nanoseconds of `.123`, or 0 where there is no point.
fn fraction(rest: &mut &[u8]) -> Option<i32> {
    if literal(rest, b'.').is_none() {
        return Some(0);
    }
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let value = digits(rest, count)?;
    Some(value as i32 * 10_i32.pow(9 - count as u32))
}

/// Seconds east of UTC.
fn offset(rest: &mut &[u8]) -> Option<i64> {
    let (&sign, after) = rest.split_first()?;
    *rest = after;
    let sign = match sign {
        b'Z' => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(rest, 2).filter(|&hours| hours < 24)?;
    literal(rest, b':')?;
    let minutes = digits(rest, 2).filter(|&minutes| minutes < 60)?;
    Some(sign * (hours * 3_600 + minutes * 60))
}

fn decimal(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + number.rem_euclid(10) as u8;
        number /= 10;
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01, counting years from March so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(seconds: i64, nanos: i32) -> String {
        let mut out = Vec::new();
        Instant { seconds, nanos }.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_fraction_has_no_three_six_or_nine_digits() {
        assert_eq!(written(1, 0), "1970-01-01T00:00:01Z");
        assert_eq!(written(1, 120_000_000), "1970-01-01T00:00:01.120Z");
        assert_eq!(written(1, 120_000), "1970-01-01T00:00:01.000120Z");
        assert_eq!(written(1, 7), "1970-01-01T00:00:01.000000007Z");
        assert_eq!(written(FIRST, 0), "0001-01-01T00:00:00Z");
        assert_eq!(written(LAST, 0), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn offsets_and_short_fractions_are_read() {
        let at = |text| Instant::parse(text).map(|at| (at.seconds, at.nanos));
        assert_eq!(at("1970-01-01T02:00:00.5+02:00"), Some((0, 500_000_000)));
        assert_eq!(at("1969-12-31T23:30:00-00:30"), Some((0, 0)));
        assert_eq!(at("2024-02-29T00:00:00Z"), Some((1_709_164_800, 0)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.1234567890Z",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00Z ",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "+024-01-01T00:00:00Z",
        ] {
            assert_eq!(Instant::parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in FIRST..=LAST, nanos in 0..1_000_000_000) {
            let text = written(seconds, nanos);
            proptest::prop_assert_eq!(Instant::parse(&text), Some(Instant { seconds, nanos }));
        }
    }
}
