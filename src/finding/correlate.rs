//! Which findings tell one story.
//!
//! Owns the open incidents and what joins them: a finding joins the incidents that know its
//! subject or its peer and had something in the last hour; where that is several, they were
//! one story all along and become one. Bounded: 4,096 open incidents of 256 findings each;
//! of a full table the one that has been quiet for longest is let go of.
//!
//! A peer alone joins only what is of one kind of story: that many clients fail at one
//! server is no step of an attack on it. Causes come first: what somebody did is no
//! consequence of being called later, so who calls the subject of a story joins it only if
//! that was before the story began. A story of attack may go on after hours of quiet:
//! the same subject's next step joins it too.

use std::collections::{BTreeMap, BTreeSet};

use super::fingerprint::incident_id;
use super::kind::Tactic;
use super::open::{Member, Open};
use super::party::Party;
use super::severity::Severity;
use crate::baseline::Anchors;

const MINUTE: i64 = 60_000_000_000;
/// A story goes on for so long after its last finding.
const WINDOW: i64 = 60 * MINUTE;
/// The next step of the same subject joins for so long.
const STORY: i64 = 12 * 60 * MINUTE;
/// What begins later than this after a story's begin is another story.
const LONGEST: i64 = 24 * 60 * MINUTE;
/// Open incidents.
const MOST_OPEN: usize = 4_096;

/// The open incidents.
#[derive(Debug, Default)]
pub(super) struct Correlation {
    anchors: Anchors,
    /// By begin and id: the oldest first.
    open: BTreeMap<(i64, String), Open>,
    /// When the incident of an id begins.
    begun: BTreeMap<String, i64>,
    /// Incidents that know somebody.
    index: BTreeMap<Party, BTreeSet<(i64, String)>>,
}

/// What joining came to.
#[derive(Debug)]
pub(super) struct Joined {
    /// The incident.
    pub(super) id: String,
    /// Incidents that turned out to be part of it.
    pub(super) merged: Vec<String>,
}

impl Correlation {
    /// No incidents yet, whose severities are by these anchors.
    pub(super) fn new(anchors: Anchors) -> Self {
        Self {
            anchors,
            ..Self::default()
        }
    }

    /// Adds a finding; `None` where it may only join and there is nothing to join.
    pub(super) fn add(&mut self, member: Member, may_open: bool) -> Option<Joined> {
        let known = self.known(&member);
        let Some((oldest, others)) = known.split_first() else {
            return may_open.then(|| self.begin(member));
        };
        let merged: Vec<String> = others.iter().map(|(_, id)| id.clone()).collect();
        let mut taken: Vec<Open> = others.iter().filter_map(|key| self.remove(key)).collect();
        let mut one = self.remove(oldest)?;
        for other in taken.drain(..) {
            one.absorb(other);
        }
        one.add(member);
        let id = oldest.1.clone();
        self.insert(oldest.clone(), one);
        Some(Joined { id, merged })
    }

    /// Says that a finding goes on.
    pub(super) fn touch(&mut self, id: &str, now: i64, with: impl FnOnce(&mut Open)) {
        if let Some(one) = self.get_mut(id) {
            one.last = one.last.max(now);
            with(one);
        }
    }

    /// The open incident of a name.
    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Open> {
        let first = *self.begun.get(id)?;
        self.open.get_mut(&(first, id.to_owned()))
    }

    /// The open incidents, oldest first.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Open> {
        self.open.values_mut()
    }

    /// Lets go of what nothing can join any more.
    pub(super) fn expire(&mut self, now: i64) -> Vec<Open> {
        let over = |one: &Open| one.last.saturating_add(STORY) < now;
        let keys: Vec<(i64, String)> = self
            .open
            .iter()
            .filter(|(_, one)| over(one))
            .map(|(key, _)| key.clone())
            .collect();
        keys.iter().filter_map(|key| self.remove(key)).collect()
    }

    /// What had to go for want of room.
    pub(super) fn evict(&mut self) -> Vec<Open> {
        let over = self.open.len().saturating_sub(MOST_OPEN);
        if over == 0 {
            return Vec::new();
        }
        let all = self.open.iter();
        let mut quiet: Vec<(i64, (i64, String))> =
            all.map(|(key, one)| (one.last, key.clone())).collect();
        quiet.sort();
        quiet
            .iter()
            .take(over)
            .filter_map(|(_, key)| self.remove(key))
            .collect()
    }

    /// Entries held.
    pub(super) fn held(&self) -> usize {
        self.open
            .values()
            .map(|one| 1 + one.members.len())
            .sum::<usize>()
            + self.index.len()
    }

    fn begin(&mut self, member: Member) -> Joined {
        let id = incident_id(&member.id, member.first);
        let key = (member.first, id.clone());
        let one = Open::new(id.clone(), member).anchored(self.anchors);
        self.insert(key, one);
        Joined {
            id,
            merged: Vec::new(),
        }
    }

    /// The incidents that a finding joins, oldest first.
    fn known(&self, member: &Member) -> Vec<(i64, String)> {
        let mut found: BTreeSet<(i64, String)> = BTreeSet::new();
        let parties = std::iter::once(&member.subject).chain(&member.peer);
        for party in parties.filter(|party| !party.is_general()) {
            for key in self.index.get(party).into_iter().flatten() {
                if self
                    .open
                    .get(key)
                    .is_some_and(|one| joins(one, member, party))
                {
                    found.insert(key.clone());
                }
            }
        }
        found.into_iter().collect()
    }

    fn insert(&mut self, key: (i64, String), one: Open) {
        for party in one.parties() {
            self.index
                .entry(party.clone())
                .or_default()
                .insert(key.clone());
        }
        self.begun.insert(key.1.clone(), key.0);
        self.open.insert(key, one);
    }

    fn remove(&mut self, key: &(i64, String)) -> Option<Open> {
        let one = self.open.remove(key)?;
        self.begun.remove(&key.1);
        for party in one.parties() {
            if let Some(keys) = self.index.get_mut(party) {
                keys.remove(key);
                if keys.is_empty() {
                    self.index.remove(party);
                }
            }
        }
        Some(one)
    }
}

/// Whether a finding that shares somebody with an incident is part of it.
fn joins(one: &Open, member: &Member, shared: &Party) -> bool {
    let quiet = member.first.saturating_sub(one.last);
    if member.first.saturating_sub(one.first) > LONGEST {
        return false;
    }
    let called = *shared != member.subject && one.is_subject(shared) && !one.is_peer(shared);
    if called && member.first > one.first {
        return false;
    }
    let subject = *shared == member.subject && one.is_subject(shared);
    let alike = subject || one.has_like(is_attack(member.tactic), shared);
    if quiet <= WINDOW {
        return alike;
    }
    let serious =
        one.severity() >= Severity::Medium || Severity::of(member.score) >= Severity::Medium;
    quiet <= STORY
        && serious
        && (subject || one.is_peer(&member.subject))
        && is_attack(member.tactic)
        && one.members.values().any(|known| is_attack(known.tactic))
        && one
            .members
            .values()
            .all(|known| known.tactic != member.tactic)
}

/// Whether it may be a step of an attack.
fn is_attack(tactic: Tactic) -> bool {
    tactic > Tactic::Change
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::testing::{HOUR, MINUTE, TEN, name, workload};

    fn member(id: u8, kind: &str, subject: &str, peer: Option<Party>, first: i64) -> Member {
        let kind = crate::finding::KindInfo::of(kind).unwrap();
        Member::testing(format!("{id:016x}"), kind, workload(subject), peer, first)
    }

    fn add(correlation: &mut Correlation, member: Member) -> (String, usize) {
        let joined = correlation.add(member, true).unwrap();
        (joined.id, joined.merged.len())
    }

    #[test]
    fn what_one_workload_does_within_an_hour_is_one_story() {
        let mut all = Correlation::default();
        let (scan, _) = add(&mut all, member(1, "scan", "a/a", None, TEN));
        let edge = member(
            2,
            "new-edge",
            "a/a",
            Some(workload("b/b")),
            TEN + 50 * MINUTE,
        );
        assert_eq!(add(&mut all, edge), (scan.clone(), 0));
        // The window slides, also over the next hop.
        let next = member(
            3,
            "dns-exfiltration",
            "b/b",
            Some(name("evil.example")),
            TEN + 100 * MINUTE,
        );
        assert_eq!(add(&mut all, next).0, scan);
        let other = member(
            4,
            "new-edge",
            "c/c",
            Some(workload("d/d")),
            TEN + 100 * MINUTE,
        );
        assert_ne!(add(&mut all, other).0, scan);
        let later = member(
            5,
            "dns-exfiltration",
            "b/b",
            Some(name("evil.example")),
            TEN + 170 * MINUTE,
        );
        assert_ne!(add(&mut all, later).0, scan);
    }

    /// Scenario: a scan reaches, among others, a workload that did something unusual before.
    #[test]
    fn who_is_called_later_did_nothing_for_that() {
        let mut all = Correlation::default();
        let preview = Some(workload("preview/web"));
        let (scrape, _) = add(
            &mut all,
            member(1, "new-edge", "ops/prometheus", preview, TEN),
        );
        let called = Some(workload("ops/prometheus"));
        let scan = member(2, "new-edge", "c/c", called.clone(), TEN + MINUTE);
        assert_ne!(add(&mut all, scan).0, scrape);
        // Who called it before may be why.
        let mut all = Correlation::default();
        let (first, _) = add(&mut all, member(1, "new-edge", "c/c", called, TEN));
        let next = Some(workload("data/db"));
        let hop = member(2, "new-edge", "ops/prometheus", next, TEN + MINUTE);
        assert_eq!(add(&mut all, hop).0, first);
    }

    #[test]
    fn two_stories_that_meet_become_the_older_one() {
        let mut all = Correlation::default();
        let (one, _) = add(
            &mut all,
            member(1, "new-edge", "a/a", Some(workload("b/b")), TEN),
        );
        let (two, _) = add(&mut all, member(2, "scan", "c/c", None, TEN + MINUTE));
        assert_ne!(one, two);
        let bridge = member(
            3,
            "new-edge",
            "c/c",
            Some(workload("b/b")),
            TEN + 2 * MINUTE,
        );
        assert_eq!(add(&mut all, bridge), (one, 1));
        assert_eq!(all.open.len(), 1);
        assert!(all.get_mut(&two).is_none());
    }

    #[test]
    fn general_peers_join_nothing() {
        let mut all = Correlation::default();
        let world = || {
            Some(Party::Entity {
                name: "world".into(),
            })
        };
        let (one, _) = add(&mut all, member(1, "new-edge", "a/a", world(), TEN));
        assert_ne!(
            add(&mut all, member(2, "new-edge", "b/b", world(), TEN)).0,
            one
        );
    }

    /// Scenario: a database is down, and many clients are denied or fail at it, while
    /// somebody else scans it.
    #[test]
    fn an_outage_does_not_draw_in_a_scan_of_the_same_server() {
        let mut all = Correlation::default();
        let server = || Some(workload("data/db"));
        let (outage, _) = add(&mut all, member(1, "verdict-shift", "a/a", server(), TEN));
        assert_eq!(
            add(&mut all, member(2, "verdict-shift", "b/b", server(), TEN)).0,
            outage
        );
        let (scan, _) = add(&mut all, member(3, "scan", "c/c", server(), TEN));
        assert_ne!(scan, outage);
    }

    /// Scenario: hours lie between the steps of an attack.
    #[test]
    fn the_next_step_of_an_attack_joins_after_hours_and_another_of_its_kind_does_not() {
        let mut all = Correlation::default();
        let (one, _) = add(&mut all, member(1, "metadata", "a/a", None, TEN));
        let again = member(
            2,
            "metadata",
            "a/a",
            Some(name("x.example")),
            TEN + 4 * HOUR,
        );
        assert_ne!(add(&mut all, again).0, one);
        let mut all = Correlation::default();
        let (one, _) = add(&mut all, member(1, "metadata", "a/a", None, TEN));
        assert_eq!(
            add(&mut all, member(2, "scan", "a/a", None, TEN + 4 * HOUR)).0,
            one
        );
        let much_later = member(3, "beacon", "a/a", None, TEN + 17 * HOUR);
        assert_ne!(add(&mut all, much_later).0, one);
    }

    #[test]
    fn a_weak_finding_joins_and_does_not_open() {
        let mut all = Correlation::default();
        assert!(
            all.add(member(1, "scan", "a/a", None, TEN), false)
                .is_none()
        );
        let (one, _) = add(&mut all, member(2, "scan", "a/a", None, TEN));
        let weak = all
            .add(member(3, "new-edge", "a/a", None, TEN), false)
            .unwrap();
        assert_eq!(weak.id, one);
    }

    #[test]
    fn any_number_of_stories_is_bounded() {
        let mut all = Correlation::default();
        for at in 0..5_000_u32 {
            let subject = format!("ns/w{at}");
            let mut one = member(0, "scan", &subject, None, TEN + i64::from(at));
            one.id = format!("{at:016x}");
            all.add(one, true);
        }
        assert_eq!(all.evict().len(), 5_000 - MOST_OPEN);
        assert_eq!(all.open.len(), MOST_OPEN);
        assert!(all.held() <= 3 * MOST_OPEN);
        assert_eq!(all.expire(TEN + 13 * HOUR).len(), MOST_OPEN);
        assert_eq!(all.held(), 0);
    }
}
