//! `flowwatch policy suggest`: policies for workloads that have none.
//!
//! Owns the arguments, the rounds of making and replaying, and when the command fails. What
//! is made is `review::suggest`'s, the forms are `render::suggest`'s.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::learning::{Base, Learning, LearningArgs, Noting, say, window};
use crate::cli::error::{CommandError, UsageError};
use crate::cli::signal::Interrupt;
use crate::cli::sink;
use crate::engine::{BatchJudge, Given, Policies};
use crate::manifest::is_policy_kind;
use crate::policy::Direction;
use crate::render::suggest as forms;
use crate::review::observed::{Learner, Notes};
use crate::review::simulate::jobs;
use crate::review::suggest::{Ask, Draft, Materials, Needs, Suggested, documents, lost, settle};

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
    /// Also for workloads that only manifests show: policies that let nothing pass
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
        let policies = Arc::new(self.set(base.given.clone()));
        if !self.from_scratch {
            say(&base, &policies, self.quiet, err);
        }
        if self.dropped && base.given.documents.is_empty() {
            return Err(UsageError::new(
                "--dropped asks which rules are missing: give the policies that are there",
            )
            .into());
        }
        let suggested = self.suggest(&ask, &learning, (&base, &policies), interrupt)?;
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
            unseen: self.unseen,
        }
    }

    fn suggest(
        &self,
        ask: &Ask,
        learning: &Learning,
        (base, policies): (&Base, &Arc<Policies>),
        interrupt: &Interrupt,
    ) -> Result<Suggested, CommandError> {
        let notes = Notes::default();
        let noting = notes.clone();
        let (reading, pass, learner) = learning.read(
            move || Noting::new(None::<BatchJudge>, &noting),
            Learner::new(learning.history.clone()),
            self.quiet,
            interrupt,
        )?;
        let usage = learner.finish(pass.peers());
        let cluster = notes.cluster();
        let directory = notes.directory(policies, cluster.as_deref());
        let cluster = cluster.unwrap_or_default();
        let mut materials = Materials {
            usage: &usage,
            directory: &directory,
            policies,
            cluster: &cluster,
            ask,
            needs: None,
        };
        let (needs, probing) = if ask.dropped {
            lost(&materials)
        } else {
            (Needs::default(), Vec::new())
        };
        if ask.dropped {
            materials.needs = Some(&needs);
        }
        let window = window(&reading);
        let length = window.seen.span().map_or(0, |(first, last)| last - first);
        let mut suggested = Suggested {
            jobs: jobs(base.loaded.documents.iter(), length),
            window,
            probing,
            left_out: usage.left_out.clone(),
            connections: usage.connections,
            beyond: usage.beyond,
            more_pods: directory.more,
            dropped: ask.dropped,
            asked_for: materials.asked_for() as u64,
            elsewhere: directory.iter().filter(|(key, _)| key.0 != cluster).count() as u64,
            ..Suggested::default()
        };
        suggested.settled = settle(&materials, |drafts| {
            let head = Arc::new(self.head(base, policies, drafts)?);
            let replayed = learning.replay(policies, &head, self.quiet, interrupt)?;
            Ok::<_, CommandError>((head, replayed))
        })?;
        Ok(suggested)
    }

    fn set(&self, given: Given) -> Policies {
        let policies = Policies::new(given);
        if self.from_scratch {
            policies.by_themselves()
        } else {
            policies
        }
    }

    /// The policies that are there and those that are made, as they are printed.
    fn head(
        &self,
        base: &Base,
        policies: &Arc<Policies>,
        drafts: &[&Draft],
    ) -> Result<Policies, CommandError> {
        let mut given = base.given.clone();
        let made = documents(drafts).map_err(CommandError::failed)?;
        given.documents.extend(made);
        Ok(self.set(given).beside(&policies.any_set()))
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
