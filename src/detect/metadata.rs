//! D15: a workload reaches the metadata service of the cloud, where credentials are.
//!
//! A rule: `p` is 1e-6 by decree for an edge that is neither learned nor approved, from the
//! first minute on. Addresses and names are those of AWS, Google Cloud, Azure and Alibaba;
//! their resolvers at the same addresses (port 53) and NodeLocal DNS do not count, nor do
//! nodes, whose agents ask all the time.
//!
//! A client whose baseline is not settled, and many that begin at once, are less surprising:
//! an SDK that is rolled out looks like that. Cannot see which path was asked for without
//! HTTP visibility, nor what a workload does that always asked; its rate is D6's.

use super::gate::{NewEdges, Said};
use super::novel::Told;
use super::{Blindness, Detector, Kind, Observation, Scene, places, words};
use crate::baseline::Tick;

/// By decree.
const P: f64 = 1e-6;
/// Port of DNS.
const DNS: u16 = 53;

/// Detects calls of metadata services. Holds what it has told: see [`Told`].
#[derive(Debug, Default)]
pub struct Metadata {
    told: Told,
}

impl Detector for Metadata {
    fn kind(&self) -> Kind {
        Kind::Metadata
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let edges = NewEdges::of(tick, scene, |group| {
            (group.port != DNS)
                .then(|| places::metadata(group, scene.peers))
                .flatten()
        });
        let told = &mut self.told;
        edges.tell(
            Kind::Metadata,
            told,
            scene,
            out,
            |who, place, account, address| {
                let (_, _, port, protocol) = *place;
                Said {
                    decreed: P,
                    did: format!(
                        "{who} called the cloud's metadata service at {address}:{port}/{} {}",
                        protocol.name(),
                        words::count(account.count, "time", "times"),
                    ),
                    normal: format!(
                        "if {who} needs credentials of its node, approve the edge; better is an \
                     identity of its own, and a policy that denies {address}"
                    ),
                }
            },
        );
    }

    fn blind(&self, _scene: &Scene<'_>) -> Option<Blindness> {
        None
    }

    fn held(&self) -> usize {
        self.told.held()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;
    use crate::baseline::Fate;

    fn stage() -> Stage {
        let mut stage = Stage::default();
        stage.learn("shop/web", &["shop/pay:443"], 9);
        stage.learn("ops/uploader", &["169.254.169.254:80"], 9);
        stage
    }

    #[test]
    fn a_first_call_is_told_and_one_of_the_baseline_is_not() {
        let mut stage = stage();
        let seen = stage.observe(
            &mut Metadata::default(),
            &[
                ("shop/web", "169.254.169.254", 80, Fate::Answered),
                ("ops/uploader", "169.254.169.254", 80, Fate::Answered),
            ],
        );
        let [one] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert!((one.p - P).abs() < 1e-12 && one.fixed, "{one:?}");
        assert_eq!(
            one.evidence[0],
            "shop/web (Deployment) called the cloud's metadata service at \
             169.254.169.254:80/TCP 1 time. It never did in 8 days; 1 of 3 workloads do."
        );
    }

    #[test]
    fn it_needs_no_baseline() {
        let mut stage = Stage::default();
        let seen = stage.observe(
            &mut Metadata::default(),
            &[("shop/web", "169.254.169.254", 80, Fate::Denied)],
        );
        assert!(seen[0].p <= 1e-4);
        assert_eq!(seen[0].passed, super::super::Passed::Denied);
    }

    #[test]
    fn resolvers_nodes_and_rollouts_are_no_surprise() {
        let mut stage = stage();
        let mut detector = Metadata::default();
        let quiet = [
            ("shop/web", "169.254.169.254", 53, Fate::Answered),
            ("shop/web", "169.254.20.10", 53, Fate::Answered),
            ("host", "169.254.169.254", 80, Fate::Answered),
        ];
        assert!(stage.observe(&mut detector, &quiet).is_empty());
        let names = ["a/a", "a/b", "a/c", "a/d", "a/e", "a/f"];
        let crowd = names.map(|name| (name, "169.254.169.254", 80, Fate::Answered));
        let seen = stage.observe(&mut detector, &crowd);
        assert!(seen.iter().all(|one| one.p >= 1e-4), "{seen:?}");
    }

    #[test]
    fn one_thing_is_told_for_an_hour_only() {
        let mut stage = stage();
        let mut detector = Metadata::default();
        let call = [("shop/web", "169.254.169.254", 80, Fate::Answered)];
        let told: usize = (0..180)
            .map(|_| stage.observe(&mut detector, &call).len())
            .sum();
        assert_eq!(told, 60);
        assert_eq!(detector.held(), 1);
    }
}
