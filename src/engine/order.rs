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
use crate::flow::{L7Record, NO_TIME, Protocol, RowRef, StrId, tuple_hash};
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
        let least = newest.min(others).saturating_sub(self.delay);
        if let Some(last) = batch.last_of_ordered(least.max(self.watermark)) {
            rows.extend(0..batch.batch.len() as u32);
            newest = newest.max(last);
        } else {
            newest = self.push_apart(&batch, &mut rows, newest, others, out);
        }
        self.add(&batch, &mut rows);
        if newest > i64::MIN {
            self.open(source, newest);
            self.reach(newest.min(others), out);
        }
        while self.waiting > self.capacity {
            let last = self.pop(i64::MAX, self.waiting - self.capacity, out);
            self.watermark = self.watermark.max(last);
        }
    }

    /// Takes the rows of a batch one by one, and gives out those without a time and those
    /// that are late. Returns the newest time.
    fn push_apart(
        &mut self,
        batch: &Arc<JudgedBatch>,
        rows: &mut Vec<u32>,
        mut newest: i64,
        others: i64,
        out: &mut impl FnMut(Turn<'_>),
    ) -> i64 {
        for row in batch.batch.rows() {
            let number = row.index();
            if !batch.is_kept(number) {
                continue;
            }
            let Some(time) = row.time() else {
                // Without a time it has no place of its own.
                out(Turn { batch, row });
                continue;
            };
            let watermark = newest.min(others).saturating_sub(self.delay);
            if time < watermark.max(self.watermark) {
                self.add(batch, rows);
                self.reach(newest.min(others), out);
                self.late += 1;
                out(Turn { batch, row });
                continue;
            }
            newest = newest.max(time);
            rows.push(number as u32);
        }
        newest
    }

    /// Gives out everything.
    pub(super) fn finish(&mut self, out: &mut impl FnMut(Turn<'_>)) {
        while self.waiting > 0 {
            self.pop(i64::MAX, usize::MAX, out);
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
        // The next one is last.
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
            self.pop(self.watermark, usize::MAX, out);
        }
    }

    fn next_time(&self) -> Option<i64> {
        let Reverse(run) = self.runs.peek()?;
        run.next().and_then(|row| row.time())
    }

    /// Gives out the next row, and those of its batch that follow before any of another
    /// and before `until`: `most` at most. The time of the last one.
    fn pop(&mut self, until: i64, most: usize, out: &mut impl FnMut(Turn<'_>)) -> i64 {
        let mut last = NO_TIME;
        let Some(Reverse(mut run)) = self.runs.pop() else {
            return last;
        };
        let other = self.runs.peek().map(|Reverse(other)| other);
        let other_time = other.and_then(|other| other.next()?.time());
        let before = until.min(other_time.unwrap_or(i64::MAX));
        let mut given = 0;
        while given < most
            && let Some(row) = run.next()
        {
            let is_next = match row.time() {
                Some(time) if time < before => true,
                Some(time) if time >= until => false,
                _ => other.is_none_or(|other| run < *other),
            };
            // The first is the least of all.
            if !is_next && given > 0 {
                break;
            }
            last = row.time().unwrap_or(last);
            let next = run.second().and_then(|row| row.time());
            let next = next.unwrap_or(i64::MAX).min(other_time.unwrap_or(i64::MAX));
            if self.distinct && is_duplicate(&mut self.same, row, next) {
                self.duplicates += 1;
            } else {
                out(Turn {
                    batch: &run.batch,
                    row,
                });
            }
            run.rows.pop();
            given += 1;
        }
        self.waiting -= given;
        if !run.rows.is_empty() {
            self.runs.push(Reverse(run));
        }
        last
    }
}

/// Whether a row of the same time said the same; `same` has the time of the last row and what
/// those of it said, `next` is the time of the row after this one. What rows say is only
/// looked at where another one of their time is next to them.
fn is_duplicate(same: &mut (i64, Vec<u64>), row: RowRef<'_>, next: i64) -> bool {
    let time = row.time().unwrap_or_default();
    let is_first = same.0 != time;
    if is_first {
        same.0 = time;
        same.1.clear();
    }
    if is_first && next != time {
        return false;
    }
    let content = content(row);
    if same.1.contains(&content) {
        return true;
    }
    if same.1.len() < MOST_SAME {
        same.1.push(content);
    }
    false
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

    /// The row after the next one.
    fn second(&self) -> Option<RowRef<'_>> {
        let at = self.rows.len().checked_sub(2)?;
        self.rows.get(at).map(|row| self.batch.row(*row))
    }
}

/// By time, node and tuple; names and hashes are only asked for where they decide.
fn compare(left: RowRef<'_>, right: RowRef<'_>) -> Ordering {
    left.time().cmp(&right.time()).then_with(|| {
        let same_words = left.dictionaries().epoch() == right.dictionaries().epoch();
        if !same_words || left.node() != right.node() {
            let order = left.str(left.node()).cmp(right.str(right.node()));
            if order.is_ne() {
                return order;
            }
        }
        if same_words && tuple(left) == tuple(right) {
            return Ordering::Equal;
        }
        tuple_hash(left).cmp(&tuple_hash(right))
    })
}

/// What the hash of the tuple is made of, in words of one epoch.
fn tuple(row: RowRef<'_>) -> (Protocol, [StrId; 2], [u32; 2]) {
    (
        row.protocol(),
        [row.source_ip(), row.destination_ip()],
        [row.source_port(), row.destination_port()],
    )
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
