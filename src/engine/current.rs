//! The policies of the moment, which may give way to others while flows are judged.
//!
//! Owns who gets which: whoever asks gets the newest, and keeps it for as long as it wants.
//! What the newest are made of is `policies`'s.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::policies::Policies;

/// The policies of the moment.
#[derive(Debug)]
pub struct Current {
    policies: RwLock<Arc<Policies>>,
    /// How often they gave way to others; for a look without a lock.
    number: AtomicU64,
}

impl Current {
    /// Begins with these.
    #[must_use]
    pub fn new(policies: Policies) -> Self {
        Self {
            policies: RwLock::new(Arc::new(policies)),
            number: AtomicU64::new(0),
        }
    }

    /// The policies, and how often others went before them.
    #[must_use]
    pub fn get(&self) -> (Arc<Policies>, u64) {
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        // Changed under the lock only.
        (policies.clone(), self.number())
    }

    /// How often policies gave way to others.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Puts others in their place and returns those before. They go when the last judge
    /// has let go of them.
    pub fn replace(&self, policies: Policies) -> Arc<Policies> {
        let policies = Arc::new(policies);
        let mut current = self
            .policies
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.number.fetch_add(1, Ordering::Release);
        std::mem::replace(&mut *current, policies)
    }
}
