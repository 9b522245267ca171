//! D1: a workload calls something in the cluster that it never called.
//!
//! Null hypothesis: destinations of a workload follow a Pitman–Yor process, and what is new
//! to it is drawn by how many others use it (Heard and Rubin-Delanchy 2016; Sanna Passino and
//! Heard 2019). `p` is the probability that a call of a day goes to something new that is as
//! rare.
//!
//! Sees connections of workloads whose baseline is past learning, to workloads and to
//! reserved entities; not those of the API server, which is D16's. Cannot see what an
//! attacker does over edges that are there. A new port of a known destination is D3's.

use super::calls::{Calls, calls};
use super::novel::{self, LEAST, Told, Trials};
use super::{Blindness, Detector, Kind, Observation, Scene, Tested, words};
use crate::baseline::{Stage, Tick};
use crate::connection::Peer;

/// Detects new destinations in the cluster.
#[derive(Debug, Default)]
pub struct NewEdge {
    told: Told,
    trials: Trials,
}

impl Detector for NewEdge {
    fn kind(&self) -> Kind {
        Kind::NewEdge
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
        blind(Kind::NewEdge, scene)
    }

    fn held(&self) -> usize {
        self.told.held() + self.trials.held()
    }
}

impl NewEdge {
    fn judge(&mut self, one: &Calls<'_>, scene: &Scene<'_>) -> Option<Observation> {
        let (client, key) = (one.client(), one.key());
        if client == key || one.is_trouble() || !novel::is_judged(scene, client) {
            return None;
        }
        let fresh = self.trials.count((client, key, Some(one.port())));
        let inside = match scene.peers.get(key) {
            Peer::Workload { .. } => true,
            Peer::Entity(name) => !matches!(&**name, "kube-apiserver" | "world"),
            _ => false,
        };
        if !inside || scene.model.knows(client, key) {
            return None;
        }
        let port = one.port();
        let novelty = scene.model.novelty(client, key, port.0, port.1);
        let p = novel::explained(novelty.p, novelty.new_share, client, scene);
        let tells = self.told.tells((client, key, None), one.from());
        // What is not learned is new again each day, and was surprising once.
        if fresh && tells {
            self.trials.note(p);
        }
        if p > LEAST || !tells {
            return None;
        }
        let place = words::place(scene.peers, key, Some(port));
        let mut observation = one.observation(Kind::NewEdge, p);
        observation.expected = novelty.new_share;
        let called = novel::called(one, &place, &novelty, scene);
        observation.evidence.push(called);
        observation.evidence.push(one.sentence());
        observation.evidence.extend(novel::release(client, scene));
        observation.evidence.extend(novel::caution(client, scene));
        observation.normal = novel::normal(&scene.peers.get(client).to_string(), &place);
        Some(observation)
    }
}

/// Novelty is not judged of workloads whose baseline is still being learned.
pub(super) fn blind(kind: Kind, scene: &Scene<'_>) -> Option<Blindness> {
    let all = scene.model.workload_count();
    let learning = scene
        .model
        .workloads()
        .filter(|(id, _)| scene.model.stage(*id) < Stage::Shadow)
        .count();
    if all == 0 {
        return Some(Blindness {
            kind,
            why: "nothing has been learned of any workload".to_owned(),
            share: 1.0,
        });
    }
    (learning > 0).then(|| Blindness {
        kind,
        why: format!(
            "the baseline of {} of {} is still being learned",
            words::number(learning as u64),
            words::count(all as u64, "workload", "workloads")
        ),
        share: learning as f64 / all as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage as Play;
    use super::*;
    use crate::baseline::Fate;
    use crate::detect::Passed;

    /// A workload with three destinations for two weeks, among others.
    fn play() -> Play {
        let mut play = Play::default();
        play.learn(
            "shop/cart",
            &["shop/pay:443", "data/db:5432", "shop/mail:25"],
            14,
        );
        play.learn("shop/web", &["shop/cart:80", "shop/pay:443"], 14);
        play.learn("ops/agent", &["ops/store:9090"], 14);
        play
    }

    /// Guarantees: the figure is the one of the formula, by hand: 3 edges on 14 days are 42
    /// trials, a new one has (1 + 0.5 * 3) / (1 + 42); that it is in the cluster as all others
    /// are, 3 of 3 with one more that is so in (5 + 1) / (5 + 2) of cases; of 5 destinations
    /// none is as rare as one that nobody uses: 1 / (1 + 5).
    #[test]
    fn a_new_destination_is_said_with_its_probability() {
        let mut play = play();
        let seen = play.observe(
            &mut NewEdge::default(),
            &[("shop/cart", "vault/vault", 8200, Fate::Answered)],
        );
        let [one] = &seen[..] else {
            panic!("{seen:?}");
        };
        let wanted: f64 = 2.5 / 43.0 * ((3.0 + 6.0 / 7.0) / 4.0) / 6.0;
        assert!((one.p - wanted).abs() < 1e-12, "{} {wanted}", one.p);
        assert_eq!(one.passed, Passed::Allowed);
        assert_eq!(
            one.evidence[0],
            "shop/cart (Deployment) called vault/vault:8200/TCP for the first time (13 days \
             observed, 3 destinations and ports known; none of the 6 other workloads uses it)."
        );
        assert!(one.evidence[1].starts_with("1 connection since 2026-"));
    }

    /// Scenario: what was flagged while a baseline was learned, when nobody is told, comes
    /// again days later.
    /// Guarantees: it is said, and not to be the first time.
    #[test]
    fn what_is_held_back_is_not_called_new() {
        let mut play = play();
        let call = [("shop/cart", "vault/vault", 8200, Fate::Answered)];
        assert_eq!(play.observe(&mut NewEdge::default(), &call).len(), 1);
        play.now += 2 * crate::baseline::DAY;
        let seen = play.observe(&mut NewEdge::default(), &call);
        let said = &seen[0].evidence[0];
        let wanted = "shop/cart (Deployment) called vault/vault:8200/TCP again; its baseline holds \
                      back 1 connection since 2026-11-16 00:00:00 UTC, because it was flagged (";
        assert!(said.starts_with(wanted), "{said}");
    }

    #[test]
    fn what_is_known_is_not_said_and_neither_is_what_others_do_all_the_time() {
        let mut play = play();
        let mut detector = NewEdge::default();
        let known = ("shop/cart", "shop/pay", 443, Fate::Answered);
        assert!(play.observe(&mut detector, &[known]).is_empty());
        // Half of the destinations have fewer users.
        let popular = ("ops/agent", "shop/pay", 443, Fate::Answered);
        assert!(play.observe(&mut detector, &[popular]).is_empty());
        let port = ("shop/cart", "shop/pay", 22, Fate::Answered);
        assert!(play.observe(&mut detector, &[port]).is_empty());
    }

    #[test]
    fn a_denied_call_is_an_attempt() {
        let mut play = play();
        let seen = play.observe(
            &mut NewEdge::default(),
            &[("shop/cart", "vault/vault", 8200, Fate::Denied)],
        );
        assert_eq!(seen[0].passed, Passed::Denied);
        assert!(seen[0].evidence[1].ends_with("denied by policy."));
    }

    #[test]
    fn what_others_begin_to_call_as_well_is_less_surprising() {
        let mut play = play();
        let mut detector = NewEdge::default();
        let call = |client| [(client, "ops/collector", 4317, Fate::Answered)];
        let first = play.observe(&mut detector, &call("shop/cart"));
        let p = |seen: &[Observation]| seen.first().map_or(1.0, |one| one.p);
        assert!(p(&first) < LEAST);
        play.observe(&mut detector, &call("shop/web"));
        let third = play.observe(&mut detector, &call("ops/agent"));
        assert!(p(&third) > 5.0 * p(&first), "{third:?}");
    }

    #[test]
    fn a_workload_that_is_learned_is_not_judged_and_that_is_said() {
        let mut play = play();
        play.learn("shop/young", &["shop/pay:443"], 1);
        let mut detector = NewEdge::default();
        let call = ("shop/young", "vault/vault", 8200, Fate::Answered);
        assert!(play.observe(&mut detector, &[call]).is_empty());
        let blind = play.blind(&detector).unwrap();
        assert!(blind.why.contains("1 of 9 workloads"), "{}", blind.why);
    }
}
