//! Verifying by what servers send, until it is proven or the time is over.

use std::io::Write;
use std::time::Instant;

use super::{Plan, VerifyArgs};
use crate::cli::error::{CommandError, UsageError};
use crate::cli::record::{Received, Receiving, Waited};
use crate::cli::signal::Interrupt;
use crate::cli::sink::say;
use crate::cli::time_arg;
use crate::flow::{BatchBuilder, Hole, Loss, Raw};
use crate::render::verify as forms;
use crate::respond::verify::{Answer, Verified, Watch};
use crate::source::observer::Event;
use crate::wire::walk;

/// Watches.
///
/// # Errors
/// [`CommandError`] when no server can be reached.
pub(super) fn watch(
    plan: &Plan,
    args: &VerifyArgs,
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<Verified, CommandError> {
    let servers = args
        .connection
        .plan()
        .map_err(|error| UsageError::new(error.to_string()))?;
    let since = plan.wanted.since.unwrap_or_else(time_arg::now);
    let from = jiff::Timestamp::from_nanosecond(i128::from(since)).unwrap_or_default();
    let mut receiving = Receiving::start(&servers, from, interrupt)?;
    let mut session = Session {
        watch: plan.watcher(Vec::new()),
        builder: BatchBuilder::default(),
        running: servers.len(),
        failed: 0,
        undecoded: 0,
        quiet: args.quiet,
        told: None,
    };
    let verified = session.follow(&mut receiving, args, err);
    receiving.end()?;
    if session.failed == servers.len() {
        return Err(CommandError::Said);
    }
    Ok(verified)
}

struct Session {
    watch: Watch,
    builder: BatchBuilder,
    running: usize,
    failed: usize,
    undecoded: u64,
    quiet: bool,
    /// What was said last.
    told: Option<(Answer, Vec<String>)>,
}

impl Session {
    fn follow(
        &mut self,
        receiving: &mut Receiving,
        args: &VerifyArgs,
        err: &mut dyn Write,
    ) -> Verified {
        let began = Instant::now();
        while self.running > 0 && began.elapsed() < args.wait {
            match receiving.wait() {
                Waited::Got(Received::Event(event)) => self.event(event, err),
                Waited::Got(Received::Failed(error)) => {
                    self.failed += 1;
                    self.running = self.running.saturating_sub(1);
                    say(err, &format!("flowwatch: {error}"));
                }
                Waited::Got(Received::Interrupted) | Waited::Closed => break,
                Waited::Nothing => {}
            }
            let verified = self.watch.verified(Some(time_arg::now()));
            if verified.answer == Answer::Proven && self.failed == 0 {
                return verified;
            }
            self.tell(&verified, err);
        }
        let mut verified = self.watch.verified(Some(time_arg::now()));
        let doubt = if self.failed > 0 {
            Some("not every server could be watched to the end".to_owned())
        } else if self.undecoded > 0 {
            Some("some messages could not be decoded".to_owned())
        } else {
            None
        };
        if let Some(doubt) = doubt {
            verified.answer = verified.answer.max(Answer::Undecided);
            verified.why.push(doubt);
        }
        verified
    }

    fn event(&mut self, event: Event, err: &mut dyn Write) {
        match event {
            Event::Messages(messages) => {
                for message in messages {
                    let pushed = walk::push_message(&mut self.builder, &message, || {
                        Raw::Message(message.clone())
                    });
                    self.undecoded += u64::from(pushed.is_err());
                    if self.builder.is_full() {
                        self.flush();
                    }
                }
                self.flush();
            }
            Event::Hole { node, hole } => self.watch.lose(&node, loss(&hole)),
            Event::Disconnected { error, retry_in } if !self.quiet => say(
                err,
                &format!("{error}; trying again in {:.1} s", retry_in.as_secs_f64()),
            ),
            Event::End => self.running = self.running.saturating_sub(1),
            Event::Disconnected { .. }
            | Event::Connected { .. }
            | Event::MaskRefused { .. }
            | Event::Version(_)
            | Event::RingFull { .. } => {}
        }
    }

    fn flush(&mut self) {
        if !self.builder.is_empty() {
            let batch = self.builder.finish();
            self.watch.batch(&batch);
            self.builder.recycle(batch);
        }
    }

    /// Says how it stands, once for as long as it is so.
    fn tell(&mut self, verified: &Verified, err: &mut dyn Write) {
        let now = (verified.answer, verified.why.clone());
        let kind = |told: &(Answer, Vec<String>)| {
            let words: Vec<String> = told
                .1
                .iter()
                .map(|line| line.chars().filter(|char| !char.is_ascii_digit()).collect())
                .collect();
            (told.0, words)
        };
        if self.quiet || self.told.as_ref().map(kind) == Some(kind(&now)) {
            return;
        }
        say(err, &forms::status(verified));
        self.told = Some(now);
    }
}

fn loss(hole: &Hole) -> Loss {
    let nanos = |at: jiff::Timestamp| i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX);
    Loss {
        first: nanos(hole.span.start()),
        last: nanos(hole.span.end()),
        cause: hole.cause,
        events: hole.events,
    }
}
