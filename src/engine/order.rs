//! The order of what keeps state: time, then node, then tuple hash.
//!
//! Owns putting batches of several sources in that order behind a watermark, which is a
//! fixed delay behind the newest time of the source that is furthest behind. A row older
//! than the watermark comes out at once, as late. Rows stay in their batches: what waits
//! is a sorted list of row numbers a batch.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::sides::JudgedBatch;
use crate::flow::{L7Record, RowRef, tuple_hash};
use crate::source::merge::WATERMARK_DELAY;

/// Rows that wait at most; beyond that the oldest come out early.
const CAPACITY: usize = 1 << 18;

/// Rows of one time that are compared.
const MOST_SAME: usize = 1 << 10;

/// A row in its turn.
pub(super) struct Turn<'a> {
    pub(super) batch: &'a JudgedBatch,
    pub(super) row: RowRef<'a>,
}

/// Batches of several sources in order.
pub(super) struct Sequencer {
    runs: BinaryHeap<Reverse<Run>>,
    /// The newest time of each source; `i64::MAX` for one that has ended.
    frontiers: Vec<i64>,
    delay: i64,
    capacity: usize,
    waiting: usize,
    /// Rows before this time are late.
    watermark: i64,
    arrived: u64,
    late: u64,
    /// Whether a row that is the same as another comes out once.
    distinct: bool,
    /// Rows of the last time that came out, by what they say.
    same: (i64, Vec<u64>),
    duplicates: u64,
}

impl Sequencer {
    pub(super) fn new() -> Self {
        Self::with(WATERMARK_DELAY, CAPACITY)
    }

    fn with(delay: i64, capacity: usize) -> Self {
        Self {
            runs: BinaryHeap::new(),
            frontiers: Vec::new(),
            delay,
            capacity,
            waiting: 0,
            watermark: i64::MIN,
            arrived: 0,
            late: 0,
            distinct: false,
            same: (i64::MIN, Vec::new()),
            duplicates: 0,
        }
    }

    /// Says that a source begins at `time`: until it has ended, nothing after what it has
    /// given comes out.
    pub(super) fn open(&mut self, source: usize, time: i64) {
        if self.frontiers.len() <= source {
            self.frontiers.resize(source + 1, i64::MAX);
        }
        self.frontiers[source] = time;
    }

    /// Says that a source has ended.
    pub(super) fn close(&mut self, source: usize, out: &mut impl FnMut(Turn<'_>)) {
        if let Some(frontier) = self.frontiers.get_mut(source) {
            *frontier = i64::MAX;
        }
        let others = self.frontiers.iter().copied().min();
        if let Some(reached) = others.filter(|reached| *reached < i64::MAX) {
            self.reach(reached, out);
        }
    }

    /// Takes a batch, and gives out what its times make ready.
    pub(super) fn push(
        &mut self,
        source: usize,
        batch: JudgedBatch,
        out: &mut impl FnMut(Turn<'_>),
    ) {
        let batch = Arc::new(batch);
        let others = self
            .frontiers
            .iter()
            .enumerate()
            .filter(|(number, _)| *number != source)
            .map(|(_, reached)| *reached)
            .min()
            .unwrap_or(i64::MAX);
        let begin = self.frontiers.get(source).copied().unwrap_or(i64::MIN);
        // A source that was never opened begins with its first row.
        let mut newest = if begin == i64::MAX { i64::MIN } else { begin };
        let mut rows = Vec::new();
        for row in batch.batch.rows() {
            let number = row.index();
            if !batch.is_kept(number) {
                continue;
            }
            let Some(time) = row.time() else {
                // Without a time it has no place of its own.
                out(Turn { batch: &batch, row });
                continue;
            };
            let watermark = newest.min(others).saturating_sub(self.delay);
            if time < watermark.max(self.watermark) {
                self.add(&batch, &mut rows);
                self.reach(newest.min(others), out);
                self.late += 1;
                out(Turn { batch: &batch, row });
                continue;
            }
            newest = newest.max(time);
            rows.push(number as u32);
        }
        self.add(&batch, &mut rows);
        if newest > i64::MIN {
            self.open(source, newest);
            self.reach(newest.min(others), out);
        }
        while self.waiting > self.capacity {
            let Some(time) = self.next_time() else { break };
            self.watermark = self.watermark.max(time);
            self.pop(out);
        }
    }

    /// Gives out everything.
    pub(super) fn finish(&mut self, out: &mut impl FnMut(Turn<'_>)) {
        while self.next_time().is_some() {
            self.pop(out);
        }
    }

    /// Lets a row that is the same as another one of its time come out once.
    pub(super) fn be_distinct(&mut self) {
        self.distinct = true;
    }

    /// Rows that did not come out because they had before.
    pub(super) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Rows that came too late.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// The time before which everything came out.
    pub(super) fn watermark(&self) -> i64 {
        self.watermark
    }

    fn add(&mut self, batch: &Arc<JudgedBatch>, rows: &mut Vec<u32>) {
        if rows.is_empty() {
            return;
        }
        let mut rows = std::mem::take(rows);
        // Nearly sorted as a rule, which a stable sort makes use of.
        rows.sort_by(|left, right| compare(batch.row(*left), batch.row(*right)));
        rows.reverse();
        self.waiting += rows.len();
        self.runs.push(Reverse(Run {
            batch: batch.clone(),
            rows,
            arrived: self.arrived,
        }));
        self.arrived += 1;
    }

    fn reach(&mut self, reached: i64, out: &mut impl FnMut(Turn<'_>)) {
        self.watermark = self.watermark.max(reached.saturating_sub(self.delay));
        while self.next_time().is_some_and(|time| time < self.watermark) {
            self.pop(out);
        }
    }

    fn next_time(&self) -> Option<i64> {
        let Reverse(run) = self.runs.peek()?;
        run.next().and_then(|row| row.time())
    }

    fn pop(&mut self, out: &mut impl FnMut(Turn<'_>)) {
        let Some(mut head) = self.runs.peek_mut() else {
            return;
        };
        let mut next = None;
        if let Some(row) = head.0.rows.pop() {
            self.waiting -= 1;
            next = Some((head.0.batch.clone(), row));
        }
        if head.0.rows.is_empty() {
            std::collections::binary_heap::PeekMut::pop(head);
        } else {
            drop(head);
        }
        let Some((batch, row)) = next else {
            return;
        };
        let turn = Turn {
            batch: &batch,
            row: batch.row(row),
        };
        if self.distinct && self.is_duplicate(turn.row) {
            self.duplicates += 1;
        } else {
            out(turn);
        }
    }

    /// Whether a row of the same time said the same. What rows say is only looked at where
    /// another one of their time is next to them.
    fn is_duplicate(&mut self, row: RowRef<'_>) -> bool {
        let time = row.time().unwrap_or_default();
        let is_first = self.same.0 != time;
        if is_first {
            self.same.0 = time;
            self.same.1.clear();
        }
        if is_first && self.next_time() != Some(time) {
            return false;
        }
        let content = content(row);
        if self.same.1.contains(&content) {
            return true;
        }
        if self.same.1.len() < MOST_SAME {
            self.same.1.push(content);
        }
        false
    }
}

/// A hash of what a row says, by which two records of one event are known. Texts of two
/// batches have other numbers.
fn content(row: RowRef<'_>) -> u64 {
    use std::hash::{BuildHasher, Hash, Hasher};
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    tuple_hash(row).hash(&mut hasher);
    row.str(row.node()).hash(&mut hasher);
    (row.event_type(), row.event_sub_type(), row.trace_point().0).hash(&mut hasher);
    (row.trace_reason().0, row.verdict().0, row.drop_reason().0).hash(&mut hasher);
    (row.direction().0, row.reply() as u8, row.flags()).hash(&mut hasher);
    row.uuid().hash(&mut hasher);
    if let Some(extra) = row.extra() {
        extra
            .icmp
            .map(|icmp| (icmp.kind, icmp.code))
            .hash(&mut hasher);
        if let Some(l7) = &extra.l7 {
            (l7.kind.0, l7.latency_ns).hash(&mut hasher);
            match &l7.record {
                Some(L7Record::Dns(dns)) => {
                    row.str(dns.query).hash(&mut hasher);
                    dns.rcode.hash(&mut hasher);
                    row.dictionaries()
                        .list(dns.qtypes)
                        .for_each(|kind| kind.hash(&mut hasher));
                }
                Some(L7Record::Http(http)) => {
                    (row.str(http.method), row.str(http.url), http.code).hash(&mut hasher);
                }
                Some(L7Record::Kafka(kafka)) => {
                    (row.str(kafka.api_key), kafka.correlation_id).hash(&mut hasher);
                }
                None => {}
            }
        }
    }
    hasher.finish()
}

/// Rows of one batch in order, the next one last.
struct Run {
    batch: Arc<JudgedBatch>,
    rows: Vec<u32>,
    arrived: u64,
}

impl Run {
    fn next(&self) -> Option<RowRef<'_>> {
        self.rows.last().map(|row| self.batch.row(*row))
    }
}

/// By time, node and tuple; the hash is only asked for where the others are equal.
fn compare(left: RowRef<'_>, right: RowRef<'_>) -> Ordering {
    left.time()
        .cmp(&right.time())
        .then_with(|| left.str(left.node()).cmp(right.str(right.node())))
        .then_with(|| tuple_hash(left).cmp(&tuple_hash(right)))
}

impl Ord for Run {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.next(), other.next()) {
            (Some(left), Some(right)) => compare(left, right),
            (left, right) => left.is_some().cmp(&right.is_some()),
        }
        .then_with(|| self.arrived.cmp(&other.arrived))
    }
}

impl PartialOrd for Run {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Run {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{BatchBuilder, Row};

    const SECOND: i64 = 1_000_000_000;

    fn batch(seconds: &[i64]) -> JudgedBatch {
        let mut builder = BatchBuilder::default();
        for second in seconds {
            let row = Row {
                time: second * SECOND,
                ..Row::default()
            };
            builder.push(row, || unreachable!());
        }
        JudgedBatch::unjudged(builder.finish())
    }

    fn seconds(run: impl FnOnce(&mut Sequencer, &mut dyn FnMut(Turn<'_>))) -> (Vec<i64>, u64) {
        let mut order = Sequencer::with(10 * SECOND, 1000);
        let mut seen = Vec::new();
        run(&mut order, &mut |turn| {
            seen.push(turn.row.time().unwrap() / SECOND);
        });
        (seen, order.late())
    }

    #[test]
    fn rows_come_in_order_whatever_the_batches() {
        let all = [5, 3, 4, 9, 20, 12, 30, 28, 1, 31];
        let mut answers = Vec::new();
        for size in [1, 2, 3, 10] {
            answers.push(seconds(|order, mut out| {
                for part in all.chunks(size) {
                    order.push(0, batch(part), &mut out);
                }
                order.finish(&mut out);
            }));
        }
        assert_eq!(answers[0], (vec![3, 4, 5, 9, 12, 1, 20, 28, 30, 31], 1));
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }

    /// Scenario: two nodes' files of the same minute, read one piece after the other.
    /// Guarantees: neither makes rows of the other late.
    #[test]
    fn a_source_waits_for_those_behind_it() {
        let (seen, late) = seconds(|order, mut out| {
            order.open(0, 0);
            order.open(1, 0);
            order.push(0, batch(&[0, 20, 40, 60]), &mut out);
            order.push(1, batch(&[10, 30, 50]), &mut out);
            order.close(1, &mut out);
            order.push(0, batch(&[70]), &mut out);
            order.finish(&mut out);
        });
        assert_eq!(seen, [0, 10, 20, 30, 40, 50, 60, 70]);
        assert_eq!(late, 0);
    }

    /// Scenario: a batch is pushed twice, once in a batch of another make-up.
    /// Guarantees: each row comes out once, if that is asked for.
    #[test]
    fn what_came_before_does_not_come_again() {
        for (distinct, wanted) in [(true, 3), (false, 6)] {
            let mut order = Sequencer::with(10 * SECOND, 1000);
            if distinct {
                order.be_distinct();
            }
            let mut seen = 0;
            order.push(0, batch(&[1, 2]), &mut |_| seen += 1);
            order.push(0, batch(&[3]), &mut |_| seen += 1);
            order.push(0, batch(&[1, 2, 3]), &mut |_| seen += 1);
            order.finish(&mut |_| seen += 1);
            assert_eq!((seen, order.duplicates()), (wanted, 6 - wanted));
        }
    }

    #[test]
    fn what_does_not_fit_comes_out_early() {
        let mut order = Sequencer::with(10 * SECOND, 2);
        let mut seen = Vec::new();
        order.push(0, batch(&[3, 2, 1, 4]), &mut |turn| {
            seen.push(turn.row.time().unwrap() / SECOND);
        });
        assert_eq!(seen, [1, 2]);
    }
}
