//! `flowwatch baseline learn`: recordings become what is normal.
//!
//! Owns the arguments and what is said of the result. Detectors look while it is learned:
//! what they flag for more than being new is not learned.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::super::error::{CommandError, UsageError};
use super::super::flow_filter::FlowFilterArgs;
use super::super::passing::{self, Reads};
use super::super::policy_args::PolicyArgs;
use super::super::policy_source::{LoadedPolicies, say_remarks};
use super::super::progress;
use super::super::signal::Interrupt;
use super::super::sink::{self, say};
use super::super::time_arg;
use super::named;
use crate::baseline::{Baseline, DAY, Held, Shadow, Stage, statistics_path};
use crate::detect::words;
use crate::engine::{BatchJudge, Detection, Policies, Shadowing};

/// Arguments of `baseline learn`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct LearnArgs {
    /// Recordings: files, directories of recordings, archives, - for standard input
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// The same, by Hubble's name
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    input_file: Vec<PathBuf>,
    /// File to write the baseline to; statistics go beside it, with .parquet at its end
    /// [default: flowwatch.baseline.yaml]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Learn on from this baseline; its decisions and comments are kept
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    from: Option<PathBuf>,
    /// Write over a baseline that is there, without learning on from it
    #[arg(long)]
    force: bool,
    /// Only flows since a time: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only flows until a time, as --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// The last days are watched as if somebody were to be told, and set what is severe; at
    /// most a quarter of all, 0 for none
    #[arg(long, value_name = "DAYS", default_value_t = 3.0)]
    shadow_days: f64,
    /// Incidents a day of those days that may be medium and above
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    medium_per_day: f64,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    filters: FlowFilterArgs,
}

const EXAMPLES: &str = "\
Examples:
  Of two weeks of an archive:
    flowwatch baseline learn archive/ --since 14d
  Another week, with what people decided meanwhile:
    flowwatch baseline learn archive/ --since 7d --from flowwatch.baseline.yaml
  With the policies that later runs are given too, so that severities fit:
    flowwatch baseline learn archive/ --since 17d --policies policies/
  Then look at what was learned:
    flowwatch baseline audit";

impl LearnArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(
        &self,
        _: &mut dyn Write,
        err: &mut dyn Write,
        interrupt: &Interrupt,
    ) -> Result<(), CommandError> {
        let path = named(self.out.as_ref());
        let known = self.from.as_ref() == Some(&path);
        if path.exists() && !self.force && !known {
            let message = format!(
                "{} is there: learn on with --from {0}, or write over it with --force",
                path.display()
            );
            return Err(UsageError::new(message).into());
        }
        let mut baseline = match &self.from {
            Some(path) => super::read(path, err)?,
            None => Baseline::default(),
        };
        let policies = self.policies(err)?;
        let length = self.shadow()?;
        let reads = self.reads(policies.is_some())?;
        let (model, names) = (
            std::mem::take(&mut baseline.model),
            std::mem::take(&mut baseline.names),
        );
        let bar = progress::bar(&reads.inputs, !self.quiet);
        let detection = Detection::new(model, names, Shadowing::new(length));
        let detection = detection.with_policies(policies.clone());
        let judge = move || policies.clone().map(BatchJudge::new);
        let (reading, _, mut detection) = passing::read(&reads, judge, detection, &bar, interrupt);
        detection.finish();
        bar.finish_and_clear();
        if reading.interrupted {
            return Err(CommandError::failed("interrupted; nothing was written"));
        }
        let blind = detection.blind();
        let (model, names, shadowing) = detection.into_parts();
        (baseline.model, baseline.names) = (model, names);
        baseline.shadow = shadowing.finish(self.medium_per_day);
        write(&baseline, &path)?;
        if !self.quiet {
            for line in summary(&baseline, &path) {
                say(err, &line);
            }
            for one in &blind {
                say(err, &format!("{} {}: {}", one.kind.id(), one.kind, one.why));
            }
        }
        sink::complain(err, &reading.failed)
    }

    /// How long is only watched, in nanoseconds.
    fn shadow(&self) -> Result<i64, UsageError> {
        if !(0.0..=365.0).contains(&self.shadow_days) {
            return Err(UsageError::new("--shadow-days must be from 0 to 365"));
        }
        if !(self.medium_per_day > 0.0 && self.medium_per_day.is_finite()) {
            return Err(UsageError::new("--medium-per-day must be more than 0"));
        }
        Ok((self.shadow_days * DAY as f64) as i64)
    }

    fn policies(&self, err: &mut dyn Write) -> Result<Option<Arc<Policies>>, CommandError> {
        let Some(mut source) = self.policies.source()? else {
            return Ok(None);
        };
        let loaded = LoadedPolicies::whole(source.load()?)?;
        if !self.quiet {
            say_remarks(&loaded.remarks, err);
        }
        Ok(Some(Arc::new(loaded.policies)))
    }

    fn reads(&self, judged: bool) -> Result<Reads, CommandError> {
        let paths: Vec<PathBuf> = self.paths.iter().chain(&self.input_file).cloned().collect();
        if paths.is_empty() {
            return Err(UsageError::new("give a recording: a file, a directory, or -").into());
        }
        let (filters, _) = self.filters.compile()?;
        let now = time_arg::now();
        Ok(Reads {
            since: time_arg::bound("since", self.since.as_deref(), now)?,
            until: time_arg::bound("until", self.until.as_deref(), now)?,
            inputs: crate::cli::fold::open_named(&paths)?,
            filters,
            judged,
            for_detection: true,
            ..Reads::default()
        })
    }
}

/// Writes a baseline and its statistics; the statistics first, so that a file never names
/// what is not there.
fn write(baseline: &Baseline, path: &Path) -> Result<(), CommandError> {
    let beside = statistics_path(path);
    baseline
        .write_statistics(&beside)
        .map_err(CommandError::failed)?;
    let name = beside.file_name().map(|name| name.to_string_lossy());
    let text = baseline.text(name.as_deref());
    std::fs::write(path, text)
        .map_err(|error| CommandError::failed(format!("write {}: {error}", path.display())))
}

/// What was learned, in lines.
fn summary(baseline: &Baseline, path: &Path) -> Vec<String> {
    let model = &baseline.model;
    let mut stages = [0_u64; 4];
    for (id, _) in model.workloads() {
        stages[model.stage(id) as usize] += 1;
    }
    let workloads: u64 = stages.iter().sum();
    let edges = model.edges().count() as u64;
    let days = model
        .span()
        .map_or(0.0, |(from, to)| (to - from) as f64 / DAY as f64);
    let mut lines = vec![format!(
        "{}: {} of {}, learned from {days:.1} days",
        path.display(),
        words::count(edges, "edge", "edges"),
        words::count(workloads, "workload", "workloads"),
    )];
    let names = [Stage::Active, Stage::Shadow, Stage::Learning, Stage::Cold];
    let shown: Vec<String> = names
        .iter()
        .filter(|stage| stages[**stage as usize] > 0)
        .map(|stage| format!("{} {stage}", stages[*stage as usize]))
        .collect();
    if !shown.is_empty() {
        lines.push(format!("baselines: {}", shown.join(", ")));
    }
    let held = model
        .held_back()
        .filter(|(_, pending)| pending.why > Held::Young)
        .count() as u64;
    if held > 0 {
        lines.push(format!(
            "{} seen and not learned: flowwatch baseline audit lists why",
            words::count(held, "edge was", "edges were")
        ));
    }
    if model.beyond() > 0 {
        lines.push(format!(
            "{} beyond the bounds and not learned",
            words::count(model.beyond(), "edge was", "edges were")
        ));
    }
    lines.push(match &baseline.shadow {
        Some(shadow) => watched(shadow),
        None => "no days were only watched: what is learned has to be four times as long as \
                 them; severities are those set by hand"
            .to_owned(),
    });
    lines
}

/// What shadow days came to: `the last 3.0 days were watched: 7 incidents; medium begins at
/// 4.31 of the scale by hand, high at 6.40, critical at 8.12`.
fn watched(shadow: &Shadow) -> String {
    format!(
        "the last {:.1} days were watched: {}; of the scale set by hand medium begins at {:.2}, \
         high at {:.2}, critical at {:.2}",
        shadow.days(),
        words::count(shadow.incidents, "incident", "incidents"),
        shadow.anchors.medium,
        shadow.anchors.high,
        shadow.anchors.critical,
    )
}
