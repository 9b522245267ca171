//! What one workload asked for under one domain.
//!
//! Owns counting what is new in names, and how unusual the sum of an hour and of five minutes
//! is. Words are `exfiltration`'s.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;

use super::{MOST_NAMES, USUAL, WINDOW};
use crate::baseline::stat::{Charset, Decayed, Distinct, information};
use crate::baseline::{DAY, DnsGroup, HOUR, TICK};

/// Parts of an hour.
const PARTS: usize = 12;
/// Length of one.
const PART: i64 = WINDOW / PARTS as i64;
/// Share of the usual hour that is usual in five minutes.
const SHORT: f64 = 0.5;
/// The tail falls with this power.
const POWER: f64 = 4.0;
/// Share of domains above the usual.
const ABOVE: f64 = 0.01;
/// The usual maximum is half forgotten after.
const HALF_LIFE: i64 = 7 * DAY;
/// Age from which a domain has a usual maximum of its own.
const OWN: i64 = DAY;

/// A workload and a domain.
#[derive(Debug, Default)]
pub(super) struct Pair {
    first: i64,
    last: i64,
    /// Since when it carries what is unusual.
    since: i64,
    /// Names that were asked for, by hash, in two generations.
    young: BTreeSet<u64>,
    old: BTreeSet<u64>,
    distinct: Distinct,
    characters: Charset,
    /// Sum of lengths of distinct names, and how many.
    length: f64,
    counted: f64,
    longest: usize,
    asked: u64,
    odd: u64,
    /// Bytes of each five minutes of the last hour, and which one was the last.
    parts: [f32; PARTS],
    part: i64,
    /// Bytes of the hour that is open, and which one it is.
    open: (i64, f64),
    /// Most that was seen in an hour.
    most: Decayed,
    total: f64,
    fresh: i64,
}

/// How unusual it is: the smaller of an hour and of five minutes, times two.
pub(super) fn p_of(pair: &Pair, usual: f64) -> f64 {
    let hour = pareto(pair.hour(), usual);
    let short = pareto(pair.short(), SHORT * usual);
    (2.0 * hour.min(short)).min(1.0)
}

/// `P(X > bytes)` where 1 % is above `usual` and the tail falls with the fourth power.
fn pareto(bytes: f64, usual: f64) -> f64 {
    if bytes <= usual {
        return 1.0;
    }
    ABOVE * (usual / bytes).powf(POWER)
}

impl Pair {
    /// Adds a question, of which `name` is what it says beside its domain.
    pub(super) fn add(&mut self, name: &str, group: &DnsGroup, tick: i64) {
        self.add_of(name, name, group, tick);
    }

    /// Adds a question that is told from others by `whole`.
    pub(super) fn add_of(&mut self, name: &str, whole: &str, group: &DnsGroup, tick: i64) {
        self.turn(tick);
        if self.asked == 0 {
            self.first = group.first;
        }
        self.first = self.first.min(group.first);
        self.last = self.last.max(group.first);
        self.asked += group.count;
        let odd = group
            .types
            .split(',')
            .any(|kind| matches!(kind.trim(), "TXT" | "NULL" | "CNAME" | "MX"));
        self.odd += if odd { group.count } else { 0 };
        if !self.is_new(whole) {
            return;
        }
        self.characters.add(name);
        let characters = name.bytes().filter(|byte| *byte != b'.').count();
        self.length += characters as f64;
        self.counted += 1.0;
        let labels = name.split('.').map(str::len);
        self.longest = self.longest.max(labels.max().unwrap_or_default());
        let bytes = information(1.0, characters as f64, self.characters.entropy());
        let at = self.part.rem_euclid(PARTS as i64) as usize;
        self.parts[at] += bytes as f32;
        self.open.1 += bytes;
        self.total += bytes;
        self.fresh = tick;
    }

    /// Whether a name was not asked for before, as far as is remembered.
    fn is_new(&mut self, whole: &str) -> bool {
        let hash = foldhash::fast::FixedState::with_seed(11).hash_one(whole);
        if self.young.contains(&hash) || self.old.contains(&hash) {
            // It stays remembered.
            self.young.insert(hash);
            self.turn_names();
            return false;
        }
        self.distinct.insert(hash);
        self.young.insert(hash);
        self.turn_names();
        true
    }

    fn turn_names(&mut self) {
        if self.young.len() > MOST_NAMES {
            self.old = std::mem::take(&mut self.young);
        }
    }

    /// Goes on to the time of a tick.
    fn turn(&mut self, tick: i64) {
        let part = tick.div_euclid(PART);
        let gone = (part - self.part).clamp(0, PARTS as i64);
        for back in 0..gone {
            let at = (part - back).rem_euclid(PARTS as i64) as usize;
            self.parts[at] = 0.0;
        }
        self.part = self.part.max(part);
        let hour = tick.div_euclid(HOUR);
        if hour != self.open.0 {
            let (open, bytes) = self.open;
            // An hour that was unusual makes no usual maximum.
            if bytes > 0.0 && super::p_of(self, self.usual()) > super::P.sqrt() {
                let before = self.most.at(open * HOUR, HALF_LIFE);
                self.most.set(before.max(bytes), open * HOUR);
            }
            self.open = (hour, 0.0);
        }
        if self.hour() <= 0.0 {
            self.since = tick;
        }
    }

    /// Bytes an hour that are usual for it.
    pub(super) fn usual(&self) -> f64 {
        if self.last.saturating_sub(self.first) < OWN {
            return USUAL;
        }
        USUAL.max(2.0 * self.most.at(self.last, HALF_LIFE))
    }

    /// Bytes of the last hour.
    pub(super) fn hour(&self) -> f64 {
        self.parts.iter().map(|part| f64::from(*part)).sum()
    }

    /// Bytes of the last five minutes, and of those before if they have just begun.
    fn short(&self) -> f64 {
        let at = |back: i64| {
            let at = (self.part - back).rem_euclid(PARTS as i64) as usize;
            f64::from(self.parts[at])
        };
        at(0).max(at(1))
    }

    /// Whether the last name that was new came in this tick.
    pub(super) fn is_fresh(&self, tick: i64) -> bool {
        self.fresh == tick
    }

    pub(super) fn first(&self) -> i64 {
        self.first
    }

    pub(super) fn last(&self) -> i64 {
        self.last
    }

    pub(super) fn since(&self) -> i64 {
        self.since.max(self.first)
    }

    /// Different names.
    pub(super) fn names(&self) -> f64 {
        self.distinct.count()
    }

    /// Mean length of names in characters.
    pub(super) fn length(&self) -> f64 {
        self.length / self.counted.max(1.0)
    }

    pub(super) fn entropy(&self) -> f64 {
        self.characters.entropy()
    }

    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Bytes in all.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    /// Share of questions for types that carry much.
    pub(super) fn odd_types(&self) -> f64 {
        self.odd as f64 / self.asked.max(1) as f64
    }

    /// How much would be lost with it.
    pub(super) fn weight(&self, now: i64) -> f64 {
        let age = now.saturating_sub(self.last).max(0) as f64 / TICK as f64;
        self.total / (1.0 + age)
    }

    /// Hashes of names that are held.
    pub(super) fn held(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
