//! The rules behind a decision, by name and place.
//!
//! Owns resolving what the policies decided into what a person looks up: policy, file and
//! line. Decides nothing.

use std::sync::Arc;

use super::policies::Policies;
use crate::connection::Computed;
use crate::policy::{Direction, Origin, PolicySet, Verdict};

/// A rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// The policy, `namespace/name` or `name`; the agent's own name for what is its own.
    pub policy: Arc<str>,
    /// File, empty for what is the agent's own.
    pub file: Arc<str>,
    /// Line of the rule, 0 where there is none.
    pub line: u32,
}

/// What the policies say, with its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The verdict.
    pub verdict: Verdict,
    /// The rules that decided; for a denial by default the policies that turned it on.
    pub rules: Vec<Rule>,
}

impl Rule {
    /// The rule that an origin is, of a set; `None` for one that is not of it.
    #[must_use]
    pub fn of(set: &PolicySet, origin: Origin) -> Option<Self> {
        let Origin::Entry(index) = origin else {
            return Some(Self {
                policy: origin.reserved_name()?.into(),
                file: "".into(),
                line: 0,
            });
        };
        let entry = set.entries.get(index as usize)?;
        let object = set.objects.get(entry.object as usize)?;
        Some(Self {
            policy: object.id.short().into(),
            file: object.file.clone(),
            line: entry.rule.at.line,
        })
    }
}

impl Ruling {
    /// Resolves a decision about one side.
    #[must_use]
    pub fn of(policies: &Policies, computed: &Computed, direction: Direction) -> Self {
        let verdict = computed.verdict;
        let Some(cluster) = policies.at(computed.cluster) else {
            return Self {
                verdict,
                rules: Vec::new(),
            };
        };
        let compiled = cluster.read();
        let set = compiled.set();
        let origins: Vec<Origin> = if computed.decision.verdict == Verdict::DeniedByDefault {
            let mut objects = Vec::new();
            let selecting = compiled.selecting(computed.subject, direction);
            selecting
                .into_iter()
                .filter(|index| {
                    let entry = set.entries.get(*index as usize);
                    // One element of a policy is enough to name it.
                    entry.is_some_and(|entry| {
                        let first = entry.default_deny && !objects.contains(&entry.object);
                        if first {
                            objects.push(entry.object);
                        }
                        first
                    })
                })
                .map(Origin::Entry)
                .collect()
        } else {
            compiled.rules(computed.decision.rules).to_vec()
        };
        let mut rules: Vec<Rule> = origins
            .into_iter()
            .filter_map(|origin| Rule::of(set, origin))
            .collect();
        rules.sort();
        rules.dedup();
        Self { verdict, rules }
    }
}
