//! Timestamps and durations of CEL, in nanoseconds.
//!
//! Owns the two value types and the functions on them. A result that 64 bits of
//! nanoseconds cannot hold is an error, so years 1677 to 2262 are what there is.
//! Getters take no time zone: they answer in UTC.

use std::any::Any;
use std::cmp::Ordering;

use cel::common::traits::{Adder, Comparer, Subtractor};
use cel::common::types::{
    CelInt, CelString, DURATION_TYPE, INT_TYPE, STRING_TYPE, TIMESTAMP_TYPE, Type,
};
use cel::common::value::{CowVal, FromVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::filter::duration::parse_go_duration;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// A point in time: nanoseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub(super) i64);

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(pub(super) i64);

type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// Declares the functions on times.
pub(super) fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(
        "timestamp",
        "fw_string_to_timestamp",
        vec![STRING_TYPE],
        |args| {
            let text: &CelString = argument(&args)?;
            let time: Timestamp = text
                .inner()
                .parse()
                .map_err(|error| failure("timestamp", &error))?;
            time_of(time)
        },
    )?;
    env.add_overload("timestamp", "fw_int_to_timestamp", vec![INT_TYPE], |args| {
        let seconds: &CelInt = argument(&args)?;
        seconds
            .inner()
            .checked_mul(SECOND)
            .map(|nanos| CowVal::owned(Time(nanos)))
            .ok_or_else(|| failure("timestamp", &"out of range"))
    })?;
    env.add_overload("timestamp", "fw_timestamp", vec![TIMESTAMP_TYPE], |args| {
        argument::<Time>(&args).map(|time| CowVal::owned(*time))
    })?;
    env.add_overload(
        "duration",
        "fw_string_to_duration",
        vec![STRING_TYPE],
        |args| {
            let text: &CelString = argument(&args)?;
            parse_go_duration(text.inner())
                .map(|nanos| CowVal::owned(Span(nanos)))
                .ok_or_else(|| failure("duration", &"invalid duration"))
        },
    )?;
    env.add_overload("duration", "fw_duration", vec![DURATION_TYPE], |args| {
        argument::<Span>(&args).map(|span| CowVal::owned(*span))
    })?;
    env.add_overload("int", "fw_timestamp_to_int", vec![TIMESTAMP_TYPE], |args| {
        let time: &Time = argument(&args)?;
        integer(time.0.div_euclid(SECOND))
    })?;
    env.add_overload(
        "string",
        "fw_timestamp_to_string",
        vec![TIMESTAMP_TYPE],
        |args| {
            let time: &Time = argument(&args)?;
            let text = Timestamp::from_nanosecond(i128::from(time.0))
                .map_err(|error| failure("string", &error))?
                .to_string();
            Ok(CowVal::owned(CelString::from(text)))
        },
    )?;
    env.add_overload(
        "string",
        "fw_duration_to_string",
        vec![DURATION_TYPE],
        |args| {
            let span: &Span = argument(&args)?;
            let sign = if span.0 < 0 { "-" } else { "" };
            let nanos = span.0.unsigned_abs();
            let (whole, part) = (nanos / SECOND as u64, nanos % SECOND as u64);
            let text = if part == 0 {
                format!("{sign}{whole}s")
            } else {
                let part = format!("{part:09}");
                format!("{sign}{whole}.{}s", part.trim_end_matches('0'))
            };
            Ok(CowVal::owned(CelString::from(text)))
        },
    )?;
    declare_getters(env)
}

/// A getter on timestamps: its name, and what it reads off the date in UTC.
macro_rules! getters {
    ($env:ident: $($name:literal = $read:expr;)+) => {
        $($env.add_member_overload(
            $name, concat!("fw_timestamp_", $name), TIMESTAMP_TYPE, vec![],
            |args| {
                let read: fn(DateTime) -> i64 = $read;
                let time: &Time = argument(&args)?;
                let time = Timestamp::from_nanosecond(i128::from(time.0))
                    .map_err(|error| failure($name, &error))?;
                integer(read(TimeZone::UTC.to_datetime(time)))
            },
        )?;)+
    };
}

/// A getter on durations: its name, and the nanoseconds of its unit.
macro_rules! units {
    ($env:ident: $($name:literal = $unit:expr;)+) => {
        $($env.add_member_overload(
            $name, concat!("fw_duration_", $name), DURATION_TYPE, vec![],
            |args| {
                let span: &Span = argument(&args)?;
                integer(span.0 / $unit)
            },
        )?;)+
    };
}

fn declare_getters(env: &mut Env) -> Result<(), DeclarationError> {
    getters! { env:
        "getFullYear" = |date| i64::from(date.year());
        "getMonth" = |date| i64::from(date.month()) - 1;
        "getDate" = |date| i64::from(date.day());
        "getDayOfMonth" = |date| i64::from(date.day()) - 1;
        "getDayOfWeek" = |date| i64::from(date.weekday().to_sunday_zero_offset());
        "getDayOfYear" = |date| i64::from(date.day_of_year()) - 1;
        "getHours" = |date| i64::from(date.hour());
        "getMinutes" = |date| i64::from(date.minute());
        "getSeconds" = |date| i64::from(date.second());
        "getMilliseconds" = |date| i64::from(date.millisecond());
    }
    units! { env:
        "getHours" = 3600 * SECOND;
        "getMinutes" = 60 * SECOND;
        "getSeconds" = SECOND;
    }
    env.add_member_overload(
        "getMilliseconds",
        "fw_duration_getMilliseconds",
        DURATION_TYPE,
        vec![],
        |args| {
            let span: &Span = argument(&args)?;
            integer(span.0 % SECOND / 1_000_000)
        },
    )
}

/// The first argument, which overload resolution has found to be of this type.
fn argument<'b, 'v, T: FromVal<'b, 'v>>(
    args: &'b [CowVal<'_, 'v>],
) -> Result<&'b T, ExecutionError> {
    args.first()
        .and_then(|value| value.as_ref().downcast_ref::<T>())
        .ok_or_else(ExecutionError::missing_argument_or_target)
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "the type of a CEL function's answer"
)]
fn integer<'b, 'v>(value: i64) -> Answer<'b, 'v> {
    Ok(CowVal::owned(CelInt::from(value)))
}

fn time_of<'b, 'v>(time: Timestamp) -> Answer<'b, 'v> {
    i64::try_from(time.as_nanosecond())
        .map(|nanos| CowVal::owned(Time(nanos)))
        .map_err(|error| failure("timestamp", &error))
}

fn failure(function: &str, error: &dyn ToString) -> ExecutionError {
    ExecutionError::function_error(function, error.to_string())
}

fn no_overload(operator: &str, left: &dyn Val, right: &dyn Val) -> ExecutionError {
    ExecutionError::no_such_overload(
        operator,
        vec![
            left.get_type().name().to_owned(),
            right.get_type().name().to_owned(),
        ],
    )
}

/// What both value types have alike.
macro_rules! value {
    ($name:ident, $type:ident) => {
        impl Val for $name {
            fn get_type(&self) -> &Type {
                <Self as Val>::cel_type()
            }

            fn cel_type() -> &'static Type {
                static TYPE: Type = $type;
                &TYPE
            }

            fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn as_subtractor<'b, 'v>(&'b self) -> Option<&'b (dyn Subtractor + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn as_comparer(&self) -> Option<&dyn Comparer> {
                Some(self)
            }

            fn equals(&self, other: &dyn Val) -> bool {
                other.downcast_ref::<$name>() == Some(self)
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
            where
                Self: 'v,
            {
                Box::new(*self)
            }

            fn as_any(&self) -> Option<&dyn Any> {
                Some(self)
            }
        }

        impl StaticVal for $name {}

        impl Comparer for $name {
            fn compare(&self, rhs: &dyn Val) -> Result<Ordering, ExecutionError> {
                rhs.downcast_ref::<$name>()
                    .map(|rhs| self.cmp(rhs))
                    .ok_or_else(|| no_overload("_<_", self, rhs))
            }
        }
    };
}

value!(Time, TIMESTAMP_TYPE);
value!(Span, DURATION_TYPE);

impl Adder for Time {
    fn add<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Answer<'b, 'v>
    where
        Self: 'v,
    {
        let span = rhs
            .downcast_ref::<Span>()
            .ok_or_else(|| no_overload("_+_", self, rhs))?;
        checked(self.0.checked_add(span.0)).map(|nanos| CowVal::owned(Time(nanos)))
    }
}

impl Adder for Span {
    fn add<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Answer<'b, 'v>
    where
        Self: 'v,
    {
        if let Some(time) = rhs.downcast_ref::<Time>() {
            return checked(self.0.checked_add(time.0)).map(|nanos| CowVal::owned(Time(nanos)));
        }
        let span = rhs
            .downcast_ref::<Span>()
            .ok_or_else(|| no_overload("_+_", self, rhs))?;
        checked(self.0.checked_add(span.0)).map(|nanos| CowVal::owned(Span(nanos)))
    }
}

impl Subtractor for Time {
    fn sub<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Answer<'b, 'v>
    where
        Self: 'v,
    {
        if let Some(time) = rhs.downcast_ref::<Time>() {
            return checked(self.0.checked_sub(time.0)).map(|nanos| CowVal::owned(Span(nanos)));
        }
        let span = rhs
            .downcast_ref::<Span>()
            .ok_or_else(|| no_overload("_-_", self, rhs))?;
        checked(self.0.checked_sub(span.0)).map(|nanos| CowVal::owned(Time(nanos)))
    }
}

impl Subtractor for Span {
    fn sub<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Answer<'b, 'v>
    where
        Self: 'v,
    {
        let span = rhs
            .downcast_ref::<Span>()
            .ok_or_else(|| no_overload("_-_", self, rhs))?;
        checked(self.0.checked_sub(span.0)).map(|nanos| CowVal::owned(Span(nanos)))
    }
}

fn checked(nanos: Option<i64>) -> Result<i64, ExecutionError> {
    nanos.ok_or_else(|| failure("time", &"out of range"))
}
