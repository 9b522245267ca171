//! Arrow columns back to rows.
//!
//! Owns the meaning of the columns that most rows fill; endpoints are `ends`'s, what few
//! rows have is `sparse`'s. A column that is not there (an older recording, a projection)
//! leaves its default; one that is unknown is not looked at.

mod classes;
mod ends;
mod input;
mod runs;
mod sparse;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampNanosecondType, UInt8Type, UInt32Type};
use hashbrown::HashMap;

use self::input::{Input, NULL, filled, wrong_type};
use super::joined::split;
use super::memory::Memory;
use crate::flow::row::Columns;
use crate::flow::{Interner, ListId, NO_TIME, Reply};

/// A column that does not hold what its name says.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Of another type.
    #[error("column {column} is of type {found}")]
    Type {
        /// Its name.
        column: &'static str,
        /// Its type.
        found: String,
    },
    /// Null where no row can be.
    #[error("column {column} has rows without a value")]
    Null {
        /// Its name.
        column: &'static str,
    },
    /// A value that cannot be.
    #[error("column {column} holds damaged bytes at row {row}")]
    Damaged {
        /// Its name.
        column: &'static str,
        /// Index in the batch.
        row: usize,
    },
}

type Decoded<T> = Result<T, DecodeError>;

/// Reads rows, with texts and endpoints interned, into `columns`, of which only the memory
/// is used.
pub(crate) fn decode(
    interner: &mut Interner,
    memory: &mut Memory,
    record: &RecordBatch,
    mut columns: Columns,
) -> Decoded<Columns> {
    memory.follow(interner);
    columns.begin(record.num_rows());
    let input = Input { record };
    dense(&input, &mut columns)?;
    words(&input, interner, &mut columns)?;
    let ends = [
        (&ends::SOURCE, &mut columns.source),
        (&ends::DESTINATION, &mut columns.destination),
    ];
    for (side, into) in ends {
        ends::endpoints(&input, interner, memory, side, into)?;
    }
    sparse::extras(&input, interner, &mut columns.extra)?;
    Ok(columns)
}

fn list_of(interner: &mut Interner, text: &str) -> ListId {
    let items = split(text);
    interner.list(items.iter().map(String::as_str))
}

fn dense(input: &Input<'_>, columns: &mut Columns) -> Decoded<()> {
    if let Some(times) = input.primitive::<TimestampNanosecondType>("time")? {
        columns
            .time
            .extend(times.iter().map(|time| time.unwrap_or(NO_TIME)));
    }
    if let Some(array) = input.some("uuid") {
        let uuids = array
            .as_fixed_size_binary_opt()
            .filter(|uuids| uuids.value_length() == 16)
            .ok_or_else(|| wrong_type("uuid", array))?;
        let bits = uuids.iter().map(|uuid| {
            let bits = uuid.and_then(|uuid| uuid.try_into().ok());
            bits.map_or(0, i128::from_be_bytes)
        });
        columns.uuid.extend(bits);
    }
    input.whole::<Int32Type>("verdict", &mut columns.verdict)?;
    input.whole::<Int32Type>("flow_type", &mut columns.flow_type)?;
    input.whole::<Int32Type>("event_type", &mut columns.event_type)?;
    input.whole::<Int32Type>("event_sub_type", &mut columns.event_sub_type)?;
    input.whole::<Int32Type>("traffic_direction", &mut columns.direction)?;
    input.whole::<Int32Type>("trace_observation_point", &mut columns.trace_point)?;
    input.whole::<Int32Type>("trace_reason", &mut columns.trace_reason)?;
    input.whole::<UInt32Type>("policy_match_type", &mut columns.policy_match_type)?;
    input.whole::<Int32Type>("drop_reason", &mut columns.drop_reason)?;
    input.whole::<UInt32Type>("drop_reason_number", &mut columns.drop_reason_number)?;
    if let Some(array) = input.some("is_reply") {
        let replies: &BooleanArray = array
            .as_boolean_opt()
            .ok_or_else(|| wrong_type("is_reply", array))?;
        let replies = replies.iter();
        columns
            .reply
            .extend(replies.map(|reply| Reply::from_option(reply) as u8));
    }
    input.whole::<Int32Type>("ip_version", &mut columns.ip_version)?;
    input.whole::<UInt32Type>("flags", &mut columns.flags)?;
    input.whole::<UInt8Type>("protocol", &mut columns.protocol)?;
    input.whole::<UInt32Type>("source_port", &mut columns.source_port)?;
    input.whole::<UInt32Type>("destination_port", &mut columns.destination_port)?;
    input.whole::<UInt32Type>("weight", &mut columns.weight)
}

/// Columns of ids of texts, lists and pairs.
fn words(input: &Input<'_>, interner: &mut Interner, columns: &mut Columns) -> Decoded<()> {
    let rows = input.record.num_rows();
    let texts: [(&'static str, &mut Vec<u32>); 4] = [
        ("source_ip", &mut columns.source_ip),
        ("destination_ip", &mut columns.destination_ip),
        ("node_name", &mut columns.node),
        ("summary", &mut columns.summary),
    ];
    for (name, ids) in texts {
        if let Some(texts) = input.text(name)? {
            texts.ids(rows, ids, |text| interner.text(text).0);
        }
    }
    let lists: [(&'static str, &mut Vec<u32>); 3] = [
        ("source_names", &mut columns.source_names),
        ("destination_names", &mut columns.destination_names),
        ("node_labels", &mut columns.node_labels),
    ];
    for (name, ids) in lists {
        if let Some(texts) = input.text(name)? {
            texts.ids(rows, ids, |text| list_of(interner, text).0);
        }
    }
    let pairs: [(&'static str, &'static str, &mut Vec<u32>); 4] = [
        (
            "source_service",
            "source_service_namespace",
            &mut columns.source_service,
        ),
        (
            "destination_service",
            "destination_service_namespace",
            &mut columns.destination_service,
        ),
        ("source_mac", "destination_mac", &mut columns.ethernet),
        ("emitter", "emitter_version", &mut columns.emitter),
    ];
    for (left, right, ids) in pairs {
        let (left, right) = (input.text(left)?, input.text(right)?);
        let (Some(left), right) = (left, right) else {
            continue;
        };
        let mut known: HashMap<(u32, u32), u32, foldhash::fast::RandomState> = HashMap::default();
        let mut last = ((NULL, NULL), 0);
        ids.resize(rows, 0);
        for row in filled(rows, left.nulls()) {
            let id = &mut ids[row];
            let keys = (left.key(row), right.map_or(NULL, |right| right.key(row)));
            if keys.0 == NULL {
                continue;
            }
            if last.0 != keys {
                let id = *known.entry(keys).or_insert_with(|| {
                    let right = right.and_then(|right| right.at(row)).unwrap_or_default();
                    interner.pair(left.value(keys.0), right).0
                });
                last = (keys, id);
            }
            *id = last.1;
        }
    }
    Ok(())
}
