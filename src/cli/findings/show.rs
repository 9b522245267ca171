//! `flowwatch findings show`: an incident or a finding in full.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Meant, SuppressionArgs, meant, read};
use crate::cli::error::CommandError;
use crate::cli::format::Color;
use crate::cli::sink;
use crate::cli::time_arg;
use crate::finding::{Findings, Line};
use crate::render::findings::{finding_text, incident_markdown, incident_text};

/// Arguments of `findings show`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShowArgs {
    /// Findings file, - for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Ids of incidents or findings, or enough of their beginning; the worst incident without one
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Form,
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
Examples:
  The worst incident:
    flowwatch findings show findings.jsonl
  One for its ticket:
    flowwatch findings show findings.jsonl 5c1b -o markdown";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    /// A finding or an incident a line, as in the file
    Json,
    #[value(alias = "md")]
    Markdown,
}

impl ShowArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        let suppressions = self.suppressions.load(time_arg::now(), self.quiet, err)?;
        let mut all = read(&self.file)?;
        all.suppress(&suppressions);
        let mut shown = Vec::new();
        for id in &self.ids {
            shown.push(meant(&all, id)?);
        }
        if self.ids.is_empty() {
            let Some(worst) = all.incidents().into_iter().next() else {
                return sink::all(out, b"No incident.\n");
            };
            shown.push(Meant::Incident(worst));
        }
        let parts: Vec<String> = shown
            .iter()
            .map(|one| self.one(one, &all))
            .collect::<Result<_, _>>()?;
        let between = if self.output == Form::Json { "" } else { "\n" };
        sink::all(out, parts.join(between).as_bytes())
    }

    fn one(&self, shown: &Meant<'_>, all: &Findings) -> Result<String, CommandError> {
        let (color, width) = (self.color.wanted(), crate::cli::analyze::width());
        let json = |line: Line| {
            let text = serde_json::to_string(&line).map_err(CommandError::failed)?;
            Ok(format!("{text}\n"))
        };
        match (shown, self.output) {
            (Meant::Incident(incident), Form::Text) => {
                Ok(incident_text(incident, all, color, width))
            }
            (Meant::Incident(incident), Form::Markdown) => Ok(incident_markdown(incident, all)),
            (Meant::Incident(incident), Form::Json) => {
                let findings = all
                    .of(incident)
                    .map(|one| Line::Finding(Box::new(one.clone())));
                let lines = findings.chain([Line::Incident(Box::new((*incident).clone()))]);
                lines.map(json).collect()
            }
            (Meant::Finding(findings), Form::Json) => findings
                .iter()
                .map(|one| json(Line::Finding(Box::new((*one).clone()))))
                .collect(),
            // A finding has no page of its own: its incident has.
            (Meant::Finding(findings), Form::Markdown) => Ok(findings
                .iter()
                .filter_map(|one| all.incident(&one.incident))
                .map(|incident| incident_markdown(incident, all))
                .collect::<Vec<_>>()
                .join("\n")),
            (Meant::Finding(findings), Form::Text) => {
                let texts: Vec<String> = findings
                    .iter()
                    .map(|one| finding_text(one, color, width))
                    .collect();
                Ok(texts.join("\n"))
            }
        }
    }
}
