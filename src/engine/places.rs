//! Numbers of clusters that every thread has in common.
//!
//! Owns the table of one thread: a judge counts the clusters it meets, in the order in which
//! it meets them.

use super::judge::Judge;
use super::policies::Policies;

/// Numbers of clusters by those of a judge.
#[derive(Clone, Debug, Default)]
pub struct Places(Vec<u32>);

impl Places {
    /// The number that every thread has for a cluster of a judge.
    pub fn of(&mut self, judge: &Judge, policies: &Policies, cluster: usize) -> u32 {
        while self.0.len() <= cluster {
            let next = judge.policies(self.0.len());
            self.0.push(policies.place(next));
        }
        self.0[cluster]
    }
}
