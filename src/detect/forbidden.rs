//! F: an edge that a person forbade.
//!
//! No statistics: the baseline file says `forbidden`, and there is a connection. It is said
//! whether policy let it pass or not, every time. Sees what has a name in the file; an
//! address of a forbidden domain that no DNS names is not known to be it.

use super::calls::calls;
use super::{Blindness, Detector, Kind, Observation, Scene, words};
use crate::baseline::{Status, Tick};

/// How probable a forbidden connection is by decree.
const P: f64 = 1e-9;

/// Detects forbidden edges.
#[derive(Debug, Default)]
pub struct Forbidden;

impl Detector for Forbidden {
    fn kind(&self) -> Kind {
        Kind::Forbidden
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        for one in calls(&tick.groups) {
            let (port, protocol) = one.port();
            let decided = scene.model.decided(one.client(), one.key(), port, protocol);
            if decided != Some(Status::Forbidden) {
                continue;
            }
            let mut observation = one.observation(Kind::Forbidden, P);
            observation.fixed = true;
            observation.evidence.push(format!(
                "{} called {}, which the baseline forbids.",
                words::who(scene.peers, one.client()),
                words::place(scene.peers, one.key(), Some((port, protocol)))
            ));
            observation.evidence.push(one.sentence());
            "if it is meant to be, take `forbidden` out of the baseline file"
                .clone_into(&mut observation.normal);
            out.push(observation);
        }
    }

    fn blind(&self, _: &Scene<'_>) -> Option<Blindness> {
        None
    }

    fn held(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage as Play;
    use super::*;
    use crate::baseline::{Decision, Fate};

    #[test]
    fn a_forbidden_edge_is_said_every_time_denied_or_not() {
        let mut play = Play::default();
        play.learn("shop/cart", &["data/db:5432", "shop/pay:443"], 14);
        let [cart, db] = ["shop/cart", "data/db"].map(|name| play.scenery.peer(name));
        let decision = Decision {
            key: Some(db),
            port: None,
            status: Status::Forbidden,
        };
        play.model.decide(cart, decision);
        for fate in [Fate::Answered, Fate::Denied, Fate::Answered] {
            let calls = [
                ("shop/cart", "data/db", 5432, fate),
                ("shop/cart", "shop/pay", 443, fate),
            ];
            let seen = play.observe(&mut Forbidden, &calls);
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].peer, Some(db));
        }
    }
}
