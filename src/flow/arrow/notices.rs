//! Notices as Arrow columns: lost events, states of nodes, holes.
//!
//! Owns their schema. A notice is kept with the time of its place among the rows, so
//! that it comes back where it was.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, PrimitiveArray, RecordBatch, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Int32Type, Schema, TimeUnit, TimestampNanosecondType,
    UInt64Type,
};
use arrow::error::ArrowError;

use super::decode::DecodeError;
use super::joined::{join, split};
use crate::flow::{HoleCause, LostSource, NO_TIME, NodeState, Notice, NoticeKind};

/// The columns of notices.
#[must_use]
pub fn notice_schema() -> Schema {
    let time = || DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let field = |name: &str, kind: DataType| Field::new(name, kind, true);
    Schema::new(vec![
        field("at", time()),
        field("time", time()),
        field("node_name", DataType::Utf8),
        field("kind", DataType::Utf8),
        field("cause", DataType::Utf8),
        field("lost_source", DataType::Int32),
        field("events", DataType::UInt64),
        field("cpu", DataType::Int32),
        field("first", time()),
        field("last", time()),
        field("node_state", DataType::Int32),
        field("node_names", DataType::Utf8),
        field("message", DataType::Utf8),
    ])
}

const LOST: &str = "lost";
const NODES: &str = "nodes";
const AGENT: &str = "agent";
const DEBUG: &str = "debug";
const EMPTY: &str = "empty";
const HOLE: &str = "hole";
const UNREAD: &str = "unread";

/// Notices with the times of their places, as columns. What they were decoded from is
/// not kept.
///
/// # Errors
/// Those of Arrow, which would be a bug here.
pub fn notices_to(notices: &[(i64, Notice)]) -> Result<RecordBatch, ArrowError> {
    let times = |of: &dyn Fn(i64, &Notice) -> Option<i64>| -> ArrayRef {
        let times = notices.iter().map(|(at, notice)| of(*at, notice));
        Arc::new(
            times
                .collect::<TimestampNanosecondArray>()
                .with_timezone("UTC"),
        )
    };
    let texts = |of: &dyn Fn(&Notice) -> Option<String>| -> ArrayRef {
        Arc::new(
            notices
                .iter()
                .map(|(_, notice)| of(notice))
                .collect::<StringArray>(),
        )
    };
    let numbers = |of: &dyn Fn(&NoticeKind) -> Option<i32>| -> ArrayRef {
        let numbers = notices.iter().map(|(_, notice)| of(&notice.kind));
        Arc::new(numbers.collect::<Int32Array>())
    };
    let known = |time: i64| (time != NO_TIME).then_some(time);
    let events = notices.iter().map(|(_, notice)| match notice.kind {
        NoticeKind::Lost { events, .. } => Some(events),
        NoticeKind::Hole { events, .. } => events,
        _ => None,
    });
    let arrays = vec![
        times(&|at, _| known(at)),
        times(&|_, notice| known(notice.time)),
        texts(&|notice| Some(notice.node.to_string())),
        texts(&|notice| Some(kind_name(&notice.kind).to_owned())),
        texts(&|notice| match notice.kind {
            NoticeKind::Hole { cause, .. } => Some(cause.name().to_owned()),
            _ => None,
        }),
        numbers(&|kind| match kind {
            NoticeKind::Lost { source, .. } => Some(source.0),
            _ => None,
        }),
        Arc::new(events.collect::<UInt64Array>()),
        numbers(&|kind| match kind {
            NoticeKind::Lost { cpu, .. } => *cpu,
            _ => None,
        }),
        times(&|_, notice| match notice.kind {
            NoticeKind::Lost { first, .. } => first,
            NoticeKind::Hole { first, .. } => known(first),
            _ => None,
        }),
        times(&|_, notice| match notice.kind {
            NoticeKind::Lost { last, .. } => last,
            NoticeKind::Hole { last, .. } => known(last),
            _ => None,
        }),
        numbers(&|kind| match kind {
            NoticeKind::Nodes { state, .. } => Some(state.0),
            _ => None,
        }),
        texts(&|notice| match &notice.kind {
            NoticeKind::Nodes { names, .. } => join(names.iter().map(AsRef::as_ref)),
            _ => None,
        }),
        texts(&|notice| match &notice.kind {
            NoticeKind::Nodes { message, .. } => Some(message.to_string()),
            _ => None,
        }),
    ];
    RecordBatch::try_new(Arc::new(notice_schema()), arrays)
}

fn kind_name(kind: &NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Lost { .. } => LOST,
        NoticeKind::Nodes { .. } => NODES,
        NoticeKind::AgentEvent => AGENT,
        NoticeKind::DebugEvent => DEBUG,
        NoticeKind::Empty => EMPTY,
        NoticeKind::Hole { .. } => HOLE,
        NoticeKind::Unread => UNREAD,
    }
}

/// The notices of columns, with the times of their places.
///
/// # Errors
/// [`DecodeError`] for a column of another type, or a kind that is not known.
pub fn notices_from(record: &RecordBatch) -> Result<Vec<(i64, Notice)>, DecodeError> {
    let at = numbers::<TimestampNanosecondType>(record, "at")?;
    let time = numbers::<TimestampNanosecondType>(record, "time")?;
    let first = numbers::<TimestampNanosecondType>(record, "first")?;
    let last = numbers::<TimestampNanosecondType>(record, "last")?;
    let (node, kind) = (text(record, "node_name")?, text(record, "kind")?);
    let (cause, message) = (text(record, "cause")?, text(record, "message")?);
    let names = text(record, "node_names")?;
    let source = numbers::<Int32Type>(record, "lost_source")?;
    let events = numbers::<UInt64Type>(record, "events")?;
    let cpu = numbers::<Int32Type>(record, "cpu")?;
    let state = numbers::<Int32Type>(record, "node_state")?;
    (0..record.num_rows())
        .map(|row| {
            let damaged = |column| DecodeError::Damaged { column, row };
            let kind = match kind.and_then(|kind| value(kind, row)).unwrap_or_default() {
                LOST => NoticeKind::Lost {
                    source: LostSource(number(source, row).unwrap_or_default()),
                    events: number(events, row).unwrap_or_default(),
                    cpu: number(cpu, row),
                    first: number(first, row),
                    last: number(last, row),
                },
                NODES => NoticeKind::Nodes {
                    state: NodeState(number(state, row).unwrap_or_default()),
                    names: names
                        .and_then(|names| value(names, row))
                        .map(|names| split(names).into_iter().map(Into::into).collect())
                        .unwrap_or_default(),
                    message: message
                        .and_then(|message| value(message, row))
                        .unwrap_or_default()
                        .into(),
                },
                AGENT => NoticeKind::AgentEvent,
                DEBUG => NoticeKind::DebugEvent,
                UNREAD => NoticeKind::Unread,
                EMPTY => NoticeKind::Empty,
                HOLE => NoticeKind::Hole {
                    cause: cause
                        .and_then(|cause| value(cause, row))
                        .and_then(HoleCause::from_name)
                        .ok_or_else(|| damaged("cause"))?,
                    events: number(events, row),
                    first: number(first, row).unwrap_or(NO_TIME),
                    last: number(last, row).unwrap_or(NO_TIME),
                },
                _ => return Err(damaged("kind")),
            };
            let notice = Notice {
                before_row: 0,
                node: node
                    .and_then(|node| value(node, row))
                    .unwrap_or_default()
                    .into(),
                time: number(time, row).unwrap_or(NO_TIME),
                kind,
                raw: None,
            };
            Ok((number(at, row).unwrap_or(NO_TIME), notice))
        })
        .collect()
}

fn numbers<'a, T: ArrowPrimitiveType>(
    record: &'a RecordBatch,
    column: &'static str,
) -> Result<Option<&'a PrimitiveArray<T>>, DecodeError> {
    typed(record, column, |array| array.as_primitive_opt::<T>())
}

fn text<'a>(
    record: &'a RecordBatch,
    column: &'static str,
) -> Result<Option<&'a StringArray>, DecodeError> {
    typed(record, column, |array| array.as_string_opt::<i32>())
}

fn typed<'a, A>(
    record: &'a RecordBatch,
    column: &'static str,
    of: impl Fn(&'a ArrayRef) -> Option<&'a A>,
) -> Result<Option<&'a A>, DecodeError> {
    let Some(array) = record.column_by_name(column) else {
        return Ok(None);
    };
    let found = || DecodeError::Type {
        column,
        found: array.data_type().to_string(),
    };
    of(array).map(Some).ok_or_else(found)
}

fn number<T: ArrowPrimitiveType>(
    array: Option<&PrimitiveArray<T>>,
    row: usize,
) -> Option<T::Native> {
    array
        .filter(|array| array.is_valid(row))
        .map(|array| array.value(row))
}

fn value(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_come_back() {
        let notice = |kind| Notice {
            before_row: 0,
            node: "c/n".into(),
            time: 7,
            kind,
            raw: None,
        };
        let notices = vec![
            (
                NO_TIME,
                notice(NoticeKind::Lost {
                    source: LostSource::HUBBLE_RING_BUFFER,
                    events: 3,
                    cpu: Some(1),
                    first: Some(5),
                    last: None,
                }),
            ),
            (
                8,
                notice(NoticeKind::Nodes {
                    state: NodeState::NODE_GONE,
                    names: vec!["a,b".into(), "".into()],
                    message: "m".into(),
                }),
            ),
            (
                9,
                notice(NoticeKind::Hole {
                    cause: HoleCause::Disconnected,
                    events: None,
                    first: 1,
                    last: 2,
                }),
            ),
            (9, notice(NoticeKind::AgentEvent)),
        ];
        let record = notices_to(&notices).unwrap();
        assert_eq!(notices_from(&record).unwrap(), notices);
    }
}
