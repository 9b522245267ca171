//! What was seen, per node: the spans that were watched and the holes in them.
//!
//! Owns the arithmetic of completeness. Does not know where holes come from (that is
//! `source`) nor what a claim needs (that is whoever makes it).
//!
//! A claim of absence ("this rule was never used") is only as good as the share
//! of its window that was watched, so every such claim asks [`Completeness::of`].

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::enums::LostSource;

/// A half-open span of time, `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    start: Timestamp,
    end: Timestamp,
}

/// Why events of a span are missing.
///
/// The first three are `LostEventSource` of Hubble's flow API; the others are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoleCause {
    /// The kernel outran the agent; gone for every reader.
    PerfRing,
    /// The agent's queue was full; gone for every reader.
    ObserverQueue,
    /// The node's ring was overwritten before we read it.
    HubbleRing,
    /// Relay could not reach the node.
    NodeUnavailable,
    /// Our connection to the server was cut, and what came meanwhile was not sent again.
    Disconnected,
    /// We were too slow for our own bound.
    BackPressure,
    /// The recorder was stopped, or could not write.
    Recorder,
}

impl HoleCause {
    /// Every cause and its name in recordings.
    const NAMES: [(Self, &'static str); 7] = [
        (Self::PerfRing, "perf-ring"),
        (Self::ObserverQueue, "observer-queue"),
        (Self::HubbleRing, "hubble-ring"),
        (Self::NodeUnavailable, "node-unavailable"),
        (Self::Disconnected, "disconnected"),
        (Self::BackPressure, "back-pressure"),
        (Self::Recorder, "recorder"),
    ];

    /// Its name in recordings.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(cause, _)| *cause == self)
            .map_or("", |(_, name)| name)
    }

    /// Where Hubble says that it lost events. A source that is not known here counts as the
    /// agent's own queue: gone for everyone.
    #[must_use]
    pub fn of(source: LostSource) -> Self {
        match source {
            LostSource::PERF_EVENT_RING_BUFFER => Self::PerfRing,
            LostSource::HUBBLE_RING_BUFFER => Self::HubbleRing,
            _ => Self::ObserverQueue,
        }
    }

    /// The cause of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(cause, _)| *cause)
    }
}

impl fmt::Display for HoleCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerfRing => "the kernel outran the agent",
            Self::ObserverQueue => "the agent's queue was full",
            Self::HubbleRing => "the node's ring was overwritten before it was read",
            Self::NodeUnavailable => "the node could not be reached",
            Self::Disconnected => "the connection was cut",
            Self::BackPressure => "we were too slow",
            Self::Recorder => "the recorder was stopped or could not write",
        })
    }
}

/// A span in which events of one node may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// When.
    pub span: Span,
    /// Why.
    pub cause: HoleCause,
    /// How many events, where the source says.
    pub events: Option<u64>,
}

/// Watched spans and holes of every node.
#[derive(Debug, Default)]
pub struct Completeness {
    nodes: BTreeMap<String, NodeCompleteness>,
}

/// The answer to "how much of this window did we see".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Share of node-time that was watched and has no hole, 0 to 1.
    pub share: f64,
    /// Events known to be lost in the window; `None` where a hole has no count.
    pub lost: Option<u64>,
}

/// A span that ends before it starts.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("span ends at {end}, before its start {start}")]
pub struct InvertedSpan {
    start: Timestamp,
    end: Timestamp,
}

impl Span {
    /// Makes a span.
    ///
    /// # Errors
    /// [`InvertedSpan`] when `end` is before `start`; an empty span is fine.
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, InvertedSpan> {
        if end < start {
            return Err(InvertedSpan { start, end });
        }
        Ok(Self { start, end })
    }

    /// When it begins.
    #[must_use]
    pub fn start(self) -> Timestamp {
        self.start
    }

    /// When it ends; not part of it.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.end
    }

    fn length(self) -> SignedDuration {
        self.end.duration_since(self.start)
    }

    fn clipped_to(self, window: Self) -> Option<Self> {
        let start = self.start.max(window.start);
        let end = self.end.min(window.end);
        (start < end).then_some(Self { start, end })
    }
}

impl Completeness {
    /// Records that `node` was watched during `span`.
    pub fn watch(&mut self, node: &str, span: Span) {
        self.node(node).watched.push(span);
    }

    /// Records a hole of `node`, as [`known_node`] knows it. Holes outside the watched spans
    /// are kept: they say why a node is missing.
    pub fn lose(&mut self, node: &str, hole: Hole) {
        let known = known_node(self.nodes.keys(), node).cloned();
        self.node(known.as_deref().unwrap_or(node)).holes.push(hole);
    }

    /// How much of `window` was seen over all nodes known so far.
    ///
    /// Returns a share of 0 when no node is known: nothing seen is not "all quiet".
    #[must_use]
    pub fn of(&self, window: Span) -> Seen {
        let wanted: SignedDuration = self.nodes.values().map(|_| window.length()).sum();
        let seen: SignedDuration = self.nodes.values().map(|node| node.seen(window)).sum();
        let share = if wanted.is_zero() {
            0.0
        } else {
            seen.div_duration_f64(wanted)
        };
        let lost = self.nodes.values().map(|node| node.lost(window)).sum();
        Seen { share, lost }
    }

    fn node(&mut self, name: &str) -> &mut NodeCompleteness {
        self.nodes.entry(name.to_owned()).or_default()
    }
}

/// A node as flows name it (`cluster/node`): losses are told without the cluster. `None`
/// where none is called so, or several are.
pub(crate) fn known_node<'a, T: AsRef<str>>(
    known: impl Iterator<Item = &'a T> + Clone,
    name: &str,
) -> Option<&'a T> {
    let whole = known.clone().find(|known| (**known).as_ref() == name);
    whole.or_else(|| {
        let mut same = known.filter(|known| {
            let cluster = (**known).as_ref().strip_suffix(name);
            cluster.is_some_and(|cluster| cluster.ends_with('/'))
        });
        same.next().filter(|_| same.next().is_none())
    })
}

#[derive(Debug, Default)]
struct NodeCompleteness {
    watched: Vec<Span>,
    holes: Vec<Hole>,
}

impl NodeCompleteness {
    /// Watched time without a hole: |watched without holes| = |watched ∪ holes| - |holes|.
    fn seen(&self, window: Span) -> SignedDuration {
        let watched = self.watched.iter().copied();
        let holes = self.holes.iter().map(|hole| hole.span);
        length_of_union(watched.chain(holes.clone()), window) - length_of_union(holes, window)
    }

    fn lost(&self, window: Span) -> Option<u64> {
        self.holes
            .iter()
            .filter(|hole| hole.span.clipped_to(window).is_some())
            .map(|hole| hole.events)
            .sum()
    }
}

fn length_of_union(spans: impl Iterator<Item = Span>, window: Span) -> SignedDuration {
    let mut spans: Vec<Span> = spans.filter_map(|span| span.clipped_to(window)).collect();
    spans.sort_unstable();
    let mut total = SignedDuration::ZERO;
    let mut reached = window.start;
    for span in spans {
        if span.end > reached {
            total += span.end.duration_since(span.start.max(reached));
            reached = span.end;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: i64, end: i64) -> Span {
        let at = |second| Timestamp::from_second(second).unwrap();
        Span::new(at(start), at(end)).unwrap()
    }

    #[test]
    fn nothing_known_is_nothing_seen() {
        assert_eq!(
            Completeness::default().of(span(0, 60)),
            Seen {
                share: 0.0,
                lost: Some(0)
            }
        );
    }

    #[test]
    fn holes_that_overlap_count_once_and_outside_the_watch_not_at_all() {
        let mut completeness = Completeness::default();
        completeness.watch("a", span(0, 80));
        for lost in [span(10, 30), span(20, 40), span(80, 90)] {
            completeness.lose(
                "a",
                Hole {
                    span: lost,
                    cause: HoleCause::HubbleRing,
                    events: Some(5),
                },
            );
        }

        let seen = completeness.of(span(0, 100));

        assert_eq!(
            seen,
            Seen {
                share: 0.5,
                lost: Some(15)
            }
        );
    }

    #[test]
    fn a_hole_of_a_node_without_its_cluster_is_that_of_the_one_node_called_so() {
        let mut completeness = Completeness::default();
        completeness.watch("west/a", span(0, 100));
        completeness.watch("west/ba", span(0, 100));
        completeness.lose(
            "a",
            Hole {
                span: span(0, 50),
                cause: HoleCause::HubbleRing,
                events: Some(1),
            },
        );
        assert!((completeness.of(span(0, 100)).share - 0.75).abs() < 1e-9);
    }

    /// Scenario: two nodes, one of them unreachable for a quarter of the window.
    /// Guarantees: the share counts node-time, and an uncounted hole makes the loss unknown.
    #[test]
    fn a_hole_without_a_count_makes_the_loss_unknown() {
        let mut completeness = Completeness::default();
        completeness.watch("a", span(0, 100));
        completeness.watch("b", span(0, 100));
        completeness.lose(
            "b",
            Hole {
                span: span(50, 75),
                cause: HoleCause::NodeUnavailable,
                events: None,
            },
        );

        let seen = completeness.of(span(0, 100));

        assert!((seen.share - 0.875).abs() < 1e-9);
        assert_eq!(seen.lost, None);
    }
}
