//! The shop's cluster: nodes, pods and policies, and how Hubble names each of them.

use serde_json::{Map, Value, json};

pub(super) const CLUSTER: &str = "shop-prod";
pub(super) const RELAY: &str = "hubble-relay-6c7b9d5f8-zr2kq";

pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) ip: &'static str,
    /// Address of the node among its pods.
    pub(super) router: &'static str,
    pub(super) health: &'static str,
    pub(super) health_id: u32,
    zone: &'static str,
}

pub(super) const WORKER_1: usize = 0;
pub(super) const WORKER_2: usize = 1;
pub(super) const WORKER_3: usize = 2;

pub(super) const NODES: [Node; 3] = [
    Node {
        name: "worker-1",
        ip: "10.20.0.11",
        router: "10.42.1.1",
        health: "10.42.1.77",
        health_id: 1307,
        zone: "eu-1a",
    },
    Node {
        name: "worker-2",
        ip: "10.20.0.12",
        router: "10.42.2.1",
        health: "10.42.2.134",
        health_id: 288,
        zone: "eu-1b",
    },
    Node {
        name: "worker-3",
        ip: "10.20.0.13",
        router: "10.42.3.1",
        health: "10.42.3.19",
        health_id: 2964,
        zone: "eu-1c",
    },
];

impl Node {
    /// As flows name it: with the cluster.
    pub(super) fn full_name(&self) -> String {
        format!("{CLUSTER}/{}", self.name)
    }

    pub(super) fn labels(&self) -> Value {
        json!([
            "kubernetes.io/arch=amd64",
            format!("kubernetes.io/hostname={}", self.name),
            "kubernetes.io/os=linux",
            format!("topology.kubernetes.io/zone={}", self.zone),
        ])
    }
}

pub(super) struct Pod {
    pub(super) id: u32,
    identity: u32,
    pub(super) namespace: &'static str,
    app: &'static str,
    name: &'static str,
    kind: &'static str,
    pub(super) node: usize,
    pub(super) ip: &'static str,
    /// Address of the service in front of it.
    pub(super) service_ip: &'static str,
}

macro_rules! pod {
    ($id:literal, $identity:literal, $namespace:literal, $app:literal, $name:literal, $kind:literal, $node:expr, $ip:literal, $service:literal) => {
        Pod {
            id: $id,
            identity: $identity,
            namespace: $namespace,
            app: $app,
            name: $name,
            kind: $kind,
            node: $node,
            ip: $ip,
            service_ip: $service,
        }
    };
}

#[rustfmt::skip]
mod pods {
    use super::{Pod, WORKER_1, WORKER_2, WORKER_3};
    pub(crate) const FRONTEND_1: Pod = pod!(412, 18204, "shop", "frontend", "frontend-6f9c8d7b5-q8xkz", "Deployment", WORKER_1, "10.42.1.23", "10.96.30.11");
    pub(crate) const FRONTEND_2: Pod = pod!(1733, 18204, "shop", "frontend", "frontend-6f9c8d7b5-m2rtw", "Deployment", WORKER_2, "10.42.2.58", "10.96.30.11");
    pub(crate) const CHECKOUT_1: Pod = pod!(951, 25177, "shop", "checkout", "checkout-7d5b9c6f48-t9wlc", "Deployment", WORKER_1, "10.42.1.91", "10.96.31.40");
    /// The one that is taken over.
    pub(crate) const CHECKOUT_2: Pod = pod!(2206, 25177, "shop", "checkout", "checkout-7d5b9c6f48-hx2vp", "Deployment", WORKER_2, "10.42.2.140", "10.96.31.40");
    pub(crate) const REPORTS: Pod = pod!(3378, 40951, "shop", "reports", "reports-29693045-x8k2d", "CronJob", WORKER_3, "10.42.3.202", "");
    pub(crate) const PAYMENTS: Pod = pod!(640, 31490, "payments", "payments", "payments-5c8f7d9d6b-4jgzn", "Deployment", WORKER_3, "10.42.3.67", "10.96.44.8");
    pub(crate) const DATABASE: Pod = pod!(1192, 9713, "payments", "database", "database-0", "StatefulSet", WORKER_3, "10.42.3.115", "10.96.45.3");
    pub(crate) const COREDNS_1: Pod = pod!(77, 4021, "kube-system", "kube-dns", "coredns-7db6d8ff4d-5hvnc", "Deployment", WORKER_1, "10.42.1.8", "10.96.0.10");
    pub(crate) const COREDNS_3: Pod = pod!(2519, 4021, "kube-system", "kube-dns", "coredns-7db6d8ff4d-xb8qp", "Deployment", WORKER_3, "10.42.3.5", "10.96.0.10");
}
pub(super) use pods::*;

impl Pod {
    fn labels(&self) -> Vec<String> {
        let dns = self.app == "kube-dns";
        let account = if dns { "coredns" } else { self.app };
        let namespace = self.namespace;
        let mut labels = vec![
            format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={namespace}"),
            format!("k8s:io.cilium.k8s.policy.cluster={CLUSTER}"),
            format!("k8s:io.cilium.k8s.policy.serviceaccount={account}"),
            format!("k8s:io.kubernetes.pod.namespace={namespace}"),
        ];
        labels.push(if dns {
            "k8s:k8s-app=kube-dns".to_owned()
        } else {
            format!("k8s:app={}", self.app)
        });
        labels.sort();
        labels
    }

    /// The workload's name: the pod's without what its controllers add.
    fn workload(&self) -> &'static str {
        if self.app == "kube-dns" {
            "coredns"
        } else {
            self.app
        }
    }

    pub(super) fn service(&self) -> Value {
        json!({"name": self.app, "namespace": self.namespace})
    }
}

/// One end of a packet.
#[derive(Clone, Copy)]
pub(super) enum Peer {
    Pod(&'static Pod),
    /// A node, seen from itself as host and from others as remote node.
    Node(usize),
    /// The address of a node among its pods.
    Router(usize),
    Health(usize),
    /// The API server's node.
    ApiServer,
    World(&'static str),
    /// Outside, known by a name that a policy allows: address, name, pattern, identity.
    /// The number is of the observing node alone.
    Named(&'static str, &'static str, &'static str, u32),
}

impl Peer {
    pub(super) fn ip(self) -> &'static str {
        match self {
            Self::Pod(pod) => pod.ip,
            Self::Node(node) => NODES[node].ip,
            Self::Router(node) => NODES[node].router,
            Self::Health(node) => NODES[node].health,
            Self::ApiServer => "10.20.0.5",
            Self::World(ip) | Self::Named(ip, ..) => ip,
        }
    }

    pub(super) fn dns_name(self) -> Option<&'static str> {
        match self {
            Self::Named(_, name, ..) => Some(name),
            _ => None,
        }
    }

    /// The endpoint as `node` knows it: its own in full, others by the address cache.
    pub(super) fn endpoint(self, node: usize) -> Value {
        match self {
            Self::Pod(pod) => {
                let mut endpoint = Map::new();
                if pod.node == node {
                    endpoint.insert("ID".into(), pod.id.into());
                }
                endpoint.insert("identity".into(), pod.identity.into());
                endpoint.insert("cluster_name".into(), CLUSTER.into());
                endpoint.insert("namespace".into(), pod.namespace.into());
                endpoint.insert("labels".into(), pod.labels().into());
                endpoint.insert("pod_name".into(), pod.name.into());
                if pod.node == node {
                    let workload = json!([{"name": pod.workload(), "kind": pod.kind}]);
                    endpoint.insert("workloads".into(), workload);
                }
                endpoint.into()
            }
            Self::Node(of) | Self::Router(of) if of == node => {
                json!({"identity": 1, "labels": ["reserved:host"]})
            }
            Self::Node(_) | Self::Router(_) => {
                json!({"identity": 6, "labels": ["reserved:remote-node"]})
            }
            Self::Health(of) if of == node => {
                json!({"ID": NODES[of].health_id, "identity": 4, "labels": ["reserved:health"]})
            }
            Self::Health(_) => json!({"identity": 4, "labels": ["reserved:health"]}),
            Self::ApiServer => json!({
                "identity": 7,
                "labels": ["reserved:kube-apiserver", "reserved:remote-node"],
            }),
            Self::World(_) => json!({"identity": 2, "labels": ["reserved:world"]}),
            Self::Named(_, _, pattern, identity) => json!({
                "identity": identity,
                "labels": [format!("fqdn:{pattern}"), "reserved:world"],
            }),
        }
    }

    /// A MAC address made of the address and the node that sees it.
    pub(super) fn mac(self, node: usize) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in self.ip().bytes().chain([node as u8]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let bytes = hash.to_be_bytes();
        // Locally administered, no group.
        let first = (bytes[2] & 0xfc) | 2;
        format!(
            "{first:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
            bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]
        )
    }
}

/// A policy of `samples/policies`, as verdicts name it.
pub(super) struct Policy {
    name: &'static str,
    /// Empty for a cluster-wide one.
    namespace: &'static str,
    uid: &'static str,
}

pub(super) const FRONTEND: Policy = Policy {
    name: "frontend",
    namespace: "shop",
    uid: "4e0fb0a2-6b5c-4c55-8f0a-1c9b6d2f7a10",
};
pub(super) const CHECKOUT: Policy = Policy {
    name: "checkout",
    namespace: "shop",
    uid: "9a3d7c1e-20f4-4b1b-9d0e-77a1c5e8b342",
};
pub(super) const PAYMENTS_API: Policy = Policy {
    name: "payments",
    namespace: "payments",
    uid: "c27b91f8-53ad-4d8e-b6f3-0e4a9c18d6f5",
};
pub(super) const LEDGER: Policy = Policy {
    name: "database",
    namespace: "payments",
    uid: "1f86e3d4-98c7-4a02-a5b9-d30c7e62f981",
};
pub(super) const DNS: Policy = Policy {
    name: "allow-dns",
    namespace: "",
    uid: "e5c04b7a-3f19-4e6d-8c21-b94fa07d35e6",
};

impl Policy {
    pub(super) fn reference(&self) -> Value {
        let kind = if self.namespace.is_empty() {
            "CiliumClusterwideNetworkPolicy"
        } else {
            "CiliumNetworkPolicy"
        };
        let label = |key: &str, value: &str| format!("k8s:io.cilium.k8s.policy.{key}={value}");
        let mut labels = vec![label("derived-from", kind), label("name", self.name)];
        let mut policy = Map::new();
        policy.insert("name".into(), self.name.into());
        if !self.namespace.is_empty() {
            labels.push(label("namespace", self.namespace));
            policy.insert("namespace".into(), self.namespace.into());
        }
        labels.push(label("uid", self.uid));
        policy.insert("labels".into(), labels.into());
        policy.insert("revision".into(), "17".into());
        policy.insert("kind".into(), kind.into());
        policy.into()
    }
}
