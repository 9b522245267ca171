//! The hops beyond the target's own connections.
//!
//! Owns from when somebody could have been reached, until when somebody could have gone on
//! towards the target, and which connections count by that. The rule is told in `mod`.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::gather::MOST_LINKS;
use super::link::{self, Link, Sum};
use super::target::bounded;
use super::{Hop, Trace, Way};
use crate::connection::{Connection, Edge, Exchange, Peer, PeerId, Peers, workload_of};
use crate::engine::{Observer, Policies};
use crate::flow::{NO_TIME, Protocol, RowRef, Wanted};
use crate::review::report::bounded::Bounded;

/// Where the next hop begins.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    /// From when workloads could have been reached; those of the last hop, or reached
    /// earlier by it.
    out: HashMap<Peer, i64, RandomState>,
    /// Until when workloads went on towards the target.
    inward: HashMap<Peer, i64, RandomState>,
    /// The best of each so far.
    reached: HashMap<Peer, i64, RandomState>,
    left: HashMap<Peer, i64, RandomState>,
    /// The target itself.
    own: HashSet<Peer, RandomState>,
    /// Links that were told already.
    told: HashSet<(Way, Peer, Peer, u16, Protocol), RandomState>,
}

/// The links of a hop; an observer of one reading.
#[derive(Debug)]
pub struct Further {
    frontier: Arc<Frontier>,
    incident: Option<i64>,
    /// What a peer of this reading is, by its number.
    known: Vec<Option<Place>>,
    links: Bounded<(Way, Edge), Sum>,
}

/// Where a peer stands.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    reached: Option<i64>,
    left: Option<i64>,
    own: bool,
}

impl Frontier {
    /// What is reached by the target's own connections.
    #[must_use]
    pub fn of(trace: &Trace) -> Self {
        let mut frontier = Self::default();
        let own = trace.who.iter().filter_map(|who| who.peer.as_ref());
        frontier.own = own.filter_map(key).collect();
        for hop in &trace.hops {
            frontier = frontier.beyond(&hop.links);
        }
        frontier
    }

    /// What is reached by these links besides.
    #[must_use]
    pub fn beyond(mut self, links: &[Link]) -> Self {
        let (mut out, mut inward) = (HashMap::default(), HashMap::default());
        for link in links {
            self.told.insert((
                link.way,
                link.client.clone(),
                link.server.clone(),
                link.port,
                link.protocol,
            ));
            let Some((from, to)) = link.carried else {
                continue;
            };
            let Some(far) = key(link.far()).filter(|far| !self.own.contains(far)) else {
                continue;
            };
            match link.way {
                Way::Out if self.reached.get(&far).is_none_or(|known| from < *known) => {
                    self.reached.insert(far.clone(), from);
                    out.insert(far, from);
                }
                Way::In if self.left.get(&far).is_none_or(|known| to > *known) => {
                    self.left.insert(far.clone(), to);
                    inward.insert(far, to);
                }
                _ => {}
            }
        }
        self.out = out;
        self.inward = inward;
        self
    }

    /// Whether nothing goes on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty() && self.inward.is_empty()
    }

    /// What has to hold of the columns of every flow of the next hop, where flows say the
    /// namespaces of pods: one of its ends goes on. Both directions are needed: who opened a
    /// connection is told by all of its flows.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        let peers = self.out.keys().chain(self.inward.keys());
        let Some(names) = Names::of(peers) else {
            return Wanted::default();
        };
        Wanted::any([names.at(&SOURCE), names.at(&DESTINATION)])
    }

    fn has(&self, peer: &Peer) -> bool {
        self.out.contains_key(peer) || self.inward.contains_key(peer)
    }

    fn place(&self, peer: &Peer) -> Place {
        let Some(peer) = key(peer) else {
            return Place::default();
        };
        Place {
            reached: self.out.get(&peer).copied(),
            left: self.inward.get(&peer).copied(),
            own: self.own.contains(&peer),
        }
    }
}

/// The columns of an end: its namespace, its first workload, all of them.
type End = [&'static str; 3];
const SOURCE: End = ["source_namespace", "source_workload", "source_workloads"];
const DESTINATION: End = [
    "destination_namespace",
    "destination_workload",
    "destination_workloads",
];

/// Workloads by their namespaces.
struct Names(BTreeMap<String, Vec<String>>);

impl Names {
    /// `None` where one has no namespace.
    fn of<'a>(peers: impl Iterator<Item = &'a Peer>) -> Option<Self> {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for peer in peers {
            let Peer::Workload {
                namespace, name, ..
            } = peer
            else {
                continue;
            };
            let names = names.entry(namespace.to_string()).or_default();
            names.push(name.to_string());
        }
        if names.contains_key("") {
            return None;
        }
        for names in names.values_mut() {
            names.sort();
            names.dedup();
        }
        Some(Self(names))
    }

    /// One of them is at an end. A workload's name begins what its Jobs and ReplicaSets are
    /// called; one that no flow names is told by the pod.
    fn at(&self, [namespace, workload, workloads]: &End) -> Wanted {
        Wanted::any(self.0.iter().map(|(of, names)| {
            Wanted::all([
                Wanted::Text(namespace, vec![of.clone()]),
                Wanted::any([
                    Wanted::Prefix(workload, names.clone()),
                    Wanted::Missing(workload),
                    Wanted::Several(workloads),
                ]),
            ])
        }))
    }
}

/// Which flows are of a hop; one a thread.
#[derive(Clone, Debug)]
pub struct Near {
    frontier: Arc<Frontier>,
    known: HashMap<(u64, u32), bool, RandomState>,
}

impl Near {
    /// Of the next hop of a frontier.
    #[must_use]
    pub fn new(frontier: Arc<Frontier>) -> Self {
        Self {
            frontier,
            known: HashMap::default(),
        }
    }

    /// Whether one of its ends goes on.
    pub fn matches(&mut self, row: RowRef<'_>) -> bool {
        [row.source(), row.destination()].into_iter().any(|id| {
            let key = (row.dictionaries().epoch(), id.0);
            if let Some(known) = self.known.get(&key) {
                return *known;
            }
            let endpoint = row.dictionaries().endpoint(id);
            let peer = endpoint.and_then(workload_of);
            let is = peer
                .as_ref()
                .and_then(self::key)
                .is_some_and(|peer| self.frontier.has(&peer));
            bounded(&mut self.known, key, is)
        })
    }
}

impl Further {
    /// The hop after a frontier.
    #[must_use]
    pub fn new(frontier: Arc<Frontier>, incident: Option<i64>) -> Self {
        Self {
            frontier,
            incident,
            known: Vec::new(),
            links: Bounded::new(MOST_LINKS),
        }
    }

    /// The links of it, and where the next one begins. What was told before is not told
    /// again.
    #[must_use]
    pub fn finish(self, peers: &Peers, policies: Option<&Policies>) -> (Hop, Frontier) {
        let others = self.links.others();
        let mut links: Vec<Link> = self
            .links
            .into_iter()
            .map(|(key, sum)| sum.finish(key, peers, policies))
            .collect();
        link::sort(&mut links);
        let before = (*self.frontier).clone();
        let is_told = |link: &Link| {
            before.told.contains(&(
                link.way,
                link.client.clone(),
                link.server.clone(),
                link.port,
                link.protocol,
            ))
        };
        let next = before.clone().beyond(&links);
        links.retain(|link| !is_told(link));
        (Hop { links, others }, next)
    }

    fn place(&mut self, id: PeerId, peers: &Peers) -> Place {
        let at = id.0 as usize;
        if at >= self.known.len() {
            self.known.resize(at + 1, None);
        }
        *self.known[at].get_or_insert_with(|| self.frontier.place(peers.get(id)))
    }
}

impl Observer for Further {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        if connection.first == NO_TIME {
            return;
        }
        let edge = connection.edge;
        let (client, server) = (
            self.place(edge.client, peers),
            self.place(edge.server, peers),
        );
        let (first, last) = (connection.first, connection.last);
        if let Some(reached) = client.reached.filter(|_| !server.own)
            && last >= reached
        {
            self.add((Way::Out, edge), connection, (first.max(reached), last));
        }
        if let Some(left) = server.left.filter(|_| !client.own)
            && first <= left
        {
            self.add((Way::In, edge), connection, (first, last.min(left)));
        }
    }

    fn exchange(&mut self, _: &Exchange, _: &Peers) {}
}

impl Further {
    fn add(&mut self, key: (Way, Edge), connection: &Connection, counts: (i64, i64)) {
        let weight = connection.weight;
        if let Some(sum) = self.links.entry(key, weight, Sum::default) {
            sum.add(connection, Some(counts), self.incident);
        }
    }
}

/// A workload without the kind of its owner, which flows do not always say. Nobody else
/// goes on.
fn key(peer: &Peer) -> Option<Peer> {
    match peer {
        Peer::Workload {
            cluster,
            namespace,
            name,
            ..
        } if !name.is_empty() => Some(Peer::Workload {
            cluster: cluster.clone(),
            namespace: namespace.clone(),
            kind: Arc::default(),
            name: name.clone(),
        }),
        _ => None,
    }
}
