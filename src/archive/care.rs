//! Looking after an archive: what to keep, whether its files are whole, and making few
//! files of many.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use flate2::Crc;

use super::policies::hash_of;
use super::rollup::read_rollup;
use super::store::Store;
use super::writer::WriterOptions;
use crate::connection::LONGEST_SILENCE;
use crate::flow::{FileEntry, Manifest, PoliciesEntry};
use crate::source::archive::{Archive, ArchiveError, Query, differing_length};

/// How much is kept. The default is everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Hours that ended longer ago are deleted.
    pub age: Option<Duration>,
    /// The oldest hours are deleted while there are more bytes.
    pub bytes: Option<u64>,
}

/// Deletes whole hours, oldest first, until only what `keep` says is left. Returns what
/// was deleted.
///
/// # Errors
/// [`ArchiveError`] when the manifest cannot be written: then nothing is deleted.
pub fn retain(store: &mut Store, keep: Keep) -> Result<Vec<FileEntry>, ArchiveError> {
    retain_at(store, keep, jiff::Timestamp::now())
}

/// As [`retain`], at another time than now.
///
/// # Errors
/// As [`retain`].
pub fn retain_at(
    store: &mut Store,
    keep: Keep,
    now: jiff::Timestamp,
) -> Result<Vec<FileEntry>, ArchiveError> {
    let removed = to_remove(store.manifest(), keep, now);
    if !removed.is_empty() {
        let paths: Vec<String> = removed.iter().map(|file| file.path.clone()).collect();
        store.commit(Vec::new(), &paths)?;
    }
    Ok(removed)
}

/// The hour of a file as its path has it, which sorts by time: date and hour.
fn hour(file: &FileEntry) -> &str {
    hour_of(&file.path)
}

fn hour_of(path: &str) -> &str {
    path.split_once("/date=")
        .and_then(|(_, rest)| rest.rsplit_once('/'))
        .map_or("", |(hour, _)| hour)
}

fn to_remove(manifest: &Manifest, keep: Keep, now: jiff::Timestamp) -> Vec<FileEntry> {
    let mut files: Vec<&FileEntry> = manifest.files.iter().collect();
    files.sort_by(|left, right| (hour(left), &left.path).cmp(&(hour(right), &right.path)));
    let ended = keep.age.and_then(|age| {
        // The hour that holds `now - age` has not ended so long ago.
        let limit = now
            .checked_sub(jiff::SignedDuration::try_from(age).ok()?)
            .ok()?;
        let limit = limit.to_zoned(jiff::tz::TimeZone::UTC);
        Some(format!("{}/hour={:02}", limit.date(), limit.hour()))
    });
    let size =
        |file: &FileEntry| file.bytes + file.notices.as_ref().map_or(0, |notices| notices.bytes);
    let rollups = |wanted: &str| -> u64 {
        let rollups = manifest.rollups.iter();
        rollups
            .filter(|rollup| hour_of(&rollup.path) == wanted)
            .map(|rollup| rollup.bytes)
            .sum()
    };
    let mut bytes: u64 = files.iter().map(|file| size(file)).sum();
    bytes += manifest
        .rollups
        .iter()
        .map(|rollup| rollup.bytes)
        .sum::<u64>();
    let mut removed = Vec::new();
    for hours in files.chunk_by(|left, right| hour(left) == hour(right)) {
        let too_old = ended.as_deref().is_some_and(|limit| hour(hours[0]) < limit);
        let too_much = keep.bytes.is_some_and(|most| bytes > most);
        if !too_old && !too_much {
            break;
        }
        bytes -= hours.iter().map(|file| size(file)).sum::<u64>();
        bytes = bytes.saturating_sub(rollups(hour(hours[0])));
        removed.extend(hours.iter().map(|&file| file.clone()));
    }
    removed
}

/// A file that is not what the manifest says.
#[derive(Debug)]
pub struct BadFile {
    /// Below the archive's folder.
    pub path: String,
    /// What is wrong.
    pub problem: String,
}

/// Reads every byte of every file, every row of every recording and rollup, and the
/// policies that were in force. Returns what is wrong; `told` hears of each recording that
/// was looked at.
pub fn verify(archive: &Archive, mut told: impl FnMut(&FileEntry)) -> Vec<BadFile> {
    let mut bad = Vec::new();
    for file in &archive.manifest().files {
        let notices = file.notices.as_ref();
        let files = [(&file.path, file.bytes, file.crc32)]
            .into_iter()
            .chain(notices.map(|notices| (&notices.path, notices.bytes, notices.crc32)));
        let mut whole = true;
        for (path, bytes, crc32) in files {
            if let Err(problem) = checked(&archive.folder().join(path), bytes, crc32) {
                whole = false;
                bad.push(BadFile {
                    path: path.clone(),
                    problem,
                });
            }
        }
        if whole && let Err(problem) = counted(archive, file) {
            bad.push(BadFile {
                path: file.path.clone(),
                problem,
            });
        }
        told(file);
    }
    bad.extend(derived(archive));
    bad
}

/// What is wrong with rollups and policies.
fn derived(archive: &Archive) -> Vec<BadFile> {
    let manifest = archive.manifest();
    let mut bad = Vec::new();
    for rollup in &manifest.rollups {
        let whole = checked(
            &archive.folder().join(&rollup.path),
            rollup.bytes,
            rollup.crc32,
        );
        let read = whole.and_then(|()| {
            let rows = read_rollup(archive.folder(), rollup);
            rows.map(|_| ()).map_err(|error| error.to_string())
        });
        if let Err(problem) = read {
            let path = rollup.path.clone();
            bad.push(BadFile { path, problem });
        }
    }
    let mut policies: Vec<&str> = manifest
        .policies
        .iter()
        .map(|entry| entry.hash.as_str())
        .chain(manifest.rollups.iter().flat_map(|rollup| {
            let hashes = rollup.policies.iter();
            hashes.map(String::as_str)
        }))
        .collect();
    policies.sort_unstable();
    policies.dedup();
    for hash in policies {
        let path = PoliciesEntry::path_of(hash);
        let problem = match std::fs::read(archive.folder().join(&path)) {
            Err(error) => format!("cannot be read: {error}"),
            Ok(bytes) if hash_of(&bytes) != hash => {
                "has other bytes than it was written with".to_owned()
            }
            Ok(_) => continue,
        };
        bad.push(BadFile { path, problem });
    }
    bad
}

fn checked(path: &Path, bytes: u64, crc32: u32) -> Result<(), String> {
    let sum = || {
        let mut file = File::open(path)?;
        let (mut crc, mut buffer, mut length) = (Crc::new(), vec![0; 1 << 18], 0);
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok::<_, std::io::Error>((length, crc.sum()));
            }
            crc.update(&buffer[..read]);
            length += read as u64;
        }
    };
    match sum() {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok((length, found)) => match differing_length(length, bytes) {
            Some(problem) => Err(problem),
            None if found != crc32 => Err("has other bytes than it was written with".to_owned()),
            None => Ok(()),
        },
    }
}

/// Reads all rows of a file and compares their number.
fn counted(archive: &Archive, file: &FileEntry) -> Result<(), String> {
    let one = Manifest {
        files: vec![file.clone()],
        ..Manifest::default()
    };
    let (mut rows, mut notices) = (0, 0);
    for batch in archive.with_manifest(one).scan(&Query::default()) {
        let batch = batch.map_err(|error| error.to_string())?;
        rows += batch.len() as u64;
        notices += batch.notices().len() as u64;
    }
    let expected = file.notices.as_ref().map_or(0, |notices| notices.rows);
    if (rows, notices) == (file.rows, expected) {
        Ok(())
    } else {
        Err(format!(
            "holds {rows} flows and {notices} notices instead of {} and {expected}",
            file.rows
        ))
    }
}

/// Makes one file of several of the same cluster and hour, in order. Returns the files
/// that were replaced and those that replace them.
///
/// # Errors
/// [`ArchiveError`] when a file cannot be read or written: then that hour and those after
/// it are as they were.
pub fn compact(store: &mut Store) -> Result<(Vec<FileEntry>, Vec<FileEntry>), ArchiveError> {
    let mut files = store.manifest().files.clone();
    let folder_of = |file: &FileEntry| {
        file.path
            .rsplit_once('/')
            .map_or_else(String::new, |(folder, _)| folder.to_owned())
    };
    files.sort_by(|left, right| left.path.cmp(&right.path));
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for group in files.chunk_by(|left, right| {
        folder_of(left) == folder_of(right) && left.with_uuid == right.with_uuid
    }) {
        if group.len() < 2 {
            continue;
        }
        let archive = Archive::open(store.folder())?.with_manifest(Manifest {
            files: group.to_vec(),
            ..Manifest::default()
        });
        let mut writer = store.writer(WriterOptions {
            with_uuid: group[0].with_uuid,
        });
        for batch in archive.scan(&Query::default()) {
            writer.push(&batch?)?;
        }
        let entries = writer.finish()?;
        let paths: Vec<String> = group.iter().map(|file| file.path.clone()).collect();
        store.commit_same(entries.clone(), &paths, LONGEST_SILENCE)?;
        old.extend(group.iter().cloned());
        new.extend(entries);
    }
    Ok((old, new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::testing::{SECOND, TEN, at_times, described, stored};

    fn store_of(hours: i64, runs: i64) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        for run in 0..runs {
            let mut writer = store.writer(WriterOptions::default());
            for hour in 0..hours {
                let start = TEN + hour * 3600 * SECOND + run;
                writer
                    .push(&at_times("c/n", (0..10).map(|n| start + n * SECOND)))
                    .unwrap();
            }
            let entries = writer.finish().unwrap();
            store.commit(entries, &[]).unwrap();
        }
        (folder, store)
    }

    #[test]
    fn hours_go_by_age_and_by_size_oldest_first() {
        let (_folder, mut store) = store_of(5, 2);
        let now = jiff::Timestamp::from_nanosecond(i128::from(TEN + 4 * 3600 * SECOND)).unwrap();
        let age = |hours: u64| Keep {
            age: Some(Duration::from_secs(hours * 3600)),
            bytes: None,
        };
        let removed = |keep| {
            let removed = to_remove(store.manifest(), keep, now);
            removed
                .iter()
                .map(|file| hour(file).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(removed(age(9)), [""; 0]);
        assert_eq!(
            removed(age(3)),
            ["2026-06-01/hour=10", "2026-06-01/hour=10"]
        );
        assert_eq!(removed(age(2)).len(), 4);
        let bytes = store.manifest().bytes();
        let most = |bytes| Keep {
            age: None,
            bytes: Some(bytes),
        };
        assert_eq!(removed(most(bytes)), [""; 0]);
        assert_eq!(removed(most(bytes - 1)).len(), 2);
        assert_eq!(removed(most(0)).len(), 10);

        retain(&mut store, most(0)).unwrap();
        assert!(store.manifest().files.is_empty());
        assert!(!store.folder().join("cluster=c").exists());
    }

    #[test]
    fn compacting_changes_files_and_no_flow() {
        let (folder, mut store) = store_of(2, 3);
        let before = described(&stored(folder.path(), &Query::default()));
        let (old, new) = compact(&mut store).unwrap();
        assert_eq!((old.len(), new.len()), (6, 2));
        assert_eq!(store.manifest().files.len(), 2);
        assert_eq!(described(&stored(folder.path(), &Query::default())), before);
        assert!(compact(&mut store).unwrap().1.is_empty());
    }

    #[test]
    fn a_changed_byte_is_found() {
        let (folder, store) = store_of(2, 1);
        let archive = Archive::open(folder.path()).unwrap();
        let mut looked_at = 0;
        assert!(verify(&archive, |_| looked_at += 1).is_empty());
        assert_eq!(looked_at, 2);
        let path = folder.path().join(&store.manifest().files[1].path);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let bad = verify(&archive, |_| {});
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].path, store.manifest().files[1].path);
        assert!(bad[0].problem.contains("other bytes"));
    }
}
