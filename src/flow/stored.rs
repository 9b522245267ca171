//! Rows of recordings, to be taken in any order.
//!
//! Owns the dictionaries that the parts of a recording share, the order of rows by time,
//! node and tuple, and putting rows of equal dictionaries together. Does not decide which
//! rows.

use std::cmp::Ordering;
use std::sync::Arc;

use super::NO_TIME;
use super::arrow::{DecodeError, Memory, decode};
use super::batch::{Dictionaries, FlowBatch, Notice};
use super::intern::{Interner, StrId};
use super::row::{Columns, Telling};

/// Reads rows of a recording, with dictionaries that later ones share.
#[derive(Debug)]
pub struct Decoder {
    interner: Interner,
    memory: Memory,
    decoded: u64,
    /// Columns whose rows were all taken, for their memory.
    spare: Option<Columns>,
}

/// Rows of one part of a recording, with their dictionaries, to be taken in any order.
#[derive(Debug)]
pub struct StoredRows {
    rows: Columns,
    telling: Telling,
    words: Arc<Dictionaries>,
    /// Dictionaries of one epoch hold what those before held.
    serial: u64,
}

impl Decoder {
    /// Makes a decoder whose dictionaries take about `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            interner: Interner::new(limit),
            memory: Memory::default(),
            decoded: 0,
            spare: None,
        }
    }

    /// The rows of Arrow columns.
    ///
    /// # Errors
    /// [`DecodeError`] for a column that does not hold what its name says.
    pub fn decode(
        &mut self,
        record: &::arrow::array::RecordBatch,
    ) -> Result<StoredRows, DecodeError> {
        if self.interner.is_full() {
            self.interner.reset();
        }
        let spare = self.spare.take().unwrap_or_default();
        let mut rows = decode(&mut self.interner, &mut self.memory, record, spare)?;
        self.decoded += 1;
        let telling = rows.telling();
        // What rows are put in order by is asked of each.
        rows.time.resize(rows.rows(), NO_TIME);
        rows.protocol.resize(rows.rows(), 0);
        for numbers in [
            &mut rows.node,
            &mut rows.source_ip,
            &mut rows.source_port,
            &mut rows.destination_ip,
            &mut rows.destination_port,
        ] {
            numbers.resize(record.num_rows(), 0);
        }
        Ok(StoredRows {
            rows,
            telling,
            words: Arc::new(Dictionaries::of(&mut self.interner)),
            serial: self.decoded,
        })
    }

    /// Takes back the memory of rows that are no longer needed.
    pub fn recycle(&mut self, rows: StoredRows) {
        let mut columns = rows.rows;
        columns.clear();
        self.spare = Some(columns);
    }
}

impl StoredRows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.rows()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Time of a row in nanoseconds, [`super::NO_TIME`] for none.
    #[must_use]
    pub fn time(&self, row: u32) -> i64 {
        self.rows.time[row as usize]
    }

    /// What tells rows of one time apart: the node, and the hash of the tuple.
    #[must_use]
    pub fn tie(&self, row: u32) -> (&str, u64) {
        let row = row as usize;
        let node = self.words.str(StrId(self.rows.node[row]));
        (node, tuple_hash_of(&self.rows, &self.words, row))
    }

    /// The rows in the order of time, node and tuple.
    #[must_use]
    pub fn in_order(&self) -> Vec<u32> {
        let mut order = by_time(&self.rows.time);
        let same = |left: &(i64, u32), right: &(i64, u32)| left.0 == right.0;
        for tied in order.chunk_by_mut(same).filter(|tied| tied.len() > 1) {
            tied.sort_by(|&(_, left), &(_, right)| self.compare_tied(left, right));
        }
        order.into_iter().map(|(_, row)| row).collect()
    }

    /// The order of two rows of one time. The hash is only asked for where it decides.
    fn compare_tied(&self, left: u32, right: u32) -> Ordering {
        let (left, right) = (left as usize, right as usize);
        let Columns {
            node,
            protocol,
            source_ip,
            source_port,
            destination_ip,
            destination_port,
            ..
        } = &self.rows;
        if node[left] != node[right] {
            let name = |row: usize| self.words.str(StrId(node[row]));
            return name(left).cmp(name(right));
        }
        let same_tuple = protocol[left] == protocol[right]
            && [source_ip, source_port, destination_ip, destination_port]
                .into_iter()
                .all(|column| column[left] == column[right]);
        if same_tuple {
            return Ordering::Equal;
        }
        let hash = |row: usize| tuple_hash_of(&self.rows, &self.words, row);
        hash(left).cmp(&hash(right))
    }

    /// Whether rows of both can be in one batch.
    #[must_use]
    pub fn shares_words_with(&self, other: &Self) -> bool {
        self.words.epoch() == other.words.epoch()
    }
}

/// Puts rows of several parts into one batch.
#[derive(Debug, Default)]
pub struct Gathered {
    rows: Columns,
    words: Option<(u64, Arc<Dictionaries>)>,
    notices: Vec<Notice>,
}

impl Gathered {
    /// Rows so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.rows()
    }

    /// Whether there is neither a row nor a notice.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.notices.is_empty()
    }

    /// Whether rows of `part` can be added.
    #[must_use]
    pub fn takes(&self, part: &StoredRows) -> bool {
        self.words
            .as_ref()
            .is_none_or(|(_, words)| words.epoch() == part.words.epoch())
    }

    /// Adds rows, each of which can be added once.
    pub fn add(&mut self, part: &mut StoredRows, rows: &[u32]) {
        part.rows.take(rows, &part.telling, &mut self.rows);
        if self
            .words
            .as_ref()
            .is_none_or(|(serial, _)| *serial < part.serial)
        {
            self.words = Some((part.serial, Arc::clone(&part.words)));
        }
    }

    /// Adds a notice after the rows so far.
    pub fn notice(&mut self, mut notice: Notice) {
        notice.before_row = self.len();
        self.notices.push(notice);
    }

    /// The batch, and begins the next.
    pub fn finish(&mut self) -> FlowBatch {
        let Self {
            mut rows,
            words,
            notices,
        } = std::mem::take(self);
        rows.complete();
        FlowBatch {
            columns: rows,
            dictionaries: words.map(|(_, words)| words).unwrap_or_default(),
            notices,
            ..FlowBatch::default()
        }
    }
}

/// Times with their rows, in the order of both.
///
/// Rows are put into as many buckets of equal width as there are rows, which leaves little
/// to sort: times of a recording are spread about evenly.
fn by_time(times: &[i64]) -> Vec<(i64, u32)> {
    let (Some(&first), Some(&last)) = (times.iter().min(), times.iter().max()) else {
        return Vec::new();
    };
    let since = |time: i64| time.wrapping_sub(first) as u64;
    let bits = |number: u64| u64::BITS - number.leading_zeros();
    let shift = bits(since(last)).saturating_sub(bits(times.len() as u64));
    let bucket = |time: i64| (since(time) >> shift) as usize;
    // Where each bucket ends, and while it is filled what is still free of it.
    let mut ends = vec![0_u32; bucket(last) + 1];
    for &time in times {
        ends[bucket(time)] += 1;
    }
    let mut sum = 0;
    for end in &mut ends {
        sum += *end;
        *end = sum;
    }
    let mut order = vec![(0, 0); times.len()];
    for (row, &time) in times.iter().enumerate().rev() {
        let end = &mut ends[bucket(time)];
        *end -= 1;
        order[*end as usize] = (time, row as u32);
    }
    let same = |left: &(i64, u32), right: &(i64, u32)| bucket(left.0) == bucket(right.0);
    for together in order.chunk_by_mut(same).filter(|part| part.len() > 1) {
        together.sort_unstable();
    }
    order
}

fn tuple_hash_of(rows: &Columns, words: &Dictionaries, row: usize) -> u64 {
    super::reference::hash_of(
        super::Protocol::from_number(rows.protocol[row]),
        (words.str(StrId(rows.source_ip[row])), rows.source_port[row]),
        (
            words.str(StrId(rows.destination_ip[row])),
            rows.destination_port[row],
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{BatchBuilder, Encoder, tuple_hash};
    use crate::wire::generate::Generator;
    use crate::wire::walk::push_message;

    fn described(batch: &FlowBatch) -> Vec<String> {
        (0..batch.len()).map(|row| batch.describe(row)).collect()
    }

    #[test]
    fn stored_rows_come_in_order_and_gather_into_one_batch() {
        let mut decoder = Decoder::new(1 << 24);
        let mut parts = Vec::new();
        for seed in 0..3 {
            let mut generator = Generator::new(seed, 0);
            let mut builder = BatchBuilder::default();
            for _ in 0..100 {
                push_message(&mut builder, &generator.response(), || unreachable!()).unwrap();
            }
            let batch = builder.finish();
            let order: Vec<u32> = (0..batch.len() as u32).collect();
            let record = Encoder::new(true).encode(&batch, &order).unwrap();
            parts.push((described(&batch), decoder.decode(&record).unwrap()));
        }
        let mut gathered = Gathered::default();
        let mut expected = Vec::new();
        for (described, part) in &mut parts {
            let order = part.in_order();
            assert!(order.is_sorted_by_key(|&row| part.time(row)));
            assert!(gathered.takes(part));
            gathered.add(part, &order);
            expected.extend(order.iter().map(|&row| described[row as usize].clone()));
        }
        assert_eq!(described(&gathered.finish()), expected);
    }

    proptest::proptest! {
        #[test]
        fn rows_are_sorted_by_time_and_number(
            times in proptest::collection::vec(
                proptest::prop_oneof![
                    proptest::strategy::Just(NO_TIME),
                    0..20_i64,
                    1_760_000_000_000_000_000..1_760_000_100_000_000_000_i64,
                    proptest::prelude::any::<i64>(),
                ],
                0..300,
            ),
        ) {
            let mut expected: Vec<(i64, u32)> = times.iter().copied().zip(0..).collect();
            expected.sort_unstable();
            proptest::prop_assert_eq!(by_time(&times), expected);
        }
    }

    #[test]
    fn the_hash_of_stored_columns_is_that_of_the_row() {
        let mut generator = Generator::new(5, 0);
        let mut builder = BatchBuilder::default();
        for _ in 0..50 {
            push_message(&mut builder, &generator.response(), || unreachable!()).unwrap();
        }
        let batch = builder.finish();
        for row in batch.rows() {
            let stored = tuple_hash_of(&batch.columns, batch.dictionaries(), row.index());
            assert_eq!(stored, tuple_hash(row));
        }
    }
}
