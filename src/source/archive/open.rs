//! An archive and its manifest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::ArchiveError;
use super::query::Query;
use super::scan::Scan;
use crate::flow::{Completeness, MANIFEST_NAME, Manifest};

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

    /// What was seen of a time: the spans of nodes, with the holes that notices tell.
    ///
    /// # Errors
    /// The first [`ArchiveError`] of a file of notices.
    pub fn completeness(&self, query: &Query) -> Result<Completeness, ArchiveError> {
        let mut completeness = Completeness::default();
        self.manifest.watch(&mut completeness);
        for file in &self.manifest.files {
            if file.notices_reach(query.since, query.until) {
                for (_, notice) in super::part::read_notices(&self.folder, file)? {
                    if let Some(hole) = super::scan::hole(&notice) {
                        completeness.lose(&notice.node, hole);
                    }
                }
            }
        }
        Ok(completeness)
    }
}
