//! What is to happen next, and how busy a time is.
//!
//! Owns the order of actions and the rate of users over days and weeks. What an action does
//! is `play`'s.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::settings::UserKnobs;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// A user, or the next task of a worker.
    Arrive { source: u32 },
    /// The end of a pooled connection.
    Close { pool: u32, generation: u32 },
    /// A probe, a scrape, a request to the API server.
    Beat { beat: u32 },
    /// A run of a CronJob.
    Run { job: u32 },
    /// A call nobody wrote a policy for.
    Stray { member: u32 },
    /// A call that is made once in a while.
    Rare { rare: u32 },
    /// A change begins.
    Begin { change: u32 },
    /// It ends.
    Finish { change: u32 },
    /// What it does again and again.
    Again { change: u32, round: u32 },
    /// A pod is replaced.
    Roll { member: u32, place: u32 },
    /// Numbers of pods follow the load.
    Scale,
    /// Something is said on a long connection.
    Talk { talk: u32 },
    /// An incident goes on.
    Step { incident: u32 },
}

/// Actions in order of time.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(i64, u64, Action)>>,
    sequence: u64,
}

impl Agenda {
    pub(super) fn push(&mut self, at: i64, action: Action) {
        self.heap.push(Reverse((at, self.sequence, action)));
        self.sequence += 1;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(super) fn next_time(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    pub(super) fn pop(&mut self) -> Option<(i64, Action)> {
        self.heap.pop().map(|Reverse((at, _, action))| (at, action))
    }
}

/// How busy a time is, beside the mean over a week.
pub(super) fn busyness(users: &UserKnobs, at: i64) -> f64 {
    let hours = &users.hours.0;
    let mean = hours.iter().sum::<f64>() / 24.0;
    let (day, within) = (at.div_euclid(DAY), at.rem_euclid(DAY));
    let hour = (within / HOUR) as usize;
    let share = (within % HOUR) as f64 / HOUR as f64;
    let now = hours[hour] * (1.0 - share) + hours[(hour + 1) % 24] * share;
    // 1970 began on a Thursday.
    let weekend = (day + 3).rem_euclid(7) >= 5;
    let week = (5.0 + 2.0 * users.weekend) / 7.0;
    let factor = if weekend { users.weekend } else { 1.0 };
    now / mean * factor / week
}

/// When CronJobs run: every 5 minutes, hourly, daily at 02:00, Sundays at 03:00.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    period: i64,
    offset: i64,
}

impl Schedule {
    pub(super) const ALL: [Self; 4] = [
        Self {
            period: 300 * SECOND,
            offset: 0,
        },
        Self {
            period: HOUR,
            offset: 0,
        },
        Self {
            period: DAY,
            offset: 2 * HOUR,
        },
        Self {
            period: 7 * DAY,
            // The first Sunday was 3 January.
            offset: 3 * DAY + 3 * HOUR,
        },
    ];

    /// The first time after `at`.
    pub(super) fn after(self, at: i64) -> i64 {
        let periods = (at - self.offset).div_euclid(self.period) + 1;
        self.offset + periods * self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busyness_is_1_over_a_week() {
        let users = UserKnobs::default();
        let quarters = 7 * 24 * 4;
        let sum: f64 = (0..quarters)
            .map(|quarter| busyness(&users, quarter * HOUR / 4))
            .sum();
        assert!((sum / quarters as f64 - 1.0).abs() < 0.01, "{sum}");
    }

    #[test]
    fn schedules_are_those_of_the_calendar() {
        // Wednesday, 2026-01-07 10:30:00 UTC.
        let at = 1_767_781_800 * SECOND;
        let after = Schedule::ALL.map(|schedule| (schedule.after(at) - at) / SECOND);
        assert_eq!(after, [300, 1_800, 55_800, 318_600]);
    }

    #[test]
    fn actions_of_one_time_keep_their_order() {
        let mut agenda = Agenda::default();
        for (at, beat) in [(5, 0), (3, 1), (5, 2), (3, 3)] {
            agenda.push(at, Action::Beat { beat });
        }
        let order: Vec<(i64, Action)> = std::iter::from_fn(|| agenda.pop()).collect();
        let beats = [(3, 1), (3, 3), (5, 0), (5, 2)];
        assert_eq!(order, beats.map(|(at, beat)| (at, Action::Beat { beat })));
    }
}
