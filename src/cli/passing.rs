//! Recordings in one pass, for whoever counts connections.
//!
//! Owns the threads: pieces in the order of their times, decoded, filtered and judged on
//! every core, folded on one, in order. Who judges is the caller's, what is made of
//! connections the observer's.

use std::ops::ControlFlow;
use std::sync::Arc;

use indicatif::ProgressBar;

use super::error::CommandError;
use super::held::{Held, HeldPiece, HeldStep, Holder, Judges, ROW_BYTES};
use super::signal::Interrupt;
use crate::connection::FoldOptions;
use crate::engine::{BatchJudge, JudgedBatch, Observer, Pass, UNUSED_COLUMNS};
use crate::filter::Filters;
use crate::flow::{BatchBuilder, FlowBatch, RowRef, Wanted};
use crate::render::thousands;
use crate::review::both::{BothJudge, Telling};
use crate::review::report::{Reading, RowReader};
use crate::source::archive::{Projection, Query};
use crate::source::file::{
    Chunk, Input, LineDecoder, PieceReport, Series, Skips, Step, Turn, dictionary_bytes, ordered,
    threads,
};

/// One step of reading, with the number of its piece.
enum Work {
    Piece(u64, usize, Chunk),
    Rows(u64, usize, Box<FlowBatch>, u64),
    /// A piece that was decoded before.
    Held(u64, HeldPiece),
    Other(Step),
}

/// What a worker makes of a step.
enum Done {
    Piece(Box<DonePiece>),
    Other(Step),
}

struct DonePiece {
    input: usize,
    bytes: u64,
    report: PieceReport,
    reading: Reading,
    batches: Vec<JudgedBatch>,
}

/// What to read, and how.
#[derive(Default)]
pub(super) struct Reads {
    pub(super) inputs: Vec<Input>,
    pub(super) filters: Filters,
    /// First and last time, in nanoseconds since 1970 UTC.
    pub(super) since: Option<i64>,
    pub(super) until: Option<i64>,
    /// Flows are judged, and so those are read too that tell about others.
    pub(super) judged: bool,
    /// Give connections out near their beginning too, and take the same flow once.
    pub(super) for_detection: bool,
    /// What has to hold of the columns of every flow that is taken: others need not be
    /// read, also where flows are judged.
    pub(super) narrow: Option<Wanted>,
    /// Every column is kept, for whoever writes the flows down.
    pub(super) whole: bool,
    /// Where flows are kept for the next time the same is read; what is there is not read
    /// from its files again.
    pub(super) held: Option<Arc<Held>>,
}

/// Who judges batches; one a thread.
pub(super) trait Judging {
    /// Whether it chooses flows.
    const CHOOSES: bool = false;

    /// Whether a flow takes part, of those within filters and times.
    fn takes(&mut self, _row: RowRef<'_>) -> bool {
        true
    }

    /// Begins a piece of an input, of which these are all batches.
    fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]);
    /// Judges the rows for which `kept` says yes; an empty one keeps all.
    fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch;
}

impl<T: Telling> Judging for BothJudge<T> {
    fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        Self::begin(self, piece, input, batches);
    }

    fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        Self::judge(self, batch, kept)
    }
}

/// By policies, where there are any.
impl Judging for Option<BatchJudge> {
    fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        if let Some(judge) = self {
            judge.begin(piece, input, batches);
        }
    }

    fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        match self {
            Some(judge) => judge.judge(batch, kept),
            None => JudgedBatch::unjudged(batch).keeping(kept),
        }
    }
}

impl Reads {
    fn times(&self) -> (i64, i64) {
        (
            self.since.unwrap_or(i64::MIN),
            self.until.unwrap_or(i64::MAX),
        )
    }
}

/// Refuses half of a recording: it is not what was asked for.
///
/// # Errors
/// [`CommandError`] where the person had enough before the end.
pub(super) fn ended(reading: &Reading) -> Result<(), CommandError> {
    if reading.interrupted {
        return Err(CommandError::failed(
            "interrupted before the end of the recordings",
        ));
    }
    Ok(())
}

/// Refuses what was not read whole.
///
/// # Errors
/// [`CommandError`] for the first input that cannot be read, and those of [`ended`].
pub(super) fn whole(reading: &Reading) -> Result<(), CommandError> {
    if let Some(message) = reading.failed.first() {
        return Err(CommandError::Failed(message.clone()));
    }
    ended(reading)
}

/// Reads all of the inputs, or until the person has had enough. What the observer has then
/// is complete; the pass tells who the peers are.
pub(super) fn read<J: Judging + 'static, O: Observer>(
    plan: &Reads,
    judge: impl Fn() -> J + Send + Sync + 'static,
    observer: O,
    progress: &ProgressBar,
    interrupt: &Interrupt,
) -> (Reading, Pass, O) {
    let times = plan.times();
    let query = Query {
        since: times.0,
        until: times.1,
        projection: if plan.filters.is_empty() && !plan.whole {
            Projection::Without(UNUSED_COLUMNS)
        } else {
            // A filter may ask for any of them.
            Projection::All
        },
        wanted: match &plan.narrow {
            Some(wanted) => wanted.clone(),
            None if plan.judged => Wanted::default(),
            None => plan.filters.wanted(),
        },
    };
    let (starts, work) = steps(plan, query);
    let mut pass = Pass::new(FoldOptions {
        opened: plan.for_detection,
        ..FoldOptions::default()
    });
    if plan.for_detection {
        pass = pass.distinct();
    }
    let mut state = State {
        reading: Reading::default(),
        pass,
        observer,
        skips: vec![(0, Skips::default()); plan.inputs.len()],
        times,
        holder: None,
    };
    for (input, start) in starts.iter().enumerate() {
        if let Some(start) = start {
            state.pass.open(input, *start);
        }
    }
    state.holder = plan.held.as_ref().and_then(|held| held.holder(starts));
    let filters = plan.filters.clone();
    let judge: Arc<dyn Fn() -> J + Send + Sync> = Arc::new(judge);
    ordered(
        threads(),
        work,
        |work| match work {
            Work::Piece(_, _, chunk) => chunk.bytes.len(),
            Work::Rows(_, _, batch, _) => batch.len() * ROW_BYTES,
            Work::Held(_, piece) => piece.rows() * ROW_BYTES,
            Work::Other(_) => 0,
        },
        move || {
            let mut worker = Worker {
                decoder: LineDecoder::new(BatchBuilder::new(dictionary_bytes(threads()))),
                filters: filters.clone(),
                times,
                rows: RowReader::default(),
                judges: Judges::new(judge.clone()),
            };
            move |work| match work {
                Work::Piece(number, input, chunk) => {
                    Done::Piece(Box::new(worker.piece(number, input, &chunk)))
                }
                Work::Rows(number, input, batch, bytes) => {
                    Done::Piece(Box::new(worker.rows(number, input, *batch, bytes)))
                }
                Work::Held(number, piece) => Done::Piece(Box::new(worker.held(number, piece))),
                Work::Other(step) => Done::Other(step),
            }
        },
        |turn| {
            if interrupt.happened() {
                state.reading.interrupted = true;
                return ControlFlow::Break(());
            }
            if let Turn::Result(done) = turn {
                state.take(done, progress);
            }
            ControlFlow::Continue(())
        },
    );
    if let (Some(held), Some(holder)) = (&plan.held, state.holder.take())
        && !state.reading.interrupted
        && state.reading.failed.is_empty()
    {
        held.keep(holder);
    }
    state.finish(&plan.inputs)
}

/// All steps of reading with the numbers of their pieces, and when each input begins: those
/// that are held, where they are.
fn steps(plan: &Reads, query: Query) -> (Vec<Option<i64>>, Box<dyn Iterator<Item = Work> + Send>) {
    let mut pieces = 0;
    let mut number = move || {
        pieces += 1;
        pieces - 1
    };
    if let Some(whole) = plan.held.as_ref().and_then(|held| held.whole()) {
        let starts = whole.starts.clone();
        let steps = (0..whole.steps.len()).map(move |at| match whole.steps[at].clone() {
            HeldStep::Piece(piece) => Work::Held(number(), piece),
            HeldStep::Ended(input) => Work::Other(Step::Ended(input)),
            HeldStep::Sorted(input, report) => Work::Other(Step::Sorted(input, report)),
        });
        return (starts, Box::new(steps));
    }
    let series = Series::new(&plan.inputs, query);
    let starts = series.starts().collect();
    let steps = series.map(move |step| match step {
        Step::Piece(input, chunk) => Work::Piece(number(), input, chunk),
        Step::Rows(input, batch, bytes) => Work::Rows(number(), input, batch, bytes),
        step => Work::Other(step),
    });
    (starts, Box::new(steps))
}

struct State<O> {
    reading: Reading,
    pass: Pass,
    observer: O,
    /// Lines and skips of each input.
    skips: Vec<(u64, Skips)>,
    times: (i64, i64),
    /// Keeps what comes for the next time, where that is wanted.
    holder: Option<Holder>,
}

impl<O: Observer> State<O> {
    fn take(&mut self, done: Done, progress: &ProgressBar) {
        if let Some(holder) = &mut self.holder {
            match &done {
                Done::Piece(piece) => holder.piece(|| HeldPiece {
                    input: piece.input,
                    bytes: piece.bytes,
                    report: piece.report.clone(),
                    batches: piece.batches.iter().map(|one| one.batch.clone()).collect(),
                }),
                Done::Other(step) => holder.step(step),
            }
        }
        match done {
            Done::Piece(piece) => {
                for batch in &piece.batches {
                    for notice in batch.batch.notices() {
                        if (self.times.0..=self.times.1).contains(&notice.time) {
                            self.reading.notice(notice);
                        }
                    }
                }
                self.reading.merge(piece.input, piece.reading);
                self.report(piece.input, piece.report);
                for batch in piece.batches {
                    self.pass.push(piece.input, batch, &mut self.observer);
                }
                progress.inc(piece.bytes);
                if !progress.is_hidden() {
                    let flows = thousands(self.reading.read);
                    progress.set_message(format!(", {flows} flows"));
                }
            }
            Done::Other(Step::Ended(input)) => self.pass.close(input, &mut self.observer),
            Done::Other(Step::Sorted(input, report)) => self.report(input, report),
            Done::Other(Step::Failed(_, message)) => self.reading.failed.push(message),
            Done::Other(Step::Piece(..) | Step::Rows(..)) => {}
        }
    }

    fn report(&mut self, input: usize, report: PieceReport) {
        if let Some((lines, skips)) = self.skips.get_mut(input) {
            skips.absorb(report.skips, *lines);
            *lines += report.lines;
        }
    }

    fn finish(mut self, inputs: &[Input]) -> (Reading, Pass, O) {
        self.pass.finish(&mut self.observer);
        self.reading.late = self.pass.late();
        self.reading.skips = inputs
            .iter()
            .zip(self.skips)
            .filter(|(_, (_, skips))| !skips.is_empty())
            .map(|(input, (lines, skips))| (input.name(), lines, skips))
            .collect();
        (self.reading, self.pass, self.observer)
    }
}

/// Decodes, filters and judges the pieces a thread takes.
struct Worker<J> {
    decoder: LineDecoder,
    filters: Filters,
    times: (i64, i64),
    rows: RowReader,
    judges: Judges<J>,
}

impl<J: Judging> Worker<J> {
    fn piece(&mut self, number: u64, input: usize, chunk: &Chunk) -> DonePiece {
        let mut held: Vec<FlowBatch> = Vec::new();
        let report = self.decoder.decode(chunk, |_, batch| held.push(batch));
        let (reading, batches) = self.judge(number, input, held, None);
        DonePiece {
            input,
            bytes: chunk.bytes.len() as u64,
            report,
            reading,
            batches,
        }
    }

    /// The same for rows of an archive, which are decoded.
    fn rows(&mut self, number: u64, input: usize, batch: FlowBatch, bytes: u64) -> DonePiece {
        let (reading, batches) = self.judge(number, input, vec![batch], None);
        DonePiece {
            input,
            bytes,
            report: PieceReport::default(),
            reading,
            batches,
        }
    }

    /// The same for what was decoded before, by whichever thread.
    fn held(&mut self, number: u64, piece: HeldPiece) -> DonePiece {
        let epoch = piece.batches.first().map(|one| one.dictionaries().epoch());
        let batches = piece.batches.iter().map(|one| FlowBatch::clone(one));
        let (reading, batches) = self.judge(number, piece.input, batches.collect(), epoch);
        DonePiece {
            input: piece.input,
            bytes: piece.bytes,
            report: piece.report,
            reading,
            batches,
        }
    }

    fn judge(
        &mut self,
        number: u64,
        input: usize,
        held: Vec<FlowBatch>,
        epoch: Option<u64>,
    ) -> (Reading, Vec<JudgedBatch>) {
        let mut reading = Reading::default();
        let judge = match epoch {
            Some(epoch) => self.judges.of(epoch),
            None => self.judges.own(),
        };
        judge.begin(number, input, &held);
        let mut batches = Vec::with_capacity(held.len());
        for batch in held {
            let kept = kept(&batch, &mut self.filters, self.times, judge);
            self.rows.batch(&batch, &kept, &mut reading);
            batches.push(judge.judge(batch, kept));
        }
        (reading, batches)
    }
}

/// Which rows take part; empty for all.
fn kept<J: Judging>(
    batch: &FlowBatch,
    filters: &mut Filters,
    times: (i64, i64),
    judge: &mut J,
) -> Vec<bool> {
    if !J::CHOOSES && filters.is_empty() && times == (i64::MIN, i64::MAX) {
        return Vec::new();
    }
    let times = times.0..=times.1;
    batch
        .rows()
        .map(|row| {
            times.contains(&row.time().unwrap_or(0)) && filters.matches(row) && judge.takes(row)
        })
        .collect()
}
