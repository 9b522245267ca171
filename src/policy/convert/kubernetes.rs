//! NetworkPolicy as entries.
//!
//! Owns how Cilium turns each peer into an entry, checks included: the agent validates
//! nothing of these objects, it fails where it cannot go on. A selector that cannot be
//! evaluated asks for nothing: as a subject it is every pod of the namespace.

use super::peers;
use super::ports::protocol;
use super::selector::{Built, NAMESPACE_LABEL, NAMESPACE_LABELS, Scope};
use crate::policy::cidr;
use crate::policy::entities::CLUSTER_LABEL;
use crate::policy::entry::{
    Direction, PolicyEntry, Port, PortProtocol, PortRule, Protocol, RulePlace, Section, Subject,
};
use crate::policy::options::{Options, Version};
use crate::policy::port;
use crate::policy::read::{
    CidrSet, IntOrText, KubernetesPeer, KubernetesPort, KubernetesRule, NetworkPolicy, Path,
    Selector, Text,
};
use crate::policy::selector::PeerSelector;
use crate::policy::set::{ObjectId, Rejection};
use crate::policy::validate::{by_source, is_valid, reject};

/// Entries of a NetworkPolicy.
///
/// # Errors
/// What the agent cannot import: an unknown protocol, a block that is none.
pub(in crate::policy) fn entries(
    policy: &NetworkPolicy,
    id: &ObjectId,
    options: &Options,
) -> Result<Vec<PolicyEntry>, Rejection> {
    let converter = Converter {
        subject: Subject {
            selector: subject(&policy.pods, &id.namespace),
            node: false,
        },
        scope: Scope {
            namespace: &id.namespace,
            cluster: options
                .default_local_cluster
                .then_some(&*options.cluster_name),
            init: false,
        },
        stray_namespace: options.default_local_cluster && admits_namespace(options.version),
    };
    let path = Path::Root;
    let path = path.field("spec");
    let mut ingress = converter.rules(&policy.ingress, Direction::Ingress, &path)?;
    let mut egress = converter.rules(&policy.egress, Direction::Egress, &path)?;
    let has = |wanted: &str| policy.types.iter().any(|name| &**name == wanted);
    if ingress.is_empty() && (has("Ingress") || !has("Egress")) {
        ingress.push(converter.isolation(policy, Direction::Ingress));
    }
    if egress.is_empty() && has("Egress") {
        egress.push(converter.isolation(policy, Direction::Egress));
    }
    ingress.extend(egress);
    Ok(ingress)
}

/// Releases in which an ingress peer without selectors gets one of the policy's namespace.
fn admits_namespace(version: Version) -> bool {
    (version.major, version.minor) == (1, 19) && version.patch <= 4
}

struct Converter<'a> {
    subject: Subject,
    scope: Scope<'a>,
    stray_namespace: bool,
}

impl Converter<'_> {
    fn rules(
        &self,
        rules: &[KubernetesRule],
        direction: Direction,
        path: &Path<'_>,
    ) -> Result<Vec<PolicyEntry>, Rejection> {
        let (section, list, peers) = match direction {
            Direction::Ingress => (Section::Ingress, "ingress", "from"),
            Direction::Egress => (Section::Egress, "egress", "to"),
        };
        let list = path.field(list);
        let mut entries = Vec::new();
        for (rule, index) in rules.iter().zip(0_u32..) {
            let path = list.item(index as usize);
            let first = entries.len();
            let place = RulePlace {
                spec: None,
                section,
                element: index,
                peer: None,
                at: rule.at,
            };
            if rule.peers.is_empty() {
                entries.push(self.entry(place, direction, None));
            }
            let peers = path.field(peers);
            for (peer, index) in rule.peers.iter().zip(0_u32..) {
                let place = RulePlace {
                    peer: Some(index),
                    at: peer.at,
                    ..place
                };
                let peers = self.peer(peer, direction, &peers.item(index as usize))?;
                entries.push(self.entry(place, direction, Some(peers)));
            }
            let ports = ports(&rule.ports, &path)?;
            for entry in &mut entries[first..] {
                entry.ports.clone_from(&ports);
            }
        }
        Ok(entries)
    }

    fn entry(
        &self,
        rule: RulePlace,
        direction: Direction,
        peers: Option<Vec<PeerSelector>>,
    ) -> PolicyEntry {
        PolicyEntry {
            object: 0,
            rule,
            subject: self.subject.clone(),
            direction,
            deny: false,
            default_deny: true,
            peers,
            ports: Vec::new(),
            auth: None,
            service_missing: false,
        }
    }

    /// Says nothing but that a direction is isolated.
    fn isolation(&self, policy: &NetworkPolicy, direction: Direction) -> PolicyEntry {
        let place = RulePlace {
            spec: None,
            section: Section::Whole,
            element: 0,
            peer: None,
            at: policy.at,
        };
        self.entry(place, direction, Some(Vec::new()))
    }

    fn peer(
        &self,
        peer: &KubernetesPeer,
        direction: Direction,
        path: &Path<'_>,
    ) -> Result<Vec<PeerSelector>, Rejection> {
        let mut peers = Vec::new();
        let written = peer.pods.is_some() || peer.namespaces.is_some();
        if written || (direction == Direction::Ingress && self.stray_namespace) {
            peers.push(self.selector(peer));
        }
        if let Some(block) = &peer.block {
            peers.extend(self::block(block, &path.field("ipBlock"))?);
        }
        Ok(peers)
    }

    fn selector(&self, peer: &KubernetesPeer) -> PeerSelector {
        let pods = peer.pods.as_ref();
        if !pods.is_none_or(|pods| is_valid(pods, of_kubernetes))
            || !peer
                .namespaces
                .as_ref()
                .is_none_or(|labels| is_valid(labels, of_namespace))
        {
            return PeerSelector::Everyone;
        }
        let mut built = Built::default();
        if let Some(namespaces) = &peer.namespaces {
            built.append(namespaces, of_namespace);
            if namespaces.labels.is_empty() && namespaces.expressions.is_empty() {
                built.exists(of_kubernetes(NAMESPACE_LABEL));
            }
        }
        if let Some(pods) = pods {
            built.append(pods, of_kubernetes);
        }
        if let Some(cluster) = self.scope.cluster
            && !pods.is_some_and(says_cluster)
        {
            built.add(of_kubernetes(CLUSTER_LABEL), cluster);
        }
        if peer.namespaces.is_none() {
            built.add(of_kubernetes(NAMESPACE_LABEL), self.scope.namespace);
        }
        built.peer()
    }
}

/// The subject: pods of the policy's namespace.
pub(in crate::policy) fn subject(
    pods: &Selector,
    namespace: &str,
) -> crate::policy::selector::LabelSelector {
    let mut built = Built::default();
    if is_valid(pods, of_kubernetes) {
        built.append(pods, of_kubernetes);
    }
    built.add(of_kubernetes(NAMESPACE_LABEL), namespace);
    built.finish()
}

fn of_kubernetes(key: &str) -> String {
    by_source("k8s", key)
}

fn of_namespace(key: &str) -> String {
    of_kubernetes(&format!("{NAMESPACE_LABELS}.{key}"))
}

fn says_cluster(pods: &Selector) -> bool {
    let mut labels = pods.labels.iter();
    labels.any(|(key, value)| &**key == CLUSTER_LABEL && !value.is_empty())
        || pods
            .expressions
            .iter()
            .any(|expression| &*expression.key == CLUSTER_LABEL)
}

fn block(block: &CidrSet, path: &Path<'_>) -> Result<Option<PeerSelector>, Rejection> {
    check(&block.cidr, &path.field("cidr"), block)?;
    let list = path.field("except");
    for (index, text) in block.except.iter().enumerate() {
        check(text, &list.item(index), block)?;
    }
    Ok(peers::address(&block.cidr, &block.except))
}

fn check(text: &Text, path: &Path<'_>, block: &CidrSet) -> Result<(), Rejection> {
    let checked = cidr::prefix_or_address(text);
    checked.map(|_| ()).map_err(|reason| {
        let message = format!("'{}' crashes the agent: {reason}", &**text);
        let at = if text.is_empty() { block.at } else { text.at };
        reject("panic", path, at, message)
    })
}

fn ports(ports: &[KubernetesPort], path: &Path<'_>) -> Result<Vec<PortRule>, Rejection> {
    let list = path.field("ports");
    let read = |(index, port): (usize, &KubernetesPort)| {
        let port = port_protocol(port, &list.item(index))?;
        Ok(PortRule {
            ports: vec![port],
            ..PortRule::default()
        })
    };
    ports.iter().enumerate().map(read).collect()
}

fn port_protocol(written: &KubernetesPort, path: &Path<'_>) -> Result<PortProtocol, Rejection> {
    let protocol = match &written.protocol {
        None => Protocol::Tcp,
        Some(text) => protocol(text).ok_or_else(|| {
            let message = format!("'{}' is no protocol that policies know", &**text);
            reject(
                "protocol_invalid",
                &path.field("protocol"),
                text.at,
                message,
            )
        })?,
    };
    let text = written
        .port
        .as_ref()
        .map_or_else(|| "0".to_owned(), IntOrText::text);
    Ok(PortProtocol {
        port: if port::is_name(&text) {
            Port::Name(text.into())
        } else {
            Port::Number(port::number_or_bound(&text))
        },
        end_port: written.end_port.unwrap_or_default() as u16,
        protocol,
        at: written.at,
    })
}
