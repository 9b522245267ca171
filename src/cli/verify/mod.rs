//! `flowwatch verify`: whether the quarantine of a bundle took effect, or is gone again.
//!
//! Owns the arguments, what is read of the bundle, and the exit code. Flows come from
//! recordings (`files`) or servers (`live`); what counts as proof is `respond::verify`'s.

mod files;
mod live;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::connection::ConnectionArgs;
use super::error::{CommandError, UsageError};
use super::format::Color;
use super::isolate::differing;
use super::policy_args::AgentArgs;
use super::policy_source::{PolicySource, say_remarks};
use super::signal::Interrupt;
use super::{sink, time_arg};
use crate::engine::{Alteration, Alterations, Altered, Policies};
use crate::filter::parse_go_duration;
use crate::render::verify as forms;
use crate::respond::layout::Page;
use crate::respond::record::BundleRecord;
use crate::respond::verify::{Answer, Verified, Wanted, Watch};
use crate::review::trace::Target;
use crate::source::file::{Input, inputs};

/// Arguments of `verify`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct VerifyArgs {
    /// Bundle: the folder that `isolate` wrote
    #[arg(value_name = "BUNDLE", value_hint = clap::ValueHint::DirPath)]
    bundle: PathBuf,
    /// Recordings to look at instead of servers: files, directories of recordings, archives
    #[arg(long, num_args = 1.., value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    flows: Vec<PathBuf>,
    /// When it was applied, or taken back: 30s ago, or an RFC 3339 time [default: now for
    /// servers; for recordings, when flows first show it]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    applied: Option<String>,
    /// Whether it is gone again
    #[arg(long)]
    rolled_back: bool,
    /// How long nothing may have got through
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    settle: Duration,
    /// How long servers are watched at most
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    wait: Duration,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Form,
    /// File to write to instead of standard output
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

const EXAMPLES: &str = "\
Proven is what was tried: a drop by the quarantine's name after the last flow that got through,
and nothing it denies in the time of --settle since. Where events of the target's nodes are
missing, or nothing was tried, it is undecided. Exits with 1 unless it is proven.

Examples:
  Right after the label was set:
    flowwatch verify incident/ --server relay:4245
  From a recording, with the time it was applied:
    flowwatch verify incident/ --flows flows.jsonl --applied 2026-06-16T14:30:00Z
  The way out:
    flowwatch verify incident/ --server relay:4245 --rolled-back";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

/// A resolved `verify`.
struct Plan {
    record: BundleRecord,
    target: Target,
    wanted: Wanted,
    policies: Arc<Policies>,
    inputs: Vec<Input>,
}

impl VerifyArgs {
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
        let plan = self.plan(err)?;
        let verified = if self.flows.is_empty() {
            live::watch(&plan, self, err, interrupt)?
        } else {
            files::watch(&plan, self.quiet, err, interrupt)?
        };
        let text = self.text(&verified, &plan)?;
        sink::deliver(out, self.out.as_deref(), &text)?;
        match verified.answer {
            Answer::Proven => Ok(()),
            Answer::Undecided | Answer::Refuted => Err(CommandError::Found),
        }
    }

    /// What the arguments mean, and what the bundle says.
    fn plan(&self, err: &mut dyn Write) -> Result<Plan, CommandError> {
        let now = time_arg::now();
        if !self.flows.is_empty() && !self.connection.server.is_empty() {
            return Err(UsageError::new("give either --flows or --server").into());
        }
        let applied = time_arg::bound("applied", self.applied.as_deref(), now)?;
        let since = match applied {
            None if self.flows.is_empty() => Some(now),
            given => given,
        };
        let record = record(&self.bundle)?;
        if !self.quiet {
            for file in differing(&self.bundle).unwrap_or_default() {
                let path = self.bundle.join(&file);
                let sums = self.bundle.join(Page::Sums.file());
                sink::say(
                    err,
                    &format!("{}: is not as {} has it", path.display(), sums.display()),
                );
            }
        }
        let target = Target::parse(&record.target).map_err(CommandError::failed)?;
        let policies = quarantine(&self.bundle, &record, self.quiet, err)?;
        let quarantine = &record.quarantine;
        let names: BTreeSet<String> = quarantine
            .policies
            .iter()
            .map(|name| name.rsplit('/').next().unwrap_or(name).to_owned())
            .collect();
        if names.is_empty() {
            return Err(CommandError::failed(format!(
                "{}: the bundle has no policy to look for",
                self.bundle.join(Page::Record.file()).display()
            )));
        }
        let label = quarantine
            .label
            .as_ref()
            .map(|label| (label.key.clone(), label.value.clone()));
        Ok(Plan {
            wanted: Wanted {
                names,
                label,
                since,
                settle: nanos(self.settle),
                rolled_back: self.rolled_back,
            },
            target,
            policies,
            inputs: inputs(&self.flows)?,
            record,
        })
    }

    fn text(&self, verified: &Verified, plan: &Plan) -> Result<String, CommandError> {
        let color = self.out.is_none() && self.color.wanted();
        Ok(match self.output {
            Form::Text => forms::text(verified, &plan.record, self.rolled_back, color),
            Form::Json => sink::pretty(&forms::json(verified, &plan.record, self.rolled_back))?,
        })
    }
}

impl Plan {
    fn watcher(&self, addresses: Vec<IpAddr>) -> Watch {
        Watch::new(
            self.wanted.clone(),
            self.target.clone(),
            addresses,
            self.policies.clone(),
        )
    }
}

/// What a bundle says of itself.
fn record(folder: &Path) -> Result<BundleRecord, CommandError> {
    let path = folder.join(Page::Record.file());
    let name = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| CommandError::failed(format!("{name}: {error}")))?;
    BundleRecord::parse(&text, &name).map_err(CommandError::failed)
}

/// The policies of the quarantine alone, for a target that is labelled as it is to be.
fn quarantine(
    folder: &Path,
    record: &BundleRecord,
    quiet: bool,
    err: &mut dyn Write,
) -> Result<Arc<Policies>, CommandError> {
    let files: Vec<PathBuf> = record
        .quarantine
        .files
        .iter()
        .map(|file| folder.join(file))
        .collect();
    let agent = AgentArgs::default().again(&record.options);
    let mut source = PolicySource::new(agent, files, false)?;
    let loaded = source.load()?.whole()?;
    if !quiet {
        say_remarks(&loaded.remarks, err);
    }
    let label = record.quarantine.label.as_ref();
    let alterations = record
        .workloads
        .iter()
        .filter_map(|workload| workload.split_once('/'))
        .filter_map(|(namespace, workload)| {
            let label = label?;
            let labels = vec![(label.key.as_str().into(), Some(label.value.as_str().into()))];
            Some(Alteration {
                namespace: namespace.into(),
                workload: workload.into(),
                change: Altered::Labels(labels),
            })
        });
    let alterations = Alterations::new(alterations.collect());
    Ok(Arc::new(loaded.policies.altering(alterations)))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_go_duration(text)
        .and_then(|nanos| u64::try_from(nanos).ok())
        .map(Duration::from_nanos)
        .ok_or_else(|| "expected a duration such as 30s or 2m".to_owned())
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
