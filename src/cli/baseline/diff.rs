//! `flowwatch baseline diff`: what two baselines have not in common.
//!
//! Owns the arguments and the forms.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::error::CommandError;
use super::super::sink;
use super::Form;
use crate::baseline::{BaselineFile, Change, Difference, difference, read_baseline};
use crate::manifest::read_keyed;

/// Arguments of `baseline diff`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct DiffArgs {
    /// The earlier one
    #[arg(value_name = "A", value_hint = clap::ValueHint::FilePath)]
    before: PathBuf,
    /// The later one
    #[arg(value_name = "B", value_hint = clap::ValueHint::FilePath)]
    after: PathBuf,
    /// Exit with 1 when they differ
    #[arg(long)]
    exit_code: bool,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    output: Form,
}

const EXAMPLES: &str = "\
Examples:
  flowwatch baseline diff last-month.baseline.yaml flowwatch.baseline.yaml
  git show HEAD:flowwatch.baseline.yaml > before.yaml
  flowwatch baseline diff before.yaml flowwatch.baseline.yaml --exit-code";

impl DiffArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(&self, out: &mut dyn Write, _: &mut dyn Write) -> Result<(), CommandError> {
        let found = difference(&read(&self.before)?, &read(&self.after)?);
        let text = match self.output {
            Form::Terminal => lines(&found),
            Form::Json => {
                let changes: Vec<Value> = found.iter().map(value).collect();
                sink::pretty(&json!({"version": 1, "changes": changes}))?
            }
        };
        sink::all(out, text.as_bytes())?;
        if self.exit_code && !found.is_empty() {
            return Err(CommandError::Found);
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<BaselineFile, CommandError> {
    let text = read_keyed(path).map_err(CommandError::failed)?;
    read_baseline(&text, &path.display().to_string()).map_err(CommandError::failed)
}

fn lines(found: &[Difference]) -> String {
    let mut text = String::new();
    for of_workload in found.chunk_by(|a, b| a.workload == b.workload) {
        let Some(first) = of_workload.first() else {
            continue;
        };
        let whole = Some(first).filter(|one| one.what.is_empty());
        let note = match whole.map(|one| &one.change) {
            Some(Change::Added) => " (new)".to_owned(),
            Some(Change::Removed) => " (gone)".to_owned(),
            Some(Change::Changed(before, after)) => format!(" (was {before}, is {after})"),
            None => String::new(),
        };
        let _ = writeln!(text, "{}{note}", first.workload);
        for one in of_workload.iter().filter(|one| !one.what.is_empty()) {
            let _ = match &one.change {
                Change::Added => writeln!(text, "  + {}", one.what),
                Change::Removed => writeln!(text, "  - {}", one.what),
                Change::Changed(before, after) => {
                    writeln!(text, "  ~ {}: {before}, now {after}", one.what)
                }
            };
        }
    }
    text
}

fn value(one: &Difference) -> Value {
    let (change, before, after) = match &one.change {
        Change::Added => ("added", None, None),
        Change::Removed => ("removed", None, None),
        Change::Changed(before, after) => ("changed", Some(before), Some(after)),
    };
    json!({
        "change": change,
        "workload": one.workload,
        "what": one.what,
        "before": before,
        "after": after,
    })
}
