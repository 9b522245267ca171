//! Policies that are younger than a flow.
//!
//! Owns which policy that is. A flow that is older than a policy which takes part cannot be
//! held against it: what was in force then is not known.

use std::fmt;
use std::sync::Arc;

use crate::policy::{Compiled, Direction, IdentityIndex, ObjectId};

const SECOND: i64 = 1_000_000_000;

/// Since when what is judged by is in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changed {
    /// The policy that changed last of those that take part; `None` where it was said of
    /// all of them.
    pub policy: Option<ObjectId>,
    /// When, in nanoseconds since 1970 UTC.
    pub time: i64,
}

impl Changed {
    /// The last change of what decides about a subject in a direction; `since` is what was
    /// said of all policies.
    pub(super) fn last(
        compiled: &Compiled,
        subject: IdentityIndex,
        direction: Direction,
        since: Option<i64>,
    ) -> Option<Arc<Self>> {
        let set = compiled.set();
        let policy = compiled
            .selecting(subject, direction)
            .into_iter()
            .filter_map(|index| {
                let entry = set.entries.get(index as usize)?;
                let object = set.objects.get(entry.object as usize)?;
                Some((object.changed?, &object.id))
            })
            .max()
            .map(|(time, id)| Self {
                policy: Some(id.clone()),
                time,
            });
        let all = since.map(|time| Self { policy: None, time });
        policy
            .into_iter()
            .chain(all)
            .max_by_key(|changed| changed.time)
            .map(Arc::new)
    }

    /// Whether a flow of this time may have come before. The times of objects are whole
    /// seconds.
    pub(super) fn is_after(&self, flow: i64) -> bool {
        let resolution = if self.policy.is_some() { SECOND } else { 0 };
        flow < self.time.saturating_add(resolution)
    }

    /// When, as RFC 3339.
    #[must_use]
    pub fn when(&self) -> String {
        jiff::Timestamp::from_nanosecond(i128::from(self.time))
            .map_or_else(|_| self.time.to_string(), |time| time.to_string())
    }
}

impl fmt::Display for Changed {
    /// `shop/web changed 2026-06-16T12:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.policy {
            Some(policy) => write!(f, "{} changed {}", policy.short(), self.when()),
            None => write!(f, "the policies came into force {}", self.when()),
        }
    }
}
