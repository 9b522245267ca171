//! An incident while it grows.
//!
//! Owns its members, its score, its title and its steps, and when it is worth telling again.
//! What joins it is `correlate`'s.

use std::collections::{BTreeMap, BTreeSet};

use super::kind::{KindInfo, Tactic};
use super::party::Party;
use super::record::{Alert, Incident, Step, VERSION};
use super::severity::{ANCHOR, LEARNING, Severity, Term, anchor, significant, sum, unmoved};
use crate::baseline::Anchors;
use crate::baseline::stat::cauchy;

/// Findings of one incident; beyond, the weakest are only counted.
const MOST_MEMBERS: usize = 256;
/// Points for several steps, and for three or four that follow each other as in an attack.
const SEQUENCE: [f64; 3] = [0.5, 1.5, 2.5];
/// It is told again when p falls by this factor.
const AGAIN: f64 = 10.0;
/// Kinds named in a title.
const NAMED: usize = 4;

/// What an incident keeps of a finding.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) kind: &'static KindInfo,
    /// That of the kind.
    pub(super) tactic: Tactic,
    pub(super) subject: Party,
    pub(super) peer: Option<Party>,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) p: f64,
    pub(super) score: f64,
    pub(super) terms: Vec<Term>,
    pub(super) title: String,
    pub(super) suppressed: bool,
}

/// An incident that may still grow.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) id: String,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) members: BTreeMap<String, Member>,
    more: u64,
    anchors: Anchors,
    /// What was last told of it.
    told: Option<Told>,
    pub(super) alert: Alert,
    revision: u32,
    /// Something changed since it was last given out.
    pub(super) dirty: bool,
}

#[derive(Clone, Debug)]
struct Told {
    p: f64,
    attack: BTreeSet<&'static str>,
}

/// Its score and what that is made of.
#[derive(Clone, Debug)]
pub(super) struct Scored {
    pub(super) p: f64,
    pub(super) terms: Vec<Term>,
    pub(super) score: f64,
}

impl Open {
    pub(super) fn new(id: String, member: Member) -> Self {
        let mut one = Self {
            id,
            first: member.first,
            last: member.last,
            members: BTreeMap::new(),
            more: 0,
            anchors: Anchors::BY_HAND,
            told: None,
            alert: Alert::Quiet,
            revision: 0,
            dirty: true,
        };
        one.add(member);
        one
    }

    /// The same, with severities by these anchors.
    pub(super) fn anchored(mut self, anchors: Anchors) -> Self {
        self.anchors = anchors;
        self
    }

    /// Takes a finding, or what became of one it has.
    pub(super) fn add(&mut self, member: Member) {
        self.first = self.first.min(member.first);
        self.last = self.last.max(member.last);
        self.dirty = true;
        self.members.insert(member.id.clone(), member);
        if self.members.len() > MOST_MEMBERS {
            let weakest = self
                .members
                .values()
                .min_by(|one, other| {
                    one.score
                        .total_cmp(&other.score)
                        .then_with(|| other.first.cmp(&one.first))
                })
                .map(|member| member.id.clone());
            if let Some(id) = weakest {
                self.members.remove(&id);
                self.more += 1;
            }
        }
    }

    /// Takes all of another incident, which is the same story.
    pub(super) fn absorb(&mut self, other: Self) {
        self.more += other.more;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.revision = self.revision.max(other.revision);
        if self.told.is_none() {
            (self.told, self.alert) = (other.told, other.alert);
        }
        for member in other.members.into_values() {
            self.add(member);
        }
    }

    /// Everybody who joins findings to it.
    pub(super) fn parties(&self) -> BTreeSet<&Party> {
        self.members
            .values()
            .flat_map(|member| std::iter::once(&member.subject).chain(&member.peer))
            .filter(|party| !party.is_general())
            .collect()
    }

    pub(super) fn is_subject(&self, party: &Party) -> bool {
        self.members.values().any(|member| member.subject == *party)
    }

    pub(super) fn is_peer(&self, party: &Party) -> bool {
        self.members
            .values()
            .any(|member| member.peer.as_ref() == Some(party))
    }

    /// Whether a member about somebody is of an attack, or is not.
    pub(super) fn has_like(&self, attack: bool, about: &Party) -> bool {
        self.members.values().any(|member| {
            (member.tactic > Tactic::Change) == attack
                && (member.subject == *about || member.peer.as_ref() == Some(about))
        })
    }

    pub(super) fn severity(&self) -> Severity {
        Severity::of(self.scored().score)
    }

    /// Whether all of it is meant.
    pub(super) fn is_suppressed(&self) -> bool {
        self.members.values().all(|member| member.suppressed)
    }

    /// Its score: its findings combined, the surroundings of the one that leads, and whether
    /// the steps follow each other. Suppressed findings count where all are.
    pub(super) fn scored(&self) -> Scored {
        let counted = self.counted();
        let p = significant(cauchy(
            &counted.iter().map(|member| member.p).collect::<Vec<_>>(),
        ));
        let mut terms = vec![Term::new("combined", -p.log10())];
        let Some(leading) = self.leading() else {
            return Scored {
                p,
                score: sum(&terms),
                terms,
            };
        };
        let own = ["surprise", "calibrated", ANCHOR, LEARNING];
        let around = leading.terms.iter();
        let around = around.filter(|term| !own.contains(&&*term.name));
        terms.extend(around.cloned());
        let missing = unmoved(&leading.terms) - sum(&terms);
        if missing > 0.0 {
            terms.push(Term::new("worst-finding", missing));
        }
        let steps = sequence(&counted);
        if steps > 1 {
            terms.push(Term::new(
                "sequence",
                SEQUENCE[(steps - 2).min(SEQUENCE.len() - 1)],
            ));
        }
        terms.extend(anchor(sum(&terms), self.anchors));
        let learning = leading.terms.iter().find(|term| term.name == LEARNING);
        terms.extend(learning.cloned());
        Scored {
            p,
            score: sum(&terms),
            terms,
        }
    }

    /// Whether it is worth telling again: p fell by ten, or another technique came.
    pub(super) fn is_news(&self, p: f64) -> bool {
        self.told
            .as_ref()
            .is_none_or(|told| p * AGAIN <= told.p || !self.attack().is_subset(&told.attack))
    }

    /// Notes that it is told.
    pub(super) fn tell(&mut self, p: f64) {
        if self.told.is_some() {
            self.revision += 1;
        }
        self.told = Some(Told {
            p,
            attack: self.attack(),
        });
        self.alert = Alert::Raised;
    }

    /// Whether anybody was told.
    pub(super) fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// As it is written down.
    pub(super) fn incident(&self) -> Incident {
        let scored = self.scored();
        let members = self.by_time();
        let mut subjects: Vec<Party> = Vec::new();
        let mut steps: Vec<(&str, Step)> = Vec::new();
        for member in &members {
            if !subjects.contains(&member.subject) {
                subjects.push(member.subject.clone());
            }
            if !steps.iter().any(|(kind, _)| *kind == member.kind.name) {
                let step = Step {
                    stage: member.tactic,
                    at: member.first,
                    finding: member.id.clone(),
                };
                steps.push((member.kind.name, step));
            }
        }
        Incident {
            version: VERSION,
            id: self.id.clone(),
            severity: Severity::of(scored.score),
            score: scored.score,
            terms: scored.terms,
            p: scored.p,
            first: self.first,
            last: self.last,
            title: self.title(),
            subjects,
            stages: steps.into_iter().map(|(_, step)| step).collect(),
            findings: members.iter().map(|member| member.id.clone()).collect(),
            attack: self.attack().into_iter().map(str::to_owned).collect(),
            alert: self.alert,
            revision: self.revision,
            more: self.more,
            merged: None,
        }
    }

    /// What leads: the highest score, the earliest of those.
    fn leading(&self) -> Option<&Member> {
        let counted = self.counted();
        counted.into_iter().max_by(|one, other| {
            one.score
                .total_cmp(&other.score)
                .then_with(|| other.first.cmp(&one.first))
                .then_with(|| other.id.cmp(&one.id))
        })
    }

    fn counted(&self) -> Vec<&Member> {
        let all = self.is_suppressed();
        self.members
            .values()
            .filter(|member| all || !member.suppressed)
            .collect()
    }

    fn by_time(&self) -> Vec<&Member> {
        let mut members: Vec<&Member> = self.members.values().collect();
        // Of one time, the lower detector first: what is new before what it came to.
        let order = |kind: &'static KindInfo| (kind.detector.len(), kind.detector);
        members.sort_by_key(|member| {
            let kind = order(member.kind);
            (member.first, member.tactic, kind, &member.id)
        });
        members
    }

    fn attack(&self) -> BTreeSet<&'static str> {
        self.counted()
            .iter()
            .flat_map(|member| member.kind.attack)
            .copied()
            .collect()
    }

    /// Of one kind: what its leading finding says. Of several: who, and what in which order.
    fn title(&self) -> String {
        let Some(leading) = self.leading() else {
            return String::new();
        };
        let mut phrases: Vec<&str> = Vec::new();
        for member in self.by_time() {
            if !phrases.contains(&member.kind.phrase) {
                phrases.push(member.kind.phrase);
            }
        }
        let subjects: BTreeSet<&Party> = self
            .members
            .values()
            .map(|member| &member.subject)
            .collect();
        let others = match subjects.len() {
            0 | 1 => String::new(),
            2 => " and one other".to_owned(),
            count => format!(" and {} others", count - 1),
        };
        if phrases.len() == 1 {
            let title = &leading.title;
            return if others.is_empty() {
                title.clone()
            } else {
                format!("{title};{others}")
            };
        }
        let named = phrases.len().min(NAMED);
        let rest = match phrases.len() - named {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let list = match (&phrases[..named], rest.is_empty()) {
            ([all @ .., last], true) => format!("{}, then {last}", all.join(", then ")),
            (all, _) => all.join(", then "),
        };
        format!("{}{others}: {list}{rest}", leading.subject)
    }
}

/// How many steps follow each other as those of an attack: the longest run of tactics that
/// rise with time; two where there are several in another order.
fn sequence(members: &[&Member]) -> usize {
    let mut by_time: Vec<&&Member> = members
        .iter()
        .filter(|member| member.tactic > Tactic::Change)
        .collect();
    by_time.sort_by_key(|member| (member.first, member.tactic));
    // The longest run that ends with a tactic.
    let mut runs: BTreeMap<Tactic, usize> = BTreeMap::new();
    for member in by_time {
        let before = runs
            .range(..member.tactic)
            .map(|(_, run)| *run)
            .max()
            .unwrap_or(0);
        let run = runs.entry(member.tactic).or_default();
        *run = (*run).max(before + 1);
    }
    let several = runs.len().min(2);
    runs.into_values().max().unwrap_or(0).max(several)
}

#[cfg(test)]
impl Member {
    /// A member with a score of 6.
    pub(super) fn testing(
        id: String,
        kind: &'static KindInfo,
        subject: Party,
        peer: Option<Party>,
        first: i64,
    ) -> Self {
        let target = peer.as_ref().map(ToString::to_string);
        Self {
            id,
            kind,
            tactic: kind.tactic,
            title: kind.title(&subject, target.as_deref()),
            subject,
            peer,
            first,
            last: first,
            p: 1e-6,
            score: 6.0,
            terms: vec![Term::new("surprise", 6.0)],
            suppressed: false,
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of few digits, exact in binary")]
mod tests;
