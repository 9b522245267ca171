//! Making rollups.
//!
//! Owns the way from hours to files and entries: a pass for each stretch, what fails and
//! what is made all the same. Nothing of it exists until its entries are committed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::HOUR;
use super::columns::{ROLLUP_VERSION, encode};
use super::fresh::{options, policies, stale_hours, stamp, stretches};
use super::pass::{Stretch, run};
use super::row::RollupRow;
use super::table::{Rows, hour_of};
use crate::archive::columns::rollup_properties;
use crate::archive::file::{close, create};
use crate::archive::store::{ROLLUP_FOLDER, Store, unique_name};
use crate::archive::writer::hour_folder;
use crate::engine::Policies;
use crate::flow::{PoliciesEntry, RollupEntry};
use crate::source::archive::{Archive, ArchiveError, ROLLUP_ENDING};

/// Hours that are committed together.
const COMMITTED: usize = 24;

/// Why an hour could not be summed up.
#[derive(Debug, thiserror::Error)]
pub enum RollupError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Policies that were in force cannot be used.
    #[error("use the policies {}: {problem}", path.display())]
    Policies {
        /// Their file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// What is known of the agents cannot be used.
    #[error("take the options of the agents: {0}")]
    Options(String),
    /// It was asked to end.
    #[error("interrupted; hours that were not summed up stay to be done")]
    Interrupted,
}

/// What was made.
#[derive(Debug, Default)]
pub struct Made {
    /// Hours.
    pub hours: u64,
    /// Rows of sums.
    pub rows: u64,
    /// Connections that began in them.
    pub connections: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// What went wrong; the hours it was about are as stale as before.
    pub failed: Vec<RollupError>,
}

/// Makes rollups.
pub struct Maker<'a> {
    /// Gives policies ready to judge with, from their file. What flows told them stays with
    /// them, so that each call has to give new ones.
    pub load: &'a mut dyn FnMut(&Path) -> Result<Policies, String>,
    /// Whether to end before it is done.
    pub is_over: &'a dyn Fn() -> bool,
}

impl Maker<'_> {
    /// Makes the rollups of an archive that are stale, and commits them.
    pub fn refresh(&mut self, store: &mut Store) -> Made {
        let archive = store.archive();
        let hours = stale_hours(archive.manifest());
        self.make(&archive, &hours, &mut |entries| {
            store.commit_rollups(entries)
        })
    }

    /// Makes the rollups of hours, given by their beginnings and in order. Entries are
    /// handed over to be committed, some at a time.
    pub fn make(
        &mut self,
        archive: &Archive,
        hours: &[i64],
        commit: &mut dyn FnMut(Vec<RollupEntry>) -> Result<(), ArchiveError>,
    ) -> Made {
        let mut writing = Writing {
            archive,
            name: unique_name(),
            begun: None,
            entries: Vec::new(),
            made: Made::default(),
        };
        let mut ended = false;
        for stretch in stretches(archive.manifest(), hours) {
            ended = ended || self.stretch(archive, &stretch, &mut writing);
            if writing.entries.len() >= COMMITTED {
                writing.commit(commit);
            }
        }
        writing.commit(commit);
        writing.made
    }

    /// Makes the hours of a stretch; whether it was asked to end.
    fn stretch(&mut self, archive: &Archive, stretch: &Stretch, writing: &mut Writing) -> bool {
        let mut rest = stretch.clone();
        // An hour that cannot be read costs itself and those that need its flows.
        while rest.from < rest.to {
            let policies = match self.policies(archive, &rest) {
                Ok(policies) => policies,
                Err(error) => {
                    writing.made.failed.push(error);
                    return false;
                }
            };
            let mut next = hour_of(rest.from);
            let done = run(
                archive,
                &rest,
                policies.as_ref(),
                self.is_over,
                &mut |hour, rows| {
                    writing.hour(&rest, hour, rows)?;
                    next = hour.saturating_add(HOUR);
                    Ok(())
                },
            );
            match done {
                Ok(()) => return false,
                Err(error) => {
                    let is_interrupted = matches!(error, RollupError::Interrupted);
                    let text = error.to_string();
                    let is_known = |known: &RollupError| known.to_string() == text;
                    if !writing.made.failed.iter().any(is_known) {
                        writing.made.failed.push(error);
                    }
                    if is_interrupted {
                        return true;
                    }
                    rest.from = next.saturating_add(HOUR);
                }
            }
        }
        false
    }

    fn policies(
        &mut self,
        archive: &Archive,
        stretch: &Stretch,
    ) -> Result<Option<Arc<Policies>>, RollupError> {
        let Some(hash) = &stretch.policies else {
            return Ok(None);
        };
        let path = archive.folder().join(PoliciesEntry::path_of(hash));
        match (self.load)(&path) {
            Ok(policies) => Ok(Some(Arc::new(policies))),
            Err(problem) => Err(RollupError::Policies { path, problem }),
        }
    }
}

/// Hours on their way to files.
struct Writing<'a> {
    archive: &'a Archive,
    /// Begins the name of every file.
    name: String,
    /// An hour of which another stretch has the rest.
    begun: Option<(i64, Rows)>,
    entries: Vec<RollupEntry>,
    made: Made,
}

impl Writing<'_> {
    /// Takes the rows of an hour, or of a part of it.
    fn hour(&mut self, stretch: &Stretch, hour: i64, rows: Rows) -> Result<(), RollupError> {
        let mut whole = match self.begun.take() {
            Some((begun, rows)) if begun == hour => rows,
            // The part before failed.
            _ if stretch.from > hour => return Ok(()),
            _ => Rows::new(),
        };
        if whole.is_empty() {
            whole = rows;
        } else {
            for (key, sums) in rows {
                whole.entry(key).or_default().add(&sums);
            }
        }
        if stretch.to < hour.saturating_add(HOUR) {
            self.begun = Some((hour, whole));
            return Ok(());
        }
        let entry = self.write(hour, whole)?;
        self.made.hours += 1;
        self.made.rows += entry.rows;
        self.made.connections += entry.connections;
        self.made.bytes += entry.bytes;
        self.entries.push(entry);
        Ok(())
    }

    fn write(&self, hour: i64, rows: Rows) -> Result<RollupEntry, ArchiveError> {
        let number = self.made.hours;
        let name = format!(
            "{ROLLUP_FOLDER}/{}/{}-{number:04}{ROLLUP_ENDING}",
            hour_folder(hour.into()),
            self.name
        );
        let path = self.archive.folder().join(&name);
        let failed = |cause| ArchiveError::Write {
            path: path.clone(),
            cause,
        };
        let rows: Vec<RollupRow> = rows
            .into_iter()
            .map(|(key, sums)| RollupRow { hour, key, sums })
            .collect();
        let record = encode(&rows).map_err(|cause| failed(cause.into()))?;
        let mut writer = create(&path, record.schema(), rollup_properties())?;
        writer.write(&record).map_err(failed)?;
        let (bytes, crc32) = close(writer, &path)?;
        let manifest = self.archive.manifest();
        let policies = policies(manifest, hour);
        Ok(RollupEntry {
            path: name,
            hour,
            rows: rows.len() as u64,
            connections: rows.iter().map(|row| row.sums.connections).sum(),
            bytes,
            crc32,
            schema_version: ROLLUP_VERSION,
            options: options(manifest, &policies),
            policies,
            made_from: stamp(manifest, hour),
        })
    }

    fn commit(&mut self, commit: &mut dyn FnMut(Vec<RollupEntry>) -> Result<(), ArchiveError>) {
        if let Err(error) = commit(std::mem::take(&mut self.entries)) {
            self.made.failed.push(error.into());
        }
    }
}
