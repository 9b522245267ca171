//! `flowwatch policy suggest`: policies for workloads that have none.
//!
//! Owns the arguments, and when the command fails. The rounds of making and replaying are
//! `making`'s, the forms are `render::suggest`'s.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::learning::{LearningArgs, say};
use super::making::{self, Making};
use crate::cli::error::{CommandError, UsageError};
use crate::cli::signal::Interrupt;
use crate::cli::sink;
use crate::manifest::is_policy_kind;
use crate::policy::Direction;
use crate::render::suggest as forms;
use crate::review::suggest::{Ask, Draft, Suggested, Unseen};

/// Arguments of `policy suggest`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SuggestArgs {
    /// Policies that are there, and manifests that show the cluster: files, directories, -
    #[arg(value_name = "POLICIES", value_hint = clap::ValueHint::AnyPath)]
    policies: Vec<PathBuf>,
    /// Only workloads of a namespace; also of the system's, which are left alone otherwise
    #[arg(short, long, value_name = "NAME")]
    namespace: Vec<String>,
    /// Only a workload
    #[arg(short, long, value_name = "NAMESPACE/NAME", value_parser = workload)]
    workload: Vec<(Arc<str>, Arc<str>)>,
    /// Rules for denied connections that somebody needs, instead of policies for workloads
    #[arg(long)]
    dropped: bool,
    /// As if there were no policies: what is suggested is to replace them
    #[arg(long, conflicts_with = "dropped")]
    from_scratch: bool,
    /// Not for workloads of which nothing accepted was seen; otherwise those that manifests
    /// show get policies that let nothing pass, but for jobs and namespaces without any flow
    #[arg(long, conflicts_with_all = ["dropped", "unseen"])]
    seen_only: bool,
    /// For jobs and in namespaces without any flow, too
    #[arg(long, conflicts_with = "dropped")]
    unseen: bool,
    /// Only one direction
    #[arg(long, value_name = "DIRECTION")]
    direction: Option<DirectionArg>,
    /// Do not list paths of HTTP requests, whatever was seen
    #[arg(long)]
    no_paths: bool,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Form,
    /// Directory to write a file a policy to, NAMESPACE/NAME.yaml, instead of standard output
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    learning: LearningArgs,
}

const EXAMPLES: &str = "\
What passed is learned; what was denied, flagged or part of an incident is not. Every policy is
replayed on the same flows before it is printed: all that is accepted has to pass. One that
fails is mended or withheld. Exits with 1 when something is withheld or cannot be proven.

Examples:
  For every workload that no policy selects, a file each:
    flowwatch policy suggest policies/ --flows flows/ --out suggested/
  For one namespace, without what a detector flagged:
    flowwatch policy suggest policies/ --flows flows/ -n shop --exclude-findings findings.jsonl
  Rules for what policies deny and somebody needs:
    flowwatch policy suggest policies/ --flows flows/ --dropped
  All anew, in place of the policies that are there:
    flowwatch policy suggest policies/ --flows flows/ --from-scratch --out new/";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Yaml,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DirectionArg {
    Ingress,
    Egress,
}

fn workload(text: &str) -> Result<(Arc<str>, Arc<str>), String> {
    match text.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok((namespace.into(), name.into()))
        }
        _ => Err("expected NAMESPACE/NAME".to_owned()),
    }
}

impl SuggestArgs {
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
        let ask = self.ask();
        let learning = self.learning.plan(self.dropped)?;
        let mut base = self.learning.base(&self.policies)?;
        if self.from_scratch {
            base.given
                .documents
                .retain(|document| !document.kind().is_some_and(is_policy_kind));
            base.given.taints.clear();
        }
        let policies = Arc::new(making::set(base.given.clone(), self.from_scratch));
        if !self.from_scratch {
            say(&base, &policies, self.quiet, err);
        }
        if self.dropped && base.given.documents.is_empty() {
            return Err(UsageError::new(
                "--dropped asks which rules are missing: give the policies that are there",
            )
            .into());
        }
        let making = Making {
            ask: &ask,
            given: &base.given,
            policies: &policies,
            documents: &base.loaded.documents,
            from_scratch: self.from_scratch,
        };
        let suggested = making.suggest(&learning, self.quiet, interrupt)?;
        self.deliver(&suggested, out)?;
        if !self.quiet {
            for line in forms::summary(&suggested) {
                sink::say(err, &line);
            }
        }
        if suggested.is_proven() {
            Ok(())
        } else {
            if self.quiet {
                sink::say(err, &forms::why_not(&suggested));
            }
            Err(CommandError::Found)
        }
    }

    fn ask(&self) -> Ask {
        Ask {
            namespaces: self
                .namespace
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            workloads: self.workload.iter().cloned().collect(),
            direction: self.direction.map(|direction| match direction {
                DirectionArg::Ingress => Direction::Ingress,
                DirectionArg::Egress => Direction::Egress,
            }),
            http: !self.no_paths,
            dropped: self.dropped,
            unseen: match (self.seen_only || self.dropped, self.unseen) {
                (true, _) => Unseen::LeftOut,
                (false, true) => Unseen::All,
                (false, false) => Unseen::Standing,
            },
        }
    }

    fn deliver(&self, suggested: &Suggested, out: &mut dyn Write) -> Result<(), CommandError> {
        let Some(folder) = &self.out else {
            let text = match self.output {
                Form::Yaml => forms::yaml(suggested),
                Form::Json => sink::pretty(&forms::json(suggested))?,
            };
            return sink::all(out, text.as_bytes());
        };
        for (at, draft) in suggested.settled.drafts.iter().enumerate() {
            if draft.is_empty() {
                continue;
            }
            let path = folder.join(file_name(draft));
            super::learning::write(&path, &forms::document(suggested, at))?;
        }
        if self.output == Form::Json {
            sink::all(out, sink::pretty(&forms::json(suggested))?.as_bytes())?;
        }
        Ok(())
    }
}

fn file_name(draft: &Draft) -> PathBuf {
    let folder = PathBuf::from(&*draft.id.namespace);
    folder.join(format!("{}.yaml", draft.id.name))
}
