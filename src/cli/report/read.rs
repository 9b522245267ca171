//! Reading two periods of an archive in one pass.
//!
//! Owns the threads: batches judged on every core, folded and counted on one, in order. A
//! file that cannot be read is missing of both periods, and the others are read.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;

use super::Plan;
use crate::cli::error::CommandError;
use crate::cli::pieces::{Piece, pieces};
use crate::cli::signal::Interrupt;
use crate::connection::FoldOptions;
use crate::engine::{BatchJudge, Judge, JudgedBatch, Pass, Policies, UNUSED_COLUMNS};
use crate::flow::FlowBatch;
use crate::render::thousands;
use crate::review::coverage::{Coverage, Traffic};
use crate::review::periodic::{Gathered, Periods, Presence, Times, Watch};
use crate::review::report::{Reading, RowReader};
use crate::source::archive::{Projection, Query};
use crate::source::file::{Turn, ordered, threads};

/// What was read.
pub(super) struct Read {
    pub(super) gathered: Gathered,
    /// What policies cover of what the later period shows, where it was asked for.
    pub(super) coverage: Option<Coverage>,
    /// Files that could not be read.
    pub(super) failed: Vec<String>,
}

/// What a worker makes of a batch.
enum Done {
    Batch(Box<DoneBatch>),
    Failed(String),
}

struct DoneBatch {
    bytes: u64,
    readings: [Reading; 2],
    watch: Watch,
    batch: JudgedBatch,
}

/// Reads both periods.
///
/// # Errors
/// [`CommandError`] when it was interrupted: half of a period is not what was asked for.
pub(super) fn read(
    plan: &Plan,
    progress: &ProgressBar,
    interrupt: &Interrupt,
) -> Result<Read, CommandError> {
    let (earlier, later) = (plan.span.earlier, plan.span.later);
    let query = Query {
        since: earlier.0,
        until: later.1.saturating_sub(1),
        projection: Projection::Without(UNUSED_COLUMNS),
        ..Query::default()
    };
    let mut pass = Pass::new(FoldOptions::default());
    let mut periods = Periods::new(earlier, later);
    let mut readings = [Reading::default(), Reading::default()];
    let mut notices = Reading::default();
    let mut watch = Watch::default();
    let traffic: Arc<Mutex<Vec<Shared>>> = Arc::default();
    let mut failed = Vec::new();
    pass.open(0, earlier.0);
    let maker = Worker::maker(plan, traffic.clone());
    ordered(
        threads(),
        pieces(vec![plan.input.clone()], query),
        Piece::size,
        move || {
            let mut worker = maker();
            move |piece| match piece {
                Piece::Batch(number, input, batch, bytes) => {
                    Done::Batch(Box::new(worker.batch(number, input, *batch, bytes)))
                }
                Piece::Failed(message) => Done::Failed(message),
                // An archive has no text.
                Piece::Chunk(..) => Done::Failed("an archive gave text".to_owned()),
            }
        },
        |turn| {
            if interrupt.happened() {
                return ControlFlow::Break(());
            }
            match turn {
                Turn::Idle => {}
                Turn::Result(Done::Failed(message)) => {
                    watch.unread(message.clone());
                    failed.push(message);
                }
                Turn::Result(Done::Batch(done)) => {
                    for notice in done.batch.batch.notices() {
                        notices.notice(notice);
                    }
                    for (whole, part) in readings.iter_mut().zip(done.readings) {
                        whole.merge(0, part);
                    }
                    watch.merge(done.watch);
                    pass.push(0, done.batch, &mut periods);
                    progress.inc(done.bytes);
                    if !progress.is_hidden() {
                        let flows = readings.iter().map(|reading| reading.flows).sum();
                        progress.set_message(format!(", {} flows", thousands(flows)));
                    }
                }
            }
            ControlFlow::Continue(())
        },
    );
    if interrupt.happened() {
        return Err(CommandError::failed(
            "interrupted before the end of the archive",
        ));
    }
    pass.close(0, &mut periods);
    pass.finish(&mut periods);
    let [mut before, mut after] = readings;
    holes(notices, &before, &after, &mut watch);
    before.failed.clone_from(&failed);
    after.failed.clone_from(&failed);
    after.late = pass.late();
    let policies = plan.policies.as_deref();
    Ok(Read {
        coverage: policies.filter(|_| plan.covers).map(|policies| {
            let mut whole = Traffic::default();
            for part in locked(&traffic).iter() {
                whole.merge(std::mem::take(&mut *locked(part)));
            }
            Coverage::of(policies, Some(&whole))
        }),
        gathered: periods.finish((before, after), watch, pass.peers(), policies),
        failed,
    })
}

/// What notices tell to be missing, by the nodes as flows name them.
fn holes(mut notices: Reading, before: &Reading, after: &Reading, watch: &mut Watch) {
    for (name, node) in before.nodes.iter().chain(&after.nodes) {
        notices.nodes.insert(name.clone(), *node);
    }
    notices.seen = if after.flows > 0 {
        after.seen
    } else {
        before.seen
    };
    notices.finish();
    for (node, hole) in notices.holes() {
        watch.lose(node, hole);
    }
}

/// Judges the batches a thread takes.
struct Worker {
    earlier: Times,
    later: Times,
    rows: RowReader,
    presence: Presence,
    judge: Option<BatchJudge>,
    /// What judges once more for what is covered, and what it has seen.
    cover: Option<(Judge, Shared)>,
}

/// What a thread sees, until all are done.
type Shared = Arc<Mutex<Traffic>>;

impl Worker {
    /// What makes the worker of a thread.
    fn maker(
        plan: &Plan,
        made: Arc<Mutex<Vec<Shared>>>,
    ) -> impl Fn() -> Self + Send + Sync + 'static {
        let (earlier, later) = (plan.span.earlier, plan.span.later);
        let policies: Option<Arc<Policies>> = plan.policies.clone();
        let covers = plan.covers;
        move || Self {
            earlier,
            later,
            rows: RowReader::default(),
            presence: Presence::default(),
            judge: policies.clone().map(BatchJudge::new),
            cover: policies.clone().filter(|_| covers).map(|policies| {
                let own = Shared::default();
                locked(&made).push(own.clone());
                (Judge::new(policies), own)
            }),
        }
    }

    fn batch(&mut self, number: u64, input: usize, batch: FlowBatch, bytes: u64) -> DoneBatch {
        let mut readings = [Reading::default(), Reading::default()];
        for (reading, window) in readings.iter_mut().zip([self.earlier, self.later]) {
            let kept: Vec<bool> = batch
                .rows()
                .map(|row| {
                    row.time()
                        .is_some_and(|time| (window.0..window.1).contains(&time))
                })
                .collect();
            if kept.contains(&true) {
                self.rows.batch(&batch, &kept, reading);
            }
        }
        let mut watch = Watch::default();
        let whole = (self.earlier.0, self.later.1);
        self.presence.batch(&batch, whole, &mut watch);
        if let Some((judge, traffic)) = &mut self.cover {
            let mut traffic = locked(traffic);
            for row in batch.rows() {
                if row.time().is_some_and(|time| time >= self.later.0) {
                    let judgement = judge.judge(row);
                    traffic.observe(row, &judgement);
                }
            }
        }
        let batch = match &mut self.judge {
            Some(judge) => {
                let held = [batch];
                judge.begin(number, input, &held);
                let [batch] = held;
                judge.judge(batch, Vec::new())
            }
            None => JudgedBatch::unjudged(batch),
        };
        DoneBatch {
            bytes,
            readings,
            watch,
            batch,
        }
    }
}

/// A lock; what a thread that panicked left is as good as it was.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
