//! Sums of a span that is asked for now, whether it has rollups or not.
//!
//! Owns that they are those a rollup of the same flows would have, but for policies: nobody
//! is asked about them, and nothing is written.

use super::make::RollupError;
use super::pass::{Choice, Stretch, run_some};
use super::table::Rows;
use crate::flow::{FlowBatch, Wanted};
use crate::source::archive::{Archive, Projection};

/// Flows that connections are summed up of.
pub struct Asked<'a> {
    /// When the span begins, in nanoseconds since 1970 UTC.
    pub from: i64,
    /// When it ends, itself not included.
    pub to: i64,
    /// What the flows fulfil that take part.
    pub wanted: Wanted,
    /// Columns to read: those that `kept` asks for too.
    pub projection: Projection,
    /// Which rows of a batch take part; empty for all.
    pub kept: &'a mut dyn FnMut(&FlowBatch) -> Vec<bool>,
}

/// Sums up the connections of a span, hour by hour and in order. What began before it and
/// goes on in it is ongoing there, also where the span cuts an hour.
///
/// # Errors
/// [`RollupError`] when a file cannot be read, or what `out` gives.
pub fn sum_up(
    archive: &Archive,
    asked: Asked<'_>,
    out: &mut dyn FnMut(i64, Rows) -> Result<(), RollupError>,
) -> Result<(), RollupError> {
    let Asked {
        from,
        to,
        wanted,
        projection,
        kept,
    } = asked;
    let stretch = Stretch {
        from,
        to,
        policies: None,
        changes: false,
    };
    let choice = Choice {
        wanted,
        projection,
        kept: &mut |batch| kept(batch),
        clipped: true,
    };
    run_some(archive, &stretch, None, &|| false, choice, out)
}
