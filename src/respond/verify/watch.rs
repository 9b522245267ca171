//! Collecting what flows show of a quarantine.
//!
//! Owns which flows count, and for which side. A trace before the policy (`from-…`) shows
//! nothing of it; a flow seen at the other end shows nothing of this one. Bounded: 4,096
//! sides, 1,000 survivors.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::decide::{self, Seen, Sides, Survivors};
use super::{Survivor, Verified, Wanted, name};
use crate::connection::workload_of;
use crate::engine::{Event, Judge, Policies, Recorded};
use crate::flow::{
    Away, Endpoint, FlowBatch, FlowReference, Loss, Notice, Policy, RowRef, TracePoint, known_node,
};
use crate::policy::{Direction, Verdict};
use crate::review::trace::{Matcher, Target};

/// Pods and directions that are told apart.
const MOST_SIDES: usize = 4096;
/// Edges of survivors that are told apart.
const MOST_SURVIVORS: usize = 1000;
/// Times of drops that are kept of a side.
const MOST_DROPS: usize = 1024;
/// Holes that are kept.
const MOST_HOLES: usize = 4096;
/// Nodes that are told apart.
const MOST_NODES: usize = 4096;

/// Watches the flows of a target.
pub struct Watch {
    wanted: Wanted,
    /// The label as flows show it, where the target is labelled.
    label: Option<String>,
    target: Target,
    matcher: Matcher,
    judge: Judge,
    pieces: u64,
    sides: Sides,
    survivors: Survivors,
    pub(super) seen: Seen,
    away: Away,
}

/// What was seen of one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    pub(super) passed: u64,
    pub(super) last_passed: Option<i64>,
    pub(super) dropped: u64,
    pub(super) named: u64,
    /// Times of drops after the last that got through, the first ones.
    drops: BTreeSet<i64>,
    pub(super) last_dropped: Option<i64>,
}

/// What one flow shows.
enum Shows {
    Passed { by_proxy: bool },
    Dropped { named: bool },
}

impl Watch {
    /// Watches for a target; `policies` are the quarantine alone, with the target labelled
    /// as it is to be. `addresses` stand for the target where it is a name.
    #[must_use]
    pub fn new(
        wanted: Wanted,
        target: Target,
        addresses: Vec<IpAddr>,
        policies: Arc<Policies>,
    ) -> Self {
        let label = wanted.label.as_ref();
        Self {
            label: label.map(|(key, value)| format!("k8s:{key}={value}")),
            wanted,
            matcher: Matcher::new(target.clone(), addresses),
            target,
            judge: Judge::new(policies),
            pieces: 0,
            sides: Sides::new(),
            survivors: Survivors::new(),
            seen: Seen::default(),
            away: Away::default(),
        }
    }

    /// Takes a batch, in any order with others.
    pub fn batch(&mut self, batch: &FlowBatch) {
        // Pieces are counted from 0: the judge waits for those before.
        self.judge
            .begin(self.pieces, 0, std::slice::from_ref(batch));
        self.pieces += 1;
        for notice in batch.notices() {
            self.notice(notice);
        }
        for row in batch.rows() {
            self.row(row);
        }
        self.judge.end_of(batch);
    }

    /// Takes what says that something is missing.
    pub fn notice(&mut self, notice: &Notice) {
        let known = notice.loss().map(|loss| (notice.node.clone(), loss));
        let back = self.away.notice(notice);
        for (node, loss) in known.into_iter().chain(back) {
            self.lose(&node, loss);
        }
    }

    /// Takes a loss of a node.
    pub fn lose(&mut self, node: &str, loss: Loss) {
        if self.seen.holes.len() < MOST_HOLES {
            self.seen.holes.push((node.into(), loss));
        }
    }

    /// What follows of it by now; `until` is how far was watched, where that is further than
    /// the last flow.
    #[must_use]
    pub fn verified(&self, until: Option<i64>) -> Verified {
        let mut seen = self.seen.clone();
        if let Some((_, last)) = &mut seen.times {
            *last = (*last).max(until.unwrap_or(i64::MIN));
        }
        let end = seen.times.map_or(0, |(_, last)| last);
        for (node, loss) in self.away.clone().finish(end) {
            seen.holes.push((node, loss));
        }
        // Losses name nodes without their cluster.
        let nodes: Vec<Arc<str>> = seen.nodes.iter().cloned().collect();
        seen.holes.retain(|(node, _)| {
            node.is_empty() || nodes.is_empty() || known_node(nodes.iter(), node).is_some()
        });
        decide::decide(&self.wanted, &seen, &self.sides, &self.survivors)
    }

    fn row(&mut self, row: RowRef<'_>) {
        let Some(time) = row.time() else {
            self.seen.timeless += 1;
            return;
        };
        let times = self.seen.times.get_or_insert((time, time));
        *times = (times.0.min(time), times.1.max(time));
        if !self.matcher.matches(row) {
            return;
        }
        self.seen.flows += 1;
        self.labels(row, time);
        if self.wanted.since.is_some_and(|since| time < since) {
            return;
        }
        let judgement = self.judge.judge(row);
        let Some(direction) = judgement.event.direction() else {
            // A reply, or nothing that policy is asked about.
            self.seen.replies += u64::from(row.reply() == crate::flow::Reply::Yes);
            return;
        };
        self.nodes(row, direction);
        let named = self.names(row);
        // What other policies say does not matter: only whether these rules deny it.
        let computed = judgement.computed.map(|computed| computed.decision.verdict);
        let denies = match computed {
            Some(Verdict::DeniedByRule) => true,
            Some(Verdict::Unknown(_)) if !named => {
                self.seen.unsure += 1;
                return;
            }
            _ => named,
        };
        if !denies {
            return;
        }
        let shows = match judgement.event {
            Event::Answer {
                recorded,
                maybe_reply,
                ..
            } => match recorded {
                Recorded::Allowed | Recorded::Redirected | Recorded::Audited => {
                    Shows::Passed { by_proxy: false }
                }
                // A reply that conntrack forgot is dropped without a rule's word.
                _ if maybe_reply && !named => return,
                Recorded::DeniedByRule => Shows::Dropped { named },
                _ if named => Shows::Dropped { named },
                // Nothing allows it, which another policy says: it would be so without.
                _ => return,
            },
            Event::Request { allowed, .. } if allowed => Shows::Passed { by_proxy: true },
            Event::Passed { .. } if is_behind_policy(row) => Shows::Passed { by_proxy: false },
            Event::Request { .. } | Event::Passed { .. } | Event::Apart(_) => return,
        };
        self.take(row, time, direction, &shows);
    }

    fn take(&mut self, row: RowRef<'_>, time: i64, direction: Direction, shows: &Shows) {
        let ends = [
            (row.source_endpoint(), row.source_ip()),
            (row.destination_endpoint(), row.destination_ip()),
        ];
        let (own, far) = match direction {
            Direction::Egress => (ends[0], ends[1]),
            Direction::Ingress => (ends[1], ends[0]),
        };
        let who: Arc<str> = match own.0 {
            Some(endpoint) if !endpoint.pod.is_empty() => {
                format!("{}/{}", endpoint.namespace, endpoint.pod).into()
            }
            _ => row.str(own.1).into(),
        };
        let key = (who.clone(), direction);
        if self.sides.len() >= MOST_SIDES && !self.sides.contains_key(&key) {
            self.seen.left_out += 1;
            return;
        }
        let side = self.sides.entry(key).or_default();
        match *shows {
            Shows::Passed { by_proxy } => {
                side.pass(time);
                self.survivor(row, time, (who, direction), far, by_proxy);
            }
            Shows::Dropped { named } => side.drop(time, named),
        }
    }

    fn survivor(
        &mut self,
        row: RowRef<'_>,
        time: i64,
        (who, direction): (Arc<str>, Direction),
        far: (Option<&Endpoint>, crate::flow::StrId),
        by_proxy: bool,
    ) {
        let peer = name(far.0.and_then(workload_of).as_ref(), row.str(far.1));
        let port = row.destination_port() as u16;
        let protocol = row.protocol();
        let key = (who.clone(), direction, peer.clone(), port, protocol as u8);
        if self.survivors.len() >= MOST_SURVIVORS && !self.survivors.contains_key(&key) {
            return;
        }
        let survivor = self.survivors.entry(key).or_insert_with(|| Survivor {
            who,
            direction,
            peer,
            port,
            protocol,
            flows: 0,
            first: time,
            last: time,
            by_proxy,
            reference: String::new(),
        });
        survivor.flows += 1;
        survivor.first = survivor.first.min(time);
        if time >= survivor.last {
            survivor.last = time;
            survivor.by_proxy = by_proxy;
            survivor.reference = FlowReference::of(row).to_string();
        }
    }

    /// The node that tells of the target's side.
    fn nodes(&mut self, row: RowRef<'_>, direction: Direction) {
        let endpoint = match direction {
            Direction::Egress => row.source_endpoint(),
            Direction::Ingress => row.destination_endpoint(),
        };
        let own = endpoint.is_some_and(|endpoint| self.target.is_endpoint(endpoint));
        let node = row.str(row.node());
        if own && self.seen.nodes.len() < MOST_NODES && !self.seen.nodes.contains(node) {
            self.seen.nodes.insert(node.into());
        }
    }

    /// Whether a flow shows the label on the target.
    fn labels(&mut self, row: RowRef<'_>, time: i64) {
        let Some(wanted) = &self.label else {
            return;
        };
        let is = |endpoint: &&Endpoint| self.target.is_endpoint(endpoint);
        for endpoint in [row.source_endpoint(), row.destination_endpoint()]
            .into_iter()
            .flatten()
            .filter(is)
        {
            if endpoint.labels.is_empty() {
                continue;
            }
            if endpoint.labels.iter().any(|label| **label == **wanted) {
                let first = self.seen.labelled.get_or_insert(time);
                *first = time.min(*first);
                let last = self.seen.last_labelled.get_or_insert(time);
                *last = time.max(*last);
            } else {
                let last = self.seen.last_unlabelled.get_or_insert(time);
                *last = time.max(*last);
            }
        }
    }

    /// Whether Hubble names a policy of the quarantine for a denial.
    fn names(&self, row: RowRef<'_>) -> bool {
        let Some(extra) = row.extra() else {
            return false;
        };
        let is = |policy: &Policy| self.wanted.names.contains(row.str(policy.name));
        extra.egress_denied_by.iter().any(is) || extra.ingress_denied_by.iter().any(is)
    }
}

/// Whether a trace was taken where the policy of its direction had let the packet on.
fn is_behind_policy(row: RowRef<'_>) -> bool {
    !matches!(
        row.trace_point(),
        TracePoint::FROM_ENDPOINT
            | TracePoint::FROM_PROXY
            | TracePoint::FROM_HOST
            | TracePoint::FROM_STACK
            | TracePoint::FROM_OVERLAY
            | TracePoint::FROM_NETWORK
            | TracePoint::FROM_CRYPTO
    )
}

impl Moments {
    pub(super) fn pass(&mut self, time: i64) {
        self.passed += 1;
        if self.last_passed.is_none_or(|known| time > known) {
            self.last_passed = Some(time);
            // A drop before it shows nothing of what holds now.
            self.drops = self.drops.split_off(&(time + 1));
        }
    }

    pub(super) fn drop(&mut self, time: i64, named: bool) {
        self.dropped += 1;
        self.named += u64::from(named);
        self.last_dropped = Some(self.last_dropped.map_or(time, |known| known.max(time)));
        if self.last_passed.is_none_or(|passed| time > passed) {
            self.drops.insert(time);
            if self.drops.len() > MOST_DROPS {
                self.drops.pop_last();
            }
        }
    }

    /// The first drop after the last that got through.
    pub(super) fn first_dropped(&self) -> Option<i64> {
        let last = || {
            self.last_dropped
                .filter(|dropped| self.last_passed.is_none_or(|passed| *dropped > passed))
        };
        self.drops.first().copied().or_else(last)
    }
}
