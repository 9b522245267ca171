//! D3: a port of a known destination that a workload never called, and ports that a workload
//! begins to answer on.
//!
//! Null hypothesis: ports of a pair follow a Pitman–Yor process, as D1's destinations do, and
//! a port that others were seen to be answered on is drawn from all that the destination
//! listens on. For a listener the process is over the ports of the server.
//!
//! Sees TCP, UDP and SCTP. Cannot see a listener that nobody calls, nor one behind a port
//! that was there before. Ports above 32,767 that a workload opens for replies of its own are
//! not told from listeners where flows do not say who began: connections of uncertain
//! direction are left out.

use super::calls::{Calls, calls};
use super::novel::{self, LEAST, Told, Trials};
use super::{Blindness, Detector, Kind, Observation, Scene, Tested, words};
use crate::baseline::{DAY, Listener, Tick, new_share};
use crate::connection::{Peer, PeerId};
use crate::flow::Protocol;

/// A server is judged when it was seen to answer for so long.
const KNOWN: i64 = 7 * DAY;

/// Detects new ports.
#[derive(Debug, Default)]
pub struct NewPort {
    calls: Told,
    listeners: Told,
    trials: Trials,
}

impl Detector for NewPort {
    fn kind(&self) -> Kind {
        Kind::NewPort
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        self.trials.begin_ports(tick.start);
        for one in calls(&tick.groups) {
            let is_port = matches!(one.port().1, Protocol::Tcp | Protocol::Udp | Protocol::Sctp);
            if !is_port || !one.first().sample.oriented || one.is_trouble() {
                continue;
            }
            if let Some(observation) = self.call(&one, scene) {
                out.push(observation);
            } else if let Some(observation) = self.listener(&one, scene) {
                out.push(observation);
            }
        }
    }

    fn tested(&mut self) -> Tested {
        self.trials.take()
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        super::new_edge::blind(Kind::NewPort, scene)
    }

    fn held(&self) -> usize {
        self.calls.held() + self.listeners.held() + self.trials.held()
    }
}

impl NewPort {
    /// A new port of a known pair.
    fn call(&mut self, one: &Calls<'_>, scene: &Scene<'_>) -> Option<Observation> {
        let (client, key, port) = (one.client(), one.key(), one.port());
        if !scene.model.knows(client, key) || !novel::is_judged(scene, client) {
            return None;
        }
        let fresh = self.trials.count((client, key, Some(port)));
        if scene.model.edge(client, key, port.0, port.1).is_some() {
            return None;
        }
        let novelty = scene.model.novelty(client, key, port.0, port.1);
        let p = novel::explained(novelty.p, novelty.new_share, client, scene);
        let tells = self.calls.tells((client, key, Some(port)), one.from());
        // What is not learned is new again each day, and was surprising once.
        if fresh && tells {
            self.trials.note(p);
        }
        if p > LEAST || !tells {
            return None;
        }
        let place = words::place(scene.peers, key, Some(port));
        let ports = ports_of(scene, client, key);
        let mut observation = one.observation(Kind::NewPort, p);
        observation.expected = novelty.new_share;
        observation.evidence.push(format!(
            "{} called {place}; until now it used {ports} there ({} observed).",
            words::who(scene.peers, client),
            words::span(scene.model.readiness(client).observed),
        ));
        observation.evidence.push(one.sentence());
        if matches!(scene.peers.get(key), Peer::Workload { .. }) {
            observation.evidence.push(listens(scene, key, port));
        }
        observation.evidence.extend(novel::release(client, scene));
        observation.evidence.extend(novel::caution(client, scene));
        observation.normal = novel::normal(&scene.peers.get(client).to_string(), &place);
        Some(observation)
    }

    /// A new listener of a known server, whoever calls.
    fn listener(&mut self, one: &Calls<'_>, scene: &Scene<'_>) -> Option<Observation> {
        let (server, port) = (one.key(), one.port());
        let known = scene.model.listeners(server);
        let first = known.iter().map(|one| one.first).min()?;
        if !one.answered() || one.from().saturating_sub(first) < KNOWN {
            return None;
        }
        let fresh = self.trials.count((server, server, Some(port)));
        if known.iter().any(|one| (one.port, one.protocol) == port) {
            return None;
        }
        let trials: u64 = known.iter().map(|one| u64::from(one.days)).sum();
        let share = new_share(trials, known.len() as u64);
        let p = novel::explained(share / (1 + known.len()) as f64, share, server, scene);
        let tells = self
            .listeners
            .tells((server, server, Some(port)), one.from());
        if fresh && tells {
            self.trials.note(p);
        }
        if p > LEAST || !tells {
            return None;
        }
        let mut observation = one.observation(Kind::NewPort, p);
        (observation.subject, observation.peer) = (server, Some(one.client()));
        observation.expected = share;
        "listener".clone_into(&mut observation.key);
        observation.evidence.push(format!(
            "{} answers on {}/{}; until now it was only reached on {} ({} observed).",
            words::who(scene.peers, server),
            port.0,
            port.1.name(),
            listed(known),
            words::span(one.from().saturating_sub(first)),
        ));
        observation.evidence.push(format!(
            "Called by {}: {}",
            words::who(scene.peers, one.client()),
            one.sentence()
        ));
        observation.evidence.extend(novel::release(server, scene));
        observation.normal = format!(
            "if it is meant to be, learn it: it is known once it is called by a workload whose \
             call of {} is approved",
            words::place(scene.peers, server, Some(port))
        );
        Some(observation)
    }
}

fn ports_of(scene: &Scene<'_>, client: PeerId, key: PeerId) -> String {
    let edges = scene.model.edges_of(client);
    let ports: Vec<String> = edges
        .filter(|(edge, _)| edge.server == key)
        .map(|(edge, _)| format!("{}/{}", edge.port, edge.protocol.name()))
        .collect();
    shortened(&ports)
}

fn listed(known: &[Listener]) -> String {
    let mut known: Vec<&Listener> = known.iter().collect();
    known.sort_by_key(|one| (one.port, one.protocol));
    let ports: Vec<String> = known
        .iter()
        .map(|one| format!("{}/{}", one.port, one.protocol.name()))
        .collect();
    shortened(&ports)
}

fn shortened(ports: &[String]) -> String {
    const MOST: usize = 5;
    match ports.len() {
        0 => "no port".to_owned(),
        1..=MOST => ports.join(", "),
        more => format!("{} and {} more", ports[..MOST].join(", "), more - MOST),
    }
}

fn listens(scene: &Scene<'_>, key: PeerId, port: (u16, Protocol)) -> String {
    let known = scene.model.listeners(key);
    match known.iter().find(|one| (one.port, one.protocol) == port) {
        Some(one) => format!(
            "It has answered others there since {}.",
            words::at(one.first)
        ),
        None => "Nobody was seen to be answered there before.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage as Play;
    use super::*;
    use crate::baseline::Fate;

    fn play() -> Play {
        let mut play = Play::default();
        play.learn("shop/cart", &["data/db:5432"], 14);
        play.learn("shop/web", &["data/db:5432", "data/db:9187"], 14);
        play
    }

    /// Guarantees: by hand: one port on 14 days: (1 + 0.5) / 15, and of 2 listeners none is
    /// as rare as one that nobody was answered on: 1 / 3.
    #[test]
    fn a_new_port_of_a_known_pair_is_judged_among_its_ports() {
        let mut play = play();
        let mut detector = NewPort::default();
        let wanted: f64 = 1.5 / 15.0 / 3.0;
        assert!(wanted > LEAST);
        let call = ("shop/cart", "data/db", 22, Fate::Refused);
        assert!(play.observe(&mut detector, &[call]).is_empty());

        play.learn("shop/cart", &["data/db:5432"], 40);
        let seen = play.observe(
            &mut detector,
            &[("shop/cart", "data/db", 23, Fate::Refused)],
        );
        let wanted = 1.5 / (1.0 + 54.0) / 3.0;
        assert!((seen[0].p - wanted).abs() < 1e-12, "{}", seen[0].p);
        assert!(seen[0].evidence[0].contains("until now it used 5432/TCP there"));
        assert!(seen[0].evidence[2].starts_with("Nobody was seen"));
    }

    #[test]
    fn a_port_that_others_use_is_not_surprising() {
        let mut play = play();
        play.learn("shop/cart", &["data/db:5432"], 6);
        let call = ("shop/cart", "data/db", 9187, Fate::Answered);
        assert!(play.observe(&mut NewPort::default(), &[call]).is_empty());
    }

    #[test]
    fn a_new_listener_is_said_whoever_calls_it() {
        let mut play = play();
        play.learn("shop/web", &["data/db:5432", "data/db:9187"], 40);
        let mut detector = NewPort::default();
        let refused = ("world", "data/db", 4444, Fate::Refused);
        assert!(play.observe(&mut detector, &[refused]).is_empty());
        let call = ("world", "data/db", 4444, Fate::Answered);
        let seen = play.observe(&mut detector, &[call]);
        let [one] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!(one.key, "listener");
        assert!(
            one.evidence[0].starts_with("data/db (Deployment) answers on 4444/TCP; until now it"),
            "{}",
            one.evidence[0]
        );
    }
}
