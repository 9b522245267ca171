//! Recordings read for what they show, and read again under policies that are made of it.
//!
//! Owns what `suggest` and `tighten` have in common: their flags, which connections count,
//! and the passes. What is learned and made is `review`'s.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::cli::error::{CommandError, UsageError};
use crate::cli::findings::read_file;
use crate::cli::passing::{self, Judging, Reads};
use crate::cli::policy_args::AgentArgs;
use crate::cli::policy_source::{given, remarks, say_remarks};
use crate::cli::signal::Interrupt;
use crate::cli::{progress, time_arg};
use crate::engine::{Given, JudgedBatch, Observer, Policies};
use crate::flow::FlowBatch;
use crate::manifest::{self, LoadError, Loaded};
use crate::review::observed::{History, Noter, Notes};
use crate::review::report::Reading;
use crate::review::simulate::{Cases, PairJudge};
use crate::review::suggest::{Replay, Replayed, Window};
use crate::source::file::inputs;

/// Flags of what is read.
#[derive(Args)]
pub(super) struct LearningArgs {
    /// Recordings: files, directories of recordings, archives
    #[arg(long, required = true, num_args = 1.., value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub(super) flows: Vec<PathBuf>,
    /// Findings whose connections are not learned: JSON lines, as `analyze` writes them
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    exclude_findings: Vec<PathBuf>,
    /// Only flows since a time: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only flows until a time, as --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    #[command(flatten)]
    pub(super) agent: AgentArgs,
}

/// What is read, and what counts.
pub(in crate::cli) struct Learning {
    pub(in crate::cli) reads: Reads,
    pub(in crate::cli) history: Arc<History>,
}

/// Policies as they were given.
pub(super) struct Base {
    pub(super) loaded: Loaded,
    pub(super) given: Given,
}

impl LearningArgs {
    /// What the flags mean.
    ///
    /// # Errors
    /// [`CommandError`] for flags that mean nothing, and for files that cannot be read.
    pub(super) fn plan(&self, dropped: bool) -> Result<Learning, CommandError> {
        if self.flows.iter().any(|path| path.as_os_str() == "-") {
            return Err(UsageError::new(
                "--flows -: recordings are read several times, which standard input is not",
            )
            .into());
        }
        let now = time_arg::now();
        let mut history = History::new(dropped);
        for path in &self.exclude_findings {
            history = history.without(&read_file(path)?);
        }
        Ok(Learning {
            reads: Reads {
                inputs: inputs(&self.flows)?,
                since: time_arg::bound("since", self.since.as_deref(), now)?,
                until: time_arg::bound("until", self.until.as_deref(), now)?,
                judged: true,
                // Whoever learns replays what it made of it.
                held: Some(Arc::default()),
                ..Reads::default()
            },
            history: Arc::new(history),
        })
    }

    /// Loads policies, with what is known of the cluster beside them.
    ///
    /// # Errors
    /// [`CommandError`] for what cannot be opened.
    pub(super) fn base(&self, paths: &[PathBuf]) -> Result<Base, CommandError> {
        let config = self.agent.config()?;
        let paths = if paths.is_empty() {
            &config.policies
        } else {
            paths
        };
        let loaded = manifest::load(paths, &self.agent.load_options(None));
        let unread = loaded
            .errors
            .iter()
            .find(|error| matches!(error, LoadError::Io { .. }));
        if let Some(error) = unread {
            return Err(CommandError::failed(error));
        }
        let given = given(&self.agent, &config, &loaded)?;
        Ok(Base { loaded, given })
    }
}

impl Learning {
    /// Reads once, by whoever judges; `says` is what the bar says.
    ///
    /// # Errors
    /// [`CommandError`] for what cannot be read, and when `interrupt` happened before the end:
    /// half of a recording is not what was asked for.
    pub(super) fn read<J: Judging + 'static, O: Observer>(
        &self,
        judge: impl Fn() -> J + Send + Sync + 'static,
        observer: O,
        quiet: bool,
        interrupt: &Interrupt,
    ) -> Result<(Reading, crate::engine::Pass, O), CommandError> {
        let bar = progress::bar(&self.reads.inputs, !quiet);
        let (mut reading, pass, observer) =
            passing::read(&self.reads, judge, observer, &bar, interrupt);
        bar.finish_and_clear();
        passing::whole(&reading)?;
        reading.finish();
        Ok((reading, pass, observer))
    }

    /// Replays under both sets.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(in crate::cli) fn replay(
        &self,
        base: &Arc<Policies>,
        head: &Arc<Policies>,
        quiet: bool,
        interrupt: &Interrupt,
    ) -> Result<Replayed, CommandError> {
        let cases = Arc::<Cases>::default();
        let replay = Replay::new(cases.clone(), self.history.clone());
        let (base, head) = (base.clone(), head.clone());
        let (_, pass, replay) = self.read(
            move || PairJudge::new(base.clone(), head.clone(), cases.clone()),
            replay,
            quiet,
            interrupt,
        )?;
        Ok(replay.finish(pass.peers()))
    }
}

/// What a recording can say.
pub(super) fn window(reading: &Reading) -> Window {
    let seen = reading.share_seen();
    Window {
        seen: reading.seen,
        share: seen.map(|seen| seen.share),
        lost: seen.and_then(|seen| seen.lost),
    }
}

/// Notes who there is, beside whoever judges.
pub(super) struct Noting<J> {
    pub(super) judge: J,
    noter: Noter,
}

impl<J> Noting<J> {
    pub(super) fn new(judge: J, notes: &Notes) -> Self {
        Self {
            judge,
            noter: notes.noter(),
        }
    }
}

impl<J: Judging> Judging for Noting<J> {
    fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        self.judge.begin(piece, input, batches);
    }

    fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        self.noter.batch(&batch, &kept);
        self.judge.judge(batch, kept)
    }
}

/// What a person should know of the policies that were given.
pub(super) fn say(base: &Base, policies: &Policies, quiet: bool, err: &mut dyn Write) {
    if !quiet {
        say_remarks(&remarks(&base.loaded, policies), err);
    }
}

/// Writes a file, and the folders it is in.
///
/// # Errors
/// [`CommandError`] with the path.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let failed =
        |error: std::io::Error| CommandError::failed(format!("write {}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}
