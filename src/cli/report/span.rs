//! Which two periods a review is about.
//!
//! Owns what `--until`, `--week-of` and `--quarter` mean, and what a person expects who
//! gives none of them. Times are UTC.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use crate::cli::error::UsageError;
use crate::review::periodic::Times;

const HOUR: i64 = 3_600_000_000_000;
const DAY: i64 = 24 * HOUR;

/// Two periods of which one follows the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) earlier: Times,
    pub(super) later: Times,
}

/// The period of so many days up to a time, and as many before.
pub(super) fn days(days: i64, until: i64) -> Span {
    let length = days * DAY;
    let start = until.saturating_sub(length);
    Span {
        earlier: (start.saturating_sub(length), start),
        later: (start, until),
    }
}

/// Where the last full period ends of a recording from `first` to `last`: at the last
/// midnight, or at the next one where that is less than an hour ahead or nothing was
/// recorded before the last.
pub(super) fn rounded_end(first: i64, last: i64) -> i64 {
    let midnight = last.div_euclid(DAY) * DAY;
    let next = midnight.saturating_add(DAY);
    if next - last <= HOUR || first >= midnight {
        next
    } else {
        midnight
    }
}

/// The week from Monday to Sunday that has a day, and the one before.
///
/// # Errors
/// [`UsageError`] for a text that is no day.
pub(super) fn week_of(text: &str) -> Result<Span, UsageError> {
    let wrong = || UsageError::new(format!("--week-of {text}: expected a day, 2026-06-17"));
    let day: Date = text.parse().map_err(|_| wrong())?;
    let back = day.weekday().since(Weekday::Monday);
    let monday = day
        .checked_sub(jiff::Span::new().days(i64::from(back)))
        .map_err(|_| wrong())?;
    let start = midnight(monday).ok_or_else(wrong)?;
    Ok(days(7, start.saturating_add(7 * DAY)))
}

/// A quarter of a year, and the one before.
///
/// # Errors
/// [`UsageError`] for a text that is none.
pub(super) fn quarter(text: &str) -> Result<Span, UsageError> {
    let wrong = || UsageError::new(format!("--quarter {text}: expected a quarter, 2026Q2"));
    let (year, number) = text
        .split_once(['Q', 'q'])
        .and_then(|(year, number)| Some((year.parse::<i16>().ok()?, number.parse::<i8>().ok()?)))
        .filter(|(year, number)| (1971..=2260).contains(year) && (1..=4).contains(number))
        .ok_or_else(wrong)?;
    let begin = |year: i16, number: i8| {
        Date::new(year, (number - 1) * 3 + 1, 1)
            .ok()
            .and_then(midnight)
            .ok_or_else(wrong)
    };
    let before = if number == 1 {
        (year - 1, 4)
    } else {
        (year, number - 1)
    };
    let after = if number == 4 {
        (year + 1, 1)
    } else {
        (year, number + 1)
    };
    let start = begin(year, number)?;
    Ok(Span {
        earlier: (begin(before.0, before.1)?, start),
        later: (start, begin(after.0, after.1)?),
    })
}

fn midnight(day: Date) -> Option<i64> {
    let time = day.to_zoned(TimeZone::UTC).ok()?.timestamp();
    i64::try_from(time.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::time_arg::parse_time;

    fn at(text: &str) -> i64 {
        parse_time(text, 0).unwrap()
    }

    #[test]
    fn the_end_is_where_a_person_expects_it() {
        for (first, last, wanted) in [
            // Recorded to the end of a day, but for what was still open.
            ("2026-01-05", "2026-01-18T23:59:58Z", "2026-01-19"),
            // A recording that goes on: today is not over.
            ("2026-01-05", "2026-01-19T08:13Z", "2026-01-19"),
            ("2026-01-05", "2026-01-19T00:00Z", "2026-01-19"),
            // Some minutes of one day.
            ("2026-06-16T14:08Z", "2026-06-16T14:12Z", "2026-06-17"),
        ] {
            assert_eq!(rounded_end(at(first), at(last)), at(wanted), "{last}");
        }
    }

    #[test]
    fn weeks_begin_on_monday() {
        for day in ["2026-06-15", "2026-06-17", "2026-06-21"] {
            let span = week_of(day).unwrap();
            assert_eq!(span.later, (at("2026-06-15"), at("2026-06-22")));
            assert_eq!(span.earlier, (at("2026-06-08"), at("2026-06-15")));
        }
        assert!(week_of("2026-13-01").is_err());
        assert!(week_of("Monday").is_err());
    }

    #[test]
    fn quarters_are_those_of_the_calendar() {
        let span = quarter("2026Q1").unwrap();
        assert_eq!(span.later, (at("2026-01-01"), at("2026-04-01")));
        assert_eq!(span.earlier, (at("2025-10-01"), at("2026-01-01")));
        let span = quarter("2026q4").unwrap();
        assert_eq!(span.later, (at("2026-10-01"), at("2027-01-01")));
        for text in ["2026", "2026Q5", "2026Q0", "Q1", "99999Q1", "1Q1"] {
            assert!(quarter(text).is_err(), "{text}");
        }
    }
}
