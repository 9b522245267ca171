//! One recording being written: rows of a cluster and an hour.
//!
//! Owns the order of rows inside row groups, and what the manifest says of the file.
//! Which rows go here is `writer`'s.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flate2::Crc;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::chunk::Chunks;
use super::columns::{GROUP_ROWS, flow_properties, notice_properties};
use crate::flow::{
    Collector, Encoder, EndpointId, FileEntry, FlowBatch, LooseRows, MOST_NODES, NO_TIME,
    NodeEntry, Notice, NoticeKind, NoticesEntry, ONE_WORKLOAD, SCHEMA_VERSION, StrId,
    notice_schema, notices_to,
};
use crate::source::archive::{ArchiveError, NOTICES_ENDING, PART_ENDING};

/// Rows that wait: two row groups, so that what comes late is put in order.
const MOST_WAITING: usize = 2 * GROUP_ROWS;

/// A recording being written.
pub(super) struct Part {
    folder: PathBuf,
    /// Path below the archive's folder, without its ending.
    stem: String,
    cluster: String,
    waiting: LooseRows,
    notices: Vec<(i64, Notice)>,
    writer: Option<FlowFile>,
    rows: u64,
    span: Option<(i64, i64)>,
    untimed: bool,
    nodes: Vec<NodeEntry>,
    with_uuid: bool,
    /// Whether an endpoint has several workloads.
    several: bool,
}

impl Part {
    /// A part of the archive in `folder`, at `stem` below it. Nothing is written yet.
    pub(super) fn new(folder: &Path, stem: String, cluster: String, with_uuid: bool) -> Self {
        Self {
            folder: folder.to_owned(),
            stem,
            cluster,
            waiting: LooseRows::default(),
            notices: Vec::new(),
            writer: None,
            rows: 0,
            span: None,
            untimed: false,
            nodes: Vec::new(),
            with_uuid,
            several: false,
        }
    }

    /// Rows that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Adds rows of a batch, and writes a row group when there are enough.
    pub(super) fn push(
        &mut self,
        collector: &mut Collector,
        encoder: &mut Encoder,
        batch: &FlowBatch,
        rows: &[u32],
    ) -> Result<(), ArchiveError> {
        collector.push(batch, rows, &mut self.waiting);
        if self.waiting.len() >= MOST_WAITING {
            self.write(collector, encoder, GROUP_ROWS)?;
        }
        Ok(())
    }

    /// Adds a notice at its place.
    pub(super) fn notice(&mut self, at: i64, notice: Notice) {
        self.notices.push((at, notice));
    }

    /// Writes what waits, until at most `keep` rows do: the earliest first.
    pub(super) fn write(
        &mut self,
        collector: &mut Collector,
        encoder: &mut Encoder,
        keep: usize,
    ) -> Result<(), ArchiveError> {
        let times = self.waiting.times();
        let mut by_time: Vec<u32> = (0..times.len() as u32).collect();
        if !times.is_sorted() {
            by_time.sort_by_key(|&row| times[row as usize]);
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut at = 0;
        while by_time.len() - at > keep {
            let end = (at + GROUP_ROWS).min(by_time.len());
            let group = collector.batch(waiting.take(&by_time[at..end]));
            at = end;
            self.group(encoder, &group)?;
        }
        self.waiting = waiting.take(&by_time[at..]);
        Ok(())
    }

    fn group(&mut self, encoder: &mut Encoder, group: &FlowBatch) -> Result<(), ArchiveError> {
        self.note(group);
        let endpoints = Endpoints::of(group);
        self.several |= endpoints.several;
        let order = sorted(group, &endpoints.ranks);
        let path = self.path(PART_ENDING);
        let failed = |cause| ArchiveError::Write {
            path: path.clone(),
            cause,
        };
        let record = encoder
            .encode(group, &order)
            .map_err(|cause| failed(cause.into()))?;
        let file = match &mut self.writer {
            Some(file) => file,
            None => self
                .writer
                .insert(FlowFile::create(&path, encoder.schema())?),
        };
        file.group(&record).map_err(failed)
    }

    /// Takes from a group what the manifest says of it.
    fn note(&mut self, group: &FlowBatch) {
        self.rows += group.len() as u64;
        let mut known: Vec<(StrId, usize)> = Vec::new();
        let mut last: Option<(StrId, usize)> = None;
        for row in group.rows() {
            let time = row.time();
            match time {
                Some(time) => widen(&mut self.span, time),
                None => self.untimed = true,
            }
            let id = row.node();
            let at = match last {
                Some((same, at)) if same == id => Some(at),
                _ => match known.iter().find(|(same, _)| *same == id) {
                    Some(&(_, at)) => Some(at),
                    None => self.node(row.str(id)).inspect(|&at| known.push((id, at))),
                },
            };
            let Some(at) = at else { continue };
            last = Some((id, at));
            let node = &mut self.nodes[at];
            node.rows += 1;
            if let Some(time) = time {
                widen(&mut node.span, time);
            }
        }
    }

    fn node(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.nodes.iter().position(|node| node.name == name) {
            return Some(at);
        }
        if self.nodes.len() >= MOST_NODES {
            return None;
        }
        self.nodes.push(NodeEntry {
            name: name.to_owned(),
            ..NodeEntry::default()
        });
        Some(self.nodes.len() - 1)
    }

    /// Writes the rest and closes the file, safely on disk; its entry in the manifest.
    pub(super) fn finish(
        mut self,
        collector: &mut Collector,
        encoder: &mut Encoder,
    ) -> Result<FileEntry, ArchiveError> {
        self.write(collector, encoder, 0)?;
        let path = self.path(PART_ENDING);
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            // Notices only.
            None => FlowFile::create(&path, encoder.schema())?,
        };
        if !self.several {
            let pair = KeyValue::new(ONE_WORKLOAD.to_owned(), "yes".to_owned());
            writer.writer.append_key_value_metadata(pair);
        }
        let (bytes, crc32) = writer.close(&path)?;
        let notices = self.write_notices()?;
        self.nodes.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(FileEntry {
            path: format!("{}{PART_ENDING}", self.stem),
            rows: self.rows,
            bytes,
            crc32,
            span: self.span,
            untimed: self.untimed,
            cluster: self.cluster,
            nodes: self.nodes,
            schema_version: SCHEMA_VERSION,
            with_uuid: self.with_uuid,
            notices,
        })
    }

    fn write_notices(&mut self) -> Result<Option<NoticesEntry>, ArchiveError> {
        if self.notices.is_empty() {
            return Ok(None);
        }
        let path = self.path(NOTICES_ENDING);
        self.notices.sort_by_key(|(at, _)| *at);
        let failed = |cause| ArchiveError::Write {
            path: path.clone(),
            cause,
        };
        let record = notices_to(&self.notices).map_err(|cause| failed(cause.into()))?;
        let mut writer = create(&path, Arc::new(notice_schema()), notice_properties())?;
        writer.write(&record).map_err(failed)?;
        let (bytes, crc32) = close(writer, &path)?;
        let lost = self.notices.iter().map(|(_, notice)| match notice.kind {
            NoticeKind::Lost { events, .. } => events,
            NoticeKind::Hole { events, .. } => events.unwrap_or_default(),
            _ => 0,
        });
        let mut span = None;
        for &(at, _) in &self.notices {
            widen(&mut span, at);
        }
        Ok(Some(NoticesEntry {
            path: format!("{}{NOTICES_ENDING}", self.stem),
            rows: self.notices.len() as u64,
            bytes,
            crc32,
            lost: lost.fold(0, u64::saturating_add),
            // One without a place has no span to be left out by.
            span: span.filter(|(first, _)| *first != NO_TIME),
        }))
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}{ending}", self.stem))
    }
}

fn widen(span: &mut Option<(i64, i64)>, time: i64) {
    *span = Some(match *span {
        None => (time, time),
        Some((first, last)) => (first.min(time), last.max(time)),
    });
}

/// The rows by (source, destination, port, time): neighbours alike compress best.
fn sorted(group: &FlowBatch, ranks: &[u32]) -> Vec<u32> {
    let rank = |id: EndpointId| u64::from(ranks.get(id.0 as usize).copied().unwrap_or_default());
    let mut keys: Vec<(u64, u32, i64, u32)> = group
        .rows()
        .map(|row| {
            (
                rank(row.source()) << 32 | rank(row.destination()),
                row.destination_port(),
                row.time().unwrap_or(NO_TIME),
                row.index() as u32,
            )
        })
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|(.., row)| row).collect()
}

/// The endpoints of a row group.
struct Endpoints {
    /// The place of each by its names; 0 for none.
    ranks: Vec<u32>,
    /// Whether one has several workloads.
    several: bool,
}

impl Endpoints {
    fn of(group: &FlowBatch) -> Self {
        let words = group.dictionaries();
        let mut seen: Vec<bool> = Vec::new();
        let mut found: Vec<EndpointId> = Vec::new();
        for row in group.rows() {
            for id in [row.source(), row.destination()] {
                let at = id.0 as usize;
                if at >= seen.len() {
                    seen.resize(at + 1, false);
                }
                if id.0 != 0 && !seen[at] {
                    seen[at] = true;
                    found.push(id);
                }
            }
        }
        found.sort_by_cached_key(|&id| {
            words.endpoint(id).map(|endpoint| {
                let workload = endpoint.workloads.first();
                (
                    endpoint.namespace.clone(),
                    workload.map(|workload| workload.name.clone()),
                    endpoint.pod.clone(),
                    endpoint.identity,
                    endpoint.id,
                    id.0,
                )
            })
        });
        let several = found.iter().any(|&id| {
            let endpoint = words.endpoint(id);
            endpoint.is_some_and(|endpoint| endpoint.workloads.len() > 1)
        });
        let mut ranks = vec![0; seen.len()];
        for (rank, id) in (1..).zip(found) {
            ranks[id.0 as usize] = rank;
        }
        Self { ranks, several }
    }
}

/// A file of flows being written.
struct FlowFile {
    writer: SerializedFileWriter<Summed>,
    chunks: Chunks,
}

impl FlowFile {
    fn create(path: &Path, schema: SchemaRef) -> Result<Self, ArchiveError> {
        let failed = |cause| ArchiveError::Write {
            path: path.to_owned(),
            cause,
        };
        let writer = create(path, schema, flow_properties())?;
        let (writer, _) = writer.into_serialized_writer().map_err(failed)?;
        let chunks = Chunks::new().map_err(failed)?;
        Ok(Self { writer, chunks })
    }

    /// Writes a row group.
    fn group(&mut self, record: &RecordBatch) -> Result<(), ParquetError> {
        let properties = self.writer.properties().clone();
        let schema = self.writer.schema_descr().columns().to_vec();
        let mut group = self.writer.next_row_group()?;
        for (column, array) in schema.iter().zip(record.columns()) {
            self.chunks.column(&mut group, &properties, column, array)?;
        }
        group.close()?;
        Ok(())
    }

    fn close(self, path: &Path) -> Result<(u64, u32), ArchiveError> {
        closed(self.writer.into_inner(), path)
    }
}

pub(super) fn create(
    path: &Path,
    schema: SchemaRef,
    properties: WriterProperties,
) -> Result<ArrowWriter<Summed>, ArchiveError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(ArchiveError::io("create", folder))?;
    }
    let file = File::create_new(path).map_err(ArchiveError::io("create", path))?;
    // Without Arrow's own description other readers see plain texts, not dictionaries.
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let sink = Summed {
        file: BufWriter::with_capacity(1 << 18, file),
        crc: Crc::new(),
        bytes: 0,
    };
    ArrowWriter::try_new_with_options(sink, schema, options).map_err(|cause| ArchiveError::Write {
        path: path.to_owned(),
        cause,
    })
}

/// Size and checksum of the closed file, which is on disk.
pub(super) fn close(writer: ArrowWriter<Summed>, path: &Path) -> Result<(u64, u32), ArchiveError> {
    closed(writer.into_inner(), path)
}

fn closed(sink: Result<Summed, ParquetError>, path: &Path) -> Result<(u64, u32), ArchiveError> {
    let sink = sink.map_err(|cause| ArchiveError::Write {
        path: path.to_owned(),
        cause,
    })?;
    let (bytes, crc32) = (sink.bytes, sink.crc.sum());
    let synced = sink
        .file
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all());
    synced.map_err(ArchiveError::io("write", path))?;
    Ok((bytes, crc32))
}

/// A file with its size and checksum.
pub(super) struct Summed {
    file: BufWriter<File>,
    crc: Crc,
    bytes: u64,
}

impl Write for Summed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.crc.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
