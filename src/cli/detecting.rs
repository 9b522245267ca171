//! What commands that judge flows by a baseline have in common.
//!
//! Owns their flags, reading what these name, and the part of a report that comes of it.
//! Detection itself is the engine's.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::baseline;
use super::error::{CommandError, UsageError};
use super::findings::SuppressionArgs;
use super::time_arg;
use crate::baseline::{Model, Stage};
use crate::detect::words;
use crate::engine::{Detection, Incidents, Policies};
use crate::finding::{DeskOptions, Findings, Line};
use crate::review::report::Anomalies;

/// Flags of detection, as typed.
#[derive(Args)]
#[command(next_help_heading = "Anomalies")]
pub(super) struct DetectionArgs {
    /// Find what is unusual against this baseline (see flowwatch baseline learn)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    baseline: Option<PathBuf>,
    /// Write findings and incidents to this file, as JSON lines (see flowwatch findings)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, requires = "baseline")]
    findings_out: Option<PathBuf>,
    /// Incidents that are told of in a day; what is beyond is kept, ranked
    #[arg(long, value_name = "N", default_value_t = 5.0, requires = "baseline")]
    alerts_per_day: f64,
    #[command(flatten)]
    suppressions: SuppressionArgs,
}

impl DetectionArgs {
    /// Whether it is asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.baseline.is_some()
    }

    /// Detection as it begins; `None` where it is not asked for.
    ///
    /// # Errors
    /// [`CommandError`] for a file that cannot be read.
    pub(super) fn begin(
        &self,
        policies: Option<Arc<Policies>>,
        quiet: bool,
        err: &mut dyn Write,
    ) -> Result<Option<Detection<Incidents>>, CommandError> {
        let Some(path) = &self.baseline else {
            return Ok(None);
        };
        if !(self.alerts_per_day > 0.0 && self.alerts_per_day.is_finite()) {
            return Err(UsageError::new("--alerts-per-day must be more than 0").into());
        }
        let baseline = baseline::read(path, err)?;
        let now = time_arg::now();
        let options = DeskOptions {
            per_day: self.alerts_per_day,
            suppressions: self.suppressions.load(now, quiet, err)?,
            ..DeskOptions::default()
        };
        let reporting = Incidents::new(options);
        let detection = Detection::new(baseline.model, baseline.names, reporting);
        Ok(Some(detection.with_policies(policies)))
    }

    /// The file that findings go to, if one is named.
    ///
    /// # Errors
    /// [`CommandError`] where it cannot be made.
    pub(super) fn file(&self) -> Result<Option<FindingsFile>, CommandError> {
        self.findings_out
            .as_deref()
            .map(FindingsFile::create)
            .transpose()
    }

    /// Ends detection: the file of findings is written, and what was found is given back.
    ///
    /// # Errors
    /// [`CommandError`] for a file that cannot be written.
    pub(super) fn end(
        &self,
        mut detection: Detection<Incidents>,
    ) -> Result<Anomalies, CommandError> {
        detection.finish();
        let blind = detection.blind();
        let notes = notes(
            self.baseline.as_deref(),
            detection.model(),
            detection.late(),
        );
        let found = detection.found();
        found.finish();
        let lines = found.drain();
        if let Some(mut file) = self.file()? {
            for line in &lines {
                file.write(line)?;
            }
            file.flush()?;
        }
        let mut findings = Findings::default();
        for line in lines {
            findings.take(line);
        }
        Ok(Anomalies {
            findings,
            blind,
            notes,
        })
    }
}

/// A findings file that is being written: JSON lines.
pub(super) struct FindingsFile {
    path: PathBuf,
    out: BufWriter<File>,
}

impl FindingsFile {
    fn create(path: &Path) -> Result<Self, CommandError> {
        let file = File::create(path).map_err(|error| failed(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::new(file),
        })
    }

    /// Writes a line.
    ///
    /// # Errors
    /// [`CommandError`] where it cannot be written.
    pub(super) fn write(&mut self, line: &Line) -> Result<(), CommandError> {
        let text = serde_json::to_string(line).map_err(|error| failed(&self.path, &error))?;
        writeln!(self.out, "{text}").map_err(|error| failed(&self.path, &error))
    }

    /// Hands everything over to the file.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(super) fn flush(&mut self) -> Result<(), CommandError> {
        self.out.flush().map_err(|error| failed(&self.path, &error))
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> CommandError {
    CommandError::failed(format!("write {}: {error}", path.display()))
}

/// What is to be said of the baseline.
fn notes(path: Option<&Path>, model: &Model, late: u64) -> Vec<String> {
    let mut stages = [0_u64; 4];
    for (id, _) in model.workloads() {
        stages[model.stage(id) as usize] += 1;
    }
    let path = path.map_or_else(String::new, |path| path.display().to_string());
    let all = stages.iter().sum();
    let mut notes = vec![format!(
        "Baseline {path}: {}, {} of them active, {} in shadow, {} still being learned.",
        words::count(all, "workload", "workloads"),
        words::number(stages[Stage::Active as usize]),
        words::number(stages[Stage::Shadow as usize]),
        words::number(stages[Stage::Learning as usize] + stages[Stage::Cold as usize]),
    )];
    if late > 0 {
        notes.push(format!(
            "{} came too late to be looked at.",
            words::count(late, "connection or exchange", "connections and exchanges")
        ));
    }
    notes
}
