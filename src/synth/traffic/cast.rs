//! Who takes part: nodes, pods with their addresses, and everybody outside.
//!
//! Owns who there is at the beginning, numbered, and the identities as policies see them.
//! Pods that come and go are `pods`', addresses outside `outside`'s, how Hubble names them is `names`'.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;

use super::super::number::{Random, mix};
use super::super::world::{Call, Tier, World};
use super::incident::MadeNames;
use super::plan::{Plan, Relabelled};
use super::pods::Slots;
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
/// Places on a node that pods never get.
pub(super) const FIRST_VACANT: u32 = 900;
/// Pods that a workload which follows the load may have, to one at the beginning.
const MOST_GROWTH: u32 = 2;

/// Somebody with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PartyId(pub(super) u32);

/// What a party is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A pod of a member: which of its replicas, and which place on its node.
    Pod { member: u32, place: u32, slot: u32 },
    /// The host of a node, as the kubelet speaks from it.
    Host,
    /// The ingress proxy of a node.
    Ingress,
    /// The API server.
    ApiServer,
    /// A node, by its own address, as pods of others reach it.
    Node(u16),
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
    /// What a pod is called and labelled.
    pub(super) variant: u32,
    /// Tells a pod from the one that had its number before.
    pub(super) uid: u64,
    /// The rollout of its workload that it came with.
    pub(super) revision: u32,
    /// Whether it is there.
    pub(super) alive: bool,
}

/// A name and labels that pods of a member have or had.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) namespace: Arc<str>,
    /// Of the controller.
    pub(super) name: Arc<str>,
    pub(super) kind: &'static str,
    /// Identity labels, sorted, as flows carry them.
    pub(super) labels: Vec<Arc<str>>,
    pub(super) identity: IdentityIndex,
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
    /// Of its Service.
    pub(super) name: Arc<str>,
    pub(super) kind: &'static str,
    /// Labels of its pods, key and value.
    pub(super) pod_labels: Vec<(Arc<str>, Arc<str>)>,
    pub(super) port: NamedPort,
    pub(super) pods: Vec<PartyId>,
    /// Pods it wants.
    pub(super) replicas: u32,
    /// Pods it can have.
    pub(super) places: u32,
    /// Of the pods that come.
    pub(super) variant: u32,
    pub(super) revision: u32,
}

/// Everybody.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) cluster: Arc<str>,
    pub(super) nodes: Vec<String>,
    pub(super) parties: Vec<Party>,
    /// The world's workloads in their order, then Prometheus.
    pub(super) members: Vec<Member>,
    /// The first of each member, then those that come with changes.
    pub(super) variants: Vec<Variant>,
    pub(super) slots: Slots,
    pub(super) hosts: Vec<PartyId>,
    pub(super) ingresses: Vec<PartyId>,
    pub(super) api_server: PartyId,
    /// The metadata service of the cloud.
    pub(super) metadata: PartyId,
    pub(super) wild: Range<u32>,
    /// Addresses of the pod network without a pod.
    pub(super) vacant: Range<u32>,
    /// Nodes by their own addresses.
    pub(super) node_addresses: Range<u32>,
    /// Addresses each external answers with.
    pub(super) externals: Vec<Range<u32>>,
    /// Those of content networks that move, afterwards.
    pub(super) moved: Vec<Range<u32>>,
    /// Which externals are content networks.
    pub(super) cdn: Vec<bool>,
    pub(super) identities: Vec<Identity>,
    /// Names that incidents make up; the first is nobody's.
    pub(super) made: Vec<MadeNames>,
}

impl Cast {
    /// Casts a world and what is planned for it.
    pub(super) fn new(world: &World, plan: &Plan, settings: &Settings, seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let kinds = kinds(world, plan, settings, &mut random);
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
            variants: Vec::new(),
            slots: Slots::new(nodes, FIRST_VACANT),
            hosts: Vec::new(),
            ingresses: Vec::new(),
            api_server: PartyId(0),
            metadata: PartyId(0),
            wild: 0..0,
            vacant: 0..0,
            node_addresses: 0..0,
            externals: Vec::new(),
            moved: Vec::new(),
            cdn: Vec::new(),
            identities: Vec::new(),
            made: vec![MadeNames::default()],
        };
        cast.add_nodes(nodes);
        cast.add_members(world, plan, &kinds, &replicas);
        for relabelled in &plan.relabelled {
            cast.add_variant(world, relabelled);
        }
        cast.place_pods(&mut random);
        cast.add_outside(world, settings, plan, &mut random);
        cast
    }

    pub(super) fn party(&self, id: PartyId) -> &Party {
        &self.parties[id.0 as usize]
    }

    /// One of some addresses that follow each other.
    pub(super) fn one_of(range: &Range<u32>, random: &mut Random) -> PartyId {
        let count = (range.end - range.start) as usize;
        PartyId(range.start + random.below(count) as u32)
    }

    /// One of a member's pods, if it has any.
    pub(super) fn pod_of(&self, member: u32, random: &mut Random) -> Option<PartyId> {
        random.pick(&self.members[member as usize].pods)
    }

    pub(super) fn variant(&self, party: &Party) -> &Variant {
        &self.variants[party.variant as usize]
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
        let remote = self.identity(6, reserved(&["remote-node"]), None);
        let first = self.parties.len() as u32;
        for node in 0..nodes {
            self.party_of(Role::Node(node as u16), None, node_ip(node), remote, 6);
        }
        self.node_addresses = first..self.parties.len() as u32;
    }

    fn add_members(
        &mut self,
        world: &World,
        plan: &Plan,
        kinds: &[&'static str],
        replicas: &[u32],
    ) {
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
            let texts = labels.iter().map(|label| Arc::from(label.to_string()));
            let texts: Vec<Arc<str>> = texts.collect();
            let number = identity_number(member);
            let identity = self.identity(number, labels, None);
            self.identities[identity.0 as usize].named_ports = vec![workload.port.clone()];
            let namespace = world.namespaces[workload.namespace].name.clone();
            self.variants.push(Variant {
                namespace: namespace.clone(),
                name: workload.name.clone(),
                kind,
                labels: texts,
                identity,
                number,
            });
            let growth = if plan.scaled.contains(&member) {
                MOST_GROWTH
            } else {
                1
            };
            self.members.push(Member {
                namespace,
                name: workload.name.clone(),
                kind,
                pod_labels: workload.labels.clone(),
                port: workload.port.clone(),
                pods: Vec::new(),
                replicas,
                places: replicas * growth,
                variant: member,
                revision: 0,
            });
        }
    }

    /// What pods of a member are called and labelled after a change.
    fn add_variant(&mut self, world: &World, of: &Relabelled) {
        let number = identity_number(self.variants.len() as u32);
        let base = self.variants[of.member as usize].clone();
        let workload = &world.workloads[of.member as usize];
        let mut labels = world.pod_labels(workload);
        for (key, value) in &of.labels {
            labels.retain(|label| label.key != *key);
            labels.push(Label::new("k8s", key, value));
        }
        labels.sort();
        let texts = labels.iter().map(|label| Arc::from(label.to_string()));
        let texts: Vec<Arc<str>> = texts.collect();
        let (identity, number) = if of.labels.is_empty() {
            (base.identity, base.number)
        } else {
            let identity = self.identity(number, labels, None);
            self.identities[identity.0 as usize].named_ports = vec![workload.port.clone()];
            (identity, number)
        };
        self.variants.push(Variant {
            name: of.name.clone().unwrap_or(base.name),
            labels: texts,
            identity,
            number,
            ..base
        });
    }

    /// Starts the pods that are there from the beginning: replicas go to nodes one after the
    /// other, as the scheduler spreads them.
    fn place_pods(&mut self, random: &mut Random) {
        for member in 0..self.members.len() {
            let mut node = random.below(self.nodes.len());
            // What belongs to a preview comes with it.
            if self.members[member]
                .namespace
                .starts_with(super::plan::PREVIEW)
            {
                continue;
            }
            for _ in 0..self.members[member].replicas {
                self.start_pod(member as u32, Some(node as u16), i64::MIN, random);
                node = (node + 1) % self.nodes.len();
            }
        }
    }

    pub(super) fn identity(
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

    pub(super) fn party_of(
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
            variant: 0,
            uid: self.parties.len() as u64,
            revision: 0,
            alive: true,
        });
        PartyId(self.parties.len() as u32 - 1)
    }
}

/// Which controller each workload has.
fn kinds(
    world: &World,
    plan: &Plan,
    settings: &Settings,
    random: &mut Random,
) -> Vec<&'static str> {
    let mut called = vec![false; world.workloads.len()];
    for (index, call) in world.calls.iter().enumerate() {
        if let Call::Inside { to, .. } = *call
            && !plan.unusual.contains(&index)
        {
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

/// Cilium's number of a variant's identity.
fn identity_number(variant: u32) -> u32 {
    FIRST_IDENTITY + 7 * variant + (mix(u64::from(variant)) % 7) as u32
}

/// Addresses of pods: 1,024 a node, from 10.0.4.0.
pub(super) fn pod_ip(node: usize, slot: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + ((node as u32 + 1) << 10) + slot + 1)
}
