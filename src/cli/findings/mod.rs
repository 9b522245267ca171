//! `flowwatch findings ...`: what was found, from a file.
//!
//! Owns the commands' names, and reading findings files and suppressions for all of them;
//! each command is a file of its own. What findings are is `finding`'s, how they are shown is
//! `render`'s.

mod ack;
mod list;
mod show;

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::error::CommandError;
use super::sink;
use crate::finding::{FILE_NAME, Findings, Suppressions};

/// Arguments of `findings`.
#[derive(Args)]
pub(super) struct FindingsArgs {
    #[command(subcommand)]
    command: FindingsCommand,
}

#[derive(Subcommand)]
enum FindingsCommand {
    /// List incidents, the worst first
    List(list::ListArgs),
    /// Tell an incident or a finding in full
    Show(show::ShowArgs),
    /// Say that findings are known and meant: writes the suppression file
    Ack(ack::AckArgs),
}

impl FindingsArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        match &self.command {
            FindingsCommand::List(args) => args.run(out, err),
            FindingsCommand::Show(args) => args.run(out, err),
            FindingsCommand::Ack(args) => args.run(err),
        }
    }
}

/// The suppressions that count: those of a file that is named, else of
/// `flowwatch.suppress.yaml` here, if there is one. What has expired is said.
#[derive(Args)]
pub(super) struct SuppressionArgs {
    /// Suppressions [default: flowwatch.suppress.yaml, where there is one]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    suppressions: Option<PathBuf>,
}

impl SuppressionArgs {
    /// The file that is meant.
    fn path(&self) -> &Path {
        self.suppressions.as_deref().unwrap_or(Path::new(FILE_NAME))
    }

    /// Reads them; a file that is not named need not exist.
    ///
    /// # Errors
    /// [`CommandError`] with the line of what is wrong.
    pub(super) fn load(
        &self,
        now: i64,
        quiet: bool,
        err: &mut dyn Write,
    ) -> Result<Suppressions, CommandError> {
        if self.suppressions.is_none() && !self.path().exists() {
            return Ok(Suppressions::default());
        }
        let suppressions = Suppressions::read(self.path()).map_err(CommandError::failed)?;
        if !quiet {
            for sentence in suppressions.expired(now) {
                sink::say(err, &sentence);
            }
        }
        Ok(suppressions)
    }
}

/// Reads a findings file, `-` for standard input.
fn read(path: &Path) -> Result<Findings, CommandError> {
    if path.as_os_str() == "-" {
        let mut stdin = std::io::stdin().lock();
        return Findings::read(&mut stdin, "<stdin>").map_err(CommandError::failed);
    }
    read_file(path)
}

/// Reads a findings file.
///
/// # Errors
/// [`CommandError`] for one that cannot be opened or read, with its line.
pub(in crate::cli) fn read_file(path: &Path) -> Result<Findings, CommandError> {
    let name = path.display().to_string();
    let file =
        File::open(path).map_err(|error| CommandError::failed(format!("{name}: {error}")))?;
    Findings::read(&mut BufReader::new(file), &name).map_err(CommandError::failed)
}

/// What an id, or the beginning of one, stands for.
enum Meant<'a> {
    Incident(&'a crate::finding::Incident),
    Finding(Vec<&'a crate::finding::Finding>),
}

/// Finds what is meant by an id or the beginning of one.
fn meant<'a>(all: &'a Findings, typed: &str) -> Result<Meant<'a>, CommandError> {
    if let Some(incident) = all.incident(typed) {
        return Ok(Meant::Incident(incident));
    }
    let ids = all.ids(typed);
    let mut ids = ids.iter();
    let (Some(id), false) = (ids.next(), typed.is_empty()) else {
        return Err(CommandError::failed(format!(
            "no finding or incident has the id {typed}"
        )));
    };
    if ids.next().is_some() {
        return Err(CommandError::failed(format!(
            "several findings or incidents have an id that begins with '{typed}': give more of it"
        )));
    }
    Ok(match all.incident(id) {
        Some(incident) => Meant::Incident(incident),
        None => Meant::Finding(all.by_id(id)),
    })
}
