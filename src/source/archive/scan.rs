//! Rows of an archive in the order of time, node and tuple.
//!
//! Owns the merge. Inside a row group rows are sorted for size, and files overlap in
//! time where rows came late: a group is read when its first row may be next, put in
//! order, and merged with the others that are open. Memory is that of the groups that
//! overlap in time, which are few: an archive is written about in order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use super::error::ArchiveError;
use super::part::{Group, Part, read_notices};
use super::query::Query;
use crate::flow::{
    DEFAULT_DICTIONARY_BYTES, Decoder, FileEntry, FlowBatch, Gathered, Hole, Loss, MAX_ROWS,
    Manifest, NO_TIME, Notice, Span, StoredRows,
};

/// Gives batches in the order of time.
#[derive(Debug)]
pub struct Scan {
    folder: PathBuf,
    query: Query,
    /// Files not opened yet, by their first time.
    files: VecDeque<(i64, FileEntry)>,
    /// Row groups not read yet, the last one next.
    groups: Vec<Group>,
    open: Vec<Open>,
    decoder: Decoder,
    notices: BinaryHeap<Reverse<Placed>>,
    arrived: u64,
    batch: Gathered,
    read: Arc<AtomicU64>,
    total: u64,
    failed: VecDeque<ArchiveError>,
}

/// A row group that was read.
#[derive(Debug)]
struct Open {
    rows: StoredRows,
    order: Vec<u32>,
    at: usize,
}

impl Open {
    fn time(&self) -> i64 {
        self.rows.time(self.order[self.at])
    }

    fn tie(&self) -> (&str, u64) {
        self.rows.tie(self.order[self.at])
    }
}

impl Scan {
    pub(super) fn new(folder: &Path, manifest: &Manifest, query: &Query) -> Self {
        let mut files: Vec<(i64, FileEntry)> = manifest
            .files
            .iter()
            .filter(|file| {
                file.reaches(query.since, query.until)
                    || file.notices_reach(query.since, query.until)
            })
            .map(|file| (first_time(file), file.clone()))
            .collect();
        files.sort_by(|left, right| (left.0, &left.1.path).cmp(&(right.0, &right.1.path)));
        let total = files.iter().map(|(_, file)| file.rows).sum();
        Self {
            folder: folder.to_owned(),
            query: query.clone(),
            files: files.into(),
            groups: Vec::new(),
            open: Vec::new(),
            decoder: Decoder::new(DEFAULT_DICTIONARY_BYTES),
            notices: BinaryHeap::new(),
            arrived: 0,
            batch: Gathered::default(),
            read: Arc::default(),
            total,
            failed: VecDeque::new(),
        }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Counts the bytes read.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }

    /// Rows of the files that are read, at most.
    #[must_use]
    pub fn most_rows(&self) -> u64 {
        self.total
    }

    /// Earliest time among what is open, `None` where nothing is.
    fn frontier(&self) -> Option<i64> {
        self.open.iter().map(Open::time).min()
    }

    /// Opens and reads whatever may have the next row.
    fn advance(&mut self) {
        loop {
            let frontier = self.frontier();
            let due = |first: i64| frontier.is_none_or(|frontier| first <= frontier);
            let group = self.groups.last().map(|group| group.first);
            let file = self.files.front().map(|(first, _)| *first);
            match (file, group) {
                // A file whose first row may come before that of the next group.
                (Some(file), group) if due(file) && group.is_none_or(|group| file <= group) => {
                    if let Some((_, entry)) = self.files.pop_front() {
                        self.open_file(&entry);
                    }
                }
                (_, Some(group)) if due(group) => {
                    if let Some(group) = self.groups.pop() {
                        self.open_group(&group);
                    }
                }
                _ => return,
            }
        }
    }

    fn open_file(&mut self, entry: &FileEntry) {
        if entry.notices_reach(self.query.since, self.query.until) {
            let bytes = entry.notices.as_ref().map_or(0, |notices| notices.bytes);
            self.read.fetch_add(bytes, Ordering::Relaxed);
            match read_notices(&self.folder, entry) {
                Ok(notices) => {
                    for (at, notice) in notices {
                        self.arrived += 1;
                        self.notices.push(Reverse(Placed {
                            at,
                            arrived: self.arrived,
                            notice,
                        }));
                    }
                }
                Err(error) => self.failed.push_back(error),
            }
        }
        if !entry.reaches(self.query.since, self.query.until) {
            return;
        }
        match Part::open(&self.folder, entry, &self.query, &self.read) {
            Ok(groups) => {
                self.groups.extend(groups);
                self.groups.sort_by_key(|group| Reverse(group.first));
            }
            Err(error) => self.failed.push_back(error),
        }
    }

    fn open_group(&mut self, group: &Group) {
        match group.read(&mut self.decoder) {
            Ok(rows) => {
                let mut order = rows.in_order();
                let Query { since, until, .. } = self.query;
                if since > i64::MIN || until < i64::MAX {
                    order.retain(|&row| {
                        let time = match rows.time(row) {
                            NO_TIME => 0,
                            time => time,
                        };
                        (since..=until).contains(&time)
                    });
                }
                if !order.is_empty() {
                    self.open.push(Open { rows, order, at: 0 });
                }
            }
            Err(error) => self.failed.push_back(error),
        }
    }

    /// Which of what is open has the next row.
    fn next_open(&self) -> Option<usize> {
        let mut next: Option<usize> = None;
        for (index, open) in self.open.iter().enumerate() {
            let before = next.is_none_or(|next| {
                let next = &self.open[next];
                match open.time().cmp(&next.time()) {
                    std::cmp::Ordering::Equal => open.tie() < next.tie(),
                    order => order.is_lt(),
                }
            });
            if before {
                next = Some(index);
            }
        }
        next
    }

    /// Adds a run of rows of `next` to the batch.
    fn run(&mut self, next: usize) {
        // Up to the first row of anything else that is open, or is still to be.
        let others = self.open.iter().enumerate();
        let open = others
            .filter(|(index, _)| *index != next)
            .map(|(_, open)| open.time());
        let groups = self.groups.last().map(|group| group.first);
        let files = self.files.front().map(|(first, _)| *first);
        let until = open.chain(groups).chain(files).min().unwrap_or(i64::MAX);
        let noticed = self
            .notices
            .peek()
            .map_or(i64::MAX, |Reverse(placed)| placed.at);
        let open = &mut self.open[next];
        let room = MAX_ROWS - self.batch.len();
        let rest = &open.order[open.at..];
        let length = rest.partition_point(|&row| {
            let time = open.rows.time(row);
            time < until && time < noticed
        });
        // The first is the least of all, whatever shares its time.
        let length = length.clamp(1, room.max(1));
        let taken = rest[..length].to_vec();
        open.at += length;
        self.batch.add(&mut open.rows, &taken);
        if open.at == open.order.len() {
            let done = self.open.swap_remove(next);
            self.decoder.recycle(done.rows);
        }
    }

    /// Adds the notices that come before the next row.
    fn place_notices(&mut self) {
        let before = self.frontier().unwrap_or(i64::MAX);
        while self
            .notices
            .peek()
            .is_some_and(|Reverse(placed)| placed.at <= before)
        {
            if let Some(Reverse(placed)) = self.notices.pop()
                && self.is_asked(&placed.notice)
            {
                self.batch.notice(placed.notice);
            }
        }
    }

    fn is_asked(&self, notice: &Notice) -> bool {
        let time = match notice.time {
            NO_TIME => 0,
            time => time,
        };
        (self.query.since..=self.query.until).contains(&time)
    }
}

impl Iterator for Scan {
    type Item = Result<FlowBatch, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.advance();
            if let Some(error) = self.failed.pop_front() {
                return Some(Err(error));
            }
            self.place_notices();
            let Some(next) = self.next_open() else {
                let done = self.batch.is_empty();
                return (!done).then(|| Ok(self.batch.finish()));
            };
            // Rows with other dictionaries begin another batch.
            if self.batch.len() >= MAX_ROWS || !self.batch.takes(&self.open[next].rows) {
                return Some(Ok(self.batch.finish()));
            }
            self.run(next);
        }
    }
}

/// The first time a file has anything of, whether flow or notice.
fn first_time(file: &FileEntry) -> i64 {
    if file.untimed {
        return NO_TIME;
    }
    let notices = file.notices.as_ref().and_then(|notices| notices.span);
    let firsts = [file.span, notices].into_iter().flatten();
    let first = firsts.map(|(first, _)| first).min().unwrap_or(NO_TIME);
    let unplaced = file
        .notices
        .as_ref()
        .is_some_and(|notices| notices.span.is_none());
    if unplaced { NO_TIME } else { first }
}

/// The hole of a loss, where its times are known.
pub(super) fn hole(loss: Loss) -> Option<Hole> {
    let at = |time: i64| {
        let known = (time != NO_TIME).then_some(time)?;
        Timestamp::from_nanosecond(known.into()).ok()
    };
    let (start, end) = (at(loss.first)?, at(loss.last.saturating_add(1))?);
    Some(Hole {
        span: Span::new(start, end).ok()?,
        cause: loss.cause,
        events: loss.events,
    })
}

/// A notice by its place.
#[derive(Debug)]
struct Placed {
    at: i64,
    arrived: u64,
    notice: Notice,
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.arrived).cmp(&(other.at, other.arrived))
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Placed {}
