//! Declarations about who reaches whom, checked.
//!
//! Owns what a declaration says and whether it holds: by the policies alone, for whoever
//! there could be (`possible`), and for the connections of a recording (`history`). What
//! cannot be told is undecided, and undecided is not proven.
//!
//! Two kinds: `nothing from A reaches B` is about everybody that A and B may stand for, those
//! nobody has seen included; `A reaches B:PORT` is about everybody who is known.

pub(in crate::review) mod check;
pub(in crate::review) mod court;
mod history;
pub(in crate::review) mod possible;
mod read;
#[cfg(test)]
mod tests;
pub(in crate::review) mod who;

use std::sync::Arc;

use crate::engine::Rule;
use crate::flow::Protocol;

pub use check::check;
pub use history::History;
pub(crate) use possible::{
    OTHER, addresses as possible_addresses, peer_keys as selected_keys, pods as possible_pods,
};
pub use read::{AssertError, read};
pub use who::{People, Term};

/// A declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// Its name; the sentence where none is given.
    pub name: String,
    /// The sentence.
    pub text: String,
    /// Line in its file, from 1.
    pub line: u32,
    /// Whether it says that something reaches something; else that nothing does.
    pub reaches: bool,
    /// Who calls.
    pub from: Term,
    /// Who is called.
    pub to: Term,
    /// On which port; `None` for any.
    pub port: Option<(u16, Option<Protocol>)>,
}

/// Whether a declaration holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// For whoever it is about.
    Proven,
    /// It cannot be told.
    Undecided,
    /// There is somebody for whom it does not.
    Refuted,
}

/// What came of a declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Which.
    pub assertion: Assertion,
    /// By the policies alone.
    pub by_policies: Holds,
    /// Who shows it, or why it cannot be told; empty where it holds.
    pub why: String,
    /// The rules behind it.
    pub rules: Vec<Rule>,
    /// Questions that policies were asked.
    pub questions: u64,
    /// By the connections of a recording, where there is one.
    pub by_history: Option<PastHolds>,
}

/// What the connections of a recording say under the policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PastHolds {
    /// Connections the declaration is about.
    pub connections: u64,
    /// Those that pass.
    pub pass: u64,
    /// Those that are denied.
    pub denied: u64,
    /// Those of which it is not known.
    pub unknown: u64,
    /// Whether ends are named by labels, which connections do not carry: then none is
    /// counted.
    pub nameless: bool,
}

impl Holds {
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

impl Checked {
    /// Both answers together: what is refuted by either is refuted.
    #[must_use]
    pub fn holds(&self) -> Holds {
        let past = self
            .by_history
            .map_or(Holds::Proven, |past| past.holds(self.assertion.reaches));
        self.by_policies.max(past)
    }
}

impl PastHolds {
    /// Whether the connections agree with the declaration; where there are none they do not
    /// disagree.
    #[must_use]
    pub fn holds(self, reaches: bool) -> Holds {
        let against = if reaches { self.denied } else { self.pass };
        if against > 0 {
            Holds::Refuted
        } else if self.unknown > 0 {
            Holds::Undecided
        } else {
            Holds::Proven
        }
    }
}

/// Names of labels that policies ask for, with the values they know.
pub(crate) type Keys = Vec<(Arc<str>, Vec<Arc<str>>)>;
