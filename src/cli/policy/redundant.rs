//! `flowwatch policy redundant`: rules, and parts of rules, that change nothing.
//!
//! Owns the arguments, and when the command fails. What is proven is `review::redundant`'s,
//! the forms `render::redundant`'s.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::usage::{Form, ShownArgs, load};
use crate::cli::error::CommandError;
use crate::cli::policy_args::AgentArgs;
use crate::cli::sink;
use crate::render::redundant as forms;
use crate::render::thousands;
use crate::review::redundant::{Redundant, Why};

/// Arguments of `policy redundant`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RedundantArgs {
    /// Manifests: files, directories, - for standard input. What is no policy shows the cluster
    #[arg(required = true, value_name = "POLICIES", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Exit with 1 on any of: contradictory, duplicate, shadowed
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    #[command(flatten)]
    shown: ShownArgs,
    #[command(flatten)]
    agent: AgentArgs,
}

const EXAMPLES: &str = "\
Needs no flows: what is named changes no verdict for anybody there could be, and all of it can
go together. Of what is not named nothing is claimed.

Examples:
  What could go from a repository:
    flowwatch policy redundant policies/
  With what runs, so that the second opinion asks about it too:
    flowwatch policy redundant kubernetes/
  As a check that no allow is under a deny:
    flowwatch policy redundant policies/ --fail-on contradictory -o sarif --out redundant.sarif";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Contradictory,
    Duplicate,
    Shadowed,
}

impl RedundantArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        let (policies, _) = load(&self.paths, &self.agent, self.shown.quiet, err)?;
        let redundant = Redundant::of(&policies);
        let failing = failing(&self.fail_on, &redundant);
        let options = self.shown.options(failing.clone());
        let text = match self.shown.output {
            Form::Terminal => forms::terminal(&redundant, &options),
            Form::Markdown => forms::markdown(&redundant, &options),
            Form::Json => sink::pretty(&forms::json(&redundant, &options))?,
            Form::Sarif => sink::pretty(&forms::sarif(&redundant))?,
        };
        self.shown.deliver(out, &text)?;
        sink::check(&failing, err)
    }
}

fn failing(kinds: &[FailOn], redundant: &Redundant) -> Vec<String> {
    let mut found = Vec::new();
    for kind in kinds {
        let why = match kind {
            FailOn::Contradictory => Why::Contradictory,
            FailOn::Duplicate => Why::Duplicate,
            FailOn::Shadowed => Why::Shadowed,
        };
        let count = redundant.count(why);
        if count > 0 {
            found.push(format!("{} {}", thousands(count), why.name()));
        }
    }
    found
}
