//! One Parquet file of an archive: its footer, and row groups read as rows.
//!
//! Owns the way from bytes on disk to rows, and counts what is read. The order of rows
//! and files is `scan`'s.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelectionPolicy,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;

use super::bytes::Counted;
use super::error::{ArchiveError, differing_length};
use super::prune::{Pruner, rows};
use super::query::Query;
use crate::flow::{
    Decoder, FileEntry, NO_TIME, Notice, SCHEMA_VERSION, StoredRows, Wanted, column_type,
    is_decoded, notices_from,
};

/// How names of files with flows end.
pub const PART_ENDING: &str = ".parquet";
/// How names of files with notices end.
pub const NOTICES_ENDING: &str = ".notices.parquet";
/// How names of files with rollups end.
pub const ROLLUP_ENDING: &str = ".connections.parquet";
/// Rows of a row group; ours have 64 Ki.
const MOST_ROWS: i64 = 1 << 22;
/// Notices of one file.
const MOST_NOTICES: u64 = 1 << 22;

/// An open recording.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    file: Counted,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    wanted: Wanted,
}

/// A row group that may hold what is asked for.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) part: Arc<Part>,
    index: usize,
    /// Its earliest time in nanoseconds; [`NO_TIME`] where rows have none.
    pub(super) first: i64,
}

impl Part {
    /// Opens the recording of `entry` and finds the row groups that `query` needs.
    pub(super) fn open(
        folder: &Path,
        entry: &FileEntry,
        query: &Query,
        read: &Arc<AtomicU64>,
    ) -> Result<Vec<Group>, ArchiveError> {
        let path = folder.join(&entry.path);
        if entry.schema_version > SCHEMA_VERSION {
            return Err(ArchiveError::Newer {
                path,
                found: entry.schema_version,
            });
        }
        let file = Counted::open(&path, read)?;
        if let Some(problem) = differing_length(file.length(), entry.bytes) {
            return Err(ArchiveError::Differs { path, problem });
        }
        let damaged = |cause| ArchiveError::Damaged {
            path: path.clone(),
            offset: entry.bytes,
            cause,
        };
        let options = || {
            ArrowReaderOptions::new()
                .with_skip_arrow_metadata(true)
                .with_page_index_policy(PageIndexPolicy::Skip)
        };
        let footer = ArrowReaderMetadata::load(&file, options()).map_err(damaged)?;
        let schema = in_memory(footer.schema());
        let options = options().with_schema(Arc::new(schema));
        let arrow = |parquet: Arc<ParquetMetaData>| {
            ArrowReaderMetadata::try_new(parquet, options.clone()).map_err(damaged)
        };
        let mut metadata = arrow(Arc::clone(footer.metadata()))?;
        let mut found = Vec::new();
        let pruner = Pruner::new(&file, &metadata);
        for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
            let may = reaches(pruner, group, query)
                && pruner.group(index, &query.wanted).map_err(damaged)?;
            found.extend(may.then_some((index, times(pruner, group).0)));
        }
        if !found.is_empty() && !query.wanted.is_everything() {
            metadata = arrow(with_pages(&file, &metadata).map_err(damaged)?)?;
        }
        let fields = metadata.schema().fields();
        let has = |name: &str| query.projection.has(name) && fields.find(name).is_some();
        let projected = fields
            .iter()
            .enumerate()
            .filter(|(_, field)| has(field.name()) && is_decoded(field.name(), has))
            .map(|(index, _)| index);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), projected);
        let part = Arc::new(Self {
            path,
            file,
            metadata,
            mask,
            wanted: query.wanted.clone(),
        });
        let groups = found.into_iter().map(|(index, first)| Group {
            part: Arc::clone(&part),
            index,
            first,
        });
        Ok(groups.collect())
    }

    fn damaged(&self, offset: u64, cause: ParquetError) -> ArchiveError {
        ArchiveError::Damaged {
            path: self.path.clone(),
            offset,
            cause,
        }
    }
}

impl Group {
    /// Reads its rows.
    pub(super) fn read(&self, decoder: &mut Decoder) -> Result<StoredRows, ArchiveError> {
        let part = &self.part;
        let group = part.metadata.metadata().row_group(self.index);
        let offset = group.column(0).byte_range().0;
        let rows = group.num_rows();
        if rows > MOST_ROWS {
            let problem = format!("has a row group of {rows} rows");
            return Err(ArchiveError::Differs {
                path: part.path.clone(),
                problem,
            });
        }
        let damaged = |cause| part.damaged(offset, cause);
        let (record, expected) = match self.chosen().map_err(damaged)? {
            Some(chosen) => (self.some(&chosen).map_err(damaged)?, chosen.kept),
            None => (self.all().map_err(damaged)?, rows as usize),
        };
        if record.num_rows() != expected {
            let problem = format!(
                "near byte {offset} gives {} rows of {expected}",
                record.num_rows()
            );
            return Err(ArchiveError::Differs {
                path: part.path.clone(),
                problem,
            });
        }
        decoder
            .decode(&record)
            .map_err(|cause| ArchiveError::Column {
                path: part.path.clone(),
                offset,
                cause,
            })
    }

    /// Every row.
    fn all(&self) -> Result<RecordBatch, ParquetError> {
        let mask = self.telling();
        let group = self.part.metadata.metadata().row_group(self.index);
        self.record(self.part.file.fetch(group, &mask)?, mask, None)
    }

    /// Chooses rows by the columns that decide, page by page. `None` where it is not worth
    /// it: nothing is asked, or most rows are wanted.
    fn chosen(&self) -> Result<Option<Chosen>, ParquetError> {
        let Part {
            wanted,
            file,
            metadata,
            ..
        } = &*self.part;
        let pruner = Pruner::new(file, metadata);
        if wanted.is_everything() || !pruner.has_pages(self.index) {
            return Ok(None);
        }
        let total = metadata.metadata().row_group(self.index).num_rows() as usize;
        let mut kept = pruner
            .pages(self.index, wanted)
            .unwrap_or_else(|| vec![true; total]);
        let mut columns: Vec<usize> = wanted
            .columns()
            .into_iter()
            .filter_map(|name| pruner.column(name))
            .collect();
        columns.sort_unstable();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
        let looked_at = kept.iter().filter(|kept| **kept).count();
        let mut decided = RecordBatch::new_empty(Arc::new(Schema::empty()));
        if looked_at > 0 && !columns.is_empty() {
            let record = self.record(file.clone(), mask, Some(&kept))?;
            if record.num_rows() != looked_at {
                let text = format!("{} rows of {looked_at}", record.num_rows());
                return Err(ParquetError::General(text));
            }
            let fit = rows(&record, wanted);
            let mut fits = fit.iter();
            for kept in kept.iter_mut().filter(|kept| **kept) {
                *kept = fits.next().copied().unwrap_or(true);
            }
            decided = filter_record_batch(&record, &BooleanArray::from(fit))?;
        }
        let count = kept.iter().filter(|kept| **kept).count();
        let few = count <= total / 2;
        Ok(few.then_some(Chosen {
            rows: kept,
            kept: count,
            columns,
            decided,
        }))
    }

    /// The rows that were chosen: what decided is there, the other columns are read.
    fn some(&self, chosen: &Chosen) -> Result<RecordBatch, ParquetError> {
        let Part {
            metadata,
            mask,
            file,
            ..
        } = &*self.part;
        if chosen.kept == 0 {
            return Ok(RecordBatch::new_empty(Arc::clone(metadata.schema())));
        }
        let leaves = 0..metadata.schema().fields().len();
        let telling = self.telling();
        let leaves = leaves.filter(|leaf| telling.leaf_included(*leaf));
        let others =
            leaves.filter(|leaf| mask.leaf_included(*leaf) && !chosen.columns.contains(leaf));
        let others = ProjectionMask::roots(metadata.parquet_schema(), others);
        let record = self.record(file.clone(), others, Some(&chosen.rows))?;
        let decided = chosen.decided.schema();
        let own = decided.fields().iter().zip(chosen.decided.columns());
        let own = own.filter(|(field, _)| {
            let leaf = Pruner::new(file, metadata).column(field.name());
            leaf.is_some_and(|leaf| mask.leaf_included(leaf))
        });
        let read = record.schema();
        let (fields, columns): (Vec<_>, Vec<_>) = own
            .chain(read.fields().iter().zip(record.columns()))
            .map(|(field, column)| (Arc::clone(field), Arc::clone(column)))
            .unzip();
        Ok(RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            columns,
        )?)
    }

    /// The columns that are asked for, but for those without any value here.
    fn telling(&self) -> ProjectionMask {
        let Part { metadata, mask, .. } = &*self.part;
        let group = metadata.metadata().row_group(self.index);
        let rows = u64::try_from(group.num_rows()).ok();
        let columns = group.columns().iter().enumerate();
        let telling = columns.filter(|(leaf, column)| {
            let nulls = column.statistics().and_then(Statistics::null_count_opt);
            mask.leaf_included(*leaf) && (nulls.is_none() || nulls != rows)
        });
        ProjectionMask::roots(metadata.parquet_schema(), telling.map(|(leaf, _)| leaf))
    }

    fn record<T: ChunkReader + 'static>(
        &self,
        bytes: T,
        mask: ProjectionMask,
        rows: Option<&[bool]>,
    ) -> Result<RecordBatch, ParquetError> {
        let metadata = &self.part.metadata;
        let total = metadata.metadata().row_group(self.index).num_rows() as usize;
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata.clone())
                .with_row_groups(vec![self.index])
                .with_batch_size(total.max(1))
                .with_projection(mask);
        if let Some(rows) = rows {
            // By ranges, so that pages without a row are not read.
            builder = builder
                .with_row_selection(selection(rows))
                .with_row_selection_policy(RowSelectionPolicy::Selectors);
        }
        match builder.build()?.next() {
            Some(record) => Ok(record?),
            None => Ok(RecordBatch::new_empty(Arc::clone(metadata.schema()))),
        }
    }
}

/// Rows of a group that were found to be wanted.
struct Chosen {
    rows: Vec<bool>,
    /// How many.
    kept: usize,
    /// The leaves that decided, and what they hold of these rows.
    columns: Vec<usize>,
    decided: RecordBatch,
}

fn selection(rows: &[bool]) -> RowSelection {
    let mut end = 0;
    let runs = rows.chunk_by(|left, right| left == right).map(|run| {
        end += run.len();
        (run[0], end - run.len()..end)
    });
    let ranges = runs.filter(|(kept, _)| *kept).map(|(_, range)| range);
    RowSelection::from_consecutive_ranges(ranges, rows.len())
}

/// Whether a row group may have rows of the time that is asked for.
pub(super) fn reaches(pruner: Pruner<'_>, group: &RowGroupMetaData, query: &Query) -> bool {
    let (first, last) = times(pruner, group);
    let timed = first <= query.until && last >= query.since;
    timed || (first == NO_TIME && query.since <= 0 && query.until >= 0)
}

/// First and last time; all times where the footer does not say.
fn times(pruner: Pruner<'_>, group: &RowGroupMetaData) -> (i64, i64) {
    let everything = (NO_TIME, i64::MAX);
    let Some(column) = pruner.column("time") else {
        return everything;
    };
    let Some(Statistics::Int64(statistics)) = group.column(column).statistics() else {
        return everything;
    };
    let untimed = statistics.null_count_opt() != Some(0);
    match (statistics.min_opt(), statistics.max_opt()) {
        (Some(&first), Some(&last)) if !untimed => (first, last),
        (Some(_), Some(&last)) => (NO_TIME, last),
        _ => everything,
    }
}

/// The footer with where pages lie and what they hold, which is read once it is needed.
fn with_pages(
    file: &Counted,
    metadata: &ArrowReaderMetadata,
) -> Result<Arc<ParquetMetaData>, ParquetError> {
    let mut reader = ParquetMetaDataReader::new_with_metadata((**metadata.metadata()).clone())
        .with_page_index_policy(PageIndexPolicy::Optional);
    reader.read_page_indexes(file)?;
    Ok(Arc::new(reader.finish()?))
}

/// The notices of a recording, with the times of their places.
pub(super) fn read_notices(
    folder: &Path,
    entry: &FileEntry,
) -> Result<Vec<(i64, Notice)>, ArchiveError> {
    let Some(notices) = &entry.notices else {
        return Ok(Vec::new());
    };
    let path = folder.join(&notices.path);
    let damaged = |cause| ArchiveError::Damaged {
        path: path.clone(),
        offset: 0,
        cause,
    };
    if notices.rows > MOST_NOTICES {
        let problem = format!("has {} notices", notices.rows);
        return Err(ArchiveError::Differs { path, problem });
    }
    let file = File::open(&path).map_err(ArchiveError::io("open", &path))?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(damaged)?;
    let mut found = Vec::new();
    for record in reader {
        let record = record.map_err(|cause| damaged(cause.into()))?;
        let part = notices_from(&record).map_err(|cause| ArchiveError::Column {
            path: path.clone(),
            offset: 0,
            cause,
        })?;
        found.extend(part);
    }
    Ok(found)
}

/// The file's columns with texts and policies as dictionaries, as they are written.
fn in_memory(file: &Schema) -> Schema {
    let fields = file.fields().iter().map(|field| {
        let kind = match (field.data_type(), column_type(field.name())) {
            (DataType::Utf8, Some(kind @ DataType::Dictionary(..))) => kind,
            (DataType::Binary, Some(DataType::Binary)) if field.name() == "policies" => {
                DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Binary))
            }
            _ => return field.as_ref().clone(),
        };
        Field::new(field.name(), kind, field.is_nullable())
    });
    Schema::new(fields.collect::<Vec<_>>())
}
