//! Where synthetic flows go: JSON lines, an archive, nowhere; and the labels beside them.
//!
//! Owns writing them as they are made, so that nothing of them is kept.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::failed;
use crate::archive::{FlowWriter, Store, WriterOptions};
use crate::cli::error::CommandError;
use crate::cli::sink::{self, SinkError};
use crate::synth::Traffic;
use crate::wire::json_write::JsonWriter;
use crate::wire::row_write::RowWriter;
use crate::wire::shape;

/// Bytes of lines that are written at once.
const CHUNK: usize = 256 << 10;

/// Where flows go.
pub(super) enum Outlet<'a> {
    /// As JSON lines to a writer.
    Lines(&'a mut dyn Write),
    /// As JSON lines into a file.
    File(BufWriter<File>),
    /// Into an archive.
    Archive(Box<(Store, FlowWriter)>),
    /// Only what is beside them is wanted.
    Nothing,
}

impl Outlet<'_> {
    /// # Errors
    /// [`CommandError`] where the file cannot be made.
    pub(super) fn file(path: &Path) -> Result<Self, CommandError> {
        let file = File::create(path).map_err(|error| failed(path, &error))?;
        Ok(Self::File(BufWriter::new(file)))
    }

    /// # Errors
    /// [`CommandError`] where the folder cannot be one, or has flows already: a world beside
    /// another is nobody's truth.
    pub(super) fn archive(folder: &Path) -> Result<Self, CommandError> {
        let store = Store::open(folder).map_err(CommandError::failed)?;
        if !store.manifest().files.is_empty() {
            let message = format!("{}: the archive has flows already", folder.display());
            return Err(CommandError::failed(message));
        }
        let writer = store.writer(WriterOptions { with_uuid: true });
        Ok(Self::Archive(Box::new((store, writer))))
    }

    /// Takes all flows.
    ///
    /// # Errors
    /// [`CommandError`] where something cannot be written.
    pub(super) fn take(
        self,
        traffic: Traffic,
        labels: &mut Labels,
    ) -> Result<Traffic, CommandError> {
        match self {
            Self::Lines(out) => write_lines(traffic, out, labels),
            Self::File(mut out) => write_lines(traffic, &mut out, labels),
            Self::Archive(archive) => write_archive(traffic, *archive, labels),
            Self::Nothing => write_nothing(traffic, labels),
        }
    }
}

/// Writes which flows belong to what, as JSON lines.
pub(super) struct Labels {
    out: Option<(PathBuf, BufWriter<File>)>,
}

impl Labels {
    /// Into a file of this folder, or nowhere.
    ///
    /// # Errors
    /// [`CommandError`] where it cannot be made.
    pub(super) fn into(folder: Option<&Path>) -> Result<Self, CommandError> {
        let Some(folder) = folder else {
            return Ok(Self { out: None });
        };
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        let path = folder.join("labels.jsonl");
        let file = File::create(&path).map_err(|error| failed(&path, &error))?;
        let out = Some((path, BufWriter::new(file)));
        Ok(Self { out })
    }

    /// Writes those of the last flows.
    fn take(&mut self, traffic: &mut Traffic) -> Result<(), CommandError> {
        let Some((path, out)) = &mut self.out else {
            return Ok(());
        };
        for label in traffic.take_labels() {
            let line = traffic.label_json(&label);
            writeln!(out, "{line}").map_err(|error| failed(path, &error))?;
        }
        Ok(())
    }

    /// # Errors
    /// [`CommandError`] where the rest cannot be written.
    pub(super) fn finish(self) -> Result<(), CommandError> {
        match self.out {
            Some((path, mut out)) => out.flush().map_err(|error| failed(&path, &error)),
            None => Ok(()),
        }
    }
}

/// Writes all flows as JSON lines. A reader that closes the pipe has seen enough.
fn write_lines(
    mut traffic: Traffic,
    out: &mut dyn Write,
    labels: &mut Labels,
) -> Result<Traffic, CommandError> {
    let mut lines = Vec::new();
    let (mut rows, mut json) = (RowWriter::default(), JsonWriter::default());
    while let Some(batch) = traffic.next_batch() {
        rows.each(&batch, |message, _| {
            // Everything in it was made here: it has a text form.
            if json
                .write(shape::get_flows_response(), message, &mut lines)
                .is_ok()
            {
                lines.push(b'\n');
            }
        });
        traffic.recycle(batch);
        labels.take(&mut traffic)?;
        if lines.len() >= CHUNK {
            match sink::write(out, &lines) {
                Ok(()) => lines.clear(),
                Err(SinkError::Closed) => return Ok(traffic),
                Err(error) => return Err(CommandError::failed(error)),
            }
        }
    }
    sink::all(out, &lines)?;
    Ok(traffic)
}

fn write_archive(
    mut traffic: Traffic,
    (mut store, mut writer): (Store, FlowWriter),
    labels: &mut Labels,
) -> Result<Traffic, CommandError> {
    while let Some(batch) = traffic.next_batch() {
        writer.push(&batch).map_err(CommandError::failed)?;
        traffic.recycle(batch);
        labels.take(&mut traffic)?;
    }
    let entries = writer.finish().map_err(CommandError::failed)?;
    store.commit(entries, &[]).map_err(CommandError::failed)?;
    Ok(traffic)
}

fn write_nothing(mut traffic: Traffic, labels: &mut Labels) -> Result<Traffic, CommandError> {
    while let Some(batch) = traffic.next_batch() {
        traffic.recycle(batch);
        labels.take(&mut traffic)?;
    }
    Ok(traffic)
}
