//! A flow or a notice as a line of JSON, as Hubble's `-o json` has it.
//!
//! Owns the choice between passing a recorded line on and writing it anew.

use super::escape;
use crate::flow::{Notice, Raw, RowRef};
use crate::wire::json_read::{JsonError, Record, record_to_wire};
use crate::wire::json_write::{JsonWriter, WireError};
use crate::wire::mask::FieldMask;
use crate::wire::restore::notice_to_wire;
use crate::wire::row_write::RowWriter;
use crate::wire::shape;

/// A row that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum JsonLineError {
    /// The recorded object does not read a second time.
    #[error("read the recorded object: {0}")]
    Read(#[from] JsonError),
    /// The message cannot be written as JSON, such as a time out of range.
    #[error("write the message as JSON: {0}")]
    Write(#[from] WireError),
}

/// Writes JSON lines.
#[derive(Clone, Debug, Default)]
pub struct JsonRenderer {
    mask: Option<FieldMask>,
    masked: Vec<u8>,
    wire: Vec<u8>,
    rows: RowWriter,
    json: JsonWriter,
}

impl JsonRenderer {
    /// Makes a renderer that leaves out what `mask` does not name.
    #[must_use]
    pub fn new(mask: Option<FieldMask>) -> Self {
        Self {
            mask: mask.filter(|mask| !mask.keeps_all()),
            ..Self::default()
        }
    }

    /// Appends what `raw` holds as one line.
    ///
    /// A line as Hubble writes it is passed on as it is, with whatever a newer version
    /// put into it; any other form is written anew. In both, characters that JSON allows
    /// and a terminal obeys are escaped, which leaves the value as it is.
    ///
    /// # Errors
    /// [`JsonLineError`]; `out` is then as it was.
    pub fn write(&mut self, raw: &Raw, out: &mut Vec<u8>) -> Result<(), JsonLineError> {
        let start = out.len();
        match raw {
            Raw::Json(line) if self.mask.is_none() => out.extend_from_slice(line),
            Raw::Message(message) => self.message(message, out)?,
            Raw::Json(object) | Raw::LooseJson(object) => match record_to_wire(object)? {
                Record::Response(wire) | Record::BareFlow(wire) => self.message(&wire, out)?,
                // Agent and debug events are not responses: their line is all there is.
                _ => return Ok(()),
            },
        }
        escape::json_controls(out, start);
        out.push(b'\n');
        Ok(())
    }

    /// Appends a row that did not keep what it was decoded from.
    ///
    /// # Errors
    /// [`JsonLineError::Write`]; `out` is then as it was.
    pub fn row(&mut self, row: RowRef<'_>, out: &mut Vec<u8>) -> Result<(), JsonLineError> {
        let mut wire = std::mem::take(&mut self.wire);
        wire.clear();
        self.rows.write(row, &mut wire);
        let written = self.line(&wire, out);
        self.wire = wire;
        written
    }

    /// Appends a notice; nothing for one that is no response of Hubble's.
    ///
    /// # Errors
    /// [`JsonLineError`]; `out` is then as it was.
    pub fn notice(&mut self, notice: &Notice, out: &mut Vec<u8>) -> Result<(), JsonLineError> {
        if let Some(raw) = &notice.raw {
            return self.write(raw, out);
        }
        let mut wire = Vec::new();
        if notice_to_wire(notice, &mut wire) {
            self.line(&wire, out)?;
        }
        Ok(())
    }

    fn line(&mut self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), JsonLineError> {
        let start = out.len();
        self.message(wire, out)?;
        escape::json_controls(out, start);
        out.push(b'\n');
        Ok(())
    }

    fn message(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        let Some(mask) = &self.mask else {
            let shape = shape::get_flows_response();
            return self.json.write(shape, message, out);
        };
        self.masked.clear();
        mask.apply_to_response(message, &mut self.masked)?;
        let shape = shape::get_flows_response();
        self.json.write(shape, &self.masked, out)
    }
}
