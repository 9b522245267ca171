//! The folder of a bundle: its files, its sums, its evidence.
//!
//! Owns writing them. What is in the pages is `render::bundle`'s, which files there are is
//! decided by whoever writes them.

mod evidence;
mod sums;

use std::fs;
use std::path::{Path, PathBuf};

use super::error::CommandError;

pub(in crate::cli) use evidence::Evidence;
pub(in crate::cli) use sums::{SUMS, differing};

/// A folder that is being filled.
pub(in crate::cli) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder, or takes one that is empty: what somebody may have filled in is not
    /// written over.
    ///
    /// # Errors
    /// [`CommandError`] where there is something in it, or it cannot be made.
    pub(in crate::cli) fn create(path: &Path) -> Result<Self, CommandError> {
        let shown = path.display();
        let failed = |error: std::io::Error| CommandError::failed(format!("{shown}: {error}"));
        if path.exists() {
            let mut entries = fs::read_dir(path).map_err(failed)?;
            if entries.next().is_some() {
                return Err(CommandError::failed(format!(
                    "{shown} is not empty: a bundle goes into a folder of its own"
                )));
            }
        }
        fs::create_dir_all(path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where it is.
    pub(in crate::cli) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file; `name` may have folders.
    ///
    /// # Errors
    /// [`CommandError`] with the path.
    pub(in crate::cli) fn write(&self, name: &str, text: &str) -> Result<(), CommandError> {
        let path = self.path.join(name);
        let failed = |error: std::io::Error| {
            CommandError::failed(format!("write {}: {error}", path.display()))
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(&path, text).map_err(failed)
    }

    /// Writes the sums of everything in it; nothing is written after that.
    ///
    /// # Errors
    /// [`CommandError`] with the path.
    pub(in crate::cli) fn seal(self) -> Result<(), CommandError> {
        sums::write(&self.path)
    }
}
