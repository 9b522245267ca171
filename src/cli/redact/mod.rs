//! `flowwatch redact`: recordings and policies to share, under one key.
//!
//! Owns what is read and written, and what is said about it. What becomes of a text is
//! `redact`'s.

mod flows;
mod key;

use std::fs::{self, File};
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use self::flows::Written;
use super::error::{CommandError, UsageError};
use super::progress;
use super::signal::Interrupt;
use super::sink::say;
use crate::manifest::{self, LoadOptions};
use crate::redact::{Key, Kind, Mapper, Tally, redact_objects};
use crate::render::thousands;
use crate::source::file::Input;

const EXAMPLES: &str = "\
Examples:
  flowwatch redact flows.jsonl --new-key --key-file redact.key --out shared.jsonl
  flowwatch redact flows/ --key-file redact.key --out shared.jsonl --policies k8s/ --policies-out shared/
  FLOWWATCH_REDACT_KEY=... flowwatch redact flows.jsonl --shift-time=-90d --out -";

/// What is left as it was.
const STAYS: &str = "not replaced: ports, protocols, verdicts, numbers of identities and endpoints, methods and codes of HTTP, the shape of names and addresses, who talks to whom and how much";
/// Objects in one file.
const OBJECTS: usize = 1000;

/// Arguments of `redact`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct RedactArgs {
    /// Recordings: files, directories, - for standard input
    #[arg(value_name = "FILE", required_unless_present = "policies", value_hint = clap::ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Write the flows here as JSON lines, - for standard output
    #[arg(long, value_name = "FILE", required_unless_present = "policies", requires = "files", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// File of the key [default: the variable FLOWWATCH_REDACT_KEY]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    /// Make a new key in --key-file, which must not be there yet
    #[arg(long, requires = "key_file")]
    new_key: bool,
    /// Policies and other manifests of the same cluster (repeatable)
    #[arg(long, value_name = "PATH", requires = "policies_out", value_hint = clap::ValueHint::AnyPath)]
    policies: Vec<PathBuf>,
    /// Write the policies into this directory, which must be empty or not there yet
    #[arg(long, value_name = "DIR", requires = "policies", value_hint = clap::ValueHint::DirPath)]
    policies_out: Option<PathBuf>,
    /// Move all times: 90d later, -90d earlier; also h, m and s
    #[arg(long, value_name = "DURATION", value_parser = shift, allow_hyphen_values = true, default_value = "0s", hide_default_value = true)]
    shift_time: i64,
    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

impl RedactArgs {
    /// Rewrites what was given.
    ///
    /// # Errors
    /// [`CommandError`] without a key, and for what cannot be read or written.
    pub(super) fn run(
        self,
        out: &mut dyn Write,
        err: &mut dyn Write,
        interrupt: &Interrupt,
    ) -> Result<(), CommandError> {
        let sources = crate::cli::fold::open_named(&self.files)?;
        if !self.files.is_empty() && self.out.is_none() {
            return Err(UsageError::new("--out says where the flows go").into());
        }
        self.check_outputs(&sources)?;
        let key = key::key(self.key_file.as_deref(), self.new_key)?;
        let open = self
            .key_file
            .as_deref()
            .filter(|path| key::is_open_to_others(path));
        if let Some(path) = open {
            say(
                err,
                &format!("{}: others than its owner can read the key", path.display()),
            );
        }
        let mut tally = Tally::default();
        if let Some(folder) = &self.policies_out {
            self.policies(folder, &key, &mut tally, err)?;
        }
        if !sources.is_empty() {
            let written = self.flows(&sources, &key, out, interrupt)?;
            if written.closed {
                return Ok(());
            }
            tally.merge(&written.tally);
            if !self.quiet {
                report(&sources, &written, err);
            }
        }
        if !self.quiet {
            let parts: Vec<String> = tally
                .iter()
                .map(|(kind, count)| format!("{kind} {}", thousands(count)))
                .collect();
            say(err, &format!("replaced: {}", parts.join(", ")));
            let times = if self.shift_time == 0 { ", times" } else { "" };
            say(err, &format!("{STAYS}{times}"));
        }
        Ok(())
    }

    /// No output may be one of the inputs, and a directory of policies holds nothing else.
    fn check_outputs(&self, sources: &[Input]) -> Result<(), CommandError> {
        if let Some(out) = self.out.as_deref().filter(|path| path.as_os_str() != "-") {
            let target = fs::canonicalize(out).ok();
            let read = |input: &Input| fs::canonicalize(input.name()).ok();
            if target.is_some() && sources.iter().any(|input| read(input) == target) {
                return Err(
                    UsageError::new(format!("{} is read and written", out.display())).into(),
                );
            }
        }
        if let Some(folder) = &self.policies_out
            && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
        {
            return Err(UsageError::new(format!("{} is not empty", folder.display())).into());
        }
        Ok(())
    }

    fn flows(
        &self,
        sources: &[Input],
        key: &Key,
        out: &mut dyn Write,
        interrupt: &Interrupt,
    ) -> Result<Written, CommandError> {
        let progress = self.progress(sources);
        let written = match self.out.as_deref() {
            Some(path) if path.as_os_str() != "-" => {
                let file = File::create(path).map_err(|error| failed(path, &error))?;
                let mut file = BufWriter::new(file);
                let written = flows::rewrite(
                    sources,
                    key,
                    self.shift_time,
                    &mut file,
                    &progress,
                    interrupt,
                );
                file.flush().map_err(|error| failed(path, &error))?;
                written
            }
            _ => {
                let written =
                    flows::rewrite(sources, key, self.shift_time, out, &progress, interrupt);
                super::sink::all(out, b"")?;
                written
            }
        };
        progress.finish_and_clear();
        written
    }

    fn policies(
        &self,
        folder: &Path,
        key: &Key,
        tally: &mut Tally,
        err: &mut dyn Write,
    ) -> Result<(), CommandError> {
        let loaded = manifest::load(&self.policies, &LoadOptions::default());
        for error in &loaded.errors {
            say(err, &format!("flowwatch: {error}"));
        }
        let mut mapper = Mapper::new(key.clone());
        let redacted = redact_objects(&mut mapper, &loaded, self.shift_time);
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        for (at, objects) in redacted.documents.chunks(OBJECTS).enumerate() {
            let path = folder.join(format!("redacted-{:03}.yaml", at + 1));
            fs::write(&path, objects.concat()).map_err(|error| failed(&path, &error))?;
        }
        tally.merge(&mapper.tally);
        if self.quiet {
            return Ok(());
        }
        let count = |number: usize| thousands(number as u64);
        say(
            err,
            &format!(
                "{} policies and {} other objects",
                count(redacted.policies),
                count(redacted.documents.len() - redacted.policies - redacted.unread)
            ),
        );
        for (number, what) in [
            (
                redacted.left_out as u64,
                "objects of kinds that no verdict depends on were left out",
            ),
            (
                redacted.fields,
                "unknown fields, descriptions and the like were left out",
            ),
            (
                redacted.unread as u64,
                "objects stand for what could not be read: verdicts that it may change stay unknown",
            ),
            (
                mapper.tally.count(Kind::Pattern),
                "patterns were replaced by marks: verdicts that hang on one are unknown(redacted)",
            ),
        ] {
            if number > 0 {
                say(err, &format!("{} {what}", thousands(number)));
            }
        }
        Ok(())
    }

    /// A bar on a terminal, when the flows themselves go elsewhere.
    fn progress(&self, sources: &[Input]) -> ProgressBar {
        let to_file = self
            .out
            .as_deref()
            .is_some_and(|path| path.as_os_str() != "-");
        let elsewhere = to_file || !std::io::stdout().is_terminal();
        progress::bar(sources, !self.quiet && elsewhere)
    }
}

fn report(sources: &[Input], written: &Written, err: &mut dyn Write) {
    for (input, (_, skips)) in sources.iter().zip(&written.skips) {
        for line in skips.describe(&input.name()) {
            say(err, &format!("left out {line}"));
        }
    }
    if written.unwritten > 0 {
        let count = thousands(written.unwritten);
        say(
            err,
            &format!("left out {count} records that cannot be written"),
        );
    }
    if let Some(field) = &written.unknown_field {
        let count = thousands(written.unknown_fields);
        say(
            err,
            &format!("left out {count} fields that are not known, such as {field:?}"),
        );
    }
    if written.unknown_words > 0 {
        let count = thousands(written.unknown_words);
        say(err, &format!("left out {count} values of a newer version"));
    }
    say(err, &format!("{} records", thousands(written.lines)));
}

fn failed(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::failed(format!("write {}: {error}", path.display()))
}

/// Nanoseconds of `90d`, `-36h`, `5m`, `10s`.
fn shift(text: &str) -> Result<i64, String> {
    let expected = || format!("'{text}' is no duration such as 90d, -36h, 5m or 10s");
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let unit = rest.chars().last().ok_or_else(expected)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let number = &rest[..rest.len() - 1];
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(expected());
    }
    number
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(sign * seconds * 1_000_000_000))
        .ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_move_both_ways() {
        assert_eq!(shift("-36h"), Ok(-129_600_000_000_000));
        assert_eq!(shift("10s"), Ok(10_000_000_000));
        for text in ["", "-", "d", "1.5h", "--1h", "9999999999d", "5\u{e4}"] {
            assert!(shift(text).is_err(), "{text}");
        }
    }
}
