//! What was read: flows, nodes, holes, and what the recording cannot tell.
//!
//! Owns the part of a report that counts rows, and rows are counted nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use jiff::Timestamp;

use super::bounded::Seen;
use crate::engine::cluster;
use crate::flow::{
    Away, Completeness, EndpointId, FlowBatch, Hole, Loss, Notice, RowRef, Span, StrId, known_node,
};
use crate::source::file::{Capabilities, Missing, SkipReason, Skips};

/// Nodes that are told apart.
const MOST_NODES: usize = 4096;
/// Clusters that are told apart.
const MOST_CLUSTERS: usize = 64;
/// Pods whose names are remembered by their address.
const MOST_PODS: usize = 1 << 16;
/// Holes that are kept one by one; further ones of a node and cause are put together.
const MOST_HOLES: usize = 1000;
/// Between two recordings of a node that lie so close it was watched too: rotations.
const BRIDGED: i64 = 60_000_000_000;
/// Pairs of a node and an input that are remembered.
const MOST_WATCHES: usize = 1 << 16;

/// What was read, as it is counted.
#[derive(Debug, Default)]
pub struct Reading {
    /// Flows that were read.
    pub read: u64,
    /// Flows that take part: within the filters and bounds.
    pub flows: u64,
    /// Events they stand for: aggregated rows count as often as they say.
    pub events: u64,
    /// Rows that stand for several events.
    pub aggregated: u64,
    /// From when to when.
    pub seen: Seen,
    /// Nodes by name, with their rows.
    pub nodes: BTreeMap<Arc<str>, NodeReading>,
    /// Clusters by name.
    pub clusters: BTreeSet<Arc<str>>,
    /// Fields that were seen.
    pub capabilities: Capabilities,
    /// Skipped lines of each input by its name, with the lines it has.
    pub skips: Vec<(String, u64, Skips)>,
    /// Inputs that could not be read.
    pub failed: Vec<String>,
    /// Rows that came too late to be in order.
    pub late: u64,
    /// Whether it was ended before the end of the input.
    pub interrupted: bool,
    holes: Vec<(Arc<str>, Loss)>,
    /// From when to when each input goes, and which nodes it tells of.
    inputs: BTreeMap<usize, Seen>,
    watches: BTreeSet<(usize, Arc<str>)>,
    away: Away,
    pods: HashMap<IpAddr, Arc<str>, RandomState>,
}

/// What was read of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeReading {
    /// Flows.
    pub flows: u64,
    /// From when to when.
    pub seen: Seen,
}

/// Looks at batches, one a thread. Remembers which endpoints it has told about, and which
/// fields it has seen.
#[derive(Debug, Default)]
pub struct RowReader {
    epoch: Option<u64>,
    known: Capabilities,
    /// The last address of each endpoint, and all that it was told with.
    last: Vec<Option<StrId>>,
    told: HashSet<(EndpointId, StrId), RandomState>,
    nodes: HashMap<StrId, Arc<str>, RandomState>,
    /// Where each node of a batch is in `counts`, from 1.
    places: Vec<u32>,
    counts: Vec<(StrId, NodeReading)>,
}

impl RowReader {
    /// Counts the rows of a batch for which `kept` says yes; an empty one keeps all.
    pub fn batch(&mut self, batch: &FlowBatch, kept: &[bool], into: &mut Reading) {
        into.capabilities.observe_next(batch, &mut self.known);
        into.read += batch.len() as u64;
        let epoch = batch.dictionaries().epoch();
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.last.clear();
            self.told.clear();
            self.nodes.clear();
        }
        for row in batch.rows() {
            if !kept.get(row.index()).copied().unwrap_or(kept.is_empty()) {
                continue;
            }
            into.flows += 1;
            into.events += u64::from(row.weight());
            into.aggregated += u64::from(row.weight() > 1);
            let time = row.time().unwrap_or(crate::flow::NO_TIME);
            into.seen.at(time);
            let reading = self.count(row.node());
            reading.flows += 1;
            reading.seen.at(time);
            self.end(row, row.source(), row.source_ip(), into);
            self.end(row, row.destination(), row.destination_ip(), into);
        }
        self.flush(batch, into);
    }

    /// The counts of a node in this batch.
    fn count(&mut self, node: StrId) -> &mut NodeReading {
        let at = node.0 as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, 0);
        }
        let place = &mut self.places[at];
        if *place == 0 {
            self.counts.push((node, NodeReading::default()));
            *place = self.counts.len() as u32;
        }
        &mut self.counts[*place as usize - 1].1
    }

    fn flush(&mut self, batch: &FlowBatch, into: &mut Reading) {
        for (node, reading) in self.counts.drain(..) {
            self.places[node.0 as usize] = 0;
            let name = self
                .nodes
                .entry(node)
                .or_insert_with(|| batch.dictionaries().str(node).into())
                .clone();
            into.node(name, reading);
        }
    }

    /// Notes the pod and the cluster of an end.
    fn end(&mut self, row: RowRef<'_>, id: EndpointId, address: StrId, into: &mut Reading) {
        let at = id.0 as usize;
        if at >= self.last.len() {
            self.last.resize(at + 1, None);
        }
        if self.last[at] == Some(address) {
            return;
        }
        let Some(endpoint) = row.dictionaries().endpoint(id) else {
            return;
        };
        self.last[at] = Some(address);
        if !self.told.insert((id, address)) {
            return;
        }
        if !endpoint.pod.is_empty()
            && let Ok(address) = row.str(address).parse()
            && into.pods.len() < MOST_PODS
        {
            let pod = format!("{}/{}", endpoint.namespace, endpoint.pod);
            into.pods.insert(address, pod.into());
        }
        if let Some(name) = cluster(Some(endpoint), row.str(row.node()))
            && into.clusters.len() < MOST_CLUSTERS
            && !into.clusters.contains(name)
        {
            into.clusters.insert(name.into());
        }
    }
}

impl Reading {
    /// Adds what was counted of a piece of an input. Notices are told apart, as their order
    /// matters.
    pub fn merge(&mut self, input: usize, other: Self) {
        self.inputs.entry(input).or_default().merge(other.seen);
        self.read += other.read;
        self.flows += other.flows;
        self.events += other.events;
        self.aggregated += other.aggregated;
        self.seen.merge(other.seen);
        self.capabilities.merge(&other.capabilities);
        for (name, reading) in other.nodes {
            if self.watches.len() < MOST_WATCHES {
                self.watches.insert((input, name.clone()));
            }
            self.node(name, reading);
        }
        for name in other.clusters {
            if self.clusters.len() < MOST_CLUSTERS {
                self.clusters.insert(name);
            }
        }
        for (address, pod) in other.pods {
            if self.pods.len() < MOST_PODS || self.pods.contains_key(&address) {
                self.pods.insert(address, pod);
            }
        }
    }

    /// Takes a notice, in the order of the input.
    pub fn notice(&mut self, notice: &Notice) {
        if let Some(loss) = notice.loss() {
            self.lose(notice.node.clone(), loss);
        }
        for (node, loss) in self.away.notice(notice) {
            self.lose(node, loss);
        }
    }

    /// Closes what is open at the end of the reading.
    pub fn finish(&mut self) {
        for (node, loss) in self.away.finish(self.seen.last) {
            self.lose(node, loss);
        }
    }

    fn lose(&mut self, node: Arc<str>, hole: Loss) {
        if self.holes.len() >= MOST_HOLES {
            let same = self
                .holes
                .iter_mut()
                .find(|(known, other)| *known == node && other.cause == hole.cause);
            if let Some((_, other)) = same {
                other.first = other.first.min(hole.first);
                other.last = other.last.max(hole.last);
                other.events = other.events.zip(hole.events).map(|(one, more)| one + more);
                return;
            }
        }
        if self.holes.len() < 2 * MOST_HOLES {
            self.holes.push((node, hole));
        }
    }

    fn node(&mut self, name: Arc<str>, reading: NodeReading) {
        let name = if self.nodes.len() < MOST_NODES || self.nodes.contains_key(&name) {
            name
        } else {
            Arc::from("other nodes")
        };
        let known = self.nodes.entry(name).or_default();
        known.flows += reading.flows;
        known.seen.merge(reading.seen);
    }

    /// The pod that had an address, `namespace/pod`.
    #[must_use]
    pub fn pod(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.pods.get(&address)
    }

    /// Holes with their nodes, by time.
    #[must_use]
    pub fn holes(&self) -> Vec<(Arc<str>, Hole)> {
        let mut holes: Vec<(Arc<str>, Hole)> = self
            .holes
            .iter()
            .filter_map(|(node, hole)| {
                Some((
                    self.known_name(node),
                    Hole {
                        span: span(hole.first, hole.last)?,
                        cause: hole.cause,
                        events: hole.events,
                    },
                ))
            })
            .collect();
        holes.sort_by(|(left_node, left), (right_node, right)| {
            (left.span, left_node).cmp(&(right.span, right_node))
        });
        holes
    }

    /// A node as its flows name it: losses are told without the cluster.
    fn known_name(&self, name: &Arc<str>) -> Arc<str> {
        known_node(self.nodes.keys(), name).unwrap_or(name).clone()
    }

    /// Which nodes were watched when, less the holes.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        let mut completeness = Completeness::default();
        // A recording tells of a node for as long as it goes, also while nothing happens.
        let mut spans: BTreeMap<&Arc<str>, Vec<(i64, i64)>> = BTreeMap::new();
        for (input, node) in &self.watches {
            let seen = self.inputs.get(input).copied().unwrap_or_default();
            spans.entry(node).or_default().extend(seen.span());
        }
        for (node, mut spans) in spans {
            spans.sort_unstable();
            let mut reached: Option<i64> = None;
            for (first, last) in spans {
                let first = match reached {
                    Some(before) if first.saturating_sub(before) <= BRIDGED => before.min(first),
                    _ => first,
                };
                reached = reached.max(Some(last));
                if let Some(span) = span(first, last.max(first)) {
                    completeness.watch(node, span);
                }
            }
        }
        for (node, hole) in self.holes() {
            completeness.lose(&node, hole);
        }
        completeness
    }

    /// Share of node-time that was seen, 0 to 1, and events known to be lost; `None` where
    /// there is no span of time. A loss of which only a moment is known takes no share, and
    /// its events are lost all the same.
    #[must_use]
    pub fn share_seen(&self) -> Option<crate::flow::Seen> {
        let (first, last) = self.seen.span()?;
        let window = (first < last).then(|| span(first, last))??;
        let seen = self.completeness().of(window);
        let moments: Option<u64> = self
            .holes()
            .into_iter()
            .filter(|(_, hole)| hole.span.start() == hole.span.end())
            .map(|(_, hole)| hole.events)
            .sum();
        Some(crate::flow::Seen {
            lost: seen.lost.zip(moments).map(|(one, more)| one + more),
            ..seen
        })
    }

    /// From the first flow to the last, in nanoseconds; `None` where no flow has a time.
    #[must_use]
    pub fn window(&self) -> Option<i64> {
        let (first, last) = self.seen.span()?;
        Some(last.saturating_sub(first))
    }

    /// What the recording cannot tell.
    pub fn missing(&self) -> impl Iterator<Item = Missing> + '_ {
        self.capabilities.missing()
    }

    /// Skipped lines by reason over all inputs.
    #[must_use]
    pub fn skipped(&self) -> BTreeMap<SkipReason, u64> {
        let mut sums = BTreeMap::new();
        for (_, _, skips) in &self.skips {
            for (reason, count, _) in skips.iter() {
                *sums.entry(reason).or_default() += count;
            }
        }
        sums
    }
}

fn span(first: i64, last: i64) -> Option<Span> {
    let at = |nanos: i64| Timestamp::from_nanosecond(i128::from(nanos)).ok();
    Span::new(at(first)?, at(last)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{BatchBuilder, NodeState, NoticeKind, Row};

    const SECOND: i64 = 1_000_000_000;

    fn nodes(state: NodeState, second: i64) -> Notice {
        Notice {
            before_row: 0,
            node: "relay".into(),
            time: second * SECOND,
            kind: NoticeKind::Nodes {
                state,
                names: vec!["n1".into()],
                message: "".into(),
            },
            raw: None,
        }
    }

    #[test]
    fn a_node_is_away_until_it_is_back() {
        let mut reading = Reading::default();
        reading.notice(&nodes(NodeState::NODE_UNAVAILABLE, 10));
        reading.notice(&nodes(NodeState::NODE_UNAVAILABLE, 20));
        reading.notice(&nodes(NodeState::NODE_CONNECTED, 40));
        reading.finish();
        let holes = reading.holes();
        assert_eq!(holes.len(), 1);
        assert_eq!(holes[0].1.span.start().as_second(), 10);
        assert_eq!(holes[0].1.span.end().as_second(), 40);
        assert_eq!(holes[0].1.events, None);
    }

    /// Scenario: a ring that was overrun says how many events, and no span.
    /// Guarantees: they count as lost.
    #[test]
    fn a_loss_of_a_moment_is_a_loss() {
        let mut reading = Reading {
            seen: Seen {
                first: 0,
                last: 100 * SECOND,
            },
            ..Reading::default()
        };
        assert_eq!(reading.share_seen().unwrap().lost, Some(0));
        reading.notice(&Notice {
            kind: NoticeKind::Lost {
                source: crate::flow::LostSource::PERF_EVENT_RING_BUFFER,
                events: 9,
                cpu: None,
                first: None,
                last: None,
            },
            ..nodes(NodeState::NODE_CONNECTED, 50)
        });
        assert_eq!(reading.share_seen().unwrap().lost, Some(9));
    }

    #[test]
    fn rows_are_counted_by_node_with_their_weight() {
        let mut builder = BatchBuilder::default();
        for (node, second, weight) in [("a", 1, 1), ("a", 3, 5), ("b", 2, 1)] {
            let row = Row {
                node: builder.interner().text(node),
                time: second * SECOND,
                weight,
                ..Row::default()
            };
            builder.push(row, || unreachable!());
        }
        let mut reading = Reading::default();
        RowReader::default().batch(&builder.finish(), &[true, true, false], &mut reading);
        assert_eq!((reading.read, reading.flows, reading.events), (3, 2, 6));
        assert_eq!(reading.nodes["a"].seen.span(), Some((SECOND, 3 * SECOND)));
        assert!(!reading.nodes.contains_key("b"));
    }
}
