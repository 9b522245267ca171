//! The columns of `flows`: the stored ones, with names where those are numbers.
//!
//! Owns what a column shows and the short names people type (`src.workload`, `port`). Names
//! of numbers are `names`'s.

use std::borrow::Cow;
use std::fmt::Write as _;

use arrow::datatypes::DataType as Stored;
use polars::prelude::{
    ChunkTake, DataType, Expr, Field, IdxSize, IntoColumn, NULL, PlHashMap, StringChunked,
    TimeUnit, TimeZone, col, lit, when,
};

use super::error::QueryError;
use super::names::Names;
use super::near::near;
use crate::flow::{DropReason, WorkloadName, schema};

/// Columns of bytes that only this program reads.
const HIDDEN: [&str; 2] = ["policies", "extra"];
/// The class of a drop's reason, which no file holds.
pub(super) const DROP_CLASS: &str = "drop_class";

/// What a condition can do with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers that have names.
    Named(&'static Names),
    Text,
    Number,
    Bool,
    Time,
}

/// The columns of the files with their types; `uuid` is null in files without.
pub(super) fn stored() -> polars::prelude::Schema {
    let fields = schema(true);
    let fields = fields.fields().iter().map(|field| {
        let kind = match field.data_type() {
            Stored::Timestamp(..) => time_type(),
            Stored::Int32 => DataType::Int32,
            Stored::UInt8 => DataType::UInt8,
            Stored::UInt32 => DataType::UInt32,
            Stored::UInt64 => DataType::UInt64,
            Stored::Boolean => DataType::Boolean,
            Stored::Dictionary(..) | Stored::Utf8 => DataType::String,
            _ => DataType::Binary,
        };
        Field::new(field.name().as_str().into(), kind)
    });
    fields.collect()
}

/// Times: nanoseconds, UTC.
pub(super) fn time_type() -> DataType {
    DataType::Datetime(TimeUnit::Nanoseconds, Some(TimeZone::UTC))
}

/// Every column that is shown, in its order.
pub(super) fn names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for field in schema(true).fields() {
        // The schema's names are static, but its fields own theirs.
        if let Some(name) = known(field.name()) {
            names.push(name);
        }
        if field.name() == "drop_reason" {
            names.push(DROP_CLASS);
        }
    }
    names
}

/// Whether files have the column, as texts or numbers that can be asked as they are.
pub(super) fn is_stored(column: &str) -> bool {
    column != DROP_CLASS && column != "uuid"
}

/// The static name of a column.
pub(super) fn known(name: &str) -> Option<&'static str> {
    static ALL: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let fields = schema(true);
        let shown = fields.fields().iter().map(|field| field.name().clone());
        shown
            .filter(|name| !HIDDEN.contains(&name.as_str()))
            .collect()
    });
    if name == DROP_CLASS {
        return Some(DROP_CLASS);
    }
    ALL.iter().find(|known| *known == name).map(String::as_str)
}

/// The column a person means: `src.workload`, `dst.port`, `port`, `http.code`, or its name.
pub(super) fn resolve(typed: &str) -> Result<&'static str, QueryError> {
    let name = match typed.split_once('.') {
        Some(("src", rest)) => format!("source_{rest}"),
        Some(("dst", rest)) => format!("destination_{rest}"),
        _ => match typed {
            "port" => "destination_port".to_owned(),
            "node" => "node_name".to_owned(),
            "direction" => "traffic_direction".to_owned(),
            _ => typed.to_owned(),
        },
    };
    let name = name.replace('.', "_");
    known(&name).ok_or_else(|| QueryError::Column {
        name: typed.to_owned(),
        near: near(&name, names()),
    })
}

/// What a condition can do with a column.
pub(super) fn kind(column: &str) -> Kind {
    if let Some(names) = super::names::of(column) {
        return Kind::Named(names);
    }
    match stored().get(column) {
        Some(DataType::Datetime(..)) => Kind::Time,
        Some(DataType::Boolean) => Kind::Bool,
        Some(DataType::String | DataType::Binary) | None => Kind::Text,
        Some(_) => Kind::Number,
    }
}

/// What a column shows, of the columns of the files.
pub(super) fn shown(column: &'static str) -> Expr {
    if column == DROP_CLASS {
        return drop_class_of(col("drop_reason")).alias(DROP_CLASS);
    }
    if column == "uuid" {
        return uuid();
    }
    match kind(column) {
        Kind::Named(names) => texts(col(column), names.shows()),
        _ => col(column),
    }
}

/// What to group by so that equal numbers are equal groups: the number, null where it says
/// nothing. Such a column is shown by [`named`] once it is grouped.
pub(super) fn number_to_group(column: &'static str) -> Option<Expr> {
    let Kind::Named(names) = kind(column) else {
        return None;
    };
    let number = col(column).cast(DataType::Int32);
    Some(match names.name(0) {
        Some(_) => number,
        None => when(number.clone().eq(lit(0)))
            .then(lit(NULL))
            .otherwise(number)
            .alias(column),
    })
}

/// A column of [`number_to_group`], by names.
pub(super) fn named(column: &'static str) -> Expr {
    match kind(column) {
        Kind::Named(names) => texts(col(column), names.shows()),
        _ => col(column),
    }
}

/// The same of an expression.
pub(super) fn drop_class_of(reasons: Expr) -> Expr {
    texts(reasons, drop_class)
}

/// The class of a drop's reason; none where nothing was dropped.
pub(super) fn drop_class(reason: i32) -> Option<Cow<'static, str>> {
    (reason != 0).then(|| DropReason(reason).class().name().into())
}

/// A column of numbers and a number to compare it with, of the type that files have, so
/// that their statistics can be asked.
pub(super) fn number(column: &str, number: i64) -> (Expr, Expr) {
    let constant = match stored().get(column) {
        Some(DataType::Int32) => i32::try_from(number).ok().map(lit),
        Some(DataType::UInt32) => u32::try_from(number).ok().map(lit),
        Some(DataType::UInt8) => u8::try_from(number).ok().map(lit),
        _ => None,
    };
    match constant {
        Some(constant) => (col(column), constant),
        // Beyond what the column can hold.
        None => (col(column).cast(DataType::Int64), lit(number)),
    }
}

/// Numbers as texts: each distinct number is named once.
fn texts(numbers: Expr, name: fn(i32) -> Option<Cow<'static, str>>) -> Expr {
    numbers.cast(DataType::Int32).map(
        move |column| {
            let numbers = column.i32()?;
            let mut places: PlHashMap<Option<i32>, IdxSize> = PlHashMap::default();
            let mut names: Vec<Option<Cow<'static, str>>> = Vec::new();
            let mut last = (None, IdxSize::MAX);
            let places: Vec<IdxSize> = numbers
                .iter()
                .map(|number| {
                    if last != (number, last.1) || last.1 == IdxSize::MAX {
                        let place = *places.entry(number).or_insert_with(|| {
                            names.push(number.and_then(name));
                            (names.len() - 1) as IdxSize
                        });
                        last = (number, place);
                    }
                    last.1
                })
                .collect();
            let names: StringChunked = names.into_iter().collect();
            let texts = names.take(places.as_slice())?;
            Ok(texts.with_name(column.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::String)),
    )
}

/// The uuid as it is written: 8-4-4-4-12 digits.
fn uuid() -> Expr {
    col("uuid").map(
        |column| {
            let bytes = column.binary()?;
            let texts: StringChunked = bytes.iter().map(|bytes| bytes.map(uuid_text)).collect();
            Ok(texts.with_name(column.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::String)),
    )
}

/// 8-4-4-4-12 digits.
pub(super) fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Who a side is, in one text: its workload, else a reserved identity, else the first of
/// its DNS names, the workload that its pod's name tells, its address. Null where nothing of it is known.
pub(super) fn party(side: &str) -> Expr {
    let of = |what: &str| col(format!("{side}_{what}"));
    let reserved = texts(of("identity"), |number| {
        // World says less than a name or an address does.
        let named = u32::try_from(number)
            .ok()
            .filter(|id| !matches!(id, 0 | 2 | 9 | 10));
        named
            .and_then(crate::flow::identity_name)
            .map(Cow::Borrowed)
    });
    let first_name = of("names").map(
        |column| {
            let lists = column.str()?;
            let firsts: StringChunked = lists
                .iter()
                .map(|list| crate::flow::split(list?).into_iter().next())
                .collect();
            Ok(firsts.with_name(column.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::String)),
    );
    let within = |name: Expr| {
        when(of("namespace").is_null())
            .then(name.clone())
            .otherwise(of("namespace") + lit("/") + name)
    };
    // A flow that Hubble tells no workload of still is of the one that made the pod.
    let maker = of("pod").map(
        |column| {
            let makers: StringChunked = column
                .str()?
                .iter()
                .map(|pod| {
                    Some(
                        WorkloadName::of_pod(pod?, std::iter::empty())
                            .name
                            .to_string(),
                    )
                })
                .collect();
            Ok(makers.with_name(column.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::String)),
    );
    polars::prelude::coalesce(&[
        within(of("workload")),
        reserved,
        first_name,
        within(maker),
        of("ip"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_type_are_columns() {
        for (typed, column) in [
            ("src.workload", "source_workload"),
            ("dst.port", "destination_port"),
            ("port", "destination_port"),
            ("http.code", "http_code"),
            ("dns_query", "dns_query"),
            ("drop_class", "drop_class"),
        ] {
            assert_eq!(resolve(typed).unwrap(), column);
        }
        for typed in ["", "extra", "policies", "src.", "a\"b", "src.workload'--"] {
            assert!(resolve(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_uuid_is_written_with_hyphens() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(uuid_text(&bytes), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
