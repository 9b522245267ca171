//! New edges: whatever a workload calls for the first time, once it was seen for so long.
//!
//! The rule of products that lock a baseline by the clock: StackRox takes what a deployment
//! does in its first hour as its network baseline, Kubescape learns an application profile for
//! 24 hours (their documentation). Each edge is told once, at its first connection, and is
//! known from then on.

use std::collections::{HashMap, HashSet};

use flowwatch::baseline::{HOUR, Tick};
use flowwatch::connection::{Peer, PeerId, Peers};

use super::alarms::{Alarm, Log, Method};

pub(crate) struct NewEdges {
    hours: i64,
    /// Destinations outside the cluster too; else edges between workloads alone.
    outside: bool,
    /// When a workload was seen first.
    since: HashMap<PeerId, i64>,
    known: HashSet<(PeerId, PeerId)>,
    log: Log,
}

impl NewEdges {
    pub(crate) fn new(hours: i64, outside: bool, from: i64) -> Self {
        Self {
            hours,
            outside,
            since: HashMap::new(),
            known: HashSet::new(),
            log: Log::new(from, false),
        }
    }
}

impl Method for NewEdges {
    fn name(&self) -> String {
        let outside = if self.outside { " or outside" } else { "" };
        format!("new edge to workloads{outside} after {} h", self.hours)
    }

    fn tick(&mut self, tick: &Tick, peers: &Peers) {
        for group in tick.groups.iter().filter(|group| group.fate.is_new()) {
            let is_workload = |id| matches!(peers.get(id), Peer::Workload { .. });
            if !is_workload(group.client) || !(self.outside || is_workload(group.key)) {
                continue;
            }
            let since = *self.since.entry(group.client).or_insert(group.first);
            let new = self.known.insert((group.client, group.key));
            if new && group.first - since > self.hours * HOUR {
                let alarm = Alarm {
                    told: group.first,
                    span: (group.first, group.first),
                    score: 1.0,
                };
                self.log.say(group.client, group.key, alarm);
            }
        }
    }

    fn alarms(self: Box<Self>) -> Log {
        self.log
    }
}
