//! Rules, and parts of rules, that change nothing: others say the same, or more, or deny all
//! that they allow.
//!
//! Owns which of them can go together, with the witness for each. The proof (`proof`) is over
//! what selectors ask for, so it holds for anybody there could be, and not only for who is
//! known; what it finds is held against the compiled policies as well (`check`). Of what is
//! not named nothing is claimed.

mod check;
mod ports;
mod proof;
mod search;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::Policies;
use crate::policy::{ObjectId, Options, Piece, PolicySet, WrittenPart, WrittenRule, written};
use search::Search;

/// Why something changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// A deny covers all that it allows.
    Contradictory,
    /// Another one says the same.
    Duplicate,
    /// Others allow, or deny, all of it and more.
    Shadowed,
}

/// What makes something superfluous.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Witness {
    /// The object it is of.
    pub policy: ObjectId,
    /// File of the object.
    pub file: Arc<str>,
    /// `spec.ingress[0]`
    pub path: String,
    /// Line of the rule.
    pub line: u32,
    /// It denies.
    pub deny: bool,
}

/// Something that can go.
#[derive(Clone, Debug, PartialEq)]
pub struct Superfluous {
    /// The object it is of.
    pub policy: ObjectId,
    /// File of the object.
    pub file: Arc<str>,
    /// The rule, as it is written.
    pub rule: WrittenRule,
    /// Which of its parts, with the kind of part; `None` where it is all of it.
    pub part: Option<(&'static str, usize)>,
    /// Why.
    pub why: Why,
    /// By what.
    pub witnesses: Vec<Witness>,
    /// The part beside it that is as wide by itself, and its line.
    pub beside: Option<(String, u32)>,
}

/// All that can go.
#[derive(Debug, Default)]
pub struct Redundant {
    /// Rules that were looked at.
    pub looked_at: u64,
    /// What can go, all of it together: in the order of files.
    pub found: Vec<Superfluous>,
    /// Rules that were not compared, and why.
    pub not_compared: BTreeMap<&'static str, u64>,
    /// Policies that are not looked at: refused, of unknown namespace.
    pub left_out: u64,
    /// Questions that were asked of the compiled policies with and without all of it.
    pub questions: u64,
    /// Claims that these did not bear out: dropped.
    pub dropped: u64,
    /// Pods and addresses in these questions.
    pub people: u64,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Contradictory, Self::Duplicate, Self::Shadowed];

    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contradictory => "contradictory",
            Self::Duplicate => "duplicate",
            Self::Shadowed => "shadowed",
        }
    }
}

impl Superfluous {
    /// As pieces of entries.
    #[must_use]
    pub fn pieces(&self) -> BTreeSet<Piece> {
        match self.part {
            None => self.rule.pieces().collect(),
            Some(_) => self
                .written()
                .map(|part| part.pieces.iter().copied().collect())
                .unwrap_or_default(),
        }
    }

    /// The part as it is written; `None` where it is all of the rule.
    #[must_use]
    pub fn written(&self) -> Option<&WrittenPart> {
        let (_, index) = self.part?;
        self.rule.parts().nth(index).map(|(_, part)| part)
    }

    /// Line of what can go.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.written()
            .map_or(self.rule.at.line, |part| part.at.line)
    }
}

impl Redundant {
    /// What of policies can go without a change of any verdict.
    #[must_use]
    pub fn of(policies: &Policies) -> Self {
        let set = policies.any_set();
        let rules = written(&set, policies.documents());
        let options = policies.options_of(None);
        let mut redundant = Self::among(&set, &rules, &options);
        redundant.left_out = set.left_out();
        let known: Vec<_> = policies
            .inventory()
            .workloads
            .iter()
            .filter_map(|workload| {
                policies
                    .inventory()
                    .identity(workload, &options.cluster_name)
            })
            .collect();
        check::hold(&mut redundant, &set, &options, known);
        redundant
    }

    /// What the proof finds, before it is held against the compiled policies.
    pub(in crate::review) fn among(
        set: &PolicySet,
        rules: &[WrittenRule],
        options: &Options,
    ) -> Self {
        let mut search = Search::new(set, rules, options);
        // Of two that say the same the later one goes.
        for at in (0..rules.len()).rev() {
            search.whole(at);
        }
        for at in (0..rules.len()).rev() {
            search.parts(at);
        }
        let (found, not_compared) = search.finish();
        let mut found: Vec<Superfluous> = found
            .into_iter()
            .filter_map(|found| found.shown(set, rules))
            .collect();
        found.sort_by(|one, other| {
            (&one.file, one.line(), &one.policy, one.part).cmp(&(
                &other.file,
                other.line(),
                &other.policy,
                other.part,
            ))
        });
        Self {
            looked_at: rules.len() as u64,
            found,
            not_compared,
            ..Self::default()
        }
    }

    /// All of it as pieces of entries.
    #[must_use]
    pub fn pieces(&self) -> BTreeSet<Piece> {
        self.found.iter().flat_map(Superfluous::pieces).collect()
    }

    /// How many of a kind.
    #[must_use]
    pub fn count(&self, why: Why) -> u64 {
        self.found.iter().filter(|one| one.why == why).count() as u64
    }
}
