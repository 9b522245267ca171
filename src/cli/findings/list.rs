//! `flowwatch findings list`: incidents of a file, the worst first.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{SuppressionArgs, read};
use crate::cli::error::{CommandError, UsageError};
use crate::cli::format::Color;
use crate::cli::sink;
use crate::cli::time_arg;
use crate::finding::{Findings, KINDS, KindInfo, Severity};
use crate::render::findings::{lines, sarif};
use crate::render::report::{FindingsShown, Options, Paths, findings_markdown, findings_terminal};
use crate::render::thousands;

/// Arguments of `findings list`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ListArgs {
    /// Findings file, - for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Only incidents of this severity or worse: low, medium, high, critical
    #[arg(long, value_name = "SEVERITY", default_value = "medium", value_parser = |text: &str| text.parse::<Severity>())]
    min_severity: Severity,
    /// Only incidents with a finding of one of these kinds or detectors, such as beacon or D9
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    kind: Vec<String>,
    /// Only what went on after a time: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only what began before a time, as --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Show what is known and meant, too
    #[arg(long)]
    suppressed: bool,
    /// Exit with 1 when people were told of an incident of this severity or worse, of those listed
    #[arg(long, value_name = "SEVERITY", value_parser = |text: &str| text.parse::<Severity>())]
    fail_on: Option<Severity>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Form,
    /// File to write to instead of standard output
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Rows shown of each table
    #[arg(long, value_name = "N", default_value_t = 25)]
    top: usize,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    suppressions: SuppressionArgs,
}

const EXAMPLES: &str = "\
Incidents over the day's alert budget are listed apart: nobody was told of them.

Examples:
  What is worth looking at:
    flowwatch findings list findings.jsonl
  All of it, in the form of the file:
    flowwatch findings list findings.jsonl --min-severity low --suppressed -o json
  For a code scanning page, at the rules that let it pass:
    flowwatch findings list findings.jsonl -o sarif > findings.sarif
  In a pipeline:
    flowwatch findings list findings.jsonl --since 24h --fail-on high -q";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    /// A finding or an incident a line, as in the file
    Json,
    Sarif,
    #[value(alias = "md")]
    Markdown,
}

/// What is asked for.
struct Question {
    kinds: Vec<&'static KindInfo>,
    since: Option<i64>,
    until: Option<i64>,
}

impl ListArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        let now = time_arg::now();
        let question = self.question(now)?;
        let suppressions = self.suppressions.load(now, self.quiet, err)?;
        let mut all = read(&self.file)?;
        all.suppress(&suppressions);
        all.retain(|incident, findings| {
            incident.severity >= self.min_severity
                && question.since.is_none_or(|since| incident.last >= since)
                && question.until.is_none_or(|until| incident.first <= until)
                && (question.kinds.is_empty()
                    || findings
                        .iter()
                        .any(|finding| question.kinds.iter().any(|kind| kind.name == finding.kind)))
        });
        let text = self.text(&all)?;
        sink::deliver(out, self.out.as_deref(), &text)?;
        self.check(&all, err)
    }

    /// What the arguments mean, all conflicts found.
    fn question(&self, now: i64) -> Result<Question, UsageError> {
        let kinds = self.kind.iter().map(|typed| {
            KindInfo::of(typed).ok_or_else(|| {
                let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
                UsageError::new(format!(
                    "--kind takes the kind or the detector of a finding, not '{typed}': {}",
                    names.join(", ")
                ))
            })
        });
        Ok(Question {
            kinds: kinds.collect::<Result<_, _>>()?,
            since: time_arg::bound("since", self.since.as_deref(), now)?,
            until: time_arg::bound("until", self.until.as_deref(), now)?,
        })
    }

    fn text(&self, all: &Findings) -> Result<String, CommandError> {
        let file = self.file.display().to_string();
        let options = Options {
            width: crate::cli::analyze::width(),
            color: self.out.is_none() && self.color.wanted(),
            top: self.top,
            paths: Paths::default(),
        };
        let shown = FindingsShown {
            quiet: true,
            suppressed: self.suppressed,
        };
        Ok(match self.output {
            Form::Table => findings_terminal(all, shown, &file, &options),
            Form::Markdown => findings_markdown(all, shown, &file, &options),
            Form::Json => lines(all).map_err(CommandError::failed)?,
            Form::Sarif => sink::pretty(&sarif(all, &file))?,
        })
    }

    fn check(&self, all: &Findings, err: &mut dyn Write) -> Result<(), CommandError> {
        let Some(severity) = self.fail_on else {
            return Ok(());
        };
        let counts = all.raised();
        let count: usize = counts[severity as usize..].iter().sum();
        if count == 0 {
            return Ok(());
        }
        let word = if count == 1 { "incident" } else { "incidents" };
        sink::say(
            err,
            &format!(
                "failing on {} {word} of {severity} or worse",
                thousands(count as u64)
            ),
        );
        Err(CommandError::Found)
    }
}
