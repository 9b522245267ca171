//! What follows of what was seen of a quarantine.
//!
//! Owns the weighing: something that got through last refutes, whatever else is missing; a
//! drop by the quarantine after the last that got through, and time enough since, proves;
//! holes on the target's nodes in that time, and what was not tried, leave it undecided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::watch::Moments;
use super::{Answer, Side, Survivor, Verified, Wanted};
use crate::flow::{Loss, counted};
use crate::policy::Direction;

/// What was seen of the whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// First and last time of any flow.
    pub(super) times: Option<(i64, i64)>,
    /// Flows of the target.
    pub(super) flows: u64,
    /// Flows without a time.
    pub(super) timeless: u64,
    pub(super) replies: u64,
    pub(super) unsure: u64,
    /// Flows of sides there was no room for.
    pub(super) left_out: u64,
    /// When the label was first seen on the target, and last.
    pub(super) labelled: Option<i64>,
    pub(super) last_labelled: Option<i64>,
    /// When the target was last seen without it.
    pub(super) last_unlabelled: Option<i64>,
    /// Nodes that tell of the target.
    pub(super) nodes: BTreeSet<Arc<str>>,
    pub(super) holes: Vec<(Arc<str>, Loss)>,
}

/// What was seen of each pod and direction.
pub(super) type Sides = BTreeMap<(Arc<str>, Direction), Moments>;
/// What got through, by pod, direction, peer, port and protocol.
pub(super) type Survivors = BTreeMap<(Arc<str>, Direction, String, u16, u8), Survivor>;

pub(super) fn decide(
    wanted: &Wanted,
    seen: &Seen,
    sides: &Sides,
    survivors: &Survivors,
) -> Verified {
    let since = wanted.since.or_else(|| shown(wanted, seen, sides));
    let mut case = Case {
        wanted,
        seen,
        since,
        end: seen.times.map_or(0, |(_, last)| last),
        why: Vec::new(),
    };
    let told: Vec<Side> = sides
        .iter()
        .map(|((who, direction), moments)| case.side(who.clone(), *direction, moments))
        .collect();
    let answer = if wanted.rolled_back {
        case.gone(&told)
    } else {
        case.holds(&told)
    };
    let took = case.took(&told);
    let mut survivors: Vec<Survivor> = survivors
        .values()
        .filter(|one| !wanted.rolled_back && case.is_survivor(one))
        .cloned()
        .collect();
    survivors.sort_by(|one, other| {
        (other.flows, &one.who, &one.peer).cmp(&(one.flows, &other.who, &other.peer))
    });
    let holes = case.holes(case.since.unwrap_or(i64::MIN));
    Verified {
        answer,
        why: case.why,
        watched: seen.times,
        since,
        took,
        sides: told,
        survivors,
        replies: seen.replies,
        unsure: seen.unsure,
        flows: seen.flows,
        holes: (
            holes.len() as u64,
            holes.iter().map(|loss| loss.events).sum(),
        ),
    }
}

/// When flows first show it: the label on the target, a drop by its name. Taken back, the
/// last of them.
fn shown(wanted: &Wanted, seen: &Seen, sides: &Sides) -> Option<i64> {
    if wanted.rolled_back {
        let dropped = sides.values().filter_map(|side| side.last_dropped).max();
        return dropped.max(seen.last_labelled);
    }
    let dropped = sides
        .values()
        .filter(|side| side.named > 0)
        .filter_map(Moments::first_dropped);
    dropped.chain(seen.labelled).min()
}

struct Case<'a> {
    wanted: &'a Wanted,
    seen: &'a Seen,
    since: Option<i64>,
    /// How far was watched.
    end: i64,
    why: Vec<String>,
}

impl Case<'_> {
    fn side(&self, who: Arc<str>, direction: Direction, moments: &Moments) -> Side {
        Side {
            answer: self.answer(moments),
            who,
            direction,
            passed: moments.passed,
            last_passed: moments.last_passed,
            dropped: moments.dropped,
            named: moments.named,
            first_dropped: moments.first_dropped(),
            last_dropped: moments.last_dropped,
        }
    }

    /// What one side shows.
    fn answer(&self, side: &Moments) -> Answer {
        if self.wanted.rolled_back {
            return match (side.last_passed, side.last_dropped) {
                (Some(passed), Some(dropped)) if passed > dropped => Answer::Proven,
                (Some(_), None) => Answer::Proven,
                (_, Some(dropped)) if self.end - dropped < self.wanted.settle => Answer::Refuted,
                _ => Answer::Undecided,
            };
        }
        match (side.last_passed, side.first_dropped()) {
            // Whatever was dropped before, it got through again.
            (Some(passed), None) if side.dropped > 0 || self.end - passed < self.wanted.settle => {
                Answer::Refuted
            }
            (Some(passed), None) if self.since.is_some_and(|since| passed > since) => {
                Answer::Refuted
            }
            (_, Some(_)) => Answer::Proven,
            _ => Answer::Undecided,
        }
    }

    /// Whether the quarantine holds.
    fn holds(&mut self, sides: &[Side]) -> Answer {
        if self.seen.flows == 0 {
            self.why.push("no flow of the target was seen".to_owned());
            return Answer::Undecided;
        }
        let through: u64 = sides
            .iter()
            .filter(|side| side.answer == Answer::Refuted)
            .map(|side| side.passed)
            .sum();
        if through > 0 {
            let at = self.label_doubt();
            self.why.push(format!(
                "{} got through that the quarantine denies{at}",
                counted(through, "flow", "flows")
            ));
            return Answer::Refuted;
        }
        let mut doubts = Vec::new();
        if sides.iter().all(|side| side.dropped == 0) {
            doubts.push(
                "nothing was tried that the quarantine denies: make the target try, or wait"
                    .to_owned(),
            );
        } else if sides.iter().all(|side| side.named == 0) {
            doubts.push(
                "it is dropped by a rule, and no drop names the quarantine: it may be another policy's"
                    .to_owned(),
            );
        }
        let mut proven: BTreeSet<&str> = BTreeSet::new();
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for side in sides {
            match side.answer {
                Answer::Proven => proven.insert(&side.who),
                _ => open.insert(&side.who),
            };
        }
        let open: Vec<&str> = open.difference(&proven).copied().collect();
        if !open.is_empty() {
            doubts.push(format!(
                "nothing of {} was dropped since something of it got through",
                open.join(", ")
            ));
        }
        let effect = self.effect(sides);
        if let Some(effect) = effect.filter(|effect| self.end - effect < self.wanted.settle) {
            doubts.push(format!(
                "only {} were watched since it took effect, {} are asked for",
                seconds(self.end - effect),
                seconds(self.wanted.settle)
            ));
        }
        self.loss(effect.or(self.since), &mut doubts);
        self.others(&mut doubts);
        if doubts.is_empty() {
            self.tell(sides);
            return Answer::Proven;
        }
        self.why.extend(doubts);
        Answer::Undecided
    }

    /// Whether it is gone.
    fn gone(&mut self, sides: &[Side]) -> Answer {
        if self.seen.flows == 0 {
            self.why.push("no flow of the target was seen".to_owned());
            return Answer::Undecided;
        }
        let denied: Vec<&Side> = sides
            .iter()
            .filter(|side| side.answer == Answer::Refuted)
            .collect();
        if !denied.is_empty() {
            let drops: u64 = denied.iter().map(|side| side.dropped).sum();
            self.why.push(format!(
                "the quarantine still denies: {}",
                counted(drops, "drop", "drops")
            ));
            return Answer::Refuted;
        }
        let mut doubts = Vec::new();
        if let Some(labelled) = self.seen.last_labelled
            && self
                .seen
                .last_unlabelled
                .is_none_or(|bare| bare <= labelled)
        {
            doubts.push("flows still show the label of the quarantine on the target".to_owned());
        }
        if !sides.iter().any(|side| side.answer == Answer::Proven) {
            doubts.push(
                "nothing was tried that the quarantine denied: make the target try, or wait"
                    .to_owned(),
            );
        }
        let effect = sides.iter().filter_map(|side| side.last_dropped).max();
        self.loss(effect.or(self.since), &mut doubts);
        self.others(&mut doubts);
        if doubts.is_empty() {
            let passed: u64 = sides.iter().map(|side| side.passed).sum();
            self.why.push(format!(
                "{} went on that the quarantine denied, and none was dropped since",
                counted(passed, "flow", "flows")
            ));
            return Answer::Proven;
        }
        self.why.extend(doubts);
        Answer::Undecided
    }

    /// From when on nothing got through.
    fn effect(&self, sides: &[Side]) -> Option<i64> {
        let passed = sides.iter().filter_map(|side| side.last_passed).max();
        let dropped = sides.iter().filter_map(|side| side.first_dropped).min();
        passed
            .or(dropped)
            .max(self.since.filter(|_| dropped.is_some()))
    }

    /// How long it took, at least and at most.
    fn took(&self, sides: &[Side]) -> Option<(i64, i64)> {
        let since = self.wanted.since.or(self.since)?;
        let (least, most) = if self.wanted.rolled_back {
            let dropped = sides.iter().filter_map(|side| side.last_dropped).max();
            let passed = sides.iter().filter_map(|side| side.last_passed).min();
            (dropped, passed?)
        } else {
            let passed = sides.iter().filter_map(|side| side.last_passed).max();
            let dropped = sides
                .iter()
                .filter(|side| side.answer == Answer::Proven)
                .filter_map(|side| side.first_dropped)
                .max();
            (passed, dropped?)
        };
        let least = least.map_or(0, |time| (time - since).max(0));
        Some((least, (most - since).max(least)))
    }

    fn is_survivor(&self, one: &Survivor) -> bool {
        self.since.is_none_or(|since| one.last >= since)
    }

    /// What a hole hides.
    fn loss(&self, from: Option<i64>, doubts: &mut Vec<String>) {
        let holes = self.holes(from.unwrap_or(i64::MIN));
        if holes.is_empty() {
            return;
        }
        let events: Option<u64> = holes.iter().map(|loss| loss.events).sum();
        doubts.push(match events {
            Some(0) => return,
            Some(events) => format!(
                "{} of its nodes are missing: something may have got through unseen",
                counted(events, "event", "events")
            ),
            None => format!(
                "its nodes were not seen all the time ({}): something may have got through unseen",
                counted(holes.len() as u64, "hole", "holes")
            ),
        });
    }

    fn others(&self, doubts: &mut Vec<String>) {
        if self.seen.unsure > 0 {
            doubts.push(format!(
                "of {} it is not known whether the quarantine is about them",
                counted(self.seen.unsure, "flow", "flows")
            ));
        }
        if self.seen.timeless > 0 {
            doubts.push(format!(
                "{} have no time",
                counted(self.seen.timeless, "flow", "flows")
            ));
        }
        if self.seen.left_out > 0 {
            doubts.push("there are more pods than are told apart".to_owned());
        }
    }

    fn holes(&self, from: i64) -> Vec<Loss> {
        let holes = self.seen.holes.iter();
        holes
            .filter(|(_, loss)| loss.last >= from)
            .map(|(_, loss)| *loss)
            .collect()
    }

    /// Why it may be so.
    fn label_doubt(&self) -> String {
        match (&self.wanted.label, self.seen.labelled) {
            (Some((key, value)), None) => format!(
                "; no flow shows {key}={value} on the target: is it labelled, and do the agents take the label into identities?"
            ),
            _ => String::new(),
        }
    }

    fn tell(&mut self, sides: &[Side]) {
        let dropped: u64 = sides.iter().map(|side| side.dropped).sum();
        let named: u64 = sides.iter().map(|side| side.named).sum();
        let since = self.effect(sides).map_or(String::new(), |effect| {
            format!(" in {}", seconds(self.end - effect))
        });
        self.why.push(format!(
            "{} by the quarantine, {} by its name, and nothing it denies got through{since}",
            counted(dropped, "drop", "drops"),
            crate::flow::thousands(named)
        ));
        for direction in Direction::BOTH {
            if !sides.iter().any(|side| side.direction == direction) {
                self.why.push(format!(
                    "{} was not tried and so not shown",
                    direction.name()
                ));
            }
        }
    }
}

/// `12 s`, `1.5 s`.
fn seconds(nanos: i64) -> String {
    let tenths = nanos / 100_000_000;
    if tenths % 10 == 0 {
        format!("{} s", tenths / 10)
    } else {
        format!("{}.{} s", tenths / 10, tenths % 10)
    }
}
