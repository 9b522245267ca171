//! When which node was watched, and what is missing in a period.
//!
//! Owns the rule of what counts as missing: time in which no node was watched, time in which
//! a node that was there before and after was not, and what holes say. A node that came or
//! went is no hole. Does not know where flows come from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use jiff::Timestamp;

use crate::flow::{FlowBatch, Hole, HoleCause, Span, StrId};

/// A node of which nothing was recorded for longer was not watched.
const QUIET: i64 = 600_000_000_000;
/// Nodes that are told apart.
const MOST_NODES: usize = 4096;
/// Spans of a node that are kept before they are put in order, and after.
const MOST_SPANS: usize = 4096;
/// Holes that are told one by one.
const MOST_HOLES: usize = 10_000;
/// A node first seen this early in a period, and never before it, may have been there.
const EARLY: i64 = 3_600_000_000_000;

/// From when to when, in nanoseconds since 1970 UTC; the end is not part of it.
pub type Times = (i64, i64);

/// What is known of the watching of nodes, whatever the period.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    nodes: BTreeMap<Arc<str>, Vec<Times>>,
    holes: Vec<(Arc<str>, Hole)>,
    unread: Vec<String>,
}

/// Looks at the rows of batches, one a thread.
#[derive(Debug, Default)]
pub struct Presence {
    nodes: HashMap<StrId, Vec<Times>, RandomState>,
}

/// What was seen of one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendance {
    /// The period.
    pub window: Times,
    /// Nanoseconds in which some node was watched.
    pub watched: i64,
    /// Nodes seen in it.
    pub nodes: BTreeSet<Arc<str>>,
    /// When no node was watched.
    pub dark: Vec<Times>,
    /// When a node was not watched that was there before and after.
    pub gaps: Vec<(Arc<str>, Times)>,
    /// What holes say.
    pub holes: Vec<(Arc<str>, Hole)>,
    /// Nanoseconds in which something is missing, for whichever reason.
    pub missing: i64,
    /// Nodes that are there from the beginning of the period after, and were never seen in
    /// it.
    pub unwatched: Vec<Arc<str>>,
    /// Files that could not be read.
    pub unread: Vec<String>,
    /// Connections that were counted without being told apart.
    pub untold: u64,
}

impl Presence {
    /// Takes the rows of a batch into `into`, as far as they are within a span of time.
    pub fn batch(&mut self, batch: &FlowBatch, (since, until): Times, into: &mut Watch) {
        self.nodes.clear();
        for row in batch.rows() {
            let Some(time) = row.time() else { continue };
            if time < since || time >= until {
                continue;
            }
            join(self.nodes.entry(row.node()).or_default(), (time, time + 1));
        }
        for (node, spans) in self.nodes.drain() {
            let name: Arc<str> = batch.dictionaries().str(node).into();
            for span in spans {
                into.saw(&name, span);
            }
        }
    }
}

impl Watch {
    /// A node was watched.
    pub fn saw(&mut self, node: &Arc<str>, span: Times) {
        if self.nodes.len() >= MOST_NODES && !self.nodes.contains_key(node) {
            return;
        }
        let spans = self.nodes.entry(node.clone()).or_default();
        join(spans, span);
        if spans.len() > 2 * MOST_SPANS {
            *spans = tidy(std::mem::take(spans));
            // What is beyond stays unwatched, and says so.
            spans.truncate(MOST_SPANS);
        }
    }

    /// Something of a node may be missing.
    pub fn lose(&mut self, node: Arc<str>, hole: Hole) {
        if self.holes.len() < MOST_HOLES {
            self.holes.push((node, hole));
        }
    }

    /// A file could not be read: whatever it held is missing.
    pub fn unread(&mut self, message: String) {
        self.unread.push(message);
    }

    /// Takes in what came after.
    pub fn merge(&mut self, other: Self) {
        for (node, spans) in other.nodes {
            for span in spans {
                self.saw(&node, span);
            }
        }
        for (node, hole) in other.holes {
            self.lose(node, hole);
        }
        self.unread.extend(other.unread);
    }

    /// What was seen of each of two periods, of which one follows the other.
    #[must_use]
    pub fn of(mut self, earlier: Times, later: Times) -> (Attendance, Attendance) {
        for spans in self.nodes.values_mut() {
            *spans = tidy(std::mem::take(spans));
        }
        let (mut before, after) = (self.one(earlier), self.one(later));
        if before.watched > 0 {
            before.unwatched = self
                .nodes
                .iter()
                .filter(|(name, spans)| {
                    !before.nodes.contains(*name)
                        && spans.first().is_some_and(|first| first.0 < later.0 + EARLY)
                })
                .map(|(name, _)| name.clone())
                .collect();
        }
        (before, after)
    }

    fn one(&self, window: Times) -> Attendance {
        let clipped = |span: Times| {
            let both = (span.0.max(window.0), span.1.min(window.1));
            (both.0 < both.1).then_some(both)
        };
        let all = tidy(self.nodes.values().flatten().copied().collect());
        let dark: Vec<Times> = between(&all, window).filter_map(clipped).collect();
        let nothing = length(&dark) == window.1 - window.0;
        let mut gaps: Vec<(Arc<str>, Times)> = Vec::new();
        let mut nodes = BTreeSet::new();
        for (name, spans) in &self.nodes {
            if spans.iter().any(|span| clipped(*span).is_some()) {
                nodes.insert(name.clone());
            }
            let holes = spans.windows(2).map(|pair| (pair[0].1, pair[1].0));
            let own = holes.filter_map(clipped);
            gaps.extend(
                own.filter(|gap| !dark.iter().any(|dark| dark.0 <= gap.0 && gap.1 <= dark.1))
                    .map(|gap| (name.clone(), gap)),
            );
        }
        gaps.sort_by(|left, right| (left.1, &left.0).cmp(&(right.1, &right.0)));
        let holes: Vec<(Arc<str>, Hole)> = self
            .holes
            .iter()
            .filter(|(_, hole)| {
                let span = times(hole.span);
                span.0 < window.1 && span.1 >= window.0
            })
            .cloned()
            .collect();
        let doubtful = dark
            .iter()
            .copied()
            .chain(gaps.iter().map(|(_, gap)| *gap))
            .chain(
                holes
                    .iter()
                    .filter_map(|(_, hole)| clipped(times(hole.span))),
            );
        let missing = length(&union(doubtful.collect()));
        Attendance {
            window,
            watched: window.1 - window.0 - length(&dark),
            nodes: if nothing { BTreeSet::new() } else { nodes },
            missing,
            gaps: if nothing { Vec::new() } else { gaps },
            dark,
            holes,
            unwatched: Vec::new(),
            unread: self.unread.clone(),
            untold: 0,
        }
    }
}

impl Attendance {
    /// Whether nothing is known to be missing: only then is something absent that was not
    /// seen.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing == 0
            && self.holes.is_empty()
            && self.unwatched.is_empty()
            && self.unread.is_empty()
            && self.untold == 0
    }

    /// Whether anything of it was seen at all.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.watched > 0
    }

    /// Events known to be lost; `None` where a hole has no count.
    #[must_use]
    pub fn lost(&self) -> Option<u64> {
        self.holes.iter().map(|(_, hole)| hole.events).sum()
    }

    /// Its length in nanoseconds.
    #[must_use]
    pub fn length(&self) -> i64 {
        self.window.1 - self.window.0
    }

    /// Holes by cause: how many, their length, events that were lost.
    #[must_use]
    pub fn causes(&self) -> Vec<(HoleCause, u64, i64, Option<u64>)> {
        let mut causes: Vec<(HoleCause, u64, i64, Option<u64>)> = Vec::new();
        for (_, hole) in &self.holes {
            let span = times(hole.span);
            let length = (span.1.min(self.window.1) - span.0.max(self.window.0)).max(0);
            match causes.iter_mut().find(|(cause, ..)| *cause == hole.cause) {
                Some((_, count, sum, events)) => {
                    *count += 1;
                    *sum += length;
                    *events = events.zip(hole.events).map(|(one, more)| one + more);
                }
                None => causes.push((hole.cause, 1, length, hole.events)),
            }
        }
        causes.sort_by_key(|(cause, ..)| cause.name());
        causes
    }
}

fn times(span: Span) -> Times {
    let nanos = |time: Timestamp| time.as_nanosecond() as i64;
    (nanos(span.start()), nanos(span.end()))
}

/// Adds a span, as a part of the last one where it follows close.
fn join(spans: &mut Vec<Times>, span: Times) {
    match spans.last_mut() {
        Some(last) if span.0 >= last.0 && span.0 - last.1 <= QUIET => last.1 = last.1.max(span.1),
        _ => spans.push(span),
    }
}

/// In order, with those that follow close as one.
fn tidy(mut spans: Vec<Times>) -> Vec<Times> {
    spans.sort_unstable();
    let mut joined = Vec::new();
    for span in spans {
        join(&mut joined, span);
    }
    joined
}

/// Spans between spans in order, and before and after them as far as it is more than quiet.
fn between(spans: &[Times], window: Times) -> impl Iterator<Item = Times> {
    let mut edges = vec![window.0];
    for span in spans
        .iter()
        .filter(|span| span.1 > window.0 && span.0 < window.1)
    {
        edges.extend([span.0, span.1]);
    }
    edges.push(window.1);
    let gaps: Vec<Times> = edges
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    let one = gaps.len() == 1;
    gaps.into_iter()
        .filter(move |gap| one || gap.1 - gap.0 > QUIET)
}

fn union(mut spans: Vec<Times>) -> Vec<Times> {
    spans.sort_unstable();
    let mut joined: Vec<Times> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
            _ => joined.push(span),
        }
    }
    joined
}

fn length(spans: &[Times]) -> i64 {
    spans.iter().map(|(start, end)| end - start).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;

    fn watch(spans: &[(&str, i64, i64)]) -> Watch {
        let mut watch = Watch::default();
        for (node, first, last) in spans {
            watch.saw(&Arc::from(*node), (first * MINUTE, last * MINUTE));
        }
        watch
    }

    fn periods(watch: Watch) -> (Attendance, Attendance) {
        watch.of((0, 100 * MINUTE), (100 * MINUTE, 200 * MINUTE))
    }

    #[test]
    fn what_is_quiet_for_minutes_is_whole() {
        let (before, after) = periods(watch(&[("a", 5, 60), ("a", 68, 195)]));
        assert!(before.is_whole() && after.is_whole());
        assert_eq!(before.watched, 100 * MINUTE);
    }

    #[test]
    fn time_without_any_node_is_dark_and_counts_once() {
        let (before, after) = periods(watch(&[
            ("a", 0, 20),
            ("a", 50, 130),
            ("b", 0, 20),
            ("b", 50, 200),
        ]));
        assert_eq!(before.dark, [(20 * MINUTE, 50 * MINUTE)]);
        assert_eq!((before.missing, before.gaps.len()), (30 * MINUTE, 0));
        // That `a` went is no hole.
        assert!(after.is_whole());
    }

    #[test]
    fn a_node_that_comes_back_was_missing_and_one_that_came_was_not() {
        let (before, after) = periods(watch(&[
            ("a", 0, 200),
            ("b", 0, 90),
            ("b", 120, 200),
            ("c", 170, 200),
        ]));
        assert_eq!(before.gaps, [("b".into(), (90 * MINUTE, 100 * MINUTE))]);
        assert_eq!(before.missing, 10 * MINUTE);
        assert_eq!(after.missing, 20 * MINUTE);
        assert!(before.unwatched.is_empty());
    }

    #[test]
    fn a_node_that_is_there_from_the_beginning_may_have_been_before() {
        let (before, _) = periods(watch(&[("a", 0, 200), ("b", 101, 200)]));
        assert_eq!(before.unwatched, ["b".into()]);
        assert!(!before.is_whole());
    }

    #[test]
    fn a_period_of_which_nothing_is_there_is_dark() {
        let (before, after) = periods(watch(&[("a", 101, 200)]));
        assert!(!before.is_there() && before.unwatched.is_empty());
        assert_eq!(before.missing, 100 * MINUTE);
        assert!(after.is_whole());
        let (before, after) = periods(Watch::default());
        assert!(!before.is_there() && !after.is_there());
    }

    #[test]
    fn losses_count_with_their_time_and_their_events() {
        let mut watch = watch(&[("a", 0, 200)]);
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        for (from, to) in [(10, 12), (11, 13), (40, 40)] {
            let span = Span::new(at(from), at(to)).unwrap();
            let cause = HoleCause::HubbleRing;
            watch.lose(
                "a".into(),
                Hole {
                    span,
                    cause,
                    events: Some(7),
                },
            );
        }
        let (before, after) = periods(watch);
        assert_eq!((before.missing, before.lost()), (3 * MINUTE, Some(21)));
        assert!(!before.is_whole() && after.is_whole());
        assert_eq!(
            before.causes(),
            [(HoleCause::HubbleRing, 3, 4 * MINUTE, Some(21))]
        );
    }
}
