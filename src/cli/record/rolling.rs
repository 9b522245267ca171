//! Rollups and policies of a recording.
//!
//! Owns when rollups are made while flows are recorded: of an hour when all it is made from
//! has come, on a thread of its own, and of the rest at the end. A rollup that fails is
//! said, and harms nothing: the hour stays to be done.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::clock::Pace;
use crate::archive::{Made, Maker, RecordedPolicies, RollupError, Store, is_settled, stale_hours};
use crate::cli::error::CommandError;
use crate::cli::policy_args::AgentArgs;
use crate::cli::policy_source::PolicySource;
use crate::cli::policy_watch::{PolicyWatch, Report};
use crate::cli::rollup;
use crate::cli::signal::Interrupt;
use crate::cli::sink::say;
use crate::engine::Current;
use crate::flow::RollupEntry;
use crate::source::archive::ArchiveError;

/// How often hours to be done are looked for.
const LOOK_EVERY: Duration = Duration::from_mins(5);

/// How rollups are made.
#[derive(Clone, Debug)]
pub(super) struct Rolling {
    /// What is known of the agents.
    pub(super) agent: AgentArgs,
    /// Whether none are made.
    pub(super) off: bool,
}

impl Rolling {
    /// Makes what is stale, and says so.
    pub(super) fn refresh(
        &self,
        store: &mut Store,
        quiet: bool,
        err: &mut dyn Write,
        is_over: &dyn Fn() -> bool,
    ) {
        if self.off {
            return;
        }
        match rollup::agent_of(store, &self.agent) {
            Ok(agent) => {
                let made = rollup::refresh(store, &agent, is_over);
                rollup::say_made(&made, quiet, err);
            }
            Err(error) => say(err, &format!("rollups: {error}")),
        }
    }
}

/// The policies that are in force.
pub(super) struct InForce {
    /// Since when, in nanoseconds since 1970 UTC, if it was said.
    pub(super) since: Option<i64>,
    recorded: RecordedPolicies,
    watch: Option<PolicyWatch>,
}

impl InForce {
    /// Reads them, and what there is to say of them.
    ///
    /// # Errors
    /// [`CommandError`] for what cannot be read.
    pub(super) fn read(
        mut source: PolicySource,
        follows: bool,
    ) -> Result<(Self, Vec<String>), CommandError> {
        let since = source.since();
        let seen = follows.then(|| source.footprint());
        let loaded = source.load()?.whole()?;
        let (contents, remarks) = (loaded.contents, loaded.remarks);
        let current = Arc::new(Current::new(loaded.policies));
        let in_force = Self {
            since,
            recorded: loaded.recorded.unwrap_or_default(),
            watch: seen.map(|seen| PolicyWatch::new(source, current, seen, contents, &remarks)),
        };
        Ok((in_force, remarks))
    }

    /// Writes down that they are in force since a time.
    pub(super) fn record(&self, store: &mut Store, since: Option<i64>) -> Result<(), ArchiveError> {
        store.record_policies(&self.recorded, since).map(|_| ())
    }

    /// Reads them again when they change.
    ///
    /// # Errors
    /// [`CommandError`] where the system refuses a thread.
    pub(super) fn watch(
        &mut self,
        interrupt: &Interrupt,
    ) -> Result<Option<mpsc::Receiver<Report>>, CommandError> {
        let watch = self.watch.take();
        watch.map(|watch| watch.start(interrupt)).transpose()
    }
}

/// Rollups that are made while the recording goes on.
pub(super) struct Background {
    rolling: Rolling,
    every: Duration,
    looked: Option<Instant>,
    running: Option<JoinHandle<(Vec<RollupEntry>, Made)>>,
    is_over: Arc<AtomicBool>,
}

impl Background {
    /// Nothing is made yet.
    pub(super) fn new(rolling: Rolling, clock: Pace) -> Self {
        Self {
            rolling,
            every: clock.real(LOOK_EVERY),
            looked: None,
            running: None,
            is_over: Arc::default(),
        }
    }

    /// Commits what is done, and begins what is to be done. Returns what was made. All flows
    /// of before `now` are in recordings.
    pub(super) fn step(&mut self, store: &mut Store, now: i64) -> Option<Made> {
        if self.rolling.off {
            return None;
        }
        if let Some(running) = self.running.take_if(|running| running.is_finished()) {
            // A thread that broke down has said so itself, and made nothing.
            let (entries, mut made) = running.join().ok()?;
            if let Err(error) = store.commit_rollups(entries) {
                made.failed.push(error.into());
            }
            return Some(made);
        }
        let is_due = self
            .looked
            .is_none_or(|looked| looked.elapsed() >= self.every);
        if self.running.is_some() || !is_due {
            return None;
        }
        self.looked = Some(Instant::now());
        let mut hours = stale_hours(store.manifest());
        hours.retain(|&hour| is_settled(hour, now));
        if hours.is_empty() {
            return None;
        }
        let agent = match rollup::agent_of(store, &self.rolling.agent) {
            Ok(agent) => agent,
            Err(error) => {
                let failed = vec![RollupError::Options(error.to_string())];
                return Some(Made {
                    failed,
                    ..Made::default()
                });
            }
        };
        let archive = store.archive();
        let is_over = self.is_over.clone();
        let work = move || {
            let mut entries = Vec::new();
            let mut load = |path: &Path| rollup::load(&agent, path);
            let made = Maker {
                load: &mut load,
                is_over: &|| is_over.load(Ordering::Relaxed),
            }
            .make(&archive, &hours, &mut |made| {
                entries.extend(made);
                Ok(())
            });
            (entries, made)
        };
        // Without a thread they are made at the end.
        self.running = thread::Builder::new()
            .name("rollup".to_owned())
            .spawn(work)
            .ok();
        None
    }

    /// Ends what is under way; the hours that were done are kept.
    pub(super) fn end(&mut self, store: &mut Store) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take()
            && let Ok((entries, _)) = running.join()
        {
            // What cannot be committed is made with the rest, or fails there.
            let _ = store.commit_rollups(entries);
        }
    }
}
