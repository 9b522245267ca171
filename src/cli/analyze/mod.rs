//! `flowwatch analyze`: recorded flows in one pass, and a report.
//!
//! Owns the arguments, what they mean, and when the command fails. Reading is `passing`'s;
//! what the report says is `review::report`'s, its forms are `render::report`'s.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use indicatif::ProgressBar;

use super::detecting::DetectionArgs;
use super::error::{CommandError, UsageError};
use super::flow_filter::FlowFilterArgs;
use super::format::Color;
use super::passing::{self, Reads};
use super::policy_args::PolicyArgs;
use super::policy_source::{LoadedPolicies, say_remarks};
use super::progress;
use super::signal::Interrupt;
use super::sink;
use super::time_arg;
use crate::engine::{BatchJudge, Beside, Detection, Incidents, Policies};
use crate::finding::Alert;
use crate::render::report as forms;
use crate::render::thousands;
use crate::review::report::{DropCause, Gatherer, Report};

/// Columns where there is no terminal to ask.
const WIDTH: usize = 120;
/// Columns below which a table says nothing.
const NARROWEST: usize = 60;

/// Arguments of `analyze`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AnalyzeArgs {
    /// Recordings: files, directories of recordings, - for standard input
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// The same, by Hubble's name
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    input_file: Vec<PathBuf>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    output: Form,
    /// File to write the report to instead of standard output
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Rows shown of each table
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Exit with 1 when there is one of: drop, gap, drift, unknown, incident
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// Only flows since a time: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only flows until a time, as --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    detection: DetectionArgs,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    filters: FlowFilterArgs,
}

const EXAMPLES: &str = "\
Examples:
  What a recording tells:
    flowwatch analyze flows.jsonl.gz
  With what the policies say of it:
    flowwatch analyze flows.jsonl.gz --policies policies/
  A page to pass on, of one namespace:
    flowwatch analyze /var/run/cilium/hubble -n shop -o html --out report.html
  In a pipeline, failing where the cluster does not do what the policies say:
    flowwatch analyze flows.jsonl --policies policies/ --fail-on drift -o markdown
  With what is unusual against what was learned:
    flowwatch analyze archive/ --since 1d --baseline flowwatch.baseline.yaml --findings-out found.jsonl";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Terminal,
    Html,
    #[value(alias = "md")]
    Markdown,
    Json,
    Csv,
}

/// What `--fail-on` looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Drop,
    Gap,
    Drift,
    Unknown,
    /// An incident that is told of.
    Incident,
}

/// A resolved `analyze`.
struct Plan {
    reads: Reads,
    /// Flows are judged by these.
    policies: Option<Arc<Policies>>,
    remarks: Vec<String>,
}

impl AnalyzeArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(
        &self,
        out: &mut dyn Write,
        err: &mut dyn Write,
        interrupt: &Interrupt,
    ) -> Result<(), CommandError> {
        let plan = self.plan()?;
        if !self.quiet {
            say_remarks(&plan.remarks, err);
        }
        let bar = progress::bar(&plan.reads.inputs, !self.quiet);
        let policies = plan.policies.clone();
        let detection = self.detection.begin(policies, self.quiet, err)?;
        let report = self.read(&plan, detection, &bar, interrupt);
        bar.finish_and_clear();
        let report = report?;
        let text = self.text(&report)?;
        sink::deliver(out, self.out.as_deref(), &text)?;
        sink::complain(err, &report.reading.failed)?;
        self.check(&report, err)
    }

    /// What the arguments mean, all conflicts found.
    fn plan(&self) -> Result<Plan, CommandError> {
        let paths: Vec<PathBuf> = self.paths.iter().chain(&self.input_file).cloned().collect();
        if paths.is_empty() {
            return Err(UsageError::new("give a recording: a file, a directory, or -").into());
        }
        let (filters, _) = self.filters.compile()?;
        let now = time_arg::now();
        let (since, until) = (
            time_arg::bound("since", self.since.as_deref(), now)?,
            time_arg::bound("until", self.until.as_deref(), now)?,
        );
        let loaded = match self.policies.source()? {
            Some(mut source) => Some(source.load()?),
            None => None,
        };
        let judged = [FailOn::Gap, FailOn::Drift, FailOn::Unknown];
        if loaded.is_none() && self.fail_on.iter().any(|kind| judged.contains(kind)) {
            return Err(
                UsageError::new("--fail-on gap, drift and unknown go with --policies").into(),
            );
        }
        if !self.detection.is_wanted() && self.fail_on.contains(&FailOn::Incident) {
            return Err(UsageError::new(
                "--fail-on incident goes with --baseline, --threat-list or --rules",
            )
            .into());
        }
        let inputs = crate::cli::fold::open_named(&paths)?;
        let (policies, remarks) = match loaded.map(LoadedPolicies::whole).transpose()? {
            Some(loaded) => (Some(Arc::new(loaded.policies)), loaded.remarks),
            None => (None, Vec::new()),
        };
        Ok(Plan {
            reads: Reads {
                inputs,
                filters,
                since,
                until,
                judged: policies.is_some(),
                for_detection: self.detection.is_wanted(),
                ..Reads::default()
            },
            policies,
            remarks,
        })
    }

    /// Reads all of it into a report.
    fn read(
        &self,
        plan: &Plan,
        detection: Option<Detection<Incidents>>,
        bar: &ProgressBar,
        interrupt: &Interrupt,
    ) -> Result<Report, CommandError> {
        // Who counts, and who looks for what is unusual.
        let observers = Beside(Gatherer::default(), detection);
        let policies = plan.policies.clone();
        let judge = move || policies.clone().map(BatchJudge::new);
        let (reading, pass, Beside(gatherer, detection)) =
            passing::read(&plan.reads, judge, observers, bar, interrupt);
        let mut report = gatherer.finish(reading, pass.peers(), plan.policies.as_deref());
        if let Some(detection) = detection {
            report.anomalies = Some(self.detection.end(detection)?);
        }
        Ok(report)
    }

    fn text(&self, report: &Report) -> Result<String, CommandError> {
        let options = forms::Options {
            width: width(),
            color: self.out.is_none() && self.color.wanted(),
            top: self.top,
            paths: forms::Paths {
                policies: self.policies.paths(),
                flows: self
                    .paths
                    .iter()
                    .chain(&self.input_file)
                    .map(|path| path.display().to_string())
                    .collect(),
            },
        };
        Ok(match self.output {
            Form::Terminal => forms::terminal(report, &options),
            Form::Html => forms::html(report, &options),
            Form::Markdown => forms::markdown(report, &options),
            Form::Csv => forms::csv(report),
            Form::Json => sink::pretty(&forms::json(report))?,
        })
    }

    /// Whether something is there that the person asked to fail on.
    fn check(&self, report: &Report, err: &mut dyn Write) -> Result<(), CommandError> {
        let mut found = Vec::new();
        for kind in &self.fail_on {
            let (count, name) = match kind {
                FailOn::Drop => (drops(report), "connections dropped or refused"),
                FailOn::Gap => (judged(report, |judged| judged.gap_connections), "gaps"),
                FailOn::Drift => (judged(report, |judged| judged.drift), "verdicts that drift"),
                FailOn::Unknown => (
                    judged(report, |judged| judged.unknown.values().sum()),
                    "unknown verdicts",
                ),
                FailOn::Incident => (incidents(report), "incidents"),
            };
            if count > 0 {
                found.push(format!("{} {name}", thousands(count)));
            }
        }
        sink::check(&found, err)
    }
}

/// Incidents that are told of.
fn incidents(report: &Report) -> u64 {
    let anomalies = report.anomalies.as_ref();
    let all = anomalies
        .into_iter()
        .flat_map(|one| one.findings.incidents());
    all.filter(|incident| incident.alert == Alert::Raised)
        .count() as u64
}

fn judged(report: &Report, count: impl Fn(&crate::review::report::Judged) -> u64) -> u64 {
    report.judged.as_ref().map_or(0, count)
}

/// Connections that were dropped, and requests that were refused. What only audit mode let
/// pass was not.
fn drops(report: &Report) -> u64 {
    let dropped: u64 = report
        .drops
        .iter()
        .filter(|group| {
            group.cause != DropCause::Audited
                && group.cause.class() != crate::flow::DropClass::NotADrop
        })
        .map(|group| group.connections)
        .sum();
    let refused: u64 = report.refused.iter().map(|refused| refused.exchanges).sum();
    dropped + report.other_drops + refused
}

/// Columns of the terminal.
pub(super) fn width() -> usize {
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|text| text.parse::<usize>().ok());
    let asked = || {
        if std::io::stdout().is_terminal() {
            terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
        } else {
            None
        }
    };
    said.or_else(asked).unwrap_or(WIDTH).max(NARROWEST)
}
