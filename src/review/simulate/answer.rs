//! What a set says about one side, so that two sets can be compared.
//!
//! Owns when two answers are the same: by what the rules say and whose they are, not by
//! where they are written. A line more above a rule changes nothing.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{Outcome, SideRuling};
use crate::connection::Computed;
use crate::engine::{ClusterPolicies, Policies, Ruling};
use crate::manifest::Place;
use crate::policy::{
    Cause, Direction, ObjectId, Origin, PolicyEntry, PolicySet, RulePlace, Section, Verdict,
};

/// What one set says about one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) ruling: SideRuling,
    /// What the rules say, in order, by hashes.
    sense: Arc<[u64]>,
    /// It is handed to a proxy that may refuse requests.
    pub(super) asks: bool,
    /// Whose rules decided.
    pub(super) objects: Arc<[ObjectId]>,
}

impl Answer {
    /// Resolves what was computed; `asks` says whether a proxy may refuse requests.
    pub(super) fn of(
        policies: &Policies,
        computed: &Computed,
        direction: Direction,
        asks: bool,
    ) -> Self {
        let Ruling { rules, .. } = Ruling::of(policies, computed, direction);
        let cluster = policies.at(computed.cluster);
        let (sense, objects) = cluster
            .as_ref()
            .map(|cluster| deciding(cluster, computed, direction))
            .unwrap_or_default();
        Self {
            ruling: SideRuling {
                verdict: computed.verdict,
                rules: rules.into(),
                assumed: computed.decision.assumed,
                unread: cluster
                    .as_ref()
                    .and_then(|cluster| unread(cluster, computed.verdict)),
            },
            sense,
            asks,
            objects,
        }
    }

    /// The same verdict for the same reason.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.ruling.verdict == other.ruling.verdict
            && match self.ruling.verdict {
                // Nothing decided: which other rules there are does not matter.
                Verdict::DeniedByDefault | Verdict::Unknown(_) => true,
                _ => self.sense == other.sense && self.asks == other.asks,
            }
    }
}

/// What becomes of a connection by the answers of its sides. `seen` says that its requests
/// were seen, which are judged one by one; `same` that a proxy is asked the same under
/// both sets.
pub(super) fn outcome(sides: [Option<&Answer>; 2], seen: bool, same: [bool; 2]) -> Outcome {
    let mut outcome = Outcome::NotAsked;
    for (side, same) in sides.into_iter().zip(same) {
        let Some(side) = side else { continue };
        let own = match side.ruling.verdict {
            Verdict::Redirected if side.asks && !seen && !same => {
                Outcome::Unknown(Cause::L7NotVisible)
            }
            verdict => Outcome::from(verdict),
        };
        outcome = stricter(outcome, own);
    }
    outcome
}

/// What becomes of something that two sides have to let pass.
fn stricter(one: Outcome, other: Outcome) -> Outcome {
    let rank = |outcome| match outcome {
        Outcome::NotAsked => 0,
        Outcome::Passes => 1,
        Outcome::NeedsAuthentication => 2,
        Outcome::Unknown(_) => 3,
        Outcome::Denied => 4,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// What could not be read, where a verdict is unknown for that.
fn unread(cluster: &ClusterPolicies, verdict: Verdict) -> Option<Arc<str>> {
    let Verdict::Unknown(Cause::PolicyUnreadable(index)) = verdict else {
        return None;
    };
    let compiled = cluster.read();
    let taint = compiled.set().taints.get(index as usize)?;
    Some(format!("{}:{}", taint.file, taint.at.line).into())
}

/// Hashes of what decided, and the objects it is of.
type Deciding = (Arc<[u64]>, Arc<[ObjectId]>);

fn deciding(cluster: &ClusterPolicies, computed: &Computed, direction: Direction) -> Deciding {
    let compiled = cluster.read();
    let set = compiled.set();
    let by_default = computed.decision.verdict == Verdict::DeniedByDefault;
    let origins: Vec<Origin> = if by_default {
        let selecting = compiled.selecting(computed.subject, direction);
        selecting
            .into_iter()
            .filter(|index| {
                let entry = set.entries.get(*index as usize);
                entry.is_some_and(|entry| entry.default_deny)
            })
            .map(Origin::Entry)
            .collect()
    } else {
        compiled.rules(computed.decision.rules).to_vec()
    };
    let mut sense: Vec<u64> = origins.iter().map(|origin| said(set, *origin)).collect();
    sense.sort_unstable();
    sense.dedup();
    let mut objects: Vec<ObjectId> = origins
        .iter()
        .filter_map(|origin| {
            let Origin::Entry(index) = origin else {
                return None;
            };
            let entry = set.entries.get(*index as usize)?;
            Some(set.objects.get(entry.object as usize)?.id.clone())
        })
        .collect();
    objects.sort();
    objects.dedup();
    (sense.into(), objects.into())
}

/// A hash of what a rule says and of whose it is.
fn said(set: &PolicySet, origin: Origin) -> u64 {
    let mut hasher = DefaultHasher::new();
    match origin {
        Origin::Entry(index) => {
            if let Some(entry) = set.entries.get(index as usize) {
                let object = set.objects.get(entry.object as usize);
                object.map(|object| &object.id).hash(&mut hasher);
                // The parts of an entry have no hash of their own, and this is done once a
                // case.
                format!("{:?}", placeless(entry)).hash(&mut hasher);
            }
        }
        other => other.reserved_name().hash(&mut hasher),
    }
    hasher.finish()
}

/// A rule without where it is written.
fn placeless(entry: &PolicyEntry) -> PolicyEntry {
    let mut entry = PolicyEntry {
        object: 0,
        rule: RulePlace {
            spec: None,
            section: Section::Whole,
            element: 0,
            peer: None,
            at: Place::default(),
        },
        ..entry.clone()
    };
    for port in entry.ports.iter_mut().flat_map(|rule| &mut rule.ports) {
        port.at = Place::default();
    }
    entry
}
