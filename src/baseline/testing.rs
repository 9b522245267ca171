//! Ticks written down in short, for tests.
//!
//! Owns making peers from what they are shown as (`shop/cart`, `example.com`,
//! `192.0.2.0/24`, `host`), groups of connections, and nothing that is not a test's.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::names::Names;
use super::tick::{Fate, Group, Servers, TICK};
use crate::connection::{Connection, Edge, Opening, Outcome, Peer, PeerId, Peers, Side, Tuple};
use crate::flow::{DropClass, DropReason, FlowReference, Protocol};

/// Peers and what they are called.
#[derive(Debug, Default)]
pub(crate) struct Scenery {
    pub(crate) names: Names,
}

/// The beginning of a minute.
pub(crate) fn minute(at: i64) -> i64 {
    at * TICK
}

impl Scenery {
    /// The number of a peer by what it is shown as.
    pub(crate) fn peer(&mut self, shown: &str) -> PeerId {
        self.names.intern(peer(shown))
    }

    pub(crate) fn peers(&self) -> &Peers {
        self.names.peers()
    }

    /// One connection over TCP.
    pub(crate) fn group(
        &mut self,
        client: &str,
        server: &str,
        port: u16,
        time: i64,
        fate: Fate,
    ) -> Group {
        let (client, server) = (self.peer(client), self.peer(server));
        let mut sample = connection(Protocol::Tcp, port, time);
        sample.edge.client = client;
        sample.edge.server = server;
        sample.answered = matches!(fate, Fate::Answered | Fate::Refused);
        sample.outcome = match fate {
            Fate::Denied => Outcome::Dropped(DropReason::POLICY_DENIED),
            Fate::Dropped(DropClass::Routing) => Outcome::Dropped(DropReason(151)),
            Fate::Dropped(_) => Outcome::Dropped(DropReason(130)),
            Fate::Audited => Outcome::Audited,
            Fate::RequestDenied => Outcome::RequestDenied,
            _ => Outcome::Forwarded,
        };
        Group {
            client,
            server,
            key: server,
            port,
            protocol: Protocol::Tcp,
            fate,
            count: 1,
            attempts: 1,
            first: time,
            last: time,
            starts: vec![time],
            servers: Servers {
                kept: vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))],
                more: false,
            },
            samples: vec![FlowReference {
                node: "c/n".to_owned(),
                time,
                tuple: u64::from(port),
            }],
            sample,
            busy: 1,
        }
    }
}

/// The peer that is shown so.
pub(crate) fn peer(shown: &str) -> Peer {
    if let Ok(prefix) = shown.parse() {
        return Peer::Prefix(prefix);
    }
    if let Ok(address) = shown.parse::<IpAddr>() {
        return Peer::Prefix(address.into());
    }
    if let Some((namespace, name)) = shown.split_once('/') {
        return Peer::Workload {
            cluster: Arc::default(),
            namespace: namespace.into(),
            kind: "Deployment".into(),
            name: name.into(),
        };
    }
    if shown.contains('.') {
        return Peer::Name(shown.into());
    }
    Peer::Entity(shown.into())
}

/// A connection of which nothing is said.
pub(crate) fn connection(protocol: Protocol, port: u16, time: i64) -> Connection {
    let address = |last| Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
    Connection {
        tuple: Tuple {
            protocol,
            client: address(1),
            client_port: 40_000,
            server: address(2),
            server_port: port,
        },
        edge: Edge {
            client: PeerId(2),
            server: PeerId(3),
            port,
            protocol,
        },
        first: time,
        last: time,
        opening: Opening::Seen,
        outcome: Outcome::Forwarded,
        answered: true,
        oriented: true,
        attempts: 1,
        weight: 1,
        rows: 1,
        busy: 1,
        reset: false,
        refused: false,
        closed: false,
        encrypted: false,
        plain: false,
        egress: Side::default(),
        ingress: Side::default(),
        service: Arc::default(),
        reference: ("c/n".into(), time, u64::from(port)),
        exchanges: 0,
        alone: false,
    }
}
