//! What is known of one edge, and of one port that a workload listens on.
//!
//! Owns counting days, hours and verdicts of it, and forgetting slowly. Which edges there
//! are is `model`'s.

use super::rates::Moments;
use super::tick::{DAY, SECOND};
use crate::flow::Protocol;

/// Nanoseconds of an hour.
pub const HOUR: i64 = 3_600 * SECOND;
/// After so long half of what was counted is forgotten: 14 days.
pub(super) const HALF_LIFE: i64 = 14 * DAY;
/// An edge that was not seen so long is forgotten: 45 days.
pub(super) const LIFETIME: i64 = 45 * DAY;

/// Why an edge is in the baseline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// It was seen and nothing spoke against it.
    #[default]
    Learned,
    /// A person said that it is normal.
    Approved,
    /// A person said that it must not be.
    Forbidden,
}

/// What is known of an edge: a client, a destination, a port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgeProfile {
    /// When it was first seen, in nanoseconds since 1970 UTC.
    pub first: i64,
    /// When it was last seen.
    pub last: i64,
    /// Distinct days (UTC) it was seen on.
    pub days: u32,
    /// Distinct hours it was seen in.
    pub hours: u32,
    /// Connections that passed since it was first seen.
    pub count: u64,
    /// Connections that passed, half of them forgotten every 14 days.
    pub passed: f64,
    /// Connections that policy denied, forgotten alike.
    pub denied: f64,
    /// Connections that audit mode let pass, forgotten alike.
    pub audited: f64,
    /// Connections in ticks in which there were any.
    pub active: Moments,
    /// Hours of the week it was seen in: bit `hour + 24 * weekday`, from Monday 0 h UTC.
    pub week: [u64; 3],
    /// Why it is here.
    pub status: Status,
    /// When `passed`, `denied` and `audited` were last brought up to date.
    pub(super) decayed: i64,
    pub(super) last_day: i64,
    pub(super) last_hour: i64,
}

impl EdgeProfile {
    /// An edge that was first seen at a time and has no connection yet.
    #[must_use]
    pub fn new(time: i64, status: Status) -> Self {
        Self {
            first: time,
            last: time,
            status,
            decayed: time,
            last_day: i64::MIN,
            last_hour: i64::MIN,
            ..Self::default()
        }
    }

    /// Notes that it was there at a time; days and hours count once where times ascend.
    /// Says whether that was a new day.
    pub(super) fn present(&mut self, time: i64) -> bool {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        let (day, hour) = (time.div_euclid(DAY), time.div_euclid(HOUR));
        let bit = hour_of_week(time);
        self.week[bit / 64] |= 1 << (bit % 64);
        if hour > self.last_hour {
            self.last_hour = hour;
            self.hours = self.hours.saturating_add(1);
        }
        let new_day = day > self.last_day;
        if new_day {
            self.last_day = day;
            self.days = self.days.saturating_add(1);
        }
        new_day
    }

    /// Adds connections of one tick.
    pub(super) fn add(&mut self, time: i64, passed: u64, denied: u64, audited: u64) {
        self.forget(time);
        self.count = self.count.saturating_add(passed);
        self.passed += passed as f64;
        self.denied += denied as f64;
        self.audited += audited as f64;
        if passed > 0 {
            self.active.add(passed as f64);
        }
    }

    /// Brings what is forgotten slowly up to date.
    pub(super) fn forget(&mut self, time: i64) {
        let elapsed = time.saturating_sub(self.decayed);
        if elapsed <= 0 {
            return;
        }
        let left = (-(elapsed as f64) / HALF_LIFE as f64).exp2();
        self.passed *= left;
        self.denied *= left;
        self.audited *= left;
        self.decayed = time;
    }

    /// Whether it was seen in an hour of the week.
    #[must_use]
    pub fn is_of_hour(&self, time: i64) -> bool {
        let bit = hour_of_week(time);
        self.week[bit / 64] & (1 << (bit % 64)) != 0
    }

    /// Hours of the week it was seen in, 0 to 168.
    #[must_use]
    pub fn week_hours(&self) -> u32 {
        self.week.iter().map(|part| part.count_ones()).sum()
    }
}

/// A port that a workload takes connections on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Port; the type for ICMP.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// When it was first seen to answer.
    pub first: i64,
    /// When it last did.
    pub last: i64,
    /// Distinct days it did.
    pub days: u32,
}

/// Hour of the week of a time, 0 to 167, from Monday 0 h UTC.
pub(super) fn hour_of_week(time: i64) -> usize {
    // 1970-01-01 was a Thursday.
    (time.div_euclid(HOUR) + 72).rem_euclid(168) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_count_once() {
        let mut edge = EdgeProfile::new(0, Status::Learned);
        for time in [0, HOUR / 2, HOUR, DAY, DAY + 1, 3 * DAY] {
            edge.present(time);
        }
        assert_eq!((edge.days, edge.hours), (3, 4));
        assert_eq!((edge.first, edge.last), (0, 3 * DAY));
        assert!(edge.is_of_hour(7 * DAY) && !edge.is_of_hour(2 * HOUR));
        assert_eq!(edge.week_hours(), 4);
    }

    #[test]
    fn half_is_forgotten_in_two_weeks() {
        let mut edge = EdgeProfile::new(0, Status::Learned);
        edge.add(0, 8, 4, 0);
        edge.add(HALF_LIFE, 1, 0, 0);
        assert!((edge.passed - 5.0).abs() < 1e-9);
        assert!((edge.denied - 2.0).abs() < 1e-9);
        assert_eq!(edge.count, 9);
    }

    #[test]
    fn a_week_begins_on_monday() {
        let time = |text: &str| {
            let time: jiff::Timestamp = text.parse().unwrap();
            time.as_nanosecond() as i64
        };
        assert_eq!(hour_of_week(time("2026-11-30T00:30:00Z")), 0);
        assert_eq!(hour_of_week(time("2026-12-06T23:59:59Z")), 167);
        assert_eq!(hour_of_week(time("1970-01-01T00:00:00Z")), 72);
    }
}
