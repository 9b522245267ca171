//! `flowwatch archive`: what is in an archive, whether it is whole, and making it
//! smaller.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::error::CommandError;
use super::record::{age, files_summary, size, size_text};
use super::sink::{self, say};
use crate::archive::{Keep, Store, compact, retain, verify};
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
    /// Delete old hours
    Prune(PruneArgs),
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
    let _ = writeln!(text, "written by {}", manifest.generator);
    sink::all(out, text.as_bytes())
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
