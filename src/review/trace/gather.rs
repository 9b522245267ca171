//! The connections of a target itself.
//!
//! Owns telling which end of a connection is the target, and what is summed up of its links
//! and requests. Which flows are about the target was decided before (`target`): others do
//! not come here.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::link::{self, Sum};
use super::target::{MOST_KNOWN, Matcher, is_node};
use super::{Asked, Hop, Target, Trace, Way, Who};
use crate::baseline::template;
use crate::connection::{Connection, Edge, Exchange, ExchangeKind, PeerId, Peers, workload_of};
use crate::engine::{JudgedBatch, Observer, Policies};
use crate::flow::{EndpointId, NO_TIME, RowRef, StrId};
use crate::review::report::Reading;
use crate::review::report::bounded::{Bounded, Seen};

/// Links of one hop.
pub(super) const MOST_LINKS: usize = 20_000;
/// Kinds of requests.
const MOST_ASKED: usize = 5_000;
/// Pods, or addresses, of a target.
const MOST_WHO: usize = 4_096;
/// Addresses and nodes of each.
const MOST_OF_ONE: usize = 64;
/// From this status on HTTP says that something was wrong.
const HTTP_ERROR: u32 = 400;

/// Collects the connections and requests of a target.
#[derive(Debug)]
pub struct Gatherer {
    target: Target,
    matcher: Matcher,
    incident: Option<i64>,
    /// Addresses the target had, or that stand for it.
    members: HashSet<IpAddr, RandomState>,
    who: Bounded<Arc<str>, Who>,
    /// What the target's end of connections is called.
    own: HashSet<PeerId, RandomState>,
    links: Bounded<(Way, Edge), Sum>,
    asked: Bounded<(Edge, Request), AskedSum>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Request {
    Dns(Arc<str>),
    Http(Arc<str>, Arc<str>, Arc<str>),
    Other(Arc<str>),
}

#[derive(Debug, Default)]
struct AskedSum {
    types: Arc<str>,
    code: u32,
    count: u64,
    denied: u64,
    errors: u64,
    after: u64,
    seen: Seen,
}

impl Observer for Gatherer {
    fn batch(&mut self, batch: &JudgedBatch) {
        for row in batch.batch.rows() {
            if batch.is_kept(row.index()) {
                self.row(row);
            }
        }
    }

    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        let edge = connection.edge;
        let ends = self.ends(connection, peers);
        let way = match ends {
            (true, true) => Way::Within,
            (true, false) => Way::Out,
            (false, true) => Way::In,
            (false, false) => return,
        };
        for (is, id) in [(ends.0, edge.client), (ends.1, edge.server)] {
            if is && self.own.len() < MOST_WHO {
                self.own.insert(id);
            }
        }
        let began = self.incident.filter(|_| way == Way::Out);
        let counts = (connection.first != NO_TIME
            && began.is_none_or(|began| connection.last >= began))
        .then(|| {
            let from = began.map_or(connection.first, |began| began.max(connection.first));
            (from, connection.last)
        });
        if let Some(sum) = self
            .links
            .entry((way, edge), connection.weight, Sum::default)
        {
            sum.add(connection, counts, self.incident);
        }
    }

    fn exchange(&mut self, exchange: &Exchange, _: &Peers) {
        let (request, types, code, is_error) = match &exchange.kind {
            ExchangeKind::Dns { query, types, code } => {
                (Request::Dns(query.clone()), types.clone(), *code, *code > 0)
            }
            ExchangeKind::Http {
                method,
                host,
                path,
                code,
            } => (
                Request::Http(method.clone(), host.clone(), template(path).as_ref().into()),
                Arc::default(),
                *code,
                *code >= HTTP_ERROR,
            ),
            ExchangeKind::Other(name) => (Request::Other(name.clone()), Arc::default(), 0, false),
        };
        let weight = exchange.weight;
        let key = (exchange.edge, request);
        let Some(sum) = self.asked.entry(key, weight, AskedSum::default) else {
            return;
        };
        sum.types = types;
        sum.code = code;
        sum.count += weight;
        sum.seen.at(exchange.time);
        if exchange.denied {
            sum.denied += weight;
        }
        if is_error {
            sum.errors += weight;
        }
        if self.incident.is_some_and(|begin| exchange.time >= begin) {
            sum.after += weight;
        }
    }
}

impl Gatherer {
    /// Of a target; `addresses` stand for it where it is a name. An incident that began at
    /// a time, in nanoseconds since 1970 UTC, tells what is new.
    #[must_use]
    pub fn new(
        target: Target,
        addresses: impl IntoIterator<Item = IpAddr>,
        incident: Option<i64>,
    ) -> Self {
        let members: HashSet<IpAddr, RandomState> = addresses.into_iter().collect();
        Self {
            matcher: Matcher::new(target.clone(), members.iter().copied()),
            target,
            incident,
            members,
            who: Bounded::new(MOST_WHO),
            own: HashSet::default(),
            links: Bounded::new(MOST_LINKS),
            asked: Bounded::new(MOST_ASKED),
        }
    }

    /// What was gathered; `reading` is what was read, `window` from when to when the whole
    /// recording goes.
    #[must_use]
    pub fn finish(
        self,
        mut reading: Reading,
        window: Seen,
        peers: &Peers,
        policies: Option<&Policies>,
    ) -> Trace {
        reading.finish();
        let own = self.own;
        let (others, more_asked) = (self.links.others(), self.asked.others());
        let mut links: Vec<_> = self
            .links
            .into_iter()
            .map(|(key, sum)| sum.finish(key, peers, policies))
            .collect();
        link::sort(&mut links);
        let is_server = |edge: &Edge| own.contains(&edge.server);
        let mut asked: Vec<Asked> = self
            .asked
            .into_iter()
            .map(|((edge, request), sum)| {
                let way = match (own.contains(&edge.client), is_server(&edge)) {
                    (true, true) => Way::Within,
                    (_, true) => Way::In,
                    _ => Way::Out,
                };
                sum.finish(way, edge, request, peers)
            })
            .collect();
        asked.sort_by(|one, other| {
            (one.way, other.count)
                .cmp(&(other.way, one.count))
                .then_with(|| (&one.client, &one.server).cmp(&(&other.client, &other.server)))
                .then_with(|| one.seen.first.cmp(&other.seen.first))
        });
        let mut who: Vec<Who> = self.who.into_iter().map(|(_, who)| who).collect();
        who.sort_by(|one, other| {
            (other.flows, &one.pod, &one.addresses).cmp(&(one.flows, &other.pod, &other.addresses))
        });
        Trace {
            target: self.target,
            reading,
            window,
            incident: self.incident,
            who,
            hops: vec![Hop { links, others }],
            asked,
            more_asked,
        }
    }

    /// Notes who it is.
    fn row(&mut self, row: RowRef<'_>) {
        for (id, address) in [
            (row.source(), row.source_ip()),
            (row.destination(), row.destination_ip()),
        ] {
            if self.matcher.is_end(row, id, address) {
                self.note(row, id, address);
            }
        }
        if let Target::Node(name) = &self.target {
            let name = name.clone();
            if let Some(who) = self.who.entry(name, 1, Who::default) {
                who.flows += 1;
                who.seen.at(row.time().unwrap_or(NO_TIME));
                who.nodes.insert(row.str(row.node()).into());
            }
        }
    }

    fn note(&mut self, row: RowRef<'_>, id: EndpointId, address: StrId) {
        let endpoint = row.dictionaries().endpoint(id);
        let text = row.str(address);
        let pod = endpoint.filter(|endpoint| !endpoint.pod.is_empty());
        let name: Arc<str> = match pod {
            Some(endpoint) => format!("{}/{}", endpoint.namespace, endpoint.pod).into(),
            None => text.into(),
        };
        let parsed: Option<IpAddr> = text.parse().ok();
        let Some(who) = self.who.entry(name.clone(), 1, Who::default) else {
            return;
        };
        who.flows += 1;
        who.seen.at(row.time().unwrap_or(NO_TIME));
        if let Some(parsed) = parsed
            && who.addresses.len() < MOST_OF_ONE
            && who.addresses.insert(parsed)
            && self.members.len() < MOST_KNOWN
        {
            self.members.insert(parsed);
        }
        let Some(endpoint) = endpoint else { return };
        if who.identities.len() < MOST_OF_ONE && endpoint.identity != 0 {
            who.identities.insert(endpoint.identity);
        }
        if pod.is_some() && who.pod.is_empty() {
            who.pod = name;
        }
        // Its own node says the owner, others do not.
        let told = !endpoint.workloads.is_empty();
        if who.peer.is_none() || told {
            who.peer = workload_of(endpoint).or(who.peer.take());
        }
        if told && who.nodes.len() < MOST_OF_ONE {
            let node = row.str(row.node());
            if !who.nodes.contains(node) {
                who.nodes.insert(node.into());
            }
        }
        // The latest labels count: they may change.
        if !endpoint.labels.is_empty() && who.labels != endpoint.labels {
            who.labels.clone_from(&endpoint.labels);
        }
    }

    /// Whether client and server are the target.
    fn ends(&self, connection: &Connection, peers: &Peers) -> (bool, bool) {
        let tuple = &connection.tuple;
        let by_address = |address: Option<IpAddr>| {
            address.is_some_and(|address| self.members.contains(&address))
        };
        let edge = connection.edge;
        match &self.target {
            Target::Node(name) => (
                is_node(&connection.egress.node, name),
                is_node(&connection.ingress.node, name),
            ),
            Target::Address(prefix) => (
                tuple
                    .client
                    .is_some_and(|address| prefix.contains(&address)),
                tuple
                    .server
                    .is_some_and(|address| prefix.contains(&address)),
            ),
            Target::Name(_) => (
                by_address(tuple.client),
                by_address(tuple.server) || self.target.is_peer(peers.get(edge.server)),
            ),
            Target::Workload { .. } | Target::Namespace(_) => {
                let is = |id: PeerId| self.target.is_peer(peers.get(id));
                (
                    by_address(tuple.client) || is(edge.client),
                    by_address(tuple.server) || is(edge.server),
                )
            }
            Target::Pod { .. } | Target::Identity(_) => {
                (by_address(tuple.client), by_address(tuple.server))
            }
        }
    }
}

impl AskedSum {
    fn finish(self, way: Way, edge: Edge, request: Request, peers: &Peers) -> Asked {
        Asked {
            way,
            client: peers.get(edge.client).clone(),
            server: peers.get(edge.server).clone(),
            port: edge.port,
            kind: match request {
                Request::Dns(query) => ExchangeKind::Dns {
                    query,
                    types: self.types,
                    code: self.code,
                },
                Request::Http(method, host, path) => ExchangeKind::Http {
                    method,
                    host,
                    path,
                    code: self.code,
                },
                Request::Other(name) => ExchangeKind::Other(name),
            },
            count: self.count,
            denied: self.denied,
            errors: self.errors,
            after: self.after,
            seen: self.seen,
        }
    }
}
