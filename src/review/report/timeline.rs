//! Connections over time, in a bounded number of equal steps.
//!
//! Owns the steps: they begin at a second and double as the span grows.

/// Steps at most.
const MOST: usize = 240;
const SECOND: i64 = 1_000_000_000;

/// Counts of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Connections that began.
    pub connections: u64,
    /// Of those, denied by policy.
    pub denied: u64,
    /// Of those, dropped for other reasons.
    pub dropped: u64,
}

/// Counts over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Start of the first step in nanoseconds since 1970 UTC, a multiple of the width.
    pub start: i64,
    /// Width of a step in nanoseconds.
    pub width: i64,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            start: 0,
            width: SECOND,
            steps: Vec::new(),
        }
    }
}

impl Timeline {
    /// Adds to the step of a time.
    pub(super) fn add(&mut self, time: i64, add: Step) {
        if time == crate::flow::NO_TIME {
            return;
        }
        if self.steps.is_empty() {
            self.start = floor(time, self.width);
        }
        while !self.fits(time) {
            self.widen();
        }
        let at = self.number(time);
        if at < 0 {
            let before = at.unsigned_abs() as usize;
            self.steps
                .splice(0..0, std::iter::repeat_n(Step::default(), before));
            self.start -= self.width * before as i64;
        }
        let at = at.max(0) as usize;
        if self.steps.len() <= at {
            self.steps.resize(at + 1, Step::default());
        }
        self.steps[at].add(add);
    }

    fn number(&self, time: i64) -> i64 {
        time.saturating_sub(self.start).div_euclid(self.width)
    }

    fn fits(&self, time: i64) -> bool {
        let at = self.number(time);
        let most = MOST as i64;
        if at < 0 {
            self.steps.len() as i64 - at <= most
        } else {
            at < most
        }
    }

    fn widen(&mut self) {
        let width = self.width.saturating_mul(2);
        let start = floor(self.start, width);
        let shift = usize::from(start < self.start);
        let mut steps = vec![Step::default(); (self.steps.len() + shift).div_ceil(2)];
        for (at, step) in self.steps.iter().enumerate() {
            steps[at.midpoint(shift)].add(*step);
        }
        *self = Self {
            start,
            width,
            steps,
        };
    }
}

impl Step {
    fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.denied += other.denied;
        self.dropped += other.dropped;
    }
}

fn floor(time: i64, width: i64) -> i64 {
    time.div_euclid(width).saturating_mul(width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_is_lost_and_the_steps_stay_few(times in prop::collection::vec(0_i64..10_000_000, 1..200)) {
            let mut timeline = Timeline::default();
            for time in &times {
                let one = Step { connections: 1, ..Step::default() };
                timeline.add(time * SECOND / 7, one);
            }
            prop_assert!(timeline.steps.len() <= MOST);
            let sum: u64 = timeline.steps.iter().map(|step| step.connections).sum();
            prop_assert_eq!(sum, times.len() as u64);
            let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
            let end = timeline.start + timeline.width * timeline.steps.len() as i64;
            prop_assert!(timeline.start <= first * SECOND / 7 && last * SECOND / 7 < end);
        }
    }
}
