//! Recorded files into a recording.
//!
//! Owns the way from a file's records, in whatever form, to the bytes that are served.
//! Opening and reading files is `source`'s.

use std::{ops::ControlFlow, thread};

use bytes::Bytes;

use crate::{
    flow::{BatchBuilder, DEFAULT_DICTIONARY_BYTES, FlowBatch, Raw},
    source::file::{Chunk, ChunkReader, Input, LineDecoder, OpenError, Skips, Turn, ordered},
    wire::json_read::{Record, record_to_wire},
};

use super::store::{Loaded, Recording};

/// What a file held beside the responses that were taken in.
#[derive(Debug, Default)]
pub struct FileReport {
    /// What the recording did with it.
    pub loaded: Loaded,
    /// What gave no response, by reason.
    pub skips: Skips,
}

/// Takes in all records of a file, read on all cores.
///
/// # Errors
/// [`OpenError`] when the file cannot be opened.
pub fn load_file(recording: &Recording, input: &Input) -> Result<FileReport, OpenError> {
    let mut chunks = ChunkReader::new(input.open()?);
    let pieces = std::iter::from_fn(move || chunks.next_chunk());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut report = FileReport::default();
    let mut lines = 0;
    let worker = || {
        let builder = BatchBuilder::new(DEFAULT_DICTIONARY_BYTES).keeping_raw();
        let mut decoder = LineDecoder::new(builder);
        move |chunk: Chunk| {
            let mut responses = Vec::new();
            let piece = decoder.decode(&chunk, |decoder, batch| {
                responses.extend(raws(&batch).filter_map(response));
                decoder.recycle(batch);
            });
            (responses, piece)
        }
    };
    let size = |chunk: &Chunk| chunk.bytes.len();
    ordered(threads, pieces, size, worker, |turn| {
        if let Turn::Result((responses, piece)) = turn {
            report.loaded += recording.load(responses);
            report.skips.absorb(piece.skips, lines);
            lines += piece.lines;
        }
        ControlFlow::Continue(())
    });
    Ok(report)
}

/// What the rows and notices of a batch were read from, in order.
fn raws(batch: &FlowBatch) -> impl Iterator<Item = &Raw> {
    let mut notices = batch.notices().iter().peekable();
    (0..=batch.len()).flat_map(move |row| {
        let mut raws = Vec::new();
        while let Some(notice) = notices.next_if(|notice| notice.before_row <= row) {
            raws.extend(&notice.raw);
        }
        raws.extend(batch.raw(row));
        raws
    })
}

fn response(raw: &Raw) -> Option<Bytes> {
    match raw {
        Raw::Message(message) => Some(message.clone()),
        Raw::Json(text) | Raw::LooseJson(text) => match record_to_wire(text).ok()? {
            Record::Response(wire) | Record::BareFlow(wire) => Some(wire.into()),
            Record::AgentEvent(..) | Record::DebugEvent(..) | Record::NotARecord => None,
        },
    }
}
