//! Connections of one client with one destination within a tick, whatever became of them.
//!
//! Owns putting groups together that a novelty is judged by, and what is said of all of
//! them: how many, since when, whether they were let pass, which flows show it.

use super::observation::{Kind, Observation, Passed};
use super::words;
use crate::baseline::{Fate, Group, MOST_SAMPLES};
use crate::connection::PeerId;
use crate::flow::{FlowReference, Protocol};

/// Groups of one client, destination, port and protocol.
pub(super) struct Calls<'a> {
    groups: Vec<&'a Group>,
}

/// Groups of a tick put together by client, destination, port and protocol, in their order.
pub(super) fn calls(groups: &[Group]) -> Vec<Calls<'_>> {
    let mut all: Vec<Calls<'_>> = Vec::new();
    // Groups are sorted by client, then by destination: those of one are near each other.
    for of_pair in groups.chunk_by(|a, b| (a.client, a.key) == (b.client, b.key)) {
        let mut of_pair: Vec<&Group> = of_pair.iter().collect();
        of_pair.sort_by_key(|group| (group.port, group.protocol));
        for same in of_pair.chunk_by(|a, b| (a.port, a.protocol) == (b.port, b.protocol)) {
            all.push(Calls {
                groups: same.to_vec(),
            });
        }
    }
    all
}

impl<'a> Calls<'a> {
    pub(super) fn first(&self) -> &'a Group {
        self.groups[0]
    }

    pub(super) fn client(&self) -> PeerId {
        self.first().client
    }

    pub(super) fn key(&self) -> PeerId {
        self.first().key
    }

    pub(super) fn port(&self) -> (u16, Protocol) {
        (self.first().port, self.first().protocol)
    }

    pub(super) fn count(&self) -> u64 {
        self.groups.iter().map(|group| group.count).sum()
    }

    pub(super) fn from(&self) -> i64 {
        let first = self.groups.iter().map(|group| group.first).min();
        first.unwrap_or_default()
    }

    pub(super) fn to(&self) -> i64 {
        let last = self.groups.iter().map(|group| group.last).max();
        last.unwrap_or_default()
    }

    /// Whether something answered, or would have if it were not for a proxy.
    pub(super) fn answered(&self) -> bool {
        self.any(&[
            Fate::Answered,
            Fate::RequestDenied,
            Fate::Missed,
            Fate::Audited,
        ])
    }

    fn any(&self, fates: &[Fate]) -> bool {
        self.groups.iter().any(|group| fates.contains(&group.fate))
    }

    /// Whether they were dropped for another reason than policy, all of them.
    pub(super) fn is_trouble(&self) -> bool {
        let is_drop = |group: &&Group| matches!(group.fate, Fate::Dropped(_));
        self.groups.iter().all(is_drop)
    }

    pub(super) fn passed(&self) -> Passed {
        let of = |group: &&Group| match group.fate {
            Fate::Denied => Passed::Denied,
            Fate::Audited => Passed::Audited,
            _ => Passed::Allowed,
        };
        let mut passed = self.groups.iter().map(of);
        let first = passed.next().unwrap_or_default();
        passed.fold(first, Passed::and)
    }

    pub(super) fn samples(&self) -> Vec<FlowReference> {
        let mut samples: Vec<FlowReference> = self
            .groups
            .iter()
            .flat_map(|group| group.samples.iter().cloned())
            .collect();
        samples.sort_by(|a, b| (a.time, &a.node, a.tuple).cmp(&(b.time, &b.node, b.tuple)));
        samples.truncate(MOST_SAMPLES);
        samples
    }

    /// `3 connections since 2026-11-30 10:42:07 UTC, denied by policy.`
    pub(super) fn sentence(&self) -> String {
        let what = match self.passed() {
            Passed::Denied => "denied by policy",
            Passed::Audited => "let pass by audit mode only",
            Passed::Mixed => "let pass in part",
            Passed::Allowed if self.answered() => "let pass and answered",
            Passed::Allowed if self.any(&[Fate::Refused]) => "let pass and refused by a reset",
            Passed::Allowed if self.is_trouble() => "dropped, though not by policy",
            Passed::Allowed => "let pass and not answered",
        };
        let open = if self.any(&[Fate::Missed]) && self.groups.len() == 1 {
            "open since before"
        } else {
            "since"
        };
        format!(
            "{} {open} {}, {what}.",
            words::count(self.count(), "connection", "connections"),
            words::at(self.from())
        )
    }

    /// An observation about them, without its words and figures.
    pub(super) fn observation(&self, kind: Kind, p: f64) -> Observation {
        Observation {
            kind,
            subject: self.client(),
            peer: Some(self.key()),
            port: Some(self.port()),
            from: self.from(),
            to: self.to(),
            p,
            fixed: false,
            observed: self.count() as f64,
            expected: 0.0,
            n: self.count(),
            evidence: Vec::new(),
            normal: String::new(),
            samples: self.samples(),
            passed: self.passed(),
            gap: false,
            policies: Vec::new(),
            rules: Vec::new(),
            key: String::new(),
        }
    }
}
