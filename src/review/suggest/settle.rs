//! Making, replaying and mending until nothing more breaks.
//!
//! Owns the rounds. How a recording is replayed is the caller's, who has it.

use std::sync::Arc;

use super::{Draft, Materials, Repairs, Replayed, Skipped, claims, drafts};
use crate::engine::Policies;
use crate::manifest::{self, Document};

/// Rounds of mending; what breaks after them is withheld.
const ROUNDS: usize = 4;

/// What came of the rounds.
#[derive(Debug, Default)]
pub struct Settled {
    /// Policies, those with nothing left included.
    pub drafts: Vec<Draft>,
    /// Whom none was made for.
    pub skipped: Vec<Skipped>,
    /// What each says of strangers, in the order of the policies.
    pub claims: Vec<[Option<super::Claim>; 2]>,
    /// What came of the last replay, under all of them.
    pub replayed: Replayed,
    /// Replays.
    pub rounds: usize,
}

/// Makes policies and replays them by `replay`, which gets those that say something and gives
/// the policies with them in force; what breaks is mended or withheld.
///
/// # Errors
/// That of `replay`.
pub fn settle<E>(
    materials: &Materials<'_>,
    mut replay: impl FnMut(&[&Draft]) -> Result<(Arc<Policies>, Replayed), E>,
) -> Result<Settled, E> {
    let mut repairs = Repairs::default();
    let mut rounds = 0;
    loop {
        let (made, skipped) = drafts(materials, &repairs);
        let kept: Vec<&Draft> = made.iter().filter(|draft| !draft.is_empty()).collect();
        let mut settled = Settled {
            skipped,
            rounds,
            ..Settled::default()
        };
        if kept.is_empty() {
            settled.claims = vec![[None, None]; made.len()];
            settled.drafts = made;
            return Ok(settled);
        }
        let (head, replayed) = replay(&kept)?;
        rounds += 1;
        if repairs.take(&replayed.broken, &made, rounds > ROUNDS) {
            continue;
        }
        let own: Vec<_> = kept.iter().map(|draft| draft.id.clone()).collect();
        settled.claims = made
            .iter()
            .map(|draft| claims(draft, &head, materials.directory, &own))
            .collect();
        (settled.drafts, settled.replayed, settled.rounds) = (made, replayed, rounds);
        return Ok(settled);
    }
}

/// The policies as objects, read back from what is printed.
///
/// # Errors
/// What does not read back: a mistake of whoever wrote it, not of what it was made of.
pub fn documents(drafts: &[&Draft]) -> Result<Vec<Document>, String> {
    let mut documents = Vec::new();
    for draft in drafts {
        let name = format!("{}/{}.yaml", draft.id.namespace, draft.id.name);
        let outcome = manifest::read(&draft.text(&[]), name.into());
        if let Some(error) = outcome.errors.first() {
            return Err(format!(
                "the policy made for {} does not read back: {error}",
                draft.id
            ));
        }
        documents.extend(outcome.documents);
    }
    Ok(documents)
}
