//! Recording what goes on: journal, seal, commit.
//!
//! Owns when a journal is synced and sealed, and what a crash between any two steps
//! leaves: rows are in the journal until the manifest has them, the manifest says which
//! journals it has, and a journal it has is deleted, now or at the next start. So nothing
//! is lost beyond what was not synced, and nothing comes twice.

use std::path::Path;
use std::time::{Duration, Instant};

use super::journal::{self, Journal};
use super::store::Store;
use super::writer::WriterOptions;
use crate::flow::{
    Collector, FlowBatch, HOUR, HoleCause, LooseRows, Manifest, NO_TIME, Notice, NoticeKind,
};
use crate::source::archive::ArchiveError;

/// How long what came may be unsafe.
pub const SYNC_EVERY: Duration = Duration::from_secs(5);
/// Bytes of a journal that is sealed before the hour ends.
pub const SEAL_BYTES: u64 = 64 << 20;
/// How long rows wait to be written to the journal together.
pub const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Rows that wait at most.
const MOST_WAITING: usize = 8192;
/// Rows and notices that are kept while the journal cannot be written.
const MOST_KEPT: usize = 64 << 10;
/// How long after a failure what waits is left alone at least, unless there is too much of
/// it.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The same, for each unit of time that the attempt took.
const REST: u32 = 10;
/// How often journals that could not be sealed are tried again.
const SEAL_AGAIN_EVERY: Duration = Duration::from_secs(30);
/// How long a journal is written at most, by a clock that does not jump.
const JOURNAL_AGE: Duration = Duration::from_hours(1);
/// Bytes of dictionaries of what waits.
const DICTIONARY_BYTES: usize = 16 << 20;

/// When what came is written and sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long rows wait to be written to the journal together.
    pub write_every: Duration,
    /// Bytes of a journal that is sealed before the hour ends.
    pub seal_bytes: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            write_every: WRITE_EVERY,
            seal_bytes: SEAL_BYTES,
        }
    }
}

/// What a start found of the run before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Journals that were sealed.
    pub journals: u64,
    /// Flows that came out of them.
    pub rows: u64,
    /// Bytes at the ends of journals that could not be read.
    pub torn_bytes: u64,
}

/// Something that could not be written when a batch came.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct PushError {
    /// What, and why.
    pub cause: ArchiveError,
    /// Whether the batch was taken all the same, and waits to be written.
    pub is_taken: bool,
}

/// Records batches into an archive.
#[derive(Debug)]
pub struct Recorder {
    store: Store,
    options: WriterOptions,
    journal: Option<Journal>,
    /// When it was begun.
    begun: Instant,
    /// Journals that were ended and could not be sealed, and when that was tried last.
    unsealed: Vec<String>,
    sealed: Instant,
    /// When the journal, which could not be written, is to be tried again.
    failed: Option<Instant>,
    /// Time of the earliest row that is in no recording yet.
    oldest: Option<i64>,
    /// Rows and notices that are not in the journal yet.
    collector: Collector,
    waiting: LooseRows,
    notices: Vec<(i64, Notice)>,
    written: Instant,
    pace: Pace,
    synced: Instant,
    /// The hour of the newest row, in hours since 1970.
    hour: Option<i64>,
    last: i64,
    rows: u64,
}

impl Recorder {
    /// Records into the archive in `folder`. What an earlier run has left unsealed is
    /// sealed first; where its end is torn, a hole says so.
    ///
    /// # Errors
    /// [`ArchiveError`] when the archive cannot be opened or written.
    pub fn open(folder: &Path, options: WriterOptions) -> Result<(Self, Recovery), ArchiveError> {
        let mut recorder = Self {
            store: Store::open(folder)?,
            options,
            journal: None,
            begun: Instant::now(),
            unsealed: Vec::new(),
            sealed: Instant::now(),
            failed: None,
            oldest: None,
            collector: Collector::new(DICTIONARY_BYTES),
            waiting: LooseRows::default(),
            notices: Vec::new(),
            written: Instant::now(),
            pace: Pace::default(),
            synced: Instant::now(),
            hour: None,
            last: NO_TIME,
            rows: 0,
        };
        let recovery = recorder.recover()?;
        Ok((recorder, recovery))
    }

    /// The same at another pace.
    #[must_use]
    pub fn at_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// What the archive has, without what is in the journal.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        self.store.manifest()
    }

    /// The archive, for what else is to be done with it.
    pub fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Flows recorded by this run.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes a batch. A second later it is safe against the end of the process, and
    /// after [`SYNC_EVERY`] against that of the machine, as long as [`Recorder::tick`] is
    /// called.
    ///
    /// # Errors
    /// [`PushError`] when something cannot be written. What was taken waits to be tried
    /// again. A batch is taken unless too much waits already; one whose predecessors could
    /// not be sealed goes to a journal of its own.
    pub fn push(&mut self, batch: &FlowBatch) -> Result<(), PushError> {
        let refused = |cause| PushError {
            cause,
            is_taken: false,
        };
        if self.is_crowded() {
            self.write().map_err(refused)?;
        }
        let hour = newest_hour(batch);
        let ended = match (hour, self.hour) {
            (Some(hour), Some(before)) if hour > before => self.seal(),
            _ => Ok(()),
        };
        self.take(batch, hour);
        ended
            .and_then(|()| self.after())
            .map_err(|cause| PushError {
                cause,
                is_taken: true,
            })
    }

    /// Whether so much waits that nothing more is taken.
    fn is_crowded(&self) -> bool {
        let is_full = self.failed.is_some() && self.collector.is_full();
        is_full || self.waiting.len() + self.notices.len() >= MOST_KEPT
    }

    fn take(&mut self, batch: &FlowBatch, hour: Option<i64>) {
        let rows: Vec<u32> = (0..batch.len() as u32).collect();
        self.collector.push(batch, &rows, &mut self.waiting);
        let placed = self.placed(batch);
        self.notices.extend(placed);
        let times = batch.rows().filter_map(|row| row.time());
        self.oldest = self.oldest.into_iter().chain(times).min();
        self.hour = self.hour.max(hour);
        self.rows += batch.len() as u64;
    }

    /// Writes and seals what has become enough.
    fn after(&mut self) -> Result<(), ArchiveError> {
        let is_enough = self.waiting.len() >= MOST_WAITING || self.collector.is_full();
        if is_enough && !self.rests() {
            self.write()?;
        }
        let journal = self.journal.as_ref();
        if journal.is_some_and(|journal| journal.bytes() >= self.pace.seal_bytes) {
            self.seal()?;
        }
        Ok(())
    }

    /// Writes down that something may be missing.
    ///
    /// # Errors
    /// [`ArchiveError`] when the system cannot; it waits to be tried again then.
    pub fn hole(
        &mut self,
        node: &str,
        cause: HoleCause,
        events: Option<u64>,
        (first, last): (i64, i64),
    ) -> Result<(), ArchiveError> {
        let notice = Notice {
            before_row: 0,
            node: node.into(),
            time: last,
            kind: NoticeKind::Hole {
                cause,
                events,
                first,
                last,
            },
            raw: None,
        };
        self.notices.push((last, notice));
        self.write()
    }

    /// Writes and syncs the journal when it is time to. To be called often.
    ///
    /// # Errors
    /// [`ArchiveError`] when the system cannot.
    pub fn tick(&mut self) -> Result<(), ArchiveError> {
        if self.written.elapsed() >= self.pace.write_every && !self.rests() {
            self.write()?;
        }
        if self.synced.elapsed() >= SYNC_EVERY {
            self.synced = Instant::now();
            if let Some(journal) = &mut self.journal {
                journal.sync()?;
            }
        }
        let is_old = self.journal.is_some() && self.begun.elapsed() >= JOURNAL_AGE;
        let is_due = !self.unsealed.is_empty() && self.sealed.elapsed() >= SEAL_AGAIN_EVERY;
        if is_old || is_due {
            self.seal()?;
        }
        Ok(())
    }

    /// Up to when all flows that came by `now` are in recordings, in nanoseconds.
    #[must_use]
    pub fn sealed_until(&self, now: i64) -> i64 {
        self.oldest.map_or(now, |oldest| oldest.min(now))
    }

    /// Whether something that should be written or sealed could not be.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.failed.is_some() || !self.unsealed.is_empty()
    }

    /// Writes what waits to the journal.
    ///
    /// # Errors
    /// [`ArchiveError`] when the system cannot; it still waits then.
    pub fn write(&mut self) -> Result<(), ArchiveError> {
        self.written = Instant::now();
        let written = self.write_rows().and_then(|()| self.write_notices());
        let rest = RETRY_AFTER.max(self.written.elapsed() * REST);
        self.failed = written.is_err().then(|| Instant::now() + rest);
        written
    }

    /// Whether the last attempt to write failed a moment ago.
    fn rests(&self) -> bool {
        self.failed.is_some_and(|until| Instant::now() < until)
    }

    fn write_rows(&mut self) -> Result<(), ArchiveError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.journal()?;
        let batch = self.collector.batch(std::mem::take(&mut self.waiting));
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        if let Err(error) = journal.flows(&batch) {
            let rows: Vec<u32> = (0..batch.len() as u32).collect();
            self.collector.reset();
            self.collector.push(&batch, &rows, &mut self.waiting);
            return Err(error);
        }
        if self.collector.is_full() {
            self.collector.reset();
        }
        Ok(())
    }

    fn write_notices(&mut self) -> Result<(), ArchiveError> {
        if self.notices.is_empty() {
            return Ok(());
        }
        self.journal()?;
        if let Some(journal) = &mut self.journal {
            journal.notices(&self.notices)?;
            self.notices.clear();
        }
        Ok(())
    }

    /// Puts what the journal has into recordings.
    ///
    /// # Errors
    /// [`ArchiveError`]; the journal is then still there, and sealed later: by this recorder
    /// once it works again, else at the next start.
    pub fn seal(&mut self) -> Result<(), ArchiveError> {
        self.write()?;
        self.sealed = Instant::now();
        if let Some(mut journal) = self.journal.take() {
            self.unsealed.push(journal.id().to_owned());
            journal.sync()?;
        }
        while let Some(id) = self.unsealed.first() {
            seal(&mut self.store, id, self.options)?;
            self.unsealed.remove(0);
        }
        self.oldest = None;
        Ok(())
    }

    /// Seals what is left and ends.
    ///
    /// # Errors
    /// As [`Recorder::seal`].
    pub fn finish(mut self) -> Result<Manifest, ArchiveError> {
        self.seal()?;
        Ok(self.store.manifest().clone())
    }

    fn recover(&mut self) -> Result<Recovery, ArchiveError> {
        let folder = self.store.folder().to_owned();
        let mut recovery = Recovery::default();
        for id in journal::journals(&folder)? {
            if self.store.manifest().sealed.contains(&id) {
                // Committed, but not deleted before the end.
                journal::delete(&folder, &id)?;
                continue;
            }
            let sealed = seal(&mut self.store, &id, self.options)?;
            recovery.journals += 1;
            recovery.rows += sealed.rows;
            recovery.torn_bytes += sealed.torn_bytes;
        }
        let left = journal::journals(&folder)?;
        self.store
            .forget_sealed(|id| left.iter().any(|own| own == id));
        Ok(recovery)
    }

    /// Makes sure that there is a journal.
    fn journal(&mut self) -> Result<(), ArchiveError> {
        if self.journal.is_none() {
            let now = jiff::Timestamp::now().as_millisecond();
            // In order, and never twice: the manifest remembers names.
            let id = format!("{now:014}-{:08x}", rand::random::<u32>());
            let journal = Journal::create(self.store.folder(), id, self.options.with_uuid)?;
            self.journal = Some(journal);
            self.begun = Instant::now();
        }
        Ok(())
    }

    /// Notices with the times of their places.
    fn placed(&mut self, batch: &FlowBatch) -> Vec<(i64, Notice)> {
        let placed = batch.notices().iter().map(|notice| {
            let row = notice.before_row.checked_sub(1);
            let time = row.and_then(|row| batch.row(row).time());
            let at = match notice.time {
                NO_TIME => time.unwrap_or(self.last),
                time => time,
            };
            (at, notice.clone())
        });
        let placed = placed.collect();
        if let Some(time) = batch
            .len()
            .checked_sub(1)
            .and_then(|row| batch.row(row).time())
        {
            self.last = time;
        }
        placed
    }
}

fn newest_hour(batch: &FlowBatch) -> Option<i64> {
    let times = batch.rows().filter_map(|row| row.time());
    let newest = times.max()?.div_euclid(HOUR);
    // A node whose clock is ahead does not end our hour.
    let now = jiff::Timestamp::now().as_nanosecond() as i64;
    Some(newest.min(now.div_euclid(HOUR)))
}

#[derive(Default)]
struct Sealed {
    rows: u64,
    torn_bytes: u64,
}

/// Journal to Parquet, commit, delete.
fn seal(store: &mut Store, id: &str, options: WriterOptions) -> Result<Sealed, ArchiveError> {
    let folder = store.folder().to_owned();
    if store.manifest().sealed.iter().any(|sealed| sealed == id) {
        // Committed, and then not deleted.
        journal::delete(&folder, id)?;
        store.forget_sealed(|sealed| sealed != id);
        return Ok(Sealed::default());
    }
    let mut writer = store.writer(options);
    let mut last = NO_TIME;
    let flows = journal::read_flows(&folder, id, |batch| {
        last = batch
            .rows()
            .filter_map(|row| row.time())
            .fold(last, i64::max);
        writer.push(&batch)
    })?;
    let notices = journal::read_notices(&folder, id, |at, notice| writer.notice(at, notice))?;
    let torn_bytes = flows.bytes + notices.bytes;
    if torn_bytes > 0 {
        let last = if last == NO_TIME { 0 } else { last };
        let until = last.saturating_add(SYNC_EVERY.as_nanos() as i64);
        let notice = Notice {
            before_row: 0,
            node: "".into(),
            time: last,
            kind: NoticeKind::Hole {
                cause: HoleCause::Recorder,
                events: None,
                first: last,
                last: until,
            },
            raw: None,
        };
        writer.notice(last, notice)?;
    }
    let rows = writer.rows();
    let entries = writer.finish()?;
    store.commit_sealed(entries, &[], Some(id.to_owned()))?;
    journal::delete(&folder, id)?;
    store.forget_sealed(|sealed| sealed != id);
    Ok(Sealed { rows, torn_bytes })
}

#[cfg(test)]
mod tests;
