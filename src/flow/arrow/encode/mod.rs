//! Rows to Arrow columns, in any order of the rows.
//!
//! Owns what the columns hold that most rows fill; what few rows have is `sparse`'s.
//! Dictionaries are made for the rows at hand: a batch carries the texts it uses and no
//! others.

mod coded;
mod places;
mod sparse;

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryBuilder, Int32Array, RecordBatch, StringArray,
    StringBuilder, TimestampNanosecondArray, UInt8Array, UInt32Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

pub use coded::{Coded, MOST_NUMBERS, NO_VALUE, RowRuns};

use self::places::{Numbers, Places};
use super::joined::{join, join_into, pair};
use super::{COLUMNS, Kind, schema};
use crate::flow::{Dictionaries, Endpoint, FlowBatch, NO_TIME, Reply, StrId};

/// Turns rows into Arrow columns. Keeps its working memory from batch to batch.
#[derive(Debug)]
pub struct Encoder {
    schema: SchemaRef,
    with_uuid: bool,
    places: Places,
}

impl Encoder {
    /// Makes an encoder; the `uuid` column is there only where it is wanted.
    #[must_use]
    pub fn new(with_uuid: bool) -> Self {
        Self {
            schema: Arc::new(schema(with_uuid)),
            with_uuid,
            places: Places::default(),
        }
    }

    /// The columns it makes.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The rows of `batch` that `order` names, in that order.
    ///
    /// # Errors
    /// Those of Arrow, which would be a bug here.
    pub fn encode(&mut self, batch: &FlowBatch, order: &[u32]) -> Result<RecordBatch, ArrowError> {
        let mut arrays = Vec::with_capacity(COLUMNS.len());
        self.each_column(batch, order, |column| {
            arrays.push(column.array()?);
            Ok(())
        })?;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
    }

    /// Hands over the columns of the rows that `order` names as they are made, in the order
    /// of the schema: so the memory of one can be that of the next.
    ///
    /// # Errors
    /// The first of `take`, after which it is not called any more; those of
    /// [`Self::encode`].
    pub fn each_column(
        &mut self,
        batch: &FlowBatch,
        order: &[u32],
        mut take: impl FnMut(Coded) -> Result<(), ArrowError>,
    ) -> Result<(), ArrowError> {
        let mut out = Columns {
            made: 0,
            take: &mut take,
            taken: Ok(()),
            words: &batch.dictionaries,
            places: &mut self.places,
            order,
            with_uuid: self.with_uuid,
        };
        out.dense(batch)?;
        out.endpoints(&batch.columns.source);
        out.endpoints(&batch.columns.destination);
        out.words_of(batch);
        sparse::columns(&mut out, &batch.columns.extra);
        out.taken
    }
}

struct Columns<'a> {
    /// Columns so far, in the order of [`COLUMNS`].
    made: usize,
    take: &'a mut dyn FnMut(Coded) -> Made,
    /// What came of handing them over.
    taken: Made,
    words: &'a Dictionaries,
    places: &'a mut Places,
    order: &'a [u32],
    with_uuid: bool,
}

type Made = Result<(), ArrowError>;

impl<'a> Columns<'a> {
    fn push(&mut self, column: Coded) {
        self.made += 1;
        if self.taken.is_ok() {
            self.taken = (self.take)(column);
        }
    }

    fn plain(&mut self, array: ArrayRef) {
        self.push(Coded::Plain(array));
    }

    fn values<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.order.iter().map(|&row| values[row as usize]).collect()
    }

    fn i32(&mut self, values: &[i32]) {
        match self.numbers(values, |number| number as u32) {
            Some((values, rows)) => self.numbered(Kind::I32, values, rows),
            None => self.plain(Arc::new(Int32Array::from(self.values(values)))),
        }
    }

    fn u32(&mut self, values: &[u32]) {
        match self.numbers(values, |number| number) {
            Some((values, rows)) => self.numbered(Kind::U32, values, rows),
            None => self.plain(Arc::new(UInt32Array::from(self.values(values)))),
        }
    }

    fn u8(&mut self, values: &[u8]) {
        match self.numbers(values, u32::from) {
            Some((values, rows)) => self.numbered(Kind::U8, values, rows),
            None => self.plain(Arc::new(UInt8Array::from(self.values(values)))),
        }
    }

    fn numbered(&mut self, kind: Kind, values: Vec<u32>, rows: RowRuns) {
        self.push(Coded::Numbers {
            data_type: kind.data_type(),
            values,
            rows,
        });
    }

    /// The different numbers of a column, and which each row has; `None` where nearly all
    /// differ.
    fn numbers<T: Copy + PartialEq>(
        &mut self,
        values: &[T],
        bits: impl Fn(T) -> u32,
    ) -> Option<(Vec<u32>, RowRuns)> {
        let mut rows = RowRuns::default();
        let (&first, rest) = self.order.split_first()?;
        let mut last = values[first as usize];
        // Most columns of most recordings say one thing.
        if values.iter().all(|value| *value == last) {
            rows.push(0, self.order.len() as u32);
            return Some((vec![bits(last)], rows));
        }
        let mut found = Numbers::new(self.places);
        let mut count = 1;
        for &row in rest {
            let value = values[row as usize];
            if value == last {
                count += 1;
                continue;
            }
            rows.push(found.place(bits(last)), count);
            (last, count) = (value, 1);
            if found.values.len() > MOST_NUMBERS {
                return None;
            }
        }
        rows.push(found.place(bits(last)), count);
        Some((found.values, rows))
    }

    /// Rows by the ids they have.
    fn rows(&self, ids: &[u32]) -> RowRuns {
        if ids.iter().all(|&id| id == 0) {
            let mut rows = RowRuns::default();
            rows.push(NO_VALUE, self.order.len() as u32);
            return rows;
        }
        let ids = self.order.iter().map(|&row| ids[row as usize]);
        ids.map(|id| if id == 0 { NO_VALUE } else { id }).collect()
    }

    fn null(&mut self, kind: Kind) {
        self.push(Coded::Nothing(kind.data_type(), self.order.len()));
    }

    fn dense(&mut self, batch: &FlowBatch) -> Made {
        let columns = &batch.columns;
        let times = self.values(&columns.time);
        let known: BooleanBuffer = times.iter().map(|&time| time != NO_TIME).collect();
        let time = TimestampNanosecondArray::new(times.into(), Some(NullBuffer::new(known)));
        self.plain(Arc::new(time.with_timezone("UTC")));
        if self.with_uuid {
            let mut uuids = FixedSizeBinaryBuilder::with_capacity(self.order.len(), 16);
            for &row in self.order {
                match columns.uuid[row as usize] {
                    0 => uuids.append_null(),
                    bits => uuids.append_value(bits.to_be_bytes())?,
                }
            }
            self.plain(Arc::new(uuids.finish()));
        }
        self.i32(&columns.verdict);
        self.i32(&columns.flow_type);
        self.i32(&columns.event_type);
        self.i32(&columns.event_sub_type);
        self.i32(&columns.direction);
        self.i32(&columns.trace_point);
        self.i32(&columns.trace_reason);
        self.u32(&columns.policy_match_type);
        self.i32(&columns.drop_reason);
        self.u32(&columns.drop_reason_number);
        let replies = self.values(&columns.reply);
        let yes = replies.iter().map(|&reply| reply == Reply::Yes as u8);
        let known = replies.iter().map(|&reply| reply != Reply::Unknown as u8);
        self.plain(Arc::new(BooleanArray::new(
            yes.collect(),
            Some(NullBuffer::new(known.collect())),
        )));
        self.i32(&columns.ip_version);
        self.u32(&columns.flags);
        self.u8(&columns.protocol);
        self.plain(Arc::new(UInt32Array::from(
            self.values(&columns.source_port),
        )));
        self.u32(&columns.destination_port);
        self.texts(&columns.source_ip);
        self.texts(&columns.destination_ip);
        self.texts(&columns.node);
        self.u32(&columns.weight);
        Ok(())
    }

    /// Columns of ids of texts, lists and pairs.
    fn words_of(&mut self, batch: &FlowBatch) {
        let columns = &batch.columns;
        self.lists(&columns.source_names);
        self.lists(&columns.destination_names);
        self.pairs(&columns.source_service);
        self.pairs(&columns.destination_service);
        self.pairs(&columns.ethernet);
        self.texts(&columns.summary);
        self.lists(&columns.node_labels);
        self.pairs(&columns.emitter);
    }

    /// Texts by id; the empty one is null.
    fn texts(&mut self, ids: &[u32]) {
        let words = self.words;
        let rows = self.rows(ids);
        self.dictionary(&rows, |id| Some(words.str(StrId(id)).into()));
    }

    fn lists(&mut self, ids: &[u32]) {
        let words = self.words;
        let rows = self.rows(ids);
        self.dictionary(&rows, |id| {
            join(words.list(crate::flow::ListId(id))).map(Into::into)
        });
    }

    fn pairs(&mut self, ids: &[u32]) {
        let words = self.words;
        let rows = self.rows(ids);
        let pair = |id| words.pair(crate::flow::PairId(id));
        self.dictionary(&rows, |id| pair(id).map(|(left, _)| left.into()));
        self.dictionary(&rows, |id| pair(id).map(|(_, right)| right.into()));
    }

    /// A column of texts of rows that have ids.
    fn dictionary(
        &mut self,
        rows: &RowRuns,
        text: impl Fn(u32) -> Option<std::borrow::Cow<'a, str>>,
    ) {
        let mut values = StringBuilder::new();
        let mut count = 0;
        self.places.begin();
        let rows = rows.map(|id| {
            self.places.place(id, || {
                values.append_option(text(id));
                count += 1;
                count - 1
            })
        });
        self.keyed(values.finish(), Arc::new(rows));
    }

    /// A column of texts by their places, which is null where all of them are.
    fn keyed(&mut self, values: StringArray, rows: Arc<RowRuns>) {
        if values.null_count() == values.len() {
            self.null(Kind::Text);
        } else {
            self.push(Coded::Texts { values, rows });
        }
    }

    /// The columns of one side, which share their rows.
    fn endpoints(&mut self, ids: &[u32]) {
        let mut found: Vec<&Endpoint> = Vec::new();
        let words = self.words;
        let none = Endpoint::default();
        let rows = self.rows(ids);
        self.places.begin();
        let rows = rows.map(|id| {
            self.places.place(id, || {
                found.push(words.endpoint(crate::flow::EndpointId(id)).unwrap_or(&none));
                found.len() as u32 - 1
            })
        });
        if found.is_empty() {
            for kind in [Kind::U32, Kind::U32] {
                self.null(kind);
            }
            for _ in 0..6 {
                self.null(Kind::Text);
            }
            return;
        }
        let numbers: [fn(&Endpoint) -> u32; 2] = [|side| side.id, |side| side.identity];
        for of in numbers {
            let mut numbers = Numbers::new(self.places);
            let places: Vec<u32> = found.iter().map(|side| numbers.place(of(side))).collect();
            let values = numbers.values;
            self.numbered(Kind::U32, values, rows.map(|side| places[side as usize]));
        }
        let rows = Arc::new(rows);
        let texts: [fn(&Endpoint, &mut StringBuilder) -> bool; 6] = [
            |side, out| text(&side.cluster, out),
            |side, out| text(&side.namespace, out),
            |side, out| {
                let workload = side.workloads.first();
                workload.is_some_and(|workload| text(&workload.name, out))
            },
            |side, out| text(&side.pod, out),
            |side, out| join_into(out, side.labels.iter().map(AsRef::as_ref)),
            workloads,
        ];
        for write in texts {
            let mut values = StringBuilder::new();
            for endpoint in &found {
                if write(endpoint, &mut values) {
                    // Ends what was written.
                    values.append_value("");
                } else {
                    values.append_null();
                }
            }
            self.keyed(values.finish(), Arc::clone(&rows));
        }
    }
}

/// `Kind/name` of each, to the end of a text; whether there are any.
fn workloads(endpoint: &Endpoint, out: &mut StringBuilder) -> bool {
    let each = endpoint.workloads.iter();
    let texts: Vec<String> = each
        .map(|workload| pair(&workload.kind, '/', &workload.name))
        .collect();
    join_into(out, texts.iter().map(String::as_str))
}

/// A text to the end of one that is begun; whether it is there.
fn text(text: &str, out: &mut StringBuilder) -> bool {
    // A builder of texts refuses none.
    !text.is_empty() && out.write_str(text).is_ok()
}
