//! `flowwatch policy assert`: declarations about who reaches whom, checked.
//!
//! Owns the arguments, what is read, and when the command fails. What a declaration says and
//! whether it holds is `review::assert`'s, the forms `render::assert`'s.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::cli::error::{CommandError, UsageError};
use crate::cli::fold::{self, Fold};
use crate::cli::format::Color;
use crate::cli::passing::{self, Reads};
use crate::cli::policy_args::PolicyArgs;
use crate::cli::policy_source::say_remarks;
use crate::cli::signal::Interrupt;
use crate::cli::{progress, sink};
use crate::engine::Policies;
use crate::flow::FlowBatch;
use crate::manifest::read_keyed;
use crate::render::assert as forms;
use crate::review::assert::{Assertion, Checked, History, Holds, People, check, read};
use crate::review::simulate::{Cases, PairJudge};

/// Arguments of `policy assert`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AssertArgs {
    /// Declarations: a YAML file
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Recordings that show who there is, and whose connections have to agree
    #[arg(long, value_name = "PATH", num_args = 1.., value_hint = clap::ValueHint::AnyPath)]
    flows: Vec<PathBuf>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Form,
    /// File to write to instead of standard output
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    policies: PolicyArgs,
}

const EXAMPLES: &str = "\
The file holds a list of sentences:
  assertions:
    - nothing from world reaches payments/database
    - shop/checkout reaches payments/payments:8080
    - name: nobody but the shop pays
      assert: nothing from monitoring/* reaches payments/payments:8080

A term is a workload (shop/checkout), a namespace (shop/*), labels (shop/app=web), an address
or a prefix, a DNS name, world, cluster, anything, or an entity such as host. \"Nothing\" is
about everybody a term may stand for, those nobody has seen included; \"reaches\" about
everybody who is known by the manifests or the flows. Exits with 1 unless all are proven.

Examples:
  By the policies and the manifests beside them:
    flowwatch policy assert reach.yaml --policies kubernetes/
  And by what was recorded, for the page of test results:
    flowwatch policy assert reach.yaml --policies policies/ --flows flows.jsonl -o junit --out reach.xml";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
    Junit,
}

impl AssertArgs {
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
        let name = self.file.display().to_string();
        let text = read_keyed(&self.file).map_err(CommandError::failed)?;
        let assertions = read(&name, &text).map_err(CommandError::failed)?;
        if assertions.is_empty() {
            return Err(CommandError::failed(format!("{name}: no assertions")));
        }
        let Some(mut source) = self.policies.source()? else {
            return Err(UsageError::new("give the policies by --policies").into());
        };
        let inputs = fold::open(&self.flows)?;
        let loaded = source.load()?.whole()?;
        if !self.quiet {
            say_remarks(&loaded.remarks, err);
        }
        let policies = Arc::new(loaded.policies);
        let mut people = People::of(&policies, None);
        if !inputs.is_empty() {
            let seen = fold::fold(&inputs, People::default, self.quiet, err, interrupt)?;
            people = People::of(&policies, seen.cluster());
            people.merge(seen);
        }
        let mut checked = check(&assertions, &policies, &people);
        if !inputs.is_empty() {
            let past = self.history(inputs, &policies, &assertions, interrupt)?;
            for (one, past) in checked.iter_mut().zip(past) {
                one.by_history = Some(past);
            }
        }
        let text = match self.output {
            Form::Text => forms::text(&checked, self.out.is_none() && self.color.wanted()),
            Form::Json => sink::pretty(&forms::json(&checked))?,
            Form::Junit => forms::junit(&checked, &name),
        };
        sink::deliver(out, self.out.as_deref(), &text)?;
        self.verdict(&checked, err)
    }

    fn history(
        &self,
        inputs: Vec<crate::source::file::Input>,
        policies: &Arc<Policies>,
        assertions: &[Assertion],
        interrupt: &Interrupt,
    ) -> Result<Vec<crate::review::assert::PastHolds>, CommandError> {
        let bar = progress::bar(&inputs, !self.quiet);
        let reads = Reads {
            inputs,
            judged: true,
            ..Reads::default()
        };
        let cases = Arc::<Cases>::default();
        let history = History::new(assertions.to_vec(), cases.clone());
        let policies = policies.clone();
        let (reading, _, history) = passing::read(
            &reads,
            move || PairJudge::new(policies.clone(), policies.clone(), cases.clone()),
            history,
            &bar,
            interrupt,
        );
        bar.finish_and_clear();
        passing::whole(&reading)?;
        Ok(history.finish())
    }

    /// Whether all are proven; what is undecided is not.
    fn verdict(&self, checked: &[Checked], err: &mut dyn Write) -> Result<(), CommandError> {
        let count = |wanted: Holds| checked.iter().filter(|one| one.holds() == wanted).count();
        let (proven, undecided, refuted) = (
            count(Holds::Proven),
            count(Holds::Undecided),
            count(Holds::Refuted),
        );
        if !self.quiet {
            sink::say(
                err,
                &format!("{proven} proven, {refuted} refuted, {undecided} undecided"),
            );
        }
        if proven == checked.len() {
            Ok(())
        } else {
            Err(CommandError::Found)
        }
    }
}

impl Fold for People {
    fn batch(&mut self, batch: &FlowBatch) {
        People::batch(self, batch);
    }

    fn merge(&mut self, other: Self) {
        People::merge(self, other);
    }
}
