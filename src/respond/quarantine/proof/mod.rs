//! What a quarantine really does, computed before anybody applies it.
//!
//! Owns the proof: the union of all policies and the plan's own is computed anew, and
//! everybody who is known, and everybody whom the plan's rules could tell apart, is asked
//! about, in both directions and on every port that rules tell apart. What stays open is
//! named with the rule that lets it and what closes it; what is cut is named, too; what
//! cannot be told is undecided, and undecided is not proven.
//!
//! A connection passes only where both of its sides let it. Who is in no IP cache counts as
//! the world, as in the datapath; the identity 0 is not asked about.

mod answer;
mod bench;
mod bystander;
mod cast;
mod close;
mod collateral;
mod doubt;
mod possible;
mod sum;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::BTreeSet;

use crate::engine::Policies;
use crate::flow::Protocol;
use crate::policy::OptionName;
use crate::respond::{Known, SharedNames, TargetEdge};
use crate::review::assert::Holds;

use super::plan::Plan;
use bench::Bench;
use cast::Cast;

pub use collateral::{Collateral, CutEdge, Established, Overlap, Probes, Replicas, Role};
pub use doubt::{Doubt, LabelReach, Undecided};
pub use sum::{Closing, Leak, Permitted, Span};

/// What a proof is made from.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The policies in force, without the plan's.
    pub policies: &'a Policies,
    /// Who is known, by documents and flows.
    pub known: &'a Known,
    /// The target's connections.
    pub edges: &'a [TargetEdge],
    /// Names that flows show of addresses outside.
    pub names: &'a SharedNames,
    /// Whether flows were read: without them nobody is said to be cut or not.
    pub flows: bool,
}

/// What a quarantine does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proof {
    /// Identities that are cut off, by name.
    pub subjects: Vec<String>,
    /// Peers that were asked about: those that are known.
    pub known_peers: u64,
    /// Kinds of peers that could be there.
    pub possible_peers: u64,
    /// Questions that policies were asked.
    pub questions: u64,
    /// What was open before, by pairs of a peer and a span of ports.
    pub open_before: u64,
    /// Of what is to be closed: closed by a deny rule, whatever else is allowed.
    pub by_rule: u64,
    /// Of what is to be closed: closed because nothing allows it, so that another policy
    /// opens it.
    pub by_default: u64,
    /// What is to be closed and passes.
    pub open: Vec<Leak>,
    /// What only the policy of the other side holds.
    pub held: Vec<Leak>,
    /// What passes on purpose: probes, the forensics pod, whom you keep.
    pub kept: Vec<Leak>,
    /// What is not to be touched and is denied now.
    pub unmeant: Vec<Permitted>,
    /// What was permitted and is denied now, seen in flows or not.
    pub cuts: Vec<Permitted>,
    /// Who and what is hit beside the target.
    pub collateral: Collateral,
    /// Why it is not proven.
    pub undecided: Vec<Undecided>,
    /// How it is known that the label becomes part of the identity.
    pub label: LabelReach,
    /// Whether it was also asked about the target without its other labels.
    pub detached: bool,
    /// Options that nobody gave and that answers hang on.
    pub assumed: BTreeSet<OptionName>,
    /// Pairs that are not to be touched and were too many to be compared.
    pub skipped: u64,
}

impl Proof {
    /// Whether the plan does what it is for.
    #[must_use]
    pub fn holds(&self) -> Holds {
        if !self.open.is_empty() || !self.unmeant.is_empty() {
            Holds::Refuted
        } else if !self.undecided.is_empty() {
            Holds::Undecided
        } else {
            Holds::Proven
        }
    }
}

/// Proves a plan, or says why not.
#[must_use]
pub fn prove(plan: &Plan, scene: &Scene<'_>) -> Proof {
    let mut proof = Proof::default();
    let cast = Cast::new(plan, scene);
    let mut bench = Bench::new(plan, scene, &cast);
    proof.subjects = cast.subject_names();
    let answers = answer::all(&mut bench, &cast, plan, &mut proof);
    sum::leaks(&bench, &cast, &answers, &mut proof);
    sum::cuts(plan, &cast, &answers, scene.edges, &mut proof);
    let others = possible::check(&mut bench, &cast, plan, &mut proof);
    close::add(plan, scene, &cast, &others, &mut proof);
    doubt::add(plan, scene, &cast, &mut proof);
    let is_off = |one: &Undecided| one.doubt == Doubt::HostFirewall;
    if proof.undecided.iter().any(is_off) {
        // The policy does nothing there, which is said once and not of everybody.
        proof.open.clear();
        proof.kept.clear();
    }
    proof.collateral = collateral::of(plan, scene, &cast, &mut bench);
    proof.questions = bench.questions;
    proof
}

/// Who else a plan hits, without proving it.
#[must_use]
pub fn hit(plan: &Plan, scene: &Scene<'_>) -> Collateral {
    let cast = Cast::new(plan, scene);
    let mut bench = Bench::new(plan, scene, &cast);
    collateral::of(plan, scene, &cast, &mut bench)
}

/// IANA's number of a protocol; `None` for none.
fn number(protocol: Protocol) -> Option<u8> {
    (protocol != Protocol::None).then(|| protocol.iana())
}
