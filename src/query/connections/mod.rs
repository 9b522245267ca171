//! Connections: the one notion of them, asked by hours, edges and one by one.
//!
//! Owns where they come from. Edges are summed up from the rollups of the hours that have
//! one, and from the fold over flows for the others (`hours`), so that both say the same;
//! single connections always come from the fold (`each`). What is shown of them is `edges`'
//! and `record`'s. Both are counted once a session.
//!
//! A connection belongs to the window in which it began; one that began before and goes
//! on in it is ongoing. To know that, flows are read as far around the window as a
//! connection can be silent.

mod each;
mod edges;
mod hours;
mod record;

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use polars::prelude::LazyFrame;

use super::error::QueryError;
use super::{Session, frame};
use crate::engine::UNUSED_COLUMNS;
use crate::flow::{Encoder, FlowBatch};
use crate::query::condition::Condition;
use crate::source::archive::Projection;
use hours::Hours;

/// What was counted of a session so far.
#[derive(Debug, Default)]
pub(super) struct Counted {
    hours: Mutex<Option<Arc<Hours>>>,
    each: Mutex<Option<File>>,
}

/// One row for each who, to whom, port and protocol.
pub(super) fn edges(session: &Session) -> Result<LazyFrame, QueryError> {
    let hours = counted(session)?;
    Ok(edges::frame(hours.frame(session)?, hours.first()))
}

/// One row a connection.
pub(super) fn connections(session: &Session) -> Result<LazyFrame, QueryError> {
    let mut known = session
        .counted
        .each
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if known.is_none() {
        *known = Some(each::fold(session)?);
    }
    let file = known.as_ref().map(File::try_clone);
    match file {
        Some(Ok(file)) => frame::of_file(file, &record::schema()),
        Some(Err(cause)) => Err(QueryError::engine(cause)),
        None => no_connections(),
    }
}

/// The columns of edges, without any.
pub(super) fn no_edges() -> Result<LazyFrame, QueryError> {
    Ok(edges::frame(Hours::default().rows()?, i64::MIN))
}

/// The columns of connections, without any.
pub(super) fn no_connections() -> Result<LazyFrame, QueryError> {
    frame::of_bytes(record::none()?, &record::schema())
}

/// What has to be said of edges.
pub(super) fn note(session: &Session) -> Option<String> {
    if !session.chosen.is_everything() {
        return Some("connections are those of the chosen flows alone".to_owned());
    }
    let missing = session.rollups().missing().len();
    let hours = match missing {
        0 => return None,
        1 => "1 hour was".to_owned(),
        missing => format!("{missing} hours were"),
    };
    Some(format!(
        "{hours} counted from flows: flowwatch archive rollup sums them up for good"
    ))
}

fn counted(session: &Session) -> Result<Arc<Hours>, QueryError> {
    let mut known = session
        .counted
        .hours
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(hours) = known.as_ref() {
        return Ok(Arc::clone(hours));
    }
    let hours = Arc::new(Hours::of(session)?);
    *known = Some(Arc::clone(&hours));
    Ok(hours)
}

/// Chooses flows, batch by batch.
struct Choosing<'a> {
    condition: &'a Condition,
    encoder: Encoder,
    failed: Option<QueryError>,
}

impl<'a> Choosing<'a> {
    fn new(condition: &'a Condition) -> Self {
        Self {
            condition,
            encoder: Encoder::new(true),
            failed: None,
        }
    }

    /// Columns that the fold and the condition need.
    fn projection(&self) -> Projection {
        let asked = self.condition.columns();
        if UNUSED_COLUMNS.iter().any(|column| asked.contains(column)) {
            return Projection::All;
        }
        Projection::Without(UNUSED_COLUMNS)
    }

    /// Which rows take part; empty for all.
    fn kept(&mut self, batch: &FlowBatch) -> Vec<bool> {
        if self.condition.is_everything() {
            return Vec::new();
        }
        let all: Vec<u32> = (0..batch.len() as u32).collect();
        match self.encoder.encode(batch, &all) {
            Ok(record) => self.condition.rows(&record),
            Err(error) => {
                self.failed = Some(QueryError::engine(error));
                vec![false; batch.len()]
            }
        }
    }

    fn finish(self) -> Result<(), QueryError> {
        self.failed.map_or(Ok(()), Err)
    }
}
