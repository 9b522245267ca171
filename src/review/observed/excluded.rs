//! What of a recording is not what somebody meant to allow.
//!
//! Owns which connections and requests count as accepted: those that passed, whose ends are
//! known, and that no finding is about. Whoever learns and whoever replays ask here, so that
//! both mean the same connections.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::baseline::without_search;
use crate::connection::{
    Connection, Edge, Exchange, ExchangeKind, Outcome, Peer, PeerId, Peers, Tuple,
};
use crate::finding::{Alert, Findings, Party, Severity};
use crate::flow::{DropClass, Protocol};

/// How long before and after a finding its edge is left out, in nanoseconds.
const GRACE: i64 = 60_000_000_000;
/// Names of the cluster end so.
pub(super) const CLUSTER_DOMAIN: &str = ".cluster.local";
/// The first port that Linux gives to clients.
const EPHEMERAL: u16 = 32_768;
/// Statuses of HTTP that say the request was not meant to be made.
const REFUSED: [u32; 4] = [401, 403, 404, 405];

/// Why a connection or a request is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// It was denied by policy.
    Denied,
    /// Audit mode let it pass.
    Audited,
    /// It was dropped for another reason, or failed.
    Dropped,
    /// It passed, where denied ones are asked for.
    Passed,
    /// A finding is about it.
    Flagged,
    /// Its client was part of an incident at that time.
    Incident,
    /// An end of it is not known.
    Unnamed,
    /// It is not certain who opened it.
    Direction,
    /// It has no port and is no ping.
    NoPort,
}

/// What counts as accepted.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Denied connections are asked for instead of those that passed.
    pub dropped: bool,
    /// By whom they are about; those about others than workloads have no key.
    flagged: BTreeMap<String, Vec<Flag>>,
    incidents: Vec<(Party, i64, i64)>,
}

/// What a finding is about.
#[derive(Clone, Debug)]
struct Flag {
    subject: Party,
    peer: Option<Party>,
    port: Option<(u16, String)>,
    first: i64,
    last: i64,
}

impl Why {
    /// All, in the order they are told.
    pub const ALL: [Self; 9] = [
        Self::Denied,
        Self::Audited,
        Self::Dropped,
        Self::Passed,
        Self::Flagged,
        Self::Incident,
        Self::Unnamed,
        Self::Direction,
        Self::NoPort,
    ];

    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Audited => "audited",
            Self::Dropped => "dropped",
            Self::Passed => "passed",
            Self::Flagged => "flagged",
            Self::Incident => "incident",
            Self::Unnamed => "unnamed",
            Self::Direction => "direction-unknown",
            Self::NoPort => "no-port",
        }
    }

    /// As it is told.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Denied => "denied by policy",
            Self::Audited => "let pass by audit mode only",
            Self::Dropped => "dropped for another reason",
            Self::Passed => "that passed",
            Self::Flagged => "flagged by a finding",
            Self::Incident => "of a workload while it was part of an incident",
            Self::Unnamed => "with an end that the flows do not name",
            Self::Direction => "of which it is not certain who opened them",
            Self::NoPort => "without a port",
        }
    }

    /// Whether a policy that lets only accepted connections pass should stop it.
    #[must_use]
    pub fn is_unwanted(self) -> bool {
        matches!(
            self,
            Self::Denied | Self::Audited | Self::Flagged | Self::Incident
        )
    }
}

impl History {
    /// Everything that passed; with `dropped` what was denied by policy.
    #[must_use]
    pub fn new(dropped: bool) -> Self {
        Self {
            dropped,
            ..Self::default()
        }
    }

    /// Leaves out what findings are about: their edge in their time, and everything a subject
    /// of a raised or severe incident opened meanwhile. What somebody said is meant is not
    /// left out.
    #[must_use]
    pub fn without(mut self, findings: &Findings) -> Self {
        for (finding, _) in findings.findings() {
            if finding.suppressed.is_some() {
                continue;
            }
            let flags = self.flagged.entry(key_of(&finding.subject)).or_default();
            flags.push(Flag {
                subject: finding.subject.clone(),
                peer: finding.peer.clone(),
                port: finding.port.zip(finding.protocol.clone()),
                first: finding.first.saturating_sub(GRACE),
                last: finding.last.saturating_add(GRACE),
            });
        }
        for incident in findings.incidents() {
            let grave = incident.alert == Alert::Raised || incident.severity >= Severity::High;
            if incident.alert == Alert::Suppressed || !grave {
                continue;
            }
            for subject in &incident.subjects {
                self.incidents
                    .push((subject.clone(), incident.first, incident.last));
            }
        }
        self
    }

    /// Whether a connection is accepted.
    ///
    /// # Errors
    /// [`Why`] not.
    pub fn connection(&self, connection: &Connection, peers: &Peers) -> Result<(), Why> {
        let denied = match connection.outcome {
            Outcome::Forwarded | Outcome::RequestDenied => None,
            Outcome::Audited => Some(Why::Audited),
            Outcome::Dropped(reason) if reason.class() == DropClass::Policy => Some(Why::Denied),
            Outcome::Dropped(_) | Outcome::Error => Some(Why::Dropped),
        };
        match denied {
            Some(Why::Denied | Why::Audited) if self.dropped => {}
            Some(why) => return Err(why),
            None if self.dropped => return Err(Why::Passed),
            None => {}
        }
        self.edge(connection.edge, (connection.first, connection.last), peers)?;
        if !connection.oriented && !by_ports(connection) {
            return Err(Why::Direction);
        }
        Ok(())
    }

    /// Whether a request is accepted: also its answer must not say that it was none.
    ///
    /// # Errors
    /// [`Why`] not.
    pub fn exchange(&self, exchange: &Exchange, peers: &Peers) -> Result<(), Why> {
        if exchange.denied {
            return Err(Why::Denied);
        }
        match &exchange.kind {
            ExchangeKind::Http { code, .. } if REFUSED.contains(code) => return Err(Why::Dropped),
            // Resolvers ask for names that are none: those below their search domains.
            ExchangeKind::Dns { query, code, .. } if *code != 0 && !is_searched(query) => {
                return Err(Why::Dropped);
            }
            _ => {}
        }
        self.edge(exchange.edge, (exchange.time, exchange.settled), peers)
    }

    fn edge(&self, edge: Edge, span: (i64, i64), peers: &Peers) -> Result<(), Why> {
        let known = |id: PeerId| match peers.get(id) {
            Peer::Unknown | Peer::Others => false,
            Peer::Workload {
                namespace, name, ..
            } => !namespace.is_empty() && !name.is_empty(),
            _ => true,
        };
        if !known(edge.client) || !known(edge.server) {
            return Err(Why::Unnamed);
        }
        let has_port = match edge.protocol {
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp => edge.port > 0,
            Protocol::Icmpv4 | Protocol::Icmpv6 => true,
            _ => false,
        };
        if !has_port {
            return Err(Why::NoPort);
        }
        if self.flagged.is_empty() && self.incidents.is_empty() {
            return Ok(());
        }
        let (client, server) = (peers.get(edge.client), peers.get(edge.server));
        let meets = |first: i64, last: i64| span.0 <= last && span.1 >= first;
        let of = |key: &str| self.flagged.get(key).map_or(&[][..], Vec::as_slice);
        let (by_client, by_server) = (workload(client), workload(server));
        let mut about = by_client
            .iter()
            .chain(&by_server)
            .flat_map(|key| of(key))
            .chain(of(""));
        let flagged = about.any(|flag| {
            meets(flag.first, flag.last)
                && flag.port.as_ref().is_none_or(|(port, protocol)| {
                    *port == edge.port && protocol == edge.protocol.name()
                })
                && match &flag.peer {
                    // About a workload as a whole: what it opened then.
                    None => is(&flag.subject, client),
                    Some(peer) => {
                        is(&flag.subject, client) && is(peer, server)
                            || is(&flag.subject, server) && is(peer, client)
                    }
                }
        });
        if flagged {
            return Err(Why::Flagged);
        }
        let of_incident = self
            .incidents
            .iter()
            .any(|(subject, first, last)| meets(*first, *last) && is(subject, client));
        if of_incident {
            return Err(Why::Incident);
        }
        Ok(())
    }
}

/// Whether the ports of a connection tell who opened it: systems take ports of clients from
/// here on, and hardly anything listens there.
fn by_ports(connection: &Connection) -> bool {
    let Tuple {
        client_port,
        server_port,
        ..
    } = connection.tuple;
    server_port > 0 && server_port < EPHEMERAL && client_port >= EPHEMERAL
}

/// Whether a party of a finding is a peer. Findings know names by their registered domain and
/// addresses by their network.
fn is(party: &Party, peer: &Peer) -> bool {
    match (party, peer) {
        (
            Party::Workload {
                cluster,
                namespace,
                name,
                ..
            },
            Peer::Workload {
                cluster: own,
                namespace: within,
                name: called,
                ..
            },
        ) => {
            **name == **called
                && **namespace == **within
                && (cluster.is_empty() || own.is_empty() || **cluster == **own)
        }
        (Party::Entity { name }, Peer::Entity(entity)) => **name == **entity,
        (Party::Entity { name }, Peer::Name(_) | Peer::Prefix(_)) => name == "world",
        (Party::Name { name }, Peer::Name(called)) => {
            **called == **name
                || called
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.ends_with('.'))
        }
        (Party::Prefix { name }, Peer::Prefix(net)) => {
            name.parse::<IpNet>().is_ok_and(|wide| wide.contains(net))
        }
        _ => false,
    }
}

/// Findings are looked for by the workload they are about.
fn key_of(party: &Party) -> String {
    match party {
        Party::Workload {
            namespace, name, ..
        } => format!("{namespace}/{name}"),
        _ => String::new(),
    }
}

fn workload(peer: &Peer) -> Option<String> {
    match peer {
        Peer::Workload { .. } => Some(peer.to_string()),
        _ => None,
    }
}

/// Whether a name is below a search domain, or of the cluster.
#[must_use]
pub fn is_searched(name: &str) -> bool {
    name.ends_with(CLUSTER_DOMAIN) || !without_search(name).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str) -> Peer {
        Peer::Workload {
            cluster: "c".into(),
            namespace: "shop".into(),
            kind: "".into(),
            name: name.into(),
        }
    }

    #[test]
    fn findings_know_outside_by_domain_and_network() {
        let name = Party::Name {
            name: "example.com".to_owned(),
        };
        assert!(is(&name, &Peer::Name("api.example.com".into())));
        assert!(is(&name, &Peer::Name("example.com".into())));
        assert!(!is(&name, &Peer::Name("badexample.com".into())));
        let net = Party::Prefix {
            name: "192.0.2.0/24".to_owned(),
        };
        assert!(is(&net, &Peer::Prefix("192.0.2.7/32".parse().unwrap())));
        assert!(!is(&net, &Peer::Prefix("192.0.3.7/32".parse().unwrap())));
    }

    #[test]
    fn an_edge_is_left_out_in_the_time_of_its_finding_only() {
        let mut peers = Peers::default();
        let [web, db, mail] = ["web", "db", "mail"].map(|name| peers.intern(peer(name)));
        let history = History {
            flagged: [(
                "shop/web".to_owned(),
                vec![Flag {
                    subject: Party::from(&peer("web")),
                    peer: Some(Party::from(&peer("db"))),
                    port: Some((5432, "TCP".to_owned())),
                    first: 100,
                    last: 200,
                }],
            )]
            .into(),
            incidents: vec![(Party::from(&peer("mail")), 100, 200)],
            ..History::default()
        };
        let ask = |client, server, port, at| {
            let edge = Edge {
                client,
                server,
                port,
                protocol: Protocol::Tcp,
            };
            history.edge(edge, (at, at), &peers)
        };
        assert_eq!(ask(web, db, 5432, 150), Err(Why::Flagged));
        assert_eq!(ask(web, db, 5432, 250), Ok(()));
        assert_eq!(ask(web, db, 80, 150), Ok(()));
        assert_eq!(ask(mail, db, 80, 150), Err(Why::Incident));
        assert_eq!(ask(web, mail, 80, 150), Ok(()));
        assert_eq!(ask(web, PeerId::UNKNOWN, 80, 150), Err(Why::Unnamed));
    }
}
