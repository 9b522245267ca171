//! Names that DNS gave for addresses, and for how long.
//!
//! Owns what is remembered of answers, within bounds. A name that many ask for is answered
//! many times: of answers that end about together the first one counts, and those that
//! ended minutes ago are left out. Both make a name end early at most: that it was there is
//! remembered, and what an open connection may keep is unknown, as it is with every name that
//! has expired. What is remembered does not hang on the order in which threads tell it, but
//! for recordings whose times are minutes apart from their order.

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{Equivalent, HashMap, HashSet};

use super::ledger::Position;

const SECOND: i64 = 1_000_000_000;
/// Addresses of nodes whose names are remembered; beyond that the half is forgotten that
/// was told of least lately, and their flows are unknown again.
const MOST_ADDRESSES: usize = 1 << 17;
/// Names remembered for one address.
const MOST_NAMES: usize = 64;
/// Times remembered in all, 48 bytes each; beyond that as with addresses.
const MOST_TIMES: usize = 1 << 20;
/// Times of one name: if there are more, those that ended [`PAST`] before the newest began
/// are left out, and beyond the second number the oldest.
const TIMES: (usize, usize) = (64, 512);
/// How far rows may be behind others that were told of.
const PAST: i64 = 120 * SECOND;
/// Of the time that an answer holds, what two may end apart and count as one.
const TOGETHER: i64 = 32;
/// Addresses that are known to have been forgotten, 8 bytes each; beyond that any may be.
const MOST_FORGOTTEN: usize = 1 << 20;

/// Names of an address at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Those it has.
    pub(super) names: Vec<Arc<str>>,
    /// It had another before, which an open connection may keep; or it is not known whether.
    pub(super) other: bool,
}

/// Answers by node and address.
#[derive(Debug, Default)]
pub(super) struct Answers {
    known: HashMap<Place, Vec<Named>, RandomState>,
    times: usize,
    /// Hashes of those that were forgotten.
    forgotten: HashSet<u64, RandomState>,
    /// Some were forgotten without a trace.
    any: bool,
}

/// A node, and an address that its DNS gave.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place(Arc<str>, IpAddr);

#[derive(Hash)]
struct Asked<'a>(&'a str, IpAddr);

impl Equivalent<Place> for Asked<'_> {
    fn equivalent(&self, key: &Place) -> bool {
        self.1 == key.1 && *self.0 == *key.0
    }
}

/// A name of an address.
#[derive(Debug)]
struct Named {
    name: Arc<str>,
    /// Where it was given first.
    first: Position,
    /// When it was there.
    times: Vec<Time>,
}

/// For how long an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time {
    at: Position,
    /// Nanoseconds since 1970 UTC.
    from: i64,
    until: i64,
}

impl Answers {
    /// Remembers that DNS gave an address for a name on a node, from when to when it may be
    /// kept.
    pub(super) fn add(
        &mut self,
        node: &str,
        address: IpAddr,
        name: &str,
        (from, until): (i64, i64),
        at: Position,
    ) {
        if self.known.len() >= MOST_ADDRESSES || self.times >= MOST_TIMES {
            self.forget();
        }
        let asked = Asked(node, address);
        let names = match self.known.get_mut(&asked) {
            Some(names) => names,
            None => self
                .known
                .entry(Place(Arc::from(node), address))
                .or_default(),
        };
        let time = Time { at, from, until };
        if let Some(named) = names.iter_mut().find(|named| *named.name == *name) {
            self.times -= named.times.len();
            named.add(time);
            self.times += named.times.len();
            return;
        }
        if names.len() >= MOST_NAMES {
            let hash = self.known.hasher().hash_one(&asked);
            self.note(hash);
            return;
        }
        names.push(Named {
            name: Arc::from(name),
            first: at,
            times: vec![time],
        });
        self.times += 1;
    }

    /// Names an address had on a node at a time, by answers that came before.
    pub(super) fn told(&self, node: &str, address: IpAddr, time: i64, at: Position) -> Told {
        let asked = Asked(node, address);
        let mut told = Told {
            names: Vec::new(),
            other: self.any
                || !self.forgotten.is_empty()
                    && self
                        .forgotten
                        .contains(&self.known.hasher().hash_one(&asked)),
        };
        for named in self.known.get(&asked).into_iter().flatten() {
            if named.first >= at {
                continue;
            }
            let holds = |held: &Time| held.at < at && (held.from..=held.until).contains(&time);
            // The newest are the likeliest.
            if named.times.iter().rev().any(holds) {
                told.names.push(named.name.clone());
            } else {
                told.other = true;
            }
        }
        told.names.sort();
        told
    }

    /// Makes room.
    fn forget(&mut self) {
        let last = |names: &[Named]| {
            let times = names.iter().flat_map(|named| &named.times);
            times.map(|time| time.at).max().unwrap_or_default()
        };
        let mut lasts: Vec<Position> = self.known.values().map(|names| last(names)).collect();
        let middle = lasts.len() / 2;
        if lasts.is_empty() {
            return;
        }
        let (_, middle, _) = lasts.select_nth_unstable(middle);
        let middle = *middle;
        let mut gone = Vec::new();
        let hasher = self.known.hasher().clone();
        self.known.retain(|place, names| {
            let stays = last(names) > middle;
            if !stays {
                gone.push(hasher.hash_one(Asked(&place.0, place.1)));
            }
            stays
        });
        for hash in gone {
            self.note(hash);
        }
        let named = self.known.values().flatten();
        self.times = named.map(|named| named.times.len()).sum();
    }

    fn note(&mut self, hash: u64) {
        if self.forgotten.len() < MOST_FORGOTTEN {
            self.forgotten.insert(hash);
        } else {
            self.any |= !self.forgotten.contains(&hash);
        }
    }
}

impl Named {
    fn add(&mut self, time: Time) {
        self.first = self.first.min(time.at);
        let same = self.times.iter_mut().rev();
        if let Some(known) = same.into_iter().find(|known| known.ends_with(time)) {
            if (time.at, time.from) < (known.at, known.from) {
                *known = time;
            }
            return;
        }
        self.times.push(time);
        if self.times.len() > TIMES.0 {
            let past = time.from.saturating_sub(PAST);
            self.times.retain(|known| known.until >= past);
        }
        if self.times.len() > TIMES.1 {
            let ends = self.times.iter().enumerate();
            if let Some((oldest, _)) = ends.min_by_key(|(_, known)| known.until) {
                self.times.remove(oldest);
            }
        }
    }
}

impl Time {
    /// What it may end apart from another and count as one with it: a power of two of
    /// seconds.
    fn grain(self) -> i64 {
        let seconds = self.until.saturating_sub(self.from) / SECOND / TOGETHER;
        let seconds = u64::try_from(seconds).unwrap_or_default().max(1);
        let power = seconds.ilog2();
        SECOND << power.min(20)
    }

    fn ends_with(self, other: Self) -> bool {
        let grain = self.grain();
        grain == other.grain() && self.until.div_euclid(grain) == other.until.div_euclid(grain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(piece: u64) -> Position {
        Position { piece, row: 0 }
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, last])
    }

    /// Scenario: a name that pods of a node ask for all day long, each answer held for five
    /// minutes.
    /// Guarantees: it is there whenever an answer holds, no other name is suspected, and
    /// memory does not grow with the day.
    #[test]
    fn a_name_that_is_asked_for_all_day_stays_one() {
        let mut answers = Answers::default();
        for number in 0..86_400_i64 {
            let from = number * SECOND;
            let until = from + 300 * SECOND;
            let position = at(number as u64);
            answers.add("n", address(1), "a.test", (from, until), position);
            if number % 997 == 0 {
                let told = answers.told("n", address(1), from + SECOND, at(number as u64 + 1));
                assert_eq!((told.names.len(), told.other), (1, false), "{number}");
                let late = answers.told("n", address(1), from + 310 * SECOND, at(1 << 40));
                assert_eq!((late.names.len(), late.other), (0, true), "{number}");
            }
        }
        assert!(answers.times <= TIMES.0 + 1, "{}", answers.times);
    }

    /// Guarantees: of two threads it does not matter which one tells first.
    #[test]
    fn the_order_of_telling_does_not_matter() {
        let some: Vec<(i64, i64, u64)> = (0..40)
            .map(|number| (number * 700_000_000, 30 + number % 3, number as u64))
            .collect();
        let told = |order: &[usize]| {
            let mut answers = Answers::default();
            for &index in order {
                let (from, ttl, piece) = some[index];
                let until = from + ttl * SECOND;
                answers.add("n", address(1), "a.test", (from, until), at(piece));
            }
            (0..80)
                .map(|time| answers.told("n", address(1), time * SECOND, at(25)))
                .collect::<Vec<_>>()
        };
        let forward: Vec<usize> = (0..40).collect();
        let swapped: Vec<usize> = (0..40).map(|index| index ^ 3).collect();
        assert_eq!(told(&forward), told(&swapped));
    }

    /// Guarantees: an address that was forgotten is in doubt, and no other one.
    #[test]
    fn what_is_forgotten_is_in_doubt() {
        let mut answers = Answers::default();
        for number in 0..=MOST_ADDRESSES as u32 {
            let address = IpAddr::from((10_u32 << 24 | number).to_be_bytes());
            let position = at(u64::from(number));
            answers.add("n", address, "a.test", (0, SECOND), position);
        }
        assert!(answers.known.len() <= MOST_ADDRESSES / 2 + 1);
        let end = at(1 << 40);
        let first = IpAddr::from((10_u32 << 24).to_be_bytes());
        assert!(answers.told("n", first, 0, end).other);
        assert_eq!(answers.told("n", address(7), 0, end), Told::default());
    }
}
