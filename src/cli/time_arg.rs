//! Points in time as `--since` and `--until` take them.
//!
//! Owns Hubble's grammar: a duration counts back from now, everything else is a date
//! with its offset (UTC for a date alone).

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::error::UsageError;
use crate::filter::parse_go_duration;

/// A text that is no point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to convert {0} to time")]
pub struct TimeArgError(String);

/// Nanoseconds since 1970 UTC of a duration (`5m`, `1h30m`, `1.5h`: so long before
/// `now`), `2006-01-02`, `2006-01-02T15Z`, `2006-01-02T15:04+01:00`, RFC 3339 or
/// RFC 1123 with a numeric zone.
///
/// Times beyond what 64 bits hold (1677 to 2262) are the nearest there is.
///
/// # Errors
/// [`TimeArgError`] for any other text.
pub fn parse_time(text: &str, now: i64) -> Result<i64, TimeArgError> {
    if let Some(duration) = parse_go_duration(text) {
        return Ok(now.saturating_sub(duration));
    }
    iso(text)
        .or_else(|| rfc1123(text))
        .ok_or_else(|| TimeArgError(text.to_owned()))
}

/// Now, in nanoseconds since 1970 UTC.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_nanosecond() as i64
}

/// A bound of time as typed, `None` where there is none; `name` is that of its flag.
///
/// # Errors
/// [`UsageError`] for a text that is no point in time.
pub(super) fn bound(name: &str, text: Option<&str>, now: i64) -> Result<Option<i64>, UsageError> {
    text.map(|text| parse_time(text, now))
        .transpose()
        .map_err(|error| UsageError::new(format!("failed to parse the {name} time: {error}")))
}

/// `2006-01-02[T15[:04[:05[.999]]]zone]`.
fn iso(text: &str) -> Option<i64> {
    let mut rest = Cursor(text);
    let date = Date::new(
        i16::try_from(rest.number(4)?).ok()?,
        rest.after("-")?.small(2)?,
        rest.after("-")?.small(2)?,
    )
    .ok()?;
    if rest.0.is_empty() {
        return nanoseconds(date.to_datetime(Time::midnight()), Offset::UTC);
    }
    let hour = rest.after("T")?.small(2)?;
    let mut time = (0, 0, 0);
    if rest.0.starts_with(':') {
        time.0 = rest.after(":")?.small(2)?;
        if rest.0.starts_with(':') {
            time.1 = rest.after(":")?.small(2)?;
            time.2 = rest.fraction()?;
        }
    }
    let offset = rest.zone(":")?;
    let time = Time::new(hour, time.0, time.1, time.2).ok()?;
    nanoseconds(date.to_datetime(time), offset)
}

/// `Mon, 02 Jan 2006 15:04:05 -0700`. That the weekday fits the date is not asked.
fn rfc1123(text: &str) -> Option<i64> {
    let mut rest = Cursor(text);
    rest.name(&["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])?;
    let day = rest.after(", ")?.small(2)?;
    let month = rest.after(" ")?.name(&[
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ])?;
    let year = i16::try_from(rest.after(" ")?.number(4)?).ok()?;
    let hour = rest.after(" ")?.small(2)?;
    let minute = rest.after(":")?.small(2)?;
    let second = rest.after(":")?.small(2)?;
    let nanosecond = rest.fraction()?;
    let offset = rest.after(" ")?.zone("")?;
    let date = Date::new(year, month, day).ok()?;
    let time = Time::new(hour, minute, second, nanosecond).ok()?;
    nanoseconds(date.to_datetime(time), offset)
}

fn nanoseconds(at: DateTime, offset: Offset) -> Option<i64> {
    // The year 0 and the last hours of 9999 have no timestamp in every offset.
    let time = TimeZone::fixed(offset).to_timestamp(at).ok()?;
    let limit = if time.as_nanosecond() < 0 {
        i64::MIN + 1
    } else {
        i64::MAX
    };
    Some(i64::try_from(time.as_nanosecond()).unwrap_or(limit))
}

/// What is left to read.
struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn after(&mut self, literal: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(self)
    }

    /// Exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.0 = rest;
        number.parse().ok()
    }

    fn small(&mut self, digits: usize) -> Option<i8> {
        self.number(digits)?.try_into().ok()
    }

    /// A fraction of a second in nanoseconds, 0 where there is none. Digits after the
    /// ninth are dropped.
    fn fraction(&mut self) -> Option<i32> {
        let Some(rest) = self.0.strip_prefix(['.', ',']) else {
            return Some(0);
        };
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(end);
        if digits.is_empty() {
            return None;
        }
        self.0 = rest;
        format!("{digits:0<9}").get(..9)?.parse().ok()
    }

    /// The zone at the end: `Z` (not in RFC 1123), or hours and minutes.
    fn zone(&mut self, separator: &str) -> Option<Offset> {
        if self.0 == "Z" && !separator.is_empty() {
            return Some(Offset::UTC);
        }
        let sign = match self.0.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.0 = &self.0[1..];
        let hours = self.number(2)?;
        let minutes = self.after(separator)?.number(2)?;
        if !self.0.is_empty() || hours > 24 || minutes > 59 {
            return None;
        }
        let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
        Offset::from_seconds(sign * seconds).ok()
    }

    /// The position of a name, from 1.
    fn name(&mut self, names: &[&str]) -> Option<i8> {
        let name = self.0.get(..3)?;
        let at = names
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))?;
        self.0 = &self.0[3..];
        i8::try_from(at + 1).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-06-01T10:02:00Z.
    const MOMENT: i64 = 1_780_308_120_000_000_000;

    #[test]
    fn every_form_names_the_moment() {
        for text in [
            "2026-06-01T10:02Z",
            "2026-06-01T12:02+02:00",
            "2026-06-01T10:02:00Z",
            "2026-06-01T10:02:00.000Z",
            "2026-06-01T05:32:00-04:30",
            "Mon, 01 Jun 2026 10:02:00 +0000",
            "Mon, 01 Jun 2026 12:02:00 +0200",
        ] {
            assert_eq!(parse_time(text, 0), Ok(MOMENT), "{text}");
        }
        let minutes = |count: i64| count * 60_000_000_000;
        assert_eq!(parse_time("2026-06-01T10Z", 0), Ok(MOMENT - minutes(2)));
        assert_eq!(parse_time("2026-06-01", 0), Ok(MOMENT - minutes(602)));
        assert_eq!(parse_time("2m", MOMENT), Ok(MOMENT - minutes(2)));
        assert_eq!(parse_time("-1.5h", MOMENT), Ok(MOMENT + minutes(90)));
        assert_eq!(
            parse_time("2026-06-01T10:02:00.5Z", 0),
            Ok(MOMENT + 500_000_000)
        );
        assert_eq!(
            parse_time("2026-06-01T10:02:00.1234567899Z", 0),
            Ok(MOMENT + 123_456_789)
        );
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in [
            "",
            "yesterday",
            "2026-06-01T10:02",
            "2026-13-01",
            "2026-02-30",
            "2026-06-01T25Z",
            "2026-06-01T10:02:60Z",
            "2026-06-01 10:02Z",
            "2026-06-01T10:02:00.Z",
            "2026-06-01Z",
            "2026-06-01T10:02:00+0200",
            "Jun 01 10:02:00.000",
            "Mon, 01 Jun 2026 10:02:00 Z",
            "Xyz, 01 Jun 2026 10:02:00 +0000",
            "2026-6-1",
        ] {
            assert_eq!(parse_time(text, 0), Err(TimeArgError(text.to_owned())));
        }
    }

    #[test]
    fn a_time_beyond_the_clock_is_its_end() {
        assert_eq!(parse_time("9000-01-01", 0), Ok(i64::MAX));
        assert_eq!(parse_time("0001-01-01", 0), Ok(i64::MIN + 1));
        assert_eq!(parse_time("-2562047h", i64::MAX), Ok(i64::MAX));
    }

    proptest! {
        #[test]
        fn no_text_panics(
            text in any::<String>(),
            close in "[0-9]{2,4}(-[0-9]{1,2}){0,3}(T[0-9:.,]{0,15}(Z|[+-][0-9:]{0,6})?)?",
            long in "(Mon|\u{e9}on), [0-9]{2} (Jan|Feb) [0-9]{4} [0-9:.]{0,12} [-+0-9]{0,6}",
        ) {
            let _ = parse_time(&text, i64::MIN);
            let _ = parse_time(&close, 0);
            let _ = parse_time(&long, i64::MAX);
        }
    }
}
