//! A condition asked of rows that are on their way to connections.
//!
//! Owns the answer, which is that of the engine's expression: a test holds both to it.

use std::borrow::Cow;

use arrow::array::{Array, AsArray, DictionaryArray, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Int32Type, TimestampNanosecondType, UInt8Type, UInt32Type,
    UInt64Type,
};

use super::expression::is_one_of;
use super::{Condition, Test};
use crate::query::columns::{self, DROP_CLASS, Kind};

impl Condition {
    /// Whether it holds, for each row of a record with the columns of files. A column that
    /// is missing has no values.
    pub(in crate::query) fn rows(&self, record: &RecordBatch) -> Vec<bool> {
        let count = record.num_rows();
        let joined = |parts: &[Self], all: bool| {
            let mut holds = vec![all; count];
            for part in parts {
                for (held, holds) in holds.iter_mut().zip(part.rows(record)) {
                    *held = if all { *held && holds } else { *held || holds };
                }
            }
            holds
        };
        match self {
            Self::All(parts) => joined(parts, true),
            Self::Any(parts) => joined(parts, false),
            Self::Not(inner) => inner.rows(record).into_iter().map(|holds| !holds).collect(),
            Self::Is(column, test) => test.rows(column, record),
        }
    }
}

impl Test {
    fn rows(&self, column: &'static str, record: &RecordBatch) -> Vec<bool> {
        match self {
            Self::Number(comparison, wanted) => {
                let holds = |number: Option<i64>| {
                    number.is_some_and(|number| comparison.holds(&number, wanted))
                };
                numbers(record, column).into_iter().map(holds).collect()
            }
            Self::Time(comparison, wanted) => {
                let times = record.column_by_name(column);
                let times =
                    times.and_then(|times| times.as_primitive_opt::<TimestampNanosecondType>());
                let Some(times) = times else {
                    return vec![false; record.num_rows()];
                };
                let holds = |at: Option<i64>| at.is_some_and(|at| comparison.holds(&at, wanted));
                times.iter().map(holds).collect()
            }
            Self::Text(comparison, wanted) => texts(record, column, |text| {
                text.is_some_and(|text| comparison.holds(text, wanted.as_str()))
            }),
            Self::Part(part, wanted) => texts(record, column, |text| {
                text.is_some_and(|text| part.is_of(text, wanted))
            }),
            Self::Workload(kind, name) => texts(record, column, |list| {
                list.is_some_and(|list| is_one_of(list, kind, name))
            }),
            Self::Flag => {
                let flags = record.column_by_name(column);
                let Some(flags) = flags.and_then(|flags| flags.as_boolean_opt()) else {
                    return vec![false; record.num_rows()];
                };
                flags.iter().map(|flag| flag == Some(true)).collect()
            }
            Self::Absent => absent(record, column),
        }
    }
}

fn absent(record: &RecordBatch, column: &'static str) -> Vec<bool> {
    match columns::kind(column) {
        Kind::Text | Kind::Named(_) => texts(record, column, |text| text.is_none()),
        _ => match record.column_by_name(column) {
            Some(values) => (0..values.len()).map(|row| values.is_null(row)).collect(),
            None => vec![true; record.num_rows()],
        },
    }
}

fn numbers(record: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    fn of<T: ArrowPrimitiveType>(
        values: &dyn Array,
        number: impl Fn(T::Native) -> Option<i64>,
    ) -> Option<Vec<Option<i64>>> {
        let values = values.as_primitive_opt::<T>()?.iter();
        Some(values.map(|value| value.and_then(&number)).collect())
    }
    let numbers = record
        .column_by_name(column)
        .and_then(|values| match values.data_type() {
            DataType::Int32 => of::<Int32Type>(values, |number| Some(number.into())),
            DataType::UInt8 => of::<UInt8Type>(values, |number| Some(number.into())),
            DataType::UInt32 => of::<UInt32Type>(values, |number| Some(number.into())),
            _ => of::<UInt64Type>(values, |number| i64::try_from(number).ok()),
        });
    numbers.unwrap_or_else(|| vec![None; record.num_rows()])
}

/// Asks the texts that a column shows; each distinct one once, where it can.
fn texts(
    record: &RecordBatch,
    column: &'static str,
    fits: impl Fn(Option<&str>) -> bool,
) -> Vec<bool> {
    let named = |stored: &str, name: &dyn Fn(i32) -> Option<Cow<'static, str>>| {
        let number = |number: Option<i64>| number.and_then(|number| i32::try_from(number).ok());
        let numbers = numbers(record, stored).into_iter().map(number);
        numbers
            .map(|number| fits(number.and_then(name).as_deref()))
            .collect()
    };
    if column == DROP_CLASS {
        return named("drop_reason", &columns::drop_class);
    }
    if let Kind::Named(names) = columns::kind(column) {
        return named(column, &|number| names.name(number));
    }
    let nothing = || vec![fits(None); record.num_rows()];
    let Some(values) = record.column_by_name(column) else {
        return nothing();
    };
    if let Some(bytes) = values.as_fixed_size_binary_opt() {
        let texts = bytes.iter().map(|bytes| bytes.map(columns::uuid_text));
        return texts.map(|text| fits(text.as_deref())).collect();
    }
    if let Some(texts) = values.as_string_opt::<i32>() {
        return texts.iter().map(&fits).collect();
    }
    let keyed = values
        .as_any()
        .downcast_ref::<DictionaryArray<UInt32Type>>();
    let Some((keyed, words)) =
        keyed.and_then(|keyed| Some((keyed, keyed.values().as_string_opt::<i32>()?)))
    else {
        return nothing();
    };
    let (fit, none): (Vec<bool>, bool) = (words.iter().map(&fits).collect(), fits(None));
    let keys = keyed.keys().iter();
    keys.map(|key| {
        key.and_then(|key| fit.get(key as usize).copied())
            .unwrap_or(none)
    })
    .collect()
}
