//! Which nodes a relay does not reach, by its words on the states of nodes.
//!
//! Owns how two such words make a span of loss: a node is away from the first one that
//! says so until one says that it is connected again. What is lost counts elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{HoleCause, Loss, NodeState, Notice, NoticeKind};

/// Nodes that are told apart; further ones are not said to be away.
const MOST_NODES: usize = 4096;

/// Nodes that are away, since when in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Away(BTreeMap<Arc<str>, i64>);

impl Away {
    /// Takes a notice, in the order of time. Returns what was lost of the nodes that are
    /// back by it.
    pub fn notice(&mut self, notice: &Notice) -> Vec<(Arc<str>, Loss)> {
        let NoticeKind::Nodes { state, names, .. } = &notice.kind else {
            return Vec::new();
        };
        if *state == NodeState::NODE_CONNECTED {
            let back = names.iter().filter_map(|name| {
                let since = self.0.remove(name)?;
                Some((name.clone(), loss(since, notice.time)))
            });
            return back.collect();
        }
        if *state != NodeState::UNKNOWN_NODE_STATE {
            for name in names {
                if self.0.len() < MOST_NODES {
                    self.0.entry(name.clone()).or_insert(notice.time);
                }
            }
        }
        Vec::new()
    }

    /// What was lost of the nodes that are not back at the end.
    pub fn finish(&mut self, end: i64) -> Vec<(Arc<str>, Loss)> {
        let left = std::mem::take(&mut self.0).into_iter();
        left.map(|(name, since)| (name, loss(since, end))).collect()
    }
}

fn loss(since: i64, until: i64) -> Loss {
    Loss {
        first: since,
        last: until.max(since),
        cause: HoleCause::NodeUnavailable,
        events: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(state: NodeState, time: i64, names: &[&str]) -> Notice {
        Notice {
            before_row: 0,
            node: "relay".into(),
            time,
            kind: NoticeKind::Nodes {
                state,
                names: names.iter().map(|name| Arc::from(*name)).collect(),
                message: "".into(),
            },
            raw: None,
        }
    }

    #[test]
    fn a_node_is_away_from_the_first_word_until_it_is_back_or_the_end() {
        let mut away = Away::default();
        assert!(
            away.notice(&said(NodeState::NODE_UNAVAILABLE, 10, &["a", "b"]))
                .is_empty()
        );
        assert!(
            away.notice(&said(NodeState::NODE_ERROR, 20, &["a"]))
                .is_empty()
        );
        assert!(
            away.notice(&said(NodeState::UNKNOWN_NODE_STATE, 25, &["c"]))
                .is_empty()
        );
        let back = away.notice(&said(NodeState::NODE_CONNECTED, 30, &["a", "c"]));
        assert_eq!(back, [("a".into(), loss(10, 30))]);
        assert_eq!(away.finish(50), [("b".into(), loss(10, 50))]);
        assert!(away.finish(60).is_empty());
    }
}
