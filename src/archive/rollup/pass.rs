//! One pass over the flows of a stretch of time, and its hours as sums.
//!
//! Owns how far before and after an hour flows are read. An hour is summed up from the
//! flows of [`LONGEST_SILENCE`] before its beginning to as long after its end, whether it is
//! made alone or among others: a connection that is open then goes on being open, and counts
//! as what it is by then. So what an hour says does not depend on how it came to be made.
//!
//! Rows of an archive come in the order that the fold wants, so that none has to wait.

use std::sync::Arc;

use super::HOUR;
use super::make::RollupError;
use super::table::{Rows, Tables, hour_of};
use crate::connection::{Fold, FoldOptions, Folded, LONGEST_SILENCE};
use crate::engine::{BatchJudge, JudgedBatch, Policies, UNUSED_COLUMNS};
use crate::flow::{FlowBatch, NO_TIME, Wanted};
use crate::source::archive::{Archive, Projection, Query};

/// A stretch of time with the same policies in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// When it begins, in nanoseconds.
    pub(super) from: i64,
    /// When it ends, itself not included.
    pub(super) to: i64,
    /// Hash of the policies; `None` where none are known.
    pub(super) policies: Option<String>,
    /// Whether others are in force from `to` on.
    pub(super) changes: bool,
}

impl Stretch {
    /// First and last time of the flows that are read.
    fn reads(&self) -> (i64, i64) {
        let end = self.end();
        (
            hour_of(self.from).saturating_sub(LONGEST_SILENCE),
            end.saturating_add(LONGEST_SILENCE - 1),
        )
    }

    /// The end of its last hour.
    fn end(&self) -> i64 {
        hour_of(self.to.saturating_sub(1)).saturating_add(HOUR)
    }
}

/// Which rows of a batch take part; empty for all.
pub(super) type Kept<'a> = dyn FnMut(&FlowBatch) -> Vec<bool> + 'a;

/// What is left out of a pass.
pub(super) struct Choice<'a> {
    /// What the flows that take part fulfil.
    pub(super) wanted: Wanted,
    /// Columns that are read.
    pub(super) projection: Projection,
    /// The flows that take part.
    pub(super) kept: &'a mut Kept<'a>,
    /// Whether hours that the stretch cuts are cut.
    pub(super) clipped: bool,
}

/// Reads a stretch, and gives out each of its hours when it is complete.
pub(super) fn run(
    archive: &Archive,
    stretch: &Stretch,
    policies: Option<&Arc<Policies>>,
    is_over: &dyn Fn() -> bool,
    out: &mut dyn FnMut(i64, Rows) -> Result<(), RollupError>,
) -> Result<(), RollupError> {
    let choice = Choice {
        wanted: Wanted::default(),
        projection: Projection::Without(UNUSED_COLUMNS),
        kept: &mut |_| Vec::new(),
        clipped: false,
    };
    run_some(archive, stretch, policies, is_over, choice, out)
}

/// The same with some of the flows.
pub(super) fn run_some(
    archive: &Archive,
    stretch: &Stretch,
    policies: Option<&Arc<Policies>>,
    is_over: &dyn Fn() -> bool,
    choice: Choice<'_>,
    out: &mut dyn FnMut(i64, Rows) -> Result<(), RollupError>,
) -> Result<(), RollupError> {
    let Choice {
        wanted,
        projection,
        kept,
        clipped,
    } = choice;
    let (since, until) = stretch.reads();
    // What others decided is not held against these policies.
    let judged = if stretch.changes {
        until.min(stretch.to.saturating_sub(1))
    } else {
        until
    };
    let mut summing = Summing {
        fold: Fold::new(FoldOptions::default()),
        tables: Tables::new(stretch.from, stretch.to).clipped(clipped),
        hour: hour_of(stretch.from),
        end: stretch.end(),
        policies: policies.map(Arc::as_ref),
        folder: archive.folder().display().to_string(),
    };
    let mut judge = policies.map(|policies| BatchJudge::new(Arc::clone(policies)));
    let mut piece = 0;
    for (since, until, is_judged) in [
        (since, judged, true),
        (judged.saturating_add(1), until, false),
    ] {
        if since > until {
            continue;
        }
        let query = Query {
            since,
            until,
            projection: projection.clone(),
            wanted: wanted.clone(),
        };
        for batch in archive.scan_ahead(&query) {
            if is_over() {
                return Err(RollupError::Interrupted);
            }
            let batch = batch?;
            let kept = kept(&batch);
            let batch = match &mut judge {
                Some(judge) if is_judged => {
                    judge.begin(piece, 0, std::slice::from_ref(&batch));
                    piece += 1;
                    judge.judge(batch, kept)
                }
                _ => JudgedBatch::unjudged(batch).keeping(kept),
            };
            summing.batch(&batch, out)?;
        }
    }
    summing.finish(out)
}

struct Summing<'a> {
    fold: Fold,
    tables: Tables,
    /// The first hour that is not complete.
    hour: i64,
    end: i64,
    policies: Option<&'a Policies>,
    folder: String,
}

impl Summing<'_> {
    fn batch(
        &mut self,
        batch: &JudgedBatch,
        out: &mut dyn FnMut(i64, Rows) -> Result<(), RollupError>,
    ) -> Result<(), RollupError> {
        let rows = batch.batch.rows();
        for row in rows.filter(|row| batch.is_kept(row.index())) {
            let time = row.time().unwrap_or(NO_TIME);
            while self.hour < self.end && time >= known_at(self.hour) {
                self.complete(out)?;
            }
            let tables = &mut self.tables;
            self.fold.push(row, batch.side(row.index()), &mut |folded| {
                add(tables, &folded);
            });
        }
        Ok(())
    }

    fn complete(
        &mut self,
        out: &mut dyn FnMut(i64, Rows) -> Result<(), RollupError>,
    ) -> Result<(), RollupError> {
        let Self {
            fold,
            tables,
            hour,
            policies,
            folder,
            ..
        } = self;
        let next = hour.saturating_add(HOUR);
        let mut ended = Vec::new();
        let open: Vec<_> = fold
            .open_before(next, &mut |folded| ended.push(folded))
            .collect();
        for folded in &ended {
            add(tables, folded);
        }
        for connection in &open {
            tables.open_connection(*hour, connection);
        }
        let rows = tables.complete(*hour, fold.peers(), *policies, folder);
        out(*hour, rows)?;
        *hour = next;
        Ok(())
    }

    fn finish(
        mut self,
        out: &mut dyn FnMut(i64, Rows) -> Result<(), RollupError>,
    ) -> Result<(), RollupError> {
        let Self { fold, tables, .. } = &mut self;
        fold.finish(&mut |folded| add(tables, &folded));
        while self.hour < self.end {
            self.complete(out)?;
        }
        Ok(())
    }
}

fn add(tables: &mut Tables, folded: &Folded) {
    if let Folded::Connection(connection) = folded {
        tables.connection(connection);
    }
}

/// When an hour is summed up.
fn known_at(hour: i64) -> i64 {
    hour.saturating_add(HOUR).saturating_add(LONGEST_SILENCE)
}
