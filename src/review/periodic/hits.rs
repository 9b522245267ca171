//! Which policies had a part in what was seen, and which are too broad.
//!
//! Owns the sums over rulings. That a policy was never hit is a claim of absence: what is
//! missing of the period stands beside it. A policy that only turns default deny on works
//! by being there and is not counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use crate::connection::{Computed, Connection};
use crate::engine::Policies;
use crate::policy::{BroadThresholds, Direction, Origin, PolicyEntry, PolicySet, Verdict};
use crate::review::report::Rule;

/// Decisions and names that are remembered.
const MOST: usize = 1 << 20;

/// Decisions that were made.
#[derive(Debug, Default)]
pub(super) struct Hits {
    decided: HashSet<(Computed, Direction), RandomState>,
    named: HashSet<Arc<str>, RandomState>,
    more: bool,
}

/// What was used of the policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyReview {
    /// Policies with rules of their own that allow or deny.
    pub policies: u64,
    /// Of those, the ones that decided about no connection.
    pub never_hit: Vec<Unused>,
    /// Policies that only turn on default deny.
    pub default_deny_only: u64,
    /// Allow rules that name neither whom nor what.
    pub broad: Vec<Rule>,
    /// More decisions were made than are remembered: nothing is said of what was not hit.
    pub more: bool,
}

/// A policy that was never hit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unused {
    /// Which, and its first rule.
    pub rule: Rule,
    /// Rules that allow.
    pub allows: u64,
    /// Rules that deny.
    pub denies: u64,
}

impl Hits {
    pub(super) fn connection(&mut self, connection: &Connection) {
        let sides = [
            (Direction::Egress, &connection.egress),
            (Direction::Ingress, &connection.ingress),
        ];
        for (direction, side) in sides {
            if self.decided.len() + self.named.len() >= MOST {
                self.more = true;
                return;
            }
            if let Some(computed) = side.computed {
                self.decided.insert((computed, direction));
            }
            for name in side
                .recorded
                .iter()
                .flat_map(|recorded| recorded.policies.iter())
            {
                if !self.named.contains(name) {
                    self.named.insert(name.clone());
                }
            }
        }
    }

    pub(super) fn finish(self, policies: &Policies) -> PolicyReview {
        // Clusters share the objects, in the same order.
        let set = policies.any_set();
        let mut hit: BTreeSet<u32> = BTreeSet::new();
        for (computed, _) in &self.decided {
            let Some(cluster) = policies.at(computed.cluster) else {
                continue;
            };
            if computed.decision.verdict == Verdict::DeniedByDefault {
                continue;
            }
            let compiled = cluster.read();
            for origin in compiled.rules(computed.decision.rules).iter() {
                if let Origin::Entry(index) = origin
                    && let Some(entry) = compiled.set().entries.get(*index as usize)
                {
                    hit.insert(entry.object);
                }
            }
        }
        let mut review = PolicyReview {
            more: self.more,
            ..PolicyReview::default()
        };
        for (at, object) in (0_u32..).zip(&set.objects) {
            let own = set.entries.iter().filter(|entry| entry.object == at);
            let (mut allows, mut denies, mut first) = (0, 0, None);
            let mut any = false;
            for entry in own {
                any = true;
                if !decides(entry) {
                    continue;
                }
                *(if entry.deny { &mut denies } else { &mut allows }) += 1;
                first = first.or(Some(entry));
            }
            if !any {
                continue;
            }
            let Some(first) = first else {
                review.default_deny_only += 1;
                continue;
            };
            review.policies += 1;
            let short: Arc<str> = object.id.short().into();
            if !hit.contains(&at) && !self.named.contains(&short) && !self.more {
                let rule = rule(&set, first);
                review.never_hit.push(Unused {
                    rule,
                    allows,
                    denies,
                });
            }
        }
        review.never_hit.sort();
        let thresholds = BroadThresholds::default();
        let broad =
            |entry: &&PolicyEntry| !entry.deny && decides(entry) && thresholds.is_broad(entry);
        review.broad = set
            .entries
            .iter()
            .filter(broad)
            .map(|entry| rule(&set, entry))
            .collect();
        review.broad.sort();
        review.broad.dedup();
        review
    }
}

/// Whether an entry lets something through or denies something, instead of only turning on
/// default deny.
fn decides(entry: &PolicyEntry) -> bool {
    entry.peers.as_ref().is_none_or(|peers| !peers.is_empty())
}

fn rule(set: &PolicySet, entry: &PolicyEntry) -> Rule {
    let object = set.objects.get(entry.object as usize);
    Rule {
        policy: object.map_or_else(|| "".into(), |object| object.id.short().into()),
        file: object.map_or_else(|| "".into(), |object| object.file.clone()),
        line: entry.rule.at.line,
    }
}
