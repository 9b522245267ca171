//! What really happened: connections opened and denied, by edge.
//!
//! Owns the counts and their JSON. They are of what was generated, before anything of it is
//! lost or shown incompletely: what folding connections out of the flows is held against.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

/// One end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// A workload.
    Workload {
        /// Namespace.
        namespace: Arc<str>,
        /// Kind of the controller.
        kind: &'static str,
        /// Name of the controller.
        name: Arc<str>,
    },
    /// A reserved entity, such as `host`.
    Reserved(&'static str),
    /// Somebody outside, by the name that was looked up.
    Name(Arc<str>),
    /// Somebody outside that nobody looked up: the longest prefix that policies name and
    /// the address is in, else the address alone. Flows tell no more addresses apart.
    Prefix(IpNet),
}

/// Who opens connections to whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeKey {
    /// The client.
    pub source: End,
    /// The server.
    pub destination: End,
    /// Port of the server.
    pub port: u16,
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
}

/// What happened on an edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeCounts {
    /// Connections: new 5-tuples, denied ones included.
    pub opened: u64,
    /// Those that a policy denied, each counted once for all its retries.
    pub denied: u64,
}

/// Number of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EdgeId(u32);

/// Takes down what happens.
#[derive(Clone, Debug, Default)]
pub struct TruthSink {
    ids: BTreeMap<EdgeKey, u32>,
    counts: Vec<EdgeCounts>,
}

impl TruthSink {
    pub(super) fn edge(&mut self, key: EdgeKey) -> EdgeId {
        let next = self.counts.len() as u32;
        let id = *self.ids.entry(key).or_insert(next);
        if id == next {
            self.counts.push(EdgeCounts::default());
        }
        EdgeId(id)
    }

    pub(super) fn opened(&mut self, edge: EdgeId) {
        self.counts[edge.0 as usize].opened += 1;
    }

    pub(super) fn denied(&mut self, edge: EdgeId) {
        self.counts[edge.0 as usize].denied += 1;
    }

    /// Every edge that was used, in order of its key.
    pub fn edges(&self) -> impl Iterator<Item = (&EdgeKey, EdgeCounts)> {
        let counts = |id: &u32| self.counts.get(*id as usize).copied().unwrap_or_default();
        let edges = self.ids.iter().map(move |(key, id)| (key, counts(id)));
        edges.filter(|(_, counts)| counts.opened > 0)
    }

    /// A JSON object an edge, each on a line.
    #[must_use]
    pub fn json_lines(&self) -> String {
        let mut text = String::new();
        for (key, counts) in self.edges() {
            let edge = json!({
                "source": key.source.json(),
                "destination": key.destination.json(),
                "port": key.port,
                "protocol": key.protocol,
                "opened": counts.opened,
                "denied": counts.denied,
            });
            let _ = writeln!(text, "{edge}");
        }
        text
    }
}

impl End {
    fn json(&self) -> Value {
        let mut object = Map::new();
        match self {
            Self::Workload {
                namespace,
                kind,
                name,
            } => {
                object.insert("namespace".into(), (&**namespace).into());
                object.insert("kind".into(), (*kind).into());
                object.insert("name".into(), (&**name).into());
            }
            Self::Reserved(name) => {
                object.insert("reserved".into(), (*name).into());
            }
            Self::Name(name) => {
                object.insert("dns".into(), (&**name).into());
            }
            Self::Prefix(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => {
                object.insert("address".into(), prefix.addr().to_string().into());
            }
            Self::Prefix(prefix) => {
                object.insert("prefix".into(), prefix.to_string().into());
            }
        }
        object.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_counted_once_however_often_it_is_named() {
        let key = |port| EdgeKey {
            source: End::Reserved("host"),
            destination: End::Name("api.example.com".into()),
            port,
            protocol: "TCP",
        };
        let mut truth = TruthSink::default();
        let unused = truth.edge(key(80));
        let used = truth.edge(key(443));
        assert_eq!(truth.edge(key(443)), used);
        assert_ne!(unused, used);
        truth.opened(used);
        truth.opened(used);
        truth.denied(used);
        assert_eq!(
            truth.json_lines(),
            "{\"source\":{\"reserved\":\"host\"},\"destination\":{\"dns\":\"api.example.com\"},\
             \"port\":443,\"protocol\":\"TCP\",\"opened\":2,\"denied\":1}\n"
        );
    }
}
