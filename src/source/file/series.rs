//! Several recordings as one series of pieces in the order of their times.
//!
//! Owns which input the next piece is taken from: the one that is furthest behind, so that
//! files of several nodes advance together and rotations follow each other. Newest-first
//! files are read backwards, files without order are sorted first. Does not decode what it
//! gives, beyond what the order takes.

use std::io::{self, Read};

use memchr::memmem;

use super::backward::{BackwardReader, FileOrder};
use super::chunk::{Chunk, ChunkReader};
use super::decode::{LineDecoder, PieceReport};
use super::open::Input;
use crate::flow::{BatchBuilder, FlowBatch, Raw, tuple_hash};
use crate::source::archive::{Ahead, Archive, Query};
use crate::source::merge::WATERMARK_DELAY;
use crate::source::sort::{DEFAULT_MEMORY, ExternalSorter, Sorted, order_key};
use crate::source::spill::SpillError;

/// Bytes that are looked at over all inputs to find their order.
const SAMPLES: usize = 64 << 20;
/// Least and most of it for one input.
const SAMPLE: (usize, usize) = (64 << 10, 2 << 20);
/// Bytes of a piece of a sorted input.
const PIECE: usize = 512 << 10;
/// Of so many rows one may be out of order before an input is sorted.
const TOLERATED: usize = 100;

/// One step of reading.
#[derive(Debug)]
pub enum Step {
    /// The next piece of an input, by its number.
    Piece(usize, Chunk),
    /// The next rows of an archive, with the bytes that were read for them.
    Rows(usize, Box<FlowBatch>, u64),
    /// An input has ended.
    Ended(usize),
    /// An input was read once to sort it; this is what it held beside flows.
    Sorted(usize, PieceReport),
    /// An input that cannot be read.
    Failed(usize, String),
}

/// Recordings in the order of their times.
pub struct Series {
    sources: Vec<Source>,
    /// What has happened and was not told yet.
    told: Vec<Step>,
    /// What archives are asked for.
    query: Query,
}

struct Source {
    input: Input,
    way: Way,
    state: State,
    /// Time of the next piece in nanoseconds, `i64::MIN` where it is not known.
    next: i64,
}

/// How an input is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forward,
    Backward,
    Sorting,
}

enum State {
    Closed,
    Open(Reader, Option<Part>),
    Ended,
}

enum Reader {
    Forward(ChunkReader<Box<dyn Read + Send>>),
    Backward(BackwardReader),
    Sorted(Box<Sorted>),
    /// With the bytes that were read before.
    Archive(Ahead, u64),
}

/// What a reader gives at once.
enum Part {
    Text(Chunk),
    Rows(Box<FlowBatch>, u64),
}

/// Why a reader stops.
enum Stop {
    /// The input is at its end, or of no more use.
    For(String),
    /// A file of an archive cannot be read; others can.
    Over(String),
}

impl Series {
    /// Looks at the inputs; none is kept open. Archives are asked for `query`.
    #[must_use]
    pub fn new(inputs: &[Input], query: Query) -> Self {
        let sample = (SAMPLES / inputs.len().max(1)).clamp(SAMPLE.0, SAMPLE.1);
        let sources = inputs.iter().map(|input| {
            let (way, next) = look(input, sample, &query);
            Source {
                input: input.clone(),
                way,
                state: State::Closed,
                next,
            }
        });
        Self {
            sources: sources.collect(),
            told: Vec::new(),
            query,
        }
    }

    /// When each input begins, in nanoseconds since 1970 UTC; `None` where that is not
    /// known before it is read.
    pub fn starts(&self) -> impl Iterator<Item = Option<i64>> + '_ {
        self.sources
            .iter()
            .map(|source| (source.next != i64::MIN).then_some(source.next))
    }

    /// Whether an input is read newest line first.
    #[must_use]
    pub fn is_backward(&self, input: usize) -> bool {
        self.sources
            .get(input)
            .is_some_and(|source| source.way == Way::Backward)
    }
}

impl Iterator for Series {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.told.pop() {
                return Some(step);
            }
            let (at, source) = self
                .sources
                .iter_mut()
                .enumerate()
                .filter(|(_, source)| !matches!(source.state, State::Ended))
                .min_by_key(|(_, source)| source.next)?;
            match &mut source.state {
                State::Closed => match source.open(at, &self.query, &mut self.told) {
                    Ok(reader) => {
                        source.state = State::Open(reader, None);
                        source.fill(at, &mut self.told);
                    }
                    Err(message) => {
                        source.state = State::Ended;
                        self.told.push(Step::Ended(at));
                        self.told.push(Step::Failed(at, message));
                    }
                },
                State::Open(_, part) => {
                    let part = part.take();
                    // The next one is read right away: it says whose turn it is. What came
                    // from a stream is handed on first.
                    if !source.input.is_stream() || part.is_none() {
                        source.fill(at, &mut self.told);
                    }
                    match part {
                        Some(Part::Text(chunk)) => return Some(Step::Piece(at, chunk)),
                        Some(Part::Rows(batch, bytes)) => {
                            return Some(Step::Rows(at, batch, bytes));
                        }
                        None => {}
                    }
                }
                State::Ended => return None,
            }
        }
    }
}

impl Source {
    fn open(&self, at: usize, query: &Query, told: &mut Vec<Step>) -> Result<Reader, String> {
        let path = match &self.input {
            Input::File(path) => Some(path),
            Input::Stdin => None,
            Input::Archive(folder) => {
                let archive = Archive::open(folder).map_err(|error| error.to_string())?;
                return Ok(Reader::Archive(archive.scan_ahead(query), 0));
            }
        };
        match (self.way, path) {
            (Way::Backward, Some(path)) => match BackwardReader::open(path) {
                Ok(Some(reader)) => return Ok(Reader::Backward(reader)),
                Ok(None) => {}
                Err(cause) => return Err(format!("open {}: {cause}", path.display())),
            },
            (Way::Sorting, _) => {
                let reader = self.input.open().map_err(|error| error.to_string())?;
                let (sorted, report) = sort(ChunkReader::new(reader))
                    .map_err(|cause| format!("sort {}: {cause}", self.input.name()))?;
                told.push(Step::Sorted(at, report));
                return Ok(Reader::Sorted(Box::new(sorted)));
            }
            _ => {}
        }
        let reader = self.input.open().map_err(|error| error.to_string())?;
        Ok(Reader::Forward(if self.input.is_stream() {
            ChunkReader::eager(reader)
        } else {
            ChunkReader::new(reader)
        }))
    }

    /// Reads the next piece, and notes its time.
    fn fill(&mut self, at: usize, told: &mut Vec<Step>) {
        let State::Open(reader, next) = &mut self.state else {
            return;
        };
        match reader.next() {
            Ok(Some(part)) => {
                // Without a time it is as far as the piece before.
                let time = match &part {
                    Part::Text(chunk) => first_time(&chunk.bytes),
                    Part::Rows(batch, _) => batch.rows().next().and_then(|row| row.time()),
                };
                if let Some(time) = time {
                    self.next = time;
                }
                *next = Some(part);
            }
            Ok(None) => {
                self.state = State::Ended;
                told.push(Step::Ended(at));
            }
            Err(Stop::Over(message)) => told.push(Step::Failed(at, message)),
            Err(Stop::For(cause)) => {
                self.state = State::Ended;
                told.push(Step::Ended(at));
                told.push(Step::Failed(
                    at,
                    format!("sort {}: {cause}", self.input.name()),
                ));
            }
        }
    }
}

impl Reader {
    fn next(&mut self) -> Result<Option<Part>, Stop> {
        match self {
            Self::Forward(reader) => Ok(reader.next_chunk().map(Part::Text)),
            Self::Backward(reader) => Ok(reader.next_chunk().map(Part::Text)),
            Self::Archive(scan, before) => match scan.next() {
                Some(Ok(batch)) => {
                    let read = scan.bytes_read() - *before;
                    *before += read;
                    Ok(Some(Part::Rows(Box::new(batch), read)))
                }
                Some(Err(error)) => Err(Stop::Over(error.to_string())),
                None => Ok(None),
            },
            Self::Sorted(sorted) => {
                let mut bytes = Vec::new();
                let failed = |error: SpillError| Stop::For(error.to_string());
                while bytes.len() < PIECE
                    && let Some(line) = sorted.next_record().map_err(failed)?
                {
                    bytes.extend_from_slice(line);
                    bytes.push(b'\n');
                }
                Ok((!bytes.is_empty()).then(|| {
                    Part::Text(Chunk {
                        bytes: bytes.into(),
                        dropped: 0,
                        damaged: None,
                    })
                }))
            }
        }
    }
}

/// How an input has to be read, and when it begins.
fn look(input: &Input, sample: usize, query: &Query) -> (Way, i64) {
    let path = match input {
        Input::File(path) => path,
        Input::Stdin => return (Way::Forward, i64::MIN),
        Input::Archive(folder) => {
            let begin = Archive::open(folder)
                .ok()
                .and_then(|archive| archive.manifest().begin())
                .map_or(i64::MIN, |begin| begin.max(query.since));
            return (Way::Forward, begin);
        }
    };
    if input.is_stream() {
        return (Way::Forward, i64::MIN);
    }
    // What is wrong with an input is told when its turn comes.
    let order = FileOrder::of_sample(path, sample).unwrap_or(None);
    let (order, samples) = match order {
        Some(known) => known,
        None => match start_of(input, sample) {
            Ok(times) => {
                let samples = vec![times];
                (FileOrder::of_samples(&samples), samples)
            }
            Err(_) => return (Way::Forward, i64::MIN),
        },
    };
    let plain = matches!(BackwardReader::open(path), Ok(Some(_)));
    let begin = samples.iter().flatten().copied().min();
    let way = match order {
        FileOrder::Descending if plain => Way::Backward,
        FileOrder::Descending => Way::Sorting,
        _ if out_of_order(&samples) => Way::Sorting,
        _ => Way::Forward,
    };
    (way, begin.unwrap_or(i64::MIN))
}

/// Whether more rows than are tolerated are older than others before them by more than
/// what keeps state waits.
fn out_of_order(samples: &[Vec<i64>]) -> bool {
    let mut newest = i64::MIN;
    let (mut rows, mut late) = (0, 0);
    for time in samples.iter().flatten() {
        rows += 1;
        late += usize::from(*time < newest.saturating_sub(WATERMARK_DELAY));
        newest = newest.max(*time);
    }
    late * TOLERATED > rows
}

/// Times of the first rows of an input that may be compressed.
fn start_of(input: &Input, sample: usize) -> io::Result<Vec<i64>> {
    let reader = input.open().map_err(io::Error::other)?;
    let mut chunks = ChunkReader::new(reader.take(sample as u64));
    let mut times = Vec::new();
    let mut decoder = LineDecoder::default();
    while let Some(chunk) = chunks.next_chunk() {
        decoder.decode(&chunk, |_, batch| {
            times.extend(batch.rows().filter_map(|row| row.time()));
        });
    }
    Ok(times)
}

/// Sorts all that an input holds.
fn sort<R: Read>(mut chunks: ChunkReader<R>) -> Result<(Sorted, PieceReport), SpillError> {
    let mut sorter = ExternalSorter::new(DEFAULT_MEMORY);
    let mut decoder = LineDecoder::new(BatchBuilder::default().keeping_raw());
    let mut whole = PieceReport::default();
    let mut key = Vec::new();
    let mut arrival = 0;
    let mut failed = None;
    while let Some(chunk) = chunks.next_chunk() {
        let report = decoder.decode(&chunk, |_, batch| {
            let mut add = |time, node: &str, tuple, raw: Option<&Raw>| {
                let Some(Raw::Json(line) | Raw::LooseJson(line)) = raw else {
                    return;
                };
                arrival += 1;
                order_key(&mut key, time, node, tuple, arrival);
                if let Err(error) = sorter.push(&key, line) {
                    failed = Some(error);
                }
            };
            for row in batch.rows() {
                let raw = batch.raw(row.index());
                add(row.time(), row.str(row.node()), tuple_hash(row), raw);
            }
            for notice in batch.notices() {
                let time = (notice.time != crate::flow::NO_TIME).then_some(notice.time);
                add(time, &notice.node, 0, notice.raw.as_ref());
            }
        });
        whole.skips.absorb(report.skips, whole.lines);
        whole.lines += report.lines;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok((sorter.finish()?, whole))
}

/// The first time that a piece names.
fn first_time(text: &[u8]) -> Option<i64> {
    // Far more than a line, and not much of a piece.
    let text = &text[..text.len().min(64 << 10)];
    memmem::find_iter(text, b"\"time\"").find_map(|at| {
        let rest = &text[at + b"\"time\"".len()..];
        let open = rest.iter().position(|byte| *byte == b'"')?;
        if !rest[..open]
            .iter()
            .all(|byte| matches!(byte, b' ' | b':' | b'\n' | b'\t'))
        {
            return None;
        }
        let value = &rest[open + 1..];
        let end = value.iter().take(40).position(|byte| *byte == b'"')?;
        let time: jiff::Timestamp = std::str::from_utf8(&value[..end]).ok()?.parse().ok()?;
        i64::try_from(time.as_nanosecond()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn line(second: u32) -> String {
        format!(
            r#"{{"flow":{{"time":"2026-06-01T10:{:02}:{:02}Z","verdict":"FORWARDED"}},"time":"2026-06-01T10:{:02}:{:02}Z"}}"#,
            second / 60,
            second % 60,
            second / 60,
            second % 60
        ) + "\n"
    }

    fn write(folder: &Path, name: &str, seconds: impl Iterator<Item = u32>) -> Input {
        let path = folder.join(name);
        fs::write(&path, seconds.map(line).collect::<String>()).unwrap();
        Input::File(path)
    }

    fn read(series: Series) -> Vec<(usize, Vec<i64>)> {
        let mut decoder = LineDecoder::default();
        let mut seen = Vec::new();
        for step in series {
            if let Step::Piece(input, chunk) = step {
                let mut times = Vec::new();
                decoder.decode(&chunk, |_, batch| {
                    times.extend(
                        batch
                            .rows()
                            .filter_map(|row| row.time())
                            .map(|time| time / 1_000_000_000 % 3600),
                    );
                });
                seen.push((input, times));
            }
        }
        seen
    }

    #[test]
    fn files_are_read_by_their_times_and_not_by_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [
            write(folder.path(), "b", 40..60),
            write(folder.path(), "a", 0..20),
        ];
        let series = Series::new(&inputs, Query::default());
        assert_eq!(series.starts().flatten().count(), 2);
        let order: Vec<usize> = read(series).into_iter().map(|(input, _)| input).collect();
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn a_newest_first_file_is_read_backwards_and_one_without_order_is_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let sorted: Vec<i64> = (0..100).collect();
        let down = write(folder.path(), "down", (0..100).rev());
        let mixed = write(folder.path(), "mixed", (0..100).map(|at| at * 37 % 100));
        for input in [down, mixed] {
            let times: Vec<i64> = read(Series::new(&[input], Query::default()))
                .into_iter()
                .flat_map(|(_, times)| times)
                .collect();
            assert_eq!(times, sorted);
        }
    }

    #[test]
    fn an_input_that_is_not_there_fails_and_ends() {
        let steps: Vec<Step> =
            Series::new(&[Input::File("/nowhere".into())], Query::default()).collect();
        assert!(matches!(steps[..], [Step::Failed(0, _), Step::Ended(0)]));
    }
}
