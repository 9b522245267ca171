//! Times as Hubble shows them, in UTC.
//!
//! Owns the formats and their names. A [`TimeWriter`] keeps the text of the last
//! second it wrote, because flows come many a
//! second and in order, and only turns the clock on to the next.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::Offset;

use super::number;

const NANOS: i64 = 1_000_000_000;
/// Seconds of a day.
const DAY: i64 = 86_400;
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
const DAYS: &[u8; 21] = b"MonTueWedThuFriSatSun";

/// A format of `--time-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// `Jun  1 10:00:00.124`.
    #[default]
    StampMilli,
    /// `2026-06-01`.
    YearMonthDay,
    /// `2026-06-01T10Z`.
    YearMonthDayHour,
    /// `2026-06-01T10:00Z`.
    YearMonthDayHourMinute,
    /// `2026-06-01T10:00:00Z`.
    Rfc3339,
    /// Up to three digits of a second, without trailing zeros.
    Rfc3339Milli,
    /// Up to six digits of a second, without trailing zeros.
    Rfc3339Micro,
    /// Up to nine digits of a second, without trailing zeros.
    Rfc3339Nano,
    /// `Mon, 01 Jun 2026 10:00:00 +0000`.
    Rfc1123Z,
}

impl TimeFormat {
    /// Every format by its name.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::StampMilli, "StampMilli"),
        (Self::YearMonthDay, "YearMonthDay"),
        (Self::YearMonthDayHour, "YearMonthDayHour"),
        (Self::YearMonthDayHourMinute, "YearMonthDayHourMinute"),
        (Self::Rfc3339, "RFC3339"),
        (Self::Rfc3339Milli, "RFC3339Milli"),
        (Self::Rfc3339Micro, "RFC3339Micro"),
        (Self::Rfc3339Nano, "RFC3339Nano"),
        (Self::Rfc1123Z, "RFC1123Z"),
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// A text that names no time format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time format {name:?}")]
pub struct ParseTimeFormatError {
    name: String,
}

impl FromStr for TimeFormat {
    type Err = ParseTimeFormatError;

    /// Case does not matter.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|&(format, _)| format)
            .ok_or_else(|| ParseTimeFormatError {
                name: name.to_owned(),
            })
    }
}

/// Writes times in one format.
#[derive(Clone, Debug)]
pub struct TimeWriter {
    format: TimeFormat,
    /// The second `text` is of.
    second: Option<i64>,
    /// The time down to the second, without the fraction that follows it.
    text: Vec<u8>,
    /// Where the hour begins in `text`, for formats that show it.
    clock: usize,
}

impl TimeWriter {
    /// Makes a writer of `format`.
    #[must_use]
    pub fn new(format: TimeFormat) -> Self {
        Self {
            format,
            second: None,
            text: Vec::new(),
            clock: 0,
        }
    }

    /// Appends a time given in nanoseconds since 1970 UTC, `N/A` for none.
    #[inline]
    pub fn write(&mut self, time: Option<i64>, out: &mut Vec<u8>) {
        let Some(time) = time else {
            out.extend_from_slice(b"N/A");
            return;
        };
        let (second, nanos) = (time.div_euclid(NANOS), time.rem_euclid(NANOS) as u32);
        if self.second != Some(second) {
            self.turn_to(second);
        }
        out.extend_from_slice(&self.text);
        match self.format {
            TimeFormat::StampMilli => {
                let millis = (nanos / 1_000_000) as usize;
                let [tens, ones] = number::pair(millis % 100);
                out.extend_from_slice(&[b'.', b'0' + (millis / 100) as u8, tens, ones]);
            }
            TimeFormat::Rfc3339Milli => push_fraction(out, nanos / 1_000_000, 3),
            TimeFormat::Rfc3339Micro => push_fraction(out, nanos / 1000, 6),
            TimeFormat::Rfc3339Nano => push_fraction(out, nanos, 9),
            TimeFormat::YearMonthDay
            | TimeFormat::YearMonthDayHour
            | TimeFormat::YearMonthDayHourMinute
            | TimeFormat::Rfc3339
            | TimeFormat::Rfc1123Z => {}
        }
    }

    /// Makes `text` that of `second`; on the same day only its clock changes.
    fn turn_to(&mut self, second: i64) {
        let day = second.div_euclid(DAY);
        if self.second.map(|second| second.div_euclid(DAY)) != Some(day) {
            self.start_day(day);
        }
        self.second = Some(second);

        let of_day = second.rem_euclid(DAY) as usize;
        let [hour, minute, second] =
            [of_day / 3600, of_day / 60 % 60, of_day % 60].map(number::pair);
        let mut clock = *b"00:00:00";
        for (at, digits) in [(0, hour), (3, minute), (6, second)] {
            clock[at..at + 2].copy_from_slice(&digits);
        }
        let shown = match self.format {
            TimeFormat::YearMonthDay => 0,
            TimeFormat::YearMonthDayHour => 2,
            TimeFormat::YearMonthDayHourMinute => 5,
            _ => clock.len(),
        };
        if let Some(place) = self.text.get_mut(self.clock..self.clock + shown) {
            place.copy_from_slice(&clock[..shown]);
        }
    }

    fn start_day(&mut self, day: i64) {
        let date = Timestamp::from_second(day * DAY).unwrap_or_default();
        let date = Offset::UTC.to_datetime(date);
        let two = |number: i8| number::pair(number.unsigned_abs().into());
        let month = &MONTHS[usize::from(date.month().unsigned_abs() - 1) * 3..][..3];
        let year = usize::from(date.year().unsigned_abs());
        let (century, year) = (number::pair(year / 100 % 100), number::pair(year % 100));
        let (month_number, day) = (two(date.month()), two(date.day()));

        let parts: &[&[u8]] = match self.format {
            TimeFormat::StampMilli if day[0] == b'0' => &[month, b"  ", &day[1..], b" "],
            TimeFormat::StampMilli => &[month, b" ", &day, b" "],
            TimeFormat::Rfc1123Z => {
                let weekday = day_name(date.weekday());
                &[
                    weekday, b", ", &day, b" ", month, b" ", &century, &year, b" ",
                ]
            }
            TimeFormat::YearMonthDay => &[&century, &year, b"-", &month_number, b"-", &day],
            _ => &[&century, &year, b"-", &month_number, b"-", &day, b"T"],
        };
        self.text = parts.concat();
        self.clock = self.text.len();
        self.text.extend_from_slice(match self.format {
            TimeFormat::YearMonthDay => b"",
            TimeFormat::YearMonthDayHour => b"00Z",
            TimeFormat::YearMonthDayHourMinute => b"00:00Z",
            TimeFormat::Rfc3339 => b"00:00:00Z",
            TimeFormat::Rfc1123Z => b"00:00:00 +0000",
            TimeFormat::StampMilli
            | TimeFormat::Rfc3339Milli
            | TimeFormat::Rfc3339Micro
            | TimeFormat::Rfc3339Nano => b"00:00:00",
        });
    }
}

fn day_name(day: Weekday) -> &'static [u8] {
    &DAYS[usize::from(day.to_monday_zero_offset().unsigned_abs()) * 3..][..3]
}

/// Appends the fraction of a second, `digits` long, without trailing zeros, and the
/// zone that follows it.
#[inline]
fn push_fraction(out: &mut Vec<u8>, mut fraction: u32, digits: usize) {
    if fraction != 0 {
        let start = out.len();
        out.push(b'.');
        out.resize(start + 1 + digits, b'0');
        let mut kept = start + 1;
        for at in (start + 1..start + 1 + digits).rev() {
            let digit = (fraction % 10) as u8;
            fraction /= 10;
            out[at] = b'0' + digit;
            if digit != 0 && kept == start + 1 {
                kept = at + 1;
            }
        }
        out.truncate(kept);
    }
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: TimeFormat, time: i64) -> String {
        let mut out = Vec::new();
        TimeWriter::new(format).write(Some(time), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_format_shows_the_time_as_hubble_does() {
        let time = 1_780_308_000_120_300_000;
        let expected = [
            "Jun  1 10:00:00.120",
            "2026-06-01",
            "2026-06-01T10Z",
            "2026-06-01T10:00Z",
            "2026-06-01T10:00:00Z",
            "2026-06-01T10:00:00.12Z",
            "2026-06-01T10:00:00.1203Z",
            "2026-06-01T10:00:00.1203Z",
            "Mon, 01 Jun 2026 10:00:00 +0000",
        ];
        for ((format, name), expected) in TimeFormat::ALL.into_iter().zip(expected) {
            assert_eq!(written(format, time), expected);
            assert_eq!(format.name(), name);
            assert_eq!(name.to_lowercase().parse(), Ok(format));
        }
        assert!("Kitchen".parse::<TimeFormat>().is_err());
    }

    #[test]
    fn a_fraction_keeps_only_the_digits_that_say_something() {
        let nano = |time| written(TimeFormat::Rfc3339Nano, time);
        assert_eq!(nano(0), "1970-01-01T00:00:00Z");
        assert_eq!(nano(1), "1970-01-01T00:00:00.000000001Z");
        assert_eq!(nano(100_000_000), "1970-01-01T00:00:00.1Z");
        assert_eq!(
            written(TimeFormat::Rfc3339Milli, 999_999),
            "1970-01-01T00:00:00Z"
        );
    }

    #[test]
    fn times_before_1970_and_at_the_ends_of_the_range_are_whole() {
        let nano = |time| written(TimeFormat::Rfc3339Nano, time);
        assert_eq!(nano(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(nano(i64::MIN + 1), "1677-09-21T00:12:43.145224193Z");
        assert_eq!(nano(i64::MAX), "2262-04-11T23:47:16.854775807Z");
    }

    #[test]
    fn the_kept_second_does_not_leak_into_the_next() {
        let mut writer = TimeWriter::new(TimeFormat::Rfc3339Nano);
        let mut out = Vec::new();
        for time in [Some(1), Some(2), Some(NANOS), None, Some(3)] {
            writer.write(time, &mut out);
            out.push(b' ');
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "1970-01-01T00:00:00.000000001Z 1970-01-01T00:00:00.000000002Z \
             1970-01-01T00:00:01Z N/A 1970-01-01T00:00:00.000000003Z "
        );
    }
}
