//! `flowwatch simulate`: what other policies would have done to recorded connections.
//!
//! Owns the arguments, what they mean, and when the command fails. Where sets of policies
//! come from is `tree`'s, what they are made of `sets`'s, reading is `passing`'s; what is
//! compared is `review::simulate`'s, its forms are `render::simulate`'s.

mod alter;
mod fail_on;
mod git;
mod sets;
mod tree;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::error::CommandError;
use super::flow_filter::FlowFilterArgs;
use super::format::Color;
use super::passing::{self, Judging, Reads};
use super::policy_args::AgentArgs;
use super::signal::Interrupt;
use super::time_arg;
use super::{progress, sink};
use crate::engine::JudgedBatch;
use crate::flow::FlowBatch;
use crate::render::simulate as forms;
use crate::review::simulate::{Acceptance, Cases, Gatherer, PairJudge, Simulation, jobs};
use crate::source::file::inputs;
use fail_on::FailOn;
use sets::Sets;
use tree::Tree;

/// Arguments of `simulate`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SimulateArgs {
    /// Policies as they are: a folder, a file, git:REV, or git:REV:PATH
    #[arg(long, value_name = "DIR|git:REV")]
    base: String,
    /// Policies as they are to be, as --base
    #[arg(long, value_name = "DIR|git:REV")]
    head: String,
    /// Recordings: files, directories of recordings, archives
    #[arg(long, required = true, num_args = 1.., value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    flows: Vec<PathBuf>,
    /// Documents that belong to both sets: pods, namespaces, Services, other policies
    #[arg(long, num_args = 1.., value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    with: Vec<PathBuf>,
    /// Only flows since a time: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only flows until a time, as --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Labels that pods of a workload are to have: 'shop/checkout: tier=web'; KEY- takes one away
    #[arg(long, value_name = "NAMESPACE/WORKLOAD: KEY=VALUE,...")]
    relabel: Vec<String>,
    /// Another namespace for a workload: shop/checkout:store
    #[arg(long, value_name = "NAMESPACE/WORKLOAD:NAMESPACE")]
    r#move: Vec<String>,
    /// Changes that are meant to be: a YAML file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    accept: Option<PathBuf>,
    /// Exit with 1 on any of: newly-denied (newly-denied:N allows N connections), newly-allowed, unknown, lint
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    output: Form,
    /// File to write to instead of standard output
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Rows shown of each table
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    agent: AgentArgs,
    #[command(flatten)]
    filters: FlowFilterArgs,
}

const EXAMPLES: &str = "\
A connection passes only where both of its sides let it, and both are asked wherever it was
seen. git:REV reads the manifests of a revision and leaves the work tree alone; without a path
it is the folder of the other set in that revision.

Examples:
  What a branch would have done to last week:
    flowwatch simulate --base git:main --head policies/ --flows flows/ --since 7d
  A check of a pull request, with the comment for it:
    flowwatch simulate --base git:origin/main --head policies/ --flows flows/ \\
      --fail-on newly-denied,unknown,lint --accept .flowwatch/intended.yaml -o markdown --out comment.md
  Labels that change, with the same policies:
    flowwatch simulate --base policies/ --head policies/ --flows flows/ --relabel 'shop/checkout: tier=web'
  A workload that moves to another namespace:
    flowwatch simulate --base policies/ --head policies/ --flows flows/ --move shop/checkout:store";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Terminal,
    #[value(alias = "md")]
    Markdown,
    Html,
    Json,
    Sarif,
    Junit,
}

/// A resolved `simulate`.
struct Plan {
    sets: Sets,
    reads: Reads,
    acceptance: Option<Acceptance>,
}

impl SimulateArgs {
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
        let mut plan = self.plan()?;
        if !self.quiet {
            plan.sets.say(err);
        }
        let bar = progress::bar(&plan.reads.inputs, !self.quiet);
        let simulation = simulate(&mut plan, &bar, interrupt);
        bar.finish_and_clear();
        let text = self.text(&simulation, &plan)?;
        sink::deliver(out, self.out.as_deref(), &text)?;
        sink::complain(err, &simulation.reading.failed)?;
        passing::ended(&simulation.reading)?;
        fail_on::check(&self.fail_on, &simulation, err)
    }

    /// What the arguments mean, all conflicts found.
    fn plan(&self) -> Result<Plan, CommandError> {
        let (filters, _) = self.filters.compile()?;
        let now = time_arg::now();
        let (since, until) = (
            time_arg::bound("since", self.since.as_deref(), now)?,
            time_arg::bound("until", self.until.as_deref(), now)?,
        );
        let alterations = alter::parse(&self.relabel, &self.r#move)?;
        let (base, head) = (Tree::parse(&self.base)?, Tree::parse(&self.head)?);
        let acceptance = match &self.accept {
            Some(path) => Some(acceptance(path)?),
            None => None,
        };
        let inputs = inputs(&self.flows)?;
        let base = base.beside(&head)?;
        let head = head.beside(&base)?;
        Ok(Plan {
            sets: Sets::load(&base, &head, &self.with, alterations, &self.agent)?,
            reads: Reads {
                inputs,
                filters,
                since,
                until,
                judged: true,
                ..Reads::default()
            },
            acceptance,
        })
    }

    fn text(&self, simulation: &Simulation, plan: &Plan) -> Result<String, CommandError> {
        let options = forms::Options {
            width: super::analyze::width(),
            color: self.out.is_none() && self.color.wanted(),
            top: self.top,
            base: plan.sets.names.0.clone(),
            head: plan.sets.names.1.clone(),
            flows: self
                .flows
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            alterations: plan.sets.alterations.clone(),
            prefixes: plan.sets.prefixes.clone(),
            failing: fail_on::found(&self.fail_on, simulation),
            gated: !self.fail_on.is_empty(),
        };
        Ok(match self.output {
            Form::Terminal => forms::terminal(simulation, &options),
            Form::Markdown => forms::markdown(simulation, &options),
            Form::Html => forms::html(simulation, &options),
            Form::Junit => forms::junit(simulation, &options),
            Form::Json => sink::pretty(&forms::json(simulation, &options))?,
            Form::Sarif => sink::pretty(&forms::sarif(simulation, &options))?,
        })
    }
}

impl Judging for PairJudge {
    fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        Self::begin(self, piece, input, batches);
    }

    fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        Self::judge(self, batch, kept)
    }
}

fn simulate(plan: &mut Plan, bar: &indicatif::ProgressBar, interrupt: &Interrupt) -> Simulation {
    let cases = Arc::<Cases>::default();
    let (base, head, shared) = (
        plan.sets.base.clone(),
        plan.sets.head.clone(),
        cases.clone(),
    );
    let (reading, pass, gatherer) = passing::read(
        &plan.reads,
        move || PairJudge::new(base.clone(), head.clone(), shared.clone()),
        Gatherer::new(cases),
        bar,
        interrupt,
    );
    let start = Simulation {
        objects: std::mem::take(&mut plan.sets.objects),
        kept: std::mem::take(&mut plan.sets.kept),
        lint: std::mem::take(&mut plan.sets.lint),
        ..Simulation::default()
    };
    let mut simulation = gatherer.finish(reading, pass.peers(), start);
    let window = simulation
        .reading
        .seen
        .span()
        .map_or(0, |(first, last)| last.saturating_sub(first));
    simulation.jobs = jobs(plan.sets.documents.iter(), window);
    if let Some(acceptance) = &plan.acceptance {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
        simulation.accept(acceptance, today.date());
    }
    simulation
}

fn acceptance(path: &std::path::Path) -> Result<Acceptance, CommandError> {
    let text = crate::manifest::read_keyed(path).map_err(CommandError::failed)?;
    Acceptance::read(&path.display().to_string(), &text).map_err(CommandError::failed)
}
