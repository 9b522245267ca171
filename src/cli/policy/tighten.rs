//! `flowwatch policy tighten`: rules that let more pass than was used, narrowed.
//!
//! Owns the arguments, the rounds of narrowing and replaying, the files that are written, and
//! when the command fails. What is narrowed is `review::tighten`'s, the forms are
//! `render::tighten`'s.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::learning::{Base, Learning, LearningArgs, Noting, say, window};
use crate::cli::error::{CommandError, UsageError};
use crate::cli::format::Color;
use crate::cli::passing::Judging;
use crate::cli::signal::Interrupt;
use crate::cli::sink;
use crate::engine::{JudgedBatch, Policies};
use crate::flow::FlowBatch;
use crate::manifest::STDIN;
use crate::render::tighten as forms;
use crate::review::observed::Notes;
use crate::review::tighten::{
    Edited, FitJudge, Fits, Needed, Plan, Texts, Tightened, documents, edit, too_narrow,
};

/// Rounds of taking back what was narrowed too far; after them everything is.
const ROUNDS: usize = 5;

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

impl Judging for FitJudge {
    fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        Self::begin(self, piece, input, batches);
    }

    fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        Self::judge(self, batch, kept)
    }
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
        let tightened = self.tighten(&learning, (&base, &policies), interrupt)?;
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

    fn tighten(
        &self,
        learning: &Learning,
        (base, policies): (&Base, &Arc<Policies>),
        interrupt: &Interrupt,
    ) -> Result<Tightened, CommandError> {
        let plan = Plan::new(&base.given.documents, &policies.any_set());
        let texts = texts(base);
        let fits = Arc::<Fits>::default();
        let notes = Notes::default();
        let (judged, shared, noting) = (policies.clone(), fits.clone(), notes.clone());
        let (reading, pass, needed) = learning.read(
            move || Noting::new(FitJudge::new(judged.clone(), &shared), &noting),
            Needed::new(fits, Arc::new(plan.rules()), learning.history.clone()),
            self.quiet,
            interrupt,
        )?;
        let need = needed.finish(pass.peers());
        let cluster = notes.cluster();
        let directory = notes.directory(policies, cluster.as_deref());
        let cluster = cluster.unwrap_or_default();
        let around = (&base.given.documents[..], &**policies, &directory);
        let (narrowings, left) = plan.narrowings(&need, around, &cluster);
        let mut without: BTreeMap<u32, String> = BTreeMap::new();
        let mut tightened = Tightened {
            window: window(&reading),
            accepted: need.accepted,
            beyond: need.beyond,
            left_out: need.left_out.clone(),
            ..Tightened::default()
        };
        for round in 0.. {
            let edited = edit(&texts, &base.given.documents, &narrowings, &without);
            let replayed = if edited.narrowed.is_empty() {
                crate::review::suggest::Replayed::default()
            } else {
                let head = Arc::new(head(base, policies, &edited)?);
                learning.replay(policies, &head, self.quiet, interrupt)?
            };
            let before = without.len();
            if replayed.newly_allowed > 0 || round >= ROUNDS && breaks(&replayed) {
                let why = if replayed.newly_allowed > 0 {
                    "the replay lets something pass that did not: nothing is changed"
                } else {
                    "the replay does not come to an end of what it breaks: nothing is changed"
                };
                for one in &narrowings {
                    without.entry(one.rule()).or_insert_with(|| why.to_owned());
                }
            } else {
                for (rule, why) in too_narrow(&replayed.broken, &edited.narrowed, &need) {
                    without.entry(rule).or_insert(why);
                }
            }
            if without.len() > before {
                continue;
            }
            tightened.files = changed(&texts, &edited);
            tightened.narrowed = edited.narrowed;
            tightened.left = left.into_iter().chain(edited.left).collect();
            tightened
                .left
                .sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
            tightened.replayed = replayed;
            break;
        }
        Ok(tightened)
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

fn breaks(replayed: &crate::review::suggest::Replayed) -> bool {
    replayed.broken.iter().any(|one| !one.before)
}

fn head(base: &Base, policies: &Arc<Policies>, edited: &Edited) -> Result<Policies, CommandError> {
    let mut given = base.given.clone();
    given.documents =
        documents(&base.given.documents, &edited.texts).map_err(CommandError::failed)?;
    Ok(Policies::new(given).beside(&policies.any_set()))
}

/// The texts of the files that documents are of; one that cannot be read any more has none,
/// and its rules are left alone.
fn texts(base: &Base) -> Texts {
    let mut texts = Texts::new();
    for document in &base.given.documents {
        if &*document.file == STDIN || texts.contains_key(&document.file) {
            continue;
        }
        if let Ok(text) = fs::read_to_string(&*document.file) {
            texts.insert(document.file.clone(), text);
        }
    }
    texts
}

fn changed(texts: &Texts, edited: &Edited) -> Vec<(Arc<str>, String, String)> {
    let after = edited.texts.iter();
    after
        .filter_map(|(file, text)| {
            let before = texts.get(file)?;
            (before != text).then(|| (file.clone(), before.clone(), text.clone()))
        })
        .collect()
}

/// A path as it stands below another folder.
fn below(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}
