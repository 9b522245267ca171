//! What the policies make of the connections.
//!
//! Owns the sums of agreement, drift, gaps and unknown verdicts over both sides of
//! connections. A side counts once, however many events it gave.

use std::collections::BTreeMap;

use super::bounded::{Bounded, Seen};
use crate::connection::{Computed, Connection, Edge, Peer, Peers, Side};
use crate::engine::{Changed, Policies, Ruling};
use crate::flow::{DropReason, Protocol, Verdict as FlowVerdict};
use crate::policy::{Cause, Direction, Gap, IdentityIndex, Verdict};

/// Gaps, drifts and changes that are told apart.
const MOST_ROWS: usize = 20_000;

/// A side of an edge where nobody asked for what passes.
#[derive(Clone, Debug, PartialEq)]
pub struct GapRow {
    /// Which side.
    pub direction: Direction,
    /// Why it is a gap.
    pub gap: Gap,
    /// Who opens connections.
    pub client: Peer,
    /// Who takes them.
    pub server: Peer,
    /// Port of the server.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// Connections.
    pub connections: u64,
    /// From when to when.
    pub seen: Seen,
}

/// A side of an edge where the cluster did something else than the policies say.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftRow {
    /// Which side.
    pub direction: Direction,
    /// Who opens connections.
    pub client: Peer,
    /// Who takes them.
    pub server: Peer,
    /// Port of the server.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// What Hubble says.
    pub recorded: FlowVerdict,
    /// Why it was dropped, 0 where it was not.
    pub reason: DropReason,
    /// What the policies say.
    pub ruling: Ruling,
    /// Connections.
    pub connections: u64,
    /// From when to when.
    pub seen: Seen,
    /// A flow that shows it: node, time, tuple hash.
    pub reference: (std::sync::Arc<str>, i64, u64),
}

/// What the policies make of it all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Sides on which recorded and computed verdict agree.
    pub equal: u64,
    /// Sides on which they do not.
    pub drift: u64,
    /// Sides on which they do not, recorded before the policies were what they are, by what
    /// changed.
    pub changed: BTreeMap<Changed, u64>,
    /// Sides of which it is not known, by cause.
    pub unknown: BTreeMap<Cause, u64>,
    /// Sides whose verdict hangs on an option nobody gave, by its name.
    pub assumed: BTreeMap<&'static str, u64>,
    /// Connections with a gap.
    pub gap_connections: u64,
    /// Gaps, most connections first.
    pub gaps: Vec<GapRow>,
    /// Drifts, most connections first.
    pub drifts: Vec<DriftRow>,
    /// Connections with gaps, drifts or changes that are not told apart.
    pub others: u64,
}

impl Judged {
    /// Share of the compared sides that agree, 0 to 1; `None` where none was compared.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let compared = self.equal + self.drift;
        (compared > 0).then(|| self.equal as f64 / compared as f64)
    }
}

#[derive(Debug)]
pub(super) struct Sides {
    sum: Judged,
    gaps: Bounded<(Edge, Direction, Gap), (u64, Seen)>,
    drifts: Bounded<(Edge, Direction, FlowVerdict, DropReason, Computed), Drift>,
    /// By cluster and subject.
    changed: Bounded<(u32, IdentityIndex, Direction), u64>,
}

#[derive(Debug)]
struct Drift {
    connections: u64,
    seen: Seen,
    reference: (std::sync::Arc<str>, i64, u64),
}

impl Sides {
    pub(super) fn new() -> Self {
        Self {
            sum: Judged::default(),
            gaps: Bounded::new(MOST_ROWS),
            drifts: Bounded::new(MOST_ROWS),
            changed: Bounded::new(MOST_ROWS),
        }
    }

    pub(super) fn connection(&mut self, connection: &Connection) {
        let both = [
            (Direction::Egress, &connection.egress),
            (Direction::Ingress, &connection.ingress),
        ];
        if both.iter().any(|(_, side)| side.gap.is_some()) {
            self.sum.gap_connections += connection.weight;
        }
        for (direction, side) in both {
            self.side(connection, direction, side);
        }
    }

    fn side(&mut self, connection: &Connection, direction: Direction, side: &Side) {
        let weight = connection.weight;
        let times = |seen: &mut Seen| {
            seen.at(connection.first);
            seen.at(connection.last);
        };
        if let Some(gap) = side.gap {
            let key = (connection.edge, direction, gap);
            let make = || (0, Seen::default());
            if let Some((count, seen)) = self.gaps.entry(key, weight, make) {
                *count += weight;
                times(seen);
            }
        }
        let Some(computed) = side.computed else {
            return;
        };
        if let Some(option) = computed.decision.assumed {
            *self.sum.assumed.entry(option.name()).or_default() += weight;
        }
        let cause = match computed.verdict {
            Verdict::Unknown(cause) => Some(cause),
            _ => side.unknown,
        };
        if let Some(cause) = cause {
            *self.sum.unknown.entry(cause).or_default() += weight;
            return;
        }
        let Some(recorded) = &side.recorded else {
            return;
        };
        if side.changed && !side.drift {
            let key = (computed.cluster, computed.subject, direction);
            if let Some(count) = self.changed.entry(key, weight, || 0) {
                *count += weight;
            }
            return;
        }
        if !side.drift {
            self.sum.equal += weight;
            return;
        }
        self.sum.drift += weight;
        let key = (
            connection.edge,
            direction,
            recorded.verdict,
            recorded.drop_reason,
            computed,
        );
        let make = || Drift {
            connections: 0,
            seen: Seen::default(),
            reference: connection.reference.clone(),
        };
        if let Some(drift) = self.drifts.entry(key, weight, make) {
            drift.connections += weight;
            times(&mut drift.seen);
        }
    }

    pub(super) fn finish(self, peers: &Peers, policies: &Policies) -> Judged {
        let mut sum = self.sum;
        sum.others = self.gaps.others() + self.drifts.others() + self.changed.others();
        for ((cluster, subject, direction), count) in self.changed.into_iter() {
            if let Some(changed) = policies.changed(cluster, subject, direction) {
                *sum.changed.entry(Changed::clone(&changed)).or_default() += count;
            }
        }
        sum.gaps = self
            .gaps
            .into_iter()
            .map(|((edge, direction, gap), (connections, seen))| GapRow {
                direction,
                gap,
                client: peers.get(edge.client).clone(),
                server: peers.get(edge.server).clone(),
                port: edge.port,
                protocol: edge.protocol,
                connections,
                seen,
            })
            .collect();
        sum.gaps.sort_by(|left, right| {
            right
                .connections
                .cmp(&left.connections)
                .then_with(|| (&left.client, &left.server).cmp(&(&right.client, &right.server)))
                .then_with(|| (left.port, left.gap).cmp(&(right.port, right.gap)))
                .then_with(|| left.direction.name().cmp(right.direction.name()))
        });
        sum.drifts = self
            .drifts
            .into_iter()
            .map(
                |((edge, direction, recorded, reason, computed), drift)| DriftRow {
                    direction,
                    client: peers.get(edge.client).clone(),
                    server: peers.get(edge.server).clone(),
                    port: edge.port,
                    protocol: edge.protocol,
                    recorded,
                    reason,
                    ruling: Ruling::of(policies, &computed, direction),
                    connections: drift.connections,
                    seen: drift.seen,
                    reference: drift.reference,
                },
            )
            .collect();
        sum.drifts.sort_by(|left, right| {
            right
                .connections
                .cmp(&left.connections)
                .then_with(|| (&left.client, &left.server).cmp(&(&right.client, &right.server)))
                .then_with(|| left.reference.cmp(&right.reference))
        });
        sum
    }
}
