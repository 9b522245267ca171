//! Edges come and go, and the sums over them stay in step.
//!
//! Owns that trials, ports of a pair, and how many destinations have how many users always
//! are what the edges say.

use super::{Class, EdgeProfile, Model, Popularity};
use crate::connection::{Edge, PeerId};

impl Model {
    /// Adds an edge; `false` where there is no room for it, or it is there.
    pub(in crate::baseline) fn insert(&mut self, edge: Edge, profile: EdgeProfile) -> bool {
        if self.edges.contains_key(&edge) {
            return false;
        }
        let of_client = self
            .workloads
            .get(&edge.client)
            .map_or(0, |workload| workload.edges as usize);
        if self.edges.len() >= self.options.edges || of_client >= self.options.client_edges {
            self.beyond += 1;
            return false;
        }
        let (first, days, hours) = (profile.first, profile.days, profile.hours);
        let outside = self.class(edge.server) == Class::Outside;
        self.edges.insert(edge, profile);
        if let Some(workload) = self.workloads.get_mut(&edge.client) {
            workload.edges += 1;
            workload.outside.0 += u64::from(outside);
            workload.activity += u64::from(hours);
            workload.once += u64::from(hours <= 1);
            workload.add_trials(u64::from(days), outside);
        }
        let pair = self.pairs.entry((edge.client, edge.server)).or_default();
        pair.ports += 1;
        pair.trials += u64::from(days);
        if pair.ports == 1 && self.class(edge.client) == Class::Workload {
            self.adopt(edge.server, first, outside);
        }
        true
    }

    /// A destination has one more user.
    fn adopt(&mut self, key: PeerId, first: i64, outside: bool) {
        let key = self
            .keys
            .entry(key)
            .or_insert(Popularity { users: 0, first });
        key.first = key.first.min(first);
        let users = key.users as usize;
        let histogram = &mut self.histogram[usize::from(outside)];
        if histogram.len() < users + 2 {
            histogram.resize(users + 2, 0);
        }
        if users > 0 {
            histogram[users] = histogram[users].saturating_sub(1);
        }
        histogram[users + 1] += 1;
        key.users += 1;
    }

    /// Takes an edge out.
    pub(in crate::baseline) fn remove(&mut self, edge: &Edge) -> Option<EdgeProfile> {
        let profile = self.edges.remove(edge)?;
        let outside = self.class(edge.server) == Class::Outside;
        if let Some(workload) = self.workloads.get_mut(&edge.client) {
            workload.edges = workload.edges.saturating_sub(1);
            workload.activity = workload.activity.saturating_sub(u64::from(profile.hours));
            workload.remove_trials(u64::from(profile.days), outside);
            if profile.hours <= 1 {
                workload.once = workload.once.saturating_sub(1);
            }
            if outside {
                workload.outside.0 = workload.outside.0.saturating_sub(1);
            }
        }
        let place = (edge.client, edge.server);
        if let Some(pair) = self.pairs.get_mut(&place) {
            pair.ports = pair.ports.saturating_sub(1);
            pair.trials = pair.trials.saturating_sub(u64::from(profile.days));
            if pair.ports == 0 {
                self.pairs.remove(&place);
                if self.class(edge.client) == Class::Workload {
                    self.desert(edge.server, outside);
                }
            }
        }
        Some(profile)
    }

    /// A destination has one user less.
    fn desert(&mut self, key: PeerId, outside: bool) {
        let Some(popularity) = self.keys.get_mut(&key) else {
            return;
        };
        let histogram = &mut self.histogram[usize::from(outside)];
        let users = popularity.users as usize;
        if let Some(count) = histogram.get_mut(users) {
            *count = count.saturating_sub(1);
        }
        popularity.users = popularity.users.saturating_sub(1);
        if popularity.users == 0 {
            self.keys.remove(&key);
        } else if let Some(count) = histogram.get_mut(users - 1) {
            *count += 1;
        }
    }

    /// Notes that an edge was there at a time.
    pub(super) fn present(&mut self, edge: &Edge, time: i64) {
        let outside = self.class(edge.server) == Class::Outside;
        let Some(profile) = self.edges.get_mut(edge) else {
            return;
        };
        let hours = profile.hours;
        let new_day = profile.present(time);
        let new_hours = profile.hours - hours;
        if let Some(workload) = self.workloads.get_mut(&edge.client) {
            workload.activity += u64::from(new_hours);
            // An edge without an hour counts as seen in one.
            if hours == 1 && new_hours > 0 {
                workload.once = workload.once.saturating_sub(1);
            }
            workload.add_trials(u64::from(new_day), outside);
        }
        if new_day && let Some(pair) = self.pairs.get_mut(&(edge.client, edge.server)) {
            pair.trials += 1;
        }
    }
}
