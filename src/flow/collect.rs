//! Rows of many batches under one set of dictionaries.
//!
//! Owns the renaming of ids from the dictionaries of the batches, of which every decoder
//! has its own, to those of the collector, and putting rows of equal dictionaries
//! together again. Does not decide which rows.

use std::cmp::Ordering;
use std::sync::Arc;

use hashbrown::HashMap;

use super::NO_TIME;
use super::arrow::{DecodeError, Memory, decode};
use super::batch::{Dictionaries, FlowBatch, Notice};
use super::extra::Renamed;
use super::intern::{EndpointId, Interner, ListId, PairId, StrId};
use super::row::{Columns, Telling};
use super::shared::SharedExtras;

/// Epochs whose renaming is remembered: one a decoding thread, and some.
const MOST_EPOCHS: usize = 64;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Rows whose dictionaries are elsewhere.
#[derive(Debug, Default)]
pub struct LooseRows(Columns);

impl LooseRows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.rows()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Time of each row in nanoseconds, [`super::NO_TIME`] for none.
    #[must_use]
    pub fn times(&self) -> &[i64] {
        &self.0.time
    }
}

/// Gives rows of any batch ids of its own.
#[derive(Debug)]
pub struct Collector {
    interner: Interner,
    /// Of each epoch of the batches.
    known: Map<u64, Known>,
    /// Columns without rows, for their memory.
    spare: Columns,
}

/// What is known of the dictionaries of an epoch.
#[derive(Debug, Default)]
struct Known {
    rename: Rename,
    extras: SharedExtras,
}

/// New ids by old ones; `None` for those not seen.
#[derive(Debug, Default)]
struct Rename {
    strings: Vec<Option<u32>>,
    endpoints: Vec<Option<u32>>,
    pairs: Vec<Option<u32>>,
    lists: Vec<Option<u32>>,
}

impl Collector {
    /// Makes a collector that calls itself full at about `limit` bytes of dictionaries.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            interner: Interner::new(limit),
            known: Map::default(),
            spare: Columns::default(),
        }
    }

    /// Whether its dictionaries have reached their bound: take what was collected, then
    /// [`Collector::reset`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.interner.is_full()
    }

    /// Forgets all dictionaries.
    pub fn reset(&mut self) {
        self.interner.reset();
        self.known.clear();
    }

    /// Copies rows of `batch` to the end of `into`.
    pub fn push(&mut self, batch: &FlowBatch, rows: &[u32], into: &mut LooseRows) {
        if self.known.len() >= MOST_EPOCHS {
            self.known.clear();
        }
        let words = batch.dictionaries();
        let Known { rename, extras } = self.known.entry(words.epoch()).or_default();
        let mut to = Renaming {
            rename,
            interner: &mut self.interner,
            words,
        };
        let from = &batch.columns;
        let into = &mut into.0;
        // Most columns of most batches have nothing to say: those are completed at the end.
        let whole = rows.len() == from.rows() && rows.is_sorted();
        macro_rules! as_is {
            ($($column:ident $empty:literal)+) => {
                $(if from.$column.iter().any(|&value| value != $empty) {
                    make_room(&mut into.$column, rows.len());
                    if whole {
                        into.$column.extend_from_slice(&from.$column);
                    } else {
                        into.$column.extend(rows.iter().map(|&row| from.$column[row as usize]));
                    }
                })+
            };
        }
        macro_rules! renamed {
            ($($column:ident $method:ident $id:ident;)+) => {
                $(if from.$column.iter().any(|&id| id != 0) {
                    make_room(&mut into.$column, rows.len());
                    let mut last = (0, 0);
                    into.$column.extend(rows.iter().map(|&row| {
                        let id = from.$column[row as usize];
                        if id != last.0 {
                            last = (id, to.$method($id(id)).0);
                        }
                        last.1
                    }));
                })+
            };
        }
        as_is!(uuid 0 verdict 0 flow_type 0 event_type 0 event_sub_type 0 direction 0
            trace_point 0 trace_reason 0 policy_match_type 0 drop_reason 0 drop_reason_number 0
            reply 0 ip_version 0 flags 0 protocol 0 source_port 0 destination_port 0 weight 1);
        make_room(&mut into.time, rows.len());
        into.time
            .extend(rows.iter().map(|&row| from.time[row as usize]));
        renamed! {
            source_ip str StrId;
            destination_ip str StrId;
            source endpoint EndpointId;
            destination endpoint EndpointId;
            node str StrId;
            node_labels list ListId;
            summary str StrId;
            ethernet pair PairId;
            source_service pair PairId;
            destination_service pair PairId;
            source_names list ListId;
            destination_names list ListId;
            emitter pair PairId;
        }
        make_room(&mut into.extra, rows.len());
        into.extra.extend(rows.iter().map(|&row| {
            let extra = from.extra[row as usize].as_ref()?;
            Some(extras.renamed(extra, &mut to))
        }));
        into.add_rows(rows.len());
        into.complete();
    }

    /// No rows, in memory of rows before.
    #[must_use]
    pub fn begin(&mut self) -> LooseRows {
        LooseRows(std::mem::take(&mut self.spare))
    }

    /// Takes back the memory of a batch made by [`Self::batch`].
    pub fn end(&mut self, batch: FlowBatch) {
        let mut rows = batch.columns;
        rows.clear();
        self.spare = rows;
    }

    /// The rows as a batch, with the dictionaries of now.
    #[must_use]
    pub fn batch(&mut self, rows: LooseRows) -> FlowBatch {
        FlowBatch {
            columns: rows.0,
            dictionaries: Arc::new(Dictionaries::of(&mut self.interner)),
            ..FlowBatch::default()
        }
    }
}

/// Makes room in a column for more rows. It grows fourfold: what is copied to new memory on
/// the way is a third of it, and memory that no row is in takes none.
fn make_room<T>(column: &mut Vec<T>, more: usize) {
    if column.capacity() - column.len() < more {
        column.reserve_exact(more.max(3 * column.len()));
    }
}

struct Renaming<'a> {
    rename: &'a mut Rename,
    interner: &'a mut Interner,
    words: &'a Dictionaries,
}

fn slot(ids: &mut Vec<Option<u32>>, id: u32) -> &mut Option<u32> {
    let at = id as usize;
    if at >= ids.len() {
        ids.resize(at + 1, None);
    }
    &mut ids[at]
}

impl Renaming<'_> {
    #[inline]
    fn endpoint(&mut self, id: EndpointId) -> EndpointId {
        if id.0 == 0 {
            return id;
        }
        let slot = slot(&mut self.rename.endpoints, id.0);
        EndpointId(*slot.get_or_insert_with(|| {
            let endpoint = self.words.endpoint(id).cloned().unwrap_or_default();
            // Its texts are shared with the batch; the bound is by what is counted here.
            self.interner.endpoint(endpoint).0
        }))
    }

    #[inline]
    fn pair(&mut self, id: PairId) -> PairId {
        if id.0 == 0 {
            return id;
        }
        let slot = slot(&mut self.rename.pairs, id.0);
        PairId(*slot.get_or_insert_with(|| {
            let (left, right) = self.words.pair(id).unwrap_or_default();
            self.interner.pair(left, right).0
        }))
    }
}

impl Renamed for Renaming<'_> {
    #[inline]
    fn str(&mut self, id: StrId) -> StrId {
        if id.0 == 0 {
            return id;
        }
        let slot = slot(&mut self.rename.strings, id.0);
        StrId(*slot.get_or_insert_with(|| self.interner.text(self.words.str(id)).0))
    }

    #[inline]
    fn list(&mut self, id: ListId) -> ListId {
        if id.0 == 0 {
            return id;
        }
        let slot = slot(&mut self.rename.lists, id.0);
        ListId(*slot.get_or_insert_with(|| self.interner.list(self.words.list(id)).0))
    }
}

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
    use crate::wire::generate::{Generator, cases};
    use crate::wire::walk::push_message;

    fn described(batch: &FlowBatch) -> Vec<String> {
        (0..batch.len()).map(|row| batch.describe(row)).collect()
    }

    /// Guarantees: rows of several decoders are the same under the dictionaries of one.
    #[test]
    fn collected_rows_say_what_they_said() {
        let mut collector = Collector::new(1 << 24);
        let mut rows = LooseRows::default();
        let mut expected = Vec::new();
        for seed in 0..cases(20) {
            let mut generator = Generator::new(seed, 0);
            let mut builder = BatchBuilder::default();
            for _ in 0..100 {
                push_message(&mut builder, &generator.response(), || unreachable!()).unwrap();
            }
            let batch = builder.finish();
            let order: Vec<u32> = (0..batch.len() as u32).rev().collect();
            collector.push(&batch, &order, &mut rows);
            expected.extend(described(&batch).into_iter().rev());
        }
        assert_eq!(rows.len(), expected.len());
        assert_eq!(described(&collector.batch(rows)), expected);
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
