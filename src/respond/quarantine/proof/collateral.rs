//! Who else is hit: replicas, clients, probes, names, scrapes, others that carry the labels.
//!
//! Owns looking at what flows show and what documents say of the target, under the policies
//! with the plan. What is permitted and nobody used is among the cuts of the proof.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::bench::{Bench, Fate, Seat, When};
use super::bystander::{overlap, probes, replicas, shared};
use super::cast::{Cast, outside};
use super::{Scene, number};
use crate::connection::Peer;
use crate::flow::Protocol;
use crate::policy::{Direction, Verdict};
use crate::respond::TargetEdge;
use crate::respond::quarantine::plan::{Plan, Subjects};

/// Words in the names of what gathers metrics.
const SCRAPERS: [&str; 8] = [
    "prometheus",
    "vmagent",
    "victoria",
    "alloy",
    "grafana-agent",
    "otel",
    "opentelemetry",
    "datadog",
];

/// What else is hit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collateral {
    /// How many of a workload's pods are cut off.
    pub replicas: Vec<Replicas>,
    /// Connections that flows show and that no longer pass; most used first.
    pub cut: Vec<CutEdge>,
    /// Connections of the target that flows show and that go on.
    pub goes_on: Vec<CutEdge>,
    /// Connections that flows show and of which it cannot be told.
    pub untold: u64,
    /// Whether flows were given.
    pub flows: bool,
    /// The kubelet's probes.
    pub probes: Probes,
    /// Others that the policy or the label command selects.
    pub overlap: Vec<Overlap>,
    /// Connections that go through a proxy, whose own leg may live on.
    pub established: Vec<Established>,
    /// Other names that flows show of the addresses that are cut: they stop, too.
    pub shared: Vec<String>,
}

/// A workload and how much of it is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// `namespace/workload`.
    pub workload: String,
    /// Pods that are cut off, by name.
    pub hit: Vec<String>,
    /// Pods that are known of it; 0 where none is known by name.
    pub of: usize,
}

/// What an edge is for, as far as it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Somebody who calls the target.
    Client,
    /// Somebody the target calls.
    Server,
    /// Look-ups of names.
    Dns,
    /// Metrics that are gathered.
    Scrape,
    /// Cilium's own health checks.
    Health,
}

/// An edge of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutEdge {
    /// Whether the target is called.
    pub inward: bool,
    /// What it is for.
    pub role: Role,
    /// The end that is cut off.
    pub own: String,
    /// The other end.
    pub peer: String,
    /// Port of the server.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// Connections that passed.
    pub connections: u64,
    /// First and last seen, in nanoseconds since 1970 UTC.
    pub seen: Option<(i64, i64)>,
}

/// Probes of the kubelet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probes {
    /// No document says whether it is probed; the node's own host still reaches it.
    #[default]
    Unsaid,
    /// It is not probed over the network.
    None,
    /// They go on.
    GoOn,
    /// They fail: the container is restarted, and what is in its memory is lost.
    Fail,
}

/// Somebody else who is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// `namespace/workload`.
    pub workload: String,
    /// By what: a sentence.
    pub why: String,
}

/// Connections through a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// Whether the target is called.
    pub inward: bool,
    /// The other end.
    pub peer: String,
    /// Port of the server.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
}

/// Looks at who else is hit.
pub(super) fn of(plan: &Plan, scene: &Scene<'_>, cast: &Cast, bench: &mut Bench) -> Collateral {
    let mut collateral = Collateral {
        replicas: replicas(plan, scene),
        flows: scene.flows,
        probes: probes(plan, scene, cast, bench),
        overlap: overlap(plan, scene),
        shared: shared(plan, scene),
        ..Collateral::default()
    };
    let mut table = Table {
        plan,
        cast,
        bench,
        outside: BTreeMap::new(),
    };
    for edge in scene.edges {
        collateral.edge(&mut table, edge);
    }
    let key = |edge: &CutEdge| (std::cmp::Reverse(edge.connections), edge.peer.clone());
    collateral.cut.sort_by_key(key);
    collateral.goes_on.sort_by_key(key);
    collateral
}

impl Collateral {
    fn edge(&mut self, table: &mut Table<'_>, edge: &TargetEdge) {
        let Some(protocol) = number(edge.protocol) else {
            self.untold += edge.passed;
            return;
        };
        // The pods of a node are not its host.
        let is_pod = matches!(edge.own, Peer::Workload { .. });
        if edge.passed == 0 || table.plan.subjects == Subjects::Node && is_pod {
            return;
        }
        // Of a target outside the pods are the subjects, and it is the peer.
        let (own, other, inward) = if table.plan.subjects == Subjects::Everybody {
            (&edge.peer, &edge.own, !edge.inward)
        } else {
            (&edge.own, &edge.peer, edge.inward)
        };
        let subjects = table.subjects(own);
        let peers = table.peers(edge);
        let bench = &mut *table.bench;
        let direction = if inward {
            Direction::Ingress
        } else {
            Direction::Egress
        };
        let mut passes = false;
        let mut denied = false;
        let mut untold = false;
        let mut proxied = false;
        for subject in &subjects {
            for peer in &peers {
                let target = (protocol, edge.port);
                let said = bench.ask(When::After, *subject, direction, *peer, target);
                match said.fate {
                    Fate::Passes => passes = true,
                    Fate::Denied => denied = true,
                    Fate::Unknown(_) => untold = true,
                }
                let before = bench.side(When::Before, *subject, direction, *peer, target);
                proxied |= before.is_some_and(|one| one.verdict == Verdict::Redirected);
            }
        }
        let shown = CutEdge {
            inward,
            role: role(edge, inward),
            own: own.to_string(),
            peer: other.to_string(),
            port: edge.port,
            protocol: edge.protocol,
            connections: edge.passed,
            seen: edge.seen,
        };
        if denied && proxied {
            self.established.push(Established {
                inward,
                peer: shown.peer.clone(),
                port: edge.port,
                protocol: edge.protocol,
            });
        }
        match (denied, passes, untold) {
            (true, _, _) => self.cut.push(shown),
            (false, true, false) => self.goes_on.push(shown),
            _ => self.untold += edge.passed,
        }
    }
}

/// Who sits where.
struct Table<'a> {
    plan: &'a Plan,
    cast: &'a Cast,
    bench: &'a mut Bench,
    /// Addresses of a target outside, with the names that flows show of them: no more than
    /// its edges have.
    outside: BTreeMap<(IpAddr, Option<Arc<str>>), Seat>,
}

impl Table<'_> {
    /// Subjects that an end of an edge may be.
    fn subjects(&self, own: &Peer) -> Vec<Seat> {
        let all = self.cast.subjects.iter().zip(&self.bench.subjects);
        all.filter(|(one, _)| self.plan.subjects == Subjects::Node || same(&one.peer, own))
            .map(|(_, seat)| *seat)
            .collect()
    }

    /// Peers that the other end of an edge may be.
    fn peers(&mut self, edge: &TargetEdge) -> Vec<Seat> {
        if self.plan.subjects != Subjects::Everybody {
            return self.known(&edge.peer, edge);
        }
        // What is cut is addresses, whatever flows call them.
        let name = match &edge.own {
            Peer::Name(name) => Some(name.clone()),
            Peer::Prefix(_) => None,
            Peer::Entity(entity) if &**entity == "world" => None,
            own => return self.known(own, edge),
        };
        let addresses = edge.own_addresses.iter();
        addresses
            .map(|address| {
                let bench = &mut *self.bench;
                *self
                    .outside
                    .entry((*address, name.clone()))
                    .or_insert_with(|| {
                        bench.seat(&outside(*address, name.clone(), false, edge.own.clone()))
                    })
            })
            .collect()
    }

    /// Those of the cast that an end of an edge may be.
    fn known(&self, other: &Peer, edge: &TargetEdge) -> Vec<Seat> {
        let addresses = if self.plan.subjects == Subjects::Everybody {
            &edge.own_addresses
        } else {
            &edge.addresses
        };
        let all = self.cast.peers.iter().zip(&self.bench.peers);
        all.filter(|(one, _)| {
            let here = one.after.address.is_none_or(|address| {
                addresses.is_empty() || addresses.contains(&address) || !one.outside
            });
            same(&one.peer, other) && here
        })
        .map(|(_, seat)| *seat)
        .collect()
    }
}

/// Whether two ends are one, whatever owns its pods.
pub(super) fn same(one: &Peer, other: &Peer) -> bool {
    match (one, other) {
        (
            Peer::Workload {
                namespace, name, ..
            },
            Peer::Workload {
                namespace: of,
                name: workload,
                ..
            },
        ) => namespace == of && name == workload,
        (one, other) => one == other,
    }
}

fn role(edge: &TargetEdge, inward: bool) -> Role {
    let name = edge.peer.to_string();
    let is_health = matches!(&edge.peer, Peer::Entity(entity) if &**entity == "health");
    if is_health {
        Role::Health
    } else if !inward && edge.port == 53 {
        Role::Dns
    } else if inward && SCRAPERS.iter().any(|word| name.contains(word)) {
        Role::Scrape
    } else if inward {
        Role::Client
    } else {
        Role::Server
    }
}
