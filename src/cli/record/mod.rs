//! `flowwatch record`: flows into an archive, from recordings or live.
//!
//! Owns the arguments and what they mean. Converting is `files`', recording `live`'s;
//! what is written and when is the room `archive`'s.

mod clock;
mod files;
mod live;
mod outage;
mod receive;
mod rolling;
mod summary;

pub(super) use receive::{Received, Receiving, Waited};
pub(super) use summary::{of as files_summary, size as size_text};

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::rolling::{InForce, Rolling};
use super::connection::ConnectionArgs;
use super::error::{CommandError, UsageError};
use super::policy_args::PolicyArgs;
use super::policy_source::say_remarks;
use super::signal::Interrupt;
use crate::archive::{Keep, Pace, SEAL_BYTES, WRITE_EVERY, WriterOptions};
use crate::source::file::Input;

/// Arguments of `record`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RecordArgs {
    /// Recordings to convert: files, directories, archives, - for standard input. Without any, flows are recorded live
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// The same, by Hubble's name
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    input_file: Vec<PathBuf>,
    /// Folder of the archive; made where there is none
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    archive: PathBuf,
    /// Keep the uuid of each flow: 16 bytes more
    #[arg(long)]
    uuid: bool,
    /// Delete hours that ended longer ago than this, such as 30d
    #[arg(long, value_name = "DURATION", value_parser = age)]
    keep: Option<Duration>,
    /// Delete the oldest hours while the archive is larger than this, such as 50GB
    #[arg(long, value_name = "BYTES", value_parser = size)]
    keep_bytes: Option<u64>,
    /// How long flows wait to be written to the journal; for tests
    #[arg(long, value_name = "DURATION", value_parser = age, hide = true)]
    write_every: Option<Duration>,
    /// Bytes of the journal at which it becomes Parquet; for tests
    #[arg(long, value_name = "BYTES", value_parser = size, hide = true)]
    seal_bytes: Option<u64>,
    /// The clock runs so many times as fast, and is right at a time; for tests
    #[arg(long, value_name = "TIMES@TIME", value_parser = clock::Pace::parse, hide = true)]
    clock: Option<clock::Pace>,
    /// Do not sum up the connections of each hour; `flowwatch archive rollup` does it later
    #[arg(long)]
    no_rollup: bool,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    policies: PolicyArgs,
}

const EXAMPLES: &str = "\
Examples:
  What an exporter wrote, in a hundredth of the space:
    flowwatch record --archive flows/ /var/run/cilium/hubble
    flowwatch tail flows/ --since 2026-06-16T14:00:00Z --until 2026-06-16T15:00:00Z
  Live, a month of it, from a relay behind a port-forward:
    kubectl -n kube-system port-forward service/hubble-relay 4245:80 &
    flowwatch record --archive flows/ --keep 30d --keep-bytes 50GB
  With the policies in force, by which the sums of each hour are judged:
    flowwatch record --archive flows/ --server localhost:4245 --policies policies/";

impl RecordArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(
        &self,
        err: &mut dyn Write,
        interrupt: &Interrupt,
    ) -> Result<(), CommandError> {
        let options = WriterOptions {
            with_uuid: self.uuid,
        };
        let keep = Keep {
            age: self.keep,
            bytes: self.keep_bytes,
        };
        let rolling = Rolling {
            agent: self.policies.agent().clone(),
            off: self.no_rollup,
        };
        let paths: Vec<PathBuf> = self.files.iter().chain(&self.input_file).cloned().collect();
        if paths.is_empty() {
            let servers = self
                .connection
                .plan()
                .map_err(|error| UsageError::new(error.to_string()))?;
            let plan = live::Plan {
                folder: self.archive.clone(),
                servers,
                options,
                keep,
                pace: Pace {
                    write_every: self.write_every.unwrap_or(WRITE_EVERY),
                    seal_bytes: self.seal_bytes.unwrap_or(SEAL_BYTES),
                },
                quiet: self.quiet,
                rolling,
                policies: self.read_policies(true, err)?,
                clock: self.clock.unwrap_or_default(),
            };
            return live::run(plan, err, interrupt);
        }
        let inputs = crate::cli::fold::open_named(&paths)?;
        let own = self.archive.canonicalize().ok();
        for input in &inputs {
            if let Input::Archive(path) = input
                && own.is_some()
                && path.canonicalize().ok() == own
            {
                return Err(UsageError::new("an archive cannot be recorded into itself").into());
            }
        }
        let plan = files::Plan {
            folder: self.archive.clone(),
            inputs,
            options,
            keep,
            quiet: self.quiet,
            rolling,
            policies: self.read_policies(false, err)?,
        };
        files::run(&plan, err, interrupt)
    }

    /// The policies that are in force, read before anything is recorded.
    fn read_policies(
        &self,
        follows: bool,
        err: &mut dyn Write,
    ) -> Result<Option<InForce>, CommandError> {
        let Some(source) = self.policies.source()? else {
            return Ok(None);
        };
        let (in_force, remarks) = InForce::read(source.recording(), follows)?;
        if !self.quiet {
            say_remarks(&remarks, err);
        }
        Ok(Some(in_force))
    }
}

/// A duration in days (`30d`), hours and so on.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration such as 30d or 12h");
    let days = text.strip_suffix('d').map(|days| {
        let days: u64 = days.parse().ok()?;
        days.checked_mul(86_400).map(Duration::from_secs)
    });
    if let Some(days) = days {
        return days.ok_or_else(wrong);
    }
    let nanoseconds = crate::filter::parse_go_duration(text).ok_or_else(wrong)?;
    let nanoseconds = u64::try_from(nanoseconds).map_err(|_| wrong())?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// Bytes, with a unit of a thousand (`50GB`) or of 1024 (`50GiB`).
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size such as 50GB");
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" | "k" | "K" => 1_000,
        "MB" | "M" => 1_000_000,
        "GB" | "G" => 1_000_000_000,
        "TB" | "T" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_read() {
        assert_eq!(age("30d"), Ok(Duration::from_hours(720)));
        assert_eq!(age("1h30m"), Ok(Duration::from_mins(90)));
        assert!(age("d").is_err() && age("-1h").is_err() && age("soon").is_err());
        assert_eq!(size("50GB"), Ok(50_000_000_000));
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("7"), Ok(7));
        assert!(size("GB").is_err() && size("1XB").is_err() && size("99999999999TB").is_err());
    }
}
