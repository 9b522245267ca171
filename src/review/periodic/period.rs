//! One period, as sums by names.
//!
//! Owns the sums and their bounds. Nothing in it hangs on the numbers of a run, so that
//! periods of different runs, and sums that were kept, can be compared. What is compared is
//! `compare`'s.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::watch::Attendance;
use crate::connection::Peer;
use crate::flow::{DropClass, DropReason, Protocol, Verdict as FlowVerdict};
use crate::policy::{Cause, Direction, Gap};
use crate::review::report::{DropCause, DropEnd, EdgeSum, Report, Ruling, Seen};

/// Edges of a period that are told apart.
const MOST_EDGES: usize = 200_000;
/// Of each other kind.
const MOST_ROWS: usize = 50_000;
/// Other ends of drops that are told apart.
const MOST_ENDS: usize = 512;

/// Who talks to whom, by names. Workloads are the same whether or not flows say what kind
/// of object they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeName {
    /// Who opens connections.
    pub client: Peer,
    /// Who takes them.
    pub server: Peer,
    /// Port of the server, type for ICMP.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
}

/// What was refused or lost: why, on which side, and whose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DropName {
    /// Why.
    pub cause: DropCause,
    /// The side that was refused, `None` where it is not known.
    pub direction: Option<Direction>,
    /// Who it is about: the client for egress, else the server.
    pub subject: Peer,
}

/// Sums of drops.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DropSum {
    /// Connections.
    pub connections: u64,
    /// Attempts at them.
    pub attempts: u64,
    /// From when to when.
    pub seen: Seen,
    /// Connections by the other end and port.
    pub ends: BTreeMap<(Peer, u16, Protocol), u64>,
    /// Address of a client, the commonest where it is known.
    pub client: Option<IpAddr>,
    /// What the policies say of most of them.
    pub ruling: Option<Ruling>,
    /// Policies that Hubble named.
    pub named: Vec<Arc<str>>,
}

/// Sums of one side of an edge on which something is to be looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SideSum {
    /// Connections.
    pub connections: u64,
    /// From when to when.
    pub seen: Seen,
    /// What Hubble said, where it drifts.
    pub recorded: Option<(FlowVerdict, DropReason)>,
    /// What the policies say.
    pub ruling: Option<Ruling>,
    /// Why it is a gap, where it is one.
    pub gap: Option<Gap>,
}

/// What the policies say of both sides of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeRuling {
    /// The client's side.
    pub egress: Option<Ruling>,
    /// The server's side.
    pub ingress: Option<Ruling>,
}

/// The sums of a period.
#[derive(Clone, Debug)]
pub struct Period {
    /// What was seen of it.
    pub attendance: Attendance,
    /// Connections by edge. An edge with none was in use from before.
    pub edges: BTreeMap<EdgeName, EdgeSum>,
    /// What was dropped or refused.
    pub drops: BTreeMap<DropName, DropSum>,
    /// Sides where the cluster did something else than the policies say.
    pub drifts: BTreeMap<(EdgeName, Direction), SideSum>,
    /// Sides where something passed that nobody asked for.
    pub gaps: BTreeMap<(EdgeName, Direction), SideSum>,
    /// Verdicts that could not be told, by cause.
    pub unknown: BTreeMap<Cause, u64>,
    /// Verdicts that agree, and those that do not.
    pub compared: (u64, u64),
    /// What the policies say of edges, where they were asked.
    pub rulings: BTreeMap<EdgeName, EdgeRuling>,
    /// Connections.
    pub connections: u64,
    /// Those of them that policy denied.
    pub denied: u64,
}

impl EdgeName {
    /// Names an edge.
    #[must_use]
    pub fn new(client: &Peer, server: &Peer, port: u16, protocol: Protocol) -> Self {
        Self {
            client: known(client),
            server: known(server),
            port,
            protocol,
        }
    }

    /// Whether both ends are known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let known = |peer: &Peer| !matches!(peer, Peer::Unknown | Peer::Others);
        known(&self.client) && known(&self.server)
    }
}

/// A peer by what is always known of it.
fn known(peer: &Peer) -> Peer {
    match peer {
        Peer::Workload {
            cluster,
            namespace,
            name,
            ..
        } => Peer::Workload {
            cluster: cluster.clone(),
            namespace: namespace.clone(),
            kind: "".into(),
            name: name.clone(),
        },
        peer => peer.clone(),
    }
}

impl Period {
    /// A period of which nothing was counted yet.
    #[must_use]
    pub fn new(attendance: Attendance) -> Self {
        Self {
            attendance,
            edges: BTreeMap::new(),
            drops: BTreeMap::new(),
            drifts: BTreeMap::new(),
            gaps: BTreeMap::new(),
            unknown: BTreeMap::new(),
            compared: (0, 0),
            rulings: BTreeMap::new(),
            connections: 0,
            denied: 0,
        }
    }

    /// A period as a report sums it up.
    #[must_use]
    pub fn of(report: &Report, attendance: Attendance) -> Self {
        let mut period = Self::new(attendance);
        for edge in &report.edges {
            period.add_edge(
                &edge.client,
                &edge.server,
                edge.port,
                edge.protocol,
                &edge.sum,
            );
        }
        for group in &report.drops {
            let name = DropName {
                cause: group.cause,
                direction: group.direction,
                subject: group.subject.clone(),
            };
            let sum = DropSum {
                connections: group.connections,
                attempts: group.attempts,
                seen: group.seen,
                ends: group.ends.iter().map(end).collect(),
                client: group.clients.first().map(|(address, _)| *address),
                ruling: group.ruling.clone(),
                named: group.named.clone(),
            };
            period.add_drop(name, sum);
        }
        if let Some(judged) = &report.judged {
            for drift in &judged.drifts {
                let edge = EdgeName::new(&drift.client, &drift.server, drift.port, drift.protocol);
                let sum = SideSum {
                    connections: drift.connections,
                    seen: drift.seen,
                    recorded: Some((drift.recorded, drift.reason)),
                    ruling: Some(drift.ruling.clone()),
                    gap: None,
                };
                period.add_drift(edge, drift.direction, sum);
            }
            for gap in &judged.gaps {
                let edge = EdgeName::new(&gap.client, &gap.server, gap.port, gap.protocol);
                let sum = SideSum {
                    connections: gap.connections,
                    seen: gap.seen,
                    gap: Some(gap.gap),
                    ..SideSum::default()
                };
                period.add_gap(edge, gap.direction, sum);
            }
            period.unknown.clone_from(&judged.unknown);
            period.compared = (judged.equal, judged.drift);
            period.attendance.untold += judged.others;
        }
        // The same connections may be beyond several bounds.
        let untold = report.other_edges.max(report.other_drops);
        period.attendance.untold = period.attendance.untold.max(untold);
        period
    }

    /// Adds connections of an edge.
    pub fn add_edge(
        &mut self,
        client: &Peer,
        server: &Peer,
        port: u16,
        protocol: Protocol,
        sum: &EdgeSum,
    ) {
        self.connections += sum.connections;
        self.denied += sum.denied;
        let name = EdgeName::new(client, server, port, protocol);
        if self.edges.len() >= MOST_EDGES && !self.edges.contains_key(&name) {
            self.attendance.untold += sum.connections;
            return;
        }
        self.edges.entry(name).or_default().merge(sum);
    }

    /// Says that an edge was in use, by a connection that began before.
    pub fn carry(&mut self, name: EdgeName, seen: Seen) {
        if self.edges.len() < MOST_EDGES || self.edges.contains_key(&name) {
            self.edges.entry(name).or_default().seen.merge(seen);
        }
    }

    /// Adds drops.
    pub fn add_drop(&mut self, mut name: DropName, sum: DropSum) {
        name.subject = known(&name.subject);
        if name.cause.class() == DropClass::NotADrop {
            return;
        }
        if self.drops.len() >= MOST_ROWS && !self.drops.contains_key(&name) {
            self.attendance.untold += sum.connections;
            return;
        }
        self.drops.entry(name).or_default().merge(sum);
    }

    /// Adds connections of a side that drifts.
    pub fn add_drift(&mut self, edge: EdgeName, direction: Direction, sum: SideSum) {
        add(
            &mut self.drifts,
            (edge, direction),
            sum,
            &mut self.attendance.untold,
        );
    }

    /// Adds connections of a side that passed with nobody having asked for it.
    pub fn add_gap(&mut self, edge: EdgeName, direction: Direction, sum: SideSum) {
        add(
            &mut self.gaps,
            (edge, direction),
            sum,
            &mut self.attendance.untold,
        );
    }
}

fn add(
    sums: &mut BTreeMap<(EdgeName, Direction), SideSum>,
    key: (EdgeName, Direction),
    sum: SideSum,
    untold: &mut u64,
) {
    if sums.len() >= MOST_ROWS && !sums.contains_key(&key) {
        *untold += sum.connections;
        return;
    }
    let known = sums.entry(key).or_default();
    known.connections += sum.connections;
    known.seen.merge(sum.seen);
    // The first that is told is the commonest.
    known.recorded = known.recorded.or(sum.recorded);
    known.ruling = known.ruling.take().or(sum.ruling);
    known.gap = match (known.gap, sum.gap) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

fn end(end: &DropEnd) -> ((Peer, u16, Protocol), u64) {
    ((end.peer.clone(), end.port, end.protocol), end.connections)
}

impl DropSum {
    fn merge(&mut self, other: Self) {
        if other.ruling.is_some() && other.connections > self.connections || self.ruling.is_none() {
            self.ruling = other.ruling;
        }
        self.connections += other.connections;
        self.attempts += other.attempts;
        self.seen.merge(other.seen);
        self.client = self.client.or(other.client);
        for ((peer, port, protocol), count) in other.ends {
            let end = (known(&peer), port, protocol);
            if self.ends.len() < MOST_ENDS || self.ends.contains_key(&end) {
                *self.ends.entry(end).or_default() += count;
            }
        }
        self.named.extend(other.named);
        self.named.sort();
        self.named.dedup();
    }
}
