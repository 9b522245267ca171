//! Every connection of a window, folded from its flows.
//!
//! Owns the pass over flows, and where its rows wait for the engine: a file without a
//! name, which is gone with the session. Memory is that of the fold.

use std::fs::File;

use parquet::arrow::ArrowWriter;

use super::Choosing;
use super::hours::properties;
use super::record::{Rows, schema};
use crate::connection::{Connection, Exchange, FoldOptions, LONGEST_SILENCE, Peers};
use crate::engine::{JudgedBatch, Observer, Pass};
use crate::flow::NO_TIME;
use crate::query::Session;
use crate::query::error::QueryError;
use crate::source::archive::Query;

/// Connections that are written at once.
const GROUP: usize = 64 << 10;

/// Folds the chosen flows; a file of the connections that were there in the window.
pub(super) fn fold(session: &Session) -> Result<File, QueryError> {
    let (since, until) = (session.selection.since, session.selection.until);
    let mut choosing = Choosing::new(&session.chosen);
    let query = Query {
        since: since.saturating_sub(LONGEST_SILENCE),
        until: until.saturating_add(LONGEST_SILENCE),
        projection: choosing.projection(),
        wanted: session.chosen.wanted(),
    };
    let file = tempfile::tempfile().map_err(QueryError::spill)?;
    let kept = file.try_clone().map_err(QueryError::spill)?;
    let mut each = Each {
        since,
        until,
        rows: Rows::default(),
        writer: ArrowWriter::try_new(file, schema().into(), Some(properties()))
            .map_err(QueryError::spill)?,
        failed: None,
    };
    let mut pass = Pass::new(FoldOptions::default());
    for batch in session.archive.scan_ahead(&query) {
        let batch = batch?;
        let kept = choosing.kept(&batch);
        pass.push(0, JudgedBatch::unjudged(batch).keeping(kept), &mut each);
        if each.failed.is_some() {
            break;
        }
    }
    choosing.finish()?;
    pass.finish(&mut each);
    each.write();
    let Each { writer, failed, .. } = each;
    if let Some(error) = failed {
        return Err(error);
    }
    writer.close().map_err(QueryError::spill)?;
    Ok(kept)
}

/// Takes connections as they come out.
struct Each {
    since: i64,
    until: i64,
    rows: Rows,
    writer: ArrowWriter<File>,
    failed: Option<QueryError>,
}

impl Observer for Each {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        let (first, last) = match connection.first {
            NO_TIME => (0, 0),
            first => (first, connection.last),
        };
        if last < self.since || first > self.until {
            return;
        }
        self.rows.push(connection, peers, first < self.since);
        if self.rows.len() >= GROUP {
            self.write();
        }
    }

    fn exchange(&mut self, _exchange: &Exchange, _peers: &Peers) {}
}

impl Each {
    fn write(&mut self) {
        let written = self
            .rows
            .finish()
            .and_then(|record| self.writer.write(&record).map_err(QueryError::spill));
        if let Err(error) = written {
            self.failed = Some(self.failed.take().unwrap_or(error));
        }
    }
}
