//! Who policies speak of, made up from their selectors, and flows between them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::json;

use super::Changes;
use crate::inventory::{Identity, Label};
use crate::manifest::Document;
use crate::policy::tests::naive::{self, Naive};
use crate::policy::{
    Direction, LabelSelector, Operator, Options, PeerSelector, PolicyEntry, PolicySet, Port,
    Protocol, ReadObject, Source, read_document,
};

const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
/// Flows of one repository at most.
const MOST_FLOWS: usize = 1500;
/// Labels of namespaces in the identity of their pods.
const OWN_NAME: &str = "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name";

/// Somebody a policy speaks of.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::review) struct Somebody {
    identity: Identity,
    /// As reports call it.
    client: String,
    server: String,
    address: String,
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::review) struct Flow {
    from: usize,
    to: usize,
    port: u16,
    protocol: u8,
}

/// Everybody, and who calls whom.
#[derive(Debug)]
pub(in crate::review) struct Cluster {
    people: Vec<Somebody>,
    pub(in crate::review) flows: Vec<Flow>,
}

/// The policies of which the naive evaluator knows all parts.
pub(in crate::review) fn modelled(documents: &[Document]) -> Vec<Document> {
    let options = Options::default();
    let is_modelled = |entry: &PolicyEntry| {
        !entry.subject.node
            && entry.auth.is_none()
            && !entry.service_missing
            && entry.peers.iter().flatten().all(|peer| {
                matches!(
                    peer,
                    PeerSelector::Everyone | PeerSelector::Labels(_) | PeerSelector::Cidr { .. }
                )
            })
            && entry.ports.iter().all(|rule| {
                rule.listener.is_none()
                    && rule.ports.iter().all(|port| {
                        matches!(port.port, Port::Number(_))
                            && matches!(
                                port.protocol,
                                Protocol::Any | Protocol::Tcp | Protocol::Udp
                            )
                    })
            })
    };
    let mut kept: Vec<Document> = Vec::new();
    for document in documents {
        let ReadObject::Policy(policy) = read_document(document) else {
            continue;
        };
        let Ok(entries) = policy.entries(&[], &options) else {
            continue;
        };
        let twice = kept.iter().any(|other| other.title() == document.title());
        if entries.iter().all(is_modelled)
            && !twice
            && document.scope != crate::manifest::Scope::Unknown
        {
            kept.push(document.clone());
        }
    }
    kept
}

impl Cluster {
    pub(in crate::review) fn of(documents: &[Document]) -> Self {
        let set = set(documents);
        let mut cluster = Self {
            people: Vec::new(),
            flows: Vec::new(),
        };
        for (labels, name) in [
            (&["reserved:host"][..], "host"),
            (&["reserved:remote-node"], "remote-node"),
            (&["reserved:health"], "health"),
        ] {
            cluster.reserved(labels, name);
        }
        cluster.outside("198.51.100.7".parse().unwrap());
        cluster.pod(&[("app".into(), "stranger".into())], "elsewhere");
        let mut flows: BTreeSet<Flow> = BTreeSet::new();
        for entry in &set.entries {
            let Some(subject) = cluster.selected(&entry.subject.selector) else {
                continue;
            };
            let mut peers: Vec<usize> = vec![0, 1, 3, 4];
            for peer in entry.peers.iter().flatten().take(6) {
                peers.extend(match peer {
                    PeerSelector::Labels(selector) => cluster.selected(selector),
                    PeerSelector::Cidr { prefix, .. } => prefix
                        .hosts()
                        .nth(1)
                        .map(|address| cluster.outside(address)),
                    _ => None,
                });
            }
            let mut ports: Vec<(u16, u8)> = vec![(4242, 6), (53, 17)];
            for port in entry.ports.iter().flat_map(|rule| &rule.ports).take(6) {
                let Port::Number(number) = port.port else {
                    continue;
                };
                let protocol = if port.protocol == Protocol::Udp {
                    17
                } else {
                    6
                };
                ports.push((number.max(1), protocol));
            }
            for peer in peers {
                for (port, protocol) in &ports {
                    let (from, to) = match entry.direction {
                        Direction::Egress => (subject, peer),
                        Direction::Ingress => (peer, subject),
                    };
                    if from != to {
                        flows.insert(Flow {
                            from,
                            to,
                            port: *port,
                            protocol: *protocol,
                        });
                    }
                }
            }
        }
        let every = flows.len().div_ceil(MOST_FLOWS).max(1);
        cluster.flows = flows.into_iter().step_by(every).collect();
        cluster
    }

    /// The flows as Hubble writes them: verdicts of the client's side, or of the server's
    /// where the client has none.
    pub(in crate::review) fn lines(&self) -> String {
        let mut lines = String::new();
        for (number, flow) in self.flows.iter().enumerate() {
            let (from, to) = (&self.people[flow.from], &self.people[flow.to]);
            let ingress =
                !is_endpoint(&from.identity) || (is_endpoint(&to.identity) && number % 2 == 1);
            let port = json!({
                "source_port": 20_000 + number % 12_000, "destination_port": flow.port,
                "flags": if flow.protocol == 6 { json!({"SYN": true}) } else { json!({}) },
            });
            let layer4 = if flow.protocol == 6 { "TCP" } else { "UDP" };
            let time = format!(
                "2026-01-02T03:{:02}:{:02}.{:03}Z",
                number / 600 % 60,
                number / 10 % 60,
                number % 10 * 100
            );
            let version = if from.address.contains(':') || to.address.contains(':') {
                "IPv6"
            } else {
                "IPv4"
            };
            let flow = json!({
                "time": time,
                "verdict": "FORWARDED",
                "IP": {"source": from.address, "destination": to.address, "ipVersion": version},
                "l4": {layer4: port},
                "source": from.endpoint(!ingress),
                "destination": to.endpoint(ingress),
                "Type": "L3_L4",
                "node_name": "default/node-1",
                "event_type": {"type": 5},
                "traffic_direction": if ingress { "INGRESS" } else { "EGRESS" },
                "is_reply": false,
            });
            lines.push_str(
                &json!({"flow": flow, "node_name": "default/node-1", "time": time}).to_string(),
            );
            lines.push('\n');
        }
        lines
    }

    /// What the naive evaluator says that changes.
    pub(super) fn changes(&self, base: &[Document], head: &[Document]) -> Changes {
        let (base, head) = (set(base), set(head));
        let mut changes = Changes::new();
        for flow in &self.flows {
            let change = match (self.passes(&base, *flow), self.passes(&head, *flow)) {
                (true, false) => "newly-denied",
                (false, true) => "newly-allowed",
                _ => continue,
            };
            let key = (
                self.people[flow.from].client.clone(),
                self.people[flow.to].server.clone(),
                flow.port,
                if flow.protocol == 6 { "TCP" } else { "UDP" },
                change,
            );
            *changes.entry(key).or_default() += 1;
        }
        changes
    }

    pub(in crate::review) fn passes(&self, set: &PolicySet, flow: Flow) -> bool {
        let (from, to) = (
            &self.people[flow.from].identity,
            &self.people[flow.to].identity,
        );
        [
            (Direction::Egress, from, to),
            (Direction::Ingress, to, from),
        ]
        .into_iter()
        // The host's own policies are off unless its firewall is on.
        .filter(|(_, subject, _)| is_endpoint(subject) && subject.number != 1)
        .all(|(direction, subject, peer)| {
            let connection = naive::Connection {
                subject,
                peer,
                direction,
                protocol: flow.protocol,
                port: flow.port,
            };
            matches!(
                naive::verdict(set, &connection),
                Naive::Allowed | Naive::Redirected
            )
        })
    }

    /// Somebody a selector selects, as simple as can be; `None` where that takes more than
    /// is known here.
    fn selected(&mut self, selector: &LabelSelector) -> Option<usize> {
        let mut labels: Vec<(String, String)> = Vec::new();
        let mut namespace = "elsewhere".to_owned();
        for requirement in selector.requirements() {
            let key = &*requirement.key.name;
            if matches!(&requirement.key.source, Source::Of(source) if &**source == "reserved") {
                let known = ["host", "remote-node", "health"];
                return known
                    .iter()
                    .position(|name| *name == key)
                    .or_else(|| key.starts_with("world").then_some(3));
            }
            let value = match requirement.operator {
                Operator::In => requirement.values.first()?.to_string(),
                Operator::Exists => "there".to_owned(),
                Operator::NotIn | Operator::DoesNotExist => continue,
            };
            match key {
                NAMESPACE => {
                    namespace = if requirement.operator == Operator::Exists {
                        namespace
                    } else {
                        value
                    }
                }
                CLUSTER => {}
                OWN_NAME => namespace = value,
                key => labels.push((key.to_owned(), value)),
            }
        }
        labels.sort();
        labels.dedup_by(|one, other| one.0 == other.0);
        Some(self.pod(&labels, &namespace))
    }

    fn pod(&mut self, labels: &[(String, String)], namespace: &str) -> usize {
        let mut own: Vec<Label> = labels
            .iter()
            .map(|(key, value)| Label::new("k8s", key, value))
            .collect();
        own.push(Label::new("k8s", NAMESPACE, namespace));
        own.push(Label::new("k8s", OWN_NAME, namespace));
        own.push(Label::new("k8s", CLUSTER, "default"));
        own.push(Label::new(
            "k8s",
            "io.cilium.k8s.policy.serviceaccount",
            "default",
        ));
        own.sort();
        own.dedup_by(|one, other| one.key == other.key);
        if let Some(known) = self
            .people
            .iter()
            .position(|one| one.identity.labels == own)
        {
            return known;
        }
        let number = self.people.len();
        let name = format!("{namespace}/w{number}");
        self.people.push(Somebody {
            identity: Identity {
                number: 1000 + number as u32,
                labels: own,
                ..Identity::default()
            },
            client: name.clone(),
            server: name,
            address: format!("10.200.{}.{}", number / 250, number % 250 + 1),
        });
        number
    }

    fn reserved(&mut self, labels: &[&str], name: &str) {
        let number = match name {
            "host" => 1,
            "health" => 4,
            _ => 6,
        };
        self.people.push(Somebody {
            identity: Identity {
                number,
                labels: labels.iter().map(|label| Label::parse(label)).collect(),
                ..Identity::default()
            },
            client: name.to_owned(),
            server: name.to_owned(),
            address: format!("10.100.0.{number}"),
        });
    }

    fn outside(&mut self, address: IpAddr) -> usize {
        if let Some(known) = self
            .people
            .iter()
            .position(|one| one.identity.address == Some(address))
        {
            return known;
        }
        let version = if address.is_ipv4() {
            "world-ipv4"
        } else {
            "world-ipv6"
        };
        self.people.push(Somebody {
            identity: Identity {
                number: (1 << 24) + self.people.len() as u32,
                labels: vec![
                    Label::new("reserved", "world", ""),
                    Label::new("reserved", version, ""),
                ],
                address: Some(address),
                ..Identity::default()
            },
            client: "world".to_owned(),
            server: address.to_string(),
            address: address.to_string(),
        });
        self.people.len() - 1
    }
}

impl Somebody {
    fn endpoint(&self, local: bool) -> serde_json::Value {
        let number = self.identity.number;
        let outside = self.identity.address.is_some();
        let mut labels: Vec<String> = self
            .identity
            .labels
            .iter()
            .filter(|label| !outside || &*label.key != "world")
            .map(ToString::to_string)
            .collect();
        if let Some(address) = self.identity.address {
            let length = if address.is_ipv4() { 32 } else { 128 };
            labels.push(format!("cidr:{address}/{length}"));
        }
        let mut endpoint = json!({"identity": number, "labels": labels});
        if local {
            endpoint["ID"] = json!(number % 60_000 + 1);
        }
        if let Some((namespace, name)) = self.client.split_once('/') {
            endpoint["namespace"] = json!(namespace);
            endpoint["pod_name"] = json!(format!("{name}-0"));
            endpoint["workloads"] = json!([{"name": name, "kind": "StatefulSet"}]);
        }
        endpoint
    }
}

pub(in crate::review) fn set(documents: &[Document]) -> PolicySet {
    let mut documents = documents.to_vec();
    for document in &mut documents {
        if let Some(namespace) = document.scope.namespace().map(str::to_owned) {
            document.root.set_namespace(&namespace);
        }
    }
    PolicySet::build(&documents, &[], &[], &Options::default())
}

/// Whether policies are asked of somebody.
fn is_endpoint(identity: &Identity) -> bool {
    identity.labels.iter().any(|label| {
        &*label.key == NAMESPACE
            || &*label.source == "reserved" && ["host", "health"].contains(&&*label.key)
    })
}
