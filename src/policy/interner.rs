//! Small numbers for what decisions refer to: lists of rules, and redirects.
//!
//! Owns the numbering, which only grows while a policy set is in use.

use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::verdict::{Origin, Redirect, RedirectId, RulesId};

/// Both numberings.
#[derive(Debug)]
pub(super) struct Interner {
    rules: RwLock<Numbers<Arc<[Origin]>>>,
    redirects: RwLock<Numbers<Arc<Redirect>>>,
}

#[derive(Debug)]
struct Numbers<T> {
    by_value: HashMap<T, u32, RandomState>,
    values: Vec<T>,
}

impl Interner {
    /// What the agent's own rule for the node's host has as its list.
    pub(super) const LOCALHOST: RulesId = RulesId(1);

    /// Has the empty list of rules as number 0.
    pub(super) fn new() -> Self {
        let interner = Self {
            rules: RwLock::new(Numbers::new()),
            redirects: RwLock::new(Numbers::new()),
        };
        interner.rules(Vec::new());
        interner.rules(vec![Origin::AllowLocalhost]);
        interner
    }

    /// A list of rules, in any order.
    pub(super) fn rules(&self, mut origins: Vec<Origin>) -> RulesId {
        origins.sort_unstable();
        origins.dedup();
        RulesId(number(&self.rules, origins.into()))
    }

    pub(super) fn redirect(&self, redirect: Redirect) -> RedirectId {
        RedirectId(number(&self.redirects, Arc::new(redirect)))
    }

    pub(super) fn rules_of(&self, id: RulesId) -> Arc<[Origin]> {
        value(&self.rules, id.0).unwrap_or_else(|| Arc::from(Vec::new()))
    }

    pub(super) fn redirect_of(&self, id: RedirectId) -> Option<Arc<Redirect>> {
        value(&self.redirects, id.0)
    }
}

impl<T: Hash + Eq + Clone> Numbers<T> {
    fn new() -> Self {
        Self {
            by_value: HashMap::default(),
            values: Vec::new(),
        }
    }
}

fn number<T: Hash + Eq + Clone>(numbers: &RwLock<Numbers<T>>, value: T) -> u32 {
    // A numbering is whole at any time, so one that a panic left behind is fine.
    let known = numbers.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(number) = known.by_value.get(&value) {
        return *number;
    }
    drop(known);
    let mut numbers = numbers.write().unwrap_or_else(PoisonError::into_inner);
    let next = numbers.values.len() as u32;
    if let Some(number) = numbers.by_value.get(&value) {
        return *number;
    }
    numbers.values.push(value.clone());
    numbers.by_value.insert(value, next);
    next
}

fn value<T: Clone>(numbers: &RwLock<Numbers<T>>, number: u32) -> Option<T> {
    let numbers = numbers.read().unwrap_or_else(PoisonError::into_inner);
    numbers.values.get(number as usize).cloned()
}
