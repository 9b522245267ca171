//! What a rule or a part of one was for.
//!
//! Owns the counts and the doubts. Where they come from is `tally`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::policy::Cause;
use crate::review::report::Seen;

/// Rules that are named as sharing the work of one.
pub(super) const MOST_PARTNERS: usize = 8;

/// What something was for: connections, or requests where it is a rule of layer 7.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Use {
    /// That pass, or are denied, by it alone.
    pub alone: u64,
    /// That others let pass, or deny, as well.
    pub shared: u64,
    /// Of an allow: that a deny takes away again. Of a deny: that nothing allows anyway.
    pub idle: u64,
    /// Some flow passes by it or, where it denies, runs into it, whether it was counted or
    /// not.
    pub touched: bool,
    /// Rules that share with it, by index; the first few.
    pub with: BTreeSet<u32>,
    /// Why it may be needed all the same, and for how many connections.
    pub doubts: BTreeMap<Doubt, u64>,
    /// From when to when.
    pub seen: Seen,
}

/// Why something may be needed although nothing shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Doubt {
    /// Connections that may fall under it have an unknown verdict.
    Unknown(Cause),
    /// Connections that may fall under it could not be judged.
    Unjudged,
    /// Connections of its subjects passed that these policies deny: what let them pass is not
    /// known.
    Drift,
    /// A job that it is for runs less often than the recording is long.
    Job(Arc<str>),
    /// No request was recorded of connections that it is about.
    NoRequests,
    /// Requests were recorded, and none of the rules beside it lets any pass.
    AllRefused,
}

/// A rule and its parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleUse {
    /// All of it.
    pub rule: Use,
    /// In the order of [`WrittenRule::parts`].
    pub parts: Vec<Use>,
    /// Whether anybody it applies to was seen.
    pub subjects_seen: bool,
    /// For each part that is a rule of layer 7 whether requests on its port were seen.
    pub(super) asked: BTreeSet<usize>,
}

/// How much of something is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Alone,
    Shared,
    Idle,
}

impl Use {
    pub(super) fn add(&mut self, share: Share, count: u64, seen: Seen) {
        self.touched |= share != Share::Idle;
        self.seen.merge(seen);
        match share {
            Share::Alone => self.alone += count,
            Share::Shared => self.shared += count,
            Share::Idle => self.idle += count,
        }
    }

    pub(super) fn doubt(&mut self, doubt: &Doubt, count: u64) {
        *self.doubts.entry(doubt.clone()).or_default() += count;
    }
}
