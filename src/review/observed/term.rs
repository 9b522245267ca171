//! Peers as rules name them.
//!
//! Owns the way from who was seen to labels, entities, names and prefixes, with what was seen
//! of each. How addresses become prefixes is here too: one by one while they are few, their
//! network where many of it were seen. What a rule looks like is `rule`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::evidence::Evidence;
use super::learn::Use;
use super::request::Requests;
use super::roster::{Directory, key_of};
use super::rule::PortKey;
use super::selector::{Selector, choose};
use crate::baseline::registered;
use crate::connection::Peer;
use crate::flow::counted;
use crate::policy::Direction;

/// Addresses of one network from which on the network is named.
const MANY: usize = 8;
/// Prefixes of one set of ports from which on nobody would keep the list.
const MOST_PREFIXES: usize = 64;
/// Names below one domain from which on the domain is named.
const MOST_NAMES: usize = 20;
/// Addresses of the metadata service of clouds.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// Pods by their labels.
    Pods {
        /// Namespace; every rule but those about its own namespace names it.
        namespace: Arc<str>,
        /// Cluster, where it is another one.
        cluster: Option<Arc<str>>,
        /// Labels; empty for the whole namespace.
        selector: Selector,
    },
    /// An entity of Cilium.
    Entity(Arc<str>),
    /// A DNS name; with a `*` a pattern.
    Name(Arc<str>),
    /// Addresses outside.
    Prefix(IpNet),
}

impl Term {
    /// Peers of one kind stand in one rule, pods first.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Pods { .. } => 0,
            Self::Entity(_) => 1,
            Self::Name(_) => 2,
            Self::Prefix(_) => 3,
        }
    }
}

/// Where the policy is that a rule is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// Its namespace; `None` for a cluster-wide policy.
    pub namespace: Option<Arc<str>>,
}

/// A peer and what it needs.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// By port and protocol.
    pub ports: BTreeMap<PortKey, Port>,
    /// What a reader should know.
    pub notes: BTreeSet<String>,
}

/// A port of a peer.
#[derive(Clone, Debug, Default)]
pub struct Port {
    /// What was seen.
    pub evidence: Evidence,
    /// Requests of HTTP.
    pub requests: Requests,
}

/// Peers with what each needs.
pub type Terms = BTreeMap<Term, Wanted>;

/// How peers become terms.
#[derive(Clone, Debug)]
pub struct Naming<'a> {
    /// Everybody.
    pub directory: &'a Directory,
    /// Where the rules are.
    pub home: Home,
    /// Whether a pod's own node reaches it whatever rules say.
    pub lets_host_in: bool,
}

impl Naming<'_> {
    /// The peers of uses in one direction: the clients of ingress, the servers of egress.
    #[must_use]
    pub fn terms<'a>(&self, uses: impl Iterator<Item = &'a Use>, direction: Direction) -> Terms {
        let mut terms = Terms::new();
        let mut outside: BTreeMap<PortKey, Outside> = BTreeMap::new();
        let mut pods: BTreeMap<&Peer, Option<(Term, Option<String>)>> = BTreeMap::new();
        for one in uses {
            let peer = match direction {
                Direction::Ingress => &one.client,
                Direction::Egress => &one.server,
            };
            let port = (one.port, one.protocol);
            match peer {
                Peer::Workload { .. } => {
                    let named = pods.entry(peer).or_insert_with(|| self.pods(peer));
                    if let Some((term, note)) = named {
                        let wanted = terms.entry(term.clone()).or_default();
                        wanted.take(port, one);
                        wanted.notes.extend(note.clone());
                    }
                }
                Peer::Entity(name) if &**name == "world" => {
                    let addresses = match direction {
                        Direction::Ingress => &one.evidence.clients,
                        Direction::Egress => &one.evidence.servers,
                    };
                    outside.entry(port).or_default().world(one, addresses);
                }
                Peer::Entity(name)
                    if &**name == "host"
                        && self.lets_host_in
                        && direction == Direction::Ingress => {}
                Peer::Entity(name) => terms
                    .entry(Term::Entity(name.clone()))
                    .or_default()
                    .take(port, one),
                Peer::Name(name) => {
                    let outside = outside.entry(port).or_default();
                    outside.names.entry(name.clone()).or_default().push(one);
                }
                Peer::Prefix(prefix) => {
                    outside.entry(port).or_default().prefix(one, *prefix);
                }
                Peer::Unknown | Peer::Others => {}
            }
        }
        for (port, outside) in outside {
            outside.terms(port, &mut terms);
        }
        terms
    }

    /// A workload by its labels, with what there is to say of them.
    fn pods(&self, peer: &Peer) -> Option<(Term, Option<String>)> {
        let key = key_of(peer)?;
        let (cluster, namespace, name) = &key;
        let other =
            (!cluster.is_empty() && !self.home.cluster.is_empty() && *cluster != self.home.cluster)
                .then(|| cluster.clone());
        let term = |selector| Term::Pods {
            namespace: namespace.clone(),
            cluster: other.clone(),
            selector,
        };
        let chosen = choose(self.directory, &key).unwrap_or_default();
        if chosen.selector.labels.is_empty() {
            let note =
                format!("{namespace}/{name} has no label that lasts: this is its whole namespace");
            return Some((term(Selector::default()), Some(note)));
        }
        let also = chosen.also.iter();
        let also: Vec<String> = also
            .map(|(_, namespace, name)| format!("{namespace}/{name}"))
            .collect();
        let note =
            (!also.is_empty()).then(|| format!("these labels select {} too", also.join(", ")));
        Some((term(chosen.selector), note))
    }
}

impl Wanted {
    fn take(&mut self, port: PortKey, one: &Use) {
        let known = self.ports.entry(port).or_default();
        known.evidence.merge(&one.evidence);
        known.requests.merge(&one.requests);
    }

    /// Everything that was seen of it.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let mut all = Evidence::default();
        for port in self.ports.values() {
            all.merge(&port.evidence);
        }
        all
    }
}

/// What is outside, of one port.
#[derive(Debug, Default)]
struct Outside<'a> {
    names: BTreeMap<Arc<str>, Vec<&'a Use>>,
    /// Addresses and networks without a name.
    prefixes: BTreeMap<IpNet, Vec<&'a Use>>,
    /// Clients that anybody may be.
    public: Vec<&'a Use>,
}

impl<'a> Outside<'a> {
    /// Somebody of the world: where all of their addresses are private, these are named.
    fn world(&mut self, one: &'a Use, addresses: &BTreeSet<IpAddr>) {
        let private = !one.evidence.more
            && !addresses.is_empty()
            && addresses.iter().all(|address| is_private(*address));
        if !private {
            self.public.push(one);
            return;
        }
        for address in addresses {
            self.prefixes
                .entry(IpNet::from(*address))
                .or_default()
                .push(one);
        }
    }

    /// A network that policies know is named by the addresses that were called in it.
    fn prefix(&mut self, one: &'a Use, prefix: IpNet) {
        let addresses = &one.evidence.servers;
        if prefix.prefix_len() == prefix.max_prefix_len()
            || one.evidence.more
            || addresses.is_empty()
        {
            self.prefixes.entry(prefix).or_default().push(one);
            return;
        }
        for address in addresses {
            self.prefixes
                .entry(IpNet::from(*address))
                .or_default()
                .push(one);
        }
    }

    fn terms(self, port: PortKey, terms: &mut Terms) {
        for one in &self.public {
            let wanted = terms.entry(Term::Entity("world".into())).or_default();
            wanted.take(port, one);
        }
        self.named(port, terms);
        let networks = networks(self.prefixes.keys().copied());
        if networks.len() > MOST_PREFIXES {
            let wanted = terms.entry(Term::Entity("world".into())).or_default();
            for one in self.prefixes.values().flatten() {
                wanted.take(port, one);
            }
            wanted.notes.insert(format!(
                "broad: {} without a DNS name; look-ups through the DNS proxy would show names",
                counted(self.prefixes.len() as u64, "address", "addresses")
            ));
            return;
        }
        for (network, members) in networks {
            let wanted = terms.entry(Term::Prefix(network)).or_default();
            let mut taken: Vec<&Use> = Vec::new();
            for one in members
                .iter()
                .filter_map(|net| self.prefixes.get(net))
                .flatten()
            {
                // One use may have several addresses of a network.
                if !taken.iter().any(|known| std::ptr::eq(*known, *one)) {
                    taken.push(one);
                    wanted.take(port, one);
                }
            }
            if members.len() > 1 {
                wanted.notes.insert(format!(
                    "{} seen in this network",
                    counted(members.len() as u64, "address", "addresses")
                ));
            }
            if is_metadata(network.addr()) {
                wanted.notes.insert(
                    "the metadata service of the cloud gives credentials: is this meant?"
                        .to_owned(),
                );
            }
        }
    }

    /// Names one by one; where very many are below one domain, all of it.
    fn named(&self, port: PortKey, terms: &mut Terms) {
        let mut domains: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.names.keys() {
            *domains.entry(registered(name)).or_default() += 1;
        }
        for (name, uses) in &self.names {
            let domain = registered(name);
            let many = domains.get(domain).copied().unwrap_or_default();
            let wide = many > MOST_NAMES && &**name != domain;
            let term = if wide {
                Term::Name(format!("**.{domain}").into())
            } else {
                Term::Name(name.clone())
            };
            let wanted = terms.entry(term).or_default();
            for one in uses {
                wanted.take(port, one);
            }
            if wide {
                wanted.notes.insert(format!(
                    "{} of it were used",
                    counted(many as u64, "name", "names")
                ));
            }
        }
    }
}

/// Prefixes that cover addresses, each with those it stands for: a network where many of it
/// are there, else each by itself.
fn networks(addresses: impl Iterator<Item = IpNet>) -> Vec<(IpNet, Vec<IpNet>)> {
    let mut by_network: BTreeMap<IpNet, Vec<IpNet>> = BTreeMap::new();
    for address in addresses {
        let length = match address {
            IpNet::V4(_) => 24,
            IpNet::V6(_) => 64,
        };
        let network = IpNet::new(address.addr(), length.min(address.prefix_len()))
            .map_or(address, |network| network.trunc());
        by_network.entry(network).or_default().push(address);
    }
    let mut networks = Vec::new();
    for (network, members) in by_network {
        if members.len() >= MANY {
            networks.push((network, members));
        } else {
            networks.extend(members.into_iter().map(|one| (one, vec![one])));
        }
    }
    networks
}

/// Addresses that nobody on the internet has.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private()
                || address.is_link_local()
                || address.octets()[0] == 100 && (64..128).contains(&address.octets()[1])
        }
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// Whether clouds give credentials to whoever asks at an address.
#[must_use]
pub fn is_metadata(address: IpAddr) -> bool {
    METADATA.contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Protocol;

    fn used(server: Peer, port: u16, address: [u8; 4]) -> Use {
        let mut evidence = Evidence::default();
        evidence.add(1, 0, 0);
        evidence.ends(None, Some(address.into()));
        Use {
            client: Peer::Unknown,
            server,
            port,
            protocol: Protocol::Tcp,
            evidence,
            requests: Requests::default(),
        }
    }

    fn address(last: [u8; 4]) -> Use {
        let net = IpNet::from(IpAddr::from(last));
        used(Peer::Prefix(net), 443, last)
    }

    fn shown(uses: &[Use], direction: Direction) -> Vec<String> {
        let directory = Directory::with(&[("shop", "web", &[("app", "web")])]);
        let naming = Naming {
            directory: &directory,
            home: Home {
                cluster: "c".into(),
                namespace: Some("shop".into()),
            },
            lets_host_in: true,
        };
        let terms = naming.terms(uses.iter(), direction);
        terms
            .iter()
            .map(|(term, wanted)| {
                let term = match term {
                    Term::Pods {
                        namespace,
                        selector,
                        ..
                    } => format!("{namespace} {:?}", selector.labels),
                    Term::Entity(name) | Term::Name(name) => name.to_string(),
                    Term::Prefix(prefix) => prefix.to_string(),
                };
                let count = wanted.evidence().count;
                format!("{term} {count}")
            })
            .collect()
    }

    #[test]
    fn few_addresses_stay_what_they_are_and_many_are_their_network() {
        let few: Vec<Use> = (1..4).map(|at| address([198, 51, 100, at])).collect();
        assert_eq!(shown(&few, Direction::Egress).len(), 3);
        let many: Vec<Use> = (1..20).map(|at| address([198, 51, 100, at])).collect();
        assert_eq!(
            shown(&many, Direction::Egress),
            ["198.51.100.0/24 19".to_owned()]
        );
        let far: Vec<Use> = (1..90).map(|at| address([198, at, 100, 1])).collect();
        assert_eq!(shown(&far, Direction::Egress), ["world 89".to_owned()]);
    }

    #[test]
    fn many_names_of_a_domain_are_its_pattern() {
        let name = |name: String| used(Peer::Name(name.as_str().into()), 443, [192, 0, 2, 1]);
        let mut uses: Vec<Use> = (0..30)
            .map(|at| name(format!("b{at}.store.example")))
            .collect();
        uses.push(name("api.mail.example".to_owned()));
        assert_eq!(
            shown(&uses, Direction::Egress),
            ["**.store.example 30", "api.mail.example 1"].map(str::to_owned)
        );
    }

    #[test]
    fn a_pod_of_no_lasting_label_is_its_namespace() {
        let peer = Peer::Workload {
            cluster: "c".into(),
            namespace: "bare".into(),
            kind: "".into(),
            name: "x".into(),
        };
        let uses = [used(peer, 80, [10, 0, 0, 1])];
        assert_eq!(shown(&uses, Direction::Egress), ["bare [] 1".to_owned()]);
    }
}
