//! The flows of a target, written down as an archive of their own.
//!
//! Owns the writing while they are read for a trace, and what is said of how complete they
//! are. Every command that takes an archive takes it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::archive::{FlowWriter, Store, WriterOptions};
use crate::cli::error::CommandError;
use crate::connection::{Connection, Exchange, Peers};
use crate::engine::{JudgedBatch, Observer};
use crate::finding::moment;
use crate::respond::record::EvidenceRef;
use crate::review::report::Reading;
use crate::source::archive::ArchiveError;

/// Writes the flows that take part.
pub(super) struct Evidence {
    folder: PathBuf,
    /// Where it is written until it is whole.
    beside: PathBuf,
    store: Store,
    writer: FlowWriter,
    failed: Option<ArchiveError>,
}

impl Evidence {
    /// Begins to write beside `folder`, where it goes when it is whole.
    ///
    /// # Errors
    /// [`CommandError`] where that cannot be.
    pub(super) fn create(folder: &Path) -> Result<Self, CommandError> {
        let beside = folder.with_extension("new");
        if beside.exists() {
            // Left by a run that was interrupted.
            fs::remove_dir_all(&beside).map_err(|error| failed(&beside, &error))?;
        }
        let store = Store::open(&beside).map_err(CommandError::failed)?;
        let writer = store.writer(WriterOptions { with_uuid: true });
        Ok(Self {
            folder: folder.to_owned(),
            beside,
            store,
            writer,
            failed: None,
        })
    }

    /// Ends it; `reading` is what was read, `sources` where from.
    ///
    /// # Errors
    /// [`CommandError`] where something could not be written.
    pub(super) fn finish(
        mut self,
        reading: &Reading,
        sources: Vec<String>,
    ) -> Result<EvidenceRef, CommandError> {
        if let Some(error) = self.failed {
            return Err(CommandError::failed(error));
        }
        let flows = self.writer.rows();
        let entries = self.writer.finish().map_err(CommandError::failed)?;
        self.store
            .commit(entries, &[])
            .map_err(CommandError::failed)?;
        drop(self.store);
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        }
        fs::rename(&self.beside, &self.folder).map_err(|error| failed(&self.folder, &error))?;
        let seen = reading.share_seen();
        let span = reading.seen.span();
        let name = self.folder.file_name().unwrap_or_default();
        Ok(EvidenceRef {
            path: name.to_string_lossy().into_owned(),
            flows,
            first: span.map(|(first, _)| moment::text(first)),
            last: span.map(|(_, last)| moment::text(last)),
            share: seen.map(|seen| seen.share),
            lost: seen.map_or(Some(0), |seen| seen.lost),
            sources,
            nodes: reading
                .nodes
                .iter()
                .map(|(name, node)| (name.to_string(), node.flows))
                .collect(),
        })
    }
}

impl Observer for Evidence {
    fn connection(&mut self, _: &Connection, _: &Peers) {}

    fn exchange(&mut self, _: &Exchange, _: &Peers) {}

    fn batch(&mut self, batch: &JudgedBatch) {
        if self.failed.is_none() {
            let pushed = self
                .writer
                .push_some(&batch.batch, |row| batch.is_kept(row));
            self.failed = pushed.err();
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> CommandError {
    CommandError::failed(format!("{}: {error}", path.display()))
}
