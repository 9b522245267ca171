//! By which name a baseline knows a destination.
//!
//! Owns the detection's own numbers of peers and how a peer of flows becomes one: an address
//! outside its /24 or /48, a name its registered domain, a workload the one that stood
//! behind the same Service before it, of which it is another release. What flows call a peer
//! is `connection`'s.
//!
//! Bounded: 524,288 peers, of which one client may bring [`MOST_NEW`] that are outside
//! a day; what is beyond is [`Peer::Others`]. So a scan cannot fill the table.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::domain::registered;
use super::tick::DAY;
use crate::connection::{Peer, PeerId, Peers};

/// Peers that are told apart.
pub(super) const MOST_PEERS: usize = 1 << 19;
/// Peers outside the cluster that one client may bring in a day.
pub const MOST_NEW: u32 = 1 << 12;
/// Services of which it is known what stands behind them.
const MOST_SERVICES: usize = 1 << 16;

/// A destination under both of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// As flows name it.
    pub server: PeerId,
    /// As a baseline knows it.
    pub key: PeerId,
}

/// Cluster, namespace and name.
type WorkloadPlace = (Arc<str>, Arc<str>, Arc<str>);

/// Numbers of peers and what they are called.
#[derive(Debug)]
pub struct Names {
    peers: Peers,
    /// By the fold's number: the destination, once it is known.
    known: Vec<Option<Destination>>,
    /// By own number: the key.
    keys: HashMap<PeerId, PeerId, RandomState>,
    /// Workloads by cluster, namespace and name: flows do not always say the kind.
    workloads: HashMap<WorkloadPlace, PeerId, RandomState>,
    /// What stands behind a Service, by its name.
    services: HashMap<Arc<str>, PeerId, RandomState>,
    /// Workloads that stand behind a Service of their own.
    fronted: HashSet<PeerId, RandomState>,
    /// Workloads that are another release of one that is known.
    aliases: HashMap<PeerId, PeerId, RandomState>,
    /// Peers that a client has brought, and on which day.
    brought: HashMap<PeerId, (i64, u32), RandomState>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            peers: Peers::new(MOST_PEERS),
            known: Vec::new(),
            keys: HashMap::default(),
            workloads: HashMap::default(),
            services: HashMap::default(),
            fronted: HashSet::default(),
            aliases: HashMap::default(),
            brought: HashMap::default(),
        }
    }
}

impl Names {
    /// The names of the numbers.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The number of a peer, as a baseline file names it.
    pub fn intern(&mut self, peer: Peer) -> PeerId {
        self.number(peer)
    }

    /// Says that the fold's numbers mean something else from now on.
    pub fn forget_numbers(&mut self) {
        self.known.clear();
    }

    /// The client of a connection.
    pub(super) fn client(&mut self, id: PeerId, of: &Peers) -> PeerId {
        let at = id.0 as usize;
        if let Some(Some(known)) = self.known.get(at) {
            return self.alias(known.server);
        }
        let server = self.number(of.get(id).clone());
        let key = self.key(server);
        self.note(at, Destination { server, key });
        self.alias(server)
    }

    /// The server of a connection. `service` is what was called, empty where that is not
    /// known.
    pub(super) fn server(
        &mut self,
        id: PeerId,
        of: &Peers,
        client: PeerId,
        service: &Arc<str>,
        time: i64,
    ) -> Destination {
        let at = id.0 as usize;
        if let Some(Some(known)) = self.known.get(at) {
            let known = *known;
            return self.behind(known, service);
        }
        let peer = of.get(id);
        let outside = matches!(peer, Peer::Name(_) | Peer::Prefix(_));
        if outside && self.peers.find(peer).is_none() && !self.may_bring(client, time) {
            // Another client may still bring it.
            return Destination {
                server: PeerId::OTHERS,
                key: PeerId::OTHERS,
            };
        }
        let server = self.number(peer.clone());
        let key = self.key(server);
        let found = Destination { server, key };
        self.note(at, found);
        self.behind(found, service)
    }

    /// What a workload was called before, itself where it was not renamed.
    fn alias(&self, id: PeerId) -> PeerId {
        self.aliases.get(&id).copied().unwrap_or(id)
    }

    /// A workload that takes connections of a Service behind which another one of its
    /// namespace stood is another release of that.
    fn behind(&mut self, found: Destination, service: &Arc<str>) -> Destination {
        let key = self.alias(found.key);
        if service.is_empty() {
            return Destination { key, ..found };
        }
        let Peer::Workload { namespace, .. } = self.peers.get(found.key) else {
            return Destination { key, ..found };
        };
        match self.services.get(service) {
            Some(&before) if before == key => {}
            Some(&before) => {
                let same = match self.peers.get(before) {
                    Peer::Workload {
                        namespace: other, ..
                    } => other == namespace,
                    _ => false,
                };
                // One that was known before under its own name stays what it is.
                if same && key == found.key && !self.fronted.contains(&key) {
                    self.aliases.insert(found.key, before);
                    return Destination {
                        key: before,
                        ..found
                    };
                }
            }
            None if self.services.len() < MOST_SERVICES => {
                self.services.insert(service.clone(), key);
                self.fronted.insert(key);
            }
            None => {}
        }
        Destination { key, ..found }
    }

    fn may_bring(&mut self, client: PeerId, time: i64) -> bool {
        let day = time.div_euclid(DAY);
        if self.brought.len() > MOST_SERVICES {
            self.brought.retain(|_, (known, _)| *known == day);
        }
        let brought = self.brought.entry(client).or_insert((day, 0));
        if brought.0 != day {
            *brought = (day, 0);
        }
        brought.1 += 1;
        brought.1 <= MOST_NEW
    }

    fn note(&mut self, at: usize, found: Destination) {
        if self.known.len() <= at {
            self.known.resize(at + 1, None);
        }
        self.known[at] = Some(found);
    }

    fn number(&mut self, peer: Peer) -> PeerId {
        let Peer::Workload {
            cluster,
            namespace,
            kind,
            name,
        } = &peer
        else {
            return self.peers.intern(peer);
        };
        let place = (cluster.clone(), namespace.clone(), name.clone());
        if let Some(&known) = self.workloads.get(&place) {
            let same = match self.peers.get(known) {
                Peer::Workload { kind: other, .. } => {
                    kind == other || kind.is_empty() || other.is_empty()
                }
                _ => false,
            };
            if same {
                return known;
            }
            return self.peers.intern(peer);
        }
        let id = self.peers.intern(peer);
        if id != PeerId::OTHERS {
            self.workloads.insert(place, id);
        }
        id
    }

    fn key(&mut self, server: PeerId) -> PeerId {
        if let Some(&key) = self.keys.get(&server) {
            return key;
        }
        let key = match key_of(self.peers.get(server)) {
            Some(peer) => self.number(peer),
            None => server,
        };
        if key != server {
            self.keys.insert(server, key);
        }
        key
    }
}

/// What a baseline knows a peer as, where that is something else.
fn key_of(peer: &Peer) -> Option<Peer> {
    match peer {
        Peer::Name(name) => {
            let domain = registered(name);
            (domain != &**name).then(|| Peer::Name(domain.into()))
        }
        Peer::Prefix(prefix) => {
            let most = match prefix {
                IpNet::V4(_) => 24,
                IpNet::V6(_) => 48,
            };
            let shorter = prefix.prefix_len() > most;
            let key = IpNet::new(prefix.addr(), most).ok()?.trunc();
            shorter.then_some(Peer::Prefix(key))
        }
        Peer::Workload {
            cluster,
            namespace,
            kind,
            name,
        } => {
            let template = preview(namespace)?;
            Some(Peer::Workload {
                cluster: cluster.clone(),
                namespace: template.into(),
                kind: kind.clone(),
                name: name.clone(),
            })
        }
        _ => None,
    }
}

/// Words that name a namespace that lives as long as a change is looked at.
const PREVIEWS: [&str; 4] = ["pr", "mr", "preview", "review"];

/// The template of a namespace made for one change: `preview-*` for `preview-1423`,
/// `shop-pr-*` for `shop-pr-7`.
fn preview(namespace: &str) -> Option<String> {
    let (rest, last) = namespace.rsplit_once('-')?;
    let id = last.len() <= 10
        && last.bytes().any(|byte| byte.is_ascii_digit())
        && last.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let word = rest.rsplit('-').next().unwrap_or(rest);
    (id && PREVIEWS.contains(&word)).then(|| format!("{rest}-*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(namespace: &str, kind: &str, name: &str) -> Peer {
        Peer::Workload {
            cluster: "c".into(),
            namespace: namespace.into(),
            kind: kind.into(),
            name: name.into(),
        }
    }

    fn prefix(text: &str) -> Peer {
        Peer::Prefix(text.parse().unwrap())
    }

    fn key(peer: Peer) -> String {
        let mut of = Peers::default();
        let id = of.intern(peer);
        let mut names = Names::default();
        let found = names.server(id, &of, PeerId(2), &"".into(), 0);
        names.peers().get(found.key).to_string()
    }

    #[test]
    fn a_destination_is_known_by_what_outlives_it() {
        for (peer, known) in [
            (prefix("192.0.2.7/32"), "192.0.2.0/24"),
            (prefix("192.0.0.0/16"), "192.0.0.0/16"),
            (prefix("2001:db8:1:2::3/128"), "2001:db8:1::/48"),
            (Peer::Name("a.b.example.co.uk".into()), "example.co.uk"),
            (Peer::Name("example.com".into()), "example.com"),
            (workload("shop", "Deployment", "cart"), "shop/cart"),
            (workload("pr-1423", "Deployment", "cart"), "pr-*/cart"),
            (workload("team-a", "Deployment", "cart"), "team-a/cart"),
            (Peer::Entity("kube-apiserver".into()), "kube-apiserver"),
        ] {
            assert_eq!(key(peer), known);
        }
    }

    #[test]
    fn a_pod_whose_owner_is_not_said_is_still_its_workload() {
        let mut names = Names::default();
        let told = names.intern(workload("shop", "Deployment", "cart"));
        assert_eq!(names.intern(workload("shop", "", "cart")), told);
        assert_ne!(names.intern(workload("shop", "DaemonSet", "cart")), told);
    }

    /// Scenario: a Service's pods are renamed, and another workload of its namespace has a
    /// Service of its own.
    /// Guarantees: the renamed one keeps its baseline, the other has its own.
    #[test]
    fn what_stands_behind_the_same_service_is_the_same() {
        let mut of = Peers::default();
        let ids = ["cart", "cart-v2", "pay"].map(|name| of.intern(workload("shop", "", name)));
        let mut names = Names::default();
        let client = PeerId(9);
        let mut call = |at: usize, service: &str| {
            let found = names.server(ids[at], &of, client, &service.into(), 0);
            names.peers().get(found.key).to_string()
        };
        assert_eq!(call(0, "shop/cart"), "shop/cart");
        assert_eq!(call(2, "shop/pay"), "shop/pay");
        assert_eq!(call(1, "shop/cart"), "shop/cart");
        assert_eq!(call(1, ""), "shop/cart");
        assert_eq!(call(2, "shop/cart"), "shop/pay");
        let renamed = names.client(ids[1], &of);
        assert_eq!(names.peers().get(renamed).to_string(), "shop/cart");
    }

    /// Scenario: one client calls more addresses than it may bring.
    /// Guarantees: it cannot fill the table, and others can still bring theirs.
    #[test]
    fn a_scan_does_not_fill_the_table() {
        let mut of = Peers::default();
        let mut names = Names::default();
        let mut call = |names: &mut Names, client: u32, third: u32, time: i64| {
            let address = std::net::Ipv4Addr::from(0xc000_0000 + (third << 8));
            let id = of.intern(Peer::Prefix(IpNet::from(std::net::IpAddr::from(address))));
            names.server(id, &of, PeerId(client), &"".into(), time).key
        };
        for at in 0..MOST_NEW + 100 {
            call(&mut names, 2, at, 0);
        }
        assert!(names.peers().len() <= 2 * MOST_NEW as usize + 2);
        let beyond = MOST_NEW + 50;
        assert_eq!(call(&mut names, 2, beyond, 0), PeerId::OTHERS);
        assert_ne!(call(&mut names, 3, beyond, 0), PeerId::OTHERS);
        assert_ne!(call(&mut names, 2, beyond, 0), PeerId::OTHERS);
        assert_ne!(call(&mut names, 2, beyond + 10, DAY), PeerId::OTHERS);
    }
}
