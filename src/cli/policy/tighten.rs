//! `flowwatch policy tighten`: rules that let more pass than was used, narrowed.
//!
//! Owns the arguments, the files that are written, and when the command fails. The rounds of
//! narrowing and replaying are `narrowing`'s, the forms are `render::tighten`'s.

use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::learning::{LearningArgs, say};
use super::narrowing;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::format::Color;
use crate::cli::signal::Interrupt;
use crate::cli::sink;
use crate::engine::Policies;
use crate::render::tighten as forms;
use crate::review::tighten::{Plan, Tightened};

/// Arguments of `policy tighten`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TightenArgs {
    /// Policies: files or directories. What is no policy shows the cluster
    #[arg(required = true, value_name = "POLICIES", value_hint = clap::ValueHint::AnyPath)]
    policies: Vec<PathBuf>,
    /// Change the files in place
    #[arg(long, conflicts_with = "out")]
    write: bool,
    /// Directory to write changed files to, below their names
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "diff")]
    output: Form,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    learning: LearningArgs,
}

const EXAMPLES: &str = "\
Peers that name nobody ({}, the entities all, cluster and world, very wide prefixes, patterns of
names, none at all) and ports that are all or a range become what was used. Comments, order of
keys, anchors and layout stay. What is narrowed is replayed: all that is accepted has to pass,
and nothing may pass that did not. Exits with 1 where that cannot be told.

Examples:
  What could be narrower, as a diff:
    flowwatch policy tighten policies/ --flows flows/
  As a patch for a pull request:
    flowwatch policy tighten policies/ --flows flows/ --since 14d -q | git apply
  In place, without what a detector flagged:
    flowwatch policy tighten policies/ --flows flows/ --exclude-findings findings.jsonl --write";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Diff,
    Json,
}

impl TightenArgs {
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
        if self.policies.iter().any(|path| path.as_os_str() == "-") {
            return Err(UsageError::new("give files: standard input cannot be changed").into());
        }
        let learning = self.learning.plan(false)?;
        let base = self.learning.base(&self.policies)?;
        let policies = Arc::new(Policies::new(base.given.clone()));
        say(&base, &policies, self.quiet, err);
        let plan = Plan::new(&base.given.documents, &policies.any_set());
        let given = (&base.given, &policies);
        let tightened = narrowing::tighten(&learning, given, &plan, self.quiet, interrupt)?;
        let text = match self.output {
            Form::Json => sink::pretty(&forms::json(&tightened))?,
            // Where files are written, the diff is for git to show.
            Form::Diff if self.write || self.out.is_some() => String::new(),
            Form::Diff => forms::diff(&tightened, self.color.wanted()),
        };
        self.files(&tightened)?;
        sink::all(out, text.as_bytes())?;
        if !self.quiet {
            for line in forms::summary(&tightened) {
                sink::say(err, &line);
            }
        }
        let unproven = tightened.unproven();
        if unproven.is_empty() {
            return Ok(());
        }
        if self.quiet {
            sink::say(err, &unproven.join("; "));
        }
        Err(CommandError::Found)
    }

    fn files(&self, tightened: &Tightened) -> Result<(), CommandError> {
        for (file, _, text) in &tightened.files {
            let path = match (&self.out, self.write) {
                (Some(folder), _) => folder.join(below(Path::new(&**file))),
                (None, true) => PathBuf::from(&**file),
                (None, false) => return Ok(()),
            };
            super::learning::write(&path, text)?;
        }
        Ok(())
    }
}

/// A path as it stands below another folder.
fn below(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}
