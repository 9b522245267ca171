//! Jobs that run less often than a recording is long.
//!
//! Owns reading the schedule of a CronJob and the longest pause between two of its runs:
//! a recording that is shorter may not have seen what the job talks to. What a schedule
//! means is cron's; Kubernetes adds `@daily` and the like.

use std::sync::Arc;

use jiff::civil::Date;

use crate::manifest::{Document, Node};

/// Days that are looked at: leap years come every four.
const DAYS: i64 = 4 * 366 + 1;
const MINUTES_OF_DAY: i64 = 24 * 60;

/// A job that a recording may have missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Namespace, empty where nothing says.
    pub namespace: Arc<str>,
    /// Name of the CronJob.
    pub name: Arc<str>,
    /// As written.
    pub schedule: Arc<str>,
    /// Longest pause between two runs, in minutes; `None` where the schedule is not
    /// understood.
    pub pause: Option<i64>,
    /// File.
    pub file: Arc<str>,
    /// Line of the object.
    pub line: u32,
}

/// The CronJobs among documents whose longest pause is not shorter than `window`, in
/// nanoseconds; those that are suspended do not run at all.
#[must_use]
pub fn jobs<'a>(documents: impl Iterator<Item = &'a Document>, window: i64) -> Vec<Job> {
    let minutes = window / 60_000_000_000;
    let mut jobs: Vec<Job> = documents.filter_map(job).collect();
    jobs.retain(|job| job.pause.is_none_or(|pause| pause > minutes));
    jobs.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    jobs.dedup_by(|one, other| (&one.namespace, &one.name) == (&other.namespace, &other.name));
    jobs
}

fn job(document: &Document) -> Option<Job> {
    if document.kind() != Some("CronJob") {
        return None;
    }
    let spec = document.root.get("spec")?;
    let suspended = spec.get("suspend").map(|node| &node.value);
    if suspended == Some(&crate::manifest::Value::Bool(true)) {
        return None;
    }
    let schedule = spec.get("schedule").and_then(Node::as_str)?;
    Some(Job {
        namespace: document.scope.namespace().unwrap_or_default().into(),
        name: document.name()?.into(),
        schedule: schedule.into(),
        pause: longest_pause(schedule),
        file: document.file.clone(),
        line: document.at().line,
    })
}

/// The longest pause between two runs of a schedule, in minutes; `None` for what is no
/// schedule, or one that never comes.
#[must_use]
pub fn longest_pause(schedule: &str) -> Option<i64> {
    let schedule = schedule.trim();
    // A time zone before the fields shifts all runs alike, but for an hour twice a year.
    let schedule = match schedule.split_once(char::is_whitespace) {
        Some((zone, rest)) if zone.starts_with("TZ=") || zone.starts_with("CRON_TZ=") => rest,
        _ => schedule,
    };
    let fields = match schedule.trim() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        text => text,
    };
    if let Some(every) = fields.strip_prefix("@every ") {
        let every: jiff::SignedDuration = every.trim().parse().ok()?;
        return Some((every.as_secs() + 59) / 60);
    }
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else {
        return None;
    };
    let runs = Runs {
        minutes: field(minute, 0, 59, &[])?,
        hours: field(hour, 0, 23, &[])?,
        days: field(day, 1, 31, &[])?,
        months: field(month, 1, 12, &MONTHS)?,
        weekdays: weekdays(weekday)?,
        any_day: day.starts_with(['*', '?']),
        any_weekday: weekday.starts_with(['*', '?']),
    };
    runs.longest_pause()
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When something runs; each field by the bits of its values.
struct Runs {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

impl Runs {
    fn longest_pause(&self) -> Option<i64> {
        let mut of_day: Vec<i64> = Vec::new();
        for hour in (0..24).filter(|hour| self.hours >> hour & 1 == 1) {
            let minutes = (0..60).filter(|minute| self.minutes >> minute & 1 == 1);
            of_day.extend(minutes.map(|minute| hour * 60 + minute));
        }
        let mut day = Date::new(2024, 1, 1).ok()?;
        let mut last: Option<i64> = None;
        let mut longest = None;
        for number in 0..DAYS {
            if self.has(day) {
                for minute in &of_day {
                    let at = number * MINUTES_OF_DAY + minute;
                    longest = longest.max(last.map(|last| at - last));
                    last = Some(at);
                }
            }
            day = day.tomorrow().ok()?;
        }
        longest
    }

    /// Where both kinds of days are restricted, either will do.
    fn has(&self, day: Date) -> bool {
        let of_month = self.days >> day.day() & 1 == 1;
        let of_week = self.weekdays >> day.weekday().to_sunday_zero_offset() & 1 == 1;
        let fits = if self.any_day || self.any_weekday {
            of_month && of_week
        } else {
            of_month || of_week
        };
        fits && self.months >> day.month() & 1 == 1
    }
}

/// Sunday is 0, and 7 too.
fn weekdays(text: &str) -> Option<u64> {
    let days = field(text, 0, 7, &WEEKDAYS)?;
    Some(days | (days >> 7 & 1))
}

/// A field as bits: `*`, `*/5`, `1-5`, `mon-fri`, `0,30`, `2-10/2`.
fn field(text: &str, first: u64, last: u64, names: &[&str]) -> Option<u64> {
    let offset = u64::from(names.len() == MONTHS.len());
    let value = |text: &str| -> Option<u64> {
        let lower = text.to_ascii_lowercase();
        let named = names.iter().position(|name| *name == lower);
        let value = match named {
            Some(at) => at as u64 + offset,
            None => text.parse().ok()?,
        };
        (first..=last).contains(&value).then_some(value)
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u64>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (first, last),
            Some((from, to)) => (value(from)?, value(to)?),
            None if part.contains('/') => (value(range)?, last),
            None => (value(range)?, value(range)?),
        };
        let mut at = from;
        while at <= to {
            bits |= 1 << at;
            at += step;
        }
    }
    (bits != 0).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_is_that_of_the_schedule() {
        const HOUR: i64 = 60;
        const DAY: i64 = 24 * HOUR;
        for (schedule, wanted) in [
            ("*/15 * * * *", Some(15)),
            ("0 * * * *", Some(HOUR)),
            ("0 9-17 * * *", Some(16 * HOUR)),
            ("30 2 * * *", Some(DAY)),
            ("0 6 * * 1-5", Some(3 * DAY)),
            ("0 6 * * mon,thu", Some(4 * DAY)),
            ("0 0 * * 7", Some(7 * DAY)),
            ("0 0 1 * *", Some(31 * DAY)),
            ("0 0 1 jan *", Some(366 * DAY)),
            // Either kind of day.
            ("0 0 1 * 1", Some(7 * DAY)),
            ("@weekly", Some(7 * DAY)),
            ("TZ=Europe/Berlin 0 3 * * *", Some(DAY)),
            ("@every 90m", Some(90)),
            ("0 0 30 2 *", None),
            ("61 * * * *", None),
            ("* * * *", None),
            ("often", None),
        ] {
            assert_eq!(longest_pause(schedule), wanted, "{schedule}");
        }
    }
}
