//! The ways to cut somebody off, the cheapest first.
//!
//! Owns their names, for whom each can be used, and which one is taken.

use std::fmt;
use std::str::FromStr;

use crate::respond::Target;

/// A way to cut somebody off. In order of what else it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pattern {
    /// Nothing but one destination.
    CutDestination,
    /// Whoever carries a label, in both directions.
    LabelQuarantine,
    /// Nobody reaches the target any more; it calls whom it called.
    RingFence,
    /// A namespace from everything outside of it.
    NamespaceLockdown,
    /// The host of a node.
    Node,
    /// A NetworkPolicy without rules, as most guides have it. It is here to show what it
    /// leaves open: it takes away nothing that some policy allows.
    KubernetesDenyAll,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No pattern has this name.
    #[error("'{0}' is no pattern: expected one of {names}", names = names())]
    Unknown(String),
    /// It is not for such a target.
    #[error("{pattern} is not for a target of kind {kind}: expected one of {fitting}")]
    Unfit {
        /// Which.
        pattern: Pattern,
        /// Kind of the target.
        kind: &'static str,
        /// Patterns that can be used.
        fitting: String,
    },
}

impl Pattern {
    /// All of them, cheapest first.
    pub const ALL: [Self; 6] = [
        Self::CutDestination,
        Self::LabelQuarantine,
        Self::RingFence,
        Self::NamespaceLockdown,
        Self::Node,
        Self::KubernetesDenyAll,
    ];

    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CutDestination => "cut-destination",
            Self::LabelQuarantine => "label-quarantine",
            Self::RingFence => "ring-fence",
            Self::NamespaceLockdown => "namespace-lockdown",
            Self::Node => "node",
            Self::KubernetesDenyAll => "kubernetes-deny-all",
        }
    }

    /// What it does, a sentence without its end.
    #[must_use]
    pub fn purpose(self) -> &'static str {
        match self {
            Self::CutDestination => "cuts one destination and nothing else",
            Self::LabelQuarantine => {
                "cuts off whoever carries a label, in both directions, but for probes of its own node and a forensics pod"
            }
            Self::RingFence => "lets nobody reach the target but whom you keep",
            Self::NamespaceLockdown => {
                "cuts a namespace off from everything outside; what is inside goes on"
            }
            Self::Node => "cuts the host of a node off from pods and the world",
            Self::KubernetesDenyAll => {
                "denies what no policy allows; everything that some policy allows goes on"
            }
        }
    }

    /// Patterns that can be used for a target, the one that is taken first. `cut` says
    /// whether a destination was named.
    #[must_use]
    pub fn fitting(target: &Target, cut: bool) -> &'static [Self] {
        match target {
            _ if cut => &[Self::CutDestination],
            Target::Pod { .. } | Target::Workload { .. } => &[
                Self::LabelQuarantine,
                Self::RingFence,
                Self::NamespaceLockdown,
                Self::KubernetesDenyAll,
            ],
            Target::Identity(_) => &[Self::LabelQuarantine],
            Target::Namespace(_) => &[Self::NamespaceLockdown],
            Target::Node(_) => &[Self::Node],
            Target::Address(_) | Target::Name(_) => &[Self::CutDestination],
        }
    }

    /// The pattern for a target: the cheapest that stops it, or the one asked for.
    ///
    /// # Errors
    /// [`PatternError::Unfit`].
    pub fn choose(target: &Target, cut: bool, asked: Option<Self>) -> Result<Self, PatternError> {
        let fitting = Self::fitting(target, cut);
        let pattern = asked.or(fitting.first().copied());
        pattern
            .filter(|pattern| fitting.contains(pattern))
            .ok_or_else(|| PatternError::Unfit {
                pattern: asked.unwrap_or(Self::CutDestination),
                kind: target.kind(),
                fitting: list(fitting),
            })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::ALL
            .into_iter()
            .find(|pattern| pattern.name() == text)
            .ok_or_else(|| PatternError::Unknown(text.to_owned()))
    }
}

fn names() -> String {
    list(&Pattern::ALL)
}

fn list(patterns: &[Pattern]) -> String {
    let names: Vec<&str> = patterns.iter().map(|pattern| pattern.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_read_by_its_name() {
        for pattern in Pattern::ALL {
            assert_eq!(pattern.name().parse(), Ok(pattern));
        }
        assert!("deny".parse::<Pattern>().is_err());
    }

    #[test]
    fn the_first_that_fits_is_taken_and_what_does_not_fit_is_refused() {
        let node = Target::Node("n".into());
        assert_eq!(Pattern::choose(&node, false, None), Ok(Pattern::Node));
        assert!(Pattern::choose(&node, false, Some(Pattern::RingFence)).is_err());
        let workload = Target::Workload {
            namespace: "shop".into(),
            name: "web".into(),
        };
        assert_eq!(
            Pattern::choose(&workload, false, None),
            Ok(Pattern::LabelQuarantine)
        );
        assert_eq!(
            Pattern::choose(&workload, true, None),
            Ok(Pattern::CutDestination)
        );
        assert_eq!(
            Pattern::choose(&workload, false, Some(Pattern::RingFence)),
            Ok(Pattern::RingFence)
        );
    }
}
