//! Recording what servers send, until a signal.
//!
//! Owns the way from the streams to the recorder: a thread receives, this one decodes
//! and writes. Where the archive cannot be written (a full disk), what comes waits as long
//! as there is room for it; beyond that it is counted and not kept, a hole says so once
//! writing works again, and the recording goes on.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::clock::{self, Clock};
use super::outage::Outage;
use super::receive::{Received, Receiving, Waited};
use super::rolling::{Background, InForce, Rolling};
use super::summary;
use crate::archive::{Keep, Pace, Recorder, WriterOptions, retain_at};
use crate::cli::error::CommandError;
use crate::cli::policy_source::say_remarks;
use crate::cli::policy_watch::Report;
use crate::cli::rollup::say_made;
use crate::cli::signal::Interrupt;
use crate::cli::sink::say;
use crate::flow::{BatchBuilder, FlowBatch, Hole, NO_TIME, Raw};
use crate::render::thousands;
use crate::source::archive::ArchiveError;
use crate::source::observer::{ConnectConfig, Event};
use crate::wire::walk;

/// How often a terminal is told how it goes.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// How often old hours are looked for.
const RETAIN_EVERY: Duration = Duration::from_mins(10);

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
    pub(super) clock: clock::Pace,
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
            let since = policies.since.or(Some(plan.clock.now()));
            policies
                .record(recorder.store(), since)
                .map_err(CommandError::failed)?;
            policies.watch(interrupt)?
        }
    };
    let since = jiff::Timestamp::from_nanosecond(plan.clock.now().into()).unwrap_or_default();
    let mut receiving = Receiving::start(&plan.servers, since, interrupt)?;
    let ended = Session::new(&plan, recorder, reports, err).follow(&mut receiving);
    receiving.end()?;
    ended
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
    /// What was said of something that cannot be written, once for as long as it is so.
    trouble: Option<String>,
    lost: u64,
    began: Instant,
    told: Instant,
    retained: Instant,
    clock: Clock,
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
            trouble: None,
            lost: 0,
            began: now,
            told: now,
            retained: now,
            clock: Clock::new(plan.clock),
            background: Background::new(plan.rolling.clone(), plan.clock),
            reports,
        }
    }

    fn follow(mut self, receiving: &mut Receiving) -> Result<(), CommandError> {
        self.retain();
        while self.running > 0 {
            match receiving.wait() {
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
        self.clock.saw(batch);
        if let Some(outage) = &mut self.outage {
            outage.add(batch);
            return;
        }
        if let Err(error) = self.recorder.push(batch) {
            if error.is_taken {
                self.trouble(&error.cause);
            } else {
                let mut outage = Outage::new(self.clock.now());
                outage.add(batch);
                self.outage = Some(outage);
                say(
                    self.err,
                    &format!(
                        "flowwatch: {error}; too much waits to be written: what comes is not \
                         kept until that works again"
                    ),
                );
            }
        }
    }

    /// Says what cannot be written, and that it will be.
    fn trouble(&mut self, error: &ArchiveError) {
        let hint = if error.is_disk_full() {
            "it waits until there is room"
        } else {
            "trying again"
        };
        let line = format!("flowwatch: {error}; {hint}");
        if self.trouble.as_ref() != Some(&line) {
            say(self.err, &line);
            self.trouble = Some(line);
        }
    }

    /// Writes what waits, and the hole, where that works again.
    fn recover(&mut self) {
        if !self.outage.as_mut().is_some_and(Outage::is_due) {
            return;
        }
        if let Err(error) = self.recorder.write() {
            self.trouble(&error);
            return;
        }
        if let Some(outage) = self.outage.take() {
            self.lost += outage.events;
            self.trouble = None;
            say(
                self.err,
                &format!(
                    "writing works again after {:.0} s; {} events are missing, which a hole in \
                     the archive says",
                    outage.seconds(),
                    thousands(outage.events)
                ),
            );
            self.leave(&outage);
        }
    }

    /// Writes the hole of what was not kept.
    fn leave(&mut self, outage: &Outage) {
        if let Some(hole) = outage.hole() {
            self.hole("", &hole);
        }
    }

    fn hole(&mut self, node: &str, hole: &Hole) {
        let time = |at: jiff::Timestamp| i64::try_from(at.as_nanosecond()).unwrap_or(NO_TIME);
        let span = (time(hole.span.start()), time(hole.span.end()));
        if let Err(error) = self.recorder.hole(node, hole.cause, hole.events, span) {
            self.trouble(&error);
        }
    }

    fn housekeeping(&mut self) {
        if self.outage.is_some() {
            self.recover();
        } else {
            match self.recorder.tick() {
                Ok(()) if self.recorder.is_behind() => {}
                Ok(()) => {
                    if self.trouble.take().is_some() {
                        say(self.err, "writing works again; nothing is missing");
                    }
                }
                Err(error) => self.trouble(&error),
            }
        }
        if let Some(line) = self.clock.look() {
            say(self.err, &line);
        }
        self.policies();
        // What is in no recording yet may belong to an hour that would else be done.
        let now = self.recorder.sealed_until(self.clock.now());
        if let Some(made) = self.background.step(self.recorder.store(), now) {
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
            let now = self.clock.now();
            let store = self.recorder.store();
            if let Err(error) = store.record_policies(policies, Some(now)) {
                say(self.err, &format!("flowwatch: {error}"));
            }
        }
    }

    fn retain(&mut self) {
        self.retained = Instant::now();
        let now = self.clock.for_retention(self.recorder.manifest());
        match retain_at(self.recorder.store(), self.plan.keep, now) {
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
            self.leave(&outage);
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
