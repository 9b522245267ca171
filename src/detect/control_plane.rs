//! D16: a workload reaches the API server, a kubelet or etcd for the first time.
//!
//! A rule: `p` is 1e-5 by decree for an edge that is neither learned nor approved, once the
//! cluster was watched for a day; 1e-6 where one client reaches the kubelets of three nodes
//! or more within a minute. For workloads that call the API server anyway, a jump of the
//! number of connections is judged by the negative binomial of that edge, where it was seen
//! in 60 minutes at least; it may be said from 1e-6 on.
//!
//! A client that has not settled (a new operator looks like that), and many that begin at
//! once, are less surprising. Cannot see which resources were asked for: that is the API
//! server's audit log.

use std::collections::BTreeMap;

use super::gate::{self, NewEdges, Place, Said};
use super::novel::Told;
use super::tested::within;
use super::{Blindness, Detector, Kind, Observation, Scene, Tested, figures, words};
use crate::baseline::stat::NegativeBinomial;
use crate::baseline::{Group, Tick};
use crate::connection::{Peer, PeerId};

/// By decree, for a first call.
const P: f64 = 1e-5;
/// By decree, for the kubelets of several nodes.
const P_SWEEP: f64 = 1e-6;
/// Nodes that are several.
const SWEEP: usize = 3;
/// A jump that is less surprising is not said.
const P_JUMP: f64 = 1e-6;
/// Minutes an edge was seen in before a jump can be told.
const LEAST_MINUTES: f64 = 60.0;
/// Connections a minute that no jump is below.
const LEAST_JUMP: u64 = 20;

/// Which part of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    ApiServer,
    Kubelet,
    Etcd,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "the Kubernetes API server",
            Self::Kubelet => "a kubelet",
            Self::Etcd => "etcd",
        }
    }

    /// Which part a group goes to.
    fn of(group: &Group, scene: &Scene<'_>) -> Option<Self> {
        let peer = scene.peers.get(group.key);
        let entity =
            |wanted: &[&str]| matches!(peer, Peer::Entity(name) if wanted.contains(&&**name));
        match group.port {
            2379 | 2380 if entity(&["host", "remote-node", "kube-apiserver"]) => Some(Self::Etcd),
            2379 | 2380 => {
                let named = matches!(peer, Peer::Workload { name, .. } if name.contains("etcd"));
                named.then_some(Self::Etcd)
            }
            10_250 | 10_255 if entity(&["host", "remote-node", "kube-apiserver"]) => {
                Some(Self::Kubelet)
            }
            10_250 | 10_255 => matches!(peer, Peer::Prefix(_)).then_some(Self::Kubelet),
            _ => entity(&["kube-apiserver"]).then_some(Self::ApiServer),
        }
    }
}

/// Detects calls of the control plane. Holds what it has told: see [`Told`].
#[derive(Debug, Default)]
pub struct ControlPlane {
    told: Told,
    /// Hypotheses tested since that was last asked.
    tests: Tested,
}

impl Detector for ControlPlane {
    fn kind(&self) -> Kind {
        Kind::ControlPlane
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        if !gate::is_watched_for_a_day(scene) {
            return;
        }
        self.first_calls(tick, scene, out);
        jumps(tick, scene, &mut self.tests, out);
    }

    fn tested(&mut self) -> Tested {
        self.tests.take()
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        (!gate::is_watched_for_a_day(scene)).then(|| gate::young(Kind::ControlPlane))
    }

    fn held(&self) -> usize {
        self.told.held()
    }
}

impl ControlPlane {
    fn first_calls(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let edges = NewEdges::of(tick, scene, |group| Part::of(group, scene));
        let nodes = kubelets(tick, scene);
        let told = &mut self.told;
        edges.tell(Kind::ControlPlane, told, scene, out, |who, place, account, part| {
            let (client, key, port, protocol) = *place;
            let reached = nodes.get(&client).copied().unwrap_or_default();
            let sweep = *part == Part::Kubelet && reached >= SWEEP;
            let called = if sweep {
                format!("the kubelets of {reached} nodes")
            } else {
                part.name().to_owned()
            };
            Said {
                decreed: if sweep { P_SWEEP } else { P },
                did: format!(
                    "{who} called {called} ({}) {}",
                    words::place(scene.peers, key, Some((port, protocol))),
                    words::count(account.count, "time", "times"),
                ),
                normal: format!(
                    "if {who} is meant to work with {}, approve the edge; else deny it by policy",
                    part.name()
                ),
            }
        });
    }
}

/// Nodes whose kubelets a client reached in the tick.
fn kubelets(tick: &Tick, scene: &Scene<'_>) -> BTreeMap<PeerId, usize> {
    let mut nodes = BTreeMap::new();
    for group in &tick.groups {
        if Part::of(group, scene) == Some(Part::Kubelet) {
            *nodes.entry(group.client).or_default() += group.servers.count();
        }
    }
    nodes
}

/// Far more connections on a known edge than it ever has in a minute.
fn jumps(tick: &Tick, scene: &Scene<'_>, tests: &mut Tested, out: &mut Vec<Observation>) {
    let mut sums: BTreeMap<Place, super::account::Account> = BTreeMap::new();
    for group in tick.groups.iter().filter(|group| group.fate.is_new()) {
        let known = Part::of(group, scene).is_some()
            && gate::is_workload(group.client, scene)
            && !gate::is_new(gate::place(group), scene);
        if known {
            sums.entry(gate::place(group)).or_default().add(group);
        }
    }
    for (place, account) in &sums {
        let (client, key, port, protocol) = *place;
        let Some(edge) = scene.model.edge(client, key, port, protocol) else {
            continue;
        };
        let usual = edge.active;
        if usual.n < LEAST_MINUTES {
            continue;
        }
        let counts = NegativeBinomial {
            mean: usual.mean(),
            dispersion: usual.dispersion(),
        };
        let count = account.count as f64;
        let p = counts.upper(count);
        tests.check(1);
        tests.note(within(p, counts.upper(count + 1.0), client, tick.start));
        // The model is not good enough for less.
        let p = p.max(1e-12);
        if p > P_JUMP || account.count < LEAST_JUMP {
            continue;
        }
        let mut one = gate::observation(Kind::ControlPlane, place, account, p);
        one.fixed = false;
        one.expected = usual.mean();
        "jump".clone_into(&mut one.key);
        one.evidence.push(format!(
            "{} opened {} to {} in a minute; where there are any, {} are usual, at most {} in 999 \
             of 1,000 minutes.",
            words::who(scene.peers, client),
            words::count(account.count, "connection", "connections"),
            words::place(scene.peers, key, Some((port, protocol))),
            figures::about(usual.mean()),
            figures::about(counts.quantile(1e-3)),
        ));
        one.evidence.push(account.verdict());
        "if it goes on, it is learned; if a job did it, accept the finding with that reason"
            .clone_into(&mut one.normal);
        out.push(one);
    }
    tests.count(sums.len() as u64);
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;
    use crate::baseline::Fate;

    fn stage() -> Stage {
        let mut stage = Stage::default();
        stage.learn("shop/web", &["shop/pay:443"], 9);
        stage.learn("ops/operator", &["kube-apiserver:6443"], 9);
        stage
    }

    #[test]
    fn a_first_call_is_told_and_an_operators_is_not() {
        let mut stage = stage();
        let seen = stage.observe(
            &mut ControlPlane::default(),
            &[
                ("shop/web", "kube-apiserver", 6443, Fate::Answered),
                ("ops/operator", "kube-apiserver", 6443, Fate::Answered),
            ],
        );
        let [one] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert!((one.p - P).abs() < 1e-12);
        assert!(one.evidence[0].starts_with(
            "shop/web (Deployment) called the Kubernetes API server (kube-apiserver:6443/TCP) 1 \
             time. It never did in"
        ));
    }

    #[test]
    fn a_new_operator_is_little_surprise_and_a_young_cluster_none() {
        let mut stage = stage();
        let mut detector = ControlPlane::default();
        let new = [("ops/new", "kube-apiserver", 6443, Fate::Answered)];
        assert!(stage.observe(&mut detector, &new)[0].p >= 1e-3);
        let mut young = Stage::default();
        assert!(young.observe(&mut detector, &new).is_empty());
        assert!(young.blind(&detector).is_some());
    }

    #[test]
    fn a_sweep_of_kubelets_is_told_apart() {
        let mut stage = stage();
        let sweep = ["10.9.0.1", "10.9.0.2", "10.9.0.3"]
            .map(|node| ("shop/web", node, 10_250, Fate::Answered));
        let seen = stage.observe(&mut ControlPlane::default(), &sweep);
        assert!(!seen.is_empty());
        assert!(
            seen.iter().all(|one| (one.p - P_SWEEP).abs() < 1e-12),
            "{seen:?}"
        );
        assert!(seen[0].evidence[0].contains("the kubelets of 3 nodes"));
    }

    #[test]
    fn a_jump_on_a_known_edge_is_told() {
        let mut stage = stage();
        let mut tick = Tick {
            start: stage.now,
            ..Tick::default()
        };
        let now = stage.now;
        let mut group =
            stage
                .scenery
                .group("ops/operator", "kube-apiserver", 6443, now, Fate::Answered);
        group.count = 200;
        tick.groups.push(group);
        let seen = stage.play(&mut ControlPlane::default(), &tick);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].p < P_JUMP && !seen[0].fixed && seen[0].p > 0.0);
    }
}
