//! From observations to incidents: the desk of `finding` as a taker of what detection finds.
//!
//! Owns what the desk asks about and the scene alone does not tell: which kind of gap it was,
//! when the subject was released, whether others fail at the same destination too.

use std::collections::BTreeSet;

use super::detection::{Observed, sample};
use crate::baseline::{HOUR, Tick};
use crate::connection::PeerId;
use crate::detect::{Observation, Passed, Scene};
use crate::finding::{Desk, DeskOptions, Line, Seen};
use crate::policy::Gap;

/// Others that must fail at a destination before it is taken to be down.
const OTHERS: usize = 2;

/// Takes observations and gives out findings and incidents as they come.
#[derive(Debug)]
pub struct Incidents {
    desk: Desk,
    lines: Vec<Line>,
}

impl Incidents {
    /// A desk that has seen nothing.
    #[must_use]
    pub fn new(options: DeskOptions) -> Self {
        Self {
            desk: Desk::new(options),
            lines: Vec::new(),
        }
    }

    /// What came since the last time; a session that goes on takes it after each batch.
    pub fn drain(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// Ends it: everything as it stands. [`Incidents::drain`] gives it.
    pub fn finish(&mut self) {
        self.desk.finish(&mut self.lines);
    }

    /// The desk, for its counts and its calibration.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }
}

impl Observed for Incidents {
    fn tick(&mut self, tick: &Tick, observed: Vec<Observation>, scene: &Scene<'_>) {
        let seen = observed
            .iter()
            .filter_map(|one| surrounded(one, tick, scene))
            .collect();
        self.desk.tick(scene.now, seen, &mut self.lines);
    }

    fn held(&self) -> usize {
        self.desk.held()
    }
}

/// An observation with its surroundings; `None` for a kind that findings do not have.
pub(super) fn surrounded(one: &Observation, tick: &Tick, scene: &Scene<'_>) -> Option<Seen> {
    let mut seen = Seen::of(one, scene)?;
    if one.gap {
        seen.around.gap = gap(one, tick).or(seen.around.gap);
    }
    let ago = scene.sight.changed_since(one.subject, scene.now, 2 * HOUR);
    seen.around.released = ago.map(|ago| scene.now.saturating_sub(ago));
    seen.around.outage = one.passed != Passed::Denied
        && one
            .peer
            .is_some_and(|peer| is_down(peer, one.subject, tick));
    Some(seen)
}

/// The gap of the connection it is about: the widest of both sides.
fn gap(one: &Observation, tick: &Tick) -> Option<Gap> {
    let sample = sample(one, tick)?;
    [sample.egress.gap, sample.ingress.gap]
        .into_iter()
        .flatten()
        .min()
}

/// Whether at least half of the others that came to a destination in this tick got no answer
/// there, and they are two or more.
fn is_down(peer: PeerId, subject: PeerId, tick: &Tick) -> bool {
    let (mut came, mut failed) = (BTreeSet::new(), BTreeSet::new());
    for group in &tick.groups {
        let there = group.key == peer || group.server == peer;
        if !there || group.client == subject || !group.fate.is_new() {
            continue;
        }
        came.insert(group.client);
        if group.fate.failed() {
            failed.insert(group.client);
        }
    }
    failed.len() >= OTHERS && failed.len() * 2 >= came.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Fate;
    use crate::baseline::testing::{Scenery, minute};

    #[test]
    fn a_destination_is_down_when_others_fail_there_too() {
        let mut scenery = Scenery::default();
        let mut tick = Tick {
            start: minute(0),
            ..Tick::default()
        };
        let at = minute(0) + 1;
        let mut come = |client: &str, fate| {
            tick.groups
                .push(scenery.group(client, "d/db", 5432, at, fate));
            tick.clone()
        };
        let alone = come("a/a", Fate::Unanswered);
        let one_more = come("b/b", Fate::Refused);
        let two_more = come("c/c", Fate::Refused);
        come("e/e", Fate::Answered);
        come("f/f", Fate::Answered);
        let mostly_well = come("g/g", Fate::Answered);
        let (server, subject) = (scenery.peer("d/db"), scenery.peer("a/a"));
        assert!(!is_down(server, subject, &alone));
        assert!(!is_down(server, subject, &one_more));
        assert!(is_down(server, subject, &two_more));
        assert!(!is_down(server, subject, &mostly_well));
    }
}
