//! `tail` on servers.
//!
//! Owns the way from the streams to standard output: a thread receives, this one
//! decodes, filters and writes. The channel between them is bounded: a slow terminal
//! slows the streams, and what that costs the server reports as lost. One server's lines
//! are written as they come; those of several are merged within a second.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::Reloads;
use super::order::Ordered;
use super::plan::{Limit, Live, Plan};
use super::tally::{Tally, agreement_lines};
use super::watching::Watching;
use super::writer::{BatchWriter, Text};
use crate::cli::error::CommandError;
use crate::cli::policy_watch::Report;
use crate::cli::signal::Interrupt;
use crate::cli::sink::{SinkError, say};
use crate::flow::{BatchBuilder, Hole, NO_TIME, Raw};
use crate::render::thousands;
use crate::source::merge::TailMerge;
use crate::source::observer::{ConnectConfig, ConnectError, Event, FlowQuery, ObserverSource};
use crate::wire::walk;

/// Batches of up to 1,024 messages that may wait to be written.
const CHANNEL: usize = 16;
/// How often a terminal is told how it goes.
const STATUS_EVERY: Duration = Duration::from_secs(30);
/// How often merged lines are looked at while nothing comes.
const TICK: Duration = Duration::from_millis(100);

/// What the receiving thread hands over.
enum Received {
    Event(usize, Event),
    Failed(usize, ConnectError),
    /// What became of policies that changed.
    Policies(Report),
    /// The person asked for an end.
    Interrupted,
}

/// Streams from the servers of `live` until they end or `interrupt` happens. `reports` say
/// when policies change.
///
/// # Errors
/// [`CommandError`] for a server that cannot be asked or an output that cannot be
/// written.
pub(super) fn run(
    plan: &Plan,
    live: &Live,
    reports: Option<mpsc::Receiver<Report>>,
    watching: Option<Watching>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::failed)?;
    let (sender, mut receiver) = mpsc::channel(CHANNEL);
    let query = query(plan, live);
    let servers = live.servers.clone();
    let interrupt = interrupt.clone();
    let receiving = thread::Builder::new()
        .name("receive".to_owned())
        .spawn(move || runtime.block_on(receive(servers, query, sender, reports, interrupt)))
        .map_err(CommandError::failed)?;
    let ended = Screen::new(plan, live, watching, out, err).follow(&mut receiver);
    drop(receiver);
    if receiving.join().is_err() {
        return Err(CommandError::failed("the receiving thread broke down"));
    }
    ended
}

/// The request: the filters go to the server, and are applied here again.
fn query(plan: &Plan, live: &Live) -> FlowQuery {
    let time = |bound: Option<i64>| {
        bound.and_then(|time| Timestamp::from_nanosecond(i128::from(time)).ok())
    };
    let (number, first) = match plan.limit {
        Limit::All => (live.number, false),
        Limit::First(count) => (count, true),
        Limit::Last(count) => (count, false),
    };
    FlowQuery {
        whitelist: plan.allow.clone(),
        blacklist: plan.deny.clone(),
        number,
        first,
        follow: live.follow,
        since: time(plan.since),
        until: time(plan.until),
        mask: live.mask.clone(),
    }
}

async fn receive(
    servers: Vec<ConnectConfig>,
    query: FlowQuery,
    sender: mpsc::Sender<Received>,
    reports: Option<mpsc::Receiver<Report>>,
    interrupt: Interrupt,
) {
    let mut streams = tokio::task::JoinSet::new();
    for (number, config) in servers.into_iter().enumerate() {
        let (query, sender) = (query.clone(), sender.clone());
        streams.spawn(async move {
            if let Err(error) = stream(number, config, query, &sender).await {
                let _ = sender.send(Received::Failed(number, error)).await;
            }
        });
    }
    tokio::select! {
        () = interrupt.wait_for() => {
            let _ = sender.send(Received::Interrupted).await;
        }
        () = sender.closed() => {}
        () = pass_on(reports, &sender) => {}
        () = async { while streams.join_next().await.is_some() {} } => {}
    }
    streams.abort_all();
}

/// Hands over reports for as long as flows come, whether there are any or not.
async fn pass_on(reports: Option<mpsc::Receiver<Report>>, sender: &mpsc::Sender<Received>) {
    if let Some(mut reports) = reports {
        while let Some(report) = reports.recv().await {
            let _ = sender.send(Received::Policies(report)).await;
        }
    }
    std::future::pending::<()>().await;
}

async fn stream(
    number: usize,
    config: ConnectConfig,
    query: FlowQuery,
    sender: &mpsc::Sender<Received>,
) -> Result<(), ConnectError> {
    let source = ObserverSource::connect(config).await?;
    let (events, mut received) = mpsc::channel(2);
    let passing = async {
        while let Some(event) = received.recv().await {
            if sender.send(Received::Event(number, event)).await.is_err() {
                break;
            }
        }
    };
    let (result, ()) = tokio::join!(source.run(query, events), passing);
    result
}

/// Decodes and writes what is received.
struct Screen<'a> {
    plan: &'a Plan,
    servers: &'a [ConnectConfig],
    builder: BatchBuilder,
    writer: BatchWriter,
    text: Text,
    order: Ordered<'a>,
    merge: Option<TailMerge<Box<[u8]>>>,
    err: &'a mut dyn Write,
    tally: Tally,
    /// Batches judged, in their order.
    batches: u64,
    undecoded: (u64, Option<String>),
    unwritten: u64,
    reloads: Reloads,
    began: Instant,
    told: Instant,
    running: usize,
    failed: usize,
    watching: Option<Watching>,
}

impl<'a> Screen<'a> {
    fn new(
        plan: &'a Plan,
        live: &'a Live,
        watching: Option<Watching>,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Self {
        let builder = BatchBuilder::default();
        let raw = plan.output.form.needs_raw();
        let now = Instant::now();
        Self {
            plan,
            servers: &live.servers,
            builder: if raw { builder.keeping_raw() } else { builder },
            // The server has applied the bounds; those it cannot know are for files.
            writer: BatchWriter::new(
                &plan.output,
                plan.filters.clone(),
                None,
                None,
                plan.judging.as_ref(),
            )
            .watched(watching.is_some()),
            text: Text::default(),
            batches: 0,
            order: Ordered::unlimited(plan, out),
            merge: (live.servers.len() > 1).then(|| TailMerge::new(live.servers.len())),
            err,
            tally: Tally::default(),
            undecoded: (0, None),
            unwritten: 0,
            reloads: Reloads::new(plan),
            began: now,
            told: now,
            running: live.servers.len(),
            failed: 0,
            watching,
        }
    }

    fn follow(mut self, receiver: &mut mpsc::Receiver<Received>) -> Result<(), CommandError> {
        let ended = loop {
            let received = if self.merge.is_some() {
                wait(receiver)
            } else {
                receiver
                    .blocking_recv()
                    .ok_or(RecvTimeoutError::Disconnected)
            };
            let step = match received {
                Err(RecvTimeoutError::Disconnected) | Ok(Received::Interrupted) => break Ok(()),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Ok(Received::Failed(server, error)) => {
                    self.failed += 1;
                    self.ended(server);
                    say(self.err, &format!("flowwatch: {error}"));
                    Ok(())
                }
                Ok(Received::Policies(report)) => {
                    self.reloads.report(&report, self.err);
                    Ok(())
                }
                Ok(Received::Event(server, event)) => self.event(server, event),
            };
            if let Err(error) = step.and_then(|()| self.merged(false)) {
                break Err(error);
            }
            if self.running == 0 {
                break Ok(());
            }
            self.tell();
        };
        let ended = ended
            .and_then(|()| self.merged(true))
            .and_then(|()| self.order.finish());
        if let Err(error @ SinkError::Write(_)) = ended {
            return Err(CommandError::failed(error));
        }
        if let Some(watching) = self.watching.take() {
            watching.finish(self.plan.output.quiet, self.err)?;
        }
        if self.unwritten > 0 {
            say(
                self.err,
                &format!("{} events cannot be written as JSON", self.unwritten),
            );
        }
        if let (count @ 1.., first) = &self.undecoded {
            let first = first.as_deref().unwrap_or_default();
            say(
                self.err,
                &format!(
                    "{} messages could not be decoded, the first: {first}",
                    thousands(*count)
                ),
            );
        }
        // Of a server that never answered there is nothing to sum up.
        let nothing = self.failed > 0 && self.tally.flows == 0;
        if !self.plan.output.quiet && !nothing {
            if let Some(agreement) = self.tally.agreement() {
                for line in agreement_lines(agreement) {
                    say(self.err, &line);
                }
            }
            if let Some(line) = self.reloads.summary() {
                say(self.err, &line);
            }
            say(self.err, &self.tally.status(self.began.elapsed()));
        }
        match self.failed {
            0 => Ok(()),
            1 if self.servers.len() == 1 => Err(CommandError::Said),
            failed => Err(CommandError::failed(format!(
                "{failed} of {} servers failed",
                self.servers.len()
            ))),
        }
    }

    fn event(&mut self, server: usize, event: Event) -> Result<(), SinkError> {
        match event {
            Event::Messages(messages) => return self.messages(server, messages),
            Event::Hole { node, hole } => {
                self.tally.hole(&node);
                self.hole(server, &node, hole.span.end().as_nanosecond() as i64);
                if !self.plan.output.silent_errors {
                    self.note(&describe(&node, &hole));
                }
            }
            Event::Connected {
                server,
                resumed_from: Some(from),
            } => {
                self.note(&format!(
                    "connected to {server} again, flows continue from {from:.3}"
                ));
            }
            Event::Disconnected { error, retry_in } => {
                // Which nodes have a hole is told later, if there is one.
                self.hole(server, "", i64::MIN);
                self.note(&format!(
                    "{error}; trying again in {:.1} s",
                    retry_in.as_secs_f64()
                ));
            }
            Event::MaskRefused { message } => {
                self.note(&format!(
                    "the server does not take the field mask ({message}); asking for whole flows"
                ));
            }
            Event::Version(version) => {
                tracing::debug!(
                    agent = version.agent,
                    relay = version.relay,
                    "server version"
                );
            }
            Event::RingFull { node } => {
                tracing::debug!(node, "the ring was full when the query started");
            }
            Event::Connected { server, .. } => tracing::debug!(server, "connected"),
            Event::End => self.ended(server),
        }
        Ok(())
    }

    /// Tells the judge what the lines may lack.
    fn hole(&self, server: usize, node: &str, end: i64) {
        if let Some(judging) = &self.plan.judging {
            judging.policies.get().0.ledger().hole(server, node, end);
        }
    }

    fn ended(&mut self, server: usize) {
        self.running = self.running.saturating_sub(1);
        if let Some(merge) = &mut self.merge {
            merge.end(server);
        }
    }

    fn messages(&mut self, server: usize, messages: Vec<bytes::Bytes>) -> Result<(), SinkError> {
        for message in messages {
            let pushed = walk::push_message(&mut self.builder, &message, || {
                Raw::Message(message.clone())
            });
            if let Err(error) = pushed {
                self.undecoded.0 += 1;
                self.undecoded.1.get_or_insert_with(|| error.to_string());
            }
        }
        let batch = self.builder.finish();
        let text = &mut self.text;
        text.clear();
        if self.writer.is_judging() {
            self.writer
                .begin(self.batches, server, std::slice::from_ref(&batch));
            self.batches += 1;
        }
        self.writer.batch(&batch, text);
        let watched = if let Some(watching) = &mut self.watching {
            let policies = self.writer.policies();
            watching.text(vec![batch], policies, text, self.err)
        } else {
            self.builder.recycle(batch);
            Ok(())
        };
        if let Err(error) = watched {
            self.watching = None;
            say(self.err, &format!("flowwatch: {error}"));
        }
        let text = &mut self.text;
        self.unwritten += text.failed;
        if !text.err.is_empty() {
            let _ = self.err.write_all(&text.err);
        }
        if let Some(merge) = &mut self.merge {
            let now = Instant::now();
            for (time, record) in text.records() {
                merge.push(
                    server,
                    Some(time).filter(|&time| time != NO_TIME),
                    record.into(),
                    now,
                );
            }
        } else {
            self.order.text(text)?;
            self.order.flush()?;
        }
        self.tally.add(std::mem::take(&mut text.tally));
        Ok(())
    }

    /// Writes the merged lines that are due, or all of them.
    fn merged(&mut self, all: bool) -> Result<(), SinkError> {
        let Some(merge) = &mut self.merge else {
            return Ok(());
        };
        if all {
            for server in 0..self.servers.len() {
                merge.end(server);
            }
        }
        let now = Instant::now();
        let mut text = Text::default();
        while let Some(record) = merge.pop(now) {
            text.push(&record);
        }
        self.order.text(&text)?;
        self.order.flush()
    }

    fn note(&mut self, line: &str) {
        if !self.plan.output.quiet {
            say(self.err, line);
        }
    }

    /// Says how it goes, every so often, on a terminal.
    fn tell(&mut self) {
        if self.told.elapsed() >= STATUS_EVERY {
            self.told = Instant::now();
            if std::io::stderr().is_terminal() {
                let status = self.tally.status(self.began.elapsed());
                self.note(&status);
            }
        }
    }
}

/// Waits for the next event, or until merged lines may have become due.
fn wait(receiver: &mut mpsc::Receiver<Received>) -> Result<Received, RecvTimeoutError> {
    let until = Instant::now() + TICK;
    loop {
        match receiver.try_recv() {
            Ok(received) => return Ok(received),
            Err(mpsc::error::TryRecvError::Disconnected) => {
                return Err(RecvTimeoutError::Disconnected);
            }
            Err(mpsc::error::TryRecvError::Empty) if Instant::now() >= until => {
                return Err(RecvTimeoutError::Timeout);
            }
            Err(mpsc::error::TryRecvError::Empty) => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// `hole: c/node-a, 12:00:01 to 12:00:05: the connection was cut, 12 events`.
fn describe(node: &str, hole: &Hole) -> String {
    let count = match hole.events {
        None => "an unknown number of events".to_owned(),
        Some(1) => "1 event".to_owned(),
        Some(count) => format!("{} events", thousands(count)),
    };
    let node = if node.is_empty() {
        "an unnamed node"
    } else {
        node
    };
    format!(
        "hole: {node}, {:.3} to {:.3}: {}, {count}",
        hole.span.start(),
        hole.span.end(),
        hole.cause
    )
}
