//! Who takes part: nodes, pods with their addresses, and everybody outside.
//!
//! Owns placing pods on nodes, numbering them, and their identities as policies see them.
//! How Hubble names them is `names`'.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;

use super::super::number::{Random, mix};
use super::super::world::{Call, Tier, World};
use super::settings::Settings;
use crate::inventory::{Identity, Label, NamedPort};
use crate::policy::IdentityIndex;

/// IANA numbers.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// The first number of a pod's identity.
const FIRST_IDENTITY: u32 = 10_240;
/// Pods of a node, at most.
const PODS_A_NODE: usize = 200;
/// Addresses nobody has business with, for strays.
const WILD: u32 = 64;

/// Somebody with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PartyId(pub(super) u32);

/// What a party is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A pod of a member; which place on its node comes second.
    Pod { member: u32, slot: u32 },
    /// The host of a node, as the kubelet speaks from it.
    Host,
    /// The ingress proxy of a node.
    Ingress,
    /// The API server.
    ApiServer,
    /// An address of an external of the world.
    External(u32),
    /// An address without a name.
    Address,
}

/// Somebody with an address.
#[derive(Clone, Debug)]
pub(super) struct Party {
    pub(super) role: Role,
    /// Where it runs; outside has none.
    pub(super) node: Option<u16>,
    pub(super) ip: Ipv4Addr,
    /// As policies are asked with.
    pub(super) identity: IdentityIndex,
    /// Cilium's number.
    pub(super) number: u32,
}

impl Party {
    pub(super) fn is_pod(&self) -> bool {
        matches!(self.role, Role::Pod { .. })
    }

    pub(super) fn member(&self) -> Option<usize> {
        match self.role {
            Role::Pod { member, .. } => Some(member as usize),
            _ => None,
        }
    }
}

/// A workload and its pods.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) kind: &'static str,
    /// Labels of its pods, key and value.
    pub(super) pod_labels: Vec<(Arc<str>, Arc<str>)>,
    /// Identity labels, sorted, as flows carry them.
    pub(super) labels: Vec<Arc<str>>,
    pub(super) port: NamedPort,
    pub(super) pods: Range<u32>,
}

/// Everybody.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) cluster: Arc<str>,
    pub(super) nodes: Vec<String>,
    pub(super) parties: Vec<Party>,
    /// The world's workloads in their order, then Prometheus.
    pub(super) members: Vec<Member>,
    pub(super) hosts: Vec<PartyId>,
    pub(super) ingresses: Vec<PartyId>,
    pub(super) api_server: PartyId,
    /// The metadata service of the cloud.
    pub(super) metadata: PartyId,
    pub(super) wild: Range<u32>,
    /// Addresses of each external.
    pub(super) externals: Vec<Range<u32>>,
    /// Which externals are content networks.
    pub(super) cdn: Vec<bool>,
    pub(super) identities: Vec<Identity>,
}

impl Cast {
    /// Casts a world.
    pub(super) fn new(world: &World, settings: &Settings, seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let kinds = kinds(world, settings, &mut random);
        let mut replicas: Vec<u32> = world
            .workloads
            .iter()
            .zip(&kinds)
            .map(|(workload, kind)| match *kind {
                "CronJob" => 1,
                _ => workload.replicas.min(settings.world.replicas as u32),
            })
            .collect();
        replicas.push(1);
        let pods: u32 = replicas.iter().sum();
        let nodes = settings.world.nodes.max(pods as usize / PODS_A_NODE + 1);
        let mut cast = Self {
            cluster: world.cluster.clone(),
            nodes: (1..=nodes).map(|node| format!("worker-{node}")).collect(),
            parties: Vec::new(),
            members: Vec::new(),
            hosts: Vec::new(),
            ingresses: Vec::new(),
            api_server: PartyId(0),
            metadata: PartyId(0),
            wild: 0..0,
            externals: Vec::new(),
            cdn: Vec::new(),
            identities: Vec::new(),
        };
        cast.add_nodes(nodes);
        cast.add_members(world, &kinds, &replicas, &mut random);
        cast.add_outside(world, settings, &mut random);
        cast
    }

    pub(super) fn party(&self, id: PartyId) -> &Party {
        &self.parties[id.0 as usize]
    }

    /// One of a member's pods, or of the addresses of an external.
    pub(super) fn one_of(range: &Range<u32>, random: &mut Random) -> PartyId {
        let count = (range.end - range.start) as usize;
        PartyId(range.start + random.below(count) as u32)
    }

    pub(super) fn prometheus(&self) -> &Member {
        &self.members[self.members.len() - 1]
    }

    fn add_nodes(&mut self, nodes: usize) {
        let reserved = |names: &[&str]| -> Vec<Label> {
            let names = names.iter();
            names.map(|name| Label::new("reserved", name, "")).collect()
        };
        let node_ip = |node: usize| Ipv4Addr::from(0xac10_0000 + 10 + node as u32);
        let server = Ipv4Addr::new(172, 31, 255, 10);
        let host = self.identity(1, reserved(&["host"]), None);
        let ingress = self.identity(8, reserved(&["ingress"]), None);
        let api = reserved(&["kube-apiserver", "remote-node"]);
        let api = self.identity(7, api, Some(server));
        for node in 0..nodes {
            let at = Some(node as u16);
            // The kubelet speaks from the address the node has among its pods.
            let id = self.party_of(Role::Host, at, pod_ip(node, 0), host, 1);
            self.hosts.push(id);
            let id = self.party_of(Role::Ingress, at, pod_ip(node, 1), ingress, 8);
            self.ingresses.push(id);
        }
        debug_assert!(node_ip(nodes) < server);
        self.api_server = self.party_of(Role::ApiServer, None, server, api, 7);
    }

    fn add_members(
        &mut self,
        world: &World,
        kinds: &[&'static str],
        replicas: &[u32],
        random: &mut Random,
    ) {
        let mut used = vec![2_u32; self.nodes.len()];
        let prometheus = World::prometheus();
        let workloads = world
            .workloads
            .iter()
            .zip(kinds)
            .chain([(&prometheus, &"StatefulSet")]);
        for ((workload, kind), &replicas) in workloads.zip(replicas) {
            let member = self.members.len() as u32;
            let mut labels = world.pod_labels(workload);
            labels.sort();
            let number = FIRST_IDENTITY + 7 * member + (mix(u64::from(member)) % 7) as u32;
            let texts = labels.iter().map(|label| Arc::from(label.to_string()));
            let texts: Vec<Arc<str>> = texts.collect();
            let identity = self.identity(number, labels, None);
            self.identities[identity.0 as usize].named_ports = vec![workload.port.clone()];
            let first = self.parties.len() as u32;
            let mut node = random.below(self.nodes.len());
            for _ in 0..replicas {
                // Replicas go to nodes one after the other, as the scheduler spreads them.
                let full = (0..self.nodes.len())
                    .find(|step| used[(node + step) % self.nodes.len()] < PODS_A_NODE as u32 + 50);
                node = (node + full.unwrap_or(0)) % self.nodes.len();
                let slot = used[node];
                used[node] += 1;
                let role = Role::Pod { member, slot };
                self.party_of(
                    role,
                    Some(node as u16),
                    pod_ip(node, slot),
                    identity,
                    number,
                );
                node = (node + 1) % self.nodes.len();
            }
            self.members.push(Member {
                namespace: world.namespaces[workload.namespace].name.clone(),
                name: workload.name.clone(),
                kind,
                pod_labels: workload.labels.clone(),
                labels: texts,
                port: workload.port.clone(),
                pods: first..self.parties.len() as u32,
            });
        }
    }

    fn add_outside(&mut self, world: &World, settings: &Settings, random: &mut Random) {
        for (index, external) in world.externals.iter().enumerate() {
            let cdn = external.name.is_some() && random.chance(settings.dns.cdn.0);
            let count = if cdn { settings.dns.cdn_addresses } else { 1 };
            let IpAddr::V4(base) = external.address else {
                continue;
            };
            let first = self.parties.len() as u32;
            for address in 0..count {
                // Content networks answer from a /20, spread over it by an odd step.
                let spread = (u32::from(base) & 0xfff) + 241 * address as u32;
                let ip = Ipv4Addr::from(u32::from(base) & !0xfff | spread & 0xfff);
                let identity = self.outside(ip, external.name.clone());
                let role = Role::External(index as u32);
                self.party_of(role, None, ip, identity, 0);
            }
            self.externals.push(first..self.parties.len() as u32);
            self.cdn.push(cdn);
        }
        let metadata = Ipv4Addr::new(169, 254, 169, 254);
        let identity = self.outside(metadata, None);
        self.metadata = self.party_of(Role::Address, None, metadata, identity, 0);
        let first = self.parties.len() as u32;
        for _ in 0..WILD {
            // Not an address of an external: these are below 100.
            let ip = Ipv4Addr::from(0xb900_0000 | (random.next() as u32 & 0x00ff_ffff));
            let identity = self.outside(ip, None);
            self.party_of(Role::Address, None, ip, identity, 0);
        }
        self.wild = first..self.parties.len() as u32;
    }

    fn outside(&mut self, ip: Ipv4Addr, name: Option<Arc<str>>) -> IdentityIndex {
        let number = (1 << 24) + 1 + self.identities.len() as u32;
        let at = self.identity(number, Vec::new(), Some(ip));
        self.identities[at.0 as usize].names = name.into_iter().collect();
        at
    }

    fn identity(
        &mut self,
        number: u32,
        labels: Vec<Label>,
        address: Option<Ipv4Addr>,
    ) -> IdentityIndex {
        self.identities.push(Identity {
            number,
            labels,
            address: address.map(IpAddr::V4),
            ..Identity::default()
        });
        IdentityIndex(self.identities.len() as u32 - 1)
    }

    fn party_of(
        &mut self,
        role: Role,
        node: Option<u16>,
        ip: Ipv4Addr,
        identity: IdentityIndex,
        number: u32,
    ) -> PartyId {
        self.parties.push(Party {
            role,
            node,
            ip,
            identity,
            number,
        });
        PartyId(self.parties.len() as u32 - 1)
    }
}

/// Which controller each workload has.
fn kinds(world: &World, settings: &Settings, random: &mut Random) -> Vec<&'static str> {
    let mut called = vec![false; world.workloads.len()];
    for call in &world.calls {
        if let Call::Inside { to, .. } = *call {
            called[to] = true;
        }
    }
    let workloads = world.workloads.iter().zip(called).enumerate();
    workloads
        .map(|(index, (workload, called))| match workload.tier {
            _ if index == 0 => "Deployment",
            Tier::Middle if !called && random.chance(settings.platform.cron.0) => "CronJob",
            Tier::Leaf if random.chance(0.2) => "StatefulSet",
            Tier::Middle if random.chance(0.08) => "DaemonSet",
            _ => "Deployment",
        })
        .collect()
}

/// Addresses of pods: 1,024 a node, from 10.0.4.0.
fn pod_ip(node: usize, slot: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + ((node as u32 + 1) << 10) + slot + 1)
}
