//! The views: `flows`, `drops`, `connections`, `edges`, `holes`, `rollup`.
//!
//! Owns what a row of each is. `connections` and `edges` are made of flows, by a rule
//! that is weaker than the one of judged connections, as [`note`] says; `rollup` has
//! those, summed up by the hour.

use polars::prelude::{
    DataType, Expr, LazyFrame, NULL, UnionArgs, coalesce, col, concat, len, lit, when,
};

use super::columns::{self, party, shown};
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
        "connections" => "a 5-tuple, with replies folded",
        "edges" => "who, to whom, on which port: how many connections, flows and drops",
        "holes" => "a span in which events of a node may be missing",
        "rollup" => "an hour's connections between two parties of one kind, as they were judged",
        _ => "nothing",
    }
}

/// What has to be said beside an answer from a view.
pub(super) fn note(session: &Session, view: &str) -> Option<String> {
    match view {
        "connections" | "edges" => Some(
            "connections are counted from flows, by 5-tuple and with replies folded: those \
             that were judged are in the view rollup"
                .to_owned(),
        ),
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

/// A view by its name.
pub(super) fn view(session: &Session, name: &str) -> Result<LazyFrame, QueryError> {
    match name {
        "drops" => Ok(flows(session.flows()?.filter(dropped()))),
        "connections" => Ok(connections(session.flows()?)),
        "edges" => Ok(edges(connections(session.flows()?))),
        "holes" => holes(session),
        "rollup" => session.only_a_window("the view rollup", || {
            frame::rollups(&session.archive, session.rollups().entries())
        }),
        _ => Ok(flows(session.flows()?)),
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
    let flows = || frame::flows(&session.archive, since, session.selection.until);
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

/// One row a 5-tuple. A reply counts for the connection it answers; where Hubble does not
/// say, a flow is none. A port that is used again is the same connection.
fn connections(stored: LazyFrame) -> LazyFrame {
    let reply = || col("is_reply").fill_null(lit(false));
    let mut columns = vec![
        col("time"),
        col("weight"),
        col("protocol").cast(DataType::Int32),
        dropped().alias("dropped"),
        reply().alias("reply"),
    ];
    for what in SIDE {
        let (source, destination) = (format!("source_{what}"), format!("destination_{what}"));
        let pick = |yes: &str, no: &str| when(reply()).then(col(yes)).otherwise(col(no));
        columns.push(pick(&destination, &source).alias(source.as_str()));
        columns.push(pick(&source, &destination).alias(destination.as_str()));
    }
    let keys: Vec<Expr> = KEYS.iter().map(|key| col(*key)).collect();
    let weight_where = |condition: &str| {
        when(col(condition))
            .then(col("weight").cast(DataType::UInt64))
            .otherwise(lit(0_u64))
            .sum()
    };
    let mut sums = vec![
        col("time").min().alias("first_seen"),
        col("time").max().alias("last_seen"),
        len().cast(DataType::UInt64).alias("flows"),
        events().alias("events"),
        weight_where("dropped").alias("dropped"),
        weight_where("reply").alias("replies"),
    ];
    for side in ["source", "destination"] {
        for what in SIDE.iter().filter(|what| !matches!(**what, "ip" | "port")) {
            // Both observation points know the same, or less: any value will do, and
            // the greatest is the same in every run.
            sums.push(col(format!("{side}_{what}")).max());
        }
    }
    let sides = ["source", "destination"].into_iter().flat_map(|side| {
        let of = move |what: &&str| col(format!("{side}_{what}"));
        SIDE.iter().map(of)
    });
    let counts = [
        "first_seen",
        "last_seen",
        "flows",
        "events",
        "dropped",
        "replies",
    ];
    let order: Vec<Expr> = sides
        .chain([shown("protocol")])
        .chain(counts.into_iter().map(col))
        .collect();
    stored
        .filter(
            col("source_ip")
                .is_not_null()
                .and(col("destination_ip").is_not_null()),
        )
        .select(columns)
        .group_by(keys)
        .agg(sums)
        .select(order)
}

const KEYS: [&str; 5] = [
    "source_ip",
    "source_port",
    "destination_ip",
    "destination_port",
    "protocol",
];

/// What is known of a side.
const SIDE: [&str; 9] = [
    "cluster",
    "namespace",
    "workload",
    "pod",
    "identity",
    "names",
    "labels",
    "ip",
    "port",
];

/// One row for each who, to whom, port and protocol.
fn edges(connections: LazyFrame) -> LazyFrame {
    let keys = ["source", "destination", "port", "protocol"];
    connections
        .with_columns([
            party("source").alias("source"),
            party("destination").alias("destination"),
            col("destination_port").alias("port"),
        ])
        .group_by(keys.map(col))
        .agg([
            len().cast(DataType::UInt64).alias("connections"),
            col("flows").sum(),
            col("events").sum(),
            col("dropped").sum(),
            col("first_seen").min(),
            col("last_seen").max(),
        ])
}

/// Spans in which events of a node may be missing. `end` is the last moment of it.
fn holes(session: &Session) -> Result<LazyFrame, QueryError> {
    let (since, until) = (session.selection.since, session.selection.until);
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
    let mut holes = frame::notices(&session.archive, since, until)?
        .filter(col("kind").eq(lit("lost")).or(col("kind").eq(lit("hole"))))
        .select([
            node.alias("node_name"),
            coalesce(&[col("first"), col("time")]).alias("start"),
            coalesce(&[col("last"), col("time")]).alias("end"),
            cause.alias("cause"),
            col("events"),
        ]);
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
