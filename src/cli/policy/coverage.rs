//! `flowwatch policy coverage`: which workloads policies cover.
//!
//! Owns the arguments, what is read, and when the command fails. What covers what is
//! `review::coverage`'s, the forms `render::coverage`'s.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::usage::one_stdin;
use crate::cli::error::CommandError;
use crate::cli::fold::{self, Fold};
use crate::cli::format::Color;
use crate::cli::policy_args::AgentArgs;
use crate::cli::policy_source::{PolicySource, say_remarks};
use crate::cli::signal::Interrupt;
use crate::cli::sink;
use crate::engine::{Judge, Policies};
use crate::flow::FlowBatch;
use crate::render::coverage::{self as forms, Detail};
use crate::review::coverage::{Coverage, Score, Traffic};

/// Arguments of `policy coverage`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CoverageArgs {
    /// Manifests: files, directories, - for standard input. What is no policy shows the cluster
    #[arg(required = true, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Recordings that show which workloads there are and who talks to whom
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = clap::ValueHint::AnyPath)]
    flows: Vec<PathBuf>,
    /// Exit with 1 when the score is below this, or nothing can be scored
    #[arg(long, value_name = "SCORE", value_parser = score)]
    fail_under: Option<f64>,
    /// Show every workload, not only those without a policy
    #[arg(long)]
    workloads: bool,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    output: Form,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    agent: AgentArgs,
}

const EXAMPLES: &str = "\
Examples:
  Of what is in a repository, failing below 80:
    flowwatch policy coverage --fail-under 80 kubernetes/
  Of what runs:
    kubectl get cnp,ccnp,netpol,namespaces,pods -A -o yaml | flowwatch policy coverage -
  Of what was seen, with the peers that would need a rule:
    flowwatch policy coverage policies/ --flows /var/run/cilium/hubble
  As a comment on a change:
    flowwatch policy coverage kubernetes/ -o markdown";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Terminal,
    Json,
    #[value(alias = "md")]
    Markdown,
}

fn score(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(score) if (0.0..=100.0).contains(&score) => Ok(score),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

impl CoverageArgs {
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
        one_stdin(&self.paths, &self.flows)?;
        let inputs = fold::open(&self.flows)?;
        let loaded = PolicySource::new(self.agent.clone(), self.paths.clone(), false)?
            .load()?
            .whole()?;
        if !self.quiet {
            say_remarks(&loaded.remarks, err);
        }
        let policies = Arc::new(loaded.policies);
        let traffic = if inputs.is_empty() {
            None
        } else {
            let shared = policies.clone();
            let watched = fold::fold(
                &inputs,
                move || Watch::new(&shared),
                self.quiet,
                err,
                interrupt,
            )?;
            Some(watched.traffic)
        };
        let coverage = Coverage::of(&policies, traffic.as_ref());
        let mut text = Vec::new();
        let detail = if self.workloads {
            Detail::Workloads
        } else {
            Detail::Namespaces
        };
        match self.output {
            Form::Terminal => forms::terminal(&mut text, &coverage, detail, self.color.wanted()),
            Form::Markdown => forms::markdown(&mut text, &coverage),
            Form::Json => {
                let value = forms::json(&coverage);
                serde_json::to_writer_pretty(&mut text, &value).map_err(CommandError::failed)?;
                text.push(b'\n');
            }
        }
        sink::all(out, &text)?;
        match self.fail_under {
            Some(wanted) => check(coverage.sum().score(), wanted, err),
            None => Ok(()),
        }
    }
}

/// Whether the score is high enough.
fn check(score: Score, wanted: f64, err: &mut dyn Write) -> Result<(), CommandError> {
    let message = match score.value() {
        Some(value) if value >= wanted => return Ok(()),
        Some(_) => format!("the score is below {wanted}"),
        None => format!("undecided: nothing can be scored, and {wanted} is asked for"),
    };
    sink::say(err, &message);
    Err(CommandError::Found)
}

/// What a thread makes of flows.
struct Watch {
    judge: Judge,
    traffic: Traffic,
}

impl Watch {
    fn new(policies: &Arc<Policies>) -> Self {
        Self {
            judge: Judge::new(policies.clone()),
            traffic: Traffic::default(),
        }
    }
}

impl Fold for Watch {
    fn batch(&mut self, batch: &FlowBatch) {
        for row in batch.rows() {
            let judgement = self.judge.judge(row);
            self.traffic.observe(row, &judgement);
        }
    }

    fn merge(&mut self, other: Self) {
        self.traffic.merge(other.traffic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_from_0_to_100() {
        assert_eq!(score("62.5"), Ok(62.5));
        for text in ["-1", "100.1", "NaN", "much"] {
            assert!(score(text).is_err(), "{text}");
        }
    }

    #[test]
    fn exactly_what_is_asked_for_is_enough() {
        let half = Score { points: 1, of: 2 };
        let mut err = Vec::new();
        assert!(check(half, 50.0, &mut err).is_ok());
        assert!(matches!(
            check(half, 50.1, &mut err),
            Err(CommandError::Found)
        ));
        assert!(check(Score::default(), 0.0, &mut err).is_err());
    }
}
