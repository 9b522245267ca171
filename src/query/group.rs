//! Counting flows by columns, without SQL.
//!
//! Owns `--by`, `--per` and `--top`.

use std::time::Duration;

use polars::prelude::{
    DataType, Expr, JoinArgs, JoinType, LazyFrame, SortMultipleOptions, col, len, lit,
};

use super::columns::{named, number_to_group, resolve, shown};
use super::error::QueryError;
use super::views::events;

/// Most groups that `--top` is a bound for.
const MOST_TOP: u32 = 1_000_000;

/// What to count by.
#[derive(Clone, Debug, Default)]
pub struct Grouping {
    /// Columns; none counts all.
    pub by: Vec<String>,
    /// Length of the spans of time to tell apart.
    pub per: Option<Duration>,
    /// How many groups to keep: those with the most flows, over all spans of time.
    pub top: Option<u32>,
}

/// Groups with their flows and events, most flows first; in the order of time, where
/// time is told apart.
pub(super) fn frame(stored: LazyFrame, grouping: &Grouping) -> Result<LazyFrame, QueryError> {
    let mut names: Vec<&'static str> = Vec::new();
    for typed in &grouping.by {
        let name = resolve(typed)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut order: Vec<&str> = Vec::new();
    let mut keys: Vec<Expr> = Vec::new();
    if let Some(per) = grouping.per {
        names.retain(|name| *name != "time");
        keys.push(bucket(per));
        order.push("time");
    }
    // Groups are named when they are complete.
    let mut to_name: Vec<Expr> = Vec::new();
    for name in &names {
        if let Some(number) = number_to_group(name) {
            keys.push(number);
            to_name.push(named(name));
        } else {
            keys.push(shown(name));
        }
    }
    order.extend(&names);
    let counts = [
        len().cast(DataType::UInt64).alias("flows"),
        events().alias("events"),
    ];
    let counted = if keys.is_empty() {
        stored.select(counts)
    } else {
        stored.group_by(keys).agg(counts).with_columns(to_name)
    };
    // The engine makes room for as many as are to be kept: a large number is no bound.
    let top = grouping.top.filter(|&top| top <= MOST_TOP);
    if grouping.per.is_none() {
        let sorted = most(counted, &order);
        return Ok(match top {
            Some(top) => sorted.limit(top),
            None => sorted,
        });
    }
    let kept = match top {
        None => counted,
        Some(_) if names.is_empty() => counted,
        Some(top) => {
            let keys: Vec<Expr> = names.iter().map(|name| col(*name)).collect();
            let sums = counted
                .clone()
                .group_by(keys.clone())
                .agg([col("flows").sum()]);
            let best = most(sums, &names).limit(top).select(keys.clone());
            let mut arguments = JoinArgs::new(JoinType::Inner);
            arguments.nulls_equal = true;
            counted.join(best, keys.clone(), keys, arguments)
        }
    };
    let mut sorted: Vec<Expr> = vec![col("time"), col("flows")];
    sorted.extend(names.iter().map(|name| col(*name)));
    let descending: Vec<bool> = (0..sorted.len()).map(|at| at == 1).collect();
    let options = SortMultipleOptions::new()
        .with_order_descending_multi(descending)
        .with_nulls_last(true);
    let mut columns = order;
    columns.extend(["flows", "events"]);
    let columns: Vec<Expr> = columns.into_iter().map(col).collect();
    Ok(kept.sort_by_exprs(sorted, options).select(columns))
}

/// The begin of the span of time that a flow is in.
pub(super) fn bucket(per: Duration) -> Expr {
    let nanoseconds = per.as_nanos().clamp(1, i64::MAX as u128);
    col("time").dt().truncate(lit(format!("{nanoseconds}ns")))
}

/// Greatest first by the first column; equal ones by the others, least first, so that
/// every run says the same.
pub(super) fn greatest_first(frame: LazyFrame, by: &[&str]) -> LazyFrame {
    let columns: Vec<Expr> = by.iter().map(|name| col(*name)).collect();
    let descending: Vec<bool> = (0..by.len()).map(|at| at == 0).collect();
    let options = SortMultipleOptions::new()
        .with_order_descending_multi(descending)
        .with_nulls_last(true);
    frame.sort_by_exprs(columns, options)
}

/// Most flows first.
fn most(frame: LazyFrame, keys: &[&str]) -> LazyFrame {
    let by: Vec<&str> = ["flows"].into_iter().chain(keys.iter().copied()).collect();
    greatest_first(frame, &by)
}
