//! One link of a trace: who calls whom on which port, and what became of it.
//!
//! Owns what is summed up of its connections. Which of them count is the caller's.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::Way;
use crate::connection::{Computed, Connection, Edge, Outcome, Peer, Peers};
use crate::engine::{Policies, Ruling};
use crate::flow::{FlowReference, Protocol};
use crate::policy::Direction;
use crate::review::report::{EdgeSum, Seen};

/// Addresses of each end that are named.
const MOST_ADDRESSES: usize = 8;
/// Policies and rulings that are named.
const MOST_NAMED: usize = 4;
/// Flows that are named.
const MOST_REFERENCES: usize = 3;

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Which way.
    pub way: Way,
    /// Who calls.
    pub client: Peer,
    /// Who is called.
    pub server: Peer,
    /// Port; the type for ICMP.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// Sums of the connections that count.
    pub sum: EdgeSum,
    /// Connections that began at or after the begin of the incident.
    pub after: u64,
    /// From when what passed counts, to when, by the rule of the hops; `None` where nothing
    /// passed.
    pub carried: Option<(i64, i64)>,
    /// Addresses of clients, some.
    pub clients: Ends,
    /// Addresses of servers, some.
    pub servers: Ends,
    /// Policies that Hubble names, some.
    pub recorded: BTreeSet<Arc<str>>,
    /// What the policies say of each side, where they were given.
    pub ruled: Vec<Ruled>,
    /// Flows that show it.
    pub references: Vec<FlowReference>,
}

/// Addresses of one end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The first ones.
    pub some: BTreeSet<IpAddr>,
    /// Whether there were more.
    pub more: bool,
}

/// What the policies say of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    /// Which side: egress is the client's.
    pub direction: Direction,
    /// What they say.
    pub ruling: Ruling,
}

/// What is summed up of a link while flows are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    connections: EdgeSum,
    after: u64,
    carried: Option<(i64, i64)>,
    clients: Ends,
    servers: Ends,
    recorded: BTreeSet<Arc<str>>,
    computed: Vec<(Direction, Computed)>,
    references: Vec<FlowReference>,
}

/// Whether it got through, as far as was seen.
pub(super) fn passed(connection: &Connection) -> bool {
    !matches!(connection.outcome, Outcome::Dropped(_) | Outcome::Error)
}

impl Ends {
    fn add(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if self.some.len() < MOST_ADDRESSES {
            self.some.insert(address);
        } else if !self.some.contains(&address) {
            self.more = true;
        }
    }
}

impl Sum {
    /// Takes a connection in; `counts` is from when to when it counts for the
    /// hops, if it does.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        counts: Option<(i64, i64)>,
        incident: Option<i64>,
    ) {
        self.connections.add(connection);
        if incident.is_some_and(|incident| connection.first >= incident) {
            self.after += connection.weight;
        }
        if let Some(counts) = counts.filter(|_| passed(connection)) {
            let (from, to) = self.carried.unwrap_or(counts);
            self.carried = Some((from.min(counts.0), to.max(counts.1)));
        }
        self.clients.add(connection.tuple.client);
        self.servers.add(connection.tuple.server);
        for (direction, side) in [
            (Direction::Egress, &connection.egress),
            (Direction::Ingress, &connection.ingress),
        ] {
            for policy in side.recorded.iter().flat_map(|one| one.policies.iter()) {
                if self.recorded.len() < MOST_NAMED {
                    self.recorded.insert(policy.clone());
                }
            }
            if let Some(computed) = side.computed
                && self.computed.len() < MOST_NAMED
                && !self.computed.iter().any(|(known, one)| {
                    *known == direction
                        && (one.verdict, one.decision) == (computed.verdict, computed.decision)
                })
            {
                self.computed.push((direction, computed));
            }
        }
        if self.references.len() < MOST_REFERENCES {
            let (node, time, tuple) = &connection.reference;
            self.references.push(FlowReference {
                node: node.to_string(),
                time: *time,
                tuple: *tuple,
            });
        }
    }

    pub(super) fn finish(
        self,
        (way, edge): (Way, Edge),
        peers: &Peers,
        policies: Option<&Policies>,
    ) -> Link {
        let mut ruled: Vec<Ruled> = Vec::new();
        for (direction, computed) in self.computed {
            let Some(policies) = policies else { break };
            let one = Ruled {
                direction,
                ruling: Ruling::of(policies, &computed, direction),
            };
            if !ruled.contains(&one) {
                ruled.push(one);
            }
        }
        Link {
            way,
            client: peers.get(edge.client).clone(),
            server: peers.get(edge.server).clone(),
            port: edge.port,
            protocol: edge.protocol,
            sum: self.connections,
            after: self.after,
            carried: self.carried,
            clients: self.clients,
            servers: self.servers,
            recorded: self.recorded,
            ruled,
            references: self.references,
        }
    }
}

impl Link {
    /// The end that is further from the target.
    #[must_use]
    pub fn far(&self) -> &Peer {
        match self.way {
            Way::In => &self.client,
            Way::Out | Way::Within => &self.server,
        }
    }

    /// The end that is nearer to the target, or is the target.
    #[must_use]
    pub fn near(&self) -> &Peer {
        match self.way {
            Way::In => &self.server,
            Way::Out | Way::Within => &self.client,
        }
    }

    /// Addresses of the end that is further from the target.
    #[must_use]
    pub fn far_addresses(&self) -> &Ends {
        match self.way {
            Way::In => &self.clients,
            Way::Out | Way::Within => &self.servers,
        }
    }

    /// Connections that passed, as far as was seen.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.sum.forwarded
    }

    /// From when to when it was seen.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.sum.seen
    }
}

/// In the order they are shown: most connections first, then by name.
pub(super) fn sort(links: &mut [Link]) {
    links.sort_by(|one, other| {
        one.way
            .cmp(&other.way)
            .then_with(|| other.sum.connections.cmp(&one.sum.connections))
            .then_with(|| (&one.client, &one.server).cmp(&(&other.client, &other.server)))
            .then_with(|| (one.port, one.protocol).cmp(&(other.port, other.protocol)))
    });
}
