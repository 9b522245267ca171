//! Sorting more than fits in memory.
//!
//! Owns sorted runs in temporary files and merging them. What is sorted is bytes with a
//! key of bytes, compared as such: [`order_key`] makes the key of a flow, (time, node,
//! tuple hash, arrival). Knows nothing else of flows.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use super::spill::SpillError;

/// Bytes of records in memory before they are written out.
pub const DEFAULT_MEMORY: usize = 32 << 20;
/// Runs that are open at once; that many are merged into one.
const FAN_IN: usize = 64;
/// Read buffer of a run: with all of a merge open, 4 MiB.
const RUN_BUFFER: usize = 64 << 10;

/// Writes to `key` what sorts as (time, node, tuple hash, arrival): no time comes first.
///
/// `arrival` tells equal flows apart; numbered in order, it makes the sort stable.
pub fn order_key(key: &mut Vec<u8>, time: Option<i64>, node: &str, tuple: u64, arrival: u64) {
    key.clear();
    // The sign bit flipped, so that negative numbers come first as bytes.
    let time = time.unwrap_or(i64::MIN) as u64 ^ (1 << 63);
    key.extend_from_slice(&time.to_be_bytes());
    key.extend_from_slice(node.as_bytes());
    // Ends the name: a name sorts before those it begins.
    key.push(0);
    key.extend_from_slice(&tuple.to_be_bytes());
    key.extend_from_slice(&arrival.to_be_bytes());
}

/// Takes records in any order; [`ExternalSorter::finish`] gives them back by key.
pub struct ExternalSorter {
    limit: usize,
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// Runs by how often their records were merged; below [`FAN_IN`] of each.
    levels: Vec<Vec<Run>>,
}

/// Records by key.
pub struct Sorted {
    heads: BinaryHeap<Head>,
    payload: Vec<u8>,
}

impl ExternalSorter {
    /// Sorts with about `memory` bytes; [`DEFAULT_MEMORY`] is a good number.
    #[must_use]
    pub fn new(memory: usize) -> Self {
        Self {
            limit: memory.min(u32::MAX as usize),
            arena: Vec::new(),
            entries: Vec::new(),
            levels: Vec::new(),
        }
    }

    /// Adds a record. Records with equal keys come back in any order.
    ///
    /// # Errors
    /// [`SpillError`] when a temporary file cannot be written, or the record is over
    /// 4 GiB.
    pub fn push(&mut self, key: &[u8], payload: &[u8]) -> Result<(), SpillError> {
        let wanted = key.len() + payload.len() + size_of::<Entry>();
        let held = self.arena.len() + self.entries.len() * size_of::<Entry>();
        if held + wanted > self.limit && !self.entries.is_empty() {
            self.spill()?;
        }
        let too_long = |_| SpillError::TooLong(wanted);
        let entry = Entry {
            prefix: prefix(key),
            start: u32::try_from(self.arena.len()).map_err(too_long)?,
            key: u32::try_from(key.len()).map_err(too_long)?,
            payload: u32::try_from(payload.len()).map_err(too_long)?,
        };
        self.arena.extend_from_slice(key);
        self.arena.extend_from_slice(payload);
        self.entries.push(entry);
        Ok(())
    }

    /// Sorts what was pushed.
    ///
    /// # Errors
    /// [`SpillError`] for the temporary files.
    pub fn finish(mut self) -> Result<Sorted, SpillError> {
        self.sort();
        let memory = Records::Memory {
            arena: std::mem::take(&mut self.arena),
            entries: std::mem::take(&mut self.entries).into_iter(),
        };
        // Those merged least are the shortest.
        let mut runs: Vec<Run> = self.levels.into_iter().flatten().collect();
        while runs.len() > FAN_IN {
            let rest = runs.split_off(FAN_IN.min(runs.len() - FAN_IN + 1));
            let merged = Run::merged(runs)?;
            runs = rest;
            runs.push(merged);
        }
        let records = runs.into_iter().map(Records::File);
        Sorted::new(records.chain([memory]))
    }

    fn sort(&mut self) {
        let arena = &self.arena;
        self.entries.sort_unstable_by(|left, right| {
            left.prefix
                .cmp(&right.prefix)
                .then_with(|| left.key(arena).cmp(right.key(arena)))
        });
    }

    fn spill(&mut self) -> Result<(), SpillError> {
        self.sort();
        let mut writer = RunWriter::new()?;
        for entry in &self.entries {
            writer.add(entry.key(&self.arena), entry.payload(&self.arena))?;
        }
        self.entries.clear();
        self.arena.clear();
        let mut run = writer.finish()?;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(run);
            if self.levels[level].len() < FAN_IN {
                break;
            }
            run = Run::merged(std::mem::take(&mut self.levels[level]))?;
        }
        Ok(())
    }
}

impl Sorted {
    fn new(runs: impl Iterator<Item = Records>) -> Result<Self, SpillError> {
        let mut heads = BinaryHeap::new();
        for records in runs {
            let mut head = Head {
                key: Vec::new(),
                payload: Vec::new(),
                records,
            };
            if head.advance()? {
                heads.push(head);
            }
        }
        Ok(Self {
            heads,
            payload: Vec::new(),
        })
    }

    /// The payload of the next record, `None` after the last.
    ///
    /// # Errors
    /// [`SpillError::Read`] when a temporary file cannot be read back.
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, SpillError> {
        let payload = &mut self.payload;
        let took = take(&mut self.heads, |_, head| {
            std::mem::swap(head, payload);
            Ok(())
        })?;
        Ok(took.then_some(self.payload.as_slice()))
    }
}

/// Hands over key and payload of the least record and goes on to the next of its run.
fn take(
    heads: &mut BinaryHeap<Head>,
    with: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<(), SpillError>,
) -> Result<bool, SpillError> {
    let Some(mut head) = heads.peek_mut() else {
        return Ok(false);
    };
    let Head { key, payload, .. } = &mut *head;
    with(key, payload)?;
    if !head.advance()? {
        PeekMut::pop(head);
    }
    Ok(true)
}

#[derive(Clone, Copy)]
struct Entry {
    /// The first bytes of the key, which decide most comparisons.
    prefix: u64,
    start: u32,
    key: u32,
    payload: u32,
}

impl Entry {
    fn key<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.start as usize..][..self.key as usize]
    }

    fn payload<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.start as usize + self.key as usize..][..self.payload as usize]
    }
}

fn prefix(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = key.len().min(8);
    first[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(first)
}

/// Sorted records in a temporary file, each `key length, payload length, key, payload`.
struct Run {
    file: BufReader<File>,
    left: u64,
}

impl Run {
    fn merged(runs: Vec<Run>) -> Result<Self, SpillError> {
        let mut heads = Sorted::new(runs.into_iter().map(Records::File))?.heads;
        let mut writer = RunWriter::new()?;
        while take(&mut heads, |key, payload| writer.add(key, payload))? {}
        writer.finish()
    }

    fn read(&mut self, key: &mut Vec<u8>, payload: &mut Vec<u8>) -> io::Result<()> {
        let mut lengths = [[0; 4]; 2];
        for length in &mut lengths {
            self.file.read_exact(length)?;
        }
        for (part, length) in [key, payload].into_iter().zip(lengths) {
            part.resize(u32::from_le_bytes(length) as usize, 0);
            self.file.read_exact(part)?;
        }
        self.left -= 1;
        Ok(())
    }
}

struct RunWriter {
    file: BufWriter<File>,
    records: u64,
}

impl RunWriter {
    fn new() -> Result<Self, SpillError> {
        let file = tempfile::tempfile().map_err(SpillError::Write)?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 18, file),
            records: 0,
        })
    }

    fn add(&mut self, key: &[u8], payload: &[u8]) -> Result<(), SpillError> {
        let mut write = || {
            for part in [key, payload] {
                self.file.write_all(&(part.len() as u32).to_le_bytes())?;
            }
            self.file.write_all(key)?;
            self.file.write_all(payload)
        };
        write().map_err(SpillError::Write)?;
        self.records += 1;
        Ok(())
    }

    fn finish(self) -> Result<Run, SpillError> {
        let mut file = self
            .file
            .into_inner()
            .map_err(|error| SpillError::Write(error.into_error()))?;
        file.rewind().map_err(SpillError::Write)?;
        Ok(Run {
            file: BufReader::with_capacity(RUN_BUFFER, file),
            left: self.records,
        })
    }
}

/// A sorted sequence of records and the first of it.
struct Head {
    key: Vec<u8>,
    payload: Vec<u8>,
    records: Records,
}

enum Records {
    Memory {
        arena: Vec<u8>,
        entries: std::vec::IntoIter<Entry>,
    },
    File(Run),
}

impl Head {
    /// Takes the next record, false after the last.
    fn advance(&mut self) -> Result<bool, SpillError> {
        match &mut self.records {
            Records::Memory { arena, entries } => {
                let Some(entry) = entries.next() else {
                    return Ok(false);
                };
                self.key.clear();
                self.key.extend_from_slice(entry.key(arena));
                self.payload.clear();
                self.payload.extend_from_slice(entry.payload(arena));
            }
            Records::File(run) => {
                if run.left == 0 {
                    return Ok(false);
                }
                run.read(&mut self.key, &mut self.payload)
                    .map_err(SpillError::Read)?;
            }
        }
        Ok(true)
    }
}

/// The heap gives its greatest: that is the least key.
impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Head {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(records: &[(Vec<u8>, Vec<u8>)], memory: usize) -> Vec<Vec<u8>> {
        let mut sorter = ExternalSorter::new(memory);
        for (key, payload) in records {
            sorter.push(key, payload).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        let mut all = Vec::new();
        while let Some(payload) = sorted.next_record().unwrap() {
            all.push(payload.to_vec());
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_is_a_stable_sort_by_time_node_and_tuple(
            flows in prop::collection::vec(
                (prop::option::of(-3_i64..3), "[ab]{0,2}", 0_u64..3),
                0..150,
            ),
            memory in 1_usize..2000,
        ) {
            let records: Vec<_> = flows
                .iter()
                .enumerate()
                .map(|(arrival, (time, node, tuple))| {
                    let mut key = Vec::new();
                    order_key(&mut key, *time, node, *tuple, arrival as u64);
                    (key, format!("{time:?}/{node}/{tuple}/{arrival}").into_bytes())
                })
                .collect();
            let mut naive: Vec<_> = flows.iter().enumerate().collect();
            naive.sort_by_key(|(_, flow)| *flow);
            let naive: Vec<Vec<u8>> =
                naive.iter().map(|&(arrival, _)| records[arrival].1.clone()).collect();
            prop_assert_eq!(sorted(&records, memory), naive);
        }
    }

    /// Scenario: a run a record, so that runs are merged in three levels.
    #[test]
    fn many_runs_are_merged_in_passes() {
        let records: Vec<(Vec<u8>, Vec<u8>)> = (0..4300_u32)
            .map(|n| {
                let shuffled = n.wrapping_mul(2_654_435_761);
                (
                    shuffled.to_be_bytes().to_vec(),
                    shuffled.to_string().into_bytes(),
                )
            })
            .collect();
        let all = sorted(&records, 1);
        let numbers: Vec<u32> = all
            .iter()
            .map(|payload| std::str::from_utf8(payload).unwrap().parse().unwrap())
            .collect();
        assert_eq!(numbers.len(), 4300);
        assert!(numbers.is_sorted());
    }
}
