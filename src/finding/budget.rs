//! How many incidents a day people are told of.
//!
//! Owns the alert budget: a bucket of tokens that fills over a day, and within each hour the
//! rule of Benjamini and Hochberg (1995), so that an hour of many tests does not spend it on
//! chance. What is over the budget is not lost: it is in the findings, ranked.
//!
//! A critical incident is always told, on credit: many lesser ones must not hide it.

use super::severity::Severity;

const HOUR: i64 = 3_600_000_000_000;
const DAY: i64 = 24 * HOUR;
/// The share of false ones that an hour may have, by its p-values.
const FALSE_SHARE: f64 = 0.1;
/// p-values kept of an hour; beyond, the smallest.
const MOST_VALUES: usize = 1_024;

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
    hour: i64,
    /// Tests made in this hour.
    tests: u64,
    /// p-values asked for in this hour, sorted.
    values: Vec<f64>,
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
            hour: 0,
            tests: 0,
            values: Vec::new(),
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, now: i64) {
        let passed = self.at.map_or(0, |at| now.saturating_sub(at).max(0));
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
        self.saved = self.saved.saturating_add(passed).min(DAY);
        let hour = now.div_euclid(HOUR);
        if hour > self.hour {
            (self.hour, self.tests) = (hour, 0);
            self.values.clear();
        }
    }

    /// Counts tests that were made now, whether or not they gave anything.
    pub fn tested(&mut self, count: u64) {
        self.tests = self.tests.saturating_add(count);
    }

    /// Notes a p-value of this hour, so that those asked for in the same tick are judged
    /// together.
    pub fn note(&mut self, p: f64) {
        let at = self.values.partition_point(|known| *known <= p);
        self.values.insert(at, p);
        self.values.truncate(MOST_VALUES);
    }

    /// Whether an incident may be told; takes a token where it is. A rule's weight is no
    /// chance, and is not asked for its p-value.
    pub fn take(&mut self, severity: Severity, p: f64, fixed: bool) -> bool {
        if severity == Severity::Critical {
            self.saved = self.saved.saturating_sub(self.price).max(-DAY);
            return true;
        }
        if self.saved < self.price || !(fixed || self.is_no_chance(p)) {
            return false;
        }
        self.saved -= self.price;
        true
    }

    /// The step-up rule: the largest k for which the k-th smallest p-value is at most
    /// `k / tests` of the share; everything up to it is no chance.
    fn is_no_chance(&self, p: f64) -> bool {
        let tests = self.tests.max(self.values.len() as u64).max(1) as f64;
        let highest = self
            .values
            .iter()
            .zip(1..)
            .filter(|(value, rank)| **value <= FALSE_SHARE * f64::from(*rank) / tests)
            .map(|(value, _)| *value)
            .last();
        highest.is_some_and(|highest| p <= highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_days_budget_is_spent_and_comes_back_with_time() {
        let mut budget = Budget::new(3.0);
        budget.advance(0);
        let take = |budget: &mut Budget| budget.take(Severity::Medium, 1e-6, true);
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
        assert!(budget.take(Severity::High, 1e-9, true));
        assert!((0..5).all(|_| budget.take(Severity::Critical, 1e-9, true)));
        budget.advance(24 * HOUR);
        // The debt is a day's budget at most.
        assert!(!budget.take(Severity::High, 1e-9, true));
        budget.advance(48 * HOUR);
        assert!(budget.take(Severity::High, 1e-9, true));
    }

    /// The example of Benjamini and Hochberg (1995), 15 p-values at a share of 0.05 scaled
    /// to ours: four are no chance.
    #[test]
    fn the_step_up_rule_is_that_of_the_paper() {
        let published = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        let mut budget = Budget::new(100.0);
        budget.advance(0);
        for p in published.iter().rev() {
            // Twice the values against twice the share.
            budget.note(p * 2.0);
        }
        let told = published
            .iter()
            .filter(|p| budget.is_no_chance(**p * 2.0))
            .count();
        assert_eq!(told, 4);
    }

    #[test]
    fn many_tests_ask_for_smaller_values() {
        let mut budget = Budget::new(100.0);
        budget.advance(0);
        budget.tested(20_000);
        budget.note(1e-5);
        assert!(!budget.take(Severity::Medium, 1e-5, false));
        assert!(budget.take(Severity::Medium, 1e-5, true));
        budget.note(1e-6);
        assert!(budget.take(Severity::Medium, 1e-6, false));
        // The next hour begins anew.
        budget.advance(HOUR);
        budget.note(1e-5);
        assert!(budget.take(Severity::Medium, 1e-5, false));
    }

    #[test]
    fn an_hour_of_anything_is_bounded() {
        let mut budget = Budget::new(1.0);
        for at in 0..5_000 {
            budget.note(f64::from(at) / 5_000.0);
        }
        assert_eq!(budget.values.len(), MOST_VALUES);
    }
}
