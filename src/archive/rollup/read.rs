//! Rollups of a span of time, as they are given to who asks.
//!
//! Owns which hours can be answered for. Only whole hours are; an hour without a fresh
//! rollup is named, so that nobody takes it for quiet.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::HOUR;
use super::columns::{ROLLUP_VERSION, decode};
use super::fresh::{Staleness, state};
use super::row::RollupRow;
use crate::flow::RollupEntry;
use crate::source::archive::{Archive, ArchiveError, differing_length};

/// The rollups of a span.
#[derive(Clone, Debug)]
pub struct Rollups {
    archive: Archive,
    entries: Vec<RollupEntry>,
    missing: Vec<(i64, Staleness)>,
    cut: Vec<i64>,
}

impl Rollups {
    /// Those of the hours that lie in `since..until` as a whole, in nanoseconds since 1970
    /// UTC.
    #[must_use]
    pub fn of(archive: &Archive, since: i64, until: i64) -> Self {
        let manifest = archive.manifest();
        let mut rollups = Self {
            archive: archive.clone(),
            entries: Vec::new(),
            missing: Vec::new(),
            cut: Vec::new(),
        };
        for hour in manifest.hours() {
            let end = hour.saturating_add(HOUR);
            if end <= since || hour >= until {
                continue;
            }
            if hour < since || end > until {
                rollups.cut.push(hour);
                continue;
            }
            match manifest.rollups.iter().find(|known| known.hour == hour) {
                None => rollups.missing.push((hour, Staleness::Missing)),
                Some(entry) => match state(manifest, entry) {
                    Staleness::Fresh => rollups.entries.push(entry.clone()),
                    stale => rollups.missing.push((hour, stale)),
                },
            }
        }
        rollups
    }

    /// The hours that are answered for, by their beginnings and in order. An hour that is
    /// neither here nor among the others has no flows at all.
    pub fn hours(&self) -> impl Iterator<Item = i64> + '_ {
        self.entries.iter().map(|entry| entry.hour)
    }

    /// Hours with flows and without a rollup that can be believed, and why.
    #[must_use]
    pub fn missing(&self) -> &[(i64, Staleness)] {
        &self.missing
    }

    /// Hours with flows that the span cuts: no rollup tells their part.
    #[must_use]
    pub fn cut(&self) -> &[i64] {
        &self.cut
    }

    /// Whether every flow of the span is in a row.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.cut.is_empty()
    }

    /// The files of these hours, in their order.
    #[must_use]
    pub fn entries(&self) -> &[RollupEntry] {
        &self.entries
    }

    /// The rows, hour by hour. An hour that cannot be read is an error, and those after it
    /// follow.
    pub fn rows(&self) -> impl Iterator<Item = Result<RollupRow, ArchiveError>> + '_ {
        self.entries.iter().flat_map(|entry| {
            let (rows, error) = match read_rollup(self.archive.folder(), entry) {
                Ok(rows) => (rows, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            rows.into_iter().map(Ok).chain(error.map(Err))
        })
    }
}

/// The rows of one rollup, in the order of their keys.
///
/// # Errors
/// [`ArchiveError`] when the file is not what its entry says.
pub fn read_rollup(folder: &Path, entry: &RollupEntry) -> Result<Vec<RollupRow>, ArchiveError> {
    let path = folder.join(&entry.path);
    let differs = |problem: String| ArchiveError::Differs {
        path: path.clone(),
        problem,
    };
    if entry.schema_version > ROLLUP_VERSION {
        return Err(differs(format!(
            "has version {}, and this program reads up to {ROLLUP_VERSION}: use a newer one",
            entry.schema_version
        )));
    }
    let length = fs::metadata(&path)
        .map_err(ArchiveError::io("open", &path))?
        .len();
    if let Some(problem) = differing_length(length, entry.bytes) {
        return Err(differs(problem));
    }
    let bytes = Bytes::from(fs::read(&path).map_err(ArchiveError::io("read", &path))?);
    let damaged = |cause| ArchiveError::Damaged {
        path: path.clone(),
        offset: 0,
        cause,
    };
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(damaged)?;
    let mut rows = Vec::new();
    for record in reader {
        let record = record.map_err(|cause| damaged(cause.into()))?;
        rows.extend(decode(&record).map_err(|error| differs(format!("is damaged: {error}")))?);
    }
    if rows.len() as u64 != entry.rows {
        return Err(differs(format!(
            "holds {} rows instead of {}",
            rows.len(),
            entry.rows
        )));
    }
    Ok(rows)
}
