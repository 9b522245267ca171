//! How many incidents a day people are told of.
//!
//! Owns the alert budget: a bucket of tokens that fills over a day. What is over it is not
//! lost: it is in the findings, ranked. How many tests were made is no matter of it: a score
//! already is by how often such findings come in a day, whatever was tested.
//!
//! A critical incident is always told, on credit: many lesser ones must not hide it.

use super::severity::Severity;

const DAY: i64 = 86_400_000_000_000;

/// A day's budget, by the time of the flows.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Time that one alert takes, in nanoseconds. Whole numbers, so that time comes to the
    /// same in steps of any length.
    price: i64,
    /// Time saved, a day at most; a day's debt at most.
    saved: i64,
    /// When that was counted.
    at: Option<i64>,
}

impl Budget {
    /// So many incidents a day. A whole day's may come at once.
    #[must_use]
    pub fn new(per_day: f64) -> Self {
        let price = DAY as f64 / per_day.max(1e-6);
        Self {
            price: price as i64,
            saved: DAY,
            at: None,
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, now: i64) {
        let passed = self.at.map_or(0, |at| now.saturating_sub(at).max(0));
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
        self.saved = self.saved.saturating_add(passed).min(DAY);
    }

    /// Whether an incident may be told; takes a token where it is.
    pub fn take(&mut self, severity: Severity) -> bool {
        if severity == Severity::Critical {
            self.saved = self.saved.saturating_sub(self.price).max(-DAY);
            return true;
        }
        if self.saved < self.price {
            return false;
        }
        self.saved -= self.price;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = DAY / 24;

    #[test]
    fn a_days_budget_is_spent_and_comes_back_with_time() {
        let mut budget = Budget::new(3.0);
        budget.advance(0);
        let take = |budget: &mut Budget| budget.take(Severity::Medium);
        assert!((0..3).all(|_| take(&mut budget)));
        assert!(!take(&mut budget));
        budget.advance(8 * HOUR);
        assert!(take(&mut budget));
        assert!(!take(&mut budget));
        // A week of quiet is worth a day.
        budget.advance(8 * 24 * HOUR);
        assert_eq!((0..9).filter(|_| take(&mut budget)).count(), 3);
        // Time that goes back gives nothing.
        budget.advance(0);
        assert!(!take(&mut budget));
    }

    #[test]
    fn a_critical_incident_is_told_on_credit() {
        let mut budget = Budget::new(1.0);
        budget.advance(0);
        assert!(budget.take(Severity::High));
        assert!((0..5).all(|_| budget.take(Severity::Critical)));
        budget.advance(24 * HOUR);
        // The debt is a day's budget at most.
        assert!(!budget.take(Severity::High));
        budget.advance(48 * HOUR);
        assert!(budget.take(Severity::High));
    }
}
