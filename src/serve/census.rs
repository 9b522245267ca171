//! Who was seen: nodes with their counts and spans, and namespaces.
//!
//! Owns what `GetNodes` and `GetNamespaces` answer from. Bounded: names beyond the
//! caps are not kept, and how many were not is.

use std::collections::{BTreeSet, HashMap};

/// Nodes kept; a recording of more answers for these only.
const MAX_NODES: usize = 10_000;
/// Namespaces kept.
const MAX_NAMESPACES: usize = 100_000;

/// What was seen of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSeen {
    /// As in the flows: `cluster/node` or `node`.
    pub name: String,
    /// Entries in the ring now.
    pub held: u64,
    /// Flows since the start.
    pub flows: u64,
    /// Events reported lost since the start.
    pub lost: u64,
    /// Time of its earliest event, in nanoseconds since the epoch.
    pub first: i64,
    /// Time of its latest event.
    pub last: i64,
}

/// The place of a node in the census; `None` where it is not kept.
pub(super) type NodeIndex = Option<u32>;

#[derive(Debug, Default)]
pub(super) struct Census {
    nodes: Vec<NodeSeen>,
    by_name: HashMap<String, u32>,
    namespaces: BTreeSet<(String, String)>,
    left_out: u64,
}

impl Census {
    /// Counts an entry of `node`, which may be unnamed.
    pub(super) fn arrive(&mut self, node: &str, time: i64, flows: u64, lost: u64) -> NodeIndex {
        let index = self.index(node, time)?;
        let seen = self.nodes.get_mut(index as usize)?;
        seen.held += 1;
        seen.flows += flows;
        seen.lost = seen.lost.saturating_add(lost);
        seen.first = seen.first.min(time);
        seen.last = seen.last.max(time);
        Some(index)
    }

    pub(super) fn leave(&mut self, node: NodeIndex) {
        if let Some(seen) = node.and_then(|index| self.nodes.get_mut(index as usize)) {
            seen.held = seen.held.saturating_sub(1);
        }
    }

    pub(super) fn see_namespaces(&mut self, namespaces: Vec<(String, String)>) {
        for namespace in namespaces {
            if self.namespaces.len() < MAX_NAMESPACES {
                self.namespaces.insert(namespace);
            } else if !self.namespaces.contains(&namespace) {
                self.left_out += 1;
            }
        }
    }

    /// Nodes by name.
    pub(super) fn nodes(&self) -> Vec<NodeSeen> {
        let mut nodes = self.nodes.clone();
        nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    /// (cluster, namespace), in this order.
    pub(super) fn namespaces(&self) -> Vec<(String, String)> {
        self.namespaces.iter().cloned().collect()
    }

    /// How often a name was met that did not fit.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    fn index(&mut self, name: &str, time: i64) -> NodeIndex {
        if let Some(&index) = self.by_name.get(name) {
            return Some(index);
        }
        if name.is_empty() {
            return None;
        }
        if self.nodes.len() >= MAX_NODES {
            self.left_out += 1;
            return None;
        }
        let index = self.nodes.len() as u32;
        self.by_name.insert(name.to_owned(), index);
        self.nodes.push(NodeSeen {
            name: name.to_owned(),
            first: time,
            last: time,
            ..NodeSeen::default()
        });
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_its_span_its_flows_and_its_losses() {
        let mut census = Census::default();
        let node = census.arrive("a", 5, 1, 0);
        census.arrive("a", 3, 0, 7);
        census.leave(node);
        assert_eq!(
            census.nodes(),
            [NodeSeen {
                name: "a".to_owned(),
                held: 1,
                flows: 1,
                lost: 7,
                first: 3,
                last: 5
            }]
        );
    }

    #[test]
    fn nodes_beyond_the_cap_are_counted_not_kept() {
        let mut census = Census::default();
        for number in 0..=MAX_NODES {
            census.arrive(&number.to_string(), 0, 1, 0);
        }
        assert_eq!(census.nodes().len(), MAX_NODES);
        assert_eq!(census.left_out(), 1);
    }
}
