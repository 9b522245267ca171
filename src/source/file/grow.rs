//! One file that grows under one name, over rotations.
//!
//! Owns telling files apart: by device and inode, which cannot be given to another file
//! while this one is open, and by their first bytes, for one that is written anew in
//! place. Does not wait: that is `follow`.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::chunk::Chunk;
use super::follow::Change;
use super::lines::LineBuffer;
use super::open::{is_compressed, rotations_of};

/// Bytes that are read at once.
const BLOCK: usize = 2 << 20;
/// First bytes that are remembered; an exporter's lines begin with times and uuids.
const HEAD: usize = 256;
/// How long a file that was renamed away gets nothing new before its writer is taken to
/// have let go of it.
const GRACE: Duration = Duration::from_millis(200);

/// What one look at the file gave.
#[derive(Debug)]
pub(super) enum Progress {
    /// Whole lines.
    Piece(Chunk),
    /// Something happened to the file; look again.
    Changed(Change),
    /// Nothing for now.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Growing {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    offset: u64,
    head: Vec<u8>,
    lines: LineBuffer,
    /// Since when another file has the name and this one gets nothing.
    replaced: Option<Instant>,
    gone: bool,
    /// Told after the piece that came with it.
    change: Option<Change>,
    /// Files that had the name between the one that is read and the one that has it.
    missed: VecDeque<PathBuf>,
}

impl Growing {
    /// Opens it, `None` for a compressed file.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        if is_compressed(&file)? {
            return Ok(None);
        }
        let identity = identity(&file.metadata()?);
        Ok(Some(Self {
            path: path.to_owned(),
            file,
            identity,
            offset: 0,
            head: Vec::new(),
            lines: LineBuffer::default(),
            replaced: None,
            gone: false,
            change: None,
            missed: VecDeque::new(),
        }))
    }

    /// Takes one look.
    pub(super) fn poll(&mut self) -> io::Result<Progress> {
        if let Some(change) = self.change.take() {
            return Ok(Progress::Changed(change));
        }
        loop {
            if self.was_rewritten()? {
                return self.restart();
            }
            let file = &mut self.file;
            let (piece, added) = self.lines.fill(|held| {
                held.reserve(1 << 12);
                file.by_ref().take(BLOCK as u64).read_to_end(held).map(drop)
            })?;
            self.offset += added as u64;
            self.remember_head()?;
            if added > 0 {
                self.replaced = None;
            }
            if let Some(piece) = piece {
                return Ok(Progress::Piece(piece));
            }
            if added == 0 {
                return self.look_around();
            }
        }
    }

    fn was_rewritten(&self) -> io::Result<bool> {
        let length = self.file.metadata()?.len();
        if length < self.offset {
            return Ok(true);
        }
        if length == self.offset || self.head.is_empty() {
            // A rewrite to the very same length is found when the file grows again.
            return Ok(false);
        }
        let mut now = [0; HEAD];
        let now = &mut now[..self.head.len()];
        Ok(self.file.read_exact_at(now, 0).is_err() || now != self.head)
    }

    fn restart(&mut self) -> io::Result<Progress> {
        self.file.seek(SeekFrom::Start(0))?;
        self.offset = 0;
        self.head.clear();
        // A line that was cut off is handed on, to be counted as what it is.
        let rest = self.lines.finish();
        Ok(self.changed(Change::Truncated, rest))
    }

    fn changed(&mut self, change: Change, rest: Option<Chunk>) -> Progress {
        match rest {
            Some(rest) => {
                self.change = Some(change);
                Progress::Piece(rest)
            }
            None => Progress::Changed(change),
        }
    }

    fn remember_head(&mut self) -> io::Result<()> {
        let known = self.head.len();
        let wanted = HEAD.min(usize::try_from(self.offset).unwrap_or(HEAD));
        if known < wanted {
            self.head.resize(wanted, 0);
            if let Err(cause) = self
                .file
                .read_exact_at(&mut self.head[known..], known as u64)
            {
                self.head.truncate(known);
                if cause.kind() != io::ErrorKind::UnexpectedEof {
                    return Err(cause);
                }
            }
        }
        Ok(())
    }

    /// At the end of the file: is it still the one of its name?
    fn look_around(&mut self) -> io::Result<Progress> {
        if self.missed.is_empty() {
            match self.path.metadata() {
                Ok(found) if identity(&found) == self.identity => {
                    self.replaced = None;
                    self.gone = false;
                    return Ok(Progress::Nothing);
                }
                Ok(_) => {}
                Err(cause) if is_transient(&cause) => {
                    if std::mem::replace(&mut self.gone, true) {
                        return Ok(Progress::Nothing);
                    }
                    return Ok(Progress::Changed(Change::Gone));
                }
                Err(cause) => return Err(cause),
            }
            if self.replaced.get_or_insert_with(Instant::now).elapsed() < GRACE {
                return Ok(Progress::Nothing);
            }
            self.missed = self.rotated_since();
        }
        self.go_on()
    }

    /// Opens the next file of the name.
    fn go_on(&mut self) -> io::Result<Progress> {
        let next = self.missed.pop_front();
        let opened = File::open(next.as_ref().unwrap_or(&self.path))
            .and_then(|file| Ok((identity(&file.metadata()?), file)));
        let (identity, file) = match opened {
            Ok(opened) => opened,
            // Renamed or removed again this moment.
            Err(cause) if is_transient(&cause) => return Ok(Progress::Nothing),
            Err(cause) => return Err(cause),
        };
        self.file = file;
        self.identity = identity;
        self.offset = 0;
        self.head.clear();
        self.replaced = None;
        self.gone = false;
        // The end of the old file without a line break is whole: nobody will add to it.
        let rest = self.lines.finish();
        Ok(self.changed(Change::Rotated, rest))
    }

    /// Rotations of the name that are newer than the file that was read. Empty where
    /// that file is not among them: removed, compressed, or named in another way.
    fn rotated_since(&self) -> VecDeque<PathBuf> {
        let rotations = rotations_of(&self.path).unwrap_or_default();
        let ours = rotations.iter().position(|path| {
            path.metadata()
                .is_ok_and(|found| identity(&found) == self.identity)
        });
        match ours {
            Some(ours) => rotations.into_iter().skip(ours + 1).collect(),
            None => VecDeque::new(),
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_transient(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}
