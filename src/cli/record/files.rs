//! Recordings and archives into an archive, as one transaction.
//!
//! Owns the way from pieces to the writer: decoding on every core, writing in order. It
//! is there whole or not at all: an input that cannot be read, or an interrupt, leaves
//! the archive as it was.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use indicatif::ProgressBar;

use super::rolling::{InForce, Rolling};
use super::summary;
use crate::archive::{FlowWriter, Keep, Store, WriterOptions, retain};
use crate::cli::error::CommandError;
use crate::cli::pieces::{Piece, pieces, say_skips};
use crate::cli::progress;
use crate::cli::signal::Interrupt;
use crate::cli::sink::say;
use crate::flow::{BatchBuilder, FlowBatch};
use crate::source::archive::{ArchiveError, Query};
use crate::source::file::{
    Input, LineDecoder, PieceReport, Skips, Turn, dictionary_bytes, ordered, threads,
};

/// A resolved conversion.
pub(super) struct Plan {
    pub(super) folder: PathBuf,
    pub(super) inputs: Vec<Input>,
    pub(super) options: WriterOptions,
    pub(super) keep: Keep,
    pub(super) quiet: bool,
    pub(super) rolling: Rolling,
    pub(super) policies: Option<InForce>,
}

/// What a worker makes of a piece.
enum Done {
    Piece {
        input: usize,
        batches: Vec<FlowBatch>,
        report: PieceReport,
        bytes: u64,
    },
    Failed(String),
}

/// Converts.
///
/// # Errors
/// [`CommandError`] when an input cannot be read or the archive not be written; the
/// archive is then as it was.
pub(super) fn run(
    plan: &Plan,
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let mut store = Store::open(&plan.folder).map_err(CommandError::failed)?;
    let mut writer = store.writer(plan.options);
    let mut skips = vec![(0, Skips::default()); plan.inputs.len()];
    let progress = progress::bar(&plan.inputs, !plan.quiet);
    let outcome = read(plan, &mut writer, &mut skips, interrupt, &progress);
    progress.finish_and_clear();
    if !plan.quiet {
        say_skips(&plan.inputs, &skips, err);
    }
    outcome?;
    let entries = writer.finish().map_err(CommandError::failed)?;
    let done = summary::of(&entries);
    let spans = entries.iter().filter_map(|entry| entry.span);
    let first = spans.map(|(first, _)| first).min();
    store.commit(entries, &[]).map_err(CommandError::failed)?;
    if let Some(policies) = &plan.policies {
        // Nothing is known of policies before the first ones: they are taken for these.
        let is_first = store.manifest().policies.is_empty();
        let since = if is_first { None } else { first };
        policies
            .record(&mut store, policies.since.or(since))
            .map_err(CommandError::failed)?;
    }
    let removed = retain(&mut store, plan.keep).map_err(CommandError::failed)?;
    if !plan.quiet {
        say(err, &format!("{}: added {done}", plan.folder.display()));
        if !removed.is_empty() {
            say(err, &format!("removed {}", summary::of(&removed)));
        }
    }
    plan.rolling
        .refresh(&mut store, plan.quiet, err, &|| interrupt.happened());
    Ok(())
}

fn read(
    plan: &Plan,
    writer: &mut FlowWriter,
    skips: &mut [(u64, Skips)],
    interrupt: &Interrupt,
    progress: &ProgressBar,
) -> Result<(), CommandError> {
    let threads = threads();
    let dictionaries = dictionary_bytes(threads);
    let mut failed = None;
    ordered(
        threads,
        pieces(plan.inputs.clone(), Query::default()),
        Piece::size,
        move || {
            let mut decoder = LineDecoder::new(BatchBuilder::new(dictionaries));
            move |piece| work(&mut decoder, piece)
        },
        |turn| {
            let step = match turn {
                Turn::Idle => Ok(()),
                Turn::Result(Done::Failed(message)) => Err(CommandError::Failed(message)),
                Turn::Result(Done::Piece {
                    input,
                    batches,
                    report,
                    bytes,
                }) => {
                    progress.inc(bytes);
                    if let Some((lines, skips)) = skips.get_mut(input) {
                        skips.absorb(report.skips, *lines);
                        *lines += report.lines;
                    }
                    let pushed: Result<(), ArchiveError> =
                        batches.iter().try_for_each(|batch| writer.push(batch));
                    pushed.map_err(CommandError::failed)
                }
            };
            failed = step.err();
            if interrupt.happened() || failed.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    );
    match failed {
        Some(error) => Err(error),
        None if interrupt.happened() => Err(CommandError::failed(
            "interrupted before the end of the input; the archive is as it was",
        )),
        None => Ok(()),
    }
}

fn work(decoder: &mut LineDecoder, piece: Piece) -> Done {
    match piece {
        Piece::Chunk(_, input, chunk) => {
            let mut batches = Vec::new();
            let report = decoder.decode(&chunk, |_, batch| batches.push(batch));
            Done::Piece {
                input,
                batches,
                report,
                bytes: chunk.bytes.len() as u64,
            }
        }
        Piece::Batch(_, input, batch, bytes) => Done::Piece {
            input,
            batches: vec![*batch],
            report: PieceReport::default(),
            bytes,
        },
        Piece::Failed(message) => Done::Failed(message),
    }
}
