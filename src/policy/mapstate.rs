//! Cilium's policy map, built entry by entry for one peer.
//!
//! Owns the straightforward way: it follows what Cilium does when it inserts entries and
//! when the datapath looks one up. Decisions are taken from here where authentication is
//! asked for, since there the outcome hangs on each step. Elsewhere `lookup` is quicker,
//! and tests hold the two together.

use super::interner::Interner;
use super::lookup::Hit;
use super::port_prefix::PortPrefix;
use super::selection::SelectorId;
use super::table::{Auth, MapEntry, Row};
use super::verdict::{Origin, RulesId};

/// The entries for one peer, and those for everybody.
#[derive(Debug, Default)]
struct MapState {
    entries: Vec<(Key, Entry)>,
    /// Some rule asks for authentication.
    auth: bool,
    /// Some rule denies or redirects.
    precedence: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    wildcard: bool,
    prefix: PortPrefix,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    map: MapEntry,
    origins: Vec<RulesId>,
}

/// What Cilium's map gives for a connection. `selects` says whether a selector selects the
/// peer.
///
/// The order in which Cilium inserts is not fixed, and with authentication it can matter.
/// Two orders are tried, and the stricter outcome is taken.
pub(super) fn find(
    rows: &[Row],
    selects: impl Fn(SelectorId) -> bool,
    point: PortPrefix,
    interner: &Interner,
) -> Option<Hit> {
    let relevant: Vec<&Row> = rows
        .iter()
        .filter(|row| row.selector == SelectorId::EVERYONE || selects(row.selector))
        .collect();
    let auth = rows.iter().any(|row| row.entry.auth.explicit);
    let precedence = rows
        .iter()
        .any(|row| row.entry.is_deny() || row.entry.redirect.is_some());
    let build = |rows: &mut dyn Iterator<Item = &&Row>| {
        let mut state = MapState {
            auth,
            precedence,
            ..MapState::default()
        };
        for row in rows {
            state.insert(row);
        }
        state.lookup(point, interner)
    };
    let forwards = build(&mut relevant.iter());
    if !auth {
        return forwards;
    }
    let backwards = build(&mut relevant.iter().rev());
    match (forwards, backwards) {
        (Some(one), Some(other)) if other.entry.auth.kind > one.entry.auth.kind => Some(other),
        (one, _) => one,
    }
}

impl MapState {
    fn insert(&mut self, row: &Row) {
        let key = Key {
            wildcard: row.selector == SelectorId::EVERYONE,
            prefix: row.prefix,
        };
        let entry = Entry {
            map: row.entry,
            origins: vec![row.rules],
        };
        if entry.map.is_deny() {
            let covered = self.entries.iter().any(|(k, v)| {
                k.covers(key)
                    && (v.map.precedence > entry.map.precedence || v.map.is_deny() && *k != key)
            });
            if covered {
                return;
            }
            self.entries.retain(|(k, v)| {
                !(key.covers(*k)
                    && (v.map.precedence < entry.map.precedence || v.map.is_deny() && *k != key))
            });
        } else if self.auth {
            self.insert_preferring_auth(key, entry);
            return;
        } else if self.precedence {
            let covered = self
                .entries
                .iter()
                .any(|(k, v)| k.covers(key) && v.map.precedence > entry.map.precedence);
            if covered {
                return;
            }
            self.entries
                .retain(|(k, v)| !(key.covers(*k) && v.map.precedence < entry.map.precedence));
        }
        self.add(key, entry);
    }

    /// Hands authentication down from the most specific broader entry that asks for it.
    fn insert_preferring_auth(&mut self, key: Key, mut entry: Entry) {
        let explicit = entry.map.auth.explicit;
        let mut derived = false;
        self.entries
            .sort_by_key(|(k, _)| std::cmp::Reverse(k.prefix.length()));
        for (k, v) in &self.entries {
            if k.wildcard != key.wildcard || !k.prefix.covers(key.prefix) {
                continue;
            }
            if v.map.precedence > entry.map.precedence {
                if v.map.is_deny() || !explicit {
                    return;
                }
                entry.map.proxy = v.map.proxy;
                entry.map.redirect = v.map.redirect;
                entry.map.precedence = v.map.precedence;
                break;
            }
            if !derived && !explicit && *k != key && v.map.auth.explicit && !v.map.is_deny() {
                entry.map.auth = v.map.auth.derived();
                derived = true;
            }
        }
        let mut handed_down = false;
        let mut kept = Vec::with_capacity(self.entries.len());
        for (k, mut v) in std::mem::take(&mut self.entries).into_iter().rev() {
            if k.wildcard != key.wildcard || !key.prefix.covers(k.prefix) {
                kept.push((k, v));
                continue;
            }
            if v.map.precedence < entry.map.precedence {
                if !v.map.auth.explicit {
                    continue;
                }
                v.map.proxy = entry.map.proxy;
                v.map.redirect = entry.map.redirect;
                v.map.precedence = entry.map.precedence;
            }
            if !handed_down && explicit && k != key {
                if v.map.is_deny() || v.map.auth.explicit {
                    handed_down = true;
                } else if v.map.auth.kind != entry.map.auth.kind {
                    v.map.auth = entry.map.auth.derived();
                }
            }
            kept.push((k, v));
        }
        self.entries = kept;
        self.add(key, entry);
    }

    fn add(&mut self, key: Key, entry: Entry) {
        let Some((_, old)) = self.entries.iter_mut().find(|(k, _)| *k == key) else {
            self.entries.push((key, entry));
            return;
        };
        if old.map.is_deny() == entry.map.is_deny() {
            old.map.merge(entry.map);
            old.origins.extend(entry.origins);
        } else if old.map.precedence < entry.map.precedence {
            *old = entry;
        }
    }

    /// As the datapath: the longest entry of the peer and the longest of everybody.
    fn lookup(&self, point: PortPrefix, interner: &Interner) -> Option<Hit> {
        let longest = |wildcard: bool| {
            self.entries
                .iter()
                .filter(|(k, _)| k.wildcard == wildcard && k.prefix.covers(point))
                .max_by_key(|(k, _)| k.prefix.length())
        };
        let hit = |(key, entry): &(Key, Entry), other: Option<&(Key, Entry)>| {
            let mut map = entry.map;
            if let Some((_, other)) = other {
                map.take_auth(other.map);
            }
            let origins: Vec<Origin> = entry
                .origins
                .iter()
                .flat_map(|id| interner.rules_of(*id).to_vec())
                .collect();
            Hit {
                entry: map,
                length: key.prefix.length(),
                wildcard: key.wildcard,
                rules: interner.rules(origins),
            }
        };
        match (longest(false), longest(true)) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some(hit(one, None)),
            (Some(own), Some(wild)) => {
                let ours = own.1.map.precedence;
                let theirs = wild.1.map.precedence;
                Some(if ours > theirs {
                    hit(own, None)
                } else if theirs > ours {
                    hit(wild, None)
                } else if own.1.map.is_deny() {
                    hit(own, None)
                } else if wild.0.prefix.length() > own.0.prefix.length() {
                    hit(wild, Some(own))
                } else {
                    hit(own, Some(wild))
                })
            }
        }
    }
}

impl Key {
    fn covers(self, other: Self) -> bool {
        (self.wildcard || !other.wildcard) && self.prefix.covers(other.prefix)
    }
}

impl Auth {
    fn derived(self) -> Self {
        Self {
            explicit: false,
            ..self
        }
    }
}

impl MapEntry {
    fn merge(&mut self, other: Self) {
        if self.is_deny() {
            return;
        }
        let first = other.precedence > self.precedence
            || other.precedence == self.precedence && other.proxy < self.proxy;
        if other.proxy != 0 && first {
            self.proxy = other.proxy;
            self.redirect = other.redirect;
            self.precedence = other.precedence;
        }
        // What is said explicitly counts for more than any kind that is not.
        self.auth = self.auth.max(other.auth);
    }

    /// Takes over what the other of two found entries asks for.
    fn take_auth(&mut self, other: Self) {
        if !self.auth.explicit && other.auth.kind > self.auth.kind {
            self.auth = other.auth.derived();
        }
    }
}
