//! Edges: sums of connections by who, to whom, on which port.
//!
//! Owns the columns of an edge. Two parties of the same name in different clusters, or of
//! different kinds, are different.

use polars::prelude::{DataType, Expr, LazyFrame, NULL, col, lit, when};

use crate::flow::DropClass;
use crate::query::columns;
use crate::query::frame::time;

/// What tells ends apart.
const PARTS: [&str; 5] = ["is", "cluster", "namespace", "workload_kind", "name"];

/// Sums of all hours of rows with the columns of rollups. Of what went on from an earlier
/// hour only that counts which did when the `first` hour began.
pub(super) fn frame(rows: LazyFrame, first: i64) -> LazyFrame {
    let outcome = |word: &str| col("outcome").eq(lit(word.to_owned()));
    let by_policy = columns::drop_class_of(col("drop_reason"))
        .eq(lit(DropClass::Policy.name()))
        .fill_null(lit(false));
    let count_where = |condition: Expr| {
        let counts = when(condition.fill_null(lit(false)))
            .then(col("connections"))
            .otherwise(lit(0_u64));
        counts.sum()
    };
    let dropped = || outcome("dropped");
    let ongoing = when(col("hour").eq(time(first)))
        .then(col("ongoing"))
        .otherwise(lit(0_u64));
    let keys: Vec<Expr> = ["client", "server"]
        .into_iter()
        .flat_map(|end| PARTS.map(|part| col(format!("{end}_{part}"))))
        .chain([col("port"), col("protocol")])
        .collect();
    let sums = [
        col("connections").sum(),
        ongoing.sum().alias("ongoing"),
        count_where(dropped().and(by_policy.clone())).alias("denied"),
        count_where(dropped().and(by_policy.not()).or(outcome("error"))).alias("dropped"),
        count_where(outcome("request-denied")).alias("refused"),
        count_where(outcome("audited")).alias("audited"),
        col("answered").sum(),
        col("attempts").sum(),
        col("resets").sum(),
        col("rows").sum().alias("flows"),
        col("first").min().alias("first_seen"),
        col("last").max().alias("last_seen"),
    ];
    let mut shown = vec![
        party("client").alias("source"),
        party("server").alias("destination"),
        col("port"),
        col("protocol"),
    ];
    shown.extend(
        [
            "connections",
            "ongoing",
            "denied",
            "dropped",
            "refused",
            "audited",
            "answered",
            "attempts",
            "resets",
            "flows",
            "first_seen",
            "last_seen",
        ]
        .map(col),
    );
    for (end, side) in [("client", "source"), ("server", "destination")] {
        let is_workload = || col(format!("{end}_is")).eq(lit("workload"));
        let of = |part: &str| col(format!("{end}_{part}"));
        shown.push(of("cluster").alias(format!("{side}_cluster")));
        shown.push(of("namespace").alias(format!("{side}_namespace")));
        shown.push(of("workload_kind").alias(format!("{side}_kind")));
        let workload = when(is_workload())
            .then(of("name"))
            .otherwise(lit(NULL).cast(DataType::String));
        shown.push(workload.alias(format!("{side}_workload")));
    }
    rows.group_by(keys).agg(sums).select(shown)
}

/// An end as people write it, which is as a report shows it.
fn party(end: &str) -> Expr {
    let of = |part: &str| col(format!("{end}_{part}"));
    let is = |what: &str| of("is").eq(lit(what.to_owned()));
    let name = || of("name").fill_null(lit("?"));
    let workload = when(of("namespace").is_null())
        .then(name())
        .otherwise(of("namespace") + lit("/") + name());
    // A prefix of one address is the address.
    let prefix = when(name().str().contains_literal(lit(":")))
        .then(name().str().strip_suffix(lit("/128")))
        .otherwise(name().str().strip_suffix(lit("/32")));
    when(is("workload"))
        .then(workload)
        .when(is("prefix"))
        .then(prefix)
        .when(is("entity").or(is("name")))
        .then(name())
        .otherwise(of("is"))
}
