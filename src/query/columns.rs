//! The columns of `flows`: the stored ones, with names where those are numbers.
//!
//! Owns what a column shows, the short names people type (`src.workload`, `port`), and
//! the way from a name of an enum back to the number that files hold, so that a
//! condition can be compared with what is stored.

use std::borrow::Cow;
use std::fmt::Write as _;

use arrow::datatypes::DataType as Stored;
use polars::prelude::{
    DataType, Expr, Field, IntoColumn, StringChunked, TimeUnit, TimeZone, col, lit, when,
};

use super::error::QueryError;
use super::near::near;
use crate::flow::{
    AuthType, CaptureEnum, Direction, DropReason, EventType, FlowType, L7Type, Protocol, SockPoint,
    TracePoint, TraceReason, Verdict, WorkloadName, schema,
};

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

/// The names of an enum.
#[derive(Debug)]
pub(super) struct Names {
    column: &'static str,
    /// `None` shows null: nothing is said.
    name: fn(i32) -> Option<Cow<'static, str>>,
    number: fn(&str) -> Option<i32>,
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column
    }
}

impl Eq for Names {}

impl Names {
    /// The number of a name; one without a name has its digits.
    pub(super) fn number(&self, text: &str) -> Option<i32> {
        (self.number)(text).or_else(|| text.parse().ok())
    }
}

/// Name or digits; null for 0.
macro_rules! names {
    ($column:literal, $kind:ident) => {
        Names {
            column: $column,
            name: |number| named(number, $kind(number).name()),
            number: |text| $kind::from_name(text).map(|value| value.0),
        }
    };
}

static NAMES: [Names; 13] = [
    Names {
        column: "verdict",
        name: |number| Some(or_digits(number, Verdict(number).name())),
        number: |text| Verdict::from_name(text).map(|value| value.0),
    },
    names!("flow_type", FlowType),
    Names {
        column: "event_type",
        name: |number| {
            let known = EventType::NAMES.iter().find(|(event, _)| event.0 == number);
            named(number, known.map(|(_, name)| *name))
        },
        number: |text| {
            let known = EventType::NAMES.iter().find(|(_, name)| *name == text);
            known.map(|(event, _)| event.0)
        },
    },
    names!("traffic_direction", Direction),
    names!("trace_observation_point", TracePoint),
    names!("trace_reason", TraceReason),
    names!("drop_reason", DropReason),
    Names {
        column: "ip_version",
        name: |number| named(number, ["", "IPv4", "IPv6"].get(number as usize).copied()),
        number: |text| match text {
            "IPv4" => Some(1),
            "IPv6" => Some(2),
            _ => None,
        },
    },
    Names {
        column: "protocol",
        name: |number| {
            let known = Protocol::from_number(u8::try_from(number).unwrap_or_default());
            named(number, Some(known.name()).filter(|name| !name.is_empty()))
        },
        number: |text| {
            let known = Protocol::ALL.iter().find(|known| known.name() == text);
            known.map(|known| *known as i32)
        },
    },
    names!("auth_type", AuthType),
    names!("l7_type", L7Type),
    names!("sock_xlate_point", SockPoint),
    names!("debug_capture_point", CaptureEnum),
];

fn or_digits(number: i32, name: Option<&'static str>) -> Cow<'static, str> {
    name.map_or_else(|| number.to_string().into(), Cow::Borrowed)
}

fn named(number: i32, name: Option<&'static str>) -> Option<Cow<'static, str>> {
    (number != 0).then(|| or_digits(number, name))
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

/// The static name of a column.
fn known(name: &str) -> Option<&'static str> {
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
    if let Some(names) = NAMES.iter().find(|names| names.column == column) {
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
        return texts(col("drop_reason"), |number| {
            (number != 0).then(|| DropReason(number).class().name().into())
        })
        .alias(DROP_CLASS);
    }
    if column == "uuid" {
        return uuid();
    }
    match kind(column) {
        Kind::Named(names) => texts(col(column), names.name),
        _ => col(column),
    }
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

/// Numbers as texts.
fn texts(numbers: Expr, name: fn(i32) -> Option<Cow<'static, str>>) -> Expr {
    numbers.cast(DataType::Int32).map(
        move |column| {
            let numbers = column.i32()?;
            let texts: StringChunked = numbers.iter().map(|number| number.and_then(name)).collect();
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

fn uuid_text(bytes: &[u8]) -> String {
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
    fn every_name_of_an_enum_has_its_number() {
        for names in &NAMES {
            for number in 0..300 {
                if let Some(name) = (names.name)(number) {
                    assert_eq!(names.number(&name), Some(number), "{} {name}", names.column);
                }
            }
        }
    }

    #[test]
    fn a_uuid_is_written_with_hyphens() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(uuid_text(&bytes), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
