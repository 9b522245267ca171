//! A period against the one before it.
//!
//! Owns what is called a change, and the order in which a reviewer looks at changes. That
//! something is new or gone is a claim of absence: whoever shows it says beside it what is
//! missing of the period it is absent from.

use std::collections::{BTreeMap, BTreeSet};

use super::period::{DropName, DropSum, EdgeName, EdgeRuling, Period, SideSum};
use super::watch::Attendance;
use crate::connection::Peer;
use crate::flow::Protocol;
use crate::policy::{Cause, Direction};
use crate::review::report::{EdgeSum, Seen};

/// Drops have grown from so many times what was to be expected.
const GROWN: f64 = 2.0;
/// And by so many connections.
const GROWN_BY: f64 = 10.0;

/// A period against the one before it.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was seen of the earlier one.
    pub earlier: Attendance,
    /// What was seen of the later one.
    pub later: Attendance,
    /// Connections of both.
    pub connections: (u64, u64),
    /// Those that policy denied.
    pub denied: (u64, u64),
    /// Verdicts of the later one that agree with the policies, and those that do not.
    pub compared: (u64, u64),
    /// Sides that drift in the later one: new ones first, then most connections first.
    pub drifts: Vec<SideChange>,
    /// Names outside that the earlier one has not.
    pub names: Vec<NameChange>,
    /// Edges on which something passed that the earlier one has not.
    pub edges: Vec<EdgeChange>,
    /// Drops of the later one that are new or have grown.
    pub drops: Vec<DropChange>,
    /// Gaps of the later one: new ones first, then most connections first.
    pub gaps: Vec<SideChange>,
    /// Edges on which something passed that the later one has not.
    pub gone: Vec<EdgeChange>,
    /// Unknown verdicts by cause, of both.
    pub unknown: Vec<(Cause, u64, u64)>,
    /// Edges of the later one with an end that flows do not tell: they are not compared.
    pub nameless: u64,
}

/// An edge that one of the periods has.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeChange {
    /// Which.
    pub edge: EdgeName,
    /// Its sums.
    pub sum: EdgeSum,
    /// The other period has the two ends, by another port.
    pub pair_known: bool,
    /// What the policies say.
    pub ruling: Option<EdgeRuling>,
}

/// A name outside that is new.
#[derive(Clone, Debug, PartialEq)]
pub struct NameChange {
    /// The name.
    pub server: Peer,
    /// Its ports.
    pub ports: BTreeSet<(Protocol, u16)>,
    /// Who talks to it, most connections first.
    pub clients: Vec<(Peer, u64)>,
    /// Connections.
    pub connections: u64,
    /// Those that were denied or dropped.
    pub dropped: u64,
    /// From when to when.
    pub seen: Seen,
    /// Passed with nobody having asked for it.
    pub gaps: u64,
    /// What the policies say for the client with the most connections.
    pub ruling: Option<EdgeRuling>,
}

/// What changed about drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropKind {
    /// The earlier period has none of this endpoint, side and reason.
    New,
    /// It has, with other ends.
    NewEnds,
    /// There are many more.
    Grown,
    /// There is no earlier period to compare with.
    Only,
}

/// Drops that are new or have grown.
#[derive(Clone, Debug, PartialEq)]
pub struct DropChange {
    /// Which.
    pub name: DropName,
    /// What changed.
    pub kind: DropKind,
    /// Connections of the earlier period.
    pub before: u64,
    /// The sums of the later one.
    pub sum: DropSum,
    /// Other ends that the earlier one has not, most connections first.
    pub new_ends: Vec<((Peer, u16, Protocol), u64)>,
}

/// A side of an edge on which something is to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct SideChange {
    /// Which edge.
    pub edge: EdgeName,
    /// Which side.
    pub direction: Direction,
    /// Connections of the earlier period; `None` where it has none.
    pub before: Option<u64>,
    /// The sums of the later one.
    pub sum: SideSum,
}

impl Comparison {
    /// Compares two periods.
    #[must_use]
    pub fn of(earlier: &Period, later: &Period) -> Self {
        let comparable = earlier.attendance.is_there() && later.attendance.is_there();
        let new = if comparable {
            only(later, earlier)
        } else {
            Vec::new()
        };
        let gone = if comparable {
            only(earlier, later)
        } else {
            Vec::new()
        };
        // A name that is new is told as a name.
        let names = if comparable {
            names(earlier, later)
        } else {
            Vec::new()
        };
        let told: BTreeSet<&Peer> = names.iter().map(|name| &name.server).collect();
        let edges = new
            .into_iter()
            .filter(|change| !told.contains(&change.edge.server))
            .collect();
        let causes: BTreeSet<Cause> = earlier
            .unknown
            .keys()
            .chain(later.unknown.keys())
            .copied()
            .collect();
        let count = |period: &Period, cause| period.unknown.get(cause).copied().unwrap_or(0);
        Self {
            connections: (earlier.connections, later.connections),
            denied: (earlier.denied, later.denied),
            compared: later.compared,
            drifts: sides(&earlier.drifts, &later.drifts, comparable),
            names,
            edges,
            drops: drops(earlier, later, comparable),
            gaps: sides(&earlier.gaps, &later.gaps, comparable),
            gone,
            unknown: causes
                .iter()
                .map(|cause| (*cause, count(earlier, cause), count(later, cause)))
                .collect(),
            nameless: later.edges.keys().filter(|edge| !edge.is_known()).count() as u64,
            earlier: earlier.attendance.clone(),
            later: later.attendance.clone(),
        }
    }

    /// Whether there are two periods to compare.
    #[must_use]
    pub fn is_comparable(&self) -> bool {
        self.earlier.is_there() && self.later.is_there()
    }

    /// Gaps that the earlier period has not.
    pub fn new_gaps(&self) -> impl Iterator<Item = &SideChange> {
        self.gaps
            .iter()
            .filter(|gap| gap.before.is_none() && self.is_comparable())
    }

    /// Unknown verdicts of the later period.
    #[must_use]
    pub fn unknown_verdicts(&self) -> u64 {
        self.unknown.iter().map(|(_, _, after)| after).sum()
    }

    /// Whether a reviewer has nothing to look at.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.is_comparable()
            && self.drifts.is_empty()
            && self.names.is_empty()
            && self.edges.is_empty()
            && self.drops.is_empty()
            && self.gone.is_empty()
            && self.new_gaps().next().is_none()
    }
}

/// Edges on which something passed in one period and nothing was seen in the other.
fn only(one: &Period, other: &Period) -> Vec<EdgeChange> {
    let pairs: BTreeSet<(&Peer, &Peer)> = other
        .edges
        .keys()
        .map(|edge| (&edge.client, &edge.server))
        .collect();
    let mut changes: Vec<EdgeChange> = one
        .edges
        .iter()
        .filter(|(edge, sum)| edge.is_known() && passed(sum) && !knows(other, edge))
        .map(|(edge, sum)| EdgeChange {
            edge: edge.clone(),
            sum: sum.clone(),
            pair_known: pairs.contains(&(&edge.client, &edge.server)),
            ruling: one.rulings.get(edge).cloned(),
        })
        .collect();
    // What nobody asked for first, then what leaves its namespace, then what happens most.
    changes.sort_by(|left, right| {
        let rank = |change: &EdgeChange| {
            (
                change.sum.gaps == 0,
                namespace(&change.edge.client) == namespace(&change.edge.server),
            )
        };
        rank(left)
            .cmp(&rank(right))
            .then_with(|| right.sum.connections.cmp(&left.sum.connections))
            .then_with(|| left.edge.cmp(&right.edge))
    });
    changes
}

/// Something passed, or a connection from before was in use.
fn passed(sum: &EdgeSum) -> bool {
    sum.forwarded > 0 || sum.connections == 0
}

/// Whether a period has an edge on which something passed. That it was denied there does
/// not make it known.
fn knows(period: &Period, edge: &EdgeName) -> bool {
    period.edges.get(edge).is_some_and(passed)
}

fn namespace(peer: &Peer) -> Option<&str> {
    match peer {
        Peer::Workload { namespace, .. } => Some(namespace),
        _ => None,
    }
}

fn names(earlier: &Period, later: &Period) -> Vec<NameChange> {
    let known: BTreeSet<&Peer> = earlier.edges.keys().map(|edge| &edge.server).collect();
    let mut changes: BTreeMap<&Peer, (NameChange, BTreeMap<&Peer, u64>, u64)> = BTreeMap::new();
    for (edge, sum) in &later.edges {
        let server = &edge.server;
        if !matches!(server, Peer::Name(_)) || known.contains(server) {
            continue;
        }
        let (change, clients, most) = changes.entry(server).or_insert_with(|| {
            let change = NameChange {
                server: server.clone(),
                ports: BTreeSet::new(),
                clients: Vec::new(),
                connections: 0,
                dropped: 0,
                seen: Seen::default(),
                gaps: 0,
                ruling: None,
            };
            (change, BTreeMap::new(), 0)
        });
        change.ports.insert((edge.protocol, edge.port));
        change.connections += sum.connections;
        change.dropped += sum.denied + sum.dropped;
        change.seen.merge(sum.seen);
        change.gaps += sum.gaps;
        *clients.entry(&edge.client).or_default() += sum.connections;
        if sum.connections > *most || change.ruling.is_none() {
            *most = sum.connections;
            change.ruling = later.rulings.get(edge).cloned();
        }
    }
    let mut changes: Vec<NameChange> = changes
        .into_values()
        .map(|(mut change, clients, _)| {
            change.clients = clients
                .into_iter()
                .map(|(peer, count)| (peer.clone(), count))
                .collect();
            change
                .clients
                .sort_by(|left, right| (right.1, &left.0).cmp(&(left.1, &right.0)));
            change
        })
        .collect();
    // What was reached first.
    changes.sort_by(|left, right| {
        let reached = |change: &NameChange| change.connections - change.dropped;
        (reached(right), right.connections)
            .cmp(&(reached(left), left.connections))
            .then_with(|| left.server.cmp(&right.server))
    });
    changes
}

fn sides(
    earlier: &BTreeMap<(EdgeName, Direction), SideSum>,
    later: &BTreeMap<(EdgeName, Direction), SideSum>,
    comparable: bool,
) -> Vec<SideChange> {
    let mut changes: Vec<SideChange> = later
        .iter()
        .map(|((edge, direction), sum)| SideChange {
            edge: edge.clone(),
            direction: *direction,
            before: earlier
                .get(&(edge.clone(), *direction))
                .filter(|_| comparable)
                .map(|sum| sum.connections),
            sum: sum.clone(),
        })
        .collect();
    changes.sort_by(|left, right| {
        (left.before.is_some(), right.sum.connections)
            .cmp(&(right.before.is_some(), left.sum.connections))
            .then_with(|| (&left.edge, left.direction).cmp(&(&right.edge, right.direction)))
    });
    changes
}

fn drops(earlier: &Period, later: &Period, comparable: bool) -> Vec<DropChange> {
    let share = later.attendance.watched as f64 / earlier.attendance.watched.max(1) as f64;
    let mut changes: Vec<DropChange> = Vec::new();
    for (name, sum) in &later.drops {
        let known = earlier.drops.get(name);
        let before = known.map_or(0, |sum| sum.connections);
        let mut new_ends: Vec<((Peer, u16, Protocol), u64)> = match known {
            Some(known) => sum
                .ends
                .iter()
                .filter(|(end, _)| !known.ends.contains_key(*end))
                .map(|(end, count)| (end.clone(), *count))
                .collect(),
            None => Vec::new(),
        };
        new_ends.sort_by(|left, right| (right.1, &left.0).cmp(&(left.1, &right.0)));
        let expected = before as f64 * share;
        let after = sum.connections as f64;
        let kind = if !comparable {
            DropKind::Only
        } else if known.is_none() {
            DropKind::New
        } else if !new_ends.is_empty() {
            DropKind::NewEnds
        } else if after >= GROWN * expected && after - expected >= GROWN_BY {
            DropKind::Grown
        } else {
            continue;
        };
        changes.push(DropChange {
            name: name.clone(),
            kind,
            before,
            sum: sum.clone(),
            new_ends,
        });
    }
    changes.sort_by(|left, right| {
        let rank = |change: &DropChange| (change.kind, change.name.cause.class());
        rank(left)
            .cmp(&rank(right))
            .then_with(|| right.sum.connections.cmp(&left.sum.connections))
            .then_with(|| left.name.cmp(&right.name))
    });
    changes
}
