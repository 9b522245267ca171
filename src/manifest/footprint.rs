//! Whether files and trees are what they were.
//!
//! Owns what is compared: which files there are, and of each what the system says without
//! opening it. Links are followed, so that a mounted ConfigMap, which changes by turning
//! one link to another folder, changes every file below it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::tree::files;

/// How files and trees look from outside. Equal ones hold the same, as far as the system
/// keeps times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// In order of the walk.
    files: Vec<(PathBuf, Option<Look>)>,
}

/// One file. The time of change moves with contents, name and mode, and nobody can set it
/// back as one can the time of modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Footprint {
    /// Looks at the files that [`super::load`] would read of these paths. What is not there
    /// or cannot be seen is a look too; standard input is not looked at.
    #[must_use]
    pub fn of(paths: &[PathBuf]) -> Self {
        let mut looks = Vec::new();
        for path in paths.iter().filter(|path| path.as_os_str() != "-") {
            let mut failed = Vec::new();
            let found = files(path, &mut |path, _| failed.push((path.to_owned(), None)));
            looks.extend(found.into_iter().map(|found| {
                let look = look(&found.path);
                (found.path, look)
            }));
            looks.append(&mut failed);
        }
        Self { files: looks }
    }
}

fn look(path: &Path) -> Option<Look> {
    let metadata = path.metadata().ok()?;
    Some(Look {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with one manifest, and whether it changes when `change` is done to it.
    fn changes(prepare: impl Fn(&Path), change: impl Fn(&Path)) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("a.yaml"), "a: 1\n").unwrap();
        prepare(root);
        let before = Footprint::of(&[root.to_owned()]);
        assert_eq!(before, Footprint::of(&[root.to_owned()]));
        change(root);
        before != Footprint::of(&[root.to_owned()])
    }

    #[test]
    fn writing_in_place_and_by_rename_is_seen() {
        assert!(changes(
            |_| (),
            |root| fs::write(root.join("a.yaml"), "a: 1\nb: 2\n").unwrap()
        ));
        // As an editor saves: the same length, the same time of modification.
        let modified = |path: &Path| path.metadata().unwrap().modified().unwrap();
        assert!(changes(
            |root| fs::write(root.join(".a.swp"), "a: 2\n").unwrap(),
            |root| {
                let (old, new) = (root.join("a.yaml"), root.join(".a.swp"));
                let file = fs::File::options().write(true).open(&new).unwrap();
                file.set_modified(modified(&old)).unwrap();
                fs::rename(new, old).unwrap();
            }
        ));
    }

    #[test]
    fn files_that_come_and_go_are_seen_wherever_they_are() {
        let below = |root: &Path| fs::create_dir_all(root.join("apps/shop")).unwrap();
        assert!(changes(below, |root| {
            fs::write(root.join("apps/shop/p.yml"), "").unwrap();
        }));
        assert!(changes(below, |root| {
            fs::remove_file(root.join("a.yaml")).unwrap();
        }));
        assert!(changes(below, |root| {
            fs::rename(root.join("a.yaml"), root.join("apps/a.yaml")).unwrap();
        }));
        assert!(!changes(below, |root| {
            fs::write(root.join("apps/notes.txt"), "no manifest").unwrap();
        }));
    }

    /// Scenario: the kubelet updates a mounted ConfigMap.
    /// Guarantees: the files change though their own links do not.
    #[test]
    fn a_link_that_is_turned_elsewhere_is_seen() {
        let mount = |root: &Path| {
            for version in ["..one", "..two"] {
                fs::create_dir(root.join(version)).unwrap();
                fs::write(root.join(version).join("p.yaml"), "same").unwrap();
            }
            symlink("..one", root.join("..data")).unwrap();
            symlink("..data/p.yaml", root.join("p.yaml")).unwrap();
        };
        assert!(changes(mount, |root| {
            symlink("..two", root.join("..data_tmp")).unwrap();
            fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        }));
    }

    #[test]
    fn what_is_not_there_may_come() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later.yaml");
        let paths = [path.clone(), PathBuf::from("-")];
        let before = Footprint::of(&paths);
        assert_eq!(before, Footprint::of(&paths));
        fs::write(path, "").unwrap();
        assert_ne!(before, Footprint::of(&paths));
    }
}
