//! What flows tell about later flows: policies Hubble names that were not given, and the
//! addresses DNS gave for names.
//!
//! Owns these facts with their positions, so that a flow is judged by what came before it,
//! whichever thread reads which piece: a piece is judged only when every piece before it
//! has said what it holds. They outlive the policies of the moment: a fact names who and
//! what it is about, not by which index.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::answers::{Answers, Told};
use super::cluster_policies::Who;
use super::watch::{Changes, Watches};
use crate::flow::FlowBatch;
use crate::policy::Direction;

/// Subjects whose missing policies are remembered; beyond that all of them miss one.
const MOST_SUBJECTS: usize = 1 << 18;
/// Policies remembered that one subject misses; what is beyond that is never given.
const MOST_POLICIES: usize = 64;

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
    any_names: AtomicBool,
    /// How often a policy was missed that was not before.
    misses: AtomicU64,
    missing: RwLock<Missing>,
    names: RwLock<Answers>,
    /// What is recorded of the DNS of nodes, by input, after the pieces that are published.
    watches: Mutex<HashMap<usize, Watches, RandomState>>,
}

#[derive(Debug, Default)]
struct Published {
    next: u64,
    ahead: Vec<u64>,
}

/// Policies that Hubble named and nobody gave.
#[derive(Debug, Default)]
struct Missing {
    subjects: HashMap<Subject, Vec<Miss>, RandomState>,
    /// From where on subjects missed policies that are not remembered.
    beyond: Option<Position>,
}

/// Whose policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    /// The cluster's name.
    pub(super) cluster: Arc<str>,
    pub(super) who: Who,
    pub(super) direction: Direction,
}

#[derive(Clone, Debug)]
struct Miss {
    /// Kind, namespace and name; `None` for one of too many.
    policy: Option<[Arc<str>; 3]>,
    /// Where it was named first.
    at: Position,
}

impl Ledger {
    /// Says that Hubble named a policy of a subject that was not given: by kind, namespace
    /// and name.
    pub(super) fn miss(&self, subject: Subject, policy: [&str; 3], at: Position) {
        let mut missing = self.missing.write().unwrap_or_else(PoisonError::into_inner);
        if missing.note(subject, policy, at) {
            self.misses.fetch_add(1, Ordering::Release);
        }
    }

    /// How often a policy was missed that was not before: what [`Self::missed`] says holds
    /// for as long as this stays the same.
    pub(super) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Acquire)
    }

    /// From where on a policy of the subject is missed that is not `given` now.
    pub(super) fn missed(
        &self,
        subject: &Subject,
        given: impl Fn(&str, &str, &str) -> bool,
    ) -> Option<Position> {
        let missing = self.missing.read().unwrap_or_else(PoisonError::into_inner);
        let misses = missing.subjects.get(subject).into_iter().flatten();
        misses
            .filter(|miss| match &miss.policy {
                Some([kind, namespace, name]) => !given(kind, namespace, name),
                None => true,
            })
            .map(|miss| miss.at)
            .chain(missing.beyond)
            .min()
    }

    /// Says that DNS gave an address for a name on a node, for as long as it may be kept.
    pub(super) fn resolve(
        &self,
        (node, address): (&str, IpAddr),
        name: &str,
        times: (i64, i64),
        at: Position,
    ) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        names.add(node, address, name, times, at);
        self.any_names.store(true, Ordering::Release);
    }

    /// Names an address had on a node at a time, by answers that came before.
    pub(super) fn names(&self, node: &str, address: IpAddr, time: i64, at: Position) -> Told {
        if !self.any_names.load(Ordering::Acquire) {
            return Told::default();
        }
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.told(node, address, time, at)
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

impl Missing {
    /// Whether anything is known that was not before.
    fn note(&mut self, subject: Subject, policy: [&str; 3], at: Position) -> bool {
        let earlier = |known: &mut Position| {
            let is_earlier = at < *known;
            *known = at.min(*known);
            is_earlier
        };
        if self.subjects.len() >= MOST_SUBJECTS && !self.subjects.contains_key(&subject) {
            return match &mut self.beyond {
                Some(known) => earlier(known),
                none => {
                    *none = Some(at);
                    true
                }
            };
        }
        let misses = self.subjects.entry(subject).or_default();
        let full = misses.len() >= MOST_POLICIES;
        let known = misses.iter_mut().find(|miss| match &miss.policy {
            Some(known) => known
                .iter()
                .zip(policy)
                .all(|(known, name)| **known == *name),
            None => full,
        });
        if let Some(known) = known {
            return earlier(&mut known.at);
        }
        let last = misses.len() + 1 >= MOST_POLICIES;
        misses.push(Miss {
            policy: (!last).then(|| policy.map(Arc::from)),
            at,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Identity, Label};

    fn at(piece: u64, row: u64) -> Position {
        Position { piece, row }
    }

    fn subject(app: &str, direction: Direction) -> Subject {
        Subject {
            cluster: "c".into(),
            who: Who::from(Identity {
                labels: vec![Label::new("k8s", "app", app)],
                ..Identity::default()
            }),
            direction,
        }
    }

    fn nothing(_: &str, _: &str, _: &str) -> bool {
        false
    }

    #[test]
    fn a_missing_policy_counts_from_where_it_was_named() {
        let ledger = Ledger::default();
        let policy = ["NetworkPolicy", "shop", "one"];
        ledger.miss(subject("a", Direction::Ingress), policy, at(3, 5));
        ledger.miss(subject("a", Direction::Ingress), policy, at(2, 9));
        let missed = |app, direction| ledger.missed(&subject(app, direction), nothing);
        assert_eq!(missed("a", Direction::Ingress), Some(at(2, 9)));
        assert_eq!(missed("a", Direction::Egress), None);
        assert_eq!(missed("b", Direction::Ingress), None);
        let known = ledger.misses();
        ledger.miss(subject("a", Direction::Ingress), policy, at(4, 0));
        assert_eq!(ledger.misses(), known);
    }

    #[test]
    fn policies_that_are_given_later_are_missed_no_more() {
        let ledger = Ledger::default();
        let whose = || subject("a", Direction::Ingress);
        ledger.miss(whose(), ["NetworkPolicy", "shop", "one"], at(1, 0));
        ledger.miss(whose(), ["NetworkPolicy", "shop", "two"], at(2, 0));
        let one = |_: &str, _: &str, name: &str| name == "one";
        assert_eq!(ledger.missed(&whose(), one), Some(at(2, 0)));
        assert_eq!(ledger.missed(&whose(), |_, _, _| true), None);
        assert_eq!(ledger.missed(&whose(), nothing), Some(at(1, 0)));
    }

    #[test]
    fn what_is_too_much_to_remember_is_missed_for_ever() {
        let ledger = Ledger::default();
        for number in 0..200 {
            let name = format!("p{number}");
            let policy = ["NetworkPolicy", "shop", name.as_str()];
            ledger.miss(subject("a", Direction::Ingress), policy, at(number, 0));
        }
        let missed = ledger.missed(&subject("a", Direction::Ingress), |_, _, _| true);
        assert_eq!(missed, Some(at(MOST_POLICIES as u64 - 1, 0)));
        let missing = ledger.missing.read().unwrap();
        assert!(
            missing
                .subjects
                .values()
                .all(|misses| misses.len() <= MOST_POLICIES)
        );
    }

    #[test]
    fn a_name_holds_after_its_answer_and_for_its_time() {
        let ledger = Ledger::default();
        let address: IpAddr = "9.9.9.9".parse().unwrap();
        ledger.resolve(("n", address), "a.test", (100, 160), at(0, 4));
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
