//! D17: a workload reaches a pool of miners.
//!
//! A rule: `p` is 1e-6 by decree for a name of a mining pool, asked for or called, and 1e-4
//! for a port that pools listen on and little else does, outside the cluster and new to the
//! workload. Names beat ports: a pool on 443 is seen by its name only, so where DNS is not
//! visible and flows carry no names, this sees ports alone.
//!
//! Lists age; [`super::listed`] takes others' lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gate::{self, NewEdges, Said};
use super::novel::{Asked, Told};
use super::{Blindness, Detector, Kind, Observation, Passed, Scene, places, words};
use crate::baseline::Tick;
use crate::connection::{Peer, PeerId};
use crate::flow::Protocol;

/// By decree, for a name.
const P_NAME: f64 = 1e-6;
/// By decree, for a port.
const P_PORT: f64 = 1e-4;

/// Detects calls of mining pools. Holds what it has told: see [`Told`] and
/// [`Asked`].
#[derive(Debug, Default)]
pub struct Mining {
    told: Told,
    asked: Asked,
}

/// Why an edge is told; a name says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    Port,
    Name,
}

impl Detector for Mining {
    fn kind(&self) -> Kind {
        Kind::Mining
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        self.connections(tick, scene, out);
        self.questions(tick, scene, out);
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        gate::no_dns(Kind::Mining, scene)
    }

    fn held(&self) -> usize {
        self.told.held() + self.asked.held()
    }
}

impl Mining {
    fn connections(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let edges = NewEdges::of(tick, scene, |group| {
            let named = matches!(scene.peers.get(group.server), Peer::Name(name) if places::mining_name(name));
            if named {
                return Some(Sign::Name);
            }
            let port = group.protocol == Protocol::Tcp
                && gate::is_outside(group.key, scene)
                && places::mining_port(group.port);
            port.then_some(Sign::Port)
        });
        edges.tell(
            Kind::Mining,
            &mut self.told,
            scene,
            out,
            |who, place, account, sign| {
                let (_, key, port, protocol) = *place;
                let (decreed, why) = match sign {
                    Sign::Name => (P_NAME, "a name of mining pools"),
                    Sign::Port => (P_PORT, "a port of mining pools"),
                };
                Said {
                    decreed,
                    did: format!(
                        "{who} called {} {}: {why}",
                        words::place(scene.peers, key, Some((port, protocol))),
                        words::count(account.count, "time", "times"),
                    ),
                    normal: format!(
                        "if {who} has business with this destination, approve the edge"
                    ),
                }
            },
        );
    }

    /// Names of pools that were asked for, whatever the answer was.
    fn questions(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let mut asked: BTreeMap<(PeerId, &Arc<str>), (u64, i64)> = BTreeMap::new();
        for group in &tick.dns {
            if gate::is_workload(group.client, scene) && places::mining_name(&group.query) {
                let (count, first) = asked
                    .entry((group.client, &group.query))
                    .or_insert((0, group.first));
                *count += group.count;
                *first = (*first).min(group.first);
            }
        }
        for ((client, name), (count, first)) in asked {
            let known = scene
                .model
                .workload(client)
                .is_some_and(|workload| workload.names.keys().any(|known| is_of(known, name)));
            // The destination of the story is told by its name; without a number of a peer
            // the name is in the key.
            if known || !self.asked.tells(client, name, first) {
                continue;
            }
            let who = words::who(scene.peers, client);
            out.push(Observation {
                kind: Kind::Mining,
                subject: client,
                peer: None,
                port: None,
                from: first,
                to: first,
                p: P_NAME,
                fixed: true,
                observed: count as f64,
                expected: 0.0,
                n: count,
                evidence: vec![format!(
                    "{who} asked DNS {} for {name}: a name of mining pools.",
                    words::count(count, "time", "times")
                )],
                normal: format!("if {who} has business with {name}, accept the finding"),
                samples: Vec::new(),
                passed: Passed::Allowed,
                gap: false,
                policies: Vec::new(),
                rules: Vec::new(),
                key: name.to_string(),
            });
        }
    }
}

/// Whether a registered domain that is known is that of a name.
fn is_of(known: &str, name: &str) -> bool {
    name.strip_suffix(known)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;
    use crate::baseline::Fate;

    fn stage() -> Stage {
        let mut stage = Stage::default();
        stage.learn("shop/web", &["shop/pay:443", "198.51.100.9:9999"], 9);
        stage
    }

    #[test]
    fn names_say_more_than_ports() {
        let mut stage = stage();
        let seen = stage.observe(
            &mut Mining::default(),
            &[
                ("shop/web", "pool.supportxmr.com", 443, Fate::Answered),
                ("shop/web", "203.0.113.9", 3333, Fate::Answered),
            ],
        );
        let p: Vec<f64> = seen.iter().map(|one| one.p).collect();
        assert!(p.contains(&P_NAME) && p.contains(&P_PORT), "{seen:?}");
        assert!(
            seen.iter()
                .any(|one| one.evidence[0].contains("a name of mining pools"))
        );
    }

    #[test]
    fn known_edges_the_cluster_itself_and_common_ports_are_quiet() {
        let mut stage = stage();
        let seen = stage.observe(
            &mut Mining::default(),
            &[
                ("shop/web", "198.51.100.9", 9999, Fate::Answered),
                ("shop/web", "data/queue", 5555, Fate::Answered),
                ("shop/web", "203.0.113.9", 8080, Fate::Answered),
                ("shop/web", "poolparty.example.com", 443, Fate::Answered),
            ],
        );
        assert!(seen.is_empty(), "{seen:?}");
    }

    #[test]
    fn a_question_alone_is_told() {
        let mut stage = stage();
        let client = stage.scenery.peer("shop/web");
        let server = stage.scenery.peer("kube-system/coredns");
        let tick = Tick {
            start: stage.now,
            dns: vec![crate::baseline::DnsGroup {
                client,
                server,
                port: 53,
                query: "xmr-eu.nanopool.org".into(),
                raw: true,
                registered: "nanopool.org".into(),
                types: "A".into(),
                code: 3,
                answered: true,
                count: 2,
                first: stage.now,
            }],
            ..Tick::default()
        };
        let seen = stage.play(&mut Mining::default(), &tick);
        assert_eq!(
            seen[0].evidence,
            [
                "shop/web (Deployment) asked DNS 2 times for xmr-eu.nanopool.org: a name of mining \
              pools."
            ]
        );
    }

    #[test]
    fn without_dns_it_says_so() {
        let mut stage = stage();
        let mut detector = Mining::default();
        stage.observe(
            &mut detector,
            &[("shop/web", "shop/pay", 443, Fate::Answered)],
        );
        let blind = stage.blind(&detector).unwrap();
        assert_eq!(blind.why, "DNS is not visible for 1 of 1 workload");
    }
}
