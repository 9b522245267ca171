//! Which connection a flow is of.
//!
//! Owns finding it among those of its tuple, by the clock of the node that saw it, and
//! opening another one, with room made for it. What the flow adds is `addition`'s.

use super::entry::{Entry, Place, SECOND, SHORT, bits};
use super::fold::Fold;
use super::key::{End, Key};
use super::names::Ids;
use super::record::JudgedSide;
use super::sight::Sight;
use crate::flow::RowRef;

/// How far clocks of nodes are apart that are told to be of one cluster.
const SKEW: i64 = 3 * SECOND;
/// Tuples that are remembered to have been let go of.
const MOST_CUT: usize = 1 << 16;

/// Where a flow belongs.
enum Belongs {
    To(u32),
    New,
    Late,
}

impl Fold {
    pub(super) fn fold(&mut self, row: RowRef<'_>, sight: &Sight, judged: Option<JudgedSide>) {
        let (from, to) = self.ends(row);
        let from = from.with_port(sight.ports.0);
        let to = to.with_port(sight.ports.1);
        let (key, source_is_low) = Key::of(row.protocol(), from, to);
        let place = Place {
            time: row.time().unwrap_or(self.clock),
            timed: row.time().is_some(),
            node: self.names.node(row),
            source_is_low,
            reference: None,
        };
        let at = if from.is_nothing() && to.is_nothing() {
            self.counts.alone += 1;
            self.make_room();
            let mut entry = Entry::new(key, &place);
            entry.flags |= bits::ALONE;
            self.table.insert_late(entry, self.clock)
        } else {
            match self.belongs(&key, sight, &place) {
                Belongs::To(at) => at,
                Belongs::New => self.open_new(key, &place),
                Belongs::Late => {
                    self.counts.late += 1;
                    self.make_room();
                    self.table.insert_late(Entry::new(key, &place), self.clock)
                }
            }
        };
        let is_new = self.table.get(at).is_some_and(|entry| entry.rows == 0);
        self.add(row, sight, &place, judged, at);
        if is_new && self.options().opened {
            self.table.await_opening(at);
        }
    }

    fn belongs(&self, key: &Key, sight: &Sight, place: &Place) -> Belongs {
        let Some(newest) = self.table.find(key) else {
            return Belongs::New;
        };
        let Some(entry) = self.table.get(newest) else {
            return Belongs::New;
        };
        if place.time > entry.seen().saturating_add(entry.window()) {
            return Belongs::New;
        }
        let is_before = |entry: &Entry| place.time < entry.began().saturating_sub(SHORT);
        // The newest connection the node has seen, and the one after it; else the oldest
        // that it may see late.
        let (mut at, mut next, mut unseen) = (newest, None, newest);
        while let Some(entry) = self.table.get(at) {
            if entry.is_seen_by(place.node) && !is_before(entry) {
                if !entry.is_over_for(sight, place) {
                    return Belongs::To(at);
                }
                return next.map_or(Belongs::New, Belongs::To);
            }
            let near = if sight.begins {
                place.time.abs_diff(entry.began()) <= SKEW.unsigned_abs()
            } else {
                place.time >= entry.began().saturating_sub(SKEW)
                    && place.time <= entry.seen().saturating_add(SKEW)
            };
            if near {
                unseen = at;
            }
            (next, at) = (Some(at), entry.previous);
        }
        if is_before(entry) {
            return Belongs::Late;
        }
        Belongs::To(unseen)
    }

    fn open_new(&mut self, key: Key, place: &Place) -> u32 {
        self.make_room();
        let at = self.table.insert(Entry::new(key, place), self.clock);
        if !self.cut.is_empty() {
            let hash = self.table.hash(&key);
            let known = self.cut[hash as usize % MOST_CUT] == tag(hash);
            if known && let Some(entry) = self.table.get_mut(at) {
                entry.flags |= bits::RESUMED;
            }
        }
        at
    }

    fn make_room(&mut self) {
        while self.table.is_full() {
            let Some((entry, in_use)) = self.table.evict() else {
                return;
            };
            if in_use {
                self.counts.cut += 1;
                self.cut.resize(MOST_CUT, 0);
                let hash = self.table.hash(&entry.key);
                self.cut[hash as usize % MOST_CUT] = tag(hash);
            }
            self.close(&entry);
        }
    }

    pub(super) fn ends(&mut self, row: RowRef<'_>) -> (End, End) {
        (
            self.names.end(row, source(row)),
            self.names.end(row, destination(row)),
        )
    }
}

/// What is remembered of the hash of a tuple; never 0.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

pub(super) fn source(row: RowRef<'_>) -> Ids {
    Ids {
        endpoint: row.source(),
        address: row.source_ip(),
        names: row.source_names(),
    }
}

pub(super) fn destination(row: RowRef<'_>) -> Ids {
    Ids {
        endpoint: row.destination(),
        address: row.destination_ip(),
        names: row.destination_names(),
    }
}
