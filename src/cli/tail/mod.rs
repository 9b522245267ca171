//! `flowwatch tail`: flows from recordings or a server, one line each.
//!
//! Owns the arguments of the command. Their meaning is `plan`'s, the work that of
//! `files` and `live`.

mod files;
mod live;
mod marks;
mod order;
mod plan;
mod tally;
mod watching;
mod writer;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::connection::ConnectionArgs;
use super::detecting::DetectionArgs;
use super::error::CommandError;
use super::flow_filter::{FlowFilterArgs, write_raw_filters};
use super::format::FormatArgs;
use super::policy_args::PolicyArgs;
use super::policy_source::say_remarks;
use super::policy_watch::Report;
use super::selection::SelectionArgs;
use super::signal::Interrupt;
use super::sink::say;
use crate::render::{JudgementKind, thousands};
use plan::{Plan, Source};
use watching::Watching;

/// Arguments of `tail`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TailArgs {
    /// Recordings: files, directories of exporter rotations, - for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// The same, by Hubble's name
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    input_file: Vec<PathBuf>,
    /// Sort by time; needs the end of the input before the first line
    #[arg(long, conflicts_with = "follow")]
    sort: bool,
    /// On a server, end with what is there instead of following
    #[arg(long, conflicts_with = "follow")]
    no_follow: bool,
    /// Ask a server only for the fields that the output shows
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true",
          require_equals = true, action = clap::ArgAction::Set)]
    use_default_field_masks: bool,
    /// Show only flows that are one of: drift, changed, gap, drop, unknown
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    only: Vec<Only>,
    #[command(flatten)]
    detection: DetectionArgs,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    filters: FlowFilterArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// What `--only` keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    Drift,
    Changed,
    Gap,
    Drop,
    Unknown,
}

impl Only {
    fn kind(self) -> JudgementKind {
        match self {
            Self::Drift => JudgementKind::Drift,
            Self::Changed => JudgementKind::Changed,
            Self::Gap => JudgementKind::Gap,
            Self::Drop => JudgementKind::Drop,
            Self::Unknown => JudgementKind::Unknown,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  Drops of a recording, in the format of `hubble observe`:
    flowwatch tail --verdict DROPPED flows.jsonl
  The rotations of an exporter, oldest first, as a table:
    flowwatch tail /var/run/cilium/hubble -o table
  Live, from a relay behind a port-forward:
    kubectl -n kube-system port-forward service/hubble-relay 4245:80 &
    flowwatch tail -n shop
  What a pod was denied in the last hour, as JSON:
    flowwatch tail --since 1h --pod shop/checkout --verdict DROPPED -o json flows.jsonl.gz
  Beside each flow what the policies say, and only where they disagree with the cluster:
    kubectl get cnp,ccnp,netpol -A -o yaml | flowwatch tail --policies - --only drift flows.jsonl
  Beside the flows what is unusual, as it happens:
    flowwatch tail --baseline flowwatch.baseline.yaml --findings-out found.jsonl -o json > flows.jsonl";

impl TailArgs {
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
        let mut plan = self.plan()?;
        if self.filters.print_raw_filters() {
            let mut text = Vec::new();
            write_raw_filters(&mut text, &plan.allow, &plan.deny).map_err(CommandError::failed)?;
            return super::sink::all(out, &text);
        }
        if !plan.output.quiet {
            say_remarks(&plan.remarks, err);
        }
        let watching = Watching::begin(&self.detection, &plan.output, err)?;
        let watch = plan.watch.take();
        let reports = watch.map(|watch| watch.start(interrupt)).transpose()?;
        match &plan.source {
            Source::Files(inputs) => {
                files::run(&plan, inputs, reports, watching, out, err, interrupt)
            }
            Source::Live(live) => live::run(&plan, live, reports, watching, out, err, interrupt),
        }
    }
}

/// What becomes of policies that change, as it is told.
struct Reloads {
    quiet: bool,
    count: u64,
}

impl Reloads {
    fn new(plan: &Plan) -> Self {
        Self {
            quiet: plan.output.quiet,
            count: 0,
        }
    }

    fn report(&mut self, report: &Report, err: &mut dyn Write) {
        self.count += u64::from(report.reloaded);
        if !self.quiet {
            say(err, &report.line);
            say_remarks(&report.remarks, err);
        }
    }

    /// `policies were reloaded 2 times`, for the end.
    fn summary(&self) -> Option<String> {
        match self.count {
            0 => None,
            1 => Some("policies were reloaded once".to_owned()),
            count => Some(format!("policies were reloaded {} times", thousands(count))),
        }
    }
}
