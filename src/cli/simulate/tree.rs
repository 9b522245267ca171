//! Where a set of policies is: a folder, a file, or a tree of a git repository.
//!
//! Owns what the names mean, and which documents and files they give. How a revision is read
//! is `git`'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::git::{Copy, git};
use crate::cli::error::{CommandError, UsageError};
use crate::manifest::{self, LoadOptions, Loaded};

/// A set of policies as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// A file or a folder.
    Path(PathBuf),
    /// A revision, and a path below the root of the repository if one was named.
    Git {
        revision: String,
        path: Option<String>,
    },
}

/// What a tree holds.
pub(super) struct LoadedTree {
    pub(super) loaded: Loaded,
    /// What to call it: the path, or `main:policies`.
    pub(super) name: String,
    /// What is missing of it.
    pub(super) remarks: Vec<String>,
    /// What names of its files begin with that is no path.
    pub(super) prefix: Option<String>,
    /// Texts of files of a revision that hold comments about findings.
    pub(super) texts: BTreeMap<String, String>,
}

impl Tree {
    /// Reads what was typed: `git:REV`, `git:REV:PATH`, or a path.
    ///
    /// # Errors
    /// [`UsageError`] for a revision without a name.
    pub(super) fn parse(text: &str) -> Result<Self, UsageError> {
        let Some(rest) = text.strip_prefix("git:") else {
            return Ok(Self::Path(text.into()));
        };
        let (revision, path) = match rest.split_once(':') {
            Some((revision, path)) => (revision, Some(path)),
            None => (rest, None),
        };
        if revision.is_empty() {
            return Err(UsageError::new(format!(
                "{text}: expected git:REV or git:REV:PATH"
            )));
        }
        Ok(Self::Git {
            revision: revision.to_owned(),
            path: path.map(|path| path.trim_matches('/').to_owned()),
        })
    }

    /// A revision that was named without a path is that of the other set, where this is
    /// below the root of the same repository: `git:main` beside `policies/` is its
    /// `policies/`.
    pub(super) fn beside(self, other: &Self) -> Result<Self, CommandError> {
        let (
            Self::Git {
                revision,
                path: None,
            },
            Self::Path(beside),
        ) = (&self, other)
        else {
            return Ok(self);
        };
        let root = git(&["rev-parse", "--show-toplevel"])?;
        let root = Path::new(root.trim_end());
        let inside = beside.canonicalize().ok().and_then(|full| {
            Some(
                full.strip_prefix(root.canonicalize().ok()?)
                    .ok()?
                    .to_owned(),
            )
        });
        let path = inside
            .as_deref()
            .and_then(Path::to_str)
            .filter(|path| !path.is_empty());
        Ok(Self::Git {
            revision: revision.clone(),
            path: path.map(str::to_owned),
        })
    }

    /// Loads the documents, with those of `others` beside them.
    ///
    /// # Errors
    /// [`CommandError`] for a revision or path that does not exist.
    pub(super) fn load(
        &self,
        others: &[PathBuf],
        options: &LoadOptions,
    ) -> Result<LoadedTree, CommandError> {
        let (path, name, copy) = match self {
            Self::Path(path) => {
                if !path.exists() {
                    return Err(CommandError::failed(format!(
                        "{}: there is nothing of that name",
                        path.display()
                    )));
                }
                (path.clone(), path.display().to_string(), None)
            }
            Self::Git { revision, path } => {
                let copy = Copy::of(revision, path.as_deref())?;
                let name = match path.as_deref() {
                    Some(path) if !path.is_empty() => format!("{revision}:{path}"),
                    _ => revision.clone(),
                };
                (copy.path(), name, Some(copy))
            }
        };
        let mut paths = vec![path];
        paths.extend_from_slice(others);
        let mut loaded = manifest::load_with(&paths, options, &mut std::io::empty());
        let mut remarks = Vec::new();
        let mut prefix = None;
        let mut texts = BTreeMap::new();
        if let (Some(copy), Self::Git { revision, .. }) = (copy, self) {
            let own = format!("{}/", copy.folder.path().display());
            let before = format!("{revision}:");
            loaded.rename(&mut |file| match file.strip_prefix(&own) {
                Some(below) => format!("{before}{below}"),
                None => file.to_owned(),
            });
            remarks = copy.remarks;
            texts = copy
                .texts
                .into_iter()
                .map(|(path, text)| (format!("{before}{path}"), text))
                .collect();
            prefix = Some(before);
        }
        Ok(LoadedTree {
            loaded,
            name,
            remarks,
            prefix,
            texts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_told_from_a_path() {
        let tree = |text: &str| Tree::parse(text).unwrap();
        assert_eq!(tree("policies/"), Tree::Path("policies/".into()));
        let git = |path: Option<&str>| Tree::Git {
            revision: "origin/main".to_owned(),
            path: path.map(str::to_owned),
        };
        assert_eq!(tree("git:origin/main"), git(None));
        assert_eq!(tree("git:origin/main:a/b/"), git(Some("a/b")));
        assert_eq!(tree("git:origin/main:"), git(Some("")));
        assert!(Tree::parse("git:").is_err());
        assert!(Tree::parse("git::policies").is_err());
    }
}
