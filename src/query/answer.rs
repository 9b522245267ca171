//! An answer: what the engine gives, batch by batch, as Arrow.
//!
//! Owns running the engine where it can neither overflow the stack nor end the process,
//! and the way from its columns to Arrow's, by value. Memory is that of a few batches,
//! unless the question itself sorts or groups.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, DurationMicrosecondArray,
    DurationMillisecondArray, DurationNanosecondArray, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, NullArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType as Kind, Field, Schema, SchemaRef, TimeUnit as Unit};
use polars::prelude::{
    Column, DataFrame, DataType, Engine, Expr, LazyFrame, PlanCallback, TimeUnit, col,
};

use super::error::QueryError;

/// Stack for planning a query, which recurses over it.
const STACK: usize = 256 << 20;

/// What a question gives when it is run.
pub struct Answer {
    frame: LazyFrame,
    schema: SchemaRef,
    /// What has to be said beside it.
    pub notes: Vec<String>,
    /// Whether what is not in it means something, so that completeness has to be said.
    pub absence: bool,
    /// The party that it is about.
    pub party: Option<String>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("schema", &self.schema)
            .field("notes", &self.notes)
            .field("absence", &self.absence)
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// Plans a question.
    pub(super) fn new(frame: LazyFrame) -> Result<Self, QueryError> {
        let plan = || {
            let mut frame = frame;
            let schema = frame.collect_schema().map_err(QueryError::engine)?;
            let mut fields = Vec::with_capacity(schema.len());
            let mut simpler: Vec<Expr> = Vec::new();
            for (name, kind) in schema.iter() {
                let form = if let Some(form) = form(kind) {
                    form
                } else if has_text(kind) {
                    simpler.push(col(name.clone()).cast(DataType::String));
                    Kind::Utf8
                } else {
                    return Err(QueryError::Type {
                        column: name.to_string(),
                        kind: kind.to_string(),
                    });
                };
                fields.push(Field::new(name.as_str(), form, true));
            }
            if !simpler.is_empty() {
                frame = frame.with_columns(simpler);
            }
            Ok((frame, fields))
        };
        let (frame, fields) = guarded(plan)?;
        Ok(Self {
            frame,
            schema: Arc::new(Schema::new(fields)),
            notes: Vec::new(),
            absence: false,
            party: None,
        })
    }

    /// Its columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Runs the question and gives its rows to `each`, which may stop it.
    ///
    /// # Errors
    /// [`QueryError`] when the engine fails: what was given before that is not all.
    pub fn run(
        self,
        mut each: impl FnMut(&RecordBatch) -> ControlFlow<()>,
    ) -> Result<(), QueryError> {
        let (sender, receiver) = sync_channel::<DataFrame>(1);
        let frame = self.frame;
        let schema = self.schema;
        thread::scope(|scope| {
            let engine = thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, move || {
                    // True ends the run: nobody listens any more.
                    let send = move |frame| Ok(sender.send(frame).is_err());
                    frame
                        .sink_batches(PlanCallback::new(send), true, None)?
                        .collect_with_engine(Engine::Streaming)
                })
                .map_err(QueryError::engine)?;
            let mut outcome = Ok(());
            for frame in &receiver {
                if frame.height() == 0 {
                    continue;
                }
                match converted(&frame, &schema) {
                    Ok(batch) if each(&batch).is_continue() => {}
                    Ok(_) => break,
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
            drop(receiver);
            let finished = engine.join().map_err(|panic| failed(panic.as_ref()))?;
            outcome?;
            finished.map(|_| ()).map_err(QueryError::engine)
        })
    }
}

/// Does what recurses over a query, on a stack that is large enough; a panic of the
/// engine is an error.
pub(super) fn guarded<T: Send>(
    work: impl FnOnce() -> Result<T, QueryError> + Send,
) -> Result<T, QueryError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(QueryError::engine)?
            .join()
            .unwrap_or_else(|panic| Err(failed(panic.as_ref())))
    })
}

fn failed(panic: &(dyn Any + Send)) -> QueryError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    QueryError::engine(text.unwrap_or("it gave up"))
}

/// The type that a column has in the answer.
fn form(kind: &DataType) -> Option<Kind> {
    Some(match kind {
        DataType::Boolean => Kind::Boolean,
        DataType::Int8 => Kind::Int8,
        DataType::Int16 => Kind::Int16,
        DataType::Int32 => Kind::Int32,
        DataType::Int64 => Kind::Int64,
        DataType::UInt8 => Kind::UInt8,
        DataType::UInt16 => Kind::UInt16,
        DataType::UInt32 => Kind::UInt32,
        DataType::UInt64 => Kind::UInt64,
        DataType::Float32 => Kind::Float32,
        DataType::Float64 => Kind::Float64,
        DataType::String => Kind::Utf8,
        DataType::Binary => Kind::Binary,
        DataType::Date => Kind::Date32,
        DataType::Datetime(of, zone) => {
            Kind::Timestamp(unit(*of), zone.as_ref().map(|zone| zone.as_str().into()))
        }
        DataType::Duration(of) => Kind::Duration(unit(*of)),
        DataType::Null => Kind::Null,
        _ => return None,
    })
}

/// Whether a value can be shown as one text.
fn has_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Time
            | DataType::Decimal(..)
            | DataType::Int128
            | DataType::Categorical(..)
            | DataType::Enum(..)
    )
}

fn unit(of: TimeUnit) -> Unit {
    match of {
        TimeUnit::Nanoseconds => Unit::Nanosecond,
        TimeUnit::Microseconds => Unit::Microsecond,
        TimeUnit::Milliseconds => Unit::Millisecond,
    }
}

fn converted(frame: &DataFrame, schema: &SchemaRef) -> Result<RecordBatch, QueryError> {
    let fields = schema.fields().iter();
    let arrays = fields.map(|field| {
        let column = frame.column(field.name()).map_err(QueryError::engine)?;
        array(column, field.data_type()).map_err(QueryError::engine)
    });
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(QueryError::engine)
}

/// A column by value.
fn array(column: &Column, kind: &Kind) -> polars::prelude::PolarsResult<ArrayRef> {
    /// Values of a type, collected into an array.
    macro_rules! values {
        ($of:ident, $array:ident) => {
            Arc::new(column.$of()?.iter().collect::<$array>())
        };
    }
    /// Numbers behind times.
    macro_rules! times {
        ($array:ident) => {
            column.to_physical_repr().i64()?.iter().collect::<$array>()
        };
    }
    Ok(match kind {
        Kind::Boolean => values!(bool, BooleanArray),
        Kind::Int8 => values!(i8, Int8Array),
        Kind::Int16 => values!(i16, Int16Array),
        Kind::Int32 => values!(i32, Int32Array),
        Kind::Int64 => values!(i64, Int64Array),
        Kind::UInt8 => values!(u8, UInt8Array),
        Kind::UInt16 => values!(u16, UInt16Array),
        Kind::UInt32 => values!(u32, UInt32Array),
        Kind::UInt64 => values!(u64, UInt64Array),
        Kind::Float32 => values!(f32, Float32Array),
        Kind::Float64 => values!(f64, Float64Array),
        Kind::Binary => values!(binary, BinaryArray),
        Kind::Date32 => {
            let days = column.to_physical_repr();
            Arc::new(days.i32()?.iter().collect::<Date32Array>())
        }
        Kind::Timestamp(Unit::Microsecond, zone) => {
            Arc::new(times!(TimestampMicrosecondArray).with_timezone_opt(zone.clone()))
        }
        Kind::Timestamp(Unit::Millisecond, zone) => {
            Arc::new(times!(TimestampMillisecondArray).with_timezone_opt(zone.clone()))
        }
        Kind::Timestamp(_, zone) => {
            Arc::new(times!(TimestampNanosecondArray).with_timezone_opt(zone.clone()))
        }
        Kind::Duration(Unit::Microsecond) => Arc::new(times!(DurationMicrosecondArray)),
        Kind::Duration(Unit::Millisecond) => Arc::new(times!(DurationMillisecondArray)),
        Kind::Duration(_) => Arc::new(times!(DurationNanosecondArray)),
        Kind::Null => Arc::new(NullArray::new(column.len())),
        _ => Arc::new(column.str()?.iter().collect::<StringArray>()),
    })
}
