//! Which found incident is about which that was.
//!
//! Owns the rule: their times overlap, and the finding names the foothold, or its own subject
//! is one of few targets. A finding of somebody else that merely talks to a target is not
//! about the incident; neither is one about a target of a sweep over the whole cluster.

use super::ScoreOptions;
use super::party::Party;
use super::read::{Found, OneFinding, TruthFile, Was, WasChange};

/// Targets of an incident, at most, so that a finding about one of them counts.
const FEW: usize = 8;
/// Before an incident a finding of it cannot begin, but ticks are a minute long.
const EARLY: i64 = 60_000_000_000;
/// How long after a change something is put down to it.
const AFTERMATH: i64 = 3_600_000_000_000;

/// A finding of a found incident that is about one that was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit<'a> {
    /// When it was told.
    pub(super) told: i64,
    pub(super) detector: &'a str,
}

/// What of a found incident is about one that was: nothing where it is about something else.
pub(super) fn hits<'a>(found: &'a Found, was: &Was, options: &ScoreOptions) -> Vec<Hit<'a>> {
    let from = was.start.saturating_sub(EARLY);
    let until = was.end.saturating_add(options.grace);
    let overlaps = |first: i64, last: i64| first <= until && last >= from;
    if !overlaps(found.first, found.last) {
        return Vec::new();
    }
    let about = |finding: &&OneFinding| {
        overlaps(finding.first, finding.last)
            && names(was, finding.subject.as_ref(), finding.peer.as_ref())
    };
    let hits = found.findings.iter().filter(about).map(|finding| Hit {
        told: finding.told,
        detector: &finding.detector,
    });
    let mut hits: Vec<Hit<'a>> = hits.collect();
    let subjects = &found.subjects;
    // A file without the findings of an incident has its subjects.
    if found.findings.is_empty() && subjects.iter().any(|one| names(was, Some(one), None)) {
        hits.push(Hit {
            told: found.last,
            detector: "",
        });
    }
    hits
}

fn names(was: &Was, subject: Option<&Party>, peer: Option<&Party>) -> bool {
    let foothold = |party: &Party| party.is_same(&was.subject);
    let target = |party: &Party| {
        let few = was.peers.len() <= FEW;
        few && party.is_somebody() && was.peers.iter().any(|peer| peer.is_same(party))
    };
    subject.is_some_and(|party| foothold(party) || target(party)) || peer.is_some_and(foothold)
}

/// The change that a false alarm is put down to: one of its subject, else one of nobody in
/// particular.
pub(super) fn change<'a>(found: &Found, truth: &'a TruthFile) -> Option<&'a WasChange> {
    let during = |change: &&WasChange| {
        let until = change.end.max(change.at).saturating_add(AFTERMATH);
        found.first <= until && found.last >= change.at.saturating_sub(EARLY)
    };
    let about = |change: &&WasChange| {
        let subject = change.subject.as_ref();
        subject.is_some_and(|subject| {
            let parties = found.findings.iter();
            let mut parties = parties
                .flat_map(|one| [one.subject.as_ref(), one.peer.as_ref()])
                .flatten()
                .chain(&found.subjects);
            parties.any(|party| party.is_same(subject))
        })
    };
    let vague = |change: &&WasChange| {
        let subject = change.subject.as_ref();
        subject.is_none_or(|subject| matches!(subject, Party::Other(_)))
    };
    let changes = || truth.changes.iter().filter(during);
    changes().find(about).or_else(|| changes().find(vague))
}
