//! What was dropped, grouped by who was refused and why.
//!
//! Owns the groups: one for each endpoint, direction and reason, with the other ends in it,
//! and how far single clients reached out. How they are worded is `render`'s.

use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::bounded::{Bounded, Seen};
use crate::connection::{Computed, Connection, Outcome, Peer, PeerId, Peers, Side};
use crate::engine::{Policies, Ruling};
use crate::flow::{DropClass, DropReason, Protocol, Verdict};
use crate::policy::Direction;

/// Groups that are told apart.
const MOST_GROUPS: usize = 10_000;
/// Other ends of a group that are told apart.
const MOST_ENDS: usize = 512;
/// Clients of a group that are told apart.
const MOST_CLIENTS: usize = 64;
/// Clients whose reach is known.
const MOST_REACHES: usize = 10_000;
/// Servers and ports of a client that are told apart.
const MOST_TARGETS: usize = 256;

/// Why something was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropCause {
    /// The datapath dropped it, or policy did.
    Reason(DropReason),
    /// Audit mode let it pass.
    Audited,
    /// A verdict ERROR.
    Error,
}

impl DropCause {
    /// The class by which it is triaged.
    #[must_use]
    pub fn class(self) -> DropClass {
        match self {
            Self::Reason(reason) => reason.class(),
            Self::Audited => DropClass::Policy,
            Self::Error => DropClass::Infrastructure,
        }
    }
}

/// Drops of one endpoint with one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct DropGroup {
    /// Why.
    pub cause: DropCause,
    /// The side that was refused, `None` where the flows do not say.
    pub direction: Option<Direction>,
    /// Who it is about: the client for egress, else the server.
    pub subject: Peer,
    /// The other ends, most connections first.
    pub ends: Vec<DropEnd>,
    /// Connections with ends that are not among these.
    pub other_ends: u64,
    /// Pods and addresses of clients, most connections first.
    pub clients: Vec<(IpAddr, u64)>,
    /// Connections.
    pub connections: u64,
    /// Attempts at them: retries count.
    pub attempts: u64,
    /// From when to when.
    pub seen: Seen,
    /// What the policies say, where they were given.
    pub ruling: Option<Ruling>,
    /// Policies that Hubble named.
    pub named: Vec<std::sync::Arc<str>>,
}

/// The other end of drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropEnd {
    /// Who.
    pub peer: Peer,
    /// Port of the server, type for ICMP.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// Connections.
    pub connections: u64,
}

/// How far one client reached out and was refused by policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Connections that were denied.
    pub connections: u64,
    /// Attempts at them.
    pub attempts: u64,
    /// From when to when.
    pub seen: Seen,
    /// Addresses it tried.
    pub addresses: usize,
    /// Ports it tried.
    pub ports: usize,
    /// Whether there were more addresses and ports than are counted.
    pub more: bool,
}

/// All drops, as they are counted.
#[derive(Debug)]
pub(super) struct Drops {
    groups: Bounded<Key, Group>,
    reaches: Bounded<IpAddr, Spread>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    cause: DropCause,
    direction: Option<Direction>,
    subject: PeerId,
    computed: Option<Computed>,
}

#[derive(Debug)]
struct Group {
    ends: Bounded<(PeerId, u16, Protocol), u64>,
    clients: Bounded<IpAddr, u64>,
    connections: u64,
    attempts: u64,
    seen: Seen,
    named: Vec<std::sync::Arc<str>>,
}

#[derive(Debug, Default)]
struct Spread {
    reach: Reach,
    addresses: HashSet<IpAddr, RandomState>,
    ports: HashSet<(Protocol, u16), RandomState>,
}

/// What becomes of the drops at the end.
pub(super) struct DropSums {
    pub(super) groups: Vec<DropGroup>,
    pub(super) others: u64,
    pub(super) reaches: HashMap<IpAddr, Reach, RandomState>,
}

impl Drops {
    pub(super) fn new() -> Self {
        Self {
            groups: Bounded::new(MOST_GROUPS),
            reaches: Bounded::new(MOST_REACHES),
        }
    }

    /// Counts a connection that was refused or dropped.
    pub(super) fn connection(&mut self, connection: &Connection) {
        let cause = match connection.outcome {
            Outcome::Dropped(reason) => DropCause::Reason(reason),
            Outcome::Audited => DropCause::Audited,
            Outcome::Error => DropCause::Error,
            Outcome::Forwarded | Outcome::RequestDenied => return,
        };
        let direction = side_of(connection);
        let edge = connection.edge;
        let (subject, end, side) = match direction {
            Some(Direction::Egress) => (edge.client, edge.server, Some(&connection.egress)),
            Some(Direction::Ingress) => (edge.server, edge.client, Some(&connection.ingress)),
            None => (edge.client, edge.server, None),
        };
        let computed = side.and_then(|side| side.computed);
        let key = Key {
            cause,
            direction,
            subject,
            // Only what decides is of interest, not on which port it was asked.
            computed: computed.filter(|_| cause.class() == DropClass::Policy),
        };
        let weight = connection.weight;
        if cause.class() == DropClass::Policy && cause != DropCause::Audited {
            self.reach(connection);
        }
        let Some(group) = self.groups.entry(key, weight, Group::new) else {
            return;
        };
        group.connections += weight;
        group.attempts += u64::from(connection.attempts).max(weight);
        group.seen.at(connection.first);
        group.seen.at(connection.last);
        let end = (end, edge.port, edge.protocol);
        if let Some(count) = group.ends.entry(end, weight, || 0) {
            *count += weight;
        }
        if let Some(client) = connection.tuple.client
            && let Some(count) = group.clients.entry(client, weight, || 0)
        {
            *count += weight;
        }
        let named = side.and_then(|side| side.recorded.as_ref());
        if let Some(recorded) = named {
            for name in recorded.policies.iter() {
                if group.named.len() < MOST_CLIENTS && !group.named.contains(name) {
                    group.named.push(name.clone());
                }
            }
        }
    }

    fn reach(&mut self, connection: &Connection) {
        let Some(client) = connection.tuple.client else {
            return;
        };
        let weight = connection.weight;
        let Some(spread) = self.reaches.entry(client, weight, Spread::default) else {
            return;
        };
        let reach = &mut spread.reach;
        reach.connections += weight;
        reach.attempts += u64::from(connection.attempts).max(weight);
        reach.seen.at(connection.first);
        reach.seen.at(connection.last);
        let Some(server) = connection.tuple.server else {
            return;
        };
        let port = (connection.edge.protocol, connection.edge.port);
        if spread.addresses.len() < MOST_TARGETS {
            spread.addresses.insert(server);
        } else if !spread.addresses.contains(&server) {
            reach.more = true;
        }
        if spread.ports.len() < MOST_TARGETS {
            spread.ports.insert(port);
        } else if !spread.ports.contains(&port) {
            reach.more = true;
        }
    }

    pub(super) fn finish(self, peers: &Peers, policies: Option<&Policies>) -> DropSums {
        let others = self.groups.others();
        let mut groups: Vec<DropGroup> = self
            .groups
            .into_iter()
            .map(|(key, group)| group.finish(key, peers, policies))
            .collect();
        let mut merged: Vec<DropGroup> = Vec::new();
        groups.sort_by(|left, right| {
            let rank = |group: &DropGroup| {
                (
                    group.cause.class(),
                    group.cause,
                    group.direction.map(|direction| direction as u8),
                )
            };
            (rank(left), &left.subject).cmp(&(rank(right), &right.subject))
        });
        for group in groups {
            match merged.last_mut() {
                Some(last) if last.is_like(&group) => last.merge(group),
                _ => merged.push(group),
            }
        }
        for group in &mut merged {
            group.sort();
        }
        merged.sort_by(|left, right| {
            (left.cause.class(), right.connections)
                .cmp(&(right.cause.class(), left.connections))
                .then_with(|| left.seen.first.cmp(&right.seen.first))
                .then_with(|| left.subject.cmp(&right.subject))
        });
        let reaches = self.reaches.into_iter().map(|(address, mut spread)| {
            spread.reach.addresses = spread.addresses.len();
            spread.reach.ports = spread.ports.len();
            (address, spread.reach)
        });
        DropSums {
            groups: merged,
            others,
            reaches: reaches.collect(),
        }
    }
}

impl Group {
    fn new() -> Self {
        Self {
            ends: Bounded::new(MOST_ENDS),
            clients: Bounded::new(MOST_CLIENTS),
            connections: 0,
            attempts: 0,
            seen: Seen::default(),
            named: Vec::new(),
        }
    }

    fn finish(self, key: Key, peers: &Peers, policies: Option<&Policies>) -> DropGroup {
        let ruling =
            key.computed.zip(policies).zip(key.direction).map(
                |((computed, policies), direction)| Ruling::of(policies, &computed, direction),
            );
        DropGroup {
            cause: key.cause,
            direction: key.direction,
            subject: peers.get(key.subject).clone(),
            other_ends: self.ends.others(),
            ends: self
                .ends
                .into_iter()
                .map(|((peer, port, protocol), connections)| DropEnd {
                    peer: peers.get(peer).clone(),
                    port,
                    protocol,
                    connections,
                })
                .collect(),
            clients: self.clients.into_iter().collect(),
            connections: self.connections,
            attempts: self.attempts,
            seen: self.seen,
            ruling,
            named: self.named,
        }
    }
}

impl DropGroup {
    /// Whether two differ only in which pod or port it was.
    fn is_like(&self, other: &Self) -> bool {
        self.cause == other.cause
            && self.direction == other.direction
            && self.subject == other.subject
            && self.ruling == other.ruling
    }

    fn merge(&mut self, other: Self) {
        for end in other.ends {
            let same = self.ends.iter_mut().find(|known| {
                (&known.peer, known.port, known.protocol) == (&end.peer, end.port, end.protocol)
            });
            match same {
                Some(known) => known.connections += end.connections,
                None => self.ends.push(end),
            }
        }
        for (address, count) in other.clients {
            match self.clients.iter_mut().find(|known| known.0 == address) {
                Some(known) => known.1 += count,
                None => self.clients.push((address, count)),
            }
        }
        self.other_ends += other.other_ends;
        self.connections += other.connections;
        self.attempts += other.attempts;
        self.seen.merge(other.seen);
        self.named.extend(other.named);
    }

    fn sort(&mut self) {
        self.ends.sort_by(|left, right| {
            right
                .connections
                .cmp(&left.connections)
                .then_with(|| left.peer.cmp(&right.peer))
                .then_with(|| (left.port, left.protocol).cmp(&(right.port, right.protocol)))
        });
        self.clients
            .sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        self.named.sort();
        self.named.dedup();
    }
}

/// The side that refused: the one whose event says so.
fn side_of(connection: &Connection) -> Option<Direction> {
    let refused = |side: &Side| {
        side.recorded.as_ref().is_some_and(|recorded| {
            recorded.verdict == Verdict::DROPPED || recorded.verdict == Verdict::AUDIT
        })
    };
    if refused(&connection.egress) {
        Some(Direction::Egress)
    } else if refused(&connection.ingress) {
        Some(Direction::Ingress)
    } else {
        None
    }
}
