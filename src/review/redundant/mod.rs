//! Rules, and parts of rules, that change nothing: others say the same, or more, or deny all
//! that they allow.
//!
//! Owns which of them can go together, with the witness for each. The proof (`proof`) is over
//! what selectors ask for, so it holds for anybody there could be, and not only for who is
//! known; what it finds is held against the compiled policies as well (`check`). Of what is
//! not named nothing is claimed.

mod check;
mod proof;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::Policies;
use crate::policy::{
    HttpRule, KafkaRule, L7Rules, ObjectId, Options, Piece, PolicyEntry, PolicySet, WrittenPart,
    WrittenRule, written,
};
use proof::{Lost, Prover};

/// Why something changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// A deny covers all that it allows.
    Contradictory,
    /// Another one says the same.
    Duplicate,
    /// Others allow, or deny, all of it and more.
    Shadowed,
}

/// What makes something superfluous.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Witness {
    /// The object it is of.
    pub policy: ObjectId,
    /// File of the object.
    pub file: Arc<str>,
    /// `spec.ingress[0]`
    pub path: String,
    /// Line of the rule.
    pub line: u32,
    /// It denies.
    pub deny: bool,
}

/// Something that can go.
#[derive(Clone, Debug, PartialEq)]
pub struct Superfluous {
    /// The object it is of.
    pub policy: ObjectId,
    /// File of the object.
    pub file: Arc<str>,
    /// The rule, as it is written.
    pub rule: WrittenRule,
    /// Which of its parts, with the kind of part; `None` where it is all of it.
    pub part: Option<(&'static str, usize)>,
    /// Why.
    pub why: Why,
    /// By what.
    pub witnesses: Vec<Witness>,
    /// The part beside it that is as wide by itself, and its line.
    pub beside: Option<(String, u32)>,
}

/// All that can go.
#[derive(Debug, Default)]
pub struct Redundant {
    /// Rules that were looked at.
    pub looked_at: u64,
    /// What can go, all of it together: in the order of files.
    pub found: Vec<Superfluous>,
    /// Rules that were not compared, and why.
    pub not_compared: BTreeMap<&'static str, u64>,
    /// Policies that are not looked at: refused, of unknown namespace.
    pub left_out: u64,
    /// Questions that were asked of the compiled policies with and without all of it.
    pub questions: u64,
    /// Claims that these did not bear out: dropped.
    pub dropped: u64,
    /// Pods and addresses in these questions.
    pub people: u64,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Contradictory, Self::Duplicate, Self::Shadowed];

    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contradictory => "contradictory",
            Self::Duplicate => "duplicate",
            Self::Shadowed => "shadowed",
        }
    }
}

impl Superfluous {
    /// As pieces of entries.
    #[must_use]
    pub fn pieces(&self) -> BTreeSet<Piece> {
        match self.part {
            None => self.rule.pieces().collect(),
            Some((_, index)) => self
                .rule
                .parts()
                .nth(index)
                .map(|(_, part)| part.pieces.iter().copied().collect())
                .unwrap_or_default(),
        }
    }

    /// Line of what can go.
    #[must_use]
    pub fn line(&self) -> u32 {
        let part = self
            .part
            .and_then(|(_, index)| self.rule.parts().nth(index));
        part.map_or(self.rule.at.line, |(_, part)| part.at.line)
    }
}

impl Redundant {
    /// What of policies can go without a change of any verdict.
    #[must_use]
    pub fn of(policies: &Policies) -> Self {
        let set = policies.any_set();
        let rules = written(&set, policies.documents());
        let options = policies.options_of(None);
        let mut redundant = Self::among(&set, &rules, &options);
        let rejected = set
            .objects
            .iter()
            .filter(|object| object.rejection.is_some());
        let floating: BTreeSet<&ObjectId> =
            set.floating.iter().map(|floating| &floating.id).collect();
        redundant.left_out = (rejected.count() + floating.len()) as u64;
        let known: Vec<_> = policies
            .inventory()
            .workloads
            .iter()
            .filter_map(|workload| {
                policies
                    .inventory()
                    .identity(workload, &options.cluster_name)
            })
            .collect();
        check::hold(&mut redundant, &set, &options, known);
        redundant
    }

    /// What the proof finds, before it is held against the compiled policies.
    pub(in crate::review) fn among(
        set: &PolicySet,
        rules: &[WrittenRule],
        options: &Options,
    ) -> Self {
        let mut search = Search {
            set,
            rules,
            gone: BTreeSet::new(),
            prover: Prover::new(set, options),
            not_compared: BTreeMap::new(),
            found: Vec::new(),
        };
        // Of two that say the same the later one goes.
        for at in (0..rules.len()).rev() {
            search.whole(at);
        }
        for at in (0..rules.len()).rev() {
            search.parts(at);
        }
        let Search {
            found,
            not_compared,
            ..
        } = search;
        let mut found: Vec<Superfluous> = found
            .into_iter()
            .filter_map(|found| found.shown(set, rules))
            .collect();
        found.sort_by(|one, other| {
            (&one.file, one.line(), &one.policy, one.part).cmp(&(
                &other.file,
                other.line(),
                &other.policy,
                other.part,
            ))
        });
        Self {
            looked_at: rules.len() as u64,
            found,
            not_compared,
            ..Self::default()
        }
    }

    /// All of it as pieces of entries.
    #[must_use]
    pub fn pieces(&self) -> BTreeSet<Piece> {
        self.found.iter().flat_map(Superfluous::pieces).collect()
    }

    /// How many of a kind.
    #[must_use]
    pub fn count(&self, why: Why) -> u64 {
        self.found.iter().filter(|one| one.why == why).count() as u64
    }
}

struct Search<'a> {
    set: &'a PolicySet,
    rules: &'a [WrittenRule],
    /// What goes already: nothing leans on it.
    gone: BTreeSet<Piece>,
    prover: Prover<'a>,
    not_compared: BTreeMap<&'static str, u64>,
    found: Vec<Found>,
}

struct Found {
    rule: usize,
    part: Option<(&'static str, usize)>,
    why: Why,
    /// Rules by index.
    witnesses: BTreeSet<usize>,
    /// The part of the same rule that is as wide by itself.
    beside: Option<usize>,
}

impl Search<'_> {
    fn whole(&mut self, at: usize) {
        let rule = &self.rules[at];
        let entries: Vec<&PolicyEntry> = self.entries(rule).collect();
        if entries.iter().any(|entry| entry.service_missing) {
            *self.not_compared.entry("services not given").or_default() += 1;
            return;
        }
        let gone: BTreeSet<Piece> = rule.pieces().collect();
        let lost: Vec<Lost> = rule
            .entries
            .iter()
            .map(|entry| Lost::Entry(*entry))
            .collect();
        let isolation = rule.isolation;
        let Some(mut leans) = self.prove(&lost, &gone) else {
            return;
        };
        // The subjects have to stay cut off as they are.
        let mut cutting = BTreeSet::new();
        for index in &rule.entries {
            let entry = self.set.entries.get(*index as usize);
            if !entry.is_some_and(|entry| entry.default_deny) {
                if isolation {
                    return;
                }
                continue;
            }
            let others = self
                .prover
                .cut_off(*index, &rule.entries, isolation, &self.gone);
            let leant = others.iter().find(|other| {
                leans.contains(&(**other, true)) || leans.contains(&(**other, false))
            });
            let Some(other) = leant.or(others.first()) else {
                return;
            };
            cutting.insert(*other);
        }
        if isolation {
            leans.extend(cutting.iter().map(|other| (*other, false)));
        }
        if leans.is_empty() {
            return;
        }
        self.keep(at, None, gone, &leans, &cutting);
    }

    fn parts(&mut self, at: usize) {
        let rule = &self.rules[at];
        let is_gone = |piece: &Piece| self.gone.contains(&Piece::Entry(piece.entry()));
        if rule.pieces().all(|piece| is_gone(&piece))
            || self.entries(rule).any(|entry| entry.service_missing)
        {
            return;
        }
        let parts: Vec<(&'static str, BTreeSet<Piece>)> = rule
            .parts()
            .map(|(kind, part)| (kind, part.pieces.iter().copied().collect()))
            .collect();
        for kind in ["peer", "port", "request rule"] {
            let of_kind = |(other, _): &&(&'static str, BTreeSet<Piece>)| *other == kind;
            if parts.iter().filter(of_kind).count() < 2 {
                continue;
            }
            for index in (0..parts.len()).rev() {
                let (of, gone) = &parts[index];
                if *of != kind || gone.iter().any(|piece| self.gone.contains(piece)) {
                    continue;
                }
                // A list that is left without an item would mean something else.
                let stay = parts
                    .iter()
                    .filter(of_kind)
                    .filter(|(_, pieces)| !pieces.iter().all(|piece| self.gone.contains(piece)));
                if stay.count() < 2 {
                    break;
                }
                self.part(at, (kind, index), gone.clone());
            }
        }
    }

    fn part(&mut self, at: usize, part: (&'static str, usize), gone: BTreeSet<Piece>) {
        if part.0 == "request rule" {
            if self.is_said_beside(&gone) {
                let leans = self.rules[at]
                    .entries
                    .iter()
                    .map(|entry| (*entry, false))
                    .collect();
                self.keep(at, Some(part), gone, &leans, &BTreeSet::new());
            }
            return;
        }
        let lost: Vec<Lost> = gone
            .iter()
            .filter_map(|piece| match *piece {
                Piece::Entry(entry) => Some(Lost::Entry(entry)),
                Piece::Peer { entry, index } => Some(Lost::Peer(entry, index)),
                Piece::Port { entry, rule, index } => Some(Lost::Port(entry, rule, index)),
                Piece::Request { .. } => None,
            })
            .collect();
        if let Some(leans) = self.prove(&lost, &gone)
            && !leans.is_empty()
        {
            self.keep(at, Some(part), gone, &leans, &BTreeSet::new());
        }
    }

    /// What all that is lost leans on: entries, and whether each denies.
    fn prove(&mut self, lost: &[Lost], gone: &BTreeSet<Piece>) -> Option<BTreeSet<(u32, bool)>> {
        let mut all = self.gone.clone();
        all.extend(gone);
        let mut leans = BTreeSet::new();
        for one in lost {
            leans.extend(self.prover.covered(*one, &all)?);
        }
        if self.prover.is_exhausted() {
            *self.not_compared.entry("too many to compare").or_default() += 1;
            return None;
        }
        Some(leans)
    }

    /// Whether a rule of layer 7 is in its list again, or beside one that lets all pass.
    fn is_said_beside(&self, gone: &BTreeSet<Piece>) -> bool {
        gone.iter().all(|piece| {
            let Piece::Request { entry, rule, index } = *piece else {
                return false;
            };
            let list = self
                .set
                .entries
                .get(entry as usize)
                .and_then(|entry| entry.ports.get(rule as usize)?.l7.as_ref());
            let stays = |other: u32| {
                let piece = Piece::Request {
                    entry,
                    rule,
                    index: other,
                };
                other != index && !self.gone.contains(&piece)
            };
            list.is_some_and(|list| is_among(list, index as usize, stays))
        })
    }

    fn keep(
        &mut self,
        at: usize,
        part: Option<(&'static str, usize)>,
        gone: BTreeSet<Piece>,
        leans: &BTreeSet<(u32, bool)>,
        cutting: &BTreeSet<u32>,
    ) {
        let rule_of = |entry: &u32| {
            let mut rules = self.rules.iter();
            rules.position(|rule| rule.entries.contains(entry))
        };
        let mut witnesses: BTreeSet<usize> = leans
            .iter()
            .filter_map(|(entry, _)| rule_of(entry))
            .collect();
        let deny = self.rules[at].deny;
        let why = if !deny && leans.iter().all(|(_, denies)| *denies) {
            Why::Contradictory
        } else if self.says_the_same(at, part, &witnesses) {
            Why::Duplicate
        } else {
            Why::Shadowed
        };
        witnesses.extend(cutting.iter().filter_map(rule_of));
        let beside = part
            .filter(|_| witnesses.iter().eq([&at]))
            .and_then(|(kind, index)| self.beside(at, kind, index));
        self.gone.extend(gone);
        self.found.push(Found {
            rule: at,
            part,
            why,
            witnesses,
            beside,
        });
    }

    /// The part of a rule that covers another one of it by itself.
    fn beside(&mut self, at: usize, kind: &str, index: usize) -> Option<usize> {
        let parts: Vec<(&str, &WrittenPart)> = self.rules[at].parts().collect();
        let (_, own) = parts.get(index)?;
        let stays = |part: &WrittenPart| !part.pieces.iter().all(|piece| self.gone.contains(piece));
        (0..parts.len()).find(|other| {
            let (of, part) = parts[*other];
            *other != index
                && of == kind
                && stays(part)
                && own.pieces.iter().all(|piece| {
                    part.pieces
                        .iter()
                        .any(|wide| self.prover.is_piece_within(*piece, *wide))
                })
        })
    }

    fn says_the_same(
        &self,
        at: usize,
        part: Option<(&'static str, usize)>,
        witnesses: &BTreeSet<usize>,
    ) -> bool {
        let mut witnesses = witnesses.iter();
        let (Some(only), None) = (witnesses.next(), witnesses.next()) else {
            return false;
        };
        let (one, other) = (&self.rules[at], &self.rules[*only]);
        match part {
            None => {
                let meaning = |rule: &WrittenRule| -> Vec<String> {
                    let mut texts: Vec<String> = self.entries(rule).map(meaning).collect();
                    texts.sort();
                    texts
                };
                meaning(one) == meaning(other)
            }
            Some((_, index)) => {
                let text = one.parts().nth(index).map(|(_, part)| &part.text);
                let stays =
                    |part: &WrittenPart| !part.pieces.iter().all(|piece| self.gone.contains(piece));
                at == *only
                    && one.parts().enumerate().any(|(place, (_, part))| {
                        place != index && Some(&part.text) == text && stays(part)
                    })
            }
        }
    }

    fn entries<'b>(&'b self, rule: &'b WrittenRule) -> impl Iterator<Item = &'b PolicyEntry> {
        rule.entries
            .iter()
            .filter_map(|index| self.set.entries.get(*index as usize))
    }
}

impl Found {
    fn shown(self, set: &PolicySet, rules: &[WrittenRule]) -> Option<Superfluous> {
        let rule = &rules[self.rule];
        let object = set.objects.get(rule.object as usize)?;
        let witness = |at: usize| {
            let rule = &rules[at];
            let object = set.objects.get(rule.object as usize)?;
            Some(Witness {
                policy: object.id.clone(),
                file: object.file.clone(),
                path: rule.path.clone(),
                line: rule.at.line,
                deny: rule.deny,
            })
        };
        Some(Superfluous {
            policy: object.id.clone(),
            file: object.file.clone(),
            rule: rule.clone(),
            part: self.part,
            beside: self.beside.and_then(|index| {
                let (_, part) = rule.parts().nth(index)?;
                Some((part.text.clone(), part.at.line))
            }),
            why: self.why,
            witnesses: self.witnesses.into_iter().filter_map(witness).collect(),
        })
    }
}

/// What an entry says, without where and by whom, with lists in one order.
fn meaning(entry: &PolicyEntry) -> String {
    let peers = entry.peers.as_ref().map(|peers| {
        let mut peers = peers.clone();
        peers.sort();
        peers
    });
    let mut ports: Vec<String> = entry
        .ports
        .iter()
        .map(|rule| {
            let mut ports: Vec<String> = rule.ports.iter().map(ToString::to_string).collect();
            ports.sort();
            let proxy = (
                &rule.l7,
                &rule.server_names,
                &rule.listener,
                &rule.terminating_tls,
                &rule.originating_tls,
            );
            format!("{ports:?} {proxy:?}")
        })
        .collect();
    ports.sort();
    format!(
        "{:?} {:?} {} {} {:?} {peers:?} {ports:?}",
        entry.subject, entry.direction, entry.deny, entry.default_deny, entry.auth
    )
}

/// Whether a list has an item again among those that stay, or one that lets all pass.
fn is_among(list: &L7Rules, index: usize, stays: impl Fn(u32) -> bool) -> bool {
    fn found<T: PartialEq>(
        list: &[T],
        index: usize,
        stays: impl Fn(u32) -> bool,
        all: impl Fn(&T) -> bool,
    ) -> bool {
        let Some(own) = list.get(index) else {
            return false;
        };
        (0_u32..)
            .zip(list)
            .any(|(at, other)| stays(at) && (other == own || all(other)))
    }
    match list {
        L7Rules::Http(rules) => found(rules, index, stays, |rule| *rule == HttpRule::default()),
        L7Rules::Dns(rules) => found(rules, index, stays, |rule| {
            rule.name.is_empty() && &*rule.pattern == "*"
        }),
        L7Rules::Kafka(rules) => found(rules, index, stays, |rule| *rule == KafkaRule::default()),
        L7Rules::Generic { rules, .. } => found(rules, index, stays, |_| false),
    }
}
