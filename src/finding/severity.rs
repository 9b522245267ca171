//! How much a finding matters: a sum of terms, every one of them kept.
//!
//! Owns the scale. The sum is in bans: `-log10 p`, and what the surroundings add or take
//! away. Which terms there are is `terms`'.
//!
//! Medium begins at 6, high at 8, critical at 10, in every cluster: where a baseline has
//! shadow days, scores are moved so that their anchors come to lie there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::baseline::Anchors;

/// The four severities.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing when one looks.
    #[default]
    Low,
    /// Worth an alert.
    Medium,
    /// Worth looking now.
    High,
    /// Worth waking somebody.
    Critical,
}

/// A text that is no severity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is none of low, medium, high, critical")]
pub struct ParseSeverityError(String);

/// One term of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// What it stands for.
    pub name: String,
    /// What it adds, in bans; negative where it takes away.
    pub value: f64,
}

impl Severity {
    /// All of them, from the least.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The severity of a score: medium from 6, high from 8, critical from 10.
    #[must_use]
    pub fn of(score: f64) -> Self {
        match score {
            _ if score >= 10.0 => Self::Critical,
            _ if score >= 8.0 => Self::High,
            _ if score >= 6.0 => Self::Medium,
            _ => Self::Low,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Term {
    /// A term; its value is kept to a hundredth, so that what is shown adds up.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value: hundredths(value),
        }
    }
}

/// The term that moves a score so that its anchors lie at 6, 8 and 10: straight lines
/// between them, and as it is beside them. `None` where it does not move.
#[must_use]
pub(super) fn anchor(score: f64, anchors: Anchors) -> Option<Term> {
    let moved = moved(score, anchors, Anchors::BY_HAND);
    Some(Term::new(ANCHOR, moved - score)).filter(|term| term.value != 0.0)
}

/// The score that anchors move to one: the way back of [`anchor`].
#[must_use]
pub(super) fn unanchored(score: f64, anchors: Anchors) -> f64 {
    moved(score, Anchors::BY_HAND, anchors)
}

/// Where a score comes to lie when anchors do: lines between the same points, so that the
/// way back is that of the others.
fn moved(score: f64, from: Anchors, to: Anchors) -> f64 {
    let between = |from: (f64, f64), to: (f64, f64)| {
        to.0 + (score - from.0) * (to.1 - to.0) / (from.1 - from.0)
    };
    if score < from.medium {
        score + to.medium - from.medium
    } else if score < from.high {
        between((from.medium, from.high), (to.medium, to.high))
    } else if score < from.critical {
        between((from.high, from.critical), (to.high, to.critical))
    } else {
        score + to.critical - from.critical
    }
}

/// Name of the term that moves a score to its anchors.
pub(super) const ANCHOR: &str = "shadow";
/// Name of the term that keeps what is being learned low.
pub(super) const LEARNING: &str = "learning";

/// The sum of terms before they were moved to anchors and kept low.
#[must_use]
pub(super) fn unmoved(terms: &[Term]) -> f64 {
    let own = |term: &&Term| !matches!(&*term.name, ANCHOR | LEARNING);
    hundredths(terms.iter().filter(own).map(|term| term.value).sum())
}

/// The sum of terms.
#[must_use]
pub(super) fn sum(terms: &[Term]) -> f64 {
    hundredths(terms.iter().map(|term| term.value).sum())
}

/// A value to six significant digits: more says nothing, and is not read back as it was.
#[must_use]
pub(super) fn significant(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// A value to a hundredth, without a negative zero.
#[must_use]
pub(super) fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0 + 0.0
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Severity {
    type Err = ParseSeverityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.name() == text)
            .ok_or_else(|| ParseSeverityError(text.to_owned()))
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of few digits, exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn the_scale_has_its_steps_and_names() {
        let steps = [
            (3.9, "low"),
            (5.99, "low"),
            (6.0, "medium"),
            (8.0, "high"),
            (10.0, "critical"),
        ];
        for (score, name) in steps {
            assert_eq!(Severity::of(score).name(), name);
            assert_eq!(name.parse::<Severity>().unwrap().name(), name);
        }
        assert_eq!(Severity::of(f64::NAN), Severity::Low);
        assert_eq!(
            "severe".parse::<Severity>().unwrap_err().to_string(),
            "'severe' is none of low, medium, high, critical"
        );
    }

    #[test]
    fn anchors_come_to_lie_at_the_steps_and_order_stays() {
        let anchors = Anchors {
            medium: 4.5,
            high: 7.0,
            critical: 8.0,
        };
        let moved = |score: f64| {
            let term = anchor(score, anchors);
            hundredths(score + term.map_or(0.0, |term| term.value))
        };
        let scores = [2.0, 4.49, 4.5, 5.75, 7.0, 7.5, 8.0, 9.0];
        let wanted = [3.5, 5.99, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0];
        assert_eq!(scores.map(moved), wanted);
        assert!(anchor(7.3, Anchors::BY_HAND).is_none());
        for score in wanted {
            assert!(
                (moved(unanchored(score, anchors)) - score).abs() < 0.011,
                "{score}"
            );
        }
    }

    #[test]
    fn what_is_shown_adds_up() {
        let terms = [
            Term::new("p", 5.698_97),
            Term::new("gap", 1.0),
            Term::new("rollout", -1.5),
        ];
        assert_eq!(sum(&terms), 5.2);
    }
}
