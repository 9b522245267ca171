//! Recording what servers send, until a signal.
//!
//! Owns the way from the streams to the recorder: a thread receives, this one decodes
//! and writes. The channel between them is bounded. Where the archive cannot be written
//! (a full disk), what comes meanwhile is counted and not kept, a hole says so once
//! writing works again, and the recording goes on.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::rolling::{Background, InForce, Rolling};
use super::summary;
use crate::archive::{Keep, Pace, Recorder, WriterOptions, retain};
use crate::cli::error::CommandError;
use crate::cli::policy_source::say_remarks;
use crate::cli::policy_watch::Report;
use crate::cli::rollup::say_made;
use crate::cli::signal::Interrupt;
use crate::cli::sink::say;
use crate::flow::{BatchBuilder, FlowBatch, Hole, HoleCause, NO_TIME, Raw};
use crate::render::thousands;
use crate::source::archive::ArchiveError;
use crate::source::observer::{ConnectConfig, ConnectError, Event, FlowQuery, ObserverSource};
use crate::wire::walk;

/// Batches that may wait to be written.
const CHANNEL: usize = 64;
/// How often the journal is looked at while nothing comes.
const TICK: Duration = Duration::from_millis(500);
/// How often a terminal is told how it goes.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// How often old hours are looked for.
const RETAIN_EVERY: Duration = Duration::from_mins(10);
/// How long after a failure writing is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// A step of the clock that is worth a word, beyond what passed.
const JUMP: i64 = 60_000_000_000;

/// A resolved recording.
pub(super) struct Plan {
    pub(super) folder: PathBuf,
    pub(super) servers: Vec<ConnectConfig>,
    pub(super) options: WriterOptions,
    pub(super) keep: Keep,
    pub(super) pace: Pace,
    pub(super) quiet: bool,
    pub(super) rolling: Rolling,
    pub(super) policies: Option<InForce>,
}

enum Received {
    Event(Event),
    Failed(ConnectError),
    Interrupted,
}

/// Records until interrupted, or until every server has ended.
///
/// # Errors
/// [`CommandError`] when the archive cannot be opened or sealed, or no server be reached.
pub(super) fn run(
    mut plan: Plan,
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let (recorder, recovery) =
        Recorder::open(&plan.folder, plan.options).map_err(CommandError::failed)?;
    let mut recorder = recorder.at_pace(plan.pace);
    if recovery.journals > 0 && !plan.quiet {
        say(
            err,
            &format!(
                "an earlier recording was not ended: {} flows of it were saved",
                thousands(recovery.rows)
            ),
        );
    }
    if recovery.torn_bytes > 0 {
        say(
            err,
            &format!(
                "its last {} bytes could not be read: flows of its last 5 s may be missing, \
                 which a hole in the archive says",
                thousands(recovery.torn_bytes)
            ),
        );
    }
    let reports = match &mut plan.policies {
        None => None,
        Some(policies) => {
            let since = policies.since.or(Some(wall_clock()));
            policies
                .record(recorder.store(), since)
                .map_err(CommandError::failed)?;
            policies.watch(interrupt)?
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::failed)?;
    let (sender, mut receiver) = mpsc::channel(CHANNEL);
    let servers = plan.servers.clone();
    let theirs = interrupt.clone();
    let receiving = thread::Builder::new()
        .name("receive".to_owned())
        .spawn(move || runtime.block_on(receive(servers, sender, theirs)))
        .map_err(CommandError::failed)?;
    let ended = Session::new(&plan, recorder, reports, err).follow(&mut receiver);
    drop(receiver);
    if receiving.join().is_err() {
        return Err(CommandError::failed("the receiving thread broke down"));
    }
    ended
}

async fn receive(
    servers: Vec<ConnectConfig>,
    sender: mpsc::Sender<Received>,
    interrupt: Interrupt,
) {
    let mut streams = tokio::task::JoinSet::new();
    for config in servers {
        let sender = sender.clone();
        streams.spawn(async move {
            if let Err(error) = stream(config, &sender).await {
                let _ = sender.send(Received::Failed(error)).await;
            }
        });
    }
    tokio::select! {
        () = interrupt.wait_for() => {
            let _ = sender.send(Received::Interrupted).await;
        }
        () = sender.closed() => {}
        () = async { while streams.join_next().await.is_some() {} } => {}
    }
    streams.abort_all();
}

async fn stream(
    config: ConnectConfig,
    sender: &mpsc::Sender<Received>,
) -> Result<(), ConnectError> {
    let source = ObserverSource::connect(config).await?;
    let query = FlowQuery {
        follow: true,
        since: Some(jiff::Timestamp::now()),
        ..FlowQuery::default()
    };
    let (events, mut received) = mpsc::channel(2);
    let passing = async {
        while let Some(event) = received.recv().await {
            if sender.send(Received::Event(event)).await.is_err() {
                break;
            }
        }
    };
    let (result, ()) = tokio::join!(source.run(query, events), passing);
    result
}

/// What could not be written since the archive failed.
struct Outage {
    since: Instant,
    tried: Instant,
    events: u64,
    first: i64,
    last: i64,
}

struct Session<'a> {
    plan: &'a Plan,
    recorder: Recorder,
    builder: BatchBuilder,
    err: &'a mut dyn Write,
    running: usize,
    failed: usize,
    undecoded: u64,
    holes: u64,
    outage: Option<Outage>,
    lost: u64,
    began: Instant,
    told: Instant,
    retained: Instant,
    clock: (Instant, i64),
    background: Background,
    /// Policies that were read again.
    reports: Option<mpsc::Receiver<Report>>,
}

impl<'a> Session<'a> {
    fn new(
        plan: &'a Plan,
        recorder: Recorder,
        reports: Option<mpsc::Receiver<Report>>,
        err: &'a mut dyn Write,
    ) -> Self {
        let now = Instant::now();
        Self {
            running: plan.servers.len(),
            plan,
            recorder,
            builder: BatchBuilder::default(),
            err,
            failed: 0,
            undecoded: 0,
            holes: 0,
            outage: None,
            lost: 0,
            began: now,
            told: now,
            retained: now,
            clock: (now, wall_clock()),
            background: Background::new(plan.rolling.clone()),
            reports,
        }
    }

    fn follow(mut self, receiver: &mut mpsc::Receiver<Received>) -> Result<(), CommandError> {
        self.retain();
        while self.running > 0 {
            match wait(receiver) {
                Waited::Got(Received::Event(event)) => self.event(event),
                Waited::Got(Received::Failed(error)) => {
                    self.failed += 1;
                    self.running = self.running.saturating_sub(1);
                    say(self.err, &format!("flowwatch: {error}"));
                }
                Waited::Got(Received::Interrupted) | Waited::Closed => break,
                Waited::Nothing => {}
            }
            self.housekeeping();
        }
        self.end()
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Messages(messages) => {
                for message in messages {
                    let pushed = walk::push_message(&mut self.builder, &message, || {
                        Raw::Message(message.clone())
                    });
                    self.undecoded += u64::from(pushed.is_err());
                    if self.builder.is_full() {
                        self.write();
                    }
                }
                self.write();
            }
            Event::Hole { node, hole } => {
                self.holes += 1;
                self.hole(&node, &hole);
            }
            Event::Connected {
                server,
                resumed_from: Some(from),
            } => self.note(&format!(
                "connected to {server} again, flows continue from {from:.3}"
            )),
            Event::Disconnected { error, retry_in } => self.note(&format!(
                "{error}; trying again in {:.1} s",
                retry_in.as_secs_f64()
            )),
            Event::MaskRefused { .. } | Event::Version(_) | Event::RingFull { .. } => {}
            Event::Connected { server, .. } => tracing::debug!(server, "connected"),
            Event::End => self.running = self.running.saturating_sub(1),
        }
    }

    fn write(&mut self) {
        if self.builder.is_empty() {
            return;
        }
        let batch = self.builder.finish();
        self.batch(&batch);
        self.builder.recycle(batch);
    }

    fn batch(&mut self, batch: &FlowBatch) {
        if let Some(outage) = &mut self.outage {
            if outage.tried.elapsed() < RETRY_AFTER {
                outage.add(batch);
                return;
            }
            outage.tried = Instant::now();
            let (first, last, events) = (outage.first, outage.last, outage.events);
            let said = self
                .recorder
                .hole("", HoleCause::Recorder, Some(events), (first, last));
            if said.is_err() {
                outage.add(batch);
                return;
            }
            self.lost += events;
            let seconds = outage.since.elapsed().as_secs_f64();
            self.outage = None;
            say(
                self.err,
                &format!(
                    "writing works again after {seconds:.0} s; {} events are missing, which a \
                     hole in the archive says",
                    thousands(events)
                ),
            );
        }
        let before = self.recorder.rows();
        if let Err(error) = self.recorder.push(batch) {
            // A seal that fails after the rows were written loses none of them.
            let kept = self.recorder.rows() > before;
            self.outage(&error, (!kept).then_some(batch));
        }
    }

    fn outage(&mut self, error: &ArchiveError, batch: Option<&FlowBatch>) {
        let hint = if error.is_disk_full() {
            "; what comes is not kept until there is room"
        } else {
            "; trying again"
        };
        say(self.err, &format!("flowwatch: {error}{hint}"));
        let now = Instant::now();
        let time = wall_clock();
        let outage = self.outage.get_or_insert(Outage {
            since: now,
            tried: now,
            events: 0,
            first: time,
            last: time,
        });
        if let Some(batch) = batch {
            outage.add(batch);
        }
    }

    fn hole(&mut self, node: &str, hole: &Hole) {
        let time = |at: jiff::Timestamp| i64::try_from(at.as_nanosecond()).unwrap_or(NO_TIME);
        let span = (time(hole.span.start()), time(hole.span.end()));
        if let Err(error) = self.recorder.hole(node, hole.cause, hole.events, span) {
            self.outage(&error, None);
        }
    }

    fn housekeeping(&mut self) {
        if self.outage.is_none()
            && let Err(error) = self.recorder.tick()
        {
            self.outage(&error, None);
        }
        self.look_at_clock();
        self.policies();
        if let Some(made) = self.background.step(self.recorder.store(), wall_clock()) {
            say_made(&made, true, self.err);
        }
        if self.retained.elapsed() >= RETAIN_EVERY {
            self.retain();
        }
        if self.told.elapsed() >= STATUS_EVERY {
            self.told = Instant::now();
            if std::io::stderr().is_terminal() {
                let rows = self.recorder.rows();
                let rate = rows as f64 / self.began.elapsed().as_secs_f64().max(1e-6);
                self.note(&format!(
                    "{} flows recorded ({}/s)",
                    thousands(rows),
                    thousands(rate as u64)
                ));
            }
        }
    }

    /// Writes down policies that changed.
    fn policies(&mut self) {
        let report = self
            .reports
            .as_mut()
            .and_then(|reports| reports.try_recv().ok());
        let Some(report) = report else { return };
        say(self.err, &report.line);
        if !self.plan.quiet {
            say_remarks(&report.remarks, self.err);
        }
        if let Some(policies) = &report.recorded {
            let store = self.recorder.store();
            if let Err(error) = store.record_policies(policies, Some(wall_clock())) {
                say(self.err, &format!("flowwatch: {error}"));
            }
        }
    }

    /// Our clock going elsewhere changes which hours are old; a person wants to know.
    fn look_at_clock(&mut self) {
        let (then, before) = self.clock;
        let now = wall_clock();
        let passed = i64::try_from(then.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let step = now.saturating_sub(before).saturating_sub(passed);
        if step.abs() > JUMP {
            say(
                self.err,
                &format!(
                    "this machine's clock jumped by {} s; flows keep the times of their nodes",
                    step / 1_000_000_000
                ),
            );
        }
        self.clock = (Instant::now(), now);
    }

    fn retain(&mut self) {
        self.retained = Instant::now();
        match retain(self.recorder.store(), self.plan.keep) {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => {
                let text = format!("removed {}", summary::of(&removed));
                self.note(&text);
            }
            Err(error) => say(self.err, &format!("flowwatch: {error}")),
        }
    }

    fn end(mut self) -> Result<(), CommandError> {
        self.write();
        if let Some(outage) = self.outage.take() {
            self.lost += outage.events;
            // If this fails too, the message is all there is.
            let _ = self.recorder.hole(
                "",
                HoleCause::Recorder,
                Some(outage.events),
                (outage.first, outage.last),
            );
        }
        let rows = self.recorder.rows();
        let (nothing, failed) = (rows == 0, self.failed);
        self.recorder.seal().map_err(|error| {
            CommandError::failed(format!(
                "{error}; the journal is kept and sealed at the next start"
            ))
        })?;
        self.background.end(self.recorder.store());
        let is_silent = self.plan.quiet || (nothing && failed > 0);
        if !is_silent {
            let mut text = format!(
                "{}: {} flows recorded",
                self.plan.folder.display(),
                thousands(rows)
            );
            for (count, what) in [
                (self.holes, "holes"),
                (self.lost, "events not kept"),
                (self.undecoded, "messages not decoded"),
            ] {
                if count > 0 {
                    let _ = write!(text, ", {} {what}", thousands(count));
                }
            }
            say(self.err, &text);
        }
        let store = self.recorder.store();
        self.plan
            .rolling
            .refresh(store, self.plan.quiet, self.err, &|| false);
        match failed {
            0 => Ok(()),
            1 if self.plan.servers.len() == 1 => Err(CommandError::Said),
            failed => Err(CommandError::failed(format!(
                "{failed} of {} servers failed",
                self.plan.servers.len()
            ))),
        }
    }

    fn note(&mut self, line: &str) {
        if !self.plan.quiet {
            say(self.err, line);
        }
    }
}

impl Outage {
    fn add(&mut self, batch: &FlowBatch) {
        self.events += batch.rows().map(|row| u64::from(row.weight())).sum::<u64>();
        for time in batch.rows().filter_map(|row| row.time()) {
            self.first = self.first.min(time);
            self.last = self.last.max(time);
        }
    }
}

fn wall_clock() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

enum Waited {
    Got(Received),
    Nothing,
    Closed,
}

/// The next event, or nothing after a while.
fn wait(receiver: &mut mpsc::Receiver<Received>) -> Waited {
    let until = Instant::now() + TICK;
    loop {
        match receiver.try_recv() {
            Ok(received) => return Waited::Got(received),
            Err(mpsc::error::TryRecvError::Disconnected) => return Waited::Closed,
            Err(mpsc::error::TryRecvError::Empty) if Instant::now() >= until => {
                return Waited::Nothing;
            }
            Err(mpsc::error::TryRecvError::Empty) => thread::sleep(Duration::from_millis(5)),
        }
    }
}
