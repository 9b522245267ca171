//! `flowwatch findings ack`: findings that are known and meant.
//!
//! Owns the arguments and writing the file: beside it first, then in its place, so that a
//! file that people keep is never half written.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::ToSpan;

use super::{Meant, meant, read};
use crate::cli::error::{CommandError, UsageError};
use crate::cli::sink;
use crate::finding::{FILE_NAME, Finding, acknowledge};

/// Arguments of `findings ack`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AckArgs {
    /// Findings file, - for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Ids of findings, or of incidents for all their findings; enough of their beginning will do
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Why it is meant
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Until when: a day (whole), an RFC 3339 time, or so many days from now (90d) [default: for ever]
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// The suppression file; made where it does not exist
    #[arg(long, value_name = "FILE", default_value = FILE_NAME, value_hint = clap::ValueHint::FilePath)]
    suppressions: PathBuf,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
The entry names the findings, so that nothing else is covered. What else an entry can say
(kinds, workloads, windows of time): docs/findings.md. Comments of the file stay.

Examples:
  One finding, until the year's end:
    flowwatch findings ack findings.jsonl 5c1b --reason 'the nightly export, OPS-12' --expires 2026-12-31
  All findings of an incident, for a month:
    flowwatch findings ack findings.jsonl 91d3 --reason 'penetration test' --expires 30d";

impl AckArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(&self, err: &mut dyn Write) -> Result<(), CommandError> {
        if self.reason.trim().is_empty() {
            return Err(UsageError::new("--reason must say something").into());
        }
        let expires = self.expires.as_deref().map(expires).transpose()?;
        let all = read(&self.file)?;
        let mut findings: Vec<&Finding> = Vec::new();
        for id in &self.ids {
            match meant(&all, id)? {
                Meant::Incident(incident) => findings.extend(all.of(incident)),
                Meant::Finding(found) => findings.extend(found),
            }
        }
        let file = self.suppressions.display().to_string();
        let text = match fs::read_to_string(&self.suppressions) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(CommandError::failed(format!("{file}: {error}"))),
        };
        let done = acknowledge(&text, &file, &findings, &self.reason, expires.as_deref())
            .map_err(CommandError::failed)?;
        if done.covered > 0 {
            replace(&self.suppressions, &done.text)
                .map_err(|error| CommandError::failed(format!("write {file}: {error}")))?;
        }
        if !self.quiet {
            let word = if done.covered == 1 {
                "finding"
            } else {
                "findings"
            };
            let sentence = match done.covered {
                0 => format!("{file} covers this already"),
                count => format!("{file}: {count} {word} suppressed"),
            };
            sink::say(err, &sentence);
        }
        Ok(())
    }
}

/// `90d` from now as a day; anything else as it is.
fn expires(typed: &str) -> Result<String, UsageError> {
    let Some(days) = typed
        .strip_suffix('d')
        .and_then(|days| days.parse::<i32>().ok())
    else {
        return Ok(typed.to_owned());
    };
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let end = (0..=36_500)
        .contains(&days)
        .then(|| today.checked_add(days.days()).ok())
        .flatten();
    end.map(|day| day.to_string())
        .ok_or_else(|| UsageError::new(format!("--expires {typed}: 0d to 36500d")))
}

/// Writes a file beside its place and moves it there.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    // A new file has the rights that any new file has; one that is there keeps its own.
    let rights = match fs::metadata(path) {
        Ok(known) => known.permissions(),
        Err(_) => new_file_rights(folder)?,
    };
    fs::set_permissions(file.path(), rights)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The rights of a file that is newly made in a folder: temporary ones are for their owner
/// alone.
fn new_file_rights(folder: &Path) -> std::io::Result<fs::Permissions> {
    let probe = tempfile::Builder::new()
        .prefix(".flowwatch-")
        .make_in(folder, |path| fs::File::create_new(path))?;
    Ok(fs::metadata(probe.path())?.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_from_now_become_a_day() {
        assert_eq!(expires("2026-12-31").unwrap(), "2026-12-31");
        assert_eq!(expires("30d").unwrap().len(), 10);
        assert!(expires("-1d").is_err());
        assert!(expires("99999999d").is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_rights() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.yaml");
        replace(&path, "one").unwrap();
        let rights = fs::metadata(&path).unwrap().permissions();
        replace(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions(), rights);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
