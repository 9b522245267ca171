//! What a direction of a subject's policy comes to, written out flat.
//!
//! Owns the form in which the common decision is found with few steps: one run of words a
//! side, in which the entries that cover a port stand in the order they decide, each with
//! its decision. What decides is `lookup`'s; a plan is made from it, and a side that needs
//! more than this has none.

use std::sync::Arc;

use super::decide::decision_of;
use super::interner::Interner;
use super::lookup::{self, Hit};
use super::options::OptionName;
use super::selection::{Selection, SelectorId};
use super::table::{Row, Side};
use super::verdict::{Decision, MatchKind, RedirectId, RulesId, Verdict};

/// A decision in three words: what it is, its rules, its redirect.
pub(super) type Packed = [u32; 3];

/// A plan longer than this many words a row is not worth its memory.
const WORDS_A_ROW: usize = 24;
/// Shorter ones are made whatever they come to.
const WORDS_FREE: usize = 512;
/// Words of an entry: selector and decision.
const ENTRY: usize = 4;

const ENFORCED: u32 = 1 << 7;
const REDIRECT: u32 = 1 << 8;
/// The next entry is of the same rank.
const MORE: u32 = 1 << 9;

/// The number of cells, where each begins (protocol above port), where its entries begin,
/// and the entries. Those of a cell follow the decision for everybody else.
#[derive(Clone, Debug)]
pub(super) struct Plan(Arc<[u32]>);

impl Plan {
    /// Writes out a side, where its decisions hang on nothing but peer and port. `assumed`
    /// is the option that a decision hangs on.
    pub(super) fn new(
        side: &Side,
        interner: &Interner,
        assumed: impl Fn(&Decision) -> Option<OptionName>,
    ) -> Option<Self> {
        if side.authenticated.is_some() || !side.unresolved.is_empty() {
            return None;
        }
        let pack = |hit: Option<Hit>| {
            let mut decision = decision_of(hit);
            decision.assumed = assumed(&decision);
            pack(decision)
        };
        let starts = side.cells();
        let head = 1 + 2 * starts.len() + 1;
        let (mut offsets, mut entries) = (vec![head as u32], Vec::new());
        for start in &starts {
            let lists = side.lists((start >> 16) as u8, *start as u16);
            let wild = lookup::wild(&lists);
            entries.extend(pack(wild.map(|wild| wild.hit(interner)))?);
            let mut rows: Vec<&Row> = lists.iter().flatten().flat_map(|list| &list.rows).collect();
            rows.sort_by_key(|row| row.rank());
            for (place, row) in rows.iter().enumerate() {
                let beaten = wild.is_some_and(|wild| wild.wins_over(row));
                let decided = if beaten {
                    pack(wild.map(|wild| wild.hit(interner)))?
                } else {
                    let mut decided = pack(Some(Hit::of(row)))?;
                    let next = rows.get(place + 1);
                    if next.is_some_and(|next| next.rank() == row.rank()) {
                        decided[0] |= MORE;
                    }
                    decided
                };
                entries.push(row.selector.0);
                entries.extend(decided);
            }
            if entries.len() > WORDS_FREE + WORDS_A_ROW * side.filters.len() {
                return None;
            }
            offsets.push((head + entries.len()) as u32);
        }
        let mut words = vec![starts.len() as u32];
        words.extend(starts);
        words.extend(offsets);
        words.extend(entries);
        Some(Self(words.into()))
    }

    /// The decision about a known peer; `None` where rules of equal rank come together.
    #[inline]
    pub(super) fn decide(
        &self,
        selection: &Selection,
        peer: u32,
        protocol: u8,
        port: u16,
    ) -> Option<Decision> {
        let (count, rest) = self.0.split_first()?;
        let count = *count as usize;
        let (starts, rest) = rest.split_at_checked(count)?;
        let point = u32::from(protocol) << 16 | u32::from(port);
        let cell = starts
            .iter()
            .map(|start| usize::from(*start <= point))
            .sum::<usize>()
            .checked_sub(1)?;
        let (from, to) = (*rest.get(cell)?, *rest.get(cell + 1)?);
        let (others, entries) = self
            .0
            .get(from as usize..to as usize)?
            .split_first_chunk()?;
        let signature = selection.signature(peer);
        let (entries, _) = entries.as_chunks::<ENTRY>();
        let selected = |id: u32| signature.may_have(id) && selection.contains(SelectorId(id), peer);
        let mut entries = entries.iter();
        let Some([_, what, rules, redirect]) = entries.find(|entry| selected(entry[0])) else {
            return Some(unpack(*others));
        };
        let mut more = what & MORE != 0;
        while more {
            let [id, next, also, _] = entries.next()?;
            if also != rules && selected(*id) {
                return None;
            }
            more = next & MORE != 0;
        }
        Some(unpack([*what, *rules, *redirect]))
    }
}

/// Packs what unpacks to the same; not what is unknown or asks for authentication.
pub(super) fn pack(decision: Decision) -> Option<Packed> {
    let verdict = match decision.verdict {
        Verdict::Allowed => 0,
        Verdict::Redirected => 1,
        Verdict::DeniedByRule => 2,
        Verdict::DeniedByDefault => 3,
        Verdict::AuthRequired | Verdict::Unknown(_) => return None,
    };
    let assumed = match decision.assumed {
        None => 0,
        Some(OptionName::Enforcement) => 1,
        Some(OptionName::AllowLocalhost) => 2,
        Some(OptionName::HostFirewall) => 3,
        Some(_) => return None,
    };
    let mut what = verdict | (decision.match_kind as u32) << 2 | assumed << 5;
    if decision.enforced {
        what |= ENFORCED;
    }
    if decision.redirect.is_some() {
        what |= REDIRECT;
    }
    let redirect = decision.redirect.map_or(0, |redirect| redirect.0);
    let packed = [what, decision.rules.0, redirect];
    (unpack(packed) == decision).then_some(packed)
}

#[inline]
pub(super) fn unpack([what, rules, redirect]: Packed) -> Decision {
    Decision {
        enforced: what & ENFORCED != 0,
        verdict: match what & 3 {
            0 => Verdict::Allowed,
            1 => Verdict::Redirected,
            2 => Verdict::DeniedByRule,
            _ => Verdict::DeniedByDefault,
        },
        auth: None,
        auth_derived: false,
        match_kind: match what >> 2 & 7 {
            1 => MatchKind::L3Only,
            2 => MatchKind::L3L4,
            3 => MatchKind::L4Only,
            4 => MatchKind::All,
            5 => MatchKind::L3Protocol,
            6 => MatchKind::ProtocolOnly,
            _ => MatchKind::None,
        },
        rules: RulesId(rules),
        redirect: (what & REDIRECT != 0).then_some(RedirectId(redirect)),
        assumed: match what >> 5 & 3 {
            0 => None,
            1 => Some(OptionName::Enforcement),
            2 => Some(OptionName::AllowLocalhost),
            _ => Some(OptionName::HostFirewall),
        },
    }
}
