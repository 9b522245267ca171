//! `flowwatch baseline learn`: recordings become what is normal.
//!
//! Owns the arguments and what is said of the result. Detectors look while it is learned:
//! what they flag for more than being new is not learned.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::error::{CommandError, UsageError};
use super::super::flow_filter::FlowFilterArgs;
use super::super::passing::{self, Reads};
use super::super::progress;
use super::super::signal::Interrupt;
use super::super::sink::{self, say};
use super::super::time_arg;
use super::named;
use crate::baseline::{Baseline, DAY, Held, Stage, statistics_path};
use crate::detect::words;
use crate::engine::{BatchJudge, Detection};
use crate::source::file::inputs;

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
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    filters: FlowFilterArgs,
}

const EXAMPLES: &str = "\
Examples:
  Of two weeks of an archive:
    flowwatch baseline learn archive/ --since 14d
  Another week, with what people decided meanwhile:
    flowwatch baseline learn archive/ --since 7d --from flowwatch.baseline.yaml
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
        let reads = self.reads()?;
        let (model, names) = (
            std::mem::take(&mut baseline.model),
            std::mem::take(&mut baseline.names),
        );
        let bar = progress::bar(&reads.inputs, !self.quiet);
        let detection = Detection::new(model, names, Vec::new());
        let (reading, _, mut detection) =
            passing::read(&reads, || None::<BatchJudge>, detection, &bar, interrupt);
        detection.finish();
        bar.finish_and_clear();
        if reading.interrupted {
            return Err(CommandError::failed("interrupted; nothing was written"));
        }
        let blind = detection.blind();
        let (model, names, _) = detection.into_parts();
        (baseline.model, baseline.names) = (model, names);
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

    fn reads(&self) -> Result<Reads, CommandError> {
        let paths: Vec<PathBuf> = self.paths.iter().chain(&self.input_file).cloned().collect();
        if paths.is_empty() {
            return Err(UsageError::new("give a recording: a file, a directory, or -").into());
        }
        let (filters, _) = self.filters.compile()?;
        let now = time_arg::now();
        Ok(Reads {
            since: time_arg::bound("since", self.since.as_deref(), now)?,
            until: time_arg::bound("until", self.until.as_deref(), now)?,
            inputs: inputs(&paths).map_err(CommandError::failed)?,
            filters,
            judged: false,
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
    lines
}
