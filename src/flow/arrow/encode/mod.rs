//! Rows to Arrow columns, in any order of the rows.
//!
//! Owns what the columns hold that most rows fill; what few rows have is `sparse`'s.
//! Dictionaries are made for the rows at hand: a batch carries the texts it uses and no
//! others.

mod sparse;

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryBuilder, Int32Array,
    RecordBatch, StringBuilder, TimestampNanosecondArray, UInt8Array, UInt32Array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{SchemaRef, UInt32Type};
use arrow::error::ArrowError;

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
        self.each_column(batch, order, |array| {
            arrays.push(array);
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
        mut take: impl FnMut(ArrayRef) -> Result<(), ArrowError>,
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
        out.endpoints(&batch.columns.source)?;
        out.endpoints(&batch.columns.destination)?;
        out.words_of(batch)?;
        sparse::columns(&mut out, &batch.columns.extra)?;
        out.taken
    }
}

/// Where a value of a dictionary is in the array that is being made.
#[derive(Debug, Default)]
struct Places {
    places: Vec<(u32, u32)>,
    round: u32,
}

impl Places {
    /// Forgets everything, at no cost.
    fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.places.clear();
            self.round = 1;
        }
    }

    /// The place of an id; `add` is called for one that is new and says which it gets.
    #[inline]
    fn place(&mut self, id: u32, add: impl FnOnce() -> u32) -> u32 {
        let at = id as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, (0, 0));
        }
        let (round, place) = &mut self.places[at];
        if *round != self.round {
            *round = self.round;
            *place = add();
        }
        *place
    }
}

struct Columns<'a> {
    /// Columns so far, in the order of [`COLUMNS`].
    made: usize,
    take: &'a mut dyn FnMut(ArrayRef) -> Made,
    /// What came of handing them over.
    taken: Made,
    words: &'a Dictionaries,
    places: &'a mut Places,
    order: &'a [u32],
    with_uuid: bool,
}

type Made = Result<(), ArrowError>;

impl<'a> Columns<'a> {
    fn push(&mut self, array: ArrayRef) {
        self.made += 1;
        if self.taken.is_ok() {
            self.taken = (self.take)(array);
        }
    }

    fn values<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.order.iter().map(|&row| values[row as usize]).collect()
    }

    fn i32(&mut self, values: &[i32]) {
        self.push(Arc::new(Int32Array::from(self.values(values))));
    }

    fn u32(&mut self, values: &[u32]) {
        self.push(Arc::new(UInt32Array::from(self.values(values))));
    }

    fn u8(&mut self, values: &[u8]) {
        self.push(Arc::new(UInt8Array::from(self.values(values))));
    }

    fn null(&mut self, kind: Kind) {
        self.push(new_null_array(&kind.data_type(), self.order.len()));
    }

    fn dense(&mut self, batch: &FlowBatch) -> Made {
        let columns = &batch.columns;
        let times = self.values(&columns.time);
        let known: BooleanBuffer = times.iter().map(|&time| time != NO_TIME).collect();
        let time = TimestampNanosecondArray::new(times.into(), Some(NullBuffer::new(known)));
        self.push(Arc::new(time.with_timezone("UTC")));
        if self.with_uuid {
            let mut uuids = FixedSizeBinaryBuilder::with_capacity(self.order.len(), 16);
            for &row in self.order {
                match columns.uuid[row as usize] {
                    0 => uuids.append_null(),
                    bits => uuids.append_value(bits.to_be_bytes())?,
                }
            }
            self.push(Arc::new(uuids.finish()));
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
        self.push(Arc::new(BooleanArray::new(
            yes.collect(),
            Some(NullBuffer::new(known.collect())),
        )));
        self.i32(&columns.ip_version);
        self.u32(&columns.flags);
        self.u8(&columns.protocol);
        self.u32(&columns.source_port);
        self.u32(&columns.destination_port);
        self.texts(&columns.source_ip)?;
        self.texts(&columns.destination_ip)?;
        self.texts(&columns.node)?;
        self.u32(&columns.weight);
        Ok(())
    }

    /// Columns of ids of texts, lists and pairs.
    fn words_of(&mut self, batch: &FlowBatch) -> Made {
        let columns = &batch.columns;
        self.lists(&columns.source_names)?;
        self.lists(&columns.destination_names)?;
        self.pairs(&columns.source_service)?;
        self.pairs(&columns.destination_service)?;
        self.pairs(&columns.ethernet)?;
        self.texts(&columns.summary)?;
        self.lists(&columns.node_labels)?;
        self.pairs(&columns.emitter)
    }

    /// Texts by id; the empty one is null.
    fn texts(&mut self, ids: &[u32]) -> Made {
        let words = self.words;
        self.dictionary(ids, |id| Some(words.str(StrId(id)).into()))
    }

    fn lists(&mut self, ids: &[u32]) -> Made {
        let words = self.words;
        self.dictionary(ids, |id| {
            join(words.list(crate::flow::ListId(id))).map(Into::into)
        })
    }

    fn pairs(&mut self, ids: &[u32]) -> Made {
        let words = self.words;
        let pair = |id| words.pair(crate::flow::PairId(id));
        self.dictionary(ids, |id| pair(id).map(|(left, _)| left.into()))?;
        self.dictionary(ids, |id| pair(id).map(|(_, right)| right.into()))
    }

    /// A column of texts by id, with null for id 0.
    fn dictionary(
        &mut self,
        ids: &[u32],
        text: impl Fn(u32) -> Option<std::borrow::Cow<'a, str>>,
    ) -> Made {
        let ids = self.order.iter().map(|&row| ids[row as usize]);
        if ids.clone().all(|id| id == 0) {
            self.null(Kind::Text);
            return Ok(());
        }
        let mut values = StringBuilder::new();
        let mut count = 0;
        self.places.begin();
        let keys: Vec<u32> = ids
            .clone()
            .map(|id| {
                if id == 0 {
                    return 0;
                }
                self.places.place(id, || {
                    values.append_option(text(id));
                    count += 1;
                    count - 1
                })
            })
            .collect();
        let known = NullBuffer::new(ids.map(|id| id != 0).collect());
        self.keyed(keys, Some(known), &(Arc::new(values.finish()) as ArrayRef))
    }

    fn keyed(&mut self, keys: Vec<u32>, known: Option<NullBuffer>, values: &ArrayRef) -> Made {
        let keys = UInt32Array::new(keys.into(), known);
        self.push(Arc::new(DictionaryArray::<UInt32Type>::try_new(
            keys,
            Arc::clone(values),
        )?));
        Ok(())
    }

    /// The columns of one side. Those of text share their keys.
    fn endpoints(&mut self, ids: &[u32]) -> Made {
        let mut found: Vec<&Endpoint> = Vec::new();
        let words = self.words;
        let none = Endpoint::default();
        self.places.begin();
        let mut keys = Vec::with_capacity(self.order.len());
        let mut known = Vec::with_capacity(self.order.len());
        for &row in self.order {
            let id = ids[row as usize];
            known.push(id != 0);
            if id == 0 {
                keys.push(0);
                continue;
            }
            keys.push(self.places.place(id, || {
                found.push(words.endpoint(crate::flow::EndpointId(id)).unwrap_or(&none));
                found.len() as u32 - 1
            }));
        }
        if found.is_empty() {
            for kind in [Kind::U32, Kind::U32] {
                self.null(kind);
            }
            for _ in 0..6 {
                self.null(Kind::Text);
            }
            return Ok(());
        }
        let known = NullBuffer::from(known);
        let number = |of: fn(&Endpoint) -> u32| -> ArrayRef {
            let values = keys.iter().map(|&key| of(found[key as usize]));
            Arc::new(UInt32Array::new(
                values.collect::<Vec<u32>>().into(),
                Some(known.clone()),
            ))
        };
        let (id, identity) = (number(|side| side.id), number(|side| side.identity));
        self.push(id);
        self.push(identity);
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
            let values: ArrayRef = Arc::new(values.finish());
            if values.null_count() == values.len() {
                self.null(Kind::Text);
            } else {
                self.keyed(keys.clone(), Some(known.clone()), &values)?;
            }
        }
        Ok(())
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
