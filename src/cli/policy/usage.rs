//! What `policy unused` and `policy broad` have in common: policies as arguments, recordings
//! by `--flows`, and reading them.
//!
//! Owns the arguments and the reading. What is made of it is `review`'s.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::cli::error::{CommandError, UsageError};
use crate::cli::flow_filter::FlowFilterArgs;
use crate::cli::format::Color;
use crate::cli::passing::{self, Reads};
use crate::cli::policy_args::AgentArgs;
use crate::cli::policy_source::{PolicySource, say_remarks};
use crate::cli::signal::Interrupt;
use crate::cli::{progress, sink, time_arg};
use crate::engine::Policies;
use crate::manifest::Document;
use crate::review::simulate::Job;
use crate::review::simulate::jobs;
use crate::review::usage::{Limits, Usage, UsageCases, UsageGatherer, UsageJudge};
use crate::source::file::inputs;

/// Arguments of a report on what rules were for.
#[derive(Args)]
pub(super) struct UsageArgs {
    /// Manifests: files, directories, - for standard input. What is no policy shows the cluster
    #[arg(required = true, value_name = "POLICIES", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Recordings: files, directories of recordings, archives
    #[arg(long, required = true, num_args = 1.., value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    flows: Vec<PathBuf>,
    /// Only flows since a time: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only flows until a time, as --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// How much of the time must have been seen on all nodes before anything is claimed, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0, value_parser = percent)]
    min_seen: f64,
    #[command(flatten)]
    pub(super) shown: ShownArgs,
    #[command(flatten)]
    agent: AgentArgs,
    #[command(flatten)]
    filters: FlowFilterArgs,
}

/// How a report is shown.
#[derive(Args)]
pub(super) struct ShownArgs {
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    pub(super) output: Form,
    /// File to write to instead of standard output
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub(super) out: Option<PathBuf>,
    /// Rows shown of each table
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(super) top: usize,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    Terminal,
    #[value(alias = "md")]
    Markdown,
    Json,
    Sarif,
}

/// What was read.
pub(super) struct Read {
    pub(super) usage: Usage,
    pub(super) policies: Arc<Policies>,
    pub(super) limits: Limits,
    pub(super) jobs: Vec<Job>,
}

impl ShownArgs {
    /// How the forms show it; `failing` is what the command fails on.
    pub(super) fn options(&self, failing: Vec<String>) -> crate::render::unused::Options {
        crate::render::unused::Options {
            width: crate::cli::analyze::width(),
            color: self.out.is_none() && self.color.wanted(),
            top: self.top,
            failing,
        }
    }

    /// Writes a report to where it is to go.
    pub(super) fn deliver(&self, out: &mut dyn Write, text: &str) -> Result<(), CommandError> {
        sink::deliver(out, self.out.as_deref(), text)
    }
}

impl UsageArgs {
    /// Reads policies and recordings.
    ///
    /// # Errors
    /// [`CommandError`] for what cannot be opened, and for an interruption: half of the
    /// flows is not what was asked for.
    pub(super) fn read(
        &self,
        err: &mut dyn Write,
        interrupt: &Interrupt,
    ) -> Result<Read, CommandError> {
        one_stdin(&self.paths, &self.flows)?;
        let (filters, _) = self.filters.compile()?;
        let now = time_arg::now();
        let reads = Reads {
            since: time_arg::bound("since", self.since.as_deref(), now)?,
            until: time_arg::bound("until", self.until.as_deref(), now)?,
            inputs: inputs(&self.flows)?,
            filters,
            judged: true,
            ..Reads::default()
        };
        let (policies, cron_jobs) = load(&self.paths, &self.agent, self.shown.quiet, err)?;
        let limits = Limits {
            least_seen: self.min_seen / 100.0,
            filtered: !reads.filters.is_empty(),
            least_window: 0,
        };
        let bar = progress::bar(&reads.inputs, !self.shown.quiet);
        let cases = Arc::<UsageCases>::default();
        let (judged, shared) = (policies.clone(), cases.clone());
        let (reading, pass, gatherer) = passing::read(
            &reads,
            move || UsageJudge::new(judged.clone(), &shared),
            UsageGatherer::new(cases),
            &bar,
            interrupt,
        );
        bar.finish_and_clear();
        passing::ended(&reading)?;
        sink::complain(err, &reading.failed)?;
        let usage = gatherer.finish(reading, pass.peers());
        let window = usage.reading.window().unwrap_or_default();
        Ok(Read {
            jobs: jobs(cron_jobs.iter(), window),
            usage,
            policies,
            limits,
        })
    }
}

/// Makes sure that manifests and flows do not both come by standard input.
///
/// # Errors
/// [`UsageError`] where they do.
pub(super) fn one_stdin(manifests: &[PathBuf], flows: &[PathBuf]) -> Result<(), UsageError> {
    let is_stdin = |paths: &[PathBuf]| paths.iter().any(|path| path.as_os_str() == "-");
    if is_stdin(manifests) && is_stdin(flows) {
        return Err(UsageError::new(
            "standard input can hold manifests or flows, not both",
        ));
    }
    Ok(())
}

/// Loads the policies, and says what of them a person must know; beside them the documents
/// of jobs.
pub(super) fn load(
    paths: &[PathBuf],
    agent: &AgentArgs,
    quiet: bool,
    err: &mut dyn Write,
) -> Result<(Arc<Policies>, Vec<Document>), CommandError> {
    let loaded = PolicySource::new(agent.clone(), paths.to_vec(), false)?
        .load()?
        .whole()?;
    if !quiet {
        say_remarks(&loaded.remarks, err);
    }
    Ok((Arc::new(loaded.policies), loaded.cron_jobs))
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches(['%', ' ']).parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}
