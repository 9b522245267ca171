//! Recorded flows, rewritten on every core and put out in order.
//!
//! Owns the way from pieces of files to lines. A line that cannot be read is counted and
//! left out: nothing passes that was not rewritten.

use std::io::{Read, Write};
use std::ops::ControlFlow;

use indicatif::ProgressBar;
use prost::Message;

use crate::cli::error::CommandError;
use crate::cli::signal::Interrupt;
use crate::cli::sink::{self, SinkError};
use crate::flow::{BatchBuilder, FlowBatch, NoticeKind, Raw};
use crate::proto::observer::GetFlowsResponse;
use crate::redact::{Key, Mapper, Tally};
use crate::source::file::{
    Chunk, ChunkReader, Input, LineDecoder, Skips, Turn, dictionary_bytes, ordered, threads,
};
use crate::wire::json_read::{ReadOptions, Record, read_record};
use crate::wire::json_write::wire_to_json;
use crate::wire::shape;

/// What came of the flows.
#[derive(Default)]
pub(super) struct Written {
    /// Lines, flows and notices.
    pub(super) lines: u64,
    pub(super) tally: Tally,
    /// Fields of newer versions, left out, and the name of one.
    pub(super) unknown_fields: u64,
    pub(super) unknown_field: Option<String>,
    /// Words of newer versions in place of which there is 0.
    pub(super) unknown_words: u64,
    /// Records that were read and cannot be written.
    pub(super) unwritten: u64,
    /// Of each input: lines read, and what gave no flow.
    pub(super) skips: Vec<(u64, Skips)>,
    /// The reader of standard output has seen enough.
    pub(super) closed: bool,
}

/// Rewrites all of `inputs` into `out`.
///
/// # Errors
/// [`CommandError`] for an input that cannot be read, an output that cannot be written, or
/// an interrupt.
pub(super) fn rewrite(
    inputs: &[Input],
    key: &Key,
    shift: i64,
    out: &mut dyn Write,
    progress: &ProgressBar,
    interrupt: &Interrupt,
) -> Result<Written, CommandError> {
    let threads = threads();
    let mut written = Written {
        skips: vec![(0, Skips::default()); inputs.len()],
        ..Written::default()
    };
    let key = key.clone();
    let mut failed = None;
    ordered(
        threads,
        pieces(inputs.to_vec()),
        |piece: &Result<(usize, Chunk), String>| {
            piece.as_ref().map_or(0, |(_, chunk)| chunk.bytes.len())
        },
        move || {
            let builder = BatchBuilder::new(dictionary_bytes(threads)).keeping_raw();
            let mut worker = Worker {
                decoder: LineDecoder::new(builder),
                mapper: Mapper::new(key.clone()),
                shift,
            };
            move |piece| piece.map(|(input, chunk)| worker.piece(input, &chunk))
        },
        |turn| {
            let step = match turn {
                Turn::Idle => Ok(()),
                Turn::Result(Err(message)) => Err(CommandError::Failed(message)),
                Turn::Result(Ok(done)) => {
                    progress.inc(done.bytes);
                    match sink::write(out, &done.out) {
                        Ok(()) => {
                            written.take(*done);
                            Ok(())
                        }
                        Err(SinkError::Closed) => {
                            written.closed = true;
                            return ControlFlow::Break(());
                        }
                        Err(error) => Err(CommandError::failed(error)),
                    }
                }
            };
            match step {
                Ok(()) if !interrupt.happened() => ControlFlow::Continue(()),
                Ok(()) => {
                    failed = Some(CommandError::failed(
                        "interrupted before the end of the input",
                    ));
                    ControlFlow::Break(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        },
    );
    match failed {
        Some(error) => Err(error),
        None => Ok(written),
    }
}

/// What one piece gave.
#[derive(Default)]
struct Done {
    input: usize,
    bytes: u64,
    out: Vec<u8>,
    lines: u64,
    read: u64,
    skips: Skips,
    tally: Tally,
    unknown_fields: u64,
    unknown_field: Option<String>,
    unknown_words: u64,
    unwritten: u64,
}

impl Written {
    fn take(&mut self, done: Done) {
        if let Some((lines, skips)) = self.skips.get_mut(done.input) {
            skips.absorb(done.skips, *lines);
            *lines += done.read;
        }
        self.lines += done.lines;
        self.tally.merge(&done.tally);
        self.unknown_fields += done.unknown_fields;
        self.unknown_words += done.unknown_words;
        self.unwritten += done.unwritten;
        if self.unknown_field.is_none() {
            self.unknown_field = done.unknown_field;
        }
    }
}

struct Worker {
    decoder: LineDecoder,
    mapper: Mapper,
    shift: i64,
}

impl Worker {
    fn piece(&mut self, input: usize, chunk: &Chunk) -> Box<Done> {
        let Self {
            decoder,
            mapper,
            shift,
        } = self;
        let mut done = Box::new(Done {
            input,
            bytes: chunk.bytes.len() as u64,
            out: Vec::with_capacity(chunk.bytes.len()),
            ..Done::default()
        });
        let report = decoder.decode(chunk, |decoder, batch| {
            each(&batch, |raw| done.record(raw, mapper, *shift));
            decoder.recycle(batch);
        });
        done.read = report.lines;
        done.skips = report.skips;
        done.tally = std::mem::take(&mut mapper.tally);
        done
    }
}

impl Done {
    fn record(&mut self, raw: &Raw, mapper: &mut Mapper, shift: i64) {
        if self.rewritten(raw, mapper, shift).is_some() {
            self.out.push(b'\n');
            self.lines += 1;
        } else {
            self.unwritten += 1;
        }
    }

    /// Appends a record, or nothing at all.
    fn rewritten(&mut self, raw: &Raw, mapper: &mut Mapper, shift: i64) -> Option<()> {
        let wire = match raw {
            Raw::Message(message) => message.to_vec(),
            Raw::Json(text) | Raw::LooseJson(text) => {
                let (record, report) = read_record(text, &ReadOptions::default()).ok()?;
                self.unknown_fields += u64::from(report.unknown_fields);
                self.unknown_words +=
                    u64::from(report.unknown_enums) + u64::from(report.unknown_types);
                if self.unknown_field.is_none() {
                    self.unknown_field = report.first_unknown_field;
                }
                match record {
                    Record::Response(wire) | Record::BareFlow(wire) => wire,
                    _ => return None,
                }
            }
        };
        let mut response = GetFlowsResponse::decode(&*wire).ok()?;
        mapper.response(&mut response, shift);
        let wire = response.encode_to_vec();
        wire_to_json(shape::get_flows_response(), &wire, &mut self.out).ok()
    }
}

/// The records of a batch in their order: flows, losses and states of nodes.
fn each(batch: &FlowBatch, mut take: impl FnMut(&Raw)) {
    let mut notices = batch.notices().iter().peekable();
    for at in 0..=batch.len() {
        while let Some(notice) = notices.next_if(|notice| notice.before_row <= at) {
            // Events of agents have other services' messages, and are counted as skipped;
            // a response that holds nothing says nothing.
            let said = matches!(
                notice.kind,
                NoticeKind::AgentEvent
                    | NoticeKind::DebugEvent
                    | NoticeKind::Empty
                    | NoticeKind::Unread
            );
            if let Some(raw) = notice.raw.as_ref().filter(|_| !said) {
                take(raw);
            }
        }
        if let Some(raw) = batch.raw(at) {
            take(raw);
        }
    }
}

/// The pieces of all inputs, one input after the other.
fn pieces(inputs: Vec<Input>) -> impl Iterator<Item = Result<(usize, Chunk), String>> + Send {
    let mut next = 0;
    let mut current: Option<ChunkReader<Box<dyn Read + Send>>> = None;
    std::iter::from_fn(move || {
        loop {
            if let Some(reader) = &mut current {
                if let Some(chunk) = reader.next_chunk() {
                    return Some(Ok((next - 1, chunk)));
                }
                current = None;
            }
            let input = inputs.get(next)?;
            next += 1;
            match input.open() {
                Ok(reader) => current = Some(ChunkReader::new(reader)),
                Err(error) => return Some(Err(error.to_string())),
            }
        }
    })
}
