//! What each rule, and each part of one, was for.
//!
//! Owns the attribution: which rules a connection falls under, whether it passes only because
//! of one of them, and which might matter where a verdict is not known. What follows from
//! that is whoever's reads it.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::case::{RequestCase, SideCase};
use super::uses::{Doubt, MOST_PARTNERS, RuleUse, Share, Use};
use crate::policy::{
    Cause, Compiled, Piece, PolicyEntry, PolicySet, Question, Touch, Verdict, WrittenRule,
};
use crate::review::report::Seen;

/// Attributes connections to rules.
#[derive(Debug)]
pub(in crate::review) struct Tally<'a> {
    set: &'a PolicySet,
    written: &'a [WrittenRule],
    /// For each entry its rule.
    rules: Vec<usize>,
    parts: HashMap<Piece, usize, RandomState>,
    pub(in crate::review) uses: Vec<RuleUse>,
    covers: HashMap<(u32, Question, Option<Cause>), Arc<Covers>, RandomState>,
}

/// The rules that a connection falls under.
#[derive(Debug, Default)]
pub(in crate::review) struct Covers {
    pub(in crate::review) rules: Vec<Cover>,
    /// It would pass without any of them.
    pub(in crate::review) open: bool,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::review) struct Cover {
    /// Index of the rule.
    pub(in crate::review) rule: usize,
    pub(in crate::review) deny: bool,
    peers: Vec<usize>,
    ports: Vec<usize>,
    /// Ports of rules of layer 7, by entry and index.
    lists: Vec<(u32, u32)>,
    /// It hands connections to a proxy that may refuse requests.
    proxied: bool,
}

impl<'a> Tally<'a> {
    pub(in crate::review) fn new(set: &'a PolicySet, written: &'a [WrittenRule]) -> Self {
        let mut rules = vec![usize::MAX; set.entries.len()];
        let mut parts = HashMap::default();
        for (at, rule) in written.iter().enumerate() {
            for entry in &rule.entries {
                if let Some(slot) = rules.get_mut(*entry as usize) {
                    *slot = at;
                }
            }
            for (index, (_, part)) in rule.parts().enumerate() {
                parts.extend(part.pieces.iter().map(|piece| (*piece, index)));
            }
        }
        Self {
            set,
            written,
            rules,
            parts,
            uses: written
                .iter()
                .map(|rule| RuleUse {
                    parts: vec![Use::default(); rule.parts().count()],
                    ..RuleUse::default()
                })
                .collect(),
            covers: HashMap::default(),
        }
    }

    /// The rules that a connection falls under.
    pub(in crate::review) fn covers(
        &mut self,
        compiled: &Compiled,
        cluster: u32,
        question: &Question,
        cause: Option<Cause>,
    ) -> Arc<Covers> {
        let key = (cluster, *question, cause);
        if let Some(known) = self.covers.get(&key) {
            return Arc::clone(known);
        }
        let touches = compiled.touches(question, cause);
        let mut rules: Vec<Cover> = Vec::new();
        for touch in touches.entries {
            let Some(cover) = self.cover(&touch) else {
                continue;
            };
            match rules.iter_mut().find(|known| known.rule == cover.rule) {
                Some(known) => known.merge(cover),
                None => rules.push(cover),
            }
        }
        let covers = Arc::new(Covers {
            rules,
            open: touches.open,
        });
        self.covers.insert(key, Arc::clone(&covers));
        covers
    }

    fn cover(&self, touch: &Touch) -> Option<Cover> {
        let entry = self.set.entries.get(touch.entry as usize)?;
        let rule = *self.rules.get(touch.entry as usize)?;
        let written = self.written.get(rule)?;
        let part = |piece: Piece| self.parts.get(&piece).copied();
        let mut peers: Vec<usize> = touch
            .peers
            .iter()
            .filter_map(|index| {
                part(Piece::Peer {
                    entry: touch.entry,
                    index: *index,
                })
            })
            .collect();
        peers.extend(part(Piece::Entry(touch.entry)));
        peers.dedup();
        if !touch.certain && peers.is_empty() {
            peers.extend(0..written.peers.len());
        }
        let ports = touch
            .ports
            .iter()
            .filter_map(|(rule, index)| {
                part(Piece::Port {
                    entry: touch.entry,
                    rule: *rule,
                    index: *index,
                })
            })
            .collect();
        Some(Cover {
            rule,
            deny: entry.deny,
            peers,
            ports,
            lists: touch
                .ports
                .iter()
                .map(|(rule, _)| (touch.entry, *rule))
                .collect(),
            proxied: is_proxied(entry, touch),
        })
    }

    /// Counts one side of connections.
    pub(in crate::review) fn side(
        &mut self,
        compiled: &Compiled,
        side: &SideCase,
        count: u64,
        seen: Seen,
    ) {
        let cause = match side.verdict {
            Verdict::Unknown(cause) => Some(cause),
            _ => None,
        };
        let covers = self.covers(compiled, side.cluster, &side.question, cause);
        match side.verdict {
            Verdict::Unknown(cause) => {
                for cover in &covers.rules {
                    self.doubt(cover, &Doubt::Unknown(cause), count);
                }
            }
            Verdict::Allowed | Verdict::Redirected | Verdict::AuthRequired => {
                self.passes(&covers, count, seen);
            }
            Verdict::DeniedByRule | Verdict::DeniedByDefault => {
                self.denied(&covers, count, seen);
            }
        }
    }

    fn passes(&mut self, covers: &Covers, count: u64, seen: Seen) {
        let allows: Vec<&Cover> = covers.rules.iter().filter(|cover| !cover.deny).collect();
        for cover in &allows {
            // Who refuses requests does not stand in for who lets all of them pass.
            let others: Vec<u32> = allows
                .iter()
                .filter(|other| other.rule != cover.rule && (!other.proxied || cover.proxied))
                .map(|other| other.rule as u32)
                .collect();
            let share = if others.is_empty() && !covers.open {
                Share::Alone
            } else {
                Share::Shared
            };
            self.count(cover, share, &others, count, seen);
        }
    }

    fn denied(&mut self, covers: &Covers, count: u64, seen: Seen) {
        let denies: Vec<u32> = covers
            .rules
            .iter()
            .filter(|cover| cover.deny)
            .map(|cover| cover.rule as u32)
            .collect();
        let allowed = covers.open || covers.rules.iter().any(|cover| !cover.deny);
        for cover in &covers.rules {
            if !cover.deny {
                self.count(cover, Share::Idle, &denies, count, seen);
                continue;
            }
            let mut others = denies.clone();
            others.retain(|other| *other != cover.rule as u32);
            let share = match (others.is_empty(), allowed) {
                (true, true) => Share::Alone,
                (true, false) => Share::Idle,
                (false, _) => Share::Shared,
            };
            self.count(cover, share, &others, count, seen);
        }
    }

    fn count(&mut self, cover: &Cover, share: Share, others: &[u32], count: u64, seen: Seen) {
        let uses = &mut self.uses[cover.rule];
        uses.rule.add(share, count, seen);
        // Whatever runs into a deny is what it is there for.
        uses.rule.touched |= cover.deny;
        for other in others {
            if uses.rule.with.len() < MOST_PARTNERS {
                uses.rule.with.insert(*other);
            }
        }
        for parts in [&cover.peers, &cover.ports] {
            let share = match share {
                Share::Alone if parts.len() > 1 => Share::Shared,
                share => share,
            };
            for part in parts {
                uses.parts[*part].add(share, count, seen);
                uses.parts[*part].touched |= cover.deny;
            }
        }
    }

    /// Says that a rule may be needed.
    pub(in crate::review) fn doubt(&mut self, cover: &Cover, doubt: &Doubt, count: u64) {
        let uses = &mut self.uses[cover.rule];
        uses.rule.doubt(doubt, count);
        let requests = self.written[cover.rule].requests.len();
        let first = uses.parts.len() - requests;
        let every = first..uses.parts.len();
        for part in cover.peers.iter().chain(&cover.ports).copied().chain(every) {
            uses.parts[part].doubt(doubt, count);
        }
    }

    /// Counts requests of layer 7.
    pub(in crate::review) fn request(
        &mut self,
        compiled: &Compiled,
        side: &SideCase,
        request: &RequestCase,
        count: u64,
    ) {
        let covers = self.covers(compiled, side.cluster, &side.question, None);
        let visible = !matches!(request.verdict, Verdict::Unknown(Cause::L7NotVisible))
            || !request.fits.is_empty();
        for cover in &covers.rules {
            for (entry, list) in &cover.lists {
                self.asked(cover.rule, *entry, *list, visible, count);
            }
        }
        let unproxied = covers.open
            || covers
                .rules
                .iter()
                .any(|cover| !cover.deny && !cover.proxied);
        let sure = request.fits.iter().filter(|(_, sure)| *sure).count();
        for (piece, is_sure) in &*request.fits {
            let rule = self.rules.get(piece.entry() as usize).copied();
            let (Some(rule), Some(part)) = (rule, self.parts.get(piece).copied()) else {
                continue;
            };
            let uses = &mut self.uses[rule].parts[part];
            if *is_sure {
                let share = if sure == 1 && !unproxied {
                    Share::Alone
                } else {
                    Share::Shared
                };
                uses.add(share, count, Seen::default());
            } else {
                let cause = match request.verdict {
                    Verdict::Unknown(cause) => cause,
                    _ => Cause::L7NotVisible,
                };
                uses.doubt(&Doubt::Unknown(cause), count);
            }
        }
    }

    /// Notes that requests were seen, or that there were some nobody can judge.
    fn asked(&mut self, rule: usize, entry: u32, list: u32, visible: bool, count: u64) {
        for index in 0.. {
            let piece = Piece::Request {
                entry,
                rule: list,
                index,
            };
            let Some(part) = self.parts.get(&piece).copied() else {
                break;
            };
            if visible {
                self.uses[rule].asked.insert(part);
            } else {
                let doubt = Doubt::Unknown(Cause::L7NotVisible);
                self.uses[rule].parts[part].doubt(&doubt, count);
            }
        }
    }

    /// Notes whom rules apply to.
    pub(in crate::review) fn subject(&mut self, compiled: &Compiled, question: &Question) {
        for entry in compiled.selecting(question.subject, question.direction) {
            if let Some(rule) = self.rules.get(entry as usize) {
                self.uses[*rule].subjects_seen = true;
            }
        }
    }

    /// Says what cannot be said of rules of layer 7.
    pub(in crate::review) fn finish(&mut self) {
        for (rule, uses) in self.written.iter().zip(&mut self.uses) {
            let first = uses.parts.len() - rule.requests.len();
            let lists: Vec<(u32, u32)> = rule.requests.iter().filter_map(list_of).collect();
            for (offset, list) in lists.iter().enumerate() {
                let part = first + offset;
                if uses.parts[part].touched {
                    continue;
                }
                if !uses.asked.contains(&part) {
                    uses.parts[part].doubt(&Doubt::NoRequests, 0);
                    continue;
                }
                let siblings = lists.iter().enumerate().filter(|(_, other)| *other == list);
                let refused = siblings
                    .map(|(offset, _)| &uses.parts[first + offset])
                    .all(|sibling| !sibling.touched);
                if refused {
                    uses.parts[part].doubt(&Doubt::AllRefused, 0);
                }
            }
        }
    }

    /// The rule an entry is of.
    pub(in crate::review) fn rule_of(&self, entry: u32) -> Option<usize> {
        self.rules
            .get(entry as usize)
            .copied()
            .filter(|rule| *rule < self.written.len())
    }

    /// Doubts all rules of a subject on a port: something that is not known let it pass.
    pub(in crate::review) fn drifted(&mut self, compiled: &Compiled, side: &SideCase, count: u64) {
        let question = &side.question;
        for index in compiled.selecting(question.subject, question.direction) {
            let Some(entry) = self.set.entries.get(index as usize) else {
                continue;
            };
            if !entry.deny
                && compiled.may_be_port(entry, question)
                && let Some(cover) = self.whole(index, None)
            {
                self.doubt(&cover, &Doubt::Drift, count);
            }
        }
    }

    /// A rule as something that may be needed, with those of its peers; without any, all of
    /// its parts.
    pub(in crate::review) fn whole(&self, entry: u32, peers: Option<&[u32]>) -> Option<Cover> {
        let rule = self.rule_of(entry)?;
        let written = &self.written[rule];
        let first_port = written.peers.len();
        let every = 0..first_port;
        let chosen = match peers {
            None => every.collect(),
            Some(peers) => {
                let of = |index: &u32| {
                    let piece = Piece::Peer {
                        entry,
                        index: *index,
                    };
                    self.parts.get(&piece).copied()
                };
                let mut chosen: Vec<usize> = peers.iter().filter_map(of).collect();
                chosen.extend(self.parts.get(&Piece::Entry(entry)).copied());
                chosen
            }
        };
        Some(Cover {
            rule,
            deny: written.deny,
            peers: chosen,
            ports: (first_port..first_port + written.ports.len()).collect(),
            lists: Vec::new(),
            proxied: false,
        })
    }
}

/// The list of layer 7 that a part is in, by entry and index.
fn list_of(part: &crate::policy::WrittenPart) -> Option<(u32, u32)> {
    match part.pieces.first()? {
        Piece::Request { entry, rule, .. } => Some((*entry, *rule)),
        _ => None,
    }
}

impl Cover {
    fn merge(&mut self, other: Self) {
        let add = |list: &mut Vec<usize>, more: Vec<usize>| {
            list.extend(more);
            list.sort_unstable();
            list.dedup();
        };
        add(&mut self.peers, other.peers);
        add(&mut self.ports, other.ports);
        self.lists.extend(other.lists);
        self.proxied &= other.proxied;
    }
}

/// Whether a connection that falls under an entry may have requests refused by it.
fn is_proxied(entry: &PolicyEntry, touch: &Touch) -> bool {
    !touch.ports.is_empty()
        && touch.ports.iter().all(|(rule, _)| {
            let rule = entry.ports.get(*rule as usize);
            rule.is_some_and(|rule| rule.l7.is_some() || !rule.server_names.is_empty())
        })
}
