//! The archive as one who writes has it: the lock, the commit, and what a crash left.
//!
//! Owns the manifest's file. A commit writes the new manifest beside the old one, and
//! renames it: there is the old archive or the new one, never something between.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::columns::generator;
use super::policies::{Recorded, place};
use super::writer::{FlowWriter, WriterOptions};
use crate::flow::{FileEntry, HOUR, MANIFEST_NAME, Manifest, PoliciesEntry, RollupEntry};
use crate::source::archive::{Archive, ArchiveError, PART_ENDING};

/// Name of the file that a writer holds locked.
const LOCK_NAME: &str = "lock";
/// Folder of policies.
const POLICIES_FOLDER: &str = "policies";
/// Folder of sums, with one of each hour below it.
pub(super) const ROLLUP_FOLDER: &str = "rollup";

/// An archive that this process may write. Others may read it all the time.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    manifest: Manifest,
    /// Held for as long as the store is.
    _lock: File,
}

impl Store {
    /// Opens the archive in `folder` to write, and makes it where there is none. Files
    /// that a crash has left without an entry are removed.
    ///
    /// # Errors
    /// [`ArchiveError::Locked`] while someone else writes; else what the system refuses
    /// or the manifest lacks.
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        fs::create_dir_all(folder).map_err(ArchiveError::io("create", folder))?;
        let path = folder.join(LOCK_NAME);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(ArchiveError::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(ArchiveError::Locked {
                    path: folder.to_owned(),
                });
            }
            Err(fs::TryLockError::Error(cause)) => {
                return Err(ArchiveError::io("lock", &path)(cause));
            }
        }
        let archive = Archive::open_or_empty(folder)?;
        let mut store = Self {
            folder: folder.to_owned(),
            manifest: archive.manifest().clone(),
            _lock: lock,
        };
        store.remove_orphans()?;
        if !folder.join(MANIFEST_NAME).exists() {
            store.commit(Vec::new(), &[])?;
        }
        Ok(store)
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

    /// The archive as it is now, to read.
    #[must_use]
    pub fn archive(&self) -> Archive {
        Archive::of(&self.folder, self.manifest.clone())
    }

    /// Begins new recordings, which exist once their entries are committed.
    #[must_use]
    pub fn writer(&self, options: WriterOptions) -> FlowWriter {
        FlowWriter::new(&self.folder, unique_name(), options)
    }

    /// Adds recordings, and removes those at the paths `without`, at once. The files of
    /// the latter are deleted after that.
    ///
    /// # Errors
    /// [`ArchiveError`] when the manifest cannot be written: then nothing has changed.
    pub fn commit(&mut self, add: Vec<FileEntry>, without: &[String]) -> Result<(), ArchiveError> {
        self.commit_sealed(add, without, None)
    }

    /// As [`Store::commit`], saying also that a journal is now among the recordings.
    pub(super) fn commit_sealed(
        &mut self,
        add: Vec<FileEntry>,
        without: &[String],
        sealed: Option<String>,
    ) -> Result<(), ArchiveError> {
        let mut manifest = self.manifest.clone();
        let mut removed = Vec::new();
        manifest.files.retain(|file| {
            let keep = !without.contains(&file.path);
            if !keep {
                removed.push(file.clone());
            }
            keep
        });
        for file in &add {
            sync_folders(&self.folder, &file.path)?;
        }
        manifest.files.extend(add);
        manifest.sealed.extend(sealed);
        // Sums go with what they are of.
        let hours = manifest.hours();
        let (kept, gone) = std::mem::take(&mut manifest.rollups)
            .into_iter()
            .partition(|rollup| hours.binary_search(&rollup.hour).is_ok());
        manifest.rollups = kept;
        self.replace(manifest)?;
        for file in removed {
            if let Some(notices) = &file.notices {
                self.remove(&notices.path);
            }
            self.remove(&file.path);
        }
        self.remove_rollups(&gone);
        Ok(())
    }

    /// As [`Store::commit`], of recordings with the flows of those they replace: what was
    /// made of these is as good as made of them. `reach` says of how long a time around an
    /// hour the recordings are that it is made from, in nanoseconds.
    pub(super) fn commit_same(
        &mut self,
        add: Vec<FileEntry>,
        without: &[String],
        reach: i64,
    ) -> Result<(), ArchiveError> {
        let stamp = |manifest: &Manifest, hour: i64| {
            manifest.stamp(
                hour.saturating_sub(reach),
                hour.saturating_add(HOUR - 1 + reach),
            )
        };
        let mut after = self.manifest.clone();
        after.files.retain(|file| !without.contains(&file.path));
        after.files.extend(add.iter().cloned());
        let before = self.manifest.clone();
        for rollup in &mut self.manifest.rollups {
            if rollup.made_from == stamp(&before, rollup.hour) {
                rollup.made_from = stamp(&after, rollup.hour);
            }
        }
        let committed = self.commit(add, without);
        if committed.is_err() {
            self.manifest = before;
        }
        committed
    }

    /// Puts sums in place of those of the same hours.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_rollups(&mut self, add: Vec<RollupEntry>) -> Result<(), ArchiveError> {
        if add.is_empty() {
            return Ok(());
        }
        let mut manifest = self.manifest.clone();
        for rollup in &add {
            sync_folders(&self.folder, &rollup.path)?;
        }
        let (gone, mut kept): (Vec<_>, Vec<_>) = std::mem::take(&mut manifest.rollups)
            .into_iter()
            .partition(|old| add.iter().any(|new| new.hour == old.hour));
        kept.extend(add);
        kept.sort_by_key(|rollup| rollup.hour);
        manifest.rollups = kept;
        self.replace(manifest)?;
        self.remove_rollups(&gone);
        Ok(())
    }

    /// Says that policies are in force since a time; `None` for ever. Returns whether that
    /// is something new. Their file is written once, by renaming.
    ///
    /// # Errors
    /// [`ArchiveError`] when the file or the manifest cannot be written.
    pub fn record_policies(
        &mut self,
        policies: &Recorded,
        since: Option<i64>,
    ) -> Result<bool, ArchiveError> {
        let hash = policies.hash();
        let path = self.folder.join(PoliciesEntry::path_of(&hash));
        // A file that was cut short or changed is written again.
        let is_there = fs::read(&path).is_ok_and(|bytes| bytes == policies.text().as_bytes());
        if !is_there {
            let folder = self.folder.join(POLICIES_FOLDER);
            fs::create_dir_all(&folder).map_err(ArchiveError::io("create", &folder))?;
            write_whole(&path, policies.text().as_bytes())?;
        }
        let Some(entries) = place(&self.manifest.policies, &hash, since) else {
            return Ok(false);
        };
        let mut manifest = self.manifest.clone();
        manifest.policies = entries;
        self.replace(manifest)?;
        Ok(true)
    }

    /// Says under which options policies judge, beside those that are among the documents.
    /// Sums that were judged under others are stale from then on. Returns whether that is
    /// something new.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn judge_under(&mut self, options: Vec<String>) -> Result<bool, ArchiveError> {
        if self.manifest.options == options {
            return Ok(false);
        }
        let mut manifest = self.manifest.clone();
        manifest.options = options;
        self.replace(manifest)?;
        Ok(true)
    }

    /// Writes a manifest, and goes on with it.
    fn replace(&mut self, mut manifest: Manifest) -> Result<(), ArchiveError> {
        manifest.generator = generator();
        let path = self.folder.join(MANIFEST_NAME);
        write_whole(&path, manifest.to_json().as_bytes())?;
        self.manifest = manifest;
        Ok(())
    }

    fn remove_rollups(&self, rollups: &[RollupEntry]) {
        for rollup in rollups {
            self.remove(&rollup.path);
        }
    }

    /// Deletes a file. One that stays is an orphan, and is removed at the next start.
    fn remove(&self, path: &str) {
        let _ = fs::remove_file(self.folder.join(path));
        remove_empty_folders(&self.folder, path);
    }

    /// Forgets sealed journals that are deleted. The next commit writes it.
    pub(super) fn forget_sealed(&mut self, is_there: impl Fn(&str) -> bool) {
        self.manifest.sealed.retain(|id| is_there(id));
    }

    /// Removes recordings that were being written when a process ended: files of our
    /// names that the manifest does not know.
    fn remove_orphans(&self) -> Result<(), ArchiveError> {
        let mut known = hashbrown::HashSet::<&str, foldhash::fast::RandomState>::default();
        for file in &self.manifest.files {
            known.insert(&file.path);
            known.extend(file.notices.iter().map(|notices| notices.path.as_str()));
        }
        for rollup in &self.manifest.rollups {
            known.insert(&rollup.path);
        }
        let failed = |path: &Path, cause| ArchiveError::io("list", path)(cause);
        let folders = |path: &Path, prefix: &'static str| -> io::Result<Vec<(PathBuf, String)>> {
            let mut found = Vec::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with(prefix) && entry.file_type()?.is_dir() {
                    found.push((entry.path(), name));
                }
            }
            Ok(found)
        };
        let list = |path: &Path, prefix| folders(path, prefix).map_err(|cause| failed(path, cause));
        let clusters = list(&self.folder, "cluster=")?.into_iter();
        for (cluster, cluster_name) in clusters.chain(list(&self.folder, ROLLUP_FOLDER)?) {
            for (date, date_name) in list(&cluster, "date=")? {
                for (hour, hour_name) in list(&date, "hour=")? {
                    let entries = fs::read_dir(&hour).map_err(|cause| failed(&hour, cause))?;
                    for entry in entries.filter_map(Result::ok) {
                        let name = entry.file_name().to_string_lossy().into_owned();
                        let path = format!("{cluster_name}/{date_name}/{hour_name}/{name}");
                        if is_ours(&name) && !known.contains(path.as_str()) {
                            let path = entry.path();
                            fs::remove_file(&path).map_err(ArchiveError::io("remove", &path))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Writes a file beside the one it replaces, and renames it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ArchiveError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(ArchiveError::io("write", path))
}

/// Names files of one transaction: no two processes or runs give the same.
pub(super) fn unique_name() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// Whether a name is one that this program gives its recordings.
fn is_ours(name: &str) -> bool {
    let stem = name.strip_suffix(PART_ENDING).unwrap_or_default();
    let stem = [".notices", ".connections"]
        .iter()
        .find_map(|kind| stem.strip_suffix(kind))
        .unwrap_or(stem);
    stem.split_once('-').is_some_and(|(run, number)| {
        run.len() == 16
            && run.bytes().all(|byte| byte.is_ascii_hexdigit())
            && number.len() >= 4
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Makes names of new files and folders safe: those of the path's folders.
fn sync_folders(root: &Path, path: &str) -> Result<(), ArchiveError> {
    let mut folder = root.join(path);
    while folder.pop() {
        File::open(&folder)
            .and_then(|file| file.sync_all())
            .map_err(ArchiveError::io("sync", &folder))?;
        if folder == root {
            break;
        }
    }
    Ok(())
}

/// Removes the folders of a path that have become empty.
fn remove_empty_folders(root: &Path, path: &str) {
    let mut folder = root.join(path);
    while folder.pop() && folder != root {
        if fs::remove_dir(&folder).is_err() {
            break;
        }
    }
}
