//! An archive as JSON lines, for those who read recordings as text.
//!
//! Owns the way back to the lines that Hubble would have written. Slower than reading
//! rows: commands that can take batches take those.

use std::io::{self, Read};

use super::query::Query;
use super::scan::Scan;
use super::{Archive, ArchiveError};
use crate::flow::FlowBatch;
use crate::wire::json_write::wire_to_json;
use crate::wire::restore::{notice_to_wire, row_to_wire};
use crate::wire::shape;

/// Gives the lines of an archive.
#[derive(Debug)]
pub struct JsonLines {
    scan: Scan,
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
            text: Vec::new(),
            at: 0,
            failed: None,
        }
    }

    fn batch(&mut self, batch: &FlowBatch) {
        let mut wire = Vec::new();
        let mut notices = batch.notices().iter().peekable();
        for row in batch.rows() {
            while let Some(notice) = notices.next_if(|notice| notice.before_row <= row.index()) {
                wire.clear();
                if notice_to_wire(notice, &mut wire) {
                    self.line(&wire);
                }
            }
            wire.clear();
            row_to_wire(row, &mut wire);
            self.line(&wire);
        }
        for notice in notices {
            wire.clear();
            if notice_to_wire(notice, &mut wire) {
                self.line(&wire);
            }
        }
    }

    fn line(&mut self, wire: &[u8]) {
        // Refused for a time that has no text form: such a flow has no line.
        if wire_to_json(shape::get_flows_response(), wire, &mut self.text).is_ok() {
            self.text.push(b'\n');
        }
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
