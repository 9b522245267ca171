//! A sum that forgets: half of it after each half-life.
//!
//! Owns lazy decay: nothing happens until somebody looks. Times are nanoseconds.

/// A decayed sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decayed {
    value: f64,
    at: i64,
}

impl Decayed {
    /// The sum at a time. Earlier than what it has seen, it is as it was then.
    #[must_use]
    pub fn at(self, now: i64, half_life: i64) -> f64 {
        let age = now.saturating_sub(self.at).max(0) as f64;
        self.value * (-age / half_life.max(1) as f64).exp2()
    }

    /// Adds to it. What comes late counts as if it had come in time: less, by its age.
    pub fn add(&mut self, amount: f64, time: i64, half_life: i64) {
        if time >= self.at {
            self.value = self.at(time, half_life) + amount;
            self.at = time;
        } else {
            let late = Self {
                value: amount,
                at: time,
            };
            self.value += late.at(self.at, half_life);
        }
    }

    /// Sets it, as of a time.
    pub fn set(&mut self, value: f64, time: i64) {
        *self = Self { value, at: time };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_left_after_a_half_life_and_the_order_does_not_matter() {
        let mut one = Decayed::default();
        one.add(8.0, 0, 100);
        assert!((one.at(100, 100) - 4.0).abs() < 1e-12);
        assert!((one.at(300, 100) - 1.0).abs() < 1e-12);

        let mut other = Decayed::default();
        one.add(3.0, 250, 100);
        other.add(3.0, 250, 100);
        other.add(8.0, 0, 100);
        assert!((one.at(400, 100) - other.at(400, 100)).abs() < 1e-12);
    }
}
