//! When policies began to decide for workloads, as far as flows show it.
//!
//! Owns finding that in the policies that flows name and in the revisions of endpoints: a
//! policy that is named for the first time, by an endpoint whose revision is higher than its
//! node once had, came with a change. What that means is not its. A policy that changes and
//! keeps its name, and one that is taken away, do not show; without the names of policies in
//! flows (correlation of policies is an option of Hubble) nothing does.
//!
//! A change has the time of the first flow that names the policy, whichever batch it comes
//! in. Bounded: [`MOST`] policies, [`MOST_NODES`] nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::names::Names;
use crate::connection::{PeerId, workload_of};
use crate::flow::{EndpointId, FlowBatch, Policy, RowRef};

/// Policies that are remembered.
const MOST: usize = 1 << 15;
/// Nodes of which revisions are remembered.
const MOST_NODES: usize = 1 << 14;

/// Finds changes.
#[derive(Debug, Default)]
pub(super) struct PolicyChanges {
    /// By what flows name of this epoch, so that most rows are looked up by numbers: the
    /// revision, and the earliest time.
    epoch: Option<u64>,
    seen: HashMap<(u32, u32, u32, u32), (u64, i64), RandomState>,
    /// When a policy was first named, and in which revision of which node, by whom.
    first: HashMap<Arc<str>, First, RandomState>,
    /// The lowest revision of a node, and when it had it.
    lowest: HashMap<Arc<str>, (u64, i64), RandomState>,
    waiting: BTreeSet<(i64, Arc<str>)>,
}

#[derive(Clone, Debug)]
struct First {
    at: i64,
    revision: u64,
    node: Arc<str>,
    subject: PeerId,
    applied: bool,
}

/// A policy that began to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PolicyChange {
    /// `namespace/name`.
    pub(super) policy: Arc<str>,
    /// Of whom a flow named it first.
    pub(super) subject: PeerId,
    /// When.
    pub(super) time: i64,
}

impl PolicyChanges {
    /// Looks at the policies that the flows of a batch name.
    pub(super) fn batch(&mut self, batch: &FlowBatch, names: &mut Names) {
        for row in batch.rows() {
            let (Some(time), Some(extra)) = (row.time(), row.extra()) else {
                continue;
            };
            let sides = [
                (row.source(), &extra.egress_allowed_by),
                (row.source(), &extra.egress_denied_by),
                (row.destination(), &extra.ingress_allowed_by),
                (row.destination(), &extra.ingress_denied_by),
            ];
            for (subject, policies) in sides {
                for policy in policies {
                    self.note(row, time, subject, policy, names);
                }
            }
        }
    }

    fn note(
        &mut self,
        row: RowRef<'_>,
        time: i64,
        subject: EndpointId,
        policy: &Policy,
        names: &mut Names,
    ) {
        let epoch = Some(row.dictionaries().epoch());
        if self.epoch != epoch || self.seen.len() >= MOST {
            self.epoch = epoch;
            self.seen.clear();
        }
        let node = row.node();
        let ids = (node.0, policy.namespace.0, policy.name.0, subject.0);
        if let Some((revision, earliest)) = self.seen.get(&ids)
            && *revision <= policy.revision
            && *earliest <= time
        {
            return;
        }
        self.seen.insert(ids, (policy.revision, time));
        let (namespace, name) = (row.str(policy.namespace), row.str(policy.name));
        if name.is_empty() || policy.revision == 0 {
            return;
        }
        let node: Arc<str> = row.str(node).into();
        if self.lowest.len() < MOST_NODES || self.lowest.contains_key(&node) {
            let lowest = self
                .lowest
                .entry(node.clone())
                .or_insert((policy.revision, time));
            *lowest = (*lowest).min((policy.revision, time));
        }
        let Some(endpoint) = row.dictionaries().endpoint(subject) else {
            return;
        };
        let Some(workload) = workload_of(endpoint) else {
            return;
        };
        let policy_name: Arc<str> = if namespace.is_empty() {
            name.into()
        } else {
            format!("{namespace}/{name}").into()
        };
        let new = First {
            at: time,
            revision: policy.revision,
            node,
            subject: names.intern(workload),
            applied: false,
        };
        let room = self.first.len() < MOST;
        match self.first.get_mut(&policy_name) {
            Some(known) if known.applied || (known.at, &known.node) <= (time, &new.node) => {}
            Some(known) => {
                self.waiting.remove(&(known.at, policy_name.clone()));
                *known = new;
                self.waiting.insert((time, policy_name));
            }
            None if room => {
                self.first.insert(policy_name.clone(), new);
                self.waiting.insert((time, policy_name));
            }
            None => {}
        }
    }

    /// Policies that began to decide before a time, which were not given out before.
    pub(super) fn until(&mut self, time: i64) -> Vec<PolicyChange> {
        let mut changed = Vec::new();
        while self.waiting.first().is_some_and(|(at, _)| *at < time) {
            let Some((at, policy)) = self.waiting.pop_first() else {
                break;
            };
            let Some(first) = self.first.get_mut(&policy) else {
                continue;
            };
            first.applied = true;
            let lowest = self.lowest.get(&first.node);
            // A node that never had a lower revision shows what was there before.
            if lowest.is_some_and(|(revision, since)| *revision < first.revision && *since < at) {
                changed.push(PolicyChange {
                    policy,
                    subject: first.subject,
                    time: at,
                });
            }
        }
        changed
    }

    pub(super) fn held(&self) -> usize {
        self.first.len() + self.lowest.len() + self.waiting.len() + self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{BatchBuilder, Endpoint, Raw, Row};

    /// A batch with a flow that names policies with the revision of their endpoint.
    fn batch(builder: &mut BatchBuilder, at: i64, policies: &[(&str, u64)]) -> FlowBatch {
        let interner = builder.interner();
        let mut row = Row {
            time: at,
            node: interner.text("c/n1"),
            source: interner.endpoint(Endpoint {
                namespace: "shop".into(),
                pod: "cart-7d5b9c6f48-hx2vp".into(),
                labels: vec!["k8s:app=cart".into()],
                ..Endpoint::default()
            }),
            ..Row::default()
        };
        for (name, revision) in policies {
            let policy = Policy {
                name: interner.text(name),
                namespace: interner.text("shop"),
                revision: *revision,
                ..Policy::default()
            };
            row.extra().egress_allowed_by.push(policy);
        }
        builder.push(row, || Raw::Message(bytes::Bytes::new()));
        builder.finish()
    }

    #[test]
    fn a_policy_that_is_new_with_a_higher_revision_is_a_change() {
        let mut builder = BatchBuilder::default();
        let (mut changes, mut names) = (PolicyChanges::default(), Names::default());
        let mut flow = |changes: &mut PolicyChanges, at, policies: &[(&str, u64)]| {
            let batch = batch(&mut builder, at, policies);
            changes.batch(&batch, &mut names);
        };
        flow(&mut changes, 10, &[("web", 5), ("dns", 5)]);
        flow(&mut changes, 20, &[("web", 5)]);
        assert!(changes.until(100).is_empty());
        // Seldom used, and there before: the revision says so.
        flow(&mut changes, 110, &[("rare", 5)]);
        flow(&mut changes, 150, &[("web", 7), ("new", 7)]);
        let changed = changes.until(200);
        let shown: Vec<(&str, i64)> = changed.iter().map(|one| (&*one.policy, one.time)).collect();
        assert_eq!(shown, [("shop/new", 150)]);
        flow(&mut changes, 250, &[("new", 8)]);
        assert!(changes.until(300).is_empty());
        assert_eq!(
            names.peers().get(changed[0].subject).to_string(),
            "shop/cart"
        );
    }
}
