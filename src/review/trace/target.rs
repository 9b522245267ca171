//! Whom a trace or a response is about.
//!
//! Owns the ways to name somebody, which flows are about them, and which columns of an
//! archive have to hold for that. What becomes of the flows is `gather`'s.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use crate::connection::{Peer, workload_of};
use crate::flow::{Dictionaries, Endpoint, EndpointId, L7Record, RowRef, StrId, Wanted};

/// Answers that are remembered; then it begins anew.
pub(super) const MOST_KNOWN: usize = 1 << 16;

/// Whom a trace or a response is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// One pod.
    Pod {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// All pods of a workload.
    Workload {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name, as reports have it.
        name: Arc<str>,
    },
    /// All pods of a numeric identity.
    Identity(u32),
    /// A node, and by it what is on the node's own network.
    Node(Arc<str>),
    /// All pods of a namespace.
    Namespace(Arc<str>),
    /// What is outside, by address or prefix.
    Address(IpNet),
    /// What is outside, by the name DNS gives for it: lower case, no last dot.
    Name(Arc<str>),
}

/// A text that names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no target: expected a workload or pod (shop/checkout), a namespace (shop/*), identity:NUMBER, node:NAME, an address or prefix, or a DNS name"
)]
pub struct TargetError {
    /// What was given.
    pub text: String,
}

impl Target {
    /// Reads a target. `shop/checkout` is a workload; whether it is a pod is told by who is
    /// known. A kind may be put before it: `pod:`, `workload:`, `namespace:`, `node:`,
    /// `identity:`, `address:`, `name:`.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        let wrong = || TargetError {
            text: text.to_owned(),
        };
        if let Some(prefix) = prefix(text) {
            return Ok(Self::Address(prefix));
        }
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, rest),
            None => ("", text),
        };
        let pair = || {
            let (namespace, name) = rest.split_once('/')?;
            (is_name(namespace) && is_name(name)).then(|| (namespace.into(), name.into()))
        };
        let found = match kind {
            "pod" => pair().map(|(namespace, name)| Self::Pod { namespace, name }),
            "workload" | "deployment" | "statefulset" | "daemonset" => {
                pair().map(|(namespace, name)| Self::Workload { namespace, name })
            }
            "namespace" | "ns" => is_name(rest).then(|| Self::Namespace(rest.into())),
            "node" => {
                let name = rest.rsplit('/').next().unwrap_or(rest);
                is_name(name).then(|| Self::Node(rest.into()))
            }
            "identity" => rest.parse().ok().map(Self::Identity),
            "address" => prefix(rest).map(Self::Address),
            "name" => dns_name(rest).map(Self::Name),
            "" => match rest.strip_suffix("/*") {
                Some(namespace) => is_name(namespace).then(|| Self::Namespace(namespace.into())),
                None if rest.contains('/') => {
                    pair().map(|(namespace, name)| Self::Workload { namespace, name })
                }
                None if rest.contains('.') => dns_name(rest).map(Self::Name),
                None => None,
            },
            _ => None,
        };
        found.ok_or_else(wrong)
    }

    /// Whether it is outside the cluster.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Address(_) | Self::Name(_))
    }

    /// The namespace it is in, where it is in one.
    #[must_use]
    pub fn namespace(&self) -> Option<&Arc<str>> {
        match self {
            Self::Pod { namespace, .. }
            | Self::Workload { namespace, .. }
            | Self::Namespace(namespace) => Some(namespace),
            _ => None,
        }
    }

    /// What kind of thing it is, for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pod { .. } => "pod",
            Self::Workload { .. } => "workload",
            Self::Identity(_) => "identity",
            Self::Node(_) => "node",
            Self::Namespace(_) => "namespace",
            Self::Address(_) => "address",
            Self::Name(_) => "name",
        }
    }

    /// As it is typed: what [`Self::parse`] takes.
    #[must_use]
    pub fn typed(&self) -> String {
        match self {
            Self::Identity(number) => format!("identity:{number}"),
            Self::Node(name) => format!("node:{name}"),
            Self::Pod { namespace, name } => format!("pod:{namespace}/{name}"),
            other => other.to_string(),
        }
    }

    /// Whether an endpoint is meant; addresses, nodes and names are not told by it. A pod
    /// may be named as if it were a workload.
    #[must_use]
    pub fn is_endpoint(&self, endpoint: &Endpoint) -> bool {
        let (of, wanted, is_pod) = match self {
            Self::Workload { namespace, name } => (namespace, Some(name), false),
            Self::Pod { namespace, name } => (namespace, Some(name), true),
            Self::Namespace(namespace) => (namespace, None, false),
            Self::Identity(number) => return endpoint.identity == *number,
            Self::Node(_) | Self::Address(_) | Self::Name(_) => return false,
        };
        let Some(Peer::Workload {
            namespace,
            name: workload,
            ..
        }) = workload_of(endpoint)
        else {
            return false;
        };
        namespace == *of
            && wanted.is_none_or(|name| endpoint.pod == *name || (!is_pod && workload == *name))
    }

    /// Whether the end of an edge is meant by its name alone.
    #[must_use]
    pub fn is_peer(&self, peer: &Peer) -> bool {
        match (self, peer) {
            (
                Self::Workload { namespace, name },
                Peer::Workload {
                    namespace: of,
                    name: workload,
                    ..
                },
            ) => of == namespace && workload == name,
            (Self::Namespace(namespace), Peer::Workload { namespace: of, .. }) => of == namespace,
            (Self::Name(name), Peer::Name(own)) => own == name,
            _ => false,
        }
    }

    /// What has to hold of the columns of every flow that is about it, where flows say the
    /// namespaces of pods. `None` where nothing can be left out unseen.
    #[must_use]
    pub fn wanted(&self) -> Option<Wanted> {
        let either = |source: Wanted, destination: Wanted| Some(Wanted::any([source, destination]));
        match self {
            Self::Workload { namespace, .. }
            | Self::Pod { namespace, .. }
            | Self::Namespace(namespace) => {
                let text = |column| Wanted::Text(column, vec![namespace.to_string()]);
                either(text("source_namespace"), text("destination_namespace"))
            }
            Self::Identity(number) => {
                let is = |column| Wanted::Number(column, vec![i64::from(*number)]);
                either(is("source_identity"), is("destination_identity"))
            }
            Self::Address(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => {
                let text = |column| Wanted::Text(column, vec![prefix.addr().to_string()]);
                either(text("source_ip"), text("destination_ip"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    /// `shop/checkout`, `identity 4711`, `node worker-2`, `shop/*`, `192.0.2.7`, a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { namespace, name } | Self::Workload { namespace, name } => {
                write!(f, "{namespace}/{name}")
            }
            Self::Identity(number) => write!(f, "identity {number}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Namespace(namespace) => write!(f, "{namespace}/*"),
            Self::Address(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => {
                write!(f, "{}", prefix.addr())
            }
            Self::Address(prefix) => write!(f, "{prefix}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

fn prefix(text: &str) -> Option<IpNet> {
    let prefix: Option<IpNet> = text.parse().ok();
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    prefix.map(|prefix| prefix.trunc()).or_else(address)
}

fn dns_name(text: &str) -> Option<Arc<str>> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    (name.contains('.') && name.split('.').all(is_label)).then(|| name.into())
}

/// Whether a text can be the name of an object.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Which flows are about a target; one a thread. Remembers endpoints and addresses by the
/// dictionaries they are of.
#[derive(Clone, Debug)]
pub struct Matcher {
    target: Target,
    /// Addresses that stand for a name.
    addresses: Arc<HashSet<IpAddr, RandomState>>,
    endpoints: HashMap<(u64, u32), bool, RandomState>,
    texts: HashMap<(u64, u32), bool, RandomState>,
}

impl Matcher {
    /// Of a target; `addresses` stand for it where it is a name.
    #[must_use]
    pub fn new(target: Target, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            target,
            addresses: Arc::new(addresses.into_iter().collect()),
            endpoints: HashMap::default(),
            texts: HashMap::default(),
        }
    }

    /// Whether a flow is about it.
    pub fn matches(&mut self, row: RowRef<'_>) -> bool {
        match &self.target {
            Target::Workload { .. }
            | Target::Pod { .. }
            | Target::Namespace(_)
            | Target::Identity(_) => {
                self.endpoint(row, row.source().0) || self.endpoint(row, row.destination().0)
            }
            Target::Node(_) => self.text(row, row.node().0),
            Target::Address(_) => {
                self.text(row, row.source_ip().0) || self.text(row, row.destination_ip().0)
            }
            Target::Name(name) => {
                names(row, name)
                    || self.text(row, row.source_ip().0)
                    || self.text(row, row.destination_ip().0)
            }
        }
    }

    /// Whether one end of a flow is it. No end is a node.
    pub(super) fn is_end(&mut self, row: RowRef<'_>, id: EndpointId, address: StrId) -> bool {
        match &self.target {
            Target::Node(_) => false,
            Target::Address(_) | Target::Name(_) => self.text(row, address.0),
            _ => self.endpoint(row, id.0),
        }
    }

    fn endpoint(&mut self, row: RowRef<'_>, id: u32) -> bool {
        let dictionaries = row.dictionaries();
        let key = (dictionaries.epoch(), id);
        if let Some(known) = self.endpoints.get(&key) {
            return *known;
        }
        let is = dictionaries
            .endpoint(EndpointId(id))
            .is_some_and(|endpoint| self.target.is_endpoint(endpoint));
        bounded(&mut self.endpoints, key, is)
    }

    fn text(&mut self, row: RowRef<'_>, id: u32) -> bool {
        let dictionaries: &Dictionaries = row.dictionaries();
        let key = (dictionaries.epoch(), id);
        if let Some(known) = self.texts.get(&key) {
            return *known;
        }
        let text = dictionaries.str(StrId(id));
        let is = match &self.target {
            Target::Node(name) => is_node(text, name),
            Target::Address(prefix) => text
                .parse::<IpAddr>()
                .is_ok_and(|address| prefix.contains(&address)),
            _ => text
                .parse()
                .is_ok_and(|address: IpAddr| self.addresses.contains(&address)),
        };
        bounded(&mut self.texts, key, is)
    }
}

/// Remembers an answer.
pub(super) fn bounded(
    known: &mut HashMap<(u64, u32), bool, RandomState>,
    key: (u64, u32),
    is: bool,
) -> bool {
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    known.insert(key, is);
    is
}

/// Whether a node of flows, `cluster/name`, is the one that was named with or without its
/// cluster.
pub(super) fn is_node(node: &str, name: &str) -> bool {
    node == name
        || node
            .strip_suffix(name)
            .is_some_and(|cluster| cluster.ends_with('/'))
}

/// Whether a flow names a name: as its destination's, as its source's, or as what was asked.
pub(super) fn names(row: RowRef<'_>, name: &str) -> bool {
    let dictionaries = row.dictionaries();
    let is = |text: &str| text.trim_end_matches('.').eq_ignore_ascii_case(name);
    [row.destination_names(), row.source_names()]
        .into_iter()
        .any(|list| dictionaries.list(list).any(is))
        || asked(row).is_some_and(is)
}

/// The name that a flow asks DNS for.
fn asked(row: RowRef<'_>) -> Option<&str> {
    match row.extra()?.l7.as_ref()?.record.as_ref()? {
        L7Record::Dns(dns) => Some(row.str(dns.query)),
        _ => None,
    }
}

/// The addresses that flows give for a name: answers of DNS, and servers called by it.
#[derive(Debug, Default)]
pub struct Addresses {
    found: HashSet<IpAddr, RandomState>,
}

/// Addresses of one name that are kept.
const MOST_ADDRESSES: usize = 4096;

impl Addresses {
    /// Takes a flow in.
    pub fn row(&mut self, row: RowRef<'_>, name: &str) {
        if self.found.len() >= MOST_ADDRESSES || !names(row, name) {
            return;
        }
        let dictionaries = row.dictionaries();
        let is = |text: &str| text.trim_end_matches('.').eq_ignore_ascii_case(name);
        for (list, address) in [
            (row.destination_names(), row.destination_ip()),
            (row.source_names(), row.source_ip()),
        ] {
            if dictionaries.list(list).any(is) {
                self.found.extend(row.str(address).parse::<IpAddr>().ok());
            }
        }
        let record = row.extra().and_then(|extra| extra.l7.as_ref());
        if let Some(L7Record::Dns(dns)) = record.and_then(|l7| l7.record.as_ref())
            && is(row.str(dns.query))
        {
            let answers = dictionaries.list(dns.ips);
            self.found
                .extend(answers.filter_map(|text| text.parse::<IpAddr>().ok()));
        }
    }

    /// Takes in what another thread found.
    pub fn merge(&mut self, other: Self) {
        self.found.extend(other.found);
    }

    /// All of them, in order.
    #[must_use]
    pub fn sorted(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = self.found.iter().copied().collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_people_write_it_and_shown_so() {
        let workload = Target::Workload {
            namespace: "shop".into(),
            name: "checkout".into(),
        };
        for (text, wanted, shown) in [
            ("shop/checkout", workload.clone(), "shop/checkout"),
            ("deployment:shop/checkout", workload, "shop/checkout"),
            (
                "pod:shop/checkout-0",
                Target::Pod {
                    namespace: "shop".into(),
                    name: "checkout-0".into(),
                },
                "shop/checkout-0",
            ),
            ("shop/*", Target::Namespace("shop".into()), "shop/*"),
            (
                "node:worker-2",
                Target::Node("worker-2".into()),
                "node worker-2",
            ),
            ("identity:4711", Target::Identity(4711), "identity 4711"),
            (
                "192.0.2.7",
                Target::Address("192.0.2.7/32".parse().unwrap()),
                "192.0.2.7",
            ),
            (
                "192.0.2.7/24",
                Target::Address("192.0.2.0/24".parse().unwrap()),
                "192.0.2.0/24",
            ),
            (
                "2001:db8::1",
                Target::Address("2001:db8::1/128".parse().unwrap()),
                "2001:db8::1",
            ),
            (
                "Q7x2-Sync.edge.example.",
                Target::Name("q7x2-sync.edge.example".into()),
                "q7x2-sync.edge.example",
            ),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target, wanted, "{text}");
            assert_eq!(target.to_string(), shown);
        }
    }

    #[test]
    fn what_names_nobody_is_refused_with_its_text() {
        for text in [
            "",
            "checkout",
            "shop/",
            "/x",
            "identity:x",
            "shop/a b",
            "colour:red",
            "a..b",
        ] {
            assert_eq!(
                Target::parse(text),
                Err(TargetError {
                    text: text.to_owned()
                }),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_typed_is_read_again() {
        for text in [
            "shop/checkout",
            "pod:shop/checkout-0",
            "shop/*",
            "node:c/worker-2",
            "identity:7",
            "192.0.2.7",
            "a.example",
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.typed(), text);
        }
    }

    #[test]
    fn an_endpoint_is_meant_by_its_workload_or_its_pod() {
        let pod = Endpoint {
            namespace: "shop".into(),
            pod: "checkout-7d5b9c6f48-hx2vp".into(),
            identity: 7,
            ..Endpoint::default()
        };
        for (target, is) in [
            ("shop/checkout", true),
            ("shop/checkout-7d5b9c6f48-hx2vp", true),
            ("pod:shop/checkout", false),
            ("shop/*", true),
            ("shop/check", false),
            ("pay/checkout", false),
            ("identity:7", true),
            ("identity:8", false),
        ] {
            assert_eq!(
                Target::parse(target).unwrap().is_endpoint(&pod),
                is,
                "{target}"
            );
        }
    }

    #[test]
    fn a_node_is_named_with_or_without_its_cluster() {
        assert!(is_node("c/worker-2", "worker-2"));
        assert!(is_node("c/worker-2", "c/worker-2"));
        assert!(!is_node("c/my-worker-2", "worker-2"));
    }
}
