//! What D1, D2 and D3 have in common: when something new is worth saying, and how often.
//!
//! Owns the threshold, what a release explains, and that one thing is said for an hour and
//! then no more: whether it stays is for the baseline, not for another finding.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::calls::Calls;
use super::scene::Scene;
use super::tested::Tested;
use super::words;
use crate::baseline::{DAY, HOUR, Novelty, Stage};
use crate::connection::{Edge, Peer, PeerId};
use crate::flow::Protocol;

/// What is more probable than this is not said.
pub(super) const LEAST: f64 = 0.01;
/// How long after a change of its template a workload is expected to call something new.
pub(super) const EXPECTED: i64 = HOUR;
/// How often a release brings a new destination.
const RELEASED: f64 = 0.15;
/// How long it is told again that something is new.
const TOLD: i64 = HOUR;
/// What was silent for so long is told again, where a rule says it.
const SILENT: i64 = DAY;
/// Things that are remembered to have been told.
const MOST: usize = 1 << 16;
/// How long.
const MEMORY: i64 = 45 * DAY;

/// Which port of a destination of a client.
type Place = (PeerId, PeerId, Option<(u16, Protocol)>);

/// What was told, and when first and last seen.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<Place, (i64, i64), RandomState>);

impl Told {
    /// Notes that something new was seen. Says whether it is told, for the first time or for
    /// an hour after.
    pub(super) fn tells(&mut self, place: Place, now: i64) -> bool {
        if self.0.len() >= MOST && !self.0.contains_key(&place) {
            self.0
                .retain(|_, (_, last)| last.saturating_add(MEMORY) > now);
            if self.0.len() >= MOST {
                // Forget the half that was not seen for longest.
                let mut seen: Vec<i64> = self.0.values().map(|(_, last)| *last).collect();
                seen.sort_unstable();
                let middle = seen[seen.len() / 2];
                self.0.retain(|_, (_, last)| *last > middle);
            }
        }
        let told = self.0.entry(place).or_insert((now, now));
        if told.1.saturating_add(MEMORY) < now {
            *told = (now, now);
        }
        told.1 = told.1.max(now);
        now.saturating_sub(told.0) < TOLD
    }

    /// The same for what is told again when it was silent for a day: nobody has approved it,
    /// and that it comes back says more than that it is there.
    pub(super) fn tells_again(&mut self, place: Place, now: i64) -> bool {
        if let Some(told) = self.0.get_mut(&place)
            && told.1.saturating_add(SILENT) < now
        {
            *told = (now, now);
        }
        self.tells(place, now)
    }

    pub(super) fn held(&self) -> usize {
        self.0.len()
    }
}

/// Names that were told to have been asked for. Bounded by [`MOST_ASKED`] of a day; of more
/// nothing is told.
#[derive(Debug, Default)]
pub(super) struct Asked(BTreeMap<(PeerId, Arc<str>), i64>);

/// Names that are remembered.
const MOST_ASKED: usize = 1 << 12;

impl Asked {
    /// As [`Told::tells`].
    pub(super) fn tells(&mut self, client: PeerId, name: &Arc<str>, now: i64) -> bool {
        if self.0.len() >= MOST_ASKED {
            self.0.retain(|_, first| first.saturating_add(DAY) > now);
        }
        if self.0.len() >= MOST_ASKED {
            return false;
        }
        let first = *self.0.entry((client, Arc::clone(name))).or_insert(now);
        now.saturating_sub(first) < TOLD
    }

    pub(super) fn held(&self) -> usize {
        self.0.len()
    }
}

/// What novelty is a probability of, as the model counts it: edges of a day, whether they are
/// known and wherever they lead, and days of workloads that called nobody. Bounded by
/// [`MOST_TRIALS`] a day; what is beyond is not counted.
#[derive(Debug, Default)]
pub(super) struct Trials {
    day: i64,
    seen: HashSet<Place, RandomState>,
    tested: Tested,
}

/// Edges of a day that are told apart.
const MOST_TRIALS: usize = 1 << 18;

impl Trials {
    /// Begins the day of a time, where that is another one. Of the one before, workloads that
    /// are judged and called nobody had a trial, too.
    pub(super) fn begin(&mut self, now: i64, scene: &Scene<'_>) {
        let day = now.div_euclid(DAY);
        if day <= self.day {
            return;
        }
        if self.day > 0 {
            let called: HashSet<PeerId, RandomState> =
                self.seen.iter().map(|(client, ..)| *client).collect();
            let idle = scene.model.workloads().filter(|(client, profile)| {
                let was_there = profile.first.div_euclid(DAY) < day;
                was_there && !called.contains(client) && is_judged(scene, *client)
            });
            let idle = idle.count() as u64;
            self.tested.count(idle);
            self.tested.check(idle);
        }
        self.day = day;
        self.seen.clear();
    }

    /// The same for ports, of which days without a call are no trials.
    pub(super) fn begin_ports(&mut self, now: i64) {
        let day = now.div_euclid(DAY);
        if day > self.day {
            self.day = day;
            self.seen.clear();
        }
    }

    /// Counts an edge, once a day; whether this was the first time.
    pub(super) fn count(&mut self, place: Place) -> bool {
        let first = self.seen.len() < MOST_TRIALS && self.seen.insert(place);
        if first {
            self.tested.count(1);
            self.tested.check(1);
        }
        first
    }

    /// Notes the probability of an edge that was counted; of one that is known that is 1.
    pub(super) fn note(&mut self, p: f64) {
        self.tested.note(p);
    }

    /// Trials since the last time.
    pub(super) fn take(&mut self) -> Tested {
        self.tested.take()
    }

    pub(super) fn held(&self) -> usize {
        self.seen.len()
    }
}

/// Whether new things of a client are judged: a workload that is past learning.
pub(super) fn is_judged(scene: &Scene<'_>, client: PeerId) -> bool {
    matches!(scene.peers.get(client), Peer::Workload { .. })
        && scene.model.stage(client) >= Stage::Shadow
}

/// The probability with what explains it: a release of the client makes new destinations
/// likelier.
pub(super) fn explained(p: f64, share: f64, client: PeerId, scene: &Scene<'_>) -> f64 {
    let mut p = p;
    if scene
        .sight
        .changed_since(client, scene.now, EXPECTED)
        .is_some()
        && share > 0.0
    {
        p *= (RELEASED / share).max(1.0);
    }
    p.min(1.0)
}

/// That somebody called a place, `for the first time` unless it was seen before and is held
/// back from the baseline: that nobody was told of it does not make it new.
pub(super) fn called(one: &Calls<'_>, place: &str, novelty: &Novelty, scene: &Scene<'_>) -> String {
    let client = one.client();
    let (port, protocol) = one.port();
    let edge = Edge {
        client,
        server: one.key(),
        port,
        protocol,
    };
    let before = scene
        .model
        .pending(&edge)
        .filter(|held| held.first < one.from().saturating_sub(HOUR));
    let how = match before {
        None => "for the first time".to_owned(),
        Some(held) => format!(
            "again; its baseline holds back {} since {}, because {}",
            words::count(held.count, "connection", "connections"),
            words::at(held.first),
            held.why.name()
        ),
    };
    let who = words::who(scene.peers, client);
    let history = history(novelty, client, scene);
    format!("{who} called {place} {how} ({history}).")
}

/// `31 days observed, 14 known destinations in the cluster; none of 312 other workloads use
/// it`.
fn history(novelty: &Novelty, client: PeerId, scene: &Scene<'_>) -> String {
    let observed = scene.model.readiness(client).observed;
    let others = novelty.workloads.saturating_sub(1) as u64;
    let users = match novelty.users {
        0 => format!(
            "none of the {} uses it",
            words::count(others, "other workload", "other workloads")
        ),
        users => format!(
            "{} of {} use it",
            words::number(users as u64),
            words::count(others, "other workload", "other workloads")
        ),
    };
    let also = match novelty.awaiting {
        0 => String::new(),
        also => format!(
            "; it is new to {} as well",
            words::count(also as u64, "other", "others")
        ),
    };
    format!(
        "{} observed, {} known; {users}{also}",
        words::span(observed),
        words::count(
            novelty.distinct,
            "destination and port",
            "destinations and ports"
        ),
    )
}

/// What is said of a change of the client's template.
pub(super) fn release(client: PeerId, scene: &Scene<'_>) -> Option<String> {
    let before = scene.sight.changed_since(client, scene.now, EXPECTED)?;
    Some(format!(
        "Its pods have a new template since {}.",
        words::span(before)
    ))
}

/// What is said where the baseline is not active.
pub(super) fn caution(client: PeerId, scene: &Scene<'_>) -> Option<String> {
    let readiness = scene.model.readiness(client);
    (readiness.stage() < Stage::Active).then(|| {
        format!(
            "Its baseline is in {}: {}.",
            readiness.stage(),
            readiness.missing().join("; ")
        )
    })
}

/// What would make it normal.
pub(super) fn normal(client: &str, place: &str) -> String {
    format!(
        "if it is meant to be, approve it: flowwatch baseline approve {client} --to {place}; \
         if it must not be, forbid it, and deny it by policy"
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::super::{Detector, NewEdge};
    use super::*;
    use crate::baseline::Fate;

    #[test]
    fn one_thing_is_told_for_an_hour() {
        let mut told = Told::default();
        let place = |at| (PeerId(2), PeerId(at), None);
        assert!(told.tells(place(3), 0));
        assert!(told.tells(place(3), HOUR - 1));
        assert!(!told.tells(place(3), HOUR));
        assert!(!told.tells(place(3), 20 * DAY));
        assert!(told.tells(place(4), 20 * DAY));
        assert!(told.tells(place(3), 70 * DAY));
    }

    #[test]
    fn what_comes_back_after_a_day_is_told_again_by_rules() {
        let mut told = Told::default();
        let place = (PeerId(2), PeerId(3), None);
        assert!(told.tells_again(place, 0));
        assert!(!told.tells_again(place, 2 * HOUR));
        assert!(!told.tells_again(place, DAY));
        assert!(told.tells_again(place, 2 * DAY + 1));
        assert!(!told.tells_again(place, 2 * DAY + 2 * HOUR));
    }

    /// Scenario: of three workloads, one of which only answers, one calls on one day, twice.
    /// Guarantees: its edge is one trial a day; the others had one each, that of a day without
    /// a call, as the model counts them.
    #[test]
    fn trials_are_edges_of_a_day_and_days_without_a_call() {
        let mut stage = Stage::default();
        stage.learn("shop/cart", &["shop/pay:443"], 14);
        stage.learn("shop/web", &["shop/cart:80"], 14);
        let mut detector = NewEdge::default();
        let call = [("shop/cart", "shop/pay", 443, Fate::Answered)];
        stage.observe(&mut detector, &call);
        stage.observe(&mut detector, &call);
        let first = detector.tested();
        assert_eq!((first.all, first.checked, first.below), (1, 1, [0, 0]));
        stage.now += DAY;
        stage.observe(&mut detector, &call);
        assert_eq!(detector.tested().all, 3);
        // Calls outside are trials of what is new in the cluster, too.
        stage.observe(
            &mut detector,
            &[("shop/cart", "192.0.2.7", 443, Fate::Answered)],
        );
        assert_eq!(detector.tested().all, 1);
    }

    #[test]
    fn what_was_told_is_bounded() {
        let mut told = Told::default();
        for at in 0..300_000 {
            told.tells((PeerId(2), PeerId(at), None), i64::from(at));
        }
        assert!(told.held() <= MOST);
        assert!(!told.tells((PeerId(2), PeerId(299_999), None), 3 * HOUR));
    }
}
