//! How much a finding matters: a sum of terms, every one of them kept.
//!
//! Owns the scale. The sum is in bans: `-log10 p`, and what the surroundings add or take
//! away. Which terms there are is `terms`'.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
fn hundredths(value: f64) -> f64 {
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
    fn what_is_shown_adds_up() {
        let terms = [
            Term::new("p", 5.698_97),
            Term::new("gap", 1.0),
            Term::new("rollout", -1.5),
        ];
        assert_eq!(sum(&terms), 5.2);
    }
}
