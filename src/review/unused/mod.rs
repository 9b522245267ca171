//! Rules, and parts of rules, that nothing recorded needed.
//!
//! Owns what may be called unused, and the proof: what is named is taken away, all of it at
//! once, and every connection is asked about again. Whatever may be needed all the same (by
//! what was not seen, by what could not be judged) is `not shown`, which is no claim.
//!
//! Not for what each rule was for (`usage`), nor for rules that never could be needed
//! (`redundant`).

mod confidence;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::engine::Policies;
use crate::policy::{Cause, ObjectId, Piece, PolicySet, Verdict, WrittenRule, written};
use crate::review::report::Reading;
use crate::review::simulate::{Fit, Job};
use crate::review::usage::{Limits, RuleUse, Usage, Use, Withdrawn, tallied};
pub use confidence::{Confidence, LEVEL};

/// What a rule or a part of one turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Nothing fell under it. It can go.
    Unused,
    /// What it allows a deny takes away again, and nothing else fell under it. It can go.
    Overruled,
    /// Nothing shows that it is needed, nor that it is not.
    NotShown,
    /// It is used, and others do the same for every connection: this one or those can go.
    Shared,
    /// Some connection passes, or is denied, because of it alone.
    Needed,
    /// It allows nothing: it is there to cut off its subjects.
    Isolation,
}

/// A part of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct UnusedPart {
    /// `peer`, `port`, `request rule`.
    pub kind: &'static str,
    /// Index among the parts of the rule.
    pub index: usize,
    /// What it turned out to be.
    pub standing: Standing,
    /// What it was for.
    pub usage: Use,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct UnusedRule {
    /// The object it is of.
    pub policy: ObjectId,
    /// File of the object.
    pub file: Arc<str>,
    /// As it is written.
    pub rule: WrittenRule,
    /// What it turned out to be.
    pub standing: Standing,
    /// What it was for.
    pub usage: Use,
    /// Its parts; each is looked at for itself where the rule is used.
    pub parts: Vec<UnusedPart>,
    /// Nobody it applies to was seen.
    pub nobody_seen: bool,
    /// It may be what turns default deny on for somebody: deleting it as a whole may open
    /// what it cut off, an element that allows nobody must stay in its place.
    pub isolates: bool,
}

/// What came of asking again without all that is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Different questions: sides of connections, by who, whom and port.
    pub questions: u64,
    /// Those that passed and do not any more. None, or what is named is wrong.
    pub denied: u64,
    /// Those that were denied and pass now.
    pub opened: u64,
}

/// What is not needed, of all rules there are.
#[derive(Debug, Default)]
pub struct Unused {
    /// What was read.
    pub reading: Reading,
    /// Connections.
    pub connections: u64,
    /// Requests of layer 7.
    pub requests: u64,
    /// Connections that could not be judged.
    pub not_judged: u64,
    /// Sides of connections with an unknown verdict, by cause.
    pub unknown: BTreeMap<Cause, u64>,
    /// How well the policies explain what the cluster did.
    pub fit: Fit,
    /// Why nothing is claimed.
    pub withdrawn: Vec<Withdrawn>,
    /// How sure a claim is; `None` where there is none.
    pub confidence: Option<Confidence>,
    /// Jobs that run less often than the recording is long.
    pub jobs: Vec<Job>,
    /// All rules, in the order of their files.
    pub rules: Vec<UnusedRule>,
    /// Policies that are not looked at: refused, of unknown namespace.
    pub left_out: u64,
    /// The proof.
    pub replay: Replay,
}

impl Standing {
    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Overruled => "overruled",
            Self::NotShown => "not shown",
            Self::Shared => "shared",
            Self::Needed => "needed",
            Self::Isolation => "isolation",
        }
    }

    /// Whether it is named as what can go.
    #[must_use]
    pub fn is_named(self) -> bool {
        matches!(self, Self::Unused | Self::Overruled)
    }

    fn of(usage: &Use, claims: bool) -> Self {
        if usage.alone > 0 {
            return Self::Needed;
        }
        if usage.touched {
            return Self::Shared;
        }
        if !claims || !usage.doubts.is_empty() {
            return Self::NotShown;
        }
        if usage.idle > 0 {
            Self::Overruled
        } else {
            Self::Unused
        }
    }
}

impl UnusedRule {
    /// Parts that are named, where the rule as a whole is not.
    pub fn named_parts(&self) -> impl Iterator<Item = &UnusedPart> {
        let whole = self.standing.is_named();
        let parts = self.parts.iter();
        parts.filter(move |part| !whole && part.standing.is_named())
    }

    /// What of entries is named.
    fn named(&self) -> impl Iterator<Item = Piece> {
        let all: Vec<Piece> = if self.standing.is_named() {
            self.rule.pieces().collect()
        } else {
            let parts: Vec<_> = self.rule.parts().collect();
            self.named_parts()
                .filter_map(|part| parts.get(part.index))
                .flat_map(|(_, part)| part.pieces.iter().copied())
                .collect()
        };
        all.into_iter()
    }
}

impl Unused {
    /// What nothing recorded needed. `jobs` are those that the recording may have missed.
    #[must_use]
    pub fn of(usage: Usage, policies: &Policies, limits: Limits, jobs: Vec<Job>) -> Self {
        let set = policies.any_set();
        let rules = written(&set, policies.documents());
        let withdrawn = Withdrawn::of(&usage, limits);
        let tally = tallied(&usage, policies, &set, &rules, &jobs);
        let rules = judged(&set, &rules, tally.uses, withdrawn.is_empty());
        let mut unused = Self {
            connections: usage.connections,
            requests: usage.requests,
            not_judged: usage.unjudged.iter().map(|one| one.count).sum(),
            unknown: unknown(&usage),
            fit: usage.fit,
            confidence: Confidence::of(&usage.reading).filter(|_| withdrawn.is_empty()),
            withdrawn,
            jobs,
            left_out: set.left_out(),
            replay: Replay::default(),
            rules,
            reading: Reading::default(),
        };
        unused.replay = replay(&usage, policies, &set, &unused.pieces());
        unused.reading = usage.reading;
        unused
    }

    /// Whether nothing but the length of the recording stands against a claim.
    #[must_use]
    pub fn is_only_short(&self) -> bool {
        let is_short = |why: &Withdrawn| matches!(why, Withdrawn::Short { .. });
        !self.withdrawn.is_empty() && self.withdrawn.iter().all(is_short)
    }

    /// All that is named, as pieces of entries.
    #[must_use]
    pub fn pieces(&self) -> BTreeSet<Piece> {
        self.rules.iter().flat_map(UnusedRule::named).collect()
    }

    /// Rules of a standing; deny rules or the others.
    pub fn rules_of(&self, standing: Standing, deny: bool) -> impl Iterator<Item = &UnusedRule> {
        self.rules
            .iter()
            .filter(move |rule| rule.standing == standing && rule.rule.deny == deny)
    }

    /// How many rules and parts are named.
    #[must_use]
    pub fn named(&self) -> (u64, u64) {
        let rules = self.rules.iter();
        let whole = rules.clone().filter(|rule| rule.standing.is_named());
        let parts = rules.map(|rule| rule.named_parts().count() as u64);
        (whole.count() as u64, parts.sum())
    }

    /// How many rules and parts of used rules nothing can be said of.
    #[must_use]
    pub fn not_shown(&self) -> (u64, u64) {
        let is = |standing: Standing| standing == Standing::NotShown;
        let rules = self.rules.iter();
        let whole = rules.clone().filter(|rule| is(rule.standing)).count();
        let parts = rules
            .filter(|rule| !is(rule.standing) && !rule.standing.is_named())
            .map(|rule| rule.parts.iter().filter(|part| is(part.standing)).count());
        (whole as u64, parts.sum::<usize>() as u64)
    }
}

/// What each rule turned out to be.
pub(in crate::review) fn judged(
    set: &PolicySet,
    written: &[WrittenRule],
    uses: Vec<RuleUse>,
    claims: bool,
) -> Vec<UnusedRule> {
    let mut rules: Vec<UnusedRule> = written
        .iter()
        .zip(uses)
        .filter_map(|(rule, uses)| {
            let object = set.objects.get(rule.object as usize)?;
            let parts = rule.parts().zip(uses.parts).enumerate();
            Some(UnusedRule {
                policy: object.id.clone(),
                file: object.file.clone(),
                rule: rule.clone(),
                standing: if rule.isolation {
                    Standing::Isolation
                } else {
                    Standing::of(&uses.rule, claims)
                },
                parts: parts
                    .filter(|_| !rule.isolation)
                    .map(|(index, ((kind, _), usage))| UnusedPart {
                        kind,
                        index,
                        standing: Standing::of(&usage, claims),
                        usage,
                    })
                    .collect(),
                usage: uses.rule,
                nobody_seen: !uses.subjects_seen,
                isolates: false,
            })
        })
        .collect();
    let stays: Vec<u32> = rules
        .iter()
        .filter(|rule| !rule.standing.is_named())
        .flat_map(|rule| rule.rule.entries.iter().copied())
        .collect();
    for rule in rules.iter_mut().filter(|rule| rule.standing.is_named()) {
        rule.isolates = rule
            .rule
            .entries
            .iter()
            .any(|gone| isolates(set, *gone, &stays));
    }
    rules
}

/// Whether an entry may turn default deny on for somebody for whom no entry that stays does.
fn isolates(set: &PolicySet, gone: u32, stays: &[u32]) -> bool {
    let Some(entry) = set.entries.get(gone as usize) else {
        return false;
    };
    entry.default_deny
        && !stays
            .iter()
            .filter_map(|index| set.entries.get(*index as usize))
            .any(|other| {
                other.default_deny
                    && other.direction == entry.direction
                    && other.subject.node == entry.subject.node
                    && entry.subject.selector.is_within(&other.subject.selector)
            })
}

fn unknown(usage: &Usage) -> BTreeMap<Cause, u64> {
    let mut unknown: BTreeMap<Cause, u64> = BTreeMap::new();
    for row in &usage.rows {
        for side in row.sides.iter().flatten() {
            if let Verdict::Unknown(cause) = side.verdict {
                *unknown.entry(cause).or_default() += row.count;
            }
        }
    }
    unknown
}

/// Asks every question again without what is named.
fn replay(usage: &Usage, policies: &Policies, set: &PolicySet, gone: &BTreeSet<Piece>) -> Replay {
    let mut replay = Replay::default();
    let rest = Arc::new(set.without(gone));
    let mut clusters = BTreeMap::new();
    let mut asked = HashSet::new();
    for side in usage.cases.iter().flat_map(|case| case.iter().flatten()) {
        if !asked.insert((side.cluster, side.question)) {
            continue;
        }
        let compiled = clusters.entry(side.cluster).or_insert_with(|| {
            let cluster = policies.at(side.cluster)?;
            let compiled = cluster.read();
            Some((compiled.with_set(rest.clone()), cluster.clone()))
        });
        let Some((without, before)) = compiled else {
            continue;
        };
        let was = before.read().answer(&side.question).verdict;
        let is = without.answer(&side.question).verdict;
        replay.questions += 1;
        if was.passes() && !is.passes() {
            replay.denied += 1;
        } else if was.is_denied() && !is.is_denied() {
            replay.opened += 1;
        }
    }
    replay
}
