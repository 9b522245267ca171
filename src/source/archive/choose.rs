//! Which files of an archive may hold what is wanted.
//!
//! Owns asking footers and Bloom filters for readers that open whole files. Those that
//! read row groups ask again, for each of them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;

use super::bytes::Counted;
use super::error::{ArchiveError, differing_length};
use super::open::Archive;
use super::part::reaches;
use super::prune::Pruner;
use super::query::Query;
use crate::flow::FileEntry;

/// Files that are asked first, from all over. Where each of them may hold what is wanted,
/// the others are taken to as well: asking costs, and seems to spare nothing.
const TRIED: usize = 16;

impl Archive {
    /// The files that may hold a row that `query` wants, in the order of the manifest.
    ///
    /// # Errors
    /// [`ArchiveError`] for a file that is not what the manifest says.
    pub fn holding(&self, query: &Query) -> Result<Vec<&FileEntry>, ArchiveError> {
        let files: Vec<&FileEntry> = self
            .manifest()
            .files
            .iter()
            .filter(|file| file.reaches(query.since, query.until))
            .collect();
        if query.wanted.is_everything() {
            return Ok(files);
        }
        let step = files.len().div_ceil(TRIED).max(1);
        let some: Vec<&FileEntry> = files.iter().step_by(step).copied().collect();
        let held = self.each_holds(&some, query)?;
        if step > 1 && held.iter().all(|held| *held) {
            return Ok(files);
        }
        let held = if step > 1 {
            self.each_holds(&files, query)?
        } else {
            held
        };
        let files = files.into_iter().zip(held);
        Ok(files
            .filter(|(_, held)| *held)
            .map(|(file, _)| file)
            .collect())
    }

    /// The same for each of some files, asked on every core.
    fn each_holds(&self, files: &[&FileEntry], query: &Query) -> Result<Vec<bool>, ArchiveError> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let share = files.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            let asked: Vec<_> = files
                .chunks(share)
                .map(|files| {
                    scope.spawn(move || {
                        let held = files.iter().map(|file| self.holds(file, query));
                        held.collect::<Result<Vec<bool>, _>>()
                    })
                })
                .collect();
            let mut held = Vec::with_capacity(files.len());
            for (asked, files) in asked.into_iter().zip(files.chunks(share)) {
                match asked.join() {
                    Ok(answer) => held.extend(answer?),
                    // What cannot be told may be there.
                    Err(_) => held.extend(files.iter().map(|_| true)),
                }
            }
            Ok(held)
        })
    }

    fn holds(&self, entry: &FileEntry, query: &Query) -> Result<bool, ArchiveError> {
        let path = self.folder().join(&entry.path);
        let file = Counted::open(&path, &Arc::new(AtomicU64::new(0)))?;
        if let Some(problem) = differing_length(file.length(), entry.bytes) {
            return Err(ArchiveError::Differs { path, problem });
        }
        let damaged = |cause| ArchiveError::Damaged {
            path: path.clone(),
            offset: entry.bytes,
            cause,
        };
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_page_index_policy(PageIndexPolicy::Skip);
        let metadata = ArrowReaderMetadata::load(&file, options).map_err(damaged)?;
        let pruner = Pruner::new(&file, &metadata);
        for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
            if reaches(pruner, group, query)
                && pruner.group(index, &query.wanted).map_err(damaged)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
