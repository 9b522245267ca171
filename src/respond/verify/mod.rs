//! Whether a quarantine took effect, or is gone again.
//!
//! Owns what counts as proof (`watch` collects it, `decide` weighs it). A flow is asked about
//! under the quarantine alone, with the target labelled as it is to be: what its rules deny
//! must not go on, and must be dropped by name. Replies are not checked by Cilium and are
//! only counted. What was not tried is not proven, and where events are missing the answer is
//! undecided, unless something got through: that is certain.

mod decide;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use watch::Watch;

use crate::connection::Peer;
use crate::flow::Protocol;
use crate::policy::Direction;

/// What is to be shown.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Names of the policies of the quarantine, as Hubble names them: without the namespace.
    pub names: BTreeSet<String>,
    /// The label that the target is to carry, `key=value`, where there is one.
    pub label: Option<(String, String)>,
    /// When it was applied, or taken back, in nanoseconds since 1970 UTC; `None` where
    /// nobody said: then it is told from the flows.
    pub since: Option<i64>,
    /// How long nothing may have got through for it to count, in nanoseconds.
    pub settle: i64,
    /// Whether it is to be gone.
    pub rolled_back: bool,
}

/// What was shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The answer.
    pub answer: Answer,
    /// Why, as sentences; those that decide first.
    pub why: Vec<String>,
    /// From when it was watched, in nanoseconds; `None` where no flow has a time.
    pub watched: Option<(i64, i64)>,
    /// When it was applied, or taken back, as somebody said or flows show.
    pub since: Option<i64>,
    /// How long it took, in nanoseconds: at least, and at most.
    pub took: Option<(i64, i64)>,
    /// Each pod and direction.
    pub sides: Vec<Side>,
    /// What got through and should not, or was denied and should not; most flows first.
    pub survivors: Vec<Survivor>,
    /// Replies that went on: they are not checked.
    pub replies: u64,
    /// Flows of which it is not known whether the quarantine is about them.
    pub unsure: u64,
    /// Flows of the target.
    pub flows: u64,
    /// Events of its nodes that are missing: how many holes, and how many events where that
    /// is known.
    pub holes: (u64, Option<u64>),
}

/// Whether it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Yes.
    Proven,
    /// It cannot be told, or not yet.
    Undecided,
    /// No.
    Refuted,
}

impl Answer {
    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Undecided => "undecided",
            Self::Refuted => "refuted",
        }
    }
}

/// One pod in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// `namespace/pod`, else an address.
    pub who: Arc<str>,
    /// Which direction, as the quarantine's rules have it.
    pub direction: Direction,
    /// Flows that got through though the quarantine denies them.
    pub passed: u64,
    /// The last of them.
    pub last_passed: Option<i64>,
    /// Flows dropped by the quarantine, by its name or where only it denies by a rule.
    pub dropped: u64,
    /// Those that Hubble names the quarantine for.
    pub named: u64,
    /// The first drop after the last that got through.
    pub first_dropped: Option<i64>,
    /// The last drop.
    pub last_dropped: Option<i64>,
    /// What of it follows.
    pub answer: Answer,
}

/// An edge on which something got through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The pod.
    pub who: Arc<str>,
    /// Which direction.
    pub direction: Direction,
    /// With whom.
    pub peer: String,
    /// Port of the server.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// Flows.
    pub flows: u64,
    /// First and last, in nanoseconds.
    pub first: i64,
    /// Last.
    pub last: i64,
    /// Whether a proxy let them on.
    pub by_proxy: bool,
    /// A flow that shows it.
    pub reference: String,
}

/// What an end of a flow is called.
fn name(peer: Option<&Peer>, address: &str) -> String {
    match peer {
        Some(peer @ Peer::Workload { .. }) => peer.to_string(),
        _ => address.to_owned(),
    }
}
