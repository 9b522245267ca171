//! Whoever there could be, as far as policies can tell them apart.
//!
//! Owns cutting the space of all pods, addresses and ports into parts that no policy tells
//! apart, and giving one of each. A pod is told from another by labels that selectors ask
//! for: each of these has the values that are asked for, another one, or is not there. An
//! address is told from another by prefixes: each begins or ends somewhere. Where there are
//! more parts than can be asked about, that is said: then nothing is proven.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::Keys;
use super::who::{NAMESPACE, Term};
use crate::inventory::{Identity, Label, UNNUMBERED};
use crate::policy::{LabelSelector, Operator, PeerSelector, PolicyEntry, PolicySet, Port, Source};

/// Pods that are made up for one question.
const MOST_PODS: usize = 4096;
/// A value that no policy asks for.
pub(crate) const OTHER: &str = "flowwatch-any-other";
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
const OWN_NAME: &str = "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name";

/// Labels that selectors of peers ask for, of the entries for which `meant` says yes.
pub(crate) fn peer_keys<'a>(entries: impl Iterator<Item = &'a PolicyEntry>) -> Keys {
    let selectors = entries
        .flat_map(|entry| entry.peers.iter().flatten())
        .filter_map(|peer| match peer {
            PeerSelector::Labels(selector) => Some(selector),
            _ => None,
        });
    keys(selectors)
}

/// Labels that decide which policies a pod is under.
pub(in crate::review) fn subject_keys(set: &PolicySet) -> Keys {
    keys(
        set.entries
            .iter()
            .filter(|entry| !entry.subject.node)
            .map(|entry| &entry.subject.selector),
    )
}

fn keys<'a>(selectors: impl Iterator<Item = &'a LabelSelector>) -> Keys {
    let mut keys: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
    for requirement in selectors.flat_map(LabelSelector::requirements) {
        let of_pods = match &requirement.key.source {
            Source::Any => true,
            Source::Of(source) => &**source == "k8s",
        };
        if !of_pods {
            continue;
        }
        let values = keys.entry(requirement.key.name.clone()).or_default();
        if matches!(requirement.operator, Operator::In | Operator::NotIn) {
            values.extend(requirement.values.iter().cloned());
        }
    }
    keys.into_iter()
        .map(|(key, values)| (key, values.into_iter().collect()))
        .collect()
}

/// One pod of each kind that a term may stand for and that differs by `keys`, with `fixed`
/// labels as they are. `None` where there are too many kinds.
pub(crate) fn pods(
    term: &Term,
    keys: &Keys,
    fixed: &[Label],
    cluster: &str,
) -> Option<Vec<Identity>> {
    let wanted: &[(Arc<str>, Arc<str>)] = match term {
        Term::Labels(_, labels) => labels,
        _ => &[],
    };
    let namespaces: Vec<Arc<str>> = match term {
        Term::Namespace(namespace) | Term::Labels(namespace, _) => vec![namespace.clone()],
        Term::Anything | Term::Cluster => {
            let asked = keys
                .iter()
                .filter(|(key, _)| &**key == NAMESPACE || &**key == OWN_NAME)
                .flat_map(|(_, values)| values.iter().cloned());
            asked.chain(std::iter::once(Arc::from(OTHER))).collect()
        }
        // A workload is who is known of it.
        _ => return Some(Vec::new()),
    };
    let known = |key: &str| {
        fixed
            .iter()
            .find(|label| &*label.key == key)
            .map(|label| label.value.clone())
            .or_else(|| {
                let wanted = wanted.iter().find(|(own, _)| &**own == key);
                wanted.map(|(_, value)| value.clone())
            })
    };
    let free: Vec<&(Arc<str>, Vec<Arc<str>>)> = keys
        .iter()
        .filter(|(key, _)| {
            known(key).is_none() && ![NAMESPACE, OWN_NAME, CLUSTER].contains(&&**key)
        })
        .collect();
    let kinds = free
        .iter()
        .try_fold(namespaces.len(), |kinds, (_, values)| {
            kinds.checked_mul(values.len() + 2)
        })?;
    if kinds > MOST_PODS {
        return None;
    }
    let mut pods: Vec<Vec<Label>> = Vec::new();
    for namespace in namespaces {
        let namespace = known(NAMESPACE).unwrap_or(namespace);
        let mut labels: Vec<Label> = fixed.to_vec();
        let mut put = |key: &str, value: &str| {
            if !labels.iter().any(|label| &*label.key == key) {
                labels.push(Label::new("k8s", key, value));
            }
        };
        put(NAMESPACE, &namespace);
        put(OWN_NAME, &namespace);
        put(CLUSTER, cluster);
        for (key, value) in wanted {
            put(key, value);
        }
        pods.push(labels);
    }
    for (key, values) in free {
        let mut more = Vec::with_capacity(pods.len() * (values.len() + 2));
        for pod in pods {
            let other = Arc::<str>::from(OTHER);
            for value in values.iter().chain(std::iter::once(&other)) {
                let mut with = pod.clone();
                with.push(Label::new("k8s", key, value));
                more.push(with);
            }
            more.push(pod);
        }
        pods = more;
    }
    pods.sort();
    pods.dedup();
    Some(
        pods.into_iter()
            .map(|mut labels| {
                labels.sort();
                Identity {
                    number: UNNUMBERED,
                    labels,
                    ..Identity::default()
                }
            })
            .collect(),
    )
}

/// One address of each part that a term may stand for, with every name that policies know
/// where names matter.
pub(crate) fn addresses(term: &Term, set: &PolicySet, with_names: bool) -> Vec<Identity> {
    let mut points: BTreeSet<IpAddr> = BTreeSet::new();
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut add = |prefix: &IpNet| {
        points.insert(prefix.network());
        points.extend(after(prefix));
    };
    for peer in set
        .entries
        .iter()
        .flat_map(|entry| entry.peers.iter().flatten())
    {
        match peer {
            PeerSelector::Cidr { prefix, except } => {
                add(prefix);
                except.iter().for_each(&mut add);
            }
            PeerSelector::CidrGroups { except, .. } => except.iter().for_each(&mut add),
            PeerSelector::Fqdn { name, pattern } => {
                // A name that fits a pattern: what a star stands for does not matter.
                let text = if name.is_empty() { pattern } else { name };
                let plain = text.replace("**.", "any.").replace('*', "any");
                names.insert(plain.trim_end_matches('.').to_ascii_lowercase().into());
            }
            PeerSelector::Everyone | PeerSelector::Labels(_) => {}
        }
    }
    for group in &set.cidr_groups {
        group.prefixes.iter().for_each(&mut add);
    }
    let everywhere: [IpNet; 2] = [
        IpNet::from(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))),
        IpNet::from(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
    ];
    points.extend(everywhere.iter().map(IpNet::addr));
    let only = if let Term::Prefix(prefix) = term {
        points.insert(prefix.network());
        points.extend(prefix.hosts().next());
        Some(*prefix)
    } else {
        None
    };
    let points = points
        .into_iter()
        .filter(|point| only.is_none_or(|prefix| prefix.contains(point)))
        .filter(|point| !point.is_unspecified());
    let fixed: Option<Arc<str>> = match term {
        Term::Name(name) => Some(name.clone()),
        _ => None,
    };
    let mut people = Vec::new();
    for address in points {
        let mut one = |names: Vec<Arc<str>>| {
            people.push(Identity {
                number: UNNUMBERED,
                address: Some(address),
                names,
                names_complete: true,
                ..Identity::default()
            });
        };
        if let Some(name) = &fixed {
            one(vec![name.clone()]);
            continue;
        }
        one(Vec::new());
        if with_names {
            for name in &names {
                one(vec![name.clone()]);
            }
        }
    }
    people
}

/// The address behind the last one of a prefix.
fn after(prefix: &IpNet) -> Option<IpAddr> {
    match prefix.broadcast() {
        IpAddr::V4(last) => u32::from(last)
            .checked_add(1)
            .map(|next| IpAddr::V4(Ipv4Addr::from(next))),
        IpAddr::V6(last) => u128::from(last)
            .checked_add(1)
            .map(|next| IpAddr::V6(Ipv6Addr::from(next))),
    }
}

/// One port of each part that entries tell apart: where a range begins, and behind its end.
/// Named ports are those of `named`.
pub(in crate::review) fn ports<'a>(
    entries: impl Iterator<Item = &'a PolicyEntry>,
    named: impl Iterator<Item = u16>,
) -> BTreeSet<u16> {
    let mut ports: BTreeSet<u16> = named.collect();
    ports.insert(1);
    let behind: Vec<u16> = ports
        .iter()
        .filter_map(|port| port.checked_add(1))
        .collect();
    ports.extend(behind);
    for port in entries
        .flat_map(|entry| &entry.ports)
        .flat_map(|rule| &rule.ports)
    {
        if let Port::Number(first) = port.port {
            let last = port.end_port.max(first);
            ports.insert(first.max(1));
            ports.extend(last.checked_add(1));
        }
    }
    ports
}
