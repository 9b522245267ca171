//! Opening recordings: standard input, plain and compressed files, and directories of
//! exporter rotations in time order.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::source::archive::{Archive, JsonLines, is_archive};

/// Entries of a directory that are looked at to tell what it holds.
const MOST_LOOKED_AT: usize = 10_000;

/// Something to read flows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input, `-` on the command line.
    Stdin,
    /// A file.
    File(PathBuf),
    /// The folder of an archive.
    Archive(PathBuf),
}

impl Input {
    /// How it is named in messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) | Self::Archive(path) => path.display().to_string(),
        }
    }

    /// Whether it may be slower than its reader: a pipe, a socket, a terminal.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        match self {
            Self::Stdin => true,
            Self::Archive(_) => false,
            Self::File(path) => path.metadata().is_ok_and(|metadata| !metadata.is_file()),
        }
    }

    /// Bytes as stored, `None` for a stream.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::Archive(path) => Archive::open(path)
                .ok()
                .map(|archive| archive.manifest().bytes()),
            Self::File(path) => path
                .metadata()
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|metadata| metadata.len()),
        }
    }

    /// Opens it, and decompresses by what it holds, not by its name. An archive is read
    /// as the lines it would be.
    ///
    /// # Errors
    /// [`OpenError`], which names the file.
    pub fn open(&self) -> Result<Box<dyn Read + Send>, OpenError> {
        let reader: Box<dyn Read + Send> = match self {
            Self::Stdin => Box::new(io::stdin()),
            Self::Archive(path) => {
                let opened = Archive::open(path);
                let archive =
                    opened.map_err(|error| OpenError::new(path, io::Error::other(error)))?;
                return Ok(Box::new(JsonLines::new(&archive)));
            }
            Self::File(path) => {
                Box::new(File::open(path).map_err(|cause| OpenError::new(path, cause))?)
            }
        };
        decompressed(reader).map_err(|cause| OpenError::Io {
            path: self.name(),
            cause,
        })
    }
}

/// What cannot be read flows from.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened.
    #[error("open {path}: {cause}")]
    Io {
        /// What.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// It holds manifests, as policies are: nobody records flows as YAML.
    #[error("{path} holds YAML, which is no recording")]
    Manifests {
        /// What.
        path: String,
    },
}

impl OpenError {
    pub(super) fn new(path: &Path, cause: io::Error) -> Self {
        Self::Io {
            path: path.display().to_string(),
            cause,
        }
    }

    /// Whether the path is a wrong one, rather than one that cannot be opened.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Manifests { .. })
    }
}

/// The inputs that command-line paths name: `-` is standard input, a directory is the
/// recordings in it, oldest first, or an archive.
///
/// # Errors
/// [`OpenError`] for a path that does not exist or cannot be listed, for a file of YAML, and
/// for a directory in which there is nothing else.
pub fn inputs(paths: &[PathBuf]) -> Result<Vec<Input>, OpenError> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(Input::Stdin);
            continue;
        }
        let metadata = path
            .metadata()
            .map_err(|cause| OpenError::new(path, cause))?;
        if is_archive(path) {
            inputs.push(Input::Archive(path.clone()));
        } else if metadata.is_dir() {
            let files = rotations(path).map_err(|cause| OpenError::new(path, cause))?;
            if files.is_empty() && holds_manifests_alone(path) {
                return Err(manifests(path));
            }
            inputs.extend(files.into_iter().map(Input::File));
        } else if is_yaml(path) {
            return Err(manifests(path));
        } else {
            inputs.push(Input::File(path.clone()));
        }
    }
    Ok(inputs)
}

fn manifests(path: &Path) -> OpenError {
    OpenError::Manifests {
        path: path.display().to_string(),
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// Whether a directory, and those in it, hold files of YAML and no others. Directories in it
/// that cannot be listed hold others; so do those with very many files.
fn holds_manifests_alone(path: &Path) -> bool {
    let mut folders = vec![path.to_owned()];
    let (mut looked_at, mut found) = (0, false);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir() else {
            return false;
        };
        for entry in entries {
            looked_at += 1;
            let Ok(entry) = entry else { return false };
            let path = entry.path();
            let Ok(kind) = entry.file_type() else {
                return false;
            };
            if looked_at > MOST_LOOKED_AT {
                return false;
            } else if kind.is_dir() {
                folders.push(path);
            } else if is_yaml(&path) {
                found = true;
            } else {
                return false;
            }
        }
    }
    found
}

/// Recordings of a directory in time order.
///
/// Exporters rotate `events.log` to `events-<UTC time>.log[.gz]`, so that names of one
/// stem sort by time and the file without a time is the newest.
fn rotations(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in directory.read_dir()? {
        let path = entry?.path();
        if path.is_file() && is_recording(&path) {
            files.push(path);
        }
    }
    files.sort_by_cached_key(|path| rotation_key(path));
    Ok(files)
}

/// Uncompressed rotations of a live file, oldest first, without the file itself.
pub(super) fn rotations_of(live: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = match live.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (stem, ..) = rotation_key(live);
    let mut files = rotations(directory)?;
    files.retain(|path| {
        let (of, is_live, _) = rotation_key(path);
        of == stem
            && !is_live
            && File::open(path).is_ok_and(|file| is_compressed(&file).is_ok_and(|yes| !yes))
    });
    Ok(files)
}

/// Whether a file begins as a compressed one; its position stays.
pub(super) fn is_compressed(file: &File) -> io::Result<bool> {
    let mut magic = [0; 4];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) => Ok(Compression::of(&magic).is_some()),
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(cause) => Err(cause),
    }
}

fn is_recording(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    [".log", ".json", ".jsonl", ".ndjson"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// (stem, has no time, time): the live file of a stem comes after its rotations.
fn rotation_key(path: &Path) -> (String, bool, String) {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let base = name.split_once('.').map_or(name, |(base, _)| base);
    // events-2026-06-01T10-00-00.000.log
    let time = base
        .char_indices()
        .find(|&(at, character)| {
            character == '-'
                && base[at + 1..].starts_with(|digit: char| digit.is_ascii_digit())
                && base[at + 1..].contains('T')
        })
        .map(|(at, _)| at);
    match time {
        Some(at) => (base[..at].to_owned(), false, name[at + 1..].to_owned()),
        None => (base.to_owned(), true, String::new()),
    }
}

type Sniffed = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

fn decompressed(mut reader: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut magic)?;
    let compression = Compression::of(&magic);
    let whole: Sniffed = Cursor::new(magic).chain(reader);
    Ok(match compression {
        Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(BufReader::with_capacity(
            1 << 16,
            whole,
        ))),
        Some(Compression::Zstd) => Box::new(zstd::Decoder::new(whole)?),
        None => Box::new(whole),
    })
}

#[derive(Clone, Copy)]
enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// What the first bytes of a file say.
    fn of(magic: &[u8]) -> Option<Self> {
        match magic {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn rotations_come_oldest_first_and_the_live_file_last() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "events.log",
            "events-2026-06-02T00-00-00.000.log",
            "events-2026-06-01T10-00-00.000.log.gz",
            "notes.txt",
        ] {
            File::create(directory.path().join(name)).unwrap();
        }
        let found = inputs(&[directory.path().to_owned()]).unwrap();
        let names: Vec<String> = found
            .iter()
            .map(Input::name)
            .map(|name| name.rsplit('/').next().unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "events-2026-06-01T10-00-00.000.log.gz",
                "events-2026-06-02T00-00-00.000.log",
                "events.log"
            ]
        );
    }

    #[test]
    fn manifests_are_no_recordings() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("policies/shop")).unwrap();
        let (policy, nested) = (at("policies/dns.yml"), at("policies/shop/web.yaml"));
        std::fs::write(&policy, "kind: x").unwrap();
        std::fs::write(nested, "kind: y").unwrap();
        for path in [at("policies"), policy] {
            let error = inputs(std::slice::from_ref(&path)).unwrap_err();
            assert!(error.is_usage(), "{error}");
            let said = format!("{} holds YAML, which is no recording", path.display());
            assert_eq!(error.to_string(), said);
        }
        // With a recording among them it is one of recordings, and an empty one of neither.
        std::fs::create_dir(at("empty")).unwrap();
        assert_eq!(inputs(&[at("empty")]).unwrap(), []);
        std::fs::write(at("policies/events.log"), "").unwrap();
        let found = inputs(&[at("policies")]).unwrap();
        assert_eq!(found, [Input::File(at("policies/events.log"))]);
        assert!(inputs(&[PathBuf::from("/nowhere/x.yaml")]).is_err_and(|error| !error.is_usage()));
    }

    #[test]
    fn compression_is_found_by_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plain-name");
        for compress in [false, true] {
            for zstd_format in [false, true] {
                let mut file = File::create(&path).unwrap();
                match (compress, zstd_format) {
                    (false, _) => file.write_all(b"hello").unwrap(),
                    (true, false) => {
                        let mut encoder =
                            flate2::write::GzEncoder::new(file, flate2::Compression::fast());
                        encoder.write_all(b"hello").unwrap();
                        encoder.finish().unwrap();
                    }
                    (true, true) => file
                        .write_all(&zstd::encode_all(&b"hello"[..], 1).unwrap())
                        .unwrap(),
                }
                let mut text = String::new();
                Input::File(path.clone())
                    .open()
                    .unwrap()
                    .read_to_string(&mut text)
                    .unwrap();
                assert_eq!(text, "hello");
            }
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = inputs(&[PathBuf::from("/nowhere/flows.jsonl")]).unwrap_err();
        assert!(error.to_string().starts_with("open /nowhere/flows.jsonl: "));
    }
}
