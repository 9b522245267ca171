//! Finding the entry that decides about a connection.
//!
//! Owns the order among entries of one peer and between these and the ones for everybody.
//! What the entry means is `decide`'s.

use super::interner::Interner;
use super::mapstate;
use super::port_prefix::PortPrefix;
use super::selection::{Selection, SelectorId};
use super::table::{List, MapEntry, Row, Side};
use super::verdict::{MatchKind, RulesId};

/// The entry that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) entry: MapEntry,
    /// Bits of protocol and port.
    pub(super) length: u8,
    /// For everybody.
    pub(super) wildcard: bool,
    pub(super) rules: RulesId,
}

impl Hit {
    /// What a row of an identity decides by itself.
    pub(super) fn of(row: &Row) -> Self {
        Self {
            entry: row.entry,
            length: row.prefix.length(),
            wildcard: false,
            rules: row.rules,
        }
    }

    pub(super) fn match_kind(&self) -> MatchKind {
        match (self.wildcard, self.length) {
            (false, 0) => MatchKind::L3Only,
            (false, 1..=8) => MatchKind::L3Protocol,
            (false, _) => MatchKind::L3L4,
            (true, 0) => MatchKind::All,
            (true, 1..=8) => MatchKind::ProtocolOnly,
            (true, _) => MatchKind::L4Only,
        }
    }
}

/// What decides about a connection with a peer; `None` for the peer means the unknown
/// identity.
#[inline]
pub(super) fn find(
    side: &Side,
    selection: &Selection,
    interner: &Interner,
    peer: Option<u32>,
    protocol: u8,
    port: u16,
) -> Option<Hit> {
    if let Some(rows) = &side.authenticated {
        let selects = |selector| peer.is_some_and(|peer| selection.contains(selector, peer));
        return mapstate::find(rows, selects, PortPrefix::point(protocol, port), interner);
    }
    let lists = side.lists(protocol, port);
    let own = peer.and_then(|peer| {
        best(
            &lists,
            |list| &list.rows,
            |selector| selection.contains(selector, peer),
        )
    });
    let wild = wild(&lists);
    let (rows, wildcard) = match (own, wild) {
        (None, None) => return None,
        (None, Some(wild)) => (wild, true),
        (Some(own), Some(wild)) if wild_wins(own.first, wild.first) => (wild, true),
        (Some(own), _) => (own, false),
    };
    Some(Hit {
        entry: rows.first.entry,
        length: rows.first.prefix.length(),
        wildcard,
        rules: match (peer, wildcard) {
            (Some(peer), false) => {
                rows.rules(interner, |selector| selection.contains(selector, peer))
            }
            _ => rows.rules(interner, |_| true),
        },
    })
}

/// What decides among the rows for everybody.
pub(super) fn wild<'a>(lists: &[Option<&'a List>; 3]) -> Option<Best<'a>> {
    best(lists, |list| &list.wildcards, |_| true)
}

/// The higher precedence wins, then the more specific port, then the identity. A deny of
/// the identity is left out of the map where one for everybody covers it.
fn wild_wins(own: &Row, wild: &Row) -> bool {
    let (ours, theirs) = (own.entry.precedence, wild.entry.precedence);
    if ours != theirs {
        return theirs > ours;
    }
    let (ours, theirs) = (own.prefix.length(), wild.prefix.length());
    if own.entry.is_deny() {
        theirs <= ours
    } else {
        theirs > ours
    }
}

/// The deciding row, and those behind it that may be the same entry of the map.
#[derive(Clone, Copy)]
pub(super) struct Best<'a> {
    first: &'a Row,
    rest: &'a [Row],
}

impl Best<'_> {
    /// What it decides as the entry for everybody.
    pub(super) fn hit(self, interner: &Interner) -> Hit {
        Hit {
            wildcard: true,
            rules: self.rules(interner, |_| true),
            ..Hit::of(self.first)
        }
    }

    /// Whether it decides, as the entry for everybody, against one of the peer's own.
    pub(super) fn wins_over(self, own: &Row) -> bool {
        wild_wins(own, self.first)
    }

    fn rules(self, interner: &Interner, selects: impl Fn(SelectorId) -> bool) -> RulesId {
        let rank = self.first.rank();
        let mut same = self
            .rest
            .iter()
            .take_while(|row| row.rank() == rank)
            .filter(|row| row.rules != self.first.rules && selects(row.selector))
            .peekable();
        if same.peek().is_none() {
            return self.first.rules;
        }
        let mut origins = interner.rules_of(self.first.rules).to_vec();
        for row in same {
            origins.extend_from_slice(&interner.rules_of(row.rules));
        }
        interner.rules(origins)
    }
}

#[inline]
fn best<'a>(
    lists: &[Option<&'a List>; 3],
    rows: impl Fn(&'a List) -> &'a [Row],
    selects: impl Fn(SelectorId) -> bool,
) -> Option<Best<'a>> {
    let mut found: Option<Best<'a>> = None;
    for list in lists.iter().flatten() {
        let rows = rows(list);
        for (index, row) in rows.iter().enumerate() {
            if found.is_some_and(|found| found.first.rank() <= row.rank()) {
                break;
            }
            if selects(row.selector) {
                found = Some(Best {
                    first: row,
                    rest: rows.get(index + 1..).unwrap_or_default(),
                });
                break;
            }
        }
    }
    found
}
