//! The journal of a recording that goes on: what came, in the order it came.
//!
//! Owns two files, `journal/ID.flows` and `journal/ID.notices`, and reading them up to a
//! tear. Rows are here until they are sealed into Parquet. Each batch is a frame: a sign,
//! the length and the checksum of what follows, and a stream in Arrow's IPC format. So a
//! tear costs the frame it is in and nothing before, and is never taken for data.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use flate2::Crc;

use crate::flow::{
    DEFAULT_DICTIONARY_BYTES, DecodeError, Decoder, Encoder, FlowBatch, Gathered, Notice,
    notices_from, notices_to,
};
use crate::source::archive::ArchiveError;

/// Folder of the journals, below that of the archive.
const FOLDER: &str = "journal";
const FLOWS: &str = ".flows";
const NOTICES: &str = ".notices";
/// Begins each frame.
const SIGN: [u8; 4] = *b"fwj1";
/// Sign, length, checksum.
const HEADER: usize = 12;

/// A journal being written.
#[derive(Debug)]
pub(super) struct Journal {
    id: String,
    path: PathBuf,
    flows: File,
    notices: File,
    notices_path: PathBuf,
    encoder: Encoder,
    bytes: u64,
    is_dirty: bool,
}

/// How a journal ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tear {
    /// Bytes of its end that could not be read; 0 for a whole one.
    pub(super) bytes: u64,
}

impl Journal {
    /// Begins a journal in the archive of `folder`.
    pub(super) fn create(folder: &Path, id: String, with_uuid: bool) -> Result<Self, ArchiveError> {
        let journals = folder.join(FOLDER);
        fs::create_dir_all(&journals).map_err(ArchiveError::io("create", &journals))?;
        let create = |ending: &str| {
            let path = journals.join(format!("{id}{ending}"));
            // Always at the end, also after half a frame was cut off again.
            let file = File::options().append(true).create_new(true).open(&path);
            let file = file.map_err(ArchiveError::io("create", &path))?;
            Ok::<_, ArchiveError>((path, file))
        };
        let (path, flows) = create(FLOWS)?;
        let (notices_path, notices) = create(NOTICES)?;
        File::open(&journals)
            .and_then(|folder| folder.sync_all())
            .map_err(ArchiveError::io("sync", &journals))?;
        Ok(Self {
            id,
            path,
            flows,
            notices,
            notices_path,
            encoder: Encoder::new(with_uuid),
            bytes: 0,
            is_dirty: false,
        })
    }

    /// Its name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Bytes of flows.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends the flows of a batch.
    pub(super) fn flows(&mut self, batch: &FlowBatch) -> Result<(), ArchiveError> {
        if batch.is_empty() {
            return Ok(());
        }
        let order: Vec<u32> = (0..batch.len() as u32).collect();
        let record = self.encoder.encode(batch, &order);
        let bytes = record.and_then(|record| frame(&record));
        let bytes = bytes.map_err(|cause| ArchiveError::Write {
            path: self.path.clone(),
            cause: cause.into(),
        })?;
        append(&mut self.flows, &bytes, self.bytes)
            .map_err(ArchiveError::io("write", &self.path))?;
        self.bytes += bytes.len() as u64;
        self.is_dirty = true;
        Ok(())
    }

    /// Appends notices with the times of their places.
    pub(super) fn notices(&mut self, notices: &[(i64, Notice)]) -> Result<(), ArchiveError> {
        if notices.is_empty() {
            return Ok(());
        }
        let bytes = notices_to(notices).and_then(|record| frame(&record));
        let bytes = bytes.map_err(|cause| ArchiveError::Write {
            path: self.notices_path.clone(),
            cause: cause.into(),
        })?;
        let end = self.notices.metadata().map(|metadata| metadata.len());
        end.and_then(|end| append(&mut self.notices, &bytes, end))
            .map_err(ArchiveError::io("write", &self.notices_path))?;
        self.is_dirty = true;
        Ok(())
    }

    /// Makes what was appended safe against a crash of the machine.
    pub(super) fn sync(&mut self) -> Result<(), ArchiveError> {
        if self.is_dirty {
            self.flows
                .sync_data()
                .map_err(ArchiveError::io("sync", &self.path))?;
            self.notices
                .sync_data()
                .map_err(ArchiveError::io("sync", &self.notices_path))?;
            self.is_dirty = false;
        }
        Ok(())
    }
}

/// Appends all of `bytes` or nothing: half a batch would hide what comes after it.
fn append(file: &mut File, bytes: &[u8], end: u64) -> io::Result<()> {
    file.write_all(bytes).inspect_err(|_| {
        // Where this fails as well, what comes after is lost with the tear, and said.
        let _ = file.set_len(end);
    })
}

/// The frame of a record.
fn frame(record: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut bytes = vec![0; HEADER];
    let mut writer = StreamWriter::try_new(&mut bytes, &record.schema())?;
    writer.write(record)?;
    writer.finish()?;
    drop(writer);
    let body = &bytes[HEADER..];
    let length = u32::try_from(body.len())
        .map_err(|_| ArrowError::IpcError(format!("a batch of {} bytes", body.len())))?;
    let sum = checksum(body);
    bytes[..4].copy_from_slice(&SIGN);
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Names of the journals in an archive, in order.
pub(super) fn journals(folder: &Path) -> Result<Vec<String>, ArchiveError> {
    let path = folder.join(FOLDER);
    let entries = match fs::read_dir(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(ArchiveError::io("list", &path))?,
    };
    let mut found: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| {
            let id = name.strip_suffix(NOTICES).or(name.strip_suffix(FLOWS))?;
            Some(id.to_owned())
        })
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// Deletes a journal.
pub(super) fn delete(folder: &Path, id: &str) -> Result<(), ArchiveError> {
    for ending in [FLOWS, NOTICES] {
        let path = folder.join(FOLDER).join(format!("{id}{ending}"));
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(ArchiveError::io("remove", &path))?,
        }
    }
    Ok(())
}

/// Reads the flows of a journal, up to its end or a tear.
pub(super) fn read_flows(
    folder: &Path,
    id: &str,
    mut batches: impl FnMut(FlowBatch) -> Result<(), ArchiveError>,
) -> Result<Tear, ArchiveError> {
    let mut decoder = Decoder::new(DEFAULT_DICTIONARY_BYTES);
    read(folder, id, FLOWS, |record| {
        let mut rows = decoder.decode(record)?;
        let order: Vec<u32> = (0..rows.len() as u32).collect();
        let mut batch = Gathered::default();
        batch.add(&mut rows, &order);
        Ok(batches(batch.finish()))
    })
}

/// Reads the notices of a journal, up to its end or a tear.
pub(super) fn read_notices(
    folder: &Path,
    id: &str,
    mut notices: impl FnMut(i64, Notice) -> Result<(), ArchiveError>,
) -> Result<Tear, ArchiveError> {
    read(folder, id, NOTICES, |record| {
        for (at, notice) in notices_from(record)? {
            if let Err(error) = notices(at, notice) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    })
}

/// The records of a file. A frame that cannot be read is the tear, and nothing after it
/// is looked at.
fn read(
    folder: &Path,
    id: &str,
    ending: &str,
    mut take: impl FnMut(&RecordBatch) -> Result<Result<(), ArchiveError>, DecodeError>,
) -> Result<Tear, ArchiveError> {
    let path = folder.join(FOLDER).join(format!("{id}{ending}"));
    let file = match File::open(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Tear::default()),
        file => file.map_err(ArchiveError::io("open", &path))?,
    };
    let metadata = file.metadata().map_err(ArchiveError::io("open", &path))?;
    let mut left = metadata.len();
    let mut input = BufReader::with_capacity(1 << 18, file);
    while left > 0 {
        let body = next_frame(&mut input, left).map_err(ArchiveError::io("read", &path))?;
        let Some(body) = body else { break };
        let Some(records) = records(&body) else { break };
        for record in &records {
            match take(record) {
                Ok(taken) => taken?,
                // Whole by its checksum, and yet not ours: no more than a tear.
                Err(_) => return Ok(Tear { bytes: left }),
            }
        }
        left -= (HEADER + body.len()) as u64;
    }
    Ok(Tear { bytes: left })
}

/// What the next frame holds, `None` where it is torn.
fn next_frame(input: &mut impl Read, left: u64) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; HEADER];
    if left < HEADER as u64 {
        return Ok(None);
    }
    input.read_exact(&mut header)?;
    let number = |at: usize| {
        header[at..]
            .first_chunk::<4>()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let (length, sum) = (number(4), number(8));
    if header[..4] != SIGN || u64::from(length) > left - HEADER as u64 {
        return Ok(None);
    }
    let mut body = vec![0; length as usize];
    input.read_exact(&mut body)?;
    Ok((checksum(&body) == sum).then_some(body))
}

fn records(body: &[u8]) -> Option<Vec<RecordBatch>> {
    let reader = StreamReader::try_new(body, None).ok()?;
    reader.collect::<Result<Vec<_>, _>>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::testing::{TEN, at_times};

    /// Scenario: the disk is full in the middle of a frame, which is cut off, and then has
    /// room again.
    /// Guarantees: what is written after that is read.
    #[test]
    fn frames_after_one_that_failed_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path(), "one".to_owned(), false).unwrap();
        journal.flows(&at_times("c/n", [TEN, TEN + 1])).unwrap();
        journal.flows.write_all(b"half a frame").unwrap();
        journal.flows.set_len(journal.bytes).unwrap();
        journal.flows(&at_times("c/n", [TEN + 2])).unwrap();
        let mut rows = 0;
        let tear = read_flows(folder.path(), "one", |batch| {
            rows += batch.len();
            Ok(())
        });
        assert_eq!(tear.unwrap(), Tear::default());
        assert_eq!(rows, 3);
    }
}
