//! A row of a rollup: what connections have in common, and their sums.
//!
//! Owns the values and what each counts. How they are summed up is `table`'s, how they are
//! written `columns`'s.

use std::sync::Arc;

use crate::connection::{Opening, Outcome, Peer};
use crate::engine::Rule;
use crate::flow::{Protocol, Verdict as FlowVerdict};
use crate::policy::{Gap, Verdict};

/// Connections of one hour that have everything in [`RollupKey`] in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupRow {
    /// When the hour begins, in nanoseconds since 1970 UTC.
    pub hour: i64,
    /// What they have in common.
    pub key: RollupKey,
    /// The sums.
    pub sums: RollupSums,
}

/// What connections have in common. What is beyond the bound of rows is one row from
/// [`Peer::Others`] to [`Peer::Others`] without a beginning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RollupKey {
    /// Who opens connections.
    pub client: Peer,
    /// Who takes them.
    pub server: Peer,
    /// Port of the server, type for ICMP.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// What is known of connections that began in this hour; `None` for those that went on
    /// from an earlier one, which has it.
    pub began: Option<Began>,
}

/// What is told apart of connections in the hour in which they began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Began {
    /// Whether their beginning was seen.
    pub opening: Opening,
    /// What became of them.
    pub outcome: Outcome,
    /// Whether they were encrypted between nodes.
    pub encryption: Encryption,
    /// The client's side.
    pub egress: RollupSide,
    /// The server's side.
    pub ingress: RollupSide,
}

/// One direction of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RollupSide {
    /// What Hubble recorded about policy: the verdict by its number, and
    /// `policy_match_type`.
    pub recorded: Option<(i32, u32)>,
    /// What the policies in force say; `None` where nobody asked them.
    pub computed: Option<Answer>,
    /// Why that, or whether the two agree, is not known; empty where it is.
    pub cause: Arc<str>,
    /// The rules that decided, in order; for a denial by default the policies that turned it
    /// on. Files are those of the archive, `policies/HASH.yaml`.
    pub rules: Arc<[Rule]>,
    /// Passed with nobody having asked for it.
    pub gap: Option<Gap>,
    /// Recorded and computed verdict disagree, and both are certain.
    pub drift: bool,
    /// They disagree, and the flows are older than a policy that takes part.
    pub changed: bool,
}

/// A computed verdict; why one is unknown is [`RollupSide::cause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// Passes.
    Allowed,
    /// Passes to a proxy.
    Redirected,
    /// A deny rule covers it.
    DeniedByRule,
    /// Nothing allows it.
    DeniedByDefault,
    /// Passes with an authenticated session only.
    AuthRequired,
    /// Cannot be told.
    Unknown,
}

/// What flows say of encryption between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encryption {
    /// Nothing.
    #[default]
    Unknown,
    /// All that say something were encrypted.
    Encrypted,
    /// None that says something was.
    Plain,
    /// Some were, some not.
    Mixed,
}

/// Sums over connections. All but `connections`, `ongoing` and the times are of the
/// connections that began in the hour, as far as they were known 8,015 s after its end;
/// `resets` are of those whose last flow is of the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollupSums {
    /// Connections that began in the hour: each counts in one hour.
    pub connections: u64,
    /// Connections that went on from an earlier hour.
    pub ongoing: u64,
    /// Flows.
    pub rows: u64,
    /// Packets that asked for a connection: retries count.
    pub attempts: u64,
    /// With an answer of the server.
    pub answered: u64,
    /// Reset by either side.
    pub resets: u64,
    /// Requests of layer 7.
    pub exchanges: u64,
    /// When one of them was first seen in the hour, in nanoseconds; `i64::MAX` without a
    /// time. For one that went on from before, the beginning of the hour.
    pub first: i64,
    /// When one was last seen in the hour; `i64::MIN` without a time. For one that went on
    /// after it, the end of the hour.
    pub last: i64,
}

impl Default for RollupSums {
    fn default() -> Self {
        Self {
            connections: 0,
            ongoing: 0,
            rows: 0,
            attempts: 0,
            answered: 0,
            resets: 0,
            exchanges: 0,
            first: i64::MAX,
            last: i64::MIN,
        }
    }
}

impl RollupSums {
    /// Adds others, of the same hour or another one. The sum of `ongoing` over hours counts
    /// a connection once an hour it went on.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in [
            (&mut self.connections, other.connections),
            (&mut self.ongoing, other.ongoing),
            (&mut self.rows, other.rows),
            (&mut self.attempts, other.attempts),
            (&mut self.answered, other.answered),
            (&mut self.resets, other.resets),
            (&mut self.exchanges, other.exchanges),
        ] {
            *own = own.saturating_add(other);
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }

    /// First and last time, where there is one.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        (self.first <= self.last).then_some((self.first, self.last))
    }
}

impl RollupKey {
    /// That of what is beyond the bound.
    #[must_use]
    pub fn others() -> Self {
        Self {
            client: Peer::Others,
            server: Peer::Others,
            port: 0,
            protocol: Protocol::None,
            began: None,
        }
    }
}

impl RollupSide {
    /// The recorded verdict, where there is one.
    #[must_use]
    pub fn verdict(&self) -> Option<FlowVerdict> {
        self.recorded.map(|(verdict, _)| FlowVerdict(verdict))
    }
}

impl Answer {
    /// Every answer.
    pub const ALL: [Self; 6] = [
        Self::Allowed,
        Self::Redirected,
        Self::DeniedByRule,
        Self::DeniedByDefault,
        Self::AuthRequired,
        Self::Unknown,
    ];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Redirected => "redirected",
            Self::DeniedByRule => "denied-by-rule",
            Self::DeniedByDefault => "denied-by-default",
            Self::AuthRequired => "auth-required",
            Self::Unknown => "unknown",
        }
    }
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed => Self::Allowed,
            Verdict::Redirected => Self::Redirected,
            Verdict::DeniedByRule => Self::DeniedByRule,
            Verdict::DeniedByDefault => Self::DeniedByDefault,
            Verdict::AuthRequired => Self::AuthRequired,
            Verdict::Unknown(_) => Self::Unknown,
        }
    }
}

impl Encryption {
    /// Every case.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Encrypted, Self::Plain, Self::Mixed];

    /// Its word; empty for unknown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Encrypted => "encrypted",
            Self::Plain => "plain",
            Self::Mixed => "mixed",
        }
    }

    /// Of connections of which some flow says that it was, or that it was not encrypted.
    #[must_use]
    pub fn of(encrypted: bool, plain: bool) -> Self {
        match (encrypted, plain) {
            (false, false) => Self::Unknown,
            (true, false) => Self::Encrypted,
            (false, true) => Self::Plain,
            (true, true) => Self::Mixed,
        }
    }
}
