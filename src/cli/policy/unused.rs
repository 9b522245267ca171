//! `flowwatch policy unused`: rules, and parts of rules, that nothing recorded needed.
//!
//! Owns the arguments, and when the command fails. What may be called unused is
//! `review::unused`'s, the forms `render::unused`'s.

use std::io::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::usage::{Form, Read, UsageArgs};
use crate::cli::error::CommandError;
use crate::cli::record::age;
use crate::cli::signal::Interrupt;
use crate::cli::sink;
use crate::render::thousands;
use crate::render::unused as forms;
use crate::review::unused::Unused;

/// Arguments of `policy unused`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct UnusedArgs {
    #[command(flatten)]
    usage: UsageArgs,
    /// How long recordings must be, from the first flow to the last, before anything is claimed
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = age)]
    min_window: Duration,
    /// Exit with 1 on any of: unused (allow rules and parts), unused-deny, not-shown
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
}

const EXAMPLES: &str = "\
A rule is unused if no connection passed, or would have, because of it. Everything that is
named is taken away at once and every connection asked about again: none is newly denied.
Where something may be needed by what was not seen or could not be judged, nothing is claimed,
nor by recordings of less than a minute. The report says what the window would have shown:
a day says nothing of a weekly job.

Examples:
  A quarter of archived flows, with the CronJobs of the cluster beside the policies:
    flowwatch policy unused kubernetes/ --flows archive/ --since 90d
  Recordings with small holes, accepting 0.5 percent of unseen time:
    flowwatch policy unused policies/ --flows flows/ --min-seen 99.5
  Claiming nothing before two weeks have been seen:
    flowwatch policy unused policies/ --flows flows/ --min-window 14d
  For a review, as Markdown:
    flowwatch policy unused policies/ --flows flows/ -o markdown --out unused.md
  As a check that nothing dead is left:
    flowwatch policy unused policies/ --flows flows/ --fail-on unused";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Unused,
    UnusedDeny,
    NotShown,
}

impl UnusedArgs {
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
        let Read {
            usage,
            policies,
            mut limits,
            jobs,
        } = self.usage.read(err, interrupt)?;
        limits.least_window = i64::try_from(self.min_window.as_nanos()).unwrap_or(i64::MAX);
        let unused = Unused::of(usage, &policies, limits, jobs);
        let failing = failing(&self.fail_on, &unused);
        let shown = &self.usage.shown;
        let options = shown.options(failing.clone());
        let text = match shown.output {
            Form::Terminal => forms::terminal(&unused, &options),
            Form::Markdown => forms::markdown(&unused, &options),
            Form::Json => sink::pretty(&forms::json(&unused, &options))?,
            Form::Sarif => sink::pretty(&forms::sarif(&unused))?,
        };
        shown.deliver(out, &text)?;
        if unused.replay.denied > 0 {
            return Err(CommandError::failed(
                "the replay without what is named denies connections: this is a defect, delete nothing",
            ));
        }
        sink::check(&failing, err)
    }
}

fn failing(kinds: &[FailOn], unused: &Unused) -> Vec<String> {
    let mut found = Vec::new();
    let named = |deny: bool| {
        unused
            .rules
            .iter()
            .filter(|rule| rule.rule.deny == deny)
            .map(|rule| u64::from(rule.standing.is_named()) + rule.named_parts().count() as u64)
            .sum::<u64>()
    };
    for kind in kinds {
        let (count, what) = match kind {
            FailOn::Unused => (named(false), "unused"),
            FailOn::UnusedDeny => (named(true), "unused of denies"),
            FailOn::NotShown => {
                let (rules, parts) = unused.not_shown();
                (rules + parts, "not shown")
            }
        };
        if count > 0 {
            found.push(format!("{} {what}", thousands(count)));
        }
    }
    let asks = kinds.iter().any(|kind| *kind != FailOn::NotShown);
    let is_silent = unused.not_shown() != (0, 0);
    if asks && !unused.withdrawn.is_empty() && is_silent {
        let why = if unused.is_only_short() {
            "the recording is too short"
        } else {
            "not all was seen"
        };
        found.push(format!("undecided: {why}"));
    }
    found
}
