//! An archive as JSON lines, for those who read recordings as text.
//!
//! Owns the way back to the lines that Hubble would have written. Slower than reading
//! rows: commands that can take batches take those.

use std::io::{self, Read};

use super::query::Query;
use super::scan::Scan;
use super::{Archive, ArchiveError};
use crate::flow::FlowBatch;
use crate::wire::json_write::JsonWriter;
use crate::wire::row_write::RowWriter;
use crate::wire::shape;

/// Gives the lines of an archive.
#[derive(Debug)]
pub struct JsonLines {
    scan: Scan,
    rows: RowWriter,
    json: JsonWriter,
    text: Vec<u8>,
    at: usize,
    failed: Option<ArchiveError>,
}

impl JsonLines {
    /// All of an archive, in the order of time.
    #[must_use]
    pub fn new(archive: &Archive) -> Self {
        Self {
            scan: archive.scan(&Query::default()),
            rows: RowWriter::default(),
            json: JsonWriter::default(),
            text: Vec::new(),
            at: 0,
            failed: None,
        }
    }

    fn batch(&mut self, batch: &FlowBatch) {
        let Self {
            rows, json, text, ..
        } = self;
        rows.each(batch, |wire, _| {
            // Refused for a time that has no text form: such a flow has no line.
            if json.write(shape::get_flows_response(), wire, text).is_ok() {
                text.push(b'\n');
            }
        });
    }
}

impl Read for JsonLines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            self.text.clear();
            self.at = 0;
            match self.scan.next() {
                Some(Ok(batch)) => self.batch(&batch),
                // The other files are read first.
                Some(Err(error)) => self.failed = Some(self.failed.take().unwrap_or(error)),
                None => {
                    return match self.failed.take() {
                        Some(error) => Err(io::Error::other(error)),
                        None => Ok(0),
                    };
                }
            }
        }
        let length = buffer.len().min(self.text.len() - self.at);
        buffer[..length].copy_from_slice(&self.text[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
