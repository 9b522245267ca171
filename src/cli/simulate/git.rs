//! The manifests of a revision, without touching the work tree.
//!
//! `git` itself lists and gives the files: where a revision is named there is a repository,
//! and so git, with its own settings about whose repositories are trusted; a library would be
//! a hundred crates for this one flag. The manifests, and nothing else of the tree, are
//! copied to a folder that is gone when they have been read.

use std::fs;
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::cli::error::CommandError;
use crate::manifest::FILE_BYTES;

/// Bytes of all manifests of a tree.
const TREE_BYTES: u64 = 1 << 30;
/// How a comment about findings of `policy lint` begins.
const COMMENT: &str = "flowwatch: ignore";
/// Modes of git for a link and for the commit of another repository.
const LINK: &str = "120000";
const COMMIT: &str = "160000";

/// The manifests of a revision in a folder of their own.
pub(super) struct Copy {
    pub(super) folder: TempDir,
    /// What of the tree was named, below the folder.
    below: PathBuf,
    pub(super) remarks: Vec<String>,
    /// Texts of files that hold comments about findings.
    pub(super) texts: Vec<(String, String)>,
}

/// A file of a revision.
struct Entry {
    is_link: bool,
    object: String,
    path: String,
}

impl Copy {
    pub(super) fn of(revision: &str, path: Option<&str>) -> Result<Self, CommandError> {
        let commit = git(&[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &format!("{revision}^{{commit}}"),
        ])
        .map_err(|_| {
            CommandError::failed(format!(
                "git:{revision}: the repository has no such revision (a shallow clone has few: fetch it first)"
            ))
        })?;
        let commit = commit.trim_end();
        let path = path.unwrap_or_default();
        let mut asked = vec!["ls-tree", "-r", "-z", "--full-tree", commit];
        if !path.is_empty() {
            asked.extend(["--", path]);
        }
        let listed = git(&asked)?;
        let mut copy = Self {
            folder: tempfile::tempdir().map_err(CommandError::failed)?,
            below: PathBuf::from(path),
            remarks: Vec::new(),
            texts: Vec::new(),
        };
        let entries = copy.entries(&listed);
        if entries.is_empty() && listed.is_empty() {
            return Err(CommandError::failed(format!(
                "git:{revision}: nothing at {}",
                if path.is_empty() { "its root" } else { path }
            )));
        }
        fs::create_dir_all(copy.path()).map_err(CommandError::failed)?;
        copy.fill(revision, &entries)?;
        Ok(copy)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.below)
    }

    /// The manifests among what `ls-tree` lists: `mode type object\tpath`.
    fn entries(&mut self, listed: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        for line in listed.split('\0').filter(|line| !line.is_empty()) {
            let Some((kinds, path)) = line.split_once('\t') else {
                continue;
            };
            let mut kinds = kinds.split(' ');
            let (mode, object) = (kinds.next().unwrap_or_default(), kinds.nth(1));
            let plain = Path::new(path)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if mode == COMMIT {
                self.remarks
                    .push(format!("{path} is another repository, which is not read"));
            } else if let Some(object) = object
                && plain
                && is_wanted(path, mode == LINK)
            {
                entries.push(Entry {
                    is_link: mode == LINK,
                    object: object.to_owned(),
                    path: path.to_owned(),
                });
            }
        }
        entries
    }

    /// Asks git for all files at once.
    fn fill(&mut self, revision: &str, entries: &[Entry]) -> Result<(), CommandError> {
        let failed = |error: std::io::Error| {
            CommandError::failed(format!("git:{revision}: read its files: {error}"))
        };
        let mut child = Command::new("git")
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| no_git(&error))?;
        let mut asked = String::new();
        for entry in entries {
            asked.push_str(&entry.object);
            asked.push('\n');
        }
        let mut stdin = child.stdin.take();
        // Both pipes are bounded: asking and reading go on beside each other.
        let asking = std::thread::spawn(move || {
            stdin
                .as_mut()
                .map_or(Ok(()), |stdin| stdin.write_all(asked.as_bytes()))
        });
        let mut read = 0;
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = std::io::BufReader::new(stdout);
            for entry in entries {
                let bytes = blob(&mut stdout).map_err(failed)?;
                read += bytes.len() as u64;
                if read > TREE_BYTES {
                    return Err(CommandError::failed(format!(
                        "git:{revision}: its manifests have more than {TREE_BYTES} bytes"
                    )));
                }
                self.put(entry, &bytes).map_err(failed)?;
            }
        }
        let _ = asking.join();
        child.wait().map_err(failed)?;
        Ok(())
    }

    fn put(&mut self, entry: &Entry, bytes: &[u8]) -> std::io::Result<()> {
        let to = self.folder.path().join(&entry.path);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        if !entry.is_link {
            let text = String::from_utf8_lossy(bytes);
            if text.contains(COMMENT) {
                self.texts.push((entry.path.clone(), text.into_owned()));
            }
            return fs::write(to, bytes);
        }
        let target = String::from_utf8_lossy(bytes).into_owned();
        if !stays_inside(&entry.path, &target) {
            self.remarks.push(format!(
                "{} is a link out of the tree, which is not followed",
                entry.path
            ));
            return Ok(());
        }
        link(&target, &to)
    }
}

#[cfg(unix)]
fn link(target: &str, at: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(not(unix))]
fn link(target: &str, at: &Path) -> std::io::Result<()> {
    // A copy of what it leads to would have to wait for it.
    let _ = (target, at);
    Ok(())
}

/// Whether a link of a tree leads to something of the same tree.
fn stays_inside(link: &str, target: &str) -> bool {
    let mut depth = Path::new(link).components().count() as i64 - 1;
    for part in Path::new(target).components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return false,
        }
        if depth < 0 {
            return false;
        }
    }
    true
}

/// Whether a file of a tree may say something: what loading looks at by its name.
fn is_wanted(path: &str, is_link: bool) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    // A link may lead to a folder.
    is_link
        || name == "Kustomization"
        || ending.is_some_and(|ending| {
            ["yaml", "yml", "json"]
                .iter()
                .any(|known| ending.eq_ignore_ascii_case(known))
        })
}

/// One answer of `cat-file --batch`: `object type size`, the bytes, a line break.
fn blob(from: &mut impl std::io::BufRead) -> std::io::Result<Vec<u8>> {
    let wrong = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    let mut head = String::new();
    from.read_line(&mut head)?;
    let size: u64 = head
        .trim_end()
        .rsplit(' ')
        .next()
        .and_then(|size| size.parse().ok())
        .ok_or_else(|| wrong("git gives no size"))?;
    // One byte more than is read of a file, so that loading says that it is too large.
    let mut bytes = Vec::new();
    from.by_ref()
        .take(size.min(FILE_BYTES + 1))
        .read_to_end(&mut bytes)?;
    let mut rest = size - bytes.len() as u64 + 1;
    while rest > 0 {
        let skipped = from
            .fill_buf()?
            .len()
            .min(usize::try_from(rest).unwrap_or(usize::MAX));
        if skipped == 0 {
            return Err(wrong("git gives less than it says"));
        }
        from.consume(skipped);
        rest -= skipped as u64;
    }
    Ok(bytes)
}

/// What git says.
pub(super) fn git(args: &[&str]) -> Result<String, CommandError> {
    let output = Command::new("git")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| no_git(&error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        return Err(CommandError::failed(format!(
            "git {}: {}",
            args.first().unwrap_or(&""),
            if said.is_empty() { "failed" } else { said }
        )));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| CommandError::failed("git: names of files that are not UTF-8"))
}

fn no_git(error: &std::io::Error) -> CommandError {
    CommandError::failed(format!("git:REV needs git, which cannot be run: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_out_of_the_tree_are_not_followed() {
        for (link, target, inside) in [
            ("a/b/link.yaml", "../c.yaml", true),
            ("a/link.yaml", "../c.yaml", true),
            ("link.yaml", "../c.yaml", false),
            ("a/link.yaml", "../../etc/passwd", false),
            ("a/link.yaml", "/etc/passwd", false),
            ("link.yaml", "b/../../x", false),
        ] {
            assert_eq!(stays_inside(link, target), inside, "{link} -> {target}");
        }
    }

    #[test]
    fn an_answer_of_git_is_taken_whole() {
        let mut answer = &b"abc blob 5\nhello\ndef blob 0\n\n"[..];
        assert_eq!(blob(&mut answer).unwrap(), b"hello");
        assert_eq!(blob(&mut answer).unwrap(), b"");
        assert!(blob(&mut &b"abc missing\n"[..]).is_err());
        assert!(blob(&mut &b"abc blob 9\nhi\n"[..]).is_err());
    }
}
