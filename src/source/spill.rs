//! The last records of an endless stream, in bounded memory.
//!
//! Owns the temporary file that takes what does not fit, and its size: it is compacted
//! so that it holds at most about three times what is needed. Does not render.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes of records that stay in memory.
const MEMORY: usize = 8 << 20;
/// A file below this is not worth compacting.
const SMALL_FILE: u64 = 4 << 20;
/// Bytes that are copied at once.
const BLOCK: usize = 1 << 18;

/// The last `n` records pushed.
pub struct LastLines {
    keep: usize,
    memory_limit: usize,
    /// Lengths of the records that are kept, oldest first: those of the file, then those
    /// of the memory.
    lengths: VecDeque<u32>,
    file: Option<Spill>,
    memory: Vec<u8>,
    /// Start of the first record in `memory` that is kept.
    memory_start: usize,
}

struct Spill {
    file: File,
    /// Records in it that are kept.
    records: usize,
    start: u64,
    end: u64,
}

/// Records that could not be kept or given back.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// The temporary file cannot be made or written: no space, most likely.
    #[error("write a temporary file: {0}")]
    Write(io::Error),
    /// The temporary file cannot be read back.
    #[error("read a temporary file: {0}")]
    Read(io::Error),
    /// Where the records go does not take them.
    #[error("write: {0}")]
    Output(io::Error),
    /// A record over 4 GiB.
    #[error("record of {0} bytes is too long")]
    TooLong(usize),
}

impl LastLines {
    /// Keeps the last `keep` records.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self::with_memory(keep, MEMORY)
    }

    fn with_memory(keep: usize, memory_limit: usize) -> Self {
        Self {
            keep,
            memory_limit,
            lengths: VecDeque::new(),
            file: None,
            memory: Vec::new(),
            memory_start: 0,
        }
    }

    /// Records that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Adds a record, and forgets the oldest where there are too many.
    ///
    /// # Errors
    /// [`SpillError::Write`] or `Read` for the temporary file, `TooLong` for the record.
    pub fn push(&mut self, record: &[u8]) -> Result<(), SpillError> {
        if self.keep == 0 {
            return Ok(());
        }
        let length = u32::try_from(record.len()).map_err(|_| SpillError::TooLong(record.len()))?;
        if self.lengths.len() == self.keep {
            self.forget_oldest();
        }
        if record.len() > self.memory_limit / 4 {
            // One of a few that would take all room: not copied at all.
            self.spill()?.append(record, 1)?;
        } else {
            if self.memory.len() + record.len() > self.memory_limit {
                self.make_room(record.len())?;
            }
            self.memory.extend_from_slice(record);
        }
        self.lengths.push_back(length);
        Ok(())
    }

    /// Writes all that is kept, oldest first, as it was pushed. It stays kept.
    ///
    /// # Errors
    /// [`SpillError::Output`] where `out` does not take it, `Read` for the temporary file.
    pub fn write_to(&mut self, out: &mut dyn Write) -> Result<(), SpillError> {
        if let Some(spill) = &mut self.file {
            spill.write_to(out)?;
        }
        out.write_all(&self.memory[self.memory_start..])
            .map_err(SpillError::Output)
    }

    fn forget_oldest(&mut self) {
        let Some(length) = self.lengths.pop_front() else {
            return;
        };
        match &mut self.file {
            Some(spill) if spill.records > 0 => {
                spill.records -= 1;
                spill.start += u64::from(length);
            }
            _ => self.memory_start += length as usize,
        }
    }

    /// Drops what is no longer kept from the memory, or else moves all of it to the file.
    fn make_room(&mut self, wanted: usize) -> Result<(), SpillError> {
        let kept = self.memory.len() - self.memory_start;
        // Moving less than half makes room for more than was moved.
        if kept + wanted <= self.memory_limit / 2 {
            self.memory.drain(..self.memory_start);
            self.memory_start = 0;
        } else {
            self.spill()?;
        }
        Ok(())
    }

    /// The file, after all that is kept in memory was moved there.
    fn spill(&mut self) -> Result<&mut Spill, SpillError> {
        let spill = match self.file.take() {
            Some(spill) => self.file.insert(spill),
            None => self.file.insert(Spill::new()?),
        };
        let in_memory = self.lengths.len() - spill.records;
        if in_memory > 0 {
            spill.append(&self.memory[self.memory_start..], in_memory)?;
        }
        self.memory.clear();
        self.memory_start = 0;
        Ok(spill)
    }
}

impl Spill {
    fn new() -> Result<Self, SpillError> {
        Ok(Self {
            file: tempfile::tempfile().map_err(SpillError::Write)?,
            records: 0,
            start: 0,
            end: 0,
        })
    }

    fn append(&mut self, bytes: &[u8], records: usize) -> Result<(), SpillError> {
        let kept = self.end - self.start + bytes.len() as u64;
        if self.end > SMALL_FILE && self.end + bytes.len() as u64 > 3 * kept {
            self.compact()?;
        }
        self.file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(bytes))
            .map_err(SpillError::Write)?;
        self.end += bytes.len() as u64;
        self.records += records;
        Ok(())
    }

    /// Moves what is kept to the start of the file, front to back.
    fn compact(&mut self) -> Result<(), SpillError> {
        let mut block = vec![0; BLOCK];
        let (mut from, mut to) = (self.start, 0);
        while from < self.end {
            let length = (self.end - from).min(BLOCK as u64) as usize;
            self.file
                .seek(SeekFrom::Start(from))
                .and_then(|_| self.file.read_exact(&mut block[..length]))
                .map_err(SpillError::Read)?;
            self.file
                .seek(SeekFrom::Start(to))
                .and_then(|_| self.file.write_all(&block[..length]))
                .map_err(SpillError::Write)?;
            from += length as u64;
            to += length as u64;
        }
        self.file.set_len(to).map_err(SpillError::Write)?;
        self.start = 0;
        self.end = to;
        Ok(())
    }

    fn write_to(&mut self, out: &mut dyn Write) -> Result<(), SpillError> {
        self.file
            .seek(SeekFrom::Start(self.start))
            .map_err(SpillError::Read)?;
        let mut block = vec![0; BLOCK];
        let mut left = self.end - self.start;
        while left > 0 {
            let length = left.min(BLOCK as u64) as usize;
            self.file
                .read_exact(&mut block[..length])
                .map_err(SpillError::Read)?;
            out.write_all(&block[..length])
                .map_err(SpillError::Output)?;
            left -= length as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_is_a_queue_of_the_last(
            keep in 0_usize..40,
            memory in 1_usize..200,
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..200),
        ) {
            let mut last = LastLines::with_memory(keep, memory);
            let mut naive: VecDeque<&[u8]> = VecDeque::new();
            for (number, record) in records.iter().enumerate() {
                last.push(record).unwrap();
                naive.push_back(record);
                if naive.len() > keep {
                    naive.pop_front();
                }
                if number % 50 == 49 || number + 1 == records.len() {
                    let mut out = Vec::new();
                    last.write_to(&mut out).unwrap();
                    prop_assert_eq!(&out, &naive.iter().copied().flatten().copied().collect::<Vec<u8>>());
                    prop_assert_eq!(last.len(), naive.len());
                }
            }
        }
    }

    /// Scenario: 200 MB pass, 10 MB of which are kept, with 1 MB of memory.
    /// Guarantees: the file stays within three times what is kept, memory within its limit.
    #[test]
    fn the_file_is_compacted() {
        let record = [b'x'; 1000];
        let mut last = LastLines::with_memory(10_000, 1 << 20);
        let mut largest = 0;
        for _ in 0..200_000 {
            last.push(&record).unwrap();
            assert!(last.memory.len() <= 1 << 20);
            if let Some(spill) = &last.file {
                largest = largest.max(spill.end);
            }
        }
        assert!(largest <= 3 * 10_000_000 + (1 << 20), "{largest}");
        let mut out = Vec::new();
        last.write_to(&mut out).unwrap();
        assert_eq!(out.len(), 10_000_000);
    }
}
