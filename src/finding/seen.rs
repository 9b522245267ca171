//! What a detector saw, with its surroundings: what findings are made of.
//!
//! Owns the values that severity asks for. Where they come from is the caller's: an
//! observation of `detect`, the policies, the baseline, the losses.

use super::fingerprint::fingerprint;
use super::kind::{KindInfo, sensitivity};
use super::party::Party;
use super::record::{Completeness, RuleRef};
use crate::detect::Passed;
use crate::flow::Protocol;
use crate::policy::Gap;

/// One observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Of which kind.
    pub kind: &'static KindInfo,
    /// Who did it.
    pub subject: Party,
    /// With whom; `None` where there are many.
    pub peer: Option<Party>,
    /// On which port.
    pub port: Option<(u16, Protocol)>,
    /// What tells it from another of the same kind, subject, peer and port.
    pub key: String,
    /// Begin, in nanoseconds since 1970 UTC.
    pub from: i64,
    /// End.
    pub to: i64,
    /// How likely it is without a reason.
    pub p: f64,
    /// A rule's weight, which no data calibrates.
    pub fixed: bool,
    /// What was counted; not finite where there is no such number.
    pub observed: f64,
    /// What was expected.
    pub expected: f64,
    /// Connections or requests behind it.
    pub count: u64,
    /// Sentences.
    pub evidence: Vec<String>,
    /// What would make it normal.
    pub normal: String,
    /// Flows that show it.
    pub flows: Vec<String>,
    /// What the network did with it.
    pub passed: Passed,
    /// Policies that Hubble names.
    pub policies: Vec<String>,
    /// What is around it.
    pub around: Around,
}

/// What is known of the surroundings of an observation. `Default` knows nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Around {
    /// It passed, and nobody asked for it.
    pub gap: Option<Gap>,
    /// The rules that decided.
    pub rules: Vec<RuleRef>,
    /// Share of the cluster's workloads that use the destination, 0 to 1.
    pub prevalence: Option<f64>,
    /// For how long the destination has been known, in nanoseconds.
    pub age: Option<i64>,
    /// The subject takes connections from outside.
    pub exposed: bool,
    /// When the subject was last released, in nanoseconds since 1970 UTC.
    pub released: Option<i64>,
    /// Others fail at the same destination: it is down.
    pub outage: bool,
    /// How often a day a finding as unlikely comes here; known to the desk where there were
    /// shadow days.
    pub daily: Option<f64>,
    /// How much of the time was seen.
    pub completeness: Completeness,
    /// The subject is still being learned: nothing of it is more than low.
    pub learning: bool,
    /// The subject is known, and not long enough to be judged by itself: what is said of it
    /// is more than low only where shadow days tell how often such things come.
    pub shadow: bool,
}

impl Seen {
    /// The fingerprint.
    #[must_use]
    pub fn id(&self) -> String {
        fingerprint(
            self.kind,
            &self.subject,
            self.peer.as_ref(),
            self.port,
            &self.key,
        )
    }

    /// How much an attacker wants its target, as [`sensitivity`] has it.
    #[must_use]
    pub fn sensitivity(&self) -> f64 {
        let port = self.port.map(|(port, _)| port);
        sensitivity(self.kind, self.peer.as_ref(), port)
    }

    /// Whether it is about many targets, so that being denied is no comfort.
    #[must_use]
    pub fn is_broad(&self) -> bool {
        // The same target again and again is a misconfiguration.
        self.kind.breadth && self.key != "misconfigured"
    }

    /// The order in which observations of one tick are taken, whatever order they came in.
    pub(super) fn order(&self, other: &Self) -> std::cmp::Ordering {
        let key = |seen: &Self| (seen.from, seen.to);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.kind.name.cmp(other.kind.name))
            .then_with(|| self.subject.cmp(&other.subject))
            .then_with(|| self.peer.cmp(&other.peer))
            .then_with(|| self.port.cmp(&other.port))
            .then_with(|| self.key.cmp(&other.key))
            .then_with(|| self.p.total_cmp(&other.p))
            .then_with(|| self.count.cmp(&other.count))
            .then_with(|| self.evidence.cmp(&other.evidence))
            .then_with(|| self.flows.cmp(&other.flows))
    }
}
