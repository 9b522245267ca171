//! What is new with a release, told once.
//!
//! Owns which findings come together: everything that a workload does for the first time
//! within an hour of its release is one finding, which grows. What attackers want is told by
//! itself, release or not.

use super::desk::written;
use super::fingerprint::fingerprint;
use super::kind::{KINDS, KindInfo};
use super::moment;
use super::party::Party;
use super::record::{Finding, target};
use super::seen::Seen;
use crate::baseline::Anchors;
use crate::baseline::stat::cauchy;

const HOUR: i64 = 3_600_000_000_000;
/// Targets that a finding names.
const NAMED: usize = 10;
/// p-values kept; of more, the smallest.
const MOST_VALUES: usize = 64;

/// The findings of one release.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// When the release was.
    at: i64,
    values: Vec<(f64, f64)>,
    targets: Vec<String>,
    edges: u64,
}

/// The group that an observation is of; `None` where it stands for itself.
pub(super) fn of(seen: &Seen) -> Option<Group> {
    let at = seen.around.released?;
    let since = seen.from.saturating_sub(at);
    let grouped = seen.kind.novelty && seen.sensitivity() == 0.0 && (0..HOUR).contains(&since);
    grouped.then(|| Group {
        at,
        values: Vec::new(),
        targets: Vec::new(),
        edges: 0,
    })
}

/// The kind of such findings.
pub(super) fn kind() -> &'static KindInfo {
    // The catalogue has it: a test holds that.
    KindInfo::of("release").unwrap_or(&KINDS[0])
}

impl Group {
    pub(super) fn id(&self, subject: &Party) -> String {
        fingerprint(kind(), subject, None, None, &self.at.to_string())
    }

    /// The finding as it begins.
    pub(super) fn finding(&mut self, seen: &Seen, raw: f64, anchors: Anchors) -> Finding {
        self.note(seen, raw);
        self.written(seen, anchors)
    }

    /// Takes another observation in; whether there is a target more.
    pub(super) fn add(
        &mut self,
        seen: &Seen,
        raw: f64,
        finding: &mut Finding,
        anchors: Anchors,
    ) -> bool {
        let known = self.targets.len();
        let grew = self.note(seen, raw);
        let mut next = self.written(seen, anchors);
        next.first = finding.first.min(next.first);
        next.raised = finding.raised;
        next.last = finding.last.max(next.last);
        next.incident.clone_from(&finding.incident);
        next.evidence.count = finding.evidence.count.saturating_add(seen.count);
        next.flows.clone_from(&finding.flows);
        *finding = next;
        grew && self.targets.len() > known
    }

    fn note(&mut self, seen: &Seen, raw: f64) -> bool {
        let (port, protocol) = seen.port.map_or((None, None), |(port, protocol)| {
            (Some(port), Some(protocol.name()))
        });
        let target = target(seen.peer.as_ref(), port, protocol);
        let target = seen.kind.title(&seen.subject, target.as_deref());
        if self.targets.contains(&target) {
            return false;
        }
        self.edges += 1;
        self.values.push((seen.p, raw));
        self.values.sort_by(|one, other| one.0.total_cmp(&other.0));
        self.values.truncate(MOST_VALUES);
        if self.targets.len() < NAMED {
            self.targets.push(target);
        }
        true
    }

    fn written(&self, seen: &Seen, anchors: Anchors) -> Finding {
        let mut group = seen.clone();
        group.kind = kind();
        group.key = self.at.to_string();
        let (calibrated, raw): (Vec<f64>, Vec<f64>) = self.values.iter().copied().unzip();
        group.p = cauchy(&calibrated);
        let raw = cauchy(&raw);
        group.observed = self.edges as f64;
        group.expected = 0.0;
        group.around.daily = None;
        if self.edges > 1 {
            (group.peer, group.port) = (None, None);
        }
        let some = |count: u64, one: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        let minutes = seen.to.saturating_sub(self.at).max(0) / 60_000_000_000;
        group.evidence = vec![format!(
            "{} in the {} since {} was released at {}",
            some(self.edges, "new edge"),
            some(minutes.unsigned_abs(), "minute"),
            seen.subject,
            moment::text(self.at),
        )];
        group.evidence.extend(self.targets.iter().cloned());
        let more = self.edges.saturating_sub(self.targets.len() as u64);
        if more > 0 {
            group.evidence.push(format!("and {more} more"));
        }
        "accept the edges of this release, if they are what it was made for"
            .clone_into(&mut group.normal);
        let id = self.id(&seen.subject);
        written(&group, raw, id, anchors)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of few digits, exact in binary")]
mod tests {
    use super::*;
    use crate::finding::testing::{HOUR, MINUTE, TEN, at, seen, workload};
    use crate::flow::Protocol;

    #[test]
    fn the_catalogue_has_the_kind() {
        assert_eq!(kind().name, "release");
    }

    #[test]
    fn an_hour_after_a_release_what_is_new_belongs_to_it() {
        let edge = |minutes: i64| {
            let mut one = seen("new-edge", workload("a/a"), Some(workload("b/b")), 1e-5);
            one.around.released = Some(TEN);
            at(one, TEN + minutes * MINUTE)
        };
        assert!(of(&edge(0)).is_some());
        assert!(of(&edge(59)).is_some());
        assert!(of(&edge(60)).is_none());
        assert!(of(&edge(-1)).is_none());
        let mut wanted = edge(1);
        wanted.port = Some((5432, Protocol::Tcp));
        assert!(of(&wanted).is_none());
        let mut scan = edge(1);
        scan.kind = KindInfo::of("scan").unwrap();
        assert!(of(&scan).is_none());
    }

    #[test]
    fn a_group_grows_by_targets_and_names_ten() {
        let edge = |name: &str| {
            let mut one = seen("new-edge", workload("a/a"), Some(workload(name)), 1e-5);
            one.around.released = Some(TEN - HOUR / 4);
            one
        };
        let mut group = of(&edge("b/0")).unwrap();
        let hand = Anchors::BY_HAND;
        let mut finding = group.finding(&edge("b/0"), 1e-5, hand);
        assert_eq!(
            finding.title,
            "a/a talks to others since its release, among them b/0:8443/TCP"
        );
        assert!(!group.add(&edge("b/0"), 1e-5, &mut finding, hand));
        for number in 1..12 {
            let edge = edge(&format!("b/{number}"));
            let grew = group.add(&edge, 1e-5, &mut finding, hand);
            assert_eq!(grew, number < 10);
        }
        assert_eq!(finding.evidence.observed, Some(12.0));
        assert_eq!(
            finding.evidence.text[0],
            "12 new edges in the 15 minutes since a/a was released at 2026-06-01T09:45:00Z"
        );
        assert_eq!(finding.evidence.text.len(), 12);
        assert_eq!(finding.evidence.text[11], "and 2 more");
        assert!(finding.peer.is_none());
        // Equal values combine to themselves; the release takes its part.
        assert_eq!(finding.score, 3.5);
    }
}
