//! Since when the DNS of a node has been recorded without a hole.
//!
//! Owns what breaks such a record and what starts it. What a name means for an address is
//! `ledger`'s.
//!
//! The first answer with an address that a node's DNS proxy passed on proves that the
//! recording holds such answers from then on. A loss ends that, as do a line that cannot be
//! read, a node that went away and times that run backwards: the next answer starts anew. An address without a
//! name has none where the record is longer than any answer is kept.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::flow::{
    self, FlowBatch, L7Record, L7Type, NO_TIME, NodeState, Notice, NoticeKind, RowRef, StrId,
};

const SECOND: i64 = 1_000_000_000;
/// How far a node's events may be out of order: proxies and the kernel report on their own.
const DISORDER: i64 = SECOND;
/// Nodes that are watched; of further ones no record is complete.
const MOST_NODES: usize = 1 << 14;

/// What is recorded of the DNS of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DnsRecord {
    /// Since when, in nanoseconds since 1970 UTC; `None` where it is not, or not yet again.
    pub(super) since: Option<i64>,
    /// Longest time to live seen, in seconds; 0 where none was.
    pub(super) longest: u32,
}

/// Nodes of one input as they are after what was read of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Watches {
    /// Where each node is, by its name.
    places: Arc<HashMap<Arc<str>, usize, RandomState>>,
    nodes: Vec<(Arc<str>, Watch)>,
}

/// A node.
#[derive(Clone, Copy, Debug)]
struct Watch {
    record: DnsRecord,
    /// The latest time seen.
    latest: i64,
    /// A record cannot start before.
    floor: i64,
}

/// Where the nodes of one batch are, by their ids.
#[derive(Default)]
struct Known(Vec<Place>);

/// [`NOT_ASKED`], [`NOWHERE`], or a place from [`FIRST`] on.
type Place = u32;
const NOT_ASKED: Place = 0;
const NOWHERE: Place = 1;
const FIRST: Place = 2;

impl Known {
    fn slot(&mut self, node: StrId) -> &mut Place {
        let at = node.0 as usize;
        if at >= self.0.len() {
            self.0.resize(at + 1, NOT_ASKED);
        }
        &mut self.0[at]
    }
}

/// Where in a piece the record of a node becomes another.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes(HashMap<Arc<str>, Vec<(u64, DnsRecord)>, RandomState>);

impl DnsRecord {
    /// Whether every answer that may count at a time is part of it, where answers are kept
    /// for `needed` seconds. Without any time to live it is not known how long that is.
    pub(super) fn covers(self, time: i64, needed: u32) -> bool {
        self.longest > 0
            && self.since.is_some_and(|since| {
                time.saturating_sub(since) > i64::from(needed).saturating_mul(SECOND)
            })
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            record: DnsRecord::default(),
            latest: i64::MIN,
            floor: i64::MIN,
        }
    }
}

impl Watch {
    fn end(&mut self, time: i64) {
        self.record.since = None;
        self.floor = self.floor.max(time);
    }
}

impl Watches {
    /// Goes over a piece, of which these are all batches.
    pub(super) fn piece(&mut self, batches: &[FlowBatch]) -> Changes {
        let mut changes = Changes::default();
        let mut before = 0;
        for batch in batches {
            let mut known = Known::default();
            let mut notices = batch.notices().iter().peekable();
            for row in batch.rows() {
                let at = before + row.index() as u64;
                while let Some(notice) = notices.next_if(|notice| notice.before_row <= row.index())
                {
                    self.notice(notice, at, &mut changes);
                }
                self.row(row, at, &mut known, &mut changes);
            }
            before += batch.len() as u64;
            for notice in notices {
                self.notice(notice, before, &mut changes);
            }
        }
        changes
    }

    /// Ends the record of a node; of every one where it is not known which.
    pub(super) fn end(&mut self, node: &str, time: i64) {
        for (name, watch) in &mut self.nodes {
            if node.is_empty() || **name == *node {
                watch.end(time);
            }
        }
    }

    fn get(&self, node: &str) -> Option<&Watch> {
        let (_, watch) = self.nodes.get(*self.places.get(node)?)?;
        Some(watch)
    }

    /// The place of the node of a row, which gets one with its first answer.
    fn place(&mut self, row: RowRef<'_>, is_answer: bool, known: &mut Known) -> Option<usize> {
        let slot = known.slot(row.node());
        match *slot {
            // Nothing is to be said of a node before its first answer.
            NOWHERE if !is_answer => return None,
            NOT_ASKED | NOWHERE => {}
            place => return Some((place - FIRST) as usize),
        }
        let node = row.str(row.node());
        let mut place = self.places.get(node).copied();
        if place.is_none() && is_answer && !node.is_empty() && self.nodes.len() < MOST_NODES {
            let name: Arc<str> = Arc::from(node);
            place = Some(self.nodes.len());
            Arc::make_mut(&mut self.places).insert(name.clone(), self.nodes.len());
            self.nodes.push((name, Watch::default()));
        }
        *slot = place.map_or(NOWHERE, |place| place as Place + FIRST);
        place
    }

    fn row(&mut self, row: RowRef<'_>, at: u64, known: &mut Known, changes: &mut Changes) {
        let Some(time) = row.time() else {
            return;
        };
        let answer = answer(row);
        let Some(place) = self.place(row, answer.is_some(), known) else {
            return;
        };
        let (node, watch) = &mut self.nodes[place];
        let old = watch.record;
        // Of flows that were put together the answers are not all there.
        let joined = answer.is_some() && row.weight() > 1;
        if joined || time.saturating_add(DISORDER) < watch.latest {
            watch.end(time);
        }
        watch.latest = watch.latest.max(time);
        if let Some((ttl, addresses)) = answer {
            watch.record.longest = watch.record.longest.max(ttl);
            if addresses && !joined && watch.record.since.is_none() {
                watch.record.since = Some(time.max(watch.floor));
            }
        }
        let new = watch.record;
        // What a row tells counts from the one behind it.
        changes.note(node, at + 1, old, new);
    }

    fn notice(&mut self, notice: &Notice, at: u64, changes: &mut Changes) {
        let node = std::slice::from_ref(&notice.node);
        let (nodes, time) = match &notice.kind {
            NoticeKind::Unread => (node, notice.time),
            NoticeKind::Lost { last, .. } => (node, last.unwrap_or(NO_TIME).max(notice.time)),
            NoticeKind::Hole { last, .. } => (node, (*last).max(notice.time)),
            NoticeKind::Nodes { state, names, .. } if *state != NodeState::NODE_CONNECTED => {
                let nodes = if names.is_empty() { node } else { names };
                (nodes, notice.time)
            }
            _ => return,
        };
        for (name, watch) in &mut self.nodes {
            if nodes.iter().any(|node| node.is_empty() || node == name) {
                let old = watch.record;
                watch.end(time);
                changes.note(name, at, old, watch.record);
            }
        }
    }
}

impl Changes {
    /// What was recorded of a node before row `at` of the piece. `after` is how it was after
    /// the piece, which is how it was all along where nothing changed.
    pub(super) fn record(&self, node: &str, at: u64, after: &Watches) -> DnsRecord {
        let Some(changes) = self.0.get(node) else {
            let watch = after.get(node);
            return watch.map(|watch| watch.record).unwrap_or_default();
        };
        let later = changes.partition_point(|(row, _)| *row <= at);
        changes[later.saturating_sub(1)].1
    }

    /// Notes what a record is from row `at` on.
    fn note(&mut self, node: &str, at: u64, old: DnsRecord, new: DnsRecord) {
        if old == new {
            return;
        }
        let changes = match self.0.get_mut(node) {
            Some(changes) => changes,
            None => self
                .0
                .entry(Arc::from(node))
                .or_insert_with(|| vec![(0, old)]),
        };
        changes.push((at, new));
    }
}

/// Of an answer that the proxy of a node passed on the time to live, 0 where it has none,
/// and whether it has addresses.
fn answer(row: RowRef<'_>) -> Option<(u32, bool)> {
    let l7 = row.extra()?.l7.as_deref()?;
    let Some(L7Record::Dns(dns)) = &l7.record else {
        return None;
    };
    if l7.kind != L7Type::RESPONSE || row.verdict() != flow::Verdict::FORWARDED {
        return None;
    }
    let ttl = if dns.ttl == u32::MAX { 0 } else { dns.ttl };
    let addresses = row.dictionaries().list(dns.ips).len() > 0;
    Some((ttl, addresses))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::source::file::{Chunk, LineDecoder};

    fn line(body: &str, node: &str, second: i64, content: &Value) -> String {
        let time = jiff::Timestamp::from_second(second).unwrap().to_string();
        let mut content = content.clone();
        if body == "flow" {
            content["time"] = json!(time);
            content["node_name"] = json!(node);
        }
        json!({body: content, "node_name": node, "time": time}).to_string()
    }

    fn dns(node: &str, second: i64, ttl: u32) -> String {
        let flow = json!({
            "verdict": "FORWARDED", "Type": "L7", "event_type": {"type": 129},
            "l7": {"type": "RESPONSE", "dns": {
                "query": "a.test.", "ips": ["9.9.9.9"], "ttl": ttl, "qtypes": ["A"],
            }},
        });
        line("flow", node, second, &flow)
    }

    fn packet(node: &str, second: i64) -> String {
        let flow = json!({"verdict": "FORWARDED", "Type": "L3_L4", "event_type": {"type": 4}});
        line("flow", node, second, &flow)
    }

    fn lost(node: &str, second: i64) -> String {
        let lost = json!({"source": "HUBBLE_RING_BUFFER", "num_events_lost": 3});
        line("lost_events", node, second, &lost)
    }

    /// What is recorded of a node before each row, with so many lines a piece.
    fn records(lines: &[String], node: &str, each: usize) -> Vec<(Option<i64>, u32)> {
        let mut watches = Watches::default();
        let mut decoder = LineDecoder::default();
        let mut found = Vec::new();
        for lines in lines.chunks(each) {
            let chunk = Chunk {
                bytes: (lines.join("\n") + "\n").into_bytes().into(),
                dropped: 0,
                damaged: None,
            };
            let mut batches = Vec::new();
            decoder.decode(&chunk, |_, batch| batches.push(batch));
            let rows: usize = batches.iter().map(FlowBatch::len).sum();
            let changes = watches.piece(&batches);
            for at in 0..rows as u64 {
                let record = changes.record(node, at, &watches);
                found.push((record.since.map(|since| since / SECOND), record.longest));
            }
        }
        found
    }

    fn check(lines: &[String], node: &str, expected: &[(Option<i64>, u32)]) {
        for each in 1..=lines.len() {
            assert_eq!(records(lines, node, each), expected, "{each} lines a piece");
        }
    }

    #[test]
    fn the_first_answer_starts_a_record_from_the_row_behind_it() {
        let lines = [
            packet("n", 1),
            dns("n", 10, 30),
            dns("n", 20, 60),
            packet("n", 30),
            dns("m", 40, 900),
            packet("n", 50),
        ];
        let none = (None, 0);
        let (short, long) = ((Some(10), 30), (Some(10), 60));
        check(&lines, "n", &[none, none, short, long, long, long]);
        check(
            &lines,
            "m",
            &[none, none, none, none, none, (Some(40), 900)],
        );
    }

    #[test]
    fn a_loss_ends_the_record_of_its_node_or_of_all() {
        let lines = [
            dns("n", 10, 30),
            dns("m", 11, 20),
            lost("n", 20),
            packet("n", 21),
            dns("n", 22, 5),
            packet("n", 23),
            lost("", 24),
            packet("n", 25),
        ];
        let n: Vec<_> = records(&lines, "n", 3);
        assert_eq!(n[3..], [(None, 30), (Some(22), 30), (None, 30)]);
        check(&lines, "n", &n);
        let m = records(&lines, "m", 8);
        assert_eq!(m[3..], [(Some(11), 20), (Some(11), 20), (None, 20)]);
        check(&lines, "m", &m);
    }

    #[test]
    fn times_that_run_backwards_end_a_record() {
        let lines = [
            dns("n", 100, 30),
            packet("n", 99),
            packet("n", 50),
            dns("n", 60, 30),
            dns("n", 101, 30),
            packet("n", 102),
        ];
        let on = (Some(100), 30);
        check(
            &lines,
            "n",
            &[
                (None, 0),
                on,
                on,
                (None, 30),
                (Some(60), 30),
                (Some(60), 30),
            ],
        );
    }

    #[test]
    fn a_record_covers_what_is_longer_than_the_longest_time_to_live() {
        let record = DnsRecord {
            since: Some(100 * SECOND),
            longest: 60,
        };
        assert!(!record.covers(160 * SECOND, 60));
        assert!(record.covers(161 * SECOND, 60));
        assert!(
            !DnsRecord {
                longest: 0,
                ..record
            }
            .covers(161 * SECOND, 0)
        );
    }
}
