//! How far each node has been read: what to ask for after a cut, what is a double, and
//! what is missing.
//!
//! Owns the arithmetic of resuming. A node's ring is sent in its order, so when the last
//! flow read before a cut comes again, nothing of that node is missing; when a newer one
//! comes instead, the span between is a hole. Does no I/O and reads no clock.
//!
//! Memory: 16 bytes a remembered flow. A node has at most [`RING`] of them, those of
//! the last [`OVERLAP`] seconds and never fewer than its share of [`DEFAULT_RING`]; all
//! nodes together have about [`TOTAL`] (64 MiB), doubled while a replay lasts.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use jiff::Timestamp;

use super::peek::{Kind, Peek};
use crate::flow::{Hole, HoleCause, Span};

const SECOND: i64 = 1_000_000_000;
/// What is asked for again: a relay sorts within 1 s, and joins a node anew within 2 s.
pub(super) const OVERLAP: i64 = 5 * SECOND;
/// A node that was quiet for longer does not decide from when on to ask.
const QUIET: i64 = 300 * SECOND;
/// Going back in time by more than this means that a relay sends a node anew.
const STEP_BACK: i64 = SECOND / 10;
/// Flows among which one that steps back by less is looked for.
const LAST: usize = 1_024;
/// A relay tells of a lost node up to 10 s late, and may have found it again 2 s after.
const TOLD_LATE: i64 = 12 * SECOND;
/// The largest ring an agent can have.
const RING: usize = 65_536;
/// The ring an agent has by default.
const DEFAULT_RING: usize = 4_096;
/// Remembered flows over all nodes.
const TOTAL: usize = 4 << 20;
/// Nodes that are tracked; flows of others pass as they are.
const MAX_NODES: usize = 65_536;

/// How far each node has been read.
#[derive(Default)]
pub(super) struct Progress {
    by_name: HashMap<Box<[u8]>, usize, RandomState>,
    nodes: Vec<Node>,
    /// Of the last flow: the next one is often of the same node.
    last: usize,
    /// Counts the streams.
    stream: u32,
    /// Whether a relay may send a node anew by itself, which it does when following.
    follows: bool,
    holes: Vec<(String, Hole)>,
}

struct Node {
    name: Box<[u8]>,
    /// The newest flow; no time until there is one.
    newest: Option<(i64, u64)>,
    /// Times and ids of the last flows, as they came.
    recent: VecDeque<(i64, u64)>,
    /// The newest time that is no longer remembered.
    forgotten: i64,
    replay: Option<Box<Replay>>,
    /// The stream of the last flow, and of the last note of a full ring.
    seen_in: u32,
    noted_in: u32,
}

/// A time in which a node's flows may come again.
struct Replay {
    /// What was newest when it began.
    until: i64,
    /// Whether we asked for it or were told: then all that is forgotten is a double.
    expected: bool,
    ids: HashSet<u64, RandomState>,
    mark: Option<Mark>,
}

/// A hole that is there unless its flow comes again.
#[derive(Clone, Copy)]
struct Mark {
    from: i64,
    /// A newer flow than this ends the hole.
    ends_after: i64,
    /// The flow whose return shows that nothing is missing.
    id: Option<u64>,
    cause: HoleCause,
}

impl Progress {
    pub(super) fn new(follows: bool) -> Self {
        Self {
            follows,
            ..Self::default()
        }
    }

    /// Takes note of a message; `false` for a double.
    #[inline]
    pub(super) fn see(&mut self, peek: &Peek<'_>) -> bool {
        if peek.kind != Kind::Flow {
            return true;
        }
        let Some(index) = self.index(&peek.node) else {
            return true;
        };
        if !self.follows {
            // Nothing comes again by itself: equal flows are what was asked for.
            let node = &mut self.nodes[index];
            node.seen_in = self.stream;
            if node.newest.is_none_or(|(newest, _)| peek.time > newest) {
                node.newest = Some((peek.time, peek.id));
            }
            return true;
        }
        let keep = self
            .nodes
            .len()
            .checked_sub(1)
            .map_or(DEFAULT_RING, |others| {
                (TOTAL / (others + 1)).clamp(64, DEFAULT_RING)
            });
        let stream = self.stream;
        let node = &mut self.nodes[index];
        node.seen_in = stream;
        let steps_back = node
            .newest
            .is_some_and(|(newest, _)| peek.time < newest.saturating_sub(STEP_BACK));
        if node.replay.is_some() || steps_back || node.has_just_seen(peek.time, peek.id) {
            let hole = node.look_closer(peek.time, peek.id);
            match hole {
                Closer::Double => return false,
                Closer::New(None) => {}
                Closer::New(Some(hole)) => self.holes.push((node.name(), hole)),
            }
        }
        node.remember(peek.time, peek.id, keep);
        true
    }

    /// The stream is over: from here on the flows read last are expected again.
    pub(super) fn cut(&mut self) {
        for node in &mut self.nodes {
            let Some((time, id)) = node.newest else {
                continue;
            };
            let replay = node.replay_until(time);
            replay.expected = true;
            replay.until = time;
            replay.mark.get_or_insert(Mark {
                from: time,
                ends_after: time,
                id: Some(id),
                cause: HoleCause::Disconnected,
            });
        }
    }

    /// From when on to ask after a cut; `None` while no flow was read.
    pub(super) fn since(&self) -> Option<i64> {
        let times = || self.nodes.iter().filter_map(|node| Some(node.newest?.0));
        let floor = times().max()?.saturating_sub(QUIET);
        let oldest = times().filter(|&time| time >= floor).min()?;
        Some(oldest.saturating_sub(OVERLAP))
    }

    /// A stream starts, continued from `since` on. Nodes whose last flow is older cannot
    /// show that nothing is missing: they get a hole up to `now`.
    pub(super) fn start(&mut self, since: Option<i64>, now: i64) {
        self.stream += 1;
        let Some(since) = since else { return };
        for node in &mut self.nodes {
            if let Some(replay) = &mut node.replay
                && let Some(mark) = replay.mark
                && mark.id.is_some()
                && mark.from < since
            {
                replay.mark = None;
                if let Some(hole) = hole(since, now, mark.cause) {
                    self.holes.push((node.name(), hole));
                }
            }
        }
    }

    /// A relay says that a node is out of its reach. `asked_from` is where the query
    /// starts, which is where the hole of a node starts that was never seen.
    pub(super) fn node_lost(&mut self, name: &str, time: i64, asked_from: Option<i64>) {
        let Some(index) = self.index(name.as_bytes()) else {
            return;
        };
        let node = &mut self.nodes[index];
        let from = match node.newest {
            Some((newest, _)) => newest.min(time.saturating_sub(TOLD_LATE)),
            None => asked_from.unwrap_or(time).min(time),
        };
        let newest = node.newest.map_or(time, |(newest, _)| newest);
        let replay = node.replay_until(newest);
        replay.expected = true;
        replay.mark.get_or_insert(Mark {
            from,
            ends_after: time,
            id: None,
            cause: HoleCause::NodeUnavailable,
        });
    }

    /// A relay says that it reads a node. What was lost of it ends here; whether a cut of
    /// ours lost something, its flows will show.
    pub(super) fn node_back(&mut self, name: &str, time: i64) {
        let Some(index) = self.index(name.as_bytes()) else {
            return;
        };
        let node = &mut self.nodes[index];
        if let Some(replay) = &mut node.replay
            && let Some(mark) = replay.mark
            && mark.id.is_none()
        {
            replay.mark = None;
            if let Some(hole) = hole(mark.from, time, mark.cause) {
                self.holes.push((node.name(), hole));
            }
        }
    }

    /// Whether a ring of `name` that lost one event is but the full ring at the start of
    /// a query: so before its first flow, and once.
    pub(super) fn is_full_ring(&mut self, name: &[u8]) -> bool {
        let stream = self.stream;
        let Some(index) = self.index(name) else {
            return false;
        };
        let node = &mut self.nodes[index];
        let is_first = node.seen_in != stream && node.noted_in != stream;
        node.noted_in = stream;
        is_first
    }

    /// The holes found since the last call.
    pub(super) fn take_holes(&mut self) -> Vec<(String, Hole)> {
        std::mem::take(&mut self.holes)
    }

    /// The end: what did not show to be whole is a hole up to `now`.
    pub(super) fn finish(&mut self, now: i64) {
        for node in &mut self.nodes {
            if let Some(mark) = node.replay.take().and_then(|replay| replay.mark)
                && let Some(hole) = hole(mark.from, now, mark.cause)
            {
                self.holes.push((node.name(), hole));
            }
        }
    }

    #[inline]
    fn index(&mut self, name: &[u8]) -> Option<usize> {
        if self
            .nodes
            .get(self.last)
            .is_some_and(|node| *node.name == *name)
        {
            return Some(self.last);
        }
        self.last = match self.by_name.get(name) {
            Some(&index) => index,
            None if self.nodes.len() >= MAX_NODES => return None,
            None => {
                self.nodes.push(Node::new(name));
                let index = self.nodes.len() - 1;
                self.by_name.insert(name.into(), index);
                index
            }
        };
        Some(self.last)
    }
}

/// What a closer look at a flow shows.
enum Closer {
    Double,
    New(Option<Hole>),
}

impl Node {
    fn new(name: &[u8]) -> Self {
        Self {
            name: name.into(),
            newest: None,
            recent: VecDeque::new(),
            forgotten: i64::MIN,
            replay: None,
            seen_in: 0,
            noted_in: 0,
        }
    }

    fn name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// Whether a flow no newer than the newest is one of the last: a relay that sends a
    /// quiet node anew may have nothing older to begin with.
    #[inline]
    fn has_just_seen(&self, time: i64, id: u64) -> bool {
        let is_new = self.newest.is_none_or(|(newest, _)| time > newest);
        let mut last = self.recent.iter().rev().take(LAST);
        !is_new && last.any(|&seen| seen == (time, id))
    }

    #[inline]
    fn remember(&mut self, time: i64, id: u64, keep: usize) {
        let newest = match self.newest {
            Some((newest, _)) if newest > time => newest,
            _ => {
                self.newest = Some((time, id));
                time
            }
        };
        self.recent.push_back((time, id));
        let horizon = newest.saturating_sub(OVERLAP);
        while self.recent.len() > keep
            && let Some(&(oldest, _)) = self.recent.front()
            && (oldest < horizon || self.recent.len() > RING)
        {
            self.recent.pop_front();
            self.forgotten = self.forgotten.max(oldest);
        }
    }

    fn replay_until(&mut self, until: i64) -> &mut Replay {
        replay_of(&mut self.replay, &self.recent, until)
    }

    #[cold]
    fn look_closer(&mut self, time: i64, id: u64) -> Closer {
        let newest = self.newest.map_or(i64::MIN, |(newest, _)| newest);
        let forgotten = self.forgotten;
        let replay = replay_of(&mut self.replay, &self.recent, newest);
        if replay.ids.contains(&id) {
            if replay.mark.is_some_and(|mark| mark.id == Some(id)) {
                replay.mark = None;
            }
            return Closer::Double;
        }
        if replay.expected && time <= forgotten && time <= replay.until {
            return Closer::Double;
        }
        let mut found = None;
        if let Some(mark) = replay.mark
            && time > mark.ends_after
        {
            found = hole(mark.from, time, mark.cause);
            replay.mark = None;
        }
        replay.ids.insert(id);
        if replay.mark.is_none() && time > replay.until.saturating_add(OVERLAP) {
            self.replay = None;
        } else if replay.ids.len() > 2 * RING {
            replay.ids.clear();
            replay.ids.extend(self.recent.iter().map(|&(_, id)| id));
        }
        Closer::New(found)
    }
}

/// The replay that is going on, or one that starts now.
fn replay_of<'a>(
    replay: &'a mut Option<Box<Replay>>,
    recent: &VecDeque<(i64, u64)>,
    until: i64,
) -> &'a mut Replay {
    replay.get_or_insert_with(|| {
        Box::new(Replay {
            until,
            expected: false,
            ids: recent.iter().map(|&(_, id)| id).collect(),
            mark: None,
        })
    })
}

/// A hole of unknown count, `None` where the times make none.
fn hole(from: i64, to: i64, cause: HoleCause) -> Option<Hole> {
    let at = |time: i64| Timestamp::from_nanosecond(i128::from(time)).ok();
    let span = Span::new(at(from)?, at(to)?).ok()?;
    (from < to).then_some(Hole {
        span,
        cause,
        events: None,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    const START: i64 = 1_700_000_000 * SECOND;

    /// A flow of `node`, `second` after the start; its id is its time.
    fn flow(node: &str, second: i64) -> Peek<'_> {
        Peek {
            kind: Kind::Flow,
            node: Cow::Borrowed(node.as_bytes()),
            time: START + second * SECOND,
            id: second as u64,
        }
    }

    fn see(
        progress: &mut Progress,
        node: &str,
        seconds: impl IntoIterator<Item = i64>,
    ) -> Vec<i64> {
        let mut kept = Vec::new();
        for second in seconds {
            if progress.see(&flow(node, second)) {
                kept.push(second);
            }
        }
        kept
    }

    /// Cuts and continues; returns the second that is asked from.
    fn cut(progress: &mut Progress, now: i64) -> i64 {
        progress.cut();
        let since = progress.since().unwrap();
        progress.start(Some(since), START + now * SECOND);
        (since - START) / SECOND
    }

    fn holes(progress: &mut Progress) -> Vec<(String, HoleCause, i64, i64)> {
        let of_hole = |(node, hole): (String, Hole)| {
            let text = format!("{:?}", hole.span);
            let seconds = seconds_in(&text);
            (node, hole.cause, seconds.0, seconds.1)
        };
        progress.take_holes().into_iter().map(of_hole).collect()
    }

    /// Start and end of a span, which keeps them to itself, after the start.
    fn seconds_in(debug: &str) -> (i64, i64) {
        let mut times = debug.split_whitespace().filter_map(|word| {
            let time: Timestamp = word.trim_end_matches(',').parse().ok()?;
            Some(time.as_second() - START / SECOND)
        });
        (times.next().unwrap(), times.next().unwrap())
    }

    #[test]
    fn what_comes_again_is_dropped_and_nothing_is_missing() {
        let mut progress = Progress::new(true);
        progress.start(None, START);
        assert_eq!(see(&mut progress, "a", 0..20).len(), 20);
        assert_eq!(see(&mut progress, "b", 0..10).len(), 10);

        assert_eq!(cut(&mut progress, 21), 4);

        assert_eq!(see(&mut progress, "a", 14..25), [20, 21, 22, 23, 24]);
        assert_eq!(see(&mut progress, "b", 4..12), [10, 11]);
        assert_eq!(holes(&mut progress), []);
    }

    /// Scenario: a recording that holds the same flows twice, asked for without following.
    /// Guarantees: both are passed on.
    #[test]
    fn equal_flows_of_a_finished_query_are_not_doubles() {
        let mut progress = Progress::new(false);
        progress.start(None, START);
        for _ in 0..2 {
            assert_eq!(see(&mut progress, "a", 0..20).len(), 20);
        }
    }

    /// Scenario: a relay sends a node anew, of which there is but the newest flow.
    /// Guarantees: it is a double, and what follows is not.
    #[test]
    fn the_newest_flow_alone_is_a_double_too() {
        let mut progress = Progress::new(true);
        assert_eq!(see(&mut progress, "a", [0]).len(), 1);
        assert_eq!(see(&mut progress, "a", [0, 1, 1, 2]), [1, 2]);
        assert_eq!(holes(&mut progress), []);
    }

    #[test]
    fn a_last_flow_that_does_not_come_again_is_a_hole() {
        let mut progress = Progress::new(true);
        see(&mut progress, "a", 0..20);
        cut(&mut progress, 60);
        assert_eq!(see(&mut progress, "a", [40, 41]), [40, 41]);
        assert_eq!(
            holes(&mut progress),
            [("a".to_owned(), HoleCause::Disconnected, 19, 40)]
        );
    }

    #[test]
    fn a_quiet_node_does_not_decide_and_gets_a_hole() {
        let mut progress = Progress::new(true);
        see(&mut progress, "quiet", [0]);
        see(&mut progress, "busy", 500..520);
        assert_eq!(cut(&mut progress, 530), 514);
        assert_eq!(
            holes(&mut progress),
            [("quiet".to_owned(), HoleCause::Disconnected, 514, 530)]
        );
    }

    #[test]
    fn a_node_that_a_relay_sends_anew_unasked_has_no_doubles() {
        let mut progress = Progress::new(true);
        see(&mut progress, "a", 0..3_000);
        assert_eq!(see(&mut progress, "a", 0..3_002), [3_000, 3_001]);
        assert_eq!(holes(&mut progress), []);
    }

    #[test]
    fn a_lost_node_has_a_hole_until_it_is_back() {
        let mut progress = Progress::new(true);
        see(&mut progress, "a", 0..100);
        progress.node_lost("a", START + 110 * SECOND, None);
        progress.node_lost("new", START + 110 * SECOND, Some(START));
        see(&mut progress, "a", [130, 131]);
        progress.node_back("new", START + 140 * SECOND);
        let cause = HoleCause::NodeUnavailable;
        assert_eq!(
            holes(&mut progress),
            [
                ("a".to_owned(), cause, 98, 130),
                ("new".to_owned(), cause, 0, 140)
            ]
        );
    }

    #[test]
    fn what_was_never_shown_whole_is_a_hole_at_the_end() {
        let mut progress = Progress::new(true);
        see(&mut progress, "a", 0..10);
        cut(&mut progress, 20);
        progress.finish(START + 30 * SECOND);
        assert_eq!(
            holes(&mut progress),
            [("a".to_owned(), HoleCause::Disconnected, 9, 30)]
        );
    }

    #[test]
    fn memory_is_bounded_a_node() {
        let mut progress = Progress::new(true);
        for id in 0..200_000 {
            let peek = Peek { id, ..flow("a", 1) };
            assert!(progress.see(&peek));
        }
        assert_eq!(progress.nodes[0].recent.len(), RING);
        see(&mut progress, "a", 100..5_000);
        assert_eq!(progress.nodes[0].recent.len(), DEFAULT_RING);
    }
}
