//! D12: DNS that goes round the cluster's own resolver.
//!
//! A rule: `p` is 1e-5 by decree for a new edge to port 53 or 853 outside the cluster, to a
//! workload that is no resolver of the cluster, or to a known resolver of DNS over HTTPS.
//!
//! Resolvers themselves ask outside and are not looked at: workloads that answer on port 53,
//! or are called as resolvers are. A new resolver of the cluster is called by many at once,
//! which is no surprise. Cannot see DNS over HTTPS to a resolver that is on no list.

use super::gate::{self, NewEdges, Said};
use super::novel::Told;
use super::{Blindness, Detector, Kind, Observation, Scene, places, words};
use crate::baseline::{Group, Tick};
use crate::connection::{Peer, PeerId};

/// By decree.
const P: f64 = 1e-5;
/// Ports of DNS, and of DNS over TLS.
const DNS: [u16; 2] = [53, 853];

/// How DNS goes round the cluster's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Https,
    Tls,
    Plain,
}

/// Detects DNS past the cluster's resolver. Holds what it has told: see [`Told`].
#[derive(Debug, Default)]
pub struct ResolverBypass {
    told: Told,
}

impl Detector for ResolverBypass {
    fn kind(&self) -> Kind {
        Kind::ResolverBypass
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        if !gate::is_watched_for_a_day(scene) {
            return;
        }
        let edges = NewEdges::of(tick, scene, |group| way(group, scene));
        let told = &mut self.told;
        edges.tell(Kind::ResolverBypass, told, scene, out, |who, place, account, way| {
            let (_, key, port, protocol) = *place;
            let how = match way {
                Way::Https => "over HTTPS",
                Way::Tls => "over TLS",
                Way::Plain => "in the clear",
            };
            Said {
                decreed: P,
                did: format!(
                    "{who} sends DNS {how} to {} instead of the cluster's resolver, {} so far",
                    words::place(scene.peers, key, Some((port, protocol))),
                    words::count(account.count, "connection", "connections"),
                ),
                normal: format!(
                    "if {who} is a resolver or checks one, approve the edge; else allow port 53 \
                     to the cluster's resolver only"
                ),
            }
        });
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        if gate::is_watched_for_a_day(scene) {
            // Ports are seen anyway: only names of DNS over HTTPS are missed.
            return gate::no_dns(Kind::ResolverBypass, scene).map(|blind| Blindness {
                why: format!(
                    "{}: DNS over HTTPS there is seen by address only",
                    blind.why
                ),
                share: blind.share / 3.0,
                ..blind
            });
        }
        Some(gate::young(Kind::ResolverBypass))
    }

    fn held(&self) -> usize {
        self.told.held()
    }
}

fn way(group: &Group, scene: &Scene<'_>) -> Option<Way> {
    if is_resolver(group.client, scene) {
        return None;
    }
    if DNS.contains(&group.port) {
        let way = if group.port == 853 {
            Way::Tls
        } else {
            Way::Plain
        };
        return match scene.peers.get(group.key) {
            // NodeLocal DNS listens on the node, at a link-local address.
            Peer::Prefix(prefix) if is_link_local(prefix) => None,
            Peer::Name(_) | Peer::Prefix(_) => Some(way),
            Peer::Workload { .. } if !is_resolver(group.key, scene) => Some(way),
            _ => None,
        };
    }
    (group.port == 443 && places::doh(group, scene.peers)).then_some(Way::Https)
}

fn is_link_local(prefix: &ipnet::IpNet) -> bool {
    match prefix.addr() {
        std::net::IpAddr::V4(address) => address.is_link_local(),
        std::net::IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether a workload is a resolver: it is called like one, or answers on port 53.
fn is_resolver(id: PeerId, scene: &Scene<'_>) -> bool {
    let Peer::Workload { name, .. } = scene.peers.get(id) else {
        return false;
    };
    let called = name.contains("dns") || name.contains("unbound") || name.contains("resolver");
    let answers = scene.model.listeners(id).iter().any(|one| one.port == 53);
    called || answers
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;
    use crate::baseline::Fate;

    fn stage() -> Stage {
        let mut stage = Stage::default();
        stage.learn("shop/web", &["kube-system/coredns:53", "shop/pay:443"], 9);
        stage.learn("ops/check", &["192.0.2.53:53"], 9);
        stage
    }

    #[test]
    fn dns_past_the_cluster_is_told_in_all_its_ways() {
        let mut stage = stage();
        let seen = stage.observe(
            &mut ResolverBypass::default(),
            &[
                ("shop/web", "198.51.100.53", 53, Fate::Denied),
                ("shop/web", "198.51.100.53", 853, Fate::Answered),
                ("shop/web", "dns.google", 443, Fate::Answered),
                ("shop/web", "1.1.1.1", 443, Fate::Answered),
                ("shop/web", "evil/helper", 53, Fate::Answered),
            ],
        );
        assert_eq!(seen.len(), 5, "{seen:?}");
        assert!(seen.iter().all(|one| (one.p - P).abs() < 1e-12));
        assert!(seen[0].evidence[0].contains("instead of the cluster's resolver"));
    }

    #[test]
    fn resolvers_node_local_dns_and_known_edges_are_quiet() {
        let mut stage = stage();
        let seen = stage.observe(
            &mut ResolverBypass::default(),
            &[
                ("shop/web", "kube-system/coredns", 53, Fate::Answered),
                ("shop/web", "169.254.20.10", 53, Fate::Answered),
                ("kube-system/coredns", "8.8.8.8", 53, Fate::Answered),
                ("ops/check", "192.0.2.53", 53, Fate::Answered),
                ("host", "8.8.8.8", 53, Fate::Answered),
                ("shop/web", "api.example.com", 443, Fate::Answered),
            ],
        );
        assert!(seen.is_empty(), "{seen:?}");
    }

    #[test]
    fn a_new_resolver_of_all_is_little_surprise() {
        let mut stage = stage();
        let calls = ["a/a", "a/b", "a/c", "a/d", "a/e"]
            .map(|name| (name, "infra/forwarder", 53, Fate::Answered));
        let seen = stage.observe(&mut ResolverBypass::default(), &calls);
        assert!(seen.iter().all(|one| one.p >= 1e-3));
    }
}
