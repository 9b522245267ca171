//! `flowwatch baseline ...`: what is normal, as a file.
//!
//! Owns the commands' names and what they have in common; each is a file of its own.

mod audit;
mod decide;
mod diff;
mod learn;
mod show;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::error::CommandError;
use super::signal::Interrupt;
use super::sink::say;
use crate::baseline::{BASELINE_FILE, Baseline};

/// Arguments of `baseline`.
#[derive(Args)]
pub(super) struct BaselineArgs {
    #[command(subcommand)]
    command: BaselineCommand,
}

#[derive(Subcommand)]
enum BaselineCommand {
    /// Learn what is normal from recordings
    Learn(Box<learn::LearnArgs>),
    /// Show what a baseline knows of workloads, and what is missing
    Show(show::ShowArgs),
    /// Show what two baselines have not in common
    Diff(diff::DiffArgs),
    /// Say that edges are normal
    Approve(decide::DecideArgs),
    /// Say that edges must not be
    Forbid(decide::DecideArgs),
    /// List what was learned and should be looked at
    Audit(audit::AuditArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Terminal,
    Json,
}

impl BaselineArgs {
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
        match &self.command {
            BaselineCommand::Learn(args) => args.run(out, err, interrupt),
            BaselineCommand::Show(args) => args.run(out, err),
            BaselineCommand::Diff(args) => args.run(out, err),
            BaselineCommand::Approve(args) => args.approve(out, err),
            BaselineCommand::Forbid(args) => args.forbid(out, err),
            BaselineCommand::Audit(args) => args.run(out, err),
        }
    }
}

/// Reads a baseline, and says what is to be said of it.
///
/// # Errors
/// [`CommandError`] for one that cannot be read.
pub(super) fn read(path: &Path, err: &mut dyn Write) -> Result<Baseline, CommandError> {
    let baseline = Baseline::read(path).map_err(CommandError::failed)?;
    for remark in &baseline.remarks {
        say(err, remark);
    }
    Ok(baseline)
}

/// The file that is meant where none is named.
fn named(path: Option<&PathBuf>) -> PathBuf {
    path.cloned()
        .unwrap_or_else(|| PathBuf::from(BASELINE_FILE))
}
