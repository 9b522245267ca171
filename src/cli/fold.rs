//! Recorded flows folded into one value, for commands that count and do not show.
//!
//! Owns reading the inputs to their end on every core, a value a thread, and telling what
//! was skipped. What is counted is the caller's.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{CommandError, UsageError};
use super::pieces::{Piece, pieces, say_skips};
use super::signal::Interrupt;
use super::sink::say;
use crate::flow::{BatchBuilder, FlowBatch};
use crate::source::archive::Query;
use crate::source::file::{
    Capabilities, Chunk, Field, Input, LineDecoder, PieceReport, Skips, Turn, dictionary_bytes,
    inputs, ordered, threads,
};

/// What takes batches, one a thread.
pub(super) trait Fold: Send + 'static {
    /// Takes a batch.
    fn batch(&mut self, batch: &FlowBatch);
    /// Takes in what another thread has.
    fn merge(&mut self, other: Self);
}

/// What every recording has that was not masked, as far as judging needs it.
const NEEDED: [Field; 5] = [
    Field::Verdict,
    Field::EventType,
    Field::TrafficDirection,
    Field::Identity,
    Field::Labels,
];

/// Opens what `paths` of `--flows` name: files, directories of recordings, - for standard
/// input.
///
/// # Errors
/// [`CommandError`] for a path that does not exist, and for policies.
pub(super) fn open(paths: &[PathBuf]) -> Result<Vec<Input>, CommandError> {
    Ok(inputs(paths)?)
}

/// The same of arguments that have no flag.
///
/// # Errors
/// As [`open`].
pub(super) fn open_named(paths: &[PathBuf]) -> Result<Vec<Input>, CommandError> {
    inputs(paths).map_err(|error| {
        if error.is_usage() {
            UsageError::new(format!("{error}: give policies by --policies")).into()
        } else {
            error.into()
        }
    })
}

/// Folds all of `inputs`; what was skipped or is missing in them is said, unless `quiet`.
///
/// # Errors
/// [`CommandError`] for an input that cannot be read, or when `interrupt` happened before
/// the end: half of the flows is not what was asked for.
pub(super) fn fold<F: Fold>(
    inputs: &[Input],
    make: impl Fn() -> F + Send + Sync + 'static,
    quiet: bool,
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<F, CommandError> {
    fold_some(inputs, Query::default(), make, quiet, err, interrupt)
}

/// As [`fold`], of what archives have for `query`.
///
/// # Errors
/// As [`fold`].
pub(super) fn fold_some<F: Fold>(
    inputs: &[Input],
    query: Query,
    make: impl Fn() -> F + Send + Sync + 'static,
    quiet: bool,
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<F, CommandError> {
    let threads = threads();
    let dictionaries = dictionary_bytes(threads);
    let mut whole = make();
    let folds: Arc<Mutex<Vec<Shared<F>>>> = Arc::default();
    let made = folds.clone();
    let mut skips = vec![(0, Skips::default()); inputs.len()];
    let mut failed = None;
    ordered(
        threads,
        pieces(inputs.to_vec(), query),
        Piece::size,
        move || {
            let worker = Arc::new(Mutex::new(Worker {
                decoder: LineDecoder::new(BatchBuilder::new(dictionaries)),
                capabilities: Capabilities::default(),
                fold: Some(make()),
            }));
            locked(&made).push(worker.clone());
            move |piece| match piece {
                Piece::Chunk(_, input, chunk) => Ok((input, locked(&worker).piece(&chunk))),
                Piece::Batch(_, input, batch, _) => {
                    locked(&worker).batch(&batch);
                    Ok((input, PieceReport::default()))
                }
                Piece::Failed(message) => Err(message),
            }
        },
        |turn| {
            match turn {
                Turn::Idle => {}
                Turn::Result(Ok((input, report))) => {
                    if let Some((lines, skips)) = skips.get_mut(input) {
                        skips.absorb(report.skips, *lines);
                        *lines += report.lines;
                    }
                }
                Turn::Result(Err(message)) => failed = Some(message),
            }
            if interrupt.happened() || failed.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    );
    if let Some(message) = failed {
        return Err(CommandError::Failed(message));
    }
    if interrupt.happened() {
        return Err(CommandError::failed(
            "interrupted before the end of the input",
        ));
    }
    let mut capabilities = Capabilities::default();
    for worker in locked(&folds).iter() {
        let mut worker = locked(worker);
        capabilities.merge(&worker.capabilities);
        if let Some(fold) = worker.fold.take() {
            whole.merge(fold);
        }
    }
    if !quiet {
        say_skips(inputs, &skips, err);
        for missing in capabilities.missing() {
            if NEEDED.contains(&missing.field) {
                say(err, &format!("masked recording: {}", missing.sentence));
            }
        }
    }
    Ok(whole)
}

/// What a thread keeps, until it is done.
type Shared<F> = Arc<Mutex<Worker<F>>>;

/// What a thread keeps.
struct Worker<F> {
    decoder: LineDecoder,
    capabilities: Capabilities,
    /// `None` once it was taken.
    fold: Option<F>,
}

impl<F: Fold> Worker<F> {
    /// Rows of an archive, which are decoded.
    fn batch(&mut self, batch: &FlowBatch) {
        self.capabilities.observe(batch);
        if let Some(fold) = &mut self.fold {
            fold.batch(batch);
        }
    }

    fn piece(&mut self, chunk: &Chunk) -> PieceReport {
        let Self {
            decoder,
            capabilities,
            fold,
        } = self;
        decoder.decode(chunk, |decoder, batch| {
            capabilities.observe(&batch);
            if let Some(fold) = fold {
                fold.batch(&batch);
            }
            decoder.recycle(batch);
        })
    }
}

/// A lock; what a thread that panicked left is as good as it was.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
