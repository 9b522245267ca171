//! Small shifts that last: the cumulative sum of normal deviates.
//!
//! Owns `S = max(0, S + z - 1/2)` and how often it alarms by chance. Deviates come from a
//! p-value, so whatever the counts are, the sum is of standard normal ones.

/// What is taken off each deviate: half of the shift it is tuned to.
const ALLOWANCE: f64 = 0.5;
/// Deviates beyond this count as this: one outlier is `rate`'s to find, not a drift.
const MOST: f64 = 4.0;

/// The sum of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cusum {
    sum: f64,
    /// Ticks since the sum was last 0.
    since: u32,
}

impl Cusum {
    /// Sum at which to alarm: once in 7.7 million ticks by chance.
    pub const ALARM: f64 = 14.0;

    /// Adds a deviate; gives the sum.
    pub fn push(&mut self, z: f64) -> f64 {
        self.sum = (self.sum + z.min(MOST) - ALLOWANCE).max(0.0);
        self.since = if self.sum > 0.0 {
            self.since.saturating_add(1)
        } else {
            0
        };
        self.sum
    }

    /// The sum.
    #[must_use]
    pub fn sum(self) -> f64 {
        self.sum
    }

    /// Ticks since the shift began, as far as the sum tells.
    #[must_use]
    pub fn since(self) -> u32 {
        self.since
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Mean number of ticks to a sum of `h` by chance: `(e^(h+1.166) - h - 2.166) / 0.5`
    /// (Siegmund's approximation for an allowance of a half).
    #[must_use]
    pub fn ticks_to(h: f64) -> f64 {
        ((h + 1.166).exp() - h - 2.166) / 0.5
    }

    /// The p-value of the sum: how likely it is to get there in one tick, from nothing.
    #[must_use]
    pub fn p(self) -> f64 {
        (1.0 / Self::ticks_to(self.sum)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::special::p_of;
    use super::*;

    /// Mean ticks to `h`, by the Markov chain of Brook and Evans on `cells` cells.
    fn by_chain(h: f64, cells: usize) -> f64 {
        let width = 2.0 * h / (2.0 * cells as f64 - 1.0);
        let below = |x: f64| 1.0 - p_of(x);
        // Solve (I - Q) m = 1 by iteration: m = 1 + Q m.
        let chance = |from: usize, to: usize| {
            let middle = to as f64 * width + ALLOWANCE - from as f64 * width;
            if to == 0 {
                below(middle + width / 2.0)
            } else {
                below(middle + width / 2.0) - below(middle - width / 2.0)
            }
        };
        let matrix: Vec<Vec<f64>> = (0..cells)
            .map(|from| (0..cells).map(|to| chance(from, to)).collect())
            .collect();
        let mut mean = vec![1.0; cells];
        for _ in 0..20_000 {
            mean = matrix
                .iter()
                .map(|row| 1.0 + row.iter().zip(&mean).map(|(q, m)| q * m).sum::<f64>())
                .collect();
        }
        mean[0]
    }

    /// Published for an allowance of a half, one side: h = 4 is 336 ticks, h = 5 is 930
    /// (Montgomery, twice the two-sided 168 and 465).
    #[test]
    fn the_time_to_a_false_alarm_is_the_published_one() {
        for (h, published) in [(4.0, 336.0), (5.0, 930.0)] {
            assert!((Cusum::ticks_to(h) / published - 1.0).abs() < 0.02);
        }
        assert!((Cusum::ticks_to(14.0) / 7.7e6 - 1.0).abs() < 0.01);
        let chain = by_chain(3.0, 60);
        assert!((Cusum::ticks_to(3.0) / chain - 1.0).abs() < 0.04, "{chain}");
    }

    #[test]
    fn a_shift_of_one_deviate_alarms_within_an_hour_of_ticks_and_noise_does_not() {
        let mut sum = Cusum::default();
        let ticks = (1..100).find(|_| sum.push(1.0) >= Cusum::ALARM);
        assert_eq!(ticks, Some(28));
        assert_eq!(sum.since(), 28);
        sum.reset();
        for _ in 0..1_000 {
            sum.push(1.0);
            sum.push(-1.0);
        }
        assert!(sum.sum() < 2.0);
        // One outlier, however large, is no drift.
        sum.reset();
        assert!(sum.push(37.0) < Cusum::ALARM);
    }
}
