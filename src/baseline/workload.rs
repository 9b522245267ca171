//! What is known of one workload.
//!
//! Owns its age, what it was seen to ask DNS and HTTP for, its verdicts and its rates. Its
//! edges are `model`'s.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::rates::Rates;
use super::stage::Stage;

/// What is known of a workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadProfile {
    /// When it was first seen, in nanoseconds since 1970 UTC.
    pub first: i64,
    /// When it was last seen.
    pub last: i64,
    /// Pairs of an edge and a day.
    pub trials: u64,
    /// Of the edges, and of the trials, those to destinations outside the cluster.
    pub outside: (u64, u64),
    /// Pairs of an edge and an hour.
    pub activity: u64,
    /// Edges.
    pub edges: u64,
    /// Edges that were seen in one hour only.
    pub once: u64,
    /// New connections a tick, as a client.
    pub rates: Rates,
    /// Registered domains that it asked DNS for.
    pub names: HashMap<Arc<str>, NameProfile, RandomState>,
    /// Requests it sends, `METHOD template`.
    pub requests: HashMap<Arc<str>, NameProfile, RandomState>,
    /// What became of its connections.
    pub verdicts: VerdictMix,
    /// The stage that its file says, from which it does not fall back.
    pub declared: Stage,
}

impl WorkloadProfile {
    /// Trials and edges, of destinations outside the cluster or in it.
    #[must_use]
    pub fn trials_of(&self, outside: bool) -> (u64, u64) {
        let (edges, trials) = self.outside;
        if outside {
            (trials, edges)
        } else {
            (
                self.trials.saturating_sub(trials),
                self.edges.saturating_sub(edges),
            )
        }
    }

    pub(super) fn add_trials(&mut self, trials: u64, outside: bool) {
        self.trials += trials;
        if outside {
            self.outside.1 += trials;
        }
    }

    pub(super) fn remove_trials(&mut self, trials: u64, outside: bool) {
        self.trials = self.trials.saturating_sub(trials);
        if outside {
            self.outside.1 = self.outside.1.saturating_sub(trials);
        }
    }
}

/// What is known of a name or a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NameProfile {
    /// When it was first seen.
    pub first: i64,
    /// When it was last seen.
    pub last: i64,
    /// How often.
    pub count: u64,
    /// Of these, how many failed: no such name, or a status of 400 and more.
    pub failed: u64,
}

impl NameProfile {
    pub(super) fn add(&mut self, time: i64, count: u64, failed: bool) {
        if self.count == 0 {
            self.first = time;
        }
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.count = self.count.saturating_add(count);
        if failed {
            self.failed = self.failed.saturating_add(count);
        }
    }
}

/// What became of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictMix {
    /// Let pass.
    pub passed: u64,
    /// Denied by policy.
    pub denied: u64,
    /// Let pass by audit mode.
    pub audited: u64,
    /// Dropped for another reason.
    pub dropped: u64,
}
