//! What other policies would have done to recorded connections.
//!
//! Owns the comparison of two sets of policies, connection by connection: what is denied,
//! allowed or unknown under one and not under the other, and what other rule decides. Flows
//! are read and folded once; each is judged by both sets (`case`). A connection passes only
//! where both of its sides let it, and both are asked wherever the flow was seen. Memory is
//! bounded, and what is beyond a bound is counted and said.
//!
//! What a recording cannot show is part of the answer: holes, policies that changed and
//! decided nothing in it, jobs that run less often than it is long.
//!
//! Shows nothing, and reads no policies.

mod accept;
mod answer;
mod case;
mod gather;
mod jobs;
mod kept;
mod objects;
mod tally;
#[cfg(test)]
pub(in crate::review) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::connection::{ExchangeKind, Peer};
use crate::engine::Rule;
use crate::flow::Protocol;
use crate::policy::lint::LintFinding;
use crate::policy::{Cause, Direction, ObjectId, OptionName, Verdict};
use crate::review::report::{Reading, Seen};

pub(in crate::review) use accept::port;
pub use accept::{AcceptError, Acceptance, Accepted};
pub use case::{Cases, PairJudge};
pub use gather::Gatherer;
pub use jobs::{Job, jobs, longest_pause};
pub(in crate::review) use kept::named;
pub use kept::{Kept, Refuser, keep};
pub use objects::{ObjectChange, ObjectChanged, compare};

/// What becomes of a connection or a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Both sides let it pass.
    Passes,
    /// One of them does not.
    Denied,
    /// Passes with an authenticated session only.
    NeedsAuthentication,
    /// Cannot be told.
    Unknown(Cause),
    /// Neither side is an endpoint: no policy is asked.
    NotAsked,
}

impl From<Verdict> for Outcome {
    /// What becomes of something of which one side alone is asked.
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed | Verdict::Redirected => Self::Passes,
            Verdict::DeniedByRule | Verdict::DeniedByDefault => Self::Denied,
            Verdict::AuthRequired => Self::NeedsAuthentication,
            Verdict::Unknown(cause) => Self::Unknown(cause),
        }
    }
}

/// How two sets differ about a connection or a request. One set in place of the other gives
/// the opposite: newly denied and newly allowed, newly unknown and no longer unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// It may have passed, and is denied.
    NewlyDenied,
    /// It was denied, and may pass.
    NewlyAllowed,
    /// It was certain what becomes of it, and is not any more; or it takes an
    /// authenticated session now.
    NewlyUnknown,
    /// The other way round.
    NoLongerUnknown,
    /// The same becomes of it, by another rule or by one that was changed.
    OtherRule,
}

/// What one set says about one side of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideRuling {
    /// The verdict; of a request where the row is about requests.
    pub verdict: Verdict,
    /// The rules that decided; for a denial by default the policies that turned it on.
    pub rules: Arc<[Rule]>,
    /// An option nobody gave of which another value would give another verdict.
    pub assumed: Option<OptionName>,
    /// What could not be read, as `file:line`, where the verdict is unknown for that.
    pub unread: Option<Arc<str>>,
}

/// One side of a connection under both sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideChange {
    /// Which side.
    pub direction: Direction,
    /// Under the first set.
    pub base: SideRuling,
    /// Under the second one.
    pub head: SideRuling,
    /// Whether they differ.
    pub differs: bool,
}

/// What a row is about.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Connections.
    Connections,
    /// Requests on connections that pass under both sets.
    Requests(ExchangeKind),
}

/// Connections of one edge, or requests on them, that change in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeRow {
    /// How.
    pub change: Change,
    /// Connections, or which requests.
    pub what: What,
    /// Who opens connections.
    pub client: Peer,
    /// Who takes them.
    pub server: Peer,
    /// Port of the server, type for ICMP.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// What becomes of them under the first and the second set.
    pub outcomes: (Outcome, Outcome),
    /// The sides that policies are asked about: the client's first.
    pub sides: Vec<SideChange>,
    /// How many.
    pub count: u64,
    /// How many of them the cluster let pass when they were recorded.
    pub forwarded: u64,
    /// From when to when.
    pub seen: Seen,
    /// Flows that show it: node, time, tuple hash. The earliest few.
    pub references: Vec<(Arc<str>, i64, u64)>,
    /// The entry of the file of intended changes that covers it.
    pub accepted: Option<usize>,
}

/// Sums over connections, or over requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// All of them.
    pub all: u64,
    /// Pass under both sets.
    pub pass: u64,
    /// Denied under both.
    pub denied: u64,
    /// Unknown under both, by cause under the second.
    pub unknown: BTreeMap<Cause, u64>,
    /// Need an authenticated session under both.
    pub authenticated: u64,
    /// Those that no policy is asked about.
    pub not_asked: u64,
    /// Those of which no flow says enough to ask: replies alone, no layer 4.
    pub not_judged: u64,
    /// Changed, by how.
    pub changed: BTreeMap<Change, u64>,
}

/// How well the first set explains what the cluster did: sides of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Recorded and computed verdict agree.
    pub equal: u64,
    /// They do not.
    pub drift: u64,
    /// They do not, and the flow is older than a policy that takes part.
    pub changed: u64,
}

/// What was compared and what came of it.
#[derive(Debug, Default)]
pub struct Simulation {
    /// What was read.
    pub reading: Reading,
    /// Connections.
    pub connections: Sums,
    /// Requests on connections of which both sets say the same.
    pub requests: Sums,
    /// What changes: by [`Change`], most first.
    pub rows: Vec<ChangeRow>,
    /// What changes and is in no row, for want of room.
    pub others: BTreeMap<Change, u64>,
    /// How well the first set explains the recording.
    pub fit: Fit,
    /// Verdicts of the second set that hang on an option nobody gave, by its name: sides of
    /// connections.
    pub assumed: BTreeMap<&'static str, u64>,
    /// Policies that differ.
    pub objects: Vec<ObjectChange>,
    /// Objects of the second set that a cluster refuses.
    pub kept: Vec<Kept>,
    /// Jobs that run less often than the recording is long.
    pub jobs: Vec<Job>,
    /// Findings of `policy lint` that the first set does not have.
    pub lint: Vec<LintFinding>,
    /// Entries of the file of intended changes, with what each covers.
    pub accepted: Vec<Accepted>,
}

impl Outcome {
    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Denied => "denied",
            Self::NeedsAuthentication => "needs authentication",
            Self::Unknown(_) => "unknown",
            Self::NotAsked => "not asked",
        }
    }
}

impl Change {
    /// All, the gravest first.
    pub const ALL: [Self; 5] = [
        Self::NewlyDenied,
        Self::NewlyAllowed,
        Self::NewlyUnknown,
        Self::NoLongerUnknown,
        Self::OtherRule,
    ];

    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NewlyDenied => "newly-denied",
            Self::NewlyAllowed => "newly-allowed",
            Self::NewlyUnknown => "newly-unknown",
            Self::NoLongerUnknown => "no-longer-unknown",
            Self::OtherRule => "other-rule",
        }
    }

    /// What becomes of something under one set and under the other; `None` where that is
    /// the same.
    #[must_use]
    pub fn between(base: Outcome, head: Outcome) -> Option<Self> {
        use Outcome::{Denied, NeedsAuthentication, NotAsked, Passes, Unknown};
        match (base, head) {
            (Passes | NeedsAuthentication, Denied) => Some(Self::NewlyDenied),
            (Denied, Passes | NeedsAuthentication) => Some(Self::NewlyAllowed),
            (Passes, NeedsAuthentication) | (Passes | Denied | NeedsAuthentication, Unknown(_)) => {
                Some(Self::NewlyUnknown)
            }
            (NeedsAuthentication, Passes) | (Unknown(_), Passes | Denied | NeedsAuthentication) => {
                Some(Self::NoLongerUnknown)
            }
            (Unknown(_), Unknown(_))
            | (Passes, Passes)
            | (Denied, Denied)
            | (NeedsAuthentication, NeedsAuthentication)
            | (NotAsked, _)
            | (_, NotAsked) => None,
        }
    }
}

impl ChangeRow {
    /// Whether somebody meant it to be.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.accepted.is_some()
    }

    /// The rules of the sides that differ: of the first set, then of the second.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.sides
            .iter()
            .flat_map(|side| side.base.rules.iter().chain(side.head.rules.iter()))
    }
}

impl Simulation {
    /// Connections and requests that change in a way and that nobody said are meant to.
    #[must_use]
    pub fn unaccepted(&self, change: Change) -> u64 {
        let rows = self.rows.iter();
        let counted: u64 = rows
            .filter(|row| row.change == change && !row.is_accepted())
            .map(|row| row.count)
            .sum();
        counted + self.others.get(&change).copied().unwrap_or_default()
    }

    /// The same of those that are meant to.
    #[must_use]
    pub fn accepted_count(&self, change: Change) -> u64 {
        self.rows
            .iter()
            .filter(|row| row.change == change && row.is_accepted())
            .map(|row| row.count)
            .sum()
    }

    /// Policies that differ and decided about no connection of the recording under either
    /// set: nothing can be said about them.
    pub fn silent(&self) -> impl Iterator<Item = &ObjectChange> {
        self.objects.iter().filter(|object| object.connections == 0)
    }

    /// Whether any connection was judged at all.
    #[must_use]
    pub fn says_anything(&self) -> bool {
        self.connections.all > self.connections.not_judged
    }

    /// Takes intended changes: each row has the first entry that covers it.
    pub fn accept(&mut self, acceptance: &Acceptance, today: jiff::civil::Date) {
        self.accepted = acceptance.apply(&mut self.rows, today);
    }

    /// Objects that decided, by name: how many connections each decided about.
    fn count_objects(&mut self, decided: &BTreeMap<ObjectId, u64>) {
        for object in &mut self.objects {
            object.connections = decided.get(&object.id).copied().unwrap_or_default();
        }
    }
}
