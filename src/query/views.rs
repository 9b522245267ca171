//! The views: `flows`, `drops`, `connections`, `edges`, `holes`, `rollup`.
//!
//! Owns what a row of each is. What a connection is, and so an edge, is `connections`'s;
//! `rollup` has the files of the rollups as they are.

use polars::prelude::{
    DataType, Expr, LazyFrame, NULL, UnionArgs, coalesce, col, concat, lit, when,
};

use super::columns::{self, shown};
use super::condition::{Comparison, Condition, Test};
use super::connections;
use super::error::QueryError;
use super::{Session, frame};
use crate::flow::{HoleCause, LostSource, Verdict};

/// Names of the views.
pub const VIEWS: [&str; 6] = ["flows", "drops", "connections", "edges", "holes", "rollup"];

/// Flows that are looked at for the names of workloads.
const MOST_NAMED_ROWS: u64 = 2_000_000;
/// Names of workloads that are given.
const MOST_NAMES: u32 = 10_000;

/// What a row of a view is.
#[must_use]
pub fn about(view: &str) -> &'static str {
    match view {
        "flows" => "a flow, with every column of the archive",
        "drops" => "a flow that was dropped",
        "connections" => "a connection: replies, both nodes and retries are one",
        "edges" => "who, to whom, on which port: how many connections, how many denied",
        "holes" => "a span in which events of a node may be missing",
        "rollup" => "an hour's connections between two parties of one kind, as they were judged",
        _ => "nothing",
    }
}

/// What has to be said beside an answer from a view.
pub(super) fn note(session: &Session, view: &str) -> Option<String> {
    match view {
        "edges" => connections::note(session),
        "connections" if !session.chosen.is_everything() => connections::note(session),
        "rollup" => {
            let rollups = session.rollups();
            let hours = |count: usize| match count {
                1 => "1 hour".to_owned(),
                count => format!("{count} hours"),
            };
            let mut parts = Vec::new();
            if !rollups.missing().is_empty() {
                let missing = hours(rollups.missing().len());
                parts.push(format!(
                    "{missing} not summed up (flowwatch archive rollup)"
                ));
            }
            if !rollups.cut().is_empty() {
                let cut = hours(rollups.cut().len());
                parts.push(format!("{cut} left out, which the window cuts"));
            }
            (!parts.is_empty()).then(|| parts.join(", "))
        }
        _ => None,
    }
}

/// A view by its name. Of flows, some for which `hint` does not hold are left out.
pub(super) fn view(
    session: &Session,
    name: &str,
    hint: &Condition,
) -> Result<LazyFrame, QueryError> {
    match name {
        "drops" => {
            let dropped = Condition::number("verdict", Verdict::DROPPED.0.into());
            Ok(flows(session.flows(&dropped.and(hint.clone()))?))
        }
        "connections" => connections::connections(session),
        "edges" => connections::edges(session),
        "holes" => holes(session),
        "rollup" => session.only_a_window("the view rollup", || {
            frame::rollups(session, session.rollups().entries())
        }),
        _ => Ok(flows(session.flows(hint)?)),
    }
}

/// A view without rows: what columns it has.
pub(super) fn empty(name: &str) -> Result<LazyFrame, QueryError> {
    match name {
        "connections" => connections::no_connections(),
        "edges" => connections::no_edges(),
        "holes" => Ok(holes_of(frame::no_notices())),
        "rollup" => frame::no_rollups(),
        _ => Ok(flows(frame::no_flows())),
    }
}

/// Workloads of either side in the newest files, each once.
pub(super) fn workloads(session: &Session) -> Result<LazyFrame, QueryError> {
    let mut files: Vec<_> = session.archive.manifest().files.iter().collect();
    files.sort_unstable_by_key(|file| std::cmp::Reverse(file.span));
    let mut rows = 0;
    let newest = files.into_iter().take_while(|file| {
        rows += file.rows;
        rows <= MOST_NAMED_ROWS
    });
    let since = newest.filter_map(|file| file.span).map(|(first, _)| first);
    let since = since.min().unwrap_or(i64::MIN).max(session.selection.since);
    let newest = Test::Time(Comparison::GreaterEqual, since);
    let newest = Condition::Is("time", newest);
    let flows = || frame::flows(session, &newest);
    let side = |side: &str| -> Result<LazyFrame, QueryError> {
        let of = |what: &str| col(format!("{side}_{what}"));
        let name = of("namespace") + lit("/") + of("workload");
        Ok(flows()?
            .select([name.alias("workload")])
            .filter(col("workload").is_not_null()))
    };
    let both = concat(
        [side("source")?, side("destination")?],
        UnionArgs::default(),
    );
    let each = both
        .map_err(QueryError::engine)?
        .group_by([col("workload")]);
    Ok(each.agg([]).limit(MOST_NAMES))
}

/// Every column, with names where files have numbers.
fn flows(stored: LazyFrame) -> LazyFrame {
    let columns: Vec<Expr> = columns::names().into_iter().map(shown).collect();
    stored.select(columns)
}

/// Whether the recorded verdict is a drop.
pub(super) fn dropped() -> Expr {
    col("verdict").eq(lit(Verdict::DROPPED.0))
}

/// How many events rows stand for.
pub(super) fn events() -> Expr {
    col("weight").cast(DataType::UInt64).sum()
}

/// Spans in which events of a node may be missing. `end` is the last moment of it.
fn holes(session: &Session) -> Result<LazyFrame, QueryError> {
    let (since, until) = (session.selection.since, session.selection.until);
    let mut holes = holes_of(frame::notices(session, since, until)?);
    if since != i64::MIN {
        holes = holes.filter(
            col("end")
                .gt_eq(frame::time(since))
                .or(col("end").is_null()),
        );
    }
    if until != i64::MAX {
        holes = holes.filter(
            col("start")
                .lt_eq(frame::time(until))
                .or(col("start").is_null()),
        );
    }
    Ok(holes)
}

fn holes_of(notices: LazyFrame) -> LazyFrame {
    let source = |of: LostSource| col("lost_source").eq(lit(of.0));
    let cause = when(col("kind").eq(lit("hole")))
        .then(col("cause"))
        .when(source(LostSource::PERF_EVENT_RING_BUFFER))
        .then(lit(HoleCause::PerfRing.name()))
        .when(source(LostSource::HUBBLE_RING_BUFFER))
        .then(lit(HoleCause::HubbleRing.name()))
        .otherwise(lit(HoleCause::ObserverQueue.name()));
    let node = when(col("node_name").eq(lit("")))
        .then(lit(NULL).cast(DataType::String))
        .otherwise(col("node_name"));
    notices
        .filter(col("kind").eq(lit("lost")).or(col("kind").eq(lit("hole"))))
        .select([
            node.alias("node_name"),
            coalesce(&[col("first"), col("time")]).alias("start"),
            coalesce(&[col("last"), col("time")]).alias("end"),
            cause.alias("cause"),
            col("events"),
        ])
}
