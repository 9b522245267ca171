//! What flows of many batches call nodes, addresses, services and peers, by number.
//!
//! Owns the caches that make a row cost an index: the ids of a batch mean something within
//! one epoch of dictionaries only, numbers here mean the same all the time. A pod is
//! numbered apart from its workload, which a later flow may tell better: connections hold
//! the pod's number until they come out.
//!
//! Bounded: 16 epochs are remembered at a time, [`MOST_PODS`] pods, [`MOST_WORDS`] nodes and
//! as many services; the table of peers has its own bound.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::key::End;
use super::naming::{ADDRESS, DNS_NAME, Named, PREFIX, PodName, canonical_name, single};
use super::peer::{Peer, PeerId, Peers};
use crate::flow::{EndpointId, ListId, PairId, RowRef, StrId};

/// Pods whose workload may still become known.
const MOST_PODS: usize = 1 << 18;
/// Names of nodes, and of services, that are told apart.
const MOST_WORDS: usize = 1 << 17;
/// Epochs of dictionaries that are remembered: sources that are merged have one each.
const MOST_EPOCHS: usize = 16;

/// Who an end is: a peer, or a pod whose peer is looked up late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Party(u32);

/// Says that a [`Party`] is a pod.
const POD_BIT: u32 = 1 << 31;

impl Party {
    pub(super) const UNKNOWN: Self = Self(PeerId::UNKNOWN.0);

    fn peer(id: PeerId) -> Self {
        Self(id.0)
    }
}

/// An end of a row as text ids.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    pub(super) endpoint: EndpointId,
    pub(super) address: StrId,
    pub(super) names: ListId,
}

/// The caches.
#[derive(Debug)]
pub(super) struct Names {
    peers: Peers,
    pods: HashMap<PodName, u32, RandomState>,
    /// The peer a pod is, and whether Hubble said its owner.
    pod_peers: Vec<(PeerId, bool)>,
    world: PeerId,
    words: Words,
    services: Words,
    epochs: Vec<Epoch>,
}

/// What the ids of one epoch mean.
#[derive(Debug, Default)]
struct Epoch {
    number: u64,
    ends: Vec<Option<End>>,
    nodes: Vec<u32>,
    services: Vec<u32>,
    endpoints: Vec<Option<Known>>,
    /// The peer that the first of several names is.
    names: Vec<Option<PeerId>>,
    /// The peer that an address is.
    addresses: Vec<Option<PeerId>>,
}

/// What an endpoint is, numbered.
#[derive(Clone, Copy, Debug)]
enum Known {
    Party(Party, u8),
    /// Outside: the best its identity says.
    World(Option<PeerId>, u8),
}

impl Names {
    pub(super) fn new(peers: Peers) -> Self {
        let mut peers = peers;
        let world = peers.intern(Peer::Entity("world".into()));
        Self {
            peers,
            pods: HashMap::default(),
            pod_peers: Vec::new(),
            world,
            words: Words::default(),
            services: Words::default(),
            epochs: Vec::new(),
        }
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The peer of a party, as far as is known by now.
    pub(super) fn peer(&self, party: Party) -> PeerId {
        if party.0 & POD_BIT == 0 {
            return PeerId(party.0);
        }
        let at = (party.0 & !POD_BIT) as usize;
        self.pod_peers
            .get(at)
            .map_or(PeerId::OTHERS, |(peer, _)| *peer)
    }

    /// Makes the epoch of a row the first one, for the calls that follow.
    pub(super) fn enter(&mut self, row: RowRef<'_>) {
        let number = row.dictionaries().epoch();
        if self
            .epochs
            .first()
            .is_some_and(|epoch| epoch.number == number)
        {
            return;
        }
        if let Some(at) = self.epochs.iter().position(|epoch| epoch.number == number) {
            self.epochs.swap(0, at);
            return;
        }
        if self.epochs.len() >= MOST_EPOCHS {
            self.epochs.pop();
        }
        let epoch = Epoch {
            number,
            ..Epoch::default()
        };
        self.epochs.insert(0, epoch);
    }

    /// The number of the row's node; 0 for none.
    pub(super) fn node(&mut self, row: RowRef<'_>) -> u32 {
        let words = &mut self.words;
        let Some(epoch) = self.epochs.first_mut() else {
            return 0;
        };
        let slot = slot(&mut epoch.nodes, row.node().0, u32::MAX);
        if *slot == u32::MAX {
            *slot = words.number(row.str(row.node()));
        }
        *slot
    }

    /// The number of a service; 0 for none.
    pub(super) fn service(&mut self, row: RowRef<'_>, id: PairId) -> u32 {
        if id.0 == 0 {
            return 0;
        }
        let services = &mut self.services;
        let Some(epoch) = self.epochs.first_mut() else {
            return 0;
        };
        let slot = slot(&mut epoch.services, id.0, u32::MAX);
        if *slot == u32::MAX {
            *slot = match row.dictionaries().service(id) {
                Some(service) if service.name.is_empty() => 0,
                Some(service) if service.namespace.is_empty() => services.number(service.name),
                Some(service) => {
                    services.number(&format!("{}/{}", service.namespace, service.name))
                }
                None => 0,
            };
        }
        *slot
    }

    pub(super) fn node_name(&self, number: u32) -> Arc<str> {
        self.words.name(number)
    }

    pub(super) fn service_name(&self, number: u32) -> Arc<str> {
        self.services.name(number)
    }

    /// The end of a row without its port.
    pub(super) fn end(&mut self, row: RowRef<'_>, ids: Ids) -> End {
        let Some(epoch) = self.epochs.first_mut() else {
            return End::default();
        };
        let slot = slot(&mut epoch.ends, ids.address.0, None);
        let end = *slot.get_or_insert_with(|| {
            row.str(ids.address)
                .parse()
                .map(End::of_address)
                .unwrap_or_default()
        });
        if !end.is_nothing() {
            return end;
        }
        // Rows whose addresses were masked are few, and the endpoint's hash is cheap.
        row.dictionaries()
            .endpoint(ids.endpoint)
            .map(End::of_endpoint)
            .unwrap_or_default()
    }

    /// Who an end is as a client or as a server, and how much that says.
    pub(super) fn party(&mut self, row: RowRef<'_>, ids: Ids, is_server: bool) -> (Party, u8) {
        match self.known(row, ids.endpoint) {
            Known::Party(party, 0) if is_server => {
                // Not even that it is outside is said, but a name is.
                match self.dns_name(row, ids.names) {
                    Some(peer) => (Party::peer(peer), DNS_NAME),
                    None => (party, 0),
                }
            }
            Known::Party(party, rank) => (party, rank),
            Known::World(..) if !is_server => (Party::peer(self.world), ADDRESS),
            Known::World(own, rank) => {
                if let Some(peer) = self.dns_name(row, ids.names) {
                    (Party::peer(peer), DNS_NAME)
                } else if let Some(peer) = own {
                    (Party::peer(peer), rank)
                } else {
                    (Party::peer(self.address(row, ids.address)), ADDRESS)
                }
            }
        }
    }

    fn known(&mut self, row: RowRef<'_>, id: EndpointId) -> Known {
        const UNKNOWN: Known = Known::Party(Party::UNKNOWN, 0);
        let cached = self.epochs.first().and_then(|epoch| {
            let known = epoch.endpoints.get(id.0 as usize)?;
            *known
        });
        if let Some(known) = cached {
            return known;
        }
        let Some(endpoint) = row.dictionaries().endpoint(id) else {
            return UNKNOWN;
        };
        let named = Named::of(endpoint);
        let rank = named.rank();
        let known = match named {
            Named::Pod {
                pod,
                workload,
                told,
            } => Known::Party(self.pod(pod, workload, told), rank),
            Named::Entity(name) => {
                let peer = self.peers.intern(Peer::Entity(name.into()));
                Known::Party(Party::peer(peer), rank)
            }
            Named::World {
                name: Some(name), ..
            } => Known::World(Some(self.peers.intern(Peer::Name(name))), DNS_NAME),
            Named::World { name: None, prefix } => Known::World(
                prefix.map(|prefix| self.peers.intern(Peer::Prefix(prefix))),
                PREFIX,
            ),
            Named::Unknown => UNKNOWN,
        };
        if let Some(epoch) = self.epochs.first_mut() {
            *slot(&mut epoch.endpoints, id.0, None) = Some(known);
        }
        known
    }

    fn pod(&mut self, pod: Option<PodName>, workload: Peer, told: bool) -> Party {
        let Some(pod) = pod else {
            return Party::peer(self.peers.intern(workload));
        };
        if let Some(&at) = self.pods.get(&pod) {
            let known = &mut self.pod_peers[at as usize];
            if told && !known.1 {
                *known = (self.peers.intern(workload), true);
            }
            return Party(at | POD_BIT);
        }
        let peer = self.peers.intern(workload);
        if self.pods.len() >= MOST_PODS {
            return Party::peer(peer);
        }
        let at = self.pod_peers.len() as u32;
        self.pods.insert(pod, at);
        self.pod_peers.push((peer, told));
        Party(at | POD_BIT)
    }

    /// The first of the names that DNS gave, in the order of the alphabet.
    fn dns_name(&mut self, row: RowRef<'_>, id: ListId) -> Option<PeerId> {
        if id.0 == 0 {
            return None;
        }
        let peers = &mut self.peers;
        let epoch = self.epochs.first_mut()?;
        let slot = slot(&mut epoch.names, id.0, None);
        if slot.is_none() {
            let names = row.dictionaries().list(id).filter_map(canonical_name);
            *slot = names.min().map(|name| peers.intern(Peer::Name(name)));
        }
        *slot
    }

    fn address(&mut self, row: RowRef<'_>, id: StrId) -> PeerId {
        let peers = &mut self.peers;
        let Some(epoch) = self.epochs.first_mut() else {
            return PeerId::UNKNOWN;
        };
        let slot = slot(&mut epoch.addresses, id.0, None);
        *slot.get_or_insert_with(|| match row.str(id).parse::<IpAddr>() {
            Ok(address) => peers.intern(single(address.to_canonical())),
            Err(_) => PeerId::UNKNOWN,
        })
    }
}

/// The place of an id; tables grow to the ids that are asked for.
fn slot<T: Clone>(table: &mut Vec<T>, id: u32, empty: T) -> &mut T {
    let at = id as usize;
    if at >= table.len() {
        table.resize((at + 1).next_power_of_two(), empty);
    }
    &mut table[at]
}

/// Texts by number; 0 is the empty one, and what is beyond the bound.
#[derive(Debug, Default)]
struct Words {
    words: Vec<Arc<str>>,
    index: HashMap<Arc<str>, u32, RandomState>,
}

impl Words {
    fn number(&mut self, word: &str) -> u32 {
        if word.is_empty() {
            return 0;
        }
        if let Some(&number) = self.index.get(word) {
            return number;
        }
        if self.words.len() >= MOST_WORDS {
            return 0;
        }
        let word: Arc<str> = word.into();
        self.words.push(word.clone());
        let number = self.words.len() as u32;
        self.index.insert(word, number);
        number
    }

    fn name(&self, number: u32) -> Arc<str> {
        let at = (number as usize).checked_sub(1);
        at.and_then(|at| self.words.get(at).cloned())
            .unwrap_or_default()
    }
}
