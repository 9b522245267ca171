//! Connections and requests, by what policies were asked about them.
//!
//! Owns the counts: how many connections of which edge have which questions. Which rules
//! that needs is `tally`'s.

use std::sync::Arc;

use super::case::{Case, SideCase, UsageCases};
use crate::connection::{Connection, Edge, Exchange, Peer, Peers, Side};
use crate::engine::Observer;
use crate::review::report::Reading;
use crate::review::report::Seen;
use crate::review::report::bounded::Bounded;
use crate::review::simulate::Fit;

/// Pairs of cases and edges that are told apart.
const MOST_ROWS: usize = 1 << 20;
/// Edges whose connections could not be judged.
const MOST_UNJUDGED: usize = 1 << 14;

/// Collects what was asked about connections.
#[derive(Debug)]
pub struct UsageGatherer {
    cases: Arc<UsageCases>,
    connections: u64,
    rows: Bounded<([u32; 2], Edge), Row>,
    requests: Bounded<[u32; 2], u64>,
    unjudged: Bounded<(Edge, bool), u64>,
    /// Sides that passed and should not have: their marks, and which side.
    drifted: Bounded<([u32; 2], usize), u64>,
    fit: Fit,
}

#[derive(Debug, Default)]
struct Row {
    count: u64,
    seen: Seen,
}

/// Connections of one edge of which policies were asked the same.
#[derive(Clone, Debug)]
pub(in crate::review) struct UsageRow {
    /// The client's side, then the server's.
    pub(in crate::review) sides: [Option<SideCase>; 2],
    pub(in crate::review) edge: Edge,
    pub(in crate::review) count: u64,
    pub(in crate::review) seen: Seen,
}

/// Connections that could not be judged.
#[derive(Clone, Copy, Debug)]
pub(in crate::review) struct Unjudged {
    pub(in crate::review) edge: Edge,
    /// Client and server are certain.
    pub(in crate::review) oriented: bool,
    pub(in crate::review) count: u64,
}

/// What was asked about all connections of a recording.
#[derive(Debug, Default)]
pub struct Usage {
    /// What was read.
    pub reading: Reading,
    /// Connections.
    pub connections: u64,
    /// Requests of layer 7.
    pub requests: u64,
    /// How well the policies explain what the cluster did.
    pub fit: Fit,
    /// Flows and connections there was no room for.
    pub left_out: u64,
    pub(in crate::review) rows: Vec<UsageRow>,
    /// Requests by both sides.
    pub(in crate::review) asked: Vec<([Option<SideCase>; 2], u64)>,
    pub(in crate::review) unjudged: Vec<Unjudged>,
    /// Sides that passed although the policies deny them.
    pub(in crate::review) drifted: Vec<(SideCase, u64)>,
    pub(in crate::review) cases: Vec<Arc<Case>>,
    pub(in crate::review) peers: Vec<Peer>,
}

impl UsageGatherer {
    /// Collects by these cases, which are those of who judges.
    #[must_use]
    pub fn new(cases: Arc<UsageCases>) -> Self {
        Self {
            cases,
            connections: 0,
            rows: Bounded::new(MOST_ROWS),
            requests: Bounded::new(MOST_ROWS),
            unjudged: Bounded::new(MOST_UNJUDGED),
            drifted: Bounded::new(MOST_UNJUDGED),
            fit: Fit::default(),
        }
    }

    /// What was collected; `reading` is what was read.
    #[must_use]
    pub fn finish(self, mut reading: Reading, peers: &Peers) -> Usage {
        reading.finish();
        let cases = self.cases.0.after(0);
        let left_out = self.cases.0.left_out()
            + self.rows.others()
            + self.requests.others()
            + self.unjudged.others()
            + self.drifted.others();
        let sides = |marks: [u32; 2]| sides(&cases, marks);
        let mut rows: Vec<UsageRow> = self
            .rows
            .into_iter()
            .map(|((marks, edge), row)| UsageRow {
                sides: sides(marks),
                edge,
                count: row.count,
                seen: row.seen,
            })
            .collect();
        rows.sort_by_key(|row| (row.edge, std::cmp::Reverse(row.count), row.seen.first));
        let asked: Vec<([Option<SideCase>; 2], u64)> = self
            .requests
            .into_iter()
            .map(|(marks, count)| (sides(marks), count))
            .collect();
        let drifted = self
            .drifted
            .into_iter()
            .filter_map(|((marks, at), count)| {
                let [client, server] = sides(marks);
                Some((if at == 0 { client } else { server }?, count))
            })
            .collect();
        let mut unjudged: Vec<Unjudged> = self
            .unjudged
            .into_iter()
            .map(|((edge, oriented), count)| Unjudged {
                edge,
                oriented,
                count,
            })
            .collect();
        unjudged.sort_by_key(|one| (one.edge, one.oriented));
        let most = rows
            .iter()
            .map(|row| row.edge)
            .chain(unjudged.iter().map(|one| one.edge))
            .flat_map(|edge| [edge.client, edge.server])
            .max();
        let named = most.map_or(0, |most| most.0 + 1);
        Usage {
            reading,
            connections: self.connections,
            requests: asked.iter().map(|(_, count)| count).sum(),
            fit: self.fit,
            left_out,
            rows,
            asked,
            drifted,
            unjudged,
            peers: (0..named)
                .map(|id| peers.get(crate::connection::PeerId(id)).clone())
                .collect(),
            cases,
        }
    }
}

/// The sides of two flows of one connection: each side by the flow that was seen there, or
/// else by the other one.
fn sides(cases: &[Arc<Case>], marks: [u32; 2]) -> [Option<SideCase>; 2] {
    let [client, server] = marks.map(|mark| {
        let at = mark.checked_sub(1)?;
        cases.get(at as usize)
    });
    let of = |case: Option<&Arc<Case>>, at: usize| case.and_then(|case| case[at].clone());
    [
        of(client, 0).or_else(|| of(server, 0)),
        of(server, 1).or_else(|| of(client, 1)),
    ]
}

/// Whether the policies deny a side; where that is drift, it passed.
fn was_denied(side: &Side) -> bool {
    side.computed
        .is_some_and(|computed| computed.verdict.is_denied())
}

impl Observer for UsageGatherer {
    fn connection(&mut self, connection: &Connection, _: &Peers) {
        let weight = connection.weight;
        self.connections += weight;
        for side in [&connection.egress, &connection.ingress] {
            self.fit.side(side, weight);
        }
        let marks = [connection.egress.mark, connection.ingress.mark];
        for (at, side) in [&connection.egress, &connection.ingress]
            .into_iter()
            .enumerate()
        {
            if side.drift
                && was_denied(side)
                && let Some(count) = self.drifted.entry((marks, at), weight, || 0)
            {
                *count += weight;
            }
        }
        if marks == [0, 0] {
            let key = (connection.edge, connection.oriented);
            if let Some(count) = self.unjudged.entry(key, weight, || 0) {
                *count += weight;
            }
            return;
        }
        let key = (marks, connection.edge);
        if let Some(row) = self.rows.entry(key, weight, Row::default) {
            row.count += weight;
            row.seen.at(connection.first);
            row.seen.at(connection.last);
        }
    }

    fn exchange(&mut self, exchange: &Exchange, _: &Peers) {
        let [ingress, egress] = exchange.marks;
        let weight = exchange.weight;
        if let Some(count) = self.requests.entry([egress, ingress], weight, || 0) {
            *count += weight;
        }
    }
}
