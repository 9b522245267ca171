//! Policies that let just what was used pass, for workloads that have none.
//!
//! Owns which workloads get a policy and what is in it (`draft`, for denied connections
//! `dropped`), what is mended when a replay shows that something accepted would break
//! (`repair`), and whether a policy does what it says (`claims`). A suggestion that cannot be
//! proven is withheld, with the reason. Reads no flows and writes no files: who replays hands
//! in what came of it.

mod claims;
mod draft;
mod dropped;
mod repair;
mod replay;
mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::baseline::Readiness;
use crate::flow::counted;
use crate::manifest::{Block, Layout};
use crate::policy::{Direction, ObjectId};
use crate::review::observed::{Evidence, Home, Rule, Selector, Why, WorkloadKey, labels};
use crate::review::report::Seen;
use crate::review::simulate::Job;

pub use claims::{Claim, claims};
pub use draft::{Materials, drafts};
pub use dropped::{Needs, Probing, lost};
pub use repair::Repairs;
pub use replay::{Broken, Replay, Replayed, Tally};
pub use settle::{Settled, documents, settle};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Only these namespaces; all but the system's where empty.
    pub namespaces: BTreeSet<Arc<str>>,
    /// Only these workloads: namespace and name.
    pub workloads: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Only this direction.
    pub direction: Option<Direction>,
    /// Requests of HTTP are listed where enough of them were seen.
    pub http: bool,
    /// For denied connections instead of workloads without a policy.
    pub dropped: bool,
    /// Which workloads of which nothing accepted was seen get one, that lets nothing pass.
    pub unseen: Unseen,
}

/// Workloads that manifests show and of which nothing accepted was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unseen {
    /// They get no policy.
    #[default]
    LeftOut,
    /// Those get one that are always there: no jobs, and in namespaces that flows show.
    Standing,
    /// All get one.
    All,
}

/// A policy as it would be.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Name and namespace.
    pub id: ObjectId,
    /// Whom it selects, by labels.
    pub selector: Selector,
    /// The workloads it is for.
    pub members: Vec<WorkloadKey>,
    /// Rules into and out of it; `None` where it says nothing about a direction.
    pub sides: [Option<Side>; 2],
    /// It only adds what is allowed and turns on no default deny.
    pub adds: bool,
    /// Nothing accepted was seen of any member: it lets nothing pass.
    pub quiet: bool,
    /// How far what was seen is.
    pub readiness: Readiness,
    /// When its newest edge was first seen, and when it was last seen itself.
    pub newest: Option<(i64, i64)>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Directions it says nothing about although it was asked for, and why.
    pub withheld: Vec<(Direction, String)>,
}

/// One direction of a policy.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Its rules; none where nothing passed.
    pub rules: Vec<Rule>,
    /// What was seen of it.
    pub evidence: Evidence,
    /// Edges.
    pub edges: u64,
}

/// What was not made a policy of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Whom.
    pub workload: WorkloadKey,
    /// Why, a fragment after "because".
    pub why: String,
}

/// What a recording can say, for the head of a policy.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// From when to when.
    pub seen: Seen,
    /// Share of node-time that was seen, 0 to 1; `None` where that is not known.
    pub share: Option<f64>,
    /// Events that are known to be lost.
    pub lost: Option<u64>,
}

/// Everything that came of it.
#[derive(Debug, Default)]
pub struct Suggested {
    /// The policies, and what came of their replay.
    pub settled: Settled,
    /// Denied connections that get no rule.
    pub probing: Vec<Probing>,
    /// What the recording can say.
    pub window: Window,
    /// Connections that are not accepted, by why.
    pub left_out: BTreeMap<Why, u64>,
    /// All connections.
    pub connections: u64,
    /// Accepted ones on edges that are not told apart.
    pub beyond: u64,
    /// There were more pods than are told apart.
    pub more_pods: bool,
    /// Denied connections were asked about: what is accepted are these.
    pub dropped: bool,
    /// Workloads that were asked about.
    pub asked_for: u64,
    /// Workloads of other clusters, for which none is made.
    pub elsewhere: u64,
    /// Jobs that run less often than the recording is long.
    pub jobs: Vec<Job>,
}

impl Suggested {
    /// Whether every policy is there, lets all accepted connections pass that it decides
    /// about, and denies strangers.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.unproven().is_empty()
    }

    /// What is not proven, as sentences.
    #[must_use]
    pub fn unproven(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for draft in &self.settled.drafts {
            for (direction, why) in &draft.withheld {
                sentences.push(format!(
                    "withheld: {} of {}: {why}",
                    direction.name(),
                    draft.id.short()
                ));
            }
        }
        for (draft, claims) in self.settled.drafts.iter().zip(&self.settled.claims) {
            for (direction, claim) in SIDES.iter().zip(claims) {
                let Some(claim) = claim else { continue };
                if claim.is_void() {
                    sentences.push(format!(
                        "{} of {} denies nobody: {} lets everybody pass",
                        direction.name(),
                        draft.id.short(),
                        claim.others.join(", ")
                    ));
                } else if claim.unknown > 0 {
                    sentences.push(format!(
                        "undecided: whether {} of {} denies strangers",
                        direction.name(),
                        draft.id.short()
                    ));
                }
            }
        }
        if self.settled.replayed.open > 0 {
            sentences.push(format!(
                "undecided: {} on {} of which none can be told to pass",
                counted(
                    self.settled.replayed.open_connections,
                    "accepted connection",
                    "accepted connections"
                ),
                counted(self.settled.replayed.open, "edge", "edges")
            ));
        }
        if self.beyond > 0 || self.settled.replayed.more_open {
            sentences.push(format!(
                "{} on more edges than are told apart: narrow it with --namespace",
                counted(
                    self.beyond,
                    "accepted connection is",
                    "accepted connections are"
                )
            ));
        }
        let broken = self.settled.replayed.more_broken;
        if broken > 0 {
            sentences.push(format!(
                "{} would be denied on more edges than are told apart: narrow it with --namespace",
                counted(
                    broken,
                    "accepted connection or request",
                    "accepted connections or requests"
                )
            ));
        }
        if self.more_pods {
            sentences.push("there are more pods than are told apart".to_owned());
        }
        sentences
    }
}

/// The directions as [`Draft::sides`] has them.
pub const SIDES: [Direction; 2] = [Direction::Ingress, Direction::Egress];

impl Draft {
    /// One direction.
    #[must_use]
    pub fn side(&self, direction: Direction) -> Option<&Side> {
        let at = usize::from(direction == Direction::Egress);
        self.sides[at].as_ref()
    }

    /// Whether it says nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sides.iter().all(Option::is_none)
    }

    /// What became of accepted and of unwanted connections on the sides it decides about.
    #[must_use]
    pub fn tallies(&self, replayed: &Replayed) -> (Tally, Tally) {
        let (mut accepted, mut unwanted) = (Tally::default(), Tally::default());
        for direction in SIDES {
            if self.side(direction).is_none() {
                continue;
            }
            for member in &self.members {
                let key = (member.clone(), direction);
                if let Some(tally) = replayed.by_side.get(&key) {
                    accepted.merge(tally);
                }
                if let Some(tally) = replayed.unwanted_by_side.get(&key) {
                    unwanted.merge(tally);
                }
            }
        }
        (accepted, unwanted)
    }

    /// The policy as a document; `head` are comments above it.
    #[must_use]
    pub fn text(&self, head: &[String]) -> String {
        self.block()
            .commented(head.iter().cloned())
            .document(Layout::default())
    }

    fn block(&self) -> Block {
        let home = self.home();
        let mut spec = vec![("endpointSelector", labels(&self.selector, &[]))];
        if self.adds {
            spec.push((
                "enableDefaultDeny",
                Block::map([
                    ("ingress", Block::flag(false)),
                    ("egress", Block::flag(false)),
                ]),
            ));
        }
        for direction in SIDES {
            let Some(side) = self.side(direction) else {
                continue;
            };
            let list = if side.rules.is_empty() {
                let nothing = match direction {
                    Direction::Ingress => "nothing came in",
                    Direction::Egress => "nothing went out",
                };
                let deny = Block::map::<&str>([]);
                Block::list([deny.commented([nothing.to_owned()])])
            } else {
                Block::list(side.rules.iter().map(|rule| rule.block(&home)))
            };
            spec.push((direction.name(), list));
        }
        Block::map([
            ("apiVersion", Block::text("cilium.io/v2")),
            ("kind", Block::text(self.id.kind.name())),
            (
                "metadata",
                Block::map([
                    ("name", Block::text(self.id.name.to_string())),
                    ("namespace", Block::text(self.id.namespace.to_string())),
                ]),
            ),
            ("spec", Block::map(spec)),
        ])
    }

    fn home(&self) -> Home {
        Home {
            cluster: self
                .members
                .first()
                .map(|key| key.0.clone())
                .unwrap_or_default(),
            namespace: Some(self.id.namespace.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_beyond_the_bound_is_not_proven() {
        let mut suggested = Suggested::default();
        assert!(suggested.is_proven());
        suggested.settled.replayed.more_broken = 2;
        assert_eq!(
            suggested.unproven(),
            [
                "2 accepted connections or requests would be denied on more edges than are told apart: narrow it with --namespace"
            ]
        );
    }
}
