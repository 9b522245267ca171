//! How far the baseline of a workload is.
//!
//! Owns the criteria: the share of activity that is still unseen, by Good and Turing, and
//! the age. A clock alone never ends learning, but for who does nothing all the time: an hour
//! in which a workload was there and called nobody says as much as a call.

use std::fmt;

use super::edge::HOUR;
use super::tick::DAY;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Hardly seen: nothing but fixed rules applies.
    #[default]
    Cold,
    /// What is seen is learned.
    Learning,
    /// What is unusual is said, but not loudly.
    Shadow,
    /// What is unusual is said.
    Active,
}

impl Stage {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Learning => "learning",
            Self::Shadow => "shadow",
            Self::Active => "active",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Until then a workload is cold.
pub(super) const COLD: i64 = HOUR;
/// Least age, and largest unseen share, to leave learning.
pub(super) const LEARNED: (i64, f64) = (DAY, 0.02);
/// Least age, and largest unseen share, to be active.
pub(super) const ACTIVE: (i64, f64) = (7 * DAY, 0.005);

/// What the stage of a workload is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readiness {
    /// Nanoseconds between its first and its last connection, as a client or as a server.
    pub observed: i64,
    /// Distinct pairs of an edge and an hour.
    pub activity: u64,
    /// Edges that were seen in one hour only.
    pub once: u64,
    /// Edges.
    pub edges: u64,
    /// The stage that a file says: it does not fall back behind that.
    pub declared: Stage,
}

impl Readiness {
    /// Share of activity that is still unseen: edges seen in one hour only, by pairs of an
    /// edge and an hour (Good 1953), or by the hours it was there, where these are more. 1
    /// where nothing was seen.
    #[must_use]
    pub fn unseen(&self) -> f64 {
        let hours = self.observed.max(0) as u64 / HOUR as u64;
        let trials = self.activity.max(hours);
        if trials == 0 {
            return 1.0;
        }
        self.once as f64 / trials as f64
    }

    /// The stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let past = |(age, share): (i64, f64)| self.observed >= age && self.unseen() < share;
        let own = if self.observed < COLD {
            Stage::Cold
        } else if past(ACTIVE) {
            Stage::Active
        } else if past(LEARNED) {
            Stage::Shadow
        } else {
            Stage::Learning
        };
        own.max(self.declared)
    }

    /// What is missing to be active, as fragments; empty where nothing is.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let (age, share) = ACTIVE;
        if self.observed < age {
            let days = self.observed as f64 / DAY as f64;
            missing.push(format!("observed {days:.1} of {} days", age / DAY));
        }
        if self.unseen() < share {
            return missing;
        }
        if self.activity == 0 {
            missing.push("nothing is learned yet".to_owned());
        } else {
            missing.push(format!(
                "{} of {} edges were seen in one hour only ({:.1} % of activity is still \
                 unseen, wanted below {:.1} %)",
                self.once,
                self.edges,
                self.unseen() * 100.0,
                share * 100.0
            ));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readiness(observed: i64, activity: u64, once: u64) -> Readiness {
        Readiness {
            observed,
            activity,
            once,
            edges: 10,
            declared: Stage::Cold,
        }
    }

    #[test]
    fn data_and_age_both_have_to_be_there() {
        for (observed, activity, once, stage) in [
            (HOUR - 1, 10, 0, Stage::Cold),
            (2 * HOUR, 10, 0, Stage::Learning),
            (DAY, 240, 5, Stage::Learning),
            (DAY, 240, 4, Stage::Shadow),
            (6 * DAY, 2_000, 0, Stage::Shadow),
            (7 * DAY, 2_000, 10, Stage::Shadow),
            (7 * DAY, 2_000, 9, Stage::Active),
            (2 * HOUR, 0, 0, Stage::Learning),
            (70 * DAY, 0, 0, Stage::Active),
            (17 * DAY, 1, 1, Stage::Active),
        ] {
            assert_eq!(readiness(observed, activity, once).stage(), stage);
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        assert!(readiness(7 * DAY, 2_000, 0).missing().is_empty());
        let missing = readiness(3 * DAY, 100, 4).missing();
        assert_eq!(missing[0], "observed 3.0 of 7 days");
        assert!(missing[1].starts_with("4 of 10 edges were seen in one hour only (4.0 %"));
    }
}
