//! The bytes of a file of an archive, counted as they are read.
//!
//! Owns access to the disk. What the bytes mean is `part`'s.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf as _, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::error::ArchiveError;

/// A file that counts the bytes that are read of it.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    file: Arc<File>,
    length: u64,
    read: Arc<AtomicU64>,
}

impl Counted {
    pub(super) fn open(path: &Path, read: &Arc<AtomicU64>) -> Result<Self, ArchiveError> {
        let open = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(ArchiveError::io("open", path))?;
        Ok(Self {
            file: Arc::new(file),
            length,
            read: Arc::clone(read),
        })
    }

    /// Its length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The bytes of some columns of a row group, neighbours at once.
    pub(super) fn fetch(
        &self,
        group: &RowGroupMetaData,
        mask: &ProjectionMask,
    ) -> Result<Fetched, ParquetError> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (leaf, column) in group.columns().iter().enumerate() {
            if !mask.leaf_included(leaf) {
                continue;
            }
            let (start, length) = column.byte_range();
            let end = start.saturating_add(length);
            match ranges.last_mut() {
                Some((_, last)) if *last == start => *last = end,
                _ => ranges.push((start, end)),
            }
        }
        let ranges = ranges.into_iter().map(|(start, end)| {
            let length = usize::try_from(end - start)
                .map_err(|_| ParquetError::General("a column is too large".to_owned()))?;
            Ok((start, self.get_bytes(start, length)?))
        });
        Ok(Fetched {
            length: self.length,
            ranges: ranges.collect::<Result<_, ParquetError>>()?,
        })
    }
}

impl Length for Counted {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Counted {
    type T = BufReader<CountedReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(CountedReader {
            of: self.clone(),
            at: start,
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} of {}",
                self.length
            )));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(bytes.into())
    }
}

/// Parts of a file that were read.
pub(super) struct Fetched {
    length: u64,
    /// In order, each with where it begins.
    ranges: Vec<(u64, Bytes)>,
}

impl Fetched {
    /// What was read from `start` on.
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let range = self.ranges.iter().rev().find(|(first, _)| *first <= start);
        range
            .and_then(|(first, bytes)| {
                let at = usize::try_from(start - first).ok()?;
                (at <= bytes.len()).then(|| bytes.slice(at..))
            })
            .ok_or_else(|| ParquetError::EOF(format!("byte {start} is of no column")))
    }
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start}")));
        }
        Ok(bytes.slice(..length))
    }
}

/// Reads on from a place, whatever others read of the file.
pub(super) struct CountedReader {
    of: Counted,
    at: u64,
}

impl Read for CountedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.of.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        self.of.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for CountedReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.of.length.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
