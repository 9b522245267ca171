//! Events that servers say they lost, folded into holes.
//!
//! Owns the folding: older servers send one message for each lost slot of a ring, so
//! what a node loses for one reason within a second is one hole.

use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use jiff::Timestamp;

use super::peek::nanoseconds;
use crate::{
    flow::{Hole, HoleCause, LostSource, Span},
    proto::flow::LostEvent,
};

/// What is lost within this time of the last loss is one hole.
const WINDOW: Duration = Duration::from_secs(1);
const WINDOW_NS: i64 = 1_000_000_000;
/// Holes that are open at once; more than this closes them all.
const MAX_OPEN: usize = 4_096;

/// Losses that may go on.
#[derive(Default)]
pub(super) struct Losses {
    open: HashMap<(String, i32), Loss, RandomState>,
    closed: Vec<(String, Hole)>,
}

struct Loss {
    first: i64,
    last: i64,
    events: u64,
    touched: Instant,
}

impl Losses {
    /// Takes note of a loss that `node` reported at `time`.
    pub(super) fn add(&mut self, node: &str, time: i64, lost: &LostEvent, now: Instant) {
        let last = match nanoseconds(lost.last) {
            0 => time,
            last => last,
        };
        // Older servers do not say since when; they report what a second has gathered.
        let first = match nanoseconds(lost.first) {
            0 => time.saturating_sub(WINDOW_NS),
            first => first,
        };
        let key = (node.to_owned(), lost.source);
        if let Some(loss) = self.open.get_mut(&key) {
            if first <= loss.last.saturating_add(WINDOW_NS) {
                loss.first = loss.first.min(first);
                loss.last = loss.last.max(last);
                loss.events = loss.events.saturating_add(lost.num_events_lost);
                loss.touched = now;
                return;
            }
            self.close_where(|other, _| *other == key);
        }
        if self.open.len() >= MAX_OPEN {
            self.close_all();
        }
        let loss = Loss {
            first: first.min(last),
            last,
            events: lost.num_events_lost,
            touched: now,
        };
        self.open.insert(key, loss);
    }

    /// Whether a loss may still go on.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The holes that are complete by `now`.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(String, Hole)> {
        self.close_where(|_, loss| now.duration_since(loss.touched) >= WINDOW);
        std::mem::take(&mut self.closed)
    }

    /// All holes.
    pub(super) fn take_all(&mut self) -> Vec<(String, Hole)> {
        self.close_all();
        std::mem::take(&mut self.closed)
    }

    fn close_all(&mut self) {
        self.close_where(|_, _| true);
    }

    fn close_where(&mut self, mut is_over: impl FnMut(&(String, i32), &Loss) -> bool) {
        let closed = &mut self.closed;
        for ((node, source), loss) in self.open.extract_if(|key, loss| is_over(key, loss)) {
            let at = |time: i64| Timestamp::from_nanosecond(i128::from(time)).ok();
            let span = at(loss.first)
                .zip(at(loss.last.saturating_add(1)))
                .and_then(|(first, last)| Span::new(first, last).ok());
            if let Some(span) = span {
                let hole = Hole {
                    span,
                    cause: HoleCause::of(LostSource(source)),
                    events: Some(loss.events),
                };
                closed.push((node, hole));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::flow::LostEventSource;

    fn lost(source: LostEventSource, events: u64) -> LostEvent {
        LostEvent {
            source: source.into(),
            num_events_lost: events,
            ..LostEvent::default()
        }
    }

    #[test]
    fn a_flood_is_one_hole_a_node_and_source() {
        let (mut losses, now) = (Losses::default(), Instant::now());
        for slot in 0..500 {
            let time = 10 * WINDOW_NS + slot * 1_000_000;
            losses.add("a", time, &lost(LostEventSource::HubbleRingBuffer, 1), now);
        }
        losses.add(
            "a",
            10 * WINDOW_NS,
            &lost(LostEventSource::PerfEventRingBuffer, 7),
            now,
        );
        losses.add(
            "b",
            10 * WINDOW_NS,
            &lost(LostEventSource::HubbleRingBuffer, 3),
            now,
        );
        assert!(losses.take(now).is_empty());

        let mut holes = losses.take(now + WINDOW);
        holes.sort_by_key(|(_, hole)| hole.events);
        let found: Vec<_> = holes
            .iter()
            .map(|(node, hole)| (node.as_str(), hole.cause, hole.events))
            .collect();
        assert_eq!(
            found,
            [
                ("b", HoleCause::HubbleRing, Some(3)),
                ("a", HoleCause::PerfRing, Some(7)),
                ("a", HoleCause::HubbleRing, Some(500)),
            ]
        );
    }

    #[test]
    fn losses_far_apart_are_two_holes() {
        let (mut losses, now) = (Losses::default(), Instant::now());
        for second in [10, 20] {
            let one = lost(LostEventSource::ObserverEventsQueue, 1);
            losses.add("a", second * WINDOW_NS, &one, now);
        }
        assert_eq!(losses.take_all().len(), 2);
        assert!(!losses.is_open());
    }
}
