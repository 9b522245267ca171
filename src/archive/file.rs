//! One Parquet file being written, with its size and checksum.
//!
//! Owns its way to the disk: created where nothing is, summed up as it is written, synced
//! when it is closed. What is in it is `part`'s and `rollup`'s.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use flate2::Crc;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::chunk::Chunks;
use super::columns::flow_properties;
use crate::flow::{Encoder, FlowBatch};
use crate::source::archive::ArchiveError;

/// A file of flows being written.
pub(super) struct FlowFile {
    writer: SerializedFileWriter<Summed>,
    chunks: Chunks,
}

impl FlowFile {
    /// A new file at `path`.
    pub(super) fn create(path: &Path, schema: SchemaRef) -> Result<Self, ArchiveError> {
        let failed = |cause| ArchiveError::Write {
            path: path.to_owned(),
            cause,
        };
        let writer = create(path, schema, flow_properties())?;
        let (writer, _) = writer.into_serialized_writer().map_err(failed)?;
        let chunks = Chunks::new().map_err(failed)?;
        Ok(Self { writer, chunks })
    }

    /// Writes a row group of the rows of a batch that `order` names.
    pub(super) fn group(
        &mut self,
        encoder: &mut Encoder,
        batch: &FlowBatch,
        order: &[u32],
    ) -> Result<(), ParquetError> {
        let properties = self.writer.properties().clone();
        let schema = self.writer.schema_descr().columns().to_vec();
        let chunks = &mut self.chunks;
        let mut group = self.writer.next_row_group()?;
        let mut columns = schema.iter();
        let mut failed = None;
        let written = encoder.each_column(batch, order, |coded| {
            let Some(column) = columns.next() else {
                return Ok(());
            };
            chunks
                .column(&mut group, &properties, column, coded)
                .map_err(|cause| {
                    let said = ArrowError::ParquetError(cause.to_string());
                    failed = Some(cause);
                    said
                })
        });
        // As it came from the file, whatever it passed through.
        match (failed, written) {
            (Some(cause), _) => return Err(cause),
            (None, written) => written?,
        }
        group.close()?;
        Ok(())
    }

    /// Adds something to the footer.
    pub(super) fn note(&mut self, key: &str, value: &str) {
        let pair = KeyValue::new(key.to_owned(), value.to_owned());
        self.writer.append_key_value_metadata(pair);
    }

    /// Size and checksum of the closed file, which is on disk.
    pub(super) fn close(self, path: &Path) -> Result<(u64, u32), ArchiveError> {
        closed(self.writer.into_inner(), path)
    }
}

/// A file of any columns, for what is written as a whole.
pub(super) fn create(
    path: &Path,
    schema: SchemaRef,
    properties: WriterProperties,
) -> Result<ArrowWriter<Summed>, ArchiveError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(ArchiveError::io("create", folder))?;
    }
    let file = File::create_new(path).map_err(ArchiveError::io("create", path))?;
    // Without Arrow's own description other readers see plain texts, not dictionaries.
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let sink = Summed {
        file: BufWriter::with_capacity(1 << 18, file),
        crc: Crc::new(),
        bytes: 0,
    };
    ArrowWriter::try_new_with_options(sink, schema, options).map_err(|cause| ArchiveError::Write {
        path: path.to_owned(),
        cause,
    })
}

/// Size and checksum of the closed file, which is on disk.
pub(super) fn close(writer: ArrowWriter<Summed>, path: &Path) -> Result<(u64, u32), ArchiveError> {
    closed(writer.into_inner(), path)
}

fn closed(sink: Result<Summed, ParquetError>, path: &Path) -> Result<(u64, u32), ArchiveError> {
    let sink = sink.map_err(|cause| ArchiveError::Write {
        path: path.to_owned(),
        cause,
    })?;
    let (bytes, crc32) = (sink.bytes, sink.crc.sum());
    let synced = sink
        .file
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all());
    synced.map_err(ArchiveError::io("write", path))?;
    Ok((bytes, crc32))
}

/// A file with its size and checksum.
pub(super) struct Summed {
    file: BufWriter<File>,
    crc: Crc,
    bytes: u64,
}

impl Write for Summed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.crc.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
