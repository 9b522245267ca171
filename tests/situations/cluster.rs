//! The cluster that situations are told of: who is there, and policies about `srv`.

use std::sync::Arc;

use flowwatch::inventory::{Identity, Label};
use flowwatch::manifest::{Document, read};
use flowwatch::policy::{
    Compiled, Decision, Direction, HttpRequest, IdentityIndex, Options, PolicySet, RequestVerdict,
    World,
};
use serde_json::{Value, json};

/// Who is there: a label, the namespace of a pod, an address, a name that DNS gave.
const IDENTITIES: [(&str, &str, &str, &str); 8] = [
    ("k8s:app=srv", "default", "", ""),
    ("k8s:app=a", "default", "", ""),
    ("k8s:app=b", "default", "", ""),
    ("reserved:host", "", "", ""),
    ("reserved:ingress", "", "", ""),
    ("reserved:world-ipv4", "", "9.9.9.9", ""),
    ("reserved:world-ipv4", "", "8.8.8.8", ""),
    ("reserved:world-ipv4", "", "5.5.5.5", "www.cilium.io"),
];
pub const SRV: IdentityIndex = IdentityIndex(0);
pub const A: IdentityIndex = IdentityIndex(1);
pub const B: IdentityIndex = IdentityIndex(2);
pub const HOST: IdentityIndex = IdentityIndex(3);
pub const INGRESS: IdentityIndex = IdentityIndex(4);
pub const NINE: IdentityIndex = IdentityIndex(5);
pub const EIGHT: IdentityIndex = IdentityIndex(6);
pub const CILIUM: IdentityIndex = IdentityIndex(7);

/// A cluster with policies. Any connection to it is from the outside in.
pub struct Cluster(Compiled);

/// A policy `name` in `default` about `app: srv`.
pub fn policy(name: &str, rules: &Value) -> Value {
    let mut spec = json!({"endpointSelector": {"matchLabels": {"app": "srv"}}});
    for (key, value) in rules.as_object().expect("rules") {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    })
}

pub fn documents(policies: &[Value]) -> Vec<Document> {
    policies
        .iter()
        .flat_map(|policy| read(&policy.to_string(), "policy.json".into()).documents)
        .collect()
}

impl Cluster {
    /// With one policy about `srv`.
    pub fn with(rules: &Value) -> Self {
        Self::holding(&[policy("p", rules)], &Options::default(), true)
    }

    /// With whole policies and options of the agents. `names` is whether every name of an
    /// address was seen.
    pub fn holding(policies: &[Value], options: &Options, names: bool) -> Self {
        let options = Options {
            cluster_name: "c1".into(),
            ..options.clone()
        };
        let set = PolicySet::build(&documents(policies), &[], &[], &options);
        for object in &set.objects {
            assert_eq!(object.rejection, None, "{}", object.id);
        }
        let world = World {
            identities: identities(names),
            names_complete: names,
            ports_complete: true,
        };
        Self(Compiled::new(Arc::new(set), &world, &options))
    }

    /// What `subject` says of a connection from `peer`.
    pub fn ingress(&self, subject: IdentityIndex, peer: IdentityIndex, port: u16) -> Decision {
        self.0.decide(subject, Direction::Ingress, peer, 6, port)
    }

    /// What `srv` says of a connection to `peer`.
    pub fn egress(&self, peer: IdentityIndex, protocol: u8, port: u16) -> Decision {
        self.0.decide(SRV, Direction::Egress, peer, protocol, port)
    }

    /// Whether a request from `peer` to port 80 of `srv` passes.
    pub fn request(&self, peer: IdentityIndex, request: &HttpRequest<'_>) -> bool {
        let answer = self
            .0
            .http_request(SRV, Direction::Ingress, peer, 6, 80, request);
        match answer {
            RequestVerdict::Allowed => true,
            RequestVerdict::Denied => false,
            RequestVerdict::Unknown(cause) => panic!("{request:?} is unknown: {cause}"),
        }
    }

    /// Whether a query of `srv` to the DNS server `peer` over UDP is answered.
    pub fn query(&self, peer: IdentityIndex, name: &str) -> bool {
        self.0.dns_allowed(SRV, peer, 17, 53, name)
    }
}

fn identities(names: bool) -> Vec<Identity> {
    (1000..)
        .zip(IDENTITIES)
        .map(|(number, (label, namespace, address, name))| {
            let mut labels = vec![Label::parse(label)];
            if !namespace.is_empty() {
                labels.push(Label::new("k8s", "io.kubernetes.pod.namespace", namespace));
                labels.push(Label::new("k8s", "io.cilium.k8s.policy.cluster", "c1"));
            }
            Identity {
                // The node's own host is known by its number.
                number: if label == "reserved:host" { 1 } else { number },
                labels,
                address: address.parse().ok(),
                names: Some(name)
                    .filter(|name| names && !name.is_empty())
                    .map(Into::into)
                    .into_iter()
                    .collect(),
                ..Identity::default()
            }
        })
        .collect()
}
