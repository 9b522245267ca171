//! Rows of many batches under one set of dictionaries.
//!
//! Owns the renaming of ids from the dictionaries of the batches, of which every decoder
//! has its own, to those of the collector. Does not decide which rows.

use std::sync::Arc;

use hashbrown::HashMap;

use super::batch::{Dictionaries, FlowBatch};
use super::extra::Renamed;
use super::intern::{EndpointId, Interner, ListId, PairId, StrId};
use super::row::Columns;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::BatchBuilder;
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
}
