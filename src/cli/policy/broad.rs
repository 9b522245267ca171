//! `flowwatch policy broad`: rules that allow far more than was observed.
//!
//! Owns the arguments, and when the command fails. What is broad is `review::broad`'s, the
//! forms `render::broad`'s.

use std::io::Write;

use clap::{Args, ValueEnum};

use super::usage::{Form, Read, UsageArgs};
use crate::cli::error::CommandError;
use crate::cli::signal::Interrupt;
use crate::cli::sink;
use crate::policy::BroadThresholds;
use crate::render::broad as forms;
use crate::render::thousands;
use crate::review::broad::Broad;

/// Arguments of `policy broad`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BroadArgs {
    #[command(flatten)]
    usage: UsageArgs,
    /// Exit with 1 on any of: gap (a rule that names neither whom nor what), broad (any), only (a connection that passes only by a broad rule)
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
}

const EXAMPLES: &str = "\
Broad are: no peer, `{}`, the entities all, world and cluster, prefixes of /8 (IPv6: /32) or
shorter, no port, ranges of 1,024 ports or more, a star in a name, HTTP rules for any path.
Shown is how much of it was used, and which connections pass only by it.

Examples:
  What to narrow first:
    flowwatch policy broad policies/ --flows flows/
  Only what passed into one namespace:
    flowwatch policy broad policies/ --flows flows/ --to-namespace payments
  As a check that nothing names neither whom nor what:
    flowwatch policy broad policies/ --flows flows/ --fail-on gap";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Gap,
    Broad,
    Only,
}

impl BroadArgs {
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
            limits,
            ..
        } = self.usage.read(err, interrupt)?;
        let broad = Broad::of(usage, &policies, BroadThresholds::default(), limits);
        let failing = failing(&self.fail_on, &broad);
        let shown = &self.usage.shown;
        let options = shown.options(failing.clone());
        let text = match shown.output {
            Form::Terminal => forms::terminal(&broad, &options),
            Form::Markdown => forms::markdown(&broad, &options),
            Form::Json => sink::pretty(&forms::json(&broad, &options))?,
            Form::Sarif => sink::pretty(&forms::sarif(&broad))?,
        };
        shown.deliver(out, &text)?;
        sink::check(&failing, err)
    }
}

fn failing(kinds: &[FailOn], broad: &Broad) -> Vec<String> {
    let mut found = Vec::new();
    for kind in kinds {
        let (count, what) = match kind {
            FailOn::Gap => {
                let gaps = broad.rules.iter().filter(|rule| rule.gap).count();
                (gaps as u64, "that name neither whom nor what")
            }
            FailOn::Broad => (broad.rules.len() as u64, "broad"),
            FailOn::Only => {
                let only = broad.rules.iter().map(|rule| rule.only).sum();
                (only, "connections only by broad rules")
            }
        };
        if count > 0 {
            found.push(format!("{} {what}", thousands(count)));
        }
    }
    found
}
