//! `tail` over recorded files.
//!
//! Owns the way from pieces to standard output: decode, filter and write on every core,
//! then put the texts out in order, with the limits of `--first` and `--last`. What was
//! skipped is told at the end, with the first place of each reason.

use std::io::{IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::order::Ordered;
use super::plan::{Files, Plan};
use super::tally::Tally;
use super::writer::{BatchWriter, Text};
use crate::cli::error::CommandError;
use crate::cli::sink::{SinkError, say};
use crate::flow::BatchBuilder;
use crate::source::file::{Chunk, ChunkReader, Input, LineDecoder, PieceReport, Skips, ordered};

/// What one step of reading gives.
enum Piece {
    Chunk(usize, Chunk),
    /// An input that cannot be opened.
    Failed(String),
}

/// What a worker makes of a piece.
enum Done {
    Text(usize, PieceReport, u64, Text),
    Failed(String),
}

/// Reads the inputs of `plan` and writes what is kept.
///
/// # Errors
/// [`CommandError`] for an input that cannot be read, an output that cannot be written,
/// or when `interrupted` became true before the end.
pub(super) fn run(
    plan: &Plan,
    files: &Files,
    out: &mut dyn Write,
    err: &mut dyn Write,
    interrupted: &AtomicBool,
) -> Result<(), CommandError> {
    let inputs = files.inputs.as_slice();
    let began = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let progress = progress(plan, inputs);
    let mut state = State {
        tally: Tally::default(),
        skips: vec![(0, Skips::default()); inputs.len()],
        failed: Vec::new(),
        unwritten: 0,
    };
    let mut order = Ordered::new(plan, out);
    let mut stopped = Ok(());

    ordered(
        threads,
        pieces(inputs),
        || worker(plan),
        |done| {
            let step = match done {
                Done::Failed(message) => {
                    state.failed.push(message);
                    Ok(false)
                }
                Done::Text(input, report, bytes, text) => {
                    progress.inc(bytes);
                    state.piece(input, report, &text);
                    let _ = err.write_all(&text.err);
                    let full = order.text(&text);
                    state.tally.add(text.tally);
                    full
                }
            };
            match step {
                _ if interrupted.load(Ordering::Relaxed) => ControlFlow::Break(()),
                Ok(false) => ControlFlow::Continue(()),
                Ok(true) => ControlFlow::Break(()),
                Err(error) => {
                    stopped = Err(error);
                    ControlFlow::Break(())
                }
            }
        },
    );
    let stopped = stopped.and_then(|()| order.finish());
    progress.finish_and_clear();
    if let Err(SinkError::Write(error)) = stopped {
        return Err(CommandError::failed(SinkError::Write(error)));
    }
    if !plan.output.quiet {
        state.report(inputs, began, err);
    }
    for message in &state.failed {
        say(err, &format!("flowwatch: {message}"));
    }
    if interrupted.load(Ordering::Relaxed) {
        return Err(CommandError::failed(
            "interrupted before the end of the input",
        ));
    }
    if state.failed.is_empty() {
        Ok(())
    } else {
        Err(CommandError::failed(match state.failed.len() {
            1 => "one input could not be read".to_owned(),
            many => format!("{many} inputs could not be read"),
        }))
    }
}

struct State {
    tally: Tally,
    /// Lines and skips of each input.
    skips: Vec<(u64, Skips)>,
    failed: Vec<String>,
    unwritten: u64,
}

impl State {
    fn piece(&mut self, input: usize, report: PieceReport, text: &Text) {
        let (lines, skips) = &mut self.skips[input];
        skips.absorb(report.skips, *lines);
        *lines += report.lines;
        self.unwritten += text.failed;
    }

    fn report(&self, inputs: &[Input], began: Instant, err: &mut dyn Write) {
        for (input, (_, skips)) in inputs.iter().zip(&self.skips) {
            for line in skips.describe(&input.name()) {
                say(err, &format!("skipped {line}"));
            }
        }
        if self.unwritten > 0 {
            say(
                err,
                &format!("{} events cannot be written as JSON", self.unwritten),
            );
        }
        say(err, &self.tally.status(began.elapsed()));
    }
}

/// Decodes, filters and writes the pieces a thread takes.
fn worker(plan: &Plan) -> impl FnMut(Piece) -> Done {
    let builder = BatchBuilder::default();
    let builder = if plan.output.form.needs_raw() {
        builder.keeping_raw()
    } else {
        builder
    };
    let mut decoder = LineDecoder::new(builder);
    let mut writer = BatchWriter::new(&plan.output, plan.filters.clone(), plan.since, plan.until);
    move |piece| {
        let (input, chunk) = match piece {
            Piece::Chunk(input, chunk) => (input, chunk),
            Piece::Failed(message) => return Done::Failed(message),
        };
        let mut text = Text::default();
        let report = decoder.decode(&chunk, |decoder, batch| {
            writer.batch(&batch, &mut text);
            decoder.recycle(batch);
        });
        Done::Text(input, report, chunk.bytes.len() as u64, text)
    }
}

/// The pieces of all inputs, one input after the other.
fn pieces(inputs: &[Input]) -> impl Iterator<Item = Piece> + Send {
    let inputs = inputs.to_vec();
    let mut next = 0;
    let mut current: Option<ChunkReader<Box<dyn Read + Send>>> = None;
    std::iter::from_fn(move || {
        loop {
            if let Some(reader) = &mut current {
                if let Some(chunk) = reader.next_chunk() {
                    return Some(Piece::Chunk(next - 1, chunk));
                }
                current = None;
            }
            let input = inputs.get(next)?;
            next += 1;
            match input.open() {
                Ok(reader) if input.is_stream() => current = Some(ChunkReader::eager(reader)),
                Ok(reader) => current = Some(ChunkReader::new(reader)),
                Err(error) => return Some(Piece::Failed(error.to_string())),
            }
        }
    })
}

/// A bar on a terminal, when the flows themselves go elsewhere.
fn progress(plan: &Plan, inputs: &[Input]) -> ProgressBar {
    let wanted =
        !plan.output.quiet && std::io::stderr().is_terminal() && !std::io::stdout().is_terminal();
    if !wanted {
        return ProgressBar::hidden();
    }
    let total: Option<u64> = inputs.iter().map(Input::size).sum();
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let style = if total.is_some() {
        ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left")
    } else {
        ProgressStyle::with_template("{spinner} {bytes} {bytes_per_sec}")
    };
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
