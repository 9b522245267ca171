//! The hours of a session's window, with the sums of their connections.
//!
//! Owns which hours are taken from rollups, and summing up the others from their flows:
//! those without a fresh rollup, those that the window cuts, and all of them where some
//! flows are chosen, of which rollups know nothing.
//!
//! What comes from flows is kept by edge and outcome, no more than [`MOST_EDGES`] of them;
//! what is beyond that is one row, as it is in rollups.

use std::collections::BTreeMap;

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use polars::prelude::{LazyFrame, UnionArgs, concat};

use super::Choosing;
use crate::archive::{
    Asked, Began, RollupError, RollupKey, RollupRow, RollupSums, Rows, rollup_record,
    rollup_schema, sum_up,
};
use crate::flow::{HOUR, RollupEntry};
use crate::query::Session;
use crate::query::error::QueryError;
use crate::query::frame;

/// Edges by outcome that are told apart.
const MOST_EDGES: usize = 1 << 19;

/// Sums of the hours of a window.
#[derive(Debug, Default)]
pub(super) struct Hours {
    /// The first hour with flows.
    first: Option<i64>,
    rollups: Vec<RollupEntry>,
    folded: Folded,
}

type Folded = BTreeMap<RollupKey, RollupSums>;

impl Hours {
    /// Sums up what has no rollup.
    pub(super) fn of(session: &Session) -> Result<Self, QueryError> {
        let (since, until) = (session.selection.since, session.selection.until);
        let end = until.saturating_add(1);
        let hours = session.archive.manifest().hours().into_iter();
        let hours: Vec<i64> = hours
            .filter(|&hour| hour.saturating_add(HOUR) > since && hour < end)
            .collect();
        let rollups = if session.chosen.is_everything() {
            session.rollups().entries().to_vec()
        } else {
            Vec::new()
        };
        let first = hours.first().copied();
        let mut folded = Folded::new();
        for (from, to) in spans(&hours, &rollups, since, end) {
            let mut choosing = Choosing::new(&session.chosen);
            let projection = choosing.projection();
            let asked = Asked {
                from,
                to,
                wanted: session.chosen.wanted(),
                projection,
                kept: &mut |batch| choosing.kept(batch),
            };
            let mut add = |hour: i64, rows: Rows| -> Result<(), RollupError> {
                add(&mut folded, rows, first == Some(hour), MOST_EDGES);
                Ok(())
            };
            match sum_up(&session.archive, asked, &mut add) {
                Ok(()) => choosing.finish()?,
                Err(RollupError::Archive(error)) => return Err(error.into()),
                Err(error) => return Err(QueryError::Engine(error.to_string())),
            }
        }
        Ok(Self {
            first,
            rollups,
            folded,
        })
    }

    /// The beginning of the first hour.
    pub(super) fn first(&self) -> i64 {
        self.first.unwrap_or(i64::MIN)
    }

    /// All rows, in the columns of rollups.
    pub(super) fn frame(&self, session: &Session) -> Result<LazyFrame, QueryError> {
        let rollups = frame::rollups(session, &self.rollups)?;
        if self.folded.is_empty() {
            return Ok(rollups);
        }
        let both = [rollups, self.rows()?];
        concat(both, UnionArgs::default()).map_err(QueryError::engine)
    }

    /// Those from flows.
    pub(super) fn rows(&self) -> Result<LazyFrame, QueryError> {
        let rows: Vec<RollupRow> = self
            .folded
            .iter()
            .map(|(key, sums)| RollupRow {
                hour: self.first(),
                key: key.clone(),
                sums: *sums,
            })
            .collect();
        let bytes = || -> Result<Vec<u8>, ParquetError> {
            let record = rollup_record(&rows)?;
            let mut writer = ArrowWriter::try_new(Vec::new(), record.schema(), Some(properties()))?;
            writer.write(&record)?;
            writer.into_inner()
        };
        let fields = rollup_schema().map_err(QueryError::engine)?;
        frame::of_bytes(bytes().map_err(QueryError::engine)?, &fields)
    }
}

/// How what is written for the engine alone is written.
pub(super) fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build()
}

/// The parts of the window without a rollup, in order, neighbours as one.
fn spans(hours: &[i64], rollups: &[RollupEntry], since: i64, end: i64) -> Vec<(i64, i64)> {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for &hour in hours {
        if rollups.iter().any(|rollup| rollup.hour == hour) {
            continue;
        }
        let (from, to) = (hour.max(since), hour.saturating_add(HOUR).min(end));
        match spans.last_mut() {
            Some((_, last)) if *last == from => *last = to,
            _ => spans.push((from, to)),
        }
    }
    spans
}

/// Adds an hour. What goes on from an earlier one counts in the first alone.
fn add(folded: &mut Folded, rows: Rows, is_first: bool, most: usize) {
    for (key, mut sums) in rows {
        if !is_first {
            sums.ongoing = 0;
        }
        // An edge tells outcomes apart, and nothing else of what was recorded.
        let key = RollupKey {
            began: key.began.map(|began| Began {
                outcome: began.outcome,
                ..Began::default()
            }),
            ..key
        };
        let room = folded.len() < most || folded.contains_key(&key);
        let key = if room { key } else { RollupKey::others() };
        folded.entry(key).or_default().add(&sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollup(hour: i64) -> RollupEntry {
        RollupEntry {
            hour,
            ..RollupEntry::default()
        }
    }

    #[test]
    fn spans_are_what_no_rollup_tells() {
        let hours = [0, HOUR, 2 * HOUR, 5 * HOUR];
        let of = |rollups: &[i64], since, end| {
            let rollups: Vec<RollupEntry> = rollups.iter().map(|&hour| rollup(hour)).collect();
            spans(&hours, &rollups, since, end)
        };
        assert_eq!(of(&hours, i64::MIN, i64::MAX), []);
        assert_eq!(
            of(&[HOUR], 5, i64::MAX),
            [(5, HOUR), (2 * HOUR, 3 * HOUR), (5 * HOUR, 6 * HOUR)]
        );
        assert_eq!(
            of(&[], 5, 5 * HOUR + 7),
            [(5, 3 * HOUR), (5 * HOUR, 5 * HOUR + 7)]
        );
    }

    #[test]
    fn what_is_beyond_the_bound_is_others() {
        let mut folded = Folded::new();
        let key = |port| RollupKey {
            port,
            ..RollupKey::others()
        };
        let sums = RollupSums {
            connections: 1,
            ongoing: 2,
            ..RollupSums::default()
        };
        let rows = (1..6).map(|port| (key(port), sums)).collect();
        add(&mut folded, rows, false, 3);
        assert_eq!(folded.len(), 4);
        let others = folded[&RollupKey::others()];
        assert_eq!((others.connections, others.ongoing), (2, 0));
        let all: u64 = folded.values().map(|sums| sums.connections).sum();
        assert_eq!(all, 5);
    }
}
