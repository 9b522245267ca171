//! Looking for what can go, rule by rule and part by part.
//!
//! Owns the order: of two that say the same the later one goes, and nothing leans on what goes
//! already. Whether something is covered is `proof`'s.

use std::collections::{BTreeMap, BTreeSet};

use super::proof::{Lost, Prover};
use super::{Superfluous, Why, Witness};
use crate::policy::{
    HttpRule, KafkaRule, L7Rules, Options, Piece, PolicyEntry, PolicySet, WrittenPart, WrittenRule,
};

/// What was found so far.
pub(super) struct Search<'a> {
    set: &'a PolicySet,
    rules: &'a [WrittenRule],
    /// What goes already: nothing leans on it.
    gone: BTreeSet<Piece>,
    prover: Prover<'a>,
    not_compared: BTreeMap<&'static str, u64>,
    found: Vec<Found>,
}

/// Something that can go.
pub(super) struct Found {
    rule: usize,
    part: Option<(&'static str, usize)>,
    why: Why,
    /// Rules by index.
    witnesses: BTreeSet<usize>,
    /// The part of the same rule that is as wide by itself.
    beside: Option<usize>,
}

impl<'a> Search<'a> {
    /// Nothing is found yet.
    pub(super) fn new(set: &'a PolicySet, rules: &'a [WrittenRule], options: &'a Options) -> Self {
        Self {
            set,
            rules,
            gone: BTreeSet::new(),
            prover: Prover::new(set, options),
            not_compared: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    /// All that was found, and rules that were not compared, by why.
    pub(super) fn finish(self) -> (Vec<Found>, BTreeMap<&'static str, u64>) {
        (self.found, self.not_compared)
    }

    pub(super) fn whole(&mut self, at: usize) {
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

    pub(super) fn parts(&mut self, at: usize) {
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
        rule.entries_in(self.set)
    }
}

impl Found {
    pub(super) fn shown(self, set: &PolicySet, rules: &[WrittenRule]) -> Option<Superfluous> {
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
