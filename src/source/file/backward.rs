//! A recording from its end to its start.
//!
//! Owns finding out that a recording is newest first, as some exports are, and reading it
//! backwards in bounded memory, so that what keeps state sees ascending times. That takes
//! a plain file with an object a line; for others the caller has to sort.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use super::chunk::{Chunk, MAX_LINE, is_lines};
use super::decode::LineDecoder;
use super::open::is_compressed;

/// Bytes read at once.
const BLOCK: usize = 2 << 20;
/// Bytes at either end that are looked at for the order: a few thousand records.
const SAMPLE: usize = 4 << 20;

/// How the records of a file follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOrder {
    /// Oldest first, but for neighbours that nodes report out of turn.
    Ascending,
    /// Newest first, with the same exception.
    Descending,
    /// Neither.
    Unsorted,
    /// Too few records with times to tell, or no plain file with an object a line.
    Unknown,
}

impl FileOrder {
    /// Looks at the first and the last few thousand records of a file.
    ///
    /// # Errors
    /// [`io::Error`] of opening and reading it.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::of_sample(path, SAMPLE)?.map_or(Self::Unknown, |(order, _)| order))
    }

    /// As [`FileOrder::of`], looking at `sample` bytes at either end, with the times seen
    /// there; `None` for what is no plain file with an object a line.
    pub(super) fn of_sample(
        path: &Path,
        sample: usize,
    ) -> io::Result<Option<(Self, Vec<Vec<i64>>)>> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if !is_reversible(&file)? {
            return Ok(None);
        }
        let samples = if length <= 2 * sample as u64 {
            vec![times(&read_at(&file, 0, length as usize)?)]
        } else {
            // Both end in the middle of a line, which the decoder counts and leaves.
            vec![
                times(&read_at(&file, 0, sample)?),
                times(&read_at(&file, length - sample as u64, sample)?),
            ]
        };
        Ok(Some((Self::of_samples(&samples), samples)))
    }

    /// Four of five steps must go one way, and the whole too.
    pub(super) fn of_samples(samples: &[Vec<i64>]) -> Self {
        let (mut up, mut down) = (0_u64, 0_u64);
        for pair in samples.iter().flat_map(|times| times.windows(2)) {
            up += u64::from(pair[0] < pair[1]);
            down += u64::from(pair[0] > pair[1]);
        }
        let mut times = samples.iter().flatten();
        let (Some(first), last) = (times.next(), times.next_back()) else {
            return Self::Unknown;
        };
        let last = last.unwrap_or(first);
        match (up, down) {
            (0, 0) if first == last => Self::Unknown,
            _ if down == 0 && first <= last => Self::Ascending,
            _ if up == 0 && first >= last => Self::Descending,
            _ if up >= 4 * down && first < last => Self::Ascending,
            _ if down >= 4 * up && first > last => Self::Descending,
            _ => Self::Unsorted,
        }
    }
}

/// Reads a file backwards: pieces from its end to its start, the lines of each reversed.
///
/// Lines are counted from the end, in what a decoder reports of them too.
pub struct BackwardReader {
    file: File,
    /// What is before it has not been read.
    position: u64,
    /// The end of a line that begins before `position`.
    carry: Vec<u8>,
    dropping: bool,
    failed: bool,
}

impl BackwardReader {
    /// Opens a file, `None` for one that cannot be read backwards: compressed, no plain
    /// file, or not an object a line.
    ///
    /// # Errors
    /// [`io::Error`] of opening it.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let position = file.metadata()?.len();
        if !is_reversible(&file)? {
            return Ok(None);
        }
        Ok(Some(Self {
            file,
            position,
            carry: Vec::new(),
            dropping: false,
            failed: false,
        }))
    }

    /// The next piece, `None` at the start of the file.
    pub fn next_chunk(&mut self) -> Option<Chunk> {
        self.next_block(BLOCK)
    }

    fn next_block(&mut self, size: usize) -> Option<Chunk> {
        let mut dropped = 0;
        while self.position > 0 && !self.failed {
            let length = self.position.min(size as u64) as usize;
            let start = self.position - length as u64;
            let mut block = match read_at(&self.file, start, length) {
                Ok(block) => block,
                Err(cause) => {
                    self.failed = true;
                    return Some(Chunk {
                        bytes: Bytes::new(),
                        dropped,
                        damaged: Some(cause.to_string()),
                    });
                }
            };
            self.position = start;
            if self.dropping {
                // Up to its last line break it belongs to other lines.
                let end = memchr::memrchr(b'\n', &block).map_or(0, |newline| newline + 1);
                self.dropping = end == 0 && start > 0;
                block.truncate(end);
                if end == 0 {
                    continue;
                }
            } else {
                block.append(&mut self.carry);
            }
            let first = if start == 0 {
                0
            } else {
                // The line before the first line break begins further up.
                memchr::memchr(b'\n', &block).map_or(block.len(), |newline| newline + 1)
            };
            if first > MAX_LINE {
                self.dropping = true;
                dropped += 1;
            } else {
                self.carry = block[..first].to_vec();
            }
            if first < block.len() {
                return Some(Chunk {
                    bytes: reversed(&block[first..]).into(),
                    dropped,
                    damaged: None,
                });
            }
        }
        (dropped > 0).then(|| Chunk {
            bytes: Bytes::new(),
            dropped,
            damaged: None,
        })
    }
}

/// Lines last to first, each with a line break.
fn reversed(lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len() + 1);
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let mut end = lines.len();
    loop {
        let start = memchr::memrchr(b'\n', &lines[..end]).map_or(0, |newline| newline + 1);
        out.extend_from_slice(&lines[start..end]);
        out.push(b'\n');
        if start == 0 {
            return out;
        }
        end = start - 1;
    }
}

fn is_reversible(file: &File) -> io::Result<bool> {
    if !file.metadata()?.is_file() || is_compressed(file)? {
        return Ok(false);
    }
    let mut start = Vec::new();
    file.take(BLOCK as u64).read_to_end(&mut start)?;
    Ok(is_lines(&start))
}

fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn times(sample: &[u8]) -> Vec<i64> {
    let chunk = Chunk {
        bytes: Bytes::copy_from_slice(sample),
        dropped: 0,
        damaged: None,
    };
    let mut times = Vec::new();
    LineDecoder::default().decode(&chunk, |_, batch| {
        times.extend(batch.rows().filter_map(|row| row.time()));
    });
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn backwards(path: &Path, block: usize) -> Vec<u8> {
        let mut reader = BackwardReader::open(path).unwrap().unwrap();
        std::iter::from_fn(|| reader.next_block(block))
            .flat_map(|chunk| chunk.bytes.to_vec())
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn it_is_the_same_lines_reversed(
            lines in prop::collection::vec("[a-z{}]{0,12}", 1..40),
            ends in any::<bool>(),
            block in 1_usize..40,
        ) {
            let mut text = format!("{{\"a\":1}}\n{}", lines.join("\n"));
            if ends {
                text.push('\n');
            }
            let naive: String = text.lines().rev().flat_map(|line| [line, "\n"]).collect();
            let file = file_of(text.as_bytes());
            let out = String::from_utf8(backwards(file.path(), block)).unwrap();
            // A last line that is empty and has no break is no line, to `lines` and to us.
            prop_assert_eq!(out, naive);
        }
    }

    #[test]
    fn an_endless_line_is_dropped_and_counted_and_its_neighbours_are_kept() {
        let mut text = b"{\"a\":1}\n{\"b\":1}\n".to_vec();
        text.resize(text.len() + MAX_LINE + 2 * BLOCK, b'x');
        text.extend_from_slice(b"\n{\"c\":1}\n");
        let file = file_of(&text);
        let mut reader = BackwardReader::open(file.path()).unwrap().unwrap();
        let mut dropped = 0;
        let mut out = Vec::new();
        while let Some(chunk) = reader.next_chunk() {
            dropped += chunk.dropped;
            out.extend_from_slice(&chunk.bytes);
        }
        assert_eq!(out, b"{\"c\":1}\n{\"b\":1}\n{\"a\":1}\n");
        assert_eq!(dropped, 1);
    }

    #[test]
    fn order_is_told_from_samples() {
        let record = |second: usize| {
            format!(
                "{{\"time\":\"2026-06-01T10:{:02}:{:02}Z\",\"flow\":{{\"verdict\":\"DROPPED\"}}}}\n",
                second / 60,
                second % 60
            )
        };
        let order = |seconds: &[usize]| {
            let text: String = seconds.iter().map(|&second| record(second)).collect();
            FileOrder::of(file_of(text.as_bytes()).path()).unwrap()
        };
        assert_eq!(order(&[1, 2, 3]), FileOrder::Ascending);
        assert_eq!(order(&[3, 2, 2]), FileOrder::Descending);
        // Two nodes out of turn.
        assert_eq!(order(&[9, 8, 6, 7, 5, 4, 3]), FileOrder::Descending);
        assert_eq!(order(&[1, 9, 2, 8, 3]), FileOrder::Unsorted);
        assert_eq!(order(&[1, 1]), FileOrder::Unknown);
        assert_eq!(order(&[]), FileOrder::Unknown);
        let long: Vec<usize> = (0..3600).flat_map(|n| [3599 - n; 50]).collect();
        assert_eq!(order(&long), FileOrder::Descending);
    }

    #[test]
    fn what_is_not_an_object_a_line_is_left_alone() {
        for text in [
            "{\n \"time\": 1\n}\n",
            "[{}]\n",
            "2026-06-01T10:00:00Z stdout F {}\n",
        ] {
            assert!(
                BackwardReader::open(file_of(text.as_bytes()).path())
                    .unwrap()
                    .is_none()
            );
        }
    }
}
