//! How sure it is that what was not seen is not needed.
//!
//! Owns what follows from the length of a recording and the share of it that was seen. When
//! nothing is claimed at all is `usage`'s.
//!
//! What comes at random times, once in `p` on average, stays away for a time `t` with
//! probability `exp(-t / p)` (Poisson). That is one in twenty at `t = p · ln 20`, about `3 p`:
//! the rule of three.

use crate::review::report::Reading;

/// The probability with which what comes often enough would have been seen.
pub const LEVEL: f64 = 0.95;

/// What a recording would have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confidence {
    /// Nanoseconds that were seen: the window, less what is missing of it.
    pub watched: i64,
    /// What is needed once in so many nanoseconds, or more often, would have been seen, with
    /// a probability of [`LEVEL`].
    pub pause: i64,
}

impl Confidence {
    /// What follows from a recording; `None` where it has no length.
    #[must_use]
    pub fn of(reading: &Reading) -> Option<Self> {
        let window = reading.window().filter(|window| *window > 0)?;
        let share = reading.share_seen().map_or(1.0, |seen| seen.share);
        Some(Self::seen(window as f64 * share))
    }

    fn seen(watched: f64) -> Self {
        Self {
            watched: watched as i64,
            pause: (watched / -(1.0 - LEVEL).ln()) as i64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_month_what_comes_every_ten_days_would_have_been_seen() {
        const DAY: f64 = 86_400e9;
        let month = Confidence::seen(30.0 * DAY);
        let days = month.pause as f64 / DAY;
        assert!((10.0..10.1).contains(&days), "{days}");
        assert_eq!(month.watched, (30.0 * DAY) as i64);
    }
}
