//! Pieces of entries: what somebody could delete of a policy.
//!
//! Owns naming them and taking them away from a set. What is taken away is what it let
//! through or denied, and never the default deny of its entry: an element that allows nobody
//! any more still cuts off its subjects, which is the stricter of the two ways to delete it.

use std::collections::BTreeSet;

use super::entry::{L7Rules, PolicyEntry, PortProtocol, PortRule};
use super::set::PolicySet;

/// A piece of an entry, by indices in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Piece {
    /// All that the entry says but its default deny.
    Entry(u32),
    /// One of its peers.
    Peer {
        /// Index of the entry.
        entry: u32,
        /// Index of the selector.
        index: u32,
    },
    /// One of its ports.
    Port {
        /// Index of the entry.
        entry: u32,
        /// Index of the rule of ports.
        rule: u32,
        /// Index of the port in it.
        index: u32,
    },
    /// One of its rules of layer 7.
    Request {
        /// Index of the entry.
        entry: u32,
        /// Index of the rule of ports.
        rule: u32,
        /// Index of the rule of layer 7 in it.
        index: u32,
    },
}

impl Piece {
    /// Index of the entry it is of.
    #[must_use]
    pub fn entry(self) -> u32 {
        match self {
            Self::Entry(entry)
            | Self::Peer { entry, .. }
            | Self::Port { entry, .. }
            | Self::Request { entry, .. } => entry,
        }
    }
}

/// Keeps those items of a list of which this says yes, by index.
pub fn retain_at<T>(list: &mut Vec<T>, keeps: impl Fn(u32) -> bool) {
    let mut at = 0_u32;
    list.retain(|_| {
        let keep = keeps(at);
        at += 1;
        keep
    });
}

impl PolicySet {
    /// The port that a piece is; `None` where it is none.
    #[must_use]
    pub fn port(&self, piece: Piece) -> Option<&PortProtocol> {
        let Piece::Port { entry, rule, index } = piece else {
            return None;
        };
        let rule = self.entries.get(entry as usize)?.ports.get(rule as usize)?;
        rule.ports.get(index as usize)
    }

    /// The same set without pieces; indices of entries stay as they are. A list that loses
    /// its last item allows nobody: it never becomes one that was not written, which would
    /// be everybody.
    #[must_use]
    pub fn without(&self, gone: &BTreeSet<Piece>) -> Self {
        let mut set = self.clone();
        let touched: BTreeSet<u32> = gone.iter().map(|piece| piece.entry()).collect();
        for index in touched {
            if let Some(entry) = set.entries.get_mut(index as usize) {
                take(entry, index, gone);
            }
        }
        set
    }
}

fn take(entry: &mut PolicyEntry, index: u32, gone: &BTreeSet<Piece>) {
    if gone.contains(&Piece::Entry(index)) {
        entry.peers = Some(Vec::new());
        return;
    }
    if let Some(peers) = &mut entry.peers {
        retain_at(peers, |at| {
            !gone.contains(&Piece::Peer {
                entry: index,
                index: at,
            })
        });
    }
    if entry.ports.is_empty() {
        return;
    }
    let rules = std::mem::take(&mut entry.ports);
    entry.ports = rules
        .into_iter()
        .zip(0..)
        .filter_map(|(rule, at)| remaining(rule, index, at, gone))
        .collect();
    if entry.ports.is_empty() {
        entry.peers = Some(Vec::new());
    }
}

/// What is left of a rule of ports; `None` where it would mean more than before.
fn remaining(mut rule: PortRule, entry: u32, at: u32, gone: &BTreeSet<Piece>) -> Option<PortRule> {
    let (ports, requests) = (rule.ports.len(), rule.l7.as_ref().map_or(0, L7Rules::len));
    retain_at(&mut rule.ports, |index| {
        !gone.contains(&Piece::Port {
            entry,
            rule: at,
            index,
        })
    });
    if let Some(l7) = &mut rule.l7 {
        l7.retain(|index| {
            !gone.contains(&Piece::Request {
                entry,
                rule: at,
                index,
            })
        });
    }
    let left = rule.l7.as_ref().map_or(0, L7Rules::len);
    let widened = (ports > 0 && rule.ports.is_empty()) || (requests > 0 && left == 0);
    (!widened).then_some(rule)
}

impl L7Rules {
    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Http(rules) => rules.len(),
            Self::Dns(rules) => rules.len(),
            Self::Kafka(rules) => rules.len(),
            Self::Generic { rules, .. } => rules.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn retain(&mut self, keeps: impl Fn(u32) -> bool) {
        match self {
            Self::Http(rules) => retain_at(rules, keeps),
            Self::Dns(rules) => retain_at(rules, keeps),
            Self::Kafka(rules) => retain_at(rules, keeps),
            Self::Generic { rules, .. } => retain_at(rules, keeps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;
    use crate::policy::Options;

    fn set(element: &str) -> PolicySet {
        let text = format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: x}}\nspec:\n  endpointSelector: {{}}\n  ingress:\n  - {element}\n"
        );
        let documents = manifest::read(&text, "p.yaml".into()).documents;
        let set = PolicySet::build(&documents, &[], &[], &Options::default());
        assert_eq!(set.entries.len(), 1, "{:?}", set.objects);
        set
    }

    fn without(set: &PolicySet, gone: &[Piece]) -> PolicyEntry {
        set.without(&gone.iter().copied().collect()).entries[0].clone()
    }

    #[test]
    fn a_list_that_loses_its_last_item_allows_nobody() {
        let set = set(
            "{fromEntities: [host], toPorts: [{ports: [{port: '80', protocol: TCP}, {port: '81', protocol: TCP}], rules: {http: [{method: GET}]}}]}",
        );
        let peer = Piece::Peer { entry: 0, index: 0 };
        assert_eq!(without(&set, &[peer]).peers, Some(Vec::new()));
        let port = |index| Piece::Port {
            entry: 0,
            rule: 0,
            index,
        };
        assert_eq!(without(&set, &[port(0)]).ports[0].ports.len(), 1);
        assert_eq!(without(&set, &[port(0)]).peers.unwrap().len(), 1);
        assert_eq!(without(&set, &[port(0), port(1)]).peers, Some(Vec::new()));
        let request = Piece::Request {
            entry: 0,
            rule: 0,
            index: 0,
        };
        assert_eq!(without(&set, &[request]).peers, Some(Vec::new()));
        assert!(without(&set, &[Piece::Entry(0)]).default_deny);
    }
}
