//! The topology of a world.
//!
//! Owns who is there and who calls whom. Shapes after published measurements of large
//! microservice systems: sizes of namespaces by Zipf's law, tiers of about 13 % entry,
//! 48 % middle and 39 % leaf, calls by preferential attachment, so that a few leaves are
//! called by very many. Which policies such a cluster has is `policies`'.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::number::{exp, ln};
use crate::inventory::{Identity, Label, NamedPort, Service};

/// IANA number of TCP.
const TCP: u8 = 6;
/// IANA number of UDP.
const UDP: u8 = 17;
/// The first number Cilium gives to a pod's identity.
const FIRST_IDENTITY: u32 = 1_001;
/// Numbers of addresses outside begin here.
const LOCAL_SCOPE: u32 = 1 << 24;
/// Calls a workload makes, at most.
const MOST_CALLS: usize = 6;

const WORDS: [&str; 24] = [
    "account", "audit", "basket", "billing", "catalog", "checkout", "coupon", "delivery", "export",
    "feed", "gateway", "import", "invoice", "ledger", "mail", "order", "payment", "profile",
    "report", "review", "search", "stock", "tracking", "wallet",
];
const DOMAINS: [&str; 8] = [
    "example.com",
    "example.net",
    "example.org",
    "payments.test",
    "mail.test",
    "cdn.test",
    "metrics.test",
    "login.test",
];

/// How large a world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldSize {
    /// Namespaces, `kube-system` not counted.
    pub namespaces: usize,
    /// Workloads: as many identities of pods.
    pub workloads: usize,
    /// Policies, about; a workload has up to a few.
    pub policies: usize,
    /// Addresses outside the cluster.
    pub externals: usize,
}

/// Where in the graph of calls a workload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Called from outside.
    Entry,
    /// Calls and is called.
    Middle,
    /// Only called: databases, caches, queues.
    Leaf,
}

/// A namespace and its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Name.
    pub name: Arc<str>,
    /// Key and value.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
}

/// A workload: pods that share an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Index of its namespace.
    pub namespace: usize,
    /// Name.
    pub name: Arc<str>,
    /// Place in the graph.
    pub tier: Tier,
    /// Pod labels.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// What it listens on.
    pub port: NamedPort,
    /// Pods.
    pub replicas: u32,
}

/// Somebody outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Name DNS gives for it; `None` for a bare address.
    pub name: Option<Arc<str>>,
    /// Address.
    pub address: IpAddr,
}

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A workload another, at the port it listens on.
    Inside {
        /// Caller.
        from: usize,
        /// Called.
        to: usize,
    },
    /// A workload somebody outside, at port 443.
    Outside {
        /// Caller.
        from: usize,
        /// Called.
        to: usize,
    },
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct World {
    /// Name of the cluster.
    pub cluster: Arc<str>,
    /// Namespaces; the first is `kube-system`.
    pub namespaces: Vec<Namespace>,
    /// Workloads; the first is the cluster's DNS.
    pub workloads: Vec<Workload>,
    /// Outside.
    pub externals: Vec<External>,
    /// Calls, each once.
    pub calls: Vec<Call>,
    pub(super) size: WorldSize,
    pub(super) seed: u64,
    /// Whether nobody may ask the metadata service; else only who denies by default.
    pub(super) metadata_denied: bool,
}

impl World {
    /// Makes the world of a seed. At least one namespace, one workload and one address.
    #[must_use]
    pub fn generate(seed: u64, size: WorldSize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let namespaces = namespaces(size.namespaces.max(1));
        let workloads = workloads(&mut rng, size.workloads.max(1), namespaces.len());
        let externals = externals(&mut rng, size.externals.max(1));
        let calls = calls(&mut rng, &workloads, externals.len());
        Self {
            cluster: "synth".into(),
            namespaces,
            workloads,
            externals,
            calls,
            size,
            seed,
            metadata_denied: true,
        }
    }

    /// Everybody as an identity: the reserved ones, a pod of each workload in the order of
    /// `workloads`, then the outside.
    #[must_use]
    pub fn identities(&self) -> Vec<Identity> {
        let reserved = [
            (1, &["host"][..]),
            (4, &["health"]),
            (5, &["init"]),
            (6, &["remote-node"]),
            (7, &["kube-apiserver", "remote-node"]),
            (8, &["ingress"]),
        ];
        let reserved = reserved.into_iter().map(|(number, names)| Identity {
            number,
            labels: names
                .iter()
                .map(|name| Label::new("reserved", name, ""))
                .collect(),
            ..Identity::default()
        });
        let pods = self
            .workloads
            .iter()
            .enumerate()
            .map(|(index, workload)| Identity {
                number: FIRST_IDENTITY + index as u32,
                labels: self.pod_labels(workload),
                named_ports: vec![workload.port.clone()],
                ..Identity::default()
            });
        let outside = self
            .externals
            .iter()
            .enumerate()
            .map(|(index, external)| Identity {
                number: LOCAL_SCOPE + 1 + index as u32,
                address: Some(external.address),
                names: external.name.iter().cloned().collect(),
                ..Identity::default()
            });
        reserved.chain(pods).chain(outside).collect()
    }

    /// Position of a workload's identity in [`World::identities`].
    #[must_use]
    pub fn identity_of_workload(&self, workload: usize) -> usize {
        6 + workload
    }

    /// Position of an external's identity in [`World::identities`].
    #[must_use]
    pub fn identity_of_external(&self, external: usize) -> usize {
        6 + self.workloads.len() + external
    }

    /// A Service for each workload.
    #[must_use]
    pub fn services(&self) -> Vec<Service> {
        self.workloads
            .iter()
            .map(|workload| Service {
                namespace: self.namespaces[workload.namespace].name.clone(),
                name: workload.name.clone(),
                labels: workload.labels.clone(),
                selector: workload.labels.clone(),
                endpoints: Vec::new(),
            })
            .collect()
    }

    pub(super) fn pod_labels(&self, workload: &Workload) -> Vec<Label> {
        let namespace = &self.namespaces[workload.namespace];
        let of_pod = workload
            .labels
            .iter()
            .map(|(key, value)| Label::new("k8s", key, value));
        let of_namespace = namespace.labels.iter().map(|(key, value)| {
            let key = format!("io.cilium.k8s.namespace.labels.{key}");
            Label::new("k8s", &key, value)
        });
        let given = [
            Label::new("k8s", "io.kubernetes.pod.namespace", &namespace.name),
            Label::new("k8s", "io.cilium.k8s.policy.cluster", &self.cluster),
            Label::new("k8s", "io.cilium.k8s.policy.serviceaccount", &workload.name),
        ];
        of_pod.chain(of_namespace).chain(given).collect()
    }
}

fn namespaces(count: usize) -> Vec<Namespace> {
    let pair = |key: &str, value: &str| (Arc::from(key), Arc::from(value));
    let named = |name: String, team: &str| Namespace {
        labels: vec![
            pair("kubernetes.io/metadata.name", &name),
            pair("team", team),
        ],
        name: name.into(),
    };
    let teams = ["blue", "green", "red", "violet"];
    std::iter::once(named("kube-system".to_owned(), "platform"))
        .chain((0..count).map(|index| {
            let word = WORDS[index % WORDS.len()];
            let name = match index / WORDS.len() {
                0 => word.to_owned(),
                round => format!("{word}-{round}"),
            };
            named(name, teams[index % teams.len()])
        }))
        .collect()
}

fn workloads(rng: &mut ChaCha8Rng, count: usize, namespaces: usize) -> Vec<Workload> {
    let pair = |key: &str, value: &str| (Arc::from(key), Arc::from(value));
    let dns = Workload {
        namespace: 0,
        name: "kube-dns".into(),
        tier: Tier::Leaf,
        labels: vec![pair("k8s-app", "kube-dns")],
        port: NamedPort {
            name: "dns".into(),
            port: 53,
            protocol: UDP,
        },
        replicas: 2,
    };
    let mut all = vec![dns];
    for index in 1..count {
        let word = WORDS[rng.random_range(0..WORDS.len())];
        let name = format!("{word}-{index}");
        let (tier, port_name, port) = match rng.random_range(0..100) {
            0..13 => (Tier::Entry, "http", 8080),
            13..61 => (
                Tier::Middle,
                "grpc",
                *[9090, 50_051, 8443].choose(rng).unwrap_or(&9090),
            ),
            _ => (
                Tier::Leaf,
                "db",
                *[5432, 6379, 9092, 3306].choose(rng).unwrap_or(&5432),
            ),
        };
        let component = match tier {
            Tier::Entry => "frontend",
            Tier::Middle => "backend",
            Tier::Leaf => "storage",
        };
        let mut labels = vec![
            pair("app.kubernetes.io/name", &name),
            pair("app.kubernetes.io/component", component),
        ];
        if rng.random_bool(0.3) {
            labels.push(pair("version", ["v1", "v2"].choose(rng).unwrap_or(&"v1")));
        }
        all.push(Workload {
            namespace: zipf(rng, namespaces - 1) + 1,
            name: name.into(),
            tier,
            labels,
            port: NamedPort {
                name: port_name.into(),
                port,
                protocol: TCP,
            },
            replicas: replicas(rng),
        });
    }
    all
}

fn externals(rng: &mut ChaCha8Rng, count: usize) -> Vec<External> {
    (0..count)
        .map(|index| {
            let address = Ipv4Addr::new(
                rng.random_range(11..=99),
                rng.random_range(0..=255),
                (index >> 8) as u8,
                index as u8,
            );
            // About one partner in twenty is called without a name.
            let name = rng.random_bool(0.95).then(|| {
                let domain = DOMAINS[rng.random_range(0..DOMAINS.len())];
                Arc::from(format!("api-{index}.{domain}"))
            });
            External {
                name,
                address: IpAddr::V4(address),
            }
        })
        .collect()
}

/// Each workload calls a few others; who is called already is more likely to be called.
fn calls(rng: &mut ChaCha8Rng, workloads: &[Workload], externals: usize) -> Vec<Call> {
    let mut calls = Vec::new();
    // Called workloads, once a call and once for being there: drawing from it is
    // preferential attachment.
    let mut urn: Vec<usize> = (1..workloads.len())
        .filter(|&index| workloads[index].tier != Tier::Entry)
        .collect();
    for (from, workload) in workloads.iter().enumerate().skip(1) {
        calls.push(Call::Inside { from, to: 0 });
        if workload.tier == Tier::Leaf {
            continue;
        }
        let mut called = Vec::new();
        for _ in 0..rng.random_range(1..=MOST_CALLS) {
            if let Some(&to) = urn.choose(rng)
                && to != from
                && !called.contains(&to)
            {
                called.push(to);
                urn.push(to);
            }
        }
        calls.extend(called.into_iter().map(|to| Call::Inside { from, to }));
        if rng.random_bool(0.2) {
            let to = rng.random_range(0..externals);
            calls.push(Call::Outside { from, to });
        }
    }
    calls
}

/// A rank below `count` by Zipf's law with exponent 1, by inverting the logarithm that its
/// sums grow with.
fn zipf(rng: &mut ChaCha8Rng, count: usize) -> usize {
    let most = ln(1.0 + count as f64);
    let rank = exp(rng.random::<f64>() * most) - 1.0;
    (rank as usize).min(count - 1)
}

/// Pods of a workload: log-normal with median 3, at most 40.
fn replicas(rng: &mut ChaCha8Rng) -> u32 {
    // The sum of twelve uniform draws less six is close to a normal one.
    let normal: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    (3.0 * exp(0.8 * normal)).round().clamp(1.0, 40.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: WorldSize = WorldSize {
        namespaces: 12,
        workloads: 600,
        policies: 300,
        externals: 50,
    };

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let (one, two) = (World::generate(7, SIZE), World::generate(7, SIZE));
        assert_eq!(one.workloads, two.workloads);
        assert_eq!(one.calls, two.calls);
        assert_ne!(one.calls, World::generate(8, SIZE).calls);
    }

    #[test]
    fn positions_of_identities_are_those_of_their_owners() {
        let world = World::generate(1, SIZE);
        let identities = world.identities();
        let pod = &identities[world.identity_of_workload(5)];
        assert!(
            pod.labels
                .iter()
                .any(|label| label.value == world.workloads[5].name)
        );
        let outside = &identities[world.identity_of_external(3)];
        assert_eq!(outside.address, Some(world.externals[3].address));
    }

    /// Guarantees the shape others rely on: few workloads are called by many, the largest
    /// namespace is several times the median.
    #[test]
    fn sizes_and_calls_are_unequal() {
        let world = World::generate(3, SIZE);
        let mut sizes = vec![0; world.namespaces.len()];
        for workload in &world.workloads {
            sizes[workload.namespace] += 1;
        }
        sizes.sort_unstable();
        assert!(sizes[sizes.len() - 1] > 3 * sizes[sizes.len() / 2]);
        let mut called = vec![0; world.workloads.len()];
        for call in &world.calls {
            if let Call::Inside { to, .. } = *call {
                called[to] += 1;
            }
        }
        assert_eq!(called[0], world.workloads.len() - 1);
        called[0] = 0;
        called.sort_unstable();
        assert!(called[called.len() - 1] > 10);
        assert!(called[called.len() / 2] <= 2);
    }
}
