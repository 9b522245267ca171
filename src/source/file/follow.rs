//! Files that grow: what is there, then what is added, as `tail -F` does.
//!
//! Owns waiting, rotation and truncation. Lines come whole: the last one is held until
//! its line break is there, or its file is finished. A file that is renamed away is read
//! to its end before the new one of its name, and rotations that came in between are
//! read too; a file that shrank, or begins with other bytes than before, is read anew.
//!
//! Compressed files do not grow by lines, so they are read once, as they are. Objects
//! printed over many lines are not put together here: what is followed is what an
//! exporter writes, an object a line.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::chunk::{Chunk, ChunkReader};
use super::grow::{Growing, Progress};
use super::open::{Input, OpenError};
use super::standard_input::StandardInput;

/// Time between two looks at the files.
const POLL: Duration = Duration::from_millis(100);
/// Changes that are kept for a caller who does not ask.
const MAX_CHANGES: usize = 256;

/// Follows several inputs at once.
///
/// Pieces of one input come in order, so that one decoder an input gives its rows in
/// order. What the inputs hold at the start comes input by input; after that they take
/// turns.
pub struct Follower {
    inputs: Vec<Followed>,
    /// Inputs before it have been read to their end once.
    caught_up: usize,
    turn: usize,
    stop: Arc<AtomicBool>,
    changes: VecDeque<(usize, Change)>,
}

/// Something that happened to a followed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was renamed away, read to its end, and the next file is being read.
    Rotated,
    /// It was cut or written anew in place, and is read from its start.
    Truncated,
    /// No file has its name any more; it is waited for.
    Gone,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rotated => "rotated, reading the next file",
            Self::Truncated => "cut or written anew, reading it from its start",
            Self::Gone => "gone, waiting for it",
        })
    }
}

enum Followed {
    Growing(Growing),
    Once(ChunkReader<Box<dyn io::Read + Send>>),
    StandardInput(StandardInput),
    Ended,
}

impl Follower {
    /// Opens every input. It reads until `stop` is set.
    ///
    /// # Errors
    /// [`OpenError`] for an input that is not there: only a file that has been there is
    /// waited for.
    pub fn open(inputs: &[Input], stop: Arc<AtomicBool>) -> Result<Self, OpenError> {
        let inputs = inputs
            .iter()
            .map(|input| match input {
                Input::Stdin => Ok(Followed::StandardInput(StandardInput::start())),
                Input::File(path) => open_file(input, path),
                Input::Archive(path) => {
                    let cause =
                        io::Error::new(io::ErrorKind::Unsupported, "an archive cannot be followed");
                    Err(OpenError::new(path, cause))
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            inputs,
            caught_up: 0,
            turn: 0,
            stop,
            changes: VecDeque::new(),
        })
    }

    /// The next piece and the index of its input. `None` when nothing came within
    /// `wait`, when it was stopped, and when no input can give more.
    pub fn next(&mut self, wait: Duration) -> Option<(usize, Chunk)> {
        let deadline = Instant::now() + wait;
        loop {
            if self.is_stopped() {
                return None;
            }
            if let Some(piece) = self.ready() {
                return Some(piece);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_finished() {
                return None;
            }
            self.sleep(left.min(POLL));
        }
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether no input can give more: all were compressed files or standard input, and
    /// are read.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.inputs
            .iter()
            .all(|input| matches!(input, Followed::Ended))
    }

    /// Whether everything that was there at the start has been read.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.caught_up == self.inputs.len()
    }

    /// What happened to the files since the last call, by input; the oldest are
    /// forgotten when nobody asks.
    pub fn changes(&mut self) -> impl Iterator<Item = (usize, Change)> {
        std::mem::take(&mut self.changes).into_iter()
    }

    fn ready(&mut self) -> Option<(usize, Chunk)> {
        while self.caught_up < self.inputs.len() {
            let index = self.caught_up;
            if let Some(chunk) = self.poll(index) {
                return Some((index, chunk));
            }
            self.caught_up += 1;
        }
        for step in 0..self.inputs.len() {
            let index = (self.turn + step) % self.inputs.len();
            if let Some(chunk) = self.poll(index) {
                self.turn = index + 1;
                return Some((index, chunk));
            }
        }
        None
    }

    fn poll(&mut self, index: usize) -> Option<Chunk> {
        loop {
            match &mut self.inputs[index] {
                Followed::Growing(file) => match file.poll() {
                    Ok(Progress::Piece(chunk)) => return Some(chunk),
                    Ok(Progress::Nothing) => return None,
                    Ok(Progress::Changed(change)) => {
                        if self.changes.len() == MAX_CHANGES {
                            self.changes.pop_front();
                        }
                        self.changes.push_back((index, change));
                    }
                    Err(cause) => {
                        self.inputs[index] = Followed::Ended;
                        return Some(Chunk {
                            bytes: bytes::Bytes::new(),
                            dropped: 0,
                            damaged: Some(cause.to_string()),
                        });
                    }
                },
                Followed::Once(reader) => {
                    let chunk = reader.next_chunk();
                    if chunk.is_none() {
                        self.inputs[index] = Followed::Ended;
                    }
                    return chunk;
                }
                Followed::StandardInput(reader) => {
                    let chunk = reader.poll();
                    if chunk.is_none() && reader.is_ended() {
                        self.inputs[index] = Followed::Ended;
                    }
                    return chunk;
                }
                Followed::Ended => return None,
            }
        }
    }

    fn sleep(&mut self, time: Duration) {
        let standard_input = self.inputs.iter_mut().find_map(|input| match input {
            Followed::StandardInput(reader) => Some(reader),
            _ => None,
        });
        match standard_input {
            Some(reader) => reader.wait(time),
            None => thread::sleep(time),
        }
    }
}

fn open_file(input: &Input, path: &Path) -> Result<Followed, OpenError> {
    let opened = Growing::open(path).map_err(|cause| OpenError::new(path, cause))?;
    Ok(match opened {
        Some(growing) => Followed::Growing(growing),
        None => Followed::Once(ChunkReader::new(input.open()?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, OpenOptions};
    use std::io::Write;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(5);

    fn follow(paths: &[&Path]) -> Follower {
        let inputs: Vec<Input> = paths
            .iter()
            .map(|path| Input::File(path.to_path_buf()))
            .collect();
        Follower::open(&inputs, Arc::default()).unwrap()
    }

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn text(follower: &mut Follower, wait: Duration) -> Option<(usize, String)> {
        follower
            .next(wait)
            .map(|(index, chunk)| (index, String::from_utf8(chunk.bytes.to_vec()).unwrap()))
    }

    /// Reads until `lines` lines have come, or for long.
    fn lines(follower: &mut Follower, lines: usize) -> String {
        let mut all = String::new();
        let start = Instant::now();
        while all.lines().count() < lines && start.elapsed() < LONG {
            if let Some((_, more)) = text(follower, POLL) {
                all.push_str(&more);
            }
        }
        all
    }

    #[test]
    fn a_line_waits_for_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.log");
        append(&path, "one\ntw");
        let mut follower = follow(&[&path]);
        assert_eq!(text(&mut follower, LONG), Some((0, "one\n".to_owned())));
        assert_eq!(text(&mut follower, SHORT), None);
        assert!(follower.is_caught_up());
        append(&path, "o\nthree\nfo");
        assert_eq!(
            text(&mut follower, LONG),
            Some((0, "two\nthree\n".to_owned()))
        );
    }

    #[test]
    fn a_renamed_file_is_read_to_its_end_before_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.log");
        append(&path, "1\n");
        let mut follower = follow(&[&path]);
        assert_eq!(lines(&mut follower, 1), "1\n");

        append(&path, "2\n3");
        let rotated = directory.path().join("events-2026-06-01T10-00-00.000.log");
        fs::rename(&path, &rotated).unwrap();
        assert_eq!(text(&mut follower, SHORT), Some((0, "2\n".to_owned())));
        assert_eq!(text(&mut follower, SHORT), None);
        // Absent for a while, and the writer has not let go of the old file.
        append(&rotated, "4\n5");
        assert_eq!(lines(&mut follower, 1), "34\n");
        append(&path, "6\n");
        assert_eq!(lines(&mut follower, 2), "56\n");
        let changes: Vec<_> = follower.changes().collect();
        assert_eq!(changes, [(0, Change::Gone), (0, Change::Rotated)]);
    }

    #[test]
    fn rotations_that_came_while_nobody_looked_are_read_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.log");
        append(&path, "1\n");
        let mut follower = follow(&[&path]);
        assert_eq!(lines(&mut follower, 1), "1\n");
        for (hour, line) in [("10", "2\n"), ("11", "3\n"), ("12", "4\n")] {
            append(&path, line);
            let name = format!("events-2026-06-01T{hour}-00-00.000.log");
            fs::rename(&path, directory.path().join(name)).unwrap();
        }
        append(&path, "5\n");
        assert_eq!(lines(&mut follower, 4), "2\n3\n4\n5\n");
        assert_eq!(text(&mut follower, POLL * 5), None);
    }

    #[test]
    fn a_file_cut_in_place_is_read_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.log");
        append(&path, "a long first line\nsecond\n");
        let mut follower = follow(&[&path]);
        assert_eq!(lines(&mut follower, 2).lines().count(), 2);
        File::create(&path).unwrap().write_all(b"x\n").unwrap();
        assert_eq!(lines(&mut follower, 1), "x\n");
        // Longer than before: only its beginning tells.
        fs::write(&path, "y, which is longer\n").unwrap();
        assert_eq!(lines(&mut follower, 1), "y, which is longer\n");
        let changes: Vec<_> = follower.changes().collect();
        assert_eq!(changes, [(0, Change::Truncated), (0, Change::Truncated)]);
    }

    #[test]
    fn inputs_take_turns_and_compressed_ones_are_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let packed = directory.path().join("a.log");
        let mut gz = flate2::write::GzEncoder::new(
            File::create(&packed).unwrap(),
            flate2::Compression::fast(),
        );
        gz.write_all(b"packed\n").unwrap();
        gz.finish().unwrap();
        let (left, right) = (directory.path().join("l"), directory.path().join("r"));
        append(&left, "l1\n");
        append(&right, "r1\n");
        let mut follower = follow(&[&packed, &left, &right]);
        let mut seen = Vec::new();
        while let Some((index, text)) = text(&mut follower, SHORT) {
            seen.push((index, text));
        }
        let expected = [(0, "packed\n"), (1, "l1\n"), (2, "r1\n")];
        assert_eq!(seen, expected.map(|(index, text)| (index, text.to_owned())));
        append(&right, "r2\n");
        assert_eq!(text(&mut follower, LONG), Some((2, "r2\n".to_owned())));
        assert!(!follower.is_finished());
    }

    #[test]
    fn it_stops_when_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.log");
        append(&path, "1\n");
        let stop = Arc::new(AtomicBool::new(false));
        let mut follower = Follower::open(&[Input::File(path)], Arc::clone(&stop)).unwrap();
        let stopper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            stop.store(true, Ordering::Relaxed);
        });
        let start = Instant::now();
        while !follower.is_stopped() {
            follower.next(Duration::from_mins(1));
        }
        assert!(start.elapsed() < LONG);
        stopper.join().unwrap();
        assert!(Follower::open(&[Input::File("/nowhere/x".into())], Arc::default()).is_err());
    }
}
