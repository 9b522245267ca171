//! The folder of a bundle.
//!
//! Owns when it may be written to: it is new, or holds nothing but files of a bundle.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::error::CommandError;
use crate::respond::layout::Page;

/// A folder that can be written to.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Looks at a folder; makes none yet.
    ///
    /// # Errors
    /// [`CommandError`] for one that holds something else.
    pub(super) fn open(path: &Path) -> Result<Self, CommandError> {
        let failed =
            |error: io::Error| CommandError::failed(format!("{}: {error}", path.display()));
        match fs::read_dir(path) {
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(failed)?.file_name();
                    let is_ours = Page::ALL.iter().any(|page| *name == *page.file());
                    if !is_ours {
                        return Err(CommandError::failed(format!(
                            "{}: it holds {}, which is no file of a bundle; give a new folder",
                            path.display(),
                            name.display()
                        )));
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a page is there already.
    pub(super) fn has(&self, page: Page) -> bool {
        self.path.join(page.file()).exists()
    }

    /// Takes a page of before away, where it is there.
    ///
    /// # Errors
    /// [`CommandError`] where that fails.
    pub(super) fn remove(&self, page: Page) -> Result<(), CommandError> {
        let path = self.path.join(page.file());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(CommandError::failed(
                format!("remove {}: {error}", path.display()),
            )),
            _ => Ok(()),
        }
    }

    /// Writes pages; those of before are replaced.
    ///
    /// # Errors
    /// [`CommandError`] where that fails.
    pub(super) fn write(&self, pages: &[(Page, String)]) -> Result<(), CommandError> {
        let failed = |path: &Path, error: io::Error| {
            CommandError::failed(format!("write {}: {error}", path.display()))
        };
        fs::create_dir_all(&self.path).map_err(|error| failed(&self.path, error))?;
        for (page, text) in pages {
            let path = self.path.join(page.file());
            fs::write(&path, text).map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }
}
