//! What would have prevented the incident: rules narrowed and policies made of the time before
//! it, replayed before and since.
//!
//! Owns the passes and their order. What links it is about and what is said of them is
//! `respond::improvement`'s, how rules are narrowed and policies made `policy`'s. Reads
//! nothing where there is nothing to prevent.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Read, Resolved};
use crate::cli::error::CommandError;
use crate::cli::passing::{self, Reads};
use crate::cli::policy::{Learning, Making, tighten};
use crate::cli::progress;
use crate::cli::signal::Interrupt;
use crate::engine::{Given, Policies};
use crate::manifest::Document;
use crate::respond::improvement::{
    Nothing, Prevented, Prevention, began, beside, by_names, causes, changed, prevented, reasons,
    why,
};
use crate::review::observed::{History, Use};
use crate::review::simulate::{Cases, Change, Gatherer, PairJudge, Simulation};
use crate::review::suggest::{self, Ask, Draft, Replayed, Suggested};
use crate::review::tighten::{self as narrow, FitJudge, Fits, Needed, Plan, Texts, Tightened};
use crate::review::trace::Link;
use crate::source::file::Input;

/// Policies as they were given, with the jobs among the documents.
pub(super) struct Before {
    pub(super) given: Given,
    pub(super) cron_jobs: Vec<Document>,
}

/// Makes policies that would have prevented what was new.
///
/// # Errors
/// [`CommandError`] for what cannot be read, and when it was interrupted.
pub(super) fn improve(
    before: &Before,
    resolved: &Resolved,
    read: &Read,
    interrupt: &Interrupt,
) -> Result<Result<Prevention, Nothing>, CommandError> {
    let Some(traced) = &read.traced else {
        return Ok(Err(Nothing::NoFlows));
    };
    let links = match began(&traced.trace) {
        Ok(links) => links,
        Err(nothing) => return Ok(Err(nothing)),
    };
    if resolved.tracing.inputs.iter().any(Input::is_stream) {
        return Ok(Err(Nothing::ReadOnce));
    }
    let start = traced.trace.incident.unwrap_or_default();
    let findings = resolved.incident.file.as_ref();
    let mut history = History::new(false);
    if let Some(findings) = findings {
        history = history.without(findings);
    }
    let improving = Improving {
        before,
        policies: Arc::new(Policies::new(before.given.clone())),
        learning: Learning {
            reads: Reads {
                until: Some(start - 1),
                held: Some(Arc::default()),
                ..reads(resolved)
            },
            history: Arc::new(history),
        },
        since: Reads {
            since: Some(start.max(resolved.tracing.since.unwrap_or(i64::MIN))),
            held: Some(Arc::default()),
            ..reads(resolved)
        },
        start,
        quiet: resolved.tracing.quiet,
        interrupt,
    };
    improving.improve(&links)
}

/// Everybody's flows: what a rule was used for is not the target's alone. A filter would hide
/// some of it.
fn reads(resolved: &Resolved) -> Reads {
    Reads {
        inputs: resolved.tracing.inputs.clone(),
        since: resolved.tracing.since,
        until: resolved.tracing.until,
        judged: true,
        ..Reads::default()
    }
}

struct Improving<'a> {
    before: &'a Before,
    policies: Arc<Policies>,
    /// The time before.
    learning: Learning,
    /// The time since.
    since: Reads,
    start: i64,
    quiet: bool,
    interrupt: &'a Interrupt,
}

impl Improving<'_> {
    fn improve(&self, links: &[&Link]) -> Result<Result<Prevention, Nothing>, CommandError> {
        let given = &self.before.given;
        let causes = causes(links);
        let all = Plan::new(&given.documents, &self.policies.any_set());
        let named = all.clone().only(&causes.rules, &BTreeSet::new());
        // A verdict names the rules that decided; others that are as loose may stand behind.
        let behind = if all.rules() == named.rules() {
            BTreeSet::new()
        } else {
            self.behind(&all, links)?
        };
        let plan = all.only(&causes.rules, &behind).closing();
        let tightened = if plan.is_empty() {
            Tightened::default()
        } else {
            let given = (given, &self.policies);
            tighten(&self.learning, given, &plan, self.quiet, self.interrupt)?
        };
        let made = if causes.open.is_empty() {
            None
        } else {
            Some(self.suggest(&causes.open)?)
        };
        let drafts: Vec<&Draft> = made
            .iter()
            .flat_map(|made| &made.settled.drafts)
            .filter(|draft| !draft.is_empty())
            .collect();
        if tightened.narrowed.is_empty() && drafts.is_empty() {
            let whys: Vec<Prevented> = links
                .iter()
                .map(|link| Prevented {
                    link: (*link).clone(),
                    denied: 0,
                    hangs_on_names: false,
                    why: Some(why(link, &tightened, made.as_ref())),
                })
                .collect();
            return Ok(Err(Nothing::NotPrevented(reasons(&whys))));
        }
        let unproven = tightened.unproven();
        let unproven = unproven
            .into_iter()
            .chain(made.iter().flat_map(Suggested::unproven))
            .next();
        if let Some(unproven) = unproven {
            return Ok(Err(Nothing::Unproven(unproven)));
        }
        let head_given = self.head(&tightened, &drafts)?;
        let head = Arc::new(self.beside(head_given.clone()));
        let replayed = match (&made, tightened.narrowed.is_empty()) {
            (Some(made), true) => made.settled.replayed.clone(),
            (_, false) if drafts.is_empty() => tightened.replayed.clone(),
            _ => self
                .learning
                .replay(&self.policies, &head, self.quiet, self.interrupt)?,
        };
        if let Some(why) = breaks(&replayed) {
            return Ok(Err(Nothing::Unproven(why)));
        }
        let since = self.simulate(&self.policies, &head)?;
        if since
            .rows
            .iter()
            .any(|row| row.change == Change::NewlyAllowed)
        {
            let why = "since the incident began it lets something pass that did not";
            return Ok(Err(Nothing::Unproven(why.to_owned())));
        }
        let mut prevented = prevented(links, &since, &tightened, made.as_ref());
        if prevented.iter().any(|one| one.hangs_on_names) {
            // Once more, with the names that flows show as all there are.
            let named = |given: &Given| Given {
                names_complete: true,
                ..given.clone()
            };
            let base = Arc::new(Policies::new(named(given)));
            let head = Arc::new(self.beside(named(&head_given)));
            by_names(&mut prevented, &self.simulate(&base, &head)?);
        }
        if prevented.iter().all(|one| one.denied == 0) {
            return Ok(Err(Nothing::NotPrevented(reasons(&prevented))));
        }
        let (beside, more_beside) = beside(links, &since);
        let window = match &made {
            Some(made) if tightened.narrowed.is_empty() => made.window.clone(),
            _ => tightened.window.clone(),
        };
        Ok(Ok(Prevention {
            start: self.start,
            before: window,
            changed: changed(&tightened, &given.documents),
            made,
            replayed,
            links: prevented,
            beside,
            more_beside,
        }))
    }

    /// The loose rules that let links pass, where no other rule does: all of them have to be
    /// narrowed for any of it to be stopped.
    fn behind(&self, plan: &Plan, links: &[&Link]) -> Result<BTreeSet<u32>, CommandError> {
        let fits = Arc::<Fits>::default();
        let (policies, shared) = (self.policies.clone(), fits.clone());
        let bar = progress::bar(&self.since.inputs, !self.quiet);
        let (reading, pass, needed) = passing::read(
            &self.since,
            move || FitJudge::new(policies.clone(), &shared),
            Needed::new(fits, Arc::new(plan.rules()), Arc::new(History::new(false))),
            &bar,
            self.interrupt,
        );
        bar.finish_and_clear();
        passing::whole(&reading)?;
        let is_one = |one: &Use| {
            links.iter().any(|link| {
                (&one.client, &one.server) == (&link.client, &link.server)
                    && (one.port, one.protocol) == (link.port, link.protocol)
            })
        };
        let uses = needed.finish(pass.peers()).uses.into_iter();
        let of_links = uses.filter(|(_, uses)| uses.iter().any(is_one));
        Ok(of_links.map(|(rule, _)| rule).collect())
    }

    /// Policies for workloads about which none decides.
    fn suggest(
        &self,
        open: &BTreeSet<(Arc<str>, Arc<str>, crate::policy::Direction)>,
    ) -> Result<Suggested, CommandError> {
        let mut directions: Vec<_> = open.iter().map(|(.., direction)| *direction).collect();
        directions.sort();
        directions.dedup();
        let ask = Ask {
            workloads: open
                .iter()
                .map(|(namespace, name, _)| (namespace.clone(), name.clone()))
                .collect(),
            direction: match directions.as_slice() {
                [only] => Some(*only),
                _ => None,
            },
            http: true,
            ..Ask::default()
        };
        let making = Making {
            ask: &ask,
            given: &self.before.given,
            policies: &self.policies,
            documents: &self.before.cron_jobs,
            from_scratch: false,
        };
        making.suggest(&self.learning, self.quiet, self.interrupt)
    }

    /// What policies would be made of.
    fn head(&self, tightened: &Tightened, drafts: &[&Draft]) -> Result<Given, CommandError> {
        let texts: Texts = tightened
            .files
            .iter()
            .map(|(file, _, after)| (file.clone(), after.clone()))
            .collect();
        let mut given = self.before.given.clone();
        given.documents =
            narrow::documents(&given.documents, &texts).map_err(CommandError::failed)?;
        given
            .documents
            .extend(suggest::documents(drafts).map_err(CommandError::failed)?);
        Ok(given)
    }

    /// Policies to be tried on flows that were recorded under those that are there.
    fn beside(&self, given: Given) -> Policies {
        Policies::new(given).beside(&self.policies.any_set())
    }

    /// The time since, under both.
    fn simulate(
        &self,
        base: &Arc<Policies>,
        head: &Arc<Policies>,
    ) -> Result<Simulation, CommandError> {
        let cases = Arc::<Cases>::default();
        let (base, head, shared) = (base.clone(), head.clone(), cases.clone());
        let bar = progress::bar(&self.since.inputs, !self.quiet);
        let (reading, pass, gatherer) = passing::read(
            &self.since,
            move || PairJudge::new(base.clone(), head.clone(), shared.clone()),
            Gatherer::new(cases),
            &bar,
            self.interrupt,
        );
        bar.finish_and_clear();
        passing::whole(&reading)?;
        Ok(gatherer.finish(reading, pass.peers(), Simulation::default()))
    }
}

/// What of the time before would not be as it was; `None` where all of it is.
fn breaks(replayed: &Replayed) -> Option<String> {
    let broken = replayed.broken.iter().find(|one| !one.before);
    if let Some(one) = broken {
        return Some(format!(
            "it would deny {} -> {}:{}, which was used before",
            one.client, one.server, one.port
        ));
    }
    if replayed.newly_allowed > 0 {
        return Some("it lets something pass that was denied".to_owned());
    }
    (replayed.newly_undecided > 0 || replayed.more_broken > 0)
        .then(|| "whether all that was used before would pass cannot be told".to_owned())
}
