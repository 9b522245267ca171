//! Rules narrowed and replayed, in rounds, until nothing accepted breaks.
//!
//! Owns the rounds and the passes they take, for whoever wants rules narrowed: `policy
//! tighten`, and the improvement of an incident bundle. What is narrowed, and to what, is
//! `review::tighten`'s. Writes no files.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use super::learning::{Learning, Noting, window};
use crate::cli::error::CommandError;
use crate::cli::signal::Interrupt;
use crate::engine::{Given, Policies};
use crate::manifest::{Document, STDIN};
use crate::review::observed::Notes;
use crate::review::suggest::Replayed;
use crate::review::tighten::{
    Edited, FitJudge, Fits, Needed, Plan, Texts, Tightened, documents, edit, too_narrow,
};

/// Rounds of taking back what was narrowed too far; after them everything is.
const ROUNDS: usize = 5;

/// Narrows the rules of a plan to what accepted connections needed, and replays; `policies`
/// are made of what was given.
///
/// # Errors
/// [`CommandError`] for what cannot be read, and when it was interrupted.
pub(in crate::cli) fn tighten(
    learning: &Learning,
    (given, policies): (&Given, &Arc<Policies>),
    plan: &Plan,
    quiet: bool,
    interrupt: &Interrupt,
) -> Result<Tightened, CommandError> {
    let texts = texts(&given.documents);
    let fits = Arc::<Fits>::default();
    let notes = Notes::default();
    let (judged, shared, noting) = (policies.clone(), fits.clone(), notes.clone());
    let (reading, pass, needed) = learning.read(
        move || Noting::new(FitJudge::new(judged.clone(), &shared), &noting),
        Needed::new(fits, Arc::new(plan.rules()), learning.history.clone()),
        quiet,
        interrupt,
    )?;
    let need = plan.gathered(needed.finish(pass.peers()));
    let cluster = notes.cluster();
    let directory = notes.directory(policies, cluster.as_deref());
    let cluster = cluster.unwrap_or_default();
    let around = (&given.documents[..], &**policies, &directory);
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
        let edited = edit(&texts, &given.documents, &narrowings, &without);
        let replayed = if edited.narrowed.is_empty() {
            Replayed::default()
        } else {
            let head = Arc::new(head(given, policies, &edited.texts)?);
            learning.replay(policies, &head, quiet, interrupt)?
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

/// The policies with edited files in the place of those that are there.
///
/// # Errors
/// [`CommandError`] where an edited file does not read back.
pub(in crate::cli) fn head(
    given: &Given,
    policies: &Policies,
    texts: &Texts,
) -> Result<Policies, CommandError> {
    let mut given = given.clone();
    given.documents = documents(&given.documents, texts).map_err(CommandError::failed)?;
    Ok(Policies::new(given).beside(&policies.any_set()))
}

fn breaks(replayed: &Replayed) -> bool {
    replayed.broken.iter().any(|one| !one.before)
}

/// The texts of the files that documents are of; one that cannot be read any more has none,
/// and its rules are left alone.
fn texts(documents: &[Document]) -> Texts {
    let mut texts = Texts::new();
    for document in documents {
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
