//! What flows tell about later flows: policies Hubble names that were not given, and the
//! addresses DNS gave for names.
//!
//! Owns these facts with their positions, so that a flow is judged by what came before it,
//! whichever thread reads which piece: a piece is judged only when every piece before it
//! has said what it holds.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::watch::{Changes, Watches};
use crate::flow::FlowBatch;
use crate::policy::{Direction, IdentityIndex};

/// Addresses whose names are remembered; beyond that the oldest half is forgotten, and
/// their flows are unknown again.
const MOST_ADDRESSES: usize = 1 << 17;
/// Names remembered for one address.
const MOST_NAMES: usize = 64;

/// Place of a row: its piece, then its number in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the piece, from 0.
    pub piece: u64,
    /// Number of the row in the piece, from 0.
    pub row: u64,
}

/// Facts of all pieces.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Pieces before this one have said what they hold; some after it too.
    published: Mutex<Published>,
    changed: Condvar,
    any_missing: AtomicBool,
    any_names: AtomicBool,
    missing: RwLock<HashMap<Subject, Position, RandomState>>,
    names: RwLock<Names>,
    /// Answers were forgotten to make room.
    forgot: AtomicBool,
    /// What is recorded of the DNS of nodes, by input, after the pieces that are published.
    watches: Mutex<HashMap<usize, Watches, RandomState>>,
}

/// Names of an address at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Those it has.
    pub(super) names: Vec<Arc<str>>,
    /// It had another before, which an open connection may keep; or it is not known whether.
    pub(super) other: bool,
}

#[derive(Debug, Default)]
struct Published {
    next: u64,
    ahead: Vec<u64>,
}

/// Answers by node and address.
type Names = HashMap<(Arc<str>, IpAddr), Vec<Answer>, RandomState>;

/// Whose policy: a cluster by its place in memory, an identity in it, a direction.
type Subject = (usize, IdentityIndex, Direction);

/// A name that DNS gave for an address on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    at: Position,
    name: Arc<str>,
    /// Nanoseconds since 1970 UTC: from when to when it holds.
    from: i64,
    until: i64,
}

impl Ledger {
    /// Says that Hubble named a policy of a subject that was not given.
    pub(super) fn miss(&self, subject: Subject, at: Position) {
        let mut missing = self.missing.write().unwrap_or_else(PoisonError::into_inner);
        let known = missing.entry(subject).or_insert(at);
        *known = (*known).min(at);
        self.any_missing.store(true, Ordering::Release);
    }

    /// Whether a policy of the subject was missed before.
    pub(super) fn misses(&self, subject: Subject, at: Position) -> bool {
        self.any_missing.load(Ordering::Acquire)
            && self
                .missing
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&subject)
                .is_some_and(|first| *first < at)
    }

    /// Says that DNS gave an address for a name on a node, for as long as it may be kept.
    pub(super) fn resolve(
        &self,
        (node, address): (Arc<str>, IpAddr),
        name: Arc<str>,
        (from, until): (i64, i64),
        at: Position,
    ) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MOST_ADDRESSES {
            self.forgot.store(true, Ordering::Release);
            let mut firsts: Vec<Position> = names
                .values()
                .filter_map(|answers| answers.last().map(|answer| answer.at))
                .collect();
            firsts.sort_unstable();
            let middle = firsts[firsts.len() / 2];
            names.retain(|_, answers| answers.last().is_some_and(|answer| answer.at > middle));
        }
        let answers = names.entry((node, address)).or_default();
        if answers.len() >= MOST_NAMES {
            self.forgot.store(true, Ordering::Release);
            answers.remove(0);
        }
        answers.push(Answer {
            at,
            name,
            from,
            until,
        });
        self.any_names.store(true, Ordering::Release);
    }

    /// Names an address had on a node at a time, by answers that came before.
    pub(super) fn names(&self, node: &str, address: IpAddr, time: i64, at: Position) -> Told {
        let mut told = Told {
            other: self.forgot.load(Ordering::Acquire),
            ..Told::default()
        };
        if !self.any_names.load(Ordering::Acquire) {
            return told;
        }
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let answers = || {
            let known = names.get(&(Arc::from(node), address));
            known.into_iter().flatten().filter(|answer| answer.at < at)
        };
        told.names = answers()
            .filter(|answer| (answer.from..=answer.until).contains(&time))
            .map(|answer| answer.name.clone())
            .collect();
        told.names.sort();
        told.names.dedup();
        told.other |= answers().any(|answer| !told.names.contains(&answer.name));
        told
    }

    /// Goes over the piece of an input, of which these are all batches, after every piece
    /// before it: where in it the record of a node's DNS changes, and how it is at the end.
    pub(super) fn watch(&self, input: usize, batches: &[FlowBatch]) -> (Changes, Watches) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let watches = watches.entry(input).or_default();
        let changes = watches.piece(batches);
        (changes, watches.clone())
    }

    /// Says that events of a node may be missing before what comes next from an input; of
    /// every node where it is not known which.
    pub fn hole(&self, input: usize, node: &str, time: i64) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watches) = watches.get_mut(&input) {
            watches.end(node, time);
        }
    }

    /// Says that a piece has said what it holds.
    pub fn publish(&self, piece: u64) {
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        published.ahead.push(piece);
        while let Some(index) = published
            .ahead
            .iter()
            .position(|ahead| *ahead == published.next)
        {
            published.ahead.swap_remove(index);
            published.next += 1;
        }
        drop(published);
        self.changed.notify_all();
    }

    /// Waits until every piece before this one has been published. They are being read: a
    /// piece is taken only after those before it.
    pub fn wait_for(&self, piece: u64) {
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while published.next < piece {
            published = self
                .changed
                .wait(published)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(piece: u64, row: u64) -> Position {
        Position { piece, row }
    }

    #[test]
    fn a_missing_policy_counts_from_where_it_was_named() {
        let ledger = Ledger::default();
        let subject = (1, IdentityIndex(2), Direction::Ingress);
        ledger.miss(subject, at(3, 5));
        ledger.miss(subject, at(2, 9));
        assert!(!ledger.misses(subject, at(2, 9)));
        assert!(ledger.misses(subject, at(2, 10)));
        assert!(!ledger.misses((1, IdentityIndex(2), Direction::Egress), at(9, 0)));
    }

    #[test]
    fn a_name_holds_after_its_answer_and_for_its_time() {
        let ledger = Ledger::default();
        let address: IpAddr = "9.9.9.9".parse().unwrap();
        ledger.resolve(("n".into(), address), "a.test".into(), (100, 160), at(0, 4));
        let names = |node: &str, time, position| ledger.names(node, address, time, position);
        assert_eq!(names("n", 120, at(0, 5)).names, [Arc::from("a.test")]);
        assert!(!names("n", 120, at(0, 5)).other);
        assert_eq!(names("n", 120, at(0, 4)), Told::default());
        assert_eq!(names("other", 120, at(1, 0)), Told::default());
        let past = names("n", 161, at(1, 0));
        assert!(past.names.is_empty() && past.other);
    }

    /// Scenario: pieces are published out of order.
    /// Guarantees: nobody waits for a piece after his own, everybody for those before.
    #[test]
    fn a_piece_waits_for_those_before_it_only() {
        let ledger = Arc::new(Ledger::default());
        ledger.publish(1);
        ledger.wait_for(0);
        let waiting = {
            let ledger = ledger.clone();
            std::thread::spawn(move || ledger.wait_for(2))
        };
        ledger.publish(0);
        waiting.join().unwrap();
    }
}
