//! Numbers for what is said of flows, which go with them through the fold as their marks.
//!
//! Owns giving the same number to the same thing on every thread. There are as many as there
//! are different things, not as there are flows.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Things that are told apart; what comes after them has no number.
const MOST: usize = 1 << 20;

/// Everything that has a number. Shared by all threads.
#[derive(Debug)]
pub(super) struct Marks<T>(Mutex<Table<T>>);

#[derive(Debug)]
struct Table<T> {
    numbers: HashMap<Arc<T>, u32, RandomState>,
    /// That of number 1 is the first.
    all: Vec<Arc<T>>,
    left_out: u64,
}

/// Gives numbers on one thread, which remembers those it gave.
#[derive(Debug)]
pub(super) struct Marker<T> {
    marks: Arc<Marks<T>>,
    known: HashMap<T, u32, RandomState>,
}

impl<T> Default for Marks<T> {
    fn default() -> Self {
        Self(Mutex::new(Table {
            numbers: HashMap::default(),
            all: Vec::new(),
            left_out: 0,
        }))
    }
}

impl<T: Hash + Eq + Clone> Marks<T> {
    /// Those after the first `known` ones.
    pub(super) fn after(&self, known: usize) -> Vec<Arc<T>> {
        self.locked().all.get(known..).unwrap_or_default().to_vec()
    }

    /// How often there was no room for one.
    pub(super) fn left_out(&self) -> u64 {
        self.locked().left_out
    }

    fn number(&self, one: &T) -> u32 {
        let mut table = self.locked();
        if let Some(known) = table.numbers.get(one) {
            return *known;
        }
        if table.all.len() >= MOST {
            table.left_out += 1;
            return 0;
        }
        let one = Arc::new(one.clone());
        table.all.push(Arc::clone(&one));
        let number = table.all.len() as u32;
        table.numbers.insert(one, number);
        number
    }

    fn locked(&self) -> MutexGuard<'_, Table<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Hash + Eq + Clone> Marker<T> {
    pub(super) fn new(marks: Arc<Marks<T>>) -> Self {
        Self {
            marks,
            known: HashMap::default(),
        }
    }

    /// The number of a thing, from 1; 0 where there is no room for it.
    pub(super) fn mark(&mut self, one: T) -> u32 {
        if let Some(known) = self.known.get(&one) {
            return *known;
        }
        let number = self.marks.number(&one);
        if number > 0 {
            self.known.insert(one, number);
        }
        number
    }
}
