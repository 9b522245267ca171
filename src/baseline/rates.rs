//! How many connections a minute are usual, by hour of the week.
//!
//! Owns the sufficient statistics of a count: how many ticks, their sum and their sum of
//! squares. From these come mean and dispersion of a negative binomial
//! (`var = mean + mean²/k`); which tail is unlikely is `detect`'s.

use super::edge::{HOUR, hour_of_week};

/// Hours of a week.
pub const SLOTS: usize = 168;

/// The slot of a time: hour of the week from Monday 0 h UTC.
#[must_use]
pub fn slot_of(time: i64) -> usize {
    hour_of_week(time)
}

/// Number, sum and sum of squares of counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// How many counts.
    pub n: f64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Moments {
    /// Adds a count.
    pub fn add(&mut self, count: f64) {
        self.n += 1.0;
        self.sum += count;
        self.squares += count * count;
    }

    /// Adds so many counts of 0.
    pub fn add_zeros(&mut self, n: f64) {
        self.n += n;
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    /// The same with a weight.
    #[must_use]
    pub fn times(self, weight: f64) -> Self {
        Self {
            n: self.n * weight,
            sum: self.sum * weight,
            squares: self.squares * weight,
        }
    }

    /// Mean; 0 without counts.
    #[must_use]
    pub fn mean(self) -> f64 {
        if self.n > 0.0 { self.sum / self.n } else { 0.0 }
    }

    /// Variance with Bessel's correction; 0 with fewer than two counts.
    #[must_use]
    pub fn variance(self) -> f64 {
        if self.n < 2.0 {
            return 0.0;
        }
        let centred = self.squares - self.sum * self.sum / self.n;
        (centred / (self.n - 1.0)).max(0.0)
    }

    /// Dispersion `k` of a negative binomial by moments, `mean² / (variance - mean)`, within
    /// 0.1 and 10,000: the larger, the closer to Poisson.
    #[must_use]
    pub fn dispersion(self) -> f64 {
        let (mean, variance) = (self.mean(), self.variance());
        let over = variance - mean;
        if mean <= 0.0 || over <= 0.0 {
            return 1e4;
        }
        (mean * mean / over).clamp(0.1, 1e4)
    }
}

/// Counts of ticks by hour of the week.
///
/// Ticks without a connection count as 0 where the tick was watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    slots: Box<[Slot; SLOTS]>,
    /// The last tick that was added.
    pub(super) last: i64,
}

/// As [`Moments`], in half the room.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Slot {
    n: f32,
    sum: f32,
    squares: f32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            slots: Box::new([Slot::default(); SLOTS]),
            last: i64::MIN,
        }
    }
}

/// Ticks of a slot that count at most: about ten weeks. Beyond that older ones fade.
const MOST_TICKS: f32 = 600.0;

impl Rates {
    /// Counts of an hour of the week.
    #[must_use]
    pub fn slot(&self, slot: usize) -> Moments {
        let slot = self.slots.get(slot).copied().unwrap_or_default();
        Moments {
            n: f64::from(slot.n),
            sum: f64::from(slot.sum),
            squares: f64::from(slot.squares),
        }
    }

    /// Counts of all hours.
    #[must_use]
    pub fn all(&self) -> Moments {
        (0..SLOTS).fold(Moments::default(), |sum, slot| sum.and(self.slot(slot)))
    }

    /// Adds the count of a tick.
    pub(super) fn add(&mut self, tick: i64, count: u64) {
        let slot = &mut self.slots[hour_of_week(tick)];
        let count = count as f32;
        slot.n += 1.0;
        slot.sum += count;
        slot.squares += count * count;
        slot.fade();
        self.last = tick;
    }

    /// Adds so many ticks of an hour in which nothing was counted.
    pub(super) fn add_zeros(&mut self, hour: i64, ticks: u32) {
        let slot = &mut self.slots[hour_of_week(hour.saturating_mul(HOUR))];
        slot.n += ticks as f32;
        slot.fade();
    }

    /// Sets what is known of a slot.
    pub(super) fn set(&mut self, slot: usize, moments: Moments) {
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = Slot {
                n: moments.n as f32,
                sum: moments.sum as f32,
                squares: moments.squares as f32,
            };
        }
    }
}

impl Slot {
    fn fade(&mut self) {
        if self.n > MOST_TICKS {
            let left = MOST_TICKS / self.n;
            self.n *= left;
            self.sum *= left;
            self.squares *= left;
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact in binary, or the bound itself")]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_counts() {
        let mut moments = Moments::default();
        for count in [1.0, 2.0, 6.0] {
            moments.add(count);
        }
        moments.add_zeros(1.0);
        assert_eq!(moments.mean(), 2.25);
        // Squares of the distances: 1.5625 + 0.0625 + 14.0625 + 5.0625 = 20.75, by 3.
        assert!((moments.variance() - 20.75 / 3.0).abs() < 1e-9);
        let k = 2.25 * 2.25 / (20.75 / 3.0 - 2.25);
        assert!((moments.dispersion() - k).abs() < 1e-9);
    }

    #[test]
    fn what_varies_no_more_than_poisson_has_no_dispersion() {
        let mut moments = Moments::default();
        for count in [5.0, 5.0, 5.0] {
            moments.add(count);
        }
        assert_eq!(moments.dispersion(), 1e4);
        assert_eq!(Moments::default().dispersion(), 1e4);
    }

    #[test]
    fn old_ticks_fade() {
        let mut rates = Rates::default();
        for _ in 0..5_000 {
            rates.add(0, 1);
        }
        for _ in 0..5_000 {
            rates.add(0, 9);
        }
        let slot = rates.slot(slot_of(0));
        assert!(slot.n <= 601.0);
        assert!((slot.mean() - 9.0).abs() < 0.1, "{}", slot.mean());
    }
}
