//! One recording being written: rows of a cluster and an hour.
//!
//! Owns the order of rows inside row groups, and what the manifest says of the file.
//! Which rows go here is `writer`'s.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::columns::{GROUP_ROWS, notice_properties};
use super::file::{FlowFile, close, create};
use crate::flow::{
    Collector, Encoder, EndpointId, FileEntry, FlowBatch, LooseRows, MOST_NODES, NO_TIME,
    NodeEntry, Notice, NoticeKind, NoticesEntry, ONE_WORKLOAD, RowRef, SCHEMA_VERSION, StrId,
    notice_schema, notices_to,
};
use crate::source::archive::{ArchiveError, NOTICES_ENDING, PART_ENDING};

/// Rows that wait: a row group.
const MOST_WAITING: usize = GROUP_ROWS;

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
        if self.waiting.is_empty() {
            self.waiting = collector.begin();
        }
        collector.push(batch, rows, &mut self.waiting);
        if self.waiting.len() >= MOST_WAITING {
            self.write(collector, encoder)?;
        }
        Ok(())
    }

    /// Adds a notice at its place.
    pub(super) fn notice(&mut self, at: i64, notice: Notice) {
        self.notices.push((at, notice));
    }

    /// Writes what waits, the earliest first.
    pub(super) fn write(
        &mut self,
        collector: &mut Collector,
        encoder: &mut Encoder,
    ) -> Result<(), ArchiveError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let times = self.waiting.times();
        let mut by_time: Vec<u32> = (0..times.len() as u32).collect();
        if !times.is_sorted() {
            by_time.sort_by_key(|&row| times[row as usize]);
        }
        let waiting = collector.batch(std::mem::take(&mut self.waiting));
        for rows in by_time.chunks(GROUP_ROWS) {
            self.group(encoder, &waiting, rows)?;
        }
        collector.end(waiting);
        Ok(())
    }

    fn group(
        &mut self,
        encoder: &mut Encoder,
        batch: &FlowBatch,
        rows: &[u32],
    ) -> Result<(), ArchiveError> {
        self.note(batch, rows);
        let endpoints = Endpoints::of(batch, rows);
        self.several |= endpoints.several;
        let order = sorted(batch, rows, &endpoints.ranks);
        let path = self.path(PART_ENDING);
        let file = match &mut self.writer {
            Some(file) => file,
            None => self
                .writer
                .insert(FlowFile::create(&path, encoder.schema())?),
        };
        file.group(encoder, batch, &order)
            .map_err(|cause| ArchiveError::Write { path, cause })
    }

    /// Takes from a group what the manifest says of it.
    fn note(&mut self, batch: &FlowBatch, rows: &[u32]) {
        self.rows += rows.len() as u64;
        let mut known: Vec<(StrId, usize)> = Vec::new();
        let mut last: Option<(StrId, usize)> = None;
        for row in rows_of(batch, rows) {
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
        self.write(collector, encoder)?;
        let path = self.path(PART_ENDING);
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            // Notices only.
            None => FlowFile::create(&path, encoder.schema())?,
        };
        if !self.several {
            writer.note(ONE_WORKLOAD, "yes");
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

fn rows_of<'a>(batch: &'a FlowBatch, rows: &'a [u32]) -> impl Iterator<Item = RowRef<'a>> {
    rows.iter().map(|&row| batch.row(row as usize))
}

/// The rows by (source, destination, port, time): neighbours alike compress best.
fn sorted(batch: &FlowBatch, rows: &[u32], ranks: &[u32]) -> Vec<u32> {
    let rank = |id: EndpointId| u64::from(ranks.get(id.0 as usize).copied().unwrap_or_default());
    let mut keys: Vec<(u64, u32, i64, u32)> = rows_of(batch, rows)
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
    fn of(batch: &FlowBatch, rows: &[u32]) -> Self {
        let words = batch.dictionaries();
        let mut seen: Vec<bool> = Vec::new();
        let mut found: Vec<EndpointId> = Vec::new();
        for row in rows_of(batch, rows) {
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
