//! What time it is to a recording.
//!
//! Owns the wall clock as the recorder believes it: what it does when it jumps, and which
//! part of it retention may believe. Flows keep the times of their nodes.

use std::time::{Duration, Instant};

use crate::flow::{FlowBatch, HOUR, Manifest};

/// A step of the clock that is worth a word, beyond what passed.
const JUMP: i64 = 60_000_000_000;

/// A clock that runs so many times as fast as the machine's, and is right at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// 1 for the machine's own clock.
    pub(super) times: u32,
    /// When it is right, in nanoseconds since 1970 UTC.
    pub(super) right_at: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            times: 1,
            right_at: 0,
        }
    }
}

impl Pace {
    /// Reads `1800@2026-06-01T10:00:00Z`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not as 60@2026-06-01T10:00:00Z");
        let (times, time) = text.split_once('@').ok_or_else(wrong)?;
        let time: jiff::Timestamp = time.parse().map_err(|_| wrong())?;
        let times = times.parse().ok().filter(|&times| times > 0);
        Ok(Self {
            times: times.ok_or_else(wrong)?,
            right_at: i64::try_from(time.as_nanosecond()).map_err(|_| wrong())?,
        })
    }

    /// The time, in nanoseconds since 1970 UTC.
    pub(super) fn now(self) -> i64 {
        self.of(wall_clock())
    }

    /// What this clock says when the machine's says `real`.
    fn of(self, real: i64) -> i64 {
        let away = real.saturating_sub(self.right_at);
        self.right_at
            .saturating_add(away.saturating_mul(self.times.into()))
    }

    /// A span of this clock as one of the machine's.
    pub(super) fn real(self, span: Duration) -> Duration {
        span / self.times
    }
}

fn wall_clock() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// Watches the clock, and the newest flow.
pub(super) struct Clock {
    pace: Pace,
    before: (Instant, i64),
    /// Time of the newest flow that came.
    newest: Option<i64>,
}

impl Clock {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            before: (Instant::now(), pace.now()),
            newest: None,
        }
    }

    /// The time, in nanoseconds since 1970 UTC.
    pub(super) fn now(&self) -> i64 {
        self.pace.now()
    }

    /// Takes the times of flows that came.
    pub(super) fn saw(&mut self, batch: &FlowBatch) {
        let times = batch.rows().filter_map(|row| row.time());
        self.newest = self.newest.max(times.max());
    }

    /// A jump since the last look, in words: it changes which hours are old, and a person
    /// wants to know.
    pub(super) fn look(&mut self) -> Option<String> {
        let (then, before) = self.before;
        let now = self.now();
        let passed = i64::try_from(then.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let passed = passed.saturating_mul(self.pace.times.into());
        self.before = (Instant::now(), now);
        jump(now.saturating_sub(before).saturating_sub(passed))
    }

    /// The time at which hours are old or not: the clock's, but no later than an hour after
    /// the newest flow, so that a clock that jumps ahead deletes nothing.
    pub(super) fn for_retention(&self, manifest: &Manifest) -> jiff::Timestamp {
        let spans = manifest.files.iter().filter_map(|file| file.span);
        let recorded = spans.map(|(_, last)| last).max();
        let newest = self.newest.max(recorded);
        let time = believed(self.now(), newest);
        jiff::Timestamp::from_nanosecond(time.into()).unwrap_or_default()
    }
}

fn believed(now: i64, newest: Option<i64>) -> i64 {
    newest.map_or(now, |newest| now.min(newest.saturating_add(HOUR)))
}

fn jump(step: i64) -> Option<String> {
    (step.abs() > JUMP).then(|| {
        let (seconds, way) = (step.abs() / 1_000_000_000, step > 0);
        format!(
            "this machine's clock jumped {} by {seconds} s; flows keep the times of their nodes",
            if way { "ahead" } else { "back" }
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_is_right_once() {
        let pace = Pace::parse("60@1970-01-01T00:01:40Z").unwrap();
        let second = 1_000_000_000;
        assert_eq!(pace.of(100 * second), 100 * second);
        assert_eq!(pace.of(101 * second), 160 * second);
        assert_eq!(pace.of(99 * second), 40 * second);
        assert_eq!(pace.real(Duration::from_mins(2)), Duration::from_secs(2));
        assert_eq!(Pace::default().of(7), 7);
        for wrong in [
            "60",
            "0@1970-01-01T00:00:00Z",
            "x@1970-01-01T00:00:00Z",
            "1@noon",
        ] {
            assert!(Pace::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn jumps_are_said_both_ways_and_small_steps_are_not() {
        let minute = 60_000_000_000;
        assert_eq!(jump(minute), None);
        assert_eq!(jump(-minute), None);
        let ahead = jump(2 * minute).unwrap();
        assert!(ahead.contains("jumped ahead by 120 s"), "{ahead}");
        let back = jump(-90 * minute).unwrap();
        assert!(back.contains("jumped back by 5400 s"), "{back}");
    }

    #[test]
    fn a_clock_that_jumps_ahead_makes_no_hour_old() {
        assert_eq!(believed(5 * HOUR, None), 5 * HOUR);
        assert_eq!(believed(900 * HOUR, Some(5 * HOUR)), 6 * HOUR);
        // A node that is ahead does not move us.
        assert_eq!(believed(5 * HOUR, Some(900 * HOUR)), 5 * HOUR);
    }
}
