//! The days that a baseline is learned from last: watched as if somebody were to be told.
//!
//! Owns keeping what detectors say of the last days, and how many hypotheses they test, until
//! it is known that these were the last ones. What is made of it is `finding`'s.
//!
//! Bounded: [`MOST`] observations; of more the oldest days are given up, and the span is
//! shorter. Counts of tests are kept by the hour.

use std::collections::{BTreeMap, VecDeque};

use super::detection::Observed;
use super::incidents::surrounded;
use crate::baseline::{DAY, HOUR, Shadow, Tick};
use crate::detect::{Kind, Observation, Scene, Tested};
use crate::finding::{Watched, shadow};

/// Observations that are kept.
const MOST: usize = 1 << 16;
/// What is learned has to be this many times as long as what is watched.
const TRAINING: i64 = 3;
/// Fewer days say nothing.
const LEAST: i64 = DAY;

/// Watches.
#[derive(Debug)]
pub struct Shadowing {
    length: i64,
    ticks: VecDeque<Watched>,
    observations: usize,
    /// Tests of an hour, by the detector's kind.
    tests: VecDeque<(i64, BTreeMap<&'static str, Tested>)>,
    /// Of the tick that comes next.
    coming: BTreeMap<&'static str, Tested>,
    /// Begin of the first tick, and end of the last one.
    span: Option<(i64, i64)>,
    /// What is before was given up.
    floor: i64,
}

impl Shadowing {
    /// Watches the last so many nanoseconds.
    #[must_use]
    pub fn new(length: i64) -> Self {
        Self {
            length,
            ticks: VecDeque::new(),
            observations: 0,
            tests: VecDeque::new(),
            coming: BTreeMap::new(),
            span: None,
            floor: i64::MIN,
        }
    }

    /// The figures of the last days; `None` where what was learned before is too short for
    /// that. `budget` is how many incidents a day may be medium and above.
    #[must_use]
    pub fn finish(mut self, budget: f64) -> Option<Shadow> {
        let (first, last) = self.span?;
        let length = self.length.min((last - first) / (TRAINING + 1));
        let from = (last - length).max(self.floor).div_euclid(HOUR) * HOUR;
        if last - from < LEAST || self.length <= 0 {
            return None;
        }
        self.forget(from);
        let mut tests: BTreeMap<&'static str, Tested> = BTreeMap::new();
        for (kind, count) in self.tests.iter().flat_map(|(_, tests)| tests) {
            *tests.entry(kind).or_default() += *count;
        }
        let ticks = Vec::from(self.ticks);
        Some(shadow(&ticks, &tests, (from, last), budget))
    }

    /// Lets go of what is before a time.
    fn forget(&mut self, from: i64) {
        while self.ticks.front().is_some_and(|(now, _)| *now <= from) {
            let gone = self.ticks.pop_front();
            self.observations -= gone.map_or(0, |(_, seen)| seen.len());
        }
        while self.tests.front().is_some_and(|(hour, _)| *hour < from) {
            self.tests.pop_front();
        }
    }
}

impl Observed for Shadowing {
    fn tick(&mut self, tick: &Tick, observed: Vec<Observation>, scene: &Scene<'_>) {
        let end = tick.end();
        // Connections that end long after all others make ticks, too, and watch nothing.
        if !(tick.groups.is_empty() && tick.dns.is_empty() && tick.http.is_empty()) {
            self.span = Some(match self.span {
                Some((first, last)) => (first.min(tick.start), last.max(end)),
                None => (tick.start, end),
            });
        }
        let hour = tick.start.div_euclid(HOUR) * HOUR;
        if self.tests.back().is_none_or(|(last, _)| *last < hour) {
            self.tests.push_back((hour, BTreeMap::new()));
        }
        if let Some((_, tests)) = self.tests.back_mut() {
            for (kind, count) in std::mem::take(&mut self.coming) {
                *tests.entry(kind).or_default() += count;
            }
        }
        let seen: Vec<_> = observed
            .iter()
            .filter_map(|one| surrounded(one, tick, scene))
            .collect();
        if !seen.is_empty() {
            self.observations += seen.len();
            self.ticks.push_back((scene.now, seen));
        }
        // An hour more, so that it can begin with one.
        self.forget(end - self.length - HOUR);
        while self.observations > MOST {
            let Some((now, _)) = self.ticks.front() else {
                break;
            };
            self.floor = (now.div_euclid(HOUR) + 1) * HOUR;
            self.forget(self.floor);
        }
    }

    fn tested(&mut self, kind: Kind, tested: Tested) {
        if tested != Tested::default() {
            *self.coming.entry(kind.name()).or_default() += tested;
        }
    }

    fn held(&self) -> usize {
        self.observations + self.tests.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::testing::{Scenery, minute};
    use crate::baseline::{Fate, Model};
    use crate::detect::Sight;

    /// Plays so many hours, with a call an hour that D1 tests and says something of.
    fn watched(hours: i64, length: i64) -> Shadowing {
        let mut shadowing = Shadowing::new(length);
        let (mut scenery, mut model, sight) =
            (Scenery::default(), Model::default(), Sight::default());
        for hour in 0..hours {
            let start = minute(hour * 60);
            let group = scenery.group("a/a", "b/b", 443, start, Fate::Answered);
            model.meet(scenery.peers());
            let observation = Observation {
                kind: Kind::NewEdge,
                subject: group.client,
                peer: Some(group.key),
                port: Some((443, group.protocol)),
                from: start,
                to: start,
                p: 1e-4,
                fixed: false,
                observed: 1.0,
                expected: 0.0,
                n: 1,
                evidence: Vec::new(),
                normal: String::new(),
                samples: Vec::new(),
                passed: crate::detect::Passed::Allowed,
                gap: false,
                policies: Vec::new(),
                rules: Vec::new(),
                // A finding each.
                key: hour.to_string(),
            };
            let tick = Tick {
                start,
                groups: vec![group],
                ..Tick::default()
            };
            let scene = Scene {
                peers: scenery.peers(),
                model: &model,
                sight: &sight,
                now: tick.end(),
            };
            let tested = Tested {
                all: 5,
                checked: 4,
                below: [1, 0],
            };
            shadowing.tested(Kind::NewEdge, tested);
            shadowing.tick(&tick, vec![observation], &scene);
        }
        shadowing
    }

    #[test]
    fn the_last_days_are_watched_and_no_others() {
        let shadow = watched(17 * 24, 3 * DAY).finish(2.0).unwrap();
        assert!((shadow.days() - 3.0).abs() < 0.05, "{}", shadow.days());
        let [edges] = &shadow.kinds[..] else {
            panic!("{:?}", shadow.kinds);
        };
        // From the beginning of an hour on, one more.
        assert_eq!((edges.findings, edges.tests), (73, 365));
        assert_eq!((edges.checked, edges.below), (292, [73, 0]));
    }

    #[test]
    fn what_is_learned_has_to_be_longer_than_what_is_watched() {
        assert!(watched(3 * 24, 3 * DAY).finish(2.0).is_none());
        let short = watched(8 * 24, 3 * DAY).finish(2.0).unwrap();
        assert!((short.days() - 2.0).abs() < 0.05, "{}", short.days());
        assert!(watched(17 * 24, 0).finish(2.0).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_by_the_span() {
        let shadowing = watched(60 * 24, 3 * DAY);
        assert!(shadowing.held() < 160, "{}", shadowing.held());
    }
}
