//! `flowwatch archive`: what is in an archive, whether it is whole, and making it
//! smaller.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::error::CommandError;
use super::policy_args::AgentArgs;
use super::record::{age, files_summary, size, size_text};
use super::rollup;
use super::signal::Interrupt;
use super::sink::{self, say};
use crate::archive::{Keep, Store, compact, retain, stale_hours, staleness, verify};
use crate::flow::Manifest;
use crate::render::thousands;
use crate::source::archive::Archive;

/// Arguments of `archive`.
#[derive(Args)]
pub(super) struct ArchiveArgs {
    #[command(subcommand)]
    command: ArchiveCommand,
}

#[derive(Subcommand)]
enum ArchiveCommand {
    /// Say what is in an archive
    Info(FolderArgs),
    /// Read everything, and name files that are not what they should be
    Verify(FolderArgs),
    /// Make one file of the several that an hour may have
    Compact(FolderArgs),
    /// Sum up the connections of hours that are not, or whose flows or policies changed
    Rollup(RollupArgs),
    /// Delete old hours
    Prune(PruneArgs),
}

#[derive(Args)]
struct RollupArgs {
    /// Folder of the archive
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,
    /// Make all hours again
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    agent: AgentArgs,
}

#[derive(Args)]
struct FolderArgs {
    /// Folder of the archive
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct PruneLimits {
    /// Delete hours that ended longer ago than this, such as 30d
    #[arg(long, value_name = "DURATION", value_parser = age)]
    keep: Option<Duration>,
    /// Delete the oldest hours while the archive is larger than this, such as 50GB
    #[arg(long, value_name = "BYTES", value_parser = size)]
    keep_bytes: Option<u64>,
}

#[derive(Args)]
struct PruneArgs {
    /// Folder of the archive
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,
    #[command(flatten)]
    limits: PruneLimits,
}

impl ArchiveArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code; `verify` finds what is wrong.
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        match &self.command {
            ArchiveCommand::Info(args) => info(args, out),
            ArchiveCommand::Verify(args) => verified(args, out, err),
            ArchiveCommand::Compact(args) => {
                let mut store = existing(&args.folder)?;
                let (old, new) = compact(&mut store).map_err(CommandError::failed)?;
                let text = format!(
                    "{} files became {}: {} became {}\n",
                    thousands(old.len() as u64),
                    thousands(new.len() as u64),
                    size_text(old.iter().map(|file| file.bytes).sum()),
                    size_text(new.iter().map(|file| file.bytes).sum()),
                );
                sink::all(out, text.as_bytes())
            }
            ArchiveCommand::Rollup(args) => rolled(args, out, err),
            ArchiveCommand::Prune(args) => {
                let mut store = existing(&args.folder)?;
                let keep = Keep {
                    age: args.limits.keep,
                    bytes: args.limits.keep_bytes,
                };
                let removed = retain(&mut store, keep).map_err(CommandError::failed)?;
                let text = if removed.is_empty() {
                    "nothing is old enough\n".to_owned()
                } else {
                    format!("removed {}\n", files_summary(&removed))
                };
                sink::all(out, text.as_bytes())
            }
        }
    }
}

/// An archive that is there: a folder that is none is not made one.
fn existing(folder: &std::path::Path) -> Result<Store, CommandError> {
    Archive::open(folder).map_err(CommandError::failed)?;
    Store::open(folder).map_err(CommandError::failed)
}

fn rolled(args: &RollupArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
    let mut store = existing(&args.folder)?;
    // What was done by then is kept.
    let interrupt = Interrupt::listen();
    let is_over = || interrupt.happened();
    let agent = rollup::agent_of(&mut store, &args.agent)?;
    let made = if args.all {
        rollup::remake(&mut store, &agent, &is_over)
    } else {
        rollup::refresh(&mut store, &agent, &is_over)
    };
    let text = if made.hours == 0 && made.failed.is_empty() {
        "every hour is summed up\n".to_owned()
    } else {
        format!("{}\n", rollup::summary(&made))
    };
    sink::all(out, text.as_bytes())?;
    rollup::say_made(&made, true, err);
    if made.failed.is_empty() {
        Ok(())
    } else {
        Err(CommandError::Said)
    }
}

fn info(args: &FolderArgs, out: &mut dyn Write) -> Result<(), CommandError> {
    let archive = Archive::open(&args.folder).map_err(CommandError::failed)?;
    let manifest = archive.manifest();
    let mut text = format!("{}\n", files_summary(&manifest.files));
    let mut clusters: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    let mut lost = 0_u64;
    for file in &manifest.files {
        let (files, rows, bytes) = clusters.entry(&file.cluster).or_default();
        *files += 1;
        *rows += file.rows;
        *bytes += file.bytes;
        lost += file.notices.as_ref().map_or(0, |notices| notices.lost);
    }
    for (cluster, (files, rows, bytes)) in clusters {
        let _ = writeln!(
            text,
            "cluster {cluster}: {} flows in {} {}, {}",
            thousands(rows),
            thousands(files),
            if files == 1 { "file" } else { "files" },
            size_text(bytes)
        );
    }
    if lost > 0 {
        let _ = writeln!(text, "lost: {} events", thousands(lost));
    }
    derived(manifest, &mut text);
    let _ = writeln!(text, "written by {}", manifest.generator);
    sink::all(out, text.as_bytes())
}

/// What was made of the recordings, and which policies were in force.
fn derived(manifest: &Manifest, text: &mut String) {
    let time = |at: i64| jiff::Timestamp::from_nanosecond(at.into()).unwrap_or_default();
    for policies in &manifest.policies {
        let since = match policies.since {
            Some(since) => format!("{:.3}", time(since)),
            None => "the beginning".to_owned(),
        };
        let _ = writeln!(text, "policies since {since}: {}", policies.path());
    }
    if !manifest.options.is_empty() {
        let _ = writeln!(text, "judged under: {}", manifest.options.join(", "));
    }
    let hours = manifest.hours().len() as u64;
    let stale = stale_hours(manifest);
    let bytes = manifest.rollups.iter().map(|rollup| rollup.bytes).sum();
    if manifest.rollups.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "rollups: {} of {} {}, {}",
        thousands(hours - stale.len() as u64),
        thousands(hours),
        if hours == 1 { "hour" } else { "hours" },
        size_text(bytes)
    );
    if let Some(&first) = stale.first() {
        let _ = write!(
            text,
            "; that of {} {}",
            time(first),
            staleness(manifest, first).reason()
        );
        if stale.len() > 1 {
            let _ = write!(text, ", and {} more", thousands(stale.len() as u64 - 1));
        }
    }
    text.push('\n');
}

fn verified(
    args: &FolderArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let archive = Archive::open(&args.folder).map_err(CommandError::failed)?;
    let mut rows = 0;
    let bad = verify(&archive, |file| rows += file.rows);
    for file in &bad {
        say(err, &format!("{} {}", file.path, file.problem));
    }
    let files = archive.manifest().files.len() as u64;
    if bad.is_empty() {
        let text = format!(
            "{} {} with {} flows are whole\n",
            thousands(files),
            if files == 1 { "file" } else { "files" },
            thousands(rows)
        );
        return sink::all(out, text.as_bytes());
    }
    Err(CommandError::Found)
}
