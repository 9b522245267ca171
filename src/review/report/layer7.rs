//! What was asked and answered at layer 7.
//!
//! Owns the sums of exchanges: names asked of DNS with the search suffixes taken off,
//! requests of HTTP by server and path, requests that a proxy refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bounded::{Bounded, Seen};
use crate::connection::{Exchange, ExchangeKind, Peer, PeerId, Peers};

/// Names, paths and refused requests that are told apart.
const MOST_NAMES: usize = 50_000;
const MOST_PATHS: usize = 20_000;
const MOST_REFUSED: usize = 10_000;
/// What a cluster's names end with.
const CLUSTER: &str = "cluster.local";
/// Answer "no such name".
const NXDOMAIN: u32 = 3;

/// Sums of DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSum {
    /// Exchanges.
    pub exchanges: u64,
    /// Exchanges of which no answer was seen.
    pub unanswered: u64,
    /// Exchanges by response code.
    pub codes: BTreeMap<u32, u64>,
    /// NXDOMAIN answers to names that were found with another search suffix.
    pub search: u64,
    /// Names, most asked for first.
    pub names: Vec<DnsName>,
    /// Exchanges about names that are not told apart.
    pub others: u64,
}

/// A name without its search suffix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsName {
    /// The name.
    pub name: Arc<str>,
    /// Exchanges about it, whatever the suffix.
    pub exchanges: u64,
    /// Answers with an address or another record.
    pub found: u64,
    /// NXDOMAIN answers.
    pub nxdomain: u64,
    /// Other errors.
    pub failed: u64,
    /// Who asked: the first one, and whether there are others.
    pub client: Option<Peer>,
    /// Whether others asked too.
    pub more_clients: bool,
    /// From when to when.
    pub seen: Seen,
}

/// Requests of HTTP to one server and path.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpPath {
    /// Who was asked.
    pub server: Peer,
    /// Method.
    pub method: Arc<str>,
    /// Path, with what looks like an identifier as `{id}`.
    pub path: Arc<str>,
    /// Requests.
    pub exchanges: u64,
    /// Answers 4xx, but for those of a proxy that refused.
    pub client_errors: u64,
    /// Answers 5xx.
    pub server_errors: u64,
    /// Refused by a proxy.
    pub refused: u64,
    /// Half of the answers came within so many nanoseconds, 0 where none is known.
    pub median: u64,
    /// 95 of 100 did.
    pub high: u64,
    /// The slowest.
    pub slowest: u64,
}

/// Requests that a proxy refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who asked.
    pub client: Peer,
    /// Whom.
    pub server: Peer,
    /// Port of the server.
    pub port: u16,
    /// What, such as `GET /admin`.
    pub request: Arc<str>,
    /// How often.
    pub exchanges: u64,
    /// From when to when.
    pub seen: Seen,
}

/// Client, server, its port, and what was asked.
type Request = (PeerId, PeerId, u16, Arc<str>);

#[derive(Debug)]
pub(super) struct Layer7 {
    dns: DnsSum,
    names: Bounded<Arc<str>, Name>,
    paths: Bounded<(PeerId, Arc<str>, Arc<str>), Path>,
    refused: Bounded<Request, (u64, Seen)>,
    exchanges: u64,
    http: u64,
    other: BTreeMap<Arc<str>, u64>,
}

#[derive(Debug, Default)]
struct Name {
    sum: DnsName,
    client: Option<PeerId>,
}

#[derive(Debug)]
struct Path {
    exchanges: u64,
    client_errors: u64,
    server_errors: u64,
    refused: u64,
    slowest: u64,
    /// Latencies by the bits of their microseconds.
    latencies: [u32; 40],
}

pub(super) struct Layer7Sums {
    pub(super) exchanges: u64,
    pub(super) dns: DnsSum,
    pub(super) http: u64,
    pub(super) paths: Vec<HttpPath>,
    pub(super) other_paths: u64,
    pub(super) refused: Vec<Refused>,
    pub(super) other: BTreeMap<Arc<str>, u64>,
}

impl Layer7 {
    pub(super) fn new() -> Self {
        Self {
            dns: DnsSum::default(),
            names: Bounded::new(MOST_NAMES),
            paths: Bounded::new(MOST_PATHS),
            refused: Bounded::new(MOST_REFUSED),
            exchanges: 0,
            http: 0,
            other: BTreeMap::new(),
        }
    }

    pub(super) fn exchange(&mut self, exchange: &Exchange, peers: &Peers) {
        let weight = exchange.weight;
        self.exchanges += weight;
        match &exchange.kind {
            ExchangeKind::Dns { query, code, .. } => self.dns(exchange, query, *code, peers),
            ExchangeKind::Http {
                method, path, code, ..
            } => self.http(exchange, method, path, *code),
            ExchangeKind::Other(name) => {
                if self.other.len() < 100 || self.other.contains_key(name) {
                    *self.other.entry(name.clone()).or_default() += weight;
                }
            }
        }
        if exchange.denied {
            let edge = exchange.edge;
            let request = match &exchange.kind {
                ExchangeKind::Dns { query, .. } => format!("DNS {query}"),
                ExchangeKind::Http { method, path, .. } => format!("{method} {path}"),
                ExchangeKind::Other(name) => name.to_string(),
            };
            let key = (edge.client, edge.server, edge.port, request.into());
            let make = || (0, Seen::default());
            if let Some((count, seen)) = self.refused.entry(key, weight, make) {
                *count += weight;
                seen.at(exchange.time);
            }
        }
    }

    fn dns(&mut self, exchange: &Exchange, query: &Arc<str>, code: u32, peers: &Peers) {
        let weight = exchange.weight;
        self.dns.exchanges += weight;
        let client = exchange.edge.client;
        let namespace = match peers.get(client) {
            Peer::Workload { namespace, .. } => namespace,
            _ => "",
        };
        let name = without_suffix(query, namespace);
        if exchange.answered {
            let known = self.dns.codes.len() < 64 || self.dns.codes.contains_key(&code);
            if known {
                *self.dns.codes.entry(code).or_default() += weight;
            }
        } else {
            self.dns.unanswered += weight;
        }
        let Some(sum) = self.names.entry_of(name, weight, Name::default) else {
            return;
        };
        match sum.client {
            None => sum.client = Some(client),
            Some(known) => sum.sum.more_clients |= known != client,
        }
        let sum = &mut sum.sum;
        sum.exchanges += weight;
        sum.seen.at(exchange.time);
        match code {
            _ if !exchange.answered => {}
            0 => sum.found += weight,
            NXDOMAIN => sum.nxdomain += weight,
            _ => sum.failed += weight,
        }
    }

    fn http(&mut self, exchange: &Exchange, method: &Arc<str>, path: &str, code: u32) {
        let weight = exchange.weight;
        self.http += weight;
        let key = (exchange.edge.server, method.clone(), pattern(path).into());
        let Some(sum) = self.paths.entry(key, weight, Path::new) else {
            return;
        };
        sum.exchanges += weight;
        match code {
            _ if exchange.denied => sum.refused += weight,
            400..500 => sum.client_errors += weight,
            500..600 => sum.server_errors += weight,
            _ => {}
        }
        if exchange.latency > 0 {
            sum.slowest = sum.slowest.max(exchange.latency);
            let bits = (u64::BITS - (exchange.latency / 1000).leading_zeros()) as usize;
            let at = bits.min(sum.latencies.len() - 1);
            sum.latencies[at] = sum.latencies[at].saturating_add(1);
        }
    }

    pub(super) fn finish(self, peers: &Peers) -> Layer7Sums {
        let mut dns = self.dns;
        dns.others = self.names.others();
        dns.names = self
            .names
            .into_iter()
            .map(|(name, known)| DnsName {
                name,
                client: known.client.map(|client| peers.get(client).clone()),
                ..known.sum
            })
            .collect();
        dns.search = dns
            .names
            .iter()
            .filter(|name| name.found > 0)
            .map(|name| name.nxdomain)
            .sum();
        dns.names.sort_by(|left, right| {
            (right.exchanges, &left.name).cmp(&(left.exchanges, &right.name))
        });
        let other_paths = self.paths.others();
        let mut paths: Vec<HttpPath> = self
            .paths
            .into_iter()
            .map(|((server, method, path), sum)| HttpPath {
                server: peers.get(server).clone(),
                method,
                path,
                exchanges: sum.exchanges,
                client_errors: sum.client_errors,
                server_errors: sum.server_errors,
                refused: sum.refused,
                median: sum.quantile(0.5),
                high: sum.quantile(0.95),
                slowest: sum.slowest,
            })
            .collect();
        paths.sort_by(|left, right| {
            right
                .exchanges
                .cmp(&left.exchanges)
                .then_with(|| left.server.cmp(&right.server))
                .then_with(|| (&left.path, &left.method).cmp(&(&right.path, &right.method)))
        });
        let mut refused: Vec<Refused> = self
            .refused
            .into_iter()
            .map(
                |((client, server, port, request), (exchanges, seen))| Refused {
                    client: peers.get(client).clone(),
                    server: peers.get(server).clone(),
                    port,
                    request,
                    exchanges,
                    seen,
                },
            )
            .collect();
        refused.sort_by(|left, right| {
            right
                .exchanges
                .cmp(&left.exchanges)
                .then_with(|| left.seen.first.cmp(&right.seen.first))
                .then_with(|| left.request.cmp(&right.request))
        });
        Layer7Sums {
            exchanges: self.exchanges,
            dns,
            http: self.http,
            paths,
            other_paths,
            refused,
            other: self.other,
        }
    }
}

impl Path {
    fn new() -> Self {
        Self {
            exchanges: 0,
            client_errors: 0,
            server_errors: 0,
            refused: 0,
            slowest: 0,
            latencies: [0; 40],
        }
    }

    /// Upper bound of the step in which a share of the latencies is reached, at most the
    /// slowest.
    fn quantile(&self, share: f64) -> u64 {
        let all: u64 = self.latencies.iter().map(|count| u64::from(*count)).sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut reached = 0;
        for (bits, count) in self.latencies.iter().enumerate() {
            reached += u64::from(*count);
            if all > 0 && reached >= wanted {
                return (1000_u64 << bits).min(self.slowest);
            }
        }
        0
    }
}

/// A name without what a resolver's search list of a pod appends to it.
fn without_suffix<'a>(query: &'a str, namespace: &str) -> &'a str {
    let strip = |name: &'a str, suffix: &str| -> Option<&'a str> {
        name.strip_suffix(suffix)?
            .strip_suffix('.')
            .filter(|name| !name.is_empty())
    };
    let Some(name) = strip(query, CLUSTER) else {
        return query;
    };
    let Some(name) = strip(name, "svc") else {
        return name;
    };
    if namespace.is_empty() {
        return name;
    }
    strip(name, namespace).unwrap_or(name)
}

/// A path with what looks like an identifier left out.
fn pattern(path: &str) -> String {
    let is_id = |part: &str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let hexadecimal = part
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        digits > 0 && (digits == part.len() || (hexadecimal && part.len() >= 8) || part.len() > 40)
    };
    let parts = path
        .split('/')
        .map(|part| if is_id(part) { "{id}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_suffixes_are_those_of_the_client() {
        for (query, wanted) in [
            (
                "api.mailer.example.shop.svc.cluster.local",
                "api.mailer.example",
            ),
            ("payments.payments.svc.cluster.local", "payments.payments"),
            (
                "payments.payments.shop.svc.cluster.local",
                "payments.payments",
            ),
            ("api.mailer.example.cluster.local", "api.mailer.example"),
            ("api.mailer.example", "api.mailer.example"),
            ("cluster.local", "cluster.local"),
        ] {
            assert_eq!(without_suffix(query, "shop"), wanted);
        }
    }

    #[test]
    fn identifiers_in_paths_are_one() {
        assert_eq!(pattern("/orders/123/items/9"), "/orders/{id}/items/{id}");
        assert_eq!(pattern("/v1/deadbeef01"), "/v1/{id}");
        assert_eq!(pattern("/api/v1/feed"), "/api/v1/feed");
    }

    #[test]
    fn a_quantile_is_never_over_the_slowest() {
        let mut path = Path::new();
        assert_eq!(path.quantile(0.5), 0);
        path.latencies[4] = 9;
        path.latencies[12] = 1;
        path.slowest = 2_400_000;
        assert_eq!(path.quantile(0.5), 16_000);
        assert_eq!(path.quantile(0.95), 2_400_000);
    }
}
