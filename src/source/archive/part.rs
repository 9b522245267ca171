//! One Parquet file of an archive: its footer, and row groups read as rows.
//!
//! Owns the way from bytes on disk to rows, and counts what is read. The order of rows
//! and files is `scan`'s.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::{Field, Schema};
use bytes::{Buf as _, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;

use super::error::ArchiveError;
use super::query::{Query, Wanted};
use crate::flow::{
    Decoder, FileEntry, NO_TIME, Notice, SCHEMA_VERSION, StoredRows, column_type, notices_from,
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
        if file.length != entry.bytes {
            let problem = format!(
                "has {} bytes instead of the {} it was written with",
                file.length, entry.bytes
            );
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
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), options)
            .map_err(damaged)?;
        let names = metadata.schema().fields().iter().enumerate();
        let wanted = names
            .filter(|(_, field)| {
                column_type(field.name()).is_some() && query.projection.has(field.name())
            })
            .map(|(index, _)| index);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), wanted);
        let part = Arc::new(Self {
            path: path.clone(),
            file,
            metadata,
            mask,
        });
        let mut groups = Vec::new();
        for (index, group) in part.metadata.metadata().row_groups().iter().enumerate() {
            let (first, last) = part.times(group);
            let timed = first <= query.until && last >= query.since;
            let untimed = first == NO_TIME && query.since <= 0 && query.until >= 0;
            if (timed || untimed) && part.may_hold(index, &query.wanted)? {
                groups.push(Group {
                    part: Arc::clone(&part),
                    index,
                    first,
                });
            }
        }
        Ok(groups)
    }

    fn column(&self, name: &str) -> Option<usize> {
        // No column is nested: a leaf a field.
        let fields = self.metadata.schema().fields();
        fields.iter().position(|field| field.name() == name)
    }

    /// First and last time; all times where the footer does not say.
    fn times(&self, group: &RowGroupMetaData) -> (i64, i64) {
        let everything = (NO_TIME, i64::MAX);
        let Some(column) = self.column("time") else {
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

    /// Whether a row group may hold a row for which all of `wanted` hold.
    fn may_hold(&self, group: usize, wanted: &[Wanted]) -> Result<bool, ArchiveError> {
        for wanted in wanted {
            let found = match (wanted, wanted.texts()) {
                (Wanted::Verdict(numbers), _) => self.may_have_number(group, "verdict", numbers),
                (_, Some((columns, texts))) => {
                    let mut found = false;
                    for column in columns {
                        found = found || self.may_have_text(group, column, texts)?;
                    }
                    found
                }
                (_, None) => true,
            };
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn may_have_number(&self, group: usize, column: &str, numbers: &[i32]) -> bool {
        let metadata = self.metadata.metadata().row_group(group);
        let statistics = self
            .column(column)
            .and_then(|column| metadata.column(column).statistics());
        match statistics {
            Some(Statistics::Int32(statistics)) => {
                match (statistics.min_opt(), statistics.max_opt()) {
                    (Some(least), Some(most)) => numbers
                        .iter()
                        .any(|number| (least..=most).contains(&number)),
                    _ => true,
                }
            }
            _ => true,
        }
    }

    fn may_have_text(
        &self,
        group: usize,
        column: &str,
        texts: &[String],
    ) -> Result<bool, ArchiveError> {
        let Some(column) = self.column(column) else {
            return Ok(true);
        };
        let chunk = self.metadata.metadata().row_group(group).column(column);
        if let Some(Statistics::ByteArray(statistics)) = chunk.statistics() {
            if statistics.null_count_opt() == Some(chunk.num_values() as u64) {
                return Ok(false);
            }
            let inside = |text: &String| {
                let text = text.as_bytes();
                // Bounds may be cut short, which only widens them.
                let least = statistics.min_bytes_opt();
                let most = statistics.max_bytes_opt();
                least.is_none_or(|least| text >= least) && most.is_none_or(|most| text <= most)
            };
            if !texts.iter().any(inside) {
                return Ok(false);
            }
        }
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.file.clone(),
            self.metadata.clone(),
        );
        let offset = chunk.bloom_filter_offset().unwrap_or_default() as u64;
        let filter = builder
            .get_row_group_column_bloom_filter(group, column)
            .map_err(|cause| self.damaged(offset, cause))?;
        Ok(filter.is_none_or(|filter| texts.iter().any(|text| filter.check(text.as_str()))))
    }

    /// The bytes of the columns that are read, neighbours at once.
    fn fetch(&self, group: &RowGroupMetaData) -> Result<Fetched, ParquetError> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (leaf, column) in group.columns().iter().enumerate() {
            if !self.mask.leaf_included(leaf) {
                continue;
            }
            let (start, length) = column.byte_range();
            let end = start.saturating_add(length);
            match ranges.last_mut() {
                Some((_, last)) if *last == start => *last = end,
                _ => ranges.push((start, end)),
            }
        }
        let ranges = ranges.into_iter().map(|(start, end)| {
            let length = usize::try_from(end - start)
                .map_err(|_| ParquetError::General("a column is too large".to_owned()))?;
            Ok((start, self.file.get_bytes(start, length)?))
        });
        Ok(Fetched {
            length: self.file.length,
            ranges: ranges.collect::<Result<_, ParquetError>>()?,
        })
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
        let fetched = part.fetch(group).map_err(damaged)?;
        let mut reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(fetched, part.metadata.clone())
                .with_row_groups(vec![self.index])
                .with_batch_size(rows.max(1) as usize)
                .with_projection(part.mask.clone())
                .build()
                .map_err(damaged)?;
        let record = match reader.next() {
            Some(record) => record.map_err(|cause| damaged(cause.into()))?,
            None => arrow::array::RecordBatch::new_empty(Arc::clone(part.metadata.schema())),
        };
        if record.num_rows() as i64 != rows {
            let problem = format!(
                "near byte {offset} gives {} rows of {rows}",
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

/// The file's columns with texts as dictionaries, as they are written.
fn in_memory(file: &Schema) -> Schema {
    let fields = file.fields().iter().map(|field| {
        let plain = matches!(field.data_type(), arrow::datatypes::DataType::Utf8);
        match column_type(field.name()) {
            Some(kind @ arrow::datatypes::DataType::Dictionary(..)) if plain => {
                Field::new(field.name(), kind, field.is_nullable())
            }
            _ => field.as_ref().clone(),
        }
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// A file that counts the bytes that are read of it.
#[derive(Clone, Debug)]
struct Counted {
    file: Arc<File>,
    length: u64,
    read: Arc<AtomicU64>,
}

impl Counted {
    fn open(path: &Path, read: &Arc<AtomicU64>) -> Result<Self, ArchiveError> {
        let open = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(ArchiveError::io("open", path))?;
        Ok(Self {
            file: Arc::new(file),
            length,
            read: Arc::clone(read),
        })
    }
}

impl Length for Counted {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Counted {
    type T = BufReader<CountedReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(CountedReader {
            of: self.clone(),
            at: start,
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} of {}",
                self.length
            )));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(bytes.into())
    }
}

/// Parts of a file that were read.
struct Fetched {
    length: u64,
    /// In order, each with where it begins.
    ranges: Vec<(u64, Bytes)>,
}

impl Fetched {
    /// What was read from `start` on.
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let range = self.ranges.iter().rev().find(|(first, _)| *first <= start);
        range
            .and_then(|(first, bytes)| {
                let at = usize::try_from(start - first).ok()?;
                (at <= bytes.len()).then(|| bytes.slice(at..))
            })
            .ok_or_else(|| ParquetError::EOF(format!("byte {start} is of no column")))
    }
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start}")));
        }
        Ok(bytes.slice(..length))
    }
}

/// Reads on from a place, whatever others read of the file.
struct CountedReader {
    of: Counted,
    at: u64,
}

impl Read for CountedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.of.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        self.of.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for CountedReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.of.length.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
