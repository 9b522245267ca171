//! `flowwatch trace`: who talked to somebody, in and out, and on from there.
//!
//! Owns the arguments and what they mean; reading is `read`'s, what a trace is is
//! `review::trace`'s, its forms are `render::trace`'s.

mod read;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

pub(in crate::cli) use read::{Nobody, Tracing, addresses, trace};

use super::error::{CommandError, UsageError};
use super::format::Color;
use super::incident::IncidentArgs;
use super::policy_args::PolicyArgs;
use super::policy_source::say_remarks;
use super::signal::Interrupt;
use super::{sink, time_arg};
use crate::engine::Policies;
use crate::filter::Filters;
use crate::render::trace as forms;
use crate::review::trace::{Target, Trace};
use crate::source::file::inputs;

/// Hops that are followed at most.
const MOST_HOPS: usize = 6;

/// Arguments of `trace`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TraceArgs {
    /// Whom: a workload or pod (shop/checkout), identity:NUMBER, node:NAME, an address or
    /// prefix, a DNS name. Without it the subject of the incident
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Recordings: files, directories of recordings, archives
    #[arg(long, required = true, num_args = 1.., value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    flows: Vec<PathBuf>,
    /// How far: 1 is its own connections, 2 also those of whom it talked to
    #[arg(long, value_name = "N", default_value_t = 1)]
    hops: usize,
    /// Only flows since a time: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only flows until a time, as --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    output: Form,
    /// File to write to instead of standard output
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Rows shown of each table
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    incident: IncidentArgs,
    #[command(flatten)]
    policies: PolicyArgs,
}

const EXAMPLES: &str = "\
A hop counts only in the order of time: outwards a connection counts where it went on after its
client could have been reached, inwards where it began before its server last went on towards
the target. Only what passed carries further, and only through pods. An archive is read for what
the target needs of it; each hop reads once more.

Examples:
  Who talked to checkout, and whom it could have reached through others:
    flowwatch trace shop/checkout --flows flows/ --hops 2
  What is new since an incident began:
    flowwatch trace --flows flows/ --findings findings.jsonl --incident 1c19 --hops 2
  Which pods called an address, with the rules that let them:
    flowwatch trace 203.0.113.66 --flows flows.jsonl --policies policies/
  As a picture:
    flowwatch trace shop/checkout --flows flows/ --hops 2 -o dot | dot -Tsvg > trace.svg";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Terminal,
    #[value(alias = "md")]
    Markdown,
    Html,
    Json,
    /// A graph for Graphviz
    Dot,
    /// A graph for Markdown that shows Mermaid
    Mermaid,
}

/// The hops that were asked for.
///
/// # Errors
/// [`UsageError`] for none, and for more than are followed.
pub(in crate::cli) fn hops(typed: usize) -> Result<usize, UsageError> {
    if typed == 0 || typed > MOST_HOPS {
        return Err(UsageError::new(format!("--hops takes 1 to {MOST_HOPS}")));
    }
    Ok(typed)
}

impl TraceArgs {
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
        let plan = self.plan(err)?;
        let (trace, Nobody) = trace(&plan, || Ok(Nobody), err, interrupt)?;
        if trace.is_empty() {
            return Err(CommandError::failed(format!(
                "no flow is about {}",
                plan.target
            )));
        }
        let text = self.text(&trace)?;
        sink::deliver(out, self.out.as_deref(), &text)
    }

    /// What the arguments mean, all conflicts found.
    fn plan(&self, err: &mut dyn Write) -> Result<Tracing, CommandError> {
        let known = self.incident.read()?;
        let typed = match &self.target {
            Some(typed) => typed.clone(),
            None => known.subject()?,
        };
        let target = Target::parse(&typed).map_err(|error| UsageError::new(error.to_string()))?;
        let hops = hops(self.hops)?;
        let now = time_arg::now();
        let (since, until) = (
            time_arg::bound("since", self.since.as_deref(), now)?,
            time_arg::bound("until", self.until.as_deref(), now)?,
        );
        let inputs = inputs(&self.flows)?;
        let policies: Option<Arc<Policies>> = match self.policies.source()? {
            Some(mut source) => {
                let loaded = source.load()?.whole()?;
                if !self.quiet {
                    say_remarks(&loaded.remarks, err);
                }
                Some(Arc::new(loaded.policies))
            }
            None => None,
        };
        Ok(Tracing {
            target,
            inputs,
            filters: Filters::default(),
            since,
            until,
            incident: known.start,
            hops,
            policies,
            whole: false,
            quiet: self.quiet,
        })
    }

    fn text(&self, trace: &Trace) -> Result<String, CommandError> {
        let options = forms::Options {
            width: super::analyze::width(),
            color: self.out.is_none() && self.color.wanted(),
            top: self.top,
        };
        Ok(match self.output {
            Form::Terminal => forms::terminal(trace, &options),
            Form::Markdown => forms::markdown(trace, &options),
            Form::Html => forms::html(trace, &options),
            Form::Json => sink::pretty(&forms::json(trace))?,
            Form::Dot => forms::dot(trace),
            Form::Mermaid => forms::mermaid(trace),
        })
    }
}
