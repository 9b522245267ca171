//! What a detector may look at beside the tick.
//!
//! Owns what is known of the view: for whom DNS and HTTP are visible, and how much is lost.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::baseline::{DAY, Loss, Model, Tick};
use crate::connection::{PeerId, Peers};

/// How long DNS that was seen proves that it can be seen.
const VISIBLE: i64 = DAY;
/// Clients whose view is remembered.
const MOST_CLIENTS: usize = 1 << 17;
/// Share of events that may be missing before what was not seen proves nothing: 1 %.
pub const LOSS_LIMIT: f64 = 0.01;

/// What detectors look at.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// Names of the numbers in ticks and observations.
    pub peers: &'a Peers,
    /// What is normal, before this tick.
    pub model: &'a Model,
    /// What can be seen.
    pub sight: &'a Sight,
    /// End of the tick, in nanoseconds since 1970 UTC.
    pub now: i64,
}

/// What can be seen.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    clients: HashMap<PeerId, Seen, RandomState>,
    /// When the template of a workload last changed.
    templates: HashMap<PeerId, i64, RandomState>,
    /// When a policy that flows name last changed.
    policies: HashMap<Arc<str>, i64, RandomState>,
    loss: Loss,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    dns: i64,
    http: i64,
    last: i64,
}

const NEVER: i64 = i64::MIN;

impl Sight {
    /// Takes what a tick shows, before detectors see it.
    pub fn update(&mut self, tick: &Tick) {
        self.loss = tick.loss;
        let end = tick.end();
        for group in tick.groups.iter().filter(|group| group.fate.is_new()) {
            if let Some(seen) = self.client(group.client, end) {
                seen.last = end;
            }
        }
        for group in &tick.dns {
            if let Some(seen) = self.client(group.client, end) {
                (seen.dns, seen.last) = (end, end);
            }
        }
        for group in &tick.http {
            if let Some(seen) = self.client(group.client, end) {
                (seen.http, seen.last) = (end, end);
            }
        }
    }

    fn client(&mut self, client: PeerId, now: i64) -> Option<&mut Seen> {
        if self.clients.len() >= MOST_CLIENTS && !self.clients.contains_key(&client) {
            self.clients
                .retain(|_, seen| seen.last.saturating_add(VISIBLE) > now);
            if self.clients.len() >= MOST_CLIENTS {
                return None;
            }
        }
        Some(self.clients.entry(client).or_insert(Seen {
            dns: NEVER,
            http: NEVER,
            last: NEVER,
        }))
    }

    /// Whether questions to DNS of a client were seen within a day.
    #[must_use]
    pub fn dns(&self, client: PeerId, now: i64) -> bool {
        let seen = self.clients.get(&client);
        seen.is_some_and(|seen| seen.dns.saturating_add(VISIBLE) >= now)
    }

    /// Whether requests of HTTP of a client were seen within a day.
    #[must_use]
    pub fn http(&self, client: PeerId, now: i64) -> bool {
        let seen = self.clients.get(&client);
        seen.is_some_and(|seen| seen.http.saturating_add(VISIBLE) >= now)
    }

    /// Of the clients seen within a day: how many there are, and for how many of them DNS is
    /// visible.
    #[must_use]
    pub fn dns_coverage(&self, now: i64) -> (usize, usize) {
        let fresh = |time: i64| time.saturating_add(VISIBLE) >= now;
        let clients = self.clients.values().filter(|seen| fresh(seen.last));
        clients.fold((0, 0), |(all, visible), seen| {
            (all + 1, visible + usize::from(fresh(seen.dns)))
        })
    }

    /// Takes that the template of a workload changed.
    pub fn template(&mut self, workload: PeerId, time: i64) {
        if self.templates.len() >= MOST_CLIENTS {
            self.templates
                .retain(|_, at| at.saturating_add(VISIBLE) > time);
        }
        let at = self.templates.entry(workload).or_insert(time);
        *at = time.max(*at);
    }

    /// Takes that a policy that flows name changed.
    pub fn policy(&mut self, name: &Arc<str>, time: i64) {
        if self.policies.len() >= MOST_CLIENTS {
            self.policies
                .retain(|_, at| at.saturating_add(VISIBLE) > time);
        }
        let at = self.policies.entry(name.clone()).or_insert(time);
        *at = time.max(*at);
    }

    /// How long ago the template of a workload changed, if that is less than `within`.
    #[must_use]
    pub fn changed_since(&self, workload: PeerId, now: i64, within: i64) -> Option<i64> {
        let ago = now.saturating_sub(*self.templates.get(&workload)?);
        (0..within).contains(&ago).then_some(ago)
    }

    /// How long ago a policy changed, as far as flows show it.
    #[must_use]
    pub fn policy_changed(&self, name: &str, now: i64) -> Option<i64> {
        Some(now.saturating_sub(*self.policies.get(name)?).max(0))
    }

    /// What is missing of the tick.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Whether so much is missing that silence and failure prove nothing.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.loss.share() > LOSS_LIMIT
    }

    /// Clients that are remembered.
    #[must_use]
    pub fn held(&self) -> usize {
        self.clients.len() + self.templates.len() + self.policies.len()
    }
}
