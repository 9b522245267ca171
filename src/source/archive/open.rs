//! An archive and its manifest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ahead::Ahead;
use super::error::ArchiveError;
use super::query::Query;
use super::scan::Scan;
use crate::flow::{Away, Completeness, Loss, MANIFEST_NAME, Manifest};

/// An archive, open to read. What is committed later is not seen.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: PathBuf,
    manifest: Manifest,
}

/// Whether a path is the folder of an archive.
#[must_use]
pub fn is_archive(path: &Path) -> bool {
    path.join(MANIFEST_NAME).is_file()
}

impl Archive {
    /// Opens the archive in `folder`.
    ///
    /// # Errors
    /// [`ArchiveError`] when there is no manifest, or none that can be read.
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        let path = folder.join(MANIFEST_NAME);
        let text = fs::read(&path).map_err(ArchiveError::io("open", &path))?;
        let manifest =
            Manifest::from_json(&text).map_err(|cause| ArchiveError::Manifest { path, cause })?;
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
        })
    }

    /// As [`Archive::open`]; an archive without a manifest is empty.
    ///
    /// # Errors
    /// [`ArchiveError`] for a manifest that cannot be read.
    pub fn open_or_empty(folder: &Path) -> Result<Self, ArchiveError> {
        match Self::open(folder) {
            Err(ArchiveError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                Ok(Self {
                    folder: folder.to_owned(),
                    manifest: Manifest::default(),
                })
            }
            opened => opened,
        }
    }

    /// The archive in `folder` with a manifest that is known.
    #[must_use]
    pub fn of(folder: &Path, manifest: Manifest) -> Self {
        Self {
            folder: folder.to_owned(),
            manifest,
        }
    }

    /// The same folder with other entries: a part of the archive.
    #[must_use]
    pub fn with_manifest(&self, manifest: Manifest) -> Self {
        Self {
            folder: self.folder.clone(),
            manifest,
        }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it has.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads flows and notices, in the order of time.
    #[must_use]
    pub fn scan(&self, query: &Query) -> Scan {
        Scan::new(&self.folder, &self.manifest, query)
    }

    /// The same, read ahead on a thread of its own.
    #[must_use]
    pub fn scan_ahead(&self, query: &Query) -> Ahead {
        Ahead::new(self.scan(query))
    }

    /// What was seen of a time: the spans of nodes, with the holes that notices tell. A
    /// node that a relay does not reach is missed until it is back, whatever file says so.
    ///
    /// # Errors
    /// The first [`ArchiveError`] of a file of notices.
    pub fn completeness(&self, query: &Query) -> Result<Completeness, ArchiveError> {
        let mut completeness = Completeness::default();
        self.manifest.watch(&mut completeness);
        let mut notices = Vec::new();
        for file in &self.manifest.files {
            // Who was away before may be away still.
            if file.notices_reach(i64::MIN, query.until) {
                notices.extend(super::part::read_notices(&self.folder, file)?);
            }
        }
        notices.sort_by_key(|(at, _)| *at);
        let mut lose = |node: &str, loss: Loss| {
            if let Some(hole) = super::scan::hole(loss) {
                completeness.lose(node, hole);
            }
        };
        let mut away = Away::default();
        for (_, notice) in &notices {
            if let Some(loss) = notice.loss() {
                lose(&notice.node, loss);
            }
            for (node, loss) in away.notice(notice) {
                lose(&node, loss);
            }
        }
        let spans = self.manifest.files.iter().filter_map(|file| file.span);
        let end = spans.map(|(_, last)| last).max().unwrap_or(i64::MIN);
        for (node, loss) in away.finish(end.min(query.until)) {
            lose(&node, loss);
        }
        Ok(completeness)
    }
}
