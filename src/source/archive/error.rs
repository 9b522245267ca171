//! What can go wrong with an archive.

use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use crate::flow::{DecodeError, ManifestError};

/// An archive, or a file of it, that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The system refused.
    #[error("{action} {}: {cause}", path.display())]
    Io {
        /// What was tried: `open`, `write`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The manifest says nothing that can be used.
    #[error("read {}: {cause}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        cause: ManifestError,
    },
    /// A recording is damaged.
    #[error("{} is damaged near byte {offset}: {cause}", path.display())]
    Damaged {
        /// The recording.
        path: PathBuf,
        /// Where the part begins that cannot be read.
        offset: u64,
        /// What is wrong.
        cause: ParquetError,
    },
    /// A recording holds columns that are not what they should be.
    #[error("{} near byte {offset}: {cause}", path.display())]
    Column {
        /// The recording.
        path: PathBuf,
        /// Where the part begins.
        offset: u64,
        /// What is wrong.
        cause: DecodeError,
    },
    /// A recording is not the one that the manifest means.
    #[error("{} {problem}", path.display())]
    Differs {
        /// The recording.
        path: PathBuf,
        /// How it differs.
        problem: String,
    },
    /// A recording of a newer version.
    #[error("{} has schema version {found}, and this program reads up to {}: use a newer one", path.display(), crate::flow::SCHEMA_VERSION)]
    Newer {
        /// The recording.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Someone else writes.
    #[error("{} is being written by another process", path.display())]
    Locked {
        /// The archive.
        path: PathBuf,
    },
    /// Columns that could not be made or written.
    #[error("write {}: {cause}", path.display())]
    Write {
        /// The recording.
        path: PathBuf,
        /// Why not.
        cause: ParquetError,
    },
}

/// What is wrong with a file of `found` bytes that the manifest says has `written`.
#[must_use]
pub fn differing_length(found: u64, written: u64) -> Option<String> {
    (found != written)
        .then(|| format!("has {found} bytes instead of the {written} it was written with"))
}

impl ArchiveError {
    /// An error of the system.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io {
            action,
            path: path.to_owned(),
            cause,
        }
    }

    /// Whether the disk is full, or a quota reached.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let full = |cause: &io::Error| {
            matches!(
                cause.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        };
        match self {
            Self::Io { cause, .. } => full(cause),
            Self::Write { cause, .. } | Self::Damaged { cause, .. } => match cause {
                ParquetError::External(cause) => {
                    cause.downcast_ref::<io::Error>().is_some_and(full)
                }
                _ => false,
            },
            _ => false,
        }
    }
}
