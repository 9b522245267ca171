//! `flowwatch policy ...`: policies by themselves.
//!
//! Owns the commands' names; each is a file of its own.

mod assert;
mod broad;
mod coverage;
mod learning;
mod lint;
mod making;
mod narrowing;
mod redundant;
mod suggest;
mod tighten;
mod unused;
mod usage;

use std::io::Write;

use clap::{Args, Subcommand};

use super::error::CommandError;
use super::signal::Interrupt;
pub(in crate::cli) use learning::Learning;
pub(in crate::cli) use making::Making;
pub(in crate::cli) use narrowing::tighten;

/// Arguments of `policy`.
#[derive(Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Find what is accepted and does not do what it seems, and what is not accepted
    Lint(lint::LintArgs),
    /// Check declarations such as "nothing from world reaches payments/database"
    Assert(Box<assert::AssertArgs>),
    /// Show rules that allow far more than was observed, and what passes only by them
    Broad(Box<broad::BroadArgs>),
    /// Show which workloads policies cover, and which need a policy and have none
    Coverage(Box<coverage::CoverageArgs>),
    /// Make policies that let just what was used pass, for workloads that have none
    Suggest(Box<suggest::SuggestArgs>),
    /// Narrow rules that let more pass than was used, in files as people wrote them
    Tighten(Box<tighten::TightenArgs>),
    /// Find rules that change nothing: duplicate, under a wider one, or under a deny
    Redundant(Box<redundant::RedundantArgs>),
    /// Find rules, peers and ports that no recorded connection needed
    Unused(Box<unused::UnusedArgs>),
}

impl PolicyArgs {
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
        match &self.command {
            PolicyCommand::Assert(args) => args.run(out, err, interrupt),
            PolicyCommand::Broad(args) => args.run(out, err, interrupt),
            PolicyCommand::Coverage(args) => args.run(out, err, interrupt),
            PolicyCommand::Lint(args) => args.run(out, err),
            PolicyCommand::Suggest(args) => args.run(out, err, interrupt),
            PolicyCommand::Tighten(args) => args.run(out, err, interrupt),
            PolicyCommand::Redundant(args) => args.run(out, err),
            PolicyCommand::Unused(args) => args.run(out, err, interrupt),
        }
    }
}
