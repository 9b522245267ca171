//! `tail` over recorded files.
//!
//! Owns the way from pieces to standard output: decode, filter and write on every core,
//! then put the texts out in order, with the limits of `--first` and `--last`. What was
//! skipped is told at the end, with the first place of each reason.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::Reloads;
use super::order::Ordered;
use super::plan::{Files, Plan};
use super::tally::{Tally, agreement_lines};
use super::watching::Watching;
use super::writer::{BatchWriter, Text};
use crate::cli::error::CommandError;
use crate::cli::pieces::{Piece, pieces, say_skips};
use crate::cli::policy_watch::Report;
use crate::cli::progress;
use crate::cli::signal::Interrupt;
use crate::cli::sink::{SinkError, say};
use crate::engine::Policies;
use crate::flow::{BatchBuilder, FlowBatch, Wanted};
use crate::source::archive::Query;
use crate::source::file::{
    Capabilities, Chunk, Field, Follower, Input, LineDecoder, PieceReport, Skips, Turn,
    dictionary_bytes, ordered, threads,
};

/// How long a followed file is waited for before the interrupt is looked at.
const FOLLOW_WAIT: Duration = Duration::from_millis(200);

/// Room that is made for the text of a piece ahead of it.
const MOST_WRITTEN: usize = 1 << 20;

/// What a worker makes of a piece.
enum Done {
    Piece(usize, Box<DonePiece>),
    Failed(String),
}

/// Reads the inputs of `plan` and writes what is kept. `reports` say when policies change.
///
/// # Errors
/// [`CommandError`] for an input that cannot be read, an output that cannot be written,
/// or when `interrupt` happened before the end.
pub(super) fn run(
    plan: &Plan,
    files: &Files,
    reports: Option<mpsc::Receiver<Report>>,
    watching: Option<Watching>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let mut state = State::new(&files.inputs, Reloads::new(plan), watching);
    let mut order = Ordered::new(plan, out);
    // When the flows themselves go elsewhere.
    let progress = progress::bar(
        &files.inputs,
        !plan.output.quiet && !std::io::stdout().is_terminal(),
    );
    let read = if files.follow {
        follow(plan, files, reports, &mut order, &mut state, err, interrupt)
    } else {
        read(
            plan, files, &mut order, &mut state, err, interrupt, &progress,
        )
    };
    let written = read.and_then(|()| order.finish());
    progress.finish_and_clear();
    state.watched(plan.output.quiet, err);
    if let Err(error @ SinkError::Write(_)) = written {
        return Err(CommandError::failed(error));
    }
    if !plan.output.quiet {
        state.report(&files.inputs, err);
    }
    for message in &state.failed {
        say(err, &format!("flowwatch: {message}"));
    }
    if interrupt.happened() && !files.follow {
        return Err(CommandError::failed(
            "interrupted before the end of the input",
        ));
    }
    match state.failed.len() {
        0 => Ok(()),
        1 => Err(CommandError::Said),
        many => Err(CommandError::failed(format!(
            "{many} inputs could not be read"
        ))),
    }
}

/// Reads to the end, on every core.
fn read(
    plan: &Plan,
    files: &Files,
    order: &mut Ordered<'_>,
    state: &mut State,
    err: &mut dyn Write,
    interrupt: &Interrupt,
    progress: &ProgressBar,
) -> Result<(), SinkError> {
    let threads = threads();
    let maker = Worker::maker(plan, threads, state.watching.is_some());
    let mut stopped = Ok(());
    ordered(
        threads,
        pieces(files.inputs.clone(), query(plan, state.watching.is_some())),
        Piece::size,
        move || {
            let mut worker = maker();
            move |piece| match piece {
                Piece::Chunk(number, input, chunk) => {
                    Done::Piece(input, Box::new(worker.piece(number, input, &chunk)))
                }
                Piece::Batch(number, input, batch, bytes) => {
                    Done::Piece(input, Box::new(worker.batch(number, input, *batch, bytes)))
                }
                Piece::Failed(message) => Done::Failed(message),
            }
        },
        |turn| {
            let step = match turn {
                Turn::Idle => Ok(false),
                Turn::Result(Done::Failed(message)) => {
                    state.failed.push(message);
                    Ok(false)
                }
                Turn::Result(Done::Piece(input, mut piece)) => {
                    progress.inc(piece.bytes);
                    state.watch(&mut piece, err);
                    let full = order.text(&piece.text);
                    state.piece(input, *piece, err);
                    full
                }
            };
            match step {
                _ if interrupt.happened() => ControlFlow::Break(()),
                Ok(false) => ControlFlow::Continue(()),
                Ok(true) => ControlFlow::Break(()),
                Err(error) => {
                    stopped = Err(error);
                    ControlFlow::Break(())
                }
            }
        },
    );
    stopped
}

/// Reads what is there and then what is written to the files, until interrupted.
fn follow(
    plan: &Plan,
    files: &Files,
    mut reports: Option<mpsc::Receiver<Report>>,
    order: &mut Ordered<'_>,
    state: &mut State,
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(), SinkError> {
    let mut follower = match Follower::open(&files.inputs, interrupt.flag()) {
        Ok(follower) => follower,
        Err(error) => {
            state.failed.push(error.to_string());
            return Ok(());
        }
    };
    // One decoder an input: a line the runtime has cut goes on in the next piece.
    let maker = Worker::maker(plan, files.inputs.len(), state.watching.is_some());
    let mut workers: Vec<Worker> = files.inputs.iter().map(|_| maker()).collect();
    let mut released = false;
    let mut number = 0;
    while !follower.is_stopped() && !follower.is_finished() {
        let next = follower.next(FOLLOW_WAIT);
        while let Some(Ok(report)) = reports.as_mut().map(mpsc::Receiver::try_recv) {
            state.reloads.report(&report, err);
        }
        for (input, change) in follower.changes() {
            if let Some(judging) = &plan.judging {
                // What is in the one file need not follow what was in the other.
                judging.policies.get().0.ledger().hole(input, "", i64::MIN);
            }
            if !plan.output.quiet {
                say(err, &format!("{}: {change}", files.inputs[input].name()));
            }
        }
        if let Some((input, chunk)) = next {
            let mut piece = workers[input].piece(number, input, &chunk);
            number += 1;
            state.watch(&mut piece, err);
            let full = order.text(&piece.text)?;
            state.piece(input, piece, err);
            if full {
                return Ok(());
            }
        }
        if follower.is_caught_up() && !released {
            released = true;
            order.release()?;
        }
        order.flush()?;
    }
    Ok(())
}

struct State {
    began: Instant,
    tally: Tally,
    capabilities: Capabilities,
    /// Lines and skips of each input.
    skips: Vec<(u64, Skips)>,
    failed: Vec<String>,
    unwritten: u64,
    reloads: Reloads,
    watching: Option<Watching>,
}

impl State {
    fn new(inputs: &[Input], reloads: Reloads, watching: Option<Watching>) -> Self {
        Self {
            reloads,
            watching,
            began: Instant::now(),
            tally: Tally::default(),
            capabilities: Capabilities::default(),
            skips: vec![(0, Skips::default()); inputs.len()],
            failed: Vec::new(),
            unwritten: 0,
        }
    }

    fn piece(&mut self, input: usize, piece: DonePiece, err: &mut dyn Write) {
        let (lines, skips) = &mut self.skips[input];
        skips.absorb(piece.report.skips, *lines);
        *lines += piece.report.lines;
        self.unwritten += piece.text.failed;
        self.capabilities.merge(&piece.capabilities);
        self.tally.add(piece.text.tally);
        // Without a reader there is nobody to tell.
        let _ = err.write_all(&piece.text.err);
    }

    /// Looks for what is unusual in a piece, and marks what belongs to it, before it is shown.
    fn watch(&mut self, piece: &mut DonePiece, err: &mut dyn Write) {
        let Some(watching) = &mut self.watching else {
            return;
        };
        let batches = std::mem::take(&mut piece.batches);
        let policies = piece.policies.take();
        let watched = watching.text(batches, policies.as_ref(), &mut piece.text, err);
        if let Err(error) = watched {
            self.watching = None;
            self.failed.push(error.to_string());
        }
    }

    /// Ends looking for what is unusual.
    fn watched(&mut self, quiet: bool, err: &mut dyn Write) {
        let watching = self.watching.take();
        if let Some(Err(error)) = watching.map(|watching| watching.finish(quiet, err)) {
            self.failed.push(error.to_string());
        }
    }

    fn report(&self, inputs: &[Input], err: &mut dyn Write) {
        say_skips(inputs, &self.skips, err);
        if self.unwritten > 0 {
            say(
                err,
                &format!("{} events cannot be written as JSON", self.unwritten),
            );
        }
        for missing in self.capabilities.missing() {
            if MASKED.contains(&missing.field) {
                say(err, &format!("masked recording: {}", missing.sentence));
            }
        }
        if let Some(agreement) = self.tally.agreement() {
            for line in agreement_lines(agreement) {
                say(err, &line);
            }
        }
        if let Some(line) = self.reloads.summary() {
            say(err, &line);
        }
        say(err, &self.tally.status(self.began.elapsed()));
    }
}

/// What every recording has that was not masked.
const MASKED: [Field; 6] = [
    Field::Time,
    Field::NodeName,
    Field::Verdict,
    Field::EventType,
    Field::Identity,
    Field::Labels,
];

/// What one piece gave.
struct DonePiece {
    report: PieceReport,
    bytes: u64,
    capabilities: Capabilities,
    text: Text,
    /// For whoever looks for what is unusual; none where nobody does.
    batches: Vec<FlowBatch>,
    /// What they were judged by.
    policies: Option<Arc<Policies>>,
}

/// Decodes, filters and writes the pieces a thread takes.
struct Worker {
    decoder: LineDecoder,
    writer: BatchWriter,
    capabilities: Capabilities,
    /// Bytes the last piece gave.
    written: usize,
    /// Whether batches are handed on.
    keeps: bool,
}

impl Worker {
    /// What makes a worker, one of so many.
    fn maker(plan: &Plan, count: usize, keeps: bool) -> impl Fn() -> Self + Send + Sync + 'static {
        let output = plan.output.clone();
        let filters = plan.filters.clone();
        let (since, until) = (plan.since, plan.until);
        let judging = plan.judging.clone();
        move || {
            let builder = BatchBuilder::new(dictionary_bytes(count));
            let raw = output.form.needs_raw();
            Self {
                decoder: LineDecoder::new(if raw { builder.keeping_raw() } else { builder }),
                writer: BatchWriter::new(&output, filters.clone(), since, until, judging.as_ref())
                    .watched(keeps),
                capabilities: Capabilities::default(),
                written: 0,
                keeps,
            }
        }
    }

    fn piece(&mut self, number: u64, input: usize, chunk: &Chunk) -> DonePiece {
        let Self {
            decoder,
            writer,
            capabilities,
            written,
            keeps,
        } = self;
        let mut batches = Vec::new();
        // About as much as the piece before, so that the text does not grow by doubling;
        // of a line of unusual length most is written again.
        let usual = *written + *written / 8;
        let mut text = Text::with_capacity(if chunk.bytes.len() > 2 * MOST_WRITTEN {
            usual.max(chunk.bytes.len() + MOST_WRITTEN)
        } else {
            usual
        });
        let mut held = Vec::new();
        let report = decoder.decode(chunk, |decoder, batch| {
            capabilities.observe(&batch);
            if writer.is_judging() {
                // What the piece tells about later flows is taken before any is judged.
                held.push(batch);
            } else {
                writer.batch(&batch, &mut text);
                if *keeps {
                    batches.push(batch);
                } else {
                    decoder.recycle(batch);
                }
            }
        });
        if writer.is_judging() {
            writer.begin(number, input, &held);
            for batch in held {
                writer.batch(&batch, &mut text);
                if *keeps {
                    batches.push(batch);
                } else {
                    decoder.recycle(batch);
                }
            }
        }
        *written = text.out.len().min(MOST_WRITTEN);
        DonePiece {
            report,
            bytes: chunk.bytes.len() as u64,
            capabilities: capabilities.clone(),
            text,
            batches,
            policies: keeps.then(|| writer.policies().cloned()).flatten(),
        }
    }

    /// The same for rows of an archive, which are decoded.
    fn batch(&mut self, number: u64, input: usize, batch: FlowBatch, bytes: u64) -> DonePiece {
        let mut text = Text::with_capacity(self.written + self.written / 8);
        self.capabilities.observe(&batch);
        let batches = vec![batch];
        if self.writer.is_judging() {
            self.writer.begin(number, input, &batches);
        }
        for batch in &batches {
            self.writer.batch(batch, &mut text);
        }
        self.written = text.out.len().min(MOST_WRITTEN);
        DonePiece {
            report: PieceReport::default(),
            bytes,
            capabilities: self.capabilities.clone(),
            text,
            batches: if self.keeps { batches } else { Vec::new() },
            policies: self
                .keeps
                .then(|| self.writer.policies().cloned())
                .flatten(),
        }
    }
}

/// What an archive is asked for. What is judged or watched needs the flows that tell about others,
/// and so all of them.
fn query(plan: &Plan, watched: bool) -> Query {
    let wanted = if plan.judging.is_some() || watched {
        Wanted::default()
    } else {
        plan.filters.wanted()
    };
    Query {
        since: plan.since.unwrap_or(i64::MIN),
        until: plan.until.unwrap_or(i64::MAX),
        wanted,
        ..Query::default()
    }
}
