//! Scans: the files that the manifest names and a question needs, lazily.
//!
//! Owns nothing else being opened: files of other times, and those whose footers say that
//! nothing in them is asked for, are left alone. What a path says (patterns, `cluster=`)
//! means nothing here.

use std::fs::File;
use std::sync::Arc;

use polars::prelude::{
    DataFrame, DataType, Expr, Field, IntoLazy, LazyFrame, PlRefPath, ScanArgsParquet, ScanSources,
    Schema, TimeUnit, TimeZone, col, lit,
};

use super::Session;
use super::columns::{self, Kind};
use super::condition::Condition;
use super::error::QueryError;
use crate::archive::{ROLLUP_VERSION, rollup_schema};
use crate::flow::{RollupEntry, SCHEMA_VERSION, notice_schema};
use crate::source::archive::{ArchiveError, Query, differing_length};

/// The selected flows, in the columns of the files, without some for which `hint` does not
/// hold.
pub(super) fn flows(session: &Session, hint: &Condition) -> Result<LazyFrame, QueryError> {
    let archive = &session.archive;
    let (since, until) = (session.selection.since, session.selection.until);
    let asked = session.chosen.clone().and(hint.clone());
    let (first, last) = asked.window();
    let query = Query {
        since: since.max(first),
        until: until.min(last),
        wanted: asked.wanted(),
        ..Query::default()
    };
    let mut paths = Vec::new();
    for file in archive.holding(&query)? {
        if file.schema_version > SCHEMA_VERSION {
            return Err(QueryError::Archive(ArchiveError::Newer {
                path: archive.folder().join(&file.path),
                found: file.schema_version,
            }));
        }
        paths.push(opened(session, &file.path, file.bytes)?);
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
    // The engine finds the rest of a hint by itself: names hide from it that they are
    // numbers.
    let by_number = |column: &str| matches!(columns::kind(column), Kind::Named(_));
    let hints = hint.clone().conjuncts().into_iter();
    let hints = hints.filter(|part| part.columns().into_iter().any(by_number));
    for part in session.chosen.clone().conjuncts().into_iter().chain(hints) {
        frame = frame.filter(part.expression());
    }
    Ok(frame)
}

/// The columns of notices, without any.
pub(super) fn no_notices() -> LazyFrame {
    DataFrame::empty_with_schema(&schema_of(&notice_schema())).lazy()
}

/// The columns of rollups, without any.
pub(super) fn no_rollups() -> Result<LazyFrame, QueryError> {
    let fields = rollup_schema().map_err(QueryError::engine)?;
    Ok(DataFrame::empty_with_schema(&schema_of(&fields)).lazy())
}

/// The columns of flows, without any.
pub(super) fn no_flows() -> LazyFrame {
    DataFrame::empty_with_schema(&columns::stored()).lazy()
}

/// The notices of the files whose notices can be of `since..=until`.
pub(super) fn notices(session: &Session, since: i64, until: i64) -> Result<LazyFrame, QueryError> {
    let mut paths = Vec::new();
    for file in &session.archive.manifest().files {
        if let Some(notices) = file
            .notices
            .as_ref()
            .filter(|_| file.notices_reach(since, until))
        {
            paths.push(opened(session, &notices.path, notices.bytes)?);
        }
    }
    scan(paths, schema_of(&notice_schema()))
}

/// The rollups of some hours.
pub(super) fn rollups(session: &Session, entries: &[RollupEntry]) -> Result<LazyFrame, QueryError> {
    let mut paths = Vec::new();
    for entry in entries {
        if entry.schema_version > ROLLUP_VERSION {
            return Err(QueryError::Archive(ArchiveError::Newer {
                path: session.archive.folder().join(&entry.path),
                found: entry.schema_version,
            }));
        }
        paths.push(opened(session, &entry.path, entry.bytes)?);
    }
    let fields = rollup_schema().map_err(|error| QueryError::Engine(error.to_string()))?;
    scan(paths, schema_of(&fields))
}

/// Rows of a file in memory.
pub(super) fn of_bytes(
    bytes: Vec<u8>,
    fields: &arrow::datatypes::Schema,
) -> Result<LazyFrame, QueryError> {
    let sources = ScanSources::Buffers(Arc::from([bytes.into()]));
    scan_sources(sources, schema_of(fields))
}

/// Rows of an open file.
pub(super) fn of_file(
    file: File,
    fields: &arrow::datatypes::Schema,
) -> Result<LazyFrame, QueryError> {
    scan_sources(ScanSources::Files(Arc::from([file])), schema_of(fields))
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
fn opened(session: &Session, path: &str, bytes: u64) -> Result<PlRefPath, QueryError> {
    session.opens(bytes);
    let path = session.archive.folder().join(path);
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
    scan_sources(ScanSources::Paths(paths.into_iter().collect()), schema)
}

fn scan_sources(sources: ScanSources, schema: Schema) -> Result<LazyFrame, QueryError> {
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
    LazyFrame::scan_parquet_sources(sources, arguments).map_err(QueryError::engine)
}
