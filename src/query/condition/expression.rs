//! A condition as an expression of the engine, over the columns of the files.
//!
//! Owns the way there. Numbers are compared as files have them, so that their statistics
//! are asked and nothing is named before it has been chosen.

use polars::prelude::{BooleanChunked, DataType, Expr, Field, IntoColumn, col, lit};

use super::{Comparison, Condition, Part, Test};
use crate::flow::split;
use crate::query::columns::{self, Kind, shown};
use crate::query::frame::time;

impl Condition {
    /// True where it holds; false or null where it does not.
    pub(in crate::query) fn expression(&self) -> Expr {
        match self {
            Self::All(parts) => joined(parts, true),
            Self::Any(parts) => joined(parts, false),
            // Null counts as not true.
            Self::Not(inner) => match inner.as_ref() {
                Self::Is(column, Test::Absent) => absent(column).not(),
                inner => inner.expression().fill_null(lit(false)).not(),
            },
            Self::Is(column, test) => test.expression(column),
        }
    }
}

fn joined(parts: &[Condition], all: bool) -> Expr {
    let parts = parts.iter().map(Condition::expression);
    let joined = parts.reduce(
        |left, right| {
            if all { left.and(right) } else { left.or(right) }
        },
    );
    joined.unwrap_or_else(|| lit(all))
}

/// Never null.
fn absent(column: &'static str) -> Expr {
    match columns::kind(column) {
        // The number of nothing.
        Kind::Named(names) if names.name(0).is_none() => {
            let (value, nothing) = columns::number(column, 0);
            value.clone().is_null().or(value.eq(nothing))
        }
        Kind::Named(_) => col(column).is_null(),
        _ => shown(column).is_null(),
    }
}

impl Test {
    fn expression(&self, column: &'static str) -> Expr {
        match self {
            Self::Number(comparison, number) => {
                let (value, number) = columns::number(column, *number);
                comparison.expression(value, number)
            }
            Self::Time(comparison, at) => comparison.expression(col(column), time(*at)),
            Self::Text(comparison, text) => comparison.expression(shown(column), lit(text.clone())),
            Self::Part(part, text) => {
                let (texts, text) = (shown(column).str(), lit(text.clone()));
                match part {
                    Part::Begins => texts.starts_with(text),
                    Part::Ends => texts.ends_with(text),
                    Part::Contains => texts.contains_literal(text),
                }
            }
            Self::Flag => col(column),
            Self::Absent => absent(column),
            Self::Workload(kind, name) => workload(col(column), kind.clone(), name.clone()),
        }
    }
}

impl Comparison {
    fn expression(self, value: Expr, constant: Expr) -> Expr {
        match self {
            Self::Equal => value.eq(constant),
            Self::Less => value.lt(constant),
            Self::LessEqual => value.lt_eq(constant),
            Self::Greater => value.gt(constant),
            Self::GreaterEqual => value.gt_eq(constant),
        }
    }
}

fn workload(lists: Expr, kind: String, name: String) -> Expr {
    lists.map(
        move |column| {
            let fitting: BooleanChunked = column
                .str()?
                .iter()
                .map(|list| Some(is_one_of(list?, &kind, &name)))
                .collect();
            Ok(fitting.with_name(column.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Boolean)),
    )
}

/// Whether a list, as files have it, names a workload of this kind and name.
pub(super) fn is_one_of(list: &str, kind: &str, name: &str) -> bool {
    split(list).iter().any(|item| {
        // No name of a workload has a slash.
        let (of_kind, of_name) = item.rsplit_once('/').unwrap_or(("", item));
        (kind.is_empty() || kind == of_kind) && (name.is_empty() || name == of_name)
    })
}
