//! The inputs of a command in pieces: text of recordings, batches of archives.
//!
//! Owns opening one input after the other, the questions an archive is asked, and saying what
//! was skipped. What is done with a piece is the caller's.

use std::io::{Read, Write};

use super::sink::say;
use crate::flow::FlowBatch;
use crate::source::archive::{Ahead, Archive, Query};
use crate::source::file::{Chunk, ChunkReader, Input, Skips};

/// Bytes of a row in memory, about.
const ROW_BYTES: usize = 200;

/// What one step of reading gives.
pub(super) enum Piece {
    /// Number of the piece, of its input, and what it holds.
    Chunk(u64, usize, Chunk),
    /// The same of an archive, with the bytes that were read for it.
    Batch(u64, usize, Box<FlowBatch>, u64),
    /// An input, or a file of an archive, that cannot be read.
    Failed(String),
}

impl Piece {
    /// Bytes in memory, about.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Chunk(_, _, chunk) => chunk.bytes.len(),
            Self::Batch(_, _, batch, _) => batch.len() * ROW_BYTES,
            Self::Failed(_) => 0,
        }
    }
}

/// The input that is being read.
enum Current {
    Text(ChunkReader<Box<dyn Read + Send>>),
    Rows(Ahead, u64),
}

/// The pieces of all inputs, one input after the other. Archives are asked for `query`.
pub(super) fn pieces(
    inputs: Vec<Input>,
    query: Query,
) -> impl Iterator<Item = Piece> + Send + 'static {
    let mut next = 0;
    let mut number = 0;
    let mut current: Option<Current> = None;
    std::iter::from_fn(move || {
        loop {
            let input = next - usize::from(next > 0);
            match &mut current {
                Some(Current::Text(reader)) => {
                    if let Some(chunk) = reader.next_chunk() {
                        number += 1;
                        return Some(Piece::Chunk(number - 1, input, chunk));
                    }
                }
                Some(Current::Rows(scan, before)) => match scan.next() {
                    Some(Ok(batch)) => {
                        number += 1;
                        let read = scan.bytes_read() - *before;
                        *before += read;
                        return Some(Piece::Batch(number - 1, input, Box::new(batch), read));
                    }
                    Some(Err(error)) => return Some(Piece::Failed(error.to_string())),
                    None => {}
                },
                None => {}
            }
            current = None;
            let input = inputs.get(next)?;
            next += 1;
            current = match open(input, &query) {
                Ok(opened) => Some(opened),
                Err(message) => return Some(Piece::Failed(message)),
            };
        }
    })
}

/// Says what was skipped of each input, with the first place of each reason; `skips` are by
/// input, beside its lines.
pub(super) fn say_skips(inputs: &[Input], skips: &[(u64, Skips)], err: &mut dyn Write) {
    for (input, (_, skips)) in inputs.iter().zip(skips) {
        for line in skips.describe(&input.name()) {
            say(err, &format!("skipped {line}"));
        }
    }
}

fn open(input: &Input, query: &Query) -> Result<Current, String> {
    if let Input::Archive(folder) = input {
        let archive = Archive::open(folder).map_err(|error| error.to_string())?;
        return Ok(Current::Rows(archive.scan_ahead(query), 0));
    }
    let reader = input.open().map_err(|error| error.to_string())?;
    Ok(Current::Text(if input.is_stream() {
        ChunkReader::eager(reader)
    } else {
        ChunkReader::new(reader)
    }))
}
