//! Policies made of what was used, replayed and mended, in rounds.
//!
//! Owns the passes, for whoever wants policies made: `policy suggest`, and the improvement of
//! an incident bundle. What is made is `review::suggest`'s. Writes no files.

use std::sync::Arc;

use super::learning::{Learning, Noting, window};
use crate::cli::error::CommandError;
use crate::cli::signal::Interrupt;
use crate::engine::{BatchJudge, Given, Policies};
use crate::manifest::Document;
use crate::review::observed::{Learner, Notes};
use crate::review::simulate::jobs;
use crate::review::suggest::{Ask, Draft, Materials, Needs, Suggested, documents, lost, settle};

/// What policies are made from, beside flows.
pub(in crate::cli) struct Making<'a> {
    pub(in crate::cli) ask: &'a Ask,
    pub(in crate::cli) given: &'a Given,
    /// Made of what was given.
    pub(in crate::cli) policies: &'a Arc<Policies>,
    /// Among them the CronJobs, which may run less often than a recording is long.
    pub(in crate::cli) documents: &'a [Document],
    /// As if there were no policies.
    pub(in crate::cli) from_scratch: bool,
}

impl Making<'_> {
    /// Makes them.
    ///
    /// # Errors
    /// [`CommandError`] for what cannot be read, and when it was interrupted.
    pub(in crate::cli) fn suggest(
        &self,
        learning: &Learning,
        quiet: bool,
        interrupt: &Interrupt,
    ) -> Result<Suggested, CommandError> {
        let Self { ask, policies, .. } = self;
        let notes = Notes::default();
        let noting = notes.clone();
        let (reading, pass, learner) = learning.read(
            move || Noting::new(None::<BatchJudge>, &noting),
            Learner::new(learning.history.clone()),
            quiet,
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
            jobs: jobs(self.documents.iter(), length),
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
            let head = Arc::new(self.head(drafts)?);
            let replayed = learning.replay(policies, &head, quiet, interrupt)?;
            Ok::<_, CommandError>((head, replayed))
        })?;
        Ok(suggested)
    }

    /// The policies that are there and those that are made, as they are printed.
    ///
    /// # Errors
    /// [`CommandError`] for one that does not read back.
    fn head(&self, drafts: &[&Draft]) -> Result<Policies, CommandError> {
        let mut given = self.given.clone();
        let made = documents(drafts).map_err(CommandError::failed)?;
        given.documents.extend(made);
        Ok(set(given, self.from_scratch).beside(&self.policies.any_set()))
    }
}

/// The policies that are given, in place of all others where they start from scratch.
pub(in crate::cli) fn set(given: Given, from_scratch: bool) -> Policies {
    let policies = Policies::new(given);
    if from_scratch {
        policies.by_themselves()
    } else {
        policies
    }
}
