//! What a pod, or the template of a workload, says that policies can depend on.
//!
//! Owns where the pod's specification is in each kind of object, its named ports, which
//! probes the kubelet sends to it, and which secrets it reads.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::NamedPort;
use super::cluster::{at, list, pairs, text};
use crate::manifest::{Node, Number, Value};

/// Kinds whose template is at `spec.template`.
const TEMPLATED: [&str; 8] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "Rollout",
    "CloneSet",
];
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// Pods that are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSpec {
    /// Labels.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Named ports of its containers.
    pub named_ports: Vec<NamedPort>,
    /// All ports its containers declare, with the protocol's IANA number.
    pub ports: Vec<(u16, u8)>,
    /// Whether its pods are on the node's network: then they are no endpoints.
    pub host_network: bool,
    /// Service account; `default` where none is given.
    pub service_account: Arc<str>,
    /// Whether its token is mounted; `None` where the account decides.
    pub token: Option<bool>,
    /// Secrets it reads, by name, with how: `volume`, `env`, `image pull`.
    pub secrets: BTreeSet<(Arc<str>, &'static str)>,
    /// Whether the kubelet probes it over the network.
    pub probed: bool,
    /// Address of the pod, where it runs.
    pub address: Option<IpAddr>,
    /// The node it is on, empty where the document does not say.
    pub node: Arc<str>,
}

/// The pods of an object, `None` where it has none.
pub(super) fn of_object(kind: &str, object: &Node) -> Option<PodSpec> {
    let (metadata, spec): (&[&str], &[&str]) = match kind {
        "Pod" => (&["metadata"], &["spec"]),
        "CronJob" => (
            &["spec", "jobTemplate", "spec", "template", "metadata"],
            &["spec", "jobTemplate", "spec", "template", "spec"],
        ),
        kind if TEMPLATED.contains(&kind) => (
            &["spec", "template", "metadata"],
            &["spec", "template", "spec"],
        ),
        _ => return None,
    };
    let spec = at(object, spec)?;
    let labels = at(object, metadata).map(|metadata| pairs(metadata, &["labels"]));
    let mut pod = PodSpec {
        labels: labels.unwrap_or_default(),
        host_network: at(spec, &["hostNetwork"])
            .is_some_and(|node| node.value == Value::Bool(true)),
        service_account: text(spec, &["serviceAccountName"])
            .unwrap_or("default")
            .into(),
        address: text(object, &["status", "podIP"]).and_then(|ip| ip.parse().ok()),
        token: at(spec, &["automountServiceAccountToken"]).and_then(|node| match node.value {
            Value::Bool(mounted) => Some(mounted),
            _ => None,
        }),
        node: text(spec, &["nodeName"]).unwrap_or_default().into(),
        ..PodSpec::default()
    };
    for volume in list(spec, &["volumes"]) {
        pod.secret(text(volume, &["secret", "secretName"]), "volume");
        for source in list(volume, &["projected", "sources"]) {
            pod.secret(text(source, &["secret", "name"]), "volume");
        }
    }
    for pull in list(spec, &["imagePullSecrets"]) {
        pod.secret(text(pull, &["name"]), "image pull");
    }
    // Init containers that restart always are sidecars and keep their ports.
    for container in list(spec, &["containers"])
        .iter()
        .chain(list(spec, &["initContainers"]))
    {
        pod.container(container);
    }
    Some(pod)
}

impl PodSpec {
    fn secret(&mut self, name: Option<&str>, how: &'static str) {
        self.secrets.extend(name.map(|name| (name.into(), how)));
    }

    fn container(&mut self, container: &Node) {
        for variable in list(container, &["env"]) {
            let name = text(variable, &["valueFrom", "secretKeyRef", "name"]);
            self.secret(name, "env");
        }
        for from in list(container, &["envFrom"]) {
            self.secret(text(from, &["secretRef", "name"]), "env");
        }
        for port in list(container, &["ports"]) {
            let Some(number) = at(port, &["containerPort"]).and_then(port_number) else {
                continue;
            };
            let protocol = match text(port, &["protocol"]) {
                None | Some("TCP") => 6,
                Some("UDP") => 17,
                Some("SCTP") => 132,
                Some(_) => continue,
            };
            self.ports.push((number, protocol));
            if let Some(name) = text(port, &["name"]) {
                self.named_ports.push(NamedPort {
                    name: name.to_ascii_lowercase().into(),
                    port: number,
                    protocol,
                });
            }
        }
        // An `exec` probe runs in the container and needs no network.
        self.probed |= PROBES.iter().any(|probe| {
            ["httpGet", "tcpSocket", "grpc"]
                .iter()
                .any(|action| at(container, &[probe, action]).is_some())
        });
    }
}

fn port_number(node: &Node) -> Option<u16> {
    match node.value {
        Value::Number(Number::Int(number)) => u16::try_from(number).ok(),
        _ => None,
    }
}
