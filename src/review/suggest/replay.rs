//! A recording once more, under policies that are not there yet.
//!
//! Owns what came of connections by whether they are accepted: accepted ones have to pass,
//! the others should not. Judging is the engine's, for both sets at once, as in a
//! simulation. Bounded: what is broken beyond a bound is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::connection::{Connection, Edge, Exchange, ExchangeKind, Peer, PeerId, Peers};
use crate::engine::Observer;
use crate::flow::Protocol;
use crate::policy::{Cause, Direction, Verdict};
use crate::review::observed::{History, WorkloadKey, key_of};
use crate::review::report::bounded::Bounded;
use crate::review::simulate::{Cases, Gatherer, Outcome};

/// Edges of what is broken that are told apart.
const MOST_BROKEN: usize = 4_096;
/// Edges of which it is kept whether anything of them was seen to pass.
const MOST_EDGES: usize = 1 << 17;
/// Addresses of each.
const MOST_ADDRESSES: usize = 64;

/// What becomes of connections, or requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pass, or no policy is asked.
    pub pass: u64,
    /// Pass with an authenticated session.
    pub authenticated: u64,
    /// Are denied.
    pub denied: u64,
    /// It cannot be told, by why.
    pub unknown: BTreeMap<Cause, u64>,
    /// No flow of them says enough to ask.
    pub not_judged: u64,
}

/// Something accepted that would not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Who opened it.
    pub client: Peer,
    /// Who took it.
    pub server: Peer,
    /// Port of the server.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// A request, by method and path, or by the name that was asked for.
    pub request: Option<String>,
    /// On which sides it is denied, and not without what was suggested.
    pub sides: Vec<Direction>,
    /// It is denied by the policies that are there already.
    pub before: bool,
    /// How many.
    pub count: u64,
    /// Addresses of the server.
    pub addresses: BTreeSet<IpAddr>,
}

/// What came of a replay.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Accepted connections.
    pub accepted: Tally,
    /// Those that should be stopped: denied, flagged or of an incident.
    pub unwanted: Tally,
    /// Accepted requests on connections that pass.
    pub requests: Tally,
    /// Accepted ones that would be denied, most first.
    pub broken: Vec<Broken>,
    /// Those that a side newly denies, on edges that are not told apart.
    pub more_broken: u64,
    /// Accepted connections by workload and direction, as that side has it.
    pub by_side: BTreeMap<(WorkloadKey, Direction), Tally>,
    /// The same of unwanted ones.
    pub unwanted_by_side: BTreeMap<(WorkloadKey, Direction), Tally>,
    /// Connections, accepted or not, that would pass and are denied by the policies that are
    /// there.
    pub newly_allowed: u64,
    /// Accepted connections of which it could be told that they pass, and now it cannot.
    pub newly_undecided: u64,
    /// Edges of accepted connections of none of which it can be told that it passes.
    pub open: u64,
    /// Their connections.
    pub open_connections: u64,
    /// There are more edges than are told apart.
    pub more_open: bool,
}

/// Replays connections.
#[derive(Debug)]
pub struct Replay {
    judge: Gatherer,
    history: Arc<History>,
    accepted: Tally,
    unwanted: Tally,
    requests: Tally,
    newly_allowed: u64,
    newly_undecided: u64,
    broken: Bounded<(Edge, Option<Arc<str>>), BrokenSums>,
    more_broken: u64,
    by_side: BTreeMap<(PeerId, Direction), [Tally; 2]>,
    /// Whether an accepted connection passes, and how many cannot be told of.
    edges: Bounded<Edge, (bool, u64)>,
}

#[derive(Clone, Debug, Default)]
struct BrokenSums {
    sides: BTreeSet<Direction>,
    before: bool,
    count: u64,
    addresses: BTreeSet<IpAddr>,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.pass + self.authenticated + self.denied + self.undecided()
    }

    /// Those of which it cannot be told.
    #[must_use]
    pub fn undecided(&self) -> u64 {
        self.unknown.values().sum::<u64>() + self.not_judged
    }

    fn add(&mut self, outcome: Option<Outcome>, weight: u64) {
        match outcome {
            Some(Outcome::Passes | Outcome::NotAsked) => self.pass += weight,
            Some(Outcome::NeedsAuthentication) => self.authenticated += weight,
            Some(Outcome::Denied) => self.denied += weight,
            Some(Outcome::Unknown(cause)) => *self.unknown.entry(cause).or_default() += weight,
            None => self.not_judged += weight,
        }
    }

    /// Takes in those of another.
    pub fn merge(&mut self, other: &Self) {
        self.pass += other.pass;
        self.authenticated += other.authenticated;
        self.denied += other.denied;
        self.not_judged += other.not_judged;
        for (cause, count) in &other.unknown {
            *self.unknown.entry(*cause).or_default() += count;
        }
    }
}

impl Replay {
    /// Replays what these cases say of, split by what the history accepts.
    #[must_use]
    pub fn new(cases: Arc<Cases>, history: Arc<History>) -> Self {
        Self {
            judge: Gatherer::new(cases),
            history,
            accepted: Tally::default(),
            unwanted: Tally::default(),
            requests: Tally::default(),
            newly_allowed: 0,
            newly_undecided: 0,
            broken: Bounded::new(MOST_BROKEN),
            more_broken: 0,
            by_side: BTreeMap::new(),
            edges: Bounded::new(MOST_EDGES),
        }
    }

    /// What came of it.
    #[must_use]
    pub fn finish(self, peers: &Peers) -> Replayed {
        let mut broken: Vec<Broken> = self
            .broken
            .into_iter()
            .map(|((edge, request), sums)| Broken {
                client: peers.get(edge.client).clone(),
                server: peers.get(edge.server).clone(),
                port: edge.port,
                protocol: edge.protocol,
                request: request.as_deref().map(str::to_owned),
                sides: sums.sides.into_iter().collect(),
                before: sums.before,
                count: sums.count,
                addresses: sums.addresses,
            })
            .collect();
        broken.sort_by(|one, other| {
            other
                .count
                .cmp(&one.count)
                .then_with(|| (&one.client, &one.server).cmp(&(&other.client, &other.server)))
                .then_with(|| (one.port, &one.request).cmp(&(other.port, &other.request)))
        });
        let undecided = self.edges.others() > 0;
        let open: Vec<(Edge, u64)> = self
            .edges
            .into_iter()
            .filter(|(_, (passes, unknown))| !passes && *unknown > 0)
            .map(|(edge, (_, unknown))| (edge, unknown))
            .collect();
        let mut replayed = Replayed {
            open: open.len() as u64,
            open_connections: open.iter().map(|(_, count)| count).sum(),
            more_open: undecided,
            accepted: self.accepted,
            unwanted: self.unwanted,
            requests: self.requests,
            broken,
            more_broken: self.more_broken,
            newly_allowed: self.newly_allowed,
            newly_undecided: self.newly_undecided,
            ..Replayed::default()
        };
        for ((peer, direction), [accepted, unwanted]) in self.by_side {
            let Some(key) = key_of(peers.get(peer)) else {
                continue;
            };
            let key = (key, direction);
            let by_side = replayed.by_side.entry(key.clone()).or_default();
            by_side.merge(&accepted);
            let by_side = replayed.unwanted_by_side.entry(key).or_default();
            by_side.merge(&unwanted);
        }
        replayed
    }

    fn breaks(
        &mut self,
        key: (Edge, Option<Arc<str>>),
        weight: u64,
        sides: &[Option<(Verdict, Verdict)>; 2],
        (before, address): (bool, Option<IpAddr>),
    ) {
        let newly = sides
            .iter()
            .zip(Direction::BOTH)
            .filter(|(side, _)| {
                side.is_some_and(|(base, head)| head.is_denied() && !base.is_denied())
            })
            .map(|(_, direction)| direction);
        let Some(sums) = self.broken.entry(key, weight, BrokenSums::default) else {
            if newly.count() > 0 {
                self.more_broken += weight;
            }
            return;
        };
        sums.count += weight;
        sums.before |= before;
        sums.sides.extend(newly);
        if sums.addresses.len() < MOST_ADDRESSES {
            sums.addresses.extend(address);
        }
    }
}

impl Observer for Replay {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        let weight = connection.weight;
        let accepted = match self.history.connection(connection, peers) {
            Ok(()) => true,
            Err(why) if why.is_unwanted() => false,
            Err(_) => return,
        };
        let judged = self.judge.judged(connection);
        let head = judged.map(|((_, head), _)| head);
        let tally = if accepted {
            &mut self.accepted
        } else {
            &mut self.unwanted
        };
        tally.add(head, weight);
        let edge = connection.edge;
        let Some((outcomes, sides)) = judged else {
            if accepted && let Some(known) = self.edges.entry(edge, weight, Default::default) {
                known.1 += weight;
            }
            return;
        };
        let ends = [
            (edge.client, Direction::Egress),
            (edge.server, Direction::Ingress),
        ];
        for (side, end) in sides.iter().zip(ends) {
            let Some((_, verdict)) = side else { continue };
            let tallies = self.by_side.entry(end).or_default();
            tallies[usize::from(!accepted)].add(Some(Outcome::from(*verdict)), weight);
        }
        if let (Outcome::Denied, Outcome::Passes | Outcome::NeedsAuthentication) = outcomes {
            self.newly_allowed += weight;
        }
        if !accepted {
            return;
        }
        if let Some(known) = self.edges.entry(edge, weight, Default::default) {
            match outcomes.1 {
                Outcome::Unknown(_) => known.1 += weight,
                Outcome::Denied => {}
                _ => known.0 = true,
            }
        }
        match outcomes {
            (base, Outcome::Denied) => {
                let before = base == Outcome::Denied;
                let address = connection.tuple.server;
                self.breaks((edge, None), weight, &sides, (before, address));
            }
            (Outcome::Passes | Outcome::NeedsAuthentication, Outcome::Unknown(_)) => {
                self.newly_undecided += weight;
            }
            _ => {}
        }
    }

    fn exchange(&mut self, exchange: &Exchange, peers: &Peers) {
        if self.history.dropped || self.history.exchange(exchange, peers).is_err() {
            return;
        }
        let weight = exchange.weight;
        let Some(((base, head), sides)) = self.judge.request(exchange) else {
            return;
        };
        self.requests.add(Some(head), weight);
        if head == Outcome::Denied {
            let request: Arc<str> = match &exchange.kind {
                ExchangeKind::Dns { query, .. } => query.clone(),
                ExchangeKind::Http { method, path, .. } => format!("{method} {path}").into(),
                ExchangeKind::Other(name) => name.clone(),
            };
            let key = (exchange.edge, Some(request));
            self.breaks(key, weight, &sides, (base == Outcome::Denied, None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: Verdict = Verdict::DeniedByDefault;

    fn breaks(replay: &mut Replay, port: u16, base: Verdict) {
        let edge = Edge {
            client: PeerId::UNKNOWN,
            server: PeerId::UNKNOWN,
            port,
            protocol: Protocol::Tcp,
        };
        let sides = [Some((base, DENIED)), None];
        replay.breaks((edge, None), 3, &sides, (base == DENIED, None));
    }

    /// Guarantees: what the new policies break is counted past the bound, what was denied
    /// before is not.
    #[test]
    fn what_breaks_beyond_the_bound_is_counted() {
        let mut replay = Replay::new(Arc::default(), Arc::default());
        for port in 0..MOST_BROKEN as u16 {
            breaks(&mut replay, port, DENIED);
        }
        breaks(&mut replay, u16::MAX, DENIED);
        assert_eq!(replay.more_broken, 0);
        breaks(&mut replay, u16::MAX, Verdict::Allowed);
        assert_eq!(replay.finish(&Peers::default()).more_broken, 3);
    }
}
