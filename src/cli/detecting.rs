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
use crate::baseline::{Baseline, Model, Stage};
use crate::detect::{Detector, Listed, Lists, Ruled, Rules, words};
use crate::engine::{Detection, Incidents, Policies};
use crate::finding::{Calibration, DeskOptions, Findings, Line};
use crate::review::report::Anomalies;

/// Flags of detection, as typed.
#[derive(Args)]
#[command(next_help_heading = "Anomalies")]
pub(super) struct DetectionArgs {
    /// Find what is unusual against this baseline (see flowwatch baseline learn)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    baseline: Option<PathBuf>,
    /// Find what is on this list of bad names and addresses: one domain, address or prefix a
    /// line, # begins a comment, lines of hosts files are taken
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    threat_list: Vec<PathBuf>,
    /// Find what your own rules fit: YAML with conditions in CEL (see docs/detection.md)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    rules: Vec<PathBuf>,
    /// Write findings and incidents to this file, as JSON lines (see flowwatch findings)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    findings_out: Option<PathBuf>,
    /// Incidents that are told of in a day; what is beyond is kept, ranked
    #[arg(long, value_name = "N", default_value_t = 5.0)]
    alerts_per_day: f64,
    #[command(flatten)]
    suppressions: SuppressionArgs,
}

impl DetectionArgs {
    /// Whether it is asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.baseline.is_some() || !self.threat_list.is_empty() || !self.rules.is_empty()
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
        if !self.is_wanted() {
            if self.findings_out.is_some() {
                let message = "--findings-out goes with --baseline, --threat-list or --rules";
                return Err(UsageError::new(message).into());
            }
            return Ok(None);
        }
        if !(self.alerts_per_day > 0.0 && self.alerts_per_day.is_finite()) {
            return Err(UsageError::new("--alerts-per-day must be more than 0").into());
        }
        let more = self.more()?;
        let baseline = match &self.baseline {
            Some(path) => baseline::read(path, err)?,
            None => Baseline::default(),
        };
        let now = time_arg::now();
        let options = DeskOptions {
            per_day: self.alerts_per_day,
            suppressions: self.suppressions.load(now, quiet, err)?,
            calibration: baseline
                .shadow
                .as_ref()
                .map(Calibration::of)
                .unwrap_or_default(),
        };
        let reporting = Incidents::new(options);
        let detection = Detection::new(baseline.model, baseline.names, reporting);
        let detection = if self.baseline.is_some() {
            detection.with_detectors(more)
        } else {
            detection.only(more)
        };
        Ok(Some(detection.with_policies(policies)))
    }

    /// Detectors of lists and rules.
    fn more(&self) -> Result<Vec<Box<dyn Detector>>, CommandError> {
        let mut more: Vec<Box<dyn Detector>> = Vec::new();
        if !self.threat_list.is_empty() {
            let mut lists = Lists::default();
            for path in &self.threat_list {
                lists.read(path).map_err(CommandError::failed)?;
            }
            more.push(Box::new(Listed::new(Arc::new(lists))));
        }
        if !self.rules.is_empty() {
            let mut rules = Rules::default();
            for path in &self.rules {
                rules.read(path).map_err(CommandError::failed)?;
            }
            more.push(Box::new(Ruled::new(rules)));
        }
        Ok(more)
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
    let mut notes = vec![match path {
        Some(path) => known(path, model),
        None => "Without a baseline only lists and rules were looked at.".to_owned(),
    }];
    if late > 0 {
        notes.push(format!(
            "{} came too late to be looked at.",
            words::count(late, "connection or exchange", "connections and exchanges")
        ));
    }
    notes
}

/// How far a baseline is.
fn known(path: &Path, model: &Model) -> String {
    let mut stages = [0_u64; 4];
    for (id, _) in model.workloads() {
        stages[model.stage(id) as usize] += 1;
    }
    let all = stages.iter().sum();
    format!(
        "Baseline {}: {}, {} of them active, {} in shadow, {} still being learned.",
        path.display(),
        words::count(all, "workload", "workloads"),
        words::number(stages[Stage::Active as usize]),
        words::number(stages[Stage::Shadow as usize]),
        words::number(stages[Stage::Learning as usize] + stages[Stage::Cold as usize]),
    )
}
