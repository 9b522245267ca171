//! Which files of a tree are read.
//!
//! Owns the walk: order, names, hidden folders, links that lead in circles. Does not open
//! what it finds.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// As given, or below what was given.
    pub path: PathBuf,
    /// The folder of the chart whose template it is.
    pub template_of: Option<PathBuf>,
}

/// Names of a kustomization.
pub(super) const KUSTOMIZATIONS: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Levels of folders that are looked into.
const DEPTH: usize = 64;

/// The files of a path: itself, or what is below it in order of names.
///
/// What cannot be listed is handed to `failed`, and the walk goes on.
pub(super) fn files(path: &Path, failed: &mut dyn FnMut(&Path, io::Error)) -> Vec<Found> {
    let mut walk = Walk {
        found: Vec::new(),
        seen: HashSet::new(),
        failed,
    };
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => walk.folder(path, None, 0),
        Ok(_) => walk.found.push(Found {
            path: path.to_owned(),
            template_of: None,
        }),
        Err(error) => (walk.failed)(path, error),
    }
    walk.found
}

struct Walk<'a> {
    found: Vec<Found>,
    /// Folders by their real path, so that a link back up is followed once at most.
    seen: HashSet<PathBuf>,
    failed: &'a mut dyn FnMut(&Path, io::Error),
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, chart: Option<&Path>, depth: usize) {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if depth > DEPTH || !self.seen.insert(real) {
            return;
        }
        let listed = folder
            .read_dir()
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        let mut paths: Vec<PathBuf> = match listed {
            Ok(paths) => paths,
            Err(error) => return (self.failed)(folder, error),
        };
        paths.sort_unstable();
        let is_chart = paths.iter().any(|path| path.ends_with("Chart.yaml"));
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match path.metadata() {
                Ok(metadata) if metadata.is_dir() => {
                    if name.starts_with('.') {
                        continue;
                    }
                    let templates = is_chart && name == "templates";
                    let chart = if templates { Some(folder) } else { chart };
                    self.folder(&path, chart, depth + 1);
                }
                Ok(_) if is_manifest(&path) || KUSTOMIZATIONS.contains(&&*name) => {
                    self.found.push(Found {
                        template_of: chart.map(Path::to_owned),
                        path,
                    });
                }
                Ok(_) => {}
                // A link that leads nowhere names no file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => (self.failed)(&path, error),
            }
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// A path from the root of the file system, without `.` and `..`, links left as they are.
pub(super) fn plain_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let found = files(root, &mut |path, error| {
            panic!("{}: {error}", path.display())
        });
        let name = |found: Found| {
            let below = found.path.strip_prefix(root).unwrap().display().to_string();
            if found.template_of.is_some() {
                format!("{below} (template)")
            } else {
                below
            }
        };
        found.into_iter().map(name).collect()
    }

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn manifests_are_found_in_order_and_hidden_folders_are_not() {
        let root = tree(&[
            "b/x.yml",
            "a.yaml",
            "b/a.json",
            ".git/c.yaml",
            "d.txt",
            "Kustomization",
        ]);
        assert_eq!(
            names(root.path()),
            ["Kustomization", "a.yaml", "b/a.json", "b/x.yml"]
        );
    }

    #[test]
    fn templates_belong_to_their_chart() {
        let root = tree(&["c/Chart.yaml", "c/templates/t/x.yaml", "templates/y.yaml"]);
        assert_eq!(
            names(root.path()),
            [
                "c/Chart.yaml",
                "c/templates/t/x.yaml (template)",
                "templates/y.yaml"
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_in_circles_end() {
        let root = tree(&["a/x.yaml"]);
        std::os::unix::fs::symlink(root.path(), root.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("a/gone.yaml")).unwrap();
        assert_eq!(names(root.path()), ["a/x.yaml"]);
    }
}
