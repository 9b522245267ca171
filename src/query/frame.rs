//! Scans: the files that the manifest names and a window of time needs, lazily.
//!
//! Owns that nothing else is opened. What a path says (patterns, `cluster=`) means
//! nothing here.

use std::path::Path;
use std::sync::Arc;

use polars::prelude::{
    DataFrame, DataType, Expr, Field, IntoLazy, LazyFrame, PlRefPath, ScanArgsParquet, Schema,
    TimeUnit, TimeZone, col, lit,
};

use super::columns;
use super::error::QueryError;
use crate::archive::{ROLLUP_VERSION, rollup_schema};
use crate::flow::{RollupEntry, SCHEMA_VERSION, notice_schema};
use crate::source::archive::{Archive, ArchiveError, differing_length};

/// The flows of `since..=until`, in the columns of the files.
pub(super) fn flows(archive: &Archive, since: i64, until: i64) -> Result<LazyFrame, QueryError> {
    let files = archive.manifest().files.iter();
    let mut paths = Vec::new();
    for file in files.filter(|file| file.reaches(since, until)) {
        if file.schema_version > SCHEMA_VERSION {
            return Err(QueryError::Archive(ArchiveError::Newer {
                path: archive.folder().join(&file.path),
                found: file.schema_version,
            }));
        }
        paths.push(opened(archive.folder(), &file.path, file.bytes)?);
    }
    let mut frame = scan(paths, columns::stored())?;
    let untimed = since <= 0 && until >= 0;
    let mut bound = |condition: Expr| {
        let condition = if untimed {
            condition.or(col("time").is_null())
        } else {
            condition
        };
        frame = frame.clone().filter(condition);
    };
    if since != i64::MIN {
        bound(col("time").gt_eq(time(since)));
    }
    if until != i64::MAX {
        bound(col("time").lt_eq(time(until)));
    }
    Ok(frame)
}

/// The notices of the files whose notices can be of `since..=until`.
pub(super) fn notices(archive: &Archive, since: i64, until: i64) -> Result<LazyFrame, QueryError> {
    let mut paths = Vec::new();
    for file in &archive.manifest().files {
        if let Some(notices) = file
            .notices
            .as_ref()
            .filter(|_| file.notices_reach(since, until))
        {
            paths.push(opened(archive.folder(), &notices.path, notices.bytes)?);
        }
    }
    scan(paths, schema_of(&notice_schema()))
}

/// The rollups of some hours.
pub(super) fn rollups(archive: &Archive, entries: &[RollupEntry]) -> Result<LazyFrame, QueryError> {
    let mut paths = Vec::new();
    for entry in entries {
        if entry.schema_version > ROLLUP_VERSION {
            return Err(QueryError::Archive(ArchiveError::Newer {
                path: archive.folder().join(&entry.path),
                found: entry.schema_version,
            }));
        }
        paths.push(opened(archive.folder(), &entry.path, entry.bytes)?);
    }
    let fields = rollup_schema().map_err(|error| QueryError::Engine(error.to_string()))?;
    scan(paths, schema_of(&fields))
}

/// Columns of Arrow as the engine has them.
fn schema_of(fields: &arrow::datatypes::Schema) -> Schema {
    use arrow::datatypes::DataType as Arrow;

    let fields = fields.fields().iter().map(|field| {
        let kind = match field.data_type() {
            Arrow::Timestamp(..) => columns::time_type(),
            Arrow::Int32 => DataType::Int32,
            Arrow::UInt32 => DataType::UInt32,
            Arrow::UInt64 => DataType::UInt64,
            Arrow::Boolean => DataType::Boolean,
            _ => DataType::String,
        };
        Field::new(field.name().as_str().into(), kind)
    });
    fields.collect()
}

/// A time as a literal.
pub(super) fn time(nanoseconds: i64) -> Expr {
    let scalar = polars::prelude::Scalar::new_datetime(
        nanoseconds,
        TimeUnit::Nanoseconds,
        Some(TimeZone::UTC),
    );
    lit(scalar)
}

/// A file that is what the manifest says.
fn opened(folder: &Path, path: &str, bytes: u64) -> Result<PlRefPath, QueryError> {
    let path = folder.join(path);
    let found = path
        .metadata()
        .map_err(ArchiveError::io("open", &path))?
        .len();
    if let Some(problem) = differing_length(found, bytes) {
        return Err(QueryError::Archive(ArchiveError::Differs { path, problem }));
    }
    PlRefPath::try_from_path(&path).map_err(QueryError::engine)
}

fn scan(paths: Vec<PlRefPath>, schema: Schema) -> Result<LazyFrame, QueryError> {
    if paths.is_empty() {
        return Ok(DataFrame::empty_with_schema(&schema).lazy());
    }
    let mut arguments = ScanArgsParquet {
        schema: Some(Arc::new(schema)),
        // Paths are names, whatever stands in them.
        glob: false,
        // Not every file has `uuid`.
        allow_missing_columns: true,
        cache: false,
        ..ScanArgsParquet::default()
    };
    arguments.hive_options.enabled = Some(false);
    LazyFrame::scan_parquet_files(paths.into_iter().collect(), arguments)
        .map_err(QueryError::engine)
}
