//! D2: a workload calls something outside the cluster that it never called.
//!
//! Null hypothesis as D1's, over registered domains and, where no name is known, prefixes of
//! /24 and /48. Where DNS of the workload can be seen, an address without a name that it
//! asked for is a tenth as probable: who knows an address by heart is no ordinary client.
//!
//! Sees that there were connections, not how much they carried: Hubble has no bytes. Names
//! are known where DNS passes the proxy of Cilium; else a service whose addresses change
//! looks new again and again, which makes its clients less surprising and this detector
//! blunter. It is told as blindness.

use super::calls::{Calls, calls};
use super::novel::{self, LEAST, Told, Trials};
use super::{Blindness, Detector, Kind, Observation, Scene, Tested, words};
use crate::baseline::Tick;
use crate::connection::Peer;

/// What an address without a name is worth, where there would be one.
const NAMELESS: f64 = 0.1;
/// Addresses that are no destinations of the world: link-local, such as metadata services,
/// which have detectors of their own, and multicast.
fn is_special(prefix: &ipnet::IpNet) -> bool {
    match prefix.addr() {
        std::net::IpAddr::V4(address) => {
            address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_loopback()
        }
        std::net::IpAddr::V6(address) => {
            address.is_multicast() || address.is_loopback() || address.is_unicast_link_local()
        }
    }
}

/// Detects new destinations outside.
#[derive(Debug, Default)]
pub struct NewName {
    told: Told,
    trials: Trials,
}

impl Detector for NewName {
    fn kind(&self) -> Kind {
        Kind::NewName
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        self.trials.begin(tick.start, scene);
        for one in calls(&tick.groups) {
            if let Some(observation) = self.judge(&one, scene) {
                out.push(observation);
            }
        }
    }

    fn tested(&mut self) -> Tested {
        self.trials.take()
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        let (all, visible) = scene.sight.dns_coverage(scene.now);
        let hidden = all - visible;
        if hidden == 0 {
            return super::new_edge::blind(Kind::NewName, scene);
        }
        Some(Blindness {
            kind: Kind::NewName,
            why: format!(
                "no DNS is visible for {} of {}: their destinations are known by address only",
                words::number(hidden as u64),
                words::count(all as u64, "workload", "workloads")
            ),
            share: hidden as f64 / all as f64,
        })
    }

    fn held(&self) -> usize {
        self.told.held() + self.trials.held()
    }
}

impl NewName {
    fn judge(&mut self, one: &Calls<'_>, scene: &Scene<'_>) -> Option<Observation> {
        let (client, key) = (one.client(), one.key());
        if client == key || one.is_trouble() || !novel::is_judged(scene, client) {
            return None;
        }
        let fresh = self.trials.count((client, key, Some(one.port())));
        let by_name = match scene.peers.get(key) {
            Peer::Name(_) => true,
            Peer::Prefix(prefix) if !is_special(prefix) => false,
            _ => return None,
        };
        if scene.model.knows(client, key) {
            return None;
        }
        let port = one.port();
        let novelty = scene.model.novelty(client, key, port.0, port.1);
        let mut p = novel::explained(novelty.p, novelty.new_share, client, scene);
        let dns = scene.sight.dns(client, scene.now);
        if !by_name && dns {
            p *= NAMELESS;
        }
        let tells = self.told.tells((client, key, None), one.from());
        // What is not learned is new again each day, and was surprising once.
        if fresh && tells {
            self.trials.note(p);
        }
        if p > LEAST || !tells {
            return None;
        }
        let place = words::place(scene.peers, one.first().server, Some(port));
        let mut observation = one.observation(Kind::NewName, p);
        observation.expected = novelty.new_share;
        let called = novel::called(one, &place, &novelty, scene);
        observation.evidence.push(called);
        observation.evidence.push(format!(
            "{} How much was carried is not known: flows have no bytes.",
            one.sentence()
        ));
        observation.evidence.push(
            match (by_name, dns) {
                (true, _) => "The name was resolved by DNS.",
                (false, true) => {
                    "No name of the address was seen, though the workload's DNS is visible."
                }
                (false, false) => {
                    "Whether the address was resolved is not known: the workload's DNS is not \
                     visible."
                }
            }
            .to_owned(),
        );
        observation.evidence.extend(novel::release(client, scene));
        observation.evidence.extend(novel::caution(client, scene));
        let known = words::place(scene.peers, key, Some(port));
        observation.normal = novel::normal(&scene.peers.get(client).to_string(), &known);
        Some(observation)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage as Play;
    use super::*;
    use crate::baseline::Fate;

    fn play() -> Play {
        let mut play = Play::default();
        let known = ["api.example.com:443", "example.org:443", "data/db:5432"];
        play.learn("shop/cart", &known, 14);
        play.learn("shop/web", &["example.org:443"], 14);
        play
    }

    /// Guarantees: by hand: 3 edges on 14 days are 42 trials, (1 + 0.5 * 3) / 43 for a new one;
    /// 2 of these 3 are outside, as one more is in (2 + 1) / (3 + 2) of cases; none of 2
    /// destinations is as rare: 1 / 3. An address is a tenth of that where there would be a
    /// name.
    #[test]
    fn a_new_domain_is_said_and_an_address_weighs_more_where_dns_is_seen() {
        let wanted: f64 = 2.5 / 43.0 * (2.6 / 4.0) / 3.0;
        let evil = ("shop/cart", "evil.example", 443, Fate::Answered);
        let mut play = play();
        // Above the threshold: two destinations are too few to be sure.
        assert!(wanted > LEAST);
        assert!(play.observe(&mut NewName::default(), &[evil]).is_empty());

        let address = ("shop/cart", "203.0.113.0/24", 443, Fate::Answered);
        let mut play = self::play();
        assert!(play.observe(&mut NewName::default(), &[address]).is_empty());
        let mut play = self::play();
        play.dns("shop/cart", "example.org");
        let seen = play.observe(&mut NewName::default(), &[address]);
        assert!((seen[0].p - wanted / 10.0).abs() < 1e-12, "{}", seen[0].p);
        assert!(seen[0].evidence[2].starts_with("No name of the address was seen"));
    }

    #[test]
    fn another_host_of_a_known_domain_is_not_new() {
        let mut play = play();
        play.dns("shop/cart", "example.org");
        let call = ("shop/cart", "example.com", 443, Fate::Answered);
        assert!(play.observe(&mut NewName::default(), &[call]).is_empty());
    }

    #[test]
    fn what_dns_does_not_show_is_said() {
        let mut play = play();
        let mut detector = NewName::default();
        let call = ("shop/cart", "data/db", 5432, Fate::Answered);
        play.observe(&mut detector, &[call]);
        let blind = play.blind(&detector).unwrap();
        assert!(
            blind
                .why
                .starts_with("no DNS is visible for 1 of 1 workload")
        );
        play.dns("shop/cart", "example.org");
        assert!(play.blind(&detector).is_none());
    }

    #[test]
    fn link_local_addresses_are_left_to_others() {
        let mut play = play();
        play.dns("shop/cart", "example.org");
        let call = ("shop/cart", "169.254.169.0/24", 80, Fate::Answered);
        assert!(play.observe(&mut NewName::default(), &[call]).is_empty());
    }
}
